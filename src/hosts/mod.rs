//! GitHub and GitLab: the comment on a pull or merge request, the event of a GitHub workflow, and the issue of scheduled
//! runs on GitHub.

mod api;
mod error;
mod event;
mod github;
mod gitlab;
mod issue;
mod marker;
mod sticky;

pub use api::RetryPolicy;
pub use error::{Error, Host};
pub use event::{Event, EventSubject, Repository};
pub use github::GitHubClient;
pub use gitlab::{GitLabClient, MergeRequest};
pub use issue::{IssueUpdate, NightlyIssue, keep as keep_issue};
pub use marker::{Key, Marker};
pub use sticky::{PostOutcome, Posted, Thread, post};
