//! `explain` and `history`: one stream table of a server.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

/// A database in which `totals` reads a table, and `big` and a view read `totals`.
fn shop() -> Database {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key, customer int, amount int);
         insert into orders select n, n % 3, n from generate_series(1, 9) as n;
         select pgtrickle.create_stream_table('public.totals',
           'select customer, sum(amount) as total from public.orders group by customer', '1h', 'DIFFERENTIAL');
         select pgtrickle.create_stream_table('public.big', 'select customer from public.totals where total > 12', '1h', 'FULL');
         create view shown as select * from totals",
    );
    database
}

fn run(database: &Database, arguments: &[&str]) -> Ran {
    let dir = std::env::temp_dir();
    Ran::of(pgtrickle_ci().current_dir(dir).args(arguments).args(["--database-url", &database.url()]))
}

fn document(database: &Database, arguments: &[&str]) -> Value {
    let ran = run(database, &[arguments, &["--json", "-"]].concat()).expect(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_table_is_explained_with_its_sources_readers_and_checks() {
    let database = shop();
    let catalog = "select md5(string_agg(s::text, ',')) from pgtrickle.pgt_stream_tables as s";
    let before = database.value(catalog);
    let said = run(&database, &["explain", "totals"]).expect(0).stdout;
    for part in [
        "public.totals: a stream table at ",
        "status: ACTIVE, populated, refreshed ",
        "refresh mode: DIFFERENTIAL\n",
        "schedule: 1h",
        "public.orders: table, captured by triggers, buffer pgtrickle_changes.changes_",
        "public.big: stream table",
        "public.shown: view",
        "✓ status public.totals: ACTIVE",
    ] {
        assert!(said.contains(part), "`{part}` is missing:\n{said}");
    }
    assert!(!said.contains('\u{1b}') && !said.contains("password"), "{said}");
    assert_eq!(database.value(catalog), before);

    let full = format!("\"{}\".\"public\".\"big\"", database.endpoint.database);
    let document = document(&database, &["explain", &full]);
    assert_eq!(document["reads"][0]["relation"], json!({"schema": "public", "name": "totals"}));
    assert_eq!(document["reads"][0]["kind"], "stream_table");
    assert_eq!(document["refresh_mode"]["deployed"], "FULL");
    assert_eq!(document["status"]["is_populated"], true);
    assert_eq!(document["readers"]["stream_tables"], json!([]));
    assert_eq!(document["readers"]["models"], json!(null), "without a manifest they are unknown");
    assert!(document["cost"]["bytes"].as_i64().unwrap() > 0, "{document}");
}

#[test]
fn a_manifest_names_the_model_and_its_readers() {
    let database = shop();
    let dir = tempfile::tempdir().unwrap();
    let (id, mut node) = model("order_totals", "select 1 as a", &json!({}));
    node["alias"] = "totals".into();
    let (report_id, mut report) = model("weekly", "select 1 as a", &json!({}));
    report["config"]["materialized"] = "table".into();
    report["depends_on"]["nodes"] = json!([id]);
    let missing = model("missing", "select 1 as a", &json!({}));
    let manifest = manifest(dir.path(), "m.json", [(id, node), (report_id, report), missing]);
    let manifest = manifest.to_str().unwrap();
    let said = run(&database, &["explain", "order_totals", "--manifest", manifest]).expect(0).stdout;
    assert!(said.contains("model: model.shop.order_totals (models/order_totals.sql)"), "{said}");
    assert!(said.contains("public.weekly: model, table"), "{said}");
    run(&database, &["explain", "missing", "--manifest", manifest])
        .expect_error("public.missing of the model `missing` is not deployed", "pgtrickle-ci plan");
}

#[test]
fn a_name_without_exactly_one_table_is_an_error() {
    let database = shop();
    for command in ["explain", "history"] {
        run(&database, &[command, "total"])
            .expect_error("no stream table is named `total` (did you mean `public.totals`?)", "check -v");
        run(&database, &[command, "evil\u{1b}[31m'; drop table orders"])
            .expect_error("no stream table is named `evil'; drop table orders`", "check -v");
    }
    database.run(
        "create schema other;
         select pgtrickle.create_stream_table('other.totals', 'select id from public.orders', '1h', 'FULL')",
    );
    run(&database, &["explain", "totals"]).expect_error(
        "several stream tables are named `totals`: other.totals, public.totals",
        "other.totals",
    );
    run(&Database::new(), &["history", "totals"])
        .expect_error("the database has no stream tables", "dbt run");
}

#[test]
fn the_history_shows_refreshes_and_counts_those_without_changes() {
    let database = shop();
    let refresh = "select pgtrickle.refresh_stream_table('public.totals')";
    // On the real extension a refresh with changes may be followed by one of the scheduler.
    database.run(&format!("insert into orders values (10, 7, 5); {refresh}"));
    for _ in 0..3 {
        database.run(refresh);
    }
    let document = document(&database, &["history", "totals"]);
    let refreshes = document["refreshes"].as_array().unwrap();
    let idle = &refreshes[0];
    assert_eq!((idle["is_idle"].as_bool(), idle["count"].as_u64()), (Some(true), Some(3)), "{document}");
    assert_eq!(refreshes[1]["rows_inserted"], 1, "{document}");
    assert_eq!(refreshes.last().unwrap()["action"], "FULL");

    let said = run(&database, &["history", "totals", "--last", "1"]).expect(0).stdout;
    assert!(said.contains("no changes ×3") && said.contains("+1") && said.contains('█'), "{said}");
    assert!(!said.contains("FULL"), "{said}");
    let none = run(&database, &["history", "totals", "--last", "0"]).expect(2);
    assert!(none.stderr.contains("0 is not in 1.."), "{}", none.stderr);
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("history.json");
    let said = run(&database, &["history", "totals", "--json", file.to_str().unwrap()]).expect(0);
    assert!(said.stderr.contains("history.json") && said.stdout.contains("public.totals"), "{}", said.stderr);
    assert!(fs::read_to_string(file).unwrap().contains("\"schema_version\": 1"));
}

/// Newer versions count updates apart.
#[test]
fn a_refresh_that_only_updated_rows_is_not_without_changes() {
    let Some(database) = Database::newer() else { return };
    database.run(
        "create table orders (id int primary key); insert into orders values (1);
         select pgtrickle.create_stream_table('public.totals', 'select id from public.orders', '1h', 'DIFFERENTIAL');
         insert into pgtrickle.pgt_refresh_history
             (pgt_id, data_timestamp, start_time, end_time, action, status, initiated_by, rows_inserted, rows_updated, rows_deleted)
           select pgt_id, now(), now(), now(), 'DIFFERENTIAL', 'COMPLETED', 'SCHEDULER', 2, 3, 0 from pgtrickle.pgt_stream_tables
           union all
           select pgt_id, now(), now(), now(), 'DIFFERENTIAL', 'COMPLETED', 'SCHEDULER', 0, 4, 0 from pgtrickle.pgt_stream_tables",
    );
    let document = document(&database, &["history", "totals"]);
    let newest = &document["refreshes"][0];
    assert_eq!(
        (newest["is_idle"].as_bool(), newest["rows_updated"].as_i64()),
        (Some(false), Some(4)),
        "{document}"
    );
    let said = run(&database, &["history", "totals"]).expect(0).stdout;
    assert!(said.contains("~4") && said.contains("+2 ~3"), "{said}");
}

#[test]
fn a_role_that_may_read_only_the_catalog_gets_what_it_may_see() {
    let database = shop();
    let role = format!("h_{}", database.endpoint.database);
    database.run(&format!(
        "create role {role} login password 'x';
         grant usage on schema pgtrickle to {role}; grant select on pgtrickle.pgt_stream_tables, pgtrickle.pgt_dependencies to {role}"
    ));
    let endpoint = &database.endpoint;
    let url = format!("postgresql://{role}:x@{}:{}/{}", endpoint.host, endpoint.port, endpoint.database);
    let mut command = pgtrickle_ci();
    let ran = Ran::of(command.current_dir(std::env::temp_dir()).args([
        "explain",
        "totals",
        "--database-url",
        &url,
    ]));
    database.run(&format!("drop owned by {role}; drop role {role}"));
    let said = ran.expect(0).stdout;
    assert!(said.contains("cannot tell: ") && said.contains("permission denied"), "{said}");
}
