//! Errors in flags, the environment and the configuration file.

use std::path::PathBuf;

use super::{UnknownKey, WrongValue};
use crate::{dbt, model::site, pg};

/// What becomes of the rows that `--allow-writes` allows to change.
pub fn how_long(is_ephemeral: bool) -> &'static str {
    if is_ephemeral { "for good: the server is ephemeral" } else { "in transactions that are rolled back" }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read, or `--config` names a file that does not exist.
    #[error("cannot read the configuration file `{}`: {source}", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    /// It is not YAML.
    #[error("the configuration file `{}` is invalid: {source}", file.display())]
    Wrong {
        file: PathBuf,
        /// Has the line and the column.
        source: serde_yaml::Error,
    },
    /// A value that its key does not take.
    #[error("the configuration file `{}` is invalid{}: {}", file.display(), at(*line), value.message)]
    WrongValue { file: PathBuf, line: Option<usize>, value: WrongValue },
    /// All unknown keys of the file.
    #[error("unknown keys in the configuration file `{}`: {}", file.display(), shown(keys))]
    UnknownKeys { file: PathBuf, keys: Vec<UnknownKey> },
    /// Two keys of which only one may be set.
    #[error("the configuration file `{}` sets `{section}.{one}` and `{section}.{other}`", file.display())]
    Exclusive { file: PathBuf, section: &'static str, one: &'static str, other: &'static str },
    /// A server address is invalid.
    #[error(transparent)]
    Address(#[from] pg::BadAddress),
    #[error(transparent)]
    Dbt(#[from] dbt::Error),
    /// `--allow-writes` names a different database than the connection. On an ephemeral server the changes stay.
    #[error("`--allow-writes {name}` does not allow writes to the database `{database}`")]
    OtherDatabase { name: String, database: String, is_ephemeral: bool },
    /// `--drive scheduler` on a named server, where no change is committed.
    #[error(
        "`--drive scheduler` cannot verify `{database}`: the scheduler sees committed changes, and on a named server every change is rolled back"
    )]
    SchedulerSeesCommits { database: String },
    /// Two reports with one file.
    #[error("two reports have the same file `{}`", file.display())]
    SameFile { file: PathBuf },
    /// The command needs a server.
    #[error("no server: `--database-url`, a dbt profile and PGHOST are all missing")]
    NoServer,
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

fn shown(keys: &[UnknownKey]) -> String {
    keys.iter().map(|key| key.shown.as_str()).collect::<Vec<_>>().join(", ")
}

/// The page with an example of the file.
fn example() -> String {
    site::page("reference.html#pgtrickle-ciyml")
}

/// Which keys there are where an unknown one resembles none.
fn known(keys: &[UnknownKey]) -> String {
    let mut known: Vec<&str> = keys.iter().filter_map(|key| key.known.as_deref()).collect();
    known.dedup();
    if known.is_empty() { format!("all keys are in {}", example()) } else { known.join("; ") }
}

impl Error {
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "make it a text file that can be read, or name another: `--config FILE`".into(),
            Self::Wrong { .. } | Self::WrongValue { .. } => {
                format!("see the example in {}", example())
            }
            Self::UnknownKeys { keys, .. } => known(keys),
            Self::SameFile { .. } => "name another file for one of them: `-` is standard output, for one report".into(),
            Self::Exclusive { one, other, .. } => format!("remove `{one}` or `{other}`"),
            Self::Address(error) => error.hint(),
            Self::Dbt(error) => return error.hint(),
            Self::OtherDatabase { database, is_ephemeral, .. } => {
                format!("to change rows of `{database}` {}, pass `--allow-writes {database}`", how_long(*is_ephemeral))
            }
            Self::SchedulerSeesCommits { .. } => {
                "use an ephemeral server: `pgtrickle-ci run --drive scheduler`, or `pgtrickle-ci ephemeral -- CMD`".into()
            }
            Self::NoServer => {
                "set `--database-url`, or run the command with a temporary server: `pgtrickle-ci ephemeral -- CMD`".into()
            }
        })
    }
}
