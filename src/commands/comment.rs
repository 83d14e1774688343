//! `comment`: a report becomes the one comment of its pull request, or at night the one issue.
//!
//! It is a command of its own so that the gate, which runs what a pull request brings, never has a token.

use std::path::Path;

use crate::{
    Error,
    commands::runner,
    exit::Exit,
    github::{self, Client, Marker, Night, Patience, Posted, Subject, What},
    options::{CommentOptions, When, Workflow},
    output::{self, Ui},
    report::{
        self, Report,
        legs::{Composed, Posting},
        markdown,
    },
};

/// Why a report is not posted, apart from what GitHub says.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The report's file.
    #[error("cannot read the report `{file}`: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not in a workflow.
    #[error("this is no GitHub workflow: GITHUB_REPOSITORY and GITHUB_EVENT_NAME are not set")]
    NoWorkflow,
    /// No token.
    #[error("there is no token: GITHUB_TOKEN is not set")]
    NoToken,
    /// Nothing to comment on.
    #[error("there is no open pull request to comment on")]
    NoPullRequest,
    /// A report of something else.
    #[error("the report is about {}, the workflow about the commit {event}", report.as_deref().map_or_else(|| "no commit".to_owned(), |commit| format!("the commit {commit}")))]
    WrongCommit {
        /// The report's commit.
        report: Option<String>,
        /// The workflow's commit.
        event: String,
    },
}

impl Refusal {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "make one with `--json FILE` of `run`, `plan` or `check`".into(),
            Self::NoWorkflow => "see the body with `pgtrickle-ci comment --dry-run --from-report FILE`".into(),
            Self::NoToken => "give the step `GITHUB_TOKEN: ${{ github.token }}` as its `env:`".into(),
            Self::NoPullRequest => "leave `--when` at `auto`, which posts only where there is one".into(),
            Self::WrongCommit { .. } => {
                "post the report of the run that started this workflow; it was made in a workflow that tells the commit".into()
            }
        }
    }
}

/// Posts the report, or shows what would be posted.
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
        Ok(said) => {
            options.ui.say(&said);
            Ok(Exit::Passed)
        }
        // What is wrong with the report or the request for it is never hidden.
        Err(error @ (Error::Report(_) | Error::Refusal(Refusal::WrongCommit { .. }))) => Err(error),
        Err(Error::Refusal(Refusal::NoPullRequest)) if when == When::Auto => {
            options.ui.say("there is no open pull request: nothing is posted");
            Ok(Exit::Passed)
        }
        Err(error) if when == When::Auto => {
            warn(options.ui, &error);
            Ok(Exit::Passed)
        }
        Err(error) => Err(error),
    }
}

fn read(file: &Path) -> Result<Report, Error> {
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|source| Refusal::Unreadable { file: name.clone(), source })?;
    Ok(report::read::read(&name, &text)?)
}

/// Posts to what the workflow is about, and says what became of it.
async fn post(options: &CommentOptions, report: &Report, key: github::Key) -> Result<String, Error> {
    let Workflow { api, token, repository, event, turn } =
        options.environment.workflow()?.ok_or(Refusal::NoWorkflow)?;
    if let Some(commit) = &event.commit
        && report.commit.as_ref() != Some(commit)
    {
        return Err(Refusal::WrongCommit { report: report.commit.clone(), event: commit.clone() }.into());
    }
    let token = token.ok_or(Refusal::NoToken)?;
    let client = Client::new(&api, &token, repository, Patience::default())?;
    let marker = Marker { key, run: turn.map(|turn| turn.run) };
    // A report of an older version does not name its job.
    let leg = report.leg.clone().or_else(|| options.environment.leg()).unwrap_or_default();
    let posting = Posting { report, leg: &leg, turn: turn.unwrap_or_default() };
    let compose = |bodies: &[&str]| posting.compose(bodies, markdown::COMMENT_LIMIT);
    let (what, posted) = if event.subject == Subject::Schedule {
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
    let Some(Posted { what: became, url }) = posted else {
        return Ok("all is well, and no issue is open".into());
    };
    let line = format!("comment-url={}\n", report::text::line(&url));
    runner::append(options.ui, options.runner.output.as_deref(), &line);
    Ok(match became {
        What::Created => format!("created the {what} {url}"),
        What::Updated => format!("updated the {what} {url}"),
        What::Unchanged => format!("the {what} {url} says so already"),
        What::Later => format!("a later run has written the {what} {url} already"),
    })
}

fn verdict(composed: Composed) -> github::Verdict {
    let Composed { text, passed, is_news } = composed;
    github::Verdict { text, passed, is_news }
}

fn night(report: &Report) -> Night {
    let project = report.project.as_deref().or(report.target.as_deref()).unwrap_or_default();
    Night {
        title: format!(
            "pgtrickle-ci: the nightly {} of {} fails",
            report.command,
            report::text::line(project)
        ),
        news: markdown::render_news(report),
    }
}

/// A comment that cannot be posted is no reason to be red. The job's summary says the same as it would.
fn warn(ui: Ui, error: &Error) {
    let hint = error.hint().map(|hint| format!("{hint}\n")).unwrap_or_default();
    let text = format!("{error}\n{hint}The job's summary says what the comment would.");
    ui.warn("the comment could not be posted", &text);
}
