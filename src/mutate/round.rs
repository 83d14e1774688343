//! Plans a round: its sources, its transactions, and whether it begins with a load.

use std::collections::BTreeSet;

use super::{Change, Effect, Mutator, Row, Source, lessons::ChangeKind, mutator::MANY};

/// How often, in percent, a round begins with a load: TRUNCATE, mostly with new rows in the same transaction.
const LOADS: usize = 8;
/// How often, in percent, one reader is refreshed after each transaction of a round.
const EARLY: usize = 25;
/// How often, in percent, the first transaction of a round stays open until the others have ended, if an application has
/// such transactions.
const OPEN: usize = 30;
/// How often, in percent, a transaction refreshes a materialized view that reads what it changed.
const VIEWS: usize = 70;
/// Enough numbers to choose any of a source's readers.
const READERS: usize = 1000;
/// How often, in percent, a further source of a round has a reader in common with the first one.
const TOGETHER: usize = 60;

/// A transaction that a round will make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The number of its statements.
    pub statements: usize,
    /// Whether its first statement is a TRUNCATE.
    pub truncates: bool,
    /// A number that chooses one reader to refresh after the transaction, before the others.
    pub refreshes: Option<usize>,
    /// Whether it stays open in a second session until the others of the round have ended.
    pub stays_open: bool,
}

impl Mutator {
    /// Begins a round on some of the sources `of`, more likely on earlier ones. Returns its transactions.
    pub fn begin_round(&mut self, of: &[usize]) -> Vec<Draft> {
        self.chosen.clear();
        self.planned.clear();
        self.undo.clear();
        self.has_early_reader = false;
        for known in &mut self.known {
            known.recent.clear();
        }
        let wanted = 1 + self.random.below(3);
        for _ in 0..wanted {
            let at = self.random.below(of.len()).min(self.random.below(of.len()));
            let first = self.chosen.first().filter(|_| self.random.percent(TOGETHER));
            let together = first.map(|first| self.read_together(*first, of)).unwrap_or_default();
            let source = self.random.one(&together).or(of.get(at)).copied();
            self.chosen.extend(source.filter(|source| !self.chosen.contains(source)));
        }
        // Drawn only where it counts, so that a seed makes the same changes elsewhere.
        self.has_open =
            self.chosen.iter().any(|at| self.sources[*at].stays_open) && self.random.percent(OPEN);
        if self.has_open {
            let others = 1 + self.random.below(3);
            let drafts = (0..=others).map(|nth| Draft {
                statements: 1 + self.random.below(5),
                truncates: false,
                refreshes: None,
                stays_open: nth == 0,
            });
            return drafts.collect();
        }
        let load = self.load();
        let transactions = 1 + self.random.below(3);
        let refreshes = if self.random.percent(EARLY) { Some(self.random.below(READERS)) } else { None };
        self.has_early_reader = refreshes.is_some();
        let transactions = transactions + 2 * usize::from(self.has_early_reader);
        let drafts = (0..transactions)
            .map(|_| Draft {
                statements: 1 + self.random.below(5),
                truncates: false,
                refreshes,
                stays_open: false,
            })
            .collect::<Vec<_>>();
        load.into_iter().chain(drafts).collect()
    }

    /// Refreshes of materialized views that read one of these sources, upstream ones first; not always.
    pub fn view_refreshes(&mut self, changed: &BTreeSet<usize>) -> Vec<Change> {
        let sources = self.sources.clone();
        let refresh = |view: &Source| {
            let behind = view.snapshot_of.as_ref()?;
            let source = *changed.iter().find(|at| behind.contains(&sources[**at].relation))?;
            Some(Change::RefreshView { source, view: view.relation.clone() })
        };
        let mut refreshes: Vec<Change> = sources.iter().filter_map(refresh).collect();
        refreshes.retain(|_| self.random.percent(VIEWS));
        refreshes
    }

    /// Hides the rows that an open transaction wrote from the changes that follow, which would wait for it.
    pub fn set_aside<'a>(&mut self, effects: impl IntoIterator<Item = &'a Effect>) {
        self.planned.clear();
        self.undo.clear();
        for effect in effects {
            let known = &mut self.known[effect.source];
            known.recent.clear();
            known.deleted.clear();
            for after in effect.rows.iter().filter_map(|(_, after)| after.as_ref()) {
                let at = known.rows.iter().position(|row| row == after);
                self.aside.extend(at.map(|at| (effect.source, known.rows.remove(at))));
            }
        }
    }

    /// Shows them again, when it has ended.
    pub fn bring_back(&mut self) {
        for (source, row) in std::mem::take(&mut self.aside) {
            self.known[source].rows.push(row);
        }
    }

    /// Those of the sources that have a reader in common with this one.
    pub(super) fn read_together(&self, source: usize, of: &[usize]) -> Vec<usize> {
        let readers = &self.sources[source].readers;
        let is_joined = |other: &&usize| {
            **other != source && self.sources[**other].readers.iter().any(|reader| readers.contains(reader))
        };
        of.iter().filter(is_joined).copied().collect()
    }

    /// Plans what loaders do, sometimes: a TRUNCATE, mostly followed by rows in the same transaction.
    fn load(&mut self) -> Option<Draft> {
        let source = *self.random.one(&self.chosen)?;
        let (table, known) = (&self.sources[source], &self.known[source]);
        let can_load = self.may_truncate
            && known.is_complete
            && (1..=MANY).contains(&known.rows.len())
            && !table.only_inserts
            && table.unwritable().next().is_none();
        if !can_load || !self.random.percent(self.history[source].share(ChangeKind::Truncate, LOADS)) {
            return None;
        }
        let rows = known.rows.clone();
        if self.history[source].was_tried(ChangeKind::Truncate) && self.random.percent(40) {
            self.undo.push(Change::Insert { source, rows });
        } else {
            let kept: Vec<Row> = rows.into_iter().filter(|_| self.random.percent(70)).collect();
            self.planned.extend((!kept.is_empty()).then_some(Change::Insert { source, rows: kept }));
        }
        self.planned.push_front(Change::Truncate { source });
        let statements = self.planned.len();
        Some(Draft { statements, truncates: true, refreshes: None, stays_open: false })
    }
}
