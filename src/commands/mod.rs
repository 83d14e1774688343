//! The subcommands, a file each, and what they share: a report that is written on every way out.

mod apply;
mod base;
mod check;
mod comment;
mod ephemeral;
mod init;
mod plan;
mod rehearse;
mod run;
mod runner;
mod selection;
mod sources;
mod verify;
mod wait;

pub use comment::Refusal;
pub use init::Exists;
pub use verify::Wishes;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::CommandFactory;
use time::OffsetDateTime;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Error,
    cli::{Cli, Command, CompletionsArgs, ModelsArgs, ProjectArgs, ReportArgs, SelectArgs, ServerArgs},
    config::Config,
    dbt::{self, ManifestFile},
    exit::Exit,
    model::{Outcome, Stage, Verdict},
    output::{self, Ui},
    pg::{self, Client},
    project::{Project, Reading},
    report::{self, Engine, Report, terminal::Style},
};

/// Carries out what was typed.
pub async fn execute(cli: Cli) -> Result<Exit, Error> {
    let project_dir = match &cli.command {
        Command::Run(args) => &args.project.project_dir,
        Command::Plan(args) => &args.desired.models.project.project_dir,
        Command::Apply(args) => &args.desired.models.project.project_dir,
        Command::Wait(args) => &args.models.project.project_dir,
        Command::Check(args) => &args.models.project.project_dir,
        Command::Verify(args) => &args.models.project.project_dir,
        Command::Init(args) => &args.project_dir,
        Command::Comment(_) | Command::Ephemeral(_) | Command::Completions(_) => Path::new("."),
    };
    let mut config = Config::resolve(&cli.global, project_dir)?;
    config.vars = cli.command.vars().cloned();
    config.ui.full = matches!(&cli.command, Command::Plan(args) if args.full);
    match &cli.command {
        Command::Run(args) => {
            reported(&config, "run", (&args.selection, &args.reports), async |report| {
                run::gate(&config, args, report).await
            })
            .await
        }
        Command::Plan(args) => {
            let exit =
                reported(&config, "plan", (&args.desired.models.selection, &args.reports), async |report| {
                    plan::plan(&config, args, report).await
                });
            exit.await
        }
        Command::Apply(args) => {
            let exit =
                reported(&config, "apply", (&args.desired.models.selection, &args.reports), async |report| {
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
    report.selection = selection::shown(selection);
    let started = Instant::now();
    // The losing side is dropped, and with it whatever it had started.
    let ending = tokio::select! {
        done = work(&mut report) => Ending::Done(done),
        number = stopping_signal() => Ending::Stopped(number),
    };
    report.elapsed = started.elapsed();
    if let Ending::Done(Err(error)) = &ending {
        let outcome = Outcome::new(Stage::Setup, command, Verdict::Errored, error.to_string());
        report.outcomes.push(outcome.with_details(error.hint().map(|hint| format!("hint: {hint}"))));
    }
    report.interrupted = matches!(ending, Ending::Stopped(_));
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

/// Waits for SIGINT or SIGTERM, and returns its number.
async fn stopping_signal() -> u8 {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Without handlers the signals end the program by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}

/// A manifest, and the project in it.
type ReadManifest = (ManifestFile, Reading);

/// The manifest that was named, or the one that dbt left in the project.
fn read_manifest(config: &Config, models: &ModelsArgs) -> Result<ReadManifest, Error> {
    if let Some(file) = &models.manifest.manifest {
        let manifest = ManifestFile::open(file)?;
        let reading = manifest.project()?;
        return Ok((manifest, reading));
    }
    let manifest = ManifestFile::open(&manifest_file(config, &models.project)?)?;
    let reading = manifest.project()?.with_files_below(&models.project.project_dir.to_string_lossy());
    Ok((manifest, reading))
}

/// The project with the selected stream tables alone.
fn selected_manifest(config: &Config, models: &ModelsArgs) -> Result<Project, Error> {
    let (manifest, reading) = read_manifest(config, models)?;
    let project = reading.right()?;
    Ok(project.only(selection::selected(config, &models.selection, &manifest, None)?.as_ref()))
}

/// Where dbt leaves the project's manifest.
fn manifest_file(config: &Config, project: &ProjectArgs) -> Result<PathBuf, Error> {
    Ok(config.target_dir(project)?.join("manifest.json"))
}

/// The names and the schema of the user's own target, so that the models come out as they do at home; a project
/// whose profile is nowhere to be found gets names of its own.
fn target(config: &Config, project: &ProjectArgs, file: &dbt::ProjectFile) -> Result<dbt::Target, Error> {
    if let Some(target) = config.profile(project, true)? {
        return Ok(target);
    }
    let profile = config.profile_name(project, file)?.unwrap_or_else(|| file.name.clone());
    let (name, chosen_by) =
        config.target_name(project)?.unwrap_or_else(|| ("ci".into(), "the default without a profiles.yml"));
    config.ui.say(&format!("no profiles.yml with `{profile}`: models go to the schema public"));
    Ok(dbt::Target {
        profile,
        name,
        chosen_by,
        endpoint: pg::Endpoint::default(),
        schema: "public".into(),
        threads: 4,
        manner: serde_json::Map::default(),
    })
}

/// The project to look at, compiled where dbt never did that; `None` where there is none and a server was named outright.
async fn wanted(config: &Config, models: &ModelsArgs, server: &ServerArgs) -> Result<Option<Project>, Error> {
    let is_named = models.manifest.manifest.is_some();
    let is_here = is_named || models.project.project_dir.join("dbt_project.yml").exists();
    // What is selected is selected of a project.
    if !is_here && selection::selector(&models.selection)?.is_none() {
        return Ok(None);
    }
    match selected_manifest(config, models) {
        Err(error) if !is_named && plan::is_uncompiled(&error) => {
            let (project, selected) = plan::compile(config, models, None, server, None).await?;
            Ok(Some(project.only(selected.as_ref())))
        }
        read => read.map(Some),
    }
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
