//! The program and the dbt package judge alike whose a stream table is, by any comment in the mark's place.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use crate::support::{Database, DbtProject, Ran, dbt, manifest, model, output, pgtrickle_ci};

/// A stream table without a model (marks.yml).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    schema: String,
    /// The comment of the engine's trigger.
    #[serde(default)]
    comment: Option<String>,
    /// The comment of the column, where earlier versions wrote the mark.
    #[serde(default)]
    column: Option<String>,
    /// Whether the target alice (schema dev_alice) created it.
    ours: bool,
    /// The same if only the manifest is known, and not its target.
    ours_by_schema: bool,
}

/// The tables that are destroyed, by the plan's lines.
fn destroyed(plan: &str) -> BTreeSet<String> {
    let lines = plan.lines().filter_map(|line| line.trim_start().strip_prefix("- "));
    lines.filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
}

#[test]
fn the_program_and_the_package_judge_alike_whose_a_table_is() {
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("marks.yml")).unwrap();
    let (project, database) = (DbtProject::new(), Database::new());
    database.run("create table orders (id int primary key, amount int); create schema dev_alice; create schema marts; create schema elsewhere");
    let literal = |comment: &Option<String>| {
        comment.as_ref().map_or("null".to_owned(), |comment| format!("'{}'", comment.replace('\'', "''")))
    };
    let name = |number: usize, case: &Case| format!("{}.t{number}", case.schema);
    for (number, case) in cases.iter().enumerate() {
        let name = name(number, case);
        database.run(&format!(
            "select pgtrickle.create_stream_table('{name}', 'select id from public.orders', '1h', 'DIFFERENTIAL');
             comment on trigger pgt_dml_guard on {name} is {};
             comment on column {name}.__pgt_row_id is {}",
            literal(&case.comment),
            literal(&case.column)
        ));
    }
    let expected = |is_ours: fn(&Case) -> bool| -> BTreeSet<String> {
        let ours = cases.iter().enumerate().filter(|(_, case)| is_ours(case));
        ours.map(|(number, case)| name(number, case)).collect()
    };

    let outputs = json!({"alice": output(&database, "dev_alice")});
    project.write("profiles.yml", &json!({"shop": {"target": "alice", "outputs": outputs}}).to_string());
    let schema = "{% macro generate_schema_name(custom, node) %}{{ custom or target.schema }}{% endmacro %}";
    project.write("macros/generate_schema_name.sql", schema);
    project.write("models/own.sql", "{{ config(materialized='view') }}\nselect 1 as id");
    project.write(
        "models/shared.sql",
        "{{ config(materialized='stream_table', schema='marts') }}\nselect id, amount from public.orders",
    );
    let plan = |more: &[&str]| {
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--database-url", &database.url(), "--project-dir"]).arg(project.path());
        plan.arg("--profiles-dir").arg(project.path()).args(more);
        // Drops are not allowed.
        Ran::of(&mut plan).expect(1).stdout
    };
    let planned = plan(&["--target", "alice"]);
    assert_eq!(destroyed(&planned), expected(|case| case.ours), "{planned}");

    let node = |name: &str, schema: &str, kind: &str| {
        let (id, mut node) = model(name, "select id, amount from public.orders", &json!({}));
        node["schema"] = json!(schema);
        node["config"]["materialized"] = json!(kind);
        (id, node)
    };
    let models = [node("shared", "marts", "stream_table"), node("own", "dev_alice", "view")];
    let file = manifest(project.path(), "m.json", models);
    let planned = plan(&["--manifest", file.to_str().unwrap()]);
    assert_eq!(destroyed(&planned), expected(|case| case.ours_by_schema), "{planned}");

    let ran = dbt(&project, &["run-operation", "drop_all_stream_tables"]).expect(0);
    let dropped =
        ran.stdout.lines().filter_map(|line| line.split_once("pg_trickle: dropped ")).map(|(_, name)| name);
    let dropped: BTreeSet<String> =
        dropped.filter(|name| name.contains(".t")).map(ToOwned::to_owned).collect();
    assert_eq!(dropped, expected(|case| case.ours), "{}", ran.stdout);
}
