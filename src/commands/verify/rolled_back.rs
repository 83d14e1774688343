//! Rounds on a named server: each is one transaction that changes rows, refreshes, compares, and is rolled back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::moving::{Moving, Transaction};
use crate::{
    judge::equality::{self, Comparable, Difference},
    model::{Relation, Stage},
    mutate::{Mutator, Source},
    pg::{self, Client, Exclusive, Refreshed},
};

/// The most rounds of the mutator that one transaction holds, one behind the other. Several find what takes a history.
const STEPS: usize = 8;
/// After this time in a transaction no further step begins: others wait for its locks.
const SHORT: Duration = Duration::from_secs(2);
/// After this time it refreshes and compares no further table.
const LONG: Duration = Duration::from_secs(20);
/// After this time of a statement that goes on it is asked who blocks it.
const WAITING: Duration = Duration::from_millis(500);

/// Leaves the sources out whose changes a rollback would not take back, or not show.
pub(super) async fn leave_out(client: &Client, sources: &mut [Source]) -> Result<(), pg::Error> {
    let reach = client.reach().await?;
    for source in sources.iter_mut().filter(|source| source.out_of_reach.is_none()) {
        let escape = reach.escapes.iter().find(|escape| escape.source == source.relation);
        source.out_of_reach = if source.from_log {
            Some("is captured from the log, which shows committed changes only".to_owned())
        } else {
            escape.map(|escape| format!("may have effects that no rollback takes back: {}", escape.why))
        };
    }
    Ok(())
}

impl Moving<'_> {
    /// Rounds until the budget is over; after each transaction it is told how things are.
    pub(super) async fn run_rolled_back(
        &mut self,
        exclusive: &Exclusive,
        mut tell: impl FnMut(&Self),
    ) -> Result<(), pg::Error> {
        let started = Instant::now();
        let deadline = started + self.wishes.budget;
        self.compare_first(exclusive, started + self.wishes.budget / 4).await?;
        while self.goes_on(deadline) {
            self.transaction(exclusive, async |moving| moving.steps(deadline).await).await?;
            self.taken = started.elapsed();
            tell(self);
        }
        Ok(())
    }

    /// What is wrong before anything changed, a table at a time. Only one that differs is refreshed, which may lock its
    /// readers out.
    async fn compare_first(&mut self, exclusive: &Exclusive, deadline: Instant) -> Result<(), pg::Error> {
        let is_due = |table: &&Comparable| {
            equality::not_comparable(table).is_none()
                && self.wishes.terms.left_out(Stage::Verify, &table.relation).is_none()
                && !self.read_from_log(&table.relation)
        };
        let due: Vec<Comparable> = self.comparables.values().filter(is_due).cloned().collect();
        for table in due {
            if Instant::now() >= deadline {
                break;
            }
            let compare = async |moving: &mut Self| match moving
                .client
                .compare_here(&table, moving.wishes.terms.tolerance)
                .await
            {
                Ok(difference) if difference.is_none() => Ok(()),
                Ok(_) | Err(pg::Error::Server { .. }) => {
                    moving.refresh_and_compare(&BTreeSet::from([table.relation.clone()]), deadline).await
                }
                Err(lost) => Err(lost),
            };
            self.transaction(exclusive, compare).await?;
        }
        Ok(())
    }

    /// A transaction that is rolled back however the work in it ends.
    async fn transaction(
        &mut self,
        exclusive: &Exclusive,
        work: impl AsyncFnOnce(&mut Self) -> Result<(), pg::Error>,
    ) -> Result<(), pg::Error> {
        let process = self.client.begin_round().await?;
        self.process = process;
        self.thought(Mutator::begin);
        let worked = {
            let mut blockers = BTreeSet::new();
            let worked = watched(exclusive, process, &mut blockers, work(self)).await;
            self.blockers.append(&mut blockers);
            worked
        };
        let worked = match worked {
            Ok(()) => self.keep_findings().await,
            failed => failed,
        };
        let ended = self.client.end_round().await;
        self.rounds.clear();
        self.thought(Mutator::rolled_back);
        worked.and(ended)
    }

    /// Rounds of the mutator, each on top of the ones before.
    async fn steps(&mut self, deadline: Instant) -> Result<(), pg::Error> {
        let started = Instant::now();
        let (blocked, unbearable, findings) = (self.blocked, self.unbearable, self.findings.len());
        let deadline = deadline.min(started + LONG);
        for step in 0..STEPS {
            // What follows an error of others or a finding would only show the same.
            let is_disturbed =
                self.blocked > blocked || self.unbearable > unbearable || self.findings.len() > findings;
            if step > 0 && (is_disturbed || started.elapsed() >= SHORT) || Instant::now() >= deadline {
                break;
            }
            for size in self.begin_round(&self.by_worth()) {
                self.client.run("savepoint step").await?;
                let done = self.change((0..size).map(|_| Mutator::change)).await?;
                self.as_committed(done).await?;
            }
            let affected = self.verifiable(self.affected());
            self.refresh_and_compare(&affected, deadline).await?;
        }
        Ok(())
    }

    /// What a commit would refuse is no change of the round.
    async fn as_committed(&mut self, done: Transaction) -> Result<(), pg::Error> {
        match self.client.check_deferred().await {
            Ok(()) => self.keep(done),
            Err(pg::Error::Server { message, .. }) => {
                self.client.run("rollback to savepoint step").await?;
                self.refuse(done, &message);
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
        self.unreached.retain(|relation| !affected.contains(relation));
        self.refresh(affected, deadline).await?;
        self.compare(affected, deadline).await
    }

    /// Without the tables of which a transaction shows nothing.
    fn verifiable(&self, mut tables: BTreeSet<Relation>) -> BTreeSet<Relation> {
        tables.retain(|relation| !self.read_from_log(relation));
        tables
    }

    /// On a named server, whether the table reads a source that is captured from the log.
    pub(super) fn read_from_log(&self, relation: &Relation) -> bool {
        let reads = |source: &Source| source.from_log && source.readers.contains(relation);
        !self.wishes.commits && self.sources().iter().any(reads)
    }

    /// Refreshes a table inside of the transaction. Others that stand in the way say nothing of the table.
    pub(super) async fn refresh_in_round(&mut self, relation: &Relation) -> Result<(), pg::Error> {
        match self.client.refresh_in_round(relation).await {
            Ok(Refreshed::Done) => Ok(()),
            Ok(Refreshed::Skipped) => {
                self.not_refreshed(relation);
                Ok(())
            }
            Err(pg::Error::Server { message, .. })
                if pg::is_in_the_way(&message.code) || pg::is_too_slow(&message.code) =>
            {
                self.not_refreshed(relation);
                Ok(())
            }
            Err(pg::Error::Server { message, .. }) => self.failed_to_refresh(relation, message).await,
            Err(lost) => Err(lost),
        }
    }

    fn not_refreshed(&mut self, relation: &Relation) {
        self.blocked += 1;
        self.unreached.insert(relation.clone());
    }

    /// The difference after the refresh; `None` where that came to nothing.
    pub(super) async fn compared_in_round(
        &mut self,
        table: &Comparable,
    ) -> Result<Option<Difference>, pg::Error> {
        if self.unreached.contains(&table.relation) {
            return Ok(None);
        }
        self.client.compare_here(table, self.wishes.terms.tolerance).await.map(Some)
    }
}

/// Waits for the work, and learns who blocks it where it takes long.
async fn watched<T>(
    exclusive: &Exclusive,
    process: i32,
    blockers: &mut BTreeSet<String>,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(WAITING) => {
                blockers.extend(exclusive.blocking(process).await.unwrap_or_default());
            }
        }
    }
}
