//! The one issue of the nights: open while a job's gate says no, closed when all say yes again.
//!
//! Each job of the night has a part in it, which stays until the same job reports again: a job that passed cannot close
//! what another one opened. As with the comment of a pull request, a write counts when it is still there after a pause.

use serde_json::json;
use tokio::time::Instant;

use super::{
    Client, Error, Marker, Posted, What,
    client::Entry,
    sticky::{is_ours, lines, settle},
};

/// What a night has to say.
#[derive(Clone, Debug)]
pub struct Night {
    /// The issue's title.
    pub title: String,
    /// What is said below the issue when it is about something else than the night before, or over.
    pub news: String,
}

/// What the issue becomes.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Its text.
    pub text: String,
    /// Every job said yes.
    pub passed: bool,
    /// It is about something else than before.
    pub is_news: bool,
}

/// Opens, updates or closes the issue with this marker; `None` where all is well and there is none. `compose` makes its
/// text of those that are there, as in [`super::post`].
pub async fn keep(
    client: &Client,
    marker: &Marker,
    night: &Night,
    compose: impl Fn(&[&str]) -> Option<Verdict>,
) -> Result<Option<Posted>, Error> {
    let me = client.patiently(async || client.viewer().await).await?;
    let begin = Instant::now();
    let mut first: Option<Posted> = None;
    loop {
        let is_first = first.is_none();
        let round = client.patiently(async || once(client, &me, marker, night, is_first, &compose).await);
        match round.await? {
            None => return Ok(first),
            Some(posted) if matches!(posted.what, What::Unchanged | What::Later) => {
                return Ok(Some(first.unwrap_or(posted)));
            }
            Some(posted) => first.get_or_insert(posted),
        };
        settle(client, begin).await?;
    }
}

async fn once(
    client: &Client,
    me: &str,
    marker: &Marker,
    night: &Night,
    is_first: bool,
    compose: &impl Fn(&[&str]) -> Option<Verdict>,
) -> Result<Option<Posted>, Error> {
    let creator: String = url::form_urlencoded::byte_serialize(me.as_bytes()).collect();
    let open = client.all("reading the issues", &format!("issues?state=open&creator={creator}")).await?;
    let mut ours: Vec<_> =
        open.into_iter().filter(|issue| issue.pull_request.is_none() && is_ours(issue, me, marker)).collect();
    ours.sort_by_key(|issue| issue.number);
    let bodies: Vec<_> = ours.iter().filter_map(|issue| issue.body.as_deref()).collect();
    let verdict = compose(&bodies);
    let (Some(issue), Some(Verdict { text, passed, is_news })) = (ours.first(), &verdict) else {
        return match (ours.first(), verdict) {
            (Some(issue), _) => Ok(Some(Posted { what: What::Later, url: issue.html_url.clone() })),
            (None, Some(Verdict { text, passed: false, .. })) => {
                open_issue(client, night, &marker.sign(&text)).await.map(Some)
            }
            (None, _) => Ok(None),
        };
    };
    let signed = marker.sign(text);
    if *is_news && is_first {
        // The comment comes first: of an issue that is closed nobody would hear it.
        say(client, issue, &night.news).await?;
    }
    for duplicate in ours.iter().skip(1) {
        change(client, duplicate, &json!({"state": "closed", "state_reason": "not_planned"})).await?;
    }
    if *passed {
        let end = json!({"body": signed, "state": "closed", "state_reason": "completed"});
        return change(client, issue, &end).await.map(Some);
    }
    if lines(issue.body.as_deref().unwrap_or_default()) == lines(&signed) {
        return Ok(Some(Posted { what: What::Unchanged, url: issue.html_url.clone() }));
    }
    change(client, issue, &json!({"body": signed})).await.map(Some)
}

async fn open_issue(client: &Client, night: &Night, signed: &str) -> Result<Posted, Error> {
    let body = json!({"title": night.title, "body": signed});
    let created = client.create("opening the issue", "issues", &body).await?;
    Ok(Posted { what: What::Created, url: created.html_url })
}

async fn say(client: &Client, issue: &Entry, news: &str) -> Result<(), Error> {
    let route = format!("issues/{}/comments", issue.number);
    client.create("commenting on the issue", &route, &json!({"body": news})).await.map(drop)
}

async fn change(client: &Client, issue: &Entry, change: &serde_json::Value) -> Result<Posted, Error> {
    let updated = client.update("updating the issue", &format!("issues/{}", issue.number), change).await?;
    Ok(Posted { what: What::Updated, url: updated.html_url })
}
