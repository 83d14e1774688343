//! Why GitHub did not do what it was asked.

use std::time::Duration;

/// Why GitHub did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The workflow's event cannot be understood.
    #[error("the event `{event}` of this workflow cannot be read: {reason}")]
    Event {
        /// Its name.
        event: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `owner/name` is how a repository is written.
    #[error("`{0}` is no repository")]
    Repository(String),
    /// A key that could leave the hidden marker.
    #[error(
        "the comment key `{0}` has other characters than letters, digits, `.`, `_` and `-`, or more than 64"
    )]
    Key(String),
    /// The address of the API is none.
    #[error("`{0}` is no address of GitHub's API")]
    Address(String),
    /// An answer that stays the same however often one asks.
    #[error("GitHub refused {doing}: {status} {message}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// HTTP's number for it.
        status: u16,
        /// GitHub's words.
        message: String,
    },
    /// What was to be changed went away in the meantime.
    #[error("GitHub has nothing to change any more, {doing}")]
    Gone {
        /// What was asked.
        doing: &'static str,
    },
    /// It may answer later.
    #[error("GitHub did not answer, {doing}: {reason}")]
    Busy {
        /// What was asked.
        doing: &'static str,
        /// What came instead of an answer.
        reason: String,
        /// How long it wants to be left alone, where it says so.
        wait: Option<Duration>,
    },
    /// Other jobs write at the same time, again and again.
    #[error("other jobs keep overwriting what this one posts")]
    Overwritten,
    /// An answer in another language.
    #[error("GitHub's answer is not understood, {doing}: {source}")]
    Answer {
        /// What was asked.
        doing: &'static str,
        /// What the parser met.
        source: serde_json::Error,
    },
}

/// What the token lacks, to be copied.
const PERMISSIONS: &str = "\
if the token may not write, give the job this:

    permissions:
      contents: read
      pull-requests: write # for the comment of a pull request
      issues: write # for the issue of a scheduled run

The token of a pull request from a fork only reads, whatever is written there: post its report from a workflow_run";

impl Error {
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Event { .. } | Self::Repository(_) => {
                "run it in a GitHub workflow, or see the body with `pgtrickle-ci comment --dry-run --from-report FILE`"
                    .into()
            }
            Self::Key(_) => "name it as `--comment-key staging`".into(),
            Self::Address(_) => "a runner sets GITHUB_API_URL to it, as `https://api.github.com`".into(),
            Self::Refused { status: 401, .. } => "give a token that is valid in GITHUB_TOKEN".into(),
            Self::Refused { status: 300..=399, .. } => {
                "the repository was renamed or moved: start the workflow again, which then knows its new name; the token is sent to no other host".into()
            }
            Self::Refused { status: 403, message, .. } if message.to_ascii_lowercase().contains("locked") => {
                "the conversation is locked: unlock it, or use a token with write access to the repository".into()
            }
            Self::Refused { status: 403 | 404, .. } => PERMISSIONS.into(),
            Self::Overwritten => "tell the comments of the jobs apart with `--comment-key`".into(),
            Self::Refused { .. } | Self::Gone { .. } | Self::Busy { .. } | Self::Answer { .. } => return None,
        })
    }

    /// Whether asking again may help, and after how long at the earliest.
    pub(super) fn passes_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { wait, .. } => Some(wait.unwrap_or_default()),
            Self::Gone { .. } => Some(Duration::ZERO),
            Self::Event { .. }
            | Self::Repository(_)
            | Self::Key(_)
            | Self::Address(_)
            | Self::Refused { .. }
            | Self::Overwritten
            | Self::Answer { .. } => None,
        }
    }
}
