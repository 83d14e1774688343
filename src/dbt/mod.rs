//! dbt: its project file, profiles, commands and artifacts.

mod child;
mod declared_sources;
mod dotenv;
mod files;
mod fork_server;
mod inputs;
mod invocation;
mod jinja;
mod kept;
mod lines;
mod manifest_file;
mod messages;
mod profile;
mod program;
mod progress;
mod project_file;
mod results;
mod revision;
mod started;
mod watch;
mod yaml;

use std::{
    collections::BTreeSet,
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

pub use declared_sources::{SourcesWithoutSeed, sources_without_seed};
pub use dotenv::{Shell, variables as dotenv};
pub use inputs::Inputs;
pub use invocation::{Dbt, Invocation};
pub use jinja::Context;
pub use kept::{CompileInputs, DefaultSelector, ManifestCache, StaleReason};
pub use manifest_file::ManifestFile;
pub use profile::{DEFAULT_TARGET, RequestedProfile, Target};
pub use program::{is_native, packages_of, program};
pub use project_file::{ProjectFile, add_our_package};
pub use results::{NodeResult, RunResults, deploy_outcomes, test_outcomes};
pub use revision::{Checkout, GitError, Revision};
pub use started::Started;
pub use yaml::unclear_section;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no dbt project in `{}`: it has no dbt_project.yml", dir.display())]
    NoProject { dir: PathBuf },
    #[error("cannot read `{}`: {reason}", file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("cannot write to `{}`: {source}", dir.display())]
    Unwritable { dir: PathBuf, source: std::io::Error },
    /// A profiles.yml without a valid profile or target.
    #[error("`{}`: {reason}", file.display())]
    Profile { file: PathBuf, reason: String },
    /// The given folder has no profiles.yml.
    #[error("there is no profiles.yml in `{}`", dir.display())]
    NoProfiles { dir: PathBuf },
    /// dbt would not read the existing profiles.yml.
    #[error("there is no profiles.yml where dbt looks for it from here: dbt does not read `{}`", dir.join("profiles.yml").display())]
    NotRead {
        /// The folder that has one.
        dir: PathBuf,
    },
    /// Both variables of a dbt setting are set to different values. Which one counts depends on dbt's version.
    #[error("{one} and {other} differ: dbt 1.11 uses the first, dbt 1.9 and 2 use the second")]
    Contradiction {
        /// dbt 1.11's name.
        one: &'static str,
        other: &'static str,
    },
    /// `--vars` is not a mapping.
    #[error("cannot read `--vars`: {reason}")]
    Vars { reason: String },
    #[error(transparent)]
    Address(#[from] crate::pg::BadAddress),
    /// A dbt profile cannot have these hosts.
    #[error("a dbt profile has one port for all hosts, and {endpoint} has several")]
    SeveralPorts { endpoint: String },
    #[error("dbt is not installed: there is no program `dbt` on the PATH")]
    NotInstalled,
    #[error("cannot start dbt: {source}")]
    Start { source: std::io::Error },
    /// dbt has printed the reason.
    #[error("`dbt {command}` failed with exit code {code}; see its output above")]
    Failed { command: String, code: i32 },
    /// dbt's process ended while it ran a command.
    #[error("dbt ended during `dbt {command}` without an exit code")]
    Gone { command: String },
    /// The command took too long.
    #[error("`dbt {command}` did not end within {}{}", humantime::format_duration(*limit), watch::blocked_by(blockers))]
    TimedOut {
        command: String,
        limit: Duration,
        /// The sessions that blocked others of the database at that time.
        blockers: BTreeSet<String>,
    },
    /// The project was never compiled.
    #[error("there is no manifest: `{}` does not exist", file.display())]
    NoManifest { file: PathBuf },
    /// The project has to be compiled, but `--no-compile` forbids it.
    #[error("the project is not compiled for target `{target}`: {reason}")]
    NotCompiled { target: String, reason: String },
    #[error("the project's files keep changing while dbt compiles them")]
    KeepsChanging,
    /// Source tables that do not exist.
    #[error("the server lacks source tables:\n  {}", missing.join("\n  "))]
    MissingSources {
        /// A line for each: the table and the models that read it.
        missing: Vec<String>,
    },
    #[error("the fixture `{}` failed: {message}", file.display())]
    Fixture { file: PathBuf, message: String },
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Error {
    /// For `map_err`: an error with this file and the reason.
    pub(crate) fn unreadable<E: Display>(file: &Path) -> impl Fn(E) -> Self {
        move |reason| Self::Unreadable { file: file.to_owned(), reason: reason.to_string() }
    }

    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoProject { .. } => "go to the project, or name it: `--project-dir DIR`".into(),
            Self::Unwritable { .. } => {
                "name a writable target folder: `DBT_TARGET_PATH=DIR`".into()
            }
            Self::NotInstalled => {
                "install it: `python3 -m pip install dbt-core dbt-postgres`; or use a manifest that dbt compiled elsewhere: `--manifest FILE`".into()
            },
            Self::NotCompiled { .. } => {
                "omit `--no-compile` so that dbt compiles it, or name a manifest: `--manifest FILE`".into()
            }
            Self::KeepsChanging => "stop the process that writes to them, then try again".into(),
            Self::NoManifest { .. } => "create it with `dbt compile`, or name one with `--manifest FILE`".into(),
            Self::MissingSources { .. } => {
                "on an ephemeral server create them with `--stub-sources`, copy them with `--sources-from URL`, or write an SQL file that pgtrickle-ci.yml lists: `fixtures: [ci/sources.sql]`".into()
            }
            Self::Fixture { file, .. } => format!("run only it: `pgtrickle-ci ephemeral -- psql -f {}`", file.display()),
            Self::NoProfiles { .. } => "name the folder that has it: `--profiles-dir DIR`, or omit the flag".into(),
            Self::NotRead { dir } => format!("name its folder, as with dbt: `--profiles-dir {}`", dir.display()),
            Self::Contradiction { one, other } => format!("unset one of {one} and {other}, or use the flag"),
            Self::Vars { .. } => "write them as YAML: `--vars '{name: value}'`".into(),
            Self::Address(error) => error.hint(),
            Self::SeveralPorts { .. } => "name one of the hosts".into(),
            Self::Profile { .. } => "see which profile dbt uses: `dbt debug`".into(),
            Self::Failed { command, .. } | Self::Gone { command } => format!("run it directly: `dbt {command}`"),
            Self::TimedOut { blockers, .. } if blockers.is_empty() => "allow more time: `--dbt-timeout 2h`".into(),
            Self::TimedOut { .. } => "end these sessions, or allow more time: `--dbt-timeout 2h`".into(),
            Self::Git(error) => return error.hint(),
            Self::Unreadable { file, .. } => {
                format!("correct the file, or make it readable: `ls -l {}`", crate::report::text::shell_word(&file.display().to_string()))
            }
            Self::Start { .. } => return None,
        })
    }
}

/// dbt's variables for the choice of project and target, with their names in dbt 1.11 and in all other versions.
pub const VARIABLES: [(&str, &str); 5] = [
    ("DBT_ENGINE_PROFILE", "DBT_PROFILE"),
    ("DBT_ENGINE_PROFILES_DIR", "DBT_PROFILES_DIR"),
    ("DBT_ENGINE_PROJECT_DIR", "DBT_PROJECT_DIR"),
    ("DBT_ENGINE_TARGET", "DBT_TARGET"),
    ("DBT_ENGINE_TARGET_PATH", "DBT_TARGET_PATH"),
];

/// The compiled SQL of a model in a target folder, which remains if the manifest loses its copy.
pub fn compiled_sql(target_dir: &Path, package: &str, model_file: &str) -> Option<String> {
    std::fs::read_to_string(target_dir.join("compiled").join(package).join(model_file)).ok()
}
