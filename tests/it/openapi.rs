//! Requests to GitHub, against a server that validates them by GitHub's own description of its API.
//!
//! `scripts/github.sh` starts that server and runs these tests.

use std::time::Duration;

use pgtrickle_ci::{
    hosts::{
        Error, Event, EventSubject, GitHubClient, IssueUpdate, Key, Marker, NightlyIssue, Repository,
        RetryPolicy, keep_issue, post,
    },
    model::Secret,
};

fn client() -> GitHubClient {
    let api = std::env::var("PGTRICKLE_CI_TEST_GITHUB").expect("scripts/github.sh starts the server");
    let repository = Repository::parse("octo-org/shop").unwrap();
    // This server does not store writes, so they are repeated until the time limit.
    let patience =
        RetryPolicy { whole: Duration::ZERO, settle: Duration::from_millis(1), ..RetryPolicy::default() };
    GitHubClient::new(&api, &Secret::new("a-token-for-tests"), repository, patience).unwrap()
}

fn marker(key: &str) -> Marker {
    Marker { key: Key::new(key).unwrap(), run: Some(7) }
}

#[tokio::test]
#[ignore = "scripts/github.sh runs it"]
async fn comments_are_listed_created_changed_and_deleted_as_described() {
    // The description's examples have no comment with the first key, one with the second and two with the third.
    let client = client();
    let thread = client.thread(42).await.unwrap();
    for key in ["none", "one", "two"] {
        let posted = post(&thread, &marker(key), |_| Some("a `text`".into())).await;
        assert!(matches!(posted, Err(Error::Overwritten)), "{key}: {posted:?}");
    }
}

#[tokio::test]
#[ignore = "scripts/github.sh runs it"]
async fn issues_are_opened_changed_and_closed_as_described() {
    let night = NightlyIssue { title: "a title".into(), news: "something new".into() };
    for (key, passed) in [("none", false), ("none", true), ("night", false), ("night", true)] {
        let compose = |_: &[&str]| Some(IssueUpdate { text: "a body".into(), passed, is_news: true });
        let kept = keep_issue(&client(), &marker(key), &night, compose).await;
        match key {
            "none" if passed => assert_eq!(kept.unwrap(), None),
            _ => assert!(matches!(kept, Err(Error::Overwritten)), "{key} {passed}: {kept:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "scripts/github.sh runs it"]
async fn pull_requests_are_searched_as_described() {
    let example = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
    for subject in [EventSubject::Commit, EventSubject::Branch("octocat:new-topic".into())] {
        let event = Event { subject, commit: Some(example.into()), from_fork: false, run: None };
        assert_eq!(client().pull_request(&event).await.unwrap(), Some(1347));
    }
}
