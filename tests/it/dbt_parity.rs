//! The gate runs the same tests as `dbt test`.

use serde_json::Value;

use crate::support::{DbtProject, Ran, pgtrickle_ci};

fn ran(project: &DbtProject) -> Ran {
    ran_in(project, &[])
}

fn ran_in(project: &DbtProject, environment: &[(&str, &str)]) -> Ran {
    let mut run = pgtrickle_ci();
    run.envs(environment.iter().copied());
    run.args(["run", "--engine", "emulator", "--stub-sources", "--budget", "0s", "--json", "-"]);
    run.arg("--project-dir").arg(project.path()).arg("--profiles-dir").arg(project.path());
    Ran::of(&mut run)
}

/// The report of a run on an ephemeral server.
fn run(project: &DbtProject) -> Value {
    let ran = ran(project);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr))
}

/// The outcomes of dbt's tests in a run: name, verdict, and the file that the test is about.
fn tested(project: &DbtProject) -> Vec<(String, String, String)> {
    let report = run(project);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcomes = report["outcomes"].as_array().unwrap().iter().filter(|outcome| outcome["stage"] == "test");
    outcomes
        .map(|test| {
            let file = text(&test["model"]["file"]);
            (text(&test["subject"]), text(&test["verdict"]), file)
        })
        .collect()
}

/// Two sources, one of them read by a view, and a stream table that reads a seed.
fn project() -> DbtProject {
    let project = DbtProject::new();
    project.write("seeds/codes.csv", "id,code\n1,x\n2,x\n");
    project.write(
        "models/sources.yml",
        "sources: [{name: raw, tables: [{name: orders, columns: [{name: id, data_type: int}]}, {name: unread, columns: [{name: id, data_type: int}]}]}]",
    );
    project.write(
        "models/o.sql",
        "{{ config(materialized='view') }} select id from {{ source('raw', 'orders') }}",
    );
    project.stream_table("a", "{'schedule': '1h'}", "select id from {{ ref('codes') }}");
    project
}

/// Each of these is all that `dbt test` would run.
#[test]
fn a_single_test_of_any_kind_is_run() {
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
            "seeds/codes.csv",
        ),
        (
            "tests/of_an_unread_source.sql",
            "select n from (select count(*) as n from {{ source('raw', 'unread') }}) as c where n = 0",
            "of_an_unread_source",
            "failed",
            "tests/of_an_unread_source.sql",
        ),
        (
            "tests/warns.sql",
            "{{ config(severity='warn') }} select id from {{ ref('a') }}",
            "warns",
            "warned",
            "tests/warns.sql",
        ),
    ] {
        let project = project();
        project.write(file, text);
        let outcomes = tested(&project);
        let [(name, said, of)] = &outcomes[..] else { panic!("{file}: {outcomes:?}") };
        assert_eq!((name.as_str(), said.as_str()), (subject, verdict), "{file}");
        assert!(of.ends_with(about), "{file}: {of}");
    }
}

/// Nodes outside of the default selector are neither built, waited for nor tested.
#[test]
fn a_default_selector_chooses_models_and_tests() {
    for (selectors, made, tests) in [
        // Excludes all tests, although they belong to selected models.
        (
            "selectors: [{name: half, default: true, definition: {intersection: ['resource_type:model', {exclude: ['b', 'resource_type:test']}]}}]",
            vec!["marts.a"],
            vec![],
        ),
        // A nested default that depends on the target.
        (
            "selectors: [{name: some, definition: 'b'}, {name: half, default: \"{{ target.name == 'dev' }}\", definition: {method: selector, value: some}}]",
            vec!["marts.b"],
            vec!["on_b"],
        ),
        // A test of a source that no selected model reads.
        (
            "selectors: [{name: half, default: true, definition: {union: ['a', 'on_unread', {exclude: ['on_a']}]}}]",
            vec!["marts.a"],
            vec!["on_unread"],
        ),
        // All nodes without a tag.
        (
            "selectors: [{name: half, default: true, definition: {union: [{method: fqn, value: '*'}, {exclude: ['tag:slow', 'o']}]}}]",
            vec!["marts.a", "marts.b"],
            vec!["on_a", "on_b"],
        ),
    ] {
        let project = project();
        project.stream_table("b", "{'schedule': '1h'}", "select id from {{ ref('codes') }}");
        for (test, of) in [
            ("on_a", "{{ ref('a') }}"),
            ("on_b", "{{ ref('b') }}"),
            ("on_unread", "{{ source('raw', 'unread') }}"),
        ] {
            let slow = if test == "on_unread" { "{{ config(tags=['slow']) }}" } else { "" };
            project.write(&format!("tests/{test}.sql"), &format!("{slow} select id from {of} where id < 0"));
        }
        project.write("selectors.yml", selectors);
        let report = run(&project);
        let of_stage = |stage: &str| -> Vec<&str> {
            let outcomes = report["outcomes"].as_array().unwrap().iter();
            let mut of_stage: Vec<&str> = outcomes
                .filter(|outcome| outcome["stage"] == stage)
                .map(|outcome| outcome["subject"].as_str().unwrap())
                .collect();
            of_stage.sort_unstable();
            of_stage
        };
        assert_eq!(report["selection"], "--selector half", "{selectors}");
        assert_eq!(of_stage("population"), made, "{selectors}\n{report:#}");
        assert_eq!(of_stage("test"), tests, "{selectors}\n{report:#}");
    }
}

/// The test also reads a table that is not built: with `cautious` dbt does not run it.
#[test]
fn the_shell_says_how_a_default_selector_takes_tests() {
    let project = project();
    project.stream_table("b", "{'schedule': '1h'}", "select id from {{ ref('codes') }}");
    project.write("tests/on_both.sql", "select 1 from {{ ref('a') }} as a, {{ ref('b') }} as b where false");
    project.write(
        "selectors.yml",
        "selectors: [{name: half, default: true, definition: {method: fqn, value: a, parents: true}}]",
    );
    for (word, code) in [("cautious", Some(0)), ("eager", Some(1))] {
        // At the level `none` dbt lists nothing.
        let ran = ran_in(&project, &[("DBT_INDIRECT_SELECTION", word), ("DBT_LOG_LEVEL", "none")]);
        assert_eq!(ran.code, code, "{word}: {}", ran.stderr);
        assert_eq!(ran.stdout.contains("\"on_both\""), word == "eager", "{word}: {}", ran.stdout);
    }
}

/// dbt warns that it selects no node, and the gate fails.
#[test]
fn a_default_selector_without_matches_is_an_error() {
    let project = project();
    project
        .write("selectors.yml", "selectors: [{name: none_of_it, default: true, definition: 'tag:nowhere'}]");
    let ran = ran(&project);
    assert_ne!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("none_of_it"), "{}", ran.stderr);
}
