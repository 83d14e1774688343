//! `run` on real dbt projects.

use std::{fs, path::Path, process::Stdio, time::Duration};

use serde_json::Value;

use crate::support::{Database, DbtProject, Ran, pgtrickle_ci};

/// A source that is not a seed.
const SOURCES: &str = "create schema raw; create table raw.orders (id int primary key, amount int); \
                       insert into raw.orders values (1, 10), (2, 20);";

fn report(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn verdict(report: &Value, stage: &str, subject: &str) -> String {
    let outcomes = report["outcomes"].as_array().unwrap();
    let outcome = outcomes.iter().find(|o| o["stage"] == stage && o["subject"] == subject);
    outcome.unwrap_or_else(|| panic!("no {stage} of {subject} in {report:#}"))["verdict"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A session of another program holds the lock for changes of stream tables.
#[test]
fn a_dbt_command_has_a_time_limit_and_the_error_names_the_blocking_session() {
    let project = DbtProject::new();
    project.write(
        "models/sources.yml",
        "version: 2\nsources:\n  - name: raw\n    tables:\n      - name: orders\n",
    );
    project.stream_table("waits", "{'schedule': '1m'}", "select id from {{ source('raw', 'orders') }}");
    let database = Database::new();
    database.run(SOURCES);
    database.run("begin; select pg_advisory_xact_lock(hashtextextended('pgtrickle ddl', 0))");
    let pid = database.value("select pg_backend_pid()").unwrap();
    let mut run = pgtrickle_ci();
    run.args(["run", "--dbt-timeout", "60s", "--database-url", &database.url(), "--project-dir"]);
    run.arg(project.path()).arg("--profiles-dir").arg(project.path());
    let ran = Ran::of(&mut run);
    let blocked_by = format!("; sessions that block others: pid {pid} (");
    let heartbeat = ran.stderr.lines().find(|line| line.starts_with("dbt build 0/1 · 3"));
    assert!(heartbeat.is_some_and(|line| line.contains(&blocked_by)), "{}", ran.stderr);
    ran.expect_error(&format!("`dbt build` did not end within 1m{blocked_by}"), "--dbt-timeout");
}

/// The reports of a run have its plan and its failures, and `report` makes the same of the JSON report.
fn pages_are_rendered(folder: &Path, terminal: &str) {
    assert!(fs::read_to_string(folder.join("report.md")).unwrap().contains("Plan: 4 to add"));
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("nothing_is_small") && page.contains("SQLSTATE: 42703"), "{page}");
    let later = |more: &[&str]| {
        Ran::of(pgtrickle_ci().current_dir(folder).args(["report", "report.json"]).args(more)).expect(0)
    };
    assert_eq!(later(&["--html", "-"]).stdout, page);
    assert_eq!(later(&[]).stdout, terminal);
    later(&["--markdown", "again.md", "--junit", "again.xml"]);
    for (first, again) in [("report.md", "again.md"), ("report.xml", "again.xml")] {
        let [first, again] = [first, again].map(|name| fs::read_to_string(folder.join(name)).unwrap());
        assert_eq!(again, first);
    }
}

/// A run with a source, a failing table, a table downstream of it, a healthy table and a failing test. The user's files
/// do not change.
#[test]
fn failures_are_reported_and_the_run_continues() {
    let project = DbtProject::new();
    project.write(
        "models/sources.yml",
        "version: 2\nsources:\n  - name: raw\n    tables:\n      - name: orders\n",
    );
    project.stream_table(
        "good",
        "{'schedule': '1m'}",
        "select id, amount from {{ source('raw', 'orders') }}",
    );
    project.stream_table(
        "unfilled",
        "{'schedule': '1m', 'initialize': false}",
        "select id from {{ source('raw', 'orders') }}",
    );
    project.stream_table("broken", "{'schedule': '1m'}", "select nope from {{ source('raw', 'orders') }}");
    project.stream_table("behind", "{'schedule': '1m'}", "select * from {{ ref('broken') }}");
    project.write("tests/nothing_is_small.sql", "select * from {{ ref('good') }} where amount < 15");
    project.write("target/keep.txt", "the user's own");

    let database = Database::new();
    database.run(SOURCES);
    let file = |name: &str| project.path().join(name);
    let ran = Ran::of(
        pgtrickle_ci()
            .args(["run", "--database-url", &database.url(), "--project-dir"])
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path())
            .arg("--json")
            .arg(file("report.json"))
            .arg("--junit")
            .arg(file("report.xml"))
            .arg("--markdown")
            .arg(file("report.md"))
            .arg("--html")
            .arg(file("report.html")),
    )
    .expect(1);

    let report = report(&file("report.json"));
    let parts: Vec<_> =
        report["timings"].as_array().unwrap().iter().map(|part| part["what"].as_str().unwrap()).collect();
    let wanted = ["start", "preparation", "deployment", "population", "tests", "checks", "comparison"];
    assert_eq!(parts, wanted);
    assert_eq!(verdict(&report, "deploy", "marts.good"), "passed");
    assert_eq!(verdict(&report, "deploy", "marts.broken"), "errored");
    assert_eq!(verdict(&report, "deploy", "marts.behind"), "skipped");
    assert_eq!(verdict(&report, "population", "marts.good"), "passed");
    assert_eq!(verdict(&report, "population", "marts.unfilled"), "passed");
    assert_eq!(verdict(&report, "population", "marts.behind"), "skipped");
    assert_eq!(verdict(&report, "test", "nothing_is_small"), "failed");
    assert_eq!(verdict(&report, "freshness", "marts.good"), "passed");
    assert_eq!(verdict(&report, "capture", "raw.orders"), "passed");
    let broken =
        report["outcomes"].as_array().unwrap().iter().find(|o| o["subject"] == "marts.broken").unwrap();
    assert!(broken["message"].as_str().unwrap().contains("column \"nope\" does not exist"), "{broken:#}");
    assert!(broken["details"].to_string().contains("SQLSTATE: 42703"), "{broken:#}");

    let junit = fs::read_to_string(file("report.xml")).unwrap();
    assert!(
        junit.contains("nothing_is_small")
            && junit.contains("SQLSTATE: 42703")
            && junit.contains("models/broken.sql"),
        "{junit}"
    );
    pages_are_rendered(project.path(), &ran.stdout);
    let left: Vec<_> =
        fs::read_dir(file("target")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["keep.txt"], "the user's target folder changed");
    assert!(!file("logs").exists());
    let password = database.endpoint.password.reveal();
    assert!(password.is_empty() || ![ran.stdout, ran.stderr, junit].concat().contains(password));
}

/// Text from a model is shown in the runner's log, but it is not a workflow command.
#[test]
fn a_model_cannot_print_workflow_commands() {
    let project = DbtProject::new();
    let line = "::error file=x::pwned";
    let model = format!("{{{{ log('first\\n{line}', info=True) }}}} select * from {{{{ ref('nowhere') }}}}");
    project.write("models/evil.sql", &model);
    let database = Database::new();
    let mut gate = pgtrickle_ci();
    gate.env("GITHUB_ACTIONS", "true").args(["run", "--database-url", &database.url(), "--project-dir"]);
    let ran = Ran::of(gate.arg(project.path()).arg("--profiles-dir").arg(project.path())).expect(2);
    assert!(
        ran.stderr.contains("::group::dbt parse") && ran.stderr.contains("::endgroup::"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(&format!("\u{200b}{line}")), "the line is missing: {}", ran.stderr);
    let commands = ran.stderr.lines().filter(|line| line.trim_start().starts_with("::"));
    assert!(
        commands.clone().all(|line| line.starts_with("::group::dbt ")
            || line == "::endgroup::"
            // The annotation of the error.
            || line.starts_with("::error title=setup errored%3A run::")),
        "{commands:?}"
    );
}

/// SQL files run before dbt on an ephemeral server.
#[test]
fn fixtures_create_the_sources_of_an_ephemeral_server() {
    let project = DbtProject::new();
    project.write("pgtrickle-ci.yml", "fixtures: [ci/sources.sql]\n");
    project.write("ci/sources.sql", SOURCES);
    project
        .write("models/sources.yml", "version: 2\nsources:\n  - name: raw\n    tables: [{name: orders}]\n");
    project.stream_table("good", "{}", "select id, amount from {{ source('raw', 'orders') }}");
    let run = || {
        Ran::of(
            pgtrickle_ci()
                .args(["run", "--engine", "emulator", "--budget", "2s", "--project-dir"])
                .arg(project.path())
                .arg("--profiles-dir")
                .arg(project.path()),
        )
    };
    let ran = run().expect(0);
    assert!(ran.stdout.contains("marts.good") && ran.stdout.contains("-emulator"), "{}", ran.stdout);

    project.write("ci/sources.sql", "create table raw.orders (id int)");
    run().expect_error(
        "ci/sources.sql` failed: running the script failed: schema \"raw\" does not exist",
        "psql -f",
    );
}

#[test]
fn a_missing_source_is_named_before_the_deployment() {
    let project = DbtProject::new();
    project.write(
        "models/sources.yml",
        "version: 2\nsources:\n  - name: raw\n    tables: [{name: orders}, {name: unread}]\n",
    );
    project.stream_table("totals", "{'schedule': '1m'}", "select id from {{ source('raw', 'orders') }}");
    let database = Database::new();
    let ran = Ran::of(
        pgtrickle_ci()
            .args(["run", "--database-url", &database.url(), "--project-dir"])
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path()),
    );
    let ran = ran.expect_error("raw.orders, read by models/totals.sql", "fixtures");
    assert!(!ran.stderr.contains("raw.unread"), "{}", ran.stderr);
    assert_eq!(database.value("select count(*) from pgtrickle.pgt_stream_tables"), Some("0".into()));
}

/// Without permission they are refused before dbt runs; with permission they are executed.
#[test]
fn drops_and_replacements_need_permission() {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id,amount\n1,10\n2,20\n");
    project.stream_table("stays", "{'schedule': '1m'}", "select id, amount from {{ ref('orders') }}");
    project.stream_table("goes", "{'schedule': '1m'}", "select id from {{ ref('orders') }}");
    let database = Database::new();
    let run = |more: &[&str]| {
        Ran::of(
            pgtrickle_ci()
                .args(["run", "--database-url", &database.url(), "--project-dir"])
                .arg(project.path())
                .arg("--profiles-dir")
                .arg(project.path())
                .args(more),
        )
    };
    run(&[]).expect(0);
    let oid = || database.value("select pgt_relid from pgtrickle.pgt_stream_tables where pgt_name = 'stays'");
    let first = oid();

    fs::remove_file(project.path().join("models/goes.sql")).unwrap();
    project.stream_table(
        "stays",
        "{'schedule': '1m', 'partition_by': 'LIST:id'}",
        "select id, amount from {{ ref('orders') }}",
    );
    let ran = run(&[]).expect(1);
    assert!(
        ran.stdout.contains("--allow-drop marts.goes") && ran.stdout.contains("--allow-recreate marts.stays"),
        "{}",
        ran.stdout
    );
    assert_eq!(oid(), first, "it was recreated without permission");
    assert_eq!(database.value("select count(*) from pgtrickle.pgt_stream_tables"), Some("2".into()));

    let ran = run(&["--allow-drop", "goes", "--allow-recreate", "marts.stays"]).expect(0);
    assert!(
        ran.stdout.contains("Plan: 0 to add, 0 to change, 1 to replace, 1 to destroy."),
        "{}",
        ran.stdout
    );
    assert_ne!(oid(), first);
    assert_eq!(
        database.value("select string_agg(pgt_name, ',') from pgtrickle.pgt_stream_tables"),
        Some("stays".into())
    );
    assert!(run(&[]).expect(0).stdout.contains("No changes:"), "the mark or a setting was lost");
}

/// The engine fills an altered table by position: an aggregate with a new column after its hidden ones is planned as a
/// replacement, is replaced, and has the right contents.
#[test]
fn columns_that_cannot_be_added_in_place_replace_the_table() {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id,amount\n1,10\n2,20\n3,5\n");
    project.stream_table(
        "per_parity",
        "{}",
        "select id % 2 as parity, count(*) as n from {{ ref('orders') }} group by 1",
    );
    project.stream_table("plain", "{}", "select id from {{ ref('orders') }}");
    project.stream_table("retyped", "{}", "select id, amount from {{ ref('orders') }}");
    let database = Database::new();
    let run = |more: &[&str]| {
        let url = database.url();
        Ran::of(
            pgtrickle_ci()
                .args(["run", "--database-url", &url, "--project-dir"])
                .arg(project.path())
                .arg("--profiles-dir")
                .arg(project.path())
                .args(more),
        )
    };
    run(&[]).expect(0);

    let query =
        "select id % 2 as parity, count(*) as n, sum(amount) as total from {{ ref('orders') }} group by 1";
    project.stream_table("per_parity", "{}", query);
    project.stream_table("plain", "{}", "select id, amount from {{ ref('orders') }}");
    project.stream_table("retyped", "{}", "select id, amount::bigint as amount from {{ ref('orders') }}");
    run(&[]).expect(1);
    let ran = run(&["-v", "--allow-recreate", "per_parity,retyped"]).expect(0);
    assert!(
        ran.stdout.contains("Plan: 0 to add, 1 to change, 2 to replace, 0 to destroy."),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("RECREATE (order of columns)") && ran.stdout.contains("ALTER (query)"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("RECREATE (type of amount)"), "{}", ran.stdout);
    let retyped = "select pg_typeof(amount)::text from marts.retyped limit 1";
    assert_eq!(database.value(retyped), Some("bigint".into()));
    let totals = "select string_agg(total::text, ' ' order by parity) from marts.per_parity";
    assert_eq!(database.value(totals), Some("20 15".into()));
    assert_eq!(database.value("select sum(amount) from marts.plain"), Some("35".into()));
}

/// After Ctrl-C during dbt, the report is written with the conclusion `interrupted`.
#[test]
fn an_interrupted_run_still_reports() {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id\n1\n");
    project.stream_table(
        "slow",
        "{'refresh_mode': 'FULL'}",
        "select id, pg_sleep(60)::text as s from {{ ref('orders') }}",
    );
    let database = Database::new();
    let json = project.path().join("report.json");
    let mut child = pgtrickle_ci()
        .args(["run", "--database-url", &database.url(), "--project-dir"])
        .arg(project.path())
        .arg("--profiles-dir")
        .arg(project.path())
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    database.wait_for("select count(*) > 0 from pg_stat_activity where datname = current_database() and application_name = 'dbt' and state = 'active' and query like '%pg_sleep%'");
    std::thread::sleep(Duration::from_millis(200));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(report(&json)["conclusion"], "interrupted");
    database.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'dbt'");
}

/// A server without stream tables may have other relations with their names.
#[test]
fn replacing_another_relation_needs_permission() {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id\n1\n");
    project.stream_table("taken", "{'schedule': '1m'}", "select id from {{ ref('orders') }}");
    let database = Database::new();
    database.run("create schema marts; create view marts.taken as select 7 as foreign_value");
    let mut gate = pgtrickle_ci();
    gate.args(["run", "--database-url", &database.url(), "--project-dir"])
        .arg(project.path())
        .arg("--profiles-dir")
        .arg(project.path());
    let ran = Ran::of(&mut gate).expect(1);
    assert!(ran.stdout.contains("--allow-recreate marts.taken"), "{}", ran.stdout);
    assert_eq!(database.value("select foreign_value from marts.taken"), Some("7".into()));
}

/// Models that the engine would reject are errors before the first change on a named server.
#[test]
fn all_problems_of_the_models_are_reported_first() {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id\n1\n");
    project.stream_table("good", "{}", "select id from {{ ref('orders') }}");
    project.stream_table("MixedCase", "{}", "select id from {{ ref('orders') }}");
    project.stream_table("never", "{'schedule': 'banana'}", "select id from {{ ref('orders') }}");
    project.stream_table("twin", "{'stream_table_name': 'good'}", "select id from {{ ref('orders') }}");
    let database = Database::new();
    let mut gate = pgtrickle_ci();
    gate.args(["run", "--database-url", &database.url(), "--project-dir"])
        .arg(project.path())
        .arg("--profiles-dir")
        .arg(project.path());
    let ran = Ran::of(&mut gate).expect(2);
    for file in ["MixedCase", "never", "twin"] {
        assert!(ran.stderr.contains(&format!("models/{file}.sql: ")), "{file}: {}", ran.stderr);
    }
    assert_eq!(database.value("select to_regclass('marts.orders')"), None);
}
