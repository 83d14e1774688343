//! The dbt package and `check` give the same verdicts: both check the same tables in every state, by the rule of
//! docs/checks.md.

use std::{collections::BTreeMap, fmt::Write, fs};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, citus, dbt, output, pgtrickle_ci};

#[derive(Deserialize)]
struct Cases {
    tables: Vec<Case>,
    sources: Vec<Case>,
}

/// A stream table in a state (agreement.yml).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "orders")]
    query: String,
    says: Value,
    #[serde(default)]
    then: String,
    verdict: String,
}

fn cases() -> Cases {
    serde_yaml::from_str(include_str!("agreement.yml")).unwrap()
}

fn orders() -> String {
    ORDERS.into()
}

const ORDERS: &str = "select id, amount from public.orders";
/// The stages that judge a table.
const OF_TABLES: [&str; 5] = ["present", "population", "status", "freshness", "dependencies"];
/// A source of which no table is gated or loses it by accident.
const OTHERS: &str = "select id, amount from public.others";

fn wanted(cases: &[Case]) -> BTreeMap<String, String> {
    cases.iter().map(|case| (format!("public.{}", case.name), case.verdict.clone())).collect()
}

/// A project of stream tables, deployed without dbt, and brought into their states.
struct Shop {
    project: DbtProject,
    database: Database,
    /// Keeps the scheduler from ending the states.
    holder: Option<Database>,
    names: Vec<String>,
}

impl Shop {
    fn new() -> Self {
        let (project, database) = (DbtProject::new(), Database::new());
        database.run(
            "create table orders (id int primary key, amount int); insert into orders values (1, 10);
             create table others (id int primary key, amount int);
             create table gated_source (id int primary key); create table short_lived (id int primary key)",
        );
        let profiles = json!({"shop": {"target": "dev", "outputs": {"dev": output(&database, "public")}}});
        project.write("profiles.yml", &profiles.to_string());
        Self { project, database, holder: None, names: Vec::new() }
    }

    /// Deploys a stream table.
    fn create(&self, name: &str, query: &str, says: &Value) {
        let text = |key: &str, default: &str| says[key].as_str().unwrap_or(default).to_owned();
        let (schedule, mode) = (text("schedule", "1m"), text("refresh_mode", "DIFFERENTIAL"));
        let initialize = says["initialize"] != false;
        self.database.run(&format!(
            "select pgtrickle.create_stream_table('public.{name}', '{query}', '{schedule}', '{mode}', initialize => {initialize})"
        ));
        if let Some(tier) = says["tier"].as_str() {
            self.database
                .run(&format!("select pgtrickle.alter_stream_table('public.{name}', tier => '{tier}')"));
        }
    }

    /// Deploys it and writes its model.
    fn add(&mut self, name: &str, query: &str, says: &Value) {
        self.create(name, query, says);
        self.project.stream_table(name, &says.to_string(), query);
        self.names.push(name.to_owned());
    }

    /// Brings tables into their states. The scheduler passes by a row that another session has locked.
    fn settle(&mut self, changes: &[(String, String)]) {
        let holder = Database::connect(&self.database.endpoint);
        let (rows, others): (Vec<_>, Vec<_>) =
            changes.iter().partition(|(_, change)| change.starts_with("set "));
        for (name, change) in &others {
            if !change.is_empty() {
                self.database.run(&change.replace("{}", &format!("public.{name}")));
            }
        }
        let updates: String = rows
            .iter()
            .map(|(name, change)| {
                format!("update pgtrickle.pgt_stream_tables {change} where pgt_name = '{name}' and pgt_schema = 'public';")
            })
            .collect();
        let states =
            "select md5(string_agg(s::text, ',' order by pgt_id)) from pgtrickle.pgt_stream_tables as s";
        // Between the changes and the lock a tick may come.
        for _ in 0..20 {
            let wanted = self.database.value(&format!("begin; {updates} {states}; "));
            self.database.run("commit");
            holder.run("begin; select from pgtrickle.pgt_stream_tables for update");
            if self.database.value(states) == wanted {
                self.holder = Some(holder);
                return;
            }
            holder.run("rollback");
        }
        panic!("the scheduler is always faster");
    }

    /// The verdict of `check` on each subject in these stages, in the terms of the package.
    fn checked(&self, stages: &[&str], more: &[&str]) -> (Option<i32>, BTreeMap<String, String>) {
        let report = self.project.path().join("report.json");
        let mut check = pgtrickle_ci();
        check.args(["check", "--database-url", &self.database.url(), "--json"]).arg(&report).args(more);
        check.arg("--project-dir").arg(self.project.path()).arg("--profiles-dir").arg(self.project.path());
        let ran = Ran::of(&mut check);
        assert!(matches!(ran.code, Some(0 | 1)), "{}\n{}", ran.stdout, ran.stderr);
        let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
        let mut verdicts = BTreeMap::new();
        for outcome in report["outcomes"].as_array().unwrap() {
            let text = |key: &str| outcome[key].as_str().unwrap().to_owned();
            let subject = text("subject");
            if !stages.contains(&&*text("stage")) {
                continue;
            }
            let is_taken_down = text("stage") == "dependencies" && text("message").starts_with("affected by");
            let rank = match &*text("verdict") {
                // The plan reports differences from the model.
                "failed" if text("message").starts_with("differs from its model") => 0,
                "failed" | "errored" => 2,
                "skipped" if is_taken_down => 2,
                "warned" => 1,
                _ => 0,
            };
            let worst: &mut usize = verdicts.entry(subject).or_default();
            *worst = rank.max(*worst);
        }
        let word = |(name, rank): (String, usize)| (name, ["ok", "warn", "error"][rank].to_owned());
        (ran.code, verdicts.into_iter().map(word).collect())
    }

    /// The verdicts of an operation that prints a line for each subject.
    fn operation(&self, name: &str, arguments: &str) -> BTreeMap<String, String> {
        let ran = dbt(&self.project, &["run-operation", name, "--args", arguments]);
        let line = |line: &str| {
            let at = ["OK     ", "WARN   ", "ERROR  "].iter().find_map(|word| line.find(word))?;
            let (verdict, rest) = line[at..].split_at(7);
            Some((rest.split_once("  ")?.0.to_owned(), verdict.trim().to_lowercase()))
        };
        let verdicts: BTreeMap<_, _> = ran.stdout.lines().filter_map(line).collect();
        assert!(!verdicts.is_empty(), "{}\n{}", ran.stdout, ran.stderr);
        verdicts
    }

    /// The results of a dbt command in the target folder, by unique_id.
    fn results(&self, command: &[&str], file: &str) -> BTreeMap<String, String> {
        let ran = dbt(&self.project, command);
        let file = self.project.path().join("target").join(file);
        let results = fs::read(file).unwrap_or_else(|_| panic!("{}\n{}", ran.stdout, ran.stderr));
        let results: Value = serde_json::from_slice(&results).unwrap();
        let result = |result: &Value| {
            let verdict = match result["status"].as_str().unwrap() {
                "pass" => "ok",
                "warn" => "warn",
                "fail" => "error",
                // A test that cannot be executed has no verdict.
                "error" | "runtime error" if command[0] == "source" => "error",
                other => panic!("{other}: {result:#}"),
            };
            (result["unique_id"].as_str().unwrap().to_owned(), verdict.to_owned())
        };
        results["results"].as_array().unwrap().iter().map(result).collect()
    }
}

/// Fails with every table on which they disagree.
#[track_caller]
fn expect_same(who: &str, wanted: &BTreeMap<String, String>, said: &BTreeMap<String, String>) {
    let differing: Vec<_> = wanted
        .iter()
        .filter(|(name, verdict)| said.get(*name) != Some(verdict))
        .map(|(name, verdict)| format!("{name}: {verdict}, {who} says {:?}", said.get(name)))
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_package_and_check_judge_a_table_alike_in_every_state() {
    let mut shop = Shop::new();
    let cases = cases().tables;
    let mut tests = String::from("version: 2\nmodels:\n");
    // dbt's own, which says when dbt builds a model and is no limit for its table.
    let built_after = "  config: {freshness: {build_after: {count: 4, period: hour}}}\n";
    for Case { name, query, says, .. } in &cases {
        shop.add(name, query, says);
        writeln!(tests, "- name: {name}\n  data_tests: [dbt_pgtrickle.stream_table_healthy, dbt_pgtrickle.pgtrickle_not_stale, dbt_pgtrickle.pgtrickle_no_errors]").unwrap();
        if ["late", "quiet"].contains(&&**name) {
            tests.push_str(built_after);
        }
    }
    shop.project.write("models/tests.yml", &tests);
    shop.settle(&cases.iter().map(|case| (case.name.clone(), case.then.clone())).collect::<Vec<_>>());

    let wanted = wanted(&cases);
    let (_, checked) = shop.checked(&OF_TABLES, &[]);
    expect_same("check", &wanted, &checked);
    for operation in ["pgtrickle_check_freshness", "pgtrickle_status"] {
        expect_same(operation, &wanted, &shop.operation(operation, "{}"));
    }
    let tested = shop.results(&["test"], "run_results.json");
    let of_test = |test: &str| -> BTreeMap<String, String> {
        let start = format!("test.shop.dbt_pgtrickle_{test}_");
        let name = |id: &str| {
            Some(format!("public.{}", id.strip_prefix(&start)?.split('.').next()?.trim_end_matches('_')))
        };
        tested.iter().filter_map(|(id, verdict)| Some((name(id)?, verdict.clone()))).collect()
    };
    expect_same("stream_table_healthy", &wanted, &of_test("stream_table_healthy"));
    // Each narrower test checks a part.
    let (stale, errors) = (of_test("pgtrickle_not_stale"), of_test("pgtrickle_no_errors"));
    for (name, is_stale, has_errors) in [
        ("fresh", "ok", "ok"),
        ("late", "warn", "ok"),
        ("too_old", "error", "ok"),
        ("missing", "error", "error"),
        ("never_filled", "error", "ok"),
        ("failing", "ok", "error"),
        ("failed_often", "ok", "warn"),
        ("failed_and_too_old", "error", "error"),
        ("paused_by_model", "ok", "ok"),
        ("of_failing", "error", "ok"),
    ] {
        let name = format!("public.{name}");
        assert_eq!((&*stale[&name], &*errors[&name]), (is_stale, has_errors), "{name}");
    }

    // An upstream table is judged by its own model, even if it is not selected.
    for name in ["of_paused_by_model", "of_paused_by_hand", "of_failing", "late", "paused_by_model"] {
        let (code, _) = shop.checked(&OF_TABLES, &["--select", name]);
        assert_eq!(code, Some(i32::from(wanted[&format!("public.{name}")] == "error")), "{name}");
    }

    // Given limits replace those of the model and of the schedule.
    let given = shop.operation("pgtrickle_check_freshness", "{warn_seconds: 3600, error_seconds: 100000}");
    for (name, verdict) in [
        ("fresh", "ok"),
        ("limits_too_old", "warn"),
        ("too_old", "warn"),
        ("quiet", "ok"),
        ("failing", "error"),
    ] {
        assert_eq!(given[&format!("public.{name}")], verdict, "{name}");
    }
}

/// The package reads cron expressions in SQL, the program in Rust.
#[test]
fn the_package_and_check_read_cron_expressions_alike() {
    let mut shop = Shop::new();
    let mut changes = Vec::new();
    let expressions = [
        "* * * * *",
        "*/7 * * * *",
        "15,45 */3 * * *",
        "30 6 * * mon-fri",
        "0 0 13 * 5",
        "0 0 13 * *",
        "0 12 1 jan,jul *",
        "0 30 2 * * 7",
        "5-59/20 1-20/5 10-20 * sun",
        "@hourly",
        "@weekly",
        "@monthly",
        "@yearly",
        "0 0 29 2 *",
    ];
    let ages = ["15 min", "5 h", "30 h", "3 days", "10 days", "40 days", "250 days", "500 days", "1900 days"];
    for (nth, expression) in expressions.iter().enumerate() {
        for (age, interval) in ages.iter().enumerate() {
            let name = format!("cron_{nth}_{age}");
            shop.add(&name, OTHERS, &json!({"schedule": "1h"}));
            let change =
                format!("set schedule = '{expression}', last_refresh_at = now() - interval '{interval}'");
            changes.push((name, change));
        }
    }
    shop.settle(&changes);
    // A due time between the two checks may make a difference, once.
    let look = || (shop.checked(&OF_TABLES, &[]).1, shop.operation("pgtrickle_check_freshness", "{}"));
    let (checked, said) = Some(look()).filter(|(checked, said)| checked == said).unwrap_or_else(look);
    assert!(
        ["ok", "warn", "error"].iter().all(|word| checked.values().any(|verdict| verdict == word)),
        "{checked:?}"
    );
    expect_same("pgtrickle_check_freshness", &checked, &said);
}

/// A stream table that dbt knows as a source has the limits that its source sets.
#[test]
fn dbt_source_freshness_and_check_judge_a_source_alike() {
    let mut shop = Shop::new();
    let cases = cases().sources;
    let mut sources = String::from(
        "version: 2\nsources:\n- name: streams\n  schema: public\n  config:\n    loaded_at_query: \"{{ dbt_pgtrickle.loaded_at(this) }}\"\n    freshness: {warn_after: {count: 5, period: hour}, error_after: {count: 10, period: hour}}\n  tables:\n",
    );
    let mut query = String::from("select 1 as one");
    for Case { name, query: its, says, .. } in &cases {
        shop.create(name, its, says);
        writeln!(sources, "  - name: {name}").unwrap();
        writeln!(query, " -- {{{{ source('streams', '{name}') }}}}").unwrap();
    }
    shop.project.write("models/sources.yml", &sources);
    shop.project.write("models/reader.sql", &query);
    shop.add("own", ORDERS, &json!({"schedule": "100h"}));
    shop.settle(&cases.iter().map(|case| (case.name.clone(), case.then.clone())).collect::<Vec<_>>());

    let wanted = wanted(&cases);
    expect_same("check", &wanted, &shop.checked(&OF_TABLES, &[]).1);
    let fresh = shop.results(&["source", "freshness"], "sources.json");
    let name = |id: String| format!("public.{}", id.rsplit('.').next().unwrap());
    let fresh = fresh.into_iter().map(|(id, verdict)| (name(id), verdict)).collect();
    expect_same("dbt source freshness", &wanted, &fresh);
}

/// Each source has its own fault and its own readers.
#[test]
fn the_package_and_check_judge_change_capture_alike() {
    let mut shop = Shop::new();
    let names = [
        "ok",
        "disabled",
        "missing",
        "silent",
        "no_buffer",
        "renamed_column",
        "gone",
        "untracked",
        "distributed",
        "now_ok",
        "now_disabled",
        "now_missing",
        "now_gone",
        "now_distributed",
    ];
    for name in names {
        shop.database.run(&format!("create table src_{name} (id int primary key, a int)"));
        let says = match name.strip_prefix("now_") {
            Some(_) => json!({"refresh_mode": "IMMEDIATE"}),
            None => json!({"schedule": "1h"}),
        };
        shop.add(&format!("of_{name}"), &format!("select id, a from public.src_{name}"), &says);
    }
    for name in ["read", "unread"] {
        shop.add(name, ORDERS, &json!({"schedule": "1h"}));
        shop.add(
            &format!("reader_of_{name}"),
            &format!("select id from public.{name}"),
            &json!({"schedule": "1h"}),
        );
    }
    // pg_trickle's own check of the DDL of a source fails if only IMMEDIATE tables read it.
    let trigger = |source: &str, like: &str, what: &str| {
        shop.database.run(&format!(
            "set session_replication_role = replica;
             do $$ declare name text := (select tgname from pg_trigger where tgrelid = 'public.src_{source}'::regclass and tgname like '{like}' limit 1);
             begin execute format('{what}', name); end $$;
             set session_replication_role = origin"
        ));
    };
    trigger("disabled", "pg_trickle_cdc_ins%", "alter table public.src_disabled disable trigger %I");
    trigger("missing", "pg_trickle_cdc_truncate%", "drop trigger %I on public.src_missing");
    shop.database
        .run("create function public.nothing() returns trigger language plpgsql as 'begin return null; end'");
    let silent = "create or replace trigger %I after update on public.src_silent for each statement execute function public.nothing()";
    trigger("silent", "pg_trickle_cdc_upd%", silent);
    trigger("now_disabled", "pgt_ivm_after_ins%", "alter table public.src_now_disabled disable trigger %I");
    trigger("now_missing", "pgt_ivm_after_del%", "drop trigger %I on public.src_now_missing");
    shop.database.run(
        "do $$ begin execute (select 'drop table pgtrickle_changes.changes_' || source_stable_name || ' cascade' from pgtrickle.pgt_change_tracking where source_relid = 'public.src_no_buffer'::regclass); end $$;
         do $$ begin execute (select 'drop table pgtrickle_changes.changes_pgt_' || pgt_id || ' cascade' from pgtrickle.pgt_stream_tables where pgt_name = 'unread'); end $$;
         alter table src_renamed_column rename column a to b;
         delete from pgtrickle.pgt_change_tracking where source_relid = 'public.src_untracked'::regclass;
         set session_replication_role = replica; drop table src_gone; drop table src_now_gone; set session_replication_role = origin",
    );

    shop.database.run(&citus(
        "insert into pg_catalog.pg_dist_partition values ('src_distributed', 'h', 1, 's'), ('src_now_distributed', 'n', 2, 't')",
    ));

    let (_, checked) = shop.checked(&["capture"], &[]);
    let faults = checked.values().filter(|verdict| *verdict == "error").count();
    assert_eq!((faults, checked.len()), (13, names.len() + 3), "{checked:?}");
    let said = shop.operation("pgtrickle_check_cdc_health", "{}");
    assert_eq!(said, checked);
}
