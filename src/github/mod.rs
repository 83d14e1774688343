//! GitHub: what a workflow was started by, the one comment of a pull request, and the one issue of the nights.

mod client;
mod error;
mod event;
mod issue;
mod marker;
mod sticky;

pub use client::{Client, Patience};
pub use error::Error;
pub use event::{Event, Repository, Subject};
pub use issue::{Night, Verdict, keep as keep_issue};
pub use marker::{Key, Marker};
pub use sticky::{Posted, What, post};
