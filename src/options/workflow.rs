//! The CI job around this run.

use std::path::PathBuf;

use super::Environment;
use crate::{
    hosts::{self, MergeRequest},
    model::Secret,
    report::legs::{self, RunOrder},
};

/// A job of a GitHub workflow.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The base URL of GitHub's API.
    pub api: String,
    pub token: Option<Secret>,
    pub repository: hosts::Repository,
    pub event: hosts::Event,
    /// The run that wrote the report.
    pub turn: Option<RunOrder>,
}

/// A job of a GitLab pipeline.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// The URL of GitLab's API.
    pub api: String,
    pub token: Option<Secret>,
    /// `None` if the pipeline is not one of a merge request.
    pub merge_request: Option<MergeRequest>,
    pub commit: Option<String>,
    pub turn: Option<RunOrder>,
}

impl Environment {
    /// The GitHub workflow; `None` outside of one.
    pub fn workflow(&self) -> Result<Option<Workflow>, hosts::Error> {
        let (Some(repository), Some(name)) = (self.get("GITHUB_REPOSITORY"), self.get("GITHUB_EVENT_NAME"))
        else {
            return Ok(None);
        };
        let file = self.get("GITHUB_EVENT_PATH").unwrap_or_default();
        let unreadable = |error: std::io::Error| hosts::Error::Event {
            event: name.into(),
            reason: format!("`{file}`: {error}"),
        };
        let payload = std::fs::read_to_string(file).map_err(unreadable)?;
        let event = hosts::Event::read(name, &payload, self.get("GITHUB_SHA"))?;
        let own =
            self.number("GITHUB_RUN_ID").map(|run| (run, self.number("GITHUB_RUN_ATTEMPT").unwrap_or(1)));
        Ok(Some(Workflow {
            api: self.get("GITHUB_API_URL").unwrap_or("https://api.github.com").to_owned(),
            token: self.get("GITHUB_TOKEN").map(Secret::new),
            repository: hosts::Repository::parse(repository)?,
            turn: event.run.or(own).map(|(run, attempt)| RunOrder { run, attempt }),
            event,
        }))
    }

    /// The GitLab pipeline; `None` outside of one.
    pub fn pipeline(&self) -> Option<Pipeline> {
        self.get("GITLAB_CI")?;
        let text = |name: &str| self.get(name).map(ToOwned::to_owned);
        let merge_request = || {
            let project = ["CI_MERGE_REQUEST_PROJECT_ID", "CI_PROJECT_ID"];
            let project = project.iter().find_map(|name| self.number(name))?;
            let number = self.number("CI_MERGE_REQUEST_IID")?;
            let url = self.get("CI_MERGE_REQUEST_PROJECT_URL").or_else(|| self.get("CI_PROJECT_URL"));
            let page = format!("{}/-/merge_requests/{number}", url.unwrap_or_default());
            Some(MergeRequest { project, number, page })
        };
        // Another try of a job is another job, with a higher number.
        let attempt = self.number("CI_JOB_ID").unwrap_or(1);
        Some(Pipeline {
            api: self.get("CI_API_V4_URL").unwrap_or("https://gitlab.com/api/v4").to_owned(),
            token: self.get("PGTRICKLE_CI_GITLAB_TOKEN").map(Secret::new),
            merge_request: merge_request(),
            commit: text("CI_COMMIT_SHA"),
            turn: self.number("CI_PIPELINE_ID").map(|run| RunOrder { run, attempt }),
        })
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    /// The tested commit, from GitHub's event or GitLab's variable.
    pub fn commit(&self) -> Option<String> {
        let event = self.workflow().ok().flatten().map(|workflow| workflow.event);
        event.and_then(|event| event.commit).or_else(|| self.get("CI_COMMIT_SHA").map(Into::into))
    }

    /// The job with its leg of the matrix; `None` outside of one. The Action passes the matrix, because a runner of
    /// GitHub has no variable for it; GitLab's name of the job contains it.
    pub fn leg(&self) -> Option<String> {
        let matrix = self.get("PGTRICKLE_CI_MATRIX").unwrap_or_default();
        let job = self.get("GITHUB_JOB").or_else(|| self.get("CI_JOB_NAME"));
        job.map(|job| legs::name(job, matrix))
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
