//! Errors of connections and statements, with the server's full message.

use std::{collections::BTreeSet, error::Error as _, fmt};

use tokio_postgres::error::Severity;

use super::Endpoint;
use crate::model::{Outcome, Stage, Subject, Verdict, site, values::without_values};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot connect to {endpoint}: {reason}")]
    Connect {
        endpoint: String,
        /// The message of the server or the system.
        reason: String,
        /// The SQLSTATE, if a server answered.
        code: Option<String>,
        /// Whether the TLS handshake failed, and not a step before or after it.
        in_tls: bool,
    },
    /// An unusable file with certificates or keys.
    #[error("cannot use {file} as {parameter}: {reason}")]
    TlsFile { parameter: &'static str, file: String, reason: String },
    /// The server rejected a statement.
    #[error("{doing} failed: {message}")]
    Server { doing: &'static str, message: ServerMessage },
    #[error("{doing} failed: the connection to the server was lost: {reason}")]
    Lost {
        doing: &'static str,
        reason: String,
        /// The SQLSTATE with which the server ended it, if it said one.
        code: Option<Box<str>>,
    },
    /// The answer does not match the catalog of a known version.
    #[error("{doing} failed: cannot read the server's answer: {source}")]
    Answer { doing: &'static str, source: serde_json::Error },
    #[error("the database {endpoint} does not have the extension pg_trickle")]
    NoExtension { endpoint: String },
    #[error("{endpoint} is read-only: it is a standby, or default_transaction_read_only is on")]
    ReadOnly { endpoint: String },
    /// Changes of this role would not be captured.
    #[error(
        "the triggers that capture changes do not fire for `{user}`: its session_replication_role is not origin"
    )]
    Replicates { user: String },
    /// Its queries would not return what the engine's scheduler stores.
    #[error("the role `{user}` has its own {}, and the database's is unknown", unknown.join(", "))]
    RoleSettings {
        user: String,
        /// The settings.
        unknown: Vec<String>,
    },
    #[error("another verification of {endpoint} is running: pid {pid}")]
    Busy { endpoint: String, pid: i32 },
    /// The lock was not available within the lock timeout.
    #[error("another session is changing stream tables of this database{}", named(holders))]
    Locked {
        /// The sessions; empty if they are not visible.
        holders: BTreeSet<String>,
    },
    #[error("the role `{user}` cannot deploy this, and nothing was changed. It lacks\n  {}", lacking.join("\n  "))]
    Rights {
        user: String,
        /// Each missing privilege with its object.
        lacking: Vec<String>,
    },
    /// The plan would drop objects that it does not know.
    #[error("these were created after the plan was made and would be dropped, too: {}", objects.join(", "))]
    NewDependents {
        /// Each, and the stream table that it depends on.
        objects: Vec<String>,
    },
    #[error("pg_trickle {version} is too old: its catalog has no {}", missing.join(", "))]
    TooOld {
        version: String,
        /// The missing columns.
        missing: Vec<String>,
    },
}

/// A server's error with all its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    pub message: String,
    pub detail: Option<Box<str>>,
    pub hint: Option<Box<str>>,
    pub code: Box<str>,
    /// The violated constraint.
    pub constraint: Option<Box<str>>,
    /// The trigger of pg_trickle in which a write failed.
    pub trigger: Option<EngineTrigger>,
}

/// A trigger of pg_trickle on a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineTrigger {
    /// It captures changes.
    Captures,
    /// It maintains the IMMEDIATE table with this `pgt_id`.
    Maintains(u32),
}

impl ServerMessage {
    /// The outcome of a statement that the server rejected. `what` begins its sentence, which quotes the server.
    pub fn outcome(
        &self,
        stage: Stage,
        subject: impl Into<Subject>,
        verdict: Verdict,
        what: &str,
    ) -> Outcome {
        Outcome::new(stage, subject, verdict, format!("{what}: {}", self.message))
            .quoting(&self.message, Some(&self.code))
            .with_rows(self.details())
    }

    /// All fields except the message, a line each.
    pub fn details(&self) -> Vec<String> {
        // The engine adds a backtrace after the first line of some details (docs/pg_trickle.md, "Errors").
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
        Self { message, code: self.code.clone(), ..Self::default() }
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
        let reason = endpoint.mask(&reason(source));
        Self::Connect { endpoint: endpoint.to_string(), reason, code, in_tls: is_tls(source) }
    }

    pub(super) fn asking(doing: &'static str, source: &tokio_postgres::Error) -> Self {
        match (last_words(source), server_message(source)) {
            (Some(said), _) => Self::Lost { doing, reason: said.message, code: Some(said.code) },
            (None, Some(message)) => Self::Server { doing, message },
            (None, None) => Self::Lost { doing, reason: reason(source), code: None },
        }
    }

    /// Whether a server that refuses COMMIT with this error has rolled back. One that ends the session may have committed
    /// before.
    pub(super) fn ends_a_transaction(&self) -> bool {
        matches!(self, Self::Server { message, .. } if !message.code.starts_with("57") && !message.code.starts_with("08"))
    }

    /// The error without the values of rows that the server may quote.
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
            Self::Connect { code: Some(code), .. } if code == "53300" => {
                "end other sessions, or raise the limit: `max_connections`, or that of the role or the database: `ALTER ROLE ... CONNECTION LIMIT -1`".into()
            }
            Self::Connect { code: Some(code), .. } if code == "42501" => {
                "grant it: `GRANT CONNECT ON DATABASE ...`".into()
            }
            Self::Connect { code: Some(code), .. } if code == "3D000" => "list the databases: `psql -l`".into(),
            Self::Connect { in_tls: true, reason, .. } if reason.contains("does not support TLS") => {
                "turn it on in the server: `ssl = on`; or connect without it: `sslmode=prefer`".into()
            }
            Self::Connect { in_tls: true, reason, .. } if reason.contains("CertificateRequired") => {
                "the server asks for a client's certificate: name its files with `sslcert` and `sslkey`".into()
            }
            Self::Connect { in_tls: true, .. } => {
                "see `sslmode` and `sslrootcert`: the server's certificate must be signed by a certificate in that file and, for verify-full, be for that host; `require` accepts any".into()
            }
            Self::Connect { .. } => {
                "check that PostgreSQL is running: `pg_isready -h HOST -p PORT`; or start an ephemeral server: `pgtrickle-ci run`".into()
            }
            Self::TlsFile { parameter, .. } => format!("name a PEM file with `{parameter}`; encrypted keys are not supported"),
            Self::NoExtension { .. } => "create it there: `psql -d DATABASE -c 'CREATE EXTENSION pg_trickle'`".into(),
            Self::ReadOnly { .. } => "connect to the primary, or compare the tables without changing rows: `--static`".into(),
            Self::Replicates { user } => format!(
                "verify as another role, or `ALTER ROLE \"{user}\" RESET session_replication_role`; it may be set for the database, too"
            ),
            Self::RoleSettings { user, unknown } => {
                let setting = unknown.first().map(String::as_str).unwrap_or_default();
                format!("pg_trickle refreshes with the database's: `ALTER ROLE \"{user}\" RESET {setting}`, or set it for the database, too: `ALTER DATABASE ... SET {setting} = ...`")
            }
            Self::Busy { pid, .. } => {
                format!("wait until it ends, or end it: `psql -c 'SELECT pg_terminate_backend({pid})'`")
            }
            Self::Locked { .. } => "try again later, or wait longer: `--lock-timeout 1m`".into(),
            Self::Rights { .. } => format!(
                "grant them (see {}), or deploy as the role that owns the stream tables",
                site::section("dbt", "The role that deploys")
            ),
            Self::NewDependents { .. } => "plan again: `pgtrickle-ci plan`".into(),
            Self::TooOld { .. } => "update it: `psql -c 'ALTER EXTENSION pg_trickle UPDATE'`".into(),
            Self::Server { message: ServerMessage { code, .. }, .. } | Self::Lost { code: Some(code), .. }
                if &**code == "25P04" =>
            {
                "the server's transaction_timeout ended it; lift it for these connections: `export PGOPTIONS='-c transaction_timeout=0'`".into()
            }
            Self::Server { message, .. } if &*message.code == "42501" => {
                "grant it: `GRANT USAGE ON SCHEMA pgtrickle` and on that of the change buffers, SELECT on their tables, and `pg_monitor`"
                    .into()
            }
            Self::Server { .. } | Self::Lost { .. } | Self::Answer { .. } => return None,
        })
    }
}

/// A colon and the sessions, if any are known.
fn named(sessions: &BTreeSet<String>) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    format!(": {}", sessions.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// Whether the cause is an error of TLS.
fn is_tls(source: &tokio_postgres::Error) -> bool {
    // The driver's name for every error of this step.
    if source.to_string().starts_with("error performing TLS handshake") {
        return true;
    }
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

fn server_message(source: &tokio_postgres::Error) -> Option<ServerMessage> {
    source.as_db_error().map(|error| ServerMessage {
        message: error.message().to_owned(),
        detail: error.detail().map(Into::into),
        hint: error.hint().map(Into::into),
        code: error.code().code().into(),
        constraint: error.constraint().map(Into::into),
        trigger: error.where_().and_then(trigger),
    })
}

/// What the server says when it ends the connection.
pub(super) fn last_words(source: &tokio_postgres::Error) -> Option<ServerMessage> {
    let severity = source.as_db_error()?.parsed_severity()?;
    matches!(severity, Severity::Fatal | Severity::Panic).then(|| server_message(source)).flatten()
}

/// The trigger whose function the context names (docs/pg_trickle.md, "Refresh modes" and "Change capture").
fn trigger(context: &str) -> Option<EngineTrigger> {
    if let Some((_, function)) = context.split_once("pg_trickle_cdc_") {
        return function.contains("_fn_").then_some(EngineTrigger::Captures);
    }
    let (_, function) = context.split_once("pgt_ivm_")?;
    let (_, ids) = function.split_once("fn_")?;
    ids.split_once('_')?.0.parse().ok().map(EngineTrigger::Maintains)
}

/// The cause of the driver's error, whose own text is only "db error" or "error connecting to server".
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trigger_of_a_refused_write_is_in_the_context() {
        let maintains = |table| Some(EngineTrigger::Maintains(table));
        for (context, of) in [
            (
                "SQL statement \"SELECT 1\"\nPL/pgSQL function pgt_ivm_after_ins_fn_5_17381() line 5 at PERFORM",
                maintains(5),
            ),
            ("PL/pgSQL function pgtrickle_changes.pgt_ivm_fn_12_17034() line 1 at PERFORM", maintains(12)),
            (
                "PL/pgSQL function pg_trickle_cdc_upd_fn_eb3b59f6d99fe498() line 9 at SQL statement",
                Some(EngineTrigger::Captures),
            ),
            ("PL/pgSQL function audit() line 1 at RAISE", None),
        ] {
            assert_eq!(trigger(context), of, "{context}");
        }
    }
}
