//! The command line, as clap parses it. The module `options` resolves it.

mod commands;
mod given;
mod groups;
mod invocation;

use std::path::{Path, PathBuf};

use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use commands::{
    ApplyArgs, CheckArgs, CommentArgs, CompletionsArgs, DoctorArgs, EphemeralArgs, HistoryArgs, InitArgs,
    MergeArgs, PlanArgs, ReportAction, ReportCommand, RunArgs, ShownArgs, TableArgs, VerifyArgs, WaitArgs,
    When,
};
pub use given::{Given, Source};
pub use groups::{
    CheckingArgs, Drive, EngineArg, EngineArgs, EngineVersionArg, FailOn, ManifestArgs, ModelsArgs,
    PolicyArgs, ProfileArgs, ProjectArgs, ReportArgs, SelectArgs, ServerArgs, SourceArgs, VerifyingArgs,
    WaitingArgs, duration,
};
pub use invocation::HIDDEN;

/// The CI gate for dbt projects with stream tables (pg_trickle on PostgreSQL 18).
#[derive(Debug, Parser)]
#[command(
    name = "pgtrickle-ci",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: GlobalArgs,
}

impl Cli {
    /// Parses the command line and the environment; exits on a usage error.
    pub fn read() -> Self {
        let matches = command().try_get_matches().unwrap_or_else(|error| {
            invocation::hide(invocation::by_variable(error, &typed(), is_set)).exit()
        });
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.global.invocation = invocation::shown(command(), &matches);
        cli.global.given = given::given(command(), &matches);
        cli
    }
}

/// The parser. Every flag has an environment variable: `PGTRICKLE_CI_LOCK_TIMEOUT` sets `--lock-timeout`.
pub fn command() -> clap::Command {
    with_environment(Cli::command())
}

fn with_environment(command: clap::Command) -> clap::Command {
    command.mut_subcommands(with_environment).mut_args(|arg| match arg.get_long().map(variable) {
        Some(variable) => Arg::env(arg, variable).hide_env(true),
        None => arg,
    })
}

/// The words of the command line.
fn typed() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Whether a variable of a flag is set, for a message.
#[expect(clippy::disallowed_methods, reason = "clap reads these variables, too")]
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

/// The environment variable of a flag.
fn variable(flag: &str) -> String {
    format!("PGTRICKLE_CI_{}", flag.to_uppercase().replace('-', "_"))
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole gate: start a server, deploy with dbt, plan, wait, test, check, verify and report
    Run(RunArgs),
    /// Show what would change on a server, or since another manifest or git revision; changes nothing
    Plan(PlanArgs),
    /// Apply a saved plan, or a plan made now, without dbt
    Apply(ApplyArgs),
    /// Wait until the project's stream tables are populated
    Wait(WaitArgs),
    /// Check that stream tables exist, are populated, fresh and capture changes; never writes
    Check(CheckArgs),
    /// Verify that stream tables equal their queries
    Verify(VerifyArgs),
    /// Explain one stream table: its query, sources, readers, refresh mode, status and cost; never writes
    Explain(TableArgs),
    /// Show the last refreshes of one stream table as a chart; never writes
    History(HistoryArgs),
    /// Show JSON reports, write them as HTML, Markdown or JUnit, or merge those of shards
    Report(ReportCommand),
    /// Post a report as one comment on the pull or merge request, or as one issue for a nightly run
    Comment(CommentArgs),
    /// Run a command with a temporary PostgreSQL 18 server
    Ephemeral(EphemeralArgs),
    /// Look at everything that a run needs, and say what to do; changes nothing
    Doctor(DoctorArgs),
    /// Show the settings that `run` would use with the same flags, and what set each
    Config(RunArgs),
    /// Write pgtrickle-ci.yml and a CI workflow for a dbt project
    Init(InitArgs),
    /// Print a shell completion script
    Completions(CompletionsArgs),
}

impl Command {
    /// The value of `--project-dir`.
    pub fn project_dir(&self) -> Option<&Path> {
        let dir = match self {
            Self::Run(args) | Self::Config(args) => &args.project.profile.project_dir,
            Self::Plan(args) => &args.models.project.profile.project_dir,
            Self::Apply(args) => &args.models.project.profile.project_dir,
            Self::Wait(args) => &args.models.project.profile.project_dir,
            Self::Check(args) => &args.models.project.profile.project_dir,
            Self::Verify(args) => &args.models.project.profile.project_dir,
            Self::Explain(args) => &args.profile.project_dir,
            Self::History(args) => &args.table.profile.project_dir,
            Self::Doctor(args) => &args.models.project.profile.project_dir,
            Self::Init(args) => &args.project_dir,
            Self::Report(_) | Self::Comment(_) | Self::Ephemeral(_) | Self::Completions(_) => &None,
        };
        dir.as_deref()
    }
}

#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Configuration file [default: pgtrickle-ci.yml beside dbt_project.yml, if it exists]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// When to use color
    #[arg(long, value_enum, default_value_t, global = true)]
    pub color: ColorChoice,
    /// Print only problems
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print dbt's output and the origin of each setting
    #[arg(short, long, global = true)]
    pub verbose: bool,
    #[arg(skip)]
    pub invocation: String,
    #[arg(skip)]
    pub given: Vec<Given>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_an_environment_variable() {
        let command = command();
        command.clone().debug_assert();
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                let set = arg.get_env().and_then(std::ffi::OsStr::to_str);
                assert_eq!(set, Some(&*variable(long)), "{} --{long}", command.get_name());
            }
        }
    }
}
