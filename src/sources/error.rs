//! Errors about the sources of an ephemeral server.

use std::io;

use crate::{model::values::without_values, pg, server};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project's YAML does not declare all columns and types. Lists all problems.
    #[error("the project does not declare enough to create its sources:\n  {}", problems.join("\n  "))]
    Undeclared { problems: Vec<String> },
    /// The server lacks sources, or the user may not read them. Lists all problems.
    #[error("cannot copy the sources from {origin}:\n  {}", problems.join("\n  "))]
    NotThere {
        origin: String,
        problems: Vec<String>,
        /// The login name.
        user: String,
    },
    /// The server is newer than the installed programs.
    #[error(
        "cannot copy the sources from {origin}: it is PostgreSQL {theirs}, but `pg_dump` is version {ours}"
    )]
    TooNew { origin: String, theirs: String, ours: String },
    /// A query to the server with the sources failed.
    #[error("cannot copy the sources: {0}")]
    Origin(pg::Error),
    /// A statement on the ephemeral server failed.
    #[error("cannot create the sources: {0}")]
    Target(pg::Error),
    #[error("`{program}` failed:\n  {}", output.join("\n  "))]
    Failed {
        program: &'static str,
        /// Its standard error.
        output: Vec<String>,
    },
    #[error("cannot run `{program}`: {source}")]
    Start { program: &'static str, source: io::Error },
    #[error(transparent)]
    Program(#[from] server::Error),
}

impl Error {
    /// The error without the values of rows that a server may quote.
    #[must_use]
    pub fn without_values(self) -> Self {
        match self {
            Self::Origin(error) => Self::Origin(error.without_values()),
            Self::Target(error) => Self::Target(error.without_values()),
            Self::Failed { program, output } => {
                // `pg_restore: error: could not execute query: ERROR:  …`, with the row in the lines after it.
                let errors = output.iter().filter_map(|line| Some(line.split_once("ERROR:")?.1.trim()));
                let output = errors.map(|line| without_values(line, None)).collect();
                Self::Failed { program, output }
            }
            Self::Undeclared { .. }
            | Self::NotThere { .. }
            | Self::TooNew { .. }
            | Self::Start { .. }
            | Self::Program(_) => self,
        }
    }

    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Undeclared { .. } => {
                "declare a `data_type` for each of these columns, or copy the tables with `--sources-from URL`".into()
            }
            Self::NotThere { user, .. } => format!(
                "set `PGTRICKLE_CI_SOURCES_FROM` to a server that has them, grant SELECT on them to `{user}`, or create them in a fixture"
            ),
            Self::TooNew { .. } => "use a newer installation: `--pg-bin DIR`".into(),
            Self::Origin(pg::Error::Connect { code: Some(code), .. }) if code.starts_with("28") => {
                "check the user and the password in `PGTRICKLE_CI_SOURCES_FROM`".into()
            }
            Self::Origin(_) => {
                "check that the server of `--sources-from` runs: `pg_isready -h HOST -p PORT`".into()
            }
            Self::Failed { .. } => "create these sources in a fixture, or declare their columns for `--stub-sources`".into(),
            Self::Program(error) => return error.hint(),
            Self::Target(_) | Self::Start { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_program_output_contains_no_values() {
        let said = [
            "pg_restore: error: could not execute query: ERROR:  could not create unique index \"k\"",
            "DETAIL:  Key (card)=(secret) is duplicated.",
            "Command was: CREATE UNIQUE INDEX k ON raw.orders USING btree (card);",
            "pg_restore: error: could not execute query: ERROR:  invalid input syntax for type integer: \"secret\"",
        ];
        let error = Error::Failed { program: "pg_restore", output: said.map(ToOwned::to_owned).into() };
        let text = error.without_values().to_string();
        assert!(text.contains("integer: \"***\"") && !text.contains("secret"), "{text}");
    }
}
