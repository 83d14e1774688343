//! Materialized views: what they read is changed, and they are refreshed.

use serde_json::Value;

use super::{OrdinaryRole, all_are, create, outcome, verify_in, with_time};
use crate::support::Database;

const TOTALS: &str = "select string_agg(t::text, ' ' order by t) from raw.totals as t";

/// A materialized view over a view over another one, a table over it, and one that also reads a table behind it.
fn sold() -> Database {
    let database = Database::new();
    database.run(
        "create schema raw;
         create table raw.sold (id int primary key, kind text, n int);
         create table raw.kinds (kind text primary key, label text);
         insert into raw.sold select n, 'k' || n % 4, n from generate_series(1, 20) as n;
         insert into raw.kinds select 'k' || n, 'label ' || n from generate_series(0, 5) as n;
         create materialized view raw.totals as select kind, sum(n) as total from raw.sold group by kind;
         create view raw.named as select k.label, t.total from raw.totals as t join raw.kinds as k on k.kind = t.kind;
         create materialized view raw.highest as select label, total from raw.named where total > 2",
    );
    create(&database, "high", "select label, total from raw.highest", "FULL");
    create(
        &database,
        "both",
        "select k.kind, h.total from raw.kinds as k left join raw.highest as h on h.label = k.label",
        "FULL",
    );
    database
}

fn ephemeral(database: &Database, is_it: &str) {
    let name = &database.endpoint.database;
    database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = {is_it}"));
}

#[test]
fn tables_over_materialized_views_follow_their_refreshes() {
    let database = sold();
    ephemeral(&database, "on");
    let before = database.value(TOTALS);
    let dir = tempfile::tempdir().unwrap();
    let name = database.endpoint.database.clone();
    let report = with_time(|budget| {
        let (_, report) =
            verify_in(dir.path(), &database.endpoint, &["--allow-writes", &name, "--budget", budget]);
        all_are("passed", &report, &["high", "both"])?;
        // In a round that changed nothing else.
        let reached = outcome(&report, "verify", "public.high")["details"].to_string();
        (reached.contains("raw.sold ") && reached.contains("raw.kinds ")).then_some(report)
    });
    for view in ["raw.totals", "raw.highest"] {
        let message = &outcome(&report, "verify", view)["message"];
        assert_eq!(
            *message,
            "not changed: it is a materialized view: its tables are changed, and it is refreshed"
        );
    }
    assert_ne!(database.value(TOTALS), before, "{report:#}");
}

#[test]
fn materialized_views_stay_as_they_are_on_a_named_server_and_below_an_immediate_table() {
    for is_ephemeral in ["off", "on"] {
        let database = sold();
        ephemeral(&database, is_ephemeral);
        if is_ephemeral == "on" {
            database.run("set pg_trickle.matview_polling = on; select pgtrickle.create_stream_table('public.at_once', 'select kind, total from raw.totals', '1h', 'IMMEDIATE')");
        }
        let before = database.value(TOTALS);
        let name = database.endpoint.database.clone();
        let dir = tempfile::tempdir().unwrap();
        let words = ["--allow-writes", &name, "--budget", "4s"];
        let (ran, report) = verify_in(dir.path(), &database.endpoint, &words);
        ran.expect(0);
        let of = |subject: &str| outcome(&report, "verify", subject)["message"].as_str().unwrap().to_owned();
        assert_eq!(of("raw.highest"), "not changed: it is a materialized view");
        assert_eq!(of("public.high"), "none of its sources can be changed");
        assert_eq!(database.value(TOTALS), before);
    }
}

fn message(report: &Value, subject: &str) -> String {
    outcome(report, "verify", subject)["message"].as_str().unwrap().to_owned()
}

/// Verifies in the shortest time in which it passes.
fn passes(database: &Database, seed: &str) {
    let name = &database.endpoint.database;
    let dir = tempfile::tempdir().unwrap();
    with_time(|budget| {
        let words = ["--allow-writes", name, "--budget", budget, "--seed", seed];
        let (ran, _) = verify_in(dir.path(), &database.endpoint, &words);
        (ran.code == Some(0)).then_some(())
    });
}

/// A round that the end of the budget meets between its changes and its refreshes is finished.
#[test]
fn the_end_of_the_budget_leaves_no_table_behind() {
    for seed in ["1", "2", "3"] {
        let database = sold();
        ephemeral(&database, "on");
        passes(&database, seed);
        let differing = "select count(*) from (
              (select * from raw.highest except all select label, total from high)
              union all (select label, total from high except all select * from raw.highest)
            ) as differing";
        assert_eq!(database.value(differing), Some("0".into()), "seed {seed}");
    }
}

#[test]
fn a_materialized_view_whose_refresh_fails_on_possible_rows_is_a_warning() {
    let database = sold();
    ephemeral(&database, "on");
    database.run("create materialized view raw.shares as select id, 10 / n as share from raw.sold");
    create(&database, "shares", "select id, share from raw.shares", "FULL");
    let name = database.endpoint.database.clone();
    let dir = tempfile::tempdir().unwrap();
    let report = with_time(|budget| {
        let words = ["--allow-writes", &name, "--budget", budget];
        let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
        all_are("passed", &report, &["high", "both"])?;
        all_are("warned", &report, &["shares"]).map(|()| report)
    });
    let failing = "the refresh of the materialized view raw.shares fails on possible rows";
    let said = message(&report, "public.shares");
    assert!(said.starts_with(failing) && said.contains("division by zero"), "{said}");
    assert!(said.contains("; equal to its query after "), "{said}");
    let rounds = outcome(&report, "verify", "rounds");
    assert!(!rounds.to_string().contains("22012"), "not rejected by the schema: {rounds:#}");
    let script = dir.path().join("pgtrickle-ci-findings/public.shares-fails.sql");
    let script = std::fs::read_to_string(script).unwrap();
    assert!(script.starts_with(&format!("-- public.shares: {failing}: division by zero")), "{script}");
    assert!(script.contains("-- Reduced, and reproduced"), "{script}");
    assert!(script.contains("refresh materialized view \"raw\".\"shares\";"), "{script}");
}

/// Also after a round that was reverted, because its rows made a query fail.
#[test]
fn a_reverted_round_leaves_no_table_behind() {
    for seed in ["1", "2", "6"] {
        let database = Database::ephemeral();
        database.run(
            "create table items (id int primary key, n int not null);
             insert into items select i, 1 + i % 3 from generate_series(1, 20) as i;
             create materialized view copied as select id, n from items;
             create materialized view divided as select id, 10 / n as part from items",
        );
        create(&database, "plain", "select id, n from public.items", "DIFFERENTIAL");
        create(&database, "divides", "select id, 10 / n as part from public.items", "DIFFERENTIAL");
        create(&database, "of_copy", "select id, n from public.copied", "FULL");
        create(&database, "of_divided", "select id, part from public.divided", "FULL");
        passes(&database, seed);
        for (stored, query) in [
            ("id, n from plain", "id, n from items"),
            ("id, part from divides", "id, 10 / n from items"),
            ("id, n from of_copy", "id, n from copied"),
            ("id, part from of_divided", "id, part from divided"),
        ] {
            let differing = format!(
                "select count(*) from ((select {stored} except all select {query}) union all (select {query} except all select {stored})) as differing"
            );
            assert_eq!(database.value(&differing), Some("0".into()), "{stored} with seed {seed}");
        }
    }
}

/// Two rows of one value break the index of the view. The owner of another may not read its table.
#[test]
fn a_materialized_view_whose_refresh_fails_for_any_reason_is_a_warning() {
    let database = Database::ephemeral();
    let owner = format!("{}_owner", database.endpoint.database);
    database.run(&format!(
        "create table items (id int primary key, n int); insert into items select i, i from generate_series(1, 20) as i;
         create table hidden (id int primary key, n int); insert into hidden select i, i from generate_series(1, 20) as i;
         create materialized view numbers as select id, n from items; create unique index on numbers (n);
         create materialized view secret as select id, n from hidden;
         create role {owner}; grant create on schema public to {owner}; alter materialized view secret owner to {owner}"
    ));
    create(&database, "numbered", "select id, n from public.numbers", "FULL");
    create(&database, "told", "select id, n from public.secret", "FULL");
    let name = database.endpoint.database.clone();
    let dir = tempfile::tempdir().unwrap();
    let report = with_time(|budget| {
        let words = ["--allow-writes", &name, "--budget", budget];
        let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
        all_are("warned", &report, &["numbered", "told"])?;
        let is_seen = |table| message(&report, table).starts_with("the refresh of the materialized view ");
        (is_seen("public.numbered") && is_seen("public.told")).then_some(report)
    });
    database.run(&format!("drop owned by {owner} cascade; drop role {owner}"));
    let (numbered, told) = (message(&report, "public.numbered"), message(&report, "public.told"));
    assert!(
        numbered.starts_with(
            "the refresh of the materialized view public.numbers fails on possible rows, after round "
        ),
        "{numbered}"
    );
    assert!(numbered.contains("could not create unique index"), "{numbered}");
    assert!(
        told.starts_with("the refresh of the materialized view public.secret fails, after round "),
        "{told}"
    );
    let next = outcome(&report, "verify", "public.told")["details"].to_string();
    assert!(next.contains("grant the owner of public.secret what its query reads"), "{next}");
}

#[test]
fn a_materialized_view_that_cannot_be_refreshed_is_left_out_with_the_reason() {
    let database = sold();
    ephemeral(&database, "on");
    database.run("create materialized view raw.of_stream as select label from public.high");
    create(&database, "behind", "select label from raw.of_stream", "FULL");
    let role = OrdinaryRole::of(&database, "raw, public");
    let name = database.endpoint.database.clone();
    database.run(&format!("grant maintain on raw.highest to {}", role.endpoint.user));
    let dir = tempfile::tempdir().unwrap();
    let words = ["--allow-writes", &name, "--budget", "1s"];
    let (_, report) = verify_in(dir.path(), &role.endpoint, &words);
    assert_eq!(
        message(&report, "raw.highest"),
        "not changed: it is a materialized view that this role may not refresh: grant it MAINTAIN on the view, and on those that it reads"
    );
    assert_eq!(
        message(&report, "raw.of_stream"),
        "not changed: it is a materialized view over a stream table, and is not refreshed"
    );
    for table in ["public.high", "public.behind"] {
        assert_eq!(message(&report, table), "none of its sources can be changed");
    }
    database.run(&format!("grant maintain on raw.totals to {}", role.endpoint.user));
    let (_, report) = verify_in(dir.path(), &role.endpoint, &words);
    let refreshed = "not changed: it is a materialized view: its tables are changed, and it is refreshed";
    assert_eq!(message(&report, "raw.highest"), refreshed);
}
