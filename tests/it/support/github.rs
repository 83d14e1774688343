//! A mock of GitHub with comments and issues, or of GitLab with notes, and with configurable failures.

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use wiremock::{Match, Mock, MockServer, Request, Respond, ResponseTemplate};

/// The login of the token of these tests.
pub const ME: &str = "github-actions[bot]";

/// The author of notes that the token may not see.
pub const HIDDEN: &str = "hidden";

/// What happens to the next request of a method.
struct Mishap {
    method: &'static str,
    /// Whether the request is executed before, as if only the answer is lost.
    done: bool,
    answer: ResponseTemplate,
}

#[derive(Default)]
struct State {
    comments: Vec<Json>,
    issues: Vec<Json>,
    pulls: Vec<Json>,
    mishaps: Vec<Mishap>,
    log: Vec<String>,
    created: u64,
    no_graphql: bool,
    is_gitlab: bool,
    delay: std::time::Duration,
}

/// The mock server; it stops with this value.
pub struct Hub {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

struct Answer {
    state: Arc<Mutex<State>>,
    below: String,
}

struct All;

impl Match for All {
    fn matches(&self, _: &Request) -> bool {
        true
    }
}

impl Hub {
    /// A mock whose API begins at `below`, as that of GitHub Enterprise Server at `/api/v3`.
    pub async fn below(below: &str) -> Self {
        let hub = Self { server: MockServer::start().await, state: Arc::default() };
        let answer = Answer { state: hub.state.clone(), below: below.to_owned() };
        Mock::given(All).respond_with(answer).mount(&hub.server).await;
        hub
    }

    pub async fn new() -> Self {
        Self::below("").await
    }

    /// A mock of GitLab, at `/` or below it, with the merge request 42 of the project 7.
    pub async fn gitlab(below: &str) -> Self {
        let hub = Self::below(&format!("{below}/api/v4")).await;
        hub.state.lock().unwrap().is_gitlab = true;
        hub
    }

    /// Its address without the path of the API.
    pub fn address(&self) -> String {
        self.server.uri()
    }

    /// An existing comment.
    pub fn comment(&self, login: &str, body: &str) {
        let mut state = self.state.lock().unwrap();
        let comment = state.entry(login, &json!({"body": body}));
        state.comments.push(comment);
    }

    /// An open pull request with this head.
    pub fn pull(&self, number: u64, sha: &str) {
        self.state
            .lock()
            .unwrap()
            .pulls
            .push(json!({"number": number, "state": "open", "head": {"sha": sha}}));
    }

    /// The next request of this method is not executed and gets this answer.
    pub fn fail(&self, method: &'static str, answer: ResponseTemplate) {
        self.state.lock().unwrap().mishaps.push(Mishap { method, done: false, answer });
    }

    /// The next request of this method is executed and then gets this answer.
    pub fn lose(&self, method: &'static str, answer: ResponseTemplate) {
        self.state.lock().unwrap().mishaps.push(Mishap { method, done: true, answer });
    }

    /// Every answer takes this long.
    pub fn slow(&self, delay: std::time::Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// Without GraphQL.
    pub fn without_graphql(&self) {
        self.state.lock().unwrap().no_graphql = true;
    }

    /// The bodies of all comments, the oldest first.
    pub fn comments(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.comments.iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
    }

    pub fn issues(&self) -> Vec<Json> {
        self.state.lock().unwrap().issues.clone()
    }

    /// The requests of these methods since the last time, as `POST /repos/…`.
    pub fn requests(&self, methods: &[&str]) -> Vec<String> {
        let log = std::mem::take(&mut self.state.lock().unwrap().log);
        log.into_iter().filter(|line| methods.iter().any(|method| line.starts_with(method))).collect()
    }
}

impl State {
    fn entry(&mut self, login: &str, body: &Json) -> Json {
        self.created += 1;
        let id = self.created;
        let mut entry = if self.is_gitlab {
            json!({"id": id, "author": {"username": login}, "system": false})
        } else {
            json!({"id": id, "number": id, "state": "open", "user": {"login": login}, "html_url": format!("https://github.com/octo-org/shop/{id}")})
        };
        merge(&mut entry, body);
        entry
    }

    fn answer(&mut self, method: &str, path: &str, query: &str, body: &Json) -> (u16, Json) {
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, &parts[..]) {
            ("POST", ["graphql"]) if !self.no_graphql => (200, json!({"data": {"viewer": {"login": ME}}})),
            ("GET", ["user"]) if self.is_gitlab => (200, json!({"username": ME, "name": "a bot"})),
            ("GET", ["projects", "7", "merge_requests", "42", "notes"]) => (200, page(&self.comments, query)),
            ("POST", ["projects", "7", "merge_requests", "42", "notes"]) => {
                let comment = self.entry(ME, body);
                self.comments.push(comment.clone());
                (201, comment)
            }
            ("PUT" | "DELETE", ["projects", "7", "merge_requests", "42", "notes", id]) => {
                change(&mut self.comments, method, id, body)
            }
            _ if self.is_gitlab => (404, json!({"message": "404 Project Not Found"})),
            ("GET", ["user"]) => (200, json!({"login": ME})),
            ("GET", ["repos", "octo-org", "shop", "issues", _, "comments"]) => {
                (200, page(&self.comments, query))
            }
            ("POST", ["repos", "octo-org", "shop", "issues", _, "comments"]) => {
                let comment = self.entry(ME, body);
                self.comments.push(comment.clone());
                (201, comment)
            }
            (_, ["repos", "octo-org", "shop", "issues", "comments", id]) => {
                change(&mut self.comments, method, id, body)
            }
            ("GET", ["repos", "octo-org", "shop", "issues"]) => {
                let open: Vec<_> =
                    self.issues.iter().filter(|issue| issue["state"] == "open").cloned().collect();
                (200, page(&open, query))
            }
            ("POST", ["repos", "octo-org", "shop", "issues"]) => {
                let issue = self.entry(ME, body);
                self.issues.push(issue.clone());
                (201, issue)
            }
            ("PATCH", ["repos", "octo-org", "shop", "issues", number]) => {
                change(&mut self.issues, method, number, body)
            }
            (
                "GET",
                ["repos", "octo-org", "shop", "pulls"] | ["repos", "octo-org", "shop", "commits", _, "pulls"],
            ) => (200, json!(self.pulls)),
            _ => (404, json!({"message": "Not Found"})),
        }
    }
}

fn merge(entry: &mut Json, more: &Json) {
    for (key, value) in more.as_object().unwrap() {
        entry[key] = value.clone();
    }
}

fn change(entries: &mut Vec<Json>, method: &str, id: &str, body: &Json) -> (u16, Json) {
    let Some(index) = entries.iter().position(|entry| entry["id"].as_u64() == id.parse().ok()) else {
        return (404, json!({"message": "Not Found"}));
    };
    if method == "DELETE" {
        entries.remove(index);
        return (204, Json::Null);
    }
    merge(&mut entries[index], body);
    (200, entries[index].clone())
}

/// The size and the number of the page that is asked for.
fn asked(query: &str) -> (usize, usize) {
    let number = |name: &str, default: usize| {
        let value = query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.map_or(default, |value| value.parse().unwrap())
    };
    (number("per_page", 30).min(100), number("page", 1))
}

/// Notes that the token may not see count for the size of the page.
fn page(entries: &[Json], query: &str) -> Json {
    let (size, page) = asked(query);
    let is_seen = |entry: &&Json| entry["author"]["username"] != HIDDEN;
    json!(entries.iter().skip(size * (page - 1)).take(size).filter(is_seen).collect::<Vec<_>>())
}

impl Respond for Answer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (method, path) = (request.method.as_str(), request.url.path());
        let mut state = self.state.lock().unwrap();
        state.log.push(format!("{method} {path}"));
        let wanted = "Bearer a-token-for-tests";
        assert!(request.headers.get("authorization").is_some_and(|value| value == wanted), "no token");
        // GraphQL is beside REST, whose path ends in its version.
        let path = match path.strip_prefix(&self.below) {
            Some(path) if !self.below.is_empty() => path,
            _ => path.strip_prefix(self.below.trim_end_matches("/v3")).unwrap_or("/outside"),
        };
        let body = serde_json::from_slice(&request.body).unwrap_or(Json::Null);
        let mishap = state.mishaps.iter().position(|mishap| mishap.method == method && path != "/graphql");
        let mishap = mishap.map(|index| state.mishaps.remove(index));
        if let Some(mishap) = &mishap
            && !mishap.done
        {
            return mishap.answer.clone();
        }
        let (status, answer) = state.answer(method, path, request.url.query().unwrap_or_default(), &body);
        let mut answer = ResponseTemplate::new(status).set_body_json(answer).set_delay(state.delay);
        if state.is_gitlab && method == "GET" {
            let (size, page) = asked(request.url.query().unwrap_or_default());
            let is_last = state.comments.len() <= size * page;
            let next = if is_last { String::new() } else { (page + 1).to_string() };
            answer = answer.insert_header("x-next-page", next.as_str());
        }
        mishap.map_or(answer, |mishap| mishap.answer)
    }
}
