//! Changed views between sources and stream tables, and the limits of `apply`.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

/// A model with another materialization.
fn other(name: &str, kind: &str, query: &str) -> (String, Value) {
    let (id, mut node) = model(name, query, &json!({}));
    node["config"] = json!({"materialized": kind});
    (id, node)
}

/// The model with these parents.
fn reading((id, mut node): (String, Value), models: &[&str]) -> (String, Value) {
    node["depends_on"]["nodes"] = models.iter().map(|name| format!("model.shop.{name}")).collect();
    (id, node)
}

struct Bench {
    database: Database,
    dir: TempDir,
}

impl Bench {
    /// A database with a table `orders`, in which the scheduler is off.
    fn new() -> Self {
        let database = Database::without_extension();
        database.run(&format!(
            "alter database {} set pg_trickle.enabled = off; create extension pg_trickle;
             create table orders (id int primary key, amount int, status text);
             insert into orders select n, n * 10, (array['new', 'paid'])[1 + n % 2] from generate_series(1, 6) as n",
            database.endpoint.database
        ));
        Self { database, dir: tempfile::tempdir().unwrap() }
    }

    fn manifest(&self, models: impl IntoIterator<Item = (String, Value)>) -> PathBuf {
        manifest(self.dir.path(), "manifest.json", models)
    }

    /// Runs a command against the server; it writes `plan.json`, `plan.xml` and `plan.md` into the folder.
    fn run(&self, arguments: &[&str], models: Vec<(String, Value)>) -> Ran {
        let file = |name: &str| self.dir.path().join(name);
        Ran::of(
            pgtrickle_ci()
                .args(arguments)
                .args(["--database-url", &self.database.url(), "--manifest"])
                .arg(self.manifest(models))
                .arg("--json")
                .arg(file("plan.json"))
                .arg("--junit")
                .arg(file("plan.xml"))
                .arg("--markdown")
                .arg(file("plan.md")),
        )
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.path().join("plan.json")).unwrap()).unwrap()
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    fn tables(&self) -> String {
        let sql = "select coalesce(string_agg(pgt_name || ' ' || pgt_relid::oid, ', ' order by pgt_name), '') from pgtrickle.pgt_stream_tables";
        self.database.value(sql).unwrap()
    }
}

/// A view, a stream table that reads it, and another that reads that one.
fn layered(view: &str) -> Vec<(String, Value)> {
    vec![
        other("paid", "view", view),
        reading(model("direct", "select id, amount from public.paid", &json!({"schedule": "1h"})), &["paid"]),
        reading(model("far", "select id from public.direct", &json!({"schedule": "1h"})), &["direct"]),
    ]
}

const PAID: &str = "select id, amount from public.orders where status = 'paid'";

#[test]
fn a_changed_view_changes_the_rows_of_its_readers() {
    let bench = Bench::new();
    bench.database.run(&format!("create view paid as ({PAID})"));
    bench.run(&["apply"], layered(PAID)).expect(0);
    // PostgreSQL stores both spellings alike.
    for same in [
        PAID,
        "SELECT \"id\", amount -- paid ones\nFROM \"public\".\"orders\" WHERE status = ('paid')::text;",
    ] {
        let ran = bench.run(&["plan", "--exit-code"], layered(same)).expect(0);
        assert!(ran.stdout.contains("No changes: 2 stream tables are up to date."), "{}", ran.stdout);
    }

    let changed = || layered("select id, amount from public.orders where status = 'new'");
    let ran = bench.run(&["plan", "--exit-code"], changed()).expect(1);
    assert!(
        ran.stdout.contains("Plan: 0 definitions changed, 2 tables get different rows."),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("~   public.paid  view changes"), "{}", ran.stdout);
    let plan = &bench.report()["plan"];
    assert_eq!(plan["is_empty"], false);
    assert_eq!((&plan["counts"]["views"], &plan["counts"]["other_rows"]), (&json!(1), &json!(2)));
    let view = &plan["views"][0];
    assert_eq!(view["action"], "alter-query");
    assert_eq!(view["readers"], json!([{"schema": "public", "name": "direct"}]));
    assert_eq!(view["downstream"], json!([{"schema": "public", "name": "far"}]));
    assert!(view["query"]["after"].as_str().unwrap().contains("'new'::text"), "{view}");
    assert!(bench.text("plan.xml").contains("view changes: 2 stream tables get different rows"));
    assert!(bench.text("plan.md").contains("2 tables get different rows"));
    // The comparison leaves no objects behind.
    let views = "select count(*) from pg_class where relname like 'pgtrickle_ci%'";
    assert_eq!(bench.database.value(views).as_deref(), Some("0"));

    let before = bench.tables();
    let ran = bench.run(&["apply"], changed());
    ran.expect_error("public.paid: view changes, and only dbt changes views", "dbt build");
    assert_eq!(bench.tables(), before);
}

/// If a view's columns change, dbt replaces tables that read all of them. A query may read a column that the same plan
/// adds.
#[test]
fn readers_of_a_changed_view_are_planned_with_its_new_columns() {
    let bench = Bench::new();
    bench.database.run(&format!("create view paid as ({PAID})"));
    let models = |view: &str, query: &str| {
        vec![
            other("paid", "view", view),
            reading(model("direct", query, &json!({"schedule": "1h"})), &["paid"]),
        ]
    };
    bench.run(&["apply"], models(PAID, "select * from public.paid")).expect(0);
    let wider = "select id, status, amount from public.orders where status = 'paid'";
    bench.run(&["plan", "--allow-recreate", "all"], models(wider, "select * from public.paid")).expect(0);
    let step = &bench.report()["plan"]["steps"][0];
    assert_eq!(step["action"], "replace", "{step:#}");
    assert_eq!(
        step["reasons"],
        json!(["the view public.paid changes", "the column `status` is new and not the last column"])
    );
    bench.run(&["plan"], models(wider, "select id, amount, status from public.paid")).expect(0);
    let plan = &bench.report()["plan"];
    assert_eq!(plan["steps"][0]["action"], "alter-query", "{plan:#}");
    assert_eq!(plan["steps"][0]["columns"][0]["name"], "status");
}

#[test]
fn views_of_two_manifests_are_compared_as_text() {
    let bench = Bench::new();
    let dir = bench.dir.path();
    let side = |file: &str, changed: &str, swapped: &str, more: Option<&str>| {
        let mut models = vec![
            other("same", "view", "select 1 as a"),
            other("changed", "stable_view", changed),
            other("swapped", swapped, "select 1 as a"),
        ];
        models.extend(more.map(|name| other(name, "view", "select 1 as a")));
        let names: Vec<&str> = ["same", "changed", "swapped"].into_iter().chain(more).collect();
        models.push(reading(model("t", "select a from public.x", &json!({})), &names));
        manifest(dir, file, models)
    };
    let before = side("before.json", "select 1 as a", "view", Some("old"));
    let after = side("after.json", "select 2 as a", "table", Some("new"));
    let json = dir.join("plan.json");
    let mut plan = pgtrickle_ci();
    plan.args(["plan", "--exit-code", "--manifest"]).arg(&after).arg("--baseline").arg(&before);
    let ran = Ran::of(plan.arg("--json").arg(json)).expect(1);
    assert!(
        ran.stdout.contains("Plan: 0 definitions changed, 1 table gets different rows."),
        "{}",
        ran.stdout
    );
    let plan = &bench.report()["plan"];
    let views = plan["views"].as_array().unwrap().iter();
    let views: Vec<String> = views
        .map(|view| format!("{} {}", view["action"].as_str().unwrap(), view["relation"]["name"]))
        .collect();
    assert_eq!(views, ["alter-query \"changed\"", "create \"new\"", "remove \"swapped\"", "remove \"old\""]);
    let note = plan["notes"].to_string();
    assert!(note.contains("public.swapped") && note.contains("stable_view"), "{note}");
    assert!(!note.contains("public.changed"), "dbt does not recreate an unchanged stable view: {note}");
}

#[test]
fn a_failing_query_is_a_failure_and_not_a_change() {
    let bench = Bench::new();
    bench.run(&["apply"], vec![model("t", "select id from public.orders", &json!({}))]).expect(0);
    for (query, code) in [
        ("select id, from public.orders where", "42601"),
        ("select id, nowhere from public.orders", "42703"),
        ("select id, no_function(id) as x from public.orders", "42883"),
        ("select id from public.no_table", "42P01"),
    ] {
        for name in ["t", "new"] {
            let mut models = vec![model(name, query, &json!({}))];
            models.push(model("other", "select amount from public.orders", &json!({})));
            let ran = bench.run(&["plan", "--allow-drop", "all"], models).expect(1);
            let lines: Vec<&str> = ran.stdout.lines().map(str::trim).collect();
            assert!(
                lines.iter().any(|line| line.starts_with(&format!("✗   public.{name}"))),
                "{}",
                ran.stdout
            );
            let report = bench.report();
            assert_eq!(report["plan"]["counts"]["fail"], 1, "{query}");
            let steps = report["plan"]["steps"].as_array().unwrap();
            let step = steps.iter().find(|step| step["relation"]["name"] == name).unwrap();
            assert!(step["fails"].as_str().unwrap().contains(code), "{query}: {step:#}");
        }
    }
}

/// dbt runs hooks and creates functions before it builds models, so an object that is missing now may exist then. A
/// hook cannot repair wrong syntax or add a column to an existing table.
#[test]
fn a_query_over_objects_that_a_hook_may_create_is_not_a_failure() {
    let bench = Bench::new();
    let start = |package: &str| {
        let node = json!({"resource_type": "operation", "name": "start", "alias": "start", "schema": "public",
            "package_name": package, "original_file_path": "dbt_project.yml", "config": {"materialized": "view"}});
        (format!("operation.{package}.{package}-on-run-start-0"), node)
    };
    let calling = || model("t", "select id, made(id) as x from public.orders", &json!({}));
    let mut hooked = calling();
    hooked.1["config"]["pre-hook"] = json!([{"sql": "create function made", "transaction": true}]);
    let mut function = calling();
    function.1["depends_on"]["nodes"] = json!(["function.shop.made"]);
    for models in [vec![calling(), start("shop")], vec![hooked], vec![function]] {
        let ran = bench.run(&["plan"], models.clone()).expect(0);
        assert!(ran.stdout.contains("its query fails until dbt has run"), "{}", ran.stdout);
        bench
            .run(&["apply"], models)
            .expect_error("public.t: its query fails until dbt has run", "dbt build");
    }
    let mut no_hook = calling();
    no_hook.1["config"]["pre-hook"] = json!([]);
    bench.run(&["plan"], vec![no_hook, start("dbt_pgtrickle")]).expect(1);
    for query in ["select id, from public.orders where", "select nowhere from public.orders"] {
        bench.run(&["plan"], vec![model("t", query, &json!({})), start("shop")]).expect(1);
    }
}

/// Whether such a query works depends on what dbt builds first.
#[test]
fn a_query_over_relations_that_dbt_has_yet_to_build_is_not_a_failure() {
    let bench = Bench::new();
    let models = || {
        vec![
            other("built", "table", "select 1 as a"),
            reading(other("above", "view", "select a from public.built"), &["built"]),
            reading(model("t", "select a, b from public.above", &json!({})), &["above"]),
        ]
    };
    let ran = bench.run(&["plan"], models()).expect(0);
    assert!(ran.stdout.contains("`apply` cannot carry this out; deploy with `dbt build`:"), "{}", ran.stdout);
    bench.run(&["apply"], models()).expect_error("public.built: the table does not exist yet", "dbt build");
    // dbt may add the column to an existing table.
    bench.database.run("create table built (a int); create view above as select a from built");
    bench.run(&["plan"], models()).expect(0);
    bench.run(&["apply"], models()).expect_error("public.t: its query fails until dbt has run", "dbt build");
    assert_eq!(bench.tables(), "");
}

#[test]
fn apply_executes_all_of_a_plan_or_nothing() {
    let bench = Bench::new();
    bench
        .run(&["apply"], vec![model("a", "select id from public.orders", &json!({"schedule": "1h"}))])
        .expect(0);
    let before = bench.tables();
    // PostgreSQL accepts the last query, but the engine refuses it: it reads no table.
    let models = vec![
        model("a", "select id from public.orders where id > 1", &json!({"schedule": "2h"})),
        model("b", "select id from public.orders", &json!({})),
        // Only the creation notices that it reads a system catalog.
        model("c", "select oid from pg_catalog.pg_class", &json!({})),
    ];
    let ran = bench.run(&["apply"], models).expect(1);
    assert_eq!(bench.tables(), before);
    assert_eq!(bench.database.value("select count(*) from a").as_deref(), Some("6"));
    let report = bench.report();
    let verdicts: Vec<String> =
        report["outcomes"].as_array().unwrap().iter().map(|one| one["verdict"].to_string()).collect();
    assert_eq!(verdicts, ["\"skipped\"", "\"skipped\"", "\"errored\""], "{}", ran.stdout);
}

#[test]
fn apply_names_the_session_that_holds_its_lock() {
    let bench = Bench::new();
    let models = |query: &str| vec![model("a", &format!("select id from public.orders {query}"), &json!({}))];
    bench.run(&["apply"], models("")).expect(0);
    let database = &bench.database;
    let pid = database.value("select pg_backend_pid()").unwrap();
    let apply = || bench.run(&["apply", "--lock-timeout", "1s"], models("where id > 1"));

    database.run("begin; lock table a in access exclusive mode");
    let ran = apply().expect(1);
    assert!(ran.stdout.contains(&format!("the lock is held by pid {pid} (")), "{}", ran.stdout);
    database.run("rollback; begin; select pg_advisory_xact_lock(hashtextextended('pgtrickle ddl', 0))");
    apply().expect_error(
        &format!("another session is changing stream tables of this database: pid {pid} ("),
        "--lock-timeout",
    );
    database.run("rollback");
    apply().expect(0);
}

/// Replacing a table drops its views. `apply` restores them with owner, grants, comments, options and indexes.
#[test]
fn apply_restores_the_views_on_a_replaced_table() {
    let bench = Bench::new();
    let database = &bench.database;
    let models = |settings: Value| {
        vec![
            model("base", "select id, amount from public.orders", &settings),
            reading(
                model(
                    "reader",
                    "select id from public.on_base",
                    &json!({"schedule": "1h", "refresh_mode": "FULL"}),
                ),
                &["base"],
            ),
        ]
    };
    bench.run(&["apply"], models(json!({"schedule": "1h"})).into_iter().take(1).collect()).expect(0);
    let role = format!("reporting_{}", std::process::id());
    database.run(&format!(
        "create role {role};
         create view on_base with (security_barrier = true) as select id, amount as total from base where amount > 0;
         comment on view on_base is 'it''s a \\ view';
         comment on column on_base.total is 'all of it';
         grant select on on_base to {role} with grant option;
         grant select (id) on on_base to public;
         grant select on base to {role};
         create materialized view kept as select count(total) as n from on_base;
         create unique index kept_n on kept (n);
         comment on index kept_n is 'one row';
         cluster kept using kept_n;
         alter materialized view kept alter column n set statistics 500;
         create rule quiet as on delete to on_base do instead nothing;
         comment on rule quiet on on_base is 'deletes nothing';
         alter view on_base owner to {role};"
    ));
    bench.run(&["apply"], models(json!({"schedule": "1h"}))).expect(0);
    let catalog = || {
        database.value(
            "select jsonb_agg(to_jsonb(v) order by v.relname)::text from (
               select c.relname, pg_get_userbyid(c.relowner) as owner, c.reloptions, c.relacl::text, c.relkind::text,
                 pg_get_viewdef(c.oid) as definition, obj_description(c.oid, 'pg_class') as about,
                 (select array_agg(col_description(c.oid, a.attnum) || a.attacl::text order by a.attnum) from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0) as columns,
                 (select array_agg(pg_get_indexdef(i.indexrelid) || obj_description(i.indexrelid, 'pg_class') || i.indisclustered) from pg_index as i where i.indrelid = c.oid) as indexes,
                 (select array_agg(a.attstattarget order by a.attnum) from pg_attribute as a where a.attrelid = c.oid and a.attnum > 0) as statistics,
                 (select array_agg(pg_get_ruledef(w.oid) || obj_description(w.oid, 'pg_rewrite')) from pg_rewrite as w where w.ev_class = c.oid and w.rulename <> '_RETURN') as rules
               from pg_class as c where c.relname in ('on_base', 'kept')) as v",
        )
    };
    let (before, tables) = (catalog(), bench.tables());
    let ran = bench.run(
        &["apply", "--allow-recreate", "all"],
        models(json!({"schedule": "1h", "partition_by": "HASH:id:2"})),
    );
    ran.expect(0);
    assert_eq!(catalog(), before);
    assert_ne!(bench.tables(), tables);
    assert_eq!(database.value("select count(*) from reader").as_deref(), Some("6"));
    let after = models(json!({"schedule": "1h", "partition_by": "HASH:id:2"}));
    bench.run(&["plan", "--exit-code"], after.clone()).expect(0);

    database.run(&format!("drop materialized view kept; select pgtrickle.drop_stream_table('public.reader'); drop view on_base; drop owned by {role}; drop role {role}"));
}

/// Objects that depend on the table `base` and are not restored: the SQL that creates and drops each, and its name in
/// the plan.
const UNRESTORABLE: [(&str, &str, &str); 10] = [
    (
        "create function newest() returns int begin atomic; select max(id) from on_base; end",
        "drop function newest",
        "function public.newest()",
    ),
    (
        "create function of_row(base) returns int language sql as 'select 1'",
        "drop function of_row",
        "function public.of_row(public.base)",
    ),
    (
        "alter table orders_log add kept on_base[]",
        "alter table orders_log drop kept",
        "column kept of table public.orders_log",
    ),
    (
        "create function counted() returns bigint begin atomic; select count(*) from base; end; create view counts as select counted() as n",
        "drop view counts; drop function counted",
        "view public.counts",
    ),
    (
        "alter table base enable row level security; create policy mine on base using (true)",
        "drop policy mine on base; alter table base disable row level security",
        "policy mine on table public.base",
    ),
    (
        "alter table base enable row level security",
        "alter table base disable row level security",
        "the row-level security of table public.base",
    ),
    (
        "create trigger own after insert on base for each row execute function noop()",
        "drop trigger own on base",
        "trigger own on table public.base",
    ),
    (
        "create statistics both_columns on id, amount from base",
        "drop statistics both_columns",
        "statistics object public.both_columns",
    ),
    (
        "alter table base add constraint own check (id > 0)",
        "alter table base drop constraint own",
        "constraint own on table public.base",
    ),
    (
        "create rule logged as on delete to orders_log do also delete from base",
        "drop rule logged on orders_log",
        "rule logged on table public.orders_log",
    ),
];

/// PostgreSQL's CASCADE drops more than views: the error names each kind of object. `dbt build` would lose them, too.
#[test]
fn apply_refuses_a_plan_that_loses_unrestorable_objects() {
    let bench = Bench::new();
    let database = &bench.database;
    let models = |settings: Value| vec![model("base", "select id, amount from public.orders", &settings)];
    let replaced = || models(json!({"schedule": "1h", "partition_by": "HASH:id:2"}));
    bench.run(&["apply"], models(json!({"schedule": "1h"}))).expect(0);
    database.run(
        "create view on_base as select id from base; create table orders_log (id int);
         create function noop() returns trigger language plpgsql as 'begin return null; end'",
    );
    let file = bench.dir.path().join("saved.json");
    let saved = || {
        let mut apply = pgtrickle_ci();
        Ran::of(apply.arg("apply").arg(&file).args(["--database-url", &bench.database.url()]))
    };
    let tables = bench.tables();
    bench.run(&["plan", "--allow-recreate", "all", "--out", file.to_str().unwrap()], replaced()).expect(0);
    for (create, drop, lost) in UNRESTORABLE {
        database.run(create);
        let ran = bench.run(&["apply", "--allow-recreate", "all"], replaced());
        ran.expect_error(lost, "drop them by hand");
        let ran = saved();
        assert!(ran.stderr.contains("the database changed since"), "{lost}: {}", ran.stderr);
        assert_eq!(bench.tables(), tables, "{lost}");
        let ran = bench.run(&["plan", "--allow-recreate", "all"], replaced());
        assert!(ran.stdout.contains(&format!("lost: {lost}")), "{lost}: {}", ran.stdout);
        database.run(drop);
    }
    saved().expect(0);
    assert_ne!(bench.tables(), tables);
}

#[test]
fn a_replaced_table_keeps_its_owner_comments_and_column_grants() {
    let bench = Bench::new();
    let database = &bench.database;
    let models = |settings: Value| vec![model("base", "select id, amount from public.orders", &settings)];
    bench.run(&["apply"], models(json!({"schedule": "1h"}))).expect(0);
    let role = format!("keeping_{}", std::process::id());
    database.run(&format!(
        "create role {role}; grant create on schema public to {role}; alter table base owner to {role};
         comment on table base is 'it''s a \\ table'; comment on column base.id is $$; drop table x$$;
         grant select (amount) on base to public"
    ));
    let catalog =
        "select (pg_get_userbyid(relowner), obj_description(oid, 'pg_class'), col_description(oid, 2),
         (select array_agg(attacl::text order by attname) from pg_attribute where attrelid = c.oid))::text
       from pg_class as c where oid = 'base'::regclass";
    let before = database.value(catalog);
    let replaced = models(json!({"schedule": "1h", "partition_by": "HASH:id:2"}));
    bench.run(&["apply", "--allow-recreate", "all"], replaced).expect(0);
    assert_eq!(database.value(catalog), before);
    database.run(&format!("alter table base owner to current_user; drop owned by {role}; drop role {role}"));
}

#[test]
fn apply_of_selected_models_keeps_the_views_of_the_others() {
    let bench = Bench::new();
    let models = |settings: &Value| {
        ["one", "two"].map(|name| model(name, "select id from public.orders", settings)).to_vec()
    };
    bench.run(&["apply"], models(&json!({"schedule": "1h"}))).expect(0);
    bench.database.run("create view on_one as select id from one; create view on_two as select id from two");
    let oids =
        "select string_agg(oid::text, ' ' order by relname) from pg_class where relname in ('on_two', 'two')";
    let before = bench.database.value(oids);
    let parted = models(&json!({"schedule": "1h", "partition_by": "HASH:id:2"}));
    bench.run(&["apply", "--allow-recreate", "all", "--select", "path:models/one.sql"], parted).expect(0);
    assert_eq!(bench.database.value(oids), before);
    assert_eq!(bench.database.value("select count(*) from on_one").as_deref(), Some("6"));
}

#[test]
fn apply_refuses_a_role_without_the_privileges_before_the_first_statement() {
    let bench = Bench::new();
    let database = &bench.database;
    bench
        .run(&["apply"], vec![model("mine", "select id from public.orders", &json!({"schedule": "1h"}))])
        .expect(0);
    let role = format!("poor_{}", std::process::id());
    database.run(&format!(
        "create role {role} login password 'poor'; grant usage on schema pgtrickle to {role}; grant select on all tables in schema pgtrickle to {role};
         revoke create on schema public from public"
    ));
    let server = &database.endpoint;
    let url = format!("postgresql://{role}:poor@{}:{}/{}", server.host, server.port, server.database);
    let wanted = bench.manifest([
        model("mine", "select id from public.orders where id > 1", &json!({"schedule": "1h"})),
        model("new", "select id from public.orders", &json!({})),
    ]);
    let before = bench.tables();
    let mut apply = pgtrickle_ci();
    let ran = Ran::of(apply.args(["apply", "--database-url", &url, "--manifest"]).arg(wanted));
    let ran = ran.expect_error("CREATE on schema public", "grant");
    for right in ["SELECT on public.orders", "ownership on public.mine"] {
        assert!(ran.stderr.contains(right), "{}", ran.stderr);
    }
    assert_eq!(bench.tables(), before);
    database.run(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_rename_is_shown_with_the_setting_that_keeps_the_rows() {
    let bench = Bench::new();
    bench.run(&["apply"], vec![model("old_name", "select id from public.orders", &json!({}))]).expect(0);
    let renamed = |settings| vec![model("new_name", "select id\nfrom public.orders", &settings)];
    let ran = bench.run(&["plan"], renamed(json!({}))).expect(1);
    assert!(ran.stdout.contains("probably renamed from public.old_name"), "{}", ran.stdout);
    assert!(ran.stdout.contains("`stream_table_name: old_name`"), "{}", ran.stdout);
    // That setting keeps the rows.
    let ran =
        bench.run(&["plan", "--exit-code"], renamed(json!({"stream_table_name": "old_name"}))).expect(0);
    assert!(ran.stdout.contains("No changes"), "{}", ran.stdout);
}

#[test]
fn a_permission_that_matches_no_table_is_a_warning() {
    let bench = Bench::new();
    let models = || vec![model("t", "select id from public.orders", &json!({}))];
    let ran = bench.run(&["plan", "--allow-drop", "tt", "--allow-recreate", "public.t"], models()).expect(0);
    assert!(
        ran.stdout.contains("`plan.allow_drop` names `tt`, and no stream table has that name"),
        "{}",
        ran.stdout
    );
    assert_eq!(bench.report()["tally"]["warned"], 1);
}

#[test]
fn a_saved_plan_is_refused_after_a_view_that_it_reads_has_changed() {
    let bench = Bench::new();
    bench.database.run(&format!("create view paid as ({PAID})"));
    bench.run(&["apply"], layered(PAID)).expect(0);
    let mut models = layered(PAID);
    models.push(model("more", "select id from public.orders", &json!({"schedule": "1h"})));
    let file = bench.dir.path().join("saved.json");
    bench.run(&["plan", "--out", file.to_str().unwrap()], models).expect(0);
    let apply = || {
        let mut apply = pgtrickle_ci();
        Ran::of(apply.arg("apply").arg(&file).args(["--database-url", &bench.database.url()]))
    };
    bench.database.run("create or replace view paid as select id, amount from orders where status = 'new'");
    apply().expect_error("the view public.paid has changed", "--out");
    bench.database.run(&format!("create or replace view paid as {PAID}"));
    apply().expect(0);
}
