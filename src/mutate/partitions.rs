//! Changes of a partition itself, which do not go through its table.

use super::{Change, Mutator, PartitionChange, Row, Source, lessons::ChangeKind, mutator::KnownRows};

/// How often, in percent, a change of a partitioned source is one of a partition.
const OF_PARTITION: usize = 12;
/// How often, in percent, a detached partition is attached again before another change.
const ATTACHED_AGAIN: usize = 60;
/// How many new rows are drawn until one belongs to the partition.
const ATTEMPTS: usize = 8;

impl KnownRows {
    pub(super) fn attach_or_detach(&mut self, change: &Change) {
        let Change::Partition { partition, how, .. } = change else { return };
        match how {
            PartitionChange::Detach => self.detached.push(*partition),
            PartitionChange::Attach => self.detached.retain(|detached| detached != partition),
            PartitionChange::Write(_) | PartitionChange::Reload(_) => {}
        }
    }
}

impl Source {
    /// The partition that has a row with these values.
    fn is_in(&self, partition: usize, row: &Row) -> bool {
        let key: Row = self.partition_key.iter().map(|at| row[*at].clone()).collect();
        self.partitions[partition].held.contains(&key)
    }
}

impl Mutator {
    /// A change of a partition, sometimes: rows that are loaded while it is detached. What else an application does to
    /// partitions is known only if it is configured.
    pub(super) fn change_of_partition(&mut self, source: usize) -> Option<Change> {
        let table = &self.sources[source];
        let can_change =
            !table.partitions.is_empty() && !table.only_inserts && table.unwritable().next().is_none();
        if !can_change
            || !self.random.percent(self.history[source].share(ChangeKind::Partition, OF_PARTITION))
        {
            return None;
        }
        let change = |partition, how| Some(Change::Partition { source, partition, how });
        if self.random.percent(ATTACHED_AGAIN)
            && let Some(detached) = self.known[source].detached.first()
        {
            return change(*detached, PartitionChange::Attach);
        }
        let attached: Vec<usize> = (0..self.sources[source].partitions.len())
            .filter(|partition| !self.known[source].detached.contains(partition))
            .collect();
        let partition = *self.random.one(&attached)?;
        if !self.sources[source].writes_partitions {
            return change(partition, PartitionChange::Reload(self.statements_on(source, partition)));
        }
        match self.random.below(4) {
            0 => change(partition, PartitionChange::Reload(self.statements_on(source, partition))),
            1 => change(partition, PartitionChange::Detach),
            _ => {
                let how = PartitionChange::Write(self.statements_on(source, partition));
                if how.is_empty() { None } else { change(partition, how) }
            }
        }
    }

    /// Statements for a partition, with rows that belong to it.
    fn statements_on(&mut self, source: usize, partition: usize) -> Vec<Change> {
        let rows: Vec<Row> = {
            let table = &self.sources[source];
            self.known[source].rows.iter().filter(|row| table.is_in(partition, row)).cloned().collect()
        };
        let mut changes = Vec::new();
        if !rows.is_empty() {
            match self.random.below(3) {
                0 => {
                    changes.push(Change::Truncate { source });
                    let kept: Vec<Row> = rows.into_iter().filter(|_| self.random.percent(70)).collect();
                    changes.extend((!kept.is_empty()).then_some(Change::Insert { source, rows: kept }));
                }
                1 => changes.extend(
                    self.random.one(&rows).cloned().map(|row| Change::Delete { source, of: vec![row] }),
                ),
                _ => changes.extend(self.update_in(source, &rows)),
            }
        }
        if changes.is_empty() || self.random.percent(50) {
            changes.extend(
                self.row_for(source, partition).map(|row| Change::Insert { source, rows: vec![row] }),
            );
        }
        changes
    }

    /// An UPDATE of one of these rows that leaves it in its partition.
    fn update_in(&mut self, source: usize, rows: &[Row]) -> Option<Change> {
        let row = self.random.one(rows).cloned()?;
        let mut change = self.update(source)?;
        let Change::Update { set, of, .. } = &mut change else { return None };
        let table = &self.sources[source];
        set.retain(|(at, _)| !table.partition_key.contains(at) && !table.key.contains(at));
        *of = vec![row];
        (!set.is_empty()).then_some(change)
    }

    /// A new row with the partition key of one that the partition has or had.
    fn row_for(&mut self, source: usize, partition: usize) -> Option<Row> {
        let sources = self.sources.clone();
        let held: Vec<&Row> = sources[source].partitions[partition].held.iter().collect();
        for _ in 0..ATTEMPTS {
            let key = (*self.random.one(&held)?).clone();
            let mut row = self.new_row(source)?;
            for (at, value) in sources[source].partition_key.iter().zip(key) {
                row[*at] = value;
            }
            if !self.collides(source, &row) {
                return Some(row);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{Partition, row, sample},
        *,
    };
    use crate::model::Relation;

    fn source() -> Source {
        let held = BTreeSet::from([row(&["1"])]);
        let partition =
            Partition { relation: Relation::new("old", "first"), bound: "FOR VALUES IN (1)".into(), held };
        Source { partition_key: vec![1], partitions: vec![partition], ..sample()[0].clone() }
    }

    fn mutator(writes_partitions: bool) -> Mutator {
        let source = Source { writes_partitions, ..source() };
        let rows = (1..30).map(|n| row(&[&n.to_string(), &(n % 3).to_string(), "note"])).collect();
        Mutator::new(1, vec![source], vec![(rows, true)], true)
    }

    fn drawn(mut mutator: Mutator) -> Vec<PartitionChange> {
        let mut drawn = Vec::new();
        while drawn.len() < 200 {
            let Some(change) = mutator.change_of_partition(0) else { continue };
            mutator.taken(&change);
            let Change::Partition { how, .. } = change else { panic!("{change:?}") };
            drawn.push(how);
        }
        drawn
    }

    #[test]
    fn a_partition_is_attached_again_in_the_same_statement_unless_more_is_asked_for() {
        let reloads = drawn(mutator(false));
        assert!(reloads.iter().all(|how| matches!(how, PartitionChange::Reload(_))));
        assert!(reloads.iter().any(|how| how.statements().is_some_and(|changes| changes.len() > 1)));
        let all = drawn(mutator(true));
        for is_it in [
            |how: &PartitionChange| matches!(how, PartitionChange::Write(_)),
            |how: &PartitionChange| *how == PartitionChange::Detach,
            |how: &PartitionChange| *how == PartitionChange::Attach,
        ] {
            assert!(all.iter().any(is_it));
        }
    }

    #[test]
    fn rows_of_a_partition_stay_in_it() {
        for how in drawn(mutator(true)) {
            for change in how.statements().into_iter().flatten() {
                match change {
                    Change::Insert { rows, .. } | Change::Delete { of: rows, .. } => {
                        assert!(rows.iter().all(|row| row[1].as_deref() == Some("1")), "{change:?}");
                    }
                    Change::Update { set, .. } => assert!(set.iter().all(|(at, _)| *at == 2), "{change:?}"),
                    Change::Truncate { .. } => {}
                    Change::Upsert { .. }
                    | Change::RolledBack { .. }
                    | Change::Open { .. }
                    | Change::Partition { .. }
                    | Change::Alter { .. }
                    | Change::Refresh { .. }
                    | Change::RefreshView { .. } => panic!("{change:?}"),
                }
            }
        }
    }

    #[test]
    fn a_reload_tells_the_rows_that_a_truncate_removes() {
        let reload = PartitionChange::Reload(vec![Change::Truncate { source: 0 }]);
        assert_eq!(
            reload.sql(&source(), 0, false),
            "alter table \"shop\".\"orders\" detach partition \"old\".\"first\";\n\
             truncate \"old\".\"first\";\n\
             alter table \"shop\".\"orders\" attach partition \"old\".\"first\" FOR VALUES IN (1)"
        );
        let telling = reload.sql(&source(), 0, true);
        assert!(telling.contains("array[whole.\"id\"::text, whole.\"customer\"::text, whole.\"note\"::text]), null from \"old\".\"first\""), "{telling}");
    }
}
