//! The changes of rounds: draws them, and keeps what they did.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::coverage::Coverage;
use crate::{
    model::Relation,
    mutate::{Change, Draft, Effect, Mutator, Source},
    pg::ServerMessage,
};

/// The statements of a transaction, with their effects.
pub(super) type Transaction = Vec<(Change, Effect)>;

pub(super) struct Changes {
    mutator: Mutator,
    /// The rounds whose changes are in the sources now.
    pub(super) history: Vec<Vec<Transaction>>,
    /// For each source.
    pub(super) coverage: Vec<Coverage>,
    /// The number of rounds so far.
    pub(super) rounds: usize,
    /// The rounds that changed a row.
    pub(super) changing: usize,
    /// The rounds that only reverted the one before.
    pub(super) reverting: usize,
    /// The time that drawing changes took.
    pub(super) drawing: Duration,
}

impl Changes {
    pub(super) fn new(mutator: Mutator) -> Self {
        Self {
            history: Vec::new(),
            coverage: vec![Coverage::default(); mutator.sources().len()],
            mutator,
            rounds: 0,
            changing: 0,
            reverting: 0,
            drawing: Duration::ZERO,
        }
    }

    pub(super) fn sources(&self) -> &[Source] {
        self.mutator.sources()
    }

    /// Why a source is hard to change.
    pub(super) fn trouble(&self, source: usize) -> Option<String> {
        self.mutator.trouble(source)
    }

    /// Begins a round on some of these sources. Returns its transactions.
    pub(super) fn begin_round(&mut self, sources: &[usize]) -> Vec<Draft> {
        self.rounds += 1;
        self.history.push(Vec::new());
        self.timed(|mutator| mutator.begin_round(sources))
    }

    /// Begins a round that reverts the last one. Returns its changes.
    pub(super) fn begin_reverting(&mut self) -> Vec<Change> {
        let inverse = self.inverse(1).flatten().collect();
        self.rounds += 1;
        self.reverting += 1;
        self.history.push(Vec::new());
        inverse
    }

    /// The changes that lead back through the rows of the last rounds, those of one statement at a time.
    pub(super) fn inverse(&self, rounds: usize) -> impl Iterator<Item = Vec<Change>> {
        let last = self.history.iter().rev().take(rounds);
        last.flat_map(|round| round.iter().flatten().rev()).map(|(_, effect)| effect.inverse())
    }

    /// Begins a transaction that will be rolled back.
    pub(super) fn begin_rolled_back(&mut self) {
        self.timed(Mutator::begin);
    }

    pub(super) fn rolled_back(&mut self) {
        self.history.clear();
        self.timed(Mutator::rolled_back);
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Mutator) -> Option<Change>) -> Option<Change> {
        self.timed(draw)
    }

    /// The sources that the last round changed.
    pub(super) fn changed(&self) -> BTreeSet<usize> {
        let round = self.history.last().into_iter().flatten().flatten();
        round.filter(|(_, effect)| !effect.rows.is_empty()).map(|(change, _)| change.source()).collect()
    }

    /// The kinds of the changes of the last round in these sources, each with its source.
    pub(super) fn of_round(&self, is_read: impl Fn(usize) -> bool) -> Vec<(usize, &'static str)> {
        let round = self.history.last().into_iter().flatten().flatten();
        round
            .filter(|(change, effect)| !effect.rows.is_empty() && is_read(change.source()))
            .flat_map(|(change, effect)| {
                let kinds = change.kinds(self.sources()).into_iter().chain(effect.nulls());
                kinds.map(|kind| (change.source(), kind))
            })
            .collect()
    }

    /// Counts a statement that a lock of another session stopped.
    pub(super) fn blocked(&mut self, change: &Change) {
        self.coverage[change.source()].blocked += 1;
    }

    /// Counts a statement that the server refused.
    pub(super) fn refused(&mut self, change: &Change, message: &ServerMessage) {
        self.coverage[change.source()].refused(message);
        self.timed(|mutator| mutator.refused(change, message.constraint.as_deref()));
    }

    /// The change and its effect; `None` if it changed no row.
    pub(super) fn done(&mut self, change: Change, effect: Effect) -> Option<(Change, Effect)> {
        let effect = match change {
            Change::Truncate { source } => self.mutator.emptied(source),
            Change::RolledBack { .. } | Change::Open { .. } | Change::Alter { .. } => {
                self.timed(|mutator| mutator.taken(&change));
                return Some((change, effect));
            }
            Change::RefreshView { .. } => return Some((change, effect)),
            // It may have changed which partitions there are, and no row.
            Change::Partition { .. } => {
                self.timed(|mutator| {
                    mutator.taken(&change);
                    mutator.saw(&effect);
                });
                return Some((change, effect));
            }
            Change::Insert { .. }
            | Change::Upsert { .. }
            | Change::Update { .. }
            | Change::Delete { .. }
            | Change::Refresh { .. } => effect,
        };
        if effect.rows.is_empty() {
            self.timed(|mutator| mutator.forget(&change));
            return None;
        }
        self.timed(|mutator| {
            mutator.taken(&change);
            mutator.saw(&effect);
        });
        Some((change, effect))
    }

    /// Refreshes of materialized views that read what a transaction changed.
    pub(super) fn view_refreshes(&mut self, done: &Transaction) -> Vec<Change> {
        let changed = done.iter().filter(|(_, effect)| !effect.rows.is_empty());
        let changed = changed.map(|(change, _)| change.source()).collect();
        self.timed(|mutator| mutator.view_refreshes(&changed))
    }

    /// Hides what an open transaction did from the next changes.
    pub(super) fn set_aside(&mut self, open: &Transaction) {
        self.timed(|mutator| mutator.set_aside(open.iter().map(|(_, effect)| effect)));
    }

    /// An open transaction has ended.
    pub(super) fn bring_back(&mut self) {
        self.timed(Mutator::bring_back);
    }

    /// Adds the transaction to the round that was open while its others were committed.
    pub(super) fn keep_open(&mut self, done: Transaction) {
        let opened = |(change, effect): (Change, Effect)| {
            (Change::Open { source: change.source(), changes: vec![change] }, effect)
        };
        self.keep(done.into_iter().map(opened).collect());
    }

    /// Adds a transaction to the round.
    pub(super) fn keep(&mut self, done: Transaction) {
        let is_changing = |(_, effect): &&(Change, Effect)| !effect.rows.is_empty();
        let changed_before =
            self.history.last().into_iter().flatten().flatten().any(|done| is_changing(&done));
        for (change, _) in done.iter().filter(is_changing) {
            self.coverage[change.source()].changed(self.rounds);
        }
        for (change, _) in &done {
            self.coverage[change.source()].altered += usize::from(matches!(change, Change::Alter { .. }));
        }
        self.changing += usize::from(!changed_before && done.iter().any(|done| is_changing(&done)));
        if let Some(round) = self.history.last_mut().filter(|_| !done.is_empty()) {
            round.push(done);
        }
    }

    /// Adds a refresh of one reader to the round.
    pub(super) fn refreshed(&mut self, source: usize, table: &Relation) {
        let refresh = Change::Refresh { source, table: table.clone() };
        self.keep(vec![(refresh, Effect { source, rows: Vec::new() })]);
    }

    /// Counts a transaction that the server refused as a whole.
    pub(super) fn refuse(&mut self, done: Transaction, message: &ServerMessage) {
        for (change, _) in &done {
            self.refused(change, message);
        }
        for (change, effect) in done.iter().rev() {
            self.timed(|mutator| mutator.unsee(change, effect));
        }
    }

    /// Uses the mutator, and measures the time.
    fn timed<T>(&mut self, work: impl FnOnce(&mut Mutator) -> T) -> T {
        let started = Instant::now();
        let done = work(&mut self.mutator);
        self.drawing += started.elapsed();
        done
    }
}
