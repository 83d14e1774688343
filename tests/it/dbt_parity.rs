//! What `dbt test` runs, the gate runs.

use serde_json::Value;

use crate::support::{DbtProject, Ran, pgtrickle_ci};

/// The outcomes of dbt's tests in a run on a server of its own: name, verdict, and the file that the test is about.
fn tested(project: &DbtProject) -> Vec<(String, String, String)> {
    let mut run = pgtrickle_ci();
    run.args([
        "run",
        "--engine",
        "emulator",
        "--stub-sources",
        "--budget",
        "0s",
        "--json",
        "-",
        "--project-dir",
    ]);
    let ran = Ran::of(run.arg(project.path()).arg("--profiles-dir").arg(project.path()));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcomes = report["outcomes"].as_array().unwrap().iter().filter(|outcome| outcome["stage"] == "test");
    outcomes
        .map(|test| {
            let file = text(&test["model"]["file"]);
            (text(&test["subject"]), text(&test["verdict"]), file)
        })
        .collect()
}

/// Each of these is all that `dbt test` would run.
#[test]
fn the_only_test_of_a_project_is_run_whatever_kind_it_is() {
    for (file, text, subject, verdict, about) in [
        ("tests/always.sql", "select 1 as wrong", "always", "failed", "tests/always.sql"),
        (
            "tests/of_a_source.sql",
            "select n from (select count(*) as n from {{ source('raw', 'orders') }}) as c where n = 0",
            "of_a_source",
            "failed",
            "tests/of_a_source.sql",
        ),
        (
            "seeds/seeds.yml",
            "seeds: [{name: codes, columns: [{name: code, data_tests: [unique]}]}]",
            "unique_codes_code",
            "failed",
            "seeds/seeds.yml",
        ),
        (
            "tests/warns.sql",
            "{{ config(severity='warn') }} select id from {{ ref('a') }}",
            "warns",
            "warned",
            "tests/warns.sql",
        ),
    ] {
        let project = DbtProject::new();
        project.write("seeds/codes.csv", "id,code\n1,x\n2,x\n");
        project.write(
            "models/sources.yml",
            "sources: [{name: raw, tables: [{name: orders, columns: [{name: id, data_type: int}]}]}]",
        );
        project.write(
            "models/o.sql",
            "{{ config(materialized='view') }} select id from {{ source('raw', 'orders') }}",
        );
        project.stream_table("a", "{'schedule': '1h'}", "select id from {{ ref('codes') }}");
        project.write(file, text);
        let outcomes = tested(&project);
        let [(name, said, of)] = &outcomes[..] else { panic!("{file}: {outcomes:?}") };
        assert_eq!((name.as_str(), said.as_str()), (subject, verdict), "{file}");
        assert!(of.ends_with(about), "{file}: {of}");
    }
}
