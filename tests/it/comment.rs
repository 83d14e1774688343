//! The comment and the issue with a GitHub that has pages, errors and delays.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::Command,
    time::Duration,
};

use pgtrickle_ci::{
    hosts::{self, Error, GitHubClient, Key, Marker, PostOutcome, Posted, Repository, RetryPolicy},
    model::{Outcome, Secret, Stage, Verdict},
    report::{Report, json},
};
use time::macros::datetime;
use wiremock::ResponseTemplate;

use crate::support::{Hub, ME, Ran, pgtrickle_ci};

pub(crate) const HEAD: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";

fn client(api: &str, patience: RetryPolicy) -> GitHubClient {
    let repository = Repository::parse("octo-org/shop").unwrap();
    GitHubClient::new(api, &Secret::new("a-token-for-tests"), repository, patience).unwrap()
}

/// A policy for tests with short waits.
pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        answer: Duration::from_secs(5),
        whole: Duration::from_secs(20),
        pause: Duration::from_millis(1),
        settle: Duration::from_millis(20),
    }
}

pub(crate) fn marker(run: u64) -> Marker {
    Marker { key: Key::new("default").unwrap(), run: Some(run) }
}

pub(crate) fn signed(body: &str, run: u64) -> String {
    format!("{body}\n\n<!-- pgtrickle-ci:default run={run} -->")
}

/// Posts to the pull request 42.
async fn post(
    client: &GitHubClient,
    marker: &Marker,
    compose: impl Fn(&[&str]) -> Option<String>,
) -> Result<Posted, Error> {
    hosts::post(&client.thread(42).await?, marker, compose).await
}

async fn posted(hub: &Hub, run: u64, body: &str) -> PostOutcome {
    post(&client(&hub.address(), quick()), &marker(run), saying(body)).await.unwrap().what
}

/// A comment with this text, whatever exists.
pub(crate) fn saying(text: &str) -> impl Fn(&[&str]) -> Option<String> {
    move |_| Some(text.to_owned())
}

#[tokio::test]
async fn a_comment_is_created_updated_and_kept() {
    let hub = Hub::new().await;
    assert_eq!(posted(&hub, 1, "red").await, PostOutcome::Created);
    assert_eq!(posted(&hub, 2, "green").await, PostOutcome::Updated);
    hub.requests(&[]);
    assert_eq!(posted(&hub, 2, "green").await, PostOutcome::Unchanged);
    assert_eq!(hub.requests(&["PATCH", "DELETE", "POST /repos"]), [""; 0]);
    assert_eq!(hub.comments(), [signed("green", 2)]);
    assert_eq!(posted(&hub, 1, "an earlier run that ended last").await, PostOutcome::Later);
    assert_eq!(hub.comments(), [signed("green", 2)]);
    // The same text of a later run belongs to that run: later posts of that run join it.
    assert_eq!(posted(&hub, 3, "green").await, PostOutcome::Updated);
    assert_eq!(hub.comments(), [signed("green", 3)]);
}

#[tokio::test]
async fn the_comment_is_found_on_the_third_page_and_only_by_its_author() {
    let hub = Hub::new().await;
    hub.comment("mallory", &signed("forged", 1));
    for number in 0..230 {
        hub.comment("somebody", &format!("comment {number}"));
    }
    hub.comment(ME, "<!-- pgtrickle-ci:other run=1 -->");
    hub.comment(ME, &format!("> {}\n\nquoted", signed("red", 1)));
    hub.comment(ME, &signed("red", 1));
    assert_eq!(posted(&hub, 2, "green").await, PostOutcome::Updated);
    let comments = hub.comments();
    assert_eq!(comments.len(), 234);
    assert_eq!(comments[0], signed("forged", 1));
    assert_eq!(comments[233], signed("green", 2));
}

#[tokio::test]
async fn concurrent_runs_keep_the_older_comment() {
    let hub = Hub::new().await;
    let both = async |body: &str, run| posted(&hub, run, body).await;
    for round in 0..10 {
        let run = 10 * round;
        tokio::join!(both("one", run + 1), both("other", run + 2));
        assert_eq!(hub.comments().len(), 1, "{:?}", hub.comments());
    }
}

#[tokio::test]
async fn old_duplicates_are_removed() {
    let hub = Hub::new().await;
    for run in [1, 2, 3] {
        hub.comment(ME, &signed("red", run));
    }
    assert_eq!(posted(&hub, 4, "green").await, PostOutcome::Updated);
    assert_eq!(hub.comments(), [signed("green", 4)]);
}

#[tokio::test]
async fn temporary_failures_are_retried() {
    let busy =
        |status: u16| ResponseTemplate::new(status).set_body_json(serde_json::json!({"message": "later"}));
    for mishap in [
        busy(500),
        busy(502),
        busy(429).insert_header("retry-after", "1"),
        busy(403).insert_header("retry-after", "0"),
        busy(403).insert_header("x-ratelimit-remaining", "0").insert_header("x-ratelimit-reset", "1"),
    ] {
        for method in ["GET", "POST"] {
            let hub = Hub::new().await;
            hub.fail(method, mishap.clone());
            hub.fail(method, mishap.clone());
            assert_eq!(posted(&hub, 1, "red").await, PostOutcome::Created);
            assert_eq!(hub.comments(), [signed("red", 1)]);
        }
    }
}

#[tokio::test]
async fn a_lost_answer_does_not_create_a_second_comment() {
    let hub = Hub::new().await;
    hub.lose("POST", ResponseTemplate::new(504));
    assert_eq!(posted(&hub, 1, "red").await, PostOutcome::Unchanged);
    assert_eq!(hub.comments(), [signed("red", 1)]);
    // It is deleted between the read and the write.
    hub.fail("PATCH", ResponseTemplate::new(404));
    assert_eq!(posted(&hub, 2, "green").await, PostOutcome::Updated);
    assert_eq!(hub.comments(), [signed("green", 2)]);
}

#[tokio::test]
async fn retries_end() {
    let patience = RetryPolicy { answer: Duration::from_millis(200), ..quick() };
    let hub = Hub::new().await;
    for _ in 0..9 {
        hub.fail("GET", ResponseTemplate::new(200).set_delay(Duration::from_secs(30)));
    }
    let error = post(&client(&hub.address(), patience), &marker(1), saying("red")).await.unwrap_err();
    assert!(matches!(&error, Error::Busy { reason, .. } if reason == "no answer in time"), "{error}");

    // A rate limit that ends too late is not waited for. One without a time takes a minute.
    let limit = serde_json::json!({"message": "You have exceeded a secondary rate limit."});
    for (answer, seconds) in [
        (ResponseTemplate::new(429).insert_header("retry-after", "3600"), 3600),
        (ResponseTemplate::new(403).set_body_json(&limit), 60),
        (ResponseTemplate::new(429).set_body_json(&limit), 60),
    ] {
        let hub = Hub::new().await;
        hub.fail("GET", answer);
        let error = post(&client(&hub.address(), quick()), &marker(1), saying("red")).await.unwrap_err();
        assert!(
            matches!(&error, Error::Busy { wait: Some(wait), .. } if wait.as_secs() == seconds),
            "{error}"
        );
        assert_eq!(hub.requests(&["GET"]).len(), 1);
    }
}

#[tokio::test]
async fn a_lost_connection_is_a_readable_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut some = [0; 64];
            let _ = stream.read(&mut some);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[{\"id\"");
        }
    });
    let error = post(&client(&address, quick()), &marker(1), saying("red")).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
}

#[tokio::test]
async fn permanent_failures_are_reported_without_a_retry() {
    for (status, message) in [
        (403, "Resource not accessible by integration"),
        (404, "Not Found"),
        (422, "Validation Failed"),
        (401, "Bad credentials"),
    ] {
        let hub = Hub::new().await;
        hub.fail(
            "POST",
            ResponseTemplate::new(status).set_body_json(serde_json::json!({"message": message})),
        );
        let error = post(&client(&hub.address(), quick()), &marker(1), saying("red")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("creating the comment failed: GitHub answered {status} {message}")
        );
        assert_eq!(hub.requests(&["POST /repos"]).len(), 1);
    }
}

/// GitHub's details are texts, objects with a text, or objects with names; a proxy may send nothing at all.
#[tokio::test]
async fn a_refusal_says_what_the_host_says_or_what_its_status_means() {
    for (body, said) in [
        ("", "422 Unprocessable Entity"),
        ("  \n", "422 Unprocessable Entity"),
        ("{\"message\": \"\"}", "422 Unprocessable Entity"),
        ("{\"message\": \"Validation Failed\", \"errors\": []}", "422 Validation Failed"),
        (
            "{\"message\": \"Validation Failed\", \"errors\": [{\"resource\": \"IssueComment\", \"field\": \"data\", \
             \"code\": \"unprocessable\", \"message\": \"Body cannot be blank\"}, \"was submitted too quickly\"]}",
            "422 Validation Failed: Body cannot be blank; was submitted too quickly",
        ),
        (
            "{\"errors\": [{\"resource\": \"IssueComment\", \"field\": \"body\", \"code\": \"missing_field\"}]}",
            "422 Unprocessable Entity: IssueComment body missing_field",
        ),
        ("<html>no</html>", "422 <html>no</html>"),
    ] {
        let hub = Hub::new().await;
        hub.fail("POST", ResponseTemplate::new(422).set_body_string(body));
        let error = post(&client(&hub.address(), quick()), &marker(1), saying("red")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("creating the comment failed: GitHub answered {said}"));
        assert!(error.hint().unwrap().contains("comment --dry-run"));
    }
}

/// GitHub redirects requests for a moved repository to its new address.
#[tokio::test]
async fn redirects_of_a_moved_repository_are_followed() {
    let list = "/repos/octo-org/shop/issues/42/comments";
    for (below, status) in [("", 301), ("", 302), ("", 307), ("", 308), ("/api/v3", 301)] {
        let hub = Hub::below(below).await;
        let moved = |to: String| ResponseTemplate::new(status).insert_header("location", to);
        hub.fail("GET", moved(format!("{}{below}{list}?per_page=100&page=1", hub.address())));
        // A second redirect, without a host.
        hub.fail("GET", moved(format!("{below}{list}?per_page=100&page=1")));
        hub.fail("POST", moved(format!("{}{below}{list}", hub.address())));
        let client = client(&format!("{}{below}", hub.address()), quick());
        let posted = post(&client, &marker(1), saying("red")).await.unwrap();
        assert_eq!(
            (posted.what, hub.comments()),
            (PostOutcome::Created, vec![signed("red", 1)]),
            "{below} {status}"
        );
    }
}

/// The token is for one host: a redirect to another one, or in a loop, is an error with the address.
#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (other, hub) = (Hub::new().await, Hub::new().await);
    let port = other.address().rsplit(':').next().unwrap().to_owned();
    for to in [
        format!("{}/repos/octo-org/shop/issues/42/comments", other.address()),
        format!("//127.0.0.1:{port}/x"),
        format!("http://127.0.0.1:{port}@example.invalid/"),
        "https://example.invalid/repos/octo-org/shop".to_owned(),
        "http://[".to_owned(),
    ] {
        hub.fail(
            "GET",
            ResponseTemplate::new(301)
                .insert_header("location", &*to)
                .set_body_json(serde_json::json!({"message": "Moved Permanently"})),
        );
        let error = post(&client(&hub.address(), quick()), &marker(1), saying("red")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("reading the comments failed: GitHub answered 301 Moved Permanently, to {to}")
        );
        assert!(error.hint().unwrap().contains("renamed or moved"));
    }
    assert_eq!(other.requests(&["GET", "POST"]), [""; 0], "the token was sent to another host");
    hub.requests(&[]);
    for _ in 0..9 {
        hub.fail("GET", ResponseTemplate::new(301).insert_header("location", "/circle"));
    }
    let error = post(&client(&hub.address(), quick()), &marker(1), saying("red")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 301, .. }), "{error}");
    assert_eq!(hub.requests(&["GET"]).len(), 4);
}

#[tokio::test]
async fn a_locked_conversation_and_an_archived_repository_have_their_own_hints() {
    let dir = tempfile::tempdir().unwrap();
    let file = report(dir.path(), "run", HEAD, &[]);
    for (message, hint) in [
        ("Unable to create comment because issue is locked.", "the conversation is locked: unlock it"),
        ("Conversation is LOCKED", "the conversation is locked: unlock it"),
        ("Repository was archived so is read-only.", "the repository is archived"),
    ] {
        let locked = async || {
            let hub = Hub::new().await;
            hub.fail(
                "POST",
                ResponseTemplate::new(403).set_body_json(serde_json::json!({"message": message})),
            );
            hub
        };
        let hub = locked().await;
        Ran::of(workflow(&hub, "pull_request", 1, &file).args(["--when", "always"]))
            .expect_error(message, hint);
        // It neither fails the job nor mentions permissions.
        let hub = locked().await;
        let ran = Ran::of(&mut workflow(&hub, "pull_request", 1, &file)).expect(0);
        assert!(ran.stderr.contains(hint) && !ran.stderr.contains("permissions:"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn the_api_url_of_enterprise_server_is_used() {
    let hub = Hub::below("/api/v3").await;
    let client = client(&format!("{}/api/v3/", hub.address()), quick());
    assert_eq!(post(&client, &marker(1), saying("red")).await.unwrap().what, PostOutcome::Created);
    let requests = hub.requests(&["POST"]);
    assert_eq!(requests, ["POST /api/graphql", "POST /api/v3/repos/octo-org/shop/issues/42/comments"]);
    hub.without_graphql();
    assert_eq!(post(&client, &marker(1), saying("red")).await.unwrap().what, PostOutcome::Unchanged);
    assert!(hub.requests(&["GET"]).contains(&"GET /api/v3/user".to_owned()));
}

/// A report about the commit with this many failures.
fn report(dir: &Path, command: &'static str, commit: &str, failures: &[&str]) -> std::path::PathBuf {
    report_of(dir, command, commit, None, failures)
}

pub(crate) fn report_of(
    dir: &Path,
    command: &'static str,
    commit: &str,
    leg: Option<&str>,
    failures: &[&str],
) -> std::path::PathBuf {
    let mut report = Report::begin(command, datetime!(2026-11-21 01:02:03 UTC));
    report.project = Some("shop".into());
    report.commit = Some(commit.to_owned());
    report.leg = leg.map(ToOwned::to_owned);
    report.outcomes.push(Outcome::new(Stage::Scheduler, "scheduler", Verdict::Passed, "ticked"));
    for name in failures {
        report.outcomes.push(Outcome::new(Stage::Freshness, *name, Verdict::Failed, "too old"));
    }
    let file = tempfile::Builder::new().suffix(".json").tempfile_in(dir).unwrap().keep().unwrap().1;
    std::fs::write(&file, json::render(&report)).unwrap();
    file
}

/// `pgtrickle-ci comment` in a workflow that the event started.
fn workflow(hub: &Hub, event: &str, run: u64, report: &Path) -> Command {
    let payload = format!("{}/tests/it/events/{event}.json", env!("CARGO_MANIFEST_DIR"));
    let mut command = pgtrickle_ci();
    command
        .args(["comment", "--from-report"])
        .arg(report)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_API_URL", hub.address())
        .env("GITHUB_REPOSITORY", "octo-org/shop")
        .env("GITHUB_EVENT_NAME", event.split('.').next().unwrap())
        .env("GITHUB_EVENT_PATH", payload)
        .env("GITHUB_SHA", HEAD)
        .env("GITHUB_RUN_ID", run.to_string())
        .env("GITHUB_TOKEN", "a-token-for-tests");
    command
}

#[tokio::test]
async fn every_event_finds_its_pull_request() {
    let dir = tempfile::tempdir().unwrap();
    let file = report(dir.path(), "run", HEAD, &["orders"]);
    for event in [
        "pull_request",
        "pull_request.fork",
        "pull_request_target",
        "workflow_run",
        "workflow_run.fork",
        "merge_group",
        "issue_comment",
        "push",
    ] {
        let hub = Hub::new().await;
        hub.pull(41, "0000000000000000000000000000000000000000");
        hub.pull(42, HEAD);
        let output = dir.path().join("output");
        let ran = Ran::of(workflow(&hub, event, 7, &file).env("GITHUB_OUTPUT", &output)).expect(0);
        assert!(
            ran.stderr.contains("created the comment https://github.com/octo-org/shop/1"),
            "{event}: {}",
            ran.stderr
        );
        assert_eq!(
            hub.requests(&["POST /repos"]),
            ["POST /repos/octo-org/shop/issues/42/comments"],
            "{event}"
        );
        // The report of a run that started this one counts as that run's.
        let run = if event.starts_with("workflow_run") { 30_433_642 } else { 7 };
        assert!(hub.comments()[0].ends_with(&format!("\n\n<!-- pgtrickle-ci:default run={run} -->")));
        assert_eq!(
            std::fs::read_to_string(&output).unwrap(),
            "comment-url=https://github.com/octo-org/shop/1\n"
        );
        std::fs::remove_file(output).unwrap();
    }
}

#[tokio::test]
async fn a_read_only_token_warns_with_the_missing_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let file = report(dir.path(), "run", HEAD, &[]);
    let refuse = async || {
        let hub = Hub::new().await;
        let message = serde_json::json!({"message": "Resource not accessible by integration"});
        hub.fail("POST", ResponseTemplate::new(403).set_body_json(message));
        hub
    };
    let hub = refuse().await;
    let ran = Ran::of(&mut workflow(&hub, "pull_request.fork", 1, &file)).expect(0);
    let warning =
        ran.stderr.lines().find(|line| line.starts_with("::warning title=cannot post the comment::"));
    let warning = warning.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(
        warning.contains("%0A    permissions:%0A      contents: read%0A      pull-requests: write"),
        "{warning}"
    );
    // With the flag the exit code is an error.
    let hub = refuse().await;
    Ran::of(workflow(&hub, "pull_request", 1, &file).args(["--when", "always"]))
        .expect_error("403 Resource not accessible by integration", "add this to the job");
}

#[tokio::test]
async fn a_report_of_another_commit_is_not_posted() {
    let dir = tempfile::tempdir().unwrap();
    let other = "0000000000000000000000000000000000000000";
    let hub = Hub::new().await;
    Ran::of(&mut workflow(&hub, "workflow_run", 1, &report(dir.path(), "run", other, &[]))).expect_error(
        &format!("the report is for commit {other}, this job for commit {HEAD}"),
        "triggered this workflow",
    );
    assert_eq!(hub.comments(), [""; 0]);
}

#[tokio::test]
async fn without_a_pull_request_nothing_is_posted() {
    let dir = tempfile::tempdir().unwrap();
    let file = report(dir.path(), "run", HEAD, &[]);
    let hub = Hub::new().await;
    let ran = Ran::of(&mut workflow(&hub, "push", 1, &file)).expect(0);
    assert!(ran.stderr.contains("no open pull request"), "{}", ran.stderr);
    Ran::of(workflow(&hub, "push", 1, &file).args(["--when", "always"]))
        .expect_error("no open pull request", "--when");
    Ran::of(workflow(&hub, "pull_request", 1, &file).args(["--when", "never"])).expect(0);
    assert_eq!(hub.comments(), [""; 0]);
}

#[tokio::test]
async fn scheduled_runs_have_one_issue() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new().await;
    let night = |run: u64, failures: &[&str]| {
        let file = report(dir.path(), "check", HEAD, failures);
        Ran::of(&mut workflow(&hub, "schedule", run, &file)).expect(0);
    };
    night(1, &[]);
    assert_eq!(hub.issues().len(), 0);
    night(2, &["orders"]);
    let issue = hub.issues().remove(0);
    assert_eq!(issue["title"], "pgtrickle-ci: nightly check of shop fails");
    assert!(issue["body"].as_str().unwrap().contains("`orders`: too old"), "{issue:#}");
    night(3, &["orders"]);
    assert_eq!(hub.comments().len(), 0, "nothing is new");
    night(4, &["orders", "customers"]);
    assert!(hub.comments()[0].contains("`customers`: too old"), "{:?}", hub.comments());
    assert!(hub.issues()[0]["body"].as_str().unwrap().ends_with("run=4 -->"));
    night(5, &[]);
    assert_eq!(hub.issues()[0]["state"], "closed");
    assert!(hub.comments()[1].contains("pgtrickle-ci passed"), "{:?}", hub.comments());
    night(6, &["orders"]);
    assert_eq!(hub.issues().len(), 2, "a new bad night has a new issue");
}

/// Posts the report of a leg, with these tables failing, as that run and attempt.
async fn post_leg(hub: &Hub, (run, attempt): (u64, u64), matrix: &str, failures: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = report(dir.path(), "run", HEAD, failures);
    let mut command = workflow(hub, "pull_request", run, &file);
    command.env("GITHUB_JOB", "gate").env("GITHUB_RUN_ATTEMPT", attempt.to_string());
    command.env("PGTRICKLE_CI_MATRIX", matrix);
    tokio::task::spawn_blocking(move || Ran::of(&mut command).expect(0)).await.unwrap();
}

pub(crate) fn only_comment(hub: &Hub) -> String {
    let comments = hub.comments();
    assert_eq!(comments.len(), 1, "{comments:?}");
    comments.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_green_leg_leaves_the_red_one_of_its_run() {
    let hub = Hub::new().await;
    let (old, new) = (r#"{"dbt": "1.6"}"#, "{\n  \"dbt\": 1.11\n}");
    post_leg(&hub, (7, 1), old, &["orders"]).await;
    assert!(only_comment(&hub).contains("### ❌ pgtrickle-ci failed\n"));
    post_leg(&hub, (7, 1), new, &[]).await;
    let both = only_comment(&hub);
    for part in [
        "### ❌ pgtrickle-ci failed: 1 of 2 reports\n",
        "| ❌ | `gate (dbt: 1.6)` | run of `shop` | failed: 1 failed, 1 passed |\n",
        "| ✅ | `gate (dbt: 1.11)` | run of `shop` | passed: 1 passed |\n",
        "<details open><summary>❌ <code>gate (dbt: 1.6)</code></summary>\n",
        "<details><summary>✅ <code>gate (dbt: 1.11)</code></summary>\n",
        "`orders`: too old",
    ] {
        assert!(both.contains(part), "{part}\n{both}");
    }
    // The leg that is run again only replaces itself.
    post_leg(&hub, (7, 2), old, &[]).await;
    assert!(only_comment(&hub).contains("### ✅ pgtrickle-ci passed: 2 reports\n"), "{}", only_comment(&hub));
    // A late post of an earlier attempt is ignored.
    post_leg(&hub, (7, 1), old, &["late"]).await;
    assert!(!only_comment(&hub).contains("late"));
    // A new run begins with an empty comment.
    post_leg(&hub, (8, 1), old, &[]).await;
    assert!(only_comment(&hub).contains("### ✅ pgtrickle-ci passed\n"), "{}", only_comment(&hub));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reports_of_one_job_are_both_shown() {
    let hub = Hub::new().await;
    post_leg(&hub, (7, 1), "null", &["orders"]).await;
    post_leg(&hub, (7, 1), "null", &[]).await;
    assert!(only_comment(&hub).contains("pgtrickle-ci failed: 1 of 2 reports"), "{}", only_comment(&hub));
    post_leg(&hub, (7, 2), "null", &[]).await;
    assert!(only_comment(&hub).contains("### ✅ pgtrickle-ci passed\n"), "{}", only_comment(&hub));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_that_made_a_report_counts_and_not_the_one_that_posts_it() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new().await;
    for (leg, failures) in [("gate (dbt: 1.6)", &["orders"][..]), ("gate (dbt: 1.11)", &[])] {
        let file = report_of(dir.path(), "run", HEAD, Some(leg), failures);
        Ran::of(workflow(&hub, "workflow_run", 9, &file).env("GITHUB_JOB", "comment")).expect(0);
    }
    let comment = only_comment(&hub);
    assert!(
        comment.contains("| ❌ | `gate (dbt: 1.6)` |") && comment.contains("| ✅ | `gate (dbt: 1.11)` |")
    );
}

/// A job that writes old text overwrites the others, and each of them notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn legs_that_post_at_once_are_all_there() {
    let hub = Hub::new().await;
    hub.slow(Duration::from_millis(5));
    let (address, legs) = (hub.address(), 0..8);
    let post_one = async |leg: usize| {
        let mine = format!("leg {leg}");
        let compose = |bodies: &[&str]| {
            let mut lines: Vec<_> = bodies.iter().flat_map(|body| body.lines()).collect();
            lines.push(&mine);
            lines.sort_unstable();
            lines.dedup();
            Some(lines.join("\n"))
        };
        let patience = RetryPolicy { settle: Duration::from_millis(200), ..quick() };
        post(&client(&address, patience), &marker(1), compose).await.unwrap()
    };
    tokio::join!(
        post_one(0),
        post_one(1),
        post_one(2),
        post_one(3),
        post_one(4),
        post_one(5),
        post_one(6),
        post_one(7)
    );
    let all: Vec<_> = legs.map(|leg| format!("leg {leg}")).collect();
    assert_eq!(hub.comments(), [signed(&all.join("\n"), 1)]);
}

#[tokio::test]
async fn a_comment_that_others_keep_overwriting_fails() {
    let hub = Hub::new().await;
    let round = std::cell::Cell::new(0);
    // Each round finds another text.
    let compose = |_: &[&str]| {
        round.set(round.get() + 1);
        Some(round.get().to_string())
    };
    let patience = RetryPolicy { whole: Duration::from_millis(100), ..quick() };
    let error = post(&client(&hub.address(), patience), &marker(1), compose).await.unwrap_err();
    assert!(matches!(error, Error::Overwritten), "{error}");
}

#[tokio::test]
async fn a_job_does_not_close_the_issue_of_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new().await;
    let night = |run: u64, leg: &str, failures: &[&str]| {
        let file = report_of(dir.path(), "check", HEAD, Some(leg), failures);
        Ran::of(&mut workflow(&hub, "schedule", run, &file)).expect(0);
    };
    let state = || hub.issues().iter().map(|issue| issue["state"].clone()).collect::<Vec<_>>();
    night(1, "check (eu)", &["orders"]);
    night(1, "check (us)", &[]);
    assert_eq!(state(), ["open"]);
    assert_eq!(hub.comments(), [""; 0], "the other job has nothing to tell");
    night(2, "check (us)", &[]);
    night(2, "check (eu)", &["orders"]);
    assert_eq!((state(), hub.comments().len()), (vec!["open".into()], 0), "nothing is new");
    night(3, "check (eu)", &[]);
    assert_eq!((state(), hub.comments().len()), (vec!["closed".into()], 1));
}

#[test]
fn outside_of_a_workflow_the_body_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = report(dir.path(), "run", HEAD, &["orders"]);
    let mut shown = pgtrickle_ci();
    let ran = Ran::of(shown.args(["comment", "--dry-run", "--from-report"]).arg(&file)).expect(0);
    assert!(ran.stdout.starts_with("### ❌ pgtrickle-ci failed\n"), "{}", ran.stdout);
    let mut posted = pgtrickle_ci();
    posted.args(["comment", "--when", "always", "--from-report"]).arg(&file);
    Ran::of(&mut posted).expect_error("not in a GitHub workflow or a GitLab pipeline", "--dry-run");
    let mut wrong = pgtrickle_ci();
    wrong.args(["comment", "--comment-key", "a b", "--from-report"]).arg(&file);
    Ran::of(&mut wrong).expect_error("`a b`", "--comment-key");
    std::fs::write(&file, "{}").unwrap();
    let mut broken = pgtrickle_ci();
    Ran::of(broken.args(["comment", "--dry-run", "--from-report"]).arg(&file))
        .expect_error("is not a pgtrickle-ci report", "--json FILE");
}
