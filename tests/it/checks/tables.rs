//! Faults of single tables and their consequences.

use serde_json::json;

use super::{Shop, expect_bad};

#[test]
fn every_status_except_active_fails_with_its_own_message() {
    let shop = Shop::new();
    let alter = |setting: &str| format!("select pgtrickle.alter_stream_table('public.totals', {setting})");
    let active = alter("status => 'ACTIVE'");
    shop.fault(
        &alter("status => 'SUSPENDED'"),
        "status",
        "SUSPENDED",
        "select pgtrickle.resume_stream_table('public.totals')",
    );
    shop.fault(&alter("status => 'ERROR'"), "status", "in status ERROR: the engine gives no reason", &active);
    shop.fault(&alter("status => 'INITIALIZING'"), "status", "INITIALIZING", &active);
    shop.fault(&alter("tier => 'frozen'"), "status", "frozen", &alter("tier => 'hot'"));
    shop.fault(
        "select pgtrickle.gate_source('public.orders')",
        "status",
        "its source public.orders is gated",
        "select pgtrickle.ungate_source('public.orders')",
    );
}

#[test]
fn a_failing_query_fails_with_its_error_and_affects_its_readers() {
    let mut shop = Shop::new();
    shop.add("shares", "select id, 100 / amount as share from public.orders", &json!({"schedule": "1s"}));
    shop.add("top_shares", "select id, share from public.shares where share > 1", &json!({"schedule": "1s"}));
    shop.expect_pass();
    shop.database.run("insert into orders values (3, 0)");
    shop.database
        .wait_for("select status = 'ERROR' from pgtrickle.pgt_stream_tables where pgt_name = 'shares'");
    let (ran, report) = shop.check(&[]);
    expect_bad(&ran, &report, "status", "in status ERROR: division by zero");
    let bad = report["outcomes"].as_array().unwrap().iter().filter(|o| o["verdict"] == "failed");
    let causes: Vec<_> = bad.collect();
    assert_eq!(causes.len(), 1, "one cause is reported once: {causes:?}");
    assert!(causes[0]["details"].to_string().contains("affects public.top_shares"), "{causes:?}");

    shop.database.run("delete from orders where id = 3; create table mended as select now() as since");
    // A refresh that began before the deletion sets the status once more.
    shop.database.wait_for(
        "select pgtrickle.resume_stream_table(pgt_schema || '.' || pgt_name) from pgtrickle.pgt_stream_tables where status = 'ERROR';
         select bool_and(last_refresh_at > since) from pgtrickle.pgt_stream_tables, mended where pgt_name in ('shares', 'top_shares')",
    );
    shop.expect_pass();
}

#[test]
fn a_blown_fuse_fails_until_it_is_reset() {
    let mut shop = Shop::new();
    let fused = json!({"schedule": "1s", "fuse": "on", "fuse_ceiling": 3});
    shop.add("fused", "select id, amount from public.orders", &fused);
    shop.database.run("select pgtrickle.alter_stream_table('public.fused', fuse => 'on', fuse_ceiling => 3)");
    shop.database.run("insert into orders select n, n from generate_series(10, 30) as n");
    shop.database
        .wait_for("select fuse_state = 'blown' from pgtrickle.pgt_stream_tables where pgt_name = 'fused'");
    shop.expect_failure("status", "its fuse has blown");
    shop.database.run("select pgtrickle.alter_stream_table('public.fused', fuse_ceiling => 1000)");
    shop.database.run("select pgtrickle.reset_fuse('public.fused', 'apply')");
    shop.models.pop();
    shop.expect_pass();
}

#[test]
fn a_missing_renamed_or_replaced_table_fails() {
    let shop = Shop::new();
    shop.fault(
        "alter table totals rename to elsewhere",
        "present",
        "its storage was renamed to public.elsewhere",
        "alter table elsewhere rename to totals",
    );
    shop.database.run("alter table totals rename to elsewhere; create table totals (id int)");
    shop.expect_failure("present", "another object has its name");
    shop.database.run("drop table totals; alter table elsewhere rename to totals");
    shop.expect_pass();
    shop.database.run("drop table totals");
    shop.expect_failure("present", "does not exist");
    shop.database.run("create view totals as select 1 as id");
    shop.expect_failure("present", "is a view, not a stream table");
}

#[test]
fn a_change_by_hand_since_the_deployment_fails() {
    let shop = Shop::new();
    let alter = |setting: &str| format!("select pgtrickle.alter_stream_table('public.totals', {setting})");
    shop.fault(
        &alter("schedule => '5m'"),
        "present",
        "differs from its model: schedule",
        &alter("schedule => '60s'"),
    );
    shop.fault(
        &alter("query => 'select id, amount + 1 as amount from public.orders'"),
        "present",
        "differs from its model: query",
        &alter("query => 'select id, amount from public.orders'"),
    );
}

#[test]
fn an_unpopulated_table_fails_until_it_is_refreshed() {
    let mut shop = Shop::new();
    let query = "select id from public.orders";
    shop.models.push(crate::support::model("empty", query, &json!({"initialize": false})));
    shop.fault(
        &format!("select pgtrickle.create_stream_table('public.empty', '{query}', '1m', 'DIFFERENTIAL', initialize => false)"),
        "population",
        "initialize: false",
        "select pgtrickle.refresh_stream_table('public.empty')",
    );
}

/// Another session's lock stops the refreshes without any other symptom.
#[test]
fn an_active_table_that_is_not_refreshed_fails_by_the_limits_of_its_model() {
    let mut shop = Shop::new();
    let limits = json!({"schedule": "1s", "freshness": {"error_after": {"count": 4, "period": "second"}}});
    shop.add("quick", "select id from public.orders", &limits);
    shop.database.wait_for("select now() - last_refresh_at < interval '1 s' from pgtrickle.pgt_stream_tables where pgt_name = 'quick'");
    shop.expect_pass();
    shop.database.run("begin; select from pgtrickle.pgt_stream_tables where pgt_name = 'quick' for update");
    shop.database.wait_for("select clock_timestamp() - last_refresh_at > interval '4500 ms' from pgtrickle.pgt_stream_tables where pgt_name = 'quick'");
    shop.expect_failure("freshness", "the limit is 4s");
    shop.database.run("commit");
    shop.database.wait_for("select clock_timestamp() - last_refresh_at < interval '1 s' from pgtrickle.pgt_stream_tables where pgt_name = 'quick'");
    shop.expect_pass();
}

#[test]
fn an_unrequested_full_refresh_warns_or_fails() {
    let mut shop = Shop::new();
    let query = "select id from public.orders tablesample bernoulli (50)";
    shop.add("sampled", query, &json!({"refresh_mode": "AUTO"}));
    let (ran, _) = shop.check(&[]);
    assert!(ran.expect(0).stdout.contains("configured as AUTO"));
    let (ran, report) = shop.check(&["--fail-on-fallback"]);
    expect_bad(&ran, &report, "refresh-mode", "but refreshed in full");
}

#[test]
fn full_refreshes_after_a_differential_one_are_counted() {
    let shop = Shop::new();
    let history = |action: &str, from: u32, to: u32| {
        shop.database.run(&format!(
            "insert into pgtrickle.pgt_refresh_history (pgt_id, data_timestamp, start_time, action, status, initiated_by)
             select pgt_id, now(), now() + n * interval '1 minute', '{action}', 'COMPLETED', 'SCHEDULER'
             from pgtrickle.pgt_stream_tables, generate_series({from}, {to}) as n"
        ));
    };
    history("FULL", 1, 5);
    shop.check(&["--fail-on-fallback"]).0.expect(0);
    history("DIFFERENTIAL", 6, 6);
    shop.check(&["--fail-on-fallback"]).0.expect(0);
    history("FULL", 7, 9);
    let (ran, report) = shop.check(&["--fail-on-fallback"]);
    expect_bad(&ran, &report, "refresh-mode", "3 of its last ");
}

#[test]
fn a_source_with_row_level_security_warns() {
    let shop = Shop::new();
    shop.database.run("alter table orders enable row level security");
    let (ran, _) = shop.check(&[]);
    let said = ran.expect(0).stdout;
    assert!(said.contains("row-security: the policies of public.orders do not protect it"), "{said}");
    shop.database.run("alter table totals enable row level security");
    assert!(!shop.check(&[]).0.expect(0).stdout.contains("row-security"));
}

#[test]
fn a_known_hazard_warns_until_it_is_silenced() {
    let mut shop = Shop::new();
    shop.add("nightly", "select id from orders", &json!({"schedule": "0 3 * * *"}));
    let (ran, _) = shop.check(&[]);
    let said = ran.expect(0).stdout;
    assert!(said.contains("cron-schedule:"), "{said}");
    let silenced = "version: 1\nchecks:\n  silence:\n  - {hazard: cron-schedule, model: nightly, reason: it is small}\n  - {hazard: search-path, model: 'public.*', reason: one schema}\n  - {hazard: untried-version, model: '*', reason: any}\n";
    std::fs::write(shop.dir.path().join("pgtrickle-ci.yml"), silenced).unwrap();
    let (ran, _) = shop.check(&["--fail-on", "warn", "--config", "pgtrickle-ci.yml"]);
    ran.expect(0);
}
