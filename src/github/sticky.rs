//! The one comment of a pull request: found again by its marker and its author, and brought up to date.
//!
//! GitHub has no way to change a comment only if it is still as it was read, so that of two jobs that write at once one
//! may overwrite the other. A write therefore counts only when the comment still says so after a pause that is longer
//! than another job takes between reading and writing.

use std::hash::{BuildHasher, RandomState};

use serde_json::json;
use tokio::time::Instant;

use super::{
    Client, Error, Marker,
    client::{Entry, User},
};

/// What became of the comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// There was none.
    Created,
    /// It says something else now.
    Updated,
    /// It said so already.
    Unchanged,
    /// A later run has said its word already, and that stays.
    Later,
}

/// The comment as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// What became of it.
    pub what: What,
    /// Where a person reads it.
    pub url: String,
}

/// Brings the one comment with this marker up to date. `compose` makes its text of those of the same run that are there,
/// and has to return a text that holds all it wants unchanged; `None` where a later text is there already.
pub async fn post(
    client: &Client,
    number: u64,
    marker: &Marker,
    compose: impl Fn(&[&str]) -> Option<String>,
) -> Result<Posted, Error> {
    let list = format!("issues/{number}/comments");
    let me = client.patiently(async || client.viewer().await).await?;
    let begin = Instant::now();
    let mut first = None;
    loop {
        // Whatever happened to a request without an answer, the next round sees it: nothing is ever created twice.
        let Posted { what, url } =
            client.patiently(async || once(client, &list, &me, marker, &compose).await).await?;
        if matches!(what, What::Unchanged | What::Later) {
            return Ok(Posted { what: first.unwrap_or(what), url });
        }
        first.get_or_insert(what);
        settle(client, begin).await?;
    }
}

/// Waits until what was written can be overwritten only by a job that read it. The pause is up to twice as long, so that
/// jobs that wrote at once do not do so again.
pub(super) async fn settle(client: &Client, begin: Instant) -> Result<(), Error> {
    if begin.elapsed() > client.patience.whole {
        return Err(Error::Overwritten);
    }
    let pause = client.patience.settle;
    let random = u32::try_from(RandomState::new().hash_one(()) % 1_000).unwrap_or_default();
    tokio::time::sleep(pause + pause * random / 1_000).await;
    Ok(())
}

/// Reads, and writes if that changes anything.
async fn once(
    client: &Client,
    list: &str,
    me: &str,
    marker: &Marker,
    compose: &impl Fn(&[&str]) -> Option<String>,
) -> Result<Posted, Error> {
    let comments = client.all("reading the comments", list).await?;
    let ours = ours(&comments, me, marker);
    let found: Vec<_> = ours.iter().filter_map(|(_, body)| Marker::find(&marker.key, body)).collect();
    let is_later = found.iter().any(|(_, other)| marker.run.is_some() && other.run > marker.run);
    let of_this_run = found.iter().filter(|(_, other)| marker.run.is_some() && other.run == marker.run);
    let texts: Vec<_> = of_this_run.map(|(text, _)| *text).collect();
    let text = compose(&texts).filter(|_| !is_later);
    let Some((oldest, there)) = ours.first() else {
        let body = json!({"body": marker.sign(&text.unwrap_or_default())});
        let created = client.create("creating the comment", list, &body).await?;
        return Ok(Posted { what: What::Created, url: created.html_url });
    };
    let url = oldest.html_url.clone();
    let Some(text) = text else { return Ok(Posted { what: What::Later, url }) };
    let signed = marker.sign(&text);
    let is_there = lines(there) == lines(&signed);
    if !is_there {
        let body = json!({"body": signed});
        client.update("updating the comment", &format!("issues/comments/{}", oldest.id), &body).await?;
    }
    // What they said is in the oldest now.
    for (duplicate, _) in ours.iter().skip(1) {
        let route = format!("issues/comments/{}", duplicate.id);
        client.delete("removing the second of two comments", &route).await?;
    }
    Ok(Posted { what: if is_there { What::Unchanged } else { What::Updated }, url })
}

/// A text line by line, whatever its line ends have become.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

/// Ours and their bodies, the oldest first. The marker alone proves nothing: anybody can write it.
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
