//! What a server can refuse, with everything that it says about it.

use std::{collections::BTreeSet, error::Error as _, fmt};

use super::Endpoint;
use crate::model::values::without_values;

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no connection.
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect {
        /// The server.
        endpoint: String,
        /// Why not, in the server's or the system's words.
        reason: String,
        /// The SQLSTATE, where a server answered at all.
        code: Option<String>,
        /// Whether the TLS handshake failed, and not what comes before or behind it.
        in_tls: bool,
    },
    /// A file with certificates or keys is of no use.
    #[error("cannot use {file} as {parameter}: {reason}")]
    TlsFile {
        /// What names it.
        parameter: &'static str,
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// The server refused a statement.
    #[error("{doing} failed: {message}")]
    Server {
        /// What was being done.
        doing: &'static str,
        /// What the server says.
        message: ServerMessage,
    },
    /// The connection broke.
    #[error("{doing} failed: the connection to the server was lost: {reason}")]
    Lost {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        reason: String,
    },
    /// The server's answer is not what the catalog of a known version looks like.
    #[error("{doing} failed: the answer cannot be read: {source}")]
    Answer {
        /// What was being done.
        doing: &'static str,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// The database does not have the extension.
    #[error("the database {endpoint} does not have the extension pg_trickle")]
    NoExtension {
        /// The database.
        endpoint: String,
    },
    /// Nothing can be changed there.
    #[error("{endpoint} takes no writes: it is a standby, or this role only reads")]
    ReadOnly {
        /// The database.
        endpoint: String,
    },
    /// What this role changes is not captured.
    #[error(
        "the triggers that capture changes do not fire for `{user}`: its session_replication_role is not origin"
    )]
    Replicates {
        /// The role.
        user: String,
    },
    /// Another verification is under way.
    #[error("another verification of {endpoint} runs: pid {pid}")]
    Busy {
        /// The database.
        endpoint: String,
        /// Its server process.
        pid: i32,
    },
    /// Another session changes stream tables, for longer than the lock timeout.
    #[error("another session changes stream tables of this database{}", named(holders))]
    Locked {
        /// The sessions; empty where they cannot be seen.
        holders: BTreeSet<String>,
    },
    /// The role may not do what a plan takes.
    #[error("the role `{user}` cannot carry out the plan, and nothing was changed; it lacks\n  {}", lacking.join("\n  "))]
    Rights {
        /// The role.
        user: String,
        /// Each right, and what it is about.
        lacking: Vec<String>,
    },
    /// The extension lacks what is needed.
    #[error("pg_trickle {version} is too old: its catalog has no {}", missing.join(", "))]
    TooOld {
        /// The extension's version.
        version: String,
        /// The columns that are needed and missing.
        missing: Vec<String>,
    },
}

/// A server's error, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    /// The sentence.
    pub message: String,
    /// Its DETAIL.
    pub detail: Option<Box<str>>,
    /// Its HINT.
    pub hint: Option<Box<str>>,
    /// Its SQLSTATE.
    pub code: String,
    /// The constraint that it is about.
    pub constraint: Option<Box<str>>,
}

impl ServerMessage {
    /// All but the sentence, a line each.
    pub fn details(&self) -> Vec<String> {
        // The engine puts a backtrace behind the first line of some details (docs/pg_trickle.md, "Errors").
        let detail = self.detail.as_deref().and_then(|detail| detail.lines().next());
        let line = |what: &str, text: Option<&str>| {
            text.filter(|t| !t.is_empty()).map(|text| format!("{what}: {text}"))
        };
        [line("DETAIL", detail), line("HINT", self.hint.as_deref()), line("SQLSTATE", Some(&self.code))]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl ServerMessage {
    /// The message without the values of rows that it may quote.
    #[must_use]
    pub fn without_values(&self) -> Self {
        let message = without_values(&self.message, Some(&self.code));
        Self { message, detail: None, hint: None, code: self.code.clone(), constraint: None }
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.details().iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Error {
    pub(super) fn connecting(endpoint: &Endpoint, source: &tokio_postgres::Error) -> Self {
        let code = source.code().map(|code| code.code().to_owned());
        Self::Connect { endpoint: endpoint.to_string(), reason: reason(source), code, in_tls: is_tls(source) }
    }

    pub(super) fn asking(doing: &'static str, source: &tokio_postgres::Error) -> Self {
        match server_message(source) {
            Some(message) => Self::Server { doing, message },
            None => Self::Lost { doing, reason: reason(source) },
        }
    }

    /// Whether a server that refuses COMMIT so has rolled the transaction back. One that ends the session may have
    /// committed before.
    pub(super) fn ends_a_transaction(&self) -> bool {
        matches!(self, Self::Server { message, .. } if !message.code.starts_with("57") && !message.code.starts_with("08"))
    }

    /// The error without the values of rows that a server may quote.
    #[must_use]
    pub fn without_values(self) -> Self {
        if let Self::Server { doing, message } = self {
            return Self::Server { doing, message: message.without_values() };
        }
        self
    }

    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Connect { code: Some(code), .. } if code.starts_with("28") => {
                "check the user and the password, in `--database-url` or in the dbt profile".into()
            }
            Self::Connect { code: Some(code), .. } if code == "3D000" => "list what is there: `psql -l`".into(),
            Self::Connect { in_tls: true, .. } => {
                "see `sslmode` and `sslrootcert`: the server's certificate has to be signed by a certificate in that file and, for verify-full, be for that host; `require` takes any".into()
            }
            Self::Connect { .. } => {
                "see whether PostgreSQL runs there: `pg_isready -h HOST -p PORT`; or let the gate start one: `pgtrickle-ci run`".into()
            }
            Self::TlsFile { parameter, .. } => format!("name a PEM file with `{parameter}`; encrypted keys are not supported"),
            Self::NoExtension { .. } => "create it: `psql -c 'CREATE EXTENSION pg_trickle'`".into(),
            Self::ReadOnly { .. } => "name the primary, or compare the tables as they are: `--static`".into(),
            Self::Replicates { user } => format!(
                "verify as another role, or `ALTER ROLE \"{user}\" RESET session_replication_role`; it may be set for the database, too"
            ),
            Self::Busy { pid, .. } => {
                format!("wait until it has ended, or end it: `psql -c 'SELECT pg_terminate_backend({pid})'`")
            }
            Self::Locked { .. } => "wait until it has ended, or wait longer for it: `--lock-timeout 1m`".into(),
            Self::Rights { .. } => "grant them, or apply the plan as the role that owns the stream tables".into(),
            Self::TooOld { .. } => "update it: `psql -c 'ALTER EXTENSION pg_trickle UPDATE'`".into(),
            Self::Server { message, .. } if message.code == "25P04" => {
                "the server's transaction_timeout ended it; lift it for these connections: `export PGOPTIONS='-c transaction_timeout=0'`".into()
            }
            Self::Server { message, .. } if message.code == "42501" => {
                "grant it: `GRANT USAGE ON SCHEMA pgtrickle` and SELECT on its tables, and `pg_monitor`".into()
            }
            Self::Server { .. } | Self::Lost { .. } | Self::Answer { .. } => return None,
        })
    }
}

/// The sessions behind a colon, if any are known.
fn named(sessions: &BTreeSet<String>) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    format!(": {}", sessions.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// Whether TLS is what failed.
fn is_tls(source: &tokio_postgres::Error) -> bool {
    let mut cause = source.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>()
            || inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
        {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(super) fn server_message(source: &tokio_postgres::Error) -> Option<ServerMessage> {
    source.as_db_error().map(|error| ServerMessage {
        message: error.message().to_owned(),
        detail: error.detail().map(Into::into),
        hint: error.hint().map(Into::into),
        code: error.code().code().to_owned(),
        constraint: error.constraint().map(Into::into),
    })
}

/// The library's own text is "db error" or "error connecting to server"; the reason is behind it.
fn reason(source: &tokio_postgres::Error) -> String {
    if let Some(message) = server_message(source) {
        return message.message;
    }
    let mut text = source.to_string();
    let mut cause = source.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
