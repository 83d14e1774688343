//! Models whose compiled SQL can change although the project does not, because they query the server or the clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Error, intermediate::is_view, text::or_default};

/// Names in dbt's Jinja context that query the server. A model or macro that uses such a name for something else is
/// only compiled once too often.
const SERVER_NAMES: [&str; 5] = ["run_query", "statement", "load_result", "load_cached_relation", "adapter"];

/// Names whose value differs in every compilation.
const CLOCK_NAMES: [&str; 5] = ["run_started_at", "invocation_id", "modules", "random", "lipsum"];

/// Members of `adapter` and `modules` whose value does not change.
const PURE: [&str; 10] = [
    "adapter.dispatch",
    "adapter.quote",
    "adapter.quote_as_configured",
    "adapter.quote_seed_column",
    "adapter.type",
    "adapter.Relation",
    "adapter.Column",
    "modules.re",
    "modules.itertools",
    "modules.pytz.timezone",
];

/// dbt's macros that decide the relation of each model. They run although no model calls them.
const NAMING: [&str; 3] = ["generate_schema_name", "generate_alias_name", "generate_database_name"];

#[derive(Deserialize)]
struct Manifest {
    nodes: BTreeMap<String, Node>,
    #[serde(default, deserialize_with = "or_default")]
    macros: BTreeMap<String, Macro>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default, deserialize_with = "or_default")]
    resource_type: String,
    #[serde(default, deserialize_with = "or_default")]
    original_file_path: String,
    #[serde(default, deserialize_with = "or_default")]
    raw_code: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: Config,
    #[serde(default, deserialize_with = "or_default")]
    depends_on: DependsOn,
}

impl Node {
    /// Whether its SQL is part of a stream table's query: of a stream table, view or ephemeral model.
    fn is_part_of_queries(&self) -> bool {
        let kind = self.config.materialized.as_str();
        kind == "stream_table" || kind == "ephemeral" || is_view(kind)
    }
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "or_default")]
    materialized: String,
}

#[derive(Deserialize)]
struct Macro {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    package_name: String,
    #[serde(default, deserialize_with = "or_default", rename = "macro_sql")]
    sql: String,
    #[serde(default, deserialize_with = "or_default")]
    depends_on: DependsOn,
}

#[derive(Default, Deserialize)]
struct DependsOn {
    #[serde(default, deserialize_with = "or_default")]
    macros: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    nodes: Vec<String>,
}

/// The files of stream table models, and of models upstream of them, whose SQL can differ in the next compilation of
/// the same project.
///
/// # Errors
/// If the bytes are not a manifest.
pub fn unstable_models(file: &str, bytes: &[u8]) -> Result<Vec<String>, Error> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|source| Error::NotJson { file: file.to_owned(), source })?;
    let naming = manifest.macros.iter().filter(|(_, one)| {
        NAMING.iter().any(|name| one.name == *name || one.name.ends_with(&format!("__{name}")))
            && one.package_name != "dbt"
    });
    let mut calls = MacroCalls { manifest: &manifest, is_unstable: is_unstable_code, known: BTreeMap::new() };
    let mut config_calls = MacroCalls { is_unstable: uses_the_clock, ..calls.clone() };
    let is_naming_unstable =
        naming.map(|(id, _)| id.clone()).collect::<Vec<_>>().iter().any(|id| calls.is_unstable(id));
    let mut files = BTreeSet::new();
    for id in upstream_of_stream_tables(&manifest) {
        let node = &manifest.nodes[id];
        // If the SQL is not part of a stream table's query, only the config counts, and dbt does not let a config query
        // the server.
        let calls = if node.is_part_of_queries() { &mut calls } else { &mut config_calls };
        let own = node.raw_code.as_deref().is_some_and(calls.is_unstable);
        if own || is_naming_unstable || node.depends_on.macros.iter().any(|id| calls.is_unstable(id)) {
            files.insert(node.original_file_path.clone());
        }
    }
    Ok(files.into_iter().collect())
}

fn is_unstable_code(code: &str) -> bool {
    uses_the_clock(code) || mentions(code, &SERVER_NAMES)
}

fn uses_the_clock(code: &str) -> bool {
    mentions(code, &CLOCK_NAMES)
}

/// Whether the Jinja in `code` contains one of these names as a whole, unquoted word.
fn mentions(code: &str, names: &[&str]) -> bool {
    let is_word_end = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let is_word_start = |text: &str| !text.ends_with(|c: char| c.is_alphanumeric() || "_'\"".contains(c));
    let is_pure = |text: &str| PURE.iter().any(|pure| text.strip_prefix(pure).is_some_and(is_word_end));
    jinja(code).any(|code| {
        names.iter().any(|name| {
            let mut places = code.match_indices(name).map(|(at, _)| (&code[..at], &code[at..]));
            places.any(|(before, text)| {
                is_word_start(before) && is_word_end(&text[name.len()..]) && !is_pure(text)
            })
        })
    })
}

/// The Jinja expressions and statements in `code`.
fn jinja(code: &str) -> impl Iterator<Item = &str> {
    ["{{", "{%"].into_iter().flat_map(|open| code.split(open).skip(1)).map(|text| {
        // `}}` inside a quoted string is not the end, so take the last one. Too much text only costs a compilation.
        let end = [text.rfind("}}"), text.rfind("%}")].into_iter().flatten().max();
        &text[..end.unwrap_or(text.len())]
    })
}

fn upstream_of_stream_tables(manifest: &Manifest) -> BTreeSet<&str> {
    let is_model = |node: &Node| node.resource_type == "model";
    let stream_tables = manifest
        .nodes
        .iter()
        .filter(|(_, node)| is_model(node) && node.config.materialized == "stream_table");
    let mut open: Vec<&str> = stream_tables.map(|(id, _)| id.as_str()).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        let Some(node) = manifest.nodes.get(id).filter(|node| is_model(node)) else { continue };
        if found.insert(id) && node.is_part_of_queries() {
            open.extend(node.depends_on.nodes.iter().map(String::as_str));
        }
    }
    found
}

/// Finds the macros whose code is unstable, or that call such macros.
#[derive(Clone)]
struct MacroCalls<'a> {
    manifest: &'a Manifest,
    is_unstable: fn(&str) -> bool,
    known: BTreeMap<&'a str, bool>,
}

impl MacroCalls<'_> {
    fn is_unstable(&mut self, id: &str) -> bool {
        let Some((id, called)) = self.manifest.macros.get_key_value(id) else { return false };
        if let Some(known) = self.known.get(id.as_str()) {
            return *known;
        }
        // Ends the recursion of macros that call each other.
        self.known.insert(id, false);
        let is_unstable =
            (self.is_unstable)(&called.sql) || called.depends_on.macros.iter().any(|id| self.is_unstable(id));
        self.known.insert(id, is_unstable);
        is_unstable
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unstable(raw_code: &str, macros: &[&str]) -> Vec<String> {
        unstable_below("view", raw_code, macros)
    }

    fn unstable_below(kind: &str, raw_code: &str, macros: &[&str]) -> Vec<String> {
        let node = |materialized: &str, code: &str, macros: &[&str], nodes: &[&str]| {
            json!({"resource_type": "model", "original_file_path": format!("models/{materialized}.sql"), "raw_code": code,
                   "config": {"materialized": materialized}, "depends_on": {"macros": macros, "nodes": nodes}})
        };
        let called = |name: &str, sql: &str, macros: &[&str]| json!({"name": name, "package_name": "shop", "macro_sql": sql, "depends_on": {"macros": macros}});
        let manifest = json!({
            "nodes": {
                "model.shop.st": node("stream_table", "select 1", &[], &["model.shop.v"]),
                "model.shop.v": node(kind, raw_code, macros, &[]),
                "model.shop.unread": node("table", "{{ run_query('select 1') }}", &[], &[]),
            },
            "macros": {
                "macro.shop.star": called("star", "{{ columns() }}", &["macro.shop.columns"]),
                "macro.shop.columns": called("columns", "{{ adapter.get_columns_in_relation(r) }}", &["macro.shop.star"]),
                "macro.shop.pure": called("pure", "a + b", &[]),
            },
        });
        unstable_models("m.json", manifest.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_query_of_the_server_or_the_clock_is_found_in_models_and_macros() {
        let none: Vec<String> = Vec::new();
        assert_eq!(unstable("select 1", &["macro.shop.pure"]), none);
        assert_eq!(unstable("select '{{ run_started_at }}'", &[]), ["models/view.sql"]);
        assert_eq!(unstable("{{ star() }}", &["macro.shop.star"]), ["models/view.sql"]);
        assert_eq!(unstable("{{ columns() }}", &["macro.shop.columns"]), ["models/view.sql"]);
        for code in [
            "{% set r = adapter.execute('select 1', fetch=true) %}",
            "{% set a = adapter %}{{ a.get_relation('a', 'b', 'c') }}",
            "{{ modules['datetime'].datetime.now() }}",
            "{% set m = modules %}{{ m.datetime.datetime.now() }}",
            "{{ '}}' ~ run_query('select 1') }}",
            "{{ [1, 2]|random }}",
            "{{ lipsum() }}",
        ] {
            assert_eq!(unstable(code, &[]), ["models/view.sql"], "{code}");
        }
        for code in [
            "{{ adapter.dispatch('star')() }}{{ adapter.quote('a') }}",
            "{{ modules.re.match('a', 'b') }}",
            "select statement, random() from {{ ref('modules') }} as adapter",
            "{{ my_random_key }}",
        ] {
            assert_eq!(unstable(code, &[]), none, "{code}");
        }
    }

    /// The plan does not use the SQL of a table, and the config of a table cannot query the server.
    #[test]
    fn the_sql_of_a_plain_table_may_query_the_server() {
        let none: Vec<String> = Vec::new();
        for kind in ["incremental", "table"] {
            assert_eq!(
                unstable_below(kind, "{{ columns() }} {{ run_query('x') }}", &["macro.shop.columns"]),
                none
            );
            let clock = "{{ config(alias='a_' ~ run_started_at.year) }}";
            assert_eq!(unstable_below(kind, clock, &[]), [format!("models/{kind}.sql")]);
        }
        assert_eq!(unstable_below("ephemeral", "{{ run_query('x') }}", &[]), ["models/ephemeral.sql"]);
    }
}
