use std::time::Duration;

/// The names of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Host {
    GitHub,
    GitLab,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the event `{event}` of this workflow: {reason}")]
    Event { event: String, reason: String },
    #[error("`{0}` is not a repository (owner/name)")]
    Repository(String),
    /// Other characters could end the HTML comment of the marker.
    #[error("the comment key `{0}` is not 1 to 64 letters, digits, `.`, `_` and single `-`")]
    Key(String),
    #[error("`{address}` is not a URL of {host}'s API")]
    Address { host: Host, address: String },
    /// A refusal that a retry does not change.
    #[error("{doing} failed: {host} answered {status} {message}")]
    Refused {
        host: Host,
        doing: &'static str,
        /// The HTTP status.
        status: u16,
        message: String,
    },
    /// The comment or issue was deleted in the meantime.
    #[error("{doing} failed: it was deleted in the meantime")]
    Gone { doing: &'static str },
    /// A temporary failure.
    #[error("{doing} failed: {host} did not answer: {reason}")]
    Busy {
        host: Host,
        doing: &'static str,
        reason: String,
        /// How long the host asks to wait, if it says so.
        wait: Option<Duration>,
    },
    /// Other jobs kept writing at the same time.
    #[error("other jobs keep overwriting what this one posts")]
    Overwritten,
    /// The response does not have the expected shape.
    #[error("{doing} failed: cannot read {host}'s answer: {source}")]
    Answer { host: Host, doing: &'static str, source: serde_json::Error },
}

/// The permissions for a GitHub workflow.
const PERMISSIONS: &str = "\
if the token has no write permission, add this to the job:

    permissions:
      contents: read
      pull-requests: write # for the comment of a pull request
      issues: write # for the issue of a scheduled run

The token of a pull request from a fork is always read-only: post its report from a workflow_run";

/// What GitLab's token needs. GitLab answers 404 to a token without access.
const GITLAB_TOKEN: &str = "\
PGTRICKLE_CI_GITLAB_TOKEN has to be an access token of the merge request's project with the role Reporter and the scope \
`api`; or the discussion of the merge request is locked";

impl Error {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Event { .. } | Self::Repository(_) => {
                "run it in a GitHub workflow, or see the body with `pgtrickle-ci comment --dry-run --from-report FILE`"
                    .into()
            }
            Self::Key(_) => "name it as `--comment-key staging`".into(),
            Self::Address { host: Host::GitHub, .. } => {
                "set GITHUB_API_URL as a runner does, for example to `https://api.github.com`".into()
            }
            Self::Address { host: Host::GitLab, .. } => {
                "set CI_API_V4_URL as a runner does, for example to `https://gitlab.com/api/v4`".into()
            }
            Self::Refused { host: Host::GitHub, status: 401, .. } => "set GITHUB_TOKEN to a valid token".into(),
            Self::Refused { host: Host::GitLab, status: 401, .. } => {
                "PGTRICKLE_CI_GITLAB_TOKEN has expired or is no access token: create a new one in the project's settings, \
                 under Access tokens"
                    .into()
            }
            Self::Refused { host: Host::GitLab, status: 300..=399, .. } => {
                "the API has moved: CI_API_V4_URL has its old address. The token is not sent to another host".into()
            }
            Self::Refused { host: Host::GitLab, status: 403 | 404, .. } => GITLAB_TOKEN.into(),
            Self::Refused { status: 300..=399, .. } => {
                "the repository was renamed or moved: start a new run of the workflow, which has the new name. The token is not sent to another host".into()
            }
            Self::Refused { status: 403, message, .. } if message.to_ascii_lowercase().contains("locked") => {
                "the conversation is locked: unlock it, or use a token with write access to the repository".into()
            }
            Self::Refused { status: 403, message, .. } if message.to_ascii_lowercase().contains("archived") => {
                "the repository is archived: nobody can comment there before it is unarchived".into()
            }
            Self::Refused { status: 403 | 404, .. } => PERMISSIONS.into(),
            Self::Refused { status: 422, .. } => {
                "see what is posted with `pgtrickle-ci comment --dry-run --from-report FILE`; if it is right, try again later: \
                 comments that follow each other too fast are refused, too"
                    .into()
            }
            Self::Overwritten => "give each job its own `--comment-key`".into(),
            Self::Refused { .. } | Self::Gone { .. } | Self::Busy { .. } | Self::Answer { .. } => return None,
        })
    }

    /// How long to wait before a retry; `None` if a retry does not help.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { wait, .. } => Some(wait.unwrap_or_default()),
            Self::Gone { .. } => Some(Duration::ZERO),
            Self::Event { .. }
            | Self::Repository(_)
            | Self::Key(_)
            | Self::Address { .. }
            | Self::Refused { .. }
            | Self::Overwritten
            | Self::Answer { .. } => None,
        }
    }
}
