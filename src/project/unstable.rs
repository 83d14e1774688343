//! Which models compile to other SQL when nothing in the project changed: they ask the server or the clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Error, intermediate::is_view, text::or_default};

/// Names of dbt's context that ask the server. A model or macro that uses one for something else is compiled once too
/// often.
const ASK_THE_SERVER: [&str; 5] =
    ["run_query", "statement", "load_result", "load_cached_relation", "adapter"];

/// Names that give something else at every compilation.
const ASK_THE_CLOCK: [&str; 5] = ["run_started_at", "invocation_id", "modules", "random", "lipsum"];

/// What `adapter` and `modules` have that is always the same.
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

/// Macros of dbt that decide where each model goes. No model names them.
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
    /// Whether its SQL is that of a stream table, or of a view or ephemeral model in one.
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

/// The files of the stream table models, and of the models upstream of them, whose SQL may differ at the next
/// compilation of the same project.
///
/// # Errors
/// When it is not a manifest.
pub fn unstable_models(file: &str, bytes: &[u8]) -> Result<Vec<String>, Error> {
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|source| Error::NotJson { file: file.to_owned(), source })?;
    let naming = manifest.macros.iter().filter(|(_, made)| {
        NAMING.iter().any(|name| made.name == *name || made.name.ends_with(&format!("__{name}")))
            && made.package_name != "dbt"
    });
    let mut calls = Calls { manifest: &manifest, asks, known: BTreeMap::new() };
    let mut calls_of_tables = Calls { asks: asks_the_clock, ..calls.clone() };
    let naming_asks = naming.map(|(id, _)| id.clone()).collect::<Vec<_>>().iter().any(|id| calls.lead(id));
    let mut files = BTreeSet::new();
    for id in upstream_of_stream_tables(&manifest) {
        let node = &manifest.nodes[id];
        // Of what is neither a query of a stream table nor a part of one only the config counts, and no config can ask
        // the server: dbt does not let it.
        let calls = if node.is_part_of_queries() { &mut calls } else { &mut calls_of_tables };
        let own = node.raw_code.as_deref().is_some_and(calls.asks);
        if own || naming_asks || node.depends_on.macros.iter().any(|id| calls.lead(id)) {
            files.insert(node.original_file_path.clone());
        }
    }
    Ok(files.into_iter().collect())
}

fn asks(code: &str) -> bool {
    asks_the_clock(code) || mentions(code, &ASK_THE_SERVER)
}

fn asks_the_clock(code: &str) -> bool {
    mentions(code, &ASK_THE_CLOCK)
}

/// Whether one of these names is in the Jinja of a text, as a whole word and not quoted.
fn mentions(code: &str, names: &[&str]) -> bool {
    let ends = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let begins = |text: &str| !text.ends_with(|c: char| c.is_alphanumeric() || "_'\"".contains(c));
    let is_pure = |text: &str| PURE.iter().any(|pure| text.strip_prefix(pure).is_some_and(ends));
    jinja(code).any(|code| {
        names.iter().any(|name| {
            let mut places = code.match_indices(name).map(|(at, _)| (&code[..at], &code[at..]));
            places.any(|(before, text)| begins(before) && ends(&text[name.len()..]) && !is_pure(text))
        })
    })
}

/// The expressions and statements in a text.
fn jinja(code: &str) -> impl Iterator<Item = &str> {
    ["{{", "{%"].into_iter().flat_map(|open| code.split(open).skip(1)).map(|text| {
        // Too much of it only costs a compilation: an end inside a quoted text is none.
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

/// Which macros lead to a text that asks, directly or through others.
#[derive(Clone)]
struct Calls<'a> {
    manifest: &'a Manifest,
    asks: fn(&str) -> bool,
    known: BTreeMap<&'a str, bool>,
}

impl Calls<'_> {
    fn lead(&mut self, id: &str) -> bool {
        let Some((id, called)) = self.manifest.macros.get_key_value(id) else { return false };
        if let Some(known) = self.known.get(id.as_str()) {
            return *known;
        }
        // Macros that call each other end here.
        self.known.insert(id, false);
        let asks = (self.asks)(&called.sql) || called.depends_on.macros.iter().any(|id| self.lead(id));
        self.known.insert(id, asks);
        asks
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
    fn a_question_to_the_server_or_the_clock_is_found_wherever_it_is_asked() {
        let none: Vec<String> = Vec::new();
        assert_eq!(unstable("select 1", &["macro.shop.pure"]), none);
        assert_eq!(unstable("select '{{ run_started_at }}'", &[]), ["models/view.sql"]);
        assert_eq!(unstable("{{ star() }}", &["macro.shop.star"]), ["models/view.sql"]);
        assert_eq!(unstable("{{ columns() }}", &["macro.shop.columns"]), ["models/view.sql"]);
        for asks in [
            "{% set r = adapter.execute('select 1', fetch=true) %}",
            "{% set a = adapter %}{{ a.get_relation('a', 'b', 'c') }}",
            "{{ modules['datetime'].datetime.now() }}",
            "{% set m = modules %}{{ m.datetime.datetime.now() }}",
            "{{ '}}' ~ run_query('select 1') }}",
            "{{ [1, 2]|random }}",
            "{{ lipsum() }}",
        ] {
            assert_eq!(unstable(asks, &[]), ["models/view.sql"], "{asks}");
        }
        for same in [
            "{{ adapter.dispatch('star')() }}{{ adapter.quote('a') }}",
            "{{ modules.re.match('a', 'b') }}",
            "select statement, random() from {{ ref('modules') }} as adapter",
            "{{ my_random_key }}",
        ] {
            assert_eq!(unstable(same, &[]), none, "{same}");
        }
    }

    /// Nothing of the plan is made of the SQL of a table, and its config cannot ask the server.
    #[test]
    fn the_sql_of_a_table_that_a_stream_table_reads_may_ask_the_server() {
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
