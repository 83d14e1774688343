//! The flags of each subcommand.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use crate::model::Shard;

use super::groups::{
    CheckingArgs, EngineArgs, ModelsArgs, PolicyArgs, ProfileArgs, ProjectArgs, ReportArgs, SelectArgs,
    ServerArgs, SourceArgs, VerifyingArgs, WaitingArgs, duration,
};

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub project: ProjectArgs,
    #[command(flatten)]
    pub selection: SelectArgs,
    /// Rehearse the change: deploy this git revision first, then the project, and report what changed in each table
    #[arg(long, value_name = "REF", conflicts_with = "database_url", help_heading = "The ephemeral server")]
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
pub struct PlanArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    /// Compare with another manifest.json instead of a server
    #[arg(long, value_name = "FILE", conflicts_with = "database_url")]
    pub baseline: Option<PathBuf>,
    /// Compare with this git revision instead of a server
    #[arg(
        long,
        value_name = "REF",
        conflicts_with_all = ["database_url", "baseline"]
    )]
    pub base_ref: Option<String>,
    /// Save the plan to a file for `apply`
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["baseline", "base_ref"]
    )]
    pub out: Option<PathBuf>,
    /// Show changed queries in full, not only their changed lines
    #[arg(long)]
    pub full: bool,
    /// Exit with code 1 if anything would change
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Plan saved by `plan --out` [default: make a plan now]
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
pub struct WaitArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    /// Refresh tables created with `initialize: false`, which nothing else populates
    #[arg(long)]
    pub refresh: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub waiting: WaitingArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub checking: CheckingArgs,
    /// Also compare each table with its query
    #[arg(long)]
    pub equality: bool,
    /// Time for --equality; tables not compared by then are warnings [default: 20s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Compare only this shard of the tables, such as 2/8
    #[arg(long, value_name = "I/N", value_parser = Shard::from_str, requires = "equality")]
    pub shard: Option<Shard>,
    /// Weigh the shards by the times in an earlier JSON report of all
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub durations: Option<PathBuf>,
    /// Compare on this many connections [default: the cores of this machine, 1 for a server elsewhere]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Show new failures and recoveries since this JSON report
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub compare: Option<PathBuf>,
    /// Write table ages in dbt's sources.json format
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub freshness: Option<PathBuf>,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    /// Compare the tables as they are; writes nothing
    #[arg(long = "static", conflicts_with = "allow_writes")]
    pub only_static: bool,
    #[command(flatten)]
    pub verifying: VerifyingArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ReportCommand {
    #[command(subcommand)]
    pub action: Option<ReportAction>,
    #[command(flatten)]
    pub shown: ShownArgs,
}

#[derive(Debug, Subcommand)]
pub enum ReportAction {
    /// Merge the JSON reports of all shards into one report with one verdict; a missing shard fails
    Merge(MergeArgs),
}

#[derive(Clone, Debug, Args)]
pub struct ShownArgs {
    /// JSON reports written by `--json FILE`. Several are one HTML page: the newest, with the ages and verdicts of all
    #[arg(value_name = "REPORT", required = true)]
    pub files: Vec<PathBuf>,
    /// Write a JUnit XML report; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a Markdown report: the pull request comment without its length limit
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write the reports as one HTML page, without scripts and links to the network
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// JSON reports written by `--shard I/N --json FILE`
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
pub struct CommentArgs {
    /// JSON report written by `--json FILE`
    #[arg(long, value_name = "FILE")]
    pub from_report: PathBuf,
    /// When to post: auto posts if possible and warns otherwise, always fails if it cannot post
    #[arg(long, value_enum)]
    pub when: Option<When>,
    /// Key that separates the comments of several workflows [default: default]
    #[arg(long, value_name = "KEY")]
    pub comment_key: Option<String>,
    /// Print the comment instead of posting it
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
pub struct TableArgs {
    /// The stream table: `order_totals`, `marts.order_totals`, or the name of its dbt model
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Also find models, their files and their readers in this manifest.json
    #[arg(long, value_name = "FILE", help_heading = "The dbt project")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Write JSON; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub table: TableArgs,
    /// How many refreshes to show, without those that changed nothing
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Output")]
    pub last: u32,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub models: ModelsArgs,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub engine: EngineArgs,
    #[command(flatten)]
    pub reports: ReportArgs,
}

#[derive(Debug, Args)]
pub struct EphemeralArgs {
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Command to run, with PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and DATABASE_URL set
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Folder that contains dbt_project.yml [default: where dbt looks]
    #[arg(long, value_name = "DIR")]
    pub project_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Shell to complete in
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}
