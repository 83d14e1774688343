//! Allows one verification of a database at a time, and finds the sessions that block it.

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;

use super::{Client, Error, of_table, settings};
use crate::model::Relation;

/// A second connection that prevents other verifications of the database while it exists. Its idle transaction has no
/// snapshot and no ID, so it blocks nothing else.
pub struct Exclusive {
    client: Client,
}

/// A lock of the transaction: behind a pooler, one of the session would outlive this program.
const LOCK: &str = "pg_catalog.hashtextextended('pgtrickle-ci verify', 0)";

/// The interval of asking which sessions block a running statement: shorter than any wait for a lock.
const WAITING: Duration = Duration::from_millis(40);

/// Without this, a transaction keeps the statistics that it has read first.
const FRESH: &str = "do $$ begin perform pg_catalog.pg_stat_clear_snapshot(); end $$";

#[derive(Debug, Deserialize)]
struct BlockingSession {
    pid: i32,
    application: String,
    state: String,
}

impl Client {
    /// Keeps other verifications away.
    ///
    /// # Errors
    /// If another one is running, with its server process.
    pub async fn exclusively(&self) -> Result<Exclusive, Error> {
        let client = Self::connect(&self.endpoint, self.limits).await?;
        let sql = format!(
            "{}; set local idle_in_transaction_session_timeout = 0; set local statement_timeout = '10s';
             select pg_catalog.set_config(name, '0', true) from pg_catalog.pg_settings where name = 'transaction_timeout'",
            settings::BEGIN
        );
        client.run(&sql).await?;
        client.inside.store(true, std::sync::atomic::Ordering::SeqCst);
        let lock = format!("select pg_catalog.to_jsonb(pg_catalog.pg_try_advisory_xact_lock({LOCK}))::text");
        // Not under a savepoint, whose rollback would release the lock.
        let is_ours: bool = client.first_answer("locking the verification", &lock).await?;
        if is_ours {
            return Ok(Exclusive { client });
        }
        let sql =
            format!("select pg_catalog.to_jsonb(coalesce(min(pid), 0))::text from ({}) as held", held(LOCK));
        let pid = client.ask("finding the other verification", &sql).await?;
        Err(Error::Busy { endpoint: self.endpoint.to_string(), pid })
    }
}

impl Client {
    /// Waits for the work of another session, which has this server process. `tell` gets the sessions that block it, if
    /// there are any but `own`.
    pub(super) async fn watch<T>(
        &self,
        process: i32,
        own: Option<i32>,
        mut tell: impl FnMut(BTreeSet<String>),
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = std::pin::pin!(work);
        let own = own.unwrap_or(process);
        // pg_blocking_pids is asked once, and only about a process that waits: it locks what all lock tables share.
        let which = format!(
            "pid <> {own} and pid in (
               select unnest(pg_blocking_pids(pid)) from pg_stat_get_activity({process}) where wait_event_type = 'Lock')"
        );
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(WAITING) => {}
            }
            let now = self.sessions(&which).await.unwrap_or_default();
            if !now.is_empty() {
                tell(now);
            }
        }
    }

    /// The sessions that let nobody read the stream table, or what its query reads.
    pub async fn blocking_readers(&self, table: &Relation) -> Result<BTreeSet<String>, Error> {
        let holding = of_table(include_str!("sql/blocking_readers.sql"), table);
        self.sessions(&format!("pid in (\n{holding})")).await
    }

    /// The sessions that currently block others of this database.
    pub async fn blocking_sessions(&self) -> Result<BTreeSet<String>, Error> {
        let waiting = "select unnest(pg_blocking_pids(pid)) from pg_stat_activity
                       where datname = pg_catalog.current_database() and wait_event_type = 'Lock'";
        self.sessions(&format!("pid in ({waiting})")).await
    }

    /// The sessions that hold this advisory lock; `lock` is an expression.
    pub(super) async fn holders(&self, lock: &str) -> Result<BTreeSet<String>, Error> {
        self.sessions(&format!("pid in ({})", held(lock))).await
    }

    async fn sessions(&self, which: &str) -> Result<BTreeSet<String>, Error> {
        let sql = format!(
            "{FRESH}; select coalesce(jsonb_agg(jsonb_build_object(
               'pid', pid, 'application', coalesce(application_name, ''), 'state', coalesce(state, ''))), '[]')::text
             from pg_stat_activity where {which}"
        );
        let sessions: Vec<BlockingSession> = self.ask("finding blocking sessions", &sql).await?;
        Ok(sessions.into_iter().map(|session| session.to_string()).collect())
    }
}

/// The server processes that hold this advisory lock.
fn held(lock: &str) -> String {
    format!(
        "select pid from pg_catalog.pg_locks
         where locktype = 'advisory' and granted and objsubid = 1
           and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
           and (classid::bigint << 32 | objid::bigint) = {lock}"
    )
}

impl Exclusive {
    /// As `Client::watch`.
    pub async fn watch<T>(
        &self,
        process: i32,
        own: Option<i32>,
        tell: impl FnMut(BTreeSet<String>),
        work: impl Future<Output = T>,
    ) -> T {
        self.client.watch(process, own, tell, work).await
    }

    /// Whether this server process has an open transaction with changes.
    pub async fn is_open(&self, process: i32) -> Result<bool, Error> {
        let sql = format!(
            "{FRESH}; select to_jsonb(exists (select from pg_stat_activity where pid = {process}
               and application_name = 'pgtrickle-ci' and backend_xid is not null))::text"
        );
        self.client.ask("checking whether the transaction has ended", &sql).await
    }
}

impl std::fmt::Display for BlockingSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let application = if self.application.is_empty() { "no application name" } else { &self.application };
        let state = if self.state.is_empty() { String::new() } else { format!(", {}", self.state) };
        write!(f, "pid {} ({application}{state})", self.pid)
    }
}
