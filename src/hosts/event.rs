//! The event of a GitHub workflow: its commit, and where to find the pull request.

use serde_json::Value as Json;

use super::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub owner: String,
    pub name: String,
}

impl Repository {
    /// Reads `owner/name`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let is_plain = |part: &str| {
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            !part.is_empty() && part.chars().all(letters) && !part.chars().all(|c| c == '.')
        };
        match text.split_once('/') {
            Some((owner, name)) if is_plain(owner) && is_plain(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(Error::Repository(text.to_owned())),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventSubject {
    PullRequest(u64),
    /// The pull request of a branch, as `owner:branch`. The event of a fork has no number.
    Branch(String),
    /// The pull request of the commit, if it has one.
    Commit,
    /// A scheduled run, which has no pull request.
    Schedule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub subject: EventSubject,
    /// The commit that the report must belong to; `None` if the event does not have it.
    pub commit: Option<String>,
    /// The pull request comes from a fork, whose token is read-only.
    pub from_fork: bool,
    /// The number and the attempt of the run that wrote the report, if that was another run.
    pub run: Option<(u64, u64)>,
}

impl Event {
    /// Reads the payload of the event `name`; `sha` is the runner's GITHUB_SHA.
    pub fn read(name: &str, payload: &str, sha: Option<&str>) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Event { event: name.to_owned(), reason };
        let payload: Json = serde_json::from_str(payload).map_err(|error| wrong(error.to_string()))?;
        let text = |path: &str| payload.pointer(path).and_then(Json::as_str).map(ToOwned::to_owned);
        let missing =
            |path: &str| wrong(format!("it has no `{}`", path.trim_start_matches('/').replace('/', ".")));
        let number = |path: &str| payload.pointer(path).and_then(Json::as_u64).ok_or_else(|| missing(path));
        let event = |subject, commit| Self { subject, commit, from_fork: false, run: None };
        Ok(match name {
            "pull_request" | "pull_request_target" | "pull_request_review" => {
                let (head, base) =
                    (text("/pull_request/head/repo/full_name"), text("/pull_request/base/repo/full_name"));
                // GITHUB_SHA is the merge with the base branch, which no other job has.
                let commit = text("/pull_request/head/sha");
                let subject = EventSubject::PullRequest(number("/pull_request/number")?);
                Self { from_fork: head != base, ..event(subject, commit) }
            }
            // An issue has no report. GITHUB_SHA is that of the default branch, not of the pull request.
            "issue_comment" if payload.pointer("/issue/pull_request").is_some() => {
                event(EventSubject::PullRequest(number("/issue/number")?), None)
            }
            "workflow_run" => {
                let commit =
                    text("/workflow_run/head_sha").ok_or_else(|| missing("/workflow_run/head_sha"))?;
                let subject = match number("/workflow_run/pull_requests/0/number") {
                    Ok(number) => EventSubject::PullRequest(number),
                    Err(_) => branch_of_run(&text),
                };
                let run = (number("/workflow_run/id")?, number("/workflow_run/run_attempt").unwrap_or(1));
                Self { run: Some(run), ..event(subject, Some(commit)) }
            }
            "merge_group" => {
                let commit = text("/merge_group/head_sha");
                let head = text("/merge_group/head_ref");
                let queued = head.as_deref().and_then(number_in_queue);
                event(queued.map_or(EventSubject::Commit, EventSubject::PullRequest), commit)
            }
            "schedule" => event(EventSubject::Schedule, sha.map(ToOwned::to_owned)),
            _ => event(EventSubject::Commit, sha.map(ToOwned::to_owned)),
        })
    }
}

fn branch_of_run(text: &impl Fn(&str) -> Option<String>) -> EventSubject {
    match (text("/workflow_run/head_repository/owner/login"), text("/workflow_run/head_branch")) {
        (Some(owner), Some(branch)) => EventSubject::Branch(format!("{owner}:{branch}")),
        _ => EventSubject::Commit,
    }
}

/// `refs/heads/gh-readonly-queue/main/pr-12-0123abcd` → 12.
fn number_in_queue(head_ref: &str) -> Option<u64> {
    let (_, last) = head_ref.rsplit_once("/pr-")?;
    last.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";

    fn read(name: &str) -> Event {
        let file = format!("{}/tests/it/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let event = name.split('.').next().unwrap();
        Event::read(event, &std::fs::read_to_string(file).unwrap(), Some(SHA)).unwrap()
    }

    #[test]
    fn every_event_has_its_pull_request() {
        use EventSubject::{Branch, Commit, PullRequest, Schedule};
        let head = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
        for (name, subject, commit, from_fork) in [
            ("pull_request", PullRequest(42), Some(head), false),
            ("pull_request.fork", PullRequest(42), Some(head), true),
            ("pull_request_target", PullRequest(42), Some(head), true),
            ("workflow_run", PullRequest(42), Some(head), false),
            ("workflow_run.fork", Branch("mona:less-rows".into()), Some(head), false),
            ("merge_group", PullRequest(42), Some(head), false),
            ("issue_comment", PullRequest(42), None, false),
            ("issue_comment.issue", Commit, Some(SHA), false),
            ("push", Commit, Some(SHA), false),
            ("schedule", Schedule, Some(SHA), false),
        ] {
            let run = name.starts_with("workflow_run").then_some((30_433_642, 1));
            let event = Event { subject, commit: commit.map(ToOwned::to_owned), from_fork, run };
            assert_eq!(read(name), event, "{name}");
        }
    }

    #[test]
    fn an_event_without_its_number_is_an_error() {
        let error = Event::read("pull_request", "{}", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot read the event `pull_request` of this workflow: it has no `pull_request.number`"
        );
        assert!(Event::read("push", "{", None).is_err());
    }

    #[test]
    fn a_repository_has_two_plain_names() {
        assert_eq!(Repository::parse("octo/shop.rs").unwrap().name, "shop.rs");
        for wrong in ["octo", "octo/", "/shop", "octo/shop/x", "octo/..", "octo/sh op", "octo/shop?x"] {
            assert!(Repository::parse(wrong).is_err(), "{wrong}");
        }
    }
}
