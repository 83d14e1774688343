//! Requests to GitHub's API: each has an end, and what may help is tried again.

use std::time::Duration;

use octocrab::Octocrab;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};
use tokio::time::Instant;
use url::Url;

use super::{Error, Event, Repository, Subject};
use crate::model::Secret;

/// How many entries GitHub gives at once, at most.
const PAGE: usize = 100;

/// How long GitHub is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one answer.
    pub answer: Duration,
    /// For all of it, pauses included: what it asks for beyond is not waited for.
    pub whole: Duration,
    /// The pause after the first failure; each further one is twice as long.
    pub pause: Duration,
    /// Before what was written is read again: longer than another job takes between its reading and its writing.
    pub settle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(15),
            whole: Duration::from_secs(90),
            pause: Duration::from_millis(500),
            settle: Duration::from_secs(2),
        }
    }
}

/// How often something is tried.
const TRIES: u32 = 5;

/// How often one request is sent on to another address.
const REDIRECTS: usize = 3;

/// How long GitHub wants to be left alone by who asks too often, where it does not say.
const UNTOLD: Duration = Duration::from_mins(1);

/// A repository on GitHub, with what a token may do there.
pub struct Client {
    octocrab: Octocrab,
    /// The address of the API: the token is for no other host.
    api: Url,
    /// What REST has before its paths where GitHub is somebody's own; GraphQL stands beside it.
    rest: &'static str,
    repository: Repository,
    pub(super) patience: Patience,
}

/// Whoever wrote something.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) login: String,
}

/// A comment, or an issue, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    /// A comment is changed by its id, an issue by its number.
    pub(super) id: u64,
    #[serde(default)]
    pub(super) number: u64,
    #[serde(default)]
    pub(super) body: Option<String>,
    #[serde(default)]
    pub(super) user: Option<User>,
    pub(super) html_url: String,
    /// GitHub lists pull requests among the issues.
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

impl Client {
    /// A client of the API at `api`, as `https://api.github.com`.
    pub fn new(api: &str, token: &Secret, repository: Repository, patience: Patience) -> Result<Self, Error> {
        let wrong = |_| Error::Address(api.to_owned());
        let api = api.trim_end_matches('/');
        let address = Url::parse(api).map_err(|_| Error::Address(api.to_owned()))?;
        let (base, rest) = api.strip_suffix("/v3").map_or((api, ""), |base| (base, "/v3"));
        let octocrab = Octocrab::builder()
            .base_uri(base)
            .map_err(wrong)?
            .personal_token(token.reveal())
            .set_connect_timeout(Some(patience.answer))
            .build()
            .map_err(wrong)?;
        Ok(Self { octocrab, api: address, rest, repository, patience })
    }

    /// The pull request that the event is about, if there is one.
    pub async fn pull_request(&self, event: &Event) -> Result<Option<u64>, Error> {
        let route = match (&event.subject, &event.commit) {
            (Subject::PullRequest(number), _) => return Ok(Some(*number)),
            (Subject::Branch(head), _) => {
                let query: String = url::form_urlencoded::byte_serialize(head.as_bytes()).collect();
                self.route(&format!("pulls?state=open&head={query}&per_page={PAGE}"))
            }
            (Subject::Commit, Some(commit)) => self.route(&format!("commits/{commit}/pulls?per_page={PAGE}")),
            (Subject::Commit, None) | (Subject::Schedule, _) => return Ok(None),
        };
        let found: Vec<PullRequest> = self
            .patiently(async || self.get("looking for the pull request of the commit", &route).await)
            .await?;
        let is_it = |pull: &&PullRequest| {
            pull.state == "open" && event.commit.as_ref().is_none_or(|commit| pull.head.sha == *commit)
        };
        Ok(found.iter().find(is_it).map(|pull| pull.number))
    }

    /// The login that this token writes as.
    pub(super) async fn viewer(&self) -> Result<String, Error> {
        let doing = "asking who we are";
        let question = json!({"query": "query { viewer { login } }"});
        let answer = self.send(doing, Method::Post, "/graphql", Some(&question)).await;
        let login = |answer: Json| Some(answer.pointer("/data/viewer/login")?.as_str()?.to_owned());
        match answer.map(login) {
            Ok(Some(login)) => Ok(login),
            Err(busy @ Error::Busy { .. }) => Err(busy),
            // GraphQL knows it for every kind of token, this one for those of people alone.
            Ok(None) | Err(_) => {
                self.get::<User>(doing, &format!("{}/user", self.rest)).await.map(|user| user.login)
            }
        }
    }

    /// All entries of a list, page by page.
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
        self.send(doing, Method::Post, &self.route(route), Some(body)).await
    }

    /// Changes something. What is not there any more may come back: who asks again creates it.
    pub(super) async fn update(&self, doing: &'static str, route: &str, body: &Json) -> Result<Entry, Error> {
        let updated = self.send(doing, Method::Patch, &self.route(route), Some(body)).await;
        match updated {
            Err(Error::Refused { status: 404 | 410, .. }) => Err(Error::Gone { doing }),
            updated => updated,
        }
    }

    /// Removes something; that somebody else was quicker is as good.
    pub(super) async fn delete(&self, doing: &'static str, route: &str) -> Result<(), Error> {
        match self.send::<Json>(doing, Method::Delete, &self.route(route), None).await {
            Ok(_) | Err(Error::Refused { status: 404 | 410, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Does the work until it is done, fails for good or takes too long. The work has to be one that can be begun again.
    pub(super) async fn patiently<T>(&self, work: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let begin = Instant::now();
        let mut pause = self.patience.pause;
        for _ in 1..TRIES {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(asked) = error.passes_after() else { return Err(error) };
            let pause_now = pause.max(asked);
            if begin.elapsed() + pause_now > self.patience.whole {
                return Err(error);
            }
            tokio::time::sleep(pause_now).await;
            pause *= 2;
        }
        work().await
    }

    async fn get<T: DeserializeOwned>(&self, doing: &'static str, route: &str) -> Result<T, Error> {
        self.send(doing, Method::Get, route, None).await
    }

    fn route(&self, below: &str) -> String {
        format!("{}/repos/{}/{}/{below}", self.rest, self.repository.owner, self.repository.name)
    }

    /// Sends a request, and again where GitHub says that the repository has moved to: it wants the same request there.
    async fn send<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        method: Method,
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

    /// Where an answer sends the request, if that is on the same host: the token is for no other one.
    fn redirection(&self, answer: &Answer) -> Option<String> {
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
        method: Method,
        route: &str,
        body: Option<&Json>,
    ) -> Result<Answer, Error> {
        let busy = |reason: String| Error::Busy { doing, reason, wait: None };
        let exchange = async {
            let response = match method {
                Method::Get => self.octocrab._get(route).await,
                Method::Post => self.octocrab._post(route, body).await,
                Method::Patch => self.octocrab._patch(route, body).await,
                Method::Delete => self.octocrab._delete(route, body).await,
            }?;
            let header = |name: &str| response.headers().get(name)?.to_str().ok().map(ToOwned::to_owned);
            Ok::<_, octocrab::Error>(Answer {
                status: response.status().as_u16(),
                wait: wait_asked(|name| header(name)?.parse().ok()),
                location: header("location"),
                text: self.octocrab.body_to_string(response).await?,
            })
        };
        match tokio::time::timeout(self.patience.answer, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(busy(innermost(&error))),
            Err(_) => Err(busy("no answer in time".into())),
        }
    }
}

/// What came back, of which only the beginning is known to be HTTP.
struct Answer {
    status: u16,
    /// How long GitHub wants to be left alone.
    wait: Option<Duration>,
    /// Where the request should go instead.
    location: Option<String>,
    text: String,
}

impl Answer {
    fn read<T: DeserializeOwned>(self, doing: &'static str) -> Result<T, Error> {
        let Self { status, wait, location, text } = self;
        if (200..300).contains(&status) {
            let text = if text.is_empty() { "null" } else { &text };
            return serde_json::from_str(text).map_err(|source| Error::Answer { doing, source });
        }
        let busy = |reason: String, wait| Error::Busy { doing, reason, wait };
        let message = message(&text);
        // A limit on requests, and not one of rights, says so, or when it ends.
        let is_limit = wait.is_some() || message.to_ascii_lowercase().contains("rate limit");
        match (status, location) {
            (429, _) => Err(busy(format!("{status} {message}"), wait.or(Some(UNTOLD)))),
            (403, _) if is_limit => Err(busy(format!("{status} {message}"), wait.or(Some(UNTOLD)))),
            (500.., _) => Err(busy(format!("{status} {message}"), wait)),
            (300..=399, Some(location)) => {
                Err(Error::Refused { doing, status, message: format!("{message}, to {location}") })
            }
            _ => Err(Error::Refused { doing, status, message }),
        }
    }
}

#[derive(Clone, Copy)]
enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

/// How long GitHub wants to be left alone: until then every further request makes it longer.
fn wait_asked(number: impl Fn(&str) -> Option<u64>) -> Option<Duration> {
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if number("x-ratelimit-remaining") != Some(0) {
        return None;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(number("x-ratelimit-reset")?).saturating_sub(now))
}

/// GitHub's sentence, or the beginning of what somebody in between sent.
fn message(text: &str) -> String {
    let said = serde_json::from_str::<Json>(text).ok();
    let said = said.as_ref().and_then(|json| json.get("message")).and_then(Json::as_str);
    said.map_or_else(|| text.chars().take(200).collect(), ToOwned::to_owned)
}

/// The library wraps what happened in several layers with the same words.
fn innermost(error: &octocrab::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
