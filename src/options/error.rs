//! Why the options cannot be used.

use std::path::PathBuf;

use super::file;
use crate::{dbt, pg};

/// Why no configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration file that was named is not there, or cannot be read.
    #[error("cannot read the configuration file `{}`: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no YAML, or a value has the wrong type.
    #[error("the configuration file `{}` is wrong: {source}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What the parser met, with line and column.
        source: serde_yaml::Error,
    },
    /// Keys that mean nothing; all of them at once.
    #[error("the configuration file `{}` has {}", file.display(), keys.join(", and "))]
    UnknownKeys {
        /// The file.
        file: PathBuf,
        /// One phrase each, with the nearest known key.
        keys: Vec<String>,
    },
    /// What says where the server is cannot be used.
    #[error(transparent)]
    Address(#[from] pg::BadAddress),
    /// What dbt is told cannot be followed.
    #[error(transparent)]
    Dbt(#[from] dbt::Error),
    /// `--allow-writes` names another database than the one that is verified.
    #[error("`--allow-writes {name}` allows no writes to the database `{database}`")]
    OtherDatabase {
        /// What was allowed.
        name: String,
        /// Where the connection leads.
        database: String,
    },
    /// `--drive scheduler` on a server where nothing is committed.
    #[error(
        "`--drive scheduler` cannot verify `{database}`: the scheduler sees committed changes, and on a named server every change is rolled back"
    )]
    SchedulerSeesCommits {
        /// Where the connection leads.
        database: String,
    },
    /// No server was named.
    #[error("no server is named: there is no `--database-url`, no dbt profile and no PGHOST")]
    NoServer,
}

impl Error {
    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "name one that exists with `--config FILE`, or leave the flag out".into(),
            Self::Wrong { .. } => "see the example in docs/reference.md".into(),
            Self::UnknownKeys { .. } => format!("the keys are {}", file::known_keys().join(", ")),
            Self::Address(error) => error.hint(),
            Self::Dbt(error) => return error.hint(),
            Self::OtherDatabase { database, .. } => {
                format!("to change rows of `{database}` in transactions that are rolled back, give `--allow-writes {database}`")
            }
            Self::SchedulerSeesCommits { .. } => {
                "use an ephemeral server: `pgtrickle-ci run --drive scheduler`, or `pgtrickle-ci ephemeral -- CMD`".into()
            }
            Self::NoServer => {
                "name one with `--database-url`, or try the command on a server of its own: `pgtrickle-ci ephemeral -- CMD`".into()
            }
        })
    }
}
