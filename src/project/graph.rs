//! The dependencies between the nodes of a dbt project.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    intermediate::is_view,
    manifest::{Manifest, Node as ManifestNode},
    text::Text,
};
use crate::model::{Relation, Shard, ShardNode, ShardShare};

/// The work for a stream table, compared with another node's.
const STREAM_TABLE: usize = 3;

/// The models, seeds and snapshots of a project with their readers.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    exposures: Vec<(Exposure, Vec<usize>)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    id: String,
    /// The materialization of a model, or the resource type of another node.
    kind: String,
    relation: Relation,
    parents: Vec<usize>,
    children: Vec<usize>,
}

/// The nodes of a dbt project that are downstream of a stream table, without stream tables.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Readers {
    /// Views, tables and other models, each with its materialization.
    pub models: Vec<(Relation, String)>,
    pub exposures: Vec<Exposure>,
}

/// A reader outside of dbt that the project declares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposure {
    pub name: String,
    pub owner: Option<String>,
}

impl Graph {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let nodes: Vec<(&str, &ManifestNode)> = manifest
            .nodes
            .iter()
            .filter(|(_, node)| ["model", "seed", "snapshot"].contains(&&*node.resource_type))
            .map(|(id, node)| (&**id, node))
            .collect();
        // The nodes come from a sorted map, so binary search works.
        let index_of = |id: &str| nodes.binary_search_by(|(other, _)| (*other).cmp(id)).ok();
        let known = |ids: &[Text]| -> Vec<usize> { ids.iter().filter_map(|id| index_of(id)).collect() };
        let mut graph = Self {
            nodes: nodes.iter().map(|(id, node)| Node::of(id, node, known(&node.depends_on.nodes))).collect(),
            exposures: Vec::new(),
        };
        for child in 0..graph.nodes.len() {
            for parent in graph.nodes[child].parents.clone() {
                graph.nodes[parent].children.push(child);
            }
        }
        let exposure = |exposure: super::manifest::Exposure| {
            let reads = exposure.reads().filter_map(index_of).collect();
            (Exposure { owner: exposure.owner(), name: exposure.name }, reads)
        };
        graph.exposures = manifest.exposures().into_iter().map(exposure).collect();
        graph
    }

    /// The stream tables that a model reads, directly or through views and ephemeral models.
    pub(super) fn upstream_stream_tables(&self, id: &str) -> Vec<Relation> {
        self.parents_matching(id, |parent| parent.kind == "stream_table")
    }

    /// The unique_ids of the relations that a model reads and that dbt creates, without stream tables.
    pub(super) fn between(&self, id: &str) -> impl Iterator<Item = &str> {
        let parents = self.parents(id).into_iter().map(|at| &self.nodes[at]);
        let is_created_by_dbt = |node: &&Node| node.kind != "stream_table" && node.kind != "ephemeral";
        parents.filter(is_created_by_dbt).map(|node| node.id.as_str())
    }

    /// A model, and the views and ephemeral models that it reads, also through others of them.
    pub(super) fn with_views<'a>(&'a self, id: &'a str) -> Vec<&'a str> {
        let parents = self.parents(id).into_iter().map(|at| &self.nodes[at]);
        let views = parents.filter(|parent| is_view(&parent.kind) || parent.kind == "ephemeral");
        std::iter::once(id).chain(views.map(|view| view.id.as_str())).collect()
    }

    /// The relations that dbt creates, without stream tables, each with the unique_id of its node.
    pub(super) fn created_by_dbt(&self) -> impl Iterator<Item = (&Relation, &str)> {
        let is_created_by_dbt = |node: &&Node| node.kind != "stream_table" && node.kind != "ephemeral";
        self.nodes.iter().filter(is_created_by_dbt).map(|node| (&node.relation, node.id.as_str()))
    }

    /// The materialization of a model, `seed` or `snapshot`.
    pub(super) fn kind(&self, id: &str) -> Option<&str> {
        self.index(id).map(|at| self.nodes[at].kind.as_str())
    }

    /// The relations of matching parents, found through views and ephemeral models.
    fn parents_matching(&self, id: &str, matches: impl Fn(&Node) -> bool) -> Vec<Relation> {
        let parents = self.parents(id).into_iter().map(|at| &self.nodes[at]);
        let relations: BTreeSet<Relation> =
            parents.filter(|node| matches(node)).map(|node| node.relation.clone()).collect();
        relations.into_iter().collect()
    }

    /// All parents, also those of views and ephemeral models among them.
    fn parents(&self, id: &str) -> BTreeSet<usize> {
        let Some(start) = self.index(id) else { return BTreeSet::new() };
        let mut seen = BTreeSet::new();
        let mut open = self.nodes[start].parents.clone();
        while let Some(at) = open.pop() {
            let parent = &self.nodes[at];
            if seen.insert(at) && (is_view(&parent.kind) || parent.kind == "ephemeral") {
                open.extend(&parent.parents);
            }
        }
        seen
    }

    /// The nodes downstream of a node, without stream tables: those have steps in the plan.
    pub fn readers(&self, id: &str) -> Readers {
        let Some(start) = self.index(id) else { return Readers::default() };
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            open.extend(self.nodes[at].children.iter().filter(|child| seen.insert(**child)));
        }
        let exposed = self.exposures.iter().filter(|(_, reads)| reads.iter().any(|at| seen.contains(at)));
        let exposures: BTreeSet<Exposure> = exposed.map(|(exposure, _)| exposure.clone()).collect();
        seen.remove(&start);
        let models = seen.iter().map(|at| &self.nodes[*at]);
        Readers {
            models: models
                .filter(|node| node.kind != "stream_table" && node.kind != "ephemeral")
                .map(|node| (node.relation.clone(), node.kind.clone()))
                .collect(),
            exposures: exposures.into_iter().collect(),
        }
    }

    /// The relations of all nodes, whether or not they exist.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.nodes.iter().map(|node| &node.relation)
    }

    /// The materialization or resource type of the node with this relation; `None` for a stream table.
    pub fn kind_of(&self, relation: &Relation) -> Option<&str> {
        let node = self.nodes.iter().find(|node| node.relation == *relation)?;
        Some(node.kind.as_str()).filter(|kind| !["stream_table", "ephemeral"].contains(kind))
    }

    /// The schemas of all models, whether or not they exist.
    pub fn schemas_of_models(&self) -> impl Iterator<Item = &str> {
        let models = self.nodes.iter().filter(|node| node.kind != "seed" && node.kind != "snapshot");
        models.map(|node| node.relation.schema.as_str())
    }

    /// The relations of these stream tables, or of all, whether or not they exist.
    pub fn stream_tables(&self, ids: Option<&BTreeSet<String>>) -> impl Iterator<Item = &Relation> {
        let is_selected = move |node: &&Node| ids.is_none_or(|ids| ids.contains(&node.id));
        let tables = self.nodes.iter().filter(|node| node.kind == "stream_table");
        tables.filter(is_selected).map(|node| &node.relation)
    }

    /// These nodes and everything upstream that does not exist yet.
    pub fn needed(&self, ids: &BTreeSet<String>, exists: impl Fn(&Relation) -> bool) -> BTreeSet<String> {
        let mut needed: BTreeSet<usize> = ids.iter().filter_map(|id| self.index(id)).collect();
        let mut open: Vec<usize> = needed.iter().copied().collect();
        while let Some(at) = open.pop() {
            let parents = self.nodes[at].parents.iter().copied();
            open.extend(
                parents.filter(|parent| !exists(&self.nodes[*parent].relation) && needed.insert(*parent)),
            );
        }
        needed.into_iter().map(|at| self.nodes[at].id.clone()).collect()
    }

    /// The nodes of a shard of these nodes, or of all, with how long relations took earlier.
    pub fn shard(
        &self,
        ids: Option<&BTreeSet<String>>,
        shard: Shard,
        durations: &BTreeMap<String, Duration>,
    ) -> (BTreeSet<String>, ShardShare) {
        let is_in = |at: &usize| ids.is_none_or(|ids| ids.contains(&self.nodes[*at].id));
        let chosen: Vec<usize> = (0..self.nodes.len()).filter(is_in).collect();
        let node = |at: &usize| {
            let node = &self.nodes[*at];
            ShardNode {
                name: node.id.clone(),
                weight: if node.kind == "stream_table" { STREAM_TABLE } else { 1 },
                took: durations.get(&node.relation.to_string()).copied(),
                reads: node.parents.iter().filter_map(|parent| chosen.binary_search(parent).ok()).collect(),
                definition: format!("{} {}", node.kind, node.relation),
            }
        };
        let nodes: Vec<ShardNode> = chosen.iter().map(node).collect();
        let (taken, whole) = shard.of(&nodes);
        (taken.into_iter().map(|at| nodes[at].name.clone()).collect(), whole)
    }

    fn index(&self, id: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok()
    }
}

impl Node {
    fn of(id: &str, node: &ManifestNode, parents: Vec<usize>) -> Self {
        let is_model = node.resource_type == "model";
        let kind = if is_model { &node.config.materialized } else { &node.resource_type };
        let relation = if node.is_stream_table() { node.relation() } else { node.plain_relation() };
        Self { id: id.to_owned(), kind: kind.to_string(), relation, parents, children: Vec::new() }
    }
}
