//! The CI job around this run.

use std::path::PathBuf;

use super::Environment;
use crate::{
    github,
    model::Secret,
    report::legs::{self, RunOrder},
};

#[derive(Clone, Debug)]
pub struct Workflow {
    /// The base URL of GitHub's API.
    pub api: String,
    pub token: Option<Secret>,
    pub repository: github::Repository,
    pub event: github::Event,
    /// The run that wrote the report.
    pub turn: Option<RunOrder>,
}

impl Environment {
    /// The GitHub workflow; `None` outside of one.
    pub fn workflow(&self) -> Result<Option<Workflow>, github::Error> {
        let (Some(repository), Some(name)) = (self.get("GITHUB_REPOSITORY"), self.get("GITHUB_EVENT_NAME"))
        else {
            return Ok(None);
        };
        let file = self.get("GITHUB_EVENT_PATH").unwrap_or_default();
        let unreadable = |error: std::io::Error| github::Error::Event {
            event: name.into(),
            reason: format!("`{file}`: {error}"),
        };
        let payload = std::fs::read_to_string(file).map_err(unreadable)?;
        let event = github::Event::read(name, &payload, self.get("GITHUB_SHA"))?;
        let number = |name: &str| self.get(name).and_then(|number| number.parse().ok());
        let own = number("GITHUB_RUN_ID").map(|run| (run, number("GITHUB_RUN_ATTEMPT").unwrap_or(1)));
        Ok(Some(Workflow {
            api: self.get("GITHUB_API_URL").unwrap_or("https://api.github.com").to_owned(),
            token: self.get("GITHUB_TOKEN").map(Secret::new),
            repository: github::Repository::parse(repository)?,
            turn: event.run.or(own).map(|(run, attempt)| RunOrder { run, attempt }),
            event,
        }))
    }

    /// The tested commit, from GitHub's event or GitLab's variable.
    pub fn commit(&self) -> Option<String> {
        let event = self.workflow().ok().flatten().map(|workflow| workflow.event);
        event.and_then(|event| event.commit).or_else(|| self.get("CI_COMMIT_SHA").map(Into::into))
    }

    /// The workflow's job with its leg of the matrix; `None` outside of one. The Action passes the matrix, because a
    /// runner has no variable for it.
    pub fn leg(&self) -> Option<String> {
        let matrix = self.get("PGTRICKLE_CI_MATRIX").unwrap_or_default();
        self.get("GITHUB_JOB").map(|job| legs::name(job, matrix))
    }

    /// The files of the runner that a step appends to.
    pub(super) fn runner_files(&self) -> RunnerFiles {
        let file = |variable: &str| self.get(variable).map(PathBuf::from);
        RunnerFiles { summary: file("GITHUB_STEP_SUMMARY"), output: file("GITHUB_OUTPUT") }
    }
}

/// The files of the runner that a step appends to; empty without a runner.
#[derive(Clone, Debug, Default)]
pub struct RunnerFiles {
    pub summary: Option<PathBuf>,
    pub output: Option<PathBuf>,
}
