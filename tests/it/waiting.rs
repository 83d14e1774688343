//! `wait` ends as soon as the result is known.

use std::time::Duration;

use serde_json::json;

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

const QUERY: &str = "select id from public.orders";

fn database() -> Database {
    let database = Database::new();
    database.run("create table orders (id int primary key); insert into orders values (1)");
    database
}

fn create(database: &Database, name: &str, more: &str) {
    database.run(&format!(
        "select pgtrickle.create_stream_table('public.{name}', '{QUERY}', '1m', 'DIFFERENTIAL'{more})"
    ));
}

fn wait(database: &Database, tables: &[&str], more: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let models = tables.iter().map(|name| model(name, QUERY, &json!({})));
    let manifest = manifest(dir.path(), "manifest.json", models);
    Ran::of(
        pgtrickle_ci()
            .current_dir(dir.path())
            .args(["wait", "--database-url", &database.url(), "--manifest"])
            .arg(manifest)
            .args(more),
    )
}

#[test]
fn a_table_without_initialization_is_populated_only_with_refresh() {
    let database = database();
    create(&database, "totals", "");
    create(&database, "empty", ", initialize => false");
    let started = std::time::Instant::now();
    let ran = wait(&database, &["totals", "empty"], &["--timeout", "10m"]).expect(1);
    assert!(
        ran.stdout.contains("initialize: false")
            && ran.stdout.contains("refresh_stream_table('public.empty')"),
        "{}",
        ran.stdout
    );
    assert!(started.elapsed() < Duration::from_mins(5), "it waited for a table that cannot be populated");

    wait(&database, &["totals", "empty"], &["--refresh"]).expect(0);
    assert_eq!(database.value("select count(*) from empty"), Some("1".into()));
}

#[test]
fn a_missing_table_is_waited_for_until_the_limit() {
    let database = database();
    create(&database, "totals", "");
    let ran = wait(&database, &["totals", "missing"], &["--timeout", "300ms"]);
    let said = ran.expect(1).stdout;
    assert!(
        said.contains("does not exist") && said.contains("not populated within 300ms; raise the limit"),
        "{said}"
    );
}

/// It fails with the first table that cannot be populated, before the limit of the others.
#[test]
fn a_table_in_error_ends_the_wait_for_all() {
    let database = database();
    create(&database, "totals", "");
    database.run("select pgtrickle.alter_stream_table('public.totals', status => 'ERROR')");
    let started = std::time::Instant::now();
    let ran = wait(&database, &["totals", "missing"], &["--timeout", "10m"]).expect(1);
    assert!(ran.stdout.contains("is in status ERROR"), "{}", ran.stdout);
    assert!(started.elapsed() < Duration::from_mins(5), "it waited for a table that cannot be populated");
}

#[test]
fn a_table_can_have_its_own_limit() {
    let database = database();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("pgtrickle-ci.yml");
    std::fs::write(&config, "wait: {timeout: 10m, models: {missing: 300ms}}\n").unwrap();
    let started = std::time::Instant::now();
    let config = config.to_str().unwrap();
    wait(&database, &["missing"], &["--config", config]).expect(1);
    assert!(started.elapsed() < Duration::from_mins(5), "it ignored the table's own limit");
}

#[test]
fn a_populated_table_is_announced_and_ends_the_wait() {
    let database = database();
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(&database, &["late"], &["--timeout", "10m"]));
        std::thread::sleep(Duration::from_millis(1_500));
        create(&database, "late", "");
        waiting.join().unwrap()
    });
    let ran = waiting.expect(0);
    assert!(ran.stderr.contains("public.late is populated"), "{}", ran.stderr);
}
