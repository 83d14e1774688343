//! A table that a query reads through a function: nobody captures its changes, so `verify` changes it, too.

use std::fs;

use serde_json::json;

use super::{all_are, create, outcome, verify_in, with_time};
use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

/// Each function reads `rates` in another way; `pure` reads nothing.
const FUNCTIONS: [(&str, &str); 6] = [
    ("of_text", "sql stable as $$ select max(r) from rates $$"),
    ("atomic", "sql stable begin atomic select max(r) from public.rates; end"),
    (
        "dynamic",
        "plpgsql stable as $$ declare x int; begin execute 'select max(r) from rates' into x; return x; end $$",
    ),
    ("nested", "sql stable as $$ select public.of_text() $$"),
    ("over_view", "plpgsql stable as $$ begin return (select max(r) from current_rates); end $$"),
    ("pure", "sql immutable as $$ select 2 $$"),
];

fn shop(named: &[&str]) -> Database {
    let database = Database::ephemeral();
    database.run(
        "create table items (id int primary key, n int);
         insert into items select i, i from generate_series(1, 5) as i;
         create table rates (currency text primary key, r int not null);
         insert into rates values ('a', 2), ('b', 3);
         create view current_rates as select r from rates where r > 0",
    );
    for (name, body) in FUNCTIONS {
        database.run(&format!("create function public.{name}() returns int language {body}"));
        if !named.contains(&name) {
            continue;
        }
        create(
            &database,
            name,
            &format!("select id, n * public.{name}() as q from public.items"),
            "DIFFERENTIAL",
        );
    }
    database.run("create view priced as select id, n * of_text() as q from items");
    create(&database, "viewed", "select id, q from public.priced", "DIFFERENTIAL");
    create(&database, "whole", "select id, n * public.of_text() as q from public.items", "FULL");
    database
}

#[test]
fn a_table_behind_a_function_is_changed_and_the_finding_names_both() {
    for is_named in [false, true] {
        let (dir, report) = with_time(|budget| {
            let database = shop(&["dynamic", "over_view", "pure"]);
            let name = database.endpoint.database.clone();
            if is_named {
                database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = off"));
            }
            let dir = tempfile::tempdir().unwrap();
            let words = ["--allow-writes", &name, "--budget", budget, "--seed", "1"];
            let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
            all_are("failed", &report, &["dynamic", "over_view", "viewed"])?;
            // A refresh by hand of a FULL table reads it.
            all_are("passed", &report, &["pure", "whole"])?;
            Some((dir, report))
        });
        for (table, function) in [("dynamic", "dynamic"), ("over_view", "over_view"), ("viewed", "of_text")] {
            let of = outcome(&report, "verify", &format!("public.{table}"));
            let why =
                format!("public.{function}() reads public.rates: pg_trickle does not capture changes there");
            assert!(!of.to_string().contains("no change of the rounds"), "{of:#}");
            assert!(of["details"].to_string().contains(&why), "{of:#}");
            let script =
                fs::read_to_string(dir.path().join(format!("pgtrickle-ci-findings/public.{table}.sql")))
                    .unwrap();
            assert_eq!(script.contains("-- Reduced, and reproduced"), !is_named, "{script}");
        }
    }
}

#[test]
fn such_a_table_is_a_hazard_that_a_silence_accepts() {
    let database = shop(&FUNCTIONS.map(|(name, _)| name));
    let dir = tempfile::tempdir().unwrap();
    let check = |hazards: &mut dyn FnMut(&str, &str)| {
        let file = dir.path().join("report.json");
        Ran::of(
            pgtrickle_ci()
                .current_dir(dir.path())
                .args(["check", "--database-url", &database.url(), "--json"])
                .arg(&file),
        );
        let report: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for (name, _) in FUNCTIONS {
            let of = outcome(&report, "hazards", &format!("public.{name}"));
            hazards(name, of["message"].as_str().unwrap());
        }
    };
    check(&mut |name, message| {
        assert_eq!(
            message.contains("reads public.rates: changes there do not reach"),
            name != "pure",
            "{message}"
        );
    });
    let silence =
        "checks: {silence: [{hazard: function-reads, model: 'public.*', reason: rates never change}]}\n";
    fs::write(dir.path().join("pgtrickle-ci.yml"), silence).unwrap();
    check(&mut |_, message| assert!(message.starts_with("no known bugs"), "{message}"));
    // What never changes is not changed.
    let words = ["--allow-writes", &database.endpoint.database, "--budget", "6s"];
    let (ran, report) = verify_in(dir.path(), &database.endpoint, &words);
    ran.expect(0);
    let outcomes = report["outcomes"].as_array().unwrap();
    assert!(!outcomes.iter().any(|outcome| outcome["subject"] == "public.rates"), "{report:#}");
}

#[test]
fn a_plan_notes_it_before_the_table_is_created() {
    let database = shop(&FUNCTIONS.map(|(name, _)| name));
    let dir = tempfile::tempdir().unwrap();
    let models = [
        model("new", "select id, n * public.nested() as q from public.items", &json!({})),
        model("plain", "select id, n * public.pure() as q from public.items", &json!({})),
    ];
    let file = manifest(dir.path(), "manifest.json", models);
    let ran =
        Ran::of(pgtrickle_ci().args(["plan", "--database-url", &database.url(), "--manifest"]).arg(file));
    let text = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("new will not follow every change: public.of_text() reads public.rates, which pg_trickle does not capture for it"),
        "{}",
        ran.stdout
    );
    assert!(!text.contains("plain will not follow"), "{}", ran.stdout);
}

/// pg_trickle lists such a view as a source, and not what it reads. The emulator does, so its rows go.
#[test]
fn a_table_behind_a_view_in_a_subquery_is_changed_and_a_hazard() {
    let database = Database::ephemeral();
    database.run(
        "create table items (id int primary key); create table sold (id int primary key, item int);
         create view named as select id, item from sold; create view \"Above\" as select item from named;
         insert into items select generate_series(1, 9); insert into sold select n, n from generate_series(1, 4) as n",
    );
    let query = "select i.id, 'i' || i.id as name from public.items as i where exists (select 1 from public.\"Above\" as a where a.item = i.id)";
    create(&database, "found", query, "DIFFERENTIAL");
    let forget =
        "delete from pgtrickle.pgt_dependencies where source_relid in ('sold'::regclass, 'named'::regclass)";
    if database.is_emulator() {
        database.run(forget);
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    let ran = Ran::of(
        pgtrickle_ci()
            .current_dir(dir.path())
            .args(["check", "--database-url", &database.url(), "--json"])
            .arg(&file),
    );
    ran.expect(1);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let hazard = outcome(&report, "hazards", "public.found");
    let message = hazard["message"].as_str().unwrap();
    assert_eq!(hazard["verdict"], "failed", "{hazard:#}");
    assert!(message.contains("public.Above reads public.sold: changes there do not reach"), "{message}");

    let words = ["--allow-writes", &database.endpoint.database, "--budget", "6s"];
    let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
    let rounds = outcome(&report, "verify", "rounds")["details"].to_string();
    assert!(rounds.contains("public.sold: "), "{rounds}");
    if database.is_emulator() {
        return;
    }
    let found = outcome(&report, "verify", "public.found");
    assert_eq!(found["verdict"], "failed", "{found:#}");
    assert!(found["details"].to_string().contains("public.Above reads public.sold"), "{found:#}");
    let script = fs::read_to_string(dir.path().join("pgtrickle-ci-findings/public.found.sql")).unwrap();
    assert!(script.contains("-- Reduced, and reproduced"), "{script}");
}
