//! Faults around the tables: the scheduler, privileges, other sessions, and a lost server.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::Duration,
};

use serde_json::Value;

use super::{Shop, expect_bad};
use crate::support::{Ran, pgtrickle_ci};

#[test]
fn a_disabled_scheduler_fails() {
    let shop = Shop::new();
    let database = shop.database.endpoint.database.clone();
    shop.fault(
        &format!("alter database {database} set pg_trickle.enabled = 'off'"),
        "scheduler",
        "pg_trickle.enabled is off",
        &format!("alter database {database} reset pg_trickle.enabled"),
    );
}

#[test]
fn an_old_snapshot_fails_with_its_session() {
    let shop = Shop::new();
    let limits = "freshness: {error_after: {count: 2, period: second}}\n";
    std::fs::write(shop.dir.path().join("pgtrickle-ci.yml"), limits).unwrap();
    shop.database
        .run("set application_name = 'a slow report'; begin isolation level repeatable read; select 1");
    let pid = shop.database.value("select pg_backend_pid()").unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    let (ran, report) = shop.check(&["--config", "pgtrickle-ci.yml"]);
    expect_bad(&ran, &report, "scheduler", &format!("a snapshot of a slow report with pid {pid}"));
    shop.database.run("commit");
    std::fs::remove_file(shop.dir.path().join("pgtrickle-ci.yml")).unwrap();
    shop.expect_pass();
}

/// The role of docs/check-role.sql with another name and a password for the test's server.
#[test]
fn the_role_of_the_script_may_check_and_a_lesser_one_gets_the_missing_grant() {
    let shop = Shop::new();
    let role = shop.database.endpoint.database.replace("test", "role");
    let script = include_str!("../../../docs/check-role.sql").replace("pgtrickle_check", &role);
    shop.database.run(&script);
    shop.database.run(&format!("alter role {role} password 'night'"));
    let endpoint = &shop.database.endpoint;
    let url = format!("postgresql://{role}:night@{}:{}/{}", endpoint.host, endpoint.port, endpoint.database);
    shop.check_at(&url, &[]).0.expect(0);

    shop.database.run(&format!("revoke pg_monitor from {role}"));
    let (ran, report) = shop.check_at(&url, &[]);
    expect_bad(&ran, &report, "scheduler", "may not see other sessions");
    assert!(ran.stdout.contains(&format!("GRANT pg_monitor TO \"{role}\"")), "{}", ran.stdout);

    shop.database.run(&format!("grant pg_monitor to {role}"));
    shop.database.run(&format!("revoke select on all tables in schema pgtrickle_changes from {role}"));
    let (ran, report) = shop.check_at(&url, &[]);
    expect_bad(&ran, &report, "capture", "may not read the change buffer");
    assert!(
        ran.stdout.contains("GRANT SELECT ON ALL TABLES IN SCHEMA \"pgtrickle_changes\""),
        "{}",
        ran.stdout
    );

    shop.database.run(&format!("revoke usage on schema pgtrickle from {role}"));
    shop.check_at(&url, &[])
        .0
        .expect_error("permission denied for schema pgtrickle", "GRANT USAGE ON SCHEMA");
    shop.database.run(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_query_that_times_out_fails_one_check_only() {
    let shop = Shop::new();
    shop.database.run("begin; lock table pgtrickle.pgt_source_gates in access exclusive mode");
    let (ran, report) = shop.check(&["--lock-timeout", "200ms"]);
    expect_bad(&ran, &report, "refresh-mode", "canceling statement due to lock timeout");
    assert!(verdicts(&report, "freshness").contains(&"passed".to_owned()), "{}", ran.stdout);
    shop.database.run("rollback");
    shop.expect_pass();
}

/// A proxy between the program and the server cuts the connection at a query.
#[test]
fn a_lost_server_leaves_a_complete_report() {
    let shop = Shop::new();
    let endpoint = &shop.database.endpoint;
    let url_through =
        |port: u16| shop.database.url().replace(&format!(":{}/", endpoint.port), &format!(":{port}/"));
    let server = format!("{}:{}", endpoint.host, endpoint.port);
    let (ran, report) = shop.check_at(&url_through(cut_at("pgt_change_tracking", &server)), &[]);
    expect_bad(&ran, &report, "capture", "the connection to the server was lost");
    assert_eq!(verdicts(&report, "present"), ["passed"]);

    let (ran, report) = shop.check_at(&url_through(cut_at("stored_columns", &server)), &[]);
    assert_eq!((ran.code, &report["conclusion"]), (Some(2), &Value::from("failed")));
    assert_eq!(verdicts(&report, "setup"), ["errored"]);
}

fn verdicts(report: &Value, stage: &str) -> Vec<String> {
    let outcomes = report["outcomes"].as_array().unwrap().iter();
    let of_stage = outcomes.filter(|outcome| outcome["stage"] == stage);
    of_stage.map(|outcome| outcome["verdict"].as_str().unwrap().to_owned()).collect()
}

/// Forwards to the server until a client sends the word. Returns its port.
fn cut_at(word: &'static str, server: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = server.to_owned();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut up = TcpStream::connect(server).unwrap();
        let (mut down, mut back) = (up.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut down, &mut back));
        let mut said = Vec::new();
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            said.extend_from_slice(&buffer[..length]);
            if said.windows(word.len()).any(|window| window == word.as_bytes()) {
                break;
            }
            up.write_all(&buffer[..length]).unwrap();
        }
        client.shutdown(Shutdown::Both).ok();
        up.shutdown(Shutdown::Both).ok();
    });
    port
}

#[test]
fn a_database_without_stream_tables_has_nothing_to_fail() {
    let database = crate::support::Database::new();
    let dir = tempfile::tempdir().unwrap();
    database.wait_for(
        "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
    );
    Ran::of(pgtrickle_ci().current_dir(dir.path()).args(["check", "--database-url", &database.url()]))
        .expect(0);
}
