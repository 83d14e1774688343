//! The sources that a project's YAML declares: columns and their data types.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{
    Error,
    manifest::Source,
    text::{Text, or_default},
};
use crate::model::Relation;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The YAML file.
    pub file: String,
    /// In their declared order.
    pub columns: Vec<DeclaredColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredColumn {
    /// The name as PostgreSQL stores it.
    pub name: String,
    /// The type as declared; `None` if it is missing or blank.
    pub data_type: Option<String>,
}

#[derive(Deserialize)]
struct Manifest<'a> {
    #[serde(borrow, default)]
    sources: BTreeMap<Text<'a>, SourceEntry<'a>>,
}

#[derive(Deserialize)]
struct SourceEntry<'a> {
    #[serde(borrow, flatten)]
    source: Source<'a>,
    #[serde(default, deserialize_with = "or_default")]
    original_file_path: String,
    #[serde(default, deserialize_with = "or_default")]
    columns: InOrder<ColumnEntry>,
}

#[derive(Deserialize)]
struct ColumnEntry {
    name: String,
    #[serde(default)]
    data_type: Option<String>,
    #[serde(default)]
    quote: Option<bool>,
}

/// The values of a JSON object in their order in the file.
struct InOrder<T>(Vec<T>);

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
            type Value = InOrder<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some((IgnoredAny, value)) = map.next_entry()? {
                    values.push(value);
                }
                Ok(InOrder(values))
            }
        }
        deserializer.deserialize_map(Values(PhantomData))
    }
}

impl ColumnEntry {
    /// Without `quote: true`, dbt writes the name into SQL unquoted, and PostgreSQL folds it to lower case. A name that
    /// is invalid without quotes is taken literally.
    fn stored_name(&self) -> String {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_plain = self.name.starts_with(is_first)
            && self.name.chars().all(|c| is_first(c) || c.is_ascii_digit() || c == '$');
        if self.quote != Some(true) && is_plain { self.name.to_ascii_lowercase() } else { self.name.clone() }
    }
}

/// The sources that a project's YAML declares. They are in the manifest before the project is compiled.
pub fn declared(file: &str, bytes: &[u8]) -> Result<BTreeMap<Relation, Declared>, Error> {
    let manifest: Manifest = super::from_json(file, bytes)?;
    let column = |column: ColumnEntry| DeclaredColumn {
        name: column.stored_name(),
        data_type: column.data_type.filter(|data_type| !data_type.trim().is_empty()),
    };
    let read = |entry: SourceEntry| {
        let columns = entry.columns.0.into_iter().map(column).collect();
        (entry.source.relation(), Declared { file: entry.original_file_path, columns })
    };
    Ok(manifest.sources.into_values().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_order_and_are_folded_as_in_postgresql() {
        let manifest = r#"{"sources": {"source.shop.raw.orders": {
            "schema": "raw", "identifier": "orders", "relation_name": "\"db\".\"raw\".\"Orders\"", "name": "x",
            "original_file_path": "models/sources.yml", "resource_type": "source",
            "columns": {
                "zeta": {"name": "zeta", "data_type": "int", "quote": null, "meta": {}},
                "OrderId": {"name": "OrderId", "data_type": " "},
                "Exact": {"name": "Exact", "quote": true},
                "with blank": {"name": "With blank", "data_type": "text"}
            }}}, "nodes": {}}"#;
        let declared = declared("m.json", manifest.as_bytes()).unwrap();
        let orders = &declared[&Relation::new("raw", "Orders")];
        assert_eq!(orders.file, "models/sources.yml");
        let columns: Vec<_> =
            orders.columns.iter().map(|c| (c.name.as_str(), c.data_type.as_deref())).collect();
        let expected =
            [("zeta", Some("int")), ("orderid", None), ("Exact", None), ("With blank", Some("text"))];
        assert_eq!(columns, expected);
    }
}
