//! The issue of scheduled runs on GitHub: open while the gate of a job fails, closed when all jobs pass again.
//!
//! Each job has a part of the issue, which stays until the same job reports again: a job that passes cannot close the
//! issue of another one. As with the comment of a pull request, a write counts if it is still there after a pause.

use serde_json::json;
use tokio::time::Instant;

use super::{
    Error, GitHubClient, Marker, PostOutcome, Posted,
    api::Entry,
    sticky::{is_ours, lines, settle},
};

#[derive(Clone, Debug)]
pub struct NightlyIssue {
    pub title: String,
    /// The comment that is added when the failures change or end.
    pub news: String,
}

#[derive(Clone, Debug)]
pub struct IssueUpdate {
    pub text: String,
    /// Every job passed.
    pub passed: bool,
    /// The failures are other ones than before.
    pub is_news: bool,
}

/// Opens, updates or closes the issue with this marker; `None` if there is no failure and no issue. `compose` makes the
/// text from the existing texts, as in [`super::post`].
pub async fn keep(
    client: &GitHubClient,
    marker: &Marker,
    night: &NightlyIssue,
    compose: impl Fn(&[&str]) -> Option<IssueUpdate>,
) -> Result<Option<Posted>, Error> {
    let me = client.viewer().await?;
    let begin = Instant::now();
    let mut first: Option<Posted> = None;
    loop {
        let is_first = first.is_none();
        let round =
            client.api.with_retries(async || once(client, &me, marker, night, is_first, &compose).await);
        match round.await? {
            None => return Ok(first),
            Some(posted) if matches!(posted.what, PostOutcome::Unchanged | PostOutcome::Later) => {
                return Ok(Some(first.unwrap_or(posted)));
            }
            Some(posted) => first.get_or_insert(posted),
        };
        settle(&client.api, begin).await?;
    }
}

async fn once(
    client: &GitHubClient,
    me: &str,
    marker: &Marker,
    night: &NightlyIssue,
    is_first: bool,
    compose: &impl Fn(&[&str]) -> Option<IssueUpdate>,
) -> Result<Option<Posted>, Error> {
    let creator: String = url::form_urlencoded::byte_serialize(me.as_bytes()).collect();
    let list = client.route(&format!("issues?state=open&creator={creator}"));
    let open = client.api.all("reading the issues", &list).await?;
    let mut ours: Vec<_> =
        open.into_iter().filter(|issue| issue.pull_request.is_none() && is_ours(issue, me, marker)).collect();
    ours.sort_by_key(|issue| issue.number);
    let bodies: Vec<_> = ours.iter().filter_map(|issue| issue.body.as_deref()).collect();
    let verdict = compose(&bodies);
    let (Some(issue), Some(IssueUpdate { text, passed, is_news })) = (ours.first(), &verdict) else {
        return match (ours.first(), verdict) {
            (Some(issue), _) => Ok(Some(Posted { what: PostOutcome::Later, url: issue.html_url.clone() })),
            (None, Some(IssueUpdate { text, passed: false, .. })) => {
                open_issue(client, night, &marker.sign(&text)).await.map(Some)
            }
            (None, _) => Ok(None),
        };
    };
    let signed = marker.sign(text);
    if *is_news && is_first {
        // The comment comes first, so that GitHub notifies while the issue is open.
        add_comment(client, issue, &night.news).await?;
    }
    for duplicate in ours.iter().skip(1) {
        change(client, duplicate, &json!({"state": "closed", "state_reason": "not_planned"})).await?;
    }
    if *passed {
        let end = json!({"body": signed, "state": "closed", "state_reason": "completed"});
        return change(client, issue, &end).await.map(Some);
    }
    if lines(issue.body.as_deref().unwrap_or_default()) == lines(&signed) {
        return Ok(Some(Posted { what: PostOutcome::Unchanged, url: issue.html_url.clone() }));
    }
    change(client, issue, &json!({"body": signed})).await.map(Some)
}

async fn open_issue(client: &GitHubClient, night: &NightlyIssue, signed: &str) -> Result<Posted, Error> {
    let body = json!({"title": night.title, "body": signed});
    let created = client.api.create("opening the issue", &client.route("issues"), &body).await?;
    Ok(Posted { what: PostOutcome::Created, url: created.html_url })
}

async fn add_comment(client: &GitHubClient, issue: &Entry, news: &str) -> Result<(), Error> {
    let route = client.route(&format!("issues/{}/comments", issue.number));
    client.api.create("commenting on the issue", &route, &json!({"body": news})).await.map(drop)
}

async fn change(client: &GitHubClient, issue: &Entry, change: &serde_json::Value) -> Result<Posted, Error> {
    let route = client.route(&format!("issues/{}", issue.number));
    let updated = client.api.update("updating the issue", &route, change).await?;
    Ok(Posted { what: PostOutcome::Updated, url: updated.html_url })
}
