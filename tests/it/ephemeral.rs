//! Ephemeral servers start, work, and leave nothing behind.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pgtrickle_ci::{pg::Endpoint, server::Ephemeral};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::support::{pgtrickle_ci, venv, wanted};

/// A private folder for temporary files, to see what is left in it.
fn temp_dir() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn connect(endpoint: &Endpoint) -> Client {
    let (client, connection) = tokio_postgres::connect(endpoint.url().reveal(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask(client: &Client, sql: &str) -> String {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Files and processes that are left of a server below `temp_dir`.
fn leftovers(temp_dir: &Path) -> Vec<String> {
    let files = fs::read_dir(temp_dir).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    let processes = Command::new("ps").args(["-eo", "pid,args"]).output().unwrap();
    let processes = String::from_utf8_lossy(&processes.stdout).into_owned();
    let path = temp_dir.display().to_string();
    files.chain(processes.lines().filter(|line| line.contains(&path)).map(ToOwned::to_owned)).collect()
}

/// Polls until `check` holds, for up to a minute.
fn soon(check: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_mins(1) {
        if check() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_run_side_by_side_and_leave_nothing() {
    let folder = temp_dir();
    let wanted = wanted(folder.path());
    let (one, other) = tokio::join!(Ephemeral::start(&wanted), Ephemeral::start(&wanted));
    let (one, other) = (one.unwrap(), other.unwrap());

    assert_ne!(one.endpoint().port, other.endpoint().port);
    assert_ne!(one.endpoint().password, other.endpoint().password);
    for server in [&one, &other] {
        let client = connect(server.endpoint()).await;
        let version = "select extversion from pg_extension where extname = 'pg_trickle'";
        assert!(ask(&client, version).await.ends_with("-emulator"));
        assert_eq!(ask(&client, "show timezone").await, "UTC");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

    drop(one);
    other.stop().await;
    assert_eq!(leftovers(folder.path()), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheduler_runs_in_every_database_without_blocking_drops() {
    let folder = temp_dir();
    let server = Ephemeral::start(&wanted(folder.path())).await.unwrap();
    let first = connect(server.endpoint()).await;
    first.batch_execute("create database another").await.unwrap();

    let another = connect(&server.endpoint().with_database("another")).await;
    another
        .batch_execute(
            "create extension pg_trickle;
             create table sales (amount int);
             insert into sales values (1), (2);
             select pgtrickle.create_stream_table('total', 'select sum(amount) as amount from sales', '1s');
             insert into sales values (39);",
        )
        .await
        .unwrap();
    let begin = Instant::now();
    while ask(&another, "select coalesce(max(amount), 0)::text from total").await != "42" {
        assert!(begin.elapsed() < Duration::from_mins(1), "the scheduler did not run");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let scheduled =
        "select count(*)::text from pgtrickle.pgt_refresh_history where initiated_by = 'SCHEDULER'";
    assert_ne!(ask(&another, scheduled).await, "0");

    drop(another);
    first.batch_execute("drop database another").await.unwrap();
    server.stop().await;
    assert_eq!(leftovers(folder.path()), [] as [String; 0]);
}

#[test]
fn nothing_is_left_after_sigkill() {
    for at_work in [false, true] {
        let folder = temp_dir();
        let mut owner = pgtrickle_ci();
        owner.arg("ephemeral").env("TMPDIR", folder.path()).stdout(Stdio::piped());
        let mut owner = owner.args(["--", "sh", "-c", "echo $PGPORT; exec sleep 1"]).spawn().unwrap();
        if at_work {
            let mut port = String::new();
            BufReader::new(owner.stdout.take().unwrap()).read_line(&mut port).unwrap();
            assert!(port.trim().parse::<u16>().is_ok(), "{port}");
        } else {
            // During initdb.
            assert!(soon(|| !leftovers(folder.path()).is_empty()));
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(!leftovers(folder.path()).is_empty());
        owner.kill().unwrap();
        owner.wait().unwrap();
        assert!(soon(|| leftovers(folder.path()).is_empty()), "{:#?}", leftovers(folder.path()));
    }
}

#[test]
fn a_signal_ends_the_command_and_the_server() {
    // Not SIGXFSZ: a parent written in Python ignores it, and then it stays ignored.
    for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGABRT, Signal::SIGIO] {
        let folder = temp_dir();
        let mut gate = pgtrickle_ci();
        gate.arg("ephemeral").env("TMPDIR", folder.path()).stdout(Stdio::piped());
        let mut gate = gate.args(["--", "sh", "-c", "echo $PGPORT; exec sleep 60"]).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(gate.stdout.take().unwrap()).read_line(&mut port).unwrap();
        kill(Pid::from_raw(i32::try_from(gate.id()).unwrap()), signal).unwrap();
        assert_eq!(gate.wait().unwrap().code(), Some(128 + signal as i32));
        assert_eq!(leftovers(folder.path()), [] as [String; 0], "{signal}");
    }
}

#[test]
fn an_ignored_hangup_stays_ignored() {
    let folder = temp_dir();
    let gate = env!("CARGO_BIN_EXE_pgtrickle-ci");
    let script = format!("trap '' HUP; exec {gate} ephemeral -- sh -c 'kill -HUP $PPID; sleep 1; exit 3'");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).env("TMPDIR", folder.path());
    let venv = venv();
    let ended = shell.env("VIRTUAL_ENV", venv).stdout(Stdio::null()).status().unwrap();
    assert_eq!(ended.code(), Some(3));
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let folder = temp_dir();
    let run = |command: &[&str]| {
        let mut gate = pgtrickle_ci();
        gate.arg("ephemeral").env("TMPDIR", folder.path());
        gate.arg("--").args(command).output().unwrap()
    };
    let output = run(&["sh", "-c", "echo $DATABASE_URL; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("postgresql://postgres:"));
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    let missing = run(&["no-such-program"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("`no-such-program`"));
    assert_eq!(leftovers(folder.path()), [] as [String; 0]);
}
