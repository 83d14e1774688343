//! The subcommands, a file each, and what they share: a report that is written on every way out.

mod apply;
mod base;
mod check;
mod comment;
mod ephemeral;
mod init;
mod plan;
mod project;
mod rehearse;
mod run;
mod runner;
mod selection;
mod signals;
mod sources;
mod verify;
mod wait;

pub use comment::Refusal;
pub use init::Exists;
pub use verify::Wishes;

use std::{path::Path, time::Instant};

use clap::CommandFactory;
use time::OffsetDateTime;

use crate::{
    Error,
    cli::{Cli, Command, CompletionsArgs, ReportArgs, SelectArgs, ServerArgs},
    config::Config,
    exit::Exit,
    model::{Outcome, Stage, Verdict},
    output::{self, Ui},
    pg::{self, Client},
    report::{self, Engine, Report, terminal::Style},
};

/// Carries out what was typed.
pub async fn execute(cli: Cli) -> Result<Exit, Error> {
    let project = cli.command.project();
    let project_dir = match (&cli.command, project) {
        (Command::Init(args), _) => args.project_dir(),
        (_, Some(project)) => project.dir(),
        (_, None) => Path::new("."),
    };
    let mut config = Config::resolve(&cli.global, project_dir)?;
    config.vars = project.and_then(|project| project.vars.clone());
    config.ui.full = matches!(&cli.command, Command::Plan(args) if args.full);
    match &cli.command {
        Command::Run(args) => {
            reported(&config, "run", (&args.selection, &args.reports), async |report| {
                Box::pin(run::gate(&config, args, report)).await
            })
            .await
        }
        Command::Plan(args) => {
            let exit = reported(&config, "plan", (&args.models.selection, &args.reports), async |report| {
                plan::plan(&config, args, report).await
            });
            exit.await
        }
        Command::Apply(args) => {
            let exit = reported(&config, "apply", (&args.models.selection, &args.reports), async |report| {
                apply::apply(&config, args, report).await
            });
            exit.await
        }
        Command::Wait(args) => {
            reported(&config, "wait", (&args.models.selection, &args.reports), async |report| {
                wait::wait(&config, args, report).await
            })
            .await
        }
        Command::Check(args) => {
            reported(&config, "check", (&args.models.selection, &args.reports), async |report| {
                check::check(&config, args, report).await
            })
            .await
        }
        Command::Verify(args) => {
            let exit = reported(&config, "verify", (&args.models.selection, &args.reports), async |report| {
                verify::verify(&config, args, report).await
            });
            exit.await
        }
        Command::Comment(args) => comment::comment(&config, args).await,
        Command::Init(args) => init::init(&config, args),
        Command::Completions(args) => completions(args),
        Command::Ephemeral(args) => {
            ephemeral::run(&config.ephemeral(&args.engine), &args.command).await.map(Exit::Command)
        }
    }
}

/// A script that teaches a shell our flags, on the standard output.
fn completions(args: &CompletionsArgs) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pgtrickle-ci", &mut script);
    output::to_file(Path::new("-"), &String::from_utf8_lossy(&script))?;
    Ok(Exit::Passed)
}

/// How a command's work ended.
enum Ending {
    Done(Result<Exit, Error>),
    Stopped(u8),
}

/// Does the work, and writes the report whatever becomes of it: a failure, a signal, a lost connection.
async fn reported(
    config: &Config,
    command: &'static str,
    (selection, reports): (&SelectArgs, &ReportArgs),
    work: impl AsyncFnOnce(&mut Report) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    for file in [&reports.json, &reports.junit, &reports.markdown].into_iter().flatten() {
        output::check_writable(file)?;
    }
    let mut report = Report::begin(command, OffsetDateTime::now_utc());
    report.strict = config.is_strict(reports);
    report.commit = config.commit();
    report.leg = config.leg();
    report.invocation = Some(config.invocation.clone());
    report.selection = selection::shown(selection);
    let started = Instant::now();
    let mut signals = signals::Signals::listen();
    // The losing side is dropped, and with it whatever it had started.
    let ending = tokio::select! {
        done = work(&mut report) => Ending::Done(done),
        signal = signals.next() => Ending::Stopped(signals::number(signal)),
    };
    report.elapsed = started.elapsed();
    let ending = match ending {
        Ending::Done(Err(error)) if report.hides_rows => Ending::Done(Err(error.without_values())),
        ending => ending,
    };
    if let Ending::Done(Err(error)) = &ending {
        let outcome = Outcome::new(Stage::Setup, command, Verdict::Errored, error.to_string());
        report.outcomes.push(outcome.with_details(error.hint().map(|hint| format!("hint: {hint}"))));
    }
    report.interrupted = matches!(ending, Ending::Stopped(_));
    report.settle_rows();
    write(config, reports, &report, &ending)?;
    runner::tell(config, &report);
    match ending {
        Ending::Done(Ok(Exit::Passed)) if !report.passed() => Ok(Exit::Refused),
        Ending::Done(end) => end,
        Ending::Stopped(number) => Ok(Exit::Signal(number)),
    }
}

fn write(config: &Config, reports: &ReportArgs, report: &Report, ending: &Ending) -> Result<(), Error> {
    type Render = fn(&Report) -> String;
    let renderers: [(_, Render); 3] = [
        (&reports.json, report::json::render),
        (&reports.junit, report::junit::render),
        (&reports.markdown, report::markdown::render_whole),
    ];
    let mut taken = false;
    for (file, render) in renderers {
        let Some(file) = file else { continue };
        output::to_file(file, &render(report))?;
        taken |= file == Path::new("-");
        if file != Path::new("-") {
            config.ui.say(&format!("wrote {}", file.display()));
        }
    }
    // An error alone is told by its own two lines.
    let only_an_error =
        matches!(ending, Ending::Done(Err(_))) && report.outcomes.len() == 1 && report.plan.is_none();
    let unwanted = config.ui.quiet && report.passed();
    if !taken && !only_an_error && !unwanted {
        let Ui { color, width, verbose, full, .. } = config.ui;
        let style = Style { color, width, verbose, full };
        output::report_to_stdout(&report::terminal::render(report, &style))?;
    }
    Ok(())
}

/// A connection; the report names its other end.
async fn connect(endpoint: &pg::Endpoint, server: &ServerArgs, report: &mut Report) -> Result<Client, Error> {
    report.target = Some(endpoint.to_string());
    report.dbt_target = endpoint.dbt_target.clone().or(report.dbt_target.take());
    Ok(Client::connect(endpoint, Config::limits(server)).await?)
}

/// The same, and the software that answers there, which has to be fit for its work.
async fn connect_and_identify(
    endpoint: &pg::Endpoint,
    server: &ServerArgs,
    report: &mut Report,
) -> Result<(Client, pg::Server), Error> {
    let client = connect(endpoint, server, report).await?;
    let server = client.server().await?;
    report.engine = Some((&server).into());
    Ok((client, server))
}

impl From<&pg::Server> for Engine {
    fn from(server: &pg::Server) -> Self {
        Self { postgres: server.postgres.clone(), pg_trickle: server.pg_trickle.clone().unwrap_or_default() }
    }
}
