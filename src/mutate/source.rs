//! A table whose rows are changed.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{TypePart, kind};
use crate::{
    model::Relation,
    sql::{quote_identifier, quote_literal},
};

/// The values of a row as text, in the order of the source's columns.
pub type Row = Vec<Option<String>>;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the source")]
pub struct Source {
    pub relation: Relation,
    pub columns: Vec<SourceColumn>,
    /// The positions of its primary key columns.
    pub key: Vec<usize>,
    pub references: Vec<Reference>,
    /// Its constraints and unique indexes with their columns.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Columns that conditions connect, with values that satisfy those.
    #[serde(skip)]
    pub groups: Vec<ConnectedColumns>,
    /// Its other constraints and its unique indexes, as the server writes them: statements or clauses.
    pub rules: Vec<String>,
    /// Its partition key, as `RANGE (day)`.
    pub partitioned: Option<String>,
    /// The positions of the columns of its partition key.
    #[serde(default)]
    pub partition_key: Vec<usize>,
    /// Its partitions, if their changes are to be verified.
    #[serde(default)]
    pub partitions: Vec<Partition>,
    /// Whether the application changes partitions themselves.
    #[serde(skip)]
    pub writes_partitions: bool,
    /// Whether the application has transactions that stay open while others commit.
    #[serde(skip)]
    pub stays_open: bool,
    /// Whether its columns may be altered.
    #[serde(skip)]
    pub may_alter: bool,
    /// Why its rows cannot be changed, if they cannot.
    pub out_of_reach: Option<String>,
    pub view: Option<String>,
    /// The tables behind it, if it is a materialized view that is refreshed after changes of them.
    #[serde(default)]
    pub snapshot_of: Option<Vec<Relation>>,
    pub readers: Vec<Relation>,
    pub from_log: bool,
    /// Whether rows may only be added.
    #[serde(default)]
    pub only_inserts: bool,
}

/// A partition of a source, without partitions of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Partition {
    pub relation: Relation,
    /// `FOR VALUES …` or `DEFAULT`.
    pub bound: String,
    /// The values of the partition key that it has rows of.
    #[serde(skip)]
    pub held: BTreeSet<Row>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceColumn {
    pub name: String,
    /// Its type as in CREATE TABLE.
    pub type_name: String,
    /// Its collation, if it is not that of its type.
    #[serde(default)]
    pub collation: Option<String>,
    /// Its type by OID.
    #[serde(default, rename = "type")]
    pub of: TypePart,
    pub kind: ColumnKind,
    /// Whether a domain or a condition restricts its values.
    #[serde(default)]
    pub bounded: bool,
    /// Values that the server accepts, if the kind does not say enough.
    #[serde(skip)]
    pub values: Vec<String>,
    /// Literals of the queries that read it.
    #[serde(skip)]
    pub literals: Vec<String>,
    pub not_null: bool,
    /// The expression of a generated column, which no statement writes.
    pub generated: Option<String>,
    /// GENERATED ALWAYS AS IDENTITY.
    pub always: bool,
    #[serde(default)]
    pub labels: Vec<String>,
    /// The maximum length of a text, or the precision of a number.
    pub size: Option<u32>,
    pub scale: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    Integer,
    Numeric,
    Float,
    Text,
    Boolean,
    Date,
    Timestamp,
    Uuid,
    Json,
    Enum,
    Bytes,
    Array,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Constraint {
    pub name: String,
    /// `pg_constraint.contype`; a unique index is `u`, or `i` if it has expressions or a predicate.
    pub kind: char,
    /// The positions of its columns.
    pub columns: Vec<usize>,
    /// The expression of a check constraint.
    pub condition: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// The positions of its columns.
    pub columns: Vec<usize>,
    pub target: Relation,
    /// The names of the referenced columns.
    pub target_columns: Vec<String>,
    /// The clause of CREATE TABLE.
    pub clause: String,
}

/// Columns that a condition connects, and combinations of values that satisfy it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectedColumns {
    pub columns: Vec<usize>,
    pub rows: Vec<Row>,
}

impl Source {
    /// Its primary key, unique and exclusion constraints.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|constraint| matches!(constraint.kind, 'p' | 'u' | 'x' | 'i'))
    }

    /// Sets the columns that conditions connect. A group of one column becomes the values of that column.
    pub fn take_groups(&mut self, groups: Vec<ConnectedColumns>) {
        for group in groups {
            match group.columns[..] {
                [at] => {
                    self.columns[at].values =
                        group.rows.into_iter().filter_map(|mut row| row.remove(0)).collect();
                }
                _ => self.groups.push(group),
            }
        }
    }

    /// The quoted name of a column.
    pub fn quoted(&self, at: usize) -> String {
        quote_identifier(&self.columns[at].name)
    }

    /// A row of an alias as a JSON array of texts.
    pub(super) fn row_as_json(&self, alias: &str) -> String {
        let texts: Vec<String> =
            (0..self.columns.len()).map(|at| format!("{alias}.{}::text", self.quoted(at))).collect();
        format!("to_jsonb(array[{}])", texts.join(", "))
    }

    /// A query for all rows, as those before a change (`old`) or after it (`new`).
    pub(super) fn all_rows_as(&self, side: &str) -> String {
        let row = self.row_as_json("whole");
        let columns = if side == "old" { format!("{row}, null") } else { format!("null, {row}") };
        format!("select {columns} from {} as whole", self.relation.quoted())
    }

    /// A literal for a column. Numbers have no quotes.
    pub(super) fn literal(&self, at: usize, value: Option<&str>) -> String {
        let Some(value) = value else { return "null".into() };
        let is_number = matches!(self.columns[at].kind, ColumnKind::Integer | ColumnKind::Numeric | ColumnKind::Float)
            && value.len() < 19
            // As a number it would be a negated integer 0.
            && value != "-0"
            && value.strip_prefix('-').unwrap_or(value).split('.').count() <= 2
            && value.strip_prefix('-').unwrap_or(value).starts_with(|c: char| c.is_ascii_digit())
            && value.strip_prefix('-').unwrap_or(value).chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number { value.to_owned() } else { quote_literal(value) }
    }

    /// A literal to compare a column with. It has a cast if the type may use the operators of another type.
    fn typed_literal(&self, at: usize, value: Option<&str>) -> String {
        let column = &self.columns[at];
        let literal = self.literal(at, value);
        let says_its_type = column.kind == ColumnKind::Other && value.is_some();
        if says_its_type { format!("{literal}::{}", column.type_name) } else { literal }
    }

    /// The column's side of a comparison. A domain over an enum has no operators, so it is cast to text.
    fn compared(&self, at: usize) -> String {
        let column = &self.columns[at];
        let name = self.quoted(at);
        if column.kind == ColumnKind::Enum && column.bounded { format!("{name}::text") } else { name }
    }

    /// The INSERT for these rows, without generated columns.
    pub fn insert(&self, rows: &[Row]) -> String {
        let written: Vec<usize> =
            (0..self.columns.len()).filter(|at| self.columns[*at].generated.is_none()).collect();
        let columns: Vec<String> = written.iter().map(|at| self.quoted(*at)).collect();
        let values = |row: &Row| {
            let values: Vec<String> =
                written.iter().map(|at| self.literal(*at, row[*at].as_deref())).collect();
            format!("({})", values.join(", "))
        };
        let overriding =
            if self.columns.iter().any(|column| column.always) { " overriding system value" } else { "" };
        let rows: Vec<String> = rows.iter().map(values).collect();
        format!(
            "insert into {} ({}){overriding} values {}",
            self.relation.quoted(),
            columns.join(", "),
            rows.join(", ")
        )
    }

    /// The INSERT for these rows, which updates those whose primary key is there.
    pub(super) fn upsert(&self, rows: &[Row]) -> String {
        let key: Vec<String> = self.key.iter().map(|at| self.quoted(*at)).collect();
        let set: Vec<String> = self
            .upserted()
            .map(|at| {
                let name = self.quoted(at);
                format!("{name} = excluded.{name}")
            })
            .collect();
        format!("{} on conflict ({}) do update set {}", self.insert(rows), key.join(", "), set.join(", "))
    }

    /// Whether its changes can be of this kind, one of [`kind::KINDS`].
    pub fn can_have(&self, of: &str) -> bool {
        let has_nulls = || self.columns.iter().any(|column| !column.not_null);
        match of {
            kind::INSERT => true,
            kind::UPSERT => self.can_upsert(),
            kind::PARTITION => !self.partitions.is_empty(),
            kind::OPEN => self.stays_open,
            kind::TO_NULL => has_nulls(),
            kind::FROM_NULL => has_nulls() && !self.only_inserts,
            _ => !self.only_inserts,
        }
    }

    /// Whether rows can be inserted or else updated: by a primary key whose values others may set.
    pub(super) fn can_upsert(&self) -> bool {
        !self.key.is_empty()
            && self.upserted().next().is_some()
            && !self.columns.iter().any(|column| column.always)
            && self.key.iter().all(|at| self.columns[*at].generated.is_none())
    }

    /// The columns that an upsert sets in a row that is there.
    pub(crate) fn upserted(&self) -> impl Iterator<Item = usize> {
        let is_set = |at: &usize| {
            !self.key.contains(at) && self.columns[*at].generated.is_none() && !self.columns[*at].always
        };
        (0..self.columns.len()).filter(is_set)
    }

    /// A condition that only these rows meet: their keys, or without a key the first row with the same values.
    pub(super) fn condition(&self, of: &[Row]) -> String {
        if let [key] = self.key[..] {
            let values: Vec<String> =
                of.iter().map(|row| self.typed_literal(key, row[key].as_deref())).collect();
            let name = self.compared(key);
            return match &values[..] {
                [value] => format!("{name} = {value}"),
                values => format!("{name} in ({})", values.join(", ")),
            };
        }
        let one = |row: &Row| {
            if self.key.is_empty() {
                let same = (0..self.columns.len()).map(|at| {
                    let (name, value) = (self.quoted(at), row[at].as_deref());
                    match value {
                        None => format!("{name} is null"),
                        Some(value) => format!("{name}::text = {}", quote_literal(value)),
                    }
                });
                let same: Vec<String> = same.collect();
                let name = self.relation.quoted();
                return format!("ctid = (select min(ctid) from {name} where {})", same.join(" and "));
            }
            let same = |at: &usize| {
                format!("{} = {}", self.compared(*at), self.typed_literal(*at, row[*at].as_deref()))
            };
            format!("({})", self.key.iter().map(same).collect::<Vec<_>>().join(" and "))
        };
        of.iter().map(one).collect::<Vec<_>>().join(" or ")
    }
}
