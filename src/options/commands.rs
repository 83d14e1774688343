//! The options of each subcommand.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{Environment, ProjectOptions, RunnerFiles, ServerOptions, SourceOptions};
use crate::{
    cli::When,
    judge::{Criteria, equality},
    model::{Owner, Shard},
    output::Ui,
    plan::Policy,
    project::{self, Selector},
    report::in_force::InForce,
    server::EphemeralSpec,
};

/// The files of a report, and its metadata.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    pub ui: Ui,
    pub json: Option<PathBuf>,
    pub junit: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
    pub html: Option<PathBuf>,
    /// Warnings count as failures.
    pub strict: bool,
    /// The command line without secrets.
    pub invocation: String,
    pub commit: Option<String>,
    pub leg: Option<String>,
    pub runner: RunnerFiles,
    /// `--select` and `--exclude`, as given.
    pub selection: Option<String>,
}

/// `--select` and `--exclude`.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub select: Vec<String>,
    pub exclude: Vec<String>,
}

impl Selection {
    /// The parsed selector; `None` without `--select` and `--exclude`.
    pub fn parse(&self) -> Result<Option<Selector>, project::Error> {
        Selector::parse(&self.select, &self.exclude)
    }

    /// The flags as given; `None` without any.
    pub fn shown(&self) -> Option<String> {
        let flag =
            |flag: &str, words: &[String]| (!words.is_empty()).then(|| format!("{flag} {}", words.join(" ")));
        let flags: Vec<String> = [flag("--select", &self.select), flag("--exclude", &self.exclude)]
            .into_iter()
            .flatten()
            .collect();
        (!flags.is_empty()).then(|| flags.join(" "))
    }
}

/// The project's stream tables: which project, which manifest, which selection.
#[derive(Clone, Debug)]
pub struct ModelsOptions {
    pub project: ProjectOptions,
    /// Use this manifest without compiling.
    pub manifest: Option<PathBuf>,
    pub no_compile: bool,
    pub selection: Selection,
    /// Accept a project without stream tables.
    pub allow_empty: bool,
}

/// What a plan may drop: the flags and the file combined.
#[derive(Clone, Debug)]
pub struct Permissions {
    pub allow_drop: Vec<String>,
    pub allow_recreate: Vec<String>,
}

impl Permissions {
    pub fn policy(&self, owner: Owner) -> Policy {
        Policy { owner, allow_drop: self.allow_drop.clone(), allow_recreate: self.allow_recreate.clone() }
    }
}

/// How long to wait until the tables are populated.
#[derive(Clone, Debug)]
pub struct WaitLimits {
    pub timeout: Duration,
    pub models: BTreeMap<String, Duration>,
}

/// A shard, and what the shards are weighed by.
#[derive(Clone, Debug)]
pub struct Sharding {
    pub shard: Shard,
    /// An earlier report of the whole.
    pub durations: Option<PathBuf>,
}

/// Rounds of changes, refreshes and comparisons.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate switch")]
pub struct RoundOptions {
    /// The database of a named server whose rows may be changed.
    pub allow_writes: Option<String>,
    pub budget: Duration,
    pub seed: u64,
    /// The shard of the project to take.
    pub sharding: Option<Sharding>,
    /// The number of connections that compare tables.
    pub jobs: Option<u32>,
    /// Ends the rounds at the first finding.
    pub until_found: bool,
    /// The scheduler refreshes the tables, not `verify`.
    pub by_scheduler: bool,
    /// The folder for scripts that reproduce findings.
    pub findings: PathBuf,
    /// Whether the scripts that are there are replayed first.
    pub replays: bool,
    /// Fewer rounds that changed a table's sources are a failure.
    pub min_rounds: Option<usize>,
    /// Whether the application writes to partitions of sources and detaches them.
    pub partitions: bool,
    /// Whether it has transactions that stay open while others commit.
    pub open_transactions: bool,
    pub equality: equality::Terms,
}

/// What a rehearsal reports, and when it warns.
#[derive(Clone, Copy, Debug)]
pub struct RehearsalOptions {
    /// How many example rows to show of each kind.
    pub examples: u32,
    /// Warn if more than this percentage of a table's rows differ.
    pub rows_changed_over: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct RunOptions {
    pub ui: Ui,
    pub project: ProjectOptions,
    pub selection: Selection,
    pub base_ref: Option<String>,
    pub server: ServerOptions,
    pub ephemeral: EphemeralSpec,
    /// SQL files that create sources on an ephemeral server, in this order.
    pub fixtures: Vec<PathBuf>,
    pub sources: SourceOptions,
    pub permissions: Permissions,
    pub wait: WaitLimits,
    pub rounds: RoundOptions,
    pub terms: Criteria,
    pub rehearsal: RehearsalOptions,
    /// Rows may be real data: do not report values.
    pub hides_rows: bool,
    /// Accept a project without stream tables.
    pub allow_empty: bool,
}

/// What a plan compares the project with.
#[derive(Clone, Debug)]
pub enum PlanBase {
    Server,
    Manifest(PathBuf),
    Revision(String),
}

#[derive(Clone, Debug)]
pub struct PlanOptions {
    pub ui: Ui,
    pub models: ModelsOptions,
    pub base: PlanBase,
    pub out: Option<PathBuf>,
    pub exit_code: bool,
    pub server: ServerOptions,
    pub permissions: Permissions,
}

#[derive(Clone, Debug)]
pub struct ApplyOptions {
    pub ui: Ui,
    pub plan: Option<PathBuf>,
    pub models: ModelsOptions,
    pub server: ServerOptions,
    pub permissions: Permissions,
}

#[derive(Clone, Debug)]
pub struct WaitOptions {
    pub ui: Ui,
    pub models: ModelsOptions,
    /// Refresh tables created with `initialize: false`, which nothing else populates.
    pub refresh: bool,
    pub server: ServerOptions,
    pub wait: WaitLimits,
}

#[derive(Clone, Debug)]
pub struct CheckOptions {
    pub ui: Ui,
    pub models: ModelsOptions,
    pub server: ServerOptions,
    pub terms: Criteria,
    /// The time for comparing tables with their queries; `None` does not compare.
    pub equality: Option<Duration>,
    pub equality_terms: equality::Terms,
    /// The shard of the tables to compare.
    pub sharding: Option<Sharding>,
    /// The number of connections that compare tables.
    pub jobs: Option<u32>,
    pub compare: Option<PathBuf>,
    pub freshness: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct VerifyOptions {
    pub ui: Ui,
    pub models: ModelsOptions,
    pub only_static: bool,
    pub rounds: RoundOptions,
    pub server: ServerOptions,
}

/// What a run needs, for `doctor`.
#[derive(Clone, Debug)]
pub struct DoctorOptions {
    pub ui: Ui,
    pub models: ModelsOptions,
    pub server: ServerOptions,
    pub ephemeral: EphemeralSpec,
    /// The permissions of the file.
    pub permissions: Permissions,
    pub terms: Criteria,
    /// SQL files that create sources on an ephemeral server.
    pub fixtures: Vec<PathBuf>,
    /// The stream tables with their own timeouts.
    pub waited_for: Vec<String>,
    /// The stream tables that are not compared.
    pub skipped: Vec<String>,
    /// The configuration file, if there is one, or why it cannot be used.
    pub file: Result<Option<PathBuf>, FileProblem>,
}

/// Why the configuration file cannot be used.
#[derive(Clone, Debug)]
pub struct FileProblem {
    pub message: String,
    pub hint: Option<String>,
}

impl DoctorOptions {
    /// The stream tables that the file names, each with its key.
    pub fn named_tables(&self) -> Vec<(&'static str, &str)> {
        let lists = [
            ("plan.allow_drop", &self.permissions.allow_drop),
            ("plan.allow_recreate", &self.permissions.allow_recreate),
            ("wait.models", &self.waited_for),
            ("verify.skip", &self.skipped),
        ];
        let named =
            lists.into_iter().flat_map(|(key, names)| names.iter().map(move |name| (key, name.as_str())));
        named.filter(|(_, name)| *name != "all").collect()
    }
}

/// The settings in force, for `config`.
#[derive(Clone, Debug)]
pub struct ConfigOptions {
    pub ui: Ui,
    pub project: ProjectOptions,
    pub server: ServerOptions,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    pub settings: Vec<InForce>,
}

/// One stream table on a server.
#[derive(Clone, Debug)]
pub struct TableOptions {
    pub ui: Ui,
    pub name: String,
    /// The manifest names the models, if there is one.
    pub models: ModelsOptions,
    pub server: ServerOptions,
    pub terms: Criteria,
    /// The file of the JSON document.
    pub json: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct HistoryOptions {
    pub table: TableOptions,
    /// How many refreshes to show.
    pub last: u32,
}

#[derive(Clone, Debug)]
pub struct CommentOptions {
    pub ui: Ui,
    pub environment: Environment,
    pub from_report: PathBuf,
    pub when: When,
    pub key: Option<String>,
    pub dry_run: bool,
    pub runner: RunnerFiles,
}

#[derive(Clone, Debug)]
pub struct ShownOptions {
    pub ui: Ui,
    /// The JSON reports to show.
    pub files: Vec<PathBuf>,
    pub junit: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
    pub html: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct InitOptions {
    pub ui: Ui,
    pub dir: PathBuf,
}
