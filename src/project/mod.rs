//! What a dbt project wants: manifest bytes in, [`Project`] out.

mod declared;
mod graph;
mod manifest;
mod selection;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{AgeLimits, Origin, Relation, Schedule, Setting, Settings, StreamTable, Value},
    plan::order,
};
pub use declared::{Declared, DeclaredColumn, declared};
pub use graph::{Exposure, Graph, Readers};
use manifest::{Manifest, Node, Said};
pub use selection::{Selection, Selector, exact_names};

/// The oldest and the newest manifest schema that is understood: dbt 1.6 to 2.0.
const SCHEMAS: std::ops::RangeInclusive<u32> = 10..=12;

/// What a model may say below `meta.pgtrickle` beside the settings.
const OTHER_KEYS: [&str; 5] =
    ["stream_table_name", "stream_table_schema", "on_recreate", "freshness", "verify"];

/// A dbt project, as far as the gate cares.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Project {
    /// Its name in `dbt_project.yml`.
    pub name: String,
    /// Its stream tables.
    pub tables: Vec<StreamTable>,
    /// The source tables that its models read, with the models' files.
    pub sources: BTreeMap<Relation, BTreeSet<String>>,
    /// How old tables may be: what models say of themselves, and dbt sources of theirs.
    pub ages: BTreeMap<Relation, AgeLimits>,
    /// The stream tables whose models say `verify: false`.
    pub unverified: BTreeSet<Relation>,
    /// Where each of dbt's own tests is written, by its unique_id.
    pub tests: BTreeMap<String, Origin>,
    /// Who reads whom.
    pub graph: Graph,
    /// What the stream tables read that dbt makes anew at every run.
    pub remade: BTreeMap<Relation, Vec<Relation>>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Truncated, or no JSON at all.
    #[error("`{file}` is not a whole dbt manifest: {source}")]
    NotJson {
        /// The manifest.
        file: String,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// A schema that this version does not know.
    #[error(
        "`{file}` has the manifest schema `{schema}`, this version understands v10 to v12 (dbt 1.6 to 2.0)"
    )]
    Schema {
        /// The manifest.
        file: String,
        /// What it says of itself.
        schema: String,
    },
    /// dbt parsed the project but did not compile it.
    #[error("`{file}` has no compiled SQL for {}", models.join(", "))]
    NotCompiled {
        /// The manifest.
        file: String,
        /// The models without.
        models: Vec<String>,
    },
    /// Two manifests that have nothing to do with each other.
    #[error("`{file}` is a manifest of the project {other}, not of {name}")]
    OtherProject {
        /// The baseline.
        file: String,
        /// Its project.
        other: String,
        /// The project that it was to be compared with.
        name: String,
    },
    /// Models that no stream table can be made of; all of them at once.
    #[error("{} of the stream table models cannot be used:\n  {}", problems.len(), problems.join("\n  "))]
    Models {
        /// One line each, with the model's file.
        problems: Vec<String>,
    },
    /// Selectors that cannot be read; all of them at once.
    #[error("cannot select: {}", problems.join("\n  "))]
    Selector {
        /// One line each.
        problems: Vec<String>,
    },
    /// A selector asks what changed, and nobody said since when.
    #[error("cannot select by state: there is no manifest to compare with")]
    NoBaseline,
    /// A selector means no model at all.
    #[error("nothing is selected: no model is meant by {}", words.join(" "))]
    NothingSelected {
        /// What was typed.
        words: Vec<String>,
    },
}

impl Error {
    /// The next command to type.
    pub fn hint(&self) -> String {
        match self {
            Self::NotJson { .. } => "make it again: `dbt compile`".into(),
            Self::Schema { .. } => {
                "compile the project with a dbt between 1.6 and 2.0, or update pgtrickle-ci".into()
            }
            Self::OtherProject { .. } => "name a manifest of the same project: `--baseline FILE`".into(),
            Self::NotCompiled { .. } => "compile the project first: `dbt compile`".into(),
            Self::Models { .. } => "mend the `meta.pgtrickle` of these models, then `dbt compile`".into(),
            Self::Selector { .. } => {
                "dbt has the same words: `dbt ls --resource-type model --select …`".into()
            }
            Self::NoBaseline => "name one: `pgtrickle-ci plan --baseline FILE` or `--base-ref REF`".into(),
            Self::NothingSelected { .. } => "see what is there: `dbt ls --resource-type model`".into(),
        }
    }
}

impl Project {
    /// Reads a manifest.
    ///
    /// `file` is its name for messages. `compiled` finds the compiled SQL of a model whose manifest entry has lost
    /// it, as it does when another dbt command ran after the compilation; it gets the package and the model's path.
    pub fn read(
        file: &str,
        bytes: &[u8],
        compiled: impl Fn(&str, &str) -> Option<String>,
    ) -> Result<Self, Error> {
        let manifest = parse(file, bytes)?;
        let graph = Graph::of(&manifest);
        let mut reader = Reader {
            manifest: &manifest,
            graph: &graph,
            compiled,
            ages: manifest.ages_of_sources(),
            unverified: BTreeSet::new(),
            problems: Vec::new(),
            not_compiled: Vec::new(),
        };
        let tables = reader.tables();
        reader.find_cycles(&tables);
        let Reader { ages, unverified, problems, not_compiled, .. } = reader;
        if !problems.is_empty() {
            return Err(Error::Models { problems });
        }
        if !not_compiled.is_empty() {
            return Err(Error::NotCompiled { file: file.to_owned(), models: not_compiled });
        }
        let remade = |table: &StreamTable| {
            let relations = graph.remade(&table.origin.as_ref()?.unique_id);
            (!relations.is_empty()).then(|| (table.relation.clone(), relations))
        };
        Ok(Self {
            sources: sources_read(&manifest, None),
            tests: manifest.tests(),
            remade: tables.iter().filter_map(remade).collect(),
            ages,
            unverified,
            tables,
            name: manifest.metadata.project_name.to_string(),
            graph,
        })
    }

    /// The same project with its files named from where the project's folder is named: what shows a file to a person
    /// looks for it in the repository, of which the dbt project may be a part.
    #[must_use]
    pub fn with_files_below(mut self, dir: &str) -> Self {
        let dir = dir.trim_start_matches("./").trim_end_matches('/');
        if dir.is_empty() || dir == "." {
            return self;
        }
        let origins = self.tables.iter_mut().filter_map(|table| table.origin.as_mut());
        for origin in origins.chain(self.tests.values_mut()) {
            origin.file = format!("{dir}/{}", origin.file);
        }
        self
    }

    /// Reads only what is there before compilation: the sources that these models read, or all of them.
    pub fn read_sources(
        file: &str,
        bytes: &[u8],
        models: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<Relation, BTreeSet<String>>, Error> {
        Ok(sources_read(&parse(file, bytes)?, models))
    }

    /// Reads only who reads whom, which is there before compilation as well.
    pub fn read_graph(file: &str, bytes: &[u8]) -> Result<Graph, Error> {
        Ok(Graph::of(&parse(file, bytes)?))
    }

    /// The same project with these models' stream tables alone; whole where nothing was selected.
    #[must_use]
    pub fn only(mut self, ids: Option<&BTreeSet<String>>) -> Self {
        let Some(ids) = ids else { return self };
        self.tables
            .retain(|table| table.origin.as_ref().is_some_and(|origin| ids.contains(&origin.unique_id)));
        self
    }
}

/// Reads the bytes once. Only what cannot be read is looked at again: a manifest of the future may have other shapes,
/// and is not to be taken for a broken one.
fn parse<'a>(file: &str, bytes: &'a [u8]) -> Result<Manifest<'a>, Error> {
    let not_json = |source| Error::NotJson { file: file.to_owned(), source };
    let read: Result<Manifest, _> = serde_json::from_slice(bytes);
    match read {
        Ok(manifest) => {
            check_schema(file, &manifest.metadata.dbt_schema_version)?;
            Ok(manifest)
        }
        Err(source) => {
            let probe: manifest::SchemaProbe = serde_json::from_slice(bytes).map_err(not_json)?;
            check_schema(file, &probe.metadata.dbt_schema_version)?;
            Err(not_json(source))
        }
    }
}

fn check_schema(file: &str, schema: &str) -> Result<(), Error> {
    let version = schema
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_prefix('v')?.strip_suffix(".json")?.parse().ok());
    match version {
        Some(version) if SCHEMAS.contains(&version) && schema.contains("/manifest/") => Ok(()),
        _ => Err(Error::Schema { file: file.to_owned(), schema: schema.to_owned() }),
    }
}

/// The sources that models read, with the models' files.
fn sources_read(
    manifest: &Manifest,
    models: Option<&BTreeSet<String>>,
) -> BTreeMap<Relation, BTreeSet<String>> {
    let mut read: BTreeMap<Relation, BTreeSet<String>> = BTreeMap::new();
    let reads = |node: &Node| node.resource_type == "model" || node.resource_type == "snapshot";
    let is_meant = |id: &str| models.is_none_or(|models| models.contains(id));
    for (_, node) in manifest.nodes.iter().filter(|(id, node)| reads(node) && is_meant(id)) {
        for source in node.depends_on.nodes.iter().filter_map(|id| manifest.sources.get(id.as_ref())) {
            read.entry(source.relation()).or_default().insert(manifest.file(node));
        }
    }
    read
}

struct Reader<'a, F> {
    manifest: &'a Manifest<'a>,
    graph: &'a Graph,
    compiled: F,
    ages: BTreeMap<Relation, AgeLimits>,
    unverified: BTreeSet<Relation>,
    problems: Vec<String>,
    not_compiled: Vec<String>,
}

impl<F: Fn(&str, &str) -> Option<String>> Reader<'_, F> {
    fn tables(&mut self) -> Vec<StreamTable> {
        let mut named: BTreeMap<Relation, String> = BTreeMap::new();
        let mut tables = Vec::new();
        for (id, node) in self.manifest.nodes.iter().filter(|(_, node)| node.is_stream_table()) {
            let said = node.said();
            let relation = node.relation(&said);
            if let Some(other) = named.insert(relation.clone(), self.manifest.file(node)) {
                self.problem(node, format!("{relation} is the stream table of `{other}`, too"));
            }
            tables.extend(self.table(id, node, relation, &said));
        }
        tables
    }

    /// One model; what is wrong with it is noted.
    fn table(&mut self, id: &str, node: &Node, relation: Relation, said: &Said) -> Option<StreamTable> {
        if let Some(problem) = relation.unfit_for_a_stream_table() {
            self.problem(node, problem);
        }
        match said.all.get("freshness").map(AgeLimits::read) {
            Some(Ok(Some(limits))) => drop(self.ages.insert(relation.clone(), limits)),
            Some(Err(problem)) => self.problem(node, problem),
            Some(Ok(None)) | None => {}
        }
        match said.all.get("verify").map(|value| (value, value.as_bool())) {
            Some((_, Some(false))) => drop(self.unverified.insert(relation.clone())),
            Some((value, None)) => {
                self.problem(node, format!("verify: `{value}` is neither true nor false"));
            }
            Some((_, Some(true))) | None => {}
        }
        let settings = self.settings(node, said);
        let Some(query) = self.query(node) else {
            self.not_compiled.push(node.name.to_string());
            return None;
        };
        Some(StreamTable {
            relation,
            query,
            settings,
            upstream: self.graph.upstream_stream_tables(id),
            columns: None,
            origin: Some(Origin { unique_id: id.to_owned(), file: self.manifest.file(node) }),
        })
    }

    /// The engine makes no table before what it reads.
    fn find_cycles(&mut self, tables: &[StreamTable]) {
        let Err(members) = order::topological(&tables.iter().collect::<Vec<_>>()) else { return };
        for table in tables.iter().filter(|table| members.contains(&table.relation)) {
            let read: Vec<String> =
                table.upstream.iter().filter(|up| members.contains(up)).map(ToString::to_string).collect();
            let file = table.origin.as_ref().map(|origin| origin.file.as_str()).unwrap_or_default();
            let circle = format!(
                "{file}: {} stands in or behind a circle, it reads {}",
                table.relation,
                read.join(", ")
            );
            self.problems.push(circle);
        }
    }

    fn query(&self, node: &Node) -> Option<String> {
        let text =
            node.compiled_code().or_else(|| (self.compiled)(&node.package_name, &node.original_file_path))?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn settings(&mut self, node: &Node, said: &Said) -> Settings {
        for key in &said.unknown {
            self.problem(node, format!("meta.pgtrickle has no key `{key}`"));
        }
        let mut settings = default_settings();
        for setting in Setting::ALL {
            let Some(json) = said.all.get(setting.name()) else {
                continue;
            };
            match setting.read(json) {
                Ok(Some(value)) => settings.set(setting, value),
                Ok(None) => {}
                Err(problem) => self.problem(node, problem),
            }
        }
        settings
    }

    fn problem(&mut self, node: &Node, text: String) {
        self.problems.push(format!("{}: {text}", self.manifest.file(node)));
    }
}

/// What a model without a word gets; the materialization has the same (`pgtrickle_known_settings`).
fn default_settings() -> Settings {
    Settings::from_iter([
        (Setting::Schedule, Value::Schedule(Schedule::Every(60))),
        (Setting::RefreshMode, Value::Text("DIFFERENTIAL".into())),
        (Setting::Temporal, Value::Bool(false)),
        (Setting::StorageBackend, Value::Text("heap".into())),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    /// A manifest with these nodes and sources, as dbt 1.11 writes it.
    fn manifest(nodes: &Json, sources: &Json) -> Vec<u8> {
        json!({
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
                "project_name": "shop",
            },
            "nodes": nodes,
            "sources": sources,
            "macros": {"macro.dbt.x": {"anything": [1, 2]}},
        })
        .to_string()
        .into_bytes()
    }

    fn model(name: &str, materialized: &str, depends_on: &[&str], meta: &Json) -> Json {
        json!({
            "resource_type": "model", "name": name, "alias": name, "schema": "analytics", "package_name": "shop",
            "original_file_path": format!("models/{name}.sql"),
            "config": {"materialized": materialized, "meta": {"pgtrickle": meta}},
            "depends_on": {"nodes": depends_on},
            "compiled_code": format!("\nselect 1 as {name}\n"),
        })
    }

    fn read(nodes: &Json) -> Result<Project, Error> {
        Project::read("manifest.json", &manifest(nodes, &json!({})), |_, _| None)
    }

    #[test]
    fn a_stream_table_is_read_with_its_settings_over_the_defaults() {
        let project = read(&json!({
            "model.shop.totals": model("totals", "stream_table", &[], &json!({"schedule": "5m", "tier": "cold", "stream_table_name": "t2"})),
            "model.shop.plain": model("plain", "table", &[], &json!({})),
        }))
        .unwrap();
        assert_eq!(project.name, "shop");
        let [table] = &project.tables[..] else { panic!("{project:?}") };
        assert_eq!(table.relation, Relation::new("analytics", "t2"));
        assert_eq!(table.query, "select 1 as totals");
        assert_eq!(table.settings.schedule(), Some(&Schedule::Every(300)));
        assert_eq!(table.settings.refresh_mode(), Some("DIFFERENTIAL"));
        assert_eq!(table.settings.get(Setting::Tier), Some(&Value::Text("cold".into())));
        assert_eq!(table.origin.as_ref().unwrap().file, "models/totals.sql");
        for (dir, file) in [
            (".", "models/totals.sql"),
            ("./", "models/totals.sql"),
            ("./dbt/shop/", "dbt/shop/models/totals.sql"),
        ] {
            assert_eq!(project.clone().with_files_below(dir).tables[0].origin.as_ref().unwrap().file, file);
        }
    }

    #[test]
    fn upstream_reaches_through_views_and_ephemeral_models_but_not_through_tables() {
        let project = read(&json!({
            "model.shop.base": model("base", "stream_table", &[], &json!({})),
            "model.shop.v": model("v", "view", &["model.shop.base"], &json!({})),
            "model.shop.e": model("e", "ephemeral", &["model.shop.v"], &json!({})),
            "model.shop.t": model("t", "table", &["model.shop.base"], &json!({})),
            "model.shop.far": model("far", "stream_table", &["model.shop.e"], &json!({})),
            "model.shop.cut": model("cut", "stream_table", &["model.shop.t"], &json!({})),
        }))
        .unwrap();
        let upstream =
            |name: &str| project.tables.iter().find(|t| t.relation.name == name).unwrap().upstream.clone();
        assert_eq!(upstream("far"), [Relation::new("analytics", "base")]);
        assert_eq!(upstream("cut"), []);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_the_files() {
        let error = read(&json!({
            "model.shop.a": model("a", "stream_table", &[], &json!({"shedule": "1m", "refresh_mode": "SOMETIMES"})),
            "model.shop.B": model("B", "stream_table", &[], &json!({"schedule": "banana"})),
            "model.shop.c": model("c", "stream_table", &[], &json!({"stream_table_name": "d"})),
            "model.shop.d": model("d", "stream_table", &[], &json!({})),
            "model.shop.e": model("e", "stream_table", &["model.shop.f"], &json!({"fuse_ceiling": 0})),
            "model.shop.f": model("f", "stream_table", &["model.shop.e"], &json!({})),
        }))
        .unwrap_err();
        let Error::Models { problems } = error else { panic!("{error}") };
        let all = problems.join("\n");
        for part in [
            "models/a.sql: meta.pgtrickle has no key `shedule`",
            "models/a.sql: refresh_mode is `SOMETIMES`",
            "models/B.sql: name `B`",
            "`banana`",
            "models/e.sql: fuse_ceiling is `0`, expected a whole number above 0",
            "models/e.sql: analytics.e stands in or behind a circle, it reads analytics.f",
            "models/f.sql: analytics.f stands in or behind a circle, it reads analytics.e",
            "models/d.sql: analytics.d is the stream table of `models/c.sql`, too",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
    }

    #[test]
    fn compiled_sql_that_the_manifest_lost_is_looked_for_and_never_taken_for_empty() {
        let mut node = model("a", "stream_table", &[], &json!({}));
        node.as_object_mut().unwrap().remove("compiled_code");
        let bytes = manifest(&json!({"model.shop.a": node}), &json!({}));
        let project =
            Project::read("m.json", &bytes, |package, path| Some(format!("select '{package} {path}'")))
                .unwrap();
        assert_eq!(project.tables[0].query, "select 'shop models/a.sql'");
        for lost in [None, Some(String::new())] {
            let error = Project::read("m.json", &bytes, |_, _| lost.clone()).unwrap_err();
            assert!(matches!(&error, Error::NotCompiled { models, .. } if models == &["a"]), "{error}");
        }
    }

    #[test]
    fn a_broken_manifest_and_one_of_the_future_are_told_apart() {
        let whole = manifest(&json!({}), &json!({}));
        let error = |bytes: &[u8]| Project::read("m.json", bytes, |_, _| None).unwrap_err();
        assert!(matches!(error(&whole[..whole.len() - 5]), Error::NotJson { .. }));
        assert!(matches!(error(b"<html>"), Error::NotJson { .. }));
        let future = String::from_utf8(whole).unwrap().replace("v12", "v13");
        assert!(matches!(error(future.as_bytes()), Error::Schema { schema, .. } if schema.contains("v13")));
        assert!(matches!(error(b"{\"some\": \"json\"}"), Error::Schema { .. }));
    }

    #[test]
    fn sources_are_listed_with_the_models_that_read_them() {
        let nodes = json!({
            "model.shop.a": model("a", "stream_table", &["source.shop.raw.orders"], &json!({})),
            "model.shop.b": model("b", "view", &["source.shop.raw.orders"], &json!({})),
        });
        let source = |name: &str| json!({"schema": "raw", "identifier": name, "name": name});
        let sources =
            json!({"source.shop.raw.orders": source("orders"), "source.shop.raw.unread": source("unread")});
        let read = Project::read_sources("m.json", &manifest(&nodes, &sources), None).unwrap();
        let files = BTreeSet::from(["models/a.sql".to_owned(), "models/b.sql".to_owned()]);
        assert_eq!(read, BTreeMap::from([(Relation::new("raw", "orders"), files)]));
    }
}
