//! What the changes did to the results of queries.

use std::fs;

use serde_json::Value;

use super::{all_are, create, outcome, verify, verify_in, with_time};
use crate::support::Database;

/// A line about a table.
fn line(report: &Value, table: &str, starts: &str) -> String {
    let details = outcome(report, "verify", table)["details"].as_array().unwrap();
    let found = details.iter().filter_map(Value::as_str).find(|line| line.starts_with(starts));
    found.unwrap_or_else(|| panic!("no `{starts}` in {report:#}")).to_owned()
}

/// Changes that a filter or a join never lets through verify little, however many there are.
#[test]
fn a_table_whose_result_never_changes_is_hardly_verified() {
    let database = Database::ephemeral();
    database.run(
        "create table orders (id int primary key, customer int not null check (customer between 1 and 5), note text);
         insert into orders select n, 1 + n % 5, 'note ' || n from generate_series(1, 20) as n;
         create table customers (id int primary key check (id > 100), name text);
         insert into customers select n, 'Ada' from generate_series(101, 105) as n",
    );
    create(&database, "all_orders", "select id, customer, note from public.orders", "DIFFERENTIAL");
    create(&database, "no_orders", "select id from public.orders where customer > 5", "DIFFERENTIAL");
    create(
        &database,
        "named",
        "select c.id, c.name, o.note from public.customers as c left join public.orders as o on o.customer = c.id",
        "DIFFERENTIAL",
    );
    let dir = tempfile::tempdir().unwrap();
    let name = database.endpoint.database.clone();
    let budget = ["--allow-writes", &name, "--budget", "8s"];
    let (ran, report) = verify_in(dir.path(), &database.endpoint, &budget);
    ran.expect(0);
    let never = outcome(&report, "verify", "public.no_orders");
    let message = never["message"].as_str().unwrap();
    assert_eq!(never["verdict"], "warned", "{never:#}");
    assert!(
        message.starts_with("hardly verified: none of ") && message.contains("changed the result"),
        "{never:#}"
    );
    assert!(
        line(&report, "public.no_orders", "effect on its result: ")
            .contains("more rows 0, fewer rows 0, other rows 0")
    );

    assert_eq!(outcome(&report, "verify", "public.all_orders")["verdict"], "passed", "{report:#}");
    let effects = line(&report, "public.all_orders", "effect on its result: ");
    assert!(!effects.contains("more rows 0") && !effects.contains("fewer rows 0"), "{effects}");
    // Orders never join, so that no change of one alone reaches the result.
    let sides = line(&report, "public.named", "rounds on one source that changed its result: ");
    assert!(sides.contains("public.orders 0 of ") && !sides.contains("public.customers 0 of "), "{sides}");
    let kinds = line(&report, "public.named", "changes that reached it: ");
    assert!(kinds.contains("to NULL ") && kinds.contains("from NULL "), "{kinds}");

    fs::write(dir.path().join("pgtrickle-ci.yml"), "version: 1\nverify: {min_rounds: 2}\n").unwrap();
    let (ran, report) = verify_in(dir.path(), &database.endpoint, &budget);
    ran.expect(1);
    assert_eq!(outcome(&report, "verify", "public.no_orders")["verdict"], "failed", "{report:#}");
}

/// No row of the fixtures meets the condition, and neither would a value by chance.
#[test]
fn values_come_from_the_literals_of_queries() {
    let database = Database::ephemeral();
    database.run(
        "create table bills (id int primary key, state text not null, day date, amount numeric(9, 2));
         insert into bills select i, 'open', '2023-01-01', i from generate_series(1, 20) as i",
    );
    let query = "select id, amount from public.bills where state = 'disputed' and amount >= 4711.5 and day <> '2031-05-17'";
    create(&database, "rare", query, "DIFFERENTIAL");
    with_time(|budget| {
        let words = ["--allow-writes", &database.endpoint.database, "--budget", budget, "--seed", "1"];
        let (_, report) = verify(&database, &words);
        all_are("passed", &report, &["rare"])
    });
}
