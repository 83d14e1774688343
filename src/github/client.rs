//! Requests to GitHub's API, with a time limit and retries for temporary failures.

use std::time::Duration;

use octocrab::Octocrab;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use url::Url;

use super::{Error, Event, EventSubject, Repository};
use crate::model::Secret;

/// The maximum page size of GitHub's API.
const PAGE: usize = 100;

/// How long to wait for GitHub.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// For one response.
    pub answer: Duration,
    /// For an operation with its retries and pauses. A longer wait that GitHub requests is an error.
    pub whole: Duration,
    /// The pause after the first failure; each further one is twice as long.
    pub pause: Duration,
    /// The pause before a write is read again: longer than another job takes between its read and its write.
    pub settle: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(15),
            whole: Duration::from_secs(90),
            pause: Duration::from_millis(500),
            settle: Duration::from_secs(2),
        }
    }
}

/// How often an operation is tried.
const TRIES: u32 = 5;

/// How many redirects one request follows.
const REDIRECTS: usize = 3;

/// The wait after a rate limit if GitHub does not say how long.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);

/// A client for one repository, with one token.
pub struct GitHubClient {
    octocrab: Octocrab,
    /// The address of the API: the token is sent to no other host.
    api: Url,
    /// The prefix of REST paths on GitHub Enterprise Server. GraphQL is outside of it.
    rest: &'static str,
    repository: Repository,
    pub(super) retry_policy: RetryPolicy,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

/// A comment or an issue.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    /// Updates name a comment by its id, and an issue by its number.
    pub(super) id: u64,
    #[serde(default)]
    pub(super) number: u64,
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) user: Option<User>,
    pub(super) html_url: String,
    /// Set for pull requests, which GitHub lists as issues.
    #[serde(default)]
    pub(super) pull_request: Option<Json>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
    state: String,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
}

impl GitHubClient {
    /// A client for the API at `api`, as `https://api.github.com`.
    pub fn new(
        api: &str,
        token: &Secret,
        repository: Repository,
        retry_policy: RetryPolicy,
    ) -> Result<Self, Error> {
        let wrong = |_| Error::Address(api.to_owned());
        let api = api.trim_end_matches('/');
        let address = Url::parse(api).map_err(|_| Error::Address(api.to_owned()))?;
        let (base, rest) = api.strip_suffix("/v3").map_or((api, ""), |base| (base, "/v3"));
        let octocrab = Octocrab::builder()
            .base_uri(base)
            .map_err(wrong)?
            .personal_token(token.reveal())
            .set_connect_timeout(Some(retry_policy.answer))
            .build()
            .map_err(wrong)?;
        Ok(Self { octocrab, api: address, rest, repository, retry_policy })
    }

    /// The number of the event's open pull request, if there is one.
    pub async fn pull_request(&self, event: &Event) -> Result<Option<u64>, Error> {
        let route = match (&event.subject, &event.commit) {
            (EventSubject::PullRequest(number), _) => return Ok(Some(*number)),
            (EventSubject::Branch(head), _) => {
                let query: String = url::form_urlencoded::byte_serialize(head.as_bytes()).collect();
                self.route(&format!("pulls?state=open&head={query}&per_page={PAGE}"))
            }
            (EventSubject::Commit, Some(commit)) => {
                self.route(&format!("commits/{commit}/pulls?per_page={PAGE}"))
            }
            (EventSubject::Commit, None) | (EventSubject::Schedule, _) => return Ok(None),
        };
        let found: Vec<PullRequest> = self
            .with_retries(async || self.get("looking for the pull request of the commit", &route).await)
            .await?;
        let is_it = |pull: &&PullRequest| {
            pull.state == "open" && event.commit.as_ref().is_none_or(|commit| pull.head.sha == *commit)
        };
        Ok(found.iter().find(is_it).map(|pull| pull.number))
    }

    /// The login that this token writes as.
    pub(super) async fn viewer(&self) -> Result<String, Error> {
        let doing = "reading the login of the token";
        let question = json!({"query": "query { viewer { login } }"});
        let answer = self.send(doing, HttpMethod::Post, "/graphql", Some(&question)).await;
        let login = |answer: Json| Some(answer.pointer("/data/viewer/login")?.as_str()?.to_owned());
        match answer.map(login) {
            Ok(Some(login)) => Ok(login),
            Err(busy @ Error::Busy { .. }) => Err(busy),
            // GraphQL answers for every kind of token, REST only for those of people.
            Ok(None) | Err(_) => {
                self.get::<User>(doing, &format!("{}/user", self.rest)).await.map(|user| user.login)
            }
        }
    }

    /// All entries of a list, from all pages.
    pub(super) async fn all(&self, doing: &'static str, route: &str) -> Result<Vec<Entry>, Error> {
        let mut all = Vec::new();
        let more = if route.contains('?') { '&' } else { '?' };
        for page in 1.. {
            let route = self.route(&format!("{route}{more}per_page={PAGE}&page={page}"));
            let entries: Vec<Entry> = self.get(doing, &route).await?;
            let is_last = entries.len() < PAGE;
            all.extend(entries);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn create(&self, doing: &'static str, route: &str, body: &Json) -> Result<Entry, Error> {
        self.send(doing, HttpMethod::Post, &self.route(route), Some(body)).await
    }

    /// Updates an entry. A missing one is [`Error::Gone`], after which the caller may create it again.
    pub(super) async fn update(&self, doing: &'static str, route: &str, body: &Json) -> Result<Entry, Error> {
        let updated = self.send(doing, HttpMethod::Patch, &self.route(route), Some(body)).await;
        match updated {
            Err(Error::Refused { status: 404 | 410, .. }) => Err(Error::Gone { doing }),
            updated => updated,
        }
    }

    /// Deletes an entry. A missing one is not an error.
    pub(super) async fn delete(&self, doing: &'static str, route: &str) -> Result<(), Error> {
        match self.send::<Json>(doing, HttpMethod::Delete, &self.route(route), None).await {
            Ok(_) | Err(Error::Refused { status: 404 | 410, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Retries the work until it succeeds, fails permanently or takes too long. The work must be repeatable.
    pub(super) async fn with_retries<T>(&self, work: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let begin = Instant::now();
        let mut pause = self.retry_policy.pause;
        for _ in 1..TRIES {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(wait) = error.retry_after() else { return Err(error) };
            let pause_now = pause.max(wait);
            if begin.elapsed() + pause_now > self.retry_policy.whole {
                return Err(error);
            }
            tokio::time::sleep(pause_now).await;
            pause *= 2;
        }
        work().await
    }

    async fn get<T: DeserializeOwned>(&self, doing: &'static str, route: &str) -> Result<T, Error> {
        self.send(doing, HttpMethod::Get, route, None).await
    }

    fn route(&self, below: &str) -> String {
        format!("{}/repos/{}/{}/{below}", self.rest, self.repository.owner, self.repository.name)
    }

    /// Sends a request and follows redirects with the same method: GitHub redirects requests for a moved repository.
    async fn send<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        method: HttpMethod,
        route: &str,
        body: Option<&Json>,
    ) -> Result<T, Error> {
        let mut answer = self.exchange(doing, method, route, body).await?;
        for _ in 0..REDIRECTS {
            let Some(route) = self.redirection(&answer) else { break };
            answer = self.exchange(doing, method, &route, body).await?;
        }
        answer.read(doing)
    }

    /// The target of a redirect, if it is on the same host: the token is sent to no other one.
    fn redirection(&self, answer: &Response) -> Option<String> {
        if !matches!(answer.status, 301 | 302 | 307 | 308) {
            return None;
        }
        let location = self.api.join(answer.location.as_deref()?).ok()?;
        if location.origin() != self.api.origin() {
            return None;
        }
        let query = location.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{query}", location.path()))
    }

    async fn exchange(
        &self,
        doing: &'static str,
        method: HttpMethod,
        route: &str,
        body: Option<&Json>,
    ) -> Result<Response, Error> {
        let busy = |reason: String| Error::Busy { doing, reason, wait: None };
        let exchange = async {
            let response = match method {
                HttpMethod::Get => self.octocrab._get(route).await,
                HttpMethod::Post => self.octocrab._post(route, body).await,
                HttpMethod::Patch => self.octocrab._patch(route, body).await,
                HttpMethod::Delete => self.octocrab._delete(route, body).await,
            }?;
            let header = |name: &str| response.headers().get(name)?.to_str().ok().map(ToOwned::to_owned);
            Ok::<_, octocrab::Error>(Response {
                status: response.status().as_u16(),
                wait: requested_wait(|name| header(name)?.parse().ok()),
                location: header("location"),
                text: self.octocrab.body_to_string(response).await?,
            })
        };
        match tokio::time::timeout(self.retry_policy.answer, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(busy(innermost(&error))),
            Err(_) => Err(busy("no answer in time".into())),
        }
    }
}

struct Response {
    status: u16,
    /// How long to wait before the next request.
    wait: Option<Duration>,
    /// The target of a redirect.
    location: Option<String>,
    text: String,
}

impl Response {
    fn read<T: DeserializeOwned>(self, doing: &'static str) -> Result<T, Error> {
        let Self { status, wait, location, text } = self;
        if (200..300).contains(&status) {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text).map_err(|source| Error::Answer { doing, source });
        }
        let busy = |reason: String, wait| Error::Busy { doing, reason, wait };
        let message = message(&text);
        // A rate limit, unlike a missing permission, has that text or says when it ends.
        let is_limit = wait.is_some() || message.to_ascii_lowercase().contains("rate limit");
        match (status, location) {
            (429, _) => Err(busy(format!("{status} {message}"), wait.or(Some(DEFAULT_WAIT)))),
            (403, _) if is_limit => Err(busy(format!("{status} {message}"), wait.or(Some(DEFAULT_WAIT)))),
            (500.., _) => Err(busy(format!("{status} {message}"), wait)),
            (300..=399, Some(location)) => {
                Err(Error::Refused { doing, status, message: format!("{message}, to {location}") })
            }
            _ => Err(Error::Refused { doing, status, message }),
        }
    }
}

#[derive(Clone, Copy)]
enum HttpMethod {
    Get,
    Post,
    Patch,
    Delete,
}

/// How long GitHub wants the client to wait. Earlier requests prolong a rate limit.
fn requested_wait(number: impl Fn(&str) -> Option<u64>) -> Option<Duration> {
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if number("x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(number("x-ratelimit-reset")?).saturating_sub(now))
}

/// GitHub's message, or the beginning of what a proxy sent.
fn message(text: &str) -> String {
    let json = serde_json::from_str::<Json>(text).ok();
    let message = json.as_ref().and_then(|json| json.get("message")).and_then(Json::as_str);
    message.map_or_else(|| text.chars().take(200).collect(), ToOwned::to_owned)
}

/// The cause of the error: the library wraps it in several layers with the same text.
fn innermost(error: &octocrab::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
