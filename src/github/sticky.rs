//! The one comment of a pull request: found again by its marker and its author, and brought up to date.

use serde_json::json;

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

/// Makes `body` the one comment with this marker on the pull request.
pub async fn post(client: &Client, number: u64, marker: &Marker, body: &str) -> Result<Posted, Error> {
    let signed = marker.sign(body);
    // Whatever happened to a request without an answer, the next round sees it: nothing is ever created twice.
    client.patiently(async || once(client, number, marker, body, &signed).await).await
}

async fn once(
    client: &Client,
    number: u64,
    marker: &Marker,
    body: &str,
    signed: &str,
) -> Result<Posted, Error> {
    let list = format!("issues/{number}/comments");
    let (me, comments) = tokio::try_join!(client.viewer(), comments(client, &list))?;
    let ours = ours(&comments, &me, marker);
    let Some((oldest, newer)) = ours.split_first() else {
        let created = client.create("creating the comment", &list, &json!({"body": signed})).await?;
        return settle(client, &list, &me, marker, created, signed).await;
    };
    for duplicate in newer {
        remove(client, duplicate.id).await?;
    }
    bring_up_to_date(client, oldest, marker, body, signed).await
}

/// Of two runs that created one at once, the one with the younger comment gives way.
async fn settle(
    client: &Client,
    list: &str,
    me: &str,
    marker: &Marker,
    created: Entry,
    signed: &str,
) -> Result<Posted, Error> {
    let comments = comments(client, list).await?;
    match ours(&comments, me, marker).first() {
        Some(oldest) if oldest.id < created.id => {
            let updated = update(client, oldest.id, signed).await?;
            remove(client, created.id).await?;
            Ok(Posted { what: What::Updated, url: updated.html_url })
        }
        _ => Ok(Posted { what: What::Created, url: created.html_url }),
    }
}

async fn bring_up_to_date(
    client: &Client,
    comment: &Entry,
    marker: &Marker,
    body: &str,
    signed: &str,
) -> Result<Posted, Error> {
    let url = comment.html_url.clone();
    let there = comment.body.as_deref().unwrap_or_default();
    let found = Marker::find(&marker.key, there);
    let is_later = found.as_ref().is_some_and(|(_, other)| other.run > marker.run && marker.run.is_some());
    if is_later {
        return Ok(Posted { what: What::Later, url });
    }
    if found.is_some_and(|(text, _)| lines(text) == lines(body)) {
        return Ok(Posted { what: What::Unchanged, url });
    }
    update(client, comment.id, signed).await?;
    Ok(Posted { what: What::Updated, url })
}

/// A text line by line, whatever its line ends have become.
fn lines(text: &str) -> Vec<&str> {
    text.trim_end().lines().map(str::trim_end).collect()
}

async fn comments(client: &Client, list: &str) -> Result<Vec<Entry>, Error> {
    client.all("reading the comments", list).await
}

async fn update(client: &Client, id: u64, signed: &str) -> Result<Entry, Error> {
    client.update("updating the comment", &format!("issues/comments/{id}"), &json!({"body": signed})).await
}

async fn remove(client: &Client, id: u64) -> Result<(), Error> {
    client.delete("removing the second of two comments", &format!("issues/comments/{id}")).await
}

/// Ours, the oldest first. The marker alone proves nothing: anybody can write it.
fn ours<'a>(comments: &'a [Entry], me: &str, marker: &Marker) -> Vec<&'a Entry> {
    let mut ours: Vec<_> = comments.iter().filter(|comment| is_ours(comment, me, marker)).collect();
    ours.sort_by_key(|comment| comment.id);
    ours
}

pub(super) fn is_ours(entry: &Entry, me: &str, marker: &Marker) -> bool {
    let by_us = |user: &User| user.login.eq_ignore_ascii_case(me);
    entry.user.as_ref().is_some_and(by_us)
        && entry.body.as_deref().is_some_and(|body| Marker::find(&marker.key, body).is_some())
}
