//! dbt: its project file, its profiles, running it, and reading what it leaves behind.

mod child;
mod dotenv;
mod inputs;
mod invocation;
mod jinja;
mod kept;
mod lines;
mod manifest_file;
mod profile;
mod project_file;
mod results;
mod revision;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

pub use dotenv::{Shell, variables as dotenv};
pub use inputs::Inputs;
pub use invocation::{Dbt, Invocation, packages_of, program};
pub use jinja::Context;
pub use kept::{DefaultSelector, MadeOf, Stale, Store};
pub use manifest_file::ManifestFile;
pub use profile::{Target, WantedProfile};
pub use project_file::ProjectFile;

pub use results::{NodeResult, RunResults, deploy_outcomes, test_outcomes};
pub use revision::{Checkout, GitError, Revision};

/// Why dbt could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No project in that folder.
    #[error("there is no dbt project in `{}`: it has no dbt_project.yml", dir.display())]
    NoProject {
        /// The folder.
        dir: PathBuf,
    },
    /// A file of the project cannot be read.
    #[error("cannot read `{}`: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system or the parser says.
        reason: String,
    },
    /// The folder of the manifests that are kept cannot be written to.
    #[error("cannot write to `{}`: {source}", dir.display())]
    Unwritable {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A profiles.yml that does not have what is asked for.
    #[error("`{}`: {reason}", file.display())]
    Profile {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder that was named for profiles.yml and has none.
    #[error("there is no profiles.yml in `{}`", dir.display())]
    NoProfiles {
        /// The folder.
        dir: PathBuf,
    },
    /// A profiles.yml that dbt would not read.
    #[error("there is no profiles.yml where dbt looks for it from here; `{}` is none of these places", dir.join("profiles.yml").display())]
    NotRead {
        /// The folder that has one.
        dir: PathBuf,
    },
    /// Two names of one dbt setting that differ: which of them counts depends on dbt's version.
    #[error("{one} and {other} differ: dbt 1.11 takes the first, dbt 1.9 and 2 the second")]
    Contradiction {
        /// dbt 1.11's name.
        one: &'static str,
        /// The older name.
        other: &'static str,
    },
    /// `--vars` that are no mapping.
    #[error("`--vars` cannot be read: {reason}")]
    Vars {
        /// What the parser met.
        reason: String,
    },
    /// The server of a target.
    #[error(transparent)]
    Address(#[from] crate::pg::BadAddress),
    /// Hosts that a dbt profile cannot name.
    #[error("a dbt profile has one port for all hosts, and {endpoint} has several")]
    SeveralPorts {
        /// The server.
        endpoint: String,
    },
    /// No `dbt` among the programs.
    #[error("dbt is not installed: there is no program `dbt` on the PATH")]
    NotInstalled,
    /// dbt was there and could not be started.
    #[error("cannot start dbt: {source}")]
    Start {
        /// What the system says.
        source: std::io::Error,
    },
    /// dbt could not do its work; it has said why.
    #[error("`dbt {command}` failed with exit code {code}; its own words are above")]
    Failed {
        /// The subcommand.
        command: String,
        /// dbt's exit code.
        code: i32,
    },
    /// The project was never compiled.
    #[error("there is no manifest: `{}` does not exist", file.display())]
    NoManifest {
        /// Where it would be.
        file: PathBuf,
    },
    /// The project has to be compiled, and that is not allowed.
    #[error("the project is not compiled for target `{target}`: {reason}")]
    NotCompiled {
        /// The dbt target.
        target: String,
        /// What changed.
        reason: String,
    },
    /// Files of the project changed while dbt compiled it, again and again.
    #[error("the project's files keep changing while dbt compiles them")]
    KeepsChanging,
    /// Source tables that nothing makes on an ephemeral server.
    #[error("the server lacks source tables:\n  {}", missing.join("\n  "))]
    MissingSources {
        /// One line each: the table and the models that read it.
        missing: Vec<String>,
    },
    /// A fixture that the server refuses.
    #[error("the fixture `{}` failed: {message}", file.display())]
    Fixture {
        /// The file.
        file: PathBuf,
        /// The server's words.
        message: String,
    },
    /// A revision that cannot be had.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Error {
    /// For `map_err`: this file, and what the system or the parser says.
    pub(crate) fn unreadable<E: Display>(file: &Path) -> impl Fn(E) -> Self {
        move |reason| Self::Unreadable { file: file.to_owned(), reason: reason.to_string() }
    }

    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoProject { .. } => "go to the project, or name it: `--project-dir DIR`".into(),
            Self::Unwritable { .. } => {
                "name a target folder that can be written to: `DBT_TARGET_PATH=DIR`".into()
            }
            Self::NotInstalled => {
                "install it: `python3 -m pip install dbt-core dbt-postgres`; what dbt compiled elsewhere is used with `--manifest FILE`".into()
            },
            Self::NotCompiled { .. } => {
                "leave `--no-compile` out to have dbt compile it, or name a manifest: `--manifest FILE`".into()
            }
            Self::KeepsChanging => "stop what writes to them, then try again".into(),
            Self::NoManifest { .. } => "make it: `dbt compile`, or name one with `--manifest FILE`".into(),
            Self::MissingSources { .. } => {
                "on an ephemeral server make them with `--stub-sources`, copy them with `--sources-from URL`, or write an SQL file that pgtrickle-ci.yml lists: `fixtures: [ci/sources.sql]`".into()
            }
            Self::Fixture { file, .. } => format!("try it alone: `pgtrickle-ci ephemeral -- psql -f {}`", file.display()),
            Self::NoProfiles { .. } => "name the folder that has it: `--profiles-dir DIR`, or leave it out".into(),
            Self::NotRead { dir } => format!("name its folder, as for dbt: `--profiles-dir {}`", dir.display()),
            Self::Contradiction { one, other } => format!("unset one of {one} and {other}, or use the flag"),
            Self::Vars { .. } => "write them as YAML: `--vars '{name: value}'`".into(),
            Self::Address(error) => error.hint(),
            Self::SeveralPorts { .. } => "name one of the hosts".into(),
            Self::Profile { .. } => "see which profile dbt takes: `dbt debug`".into(),
            Self::Failed { command, .. } => format!("see it alone: `dbt {command}`"),
            Self::Git(error) => return error.hint(),
            Self::Unreadable { .. } | Self::Start { .. } => return None,
        })
    }
}

/// dbt's variables for what it takes of a project, with the names of dbt 1.11 and of all others.
pub const VARIABLES: [(&str, &str); 5] = [
    ("DBT_ENGINE_PROFILE", "DBT_PROFILE"),
    ("DBT_ENGINE_PROFILES_DIR", "DBT_PROFILES_DIR"),
    ("DBT_ENGINE_PROJECT_DIR", "DBT_PROJECT_DIR"),
    ("DBT_ENGINE_TARGET", "DBT_TARGET"),
    ("DBT_ENGINE_TARGET_PATH", "DBT_TARGET_PATH"),
];

/// The SQL that dbt compiled for a model, in a target folder: it outlives the manifest's own copy.
pub fn compiled_sql(target_dir: &Path, package: &str, model_file: &str) -> Option<String> {
    std::fs::read_to_string(target_dir.join("compiled").join(package).join(model_file)).ok()
}
