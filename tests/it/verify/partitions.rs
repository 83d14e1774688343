//! Partitions of a source: what pg_trickle follows is verified, and what it does not follow only if the project asks for it.

use std::fs;

use serde_json::Value;

use super::{all_are, create, faulty::psql_file, outcome, verify_in, with_time};
use crate::support::{Database, Ran, pgtrickle_ci};

const VISITS: &str = "
    create schema raw;
    create table raw.visits (day date, id int, hits int not null, note text, primary key (day, id)) partition by range (day);
    create table raw.january partition of raw.visits for values from ('2026-01-01') to ('2026-02-01');
    create table raw.february partition of raw.visits for values from ('2026-02-01') to ('2026-03-01');
    insert into raw.visits select date '2026-01-05' + n, n, n % 3, 'n' || n from generate_series(1, 40) as n";

fn visits() -> Database {
    let database = Database::new();
    database.run(VISITS);
    // A server that the tests are given is a named one.
    let name = &database.endpoint.database;
    database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = on"));
    create(
        &database,
        "hits",
        "select day, count(*) as n, sum(hits) as hits from raw.visits group by day",
        "DIFFERENTIAL",
    );
    database
}

#[test]
fn rows_that_are_loaded_into_a_detached_partition_are_verified() {
    let database = visits();
    let dir = tempfile::tempdir().unwrap();
    with_time(|budget| {
        let words = ["--allow-writes", &database.endpoint.database, "--budget", budget];
        let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
        all_are("passed", &report, &["hits"])?;
        let reached = reached(&report, "public.hits");
        reached.contains(", partition ").then_some(())
    });
    // Every partition is attached again.
    assert_eq!(
        database.value("select count(*) from pg_inherits where inhparent = 'raw.visits'::regclass"),
        Some("2".into())
    );
}

#[test]
fn changes_of_partitions_that_nothing_captures_are_made_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pgtrickle-ci.yml"), "version: 1\nverify: {partitions: true}\n").unwrap();
    with_time(|budget| {
        let database = visits();
        let words = ["--allow-writes", &database.endpoint.database, "--budget", budget, "--until-found"];
        let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
        all_are("failed", &report, &["hits"])
    });
    let file = dir.path().join("pgtrickle-ci-findings/public.hits.sql");
    let script = fs::read_to_string(&file).unwrap();
    // The emulator takes such rows with the next captured change, so that a case may not get smaller.
    assert!(script.contains("reproduced in an empty database"), "{script}");
    assert!(script.contains("partition of \"raw\".\"visits\" FOR VALUES FROM ('2026-"), "{script}");
    let again = Database::new();
    let shown = psql_file(&again.endpoint, &file);
    assert!(shown.contains("too many") || shown.contains("missing"), "{script}\n{shown}");
}

/// Where only IMMEDIATE tables read a source, every ALTER TABLE of it fails.
#[test]
fn partitions_that_an_immediate_table_reads_are_left_alone() {
    let database = visits();
    create(&database, "now", "select day, id from raw.visits", "IMMEDIATE");
    let dir = tempfile::tempdir().unwrap();
    with_time(|budget| {
        let words = ["--allow-writes", &database.endpoint.database, "--budget", budget];
        let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
        all_are("passed", &report, &["hits", "now"])?;
        assert!(!reached(&report, "public.hits").contains("partition"), "{report:#}");
        Some(())
    });
}

#[test]
fn a_partitioned_source_is_a_hazard() {
    let database = visits();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    Ran::of(
        pgtrickle_ci()
            .current_dir(dir.path())
            .args(["check", "--database-url", &database.url(), "--json"])
            .arg(&file),
    );
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let of = outcome(&report, "hazards", "public.hits");
    let words = "partitioned-source: writes to a partition of raw.visits itself";
    assert!(of["verdict"] == "warned" && of["message"].as_str().unwrap().contains(words), "{of:#}");
}

/// The kinds of changes that reached a table.
fn reached(report: &Value, table: &str) -> String {
    let details = outcome(report, "verify", table)["details"].as_array().unwrap().clone();
    let line =
        details.iter().filter_map(Value::as_str).find(|line| line.starts_with("changes that reached it: "));
    line.unwrap_or_else(|| panic!("{report:#}")).to_owned()
}
