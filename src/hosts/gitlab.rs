//! A merge request on GitLab.

use url::Url;

use super::{
    Error, Host, RetryPolicy, Thread,
    api::{Api, User},
};
use crate::model::Secret;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRequest {
    /// The project with the merge request: a fork has another one.
    pub project: u64,
    /// The number within the project.
    pub number: u64,
    /// The page of the merge request.
    pub page: String,
}

/// A client for the projects that one token may use.
pub struct GitLabClient {
    api: Api,
    /// The path of the API.
    rest: String,
}

impl GitLabClient {
    /// A client for the API at `api`, as `https://gitlab.com/api/v4`.
    pub fn new(api: &str, token: &Secret, retry_policy: RetryPolicy) -> Result<Self, Error> {
        let host = Host::GitLab;
        let wrong = |_| Error::Address { host, address: api.to_owned() };
        let address = Url::parse(api.trim_end_matches('/')).map_err(wrong)?;
        let base = address.origin().ascii_serialization();
        Ok(Self { api: Api::new(host, &base, token, retry_policy)?, rest: address.path().to_owned() })
    }

    /// The notes of the merge request.
    pub async fn thread(&self, request: &MergeRequest) -> Result<Thread<'_>, Error> {
        let MergeRequest { project, number, page } = request;
        let notes = format!("{}/projects/{project}/merge_requests/{number}/notes", self.rest);
        Ok(Thread {
            api: &self.api,
            me: self.viewer().await?,
            // The newest come first otherwise, and move to the next page while the pages are read.
            list: format!("{notes}?sort=asc&order_by=created_at"),
            one: notes,
            page: Some(page.clone()),
        })
    }

    /// The name that this token writes as.
    async fn viewer(&self) -> Result<String, Error> {
        let route = format!("{}/user", self.rest);
        let user = async || self.api.get::<User>("reading the name of the token's user", &route).await;
        self.api.with_retries(user).await.map(|user| user.login)
    }
}
