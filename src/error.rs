//! The errors of all modules, each with a hint that names the next command.

use crate::{commands, dbt, hosts, judge, options, output, pg, plan, project, report, server, sources};

/// Ends the program with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Named(#[from] judge::named::Error),
    #[error(transparent)]
    Options(#[from] options::Error),
    #[error(transparent)]
    Compare(#[from] report::compare::Error),
    #[error(transparent)]
    Dbt(#[from] dbt::Error),
    #[error(transparent)]
    Host(#[from] hosts::Error),
    #[error(transparent)]
    Exists(#[from] commands::Exists),
    #[error(transparent)]
    Output(#[from] output::Error),
    #[error(transparent)]
    Pg(#[from] pg::Error),
    #[error(transparent)]
    Plan(#[from] plan::Cycle),
    #[error(transparent)]
    DbtNeeded(#[from] plan::dbt::DbtNeeded),
    #[error(transparent)]
    LossError(#[from] plan::lost_objects::LossError),
    #[error(transparent)]
    Saved(#[from] plan::saved::Error),
    #[error(transparent)]
    Project(#[from] project::Error),
    #[error(transparent)]
    Refusal(#[from] commands::Refusal),
    #[error(transparent)]
    Report(#[from] report::read::Error),
    #[error(transparent)]
    Merge(#[from] report::merge::Error),
    #[error(transparent)]
    Server(#[from] server::Error),
    #[error(transparent)]
    Sources(#[from] sources::Error),
}

impl Error {
    /// The error without the values of rows that a server may quote.
    #[must_use]
    pub fn without_values(self) -> Self {
        if let Self::Pg(error) = self {
            return Self::Pg(error.without_values());
        }
        if let Self::Sources(error) = self {
            return Self::Sources(error.without_values());
        }
        self
    }

    /// The next command to run.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Named(error) => Some(error.hint()),
            Self::Options(error) => error.hint(),
            Self::Compare(error) => Some(error.hint()),
            Self::Dbt(error) => error.hint(),
            Self::Host(error) => error.hint(),
            Self::Exists(error) => Some(error.hint()),
            Self::Output(error) => Some(error.hint()),
            Self::Pg(error) => error.hint(),
            Self::Plan(error) => Some(error.hint()),
            Self::DbtNeeded(error) => Some(error.hint()),
            Self::LossError(error) => Some(error.hint()),
            Self::Saved(error) => Some(error.hint()),
            Self::Project(error) => Some(error.hint()),
            Self::Refusal(error) => Some(error.hint()),
            Self::Report(error) => Some(error.hint()),
            Self::Merge(error) => Some(error.hint()),
            Self::Server(error) => error.hint(),
            Self::Sources(error) => error.hint(),
        }
    }
}
