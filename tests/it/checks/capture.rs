//! Faults of change capture, which the engine itself does not notice.

use serde_json::json;

use super::Shop;
use crate::support::{Database, citus};

impl Shop {
    fn trigger(&self, source: &str, pattern: &str) -> String {
        let sql = format!(
            "select tgname from pg_trigger where tgrelid = '{source}'::regclass and tgname like '{pattern}'"
        );
        self.database.value(&sql).expect("the trigger is there")
    }

    /// The change buffer of this name.
    fn buffer(&self, pattern: &str) -> String {
        let sql = format!(
            "select relname from pg_class where relnamespace = '{}'::regnamespace and relkind = 'r' and relname like '{pattern}'",
            self.buffers()
        );
        self.database.value(&sql).expect("the buffer is there")
    }

    /// The schema of the change buffers.
    fn buffers(&self) -> String {
        let setting = "select coalesce(nullif(current_setting('pg_trickle.change_buffer_schema', true), ''), 'pgtrickle_changes')";
        self.database.value(setting).unwrap()
    }

    /// Renames a change buffer, and back.
    #[track_caller]
    fn lose(&self, buffer: &str) {
        let schema = self.buffers();
        self.fault(
            &format!("alter table {schema}.{buffer} rename to lost"),
            "capture",
            &format!("the change buffer {schema}.{buffer} is gone"),
            &format!("alter table {schema}.lost rename to {buffer}"),
        );
    }
}

#[test]
fn each_missing_or_disabled_trigger_fails() {
    let shop = Shop::new();
    for event in ["ins", "upd", "del", "truncate"] {
        let trigger = shop.trigger("orders", &format!("pg\\_trickle\\_cdc\\_{event}\\_%"));
        shop.fault(
            &format!("alter table orders disable trigger {trigger}"),
            "capture",
            &format!("the trigger {trigger} is disabled"),
            &format!("alter table orders enable trigger {trigger}"),
        );
        let definition = format!("select pg_get_triggerdef(oid) from pg_trigger where tgname = '{trigger}'");
        let definition = shop.database.value(&definition).unwrap();
        shop.fault(
            &format!("drop trigger {trigger} on orders"),
            "capture",
            &format!("the trigger {trigger} is missing"),
            &definition,
        );
    }
}

#[test]
fn a_trigger_that_calls_another_function_fails() {
    let shop = Shop::new();
    let function =
        "select pg_get_functiondef(tgfoid) from pg_trigger where tgname like 'pg\\_trickle\\_cdc\\_ins\\_%'";
    let name =
        "select tgfoid::regproc::text from pg_trigger where tgname like 'pg\\_trickle\\_cdc\\_ins\\_%'";
    let (function, name) = (shop.database.value(function).unwrap(), shop.database.value(name).unwrap());
    shop.fault(
        &format!(
            "create or replace function {name}() returns trigger language plpgsql as 'begin return null; end'"
        ),
        "capture",
        "calls a function that captures nothing",
        &function,
    );
}

#[test]
fn a_missing_buffer_or_captured_column_fails() {
    let shop = Shop::new();
    shop.lose(&shop.buffer("%"));
    shop.fault(
        "alter table orders rename column amount to quantity",
        "capture",
        "its captured column amount is gone",
        "alter table orders rename column quantity to amount",
    );
    let buffer = format!("{}.{}", shop.buffers(), shop.buffer("%"));
    // Its name depends on the version.
    let copy = shop.database.value(&format!(
        "select attname from pg_attribute where attrelid = '{buffer}'::regclass and attname in ('amount', 'new_amount')"
    ));
    let copy = copy.unwrap();
    shop.fault(
        &format!("alter table {buffer} rename column {copy} to lost"),
        "capture",
        "the change buffer has no column amount",
        &format!("alter table {buffer} rename column lost to {copy}"),
    );
}

/// A change at a future position of the WAL. The emulator compares transactions instead, and treats an old one as seen.
#[test]
fn a_change_that_refreshes_do_not_find_fails() {
    let mut shop = Shop::new();
    shop.add("often", "select id from public.orders", &json!({"schedule": "1s"}));
    let buffer = shop.buffer("%");
    let (column, value) = if shop.database.is_emulator() { (", __pgt_xid", ", '3'") } else { ("", "") };
    shop.database.run(&format!(
        "insert into pgtrickle_changes.{buffer} (lsn, action{column}) values ('FFFFFF/0', 'I'{value});
         create table begun as select now() as at"
    ));
    shop.database.wait_for(
        "select count(*) > 3 from begun, pgtrickle.pgt_refresh_history where start_time between at and now() - interval '15 seconds'",
    );
    shop.expect_failure("capture", "changes are pending, and the refreshes of public.often do not find them");
    shop.database.run(&format!("delete from pgtrickle_changes.{buffer}"));
    shop.expect_pass();
}

#[test]
fn a_source_that_citus_distributes_fails_in_one_sentence() {
    let mut shop = Shop::new();
    shop.add("at_once", "select id from public.orders", &json!({"refresh_mode": "IMMEDIATE"}));
    shop.database.run(&citus(""));
    shop.expect_pass();
    shop.database.run("insert into pg_catalog.pg_dist_partition values ('orders', 'h', 1, 's')");
    shop.expect_failure("capture", "it is distributed by Citus: pg_trickle cannot capture its changes");
    let (_, report) = shop.check(&[]);
    let outcomes = report["outcomes"].as_array().unwrap();
    let failed = outcomes.iter().filter(|o| o["stage"] == "capture" && o["verdict"] == "failed");
    assert_eq!(failed.count(), 2, "of each table: {report:#}");
    // Citus refuses the drop without these settings.
    let drop = "set citus.enable_unsafe_triggers = on; set citus.multi_shard_modify_mode = 'sequential'; select pgtrickle.drop_stream_table(";
    assert_eq!(report.to_string().matches(drop).count(), 2, "of each table: {report:#}");
}

#[test]
fn a_dropped_source_fails() {
    let shop = Shop::new();
    shop.database.run("drop table orders");
    shop.expect_failure("capture", "the source table is gone");
}

#[test]
fn the_buffers_are_looked_for_in_the_schema_that_the_server_sets() {
    let database = Database::new();
    let name = &database.endpoint.database;
    database.run(&format!(
        "create schema buffers; alter database {name} set pg_trickle.change_buffer_schema = 'buffers';
         set pg_trickle.change_buffer_schema = 'buffers'"
    ));
    let mut shop = Shop::in_database(database);
    shop.add("large", "select id, amount from public.totals where amount > 15", &json!({}));
    shop.check(&["--equality"]).0.expect(0);
    shop.lose(&shop.buffer("changes\\_%"));
    shop.lose(&shop.buffer("changes\\_pgt\\_%"));
}

/// pg_trickle does not quote it.
#[test]
fn a_schema_of_the_buffers_whose_name_needs_quotes_fails() {
    let shop = Shop::new();
    let database = &shop.database.endpoint.database;
    for schema in ["My Buffers", "a.b", "MyBuffers"] {
        shop.database
            .run(&format!("alter database {database} set pg_trickle.change_buffer_schema = '{schema}'"));
        let sentence = format!("buffer-schema: pg_trickle.change_buffer_schema is `{schema}`");
        shop.expect_failure("hazards", &sentence);
    }
    shop.database.run(&format!("alter database {database} reset pg_trickle.change_buffer_schema"));
    shop.expect_pass();
}

#[test]
fn a_lost_buffer_or_table_between_stream_tables_fails() {
    let mut shop = Shop::new();
    shop.add("large", "select id, amount from public.totals where amount > 15", &json!({}));
    shop.expect_pass();
    shop.lose(&shop.buffer("changes\\_pgt\\_%"));
}

#[test]
fn the_triggers_of_an_immediate_table_are_checked() {
    let mut shop = Shop::new();
    shop.add("at_once", "select id from public.orders", &json!({"refresh_mode": "IMMEDIATE"}));
    shop.expect_pass();
    for event in ["ins", "upd", "del", "trunc"] {
        let trigger = shop.trigger("orders", &format!("pgt\\_ivm\\_after\\_{event}\\_%"));
        shop.fault(
            &format!("alter table orders disable trigger {trigger}"),
            "capture",
            &format!("the trigger {trigger} is disabled"),
            &format!("alter table orders enable trigger {trigger}"),
        );
    }
}

#[test]
fn paused_capture_and_a_cdc_mode_without_effect_fail() {
    let mut shop = Shop::new();
    let database = shop.database.endpoint.database.clone();
    shop.fault(
        &format!("alter database {database} set pg_trickle.cdc_paused = 'on'"),
        "capture",
        "cdc_paused is on",
        &format!("alter database {database} reset pg_trickle.cdc_paused"),
    );
    shop.add("from_wal", "select id from public.orders", &json!({"cdc_mode": "wal"}));
    shop.expect_failure("capture", "its REPLICA IDENTITY is not FULL");
    shop.database.run("select pgtrickle.alter_stream_table('public.from_wal', cdc_mode => 'trigger')");
    shop.models.pop();
    shop.expect_pass();
}
