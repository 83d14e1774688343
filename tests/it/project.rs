//! Every command reads what dbt compiles from the current files, for the requested target.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, manifest, model, pgtrickle_ci};

/// A project with two targets in one database, dev and prod.
struct Shop {
    project: DbtProject,
    database: Database,
}

impl Shop {
    fn new() -> Self {
        let database = Database::new();
        database.run("create table orders (id int primary key, amount int)");
        let project = DbtProject::new();
        let endpoint = &database.endpoint;
        let target = |schema: &str| {
            json!({"type": "postgres", "host": endpoint.host, "port": endpoint.port, "user": endpoint.user,
                   "password": endpoint.password.reveal(), "dbname": endpoint.database, "schema": schema, "threads": 4})
        };
        let profile =
            json!({"shop": {"target": "dev", "outputs": {"dev": target("dev"), "prod": target("prod")}}});
        project.write("profiles.yml", &profile.to_string());
        project.stream_table("a", "{}", "select id, amount from public.orders");
        Self { project, database }
    }

    fn run(&self, command: &str, more: &[&str]) -> Ran {
        let mut command_line = pgtrickle_ci();
        command_line.args([command, "--project-dir"]).arg(self.project.path()).arg("--profiles-dir");
        Ran::of(command_line.arg(self.project.path()).args(more))
    }

    fn plan(&self, more: &[&str]) -> (Ran, Value) {
        let ran = self.run("plan", &[more, &["--json", "-"]].concat()).expect(0);
        let report = serde_json::from_str(&ran.stdout).unwrap();
        (ran, report)
    }

    /// The plan's steps, as `create dev.a`.
    fn steps(&self, more: &[&str]) -> Vec<String> {
        let (_, report) = self.plan(more);
        let steps = report["plan"]["steps"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let step = |step: &Value| {
            let relation = &step["relation"];
            format!("{} {}.{}", text(&step["action"]), text(&relation["schema"]), text(&relation["name"]))
        };
        steps.iter().map(step).collect()
    }

    /// Whether dbt compiled the project for this plan.
    fn compiles(&self, more: &[&str]) -> bool {
        let (ran, report) = self.plan(more);
        let compiled = report["project_source"]["from"] == "compiled";
        assert_eq!(compiled, ran.stderr.contains("compiling the project"), "{}", ran.stderr);
        compiled
    }
}

#[test]
fn dbt_compiles_once_for_each_state_of_the_project() {
    let shop = Shop::new();
    assert!(shop.compiles(&[]), "it was never compiled");
    assert!(!shop.compiles(&[]), "nothing changed");
    let file = shop.project.path().join("models/a.sql");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, &text).unwrap();
    assert!(!shop.compiles(&[]), "it was written again with the same text");

    for (file, text) in [
        ("models/b.sql", "{{ config(materialized='stream_table') }} select id from public.orders"),
        ("models/_models.yml", "models: [{name: b, description: two}]"),
        ("macros/m.sql", "{% macro m() %}1{% endmacro %}"),
        ("seeds/s.csv", "id\n1\n"),
        ("dbt_project.yml", "name: shop\nversion: '1.0'\nprofile: shop\nvars: {x: 1}\n"),
    ] {
        shop.project.write(file, text);
        assert!(shop.compiles(&[]), "{file} changed");
    }
    assert!(!shop.compiles(&[]), "nothing changed");
    assert!(shop.compiles(&["--vars", "{x: 2}"]), "other variables");
    assert!(!shop.compiles(&[]), "the manifest of the project without them is still there");
    fs::remove_file(shop.project.path().join("models/b.sql")).unwrap();
    assert!(shop.compiles(&[]), "a model is gone");
}

/// dbt's own target folder has the result of its last command.
#[test]
fn a_manifest_of_another_target_is_never_used() {
    let shop = Shop::new();
    fs::create_dir(shop.project.path().join("target")).unwrap();
    let mut stale = model("stale", "select 1 as x", &json!({}));
    stale.1["schema"] = json!("prod");
    manifest(&shop.project.path().join("target"), "manifest.json", [stale]);
    assert_eq!(shop.steps(&[]), ["create dev.a"]);
    assert_eq!(shop.steps(&["--target", "prod"]), ["create prod.a"]);
    assert_eq!(shop.steps(&[]), ["create dev.a"]);
    for (command, more) in [("check", &[][..]), ("wait", &["--timeout", "1s"]), ("verify", &[])] {
        let ran = shop.run(command, &[&["--target", "prod", "--json", "-"], more].concat());
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["project_source"]["target"], "prod", "{command}");
    }
}

#[test]
fn explain_takes_what_is_kept_from_the_last_compilation() {
    let shop = Shop::new();
    shop.database.run(
        "create schema dev;
         select pgtrickle.create_stream_table('dev.a', 'select id, amount from public.orders', '1h', 'FULL')",
    );
    shop.project.write(
        "models/exposed.yml",
        "exposures: [{name: board, type: dashboard, owner: {name: Ann}, depends_on: [ref('a')]}]\n",
    );
    let explained = || -> Value {
        serde_json::from_str(&shop.run("explain", &["dev.a", "--json", "-"]).expect(0).stdout).unwrap()
    };
    let unknown = explained();
    assert_eq!(
        (&unknown["model"], &unknown["readers"]["exposures"]),
        (&json!(null), &json!(null)),
        "{unknown}"
    );
    shop.run("doctor", &[]);
    assert!(!shop.project.path().join("target/pgtrickle-ci").exists(), "doctor and explain write nothing");
    shop.plan(&[]);
    let known = explained();
    assert_eq!(known["model"]["unique_id"], "model.shop.a", "{known}");
    assert!(known["model"]["file"].as_str().unwrap().ends_with("models/a.sql"), "{known}");
    assert_eq!(known["readers"]["exposures"], json!([{"name": "board", "owner": "Ann"}]), "{known}");
    assert_eq!(known["readers"]["models"], json!([]), "{known}");
}

#[test]
fn a_named_manifest_of_another_target_is_an_error() {
    let shop = Shop::new();
    shop.plan(&["--target", "prod"]);
    let kept = shop.project.path().join("target/pgtrickle-ci/manifests");
    let kept = fs::read_dir(kept).unwrap().next().unwrap().unwrap().path().join("manifest.json");
    let kept = kept.to_str().unwrap();
    shop.run("plan", &["--manifest", kept, "--target", "prod"]).expect(0);
    shop.run("plan", &["--manifest", kept, "--target", "dev"])
        .expect_error("its stream tables are in prod; target `dev` puts them into `dev`", "--manifest");
    let other = Database::new();
    shop.run("plan", &["--manifest", kept, "--database-url", &other.url()]).expect_error(
        &format!("was compiled for the database `{}`", shop.database.endpoint.database),
        "--manifest",
    );
}

#[test]
fn no_compile_is_an_error_that_says_what_changed() {
    let shop = Shop::new();
    shop.run("plan", &["--no-compile"]).expect_error("not compiled for target `dev`", "--no-compile");
    shop.plan(&[]);
    assert!(!shop.compiles(&["--no-compile"]));
    shop.project.stream_table("b", "{}", "select id from public.orders");
    for command in ["plan", "apply", "wait", "check", "verify"] {
        shop.run(command, &["--no-compile"]).expect_error("models/b.sql is new", "--manifest");
    }
}

/// The key does not cover what a model queries from the server while it is compiled.
#[test]
fn sql_that_depends_on_the_server_is_compiled_each_time() {
    let shop = Shop::new();
    shop.project.stream_table(
        "b",
        "{}",
        "select {% if execute %}{{ run_query('select max(amount) from public.orders').columns[0].values()[0] or 0 }}{% else %}0{% endif %} as most from public.orders",
    );
    assert!(shop.compiles(&[]));
    assert!(shop.compiles(&[]), "the server may say something else");
    let (ran, _) = shop.plan(&[]);
    assert!(
        ran.stderr.contains("the SQL of models/b.sql depends on the server or the time"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_missing_or_empty_project_is_an_error() {
    let shop = Shop::new();
    let url = shop.database.url();
    for command in ["plan", "apply", "wait", "check", "verify", "run"] {
        let mut nowhere = pgtrickle_ci();
        nowhere.args([command, "--project-dir", "/no/such/folder", "--database-url", &url]);
        Ran::of(&mut nowhere).expect_error("no dbt project in `/no/such/folder`", "--project-dir");
    }
    fs::remove_file(shop.project.path().join("models/a.sql")).unwrap();
    for command in ["wait", "check", "verify"] {
        shop.run(command, &[]).expect_error("shop has no stream tables", "allow_empty: true");
    }
    assert!(shop.run("plan", &[]).expect(0).stdout.contains("project: no stream tables"));
    shop.project.write("pgtrickle-ci.yml", "allow_empty: true\n");
    shop.run("check", &[]).expect(0);
}

#[test]
fn vars_that_are_not_a_mapping_are_an_error() {
    let shop = Shop::new();
    for (vars, reason) in [("{a: 1", "not YAML"), ("a", "expected a YAML mapping")] {
        let ran = shop.run("check", &["--vars", vars]).expect(2);
        assert!(ran.stderr.contains("--vars") && ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

/// `selectors.yml` may have a default selector, which the gate applies, too.
#[test]
fn a_default_selector_applies_without_a_selection() {
    let shop = Shop::new();
    shop.project.stream_table("b", "{}", "select id from public.orders");
    let selectors = "selectors: [{name: half, default: true, definition: {method: fqn, value: b}}]";
    shop.project.write("selectors.yml", selectors);
    for _ in 0..2 {
        assert_eq!(shop.steps(&[]), ["create dev.b"]);
    }
    assert_eq!(shop.steps(&["--select", "a"]), ["create dev.a"]);
    let ran = shop.run("run", &["--json", "-", "--budget", "0s", "--engine", "emulator", "--stub-sources"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    assert_eq!(report["selection"], "--selector half");
    assert!(!ran.stdout.contains("dev.a"), "{}", ran.stdout);
}

/// dbt's manifest has unit tests in their own section.
#[test]
fn a_project_whose_only_tests_are_unit_tests_is_tested() {
    let project = DbtProject::new();
    project.write("seeds/orders.csv", "id,amount\n1,10\n");
    project.stream_table("a", "{}", "select id, amount * 2 as double from {{ ref('orders') }}");
    project.write(
        "models/tests.yml",
        "unit_tests: [{name: doubles, model: a, given: [{input: ref('orders'), rows: [{id: 1, amount: 2}]}], expect: {rows: [{id: 1, double: 5}]}}]",
    );
    let mut run = pgtrickle_ci();
    run.args(["run", "--engine", "emulator", "--budget", "0s", "--json", "-", "--project-dir"]);
    let ran = Ran::of(run.arg(project.path()).arg("--profiles-dir").arg(project.path())).expect(1);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let tests: Vec<&Value> =
        report["outcomes"].as_array().unwrap().iter().filter(|outcome| outcome["stage"] == "test").collect();
    let [test] = &tests[..] else { panic!("{tests:?}") };
    assert_eq!((&test["verdict"], &test["subject"]), (&json!("failed"), &json!("a.doubles")));
    assert!(test["model"]["file"].as_str().unwrap().ends_with("models/a.sql"), "{test}");

    let mut here = pgtrickle_ci();
    here.args(["run", "--engine", "emulator", "--budget", "0s", "--json", "-", "--profiles-dir", "."]);
    let report: Value =
        serde_json::from_str(&Ran::of(here.current_dir(project.path())).expect(1).stdout).unwrap();
    let failed = |outcome: &&Value| outcome["verdict"] == "failed";
    let test = report["outcomes"].as_array().unwrap().iter().find(failed).unwrap();
    assert_eq!(test["model"]["file"], "models/a.sql", "a runner shows it only beside the file's own name");
}

#[test]
fn an_empty_model_is_reported_as_empty() {
    let shop = Shop::new();
    shop.project.write("models/b.sql", "{{ config(materialized='stream_table') }}\n");
    shop.run("plan", &[])
        .expect_error("dbt compiled no SQL for b: the models are empty", "write their queries");
}
