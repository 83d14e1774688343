//! Plans a round: its sources, its transactions, and whether it begins with a load.

use super::{Change, Mutator, Row, lessons::ChangeKind, mutator::MANY};

/// How often, in percent, a round begins with a load: TRUNCATE, mostly with new rows in the same transaction.
const LOADS: usize = 8;
/// How often, in percent, one reader is refreshed after each transaction of a round.
const EARLY: usize = 25;
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
}

impl Mutator {
    /// Begins a round on some of the sources `of`, more likely on earlier ones. Returns its transactions.
    pub fn begin_round(&mut self, of: &[usize]) -> Vec<Draft> {
        self.chosen.clear();
        self.planned.clear();
        self.undo.clear();
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
        let load = self.load();
        let transactions = 1 + self.random.below(3);
        let refreshes = if self.random.percent(EARLY) { Some(self.random.below(READERS)) } else { None };
        self.has_early_reader = refreshes.is_some();
        let transactions = transactions + 2 * usize::from(self.has_early_reader);
        let drafts = (0..transactions)
            .map(|_| Draft { statements: 1 + self.random.below(5), truncates: false, refreshes })
            .collect::<Vec<_>>();
        load.into_iter().chain(drafts).collect()
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
        Some(Draft { statements: self.planned.len(), truncates: true, refreshes: None })
    }
}
