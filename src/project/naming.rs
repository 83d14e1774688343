//! Whether a manifest can be of a given target. A manifest does not contain the name of its target.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Error, text::or_default};

/// The databases and schemas of the stream tables in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    file: String,
    databases: BTreeSet<String>,
    schemas: BTreeSet<String>,
    /// Whether the project has its own `generate_schema_name`: then any schema can belong to any target.
    is_custom: bool,
}

#[derive(Deserialize)]
struct Manifest {
    nodes: BTreeMap<String, Node>,
    macros: Option<BTreeMap<String, Macro>>,
}

#[derive(Deserialize)]
struct Macro {
    #[serde(default, deserialize_with = "or_default")]
    package_name: String,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default, deserialize_with = "or_default")]
    resource_type: String,
    #[serde(default)]
    database: Option<String>,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    config: Config,
}

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default, deserialize_with = "or_default")]
    materialized: String,
}

impl Naming {
    /// # Errors
    /// If the bytes are not a manifest.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|source| Error::NotJson { file: file.to_owned(), source })?;
        let is_stream_table =
            |node: &&Node| node.resource_type == "model" && node.config.materialized == "stream_table";
        let tables: Vec<&Node> = manifest.nodes.values().filter(is_stream_table).collect();
        let is_custom = manifest.macros.is_none_or(|macros| {
            macros
                .iter()
                .any(|(id, called)| id.ends_with("generate_schema_name") && called.package_name != "dbt")
        });
        Ok(Self {
            file: file.to_owned(),
            databases: tables.iter().filter_map(|node| node.database.clone()).collect(),
            schemas: tables.iter().filter_map(|node| node.schema.clone()).collect(),
            is_custom,
        })
    }

    /// Checks that the stream tables are in this database.
    ///
    /// # Errors
    /// With the database in the manifest.
    pub fn check_database(&self, database: &str) -> Result<(), Error> {
        match self.databases.iter().find(|compiled_for| *compiled_for != database) {
            None => Ok(()),
            Some(compiled_for) => Err(Error::OtherDatabase {
                file: self.file.clone(),
                compiled_for: compiled_for.clone(),
                database: database.to_owned(),
            }),
        }
    }

    /// Checks that the schemas can be the target's: dbt puts models into the target's schema, or into `SCHEMA_…`.
    ///
    /// # Errors
    /// With the schemas that cannot be the target's.
    pub fn check_schema(&self, target: &str, schema: &str) -> Result<(), Error> {
        let is_of_target = |name: &&String| {
            name.as_str() == schema || name.strip_prefix(schema).is_some_and(|rest| rest.starts_with('_'))
        };
        let schemas: Vec<String> = self.schemas.iter().filter(|name| !is_of_target(name)).cloned().collect();
        if self.is_custom || schemas.is_empty() {
            return Ok(());
        }
        Err(Error::OtherTarget {
            file: self.file.clone(),
            schemas,
            target: target.to_owned(),
            schema: schema.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn naming(schemas: &[&str], macros: &[&str]) -> Naming {
        let node = |schema: &&str| {
            let node = json!({"resource_type": "model", "database": "shop", "schema": schema, "config": {"materialized": "stream_table"}});
            (format!("model.shop.{schema}"), node)
        };
        let nodes: serde_json::Map<_, _> = schemas.iter().map(node).collect();
        let macros: serde_json::Map<_, _> = macros
            .iter()
            .map(|id| {
                let package = id.split('.').nth(1).unwrap();
                ((*id).to_owned(), json!({"package_name": package}))
            })
            .collect();
        let manifest = json!({"nodes": nodes, "macros": macros});
        Naming::read("m.json", manifest.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn schemas_of_another_target_are_refused() {
        let builtin = ["macro.dbt.generate_schema_name"];
        assert!(naming(&["dev", "dev_marts"], &builtin).check_schema("dev", "dev").is_ok());
        let error =
            naming(&["dev", "prod_marts", "devious"], &builtin).check_schema("dev", "dev").unwrap_err();
        assert!(error.to_string().contains("devious, prod_marts"), "{error}");
        let custom =
            naming(&["marts"], &["macro.dbt.generate_schema_name", "macro.shop.generate_schema_name"]);
        assert!(custom.check_schema("dev", "dev").is_ok());
        assert!(custom.check_database("shop").is_ok() && custom.check_database("other").is_err());
    }
}
