//! `check --equality`: the only way to find a lost row in a table that looks healthy.

use serde_json::{Value, json};

use super::Shop;

fn outcome(report: &Value) -> &Value {
    let mut outcomes = report["outcomes"].as_array().unwrap().iter();
    outcomes.find(|o| o["stage"] == "equality" && o["subject"] == "public.totals").unwrap()
}

#[test]
fn only_a_comparison_finds_a_ghost_row() {
    let shop = Shop::new();
    let (ran, report) = shop.check(&["--equality"]);
    ran.expect(0);
    assert_eq!(outcome(&report)["message"], "equal to its query: 2 rows");

    shop.database.run(
        "set session_replication_role = replica; update totals set amount = 11 where id = 1; reset session_replication_role",
    );
    let (ran, _) = shop.check(&[]);
    ran.expect(0);
    let (ran, report) = shop.check(&["--equality"]);
    ran.expect(1);
    let wrong = outcome(&report);
    assert_eq!(wrong["message"], "not equal to its query: 1 row too many, 1 row missing");
    assert!(wrong["details"].to_string().contains("+ id = 1, amount = 11"), "{wrong:#}");

    let (ran, report) = shop.check(&["--equality", "--budget", "0s"]);
    ran.expect(0);
    let over = outcome(&report);
    assert_eq!(over["verdict"], "warned");
    assert!(over["message"].as_str().unwrap().contains("the budget of 0s ended before"), "{over:#}");
}

#[test]
fn a_comparison_that_policies_narrow_is_errored_with_the_missing_right() {
    let shop = Shop::new();
    let role = shop.database.endpoint.database.replace("test", "role");
    let script = include_str!("../../../docs/check-role.sql").replace("pgtrickle_check", &role);
    shop.database.run(&script);
    shop.database.run(&format!(
        "alter role {role} password 'night'; grant select on orders, totals to {role};
         alter table orders enable row level security; create policy few on orders using (id = 1)"
    ));
    let endpoint = &shop.database.endpoint;
    let url = format!("postgresql://{role}:night@{}:{}/{}", endpoint.host, endpoint.port, endpoint.database);
    let (ran, report) = shop.check_at(&url, &["--equality"]);
    ran.expect(1);
    let narrowed = outcome(&report);
    assert_eq!(narrowed["verdict"], "errored");
    assert!(
        narrowed["details"].to_string().contains(&format!("alter role \\\"{role}\\\" bypassrls")),
        "{narrowed:#}"
    );
    shop.database.run(&format!("alter role {role} bypassrls"));
    let (_, report) = shop.check_at(&url, &["--equality"]);
    assert_eq!(outcome(&report)["message"], "equal to its query: 2 rows");
    shop.database.run(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_model_with_verify_false_is_skipped() {
    let mut shop = Shop::new();
    shop.models[0].1["config"]["meta"]["pgtrickle"]["verify"] = json!(false);
    shop.database
        .run("set session_replication_role = replica; delete from totals; reset session_replication_role");
    let (ran, report) = shop.check(&["--equality"]);
    ran.expect(0);
    assert_eq!(outcome(&report)["message"], "skipped by configuration");

    shop.models[0].1["config"]["meta"]["pgtrickle"]["verify"] = json!("never");
    let (ran, _) = shop.check(&["--equality"]);
    ran.expect_error("verify is `\"never\"`, expected true or false", "meta.pgtrickle");
}
