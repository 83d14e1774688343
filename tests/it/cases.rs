//! The cases of `cases.yml`: planned without a server; and on a server planned, applied and compared with the result.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pgtrickle_ci::model::Version;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

const QUERY: &str = "select id, customer_id, amount from public.orders";

const SOURCES: &str = "
    create table orders (id int primary key, customer_id int, amount int, price numeric(10,2), code varchar(10), note text, status text);
    insert into orders select n, n % 4, n, n / 2.0, 'c' || n, 'a b', (array['new', 'paid', 'void'])[1 + n % 3] from generate_series(1, 30) as n;
    analyze orders";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "case")]
    about: String,
    query: Option<String>,
    before_query: Option<String>,
    after_query: Option<String>,
    before: Option<Value>,
    after: Option<Value>,
    plan: String,
    offline: Option<String>,
    reader: Option<Reader>,
    view: Option<String>,
    fails: Option<String>,
    unit: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reader {
    query: String,
    after_query: Option<String>,
    plan: String,
    offline: Option<String>,
}

impl Case {
    fn all() -> Vec<(String, Self)> {
        let cases: Vec<Self> = serde_yaml::from_str(include_str!("cases.yml")).unwrap();
        assert!(cases.len() >= 60, "there are {} cases", cases.len());
        cases.into_iter().enumerate().map(|(number, case)| (format!("t_{number:03}"), case)).collect()
    }

    fn is_possible_on(&self, version: &Version) -> bool {
        let parsed = |text: &String| Version::parse(text).unwrap();
        self.unit.is_none()
            && self.since.as_ref().is_none_or(|since| *version >= parsed(since))
            && self.until.as_ref().is_none_or(|until| *version < parsed(until))
    }

    /// The models of one side.
    fn models(&self, name: &str, after: bool) -> Vec<(String, Value)> {
        let (settings, own) =
            if after { (&self.after, &self.after_query) } else { (&self.before, &self.before_query) };
        let Some(settings) = settings else { return Vec::new() };
        let query = own.as_deref().or(self.query.as_deref()).unwrap_or(QUERY);
        let mut models = vec![model(name, query, &with_a_long_schedule(settings))];
        if let Some(reader) = &self.reader {
            let query = reader.after_query.as_ref().filter(|_| after).unwrap_or(&reader.query);
            let query = query.replace("{t}", &format!("public.{name}"));
            let (id, mut node) = model(&reader_of(name), &query, &json!({"schedule": "1h"}));
            node["depends_on"]["nodes"] = json!([format!("model.shop.{name}")]);
            models.push((id, node));
        }
        models
    }

    /// What a plan must say of each table of the case.
    fn expected(&self, name: &str, offline: bool) -> Vec<(String, String)> {
        let said = |plan: &str, without: Option<&String>| {
            without.filter(|_| offline).map_or(plan, String::as_str).to_owned()
        };
        let own = (name.to_owned(), said(&self.plan, self.offline.as_ref()));
        let reader =
            self.reader.as_ref().map(|reader| (reader_of(name), said(&reader.plan, reader.offline.as_ref())));
        std::iter::once(own).chain(reader).collect()
    }
}

fn reader_of(name: &str) -> String {
    format!("{name}_reader")
}

/// Without a scheduler, so that no refresh changes the result.
fn with_a_long_schedule(settings: &Value) -> Value {
    let mut settings = settings.clone();
    if settings.get("schedule").is_none() {
        settings["schedule"] = json!("1h");
    }
    settings
}

fn write(dir: &Path, file: &str, cases: &[(String, Case)], after: impl Fn(&Case) -> bool) -> PathBuf {
    manifest(dir, file, cases.iter().flat_map(|(name, case)| case.models(name, after(case))))
}

/// The action of a plan for each table.
fn actions(report: &Path) -> BTreeMap<String, String> {
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let steps = report["plan"]["steps"].as_array().unwrap();
    steps.iter().map(|step| (text(&step["relation"]["name"]), text(&step["action"]))).collect()
}

/// Fails with every case that has another result.
fn compare<'a>(
    cases: impl IntoIterator<Item = &'a (String, Case)>,
    planned: &BTreeMap<String, String>,
    offline: bool,
) {
    let mut wrong = Vec::new();
    for (name, case) in cases {
        for (table, expected) in case.expected(name, offline) {
            let said = planned.get(&table).map_or("nothing", String::as_str);
            if said != expected {
                wrong.push(format!("{} ({table}): {expected} expected, {said} planned", case.about));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_is_planned_without_a_server() {
    let cases = Case::all();
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("plan.json");
    Ran::of(
        pgtrickle_ci()
            .args(["plan", "--allow-drop", "all", "--allow-recreate", "all", "--manifest"])
            .arg(write(dir.path(), "after.json", &cases, |_| true))
            .arg("--baseline")
            .arg(write(dir.path(), "before.json", &cases, |_| false))
            .arg("--json")
            .arg(&json),
    )
    .expect(0);
    compare(&cases, &actions(&json), true);
}

/// The observable state of a stream table.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Seen {
    oid: String,
    refreshed: String,
    status: String,
}

fn look(database: &Database) -> BTreeMap<String, Seen> {
    let sql = "select coalesce(jsonb_object_agg(pgt_name, jsonb_build_array(pgt_relid::oid, last_refresh_at, status)), '{}')::text from pgtrickle.pgt_stream_tables";
    let seen: BTreeMap<String, [Value; 3]> = serde_json::from_str(&database.value(sql).unwrap()).unwrap();
    seen.into_iter()
        .map(|(name, parts)| {
            let [oid, refreshed, status] = parts.map(|part| part.to_string());
            (name, Seen { oid, refreshed, status })
        })
        .collect()
}

/// Whether the change of a table is the effect of the action.
fn happened(action: &str, changes_mode: bool, before: Option<&Seen>, after: Option<&Seen>) -> bool {
    match (action, before, after) {
        ("create", None, Some(_)) | ("drop", Some(_), None) => true,
        ("keep", Some(before), Some(after)) => before == after,
        ("alter", Some(before), Some(after)) => {
            before.oid == after.oid && (before.refreshed != after.refreshed) == changes_mode
        }
        ("alter-query", Some(before), Some(after)) => {
            before.oid == after.oid && before.refreshed != after.refreshed
        }
        ("replace", Some(before), Some(after)) => before.oid != after.oid,
        _ => false,
    }
}

fn changes_mode(case: &Case) -> bool {
    let mode = |settings: &Option<Value>| {
        let mode = settings.as_ref().and_then(|s| s.get("refresh_mode")?.as_str());
        mode.map_or("DIFFERENTIAL".to_owned(), |mode| mode.to_uppercase().replace("AUTO", "DIFFERENTIAL"))
    };
    mode(&case.before) != mode(&case.after)
}

/// A plan is saved and applied, and its result is what it predicted. Afterwards the plan is empty, and every table
/// matches its query.
#[test]
fn every_case_happens_on_a_server_as_it_was_planned() {
    let database = Database::without_extension();
    // Only the plan changes a table.
    database.run(&format!(
        "alter database {} set pg_trickle.enabled = off; create extension pg_trickle; {SOURCES}",
        database.endpoint.database
    ));
    let version = database.value("select extversion from pg_extension where extname = 'pg_trickle'");
    let version = Version::parse(&version.unwrap()).unwrap();
    let cases: Vec<_> = Case::all().into_iter().filter(|(_, case)| case.is_possible_on(&version)).collect();
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("plan.json");
    let saved = dir.path().join("plan.saved");
    let run = |arguments: &[&str], manifest: &Path| {
        Ran::of(
            pgtrickle_ci()
                .args(arguments)
                .args(["--allow-drop", "all", "--allow-recreate", "all", "--database-url", &database.url()])
                .arg("--manifest")
                .arg(manifest)
                .arg("--json")
                .arg(&json),
        )
    };
    run(&["apply"], &write(dir.path(), "before.json", &cases, |_| false)).expect(0);
    for (name, case) in &cases {
        if let Some(view) = &case.view {
            database
                .run(&format!("create view v_{name} as {}", view.replace("{t}", &format!("public.{name}"))));
        }
    }
    let before = look(&database);

    let wanted = write(dir.path(), "after.json", &cases, |case| case.fails.is_none());
    run(&["plan", "--out", saved.to_str().unwrap()], &wanted).expect(0);
    let planned = actions(&json);
    let (failing, carried_out): (Vec<_>, Vec<_>) =
        cases.into_iter().partition(|(_, case)| case.fails.is_some());
    compare(&carried_out, &planned, false);
    Ran::of(pgtrickle_ci().arg("apply").arg(&saved).args(["--database-url", &database.url()])).expect(0);

    let after = look(&database);
    let mut wrong = Vec::new();
    for (name, case) in &carried_out {
        for (table, action) in case.expected(name, false) {
            let (was, is) = (before.get(&table), after.get(&table));
            if !happened(&action, changes_mode(case), was, is) {
                wrong.push(format!("{} ({table}): {action} planned, but {was:?} became {is:?}", case.about));
            }
        }
        let is_suspended =
            |seen: &BTreeMap<String, Seen>| seen.get(name).is_some_and(|s| s.status.contains("SUSPENDED"));
        if case.about.contains("stays suspended") && !(is_suspended(&before) && is_suspended(&after)) {
            wrong.push(format!("{}: {:?}", case.about, after.get(name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let again = run(&["plan", "--exit-code"], &wanted);
    assert_eq!(again.code, Some(0), "something is left to do:\n{}", again.stdout);
    holds_what_the_query_gives(&database, &carried_out);

    for failing in &failing {
        let (name, case) = failing;
        let wanted = manifest(dir.path(), "fails.json", case.models(name, true));
        let ran = run(&["plan"], &wanted);
        assert_eq!(ran.code, Some(1), "{}\n{}", case.about, ran.stdout);
        let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        let problems = report["outcomes"].to_string();
        assert!(problems.contains(case.fails.as_ref().unwrap()), "{}: {problems}", case.about);
        compare([failing], &actions(&json), false);
    }
}

/// Finds a table that was refilled with its columns mixed up.
fn holds_what_the_query_gives(database: &Database, cases: &[(String, Case)]) {
    for (name, case) in cases {
        let is_filled =
            case.after.as_ref().is_some_and(|after| after.get("initialize") != Some(&json!(false)));
        for (id, node) in case.models(name, true).into_iter().filter(|_| is_filled) {
            let query = node["compiled_code"].as_str().unwrap().trim_end_matches([';', ' ']).to_owned();
            let table = node["name"].as_str().unwrap();
            let rows = |from: &str| {
                let one = format!("select string_agg(q::text, '; ' order by q::text) from ({from}\n) as q");
                database.value(&one)
            };
            let columns = database.value(&format!(
                "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = 'public.{table}'::regclass and attnum > 0 and not attisdropped and attname !~ '^__pgt_'"
            ));
            let stored = rows(&format!("select {} from public.{table}", columns.unwrap()));
            assert_eq!(stored, rows(&query), "{} ({id})", case.about);
        }
    }
}
