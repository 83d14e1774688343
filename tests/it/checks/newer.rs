//! What a newer version of pg_trickle says of itself.

use serde_json::json;

use super::{Shop, expect_bad};
use crate::support::Database;

#[test]
fn an_untried_version_warns_until_it_is_silenced() {
    let Some(database) = Database::newer() else { return };
    let shop = Shop::in_database(database);
    let (ran, report) = shop.check(&[]);
    let said = ran.expect(0).stdout;
    assert!(said.contains("0.108.3-emulator is newer than 0.67.0"), "{said}");
    assert!(report.to_string().contains("no known bugs of pg_trickle 0.67.0 apply"), "{report:#}");
    shop.check(&["--fail-on", "warn"]).0.expect(1);
    let silenced = "checks:\n  silence:\n  - {hazard: untried-version, model: '0.108.*', reason: its changelog was read}\n";
    std::fs::write(shop.dir.path().join("pgtrickle-ci.yml"), silenced).unwrap();
    shop.check(&["--fail-on", "warn", "--config", "pgtrickle-ci.yml"]).0.expect(0);
}

#[test]
fn a_drained_scheduler_and_a_quarantined_database_fail() {
    let Some(database) = Database::newer() else { return };
    let shop = Shop::in_database(database);
    shop.fault(
        "select pgtrickle.drain(20)",
        "scheduler",
        "drained: no table is refreshed",
        "select pgtrickle.resume_after_drain()",
    );
    let set = |state: &str| format!("update pgtrickle.pgt_capture_instance set state = '{state}'");
    for state in ["QUARANTINED", "QUIESCED"] {
        shop.fault(&set(state), "scheduler", &format!("{state}: nothing is refreshed"), &set("ACTIVE"));
    }
    let says = |problems: &str| {
        format!(
            "create or replace function pgtrickle.validate_recovery() returns text language sql strict as $$ select '{{\"problems\": [{problems}]}}' $$"
        )
    };
    let lost = r#"{"reason": "CDC_SLOT_MISSING", "result": "REINITIALIZATION_REQUIRED"}"#;
    shop.fault(&says(lost), "scheduler", "changes may be lost: CDC_SLOT_MISSING", &says(""));
}

#[test]
fn a_table_that_an_orchestrator_refreshes_is_not_late() {
    let Some(database) = Database::newer() else { return };
    let mut shop = Shop::in_database(database);
    shop.add("led", "select id from public.orders", &json!({"orchestration_mode": "EXTERNAL"}));
    shop.database.run("select pgtrickle.set_orchestration_mode('led', 'EXTERNAL')");
    shop.database.run("update pgtrickle.pgt_stream_tables set last_refresh_at = now() - interval '2 days' where pgt_name = 'led'");
    shop.expect_pass();
    shop.models.last_mut().unwrap().1["config"]["meta"]["pgtrickle"]["freshness"] =
        json!({"error_after": {"count": 1, "period": "day"}});
    shop.expect_failure("freshness", "the limit is 1day, by an external orchestrator");
}

#[test]
fn a_table_that_its_source_suspended_names_the_source_and_the_way_back() {
    let Some(database) = Database::newer() else { return };
    let shop = Shop::in_database(database);
    shop.database.run("drop table orders");
    let (ran, report) = shop.check(&[]);
    expect_bad(&ran, &report, "status", "SUSPENDED by a change of its source, SOURCE_DROPPED");
    assert!(
        report.to_string().contains("select pgtrickle.reinitialize_stream_table('public.totals')"),
        "{report:#}"
    );
}
