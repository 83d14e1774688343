//! What is known of stream tables before dbt compiles the project.

use std::collections::BTreeSet;

use super::{
    Error, Project,
    graph::Graph,
    manifest::{Manifest, Source},
    parse,
};
use crate::model::{Relation, Setting, Settings, StreamTable};

/// A stream table whose query is not known yet.
#[derive(Clone, Debug, PartialEq)]
pub struct UncompiledTable {
    /// Without its query.
    pub table: StreamTable,
    /// The sources that it reads, directly or through views and ephemeral models.
    pub sources: BTreeSet<Relation>,
}

impl Project {
    /// Reads the stream tables of these models, or of all.
    pub fn read_uncompiled_tables(
        file: &str,
        bytes: &[u8],
        ids: Option<&BTreeSet<String>>,
    ) -> Result<Vec<UncompiledTable>, Error> {
        let manifest = parse(file, bytes)?;
        let graph = Graph::of(&manifest);
        let nodes = manifest.nodes.iter().filter(|(id, node)| {
            manifest.is_own_stream_table(node) && ids.is_none_or(|ids| ids.contains(&***id))
        });
        let table = |(id, node): (&str, &super::Node)| UncompiledTable {
            table: StreamTable {
                relation: node.relation(),
                query: String::new(),
                settings: settings(node),
                upstream: Vec::new(),
                columns: None,
                origin: None,
            },
            sources: sources(&manifest, &graph, id),
        };
        Ok(nodes.map(|(id, node)| table((&**id, node))).collect())
    }
}

/// The settings that the model sets. The parsed project was checked for wrong ones.
fn settings(node: &super::Node) -> Settings {
    let keys = &node.configured().keys;
    let read = |setting: &Setting| Some((*setting, setting.read(keys.get(setting.name())?).ok()??));
    Setting::ALL.iter().filter_map(read).collect()
}

fn sources(manifest: &Manifest, graph: &Graph, id: &str) -> BTreeSet<Relation> {
    let nodes = graph.with_views(id).into_iter().filter_map(|id| manifest.nodes.get(id));
    let read = nodes.flat_map(|node| node.depends_on.nodes.iter());
    read.filter_map(|id| manifest.sources.get(&**id)).map(Source::relation).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_are_found_through_views_and_ephemeral_models_and_not_through_tables() {
        let model = |name: &str, kind: &str, reads: &[&str]| {
            json!({
                "resource_type": "model", "name": name, "schema": "marts", "package_name": "shop",
                "original_file_path": format!("models/{name}.sql"), "depends_on": {"nodes": reads},
                "config": {"materialized": kind, "meta": {"pgtrickle": {"refresh_mode": "immediate"}}},
            })
        };
        let source = |name: &str| json!({"schema": "raw", "name": name, "identifier": name});
        let manifest = json!({
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"
            },
            "nodes": {
                "model.shop.t": model("t", "stream_table", &["source.shop.raw.a", "model.shop.v", "model.shop.b"]),
                "model.shop.u": model("u", "stream_table", &[]),
                "model.shop.v": model("v", "view", &["model.shop.e"]),
                "model.shop.e": model("e", "ephemeral", &["source.shop.raw.c"]),
                "model.shop.b": model("b", "table", &["source.shop.raw.d"]),
            },
            "sources": {
                "source.shop.raw.a": source("a"), "source.shop.raw.c": source("c"), "source.shop.raw.d": source("d"),
            },
        });
        let ids = BTreeSet::from(["model.shop.t".to_owned(), "model.shop.v".to_owned()]);
        let read = Project::read_uncompiled_tables("m.json", manifest.to_string().as_bytes(), Some(&ids));
        let [UncompiledTable { table, sources }] = &read.unwrap()[..] else { panic!("one is selected") };
        assert_eq!(table.relation, Relation::new("marts", "t"));
        assert_eq!(table.settings.refresh_mode(), Some("IMMEDIATE"));
        assert_eq!(*sources, BTreeSet::from([Relation::new("raw", "a"), Relation::new("raw", "c")]));
    }
}
