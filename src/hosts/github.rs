//! A repository on GitHub.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{
    Error, Event, EventSubject, Host, Repository, RetryPolicy, Thread,
    api::{Api, HttpMethod, PAGE, User},
};
use crate::model::Secret;

/// A client for one repository, with one token.
pub struct GitHubClient {
    pub(super) api: Api,
    /// The prefix of REST paths on GitHub Enterprise Server. GraphQL is outside of it.
    rest: &'static str,
    repository: Repository,
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
        let api = api.trim_end_matches('/');
        let (base, rest) = api.strip_suffix("/v3").map_or((api, ""), |base| (base, "/v3"));
        Ok(Self { api: Api::new(Host::GitHub, base, token, retry_policy)?, rest, repository })
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
        let doing = "looking for the pull request of the commit";
        let found: Vec<PullRequest> =
            self.api.with_retries(async || self.api.get(doing, &route).await).await?;
        let is_it = |pull: &&PullRequest| {
            pull.state == "open" && event.commit.as_ref().is_none_or(|commit| pull.head.sha == *commit)
        };
        Ok(found.iter().find(is_it).map(|pull| pull.number))
    }

    /// The comments of the pull request with this number.
    pub async fn thread(&self, number: u64) -> Result<Thread<'_>, Error> {
        Ok(Thread {
            api: &self.api,
            me: self.viewer().await?,
            list: self.route(&format!("issues/{number}/comments")),
            one: self.route("issues/comments"),
            page: None,
        })
    }

    /// The login that this token writes as.
    pub(super) async fn viewer(&self) -> Result<String, Error> {
        self.api.with_retries(async || self.viewer_once().await).await
    }

    async fn viewer_once(&self) -> Result<String, Error> {
        let doing = "reading the login of the token";
        let question = json!({"query": "query { viewer { login } }"});
        let answer = self.api.send(doing, HttpMethod::Post, "/graphql", Some(&question)).await;
        let login = |answer: Json| Some(answer.pointer("/data/viewer/login")?.as_str()?.to_owned());
        match answer.map(login) {
            Ok(Some(login)) => Ok(login),
            Err(busy @ Error::Busy { .. }) => Err(busy),
            // GraphQL answers for every kind of token, REST only for those of people.
            Ok(None) | Err(_) => {
                self.api.get::<User>(doing, &format!("{}/user", self.rest)).await.map(|user| user.login)
            }
        }
    }

    pub(super) fn route(&self, below: &str) -> String {
        format!("{}/repos/{}/{}/{below}", self.rest, self.repository.owner, self.repository.name)
    }
}
