//! Requests to the API of GitHub or GitLab, with a time limit and retries for temporary failures.

use std::time::Duration;

use octocrab::Octocrab;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use tokio::time::Instant;
use url::Url;

use super::{Error, Host};
use crate::model::Secret;

/// The maximum page size of both APIs.
pub(super) const PAGE: usize = 100;

/// How long to wait for the host.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// For one response.
    pub answer: Duration,
    /// For an operation with its retries and pauses. A longer wait that the host requests is an error.
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

/// The wait after a rate limit if the host does not say how long.
const DEFAULT_WAIT: Duration = Duration::from_mins(1);

/// A client with one token.
pub(super) struct Api {
    pub(super) host: Host,
    octocrab: Octocrab,
    /// The token is sent to no other host.
    address: Url,
    retry_policy: RetryPolicy,
}

#[derive(Debug, Deserialize)]
pub(super) struct User {
    #[serde(alias = "username")]
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
    #[serde(default, alias = "author")]
    pub(super) user: Option<User>,
    /// GitLab's notes have none.
    #[serde(default)]
    pub(super) html_url: String,
    /// Set for pull requests, which GitHub lists as issues.
    #[serde(default)]
    pub(super) pull_request: Option<Json>,
}

impl Api {
    /// A client for the API at `base`, below which all routes are.
    pub(super) fn new(
        host: Host,
        base: &str,
        token: &Secret,
        retry_policy: RetryPolicy,
    ) -> Result<Self, Error> {
        let wrong = || Error::Address { host, address: base.to_owned() };
        let address = Url::parse(base).map_err(|_| wrong())?;
        let octocrab = Octocrab::builder()
            .base_uri(base)
            .map_err(|_| wrong())?
            .personal_token(token.reveal())
            .set_connect_timeout(Some(retry_policy.answer))
            .build()
            .map_err(|_| wrong())?;
        Ok(Self { host, octocrab, address, retry_policy })
    }

    pub(super) fn retry_policy(&self) -> RetryPolicy {
        self.retry_policy
    }

    /// All entries of a list, from all pages.
    pub(super) async fn all(&self, doing: &'static str, route: &str) -> Result<Vec<Entry>, Error> {
        let mut all = Vec::new();
        let more = if route.contains('?') { '&' } else { '?' };
        for page in 1.. {
            let route = format!("{route}{more}per_page={PAGE}&page={page}");
            let answer = self.answer(doing, HttpMethod::Get, &route, None).await?;
            let next = answer.next_page.clone();
            let entries: Vec<Entry> = self.read(doing, answer)?;
            // GitLab leaves out notes that the token may not see, so a page that is not full need not be the last.
            let is_last = next.map_or(entries.len() < PAGE, |next| next.is_empty());
            all.extend(entries);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    pub(super) async fn create(&self, doing: &'static str, route: &str, body: &Json) -> Result<Entry, Error> {
        self.send(doing, HttpMethod::Post, route, Some(body)).await
    }

    /// Updates an entry. A missing one is [`Error::Gone`], after which the caller may create it again.
    pub(super) async fn update(&self, doing: &'static str, route: &str, body: &Json) -> Result<Entry, Error> {
        let method = match self.host {
            Host::GitHub => HttpMethod::Patch,
            Host::GitLab => HttpMethod::Put,
        };
        let updated = self.send(doing, method, route, Some(body)).await;
        match updated {
            Err(Error::Refused { status: 404 | 410, .. }) => Err(Error::Gone { doing }),
            updated => updated,
        }
    }

    /// Deletes an entry. A missing one is not an error.
    pub(super) async fn delete(&self, doing: &'static str, route: &str) -> Result<(), Error> {
        match self.send::<Json>(doing, HttpMethod::Delete, route, None).await {
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

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        route: &str,
    ) -> Result<T, Error> {
        self.send(doing, HttpMethod::Get, route, None).await
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        method: HttpMethod,
        route: &str,
        body: Option<&Json>,
    ) -> Result<T, Error> {
        let answer = self.answer(doing, method, route, body).await?;
        self.read(doing, answer)
    }

    /// Follows redirects with the same method: the host redirects requests for a moved repository.
    async fn answer(
        &self,
        doing: &'static str,
        method: HttpMethod,
        route: &str,
        body: Option<&Json>,
    ) -> Result<Response, Error> {
        let mut answer = self.exchange(doing, method, route, body).await?;
        for _ in 0..REDIRECTS {
            let Some(route) = self.redirection(&answer) else { break };
            answer = self.exchange(doing, method, &route, body).await?;
        }
        Ok(answer)
    }

    /// The target of a redirect, if it is on the same host: the token is sent to no other one.
    fn redirection(&self, answer: &Response) -> Option<String> {
        if !matches!(answer.status, 301 | 302 | 307 | 308) {
            return None;
        }
        let location = self.address.join(answer.location.as_deref()?).ok()?;
        if location.origin() != self.address.origin() {
            return None;
        }
        let query = location.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{query}", location.path()))
    }

    fn read<T: DeserializeOwned>(&self, doing: &'static str, answer: Response) -> Result<T, Error> {
        let host = self.host;
        let Response { status, meaning, wait, location, text, .. } = answer;
        if (200..300).contains(&status) {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text).map_err(|source| Error::Answer { host, doing, source });
        }
        let busy = |reason: String, wait| Error::Busy { host, doing, reason, wait };
        let message = message(meaning, &text);
        // A rate limit, unlike a missing permission, has that text or says when it ends.
        let is_limit = wait.is_some() || message.to_ascii_lowercase().contains("rate limit");
        match (status, location) {
            (429, _) => Err(busy(format!("{status} {message}"), wait.or(Some(DEFAULT_WAIT)))),
            (403, _) if is_limit => Err(busy(format!("{status} {message}"), wait.or(Some(DEFAULT_WAIT)))),
            (500.., _) => Err(busy(format!("{status} {message}"), wait)),
            (300..=399, Some(location)) => {
                let message = format!("{message}, to {location}");
                Err(Error::Refused { host, doing, status, message })
            }
            _ => Err(Error::Refused { host, doing, status, message }),
        }
    }

    async fn exchange(
        &self,
        doing: &'static str,
        method: HttpMethod,
        route: &str,
        body: Option<&Json>,
    ) -> Result<Response, Error> {
        let host = self.host;
        let busy = |reason: String| Error::Busy { host, doing, reason, wait: None };
        let exchange = async {
            let response = match method {
                HttpMethod::Get => self.octocrab._get(route).await,
                HttpMethod::Post => self.octocrab._post(route, body).await,
                HttpMethod::Patch => self.octocrab._patch(route, body).await,
                HttpMethod::Put => self.octocrab._put(route, body).await,
                HttpMethod::Delete => self.octocrab._delete(route, body).await,
            }?;
            let header = |name: &str| response.headers().get(name)?.to_str().ok().map(ToOwned::to_owned);
            Ok::<_, octocrab::Error>(Response {
                status: response.status().as_u16(),
                meaning: response.status().canonical_reason().unwrap_or("without a reason"),
                wait: requested_wait(|name| header(name)?.parse().ok()),
                location: header("location"),
                next_page: header("x-next-page"),
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
    /// As `Unprocessable Entity`.
    meaning: &'static str,
    /// How long to wait before the next request.
    wait: Option<Duration>,
    /// The target of a redirect.
    location: Option<String>,
    /// GitLab's number of the next page, empty on the last page.
    next_page: Option<String>,
    text: String,
}

#[derive(Clone, Copy)]
pub(super) enum HttpMethod {
    Get,
    Post,
    Patch,
    Put,
    Delete,
}

/// How long the host wants the client to wait. Earlier requests prolong a rate limit.
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

/// The host's message with its details, or the beginning of what a proxy sent, or what the status means. GitLab's message
/// may be an object, and is elsewhere for a token without the scope.
fn message(meaning: &str, text: &str) -> String {
    let json = serde_json::from_str::<Json>(text).unwrap_or_default();
    let details: Vec<String> =
        json.get("errors").and_then(Json::as_array).into_iter().flatten().map(detail).collect();
    let message = match ["message", "error_description", "error"].iter().find_map(|key| json.get(key)) {
        Some(Json::String(message)) => message.clone(),
        Some(message) => message.to_string(),
        None if details.is_empty() => text.trim().chars().take(200).collect(),
        None => String::new(),
    };
    let message = if message.is_empty() { meaning.to_owned() } else { message };
    if details.is_empty() { message } else { format!("{message}: {}", details.join("; ")) }
}

/// One of GitHub's `errors`: a text, an object with a text, or one with the names of what is wrong.
fn detail(error: &Json) -> String {
    let text = error.as_str().or_else(|| error.get("message")?.as_str());
    let names = || ["resource", "field", "code"].iter().filter_map(|key| error.get(key)?.as_str());
    text.map_or_else(|| names().collect::<Vec<_>>().join(" "), ToOwned::to_owned)
}

/// The cause of the error: the library wraps it in several layers with the same text.
fn innermost(error: &octocrab::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
