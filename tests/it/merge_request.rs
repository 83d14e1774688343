//! The comment on a merge request, with a GitLab that has pages, errors and moves.

use std::{path::Path, process::Command};

use pgtrickle_ci::{
    hosts::{Error, GitLabClient, MergeRequest, PostOutcome, Posted, post},
    model::Secret,
};
use serde_json::{Value as Json, json};
use wiremock::ResponseTemplate;

use crate::{
    comment::{HEAD, marker, only_comment, quick, report_of, saying, signed},
    support::{HIDDEN, Hub, ME, Ran, pgtrickle_ci},
};

const PAGE: &str = "https://gitlab.example/octo/shop/-/merge_requests/42";

async fn try_to_post(hub: &Hub, api: &str, run: u64, body: &str) -> Result<Posted, Error> {
    let client =
        GitLabClient::new(&format!("{}{api}", hub.address()), &Secret::new("a-token-for-tests"), quick())?;
    let request = MergeRequest { project: 7, number: 42, page: PAGE.to_owned() };
    post(&client.thread(&request).await?, &marker(run), saying(body)).await
}

async fn posted(hub: &Hub, run: u64, body: &str) -> PostOutcome {
    try_to_post(hub, "/api/v4", run, body).await.unwrap().what
}

#[tokio::test]
async fn a_note_is_created_updated_and_kept() {
    for below in ["", "/gitlab"] {
        let hub = Hub::gitlab(below).await;
        let api = format!("{below}/api/v4/");
        let created = try_to_post(&hub, &api, 1, "red").await.unwrap();
        assert_eq!(created, Posted { what: PostOutcome::Created, url: format!("{PAGE}#note_1") });
        assert_eq!(try_to_post(&hub, &api, 2, "green").await.unwrap().what, PostOutcome::Updated);
        let notes = format!("{below}/api/v4/projects/7/merge_requests/42/notes");
        assert_eq!(hub.requests(&["POST", "PUT"]), [format!("POST {notes}"), format!("PUT {notes}/1")]);
        assert_eq!(try_to_post(&hub, &api, 2, "green").await.unwrap().what, PostOutcome::Unchanged);
        let late = try_to_post(&hub, &api, 1, "an earlier pipeline that ended last").await.unwrap();
        assert_eq!(late, Posted { what: PostOutcome::Later, url: format!("{PAGE}#note_1") });
        assert_eq!(hub.requests(&["POST", "PUT", "DELETE"]), [""; 0]);
        assert_eq!(hub.comments(), [signed("green", 2)]);
    }
}

/// GitLab leaves out what the token may not see, so that a page in between is shorter than the others.
#[tokio::test]
async fn the_note_is_found_behind_pages_that_are_not_full_and_only_by_its_author() {
    let hub = Hub::gitlab("").await;
    hub.comment("mallory", &signed("forged", 1));
    hub.comment(HIDDEN, "a note in a private discussion");
    for number in 0..230 {
        hub.comment("somebody", &format!("note {number}"));
    }
    hub.comment(ME, &signed("red", 1));
    hub.comment(ME, &signed("red", 1));
    assert_eq!(posted(&hub, 2, "green").await, PostOutcome::Updated);
    let notes = hub.comments();
    assert_eq!(notes.len(), 233, "the second of two is gone");
    assert_eq!((notes[0].as_str(), notes[232].as_str()), (&*signed("forged", 1), &*signed("green", 2)));
}

#[tokio::test]
async fn temporary_failures_are_retried() {
    for mishap in [
        ResponseTemplate::new(502),
        ResponseTemplate::new(429)
            .insert_header("retry-after", "1")
            .set_body_json(json!({"message": {"error": "This endpoint has been requested too many times."}})),
    ] {
        let hub = Hub::gitlab("").await;
        hub.fail("GET", mishap.clone());
        hub.fail("POST", mishap);
        assert_eq!(posted(&hub, 1, "red").await, PostOutcome::Created);
        assert_eq!(hub.comments(), [signed("red", 1)]);
    }
}

#[tokio::test]
async fn permanent_failures_have_gitlabs_message_and_a_hint() {
    let scope = "The request requires higher privileges than provided by the access token.";
    let cases: [(u16, Json, &str, Option<&str>); 4] = [
        (401, json!({"message": "401 Unauthorized"}), "401 Unauthorized", Some("has expired")),
        (403, json!({"error": "insufficient_scope", "error_description": scope}), scope, Some("scope `api`")),
        (404, json!({"message": "404 Not found"}), "404 Not found", Some("the role Reporter")),
        (400, json!({"message": {"note": ["is too long"]}}), r#"{"note":["is too long"]}"#, None),
    ];
    for (status, body, message, hint) in cases {
        let hub = Hub::gitlab("").await;
        hub.fail("POST", ResponseTemplate::new(status).set_body_json(body));
        let error = try_to_post(&hub, "/api/v4", 1, "red").await.unwrap_err();
        let wanted = format!("creating the comment failed: GitLab answered {status} {message}");
        assert_eq!(error.to_string(), wanted);
        match (error.hint(), hint) {
            (Some(said), Some(hint)) => assert!(said.contains(hint), "{said}"),
            (said, hint) => assert_eq!(said.as_deref(), hint),
        }
        assert_eq!(hub.requests(&["POST"]).len(), 1);
    }
}

#[tokio::test]
async fn the_token_follows_redirects_on_its_host_and_to_no_other() {
    let notes = "/api/v4/projects/7/merge_requests/42/notes";
    let moved = |to: &str| ResponseTemplate::new(308).insert_header("location", to);
    let hub = Hub::gitlab("").await;
    hub.fail("POST", moved(notes));
    assert_eq!(posted(&hub, 1, "red").await, PostOutcome::Created);

    let (hub, other) = (Hub::gitlab("").await, Hub::gitlab("").await);
    hub.fail("POST", moved(&format!("{}{notes}", other.address())));
    let error = try_to_post(&hub, "/api/v4", 1, "red").await.unwrap_err();
    assert!(error.hint().unwrap().contains("CI_API_V4_URL has its old address"), "{error}");
    assert_eq!(other.requests(&["GET", "POST"]), [""; 0], "the token was sent to another host");
}

/// `pgtrickle-ci comment` in a job of a pipeline.
fn job(hub: &Hub, (pipeline, job): (u64, u64), report: &Path) -> Command {
    let mut command = pgtrickle_ci();
    command
        .args(["comment", "--from-report"])
        .arg(report)
        .env("GITLAB_CI", "true")
        .env("CI_API_V4_URL", format!("{}/api/v4", hub.address()))
        // The pipeline of a fork is a pipeline of another project.
        .env("CI_PROJECT_ID", "8")
        .env("CI_MERGE_REQUEST_PROJECT_ID", "7")
        .env("CI_MERGE_REQUEST_PROJECT_URL", "https://gitlab.example/octo/shop")
        .env("CI_MERGE_REQUEST_IID", "42")
        .env("CI_COMMIT_SHA", HEAD)
        .env("CI_PIPELINE_ID", pipeline.to_string())
        .env("CI_JOB_ID", job.to_string())
        .env("PGTRICKLE_CI_GITLAB_TOKEN", "a-token-for-tests");
    command
}

fn post_leg(hub: &Hub, ids: (u64, u64), leg: &str, failures: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = report_of(dir.path(), "run", HEAD, Some(leg), failures);
    Ran::of(&mut job(hub, ids, &file)).expect(0).stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_pipeline_share_a_note_and_a_red_one_stays_red() {
    let hub = Hub::gitlab("").await;
    let said = post_leg(&hub, (7, 100), "gate: [1.6]", &["orders"]);
    assert!(said.contains(&format!("created the comment {PAGE}#note_1")), "{said}");
    post_leg(&hub, (7, 101), "gate: [1.11]", &[]);
    let both = only_comment(&hub);
    for part in [
        "### ❌ pgtrickle-ci failed: 1 of 2 reports\n",
        "| ❌ | `gate: [1.6]` | run of `shop` | failed: 1 failed, 1 passed |\n",
        "| ✅ | `gate: [1.11]` | run of `shop` | passed: 1 passed |\n",
    ] {
        assert!(both.contains(part), "{part}\n{both}");
    }
    // The job is tried again, and an earlier try posts late.
    post_leg(&hub, (7, 103), "gate: [1.6]", &[]);
    post_leg(&hub, (7, 102), "gate: [1.6]", &["late"]);
    assert!(only_comment(&hub).contains("### ✅ pgtrickle-ci passed: 2 reports\n"), "{}", only_comment(&hub));
    // A new pipeline begins with an empty comment, which an older one does not replace.
    post_leg(&hub, (8, 104), "gate: [1.6]", &[]);
    let said = post_leg(&hub, (7, 105), "gate: [1.6]", &["old"]);
    assert!(said.contains("a later run already updated the comment"), "{said}");
    assert!(only_comment(&hub).contains("### ✅ pgtrickle-ci passed\n"), "{}", only_comment(&hub));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_merge_request_or_a_token_nothing_is_posted() {
    let dir = tempfile::tempdir().unwrap();
    let file = report_of(dir.path(), "run", HEAD, None, &[]);
    let hub = Hub::gitlab("").await;
    for (variable, message, hint) in [
        ("CI_MERGE_REQUEST_IID", "no merge request to comment on", "merge_request_event"),
        ("PGTRICKLE_CI_GITLAB_TOKEN", "PGTRICKLE_CI_GITLAB_TOKEN is not set", "scope `api`"),
    ] {
        let ran = Ran::of(job(&hub, (1, 1), &file).env_remove(variable)).expect(0);
        assert!(ran.stderr.contains(message) && !ran.stderr.contains("::warning"), "{}", ran.stderr);
        Ran::of(job(&hub, (1, 1), &file).env_remove(variable).args(["--when", "always"]))
            .expect_error(message, hint);
    }
    Ran::of(job(&hub, (1, 1), &file).args(["--when", "never"])).expect(0);
    // The token may be of another project.
    let other = || {
        let mut job = job(&hub, (1, 1), &file);
        job.env("CI_MERGE_REQUEST_PROJECT_ID", "9");
        job
    };
    let ran = Ran::of(&mut other()).expect(0);
    assert!(ran.stderr.contains("GitLab answered 404 404 Project Not Found"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the role Reporter") && !ran.stderr.contains("summary"), "{}", ran.stderr);
    Ran::of(other().args(["--when", "always"])).expect_error("404 Project Not Found", "the role Reporter");
    let wrong = report_of(dir.path(), "run", "0000000000000000000000000000000000000000", None, &[]);
    Ran::of(&mut job(&hub, (1, 1), &wrong)).expect_error(&format!("this job for commit {HEAD}"), "pipeline");
    assert_eq!(hub.comments(), [""; 0]);
}

/// GitLab's notes may be longer than GitHub's comments, and have quick actions, mentions and references of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_and_long_report_is_a_note_without_actions_and_mentions() {
    let hub = Hub::gitlab("").await;
    let evil = format!("/close\n/assign @all\n!1 &1 ~bug {}", "a long reason ".repeat(20));
    let failures = vec![evil.as_str(); 8_000];
    post_leg(&hub, (1, 1), &evil, &failures);
    let note = only_comment(&hub);
    assert!((65_536..=1_000_000).contains(&note.len()), "{} bytes", note.len());
    assert!(note.contains("**Shortened:**"));
    assert!(!note.lines().any(|line| line.trim_start().starts_with('/')));
    // GitLab looks for them in the text of the HTML, outside of code.
    let mut options = comrak::Options::default();
    options.extension.table = true;
    options.render.r#unsafe = true;
    let html = comrak::markdown_to_html(&note, &options);
    let hidden = regex::Regex::new("(?s)<!--.*?-->|<code.*?</code>").unwrap();
    let text = hidden.replace_all(&html, "");
    for (reference, escaped) in [("@all", "@all"), ("!1", "!1"), ("&1", "&amp;1"), ("~bug", "~bug")] {
        assert!(note.contains(reference) && !text.contains(escaped), "{reference}: {text}");
    }
}
