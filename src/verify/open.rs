//! A transaction that stays open while others commit: what it wrote comes later than its place in the order of writes, and
//! refreshes that ran meanwhile did not see it.

use std::time::{Duration, Instant};

use super::{
    changes::Transaction,
    rounds::Rounds,
    second_session::{SecondSession, Session},
};
use crate::{
    model::Relation,
    mutate::{Draft, Mutator},
    pg,
};

/// How long the others wait for a lock, which it may hold.
const LOCK: Duration = Duration::from_millis(200);
/// How long it waits for a refresh of the scheduler, besides the time between two of them.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// The open transaction.
pub(super) struct Open {
    second: Session,
    done: Transaction,
    /// The ID of the newest refresh when it began.
    newest_refresh: i64,
}

impl Rounds<'_> {
    /// Changes rows in a second session, and leaves its transaction open.
    pub(super) async fn open(&mut self, draft: &Draft) -> Result<Option<Open>, pg::Error> {
        let Some(second) = self.second.take() else { return Ok(None) };
        let newest_refresh = self.client.scheduled(&[], 0).await?.newest;
        second.client.run("begin; set local idle_in_transaction_session_timeout = 0").await?;
        let done = self.change(&second.client, (0..draft.statements).map(|_| Mutator::change)).await?;
        self.changes.set_aside(&done);
        self.client.wait_for_locks(LOCK).await?;
        Ok(Some(Open { second, done, newest_refresh }))
    }

    /// Commits it after refreshes of the tables that the other transactions, and its own, affect.
    pub(super) async fn close(&mut self, open: Open, deadline: Instant) -> Result<(), pg::Error> {
        let Open { second, done, newest_refresh } = open;
        let changed =
            self.changes.changed().into_iter().chain(done.iter().map(|(change, _)| change.source()));
        let affected: Vec<Relation> =
            changed.flat_map(|source| &self.subjects.reached[source]).cloned().collect();
        let due = self.subjects.tables.iter().map(|deployed| &deployed.table.relation);
        let due = due.filter(|relation| affected.contains(relation) && self.may_be_early(relation));
        let due: Vec<Relation> = due.cloned().collect();
        if self.settings.by_scheduler {
            self.await_scheduler(&due, newest_refresh, deadline).await?;
        } else {
            self.refresh_beside(&due, deadline).await?;
        }
        let ended = second.client.run("commit").await;
        self.changes.bring_back();
        match ended {
            Ok(()) => self.changes.keep_open(done),
            Err(pg::Error::Server { message, .. }) => self.changes.refuse(done, &message),
            Err(lost) => return Err(lost),
        }
        self.second = SecondSession::Idle(second);
        self.client.wait_for_locks(self.settings.wait_for_locks()).await
    }

    /// Refreshes the tables once. One that fails, or waits for the open transaction, is refreshed again after it.
    async fn refresh_beside(&self, due: &[Relation], deadline: Instant) -> Result<(), pg::Error> {
        for relation in due {
            if Instant::now() >= deadline {
                break;
            }
            super::not_refused(self.client.refresh(relation).await)?;
        }
        Ok(())
    }

    /// Waits until the scheduler has refreshed one of the tables, or had the time for it.
    async fn await_scheduler(
        &self,
        due: &[Relation],
        newest_refresh: i64,
        deadline: Instant,
    ) -> Result<(), pg::Error> {
        let Some(interval) = due.iter().map(|relation| self.subjects.interval(relation)).min() else {
            return Ok(());
        };
        let deadline = deadline.min(Instant::now() + interval + PATIENCE);
        while Instant::now() < deadline && self.client.scheduled(due, newest_refresh).await?.scheduled == 0 {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
