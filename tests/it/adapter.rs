//! Profiles of the dbt adapter, `type: pgtrickle`.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Database, DbtProject, Ran, dbt_with_modules, output, pgtrickle_ci_with_real_dbt};

const SOURCES: &str = "sources: [{name: raw, tables: [{name: orders, columns: [{name: id, data_type: int}, {name: customer, data_type: text}]}]}]
models: [{name: totals, columns: [{name: customer, data_tests: [not_null]}], data_tests: [pgtrickle_no_errors]}]";

/// A folder for `PYTHONPATH` with the adapter in it, laid out as in its wheel.
fn installed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dbt = |path: &str| folder.path().join("dbt").join(path);
    fs::create_dir_all(dbt("adapters")).unwrap();
    symlink(repository.join("adapter/src/dbt/adapters/pgtrickle"), dbt("adapters/pgtrickle")).unwrap();
    fs::create_dir_all(dbt("include/pgtrickle/package")).unwrap();
    for entry in fs::read_dir(repository.join("adapter/src/dbt/include/pgtrickle")).unwrap() {
        let entry = entry.unwrap();
        symlink(entry.path(), dbt("include/pgtrickle").join(entry.file_name())).unwrap();
    }
    for part in ["macros", "dbt_project.yml"] {
        symlink(repository.join(part), dbt("include/pgtrickle/package").join(part)).unwrap();
    }
    folder
}

/// A project that needs the adapter: it installs no package, and its test has no prefix.
fn project(database: &Database) -> DbtProject {
    let project = DbtProject::new();
    fs::remove_file(project.path().join("packages.yml")).unwrap();
    let mut target = output(database, "marts");
    let more = json!({"type": "pgtrickle", "role": database.endpoint.user, "search_path": "public, marts",
        "sslmode": "prefer", "keepalives_idle": 30, "connect_timeout": 5, "retries": 2});
    target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    project
        .write("profiles.yml", &json!({"shop": {"target": "dev", "outputs": {"dev": target}}}).to_string());
    project.write("models/models.yml", SOURCES);
    project.stream_table(
        "totals",
        "{'schedule': '1h'}",
        "select customer, count(*) as orders from {{ source('raw', 'orders') }} group by customer",
    );
    project
}

fn ran(project: &DbtProject, installed: &TempDir, arguments: &[&str]) -> Ran {
    let mut command: Command = pgtrickle_ci_with_real_dbt();
    command
        .args(arguments)
        .arg("--project-dir")
        .arg(project.path())
        .arg("--profiles-dir")
        .arg(project.path());
    Ran::of(command.env("PYTHONPATH", installed.path()).env("PYTHONDONTWRITEBYTECODE", "1"))
}

#[test]
fn a_profile_of_the_adapter_deploys_and_checks_on_a_named_server() {
    let database = Database::new();
    database.run(
        "create schema raw; create table raw.orders (id int primary key, customer text); \
         insert into raw.orders values (1, 'anna'), (2, 'ben'), (3, 'anna')",
    );
    let (project, installed) = (project(&database), installed());
    let ran = |arguments: &[&str]| ran(&project, &installed, arguments);
    let saved = project.path().join("plan.json");
    let saved = saved.to_str().unwrap();

    let plan = ran(&["plan", "--out", saved]).expect(0);
    assert!(
        plan.stdout.contains("Plan: 1 to add, 0 to change, 0 to replace, 0 to destroy."),
        "{}",
        plan.stdout
    );
    ran(&["apply", saved]).expect(0);
    // The adapter finds what the program deployed.
    let run = dbt_with_modules(&project, &["run"], installed.path()).expect(0);
    assert!(run.stdout.contains("UNCHANGED"), "{}", run.stdout);
    ran(&["check"]).expect(0);
    ran(&["verify", "--static"]).expect(0);
    assert_eq!(
        database.value("select orders from marts.totals where customer = 'anna'").as_deref(),
        Some("2")
    );
}

#[test]
fn a_profile_of_the_adapter_runs_the_gate_on_a_server_of_its_own() {
    let database = Database::without_extension();
    let (project, installed) = (project(&database), installed());
    let run = ["run", "--engine", "emulator", "--stub-sources", "--budget", "0s", "--json", "-"];
    let run = ran(&project, &installed, &run).expect(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let outcomes = report["outcomes"].as_array().unwrap();
    for (stage, subject) in [("deploy", "marts.totals"), ("test", "pgtrickle_no_errors_totals_")] {
        let outcome =
            outcomes.iter().find(|outcome| outcome["stage"] == stage && outcome["subject"] == subject);
        assert_eq!(outcome.unwrap_or_else(|| panic!("{report}"))["verdict"], "passed", "{report}");
    }
}
