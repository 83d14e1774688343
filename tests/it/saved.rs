//! Saved plans, and the checks before they are applied.

use std::{fs, path::PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

const QUERY: &str = "select id, amount from public.orders";

/// A database with one stream table, and a saved plan that alters it and creates another.
fn planned() -> (Database, TempDir, PathBuf) {
    let database = Database::new();
    database.run("create table orders (id int primary key, amount int); insert into orders values (1, 10)");
    let dir = tempfile::tempdir().unwrap();
    let settings = |schedule: &str| json!({"schedule": schedule});
    let before = manifest(dir.path(), "before.json", [model("one", QUERY, &settings("1h"))]);
    Ran::of(pgtrickle_ci().args(["apply", "--database-url", &database.url(), "--manifest"]).arg(before))
        .expect(0);
    let after = manifest(
        dir.path(),
        "after.json",
        [model("one", QUERY, &settings("2h")), model("two", QUERY, &settings("1h"))],
    );
    let file = dir.path().join("plan.json");
    let mut plan = pgtrickle_ci();
    plan.args(["plan", "--database-url", &database.url(), "--manifest"]).arg(after).arg("--out").arg(&file);
    Ran::of(&mut plan).expect(0);
    (database, dir, file)
}

fn apply(database: &Database, file: &PathBuf) -> Ran {
    Ran::of(pgtrickle_ci().arg("apply").arg(file).args(["--database-url", &database.url()]))
}

fn tables(database: &Database) -> Option<String> {
    database.value(
        "select string_agg(pgt_name || ' ' || coalesce(schedule, ''), ', ' order by pgt_name) from pgtrickle.pgt_stream_tables",
    )
}

#[test]
fn an_edited_plan_is_refused() {
    let (database, _dir, file) = planned();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("2h"));
    fs::write(&file, text.replace("2h", "3h")).unwrap();
    apply(&database, &file).expect_error("plan.json", "--out");
    assert_eq!(tables(&database).as_deref(), Some("one 1h"));
}

#[test]
fn a_server_that_changed_since_is_refused_with_the_difference() {
    let (database, _dir, file) = planned();
    database.run("select pgtrickle.alter_stream_table('public.one', schedule => '5h')");
    let ran = apply(&database, &file).expect_error("public.one", "--out");
    assert!(!ran.stderr.contains("public.two"), "{}", ran.stderr);
    assert_eq!(tables(&database).as_deref(), Some("one 5h"));
    database.run("select pgtrickle.alter_stream_table('public.one', schedule => '1h')");
    apply(&database, &file).expect(0);
    assert_eq!(tables(&database).as_deref(), Some("one 2h, two 1h"));
}

#[test]
fn a_plan_for_another_server_is_refused() {
    let (_database, _dir, file) = planned();
    let other = Database::new();
    apply(&other, &file).expect_error(&other.endpoint.database, "--database-url");
    assert_eq!(tables(&other), None);
}

/// The engine leaves the change buffer of a table that becomes IMMEDIATE, with the columns of that time.
#[test]
fn a_source_can_be_written_to_after_a_table_was_immediate_and_got_a_column() {
    let database = Database::new();
    database.run("create table orders (id int primary key, amount int)");
    let dir = tempfile::tempdir().unwrap();
    let all = "select id, amount from public.orders";
    let steps = [("DIFFERENTIAL", "select id from public.orders"), ("IMMEDIATE", all), ("DIFFERENTIAL", all)];
    let file = dir.path().join("plan.json");
    for (mode, query) in steps {
        let wanted = manifest(dir.path(), "m.json", [model("t", query, &json!({"refresh_mode": mode}))]);
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--database-url", &database.url(), "--manifest"])
            .arg(wanted)
            .arg("--out")
            .arg(&file);
        Ran::of(&mut plan).expect(0);
        // The emulator leaves no buffer, so look at the statements, too.
        let drops_buffers = fs::read_to_string(&file).unwrap().contains("drop table %s.%I");
        assert_eq!(drops_buffers, mode == "DIFFERENTIAL", "to {mode}");
        apply(&database, &file).expect(0);
    }
    database.run("insert into orders values (1, 10); select pgtrickle.refresh_stream_table('public.t')");
    assert_eq!(database.value("select amount::text from t").as_deref(), Some("10"));
}
