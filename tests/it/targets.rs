//! Two targets of one project in one database: commands for one do not change the other.

mod appeared;
mod package;
mod whose;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, dbt, manifest, model, output, pgtrickle_ci};

const QUERY: &str = "select id, amount from public.orders";
const MARK: &str =
    "select obj_description(oid, 'pg_trigger') from pg_trigger where tgname = 'pgt_dml_guard' and tgrelid = ";
const TABLES: &str = "select string_agg(pgt_schema || '.' || pgt_name, ' ' order by pgt_schema, pgt_name) from pgtrickle.pgt_stream_tables";

/// A project with the targets alice and bob, each with its own schema, and both with the schema `shared`.
struct Two {
    project: DbtProject,
    database: Database,
}

impl Two {
    /// Both have `kept` and `gone` in their own schema. Of the two in the shared schema bob deployed one last, alice
    /// the other.
    fn deployed() -> Self {
        let (project, database) = (DbtProject::new(), Database::new());
        database
            .run("create table orders (id int primary key, amount int); insert into orders values (1, 10)");
        let output = "{type: postgres, host: nowhere.invalid, port: 1, user: u, password: p, dbname: d, threads: 4, schema: ";
        project.write(
            "profiles.yml",
            &format!(
                "shop:\n  target: alice\n  outputs:\n    alice: {output}dev_alice}}\n    bob: {output}dev_bob}}\n"
            ),
        );
        let two = Self { project, database };
        let models = ["kept", "gone", "shared.common", "shared.of_bob"];
        two.ran("apply", "bob", &models, &[]).expect(0);
        two.ran("apply", "alice", &models[..3], &[]).expect(0);
        two
    }

    /// The manifest that dbt compiles of these models for a target.
    fn manifest(&self, target: &str, models: &[&str]) -> PathBuf {
        let own = format!("dev_{target}");
        let node = |name: &&str| {
            let (schema, name) = name.split_once('.').unwrap_or((&own, name));
            let (id, mut node) = model(name, QUERY, &json!({"schedule": "1h"}));
            node["schema"] = json!(schema);
            node["relation_name"] = json!(format!("\"d\".\"{schema}\".\"{name}\""));
            (id, node)
        };
        manifest(self.project.path(), &format!("{target}.json"), models.iter().map(node))
    }

    fn ran(&self, command: &str, target: &str, models: &[&str], more: &[&str]) -> Ran {
        let mut ran = pgtrickle_ci();
        ran.args([command, "--target", target, "--database-url", &self.database.url(), "--project-dir"]);
        ran.arg(self.project.path())
            .arg("--profiles-dir")
            .arg(self.project.path())
            .arg("--manifest")
            .arg(self.manifest(target, models))
            .args(more);
        Ran::of(&mut ran)
    }

    /// The identity, rows and comments of all tables of other targets.
    fn others(&self) -> Vec<Option<String>> {
        let names = self.database.value(TABLES).unwrap();
        let mine = |name: &&str| !name.starts_with("dev_alice.") && *name != "shared.common";
        let print = |name: &str| {
            self.database.value(&format!(
                "select concat_ws('|', st.pgt_schema, st.pgt_name, st.pgt_id, st.pgt_relid::oid, st.updated_at, st.last_refresh_at,
                   (select string_agg(t::text, ';' order by t.id) from {name} as t),
                   (select string_agg(d.description, ';' order by d.objoid, d.objsubid) from pg_description as d
                    where d.objoid = st.pgt_relid or d.objoid in (select oid from pg_trigger where tgrelid = st.pgt_relid)))
                 from pgtrickle.pgt_stream_tables as st where st.pgt_relid = '{name}'::regclass"
            ))
        };
        names.split(' ').filter(mine).map(print).collect()
    }
}

#[test]
fn no_command_touches_the_tables_of_another_target() {
    let two = Two::deployed();
    let before = two.others();
    assert_eq!(before.len(), 3);
    let models = ["kept", "shared.common"];
    for command in ["plan", "apply"] {
        let ran = two.ran(command, "alice", &models, &[]).expect(1);
        let told = "note: ignored 3 stream tables of this project under other targets: bob (schema dev_bob)";
        for part in ["dev_alice.gone", "1 to destroy", told] {
            assert!(ran.stdout.contains(part), "`{part}` is not in {command}:\n{}", ran.stdout);
        }
        assert!(!ran.stdout.contains("dev_bob.") && !ran.stdout.contains("of_bob"), "{}", ran.stdout);
        assert_eq!(two.others(), before, "{command}");
    }
    let checked = two.ran("check", "alice", &models, &[]).expect(0);
    assert!(!checked.stdout.contains("differs from its model"), "{}", checked.stdout);

    // dbt itself, for the same models.
    let schema = "{% macro generate_schema_name(custom, node) %}{{ custom or target.schema }}{% endmacro %}";
    two.project.write("macros/generate_schema_name.sql", schema);
    two.project.stream_table("kept", "{'schedule': '1h'}", QUERY);
    let shared = "{{ config(materialized='stream_table', schema='shared', meta={'pgtrickle': {'schedule': '1h'}}) }}\n";
    two.project.write("models/common.sql", &format!("{shared}{QUERY}"));
    let mut run = pgtrickle_ci();
    run.args(["run", "--target", "alice", "--allow-drop", "all", "--allow-recreate", "all"]);
    run.args(["--database-url", &two.database.url(), "--project-dir"]).arg(two.project.path());
    run.arg("--profiles-dir").arg(two.project.path());
    Ran::of(&mut run).expect(0);
    assert_eq!(two.others(), before, "what was allowed was allowed for this target");
    assert_eq!(
        two.database.value(TABLES).as_deref(),
        Some("dev_alice.kept dev_bob.gone dev_bob.kept shared.common shared.of_bob")
    );
    assert!(
        two.ran("plan", "alice", &models, &[]).expect(0).stdout.contains("No changes:"),
        "the package and the program write one mark"
    );
}

#[test]
fn taking_over_a_table_of_another_target_is_reported() {
    let two = Two::deployed();
    let plan =
        |target: &str| two.ran("plan", target, &["shared.common"], &["--allow-drop", "all"]).expect(0).stdout;
    assert!(plan("bob").contains("taken over from the target alice (schema dev_alice)"), "{}", plan("bob"));
    two.ran("apply", "bob", &["shared.common"], &["--allow-drop", "all"]).expect(0);
    let mark = two.database.value(&format!("{MARK} 'shared.common'::regclass")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&mark).unwrap(),
        json!({"dbt_project": "shop", "unique_id": "model.shop.common", "target": "bob", "schema": "dev_bob"})
    );
    assert!(plan("alice").contains("taken over from the target bob (schema dev_bob)"), "{}", plan("alice"));
    assert!(plan("bob").contains("No changes:"), "{}", plan("bob"));
}

/// Otherwise a plan would compare alice's tables, and say that nothing changes for the empty schema of bob.
#[test]
fn a_manifest_of_another_target_is_refused_wherever_the_server_is_named() {
    let two = Two::deployed();
    let file = two.manifest("alice", &["kept"]);
    let mut manifest: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    manifest["macros"] = json!({"macro.dbt.generate_schema_name": {"package_name": "dbt"}});
    fs::write(&file, manifest.to_string()).unwrap();
    for command in ["plan", "apply", "check"] {
        let mut ran = pgtrickle_ci();
        ran.args([command, "--target", "bob", "--database-url", &two.database.url(), "--project-dir"]);
        ran.arg(two.project.path())
            .arg("--profiles-dir")
            .arg(two.project.path())
            .arg("--manifest")
            .arg(&file);
        Ran::of(&mut ran).expect_error("its stream tables are in dev_alice; target `bob`", "target");
    }
}

/// A drop also drops the readers, so it must not happen if another target has one.
#[test]
fn a_table_that_another_target_reads_is_not_dropped() {
    let two = Two::deployed();
    let create = "select pgtrickle.create_stream_table('dev_bob.reader', 'select id from dev_alice.gone', '1h', 'DIFFERENTIAL')";
    two.database.run(create);
    let before = two.others();
    let ran = two.ran("apply", "alice", &["kept", "shared.common"], &["--allow-drop", "all"]).expect(1);
    assert!(ran.stdout.contains("dev_bob.reader reads it"), "{}", ran.stdout);
    assert_eq!(two.others(), before);
    assert_eq!(two.database.value("select id::text from dev_alice.gone").as_deref(), Some("1"));
}

/// A mark of an earlier version is a comment on the column, which may also be the user's.
#[test]
fn an_old_mark_is_read_and_moves_with_the_next_change() {
    let database = Database::new();
    database.run("create table orders (id int primary key, amount int)");
    let column = "comment on column public.t.__pgt_row_id is ";
    let old = r#"'{"dbt_project": "shop", "unique_id": "model.shop.t"}'"#;
    database.run(&format!(
        "select pgtrickle.create_stream_table('public.t', 'select id from public.orders', '1h', 'DIFFERENTIAL'); {column}{old}"
    ));
    let dir = tempfile::tempdir().unwrap();
    let apply = |schedule: &str| {
        let settings = json!({"schedule": schedule});
        let wanted = manifest(dir.path(), "m.json", [model("t", "select id from public.orders", &settings)]);
        let mut apply = pgtrickle_ci();
        apply.args(["apply", "--database-url", &database.url(), "--manifest"]).arg(wanted);
        Ran::of(&mut apply).expect(0)
    };
    assert!(apply("1h").stdout.contains("No changes:"));
    assert!(!apply("2h").stdout.contains("taken over"));
    let comment = "select col_description('public.t'::regclass, 1)";
    let mark = || database.value(&format!("{MARK} 'public.t'::regclass"));
    assert_eq!((database.value(comment), mark().is_some()), (None, true));

    database.run(&format!("{column}'a word of the user''s'"));
    assert!(!apply("3h").stdout.contains("taken over"));
    assert_eq!(database.value(comment).as_deref(), Some("a word of the user's"));
    // Without the engine's trigger the mark is where it was before.
    database.run("drop trigger pgt_dml_guard on public.t");
    assert!(apply("4h").stdout.contains("taken over"));
    assert!(apply("4h").stdout.contains("No changes:"));
}

/// Replacing a table drops its readers. Neither the program nor the package does that if another target has one.
#[test]
fn a_table_that_another_target_reads_is_not_replaced() {
    let two = Two::deployed();
    let create = "select pgtrickle.create_stream_table('dev_bob.reader', 'select id from dev_alice.kept', '1h', 'DIFFERENTIAL')";
    two.database.run(create);
    let before = two.others();
    let query = "select id, amount::text as amount from public.orders";
    let (id, mut node) = model("kept", query, &json!({"schedule": "1h"}));
    node["schema"] = json!("dev_alice");
    let wanted = manifest(two.project.path(), "rebuilt.json", [(id, node)]);
    let mut apply = pgtrickle_ci();
    apply.args(["apply", "--target", "alice", "--allow-recreate", "all", "--allow-drop", "all"]);
    apply.args(["--database-url", &two.database.url(), "--manifest"]).arg(wanted).arg("--project-dir");
    apply.arg(two.project.path()).arg("--profiles-dir").arg(two.project.path());
    let ran = Ran::of(&mut apply).expect(1);
    assert!(ran.stdout.contains("dev_bob.reader reads it"), "{}", ran.stdout);
    assert_eq!(two.others(), before);

    two.project.stream_table("kept", "{'schedule': '1h'}", query);
    let outputs = json!({"alice": output(&two.database, "dev_alice")});
    two.project.write("profiles.yml", &json!({"shop": {"target": "alice", "outputs": outputs}}).to_string());
    dbt(&two.project, &["deps"]).expect(0);
    for more in [&["run"][..], &["run", "--full-refresh"]] {
        let ran = dbt(&two.project, more).expect(1);
        assert!(ran.stdout.contains("dev_bob.reader"), "{}", ran.stdout);
        assert_eq!(two.others(), before);
    }
}
