//! Groups of flags that several subcommands share.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, ValueEnum};

use crate::model::Shard;

/// The project and the target of its profile.
#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
pub struct ProfileArgs {
    /// Folder that contains dbt_project.yml [default: where dbt looks]
    #[arg(long, value_name = "DIR")]
    pub project_dir: Option<PathBuf>,
    /// Folder that contains profiles.yml [default: where dbt looks]
    #[arg(long, value_name = "DIR")]
    pub profiles_dir: Option<PathBuf>,
    /// dbt profile [default: DBT_PROFILE, then the project's]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Target of the profile [default: DBT_TARGET, then the profile's]
    #[arg(short, long, value_name = "NAME")]
    pub target: Option<String>,
    /// Variables for dbt, as a YAML mapping
    #[arg(
        long,
        value_name = "YAML",
        value_parser = yaml_mapping
    )]
    pub vars: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
pub struct ProjectArgs {
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Limit for each dbt command [default: 1h]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub dbt_timeout: Option<Duration>,
}

/// Reads a duration.
///
/// # Errors
/// With what is expected.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|_| "expected a duration with units, such as `90s` or `1h 30m`")
}

/// Reads a whole number.
pub(super) fn number<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "expected a whole number, not negative and not too great")
}

fn yaml_mapping(text: &str) -> Result<String, String> {
    match serde_yaml::from_str::<serde_yaml::Value>(text) {
        Ok(serde_yaml::Value::Mapping(_)) => Ok(text.to_owned()),
        Ok(_) => Err("expected a YAML mapping such as `{start: 2026-01-01}`".into()),
        Err(error) => Err(format!("not YAML: {error}")),
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
pub struct ManifestArgs {
    /// Use this manifest.json instead of compiling the project
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Fail if the project changed since it was compiled, instead of starting dbt
    #[arg(long, conflicts_with = "manifest")]
    pub no_compile: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
pub struct SelectArgs {
    /// Only these models, by dbt selectors: `orders`, `+orders`, `tag:nightly`, `path:models/marts`, `state:modified`
    #[arg(
        short,
        long,
        value_name = "SELECTOR",
        num_args = 1..
    )]
    pub select: Vec<String>,
    /// Exclude these models, by dbt selectors
    #[arg(long, value_name = "SELECTOR", num_args = 1..)]
    pub exclude: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The dbt project")]
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
pub struct ServerArgs {
    /// Server address: postgresql://user:password@host:port/database
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Limit for each statement [default: 30s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub statement_timeout: Option<Duration>,
    /// Limit for waiting on a lock [default: 10s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub lock_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The ephemeral server")]
pub struct EngineArgs {
    /// Folder of the PostgreSQL 18 programs [default: detected]
    #[arg(long, value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,
    /// Container image to start with docker instead
    #[arg(long, value_name = "IMAGE", conflicts_with = "pg_bin")]
    pub image: Option<String>,
    /// Extension to run: auto uses pg_trickle if it is installed, otherwise the emulator [default: auto]
    #[arg(long, value_enum)]
    pub engine: Option<EngineArg>,
    /// Version of pg_trickle that the emulator emulates [default: 0.67.0]
    #[arg(long, value_enum, value_name = "VERSION", conflicts_with = "image")]
    pub engine_version: Option<EngineVersionArg>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Sources on the ephemeral server")]
pub struct SourceArgs {
    /// Create missing sources as empty tables, with the columns and data types from the project's YAML
    #[arg(long, conflicts_with = "database_url", conflicts_with = "sources_from")]
    pub stub_sources: bool,
    /// Copy missing sources from this server; it is only read
    #[arg(long, value_name = "URL", conflicts_with = "database_url")]
    pub sources_from: Option<String>,
    /// Copy up to ROWS rows per table, plus the rows they reference [default: none]
    #[arg(long, value_name = "ROWS", value_parser = number::<u32>, requires = "sources_from")]
    pub sample: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum EngineVersionArg {
    #[value(name = "0.67.0")]
    #[serde(rename = "0.67.0")]
    V0_67_0,
    #[value(name = "0.108.3")]
    #[serde(rename = "0.108.3")]
    V0_108_3,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum EngineArg {
    #[default]
    Auto,
    Real,
    Emulator,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Permissions")]
pub struct PolicyArgs {
    /// Allow dropping this stream table, or `all`; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub allow_drop: Vec<String>,
    /// Allow dropping and recreating this stream table, or `all`; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub allow_recreate: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub struct ReportArgs {
    /// Write a JSON report; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a JUnit XML report
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a Markdown report: the pull request comment without its length limit
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write the report as one HTML page, without scripts and links to the network
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Lowest severity that makes the exit code 1 [default: error]
    #[arg(long, value_enum)]
    pub fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum FailOn {
    #[default]
    Error,
    Warn,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Waiting")]
pub struct WaitingArgs {
    /// Limit for populating all stream tables [default: 2m]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Checks")]
pub struct CheckingArgs {
    /// Fail if a DIFFERENTIAL or AUTO table is refreshed in full
    #[arg(long)]
    pub fail_on_fallback: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Verification")]
pub struct VerifyingArgs {
    /// Allow changing rows of this database on a named server: for good if it is ephemeral, otherwise in transactions that are
    /// rolled back
    #[arg(long, value_name = "DBNAME")]
    pub allow_writes: Option<String>,
    /// Time for changing rows and comparing; reducing the scripts of findings comes on top [default: 20s]
    #[arg(long, value_name = "DUR", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Seed for the changes: the same seed on the same rows makes the same changes [default: 1]
    #[arg(long, value_name = "NUMBER", value_parser = number::<u64>)]
    pub seed: Option<u64>,
    /// Take only this shard of the project, such as 2/8; `report merge` makes one report of all
    #[arg(long, value_name = "I/N", value_parser = Shard::from_str)]
    pub shard: Option<Shard>,
    /// Weigh the shards by the times in an earlier JSON report of the whole project
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub durations: Option<PathBuf>,
    /// Compare tables on this many connections [default: the cores of this machine, 1 for a server elsewhere]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub jobs: Option<u32>,
    /// Replay the scripts of earlier findings in this folder first, and add new ones to it
    #[arg(long, value_name = "DIR", conflicts_with = "findings")]
    pub corpus: Option<PathBuf>,
    /// End at the first finding
    #[arg(long)]
    pub until_found: bool,
    /// What refreshes the stream tables after each round [default: manual]
    #[arg(long, value_enum)]
    pub drive: Option<Drive>,
    /// Folder for scripts that reproduce findings [default: pgtrickle-ci-findings]
    #[arg(long, value_name = "DIR")]
    pub findings: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Drive {
    #[default]
    Manual,
    Scheduler,
}
