//! What is asked of GitHub, against a server that holds every request to GitHub's own description of its API.
//!
//! `scripts/github.sh` starts that server and runs these tests.

use pgtrickle_ci::{
    github::{Client, Event, Key, Marker, Night, Patience, Repository, Subject, What, keep_issue, post},
    model::Secret,
};

fn client() -> Client {
    let api = std::env::var("PGTRICKLE_CI_TEST_GITHUB").expect("scripts/github.sh starts the server");
    let repository = Repository::parse("octo-org/shop").unwrap();
    Client::new(&api, &Secret::new("a-token-for-tests"), repository, Patience::default()).unwrap()
}

fn marker(key: &str) -> Marker {
    Marker { key: Key::new(key).unwrap(), run: Some(7), state: Some(1) }
}

#[tokio::test]
#[ignore = "scripts/github.sh runs it"]
async fn comments_are_listed_created_changed_and_removed_as_described() {
    // The description's examples hold no comment with the first key, one with the second and two with the third.
    for (key, what) in [("none", What::Created), ("one", What::Updated), ("two", What::Updated)] {
        let posted = post(&client(), 42, &marker(key), "a `text`").await.unwrap();
        assert_eq!(posted.what, what, "{key}");
        assert!(posted.url.starts_with("https://github.com/"), "{}", posted.url);
    }
}

#[tokio::test]
#[ignore = "scripts/github.sh runs it"]
async fn issues_are_opened_changed_and_closed_as_described() {
    let night = |passed| Night {
        passed,
        title: "a title".into(),
        body: "a body".into(),
        news: "something new".into(),
    };
    for (key, passed, what) in [
        ("none", false, Some(What::Created)),
        ("none", true, None),
        ("night", false, Some(What::Updated)),
        ("night", true, Some(What::Updated)),
    ] {
        let kept = keep_issue(&client(), &marker(key), &night(passed)).await.unwrap();
        assert_eq!(kept.map(|posted| posted.what), what, "{key} {passed}");
    }
}

#[tokio::test]
#[ignore = "scripts/github.sh runs it"]
async fn pull_requests_are_looked_for_as_described() {
    let example = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
    for subject in [Subject::Commit, Subject::Branch("octocat:new-topic".into())] {
        let event = Event { subject, commit: Some(example.into()), from_fork: false };
        assert_eq!(client().pull_request(&event).await.unwrap(), Some(1347));
    }
}
