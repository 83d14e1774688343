//! Choosing the next change.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Change, Effect, Row, Source,
    lessons::{ChangeKind, RejectionHistory},
    random::Random,
};

/// Above this many known rows a source is not truncated, and more rows are deleted than inserted.
pub(super) const MANY: usize = 1000;
/// How many deleted rows are remembered.
const REMEMBERED: usize = 200;

/// How often, in percent, a change of such a round deletes a row that came in it: what one reader has seen come, another
/// has not.
const SHORT_LIVED: usize = 15;
/// How often, in percent, rows with the same value change in two sources that have a reader in common.
const PAIRS: usize = 10;
/// How often, in percent, statements are rolled back to a savepoint.
const ROLLBACKS: usize = 6;
/// The most rows that a bulk change takes.
pub(super) const BULK: usize = 400;
/// The most rows that one statement changes.
pub(super) const GROUP: usize = 40;

/// The known rows of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownRows {
    pub(super) rows: Vec<Row>,
    /// Whether `rows` are all rows of the source.
    pub(super) is_complete: bool,
    /// Rows of recent changes, which are likely to change again.
    pub(super) recent: Vec<Row>,
    /// The last deleted rows.
    pub(super) deleted: Vec<Row>,
    /// How often deleted rows were inserted again into the empty source.
    pub(super) returns: usize,
    /// The partitions that are detached.
    pub(super) detached: Vec<usize>,
    /// How often its columns were altered.
    pub(super) altered: usize,
}

/// Draws changes. The same seed and rows give the same changes.
#[derive(Clone, Debug)]
pub struct Mutator {
    pub(super) random: Random,
    pub(super) sources: Arc<[Source]>,
    pub(super) known: Vec<KnownRows>,
    pub(super) history: Vec<RejectionHistory>,
    pub(super) next_number: u64,
    pub(super) turn: usize,
    pub(super) chosen: Vec<usize>,
    /// Whether one reader is refreshed after each transaction of this round.
    pub(super) has_early_reader: bool,
    /// Whether a transaction of this round stays open, for which a change of a whole table would wait.
    pub(super) has_open: bool,
    /// The rows that it wrote, each with its source.
    pub(super) aside: Vec<(usize, Row)>,
    /// The next changes, before any other is drawn.
    pub(super) planned: VecDeque<Change>,
    /// Changes that undo earlier ones of this round.
    pub(super) undo: Vec<Change>,
    /// The columns that the last change drew values for.
    pub(super) drawn: Vec<usize>,
    /// Whether TRUNCATE is allowed.
    pub(super) may_truncate: bool,
    /// How often no change was found, for each source.
    stuck: Vec<usize>,
    /// The known rows before the transaction that will be rolled back.
    before: Option<Vec<KnownRows>>,
}

impl Mutator {
    /// A mutator for these sources with their known rows, and whether those are all. TRUNCATE is optional, because it
    /// locks every reader out until the transaction ends.
    pub fn new(seed: u64, sources: Vec<Source>, known: Vec<(Vec<Row>, bool)>, may_truncate: bool) -> Self {
        let known: Vec<KnownRows> = known
            .into_iter()
            .map(|(rows, is_complete)| KnownRows { rows, is_complete, ..KnownRows::default() })
            .collect();
        let greatest = known
            .iter()
            .flat_map(|known| known.rows.iter().flatten().flatten())
            .filter_map(|value| value.parse::<u64>().ok())
            .filter(|number| *number < 1_000_000_000)
            .max();
        Self {
            random: Random::new(seed),
            history: sources.iter().map(|source| RejectionHistory::of(source.columns.len())).collect(),
            stuck: vec![0; sources.len()],
            sources: sources.into(),
            known,
            next_number: greatest.unwrap_or(0) + 1,
            turn: 0,
            chosen: Vec::new(),
            has_early_reader: false,
            has_open: false,
            aside: Vec::new(),
            planned: VecDeque::new(),
            undo: Vec::new(),
            drawn: Vec::new(),
            may_truncate,
            before: None,
        }
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Why few changes of a source are drawn, if the reason is the mutator.
    pub fn trouble(&self, source: usize) -> Option<String> {
        let table = &self.sources[source];
        let unwritable: Vec<String> = table
            .unwritable()
            .map(|at| format!("`{}` ({})", table.columns[at].name, table.columns[at].type_name))
            .collect();
        if !unwritable.is_empty() {
            return Some(format!("cannot insert rows: no value can be written to {}", unwritable.join(", ")));
        }
        let stuck = self.stuck[source];
        (stuck > 0).then(|| format!("found no change to make {stuck} times"))
    }

    /// The next change of the round; `None` if none is found.
    pub fn change(&mut self) -> Option<Change> {
        self.drawn.clear();
        if let Some(planned) = self.planned.pop_front() {
            return Some(planned);
        }
        if self.random.percent(20)
            && let Some(undo) = self.undo.pop()
        {
            return Some(undo);
        }
        let source = *self.random.one(&self.chosen)?;
        let change = if !self.has_open
            && let Some(change) = self.alteration(source).or_else(|| self.change_of_partition(source))
        {
            Some(change)
        } else if self.random.percent(ROLLBACKS) {
            self.rolled_back_changes(source)
        } else if self.has_early_reader
            && self.random.percent(SHORT_LIVED)
            && let Some(row) = self.short_lived(source)
        {
            Some(Change::Delete { source, of: vec![row] })
        } else if self.random.percent(PAIRS)
            && let Some(pair) = self.both_sides(source)
        {
            Some(pair)
        } else {
            self.change_of(source)
        };
        self.stuck[source] += usize::from(change.is_none());
        change
    }

    /// A row that came in this round.
    fn short_lived(&mut self, source: usize) -> Option<Row> {
        let table = &self.sources[source];
        if table.only_inserts || table.unwritable().next().is_some() {
            return None;
        }
        let known = &self.known[source];
        self.random.one(&known.recent).filter(|row| known.rows.contains(row)).cloned()
    }

    /// Statements that a rollback to a savepoint undoes. One of them may follow once more, to stay.
    fn rolled_back_changes(&mut self, source: usize) -> Option<Change> {
        let count = 1 + self.random.below(3);
        let changes: Vec<Change> = (0..count).filter_map(|_| self.change_of(source)).collect();
        let again = self.random.one(&changes).cloned()?;
        if self.random.percent(60) {
            self.planned.push_back(again);
        }
        Some(Change::RolledBack { source, changes })
    }

    fn change_of(&mut self, source: usize) -> Option<Change> {
        let count = self.known[source].rows.len();
        if self.sources[source].unwritable().next().is_some() {
            // A deleted row could not be inserted again.
            return if count > 0 { self.update(source) } else { None };
        }
        if self.sources[source].only_inserts || count == 0 {
            return self.insert(source);
        }
        let (inserts, updates, deletes) = match count {
            0..4 => (70, 20, 10),
            4..MANY => (30, 45, 25),
            _ => (15, 45, 40),
        };
        let history = &self.history[source];
        let upserts =
            if self.sources[source].can_upsert() { history.share(ChangeKind::Upsert, 10) } else { 0 };
        let inserts = history.share(ChangeKind::Insert, inserts);
        let updates = history.share(ChangeKind::Update, updates);
        let deletes = history.share(ChangeKind::Delete, deletes);
        match self.random.below(upserts + inserts + deletes + updates) {
            n if n < upserts => self.upsert(source).or_else(|| self.insert(source)),
            n if n < upserts + inserts => self.insert(source).or_else(|| self.update(source)),
            n if n < upserts + inserts + deletes => {
                Some(Change::Delete { source, of: self.deleted_rows(source) })
            }
            _ => self.update(source).or_else(|| self.insert(source)),
        }
    }

    /// Records the effect of a change.
    pub fn saw(&mut self, effect: &Effect) {
        let known = &mut self.known[effect.source];
        for (before, after) in &effect.rows {
            let at = before.as_ref().and_then(|before| known.rows.iter().position(|row| row == before));
            match (at, after) {
                (Some(at), Some(after)) => known.rows[at].clone_from(after),
                (Some(at), None) => known.deleted.push(known.rows.remove(at)),
                (None, Some(after)) => known.rows.push(after.clone()),
                (None, None) => {}
            }
            known.recent.extend(after.clone());
        }
        let forgotten = known.deleted.len().saturating_sub(REMEMBERED);
        known.deleted.drain(..forgotten);
        if !known.rows.is_empty() {
            known.returns = 0;
        }
        if self.random.percent(30) && !self.sources[effect.source].only_inserts {
            self.undo.extend(effect.inverse());
            self.undo.truncate(GROUP);
        }
    }

    /// Records that the server accepted a change.
    pub fn taken(&mut self, change: &Change) {
        let drawn = std::mem::take(&mut self.drawn);
        self.history[change.source()].accept(ChangeKind::of(change), &drawn);
        self.known[change.source()].attach_or_detach(change);
    }

    /// Records that the server rejected a change, because of this constraint.
    pub fn refused(&mut self, change: &Change, constraint: Option<&str>) {
        // Rows that would follow a TRUNCATE are still there.
        self.planned.clear();
        let (source, drawn) = (change.source(), std::mem::take(&mut self.drawn));
        let by = self.sources[source].constraints.iter().find(|by| Some(by.name.as_str()) == constraint);
        let history = &mut self.history[source];
        match by {
            // The key rejects values that other rows have.
            Some(by) if matches!(by.kind, 'p' | 'u' | 'x' | 'i') => {
                history.add_violated_key(&by.name);
                history.reject(ChangeKind::of(change), &[]);
            }
            by => {
                let concerned = |at: &usize| by.is_none_or(|by| by.columns.contains(at));
                let mut blamed: Vec<usize> = drawn.iter().copied().filter(concerned).collect();
                if blamed.is_empty() {
                    blamed = drawn;
                }
                history.reject(ChangeKind::of(change), &blamed);
            }
        }
    }

    /// Records that a change was undone.
    pub fn unsee(&mut self, change: &Change, effect: &Effect) {
        let known = &mut self.known[effect.source];
        known.attach_or_detach(&change.undone());
        for (before, after) in effect.rows.iter().rev() {
            if let Some(at) = after.as_ref().and_then(|after| known.rows.iter().position(|row| row == after))
            {
                known.rows.remove(at);
            }
            known.rows.extend(before.clone());
        }
        known.recent.clear();
    }

    /// Records the start of a transaction that will be rolled back.
    pub fn begin(&mut self) {
        self.before = Some(self.known.clone());
    }

    /// Records that it was rolled back: the rows are those from its start.
    pub fn rolled_back(&mut self) {
        self.known = self.before.take().unwrap_or_else(|| std::mem::take(&mut self.known));
    }

    /// The effect of truncating this source.
    pub fn emptied(&self, source: usize) -> Effect {
        Effect { source, rows: self.known[source].rows.iter().map(|row| (Some(row.clone()), None)).collect() }
    }

    /// Forgets the rows of a statement that did not find them.
    pub fn forget(&mut self, change: &Change) {
        if let Change::Update { source, of, .. } | Change::Delete { source, of } = change {
            let known = &mut self.known[*source];
            known.rows.retain(|row| !of.contains(row));
            known.recent.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{row, sample},
        *,
    };

    fn mutator(seed: u64, only_inserts: bool) -> Mutator {
        let mut sources = sample();
        sources[0].only_inserts = only_inserts;
        for source in &mut sources {
            source.readers = vec![crate::model::Relation::new("shop", "joined")];
        }
        let orders = (1..30).map(|n| row(&[&n.to_string(), &(1 + n % 5).to_string(), "note"])).collect();
        let customers = (1..6).map(|n| row(&[&n.to_string(), "Ada"])).collect();
        Mutator::new(seed, sources, vec![(orders, true), (customers, true)], true)
    }

    /// The effect of a change on a server without constraints.
    fn effect(mutator: &Mutator, change: &Change) -> Effect {
        let source = change.source();
        let rows = match change {
            Change::Truncate { .. } => return mutator.emptied(source),
            Change::RolledBack { .. }
            | Change::Open { .. }
            | Change::Partition { .. }
            | Change::Alter { .. }
            | Change::Refresh { .. }
            | Change::RefreshView { .. } => vec![],
            Change::Insert { rows, .. } => rows.iter().map(|row| (None, Some(row.clone()))).collect(),
            Change::Upsert { rows, .. } => {
                let before =
                    |row: &Row| mutator.known[source].rows.iter().find(|old| old[0] == row[0]).cloned();
                rows.iter().map(|row| (before(row), Some(row.clone()))).collect()
            }
            Change::Delete { of, .. } => of.iter().map(|row| (Some(row.clone()), None)).collect(),
            Change::Update { set, of, .. } => {
                let after = |row: &Row| {
                    let mut row = row.clone();
                    for (at, value) in set {
                        row[*at].clone_from(value);
                    }
                    row
                };
                of.iter().map(|row| (Some(row.clone()), Some(after(row)))).collect()
            }
        };
        Effect { source, rows }
    }

    fn changes(mut mutator: Mutator, of: &[usize], count: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < count {
            let drafts = mutator.begin_round(of);
            for _ in 0..drafts.iter().map(|draft| draft.statements).sum() {
                let Some(change) = mutator.change() else { continue };
                mutator.saw(&effect(&mutator, &change));
                changes.push(change);
            }
        }
        changes
    }

    #[test]
    fn a_seed_decides_everything() {
        let of_seed = |seed| changes(mutator(seed, false), &[0, 1], 200);
        assert_eq!(of_seed(7), of_seed(7));
        assert_ne!(of_seed(7), of_seed(8));
    }

    #[test]
    fn every_kind_of_change_comes_up() {
        let changes = changes(mutator(1, false), &[0, 1], 2000);
        let some = |is_it: fn(&Change) -> bool| assert!(changes.iter().any(is_it));
        some(|change| matches!(change, Change::Truncate { .. }));
        some(|change| matches!(change, Change::RolledBack { changes, .. } if changes.len() > 1));
        some(|change| matches!(change, Change::Upsert { rows, .. } if rows.len() > 2));
        some(|change| matches!(change, Change::Update { of, .. } if of.len() > 25));
        let truncated = changes.windows(2).filter(|pair| matches!(pair[0], Change::Truncate { .. }));
        let loaded = truncated.filter(|pair| matches!(pair[1], Change::Insert { .. }));
        assert!(loaded.count() > 3);
        // Both sides of a join go together: an order, and the customer of an order.
        let of = |change: &Change| {
            let Change::Delete { source, of } = change else { return None };
            of[0][1 - source].clone()
        };
        let sides = |pair: &&[Change]| pair[0].source() != pair[1].source() && of(&pair[0]) == of(&pair[1]);
        assert!(changes.windows(2).filter(|pair| of(&pair[0]).is_some()).filter(sides).count() > 10);
        some(|change| matches!(change, Change::Insert { rows, .. } if rows.len() > 1));
        some(|change| matches!(change, Change::Delete { of, .. } if of.len() > 1));
        some(|change| matches!(change, Change::Update { set, .. } if set[0].0 == 0));
        some(|change| matches!(change, Change::Update { set, .. } if set[0].1.is_none()));
        some(|change| matches!(change, Change::Update { set, .. } if set.len() > 1));
    }

    #[test]
    fn an_append_only_source_only_gets_inserts() {
        let changes = changes(mutator(3, true), &[0], 300);
        let inserts = |change: &Change| matches!(change, Change::Insert { .. });
        let only_inserts = |change: &Change| {
            if let Change::RolledBack { changes, .. } = change {
                changes.iter().all(inserts)
            } else {
                inserts(change)
            }
        };
        assert!(changes.iter().all(only_inserts));
    }

    #[test]
    fn new_rows_reference_existing_rows_and_have_new_keys() {
        let changes = changes(mutator(4, true), &[0], 300);
        let inserted = |change: &Change| match change {
            Change::Insert { rows, .. } => rows.clone(),
            Change::Upsert { .. }
            | Change::Update { .. }
            | Change::Delete { .. }
            | Change::RolledBack { .. }
            | Change::Open { .. }
            | Change::Partition { .. }
            | Change::Alter { .. }
            | Change::Refresh { .. }
            | Change::RefreshView { .. }
            | Change::Truncate { .. } => vec![],
        };
        let rows: Vec<Row> = changes.iter().flat_map(inserted).collect();
        let keys: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(keys.len(), rows.len());
        assert!(rows.iter().all(|row| (1..6).any(|n: i32| row[1] == Some(n.to_string()))));
    }
}
