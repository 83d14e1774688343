//! Transactions that are never committed: rows change, stream tables are refreshed and compared, and all of it is
//! rolled back.
//!
//! If the program or the connection ends, the server rolls back. Each writing statement here begins with a SAVEPOINT,
//! which PostgreSQL rejects outside of a transaction block, so none of them can commit.

use std::{sync::atomic::Ordering, time::Duration};

use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use super::{
    Client, Error,
    settings::{self, Purpose},
};
/// How long a round waits for a lock while it holds none that others wait for.
const LOCK: Duration = Duration::from_millis(500);
/// The same once it has changed a row or refreshed a table. Another session may wait for it then and hold what it waits
/// for: after its deadlock_timeout (one second) the server would end the statement of that session, not of the round.
const LOCK_HOLDING: Duration = Duration::from_millis(50);

/// After these PostgreSQL ends the round of a frozen client, and any round (since PostgreSQL 17).
const IDLE: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_mins(2);

/// How often a busy server checks the connection of its client.
pub(super) const ATTENTION: Duration = Duration::from_secs(1);

impl Client {
    /// Begins a round.
    ///
    /// REPEATABLE READ: neither a refresh nor a comparison sees concurrent commits, so they cannot look like a
    /// difference.
    pub async fn begin_round(&self) -> Result<(), Error> {
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
        self.make_triggers_fire().await?;
        self.run(self.database_settings().await?).await
    }

    /// The end of a statement that took locks in the open round, with a semicolon at its end. A rollback to a savepoint before
    /// it, which releases the locks, takes it back.
    pub(super) fn holding(&self) -> String {
        if !self.inside.load(Ordering::SeqCst) {
            return String::new();
        }
        format!("set local lock_timeout = {}; ", LOCK_HOLDING.min(self.limits.lock).as_millis())
    }

    /// The server process of this session.
    pub async fn process(&self) -> Result<i32, Error> {
        let sql = "select pg_catalog.to_jsonb(pg_catalog.pg_backend_pid())::text";
        self.first_answer("reading the process ID", sql).await
    }

    /// Changes of a role with another session_replication_role fire no triggers, so nothing captures them.
    async fn make_triggers_fire(&self) -> Result<(), Error> {
        let sql = "select pg_catalog.set_config('session_replication_role', 'origin', true)
                   where pg_catalog.current_setting('session_replication_role') <> 'origin'";
        match self.run(sql).await {
            Err(Error::Server { message, .. })
                if &*message.code == SqlState::INSUFFICIENT_PRIVILEGE.code() =>
            {
                Err(Error::Replicates { user: self.endpoint.user.clone() })
            }
            done => done,
        }
    }

    pub async fn end_round(&self) -> Result<(), Error> {
        let ended = self.run("rollback").await;
        self.inside.store(false, Ordering::SeqCst);
        ended
    }

    /// Checks deferred constraints as a commit would; a violation is the error. They stay deferred.
    pub async fn check_deferred(&self) -> Result<(), Error> {
        let sql = "savepoint deferred; set constraints all immediate; rollback to savepoint deferred; release savepoint deferred";
        self.or_back_to("deferred", self.run(sql).await).await
    }

    /// After an error of the server, rolls back to this savepoint, so that the transaction can continue.
    pub(super) async fn or_back_to<T>(&self, savepoint: &str, done: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Server { .. }) = &done {
            self.run(&format!("rollback to savepoint {savepoint}; release savepoint {savepoint}")).await?;
        }
        done
    }

    /// Runs a query in the open transaction and rolls back its settings and effects.
    pub(super) async fn ask_inside(
        &self,
        doing: &'static str,
        purpose: Purpose,
        sql: &str,
    ) -> Result<Vec<SimpleQueryMessage>, Error> {
        let settings = format!("savepoint ask; {}", settings::local(purpose));
        let script = format!("{sql}\n; rollback to savepoint ask; release savepoint ask");
        let answer = self.after(&settings, doing, &script).await;
        self.or_back_to("ask", answer).await
    }
}
