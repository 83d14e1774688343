//! Which nodes a criterion matches.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    criterion::{Criterion, Depth, Method, matches_fqn},
    nodes::{Ids, Node, Nodes},
    state::States,
    wildcard,
};
use crate::project::text::Text;

impl Node<'_> {
    fn has_config(&self, keys: &[String], wanted: &str) -> bool {
        let config: Json = super::json(self.config);
        let value = keys.iter().try_fold(&config, |value, key| value.get(key));
        let is = |value: &Json| match value {
            Json::String(text) => text == wanted,
            Json::Bool(flag) => wanted.eq_ignore_ascii_case(&flag.to_string()),
            Json::Null | Json::Number(_) | Json::Array(_) | Json::Object(_) => false,
        };
        value.is_some_and(|value| value.as_array().map_or_else(|| is(value), |values| values.iter().any(is)))
    }
}

impl<'a> Nodes<'a> {
    /// The nodes that a criterion matches, with the parents and children that it includes.
    pub(super) fn matching(&self, criterion: &Criterion, states: Option<&States>) -> Ids<'_> {
        let is_match = |id: &str, node: &Node| self.is_match(criterion, id, node, states);
        let found: Ids = self.all().filter(|(id, node)| is_match(id, node)).map(|(id, _)| id).collect();
        let mut all = found.clone();
        if criterion.childrens_parents {
            let children = neighbourhood(&found, Depth::MAX, &self.children());
            all.extend(neighbourhood(&children, Depth::MAX, &self.parents()));
        }
        if criterion.parents > 0 {
            all.extend(neighbourhood(&found, criterion.parents, &self.parents()));
        }
        if criterion.children > 0 {
            all.extend(neighbourhood(&found, criterion.children, &self.children()));
        }
        all
    }

    fn is_match(&self, criterion: &Criterion, id: &str, node: &Node, states: Option<&States>) -> bool {
        let value = criterion.value.as_str();
        let like = |text: &str| wildcard::matches(value, text);
        let is_source = node.resource_type == "source";
        match &criterion.method {
            Method::Fqn => {
                let fqn: Vec<&str> = node.fqn.iter().map(AsRef::as_ref).collect();
                !is_source && matches_fqn(&fqn, node.version.is_some(), value)
            }
            Method::Tag => node.tags.iter().any(|tag| like(tag)),
            Method::Path => {
                let described = node.patch_path.as_deref().and_then(|path| path.split_once("://"));
                wildcard::matches_path(value, &node.original_file_path)
                    || described.is_some_and(|(_, file)| file == value)
            }
            Method::File => {
                let name = node.original_file_path.rsplit('/').next().unwrap_or_default();
                like(name) || name.rsplit_once('.').is_some_and(|(stem, _)| like(stem))
            }
            Method::Package if value == "this" => node.package_name == self.metadata.project_name,
            Method::Package => like(&node.package_name),
            Method::Config(keys) => node.has_config(keys, value),
            Method::Access => node.access.as_deref() == Some(value),
            Method::Group => {
                let config: Json = super::json(node.config);
                config.get("group").and_then(Json::as_str).is_some_and(like)
            }
            Method::ResourceType => node.resource_type == value,
            Method::Source => {
                is_source && names_match([&node.package_name, &node.source_name, &node.name], value)
            }
            Method::Exposure => {
                node.resource_type == "exposure" && names_match([&node.package_name, &node.name], value)
            }
            Method::State => states.is_some_and(|states| states.is_in_state(value, id, node)),
        }
    }

    fn parents(&self) -> BTreeMap<&str, Vec<&str>> {
        let ids: Ids = self.all().map(|(id, _)| id).collect();
        let known = |parent: &Text<'a>| ids.get(parent.as_ref()).copied();
        self.all().map(|(id, node)| (id, node.depends_on.nodes.iter().filter_map(known).collect())).collect()
    }

    fn children(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (child, parents) in self.parents() {
            for parent in parents {
                children.entry(parent).or_default().push(child);
            }
        }
        children
    }
}

/// These nodes and their neighbours up to `depth` edges away.
fn neighbourhood<'n>(start: &Ids<'n>, depth: Depth, next: &BTreeMap<&'n str, Vec<&'n str>>) -> Ids<'n> {
    let mut found = start.clone();
    let mut edge: Vec<&str> = start.iter().copied().collect();
    for _ in 0..depth {
        let reached = edge.iter().filter_map(|id| next.get(id)).flatten().copied();
        edge = reached.filter(|id| !found.contains(id)).collect();
        if edge.is_empty() {
            break;
        }
        found.extend(&edge);
    }
    found
}

/// Whether the dotted pattern matches the last of these names.
fn names_match<const N: usize>(names: [&str; N], pattern: &str) -> bool {
    let wanted: Vec<&str> = pattern.split('.').collect();
    // For a source, a single name is the source and not its table.
    let names =
        if wanted.len() == 1 && N == 3 { &names[1..2] } else { &names[N.saturating_sub(wanted.len())..] };
    wanted.len() == names.len()
        && wanted.iter().zip(names).all(|(wanted, name)| wildcard::matches(wanted, name))
}
