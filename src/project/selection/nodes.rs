//! The nodes of a manifest with every field that a selector needs. They are read only for a selection.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};

use crate::project::text::{Text, or_default};

#[derive(Deserialize)]
pub(super) struct Nodes<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow, rename = "nodes")]
    parsed: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(borrow, default)]
    sources: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(skip)]
    pub(super) others: UnbuiltSections<'a>,
}

/// The sections that dbt builds nothing of. They count for a selector that asks for parents, for what is exposed or for
/// what changed.
#[derive(Deserialize, Default)]
pub(super) struct UnbuiltSections<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    exposures: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    metrics: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    semantic_models: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    saved_queries: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) macros: BTreeMap<Text<'a>, Macro<'a>>,
}

#[derive(Deserialize, Default)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) project_name: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Macro<'a> {
    #[serde(borrow, default)]
    pub(super) macro_sql: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) depends_on: DependsOn<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct DependsOn<'a> {
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) nodes: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) macros: Vec<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Node<'a> {
    #[serde(borrow, default)]
    pub(super) resource_type: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) source_name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) package_name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) original_file_path: Text<'a>,
    #[serde(borrow, default)]
    pub(super) patch_path: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) fqn: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) tags: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) access: Option<Text<'a>>,
    #[serde(default)]
    pub(super) version: Option<Json>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) depends_on: DependsOn<'a>,
    #[serde(borrow, default)]
    pub(super) config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) raw_code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) checksum: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) unrendered_config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) description: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) columns: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) contract: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) latest_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) deprecation_date: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) database: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) identifier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) quoting: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) freshness: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) loaded_at_field: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) external: Option<&'a RawValue>,
}

pub(super) type Ids<'a> = BTreeSet<&'a str>;

impl Node<'_> {
    /// Whether dbt builds the node: a model, seed or snapshot.
    pub(super) fn is_built(&self) -> bool {
        matches!(self.resource_type.as_ref(), "model" | "seed" | "snapshot")
    }

    /// A selector that matches only this node: its fqn and its file's name. The fqn alone also matches a folder of the
    /// same name.
    pub(super) fn exact_name(&self) -> String {
        let file = self.original_file_path.rsplit('/').next().unwrap_or_default();
        format!("fqn:{},file:{file}", self.fqn.join("."))
    }
}

impl<'a> Nodes<'a> {
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Node<'a>)> {
        let groups = [
            &self.parsed,
            &self.sources,
            &self.others.exposures,
            &self.others.metrics,
            &self.others.semantic_models,
            &self.others.saved_queries,
        ];
        groups.into_iter().flatten().map(|(id, node)| (id.as_ref(), node))
    }

    pub(super) fn get(&self, id: &str) -> Option<&Node<'a>> {
        self.parsed.get(id).or_else(|| self.sources.get(id))
    }
}
