//! Rounds of changes, each followed by a refresh and a comparison of every table downstream of what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{RoundSettings, coverage::Coverage, reproduce::Reproduction};
use crate::{
    judge::equality::{Comparable, Difference},
    model::{Deployed, Relation, StreamTable},
    mutate::{Change, Draft, Effect, Mutator, Source},
    pg::{self, Changed, Client, ServerMessage},
};

/// What is wrong with a table, and since when.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The number of the round; 0 is before the first.
    pub(super) round: usize,
    pub(super) fault: Fault,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Differs(Difference),
    RefreshFails(ServerMessage),
}

/// The statements of a transaction, with their effects.
pub(super) type Transaction = Vec<(Change, Effect)>;

/// The rounds so far, and what they found.
pub(super) struct Rounds<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a RoundSettings,
    pub(super) mutator: Mutator,
    /// All stream tables, upstream ones first.
    pub(super) tables: Vec<&'a Deployed>,
    pub(super) comparables: BTreeMap<Relation, Comparable>,
    /// For each source the tables downstream of it.
    pub(super) reached: Vec<BTreeSet<Relation>>,
    pub(super) findings: BTreeMap<Relation, Finding>,
    /// What reproduces each finding, recorded when it was found.
    pub(super) reproductions: Vec<Reproduction>,
    /// The rounds whose changes are in the sources now.
    pub(super) history: Vec<Vec<Transaction>>,
    pub(super) count: usize,
    /// The rounds that changed a row.
    pub(super) changing: usize,
    /// For each source.
    pub(super) coverage: Vec<Coverage>,
    /// The rounds after which each table was compared, only those that changed a source of it.
    pub(super) compared: BTreeMap<Relation, usize>,
    /// Tables that differed in their last comparison, but whose query reads the clock, with what differed.
    pub(super) moved: BTreeMap<Relation, String>,
    /// Tables that the changes of a round did not reach in time.
    pub(super) unreached: BTreeSet<Relation>,
    /// Whether each table was equal to its query before the first round; those without an entry were not compared.
    pub(super) equal_before: &'a BTreeMap<Relation, bool>,
    /// The priority of each wanted table: delicate queries first.
    pub(super) priority: BTreeMap<Relation, usize>,
    /// The wait before a TRUNCATE.
    pub(super) truncate_delay: Duration,
    /// Statements and refreshes that other sessions blocked, and those sessions.
    pub(super) blocked: usize,
    pub(super) blockers: BTreeSet<String>,
    /// The server process of the last round that was rolled back.
    pub(super) process: i32,
    /// Comparisons in which the query itself failed on the rows.
    pub(super) failing_queries: usize,
    /// The time that drawing changes took.
    pub(super) drawing: Duration,
    pub(super) elapsed: Duration,
}

impl Rounds<'_> {
    pub(super) fn sources(&self) -> &[Source] {
        self.mutator.sources()
    }

    /// Why a source is hard to change.
    pub(super) fn trouble(&self, source: usize) -> Option<String> {
        self.mutator.trouble(source)
    }

    /// Commits rounds until the budget ends, and calls `record` after each.
    pub(super) async fn run(&mut self, mut record: impl FnMut(&Self)) -> Result<(), pg::Error> {
        let started = Instant::now();
        let deadline = started + self.settings.budget;
        let first = started + self.settings.before_rounds().unwrap_or_default();
        let suspected = self.read_from_wal(self.suspected(), first).await?;
        self.compare(&suspected, first).await?;
        self.record_findings().await?;
        while self.continues(deadline) {
            self.round(&self.sources_by_priority(), deadline).await?;
            self.elapsed = started.elapsed();
            record(self);
        }
        Ok(())
    }

    /// Whether there is time, a source to change, and a table without a finding.
    pub(super) fn continues(&self, deadline: Instant) -> bool {
        if self.settings.until_found && !self.findings.is_empty() {
            return false;
        }
        let can_change = self.sources().iter().any(|source| source.out_of_reach.is_none());
        let mut relations = self.tables.iter().map(|deployed| &deployed.table.relation);
        can_change && Instant::now() < deadline && relations.any(|relation| self.is_open(relation))
    }

    /// The tables that differed from their queries before the first round, and may be wrong for good.
    pub(super) fn suspected(&self) -> BTreeSet<Relation> {
        self.equal_before.iter().filter(|(_, equal)| !**equal).map(|(relation, _)| relation.clone()).collect()
    }

    /// Whether the table has no finding and changes can reach it.
    pub(super) fn is_open(&self, relation: &Relation) -> bool {
        !self.findings.contains_key(relation) && self.failing_upstream(relation).is_none()
    }

    /// A table upstream whose refresh fails, so that no change reaches this one.
    pub(super) fn failing_upstream(&self, relation: &Relation) -> Option<&Relation> {
        let fails = |finding: &Finding| matches!(finding.fault, Fault::RefreshFails(_));
        if !self.findings.values().any(fails) {
            return None;
        }
        let reads = |of: &Relation| self.tables.iter().find(|deployed| deployed.table.relation == *of);
        let upstream = |of: &Relation| reads(of).into_iter().flat_map(|deployed| &deployed.table.upstream);
        let mut seen = BTreeSet::from([relation]);
        let mut next: Vec<&Relation> = upstream(relation).collect();
        while let Some(up) = next.pop() {
            match self.findings.get_key_value(up) {
                Some((failing, finding)) if up != relation && fails(finding) => return Some(failing),
                _ if seen.insert(up) => next.extend(upstream(up)),
                _ => {}
            }
        }
        None
    }

    /// The sources in the order to change them. First those that were changed in few rounds and whose tables are many,
    /// delicate, and rarely compared so far.
    pub(super) fn sources_by_priority(&self) -> Vec<usize> {
        let priority = |relation: &Relation| {
            let compared = self.compared.get(relation).copied().unwrap_or_default();
            self.priority.get(relation).copied().unwrap_or_default() * 1_000_000 / (1 + compared)
        };
        let mut sorted: Vec<usize> =
            (0..self.sources().len()).filter(|at| self.sources()[*at].out_of_reach.is_none()).collect();
        sorted.sort_by_cached_key(|at| {
            let open = self.reached[*at].iter().filter(|relation| self.is_open(relation));
            std::cmp::Reverse(open.map(priority).sum::<usize>() / (1 + self.coverage[*at].rounds))
        });
        sorted
    }

    async fn round(&mut self, sources: &[usize], deadline: Instant) -> Result<(), pg::Error> {
        for draft in self.begin_round(sources) {
            if draft.truncates {
                // Before the transaction: an open one holds back the scheduler.
                tokio::time::sleep(self.truncate_delay).await;
            }
            self.client.run("begin").await?;
            let done = self.change((0..draft.statements).map(|_| Mutator::change)).await?;
            self.commit(done).await?;
        }
        let affected = self.read_from_wal(self.affected(), deadline).await?;
        let failing = self.failing_queries;
        if !self.settings.by_scheduler {
            self.refresh(&affected, deadline).await?;
        }
        self.compare(&affected, deadline).await?;
        self.record_findings().await?;
        if self.failing_queries > failing { self.revert_round().await } else { Ok(()) }
    }

    /// Begins a round on some of these sources. Returns its transactions.
    pub(super) fn begin_round(&mut self, sources: &[usize]) -> Vec<Draft> {
        self.count += 1;
        self.history.push(Vec::new());
        self.timed(|mutator| mutator.begin_round(sources))
    }

    /// The tables downstream of what the last round changed.
    pub(super) fn affected(&self) -> BTreeSet<Relation> {
        let round = self.history.last().into_iter().flatten().flatten();
        let changed: BTreeSet<usize> = round.map(|(change, _)| change.source()).collect();
        changed.iter().flat_map(|source| &self.reached[*source]).cloned().collect()
    }

    /// Records what reproduces the new findings, while the sources still contain it.
    pub(super) async fn record_findings(&mut self) -> Result<(), pg::Error> {
        let is_new =
            |relation: &&Relation| !self.reproductions.iter().any(|recorded| recorded.relation == **relation);
        let new: Vec<Relation> = self.findings.keys().filter(is_new).cloned().collect();
        for relation in new {
            let reproduction = Reproduction::of(self, &relation).await?;
            self.reproductions.extend(reproduction);
        }
        Ok(())
    }

    /// Changes rows in the open transaction. Each change is drawn after the one before it is done.
    pub(super) async fn change(
        &mut self,
        changes: impl IntoIterator<Item = impl FnOnce(&mut Mutator) -> Option<Change>>,
    ) -> Result<Transaction, pg::Error> {
        let mut done: Transaction = Vec::new();
        for draw in changes {
            let Some(change) = self.timed(draw) else { continue };
            match self.client.change(&change, self.mutator.sources()).await? {
                Changed::Refused(message) => self.refused(&change, message),
                Changed::Done(effect) => done.extend(self.done(change, effect)),
            }
        }
        Ok(done)
    }

    fn refused(&mut self, change: &Change, message: ServerMessage) {
        let coverage = &mut self.coverage[change.source()];
        if pg::is_in_the_way(&message.code) {
            self.blocked += 1;
            coverage.blocked += 1;
            return;
        }
        coverage.refused(&message);
        self.timed(|mutator| mutator.refused(change, message.constraint.as_deref()));
        self.find_immediate_reader(change, message);
    }

    /// The change and its effect; `None` if it changed no row.
    fn done(&mut self, change: Change, effect: Effect) -> Option<(Change, Effect)> {
        let effect = match change {
            Change::Truncate { source } => self.mutator.emptied(source),
            Change::Insert { .. } | Change::Upsert { .. } | Change::Update { .. } | Change::Delete { .. } => {
                effect
            }
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

    async fn commit(&mut self, done: Transaction) -> Result<(), pg::Error> {
        match self.client.run("commit").await {
            Ok(()) => self.keep(done),
            // A deferred constraint.
            Err(pg::Error::Server { message, .. }) => self.refuse(done, &message),
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    /// Adds a transaction to the round.
    pub(super) fn keep(&mut self, done: Transaction) {
        for (change, _) in &done {
            self.coverage[change.source()].changed(self.count);
        }
        if !done.is_empty() && self.history.last().is_some_and(Vec::is_empty) {
            self.changing += 1;
        }
        if let Some(round) = self.history.last_mut().filter(|_| !done.is_empty()) {
            round.push(done);
        }
    }

    /// Counts a transaction that the server refused as a whole.
    pub(super) fn refuse(&mut self, done: Transaction, message: &ServerMessage) {
        for (change, _) in &done {
            self.coverage[change.source()].refused(message);
            self.timed(|mutator| mutator.refused(change, message.constraint.as_deref()));
        }
        for (_, effect) in done.iter().rev() {
            self.timed(|mutator| mutator.unsee(effect));
        }
    }

    /// An IMMEDIATE table is maintained by the write itself. If the write fails with an error that the schema does not
    /// explain, that table has a finding.
    fn find_immediate_reader(&mut self, change: &Change, message: ServerMessage) {
        if pg::is_refusal(&message.code) {
            return;
        }
        let source = &self.sources()[change.source()];
        let is_reader = |deployed: &&&Deployed| {
            is_immediate(&deployed.table) && source.readers.contains(&deployed.table.relation)
        };
        let reader = self.tables.iter().find(is_reader).map(|deployed| deployed.table.relation.clone());
        if let Some(relation) = reader.filter(|relation| !self.findings.contains_key(relation)) {
            self.found(&relation, Fault::RefreshFails(message));
            // The change had no effect, but it reproduces the error.
            let refused = (change.clone(), Effect { source: change.source(), rows: Vec::new() });
            self.history.last_mut().into_iter().for_each(|round| round.push(vec![refused.clone()]));
        }
    }

    /// Reverts the last round: rows on which a query fails would disturb all later rounds.
    async fn revert_round(&mut self) -> Result<(), pg::Error> {
        let effects: Vec<Effect> =
            self.history.last().into_iter().flatten().flatten().map(|(_, effect)| effect.clone()).collect();
        let inverse: Vec<Change> = effects.iter().rev().flat_map(Effect::inverse).collect();
        self.count += 1;
        self.history.push(Vec::new());
        // It restores rows and verifies nothing, so it does not count.
        let (coverage, changing) = (self.coverage.clone(), self.changing);
        self.client.run("begin").await?;
        let done = self.change(inverse.into_iter().map(|change| move |_: &mut Mutator| Some(change))).await?;
        self.commit(done).await?;
        (self.coverage, self.changing) = (coverage, changing);
        Ok(())
    }

    /// Keeps the first finding of a table: later faults may follow from it.
    pub(super) fn found(&mut self, relation: &Relation, fault: Fault) {
        self.findings.entry(relation.clone()).or_insert(Finding { round: self.count, fault });
    }

    /// Uses the mutator, and measures the time.
    pub(super) fn timed<T>(&mut self, work: impl FnOnce(&mut Mutator) -> T) -> T {
        let started = Instant::now();
        let done = work(&mut self.mutator);
        self.drawing += started.elapsed();
        done
    }
}

pub(super) fn is_immediate(table: &StreamTable) -> bool {
    table.settings.refresh_mode() == Some("IMMEDIATE")
}
