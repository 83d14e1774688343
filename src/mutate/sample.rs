//! Sources for tests.

use super::{ColumnKind, Constraint, Reference, Row, Source, SourceColumn, TypePart};
use crate::model::Relation;

/// Two sources; the first references the second.
pub(crate) fn sample() -> Vec<Source> {
    let column = |name: &str, kind, type_name: &str| SourceColumn {
        name: name.into(),
        type_name: type_name.into(),
        collation: None,
        of: TypePart::default(),
        kind,
        bounded: false,
        values: vec![],
        literals: vec![],
        not_null: kind == ColumnKind::Integer,
        generated: None,
        always: false,
        labels: vec![],
        size: None,
        scale: None,
    };
    let source = |name: &str, columns| Source {
        relation: Relation::new("shop", name),
        columns,
        key: vec![0],
        references: vec![],
        constraints: vec![Constraint {
            name: format!("{name}_pkey"),
            kind: 'p',
            columns: vec![0],
            condition: None,
        }],
        groups: vec![],
        rules: vec![],
        partitioned: None,
        partition_key: vec![],
        partitions: vec![],
        writes_partitions: false,
        stays_open: false,
        may_alter: false,
        out_of_reach: None,
        view: None,
        snapshot_of: None,
        readers: vec![],
        from_log: false,
        only_inserts: false,
    };
    let (id, customer) =
        (column("id", ColumnKind::Integer, "integer"), column("customer", ColumnKind::Integer, "integer"));
    let customers = source("customers", vec![id.clone(), column("name", ColumnKind::Text, "text")]);
    let reference = Reference {
        columns: vec![1],
        target: customers.relation.clone(),
        target_columns: vec!["id".into()],
        clause: "FOREIGN KEY (customer) REFERENCES shop.customers(id)".into(),
    };
    let orders = source("orders", vec![id, customer, column("note", ColumnKind::Text, "text")]);
    vec![Source { references: vec![reference], ..orders }, customers]
}

pub(super) fn row(values: &[&str]) -> Row {
    values.iter().map(|value| (*value != "NULL").then(|| (*value).to_owned())).collect()
}
