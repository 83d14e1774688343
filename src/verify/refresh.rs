//! After the changes of a round: refreshes the tables, or waits for the scheduler, and compares them.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    finding::{Fault, Finding},
    not_refused,
    rounds::Rounds,
    subjects::is_immediate,
    wal,
};
use crate::{
    judge::{
        self,
        equality::{self, Comparable, Difference},
    },
    model::{Relation, Stage},
    mutate::{Change, delicacy},
    pg::{self, Refreshed, ServerMessage},
};

/// The limit for a change to reach a table that is refreshed at once.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// The rounds whose rows a refresh may still compute with: one, the one that reverted it, and the current one.
const EARLIER: usize = 3;

impl Rounds<'_> {
    /// Refreshes the tables, upstream ones first.
    pub(super) async fn refresh(
        &mut self,
        affected: &BTreeSet<Relation>,
        deadline: Instant,
    ) -> Result<(), pg::Error> {
        for deployed in self.subjects.tables.clone() {
            let relation = &deployed.table.relation;
            let is_broken = matches!(
                self.seen.findings.get(relation),
                Some(Finding { fault: Fault::RefreshFails(_), .. })
            ) || self.subjects.suspended.contains(relation)
                || self.failing_upstream(relation).is_some();
            if !affected.contains(relation) || is_broken || is_immediate(&deployed.table) {
                continue;
            }
            if Instant::now() >= deadline {
                return Ok(());
            }
            self.refresh_one(relation, deadline).await?;
        }
        Ok(())
    }

    /// A refresh that other sessions prevent is no fault of the table, which is not compared then.
    pub(super) async fn refresh_one(
        &mut self,
        relation: &Relation,
        deadline: Instant,
    ) -> Result<(), pg::Error> {
        let refreshed = if self.settings.commits() {
            let patience = PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
            self.client.refresh_within(relation, patience).await
        } else {
            self.client.refresh_in_round(relation).await
        };
        match refreshed {
            Ok(Refreshed::Done) => {
                self.seen.unreached.remove(relation);
                Ok(())
            }
            Err(pg::Error::Server { message, .. }) if pg::is_not_permitted(&message.code) => {
                self.seen.unreached.insert(relation.clone());
                self.seen.prevented.insert(relation.clone(), ("refresh", message));
                Ok(())
            }
            Err(pg::Error::Server { message, .. })
                if !pg::is_in_the_way(&message.code) && !pg::is_too_slow(&message.code) =>
            {
                self.failed_to_refresh(relation, message).await
            }
            Ok(Refreshed::Skipped) | Err(pg::Error::Server { .. }) => {
                self.not_refreshed(relation).await;
                Ok(())
            }
            Err(lost) => Err(lost),
        }
    }

    async fn not_refreshed(&mut self, relation: &Relation) {
        self.seen.blocked += 1;
        self.not_reached(relation).await;
    }

    async fn not_reached(&mut self, relation: &Relation) {
        self.seen.unreached.insert(relation.clone());
        if self.settings.commits() {
            self.seen.blockers.extend(self.client.blocking_sessions().await.unwrap_or_default());
        }
    }

    /// A failed refresh is a finding, unless the query itself fails on the rows.
    pub(super) async fn failed_to_refresh(
        &mut self,
        relation: &Relation,
        mut message: ServerMessage,
    ) -> Result<(), pg::Error> {
        let Some(table) = self.subjects.comparables.get(relation).cloned() else { return Ok(()) };
        // Where rows made its query fail, the scheduler may have met them, too, and suspended the table.
        if self.settings.commits() && not_refused(self.client.resume(relation).await)?.is_some() {
            match self.client.refresh_within(relation, PATIENCE).await {
                Ok(refreshed) if self.has_failed(&table).await? => {
                    if refreshed == Refreshed::Skipped {
                        self.not_refreshed(relation).await;
                    }
                    return Ok(());
                }
                Ok(_) => {}
                Err(pg::Error::Server { message: own, .. }) => message = own,
                Err(lost) => return Err(lost),
            }
        }
        match self.client.compare(&table, self.settings.terms.tolerance).await {
            Err(pg::Error::Server { message: own, .. })
                if own.code == message.code || message.code.is_empty() || pg::is_about_values(&own.code) =>
            {
                self.query_fails(relation, own, None);
            }
            Err(lost @ pg::Error::Lost { .. }) => return Err(lost),
            _ if self.fails_on_earlier_rows(&table).await?.is_some_and(|own| own.code == message.code) => {
                self.query_fails(relation, message, None);
                // The engine would meet those rows again.
                if self.settings.commits() {
                    not_refused(self.client.refill(relation).await)?;
                }
            }
            _ => self.found(relation, Fault::RefreshFails(message), None),
        }
        Ok(())
    }

    /// Whether the query of the table has failed on rows of these rounds.
    async fn has_failed(&self, table: &Comparable) -> Result<bool, pg::Error> {
        Ok(self.seen.failing.contains_key(&table.relation)
            || self.fails_on_earlier_rows(table).await?.is_some())
    }

    /// The error of the query on rows that the last rounds replaced, if it is about the values. A refresh computes with those
    /// rows, too, and the scheduler may have met them.
    async fn fails_on_earlier_rows(&self, table: &Comparable) -> Result<Option<ServerMessage>, pg::Error> {
        let sources = self.changes.sources();
        let script =
            |step: Vec<Change>| step.iter().map(|change| change.sql(sources)).collect::<Vec<_>>().join("; ");
        let steps: Vec<String> = self.changes.inverse(EARLIER).map(script).collect();
        let fails = async || self.client.fails_after(&steps, &table.query).await;
        let own = if self.settings.commits() {
            self.client.run("begin").await?;
            let own = fails().await;
            self.client.run("rollback").await?;
            own?
        } else {
            fails().await?
        };
        Ok(own.filter(|own| pg::is_about_values(&own.code)))
    }

    /// Those of the tables whose sources' changes pg_trickle has read from the log, if it captures them there. The others are
    /// not refreshed or compared.
    pub(super) async fn read_from_wal(
        &mut self,
        mut affected: BTreeSet<Relation>,
        deadline: Instant,
    ) -> Result<BTreeSet<Relation>, pg::Error> {
        let unread = wal::unread(self.client, &affected, Some(deadline)).await?.unwrap_or_default();
        affected.retain(|relation| !unread.contains(relation));
        for relation in &unread {
            self.forget_result(relation);
        }
        if Instant::now() < deadline {
            self.seen.unreached.extend(unread);
        }
        Ok(affected)
    }

    /// Compares the tables: delicate ones first, or upstream ones first if the scheduler has to refresh them.
    pub(super) async fn compare(
        &mut self,
        affected: &BTreeSet<Relation>,
        deadline: Instant,
    ) -> Result<(), pg::Error> {
        let mut due: Vec<Comparable> = self
            .subjects
            .tables
            .iter()
            .map(|deployed| &deployed.table.relation)
            .filter(|relation| affected.contains(*relation) && self.is_open(relation))
            .filter(|relation| self.settings.terms.left_out(Stage::Verify, relation).is_none())
            .filter_map(|relation| self.subjects.comparables.get(relation))
            .filter(|table| equality::not_comparable(table).is_none())
            .cloned()
            .collect();
        if !self.settings.by_scheduler {
            due.sort_by_cached_key(|table| std::cmp::Reverse(delicacy(&table.query)));
        }
        for table in due {
            if Instant::now() >= deadline {
                return Ok(());
            }
            // A table that was compared before may have turned out to fail.
            if !self.is_open(&table.relation) {
                continue;
            }
            match self.settled(&table, deadline).await {
                Ok(None) => self.forget_result(&table.relation),
                Ok(Some(difference)) => {
                    let rounds = usize::from(self.changes.rounds > 0);
                    *self.seen.compared.entry(table.relation.clone()).or_default() += rounds;
                    let reached =
                        self.changes.of_round(|at| self.subjects.reached[at].contains(&table.relation));
                    let result = (difference.expected, difference.hash.clone());
                    self.seen.reach.entry(table.relation.clone()).or_default().add(&reached, result);
                    if difference.is_none() {
                        self.seen.moved.remove(&table.relation);
                    } else if let Some(why) = equality::moves_by_itself(&table) {
                        self.seen
                            .moved
                            .insert(table.relation.clone(), format!("{}; {why}", difference.sentence()));
                    } else {
                        self.found(&table.relation, Fault::Differs(difference), None);
                    }
                }
                Err(pg::Error::Server { message, .. }) if pg::is_about_the_session(&message.code) => {
                    self.forget_result(&table.relation);
                    self.seen.blocked += usize::from(pg::is_in_the_way(&message.code));
                    self.seen.prevented.insert(table.relation.clone(), ("comparison", message));
                }
                // The query itself fails on these rows, which verifies nothing.
                Err(pg::Error::Server { message, .. }) => {
                    self.forget_result(&table.relation);
                    self.query_fails(&table.relation, message, None);
                }
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// A round that changed the table without a comparison: its effect must not count as one of the next round.
    pub(super) fn forget_result(&mut self, relation: &Relation) {
        if let Some(reach) = self.seen.reach.get_mut(relation) {
            reach.forget_result();
        }
    }

    /// The difference after all changes have reached the table; `None` if they do not in time.
    ///
    /// pg_trickle skips a refresh that another session runs, and the scheduler waits for its schedule and for old snapshots.
    /// So the wait consists of short statements, with sleeps between them (docs/pg_trickle.md, "Visibility lag").
    async fn settled(
        &mut self,
        table: &Comparable,
        deadline: Instant,
    ) -> Result<Option<Difference>, pg::Error> {
        let scheduled = self.settings.by_scheduler;
        let patience = Instant::now()
            + if scheduled { PATIENCE + self.subjects.interval(&table.relation) } else { PATIENCE };
        loop {
            if !scheduled && self.seen.unreached.contains(&table.relation) {
                return Ok(None);
            }
            if !self.settings.commits() {
                return self.client.compare_here(table, self.settings.terms.tolerance).await.map(Some);
            }
            let difference = self.client.compare_and_hash(table, self.settings.terms.tolerance).await?;
            let now = Instant::now();
            if difference.is_none() || !difference.waiting && (now >= patience || !scheduled) {
                return Ok(Some(difference));
            }
            if now >= patience || now >= deadline {
                self.give_up(table).await?;
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
            if !scheduled {
                self.refresh_one(&table.relation, deadline).await?;
                if self.seen.findings.contains_key(&table.relation) {
                    return Ok(None);
                }
            }
        }
    }

    /// A table in ERROR is a finding; the changes have not reached any other one yet.
    async fn give_up(&mut self, table: &Comparable) -> Result<(), pg::Error> {
        let relation = &table.relation;
        let deployed = self.client.catalog().await?;
        let now = deployed.into_iter().find(|deployed| deployed.table.relation == *relation);
        if let Some(deployed) = now.filter(|deployed| deployed.health.status == "ERROR") {
            let said = deployed.health.last_error_message.unwrap_or_default();
            let message = ServerMessage { message: judge::engine_message(&said), ..ServerMessage::default() };
            self.failed_to_refresh(relation, message).await?;
            // Its error ends when the rows are reverted.
            return not_refused(self.client.resume(relation).await).map(|_| ());
        }
        self.not_reached(relation).await;
        Ok(())
    }
}
