//! GitHub: the event of a workflow, the comment on a pull request, and the issue of scheduled runs.

mod client;
mod error;
mod event;
mod issue;
mod marker;
mod sticky;

pub use client::{GitHubClient, RetryPolicy};
pub use error::Error;
pub use event::{Event, EventSubject, Repository};
pub use issue::{IssueUpdate, NightlyIssue, keep as keep_issue};
pub use marker::{Key, Marker};
pub use sticky::{PostOutcome, Posted, post};
