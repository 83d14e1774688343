//! Who reads whom among the nodes of a dbt project.

use std::collections::BTreeSet;

use super::{
    intermediate::is_view,
    manifest::{Manifest, Node as Written},
    text::Text,
};
use crate::model::Relation;

/// The models, seeds and snapshots of a project with what reads them.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    exposures: Vec<(Exposure, Vec<usize>)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    id: String,
    /// How a model is materialized; of other nodes their type.
    kind: String,
    relation: Relation,
    parents: Vec<usize>,
    children: Vec<usize>,
}

/// What a dbt project has downstream of a stream table, beside stream tables.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Readers {
    /// Views, tables and other models, each with its kind.
    pub models: Vec<(Relation, String)>,
    /// Exposures.
    pub exposures: Vec<Exposure>,
}

/// Something outside of dbt that reads its models, by the project's own word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposure {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
}

impl Graph {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let nodes: Vec<(&str, &Written)> = manifest
            .nodes
            .iter()
            .filter(|(_, node)| ["model", "seed", "snapshot"].contains(&&*node.resource_type))
            .map(|(id, node)| (&**id, node))
            .collect();
        // A manifest's nodes are read into a sorted map.
        let number = |id: &str| nodes.binary_search_by(|(other, _)| (*other).cmp(id)).ok();
        let known = |ids: &[Text]| -> Vec<usize> { ids.iter().filter_map(|id| number(id)).collect() };
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
            let reads = exposure.reads().filter_map(number).collect();
            (Exposure { owner: exposure.owner(), name: exposure.name }, reads)
        };
        graph.exposures = manifest.exposures().into_iter().map(exposure).collect();
        graph
    }

    /// The stream tables that a model reads, also through views and ephemeral models: those have no contents.
    pub(super) fn upstream_stream_tables(&self, id: &str) -> Vec<Relation> {
        self.above(id, |parent| parent.kind == "stream_table")
    }

    /// The nodes that a model reads and that dbt makes, stream tables left out: their unique_ids.
    pub(super) fn between(&self, id: &str) -> impl Iterator<Item = &str> {
        let above = self.above_any(id).into_iter().map(|at| &self.nodes[at]);
        let is_made = |node: &&Node| node.kind != "stream_table" && node.kind != "ephemeral";
        above.filter(is_made).map(|node| node.id.as_str())
    }

    /// What dbt makes, stream tables left out: each relation with the unique_id of its node.
    pub(super) fn made(&self) -> impl Iterator<Item = (&Relation, &str)> {
        let is_made = |node: &&Node| node.kind != "stream_table" && node.kind != "ephemeral";
        self.nodes.iter().filter(is_made).map(|node| (&node.relation, node.id.as_str()))
    }

    /// How the node is made, in dbt's word: a materialization, `seed` or `snapshot`.
    pub(super) fn kind(&self, id: &str) -> Option<&str> {
        self.number(id).map(|at| self.nodes[at].kind.as_str())
    }

    /// The parents of a kind, found through views and ephemeral models.
    fn above(&self, id: &str, wanted: impl Fn(&Node) -> bool) -> Vec<Relation> {
        let above = self.above_any(id).into_iter().map(|at| &self.nodes[at]);
        let relations: BTreeSet<Relation> =
            above.filter(|node| wanted(node)).map(|node| node.relation.clone()).collect();
        relations.into_iter().collect()
    }

    /// All parents, also through views and ephemeral models.
    fn above_any(&self, id: &str) -> BTreeSet<usize> {
        let Some(start) = self.number(id) else { return BTreeSet::new() };
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

    /// What stands downstream of a node, stream tables left out: those are in the plan themselves.
    pub fn readers(&self, id: &str) -> Readers {
        let Some(start) = self.number(id) else { return Readers::default() };
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

    /// Where each of its nodes is, or would be.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.nodes.iter().map(|node| &node.relation)
    }

    /// What dbt makes under a name, in its word for it; `None` for nothing and for a stream table.
    pub fn kind_of(&self, relation: &Relation) -> Option<&str> {
        let node = self.nodes.iter().find(|node| node.relation == *relation)?;
        Some(node.kind.as_str()).filter(|kind| !["stream_table", "ephemeral"].contains(kind))
    }

    /// The schemas that its models are in, or would be.
    pub fn schemas_of_models(&self) -> impl Iterator<Item = &str> {
        let models = self.nodes.iter().filter(|node| node.kind != "seed" && node.kind != "snapshot");
        models.map(|node| node.relation.schema.as_str())
    }

    /// Where its stream tables are, or would be.
    pub fn stream_tables(&self) -> impl Iterator<Item = &Relation> {
        self.nodes.iter().filter(|node| node.kind == "stream_table").map(|node| &node.relation)
    }

    /// These nodes, and what has to be made for them to be made: everything upstream, up to what is there.
    pub fn needed(&self, ids: &BTreeSet<String>, is_there: impl Fn(&Relation) -> bool) -> BTreeSet<String> {
        let mut needed: BTreeSet<usize> = ids.iter().filter_map(|id| self.number(id)).collect();
        let mut open: Vec<usize> = needed.iter().copied().collect();
        while let Some(at) = open.pop() {
            let parents = self.nodes[at].parents.iter().copied();
            open.extend(
                parents.filter(|parent| !is_there(&self.nodes[*parent].relation) && needed.insert(*parent)),
            );
        }
        needed.into_iter().map(|at| self.nodes[at].id.clone()).collect()
    }

    fn number(&self, id: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok()
    }
}

impl Node {
    fn of(id: &str, node: &Written, parents: Vec<usize>) -> Self {
        let is_model = node.resource_type == "model";
        let kind = if is_model { &node.config.materialized } else { &node.resource_type };
        let relation = if node.is_stream_table() { node.relation() } else { node.plain_relation() };
        Self { id: id.to_owned(), kind: kind.to_string(), relation, parents, children: Vec::new() }
    }
}
