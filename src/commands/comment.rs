//! `comment`: posts a report as the comment of its pull or merge request, or as GitHub's issue for a nightly run.
//!
//! It is a separate command, so that the gate, which runs code of the pull request, never has a token.

use std::path::Path;

use crate::{
    Error,
    commands::runner,
    exit::Exit,
    hosts::{
        self, EventSubject, GitHubClient, GitLabClient, Marker, NightlyIssue, PostOutcome, Posted,
        RetryPolicy,
    },
    options::{CommentOptions, Pipeline, When, Workflow},
    output,
    report::{
        self, Report,
        legs::{ComposedComment, Posting},
        markdown,
    },
};

/// Why a report is not posted or rendered, apart from the host's errors.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("cannot read the report `{file}`: {source}")]
    Unreadable { file: String, source: std::io::Error },
    #[error(
        "not in a GitHub workflow or a GitLab pipeline: neither GITHUB_REPOSITORY and GITHUB_EVENT_NAME nor GITLAB_CI are set"
    )]
    NoWorkflow,
    #[error("no token: GITHUB_TOKEN is not set")]
    NoToken,
    #[error("no token: PGTRICKLE_CI_GITLAB_TOKEN is not set")]
    NoGitLabToken,
    #[error("no open pull request to comment on")]
    NoPullRequest,
    #[error("no merge request to comment on: CI_MERGE_REQUEST_IID is not set")]
    NoMergeRequest,
    /// The report is for another commit.
    #[error("the report is for {}, this job for commit {event}", report.as_deref().map_or_else(|| "no commit".to_owned(), |commit| format!("commit {commit}")))]
    WrongCommit { report: Option<String>, event: String },
    #[error("`{file}` is a report of the project `{project}`, `{first}` one of `{expected}`")]
    OtherProject { file: String, project: String, first: String, expected: String },
    #[error("several reports are one HTML page: only `--html FILE` takes them")]
    SeveralReports,
}

impl Refusal {
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "write one with `run`, `plan` or `check` and `--json FILE`".into(),
            Self::NoWorkflow => "print the comment with `pgtrickle-ci comment --dry-run --from-report FILE`".into(),
            Self::NoToken => "add `GITHUB_TOKEN: ${{ github.token }}` to the step's `env:`".into(),
            Self::NoGitLabToken => {
                "create a project access token with the role Reporter and the scope `api`, and save it as the masked CI/CD variable PGTRICKLE_CI_GITLAB_TOKEN. A protected variable is missing in most merge requests, and CI_JOB_TOKEN cannot comment".into()
            }
            Self::NoMergeRequest => {
                "run the job in pipelines of merge requests, with the rule `if: $CI_PIPELINE_SOURCE == \"merge_request_event\"`, or use `--when auto`, which posts only if there is one".into()
            }
            Self::NoPullRequest => "use `--when auto`, which posts only if there is one".into(),
            Self::WrongCommit { .. } => {
                "post the report of the run that triggered this workflow, or of this pipeline; a report written outside of both has no commit".into()
            }
            Self::OtherProject { .. } => "write a page for each project".into(),
            Self::SeveralReports => "merge those of shards first, with `pgtrickle-ci report merge FILE...`".into(),
        }
    }
}

/// Posts the report, or prints the comment.
pub(super) async fn comment(options: &CommentOptions) -> Result<Exit, Error> {
    let report = read(&options.from_report)?;
    if options.dry_run {
        output::to_file(Path::new("-"), &markdown::render(&report))?;
        return Ok(Exit::Passed);
    }
    let key = hosts::Key::new(options.key.as_deref().unwrap_or("default"))?;
    let when = options.when;
    if when == When::Never {
        return Ok(Exit::Passed);
    }
    match post(options, &report, key).await {
        Ok(message) => {
            options.ui.say(&message);
            Ok(Exit::Passed)
        }
        // An unusable report is always an error.
        Err(error @ (Error::Report(_) | Error::Refusal(Refusal::WrongCommit { .. }))) => Err(error),
        Err(Error::Refusal(refusal @ (Refusal::NoPullRequest | Refusal::NoMergeRequest)))
            if when == When::Auto =>
        {
            options.ui.say(&format!("{refusal}: nothing posted"));
            Ok(Exit::Passed)
        }
        Err(error) if when == When::Auto => {
            warn(options, &error);
            Ok(Exit::Passed)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn read(file: &Path) -> Result<Report, Error> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|source| Refusal::Unreadable { file: name.clone(), source })?;
    Ok(report::read::read(&name, &text)?)
}

/// Posts to the host whose job this is, and returns a message about it.
async fn post(options: &CommentOptions, report: &Report, key: hosts::Key) -> Result<String, Error> {
    let (what, posted) = if let Some(workflow) = options.environment.workflow()? {
        to_github(options, workflow, report, key).await?
    } else if let Some(pipeline) = options.environment.pipeline() {
        ("comment", Some(to_gitlab(options, pipeline, report, key).await?))
    } else {
        return Err(Refusal::NoWorkflow.into());
    };
    let Some(Posted { what: result, url }) = posted else {
        return Ok("the report passed and no issue is open: nothing posted".into());
    };
    let line = format!("comment-url={}\n", report::text::line(&url));
    runner::append(options.ui, options.runner.output.as_deref(), &line);
    Ok(match result {
        PostOutcome::Created => format!("created the {what} {url}"),
        PostOutcome::Updated => format!("updated the {what} {url}"),
        PostOutcome::Unchanged => format!("the {what} {url} is up to date"),
        PostOutcome::Later => format!("a later run already updated the {what} {url}"),
    })
}

/// Posts to the workflow's pull request or issue; `None` if there is nothing to post.
async fn to_github(
    options: &CommentOptions,
    workflow: Workflow,
    report: &Report,
    key: hosts::Key,
) -> Result<(&'static str, Option<Posted>), Error> {
    let Workflow { api, token, repository, event, turn } = workflow;
    expect_commit(report, event.commit.as_deref())?;
    let token = token.ok_or(Refusal::NoToken)?;
    let client = GitHubClient::new(&api, &token, repository, RetryPolicy::default())?;
    let marker = Marker { key, run: turn.map(|turn| turn.run) };
    let leg = leg(options, report);
    let posting = Posting { report, leg: &leg, turn: turn.unwrap_or_default() };
    let compose = |bodies: &[&str]| posting.compose(bodies, markdown::COMMENT_LIMIT);
    if event.subject == EventSubject::Schedule {
        let update = |bodies: &[&str]| compose(bodies).map(verdict);
        return Ok(("issue", hosts::keep_issue(&client, &marker, &night(report), update).await?));
    }
    let number = client.pull_request(&event).await?.ok_or(Refusal::NoPullRequest)?;
    let text = |bodies: &[&str]| compose(bodies).map(|composed| composed.text);
    Ok(("comment", Some(hosts::post(&client.thread(number).await?, &marker, text).await?)))
}

/// Posts to the pipeline's merge request.
async fn to_gitlab(
    options: &CommentOptions,
    pipeline: Pipeline,
    report: &Report,
    key: hosts::Key,
) -> Result<Posted, Error> {
    let Pipeline { api, token, merge_request, commit, turn } = pipeline;
    let merge_request = merge_request.ok_or(Refusal::NoMergeRequest)?;
    expect_commit(report, commit.as_deref())?;
    let token = token.ok_or(Refusal::NoGitLabToken)?;
    let client = GitLabClient::new(&api, &token, RetryPolicy::default())?;
    let marker = Marker { key, run: turn.map(|turn| turn.run) };
    let leg = leg(options, report);
    let posting = Posting { report, leg: &leg, turn: turn.unwrap_or_default() };
    let text = |bodies: &[&str]| posting.compose(bodies, markdown::NOTE_LIMIT).map(|composed| composed.text);
    Ok(hosts::post(&client.thread(&merge_request).await?, &marker, text).await?)
}

fn expect_commit(report: &Report, commit: Option<&str>) -> Result<(), Refusal> {
    match commit {
        Some(commit) if report.commit.as_deref() != Some(commit) => {
            Err(Refusal::WrongCommit { report: report.commit.clone(), event: commit.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The job that wrote the report. Reports of older versions do not name it.
fn leg(options: &CommentOptions, report: &Report) -> String {
    report.leg.clone().or_else(|| options.environment.leg()).unwrap_or_default()
}

fn verdict(composed: ComposedComment) -> hosts::IssueUpdate {
    let ComposedComment { text, passed, is_news } = composed;
    hosts::IssueUpdate { text, passed, is_news }
}

fn night(report: &Report) -> NightlyIssue {
    let project = report.project.as_deref().or(report.target.as_deref()).unwrap_or_default();
    NightlyIssue {
        title: format!("pgtrickle-ci: nightly {} of {} fails", report.command, report::text::line(project)),
        news: markdown::render_news(report),
    }
}

/// Warns only: a missing comment must not fail the job, which shows the report elsewhere.
fn warn(options: &CommentOptions, error: &Error) {
    let hint = error.hint().map(|hint| format!("{hint}\n")).unwrap_or_default();
    let summary = if options.ui.runner { "The job summary contains the report." } else { "" };
    options.ui.warn("cannot post the comment", format!("{error}\n{hint}{summary}").trim_end());
}
