//! What a project's YAML declares of its sources: columns and their data types.

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

/// A source table as the project's YAML declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The YAML file.
    pub file: String,
    /// Its columns, in their order.
    pub columns: Vec<DeclaredColumn>,
}

/// A column of a source table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredColumn {
    /// Its name as PostgreSQL stores it.
    pub name: String,
    /// Its type, in the author's words; `None` where nothing is said.
    pub data_type: Option<String>,
}

#[derive(Deserialize)]
struct Manifest<'a> {
    #[serde(borrow, default)]
    sources: BTreeMap<Text<'a>, Written<'a>>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, flatten)]
    source: Source<'a>,
    #[serde(default, deserialize_with = "or_default")]
    original_file_path: String,
    #[serde(default, deserialize_with = "or_default")]
    columns: InOrder<WrittenColumn>,
}

#[derive(Deserialize)]
struct WrittenColumn {
    name: String,
    #[serde(default)]
    data_type: Option<String>,
    #[serde(default)]
    quote: Option<bool>,
}

/// The values of a JSON object in the order in which they are written.
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

impl WrittenColumn {
    /// dbt writes a name into SQL as it is, unless the column says `quote: true`: then PostgreSQL folds it. What could
    /// not stand there without quotes is meant as it is.
    fn stored_name(&self) -> String {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_plain = self.name.starts_with(first)
            && self.name.chars().all(|c| first(c) || c.is_ascii_digit() || c == '$');
        if self.quote != Some(true) && is_plain { self.name.to_ascii_lowercase() } else { self.name.clone() }
    }
}

/// The sources of a project as its YAML declares them; they are in the manifest before anything is compiled.
pub fn declared(file: &str, bytes: &[u8]) -> Result<BTreeMap<Relation, Declared>, Error> {
    let manifest: Manifest = super::from_json(file, bytes)?;
    let column = |column: WrittenColumn| DeclaredColumn {
        name: column.stored_name(),
        data_type: column.data_type.filter(|data_type| !data_type.trim().is_empty()),
    };
    let read = |written: Written| {
        let columns = written.columns.0.into_iter().map(column).collect();
        (written.source.relation(), Declared { file: written.original_file_path, columns })
    };
    Ok(manifest.sources.into_values().map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_keep_their_order_and_are_folded_as_postgresql_does() {
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
