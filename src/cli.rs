//! What can be typed. Nothing here decides anything: [`crate::config`] does.

mod invocation;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// The gate for dbt projects with stream tables (pg_trickle on PostgreSQL 18).
#[derive(Debug, Parser)]
#[command(
    name = "pgtrickle-ci",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[expect(missing_docs, reason = "what these hold is documented where it is defined")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: GlobalArgs,
}

impl Cli {
    /// Reads what was typed, or ends the program with what is wrong with it.
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        cli.global.invocation = invocation::shown(Self::command(), &matches);
        cli
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole gate: a server, dbt, the plan, waiting, tests, checks and reports
    Run(RunArgs),
    /// What would change, against a live catalog, another manifest or a git revision. Changes nothing
    Plan(PlanArgs),
    /// Carry out a plan, saved or made now, without dbt
    Apply(ApplyArgs),
    /// Wait until the project's stream tables are populated
    Wait(WaitArgs),
    /// Check that stream tables are there, filled, fresh and captured. Never writes
    Check(CheckArgs),
    /// Verify that the stream tables hold what their queries give
    Verify(VerifyArgs),
    /// Post a report as the one comment of its pull request, or at night as the one issue
    Comment(CommentArgs),
    /// Run a command with a PostgreSQL 18 of its own, gone when it ends
    Ephemeral(EphemeralArgs),
    /// Write a pgtrickle-ci.yml and a workflow for a dbt project that has neither
    Init(InitArgs),
    /// Write a script that completes commands and flags in a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct GlobalArgs {
    /// Configuration file [default: pgtrickle-ci.yml beside dbt_project.yml, if it is there]
    #[arg(long, value_name = "FILE", global = true, env = "PGTRICKLE_CI_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
    /// When to use colour
    #[arg(long, value_enum, default_value_t, global = true, env = "PGTRICKLE_CI_COLOR", hide_env = true)]
    pub color: ColorChoice,
    /// Say only what is wrong
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        env = "PGTRICKLE_CI_QUIET",
        hide_env = true
    )]
    pub quiet: bool,
    /// Show dbt's output and where each setting comes from
    #[arg(short, long, global = true, env = "PGTRICKLE_CI_VERBOSE", hide_env = true)]
    pub verbose: bool,
    #[arg(skip)]
    pub invocation: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct ProjectArgs {
    /// The folder with dbt_project.yml [default: as dbt looks for it]
    #[arg(long, value_name = "DIR", env = "PGTRICKLE_CI_PROJECT_DIR", hide_env = true)]
    pub project_dir: Option<PathBuf>,
    /// The folder with profiles.yml [default: as dbt looks for it]
    #[arg(long, value_name = "DIR", env = "PGTRICKLE_CI_PROFILES_DIR", hide_env = true)]
    pub profiles_dir: Option<PathBuf>,
    /// The profile to use [default: DBT_PROFILE, then the project's]
    #[arg(long, value_name = "NAME", env = "PGTRICKLE_CI_PROFILE", hide_env = true)]
    pub profile: Option<String>,
    /// The profile's target to use [default: DBT_TARGET, then the profile's]
    #[arg(long, value_name = "NAME", env = "PGTRICKLE_CI_TARGET", hide_env = true)]
    pub target: Option<String>,
    /// Variables for dbt, as a YAML mapping
    #[arg(
        long,
        value_name = "YAML",
        value_parser = yaml_mapping,
        env = "PGTRICKLE_CI_VARS",
        hide_env = true
    )]
    pub vars: Option<String>,
}

impl ProjectArgs {
    /// Whether a folder was named, by the flag or by dbt's variable.
    pub fn is_dir_named(&self) -> bool {
        self.project_dir.is_some() || crate::config::default_project_dir() != Path::new(".")
    }

    /// The project's folder.
    pub fn dir(&self) -> &Path {
        self.project_dir.as_deref().unwrap_or_else(|| crate::config::default_project_dir())
    }
}

/// A text that dbt takes for `--vars`.
fn yaml_mapping(text: &str) -> Result<String, String> {
    match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(serde_yaml::Value::Mapping(_)) => Ok(text.to_owned()),
        Ok(_) => Err("expected a YAML mapping, as `{start: 2026-01-01}`".into()),
        Err(error) => Err(format!("not YAML: {error}")),
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct ManifestArgs {
    /// A manifest.json to use as it is, instead of compiling the project
    #[arg(long, value_name = "FILE", env = "PGTRICKLE_CI_MANIFEST", hide_env = true)]
    pub manifest: Option<PathBuf>,
    /// Fail when the project changed since it was compiled, instead of starting dbt
    #[arg(long, conflicts_with = "manifest", env = "PGTRICKLE_CI_NO_COMPILE", hide_env = true)]
    pub no_compile: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct SelectArgs {
    /// Only these models, in dbt's words: `orders`, `+orders`, `tag:nightly`, `path:models/marts`, `state:modified`
    #[arg(
        short,
        long,
        value_name = "SELECTOR",
        num_args = 1..,
        env = "PGTRICKLE_CI_SELECT",
        hide_env = true
    )]
    pub select: Vec<String>,
    /// Without these models, in the same words
    #[arg(long, value_name = "SELECTOR", num_args = 1.., env = "PGTRICKLE_CI_EXCLUDE", hide_env = true)]
    pub exclude: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct ModelsArgs {
    #[command(flatten)]
    pub project: ProjectArgs,
    #[command(flatten)]
    pub manifest: ManifestArgs,
    #[command(flatten)]
    pub selection: SelectArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The server")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct ServerArgs {
    /// The server, as postgresql://user:password@host:port/database
    #[arg(
        long,
        value_name = "URL",
        env = "PGTRICKLE_CI_DATABASE_URL",
        hide_env = true,
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// How long a statement may take
    #[arg(long, value_name = "DUR", value_parser = humantime::parse_duration, default_value = "30s", env = "PGTRICKLE_CI_STATEMENT_TIMEOUT", hide_env = true)]
    pub statement_timeout: Duration,
    /// How long to wait for a lock
    #[arg(long, value_name = "DUR", value_parser = humantime::parse_duration, default_value = "10s", env = "PGTRICKLE_CI_LOCK_TIMEOUT", hide_env = true)]
    pub lock_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The ephemeral server")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct EngineArgs {
    /// The folder of PostgreSQL 18's programs [default: found by itself]
    #[arg(long, value_name = "DIR", env = "PGTRICKLE_CI_PG_BIN", hide_env = true)]
    pub pg_bin: Option<PathBuf>,
    /// A container image to make it from, by docker
    #[arg(
        long,
        value_name = "IMAGE",
        conflicts_with = "pg_bin",
        env = "PGTRICKLE_CI_IMAGE",
        hide_env = true
    )]
    pub image: Option<String>,
    /// What to run there: auto takes pg_trickle where it is installed, else the emulator
    #[arg(long, value_enum, default_value_t, env = "PGTRICKLE_CI_ENGINE", hide_env = true)]
    pub engine: EngineArg,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The sources on an ephemeral server")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct SourceArgs {
    /// Make sources that no fixture made as empty tables, from the columns and data types in the project's YAML
    #[arg(
        long,
        conflicts_with = "database_url",
        conflicts_with = "sources_from",
        env = "PGTRICKLE_CI_STUB_SOURCES",
        hide_env = true
    )]
    pub stub_sources: bool,
    /// Copy sources that no fixture made from this server, which is only read
    #[arg(
        long,
        value_name = "URL",
        conflicts_with = "database_url",
        env = "PGTRICKLE_CI_SOURCES_FROM",
        hide_env = true,
        hide_env_values = true
    )]
    pub sources_from: Option<String>,
    /// Copy so many rows of each of those tables, and the rows that they refer to [default: none]
    #[arg(
        long,
        value_name = "ROWS",
        requires = "sources_from",
        env = "PGTRICKLE_CI_SAMPLE",
        hide_env = true
    )]
    pub sample: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EngineArg {
    #[default]
    Auto,
    Real,
    Emulator,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What may be lost")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct PolicyArgs {
    /// A stream table that may be dropped, or `all`; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        env = "PGTRICKLE_CI_ALLOW_DROP",
        hide_env = true
    )]
    pub allow_drop: Vec<String>,
    /// A stream table that may be dropped and built again, or `all`; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        env = "PGTRICKLE_CI_ALLOW_RECREATE",
        hide_env = true
    )]
    pub allow_recreate: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct ReportArgs {
    /// Write the report as JSON; `-` is the standard output
    #[arg(long, value_name = "FILE", env = "PGTRICKLE_CI_JSON", hide_env = true)]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit XML
    #[arg(long, value_name = "FILE", env = "PGTRICKLE_CI_JUNIT", hide_env = true)]
    pub junit: Option<PathBuf>,
    /// Write the report as Markdown: what a comment on a pull request says, at whatever length
    #[arg(long, value_name = "FILE", env = "PGTRICKLE_CI_MARKDOWN", hide_env = true)]
    pub markdown: Option<PathBuf>,
    /// What makes the exit code 1
    #[arg(long, value_enum, env = "PGTRICKLE_CI_FAIL_ON", hide_env = true)]
    pub fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FailOn {
    #[default]
    Error,
    Warn,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct WaitingArgs {
    /// How long to wait until every stream table is populated [default: 2m]
    #[arg(long, value_name = "DUR", value_parser = humantime::parse_duration, env = "PGTRICKLE_CI_TIMEOUT", hide_env = true)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What counts as bad")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct CheckingArgs {
    /// Fail for a table that is refreshed in full though DIFFERENTIAL or AUTO was asked for
    #[arg(long, env = "PGTRICKLE_CI_FAIL_ON_FALLBACK", hide_env = true)]
    pub fail_on_fallback: bool,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct RunArgs {
    #[command(flatten)]
    pub project: ProjectArgs,
    #[command(flatten)]
    pub selection: SelectArgs,
    /// Rehearse the change: deploy this revision first, the project on top of it, and say what that did to each table
    #[arg(
        long,
        value_name = "REF",
        conflicts_with = "database_url",
        help_heading = "The ephemeral server",
        env = "PGTRICKLE_CI_BASE_REF",
        hide_env = true
    )]
    pub base_ref: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub sources: SourceArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub waiting: WaitingArgs,
    #[command(flatten)]
    pub verifying: VerifyingArgs,
    #[command(flatten)]
    pub checking: CheckingArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct PlanArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    /// Compare with another manifest.json instead of a server
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "database_url",
        env = "PGTRICKLE_CI_BASELINE",
        hide_env = true
    )]
    pub baseline: Option<PathBuf>,
    /// Compare with a revision of the repository instead of a server; dbt compiles it once
    #[arg(
        long,
        value_name = "REF",
        conflicts_with_all = ["database_url", "baseline"],
        env = "PGTRICKLE_CI_BASE_REF",
        hide_env = true
    )]
    pub base_ref: Option<String>,
    /// Write the plan to a file that `apply` carries out
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["baseline", "base_ref"],
        env = "PGTRICKLE_CI_OUT",
        hide_env = true
    )]
    pub out: Option<PathBuf>,
    /// Show changed queries as a whole, and not their changed lines alone
    #[arg(long, env = "PGTRICKLE_CI_FULL", hide_env = true)]
    pub full: bool,
    /// Exit with 1 when something would change
    #[arg(long, env = "PGTRICKLE_CI_EXIT_CODE", hide_env = true)]
    pub exit_code: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct ApplyArgs {
    /// A plan that `plan --out` wrote; without it the plan is made now
    #[arg(value_name = "FILE")]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub models: ModelsArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct WaitArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    /// Fill the tables that were created with `initialize: false`; nothing else ever does
    #[arg(long, env = "PGTRICKLE_CI_REFRESH", hide_env = true)]
    pub refresh: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub waiting: WaitingArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct CheckArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub checking: CheckingArgs,
    /// Compare each table with what its query gives, too
    #[arg(long, env = "PGTRICKLE_CI_EQUALITY", hide_env = true)]
    pub equality: bool,
    /// How long --equality may take; what is not compared by then is a warning [default: 20s]
    #[arg(long, value_name = "DUR", value_parser = humantime::parse_duration, env = "PGTRICKLE_CI_BUDGET", hide_env = true)]
    pub budget: Option<Duration>,
    /// Tell what is newly red and what recovered since an earlier report, its JSON
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Reports",
        env = "PGTRICKLE_CI_COMPARE",
        hide_env = true
    )]
    pub compare: Option<PathBuf>,
    /// Write the ages in the shape of dbt's sources.json
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Reports",
        env = "PGTRICKLE_CI_FRESHNESS",
        hide_env = true
    )]
    pub freshness: Option<PathBuf>,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Verifying while the data moves")]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct VerifyingArgs {
    /// Change rows of this database on a named server, in transactions that are rolled back
    #[arg(long, value_name = "DBNAME", env = "PGTRICKLE_CI_ALLOW_WRITES", hide_env = true)]
    pub allow_writes: Option<String>,
    /// How long to change rows and compare [default: 20s]
    #[arg(long, value_name = "DUR", value_parser = humantime::parse_duration, env = "PGTRICKLE_CI_BUDGET", hide_env = true)]
    pub budget: Option<Duration>,
    /// What decides which rows are changed and how; the same seed over the same rows does the same [default: 1]
    #[arg(long, value_name = "NUMBER", env = "PGTRICKLE_CI_SEED", hide_env = true)]
    pub seed: Option<u64>,
    /// Who refreshes the stream tables after each round
    #[arg(long, value_enum, default_value_t, env = "PGTRICKLE_CI_DRIVE", hide_env = true)]
    pub drive: Drive,
    /// The folder for the scripts that show what was found
    #[arg(
        long,
        value_name = "DIR",
        default_value = "pgtrickle-ci-findings",
        env = "PGTRICKLE_CI_FINDINGS",
        hide_env = true
    )]
    pub findings: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Drive {
    #[default]
    Manual,
    Scheduler,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct VerifyArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    /// Compare the tables as they are, and write nothing
    #[arg(long = "static", conflicts_with = "allow_writes", env = "PGTRICKLE_CI_STATIC", hide_env = true)]
    pub only_static: bool,
    #[command(flatten)]
    pub verifying: VerifyingArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct CommentArgs {
    /// The report, as `--json FILE` wrote it
    #[arg(long, value_name = "FILE", env = "PGTRICKLE_CI_FROM_REPORT", hide_env = true)]
    pub from_report: PathBuf,
    /// When to post: auto where there is something to post to, and a refusal is a warning; always, or fail
    #[arg(long, value_enum, env = "PGTRICKLE_CI_WHEN", hide_env = true)]
    pub when: Option<When>,
    /// Tells the comments of several workflows apart [default: default]
    #[arg(long, value_name = "KEY", env = "PGTRICKLE_CI_COMMENT_KEY", hide_env = true)]
    pub comment_key: Option<String>,
    /// Write the comment's body to the standard output, and post nothing
    #[arg(long, env = "PGTRICKLE_CI_DRY_RUN", hide_env = true)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct EphemeralArgs {
    #[command(flatten)]
    pub engine: EngineArgs,
    /// The command, with PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and DATABASE_URL set
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct InitArgs {
    /// The folder with dbt_project.yml [default: as dbt looks for it]
    #[arg(long, value_name = "DIR", env = "PGTRICKLE_CI_PROJECT_DIR", hide_env = true)]
    project_dir: Option<PathBuf>,
}

impl InitArgs {
    /// The project's folder.
    pub fn project_dir(&self) -> &Path {
        self.project_dir.as_deref().unwrap_or_else(|| crate::config::default_project_dir())
    }
}

#[derive(Debug, Args)]
#[expect(missing_docs, reason = "the doc comments here are the help texts")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

impl Command {
    /// What was typed of the dbt project, for the commands that work on one.
    pub fn project(&self) -> Option<&ProjectArgs> {
        match self {
            Self::Run(args) => Some(&args.project),
            Self::Plan(args) => Some(&args.models.project),
            Self::Apply(args) => Some(&args.models.project),
            Self::Wait(args) => Some(&args.models.project),
            Self::Check(args) => Some(&args.models.project),
            Self::Verify(args) => Some(&args.models.project),
            Self::Init(_) | Self::Comment(_) | Self::Ephemeral(_) | Self::Completions(_) => None,
        }
    }
}
