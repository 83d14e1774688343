//! Faults of dbt v2 that a project meets (docs/dbt.md, "dbt v2").

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    manifest::{Manifest, Node, read},
    text::Text,
};

#[derive(Deserialize, Default)]
struct PersistDocs {
    #[serde(default)]
    relation: bool,
    #[serde(default)]
    columns: bool,
}

#[derive(Deserialize)]
struct Column<'a> {
    #[serde(borrow, default)]
    description: Text<'a>,
}

/// The files of the nodes whose descriptions dbt v2 cannot write to the database. The dbt package writes those of its own
/// materializations itself.
pub(super) fn unwritable_descriptions(manifest: &Manifest) -> Vec<String> {
    if !manifest.metadata.dbt_version.starts_with("2.") {
        return Vec::new();
    }
    let is_dbts = |node: &&Node| {
        matches!(&*node.resource_type, "model" | "seed" | "snapshot")
            && !["stream_table", "stable_view", "ephemeral"].contains(&&*node.config.materialized)
    };
    let nodes = manifest.nodes.values().filter(is_dbts).filter(|node| has_unwritable_description(node));
    nodes.map(|node| manifest.file(node)).collect()
}

fn has_unwritable_description(node: &Node) -> bool {
    let persisted: PersistDocs = read(node.config.persist_docs);
    persisted.relation && is_unwritable(&read::<Text>(node.description))
        || persisted.columns
            && read::<BTreeMap<Text, Column>>(node.columns)
                .values()
                .any(|column| is_unwritable(&column.description))
}

/// dbt v2 does not know dollar quotes: it splits the statement at a semicolon, and waits for the end of a single quote.
fn is_unwritable(description: &str) -> bool {
    description.contains(';') || description.matches('\'').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::project::parse;

    fn found(
        dbt: &str,
        materialized: &str,
        persisted: &Json,
        description: &str,
        column: &str,
    ) -> Vec<String> {
        let node = json!({
            "resource_type": "model", "name": "a", "package_name": "shop", "original_file_path": "models/a.sql",
            "description": description, "columns": {"c": {"name": "c", "description": column}, "d": {"name": "d"}},
            "config": {"materialized": materialized, "persist_docs": persisted},
        });
        let schema = "https://schemas.getdbt.com/dbt/manifest/v12.json";
        let manifest = json!({
            "metadata": {"dbt_schema_version": schema, "dbt_version": dbt, "project_name": "shop"},
            "nodes": {"model.shop.a": node},
        });
        unwritable_descriptions(&parse("m.json", manifest.to_string().as_bytes()).unwrap())
    }

    #[test]
    fn descriptions_that_dbt_v2_splits_or_loses_are_found() {
        let (v2, both) = ("2.0.0-alpha.4", json!({"relation": true, "columns": true}));
        let none: [&str; 0] = [];
        for (description, column) in [("It's one", ""), ("a; b", ""), ("", "It's one"), ("", "a; b")] {
            for kind in ["table", "view", "incremental", "seed"] {
                assert_eq!(found(v2, kind, &both, description, column), ["models/a.sql"], "{kind}");
            }
            assert_eq!(found("1.11.16", "table", &both, description, column), none);
            assert_eq!(found(v2, "stream_table", &both, description, column), none);
            assert_eq!(found(v2, "stable_view", &both, description, column), none);
            assert_eq!(found(v2, "table", &json!({}), description, column), none);
        }
        assert_eq!(found(v2, "table", &both, "what 'it' is", "\"a\""), none);
        assert_eq!(found(v2, "table", &json!({"columns": true}), "a;b", ""), none);
        assert_eq!(found(v2, "table", &json!({"relation": true}), "", "a;b"), none);
    }
}
