//! Which rows to change, deterministically: a seed and what the tables hold in, statements out.
//!
//! Values are drawn from what a column holds and from the edges of its domain, so that most statements are ones that the
//! schema takes. What it refuses is undone and counted by the hands.

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

pub use case::{Case, Made, Part};
pub use delicate::delicacy;
pub use mutator::Mutator;
pub use pace::Pace;
pub use script::{Evidence, Seen, without_database};
pub use supply::Group;
pub use types::{Part as TypePart, Types, candidates};

/// The values of a row as text, in the order of the source's columns.
pub type Row = Vec<Option<String>>;

/// A base table that stream tables read.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Source {
    /// Its name.
    pub relation: Relation,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The positions of its primary key.
    pub key: Vec<usize>,
    /// Its foreign keys.
    pub references: Vec<Reference>,
    /// Its constraints and unique indexes, and which columns each is about.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Columns that conditions bind together, with values that satisfy them.
    #[serde(skip)]
    pub groups: Vec<Group>,
    /// Its other constraints and its unique indexes, as statements or clauses that the server wrote.
    pub rules: Vec<String>,
    /// How it is partitioned, as `RANGE (day)`.
    pub partitioned: Option<String>,
    /// Statements that make the types of its columns.
    pub types: Vec<String>,
    /// Why it is out of reach, if it is.
    pub out_of_reach: Option<String>,
    /// The query of a view.
    pub view: Option<String>,
    /// The stream tables that read it.
    pub readers: Vec<Relation>,
    /// Its changes are captured from the log.
    pub from_log: bool,
    /// Rows are only ever added.
    #[serde(default)]
    pub only_inserts: bool,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as it is written in a CREATE TABLE.
    pub type_name: String,
    /// Its type in the catalog.
    #[serde(default, rename = "type")]
    pub of: TypePart,
    /// What its values are like.
    pub kind: Kind,
    /// A domain or a condition says which of them it takes.
    #[serde(default)]
    pub bounded: bool,
    /// Values that the server takes, where the kind does not say enough.
    #[serde(skip)]
    pub values: Vec<String>,
    /// NULL is refused.
    pub not_null: bool,
    /// The server works it out: nobody writes it.
    pub generated: Option<String>,
    /// GENERATED ALWAYS AS IDENTITY.
    pub always: bool,
    /// What an enum may be.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The most characters, or the digits of a number.
    pub size: Option<u32>,
    /// The digits of a number behind the point.
    pub scale: Option<u32>,
}

/// What values are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
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

/// A constraint or a unique index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Constraint {
    /// Its name.
    pub name: String,
    /// `pg_constraint.contype`; a unique index is `u`, or `i` where it is about expressions or some rows only.
    pub kind: char,
    /// The positions of its columns.
    pub columns: Vec<usize>,
    /// The expression of a check.
    pub condition: Option<String>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Reference {
    /// The positions of its columns.
    pub columns: Vec<usize>,
    /// What it refers to.
    pub target: Relation,
    /// The names of the columns there.
    pub target_columns: Vec<String>,
    /// The clause of a CREATE TABLE.
    pub clause: String,
}

/// A statement that changes rows of one source, named by its place in the list of sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Insert { source: usize, rows: Vec<Row> },
    Update { source: usize, set: Vec<(usize, Option<String>)>, of: Vec<Row> },
    Delete { source: usize, of: Vec<Row> },
    Truncate { source: usize },
}

/// What a statement did to each row: before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The source.
    pub source: usize,
    /// Without a before the row is new, without an after it is gone.
    pub rows: Vec<(Option<Row>, Option<Row>)>,
}

impl Effect {
    /// The changes that take it back, the last row first. Rows that are gone come back in one statement, and rows that
    /// came go in one: they may refer to each other, and keys are looked at when a statement ends.
    pub fn inverse(&self) -> Vec<Change> {
        let source = self.source;
        let gone = self.rows.iter().filter(|(_, after)| after.is_none());
        let gone: Vec<Row> = gone.filter_map(|(before, _)| before.clone()).collect();
        // Of equal rows, in a table without a key, a statement finds one.
        let (mut come, mut equal): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
        for (_, after) in self.rows.iter().filter(|(before, _)| before.is_none()) {
            let Some(row) = after else { continue };
            if come.contains(row) { equal.push(row.clone()) } else { come.push(row.clone()) }
        }
        let back = |(before, after): &(Option<Row>, Option<Row>)| match (before, after) {
            (_, None) | (None, _) => None,
            (Some(old), Some(new)) => {
                let differs = |(at, value): (usize, &Option<String>)| {
                    (new.get(at) != Some(value)).then(|| (at, value.clone()))
                };
                let set: Vec<_> = old.iter().enumerate().filter_map(differs).collect();
                (!set.is_empty()).then(|| Change::Update { source, set, of: vec![new.clone()] })
            }
        };
        let again = (!gone.is_empty()).then_some(Change::Insert { source, rows: gone });
        let away = (!come.is_empty()).then_some(Change::Delete { source, of: come });
        let away =
            away.into_iter().chain(equal.into_iter().map(|row| Change::Delete { source, of: vec![row] }));
        again.into_iter().chain(self.rows.iter().rev().filter_map(back)).chain(away).collect()
    }
}

/// What the rows of a source were before these effects; `rows` is what they are now.
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
    /// The source that it changes.
    pub fn source(&self) -> usize {
        match self {
            Self::Insert { source, .. }
            | Self::Update { source, .. }
            | Self::Delete { source, .. }
            | Self::Truncate { source } => *source,
        }
    }

    /// The same change of the source at another place in the list.
    #[must_use]
    pub fn of_source(mut self, place: usize) -> Self {
        match &mut self {
            Self::Insert { source, .. }
            | Self::Update { source, .. }
            | Self::Delete { source, .. }
            | Self::Truncate { source } => *source = place,
        }
        self
    }

    /// The statement.
    pub fn sql(&self, sources: &[Source]) -> String {
        let table = &sources[self.source()];
        let name = table.relation.quoted();
        match self {
            Self::Insert { rows, .. } => table.insert(rows),
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

    /// The statement that also says what it did: `before` and `after` as JSON arrays of texts.
    pub fn telling_sql(&self, sources: &[Source]) -> String {
        let table = &sources[self.source()];
        let row = |of: &str| {
            let texts: Vec<String> =
                (0..table.columns.len()).map(|at| format!("{of}.{}::text", table.quoted(at))).collect();
            format!("to_jsonb(array[{}])", texts.join(", "))
        };
        let told = match self {
            Self::Insert { .. } => format!("null, {}", row("new")),
            Self::Update { .. } => format!("{}, {}", row("old"), row("new")),
            Self::Delete { .. } => format!("{}, null", row("old")),
            Self::Truncate { .. } => return self.sql(sources),
        };
        format!("{} returning {told}", self.sql(sources))
    }
}

impl Source {
    /// What tells its rows apart: its primary key, unique and exclusion constraints.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|constraint| matches!(constraint.kind, 'p' | 'u' | 'x' | 'i'))
    }

    /// The columns that conditions bind together. One that a condition is about without others only has its values.
    pub fn take_groups(&mut self, groups: Vec<Group>) {
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

    /// The name of a column as an SQL identifier.
    pub fn quoted(&self, at: usize) -> String {
        quote_identifier(&self.columns[at].name)
    }

    /// A value for a column; numbers stand there without quotes.
    fn literal(&self, at: usize, value: Option<&str>) -> String {
        let Some(value) = value else { return "null".into() };
        let is_number = matches!(self.columns[at].kind, Kind::Integer | Kind::Numeric | Kind::Float)
            && value.len() < 19
            // As a number it would be the integer 0 with a minus before it.
            && value != "-0"
            && value.strip_prefix('-').unwrap_or(value).split('.').count() <= 2
            && value.strip_prefix('-').unwrap_or(value).starts_with(|c: char| c.is_ascii_digit())
            && value.strip_prefix('-').unwrap_or(value).chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number { value.to_owned() } else { quote_literal(value) }
    }

    /// A value to compare a column with. Of a type with operators of another one the literal has to say the type.
    fn typed_literal(&self, at: usize, value: Option<&str>) -> String {
        let column = &self.columns[at];
        let literal = self.literal(at, value);
        let says_its_type = column.kind == Kind::Other && value.is_some();
        if says_its_type { format!("{literal}::{}", column.type_name) } else { literal }
    }

    /// The side of the column in a comparison. No operator takes a domain over an enum.
    fn compared(&self, at: usize) -> String {
        let column = &self.columns[at];
        let name = self.quoted(at);
        if column.kind == Kind::Enum && column.bounded { format!("{name}::text") } else { name }
    }

    /// The statement that adds rows; what the server works out is left to it.
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

    /// What holds for these rows alone: their key, or without one the first row with all their values.
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

/// Two sources, the first of which refers to the second.
#[cfg(test)]
fn sample() -> Vec<Source> {
    let column = |name: &str, kind, type_name: &str| Column {
        name: name.into(),
        type_name: type_name.into(),
        of: TypePart::default(),
        kind,
        bounded: false,
        values: vec![],
        not_null: kind == Kind::Integer,
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
        (column("id", Kind::Integer, "integer"), column("customer", Kind::Integer, "integer"));
    let customers = source("customers", vec![id.clone(), column("name", Kind::Text, "text")]);
    let reference = Reference {
        columns: vec![1],
        target: customers.relation.clone(),
        target_columns: vec!["id".into()],
        clause: "FOREIGN KEY (customer) REFERENCES shop.customers(id)".into(),
    };
    let orders = source("orders", vec![id, customer, column("note", Kind::Text, "text")]);
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
    fn rows_that_went_together_come_back_together() {
        let (chief, member) = (row(&["1", "2"]), row(&["2", "1"]));
        let rows = vec![(Some(chief.clone()), None), (Some(member.clone()), None)];
        let effect = Effect { source: 0, rows };
        assert_eq!(effect.inverse(), [Change::Insert { source: 0, rows: vec![chief, member] }]);
    }

    #[test]
    fn rows_that_came_together_go_together_and_equal_ones_one_by_one() {
        let (chief, member) = (row(&["1", "2"]), row(&["2", "1"]));
        let came = [&chief, &member, &chief].map(|row| (None, Some(row.clone())));
        let delete = |of| Change::Delete { source: 0, of };
        let effect = Effect { source: 0, rows: came.to_vec() };
        assert_eq!(effect.inverse(), [delete(vec![chief.clone(), member]), delete(vec![chief])]);
    }

    #[test]
    fn an_update_gives_back_only_what_it_took_and_an_insert_goes_again() {
        let (old, new) = (row(&["1", "a"]), row(&["1", "b"]));
        let updated = Effect { source: 0, rows: vec![(Some(old), Some(new.clone()))] };
        let set = vec![(1, Some("a".to_owned()))];
        assert_eq!(updated.inverse(), [Change::Update { source: 0, set, of: vec![new.clone()] }]);
        let inserted = Effect { source: 0, rows: vec![(None, Some(new.clone()))] };
        assert_eq!(inserted.inverse(), [Change::Delete { source: 0, of: vec![new] }]);
    }
}
