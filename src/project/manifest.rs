//! The parts of dbt's `manifest.json` that matter, borrowed from its bytes. Every field that some dbt version leaves
//! out has a default; what is not named here is skipped without being built.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::Deserialize;
use serde_json::{Map, Value as Json, value::RawValue};

use crate::model::{Origin, Relation};

#[derive(Deserialize)]
pub(super) struct SchemaProbe {
    #[serde(default)]
    pub(super) metadata: SchemaVersion,
}

#[derive(Deserialize, Default)]
pub(super) struct SchemaVersion {
    #[serde(default)]
    pub(super) dbt_schema_version: String,
}

#[derive(Deserialize)]
pub(super) struct Manifest<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(super) nodes: BTreeMap<Cow<'a, str>, Node<'a>>,
    #[serde(borrow, default)]
    sources: BTreeMap<Cow<'a, str>, Source<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) project_name: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Node<'a> {
    #[serde(borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    alias: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) package_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) original_file_path: Cow<'a, str>,
    #[serde(borrow)]
    config: &'a RawValue,
    #[serde(borrow, default)]
    depends_on: DependsOn<'a>,
    #[serde(borrow, default)]
    pub(super) compiled_code: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "attached_node")]
    attached_to: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct DependsOn<'a> {
    #[serde(borrow, default)]
    nodes: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    identifier: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Materialized<'a> {
    #[serde(borrow, default)]
    materialized: Option<Cow<'a, str>>,
}

impl Node<'_> {
    fn materialized(&self) -> String {
        let config: Result<Materialized, _> = serde_json::from_str(self.config.get());
        config.ok().and_then(|c| c.materialized).unwrap_or_default().into_owned()
    }

    pub(super) fn is_stream_table(&self) -> bool {
        self.resource_type == "model" && self.materialized() == "stream_table"
    }

    /// The whole config, read only where it is needed: most nodes of a manifest are tests and plain models.
    pub(super) fn config(&self) -> Map<String, Json> {
        serde_json::from_str(self.config.get()).unwrap_or_default()
    }
}

/// `config.meta.pgtrickle`.
pub(super) fn pgtrickle_meta(config: &Map<String, Json>) -> Option<&Map<String, Json>> {
    config.get("meta")?.get("pgtrickle")?.as_object()
}

impl Manifest<'_> {
    /// Where a model's stream table is: dbt's schema and alias, unless the model names them itself.
    pub(super) fn relation_of(node: &Node, config: &Map<String, Json>) -> Relation {
        let own = |key: &str| {
            let value = pgtrickle_meta(config).and_then(|ours| ours.get(key)).or_else(|| config.get(key));
            value.and_then(Json::as_str).map(ToOwned::to_owned)
        };
        Relation {
            schema: own("stream_table_schema").unwrap_or_else(|| node.schema.to_string()),
            name: own("stream_table_name")
                .unwrap_or_else(|| node.alias.as_ref().unwrap_or(&node.name).to_string()),
        }
    }

    /// The stream tables that a model reads, also through views and ephemeral models: those have no contents.
    pub(super) fn upstream_stream_tables(&self, node: &Node) -> Vec<Relation> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = node.depends_on.nodes.iter().map(AsRef::as_ref).collect();
        while let Some(id) = open.pop() {
            let Some(parent) = self.nodes.get(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            if parent.is_stream_table() {
                found.insert(Self::relation_of(parent, &parent.config()));
            } else if matches!(parent.materialized().as_str(), "view" | "ephemeral") {
                open.extend(parent.depends_on.nodes.iter().map(AsRef::as_ref));
            }
        }
        found.into_iter().collect()
    }

    /// The sources that models read, with the models' files.
    pub(super) fn sources_read(&self) -> BTreeMap<Relation, BTreeSet<String>> {
        let mut read: BTreeMap<Relation, BTreeSet<String>> = BTreeMap::new();
        for node in self
            .nodes
            .values()
            .filter(|node| node.resource_type == "model" || node.resource_type == "snapshot")
        {
            for source in node.depends_on.nodes.iter().filter_map(|id| self.sources.get(id.as_ref())) {
                let relation = Relation::new(source.schema.as_ref(), source.identifier.as_ref());
                read.entry(relation).or_default().insert(node.original_file_path.to_string());
            }
        }
        read
    }

    /// Where each test belongs: the file of the model it is attached to, else its own.
    pub(super) fn tests(&self) -> BTreeMap<String, Origin> {
        let is_test = |node: &Node| node.resource_type == "test" || node.resource_type == "unit_test";
        self.nodes
            .iter()
            .filter(|(_, node)| is_test(node))
            .map(|(id, node)| {
                let model = node.attached_to.as_ref().and_then(|id| Some((id, self.nodes.get(id.as_ref())?)));
                let (unique_id, file) = match model {
                    Some((id, model)) => (id.as_ref(), &model.original_file_path),
                    None => (id.as_ref(), &node.original_file_path),
                };
                (id.to_string(), Origin { unique_id: unique_id.to_owned(), file: file.to_string() })
            })
            .collect()
    }
}
