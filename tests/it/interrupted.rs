//! Commands that are interrupted, or killed, leave no work behind that goes on, and say nothing that is not known.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pgtrickle_ci::pg::Endpoint;
use serde_json::json;

use crate::support::{Database, DbtProject, Ran, manifest, model, pgtrickle_ci, pgtrickle_ci_with_real_dbt};

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// The exit code, if it ends within this time.
fn ended(child: &mut Child, within: Duration) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < within {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    None
}

/// A manifest may come from a pipe, whose other end does not write.
#[test]
fn a_second_signal_ends_a_command_that_is_blocked() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("manifest.json");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut gate = pgtrickle_ci();
        gate.args(["plan", "--database-url", "postgresql://u@127.0.0.1:1/d", "--manifest"]).arg(&pipe);
        let mut gate = gate.stderr(Stdio::null()).spawn().unwrap();
        let other_end = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        send(&gate, signal);
        std::thread::sleep(Duration::from_millis(800));
        send(&gate, signal);
        assert_eq!(ended(&mut gate, Duration::from_mins(1)), Some(128 + signal as i32));
        drop(other_end);
    }
}

/// Closed output ends nothing, and a full disk is an error.
#[test]
fn closed_output_does_not_change_the_exit_code() {
    let database = Database::new();
    let dir = tempfile::tempdir().unwrap();
    let wanted = manifest(dir.path(), "m.json", [model("t", "select 1 as a", &json!({}))]);
    let gate = env!("CARGO_BIN_EXE_pgtrickle-ci");
    let run = |redirected: &str| {
        let script = format!("\"$@\" {redirected}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh", gate, "plan", "--exit-code", "--database-url", &database.url()]);
        shell.arg("--manifest").arg(&wanted).status().unwrap().code()
    };
    assert_eq!(run(">/dev/null"), Some(1), "a change is planned");
    for closed in ["<&- >/dev/null", ">&- 2>&-", "2>&- | true; exit 1", ">/dev/null 2>/dev/full"] {
        assert_eq!(run(closed), Some(1), "{closed}");
    }
    assert_eq!(run(">/dev/full 2>/dev/null"), Some(2));
}

/// Passes connections on, and ends all of them when the answer to a COMMIT would come.
fn losing_commits(server: &Endpoint) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint { port: listener.local_addr().unwrap().port(), ..server.clone() };
    let address = (server.host.clone(), server.port);
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let (mut near, mut far) = (near.unwrap(), TcpStream::connect(&address).unwrap());
            let (mut back, mut from) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                std::io::copy(&mut from, &mut back).ok();
                back.shutdown(Shutdown::Both).ok();
            });
            std::thread::spawn(move || {
                let mut bytes = [0; 8192];
                while let Ok(count @ 1..) = near.read(&mut bytes) {
                    let is_commit = bytes[..count].ends_with(b"commit\0");
                    if is_commit {
                        near.shutdown(Shutdown::Both).ok();
                    }
                    if far.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                // The server carries the commit out before it looks for its client.
                std::thread::sleep(Duration::from_millis(500));
                far.shutdown(Shutdown::Both).ok();
            });
        }
    });
    endpoint
}

fn apply(endpoint: &Endpoint, dir: &Path, query: &str) -> Command {
    let wanted = manifest(dir, "m.json", [model("t", query, &json!({"schedule": "1h"}))]);
    let mut apply = pgtrickle_ci();
    apply.args(["apply", "--database-url", endpoint.url().reveal(), "--manifest"]).arg(wanted);
    apply
}

#[test]
fn a_plan_whose_commit_is_not_answered_is_not_said_to_be_rolled_back() {
    let database = Database::new();
    database.run("create table orders (id int primary key, n int)");
    let dir = tempfile::tempdir().unwrap();
    let query = "select id, n from public.orders";
    let ran = Ran::of(&mut apply(&losing_commits(&database.endpoint), dir.path(), query)).expect(1);
    assert!(ran.stdout.contains("unknown whether it is done"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("pgtrickle-ci plan") && !ran.stdout.contains("rolled back"),
        "{}",
        ran.stdout
    );
    database.wait_for("select to_regclass('public.t') is not null");
    let again = Ran::of(&mut apply(&database.endpoint, dir.path(), query)).expect(0);
    assert!(again.stdout.contains("No changes"), "{}", again.stdout);
}

/// Its server process notices that its client is gone, and the next command does not wait for its lock.
#[test]
fn a_killed_apply_is_ended_by_the_server_in_the_middle_of_a_statement() {
    let database = Database::new();
    database.run("create table orders (id int primary key, n int); insert into orders select n, n from generate_series(1, 2000) n");
    let dir = tempfile::tempdir().unwrap();
    let long = "select count(*) as n from public.orders a, public.orders b, public.orders c, public.orders d where a.n <> b.n";
    let mut gate = apply(&database.endpoint, dir.path(), long);
    let mut gate =
        gate.args(["--statement-timeout", "1h"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let working = "select count(*) > 0 from pg_stat_activity where datname = current_database() and application_name = 'pgtrickle-ci' and state = 'active' and now() - query_start > interval '1 second'";
    database.wait_for(working);
    gate.kill().unwrap();
    gate.wait().unwrap();
    database.wait_for("select count(*) = 0 from pg_stat_activity where datname = current_database() and application_name = 'pgtrickle-ci'");
    let short = "select id, n from public.orders";
    Ran::of(apply(&database.endpoint, dir.path(), short).args(["--lock-timeout", "1s"])).expect(0);
}

/// dbt would continue without its caller, beside the next run.
#[test]
fn a_killed_run_ends_dbt_and_leaves_no_folder() {
    let database = Database::new();
    let project = DbtProject::new();
    project.write(
        "models/long.sql",
        "{{ config(materialized='table') }} select length(pg_sleep(100)::text) as l",
    );
    project.stream_table("behind", "{'schedule': '1h'}", "select l from {{ ref('long') }}");
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = pgtrickle_ci_with_real_dbt();
    run.args(["run", "--database-url", &database.url(), "--budget", "0s"]).env("TMPDIR", place.path());
    run.arg("--project-dir").arg(project.path()).arg("--profiles-dir").arg(project.path());
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let sleeps = "select count(*) > 0 from pg_stat_activity where datname = current_database() and query like '%pg_sleep(100)%' and pid <> pg_backend_pid() and state = 'active'";
    database.wait_for(sleeps);
    run.kill().unwrap();
    run.wait().unwrap();
    database.wait_for("select count(*) = 0 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' and query like '%pg_sleep(100)%'");
    let left =
        || fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let started = Instant::now();
    while !left().is_empty() && started.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(left().is_empty(), "{:?}", left());
    assert_eq!(database.value("select to_regclass('marts.behind')"), None);
}
