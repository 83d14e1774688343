//! The subcommands and their dispatch.

mod apply;
mod check;
mod comment;
mod config;
mod connect;
mod doctor;
mod ephemeral;
mod explain;
mod history;
mod init;
mod plan;
mod report;
mod reported;
mod run;
mod runner;
mod signals;
mod verify;
mod wait;

pub use comment::Refusal;
pub use init::Exists;

use std::path::Path;

use crate::{
    Error,
    cli::{self, Cli, Command, ReportAction, ReportCommand},
    exit::Exit,
    options::Resolver,
    output,
};

use reported::reported;

/// Runs the subcommand of the command line.
pub async fn execute(cli: Cli) -> Result<Exit, Error> {
    let project_dir = cli.command.project_dir();
    let (resolver, file_error) = match (Resolver::new(&cli.global, project_dir), &cli.command) {
        // It reports what is wrong with the configuration file, and everything else.
        (Err(error), Command::Doctor(_)) => (Resolver::without_file(&cli.global, project_dir)?, Some(error)),
        (resolver, _) => (resolver?, None),
    };
    match &cli.command {
        Command::Run(args) => {
            let reports = resolver.reports(&args.reports, &args.selection)?;
            let work = async |report: &mut _| Box::pin(run::run(&resolver.run(args), report)).await;
            reported(&reports, "run", work).await
        }
        Command::Plan(args) => {
            let mut reports = resolver.reports(&args.reports, &args.models.selection)?;
            reports.ui.full = args.full;
            let work = async |report: &mut _| plan::plan(&resolver.plan(args), report).await;
            reported(&reports, "plan", work).await
        }
        Command::Apply(args) => {
            let reports = resolver.reports(&args.reports, &args.models.selection)?;
            let work = async |report: &mut _| apply::apply(&resolver.apply(args), report).await;
            reported(&reports, "apply", work).await
        }
        Command::Wait(args) => {
            let reports = resolver.reports(&args.reports, &args.models.selection)?;
            let work = async |report: &mut _| wait::wait(&resolver.wait(args), report).await;
            reported(&reports, "wait", work).await
        }
        Command::Check(args) => {
            let reports = resolver.reports(&args.reports, &args.models.selection)?;
            let work = async |report: &mut _| check::check(&resolver.check(args), report).await;
            reported(&reports, "check", work).await
        }
        Command::Verify(args) => {
            let reports = resolver.reports(&args.reports, &args.models.selection)?;
            let work = async |report: &mut _| verify::verify(&resolver.verify(args), report).await;
            Box::pin(reported(&reports, "verify", work)).await
        }
        Command::Explain(args) => explain::explain(&resolver.table(args)).await,
        Command::History(args) => history::history(&resolver.history(args)).await,
        Command::Report(ReportCommand { action: Some(ReportAction::Merge(args)), .. }) => {
            let reports = resolver.merged(args)?;
            let work = async |report: &mut _| {
                *report = report::merge(&args.files)?;
                Ok(Exit::Passed)
            };
            reported(&reports, "report", work).await
        }
        Command::Report(ReportCommand { action: None, shown }) => report::show(&resolver.shown(shown)),
        Command::Config(args) => config::config(&resolver.config(args)?),
        Command::Doctor(args) => {
            let mut reports = resolver.reports(&args.reports, &args.models.selection)?;
            // Each look is a line.
            reports.ui.verbose = true;
            let options = resolver.doctor(args, file_error.as_ref());
            let work = async |report: &mut _| doctor::doctor(&options, report).await;
            reported(&reports, "doctor", work).await
        }
        Command::Comment(args) => comment::comment(&resolver.comment(args)).await,
        Command::Init(args) => init::init(&resolver.init(args)),
        Command::Completions(args) => completions(args.shell),
        Command::Ephemeral(args) => {
            ephemeral::run(&resolver.ephemeral(args), &args.command).await.map(Exit::Command)
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "pgtrickle-ci", &mut script);
    // clap_complete names bash's cases differently from its commands if the program's name has a hyphen.
    let script = String::from_utf8_lossy(&script).replace("pgtrickle__subcmd__ci", "pgtrickle__ci");
    output::to_file(Path::new("-"), &script)?;
    Ok(Exit::Passed)
}
