//! What begins to read from a stream table after the plan was made is not dropped with it.

use std::{process::Stdio, thread, time::Duration};

use serde_json::json;

use crate::support::{Database, DbtProject, Ran, dbt, manifest, model, output, pgtrickle_ci};

/// What another session creates while a drop waits for it, with its name.
const APPEARING: [(&str, &str); 3] = [
    ("others.seen", "create view others.seen as select id from public.gone"),
    (
        "others.newest()",
        "create function others.newest() returns setof public.gone language sql as 'select null::public.gone'",
    ),
    (
        "others.reader",
        "select pgtrickle.create_stream_table('others.reader', 'select id from public.gone', '1h', 'DIFFERENTIAL')",
    ),
];
const IDENTITY: &str =
    "select pgt_id || ' ' || pgt_relid::oid from pgtrickle.pgt_stream_tables where pgt_name = 'gone'";
/// A session that waits for another one's lock on a row.
const WAITS: &str = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and pid <> pg_backend_pid())";

/// Does something that drops `public.gone`, during which another session makes something that reads from it.
#[track_caller]
fn expect_kept(database: &Database, drop: impl FnOnce() -> Ran + Send, (name, create): (&str, &str)) {
    let holder = Database::connect(&database.endpoint);
    let before = database.value(IDENTITY);
    // If this test fails, the lock ends some time later, and with it the wait.
    holder.run("set idle_in_transaction_session_timeout = '5min'");
    holder.run("begin; select from pgtrickle.pgt_stream_tables where pgt_name = 'gone' for update");
    let ran = thread::scope(|scope| {
        let dropping = scope.spawn(drop);
        // dbt takes its time to start; the row is locked only so long as it is waited for.
        while !dropping.is_finished() && database.value(WAITS).as_deref() != Some("t") {
            thread::sleep(Duration::from_millis(100));
        }
        holder.run(&format!("{create}; commit"));
        dropping.join().unwrap()
    });
    let said = format!("{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, Some(1), "{name}: {said}");
    assert!(said.contains(name.trim_end_matches("()")), "{name} is not named:\n{said}");
    assert_eq!(database.value(IDENTITY), before, "{name}: {said}");
    let reader = match name {
        "others.newest()" => "drop function others.newest()",
        "others.seen" => "drop view others.seen",
        _ => "select pgtrickle.drop_stream_table('others.reader')",
    };
    database.run(reader);
}

fn shop() -> (DbtProject, Database) {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key, amount int); create schema others;
         select pgtrickle.create_stream_table('public.gone', 'select id, amount from public.orders', '1h', 'DIFFERENTIAL');
         comment on trigger pgt_dml_guard on public.gone is '{\"dbt_project\": \"shop\", \"unique_id\": \"model.shop.gone\"}'",
    );
    (DbtProject::new(), database)
}

#[test]
fn apply_does_not_drop_what_appeared_after_the_plan() {
    let (project, database) = shop();
    let kept = || model("kept", "select id from public.orders", &json!({}));
    let changed = || model("gone", "select id, amount::text as amount from public.orders", &json!({}));
    let dropped = manifest(project.path(), "dropped.json", [kept()]);
    let replaced = manifest(project.path(), "replaced.json", [kept(), changed()]);
    for wanted in [dropped, replaced] {
        for appearing in APPEARING {
            let apply = || {
                let mut apply = pgtrickle_ci();
                apply.args(["apply", "--allow-drop", "all", "--allow-recreate", "all", "--database-url"]);
                apply.arg(database.url()).arg("--manifest").arg(&wanted).stdin(Stdio::null());
                Ran::of(&mut apply)
            };
            expect_kept(&database, apply, appearing);
        }
    }
    assert_eq!(database.value("select to_regclass('public.kept')::text"), None, "all or nothing");
}

#[test]
fn dbt_does_not_drop_what_appeared_after_it_looked() {
    let (project, database) = shop();
    let outputs = json!({"dev": output(&database, "public")});
    project.write("profiles.yml", &json!({"shop": {"target": "dev", "outputs": outputs}}).to_string());
    project.stream_table(
        "gone",
        "{'schedule': '1h'}",
        "select id, amount::text as amount from public.orders",
    );
    dbt(&project, &["deps"]).expect(0);
    for appearing in APPEARING {
        expect_kept(&database, || dbt(&project, &["run"]), appearing);
    }
}
