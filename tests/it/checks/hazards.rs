//! Known bugs of pg_trickle, found by what the server says of its tables and settings.

use serde_json::json;

use super::{Shop, expect_bad};
use crate::support::Database;

impl Shop {
    /// Whether the emulated version no longer has what 0.67.0 has.
    fn is_newer(&self) -> bool {
        let version = "select extversion like '0.108.%' from pg_extension where extname = 'pg_trickle'";
        self.database.value(version).as_deref() == Some("t")
    }

    /// Sets a setting of the database, also in this session.
    fn set(&self, setting: &str) {
        let name = &self.database.endpoint.database;
        self.database.run(&format!("alter database {name} set {setting}; set {setting}"));
    }
}

#[test]
fn settings_that_lose_changes_fail_until_they_are_off_or_silenced() {
    let mut shop = Shop::new();
    if shop.is_newer() {
        return;
    }
    let name = shop.database.endpoint.database.clone();
    let alter = |setting: &str| format!("alter database {name} set pg_trickle.{setting}");
    shop.fault(
        &alter("cleanup_use_truncate = on"),
        "hazards",
        "buffer-truncation: pg_trickle.cleanup_use_truncate is on",
        &alter("cleanup_use_truncate = off"),
    );
    shop.database.run(&alter("compact_threshold = 100000"));
    shop.expect_pass();
    shop.database.run("create table log (n int)");
    shop.add("logged", "select n from public.log", &json!({}));
    shop.add("numbers", "select id from public.orders", &json!({}));
    shop.expect_failure(
        "hazards",
        "loses some of public.log (it has no primary key), public.orders (2 stream tables read it)",
    );
    let silenced =
        "checks:\n  silence:\n  - {hazard: buffer-compaction, model: '*', reason: loads are small}\n";
    std::fs::write(shop.dir.path().join("pgtrickle-ci.yml"), silenced).unwrap();
    let ran = shop.check(&["--config", "pgtrickle-ci.yml"]).0.expect(0);
    assert!(!ran.stdout.contains("matches nothing"), "{}", ran.stdout);
    shop.database.run(&alter("compact_threshold = 0"));
    shop.expect_pass();
}

#[test]
fn a_transaction_that_a_refresh_has_passed_by_is_named_while_it_is_open() {
    let shop = Shop::new();
    let other = Database::connect(&shop.database.endpoint);
    shop.database.run("set application_name = 'loader'; begin; insert into orders values (3, 30)");
    let said = "open-transactions: what a transaction wrote before a refresh";
    let ran = shop.check(&[]).0.expect(0);
    assert!(!ran.stdout.contains(said), "no refresh came after it: {}", ran.stdout);
    other.run("insert into orders values (4, 40); select pgtrickle.refresh_stream_table('public.totals')");
    let pid = shop.database.value("select pg_backend_pid()").unwrap();
    let ran = shop.check(&["--fail-on", "warn"]).0.expect(1);
    assert!(ran.stdout.contains(said), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("pid {pid} (loader)")), "{}", ran.stdout);
    shop.database.run("commit");
    let ran = shop.check(&[]).0.expect(0);
    assert!(!ran.stdout.contains(said), "{}", ran.stdout);
    if !shop.database.is_emulator() {
        other.run("select pgtrickle.refresh_stream_table('public.totals')");
        let (ran, report) = shop.check(&["--equality"]);
        expect_bad(&ran, &report, "equality", "1 row missing");
    }
}

/// Settings concern tables that read change buffers.
#[test]
fn a_table_without_a_change_buffer_loses_nothing() {
    let mut shop = Shop::new();
    shop.database.run("select pgtrickle.drop_stream_table('public.totals')");
    shop.models.clear();
    shop.add("whole", "select id, amount from public.orders", &json!({"refresh_mode": "FULL"}));
    shop.set("pg_trickle.cleanup_use_truncate = on");
    shop.set("pg_trickle.compact_threshold = 1");
    shop.expect_pass();
}

#[test]
fn a_table_over_a_materialized_view_fails_in_every_mode() {
    let mut shop = Shop::new();
    shop.database.run("create materialized view daily as select id, amount from orders");
    let unfollowed = "unfollowed-source: its source public.daily is a materialized view";
    shop.add("whole", "select id from public.daily", &json!({"refresh_mode": "FULL"}));
    shop.expect_failure("hazards", unfollowed);
    let drop = |shop: &mut Shop, table: &str| {
        shop.database.run(&format!("select pgtrickle.drop_stream_table('public.{table}')"));
        shop.models.pop();
        shop.expect_pass();
    };
    drop(&mut shop, "whole");

    shop.set("pg_trickle.matview_polling = on");
    shop.add("at_once", "select id from public.daily", &json!({"refresh_mode": "IMMEDIATE"}));
    shop.expect_failure("hazards", unfollowed);
    drop(&mut shop, "at_once");
    shop.add("polled", "select id from public.daily", &json!({}));
    if !shop.is_newer() {
        shop.expect_failure("hazards", "unpolled-source: its source public.daily is a materialized view");
    }
    drop(&mut shop, "polled");
}

#[test]
fn a_join_with_one_column_that_is_no_text_fails() {
    let mut shop = Shop::new();
    let joined = "from public.orders as o join public.orders as other on other.id = o.id";
    shop.add("named", &format!("select o.id::text as id {joined}"), &json!({}));
    shop.add("pairs", &format!("select o.id, other.id as other {joined}"), &json!({}));
    shop.add("counted", &format!("select count(*) as n {joined}"), &json!({}));
    shop.add("whole", &format!("select o.id {joined}"), &json!({"refresh_mode": "FULL"}));
    shop.expect_pass();
    shop.add("lone", &format!("select o.id {joined}"), &json!({}));
    shop.expect_failure(
        "hazards",
        "lone-column: its query joins, also by EXISTS or IN, and gives one column of type integer",
    );
}

#[test]
fn a_source_that_only_immediate_tables_read_is_a_warning() {
    let mut shop = Shop::new();
    if shop.is_newer() {
        return;
    }
    shop.database.run("create table visits (id int primary key)");
    shop.add("at_once", "select id from public.visits", &json!({"refresh_mode": "IMMEDIATE"}));
    let sentence = "every ALTER TABLE of public.visits fails: only IMMEDIATE tables read it";
    let said = |shop: &Shop| shop.check(&[]).1.to_string().contains(sentence);
    shop.expect_pass();
    assert!(said(&shop));
    shop.add("later", "select id from public.visits", &json!({}));
    assert!(!said(&shop));
}
