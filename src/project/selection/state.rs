//! What changed between two manifests, as dbt's `state:` defines it: code, unrendered configuration, relation,
//! persisted descriptions, contracts, and macros.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, value::RawValue};

use super::{
    json,
    nodes::{Node, Nodes},
};

/// Config keys that dbt compares elsewhere, or not at all.
const NOT_COMPARED: [&str; 4] = ["alias", "database", "group", "schema"];

pub(super) struct States<'a> {
    before: &'a Nodes<'a>,
    now: &'a Nodes<'a>,
    modified_macros: BTreeSet<&'a str>,
}

impl<'a> States<'a> {
    pub(super) fn between(before: &'a Nodes<'a>, now: &'a Nodes<'a>) -> Self {
        let differs = |id: &str| match (before.others.macros.get(id), now.others.macros.get(id)) {
            (Some(one), Some(other)) => !same(one.macro_sql, other.macro_sql),
            _ => true,
        };
        let ids = before.others.macros.keys().chain(now.others.macros.keys()).map(AsRef::as_ref);
        Self { before, now, modified_macros: ids.filter(|id| differs(id)).collect() }
    }

    /// Whether a node of the current manifest is in this state.
    pub(super) fn is_in_state(&self, state: &str, id: &str, node: &Node) -> bool {
        let before = self.before.get(id);
        let differs = |same: fn(&Node, &Node) -> bool| before.is_none_or(|before| !same(before, node));
        let is_source = node.resource_type == "source";
        match state {
            "new" => before.is_none(),
            "old" => before.is_some(),
            "modified" if is_source => before.is_some_and(|before| !same_source(before, node)),
            "modified" => differs(same_node) || self.uses_modified_macro(node),
            "unmodified" => !self.is_in_state("modified", id, node),
            "modified.macros" => self.uses_modified_macro(node),
            "modified.configs" => differs(same_config),
            "modified.relation" if is_source => differs(same_source_relation),
            _ if is_source => false,
            "modified.body" => differs(same_body),
            "modified.contract" => differs(same_contract),
            "modified.persisted_descriptions" => differs(same_persisted_descriptions),
            "modified.relation" => differs(same_relation),
            _ => false,
        }
    }

    fn uses_modified_macro(&self, node: &Node) -> bool {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = node.depends_on.macros.iter().map(AsRef::as_ref).collect();
        while let Some(id) = open.pop() {
            if self.modified_macros.contains(id) {
                return true;
            }
            if seen.insert(id.to_owned())
                && let Some(used) = self.now.others.macros.get(id)
            {
                open.extend(used.depends_on.macros.iter().map(AsRef::as_ref));
            }
        }
        false
    }
}

fn same_node(before: &Node, now: &Node) -> bool {
    same_body(before, now)
        && same_config(before, now)
        && same_persisted_descriptions(before, now)
        && before.fqn == now.fqn
        && same_relation(before, now)
        && same_contract(before, now)
        && same(before.latest_version, now.latest_version)
        && same(before.deprecation_date, now.deprecation_date)
        && before.access == now.access
}

fn same_body(before: &Node, now: &Node) -> bool {
    // A seed has no code. dbt's checksum of a large seed covers only its path.
    if now.resource_type == "seed" {
        same(before.checksum, now.checksum)
    } else {
        same(before.raw_code, now.raw_code)
    }
}

/// Compares the unrendered config, so that a different target is not a change.
fn same_config(before: &Node, now: &Node) -> bool {
    let read = |node: &Node| {
        let mut config: Map<String, Json> = json(node.unrendered_config);
        config.retain(|key, _| !NOT_COMPARED.contains(&key.as_str()));
        config
    };
    read(before) == read(now)
}

fn same_relation(before: &Node, now: &Node) -> bool {
    let (before, now): (Json, Json) = (json(before.unrendered_config), json(now.unrendered_config));
    ["database", "schema", "alias"].iter().all(|key| before.get(key) == now.get(key))
}

fn same_persisted_descriptions(before: &Node, now: &Node) -> bool {
    let config: Json = json(now.config);
    let persists =
        |what: &str| config.get("persist_docs").and_then(|docs| docs.get(what)) == Some(&Json::Bool(true));
    let columns = |node: &Node| -> Vec<(String, Option<Json>)> {
        let columns: Map<String, Json> = json(node.columns);
        columns.into_iter().map(|(name, column)| (name, column.get("description").cloned())).collect()
    };
    (!persists("relation") || same(before.description, now.description))
        && (!persists("columns") || columns(before) == columns(now))
}

fn same_contract(before: &Node, now: &Node) -> bool {
    let read = |node: &Node| {
        let contract: Json = json(node.contract);
        let enforced = contract.get("enforced") == Some(&Json::Bool(true));
        enforced.then(|| contract.get("checksum").cloned())
    };
    read(before) == read(now)
}

fn same_source(before: &Node, now: &Node) -> bool {
    same_source_relation(before, now)
        && before.fqn == now.fqn
        && same_config(before, now)
        && same(before.quoting, now.quoting)
        && same(before.freshness, now.freshness)
        && same(before.loaded_at_field, now.loaded_at_field)
        && same(before.external, now.external)
}

fn same_source_relation(before: &Node, now: &Node) -> bool {
    same(before.database, now.database)
        && same(before.schema, now.schema)
        && same(before.identifier, now.identifier)
}

fn same(one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    let text = |value: Option<&RawValue>| value.map(|value| value.get().to_owned());
    text(one) == text(other) || json::<Json>(one) == json::<Json>(other)
}
