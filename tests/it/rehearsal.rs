//! `run --base-ref`: a change on top of its base revision.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, commit, pgtrickle_ci};

fn rehearse(project: &DbtProject, more: &[&str]) -> (Ran, Value) {
    let json = project.path().join("report.json");
    let mut gate = pgtrickle_ci();
    gate.current_dir(project.path());
    gate.args(["run", "--engine", "emulator", "--budget", "1s", "--base-ref", "main", "--project-dir"]);
    gate.arg(project.path()).arg("--profiles-dir").arg(project.path()).arg("--json").arg(&json).args(more);
    let ran = Ran::of(&mut gate);
    let report = fs::read(&json).unwrap_or_else(|_| panic!("no report:\n{}", ran.stderr));
    (ran, serde_json::from_slice(&report).unwrap())
}

fn table<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tables = report["rehearsal"]["tables"].as_array().unwrap();
    let table = tables.iter().find(|table| table["relation"]["name"] == name);
    table.unwrap_or_else(|| panic!("no {name} in {report:#}"))
}

fn outcomes(report: &Value, stage: &str, verdict: &str) -> Vec<String> {
    let outcomes = report["outcomes"].as_array().unwrap().iter();
    let wanted = outcomes.filter(|o| o["stage"] == stage && o["verdict"] == verdict);
    wanted
        .map(|o| format!("{}: {}", o["subject"].as_str().unwrap(), o["message"].as_str().unwrap()))
        .collect()
}

/// Seeds, a view that dbt recreates, and a table for each kind of change.
fn base() -> DbtProject {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id,customer,amount\n1,1,10\n2,1,20\n3,2,5\n4,3,7\n");
    project.write("models/v.sql", "{{ config(materialized='view') }} select id from {{ ref('orders') }}");
    project.stream_table(
        "totals",
        "{'schedule': '1h'}",
        "select customer, sum(amount) as total from {{ ref('orders') }} group by customer",
    );
    project.stream_table(
        "large",
        "{'schedule': '1h'}",
        "select customer, total from {{ ref('totals') }} where total > 6",
    );
    project.stream_table("goes", "{'schedule': '1h'}", "select id from {{ ref('orders') }}");
    project.stream_table("parted", "{'schedule': '1h'}", "select id, customer from {{ ref('orders') }}");
    project.stream_table("over_view", "{'schedule': '1h'}", "select id from {{ ref('v') }}");
    project.stream_table(
        "busy",
        "{'schedule': '1s', 'refresh_mode': 'FULL'}",
        "select id from {{ ref('orders') }}",
    );
    let repaired = |schedule: &str| {
        let settings = format!("{{'schedule': '{schedule}'}}");
        project.stream_table("repaired", &settings, "select id from {{ ref('orders') }}");
    };
    repaired("banana");
    commit(project.path());
    repaired("1h");
    project
}

fn status(project: &Path) -> String {
    fs::read_dir(project)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The report shows what was planned and observed, with added, removed and changed rows. A refused step is rehearsed,
/// and fails.
#[test]
fn a_change_is_deployed_on_top_of_its_base() {
    let project = base();
    project.stream_table(
        "totals",
        "{'schedule': '1h'}",
        "select customer, sum(amount) as total, count(*) as n from {{ ref('orders') }} where id <> 1 group by customer",
    );
    project.stream_table(
        "parted",
        "{'schedule': '1h', 'partition_by': 'LIST:customer'}",
        "select id, customer from {{ ref('orders') }}",
    );
    project.stream_table("comes", "{'schedule': '1h'}", "select id from {{ ref('orders') }} where id > 2");
    fs::remove_file(project.path().join("models/goes.sql")).unwrap();

    let (ran, report) = rehearse(&project, &["--allow-drop", "goes"]);
    let ran = ran.expect(1);
    let happened =
        ["goes", "totals", "large", "parted", "comes", "repaired", "over_view", "busy"].map(|name| {
            [&table(&report, name)["planned"], &table(&report, name)["observed"]].map(|v| v.as_str().unwrap())
        });
    assert_eq!(
        happened,
        [
            ["dropped"; 2],
            ["rebuilt"; 2],
            ["rebuilt"; 2],
            ["rebuilt"; 2],
            ["created"; 2],
            ["created"; 2],
            ["refilled"; 2],
            ["kept"; 2]
        ],
        "{}",
        ran.stdout
    );
    assert_eq!(outcomes(&report, "rehearsal", "failed"), Vec::<String>::new());
    assert_eq!(outcomes(&report, "rehearsal", "passed").len(), 8);
    // A problem of the base that the change repairs is a warning.
    let wrong = outcomes(&report, "setup", "warned");
    assert!(
        wrong.iter().any(|one| one.contains("models/repaired.sql: `banana` is not a schedule")),
        "{wrong:?}"
    );
    let refused = outcomes(&report, "plan", "failed");
    assert!(
        refused.iter().any(|one| one.starts_with("marts.parted: Not allowed: drops and recreates")),
        "{refused:?}"
    );
    assert!(!refused.iter().any(|one| one.contains("goes")), "{refused:?}");

    let contents = |name: &str| table(&report, name)["contents"].clone();
    assert_eq!(
        contents("totals")["difference"],
        json!({
            "compared": ["customer", "total"], "key": 1, "added": 0, "removed": 0, "changed": 1,
            "examples": [{"before": ["1", "30"], "after": ["1", "20"]}],
        })
    );
    assert_eq!(contents("large")["difference"]["examples"][0]["after"], json!(["1", "20"]));
    assert_eq!(contents("goes"), json!({"rows_before": 4, "rows_after": null, "difference": null}));
    assert_eq!(contents("comes")["rows_after"], 2);
    assert_eq!(table(&report, "over_view")["reasons"][0], "dbt recreates marts.v at every run");
    assert!(table(&report, "parted")["without_rows_ms"].as_u64().unwrap() > 0, "{}", ran.stdout);
    let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("every `dbt run` recreates marts.v, and so refills marts.over_view"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("changed: customer = 1: total 30 -> 20"), "{}", ran.stdout);
    assert!(!status(project.path()).contains("target"), "{}", status(project.path()));
}

/// Only changed models and their upstream are deployed on both sides. A refresh by a hook is not part of the plan.
#[test]
fn an_unplanned_refill_fails() {
    let project = base();
    let hook = "{{ config(post_hook=\"select pgtrickle.refresh_stream_table('marts.parted')\") }}";
    project.stream_table(
        "parted",
        "{'schedule': '2h'}",
        &format!("{hook}select id, customer from {{{{ ref('orders') }}}}"),
    );
    let (ran, report) = rehearse(&project, &["--select", "state:modified"]);
    ran.expect(1);
    assert_eq!(report["rehearsal"]["tables"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!(
        table(&report, "parted")["surprises"],
        json!(["planned: kept, not refilled; observed: refilled in place"])
    );
    assert_eq!(outcomes(&report, "rehearsal", "failed").len(), 1);
}

/// Rows of another server may be real data.
#[test]
fn rows_of_another_server_are_counted_but_not_shown() {
    let other = Database::without_extension();
    other.run("create schema raw; create table raw.orders (id int primary key, card text)");
    other.run("insert into raw.orders select n, 'secret ' || n from generate_series(1, 10) n");
    let project = DbtProject::new();
    project.write("models/sources.yml", "sources:\n  - name: raw\n    tables:\n      - name: orders\n");
    let cards = |query: &str| {
        let query = format!("select id, {query} as card from {{{{ source('raw', 'orders') }}}}");
        project.stream_table("cards", "{'schedule': '1h'}", &query);
    };
    cards("card");
    project.write("pgtrickle-ci.yml", "rehearsal: {rows_changed_over: 25%}\n");
    commit(project.path());
    cards("case when id > 7 then upper(card) else card end");

    let markdown = project.path().join("comment.md");
    let url = other.url();
    let more = [
        "--sources-from",
        &url,
        "--sample",
        "10",
        "--fail-on",
        "warn",
        "--markdown",
        markdown.to_str().unwrap(),
    ];
    let (ran, report) = rehearse(&project, &more);
    ran.expect(1);
    let difference = &table(&report, "cards")["contents"]["difference"];
    assert_eq!((&difference["changed"], &difference["examples"]), (&json!(3), &json!([])));
    let message = "marts.cards: as planned: refilled in place; rows: 10 -> 10, 3 changed; 30% of its rows differ, more than the 25% of rehearsal.rows_changed_over";
    assert_eq!(outcomes(&report, "rehearsal", "warned"), [message]);
    let comment = fs::read_to_string(markdown).unwrap();
    assert!(!comment.to_lowercase().contains("secret"), "{comment}");
    assert!(comment.contains("--base-ref main --engine emulator --sources-from ... "), "{comment}");
    assert!(!comment.contains(&url), "{comment}");
}

/// A finding contains rows, which may be real data.
#[test]
fn findings_show_rows_of_another_server_only_if_configured() {
    let other = Database::without_extension();
    other.run("create schema raw; create table raw.orders (id int primary key, card text)");
    other.run("insert into raw.orders select n, 'secret ' || n from generate_series(1, 10) n");
    let project = DbtProject::new();
    project.write("models/sources.yml", "sources:\n  - name: raw\n    tables:\n      - name: orders\n");
    project.stream_table(
        "moving",
        "{'schedule': '1h', 'refresh_mode': 'FULL'}",
        "select id, card || now()::text as card from {{ source('raw', 'orders') }}",
    );
    let run = || {
        let files = ["json", "xml", "md"].map(|end| project.path().join(format!("report.{end}")));
        let mut run = pgtrickle_ci();
        run.args(["run", "--engine", "emulator", "--budget", "1s", "--sample", "10", "--sources-from"]);
        run.arg(other.url())
            .arg("--project-dir")
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path());
        for (flag, file) in ["--json", "--junit", "--markdown"].iter().zip(&files) {
            run.arg(flag).arg(file);
        }
        let ran = Ran::of(&mut run);
        let texts = files.map(|file| fs::read_to_string(file).unwrap());
        [ran.stdout].into_iter().chain(texts).collect::<Vec<String>>()
    };
    let texts = run();
    for text in &texts {
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("the sources come from another server"), "{text}");
    }
    project.write("pgtrickle-ci.yml", "rehearsal: {examples: 2}\n");
    assert!(run().iter().all(|text| text.contains("secret")));
}
