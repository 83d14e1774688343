//! Draws changes deterministically: from a seed and the rows of the tables to statements.
//!
//! Values come from the rows of a column and from the edges of its domain, so that constraints accept most statements.
//! The caller undoes and counts the rejected ones.

mod case;
mod delicate;
mod drawing;
mod lessons;
mod mutator;
mod pace;
mod random;
mod rows;
mod script;
mod supply;
mod texts;
mod types;
mod value;

use serde::Deserialize;

use crate::{
    model::Relation,
    sql::{quote_identifier, quote_literal},
};

pub use case::{Case, CaseTable, Part};
pub use delicate::delicacy;
pub use mutator::{Draft, Mutator};
pub use pace::Pace;
pub use script::{Reproducibility, ScriptHeader, without_database};
pub use supply::ConnectedColumns;
pub use types::{TypePart, Types, candidates};

/// The values of a row as text, in the order of the source's columns.
pub type Row = Vec<Option<String>>;

#[derive(Clone, Debug, PartialEq, Deserialize)]
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
    /// Statements that create the types of its columns.
    pub types: Vec<String>,
    /// Why its rows cannot be changed, if they cannot.
    pub out_of_reach: Option<String>,
    pub view: Option<String>,
    pub readers: Vec<Relation>,
    pub from_log: bool,
    /// Whether rows may only be added.
    #[serde(default)]
    pub only_inserts: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceColumn {
    pub name: String,
    /// Its type as in CREATE TABLE.
    pub type_name: String,
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

/// A statement that changes rows of one source, by its position in the list of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Insert {
        source: usize,
        rows: Vec<Row>,
    },
    /// INSERT … ON CONFLICT of the primary key DO UPDATE.
    Upsert {
        source: usize,
        rows: Vec<Row>,
    },
    Update {
        source: usize,
        set: Vec<(usize, Option<String>)>,
        of: Vec<Row>,
    },
    Delete {
        source: usize,
        of: Vec<Row>,
    },
    Truncate {
        source: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub source: usize,
    /// Each row before and after. Without a before it was inserted, without an after deleted.
    pub rows: Vec<(Option<Row>, Option<Row>)>,
}

impl Effect {
    /// The changes that undo it, the last row first. One statement inserts all deleted rows, and one deletes all
    /// inserted rows: they may reference each other, and foreign keys are checked at the end of a statement.
    pub fn inverse(&self) -> Vec<Change> {
        let source = self.source;
        let deleted = self.rows.iter().filter(|(_, after)| after.is_none());
        let deleted: Vec<Row> = deleted.filter_map(|(before, _)| before.clone()).collect();
        // In a table without a key, a statement finds only one of several equal rows.
        let (mut inserted, mut equal): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
        for (_, after) in self.rows.iter().filter(|(before, _)| before.is_none()) {
            let Some(row) = after else { continue };
            if inserted.contains(row) { equal.push(row.clone()) } else { inserted.push(row.clone()) }
        }
        let update = |(before, after): &(Option<Row>, Option<Row>)| match (before, after) {
            (_, None) | (None, _) => None,
            (Some(old), Some(new)) => {
                let differs = |(at, value): (usize, &Option<String>)| {
                    (new.get(at) != Some(value)).then(|| (at, value.clone()))
                };
                let set: Vec<_> = old.iter().enumerate().filter_map(differs).collect();
                (!set.is_empty()).then(|| Change::Update { source, set, of: vec![new.clone()] })
            }
        };
        let insert = (!deleted.is_empty()).then_some(Change::Insert { source, rows: deleted });
        let delete = (!inserted.is_empty()).then_some(Change::Delete { source, of: inserted });
        let removals =
            delete.into_iter().chain(equal.into_iter().map(|row| Change::Delete { source, of: vec![row] }));
        insert.into_iter().chain(self.rows.iter().rev().filter_map(update)).chain(removals).collect()
    }
}

/// The rows of a source before these effects; `rows` are those after.
pub fn before(rows: &[Row], source: usize, effects: &[&Effect]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for effect in effects.iter().rev().filter(|effect| effect.source == source) {
        for (before, after) in effect.rows.iter().rev() {
            if let Some(at) = after.as_ref().and_then(|after| rows.iter().position(|row| row == after)) {
                rows.swap_remove(at);
            }
            rows.extend(before.clone());
        }
    }
    rows.sort();
    rows
}

impl Change {
    pub fn source(&self) -> usize {
        match self {
            Self::Insert { source, .. }
            | Self::Upsert { source, .. }
            | Self::Update { source, .. }
            | Self::Delete { source, .. }
            | Self::Truncate { source } => *source,
        }
    }

    /// The same change with another position of its source.
    #[must_use]
    pub fn of_source(mut self, place: usize) -> Self {
        match &mut self {
            Self::Insert { source, .. }
            | Self::Upsert { source, .. }
            | Self::Update { source, .. }
            | Self::Delete { source, .. }
            | Self::Truncate { source } => *source = place,
        }
        self
    }

    pub fn sql(&self, sources: &[Source]) -> String {
        let table = &sources[self.source()];
        let name = table.relation.quoted();
        match self {
            Self::Insert { rows, .. } => table.insert(rows),
            Self::Upsert { rows, .. } => table.upsert(rows),
            Self::Update { set, of, .. } => {
                let set: Vec<String> = set
                    .iter()
                    .filter(|(at, _)| table.columns[*at].generated.is_none())
                    .map(|(at, value)| {
                        format!("{} = {}", table.quoted(*at), table.literal(*at, value.as_deref()))
                    })
                    .collect();
                format!("update {name} set {} where {}", set.join(", "), table.condition(of))
            }
            Self::Delete { of, .. } => format!("delete from {name} where {}", table.condition(of)),
            Self::Truncate { .. } => format!("truncate {name}"),
        }
    }

    /// The statement with a RETURNING clause for its effect: `before` and `after` as JSON arrays of texts.
    pub fn telling_sql(&self, sources: &[Source]) -> String {
        let table = &sources[self.source()];
        let row = |of: &str| {
            let texts: Vec<String> =
                (0..table.columns.len()).map(|at| format!("{of}.{}::text", table.quoted(at))).collect();
            format!("to_jsonb(array[{}])", texts.join(", "))
        };
        let returning = match self {
            Self::Insert { .. } => format!("null, {}", row("new")),
            Self::Upsert { .. } => {
                // A row that was not there has no key.
                let is_new = format!("old.{} is null", table.quoted(table.key[0]));
                format!("case when {is_new} then null else {} end, {}", row("old"), row("new"))
            }
            Self::Update { .. } => format!("{}, {}", row("old"), row("new")),
            Self::Delete { .. } => format!("{}, null", row("old")),
            Self::Truncate { .. } => return self.sql(sources),
        };
        format!("{} returning {returning}", self.sql(sources))
    }
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

    /// A literal for a column. Numbers have no quotes.
    fn literal(&self, at: usize, value: Option<&str>) -> String {
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
    fn upsert(&self, rows: &[Row]) -> String {
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

    /// The columns that an upsert sets in a row that is there.
    pub(crate) fn upserted(&self) -> impl Iterator<Item = usize> {
        let is_set = |at: &usize| {
            !self.key.contains(at) && self.columns[*at].generated.is_none() && !self.columns[*at].always
        };
        (0..self.columns.len()).filter(is_set)
    }

    /// A condition that only these rows meet: their keys, or without a key the first row with the same values.
    fn condition(&self, of: &[Row]) -> String {
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

/// Two sources; the first references the second.
#[cfg(test)]
fn sample() -> Vec<Source> {
    let column = |name: &str, kind, type_name: &str| SourceColumn {
        name: name.into(),
        type_name: type_name.into(),
        of: TypePart::default(),
        kind,
        bounded: false,
        values: vec![],
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
        types: vec![],
        out_of_reach: None,
        view: None,
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

#[cfg(test)]
fn row(values: &[&str]) -> Row {
    values.iter().map(|value| (*value != "NULL").then(|| (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_deleted_together_are_inserted_together() {
        let (chief, member) = (row(&["1", "2"]), row(&["2", "1"]));
        let rows = vec![(Some(chief.clone()), None), (Some(member.clone()), None)];
        let effect = Effect { source: 0, rows };
        assert_eq!(effect.inverse(), [Change::Insert { source: 0, rows: vec![chief, member] }]);
    }

    #[test]
    fn rows_inserted_together_are_deleted_together_and_equal_ones_one_by_one() {
        let (chief, member) = (row(&["1", "2"]), row(&["2", "1"]));
        let inserted = [&chief, &member, &chief].map(|row| (None, Some(row.clone())));
        let delete = |of| Change::Delete { source: 0, of };
        let effect = Effect { source: 0, rows: inserted.to_vec() };
        assert_eq!(effect.inverse(), [delete(vec![chief.clone(), member]), delete(vec![chief])]);
    }

    #[test]
    fn undoing_an_update_restores_only_its_columns() {
        let (old, new) = (row(&["1", "a"]), row(&["1", "b"]));
        let updated = Effect { source: 0, rows: vec![(Some(old), Some(new.clone()))] };
        let set = vec![(1, Some("a".to_owned()))];
        assert_eq!(updated.inverse(), [Change::Update { source: 0, set, of: vec![new.clone()] }]);
        let inserted = Effect { source: 0, rows: vec![(None, Some(new.clone()))] };
        assert_eq!(inserted.inverse(), [Change::Delete { source: 0, of: vec![new] }]);
    }
}
