//! The one issue of the nights: open while the gate says no, closed when it says yes again.

use serde_json::json;

use super::{Client, Error, Marker, Posted, What, client::Entry, sticky::is_ours};

/// What a night has to say.
#[derive(Clone, Debug)]
pub struct Night {
    /// The gate said yes.
    pub passed: bool,
    /// The issue's title.
    pub title: String,
    /// The issue's body.
    pub body: String,
    /// What is said below the issue when it is about something else than the night before, or over.
    pub news: String,
}

/// Opens, updates or closes the issue with this marker; `None` where all is well and there is none.
pub async fn keep(client: &Client, marker: &Marker, night: &Night) -> Result<Option<Posted>, Error> {
    client.patiently(async || once(client, marker, night).await).await
}

async fn once(client: &Client, marker: &Marker, night: &Night) -> Result<Option<Posted>, Error> {
    let me = client.viewer().await?;
    let creator: String = url::form_urlencoded::byte_serialize(me.as_bytes()).collect();
    let open = client.all("reading the issues", &format!("issues?state=open&creator={creator}")).await?;
    let ours = open.into_iter().filter(|issue| issue.pull_request.is_none() && is_ours(issue, &me, marker));
    match (ours.min_by_key(|issue| issue.number), night.passed) {
        (None, true) => Ok(None),
        (None, false) => {
            let body = json!({"title": night.title, "body": marker.sign(&night.body)});
            let created = client.create("opening the issue", "issues", &body).await?;
            Ok(Some(Posted { what: What::Created, url: created.html_url }))
        }
        (Some(issue), true) => {
            // The comment comes first: of an issue that is closed nobody would hear it.
            say(client, &issue, &night.news).await?;
            change(client, &issue, &json!({"state": "closed", "state_reason": "completed"})).await.map(Some)
        }
        (Some(issue), false) => {
            let before = Marker::find(&marker.key, issue.body.as_deref().unwrap_or_default());
            if before.is_none_or(|(_, before)| before.state != marker.state) {
                say(client, &issue, &night.news).await?;
            }
            change(client, &issue, &json!({"body": marker.sign(&night.body)})).await.map(Some)
        }
    }
}

async fn say(client: &Client, issue: &Entry, news: &str) -> Result<(), Error> {
    let route = format!("issues/{}/comments", issue.number);
    client.create("commenting on the issue", &route, &json!({"body": news})).await.map(drop)
}

async fn change(client: &Client, issue: &Entry, change: &serde_json::Value) -> Result<Posted, Error> {
    let updated = client.update("updating the issue", &format!("issues/{}", issue.number), change).await?;
    Ok(Posted { what: What::Updated, url: updated.html_url })
}
