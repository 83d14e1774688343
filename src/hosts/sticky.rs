//! The comment on a pull or merge request, which is found by its marker and its author and updated.
//!
//! Neither host can update a comment only if it is unchanged, so one of two concurrent jobs may overwrite the other. A
//! write therefore only counts if the comment is unchanged after a pause that is longer than a job takes between its
//! read and its write.

use std::hash::{BuildHasher, RandomState};

use serde_json::json;
use tokio::time::Instant;

use super::{
    Error, Marker, RetryPolicy,
    api::{Api, Entry, User},
};

/// Where the comments of one pull or merge request are.
pub struct Thread<'a> {
    pub(super) api: &'a Api,
    /// The account that the token writes as.
    pub(super) me: String,
    /// The route of the list.
    pub(super) list: String,
    /// The route of a comment, without its id.
    pub(super) one: String,
    /// The page for people, if comments do not have one each.
    pub(super) page: Option<String>,
}

impl Thread<'_> {
    fn one(&self, comment: &Entry) -> String {
        format!("{}/{}", self.one, comment.id)
    }

    fn url(&self, comment: &Entry) -> String {
        match &self.page {
            Some(page) => format!("{page}#note_{}", comment.id),
            None => comment.html_url.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostOutcome {
    Created,
    Updated,
    Unchanged,
    /// A later run has already written, and its text stays.
    Later,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub what: PostOutcome,
    /// The URL for people.
    pub url: String,
}

/// Updates the comment with this marker. `compose` makes the text from the existing texts of the same run, and must
/// return a complete text unchanged; `None` if a later text exists.
pub async fn post(
    thread: &Thread<'_>,
    marker: &Marker,
    compose: impl Fn(&[&str]) -> Option<String>,
) -> Result<Posted, Error> {
    let begin = Instant::now();
    let mut first = None;
    loop {
        // The next round reads the result of a request without an answer, so no comment is created twice.
        let Posted { what, url } =
            thread.api.with_retries(async || once(thread, marker, &compose).await).await?;
        if matches!(what, PostOutcome::Unchanged | PostOutcome::Later) {
            return Ok(Posted { what: first.unwrap_or(what), url });
        }
        first.get_or_insert(what);
        settle(thread.api, begin).await?;
    }
}

/// Waits until only a job that has read the write can overwrite it. The pause is randomly up to twice as long, so that
/// concurrent jobs do not collide again.
pub(super) async fn settle(api: &Api, begin: Instant) -> Result<(), Error> {
    let RetryPolicy { whole, settle: pause, .. } = api.retry_policy();
    if begin.elapsed() > whole {
        return Err(Error::Overwritten);
    }
    let random = u32::try_from(RandomState::new().hash_one(()) % 1_000).unwrap_or_default();
    tokio::time::sleep(pause + pause * random / 1_000).await;
    Ok(())
}

/// Reads the comment, and writes it if that changes it.
async fn once(
    thread: &Thread<'_>,
    marker: &Marker,
    compose: &impl Fn(&[&str]) -> Option<String>,
) -> Result<Posted, Error> {
    let Thread { api, me, list, .. } = thread;
    let comments = api.all("reading the comments", list).await?;
    let ours = ours(&comments, me, marker);
    let found: Vec<_> = ours.iter().filter_map(|(_, body)| Marker::find(&marker.key, body)).collect();
    let is_later = found.iter().any(|(_, other)| marker.run.is_some() && other.run > marker.run);
    let of_this_run = found.iter().filter(|(_, other)| marker.run.is_some() && other.run == marker.run);
    let texts: Vec<_> = of_this_run.map(|(text, _)| *text).collect();
    let text = compose(&texts).filter(|_| !is_later);
    let Some((oldest, existing)) = ours.first() else {
        let body = json!({"body": marker.sign(&text.unwrap_or_default())});
        let created = api.create("creating the comment", list, &body).await?;
        return Ok(Posted { what: PostOutcome::Created, url: thread.url(&created) });
    };
    let url = thread.url(oldest);
    let Some(text) = text else { return Ok(Posted { what: PostOutcome::Later, url }) };
    let signed = marker.sign(&text);
    let is_current = lines(existing) == lines(&signed);
    if !is_current {
        let body = json!({"body": signed});
        api.update("updating the comment", &thread.one(oldest), &body).await?;
    }
    // The oldest comment now has their texts.
    for (duplicate, _) in ours.iter().skip(1) {
        api.delete("removing the second of two comments", &thread.one(duplicate)).await?;
    }
    Ok(Posted { what: if is_current { PostOutcome::Unchanged } else { PostOutcome::Updated }, url })
}

/// The lines of a text, whatever its line ends.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

/// Our comments with their bodies, the oldest first. The marker without our login proves nothing: anyone can write it.
fn ours<'a>(comments: &'a [Entry], me: &str, marker: &Marker) -> Vec<(&'a Entry, &'a str)> {
    let mut ours: Vec<_> = comments
        .iter()
        .filter(|comment| is_ours(comment, me, marker))
        .filter_map(|comment| Some((comment, comment.body.as_deref()?)))
        .collect();
    ours.sort_by_key(|(comment, _)| comment.id);
    ours
}

pub(super) fn is_ours(entry: &Entry, me: &str, marker: &Marker) -> bool {
    let by_us = |user: &User| user.login.eq_ignore_ascii_case(me);
    entry.user.as_ref().is_some_and(by_us)
        && entry.body.as_deref().is_some_and(|body| Marker::find(&marker.key, body).is_some())
}
