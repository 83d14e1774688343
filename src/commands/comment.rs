//! `comment`: posts a report as the pull request's comment, or as an issue for a nightly run.
//!
//! It is a separate command, so that the gate, which runs code of the pull request, never has a token.

use std::path::Path;

use crate::{
    Error,
    commands::runner,
    exit::Exit,
    github::{self, EventSubject, GitHubClient, Marker, NightlyIssue, PostOutcome, Posted, RetryPolicy},
    options::{CommentOptions, When, Workflow},
    output::{self, Ui},
    report::{
        self, Report,
        legs::{ComposedComment, Posting},
        markdown,
    },
};

/// Why a report is not posted, apart from GitHub's errors.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("cannot read the report `{file}`: {source}")]
    Unreadable { file: String, source: std::io::Error },
    #[error("not in a GitHub workflow: GITHUB_REPOSITORY and GITHUB_EVENT_NAME are not set")]
    NoWorkflow,
    #[error("no token: GITHUB_TOKEN is not set")]
    NoToken,
    #[error("no open pull request to comment on")]
    NoPullRequest,
    /// The report is for another commit.
    #[error("the report is for {}, the workflow for commit {event}", report.as_deref().map_or_else(|| "no commit".to_owned(), |commit| format!("commit {commit}")))]
    WrongCommit { report: Option<String>, event: String },
}

impl Refusal {
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "write one with `run`, `plan` or `check` and `--json FILE`".into(),
            Self::NoWorkflow => "print the comment with `pgtrickle-ci comment --dry-run --from-report FILE`".into(),
            Self::NoToken => "add `GITHUB_TOKEN: ${{ github.token }}` to the step's `env:`".into(),
            Self::NoPullRequest => "use `--when auto`, which posts only if there is one".into(),
            Self::WrongCommit { .. } => {
                "post the report of the run that triggered this workflow; a report written outside of a workflow has no commit".into()
            }
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
    let key = github::Key::new(options.key.as_deref().unwrap_or("default"))?;
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
        Err(Error::Refusal(Refusal::NoPullRequest)) if when == When::Auto => {
            options.ui.say("no open pull request: nothing posted");
            Ok(Exit::Passed)
        }
        Err(error) if when == When::Auto => {
            warn(options.ui, &error);
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

/// Posts to the workflow's pull request or issue, and returns a message about it.
async fn post(options: &CommentOptions, report: &Report, key: github::Key) -> Result<String, Error> {
    let Workflow { api, token, repository, event, turn } =
        options.environment.workflow()?.ok_or(Refusal::NoWorkflow)?;
    if let Some(commit) = &event.commit
        && report.commit.as_ref() != Some(commit)
    {
        return Err(Refusal::WrongCommit { report: report.commit.clone(), event: commit.clone() }.into());
    }
    let token = token.ok_or(Refusal::NoToken)?;
    let client = GitHubClient::new(&api, &token, repository, RetryPolicy::default())?;
    let marker = Marker { key, run: turn.map(|turn| turn.run) };
    // Reports of older versions do not name their job.
    let leg = report.leg.clone().or_else(|| options.environment.leg()).unwrap_or_default();
    let posting = Posting { report, leg: &leg, turn: turn.unwrap_or_default() };
    let compose = |bodies: &[&str]| posting.compose(bodies, markdown::COMMENT_LIMIT);
    let (what, posted) = if event.subject == EventSubject::Schedule {
        (
            "issue",
            github::keep_issue(&client, &marker, &night(report), |bodies| compose(bodies).map(verdict))
                .await?,
        )
    } else {
        let number = client.pull_request(&event).await?.ok_or(Refusal::NoPullRequest)?;
        let text = |bodies: &[&str]| compose(bodies).map(|composed| composed.text);
        ("comment", Some(github::post(&client, number, &marker, text).await?))
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

fn verdict(composed: ComposedComment) -> github::IssueUpdate {
    let ComposedComment { text, passed, is_news } = composed;
    github::IssueUpdate { text, passed, is_news }
}

fn night(report: &Report) -> NightlyIssue {
    let project = report.project.as_deref().or(report.target.as_deref()).unwrap_or_default();
    NightlyIssue {
        title: format!("pgtrickle-ci: nightly {} of {} fails", report.command, report::text::line(project)),
        news: markdown::render_news(report),
    }
}

/// Warns only: a missing comment must not fail the job, whose summary contains the report.
fn warn(ui: Ui, error: &Error) {
    let hint = error.hint().map(|hint| format!("{hint}\n")).unwrap_or_default();
    let text = format!("{error}\n{hint}The job summary contains the report.");
    ui.warn("cannot post the comment", &text);
}
