//! `plan`, between manifests and against a catalog.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Database, Ran, citus, manifest, model, pgtrickle_ci};

const QUERY: &str = "select id, amount from public.orders where amount > 0";

/// One table for each kind of change.
#[test]
fn two_manifests_are_compared_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let before = manifest(
        dir.path(),
        "before.json",
        [
            model("altered", QUERY, &json!({"schedule": "2m"})),
            model("rewritten", QUERY, &json!({})),
            model("split", QUERY, &json!({})),
            model("removed", QUERY, &json!({})),
            model("same", "select 1 as a from public.orders;", &json!({"schedule": "60s"})),
        ],
    );
    let after = manifest(
        dir.path(),
        "after.json",
        [
            model("altered", QUERY, &json!({"schedule": "5m"})),
            model("rewritten", "select id from public.orders", &json!({})),
            model("split", QUERY, &json!({"partition_by": "id"})),
            model("same", "SELECT 1 AS a -- one\nFROM public.orders", &json!({"schedule": "1m"})),
            model("added", QUERY, &json!({})),
        ],
    );
    let ran = Ran::of(
        pgtrickle_ci().args(["plan", "--exit-code", "--manifest"]).arg(&after).arg("--baseline").arg(&before),
    )
    .expect(1);
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim).collect();
    for line in [
        "+   public.added      create",
        "~   public.altered    alter settings",
        "schedule  2m -> 5m",
        "~   public.rewritten  alter query, refilled in place or replaced",
        "unknown: in place or replaced: depends on the columns on the server",
        "-/+ public.split      replace: dropped and recreated",
        "-   public.removed    drop",
        "Plan: 1 to add, 2 to change, 1 to replace, 1 to destroy.",
        "1 definition unchanged.",
        "dbt: `dbt run` does not drop it; `pgtrickle-ci apply` and `run` do",
        "allow_drop: [public.removed]",
        "allow_recreate: [public.split]",
    ] {
        assert!(lines.contains(&line), "`{line}` is not in\n{}", ran.stdout);
    }
    assert!(
        ran.stdout.contains("--allow-drop public.removed")
            && ran.stdout.contains("--allow-recreate public.split"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_plan_without_changes_says_so_and_exits_with_zero() {
    let dir = tempfile::tempdir().unwrap();
    let one = manifest(dir.path(), "one.json", [model("a", QUERY, &json!({}))]);
    let ran = Ran::of(
        pgtrickle_ci().args(["plan", "--exit-code", "--manifest"]).arg(&one).arg("--baseline").arg(&one),
    )
    .expect(0);
    assert!(ran.stdout.contains("No changes: 1 stream table is up to date."), "{}", ran.stdout);
}

/// A plan against a catalog compares settings as the engine stores them, and knows the owner of each table.
#[test]
fn a_catalog_is_compared_by_meaning_and_by_owner() {
    let database = Database::new();
    database.run("create table orders (id int primary key, amount int); insert into orders values (1, 10)");
    let create = |name: &str, rest: &str| {
        database.run(&format!("select pgtrickle.create_stream_table('public.{name}', '{QUERY}', {rest})"));
        database.run(&format!(
            r#"comment on column public.{name}.__pgt_row_id is '{{"dbt_project": "shop", "unique_id": "model.shop.{name}"}}'"#
        ));
    };
    create("same", "'60s', 'DIFFERENTIAL'");
    create("resolved", "'1m', 'AUTO'");
    create("calculated", "'calculated', 'DIFFERENTIAL'");
    create("slow", "'5m', 'FULL'");
    create("removed", "'1m', 'DIFFERENTIAL'");
    database.run(&format!(
        "select pgtrickle.create_stream_table('public.by_hand', '{QUERY}', '1m', 'DIFFERENTIAL')"
    ));

    let dir = tempfile::tempdir().unwrap();
    let wanted = manifest(
        dir.path(),
        "manifest.json",
        [
            model("same", QUERY, &json!({"schedule": "1m"})),
            model("resolved", QUERY, &json!({"refresh_mode": "auto"})),
            model("calculated", QUERY, &json!({"schedule": null})),
            model("slow", QUERY, &json!({"schedule": "1m", "refresh_mode": "DIFFERENTIAL"})),
            model("added", QUERY, &json!({})),
        ],
    );
    let json = dir.path().join("plan.json");
    let ran = Ran::of(
        pgtrickle_ci()
            .args(["plan", "--database-url", &database.url(), "--manifest"])
            .arg(&wanted)
            .arg("--json")
            .arg(&json),
    )
    .expect(1);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let steps = report["plan"]["steps"].as_array().unwrap();
    let change = |name: &str| {
        let step = steps.iter().find(|step| step["relation"]["name"] == name);
        step.unwrap_or_else(|| panic!("no step for {name}: {report:#}"))["action"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for name in ["same", "resolved", "calculated"] {
        assert_eq!(change(name), "keep", "{name}");
    }
    assert_eq!(change("slow"), "alter");
    assert_eq!(change("added"), "create");
    assert_eq!(change("removed"), "drop");
    assert!(ran.stdout.contains("by_hand"), "an unmanaged table is listed:\n{}", ran.stdout);
    assert!(!steps.iter().any(|step| step.to_string().contains("by_hand")), "and not planned");
    assert!(
        !report.to_string().contains(database.endpoint.password.reveal())
            || database.endpoint.password.reveal().is_empty()
    );
}

#[test]
fn a_view_and_a_top_k_query_that_the_engine_rewrites_are_unchanged() {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key, amount int); insert into orders values (1, 10), (2, 20)",
    );
    database.run("create view big as select id, amount from orders where amount > 15");
    let queries = [
        ("on_view", "select id, amount from public.big"),
        ("top", "select id, amount from public.orders order by amount desc limit 1"),
    ];
    for (name, query) in queries {
        database.run(&format!(
            "select pgtrickle.create_stream_table('public.{name}', '{query}', '1m', 'DIFFERENTIAL')"
        ));
    }
    let dir = tempfile::tempdir().unwrap();
    let wanted = manifest(dir.path(), "m.json", queries.map(|(name, query)| model(name, query, &json!({}))));
    let plan = || {
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--exit-code", "--database-url", &database.url(), "--manifest"]).arg(&wanted);
        Ran::of(&mut plan)
    };
    // Taking over a table without a mark is a change, too.
    assert!(plan().expect(1).stdout.contains("taken over: it has no mark of a dbt project"));
    for (name, _) in queries {
        database.run(&format!(
            r#"comment on column public.{name}.__pgt_row_id is '{{"dbt_project": "shop", "unique_id": "model.shop.{name}"}}'"#
        ));
    }
    plan().expect(0);

    let changed = manifest(
        dir.path(),
        "c.json",
        [model("top", "select id, amount from public.orders order by amount desc limit 2", &json!({}))],
    );
    let ran = Ran::of(
        pgtrickle_ci()
            .args(["plan", "--exit-code", "--database-url", &database.url(), "--manifest"])
            .arg(&changed),
    );
    assert!(ran.expect(1).stdout.contains("alter query"));
}

/// The engine keeps the change buffer of a source after its last reader is dropped, with that reader's columns.
#[test]
fn a_source_accepts_writes_after_its_only_reader_is_replaced_with_other_columns() {
    let database = Database::new();
    database.run("create table lone (id int primary key, a int, b int); insert into lone values (1, 2, 3)");
    let dir = tempfile::tempdir().unwrap();
    for query in ["select id, a from public.lone", "select id, b, a from public.lone"] {
        let wanted = manifest(dir.path(), "m.json", [model("t", query, &json!({"schedule": "1h"}))]);
        let mut apply = pgtrickle_ci();
        apply.args(["apply", "--allow-recreate", "t", "--database-url", &database.url(), "--manifest"]);
        Ran::of(apply.arg(wanted)).expect(0);
    }
    database.run("update lone set b = 4; select pgtrickle.refresh_stream_table('public.t')");
    assert_eq!(database.value("select b::text from t").as_deref(), Some("4"));
}

#[test]
fn sources_that_cannot_be_captured_or_lose_their_policies_are_in_the_plan() {
    let database = Database::new();
    database.run("create table orders (id int primary key, amount int); create view big as select id, amount from orders");
    let dir = tempfile::tempdir().unwrap();
    let wanted = manifest(
        dir.path(),
        "m.json",
        [model("t", "select id, amount from public.big", &json!({"schedule": "1h"}))],
    );
    let plan = || {
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--database-url", &database.url(), "--manifest"]).arg(&wanted);
        Ran::of(&mut plan)
    };
    assert!(!plan().expect(0).stdout.contains("public.orders"));
    database.run("alter table orders enable row level security");
    let said = plan().expect(0).stdout;
    assert!(said.contains("the policies of its source public.orders"), "{said}");
    database.run(&citus("insert into pg_catalog.pg_dist_partition values ('orders', 'h', 1, 's')"));
    let said = plan().expect(1).stdout;
    assert!(said.contains("its source public.orders is distributed by Citus"), "{said}");
    database.run("update pg_catalog.pg_dist_partition set partmethod = 'n', repmodel = 't'");
    assert!(plan().expect(1).stdout.contains("its source public.orders is a reference table of Citus"));
    // The rows of Citus 15.0 for a table in one shard, and for a local table that it knows.
    database.run("update pg_catalog.pg_dist_partition set repmodel = 's', colocationid = 3");
    assert!(plan().expect(1).stdout.contains("its source public.orders is distributed by Citus"));
    database.run("update pg_catalog.pg_dist_partition set repmodel = 's', colocationid = 0");
    plan().expect(0);
}

/// pg_trickle does not quote it, and creates no change buffer there.
#[test]
fn a_schema_of_the_buffers_whose_name_needs_quotes_is_a_problem_of_all_but_immediate_tables() {
    let database = Database::new();
    let name = &database.endpoint.database;
    database.run(&format!(
        "create table orders (id int primary key);
         alter database {name} set pg_trickle.change_buffer_schema = 'My Buffers'"
    ));
    let dir = tempfile::tempdir().unwrap();
    let problem = "pg_trickle.change_buffer_schema is `My Buffers`";
    for (mode, exit) in [("DIFFERENTIAL", 1), ("FULL", 1), ("IMMEDIATE", 0)] {
        let table = model("t", "select id from public.orders", &json!({"refresh_mode": mode}));
        let wanted = manifest(dir.path(), "m.json", [table]);
        let run = |command: &str| {
            let mut run = pgtrickle_ci();
            Ran::of(run.args([command, "--database-url", &database.url(), "--manifest"]).arg(&wanted))
        };
        let planned = run("plan").expect(exit).stdout;
        assert_eq!(planned.contains(problem), exit == 1, "{mode}: {planned}");
        run("apply").expect(exit);
        let created = database.value("select count(*) from pgtrickle.pgt_stream_tables");
        assert_eq!(created.as_deref() == Some("0"), exit == 1, "{mode}");
    }
}

#[test]
fn sources_that_no_refresh_follows_and_settings_that_lose_changes_are_in_the_plan() {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key, amount int);
         create materialized view daily as select id, amount from orders; create view recent as select id from daily",
    );
    let name = &database.endpoint.database;
    let dir = tempfile::tempdir().unwrap();
    let plan = |query: &str, mode: &str| {
        let settings = json!({"schedule": "1h", "refresh_mode": mode});
        let wanted = manifest(dir.path(), "m.json", [model("t", query, &settings)]);
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--database-url", &database.url(), "--manifest"]).arg(&wanted);
        let said = Ran::of(&mut plan).expect(0).stdout;
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let unnoticed = "public.t will not follow its source public.daily: pg_trickle does not notice changes of a materialized view";
    let said = plan("select id from public.recent", "FULL");
    assert!(said.contains(unnoticed), "{said}");
    let losing = ["pg_trickle.cleanup_use_truncate is on", "pg_trickle.compact_threshold is not 0"];
    for (truncates, threshold, newer) in [("on", 100_000, false), ("off", 0, true)] {
        database.run(&format!(
            "alter database {name} set pg_trickle.cleanup_use_truncate = '{truncates}';
             alter database {name} set pg_trickle.compact_threshold = {threshold}"
        ));
        let said = plan("select id from public.orders", "DIFFERENTIAL");
        let has_fixed = said.contains("pg_trickle emulator 0.108.3");
        for sentence in losing {
            assert_eq!(said.contains(sentence), !newer && !has_fixed, "{said}");
        }
        assert!(!plan("select id from public.orders", "FULL").contains("pg_trickle.cleanup"));
    }
}

/// What only newer versions of pg_trickle have is deployed, stored and compared.
#[test]
fn the_settings_of_a_newer_version_are_applied_and_then_unchanged() {
    let Some(database) = Database::newer() else { return };
    database.run("create table orders (id int primary key, amount int); insert into orders values (1, 10)");
    let dir = tempfile::tempdir().unwrap();
    let command = |command: &str, more: &[&str], settings: serde_json::Value| {
        let wanted = manifest(dir.path(), "m.json", [model("t", QUERY, &settings)]);
        let mut run = pgtrickle_ci();
        run.args([command, "--database-url", &database.url(), "--manifest"]).arg(wanted).args(more);
        Ran::of(&mut run)
    };
    let stored = "select concat_ws(' ', requested_refresh_mode, refresh_mode, orchestration_mode, storage_fillfactor, post_refresh_action, target_freshness_mode)
                  from pgtrickle.pgt_stream_tables";
    for (settings, expected) in [
        (json!({"refresh_mode": "AUTO", "fillfactor": 70}), "AUTO DIFFERENTIAL MANAGED 70 none"),
        (
            json!({"refresh_mode": "DIFFERENTIAL", "fillfactor": 70, "post_refresh_action": "analyze"}),
            "DIFFERENTIAL DIFFERENTIAL MANAGED 70 analyze",
        ),
        (
            json!({"refresh_mode": "AUTO", "fillfactor": 70, "orchestration_mode": "EXTERNAL", "target_freshness": "on_commit"}),
            "AUTO DIFFERENTIAL EXTERNAL 70 analyze ON_COMMIT",
        ),
    ] {
        command("apply", &[], settings.clone()).expect(0);
        assert_eq!(database.value(stored).as_deref(), Some(expected));
        command("plan", &["--exit-code"], settings).expect(0);
    }
    let refilled = command("apply", &["--allow-recreate", "t"], json!({"fillfactor": 80}));
    assert!(refilled.expect(0).stdout.contains("public.t"));
    assert_eq!(
        database.value("select reloptions::text from pg_class where relname = 't'").as_deref(),
        Some("{fillfactor=80}")
    );
}

#[test]
fn a_setting_that_the_server_lacks_is_a_problem_of_the_plan() {
    let database = Database::new();
    let column = "select count(*) from pg_attribute where attrelid = 'pgtrickle.pgt_stream_tables'::regclass and attname = 'orchestration_mode'";
    if database.value(column).as_deref() != Some("0") {
        return;
    }
    database.run("create table orders (id int primary key, amount int)");
    let dir = tempfile::tempdir().unwrap();
    let wanted =
        manifest(dir.path(), "m.json", [model("t", QUERY, &json!({"orchestration_mode": "EXTERNAL"}))]);
    let mut plan = pgtrickle_ci();
    plan.args(["plan", "--database-url", &database.url(), "--manifest"]).arg(wanted);
    let said = Ran::of(&mut plan).expect(1).stdout;
    assert!(said.contains("this server does not have orchestration_mode"), "{said}");
}

/// pg_trickle itself says which queries it refuses, and only in these modes.
#[test]
fn a_query_that_the_engine_refuses_is_a_problem_of_the_plan() {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key, amount int);
         create materialized view copied as select id from orders",
    );
    let nested = "select id from (select id from public.orders order by id limit 5) as first";
    let refused = [
        model("unsorted", "select id from public.orders limit 5", &json!({})),
        model("sampled", "select id from public.orders tablesample system (10)", &json!({})),
        model("nested", nested, &json!({"refresh_mode": "IMMEDIATE"})),
        model("diced", "select id, random() as r from public.orders", &json!({})),
        model("copy", "select id from public.copied", &json!({})),
    ];
    let taken = [
        model("in_full", nested, &json!({"refresh_mode": "FULL"})),
        // In the search_path of the session, as dbt's.
        model("first", "select id from orders order by id limit 5", &json!({})),
        model("totals", "select sum(amount) as total from public.orders", &json!({})),
        // The plan validates nothing that reads what does not exist yet.
        model("of_totals", "select total from public.totals limit 1", &json!({})),
    ];
    let dir = tempfile::tempdir().unwrap();
    let names = ["unsorted", "sampled", "nested", "diced", "copy"];
    let wanted = manifest(dir.path(), "m.json", refused.into_iter().chain(taken));
    let mut plan = pgtrickle_ci();
    plan.args(["plan", "--database-url", &database.url(), "--manifest"]).arg(wanted);
    let said = Ran::of(&mut plan).expect(1).stdout;
    for reason in ["LIMIT is not", "TABLESAMPLE", "it calls volatile functions", "Materialized"] {
        assert!(said.contains(reason), "{reason}: {said}");
    }
    let failing = said.lines().filter_map(|line| line.strip_suffix("cannot be built"));
    let failing: Vec<&str> =
        failing.filter_map(|line| line.trim().rsplit(' ').next()?.strip_prefix("public.")).collect();
    assert_eq!(failing.len(), names.len(), "{failing:?}");
    assert!(names.iter().all(|name| failing.contains(name)), "{failing:?}");
}

#[test]
fn a_manifest_of_dbt_v2_notes_the_descriptions_that_it_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let (id, mut view) = model("v", "select 1 as a", &json!({}));
    view["config"] = json!({"materialized": "view", "persist_docs": {"relation": true}});
    view["description"] = json!("It's one");
    let file = manifest(dir.path(), "manifest.json", [model("t", QUERY, &json!({})), (id, view)]);
    let noted = |version: &str| {
        let mut read: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        read["metadata"]["dbt_version"] = json!(version);
        fs::write(&file, read.to_string()).unwrap();
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--manifest"]).arg(&file).arg("--baseline").arg(&file);
        let ran = Ran::of(&mut plan).expect(0);
        ran.stdout.contains("note: dbt v2 cannot write the descriptions of models/v.sql")
    };
    assert!(noted("2.0.0-alpha.4"));
    assert!(!noted("1.11.16"));
}
