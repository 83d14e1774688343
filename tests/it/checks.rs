//! `wait` and `check`: each check is seen red for its reason, and green again after the repair.

use serde_json::{Value, json};

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

/// A database with one source and one healthy stream table on it.
struct Shop {
    database: Database,
    dir: tempfile::TempDir,
}

const QUERY: &str = "select id, amount from public.orders";

impl Shop {
    fn new() -> Self {
        let shop = Self { database: Database::new(), dir: tempfile::tempdir().unwrap() };
        shop.database
            .run("create table orders (id int primary key, amount int); insert into orders values (1, 10)");
        shop.database.run(&format!(
            "select pgtrickle.create_stream_table('public.totals', '{QUERY}', '1m', 'DIFFERENTIAL')"
        ));
        // The scheduler's first round in a new database takes a moment.
        shop.database.wait_for(
            "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
        );
        shop
    }

    fn check(&self) -> (Ran, Value) {
        self.command("check", &["totals"], &[])
    }

    fn command(&self, command: &str, tables: &[&str], more: &[&str]) -> (Ran, Value) {
        let manifest = manifest(
            self.dir.path(),
            "manifest.json",
            tables.iter().map(|name| model(name, QUERY, &json!({}))),
        );
        let report = self.dir.path().join("report.json");
        let ran = Ran::of(
            pgtrickle_ci()
                .args([command, "--database-url", &self.database.url()])
                .args(more)
                .arg("--manifest")
                .arg(manifest)
                .arg("--json")
                .arg(&report),
        );
        let report = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
        (ran, report)
    }

    #[track_caller]
    fn expect_red(&self, stage: &str, sentence: &str) {
        let (ran, report) = self.check();
        let outcomes = report["outcomes"].as_array().unwrap();
        let bad = |outcome: &&Value| {
            outcome["stage"] == stage && (outcome["verdict"] == "failed" || outcome["verdict"] == "errored")
        };
        let messages: Vec<String> =
            outcomes.iter().filter(bad).map(|outcome| outcome["message"].to_string()).collect();
        assert!(
            messages.iter().any(|message| message.contains(sentence)),
            "`{sentence}` is not said: {messages:?}\n{}",
            ran.stdout
        );
        assert_eq!(ran.code, Some(1));
    }

    #[track_caller]
    fn expect_green(&self) {
        let (ran, _) = self.check();
        ran.expect(0);
    }
}

#[test]
fn a_healthy_table_is_green_and_reading_leaves_nothing() {
    let shop = Shop::new();
    let catalog = "select md5(string_agg(s::text, ',')) from pgtrickle.pgt_stream_tables as s";
    let before = shop.database.value(catalog);
    shop.expect_green();
    assert_eq!(shop.database.value(catalog), before);
}

#[test]
fn suspended_is_red_until_it_is_resumed() {
    let shop = Shop::new();
    shop.database.run("select pgtrickle.alter_stream_table('public.totals', status => 'SUSPENDED')");
    shop.expect_red("health", "SUSPENDED");
    shop.expect_red("population", "suspended");
    shop.database.run("select pgtrickle.resume_stream_table('public.totals')");
    shop.expect_green();
}

#[test]
fn error_is_red_though_the_engine_counts_none() {
    let shop = Shop::new();
    shop.database.run("select pgtrickle.alter_stream_table('public.totals', status => 'ERROR')");
    assert_eq!(
        shop.database.value("select consecutive_errors from pgtrickle.pgt_stream_tables"),
        Some("0".into())
    );
    shop.expect_red("health", "in status ERROR");
}

#[test]
fn a_missing_table_is_red_in_every_stage() {
    let shop = Shop::new();
    shop.database.run("select pgtrickle.drop_stream_table('public.totals')");
    shop.expect_red("population", "does not exist");
    shop.expect_red("freshness", "does not exist");
    shop.expect_red("health", "does not exist");
}

#[test]
fn a_disabled_and_a_dropped_trigger_are_red() {
    let shop = Shop::new();
    let trigger = |event: &str| {
        let sql = format!(
            "select tgname from pg_trigger where tgrelid = 'orders'::regclass and tgname like 'pg\\_trickle\\_cdc\\_{event}\\_%'"
        );
        shop.database.value(&sql).expect("the trigger is there")
    };
    let truncate = trigger("truncate");
    shop.database.run(&format!("alter table orders disable trigger {truncate}"));
    shop.expect_red("cdc", "is disabled");
    shop.database.run(&format!("alter table orders enable trigger {truncate}"));
    shop.expect_green();
    shop.database.run(&format!("drop trigger {} on orders", trigger("del")));
    shop.expect_red("cdc", "is missing");
}

#[test]
fn a_dropped_source_is_red() {
    let shop = Shop::new();
    shop.database.run("drop table orders");
    shop.expect_red("cdc", "the source table is gone");
}

#[test]
fn a_renamed_storage_is_red() {
    let shop = Shop::new();
    shop.database.run("alter table totals rename to elsewhere");
    shop.expect_red("health", "dropped or renamed");
}

/// The age is made by moving the table's own record back, which no one but a superuser could do.
#[test]
fn a_table_whose_refreshes_stopped_is_red() {
    let shop = Shop::new();
    shop.database.run("select pgtrickle.alter_stream_table('public.totals', schedule => '1h')");
    shop.database.run("update pgtrickle.pgt_stream_tables set last_refresh_at = now() - interval '2 days'");
    // The scheduler may repair it at once: a suspended table it leaves alone.
    shop.database.run("update pgtrickle.pgt_stream_tables set status = 'SUSPENDED', last_refresh_at = now() - interval '2 days'");
    shop.expect_red("freshness", "is too old");
}

#[test]
fn a_table_without_initialization_is_never_waited_for_and_filled_on_request() {
    let shop = Shop::new();
    shop.database.run(&format!("select pgtrickle.create_stream_table('public.empty', '{QUERY}', '1m', 'DIFFERENTIAL', initialize => false)"));
    let started = std::time::Instant::now();
    let (ran, _) = shop.command("wait", &["totals", "empty"], &["--timeout", "60s"]);
    let ran = ran.expect(1);
    assert!(
        ran.stdout.contains("initialize: false")
            && ran.stdout.contains("refresh_stream_table('public.empty')"),
        "{}",
        ran.stdout
    );
    assert!(started.elapsed().as_secs() < 30, "it waited for what cannot come");

    let (ran, _) = shop.command("wait", &["totals", "empty"], &["--refresh"]);
    ran.expect(0);
    assert_eq!(shop.database.value("select count(*) from empty"), Some("1".into()));
}

#[test]
fn waiting_for_a_table_that_does_not_come_ends_at_the_deadline() {
    let shop = Shop::new();
    let (ran, _) = shop.command("wait", &["totals", "nobody_makes_it"], &["--timeout", "300ms"]);
    assert!(ran.expect(1).stdout.contains("does not exist"));
}

#[test]
fn without_a_project_every_table_of_the_database_is_checked() {
    let shop = Shop::new();
    let ran = Ran::of(pgtrickle_ci().current_dir(shop.dir.path()).args([
        "check",
        "--database-url",
        &shop.database.url(),
    ]));
    assert!(ran.expect(0).stdout.contains("public.totals"));
    shop.database.run("select pgtrickle.alter_stream_table('public.totals', status => 'SUSPENDED')");
    Ran::of(pgtrickle_ci().current_dir(shop.dir.path()).args([
        "check",
        "--database-url",
        &shop.database.url(),
    ]))
    .expect(1);
}
