//! Which models compile to other SQL when nothing in the project changed: they ask the server or the clock.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Error;

/// What makes the SQL depend on more than the project. A macro that holds one of these words may also use it for
/// something else: then dbt compiles once too often.
const WORDS: [&str; 12] = [
    "run_query",
    "statement",
    "load_result",
    "run_started_at",
    "invocation_id",
    "modules.datetime",
    "modules.pytz",
    "adapter.get_",
    "adapter.list_",
    "adapter.check_",
    "load_cached_relation",
    "| random",
];

/// Macros of dbt that decide where each model goes. No model names them.
const NAMING: [&str; 3] = ["generate_schema_name", "generate_alias_name", "generate_database_name"];

#[derive(Deserialize)]
struct Manifest {
    nodes: BTreeMap<String, Node>,
    #[serde(default)]
    macros: BTreeMap<String, Macro>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    resource_type: String,
    #[serde(default)]
    original_file_path: String,
    #[serde(default)]
    raw_code: Option<String>,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    depends_on: DependsOn,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    materialized: String,
}

#[derive(Deserialize)]
struct Macro {
    #[serde(default)]
    name: String,
    #[serde(default)]
    package_name: String,
    #[serde(default, rename = "macro_sql")]
    sql: String,
    #[serde(default)]
    depends_on: DependsOn,
}

#[derive(Default, Deserialize)]
struct DependsOn {
    #[serde(default)]
    macros: Vec<String>,
    #[serde(default)]
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
    let mut calls = Calls { manifest: &manifest, known: BTreeMap::new() };
    let naming_asks = naming.map(|(id, _)| id.clone()).collect::<Vec<_>>().iter().any(|id| calls.asks(id));
    let mut files = BTreeSet::new();
    for id in upstream_of_stream_tables(&manifest) {
        let node = &manifest.nodes[id];
        let own = node.raw_code.as_deref().is_some_and(mentions);
        if own || naming_asks || node.depends_on.macros.iter().any(|id| calls.asks(id)) {
            files.insert(node.original_file_path.clone());
        }
    }
    Ok(files.into_iter().collect())
}

fn mentions(code: &str) -> bool {
    WORDS.iter().any(|word| code.contains(word))
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
        if found.insert(id) {
            open.extend(node.depends_on.nodes.iter().map(String::as_str));
        }
    }
    found
}

/// Which macros lead to one of the words, directly or through others.
struct Calls<'a> {
    manifest: &'a Manifest,
    known: BTreeMap<&'a str, bool>,
}

impl Calls<'_> {
    fn asks(&mut self, id: &str) -> bool {
        let Some((id, called)) = self.manifest.macros.get_key_value(id) else { return false };
        if let Some(known) = self.known.get(id.as_str()) {
            return *known;
        }
        // Macros that call each other end here.
        self.known.insert(id, false);
        let asks = mentions(&called.sql) || called.depends_on.macros.iter().any(|id| self.asks(id));
        self.known.insert(id, asks);
        asks
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unstable(raw_code: &str, macros: &[&str]) -> Vec<String> {
        let node = |materialized: &str, code: &str, macros: &[&str], nodes: &[&str]| {
            json!({"resource_type": "model", "original_file_path": format!("models/{materialized}.sql"), "raw_code": code,
                   "config": {"materialized": materialized}, "depends_on": {"macros": macros, "nodes": nodes}})
        };
        let called = |name: &str, sql: &str, macros: &[&str]| json!({"name": name, "package_name": "shop", "macro_sql": sql, "depends_on": {"macros": macros}});
        let manifest = json!({
            "nodes": {
                "model.shop.st": node("stream_table", "select 1", &[], &["model.shop.v"]),
                "model.shop.v": node("view", raw_code, macros, &[]),
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
    }
}
