//! Rounds on a named server: each is one transaction that changes rows, refreshes, compares, and is rolled back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    changes::Transaction,
    coverage::Reach,
    finding::{Fault, Finding},
    rounds::Rounds,
    subjects::is_immediate,
};
use crate::{
    judge::equality::{self, Comparable},
    model::{Relation, Stage},
    mutate::{Mutator, Source},
    pg::{self, Refreshed},
};

/// The most rounds in one transaction. Some faults need several.
const STEPS: usize = 8;
/// No further step begins after this time: other sessions wait for the transaction's locks.
const SHORT: Duration = Duration::from_secs(2);
/// No further table is refreshed or compared after this time.
const LONG: Duration = Duration::from_secs(20);
/// How long the scheduler gets between two transactions, which keep it from the tables that they refresh: one tick
/// (docs/pg_trickle.md, "Scheduler").
const TICK: Duration = Duration::from_millis(1200);

impl Rounds<'_> {
    /// Rolls back rounds until the budget ends, and calls `record` after each transaction.
    pub(super) async fn run_rolled_back(&mut self, mut record: impl FnMut(&Self)) -> Result<(), pg::Error> {
        let started = Instant::now();
        let deadline = started + self.settings.budget;
        self.compare_first(started + self.settings.before_rounds().unwrap_or_default()).await?;
        while self.continues(deadline) {
            self.transaction(async |rounds| rounds.steps(deadline).await).await?;
            self.took(started.elapsed());
            record(self);
            if self.keeps_the_scheduler_waiting() {
                tokio::time::sleep(TICK.min(deadline.saturating_duration_since(Instant::now()))).await;
            }
        }
        Ok(())
    }

    /// Whether the scheduler has to refresh a table more often than the budget lasts.
    fn keeps_the_scheduler_waiting(&self) -> bool {
        let scheduled = self.subjects.tables.iter().filter(|deployed| !is_immediate(&deployed.table));
        scheduled
            .into_iter()
            .any(|deployed| self.subjects.interval(&deployed.table.relation) < self.settings.budget)
    }

    /// Compares the tables that differed before the first change, one at a time. Refreshes only those that still differ,
    /// because a refresh may block readers.
    async fn compare_first(&mut self, deadline: Instant) -> Result<(), pg::Error> {
        let is_due = |table: &&Comparable| {
            equality::not_comparable(table).is_none()
                && self.settings.terms.left_out(Stage::Verify, &table.relation).is_none()
                && !self.reads_wal(&table.relation)
        };
        let suspected = self.subjects.suspected();
        let due =
            suspected.iter().filter_map(|relation| self.subjects.comparables.get(relation)).filter(is_due);
        let due: Vec<Comparable> = due.cloned().collect();
        for table in due {
            if Instant::now() >= deadline {
                break;
            }
            let compare = async |rounds: &mut Self| match rounds
                .client
                .compare_here(&table, rounds.settings.terms.tolerance)
                .await
            {
                Ok(difference) if difference.is_none() => Ok(()),
                Ok(_) | Err(pg::Error::Server { .. }) => {
                    rounds.refresh_and_compare(&BTreeSet::from([table.relation.clone()]), deadline).await
                }
                Err(lost) => Err(lost),
            };
            self.transaction(compare).await?;
        }
        Ok(())
    }

    /// Works in a transaction, and always rolls it back.
    async fn transaction(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<(), pg::Error>,
    ) -> Result<(), pg::Error> {
        self.client.begin_round().await?;
        self.client.run("savepoint unchanged").await?;
        self.process = self.client.process().await?;
        self.changes.begin_rolled_back();
        let worked = async {
            self.watched(work).await?;
            self.record_findings().await?;
            self.tell_apart().await
        };
        let worked = worked.await;
        let ended = self.client.end_round().await;
        self.changes.rolled_back();
        self.seen.reach.values_mut().for_each(Reach::forget_result);
        worked.and(ended)
    }

    /// Says of new findings whether a refresh in the same snapshot leads to them without the changes. What other sessions wrote
    /// may do so (docs/pg_trickle.md, "Open transactions").
    async fn tell_apart(&mut self) -> Result<(), pg::Error> {
        let is_new = |finding: &Finding| {
            finding.round > 0
                && finding.round == self.changes.rounds
                && matches!(finding.fault, Fault::Differs(_))
        };
        let new: Vec<Relation> = self
            .seen
            .findings
            .iter()
            .filter(|(_, finding)| is_new(finding))
            .map(|(relation, _)| relation.clone())
            .collect();
        for relation in new {
            self.client.run("rollback to savepoint unchanged").await?;
            if self.differs_unchanged(&relation).await? {
                self.seen.reproductions.retain(|of| of.relation != relation);
                if let Some(finding) = self.seen.findings.get_mut(&relation) {
                    finding.is_of_others = true;
                }
            }
        }
        Ok(())
    }

    /// Whether the table differs after a refresh of it and its upstream. Not if other sessions prevent that.
    async fn differs_unchanged(&self, relation: &Relation) -> Result<bool, pg::Error> {
        let Some(table) = self.subjects.comparables.get(relation) else { return Ok(false) };
        let read = self.subjects.with_upstream(vec![relation.clone()]);
        let refreshed = self
            .subjects
            .tables
            .iter()
            .filter(|deployed| read.contains(&deployed.table.relation) && !is_immediate(&deployed.table));
        for deployed in refreshed {
            match self.client.refresh_in_round(&deployed.table.relation).await {
                Ok(Refreshed::Done) => {}
                Ok(Refreshed::Skipped) | Err(pg::Error::Server { .. }) => return Ok(false),
                Err(lost) => return Err(lost),
            }
        }
        match self.client.compare_here(table, self.settings.terms.tolerance).await {
            Ok(difference) => Ok(!difference.is_none()),
            Err(pg::Error::Server { .. }) => Ok(false),
            Err(lost) => Err(lost),
        }
    }

    /// Rounds of the mutator, each on top of the earlier ones.
    async fn steps(&mut self, deadline: Instant) -> Result<(), pg::Error> {
        let started = Instant::now();
        let (blocked, failing_queries, findings) =
            (self.seen.blocked, self.seen.failing_queries, self.seen.findings.len());
        let deadline = deadline.min(started + LONG);
        for step in 0..STEPS {
            // A step after a blocked statement or a finding would only repeat it.
            let is_disturbed = self.seen.blocked > blocked
                || self.seen.failing_queries > failing_queries
                || self.seen.findings.len() > findings;
            if step > 0 && (is_disturbed || started.elapsed() >= SHORT) || Instant::now() >= deadline {
                break;
            }
            for draft in self.changes.begin_round(&self.sources_by_priority()) {
                self.client.run("savepoint step").await?;
                let done = self.change(self.client, (0..draft.statements).map(|_| Mutator::change)).await?;
                self.as_committed(done).await?;
            }
            let affected = self.verifiable(self.affected());
            self.refresh_and_compare(&affected, deadline).await?;
        }
        Ok(())
    }

    /// Reverts changes that a commit would refuse.
    async fn as_committed(&mut self, done: Transaction) -> Result<(), pg::Error> {
        match self.client.check_deferred().await {
            Ok(()) => self.changes.keep(done),
            Err(pg::Error::Server { message, .. }) => {
                self.client.run("rollback to savepoint step").await?;
                self.changes.refuse(done, &message);
            }
            Err(lost) => return Err(lost),
        }
        self.client.run("release savepoint step").await
    }

    async fn refresh_and_compare(
        &mut self,
        affected: &BTreeSet<Relation>,
        deadline: Instant,
    ) -> Result<(), pg::Error> {
        self.refresh(affected, deadline).await?;
        self.compare(affected, deadline).await
    }

    /// Without the tables whose changes a transaction does not show.
    fn verifiable(&self, mut tables: BTreeSet<Relation>) -> BTreeSet<Relation> {
        tables.retain(|relation| !self.reads_wal(relation));
        tables
    }

    /// On a named server, whether the table reads a source that is captured from the log.
    pub(super) fn reads_wal(&self, relation: &Relation) -> bool {
        let reads = |source: &Source| source.from_log && source.readers.contains(relation);
        !self.settings.commits() && self.changes.sources().iter().any(reads)
    }
}
