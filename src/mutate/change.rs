//! Statements that change rows, and how to undo them.

use super::{Partition, Row, Source, kind};
use crate::{
    model::Relation,
    sql::{quote_identifier, quote_literal},
};

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
    /// Statements that a rollback to a savepoint undoes.
    RolledBack {
        source: usize,
        changes: Vec<Change>,
    },
    /// Statements of a transaction in a second session. Those of a round are one transaction, which begins before the
    /// others of the round and commits after them.
    Open {
        source: usize,
        changes: Vec<Change>,
    },
    /// Statements on one partition of the source, by its position in the list of partitions.
    Partition {
        source: usize,
        partition: usize,
        how: PartitionChange,
    },
    /// A change of the columns of the source.
    Alter {
        source: usize,
        alteration: Alteration,
    },
    /// A refresh of a materialized view that reads the source.
    RefreshView {
        source: usize,
        view: Relation,
    },
    /// A refresh of one reader of the source, between two transactions. The other readers are refreshed later.
    Refresh {
        source: usize,
        table: Relation,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub source: usize,
    /// Each row before and after. Without a before it was inserted, without an after deleted.
    pub rows: Vec<(Option<Row>, Option<Row>)>,
}

impl Effect {
    /// Whether a NULL came and whether one went, of [`kind::KINDS`].
    pub fn nulls(&self) -> impl Iterator<Item = &'static str> {
        let more_in = |one: &Option<Row>, other: &Option<Row>| {
            one.iter().flatten().enumerate().any(|(at, value)| {
                value.is_none() && other.as_ref().and_then(|row| row.get(at)).is_none_or(Option::is_some)
            })
        };
        let came = self.rows.iter().any(|(before, after)| more_in(after, before));
        let went = self.rows.iter().any(|(before, after)| more_in(before, after));
        [came.then_some(kind::TO_NULL), went.then_some(kind::FROM_NULL)].into_iter().flatten()
    }

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

/// A change of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionChange {
    /// Statements on the partition itself.
    Write(Vec<Change>),
    /// Such statements while it is detached, all in one transaction.
    Reload(Vec<Change>),
    Detach,
    Attach,
}

impl PartitionChange {
    pub(super) fn statements(&self) -> Option<&Vec<Change>> {
        match self {
            Self::Write(changes) | Self::Reload(changes) => Some(changes),
            Self::Detach | Self::Attach => None,
        }
    }

    pub(super) fn statements_mut(&mut self) -> Option<&mut Vec<Change>> {
        match self {
            Self::Write(changes) | Self::Reload(changes) => Some(changes),
            Self::Detach | Self::Attach => None,
        }
    }

    /// Whether it means nothing without statements.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Write(changes) if changes.is_empty())
    }

    /// Its statements, with the rows before and after them if it `tells`.
    pub(super) fn sql(&self, source: &Source, partition: usize, tells: bool) -> String {
        let Partition { relation, bound, .. } = &source.partitions[partition];
        let (table, name) = (source.relation.quoted(), relation.quoted());
        let part = Source { relation: relation.clone(), ..source.clone() };
        let detach = format!("alter table {table} detach partition {name}");
        let attach = format!("alter table {table} attach partition {name} {bound}");
        let rows = |side: &str| if tells { vec![part.all_rows_as(side)] } else { Vec::new() };
        let statement = |change: &Change| {
            if tells { change.telling_sql_on(&part) } else { change.sql_on(&part) }
        };
        let parts: Vec<String> = match self {
            Self::Write(changes) => changes.iter().map(statement).collect(),
            Self::Reload(changes) => {
                std::iter::once(detach).chain(changes.iter().map(statement)).chain([attach]).collect()
            }
            Self::Detach => rows("old").into_iter().chain([detach]).collect(),
            Self::Attach => std::iter::once(attach).chain(rows("new")).collect(),
        };
        parts.join(";\n")
    }
}

/// The name of a column that is added, before its number.
pub(super) const ADDED: &str = "pgtrickle_ci_";

/// What is done to the columns. Later changes do not know of it: they neither write a new column nor values that only the
/// wider type takes, which the stored table cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    AddColumn(usize),
    /// A column and its new type.
    Widen(String, String),
}

impl Alteration {
    /// Its statements in a transaction. Without the setting pg_trickle refuses it (docs/pg_trickle.md, "Source DDL").
    pub(super) fn sql(&self, source: &Source) -> String {
        let what = match self {
            Self::AddColumn(number) => format!("add column {ADDED}{number} integer default {number}"),
            Self::Widen(column, to) => format!("alter column {} type {to}", quote_identifier(column)),
        };
        format!(
            "set local pg_trickle.block_source_ddl = off;\nalter table {} {what};\nset local pg_trickle.block_source_ddl to default",
            source.relation.quoted()
        )
    }
}

impl Change {
    /// What takes it back, as far as partitions are concerned.
    pub(super) fn undone(&self) -> Self {
        let mut undone = self.clone();
        if let Self::Partition { how, .. } = &mut undone {
            *how = match how {
                PartitionChange::Detach => PartitionChange::Attach,
                PartitionChange::Attach => PartitionChange::Detach,
                PartitionChange::Write(_) | PartitionChange::Reload(_) => return undone,
            };
        }
        undone
    }

    pub fn source(&self) -> usize {
        match self {
            Self::Insert { source, .. }
            | Self::Upsert { source, .. }
            | Self::Update { source, .. }
            | Self::Delete { source, .. }
            | Self::RolledBack { source, .. }
            | Self::Open { source, .. }
            | Self::Partition { source, .. }
            | Self::Alter { source, .. }
            | Self::Refresh { source, .. }
            | Self::RefreshView { source, .. }
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
            | Self::RolledBack { source, .. }
            | Self::Open { source, .. }
            | Self::Partition { source, .. }
            | Self::Alter { source, .. }
            | Self::Refresh { source, .. }
            | Self::RefreshView { source, .. }
            | Self::Truncate { source } => *source = place,
        }
        for change in self.inner_mut().into_iter().flatten() {
            *change = change.clone().of_source(place);
        }
        self
    }

    /// The table or the materialized view that it refreshes.
    pub fn refreshed(&self) -> Option<&Relation> {
        if let Self::Refresh { table: relation, .. } | Self::RefreshView { view: relation, .. } = self {
            return Some(relation);
        }
        None
    }

    /// Whether it is part of the transaction that stays open.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Its statements, without the transaction that stays open.
    pub(super) fn closed(self) -> Vec<Self> {
        if let Self::Open { changes, .. } = self { changes } else { vec![self] }
    }

    /// Its kinds, in the words of reports: some of [`kind::KINDS`].
    pub fn kinds(&self, sources: &[Source]) -> Vec<&'static str> {
        if let Self::Open { changes, .. } = self {
            return changes.iter().map(|change| change.kind(sources)).chain([kind::OPEN]).collect();
        }
        vec![self.kind(sources)]
    }

    fn kind(&self, sources: &[Source]) -> &'static str {
        match self {
            Self::Insert { .. } => kind::INSERT,
            Self::Upsert { .. } => kind::UPSERT,
            Self::Update { source, set, .. } => {
                let is_of_key = set.iter().any(|(at, _)| sources[*source].key.contains(at));
                if is_of_key { kind::KEY_CHANGE } else { kind::UPDATE }
            }
            Self::Delete { .. } => kind::DELETE,
            Self::Truncate { .. } => kind::TRUNCATE,
            Self::Partition { .. } => kind::PARTITION,
            Self::RolledBack { .. }
            | Self::Open { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => "",
        }
    }

    /// The statements that it consists of, if there may be several.
    pub(super) fn inner(&self) -> Option<&Vec<Self>> {
        if let Self::RolledBack { changes, .. } | Self::Open { changes, .. } = self {
            return Some(changes);
        }
        if let Self::Partition { how, .. } = self { how.statements() } else { None }
    }

    pub(super) fn inner_mut(&mut self) -> Option<&mut Vec<Self>> {
        if let Self::RolledBack { changes, .. } | Self::Open { changes, .. } = self {
            return Some(changes);
        }
        if let Self::Partition { how, .. } = self { how.statements_mut() } else { None }
    }

    /// The change itself, or those that it rolls back.
    pub fn statements(&self) -> &[Self] {
        if let Self::RolledBack { changes, .. } = self { changes } else { std::slice::from_ref(self) }
    }

    pub fn sql(&self, sources: &[Source]) -> String {
        match self {
            Self::Partition { source, partition, how } => how.sql(&sources[*source], *partition, false),
            Self::RolledBack { changes, .. } => {
                let changes: Vec<String> = changes.iter().map(|change| change.sql(sources)).collect();
                format!("savepoint s;\n{};\nrollback to savepoint s", changes.join(";\n"))
            }
            Self::Open { changes, .. } => {
                let changes: Vec<String> = changes.iter().map(|change| change.sql(sources)).collect();
                changes.join(";\n")
            }
            Self::Insert { .. }
            | Self::Upsert { .. }
            | Self::Update { .. }
            | Self::Delete { .. }
            | Self::Truncate { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => self.sql_on(&sources[self.source()]),
        }
    }

    /// One statement on this table, which has the columns of its source.
    pub(super) fn sql_on(&self, table: &Source) -> String {
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
            Self::Refresh { table, .. } => {
                format!("select pgtrickle.refresh_stream_table({})", quote_literal(&table.to_string()))
            }
            Self::RefreshView { view, .. } => format!("refresh materialized view {}", view.quoted()),
            Self::Alter { alteration, .. } => alteration.sql(table),
            Self::RolledBack { .. } | Self::Open { .. } | Self::Partition { .. } => String::new(),
        }
    }

    /// Whether it can only run in a transaction block.
    pub(super) fn needs_transaction(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Alter { .. })
    }

    /// The same with its effect as rows: `before` and `after` as JSON arrays of texts.
    pub fn telling_sql(&self, sources: &[Source]) -> String {
        match self {
            Self::Partition { source, partition, how } => how.sql(&sources[*source], *partition, true),
            // The effect of a TRUNCATE is known, and the others have none.
            Self::Truncate { .. }
            | Self::RolledBack { .. }
            | Self::Open { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => self.sql(sources),
            Self::Insert { .. } | Self::Upsert { .. } | Self::Update { .. } | Self::Delete { .. } => {
                self.telling_sql_on(&sources[self.source()])
            }
        }
    }

    pub(super) fn telling_sql_on(&self, table: &Source) -> String {
        let (sql, row) = (self.sql_on(table), |of: &str| table.row_as_json(of));
        let returning = match self {
            Self::Insert { .. } => format!("null, {}", row("new")),
            Self::Upsert { .. } => {
                // A row that was not there has no key.
                let is_new = format!("old.{} is null", table.quoted(table.key[0]));
                format!("case when {is_new} then null else {} end, {}", row("old"), row("new"))
            }
            Self::Update { .. } => format!("{}, {}", row("old"), row("new")),
            Self::Delete { .. } => format!("{}, null", row("old")),
            Self::Truncate { .. } => return format!("{}; {sql}", table.all_rows_as("old")),
            Self::RolledBack { .. }
            | Self::Open { .. }
            | Self::Partition { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => {
                return sql;
            }
        };
        format!("{sql} returning {returning}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::row;

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
