//! Transactions that are never committed: rows change, stream tables refresh and are compared, and all of it is rolled back.
//!
//! Whatever ends the program or the connection, the server rolls back by itself. Each statement in here that writes begins
//! with a SAVEPOINT, which PostgreSQL refuses outside of a transaction block: none of them can commit by itself.

use std::{sync::atomic::Ordering, time::Duration};

use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use super::{
    Client, Error,
    settings::{self, Purpose},
};
use crate::{model::Relation, sql::quote_literal};

/// How long a round waits for a lock that others hold. They wait for its locks in the same way.
const LOCK: Duration = Duration::from_secs(1);

/// What PostgreSQL ends by itself: a client that is frozen in the middle of a round, and a round without an end. The
/// second came with PostgreSQL 17.
const IDLE: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_mins(2);

/// How often a busy server looks whether its client is still there.
pub(super) const ATTENTION: Duration = Duration::from_secs(1);

/// What a refresh in a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It took in what the round changed.
    Done,
    /// Another refresh of the table was under way (docs/pg_trickle.md, "Refresh in a transaction").
    Skipped,
}

impl Client {
    /// Begins a round. Its answer is the server process that holds the round's locks.
    ///
    /// REPEATABLE READ: what others commit meanwhile is neither seen by a refresh nor by a comparison, so that it cannot
    /// pass for a difference.
    pub async fn begin_round(&self) -> Result<i32, Error> {
        let statement = self.limits.statement.as_millis();
        let limits = [
            ("statement_timeout", statement),
            ("lock_timeout", LOCK.min(self.limits.lock).as_millis()),
            ("idle_in_transaction_session_timeout", IDLE.as_millis()),
            ("transaction_timeout", WHOLE.as_millis().max(2 * statement)),
            ("client_connection_check_interval", ATTENTION.as_millis()),
        ];
        let sql = format!("begin isolation level repeatable read, read write; {}", settings::limits(&limits));
        self.run(&sql).await?;
        self.inside.store(true, Ordering::SeqCst);
        self.have_triggers_fire().await?;
        self.ask("asking for the backend", "select to_jsonb(pg_backend_pid())::text").await
    }

    /// Changes of a role that replicates fire no triggers, so that nothing captures them.
    async fn have_triggers_fire(&self) -> Result<(), Error> {
        let sql = "select pg_catalog.set_config('session_replication_role', 'origin', true)
                   where pg_catalog.current_setting('session_replication_role') <> 'origin'";
        match self.run(sql).await {
            Err(Error::Server { message, .. }) if message.code == SqlState::INSUFFICIENT_PRIVILEGE.code() => {
                Err(Error::Replicates { user: self.endpoint.user.clone() })
            }
            done => done,
        }
    }

    /// Rolls everything of the round back.
    pub async fn end_round(&self) -> Result<(), Error> {
        let ended = self.run("rollback").await;
        self.inside.store(false, Ordering::SeqCst);
        ended
    }

    /// Has the constraints looked at that a commit would look at; what they say is the error. They stay deferred.
    pub async fn check_deferred(&self) -> Result<(), Error> {
        let sql = "savepoint deferred; set constraints all immediate; rollback to savepoint deferred; release savepoint deferred";
        self.or_back_to("deferred", self.run(sql).await).await
    }

    /// Refreshes a stream table in the open round.
    ///
    /// A refresh that is skipped only leaves a notice. One that is done leaves a row in the history, whose time is the
    /// beginning of the transaction (docs/pg_trickle.md, "Refresh and history").
    pub async fn refresh_in_round(&self, table: &Relation) -> Result<Refreshed, Error> {
        const DOING: &str = "refreshing the stream table";
        let (schema, name) = (quote_literal(&table.schema), quote_literal(&table.name));
        let count = format!(
            "select count(*) from pgtrickle.pgt_refresh_history as h join pgtrickle.pgt_stream_tables as s using (pgt_id)
             where s.pgt_schema = {schema} and s.pgt_name = {name} and h.start_time = pg_catalog.now()"
        );
        let sql = format!(
            "savepoint refresh; {count}; select pgtrickle.refresh_stream_table({}); {count}; release savepoint refresh",
            quote_literal(&table.to_string())
        );
        let answer = self.within_time(DOING, self.wire.simple_query(&sql)).await;
        let messages = self.or_back_to("refresh", answer).await?;
        let counts: Vec<&str> = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).filter(|text| !text.is_empty()),
                SimpleQueryMessage::RowDescription(_) | SimpleQueryMessage::CommandComplete(_) | _ => None,
            })
            .collect();
        Ok(if counts.first() == counts.last() { Refreshed::Skipped } else { Refreshed::Done })
    }

    /// After an error of the server the transaction goes on from this savepoint.
    async fn or_back_to<T>(&self, savepoint: &str, done: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Server { .. }) = &done {
            self.run(&format!("rollback to savepoint {savepoint}; release savepoint {savepoint}")).await?;
        }
        done
    }

    /// A question inside of the open transaction. What it sets and does is gone afterwards.
    pub(super) async fn ask_inside(
        &self,
        doing: &'static str,
        purpose: Purpose,
        sql: &str,
    ) -> Result<Vec<SimpleQueryMessage>, Error> {
        let script = format!(
            "savepoint ask; {}{sql}\n; rollback to savepoint ask; release savepoint ask",
            settings::local(purpose)
        );
        let answer = self.within_time(doing, self.wire.simple_query(&script)).await;
        self.or_back_to("ask", answer).await
    }
}
