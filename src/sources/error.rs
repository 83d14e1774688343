//! Why there are no sources.

use std::io;

use crate::{model::values::without_values, pg, server};

/// Why the sources of an ephemeral server could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project's YAML does not say enough; all of it at once.
    #[error("the project does not declare enough to make its sources:\n  {}", problems.join("\n  "))]
    Undeclared {
        /// One line each, with the YAML file.
        problems: Vec<String>,
    },
    /// The server with the sources does not have them, or does not let us; all of it at once.
    #[error("the sources cannot be copied from {origin}:\n  {}", problems.join("\n  "))]
    NotThere {
        /// The server.
        origin: String,
        /// One line each.
        problems: Vec<String>,
        /// Who asked.
        user: String,
    },
    /// A server of the future.
    #[error(
        "the sources cannot be copied from {origin}: it is PostgreSQL {theirs}, and `pg_dump` is of {ours}"
    )]
    TooNew {
        /// The server.
        origin: String,
        /// Its version.
        theirs: String,
        /// The version of the installation that was found.
        ours: String,
    },
    /// The server with the sources cannot be asked.
    #[error("the sources cannot be copied: {0}")]
    Origin(pg::Error),
    /// The ephemeral server refuses something.
    #[error("the sources cannot be made: {0}")]
    Target(pg::Error),
    /// A program of the installation failed.
    #[error("`{program}` failed:\n  {}", said.join("\n  "))]
    Failed {
        /// The program.
        program: &'static str,
        /// Its last words.
        said: Vec<String>,
    },
    /// A program could not be run.
    #[error("cannot run `{program}`: {source}")]
    Start {
        /// The program.
        program: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The installation lacks a program.
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
            Self::Failed { program, said } => {
                // `pg_restore: error: could not execute query: ERROR:  …`, with the row in the lines after it.
                let errors = said.iter().filter_map(|line| Some(line.split_once("ERROR:")?.1.trim()));
                let said = errors.map(|line| without_values(line, None)).collect();
                Self::Failed { program, said }
            }
            Self::Undeclared { .. }
            | Self::NotThere { .. }
            | Self::TooNew { .. }
            | Self::Start { .. }
            | Self::Program(_) => self,
        }
    }

    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Undeclared { .. } => {
                "declare a `data_type` for each of these columns, or copy the tables with `--sources-from URL`".into()
            }
            Self::NotThere { user, .. } => format!(
                "name a server that has them in `PGTRICKLE_CI_SOURCES_FROM`, grant SELECT on them to `{user}`, or make them in a fixture"
            ),
            Self::TooNew { .. } => "name a newer installation: `--pg-bin DIR`".into(),
            Self::Origin(pg::Error::Connect { code: Some(code), .. }) if code.starts_with("28") => {
                "check the user and the password in `PGTRICKLE_CI_SOURCES_FROM`".into()
            }
            Self::Origin(_) => {
                "see whether PostgreSQL runs there: `pg_isready -h HOST -p PORT`; the server is the one of `--sources-from`".into()
            }
            Self::Failed { .. } => "make these sources in a fixture, or declare their columns for `--stub-sources`".into(),
            Self::Program(error) => return error.hint(),
            Self::Target(_) | Self::Start { .. } => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_keeps_no_value() {
        let said = [
            "pg_restore: error: could not execute query: ERROR:  could not create unique index \"k\"",
            "DETAIL:  Key (card)=(secret) is duplicated.",
            "Command was: CREATE UNIQUE INDEX k ON raw.orders USING btree (card);",
            "pg_restore: error: could not execute query: ERROR:  invalid input syntax for type integer: \"secret\"",
        ];
        let error = Error::Failed { program: "pg_restore", said: said.map(ToOwned::to_owned).into() };
        let text = error.without_values().to_string();
        assert!(text.contains("integer: \"***\"") && !text.contains("secret"), "{text}");
    }
}
