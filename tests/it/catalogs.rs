//! The catalogs of other versions of pg_trickle: every query can be answered on each, and what only some have is used
//! where it is. catalogs.yml says what each has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use pgtrickle_ci::model::{OPTIONAL, Version, with_optional_parts};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, dbt, manifest, model, output, pgtrickle_ci};

#[derive(Deserialize)]
struct Catalogs {
    versions: Vec<String>,
    relations: BTreeMap<String, BTreeMap<String, String>>,
    functions: BTreeMap<String, String>,
}

/// The catalog of one version.
pub struct Catalog {
    pub version: String,
    /// The columns of each relation, with their types.
    relations: BTreeMap<String, BTreeMap<String, String>>,
    /// The result of each function, by name and arguments.
    functions: BTreeMap<String, String>,
}

/// The catalogs of all versions.
pub fn all() -> Vec<Catalog> {
    let Catalogs { versions, relations, functions } =
        serde_yaml::from_str(include_str!("catalogs.yml")).unwrap();
    let of = |version: &String| {
        let existing = |all: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            all.iter().filter_map(|(name, what)| Some((name.clone(), in_version(what, version)?))).collect()
        };
        let tables = relations.iter().map(|(name, columns)| (name.clone(), existing(columns)));
        Catalog {
            version: version.clone(),
            relations: tables.filter(|(_, columns)| !columns.is_empty()).collect(),
            functions: existing(&functions),
        }
    };
    versions.iter().map(of).collect()
}

/// The oldest version, and the columns of a stream table, each with its type and `since` which version it exists.
pub fn stream_table_columns() -> (String, BTreeMap<String, String>) {
    let Catalogs { versions, mut relations, .. } =
        serde_yaml::from_str(include_str!("catalogs.yml")).unwrap();
    (versions[0].clone(), relations.remove("pgt_stream_tables").unwrap())
}

/// The type, if the version has the thing.
fn in_version(what: &str, version: &str) -> Option<String> {
    let (kind, since) = what.split_once(" since ").unwrap_or((what, "0.0.0"));
    (Version::parse(version) >= Version::parse(since)).then(|| kind.to_owned())
}

impl Catalog {
    /// The statements that create its tables and functions, which do nothing.
    pub fn script(&self) -> String {
        let tables = self.relations.iter().map(|(name, columns)| {
            let columns: Vec<String> = columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
            format!("create table pgtrickle.{name} ({});\n", columns.join(", "))
        });
        let functions = self.functions.iter().map(|(signature, result)| {
            let body = if result == "void" || result.starts_with("table") { "return" } else { "return null" };
            format!(
                "create function pgtrickle.{signature} returns {result} language plpgsql as 'begin {body}; end';\n"
            )
        });
        let statements: String = tables.chain(functions).collect();
        format!("create schema pgtrickle; create schema pgtrickle_changes;\n{statements}")
    }

    /// The relations and functions that the queries ask for only where they exist.
    fn objects(&self) -> Vec<String> {
        let has = |object: &str| {
            let name = object.trim_start_matches("pgtrickle.");
            self.relations.contains_key(name) || self.functions.contains_key(name)
        };
        OPTIONAL.iter().map(|part| part.object.to_owned()).filter(|object| has(object)).collect()
    }
}

/// A catalog query with values for its parameters.
fn filled(sql: &str) -> String {
    let values = [
        ("$relations", "'[]'::jsonb"),
        ("$names", "'[]'::jsonb"),
        ("$needs", "'{}'"),
        ("$wanted", "'[]'"),
        ("$queries", "'[]'"),
        ("$hidden", "'[]'::jsonb"),
        ("$follows", "true"),
        ("$objects", "'[]'::jsonb"),
        ("$functions", "'{}'::oid[]"),
        ("$position", "null::pg_lsn"),
        ("$families", "true"),
        ("$tables", "null"),
        ("$last", "20"),
        ("$table", "'public', 'totals'"),
        ("$quoted", "'public.totals'"),
        ("$times", "1"),
        ("$newest", "0"),
        ("$since", "pg_catalog.now()"),
    ];
    values.iter().fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, value))
}

#[test]
fn every_catalog_query_can_be_answered_on_every_version() {
    let mut queries = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "sql");
    // Not the emulator, nor what the script of a finding runs.
    queries.retain(|file| {
        !file.components().any(|folder| folder.as_os_str() == "emulator")
            && !file.ends_with("second_session.sql")
    });
    assert!(queries.len() > 30, "{queries:?}");
    for catalog in all() {
        let database = Database::without_extension();
        database.run(&catalog.script());
        for file in &queries {
            let sql = fs::read_to_string(file).unwrap();
            let sql = filled(&with_optional_parts(&sql, &catalog.objects()));
            database.run(&format!("begin; {sql}; rollback"));
        }
    }
}

/// Functions of the engine that not every version has, and what is asked before the program calls or advises one.
const ASKED_FOR: [(&str, &str); 9] = [
    ("capture_instance_status", "pgt_capture_instance, of the same version"),
    ("preflight_upgrade", "to_regprocedure in engine.sql"),
    ("recover_capture_instance", "pgt_capture_instance, of the same version"),
    ("reinitialize_stream_table", "a reason in refresh_reason"),
    ("repair_stream_table", "to_regprocedure in engine.sql"),
    ("resume_after_drain", "to_regprocedure in engine.sql"),
    ("set_orchestration_mode", "Setting::since"),
    ("validate_recovery", "OPTIONAL"),
    ("_emulator_tick", "the emulator"),
];

/// Elsewhere than in a file of its own a query could name what a version lacks, and no test would see it. So there are no
/// relations there, but for the names of the stream tables, which the adapter reads.
#[test]
fn code_beside_the_queries_names_only_functions_that_every_version_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let oldest = &all()[0];
    let functions: BTreeSet<&str> =
        oldest.functions.keys().map(|signature| signature.split('(').next().unwrap()).collect();
    let program = files(&root.join("src"), "rs").into_iter();
    let adapter = root.join("adapter/src");
    let adapter = files(&adapter, "sql").into_iter().chain(files(&adapter, "py"));
    let mut wrong = BTreeSet::new();
    let mut unused: BTreeSet<&str> = ASKED_FOR.iter().map(|(name, _)| *name).collect();
    for file in program.chain(adapter).filter(|file| !file.ends_with("model/engine.rs")) {
        let text = fs::read_to_string(&file).unwrap();
        let text = &text[..text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len())];
        // Comments and imports name no objects of the server.
        let is_code =
            |line: &&str| !["//", "from ", "#"].iter().any(|begin| line.trim_start().starts_with(begin));
        for name in text.lines().filter(is_code).flat_map(named_objects) {
            if name.starts_with(char::is_uppercase) {
                continue;
            }
            unused.remove(name);
            let is_asked_for = ASKED_FOR.iter().any(|(asked, _)| *asked == name);
            if !is_asked_for && !functions.contains(name) {
                wrong.insert(format!("{}: {name}", file.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert_eq!(
        wrong,
        BTreeSet::from(["adapter/src/dbt/adapters/pgtrickle/impl.py: pgt_stream_tables".to_owned()])
    );
    assert!(unused.is_empty(), "nothing names these any more: {unused:?}");
}

const QUERY: &str = "select id from public.orders";

/// A database with a healthy stream table in this catalog, whose functions say nothing.
fn deployed_in(catalog: &Catalog) -> Database {
    let database = Database::without_extension();
    database.run(&catalog.script());
    database.run(&format!(
        "set allow_system_table_mods = on;
         insert into pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
         values (1, 'pg_trickle', 10, 'pgtrickle'::regnamespace, false, '{}');
         create table orders (id int primary key); create table totals (__pgt_row_id bigint, id int);
         insert into pgtrickle.pgt_stream_tables
           (pgt_id, pgt_relid, pgt_schema, pgt_name, defining_query, schedule, refresh_mode, status, is_populated,
            consecutive_errors, needs_reinit, last_refresh_at, created_at)
         values (1, 'totals'::regclass, 'public', 'totals', '{QUERY}', '1m', 'DIFFERENTIAL', 'ACTIVE', true, 0, false, now(), now());
         insert into pgtrickle.pgt_dependencies (pgt_id, source_relid, source_type, cdc_mode)
         values (1, 'orders'::regclass, 'TABLE', 'TRIGGER')",
        catalog.version
    ));
    database
}

#[test]
fn a_table_in_the_catalog_of_every_version_is_planned_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = manifest(dir.path(), "m.json", [model("totals", QUERY, &json!({"refresh_mode": "AUTO"}))]);
    for catalog in all() {
        let database = deployed_in(&catalog);
        let run = |command: &str| {
            let mut run = pgtrickle_ci();
            run.args([command, "--json", "-", "--database-url", &database.url(), "--manifest"]).arg(&wanted);
            let ran = Ran::of(&mut run);
            let report: Value =
                serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
            report
        };
        let keeps_requests = catalog.relations["pgt_stream_tables"].contains_key("requested_refresh_mode");
        if keeps_requests {
            database.run("update pgtrickle.pgt_stream_tables set requested_refresh_mode = 'DIFFERENTIAL'");
        }
        let steps = run("plan")["plan"]["steps"].to_string();
        assert_eq!(steps.contains("refresh_mode"), keeps_requests, "{}: {steps}", catalog.version);
        let report = run("check");
        let outcomes = report["outcomes"].as_array().unwrap();
        let errored: Vec<_> = outcomes.iter().filter(|outcome| outcome["verdict"] == "errored").collect();
        assert!(errored.is_empty(), "{}: {errored:#?}", catalog.version);
        let of = |stage: &str| {
            outcomes.iter().find(|outcome| outcome["stage"] == stage).unwrap()["verdict"].clone()
        };
        assert_eq!(
            of("status"),
            if catalog.relations["pgt_stream_tables"].contains_key("row_probe_version") {
                "warned"
            } else {
                "passed"
            }
        );
        assert_eq!((of("freshness"), of("capture")), (json!("passed"), json!("failed")));
        // A server with the real extension starts a scheduler for whatever looks like it.
        let launches = "select count(*) > 0 from pg_stat_activity where backend_type = 'pg_trickle launcher'";
        if database.value(launches).as_deref() == Some("f") {
            assert_eq!(of("scheduler"), "failed");
        }
        assert_eq!(report.to_string().contains("its own bugs are not known"), catalog.version != "0.67.0");
    }
}

/// The macro of a project that asks everything which the package asks of the catalog.
const ASK_EVERYTHING: &str = r#"{% macro ask_everything() %}
  {% set totals = api.Relation.create(schema='public', identifier='totals') %}
  {% do dbt_pgtrickle.pgtrickle_get_stream_table_info('public.totals') %}
  {% do dbt_pgtrickle._pgtrickle_list_stream_tables() %}
  {% do dbt_pgtrickle._pgtrickle_dependants(totals) %}
  {% do dbt_pgtrickle._pgtrickle_lost_objects(totals) %}
  {% set columns = "'d' as table_database, 'public' as table_schema, 'totals' as table_name, 'BASE TABLE' as table_type, 'id' as column_name, 1 as column_index" %}
  {% do dbt_pgtrickle._pgtrickle_catalog(run_query('select ' ~ columns)) %}
  {% do dbt_pgtrickle._pgtrickle_same_schedule('1m', '60s') %}
  {% do dbt_pgtrickle._pgtrickle_health_rows('public.totals') %}
  {% do run_query(dbt_pgtrickle.loaded_at(totals)) %}
  {% do run_query(dbt_pgtrickle._pgtrickle_cdc_health_sql()) %}
  {% do run_query(dbt_pgtrickle._pgtrickle_refreshing_sql()) %}
  {% do run_query(dbt_pgtrickle._pgtrickle_drain_sql(1)) %}
  {% do dbt_pgtrickle.pgtrickle_operational_status() %}
  {% do dbt_pgtrickle.pgtrickle_stream_table_status('public.totals') %}
  {% do dbt_pgtrickle.pgtrickle_refresh_history('public.totals') %}
  {% do dbt_pgtrickle.pgtrickle_explain('public.totals') %}
  {% do dbt_pgtrickle.pgtrickle_enable_monitoring() %}
  {% do dbt_pgtrickle._pgtrickle_lock_dependants(totals) %}
  {% do dbt_pgtrickle._pgtrickle_drop_left_buffers() %}
  {% do dbt_pgtrickle._pgtrickle_touch_views(totals) %}
  {# The functions of these catalogs do nothing, so it says that nothing was refreshed. #}
  {% set refresh = dbt_pgtrickle._pgtrickle_refresh_statements(totals) %}
  {% do run_query('do ' ~ dbt_pgtrickle._pgtrickle_literal('begin ' ~ refresh ~ ' exception when lock_not_available then null; end')) %}
{% endmacro %}
"#;

#[test]
fn every_question_of_the_package_can_be_answered_on_every_version() {
    let macros = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("macros"), "sql");
    let macros: BTreeMap<String, String> = macros
        .iter()
        .map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy();
            // Comments name objects that are not asked for.
            (name.into_owned(), without_comments(&fs::read_to_string(file).unwrap()))
        })
        .collect();
    let asked = with_callees(ASK_EVERYTHING, &macros);
    let naming = macros.iter().filter(|(_, text)| named_objects(text).next().is_some());
    let unasked: Vec<&String> = naming.map(|(name, _)| name).filter(|name| !asked.contains(*name)).collect();
    assert!(unasked.is_empty(), "ask_everything() calls these, too: {unasked:?}");

    let project = DbtProject::new();
    project.write("macros/ask_everything.sql", ASK_EVERYTHING);
    for catalog in all() {
        let database = deployed_in(&catalog);
        let profiles = json!({"shop": {"target": "dev", "outputs": {"dev": output(&database, "public")}}});
        project.write("profiles.yml", &profiles.to_string());
        dbt(&project, &["deps"]).expect(0);
        let ran = dbt(&project, &["run-operation", "ask_everything"]);
        assert_eq!(ran.code, Some(0), "{}: {}", catalog.version, ran.stdout);
    }
}

/// The names of the macros that a text calls, and of those that they call.
fn with_callees(text: &str, macros: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    let mut open = vec![text];
    while let Some(text) = open.pop() {
        for (name, body) in macros {
            if text.contains(&format!("dbt_pgtrickle.{name}(")) && called.insert(name.clone()) {
                open.push(body);
            }
        }
    }
    called
}

/// A macro without Jinja's comments.
fn without_comments(text: &str) -> String {
    let mut parts = text.split("{#");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("#}").map_or("", |(_, rest)| rest))
}

/// What a text names in the schema pgtrickle.
fn named_objects(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("pgtrickle.").filter_map(move |(at, word)| {
        let is_schema = !text[..at].ends_with(|c: char| is_name(c) || c == '.');
        let rest = &text[at + word.len()..];
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        (is_schema && end > 0).then(|| &rest[..end])
    })
}

/// The files below a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|end| end == ending) {
            found.push(path);
        }
    }
    found
}
