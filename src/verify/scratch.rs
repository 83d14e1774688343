//! A scratch database on the same server, in which cases are tried and reduced.

use std::time::Duration;

use super::finding::Fault;
use crate::{
    judge::equality::Comparable,
    mutate::{Case, Change, Pace, Part, Statement},
    output,
    pg::{self, Client, Endpoint, Limits},
    sql::{quote_identifier, quote_literal, statements},
};

/// How long a statement waits for a lock, which an open transaction may hold until it has run.
const LOCK: Duration = Duration::from_secs(1);

/// The fault that a case has to reproduce.
pub(super) struct Expected<'a> {
    pub(super) table: &'a Comparable,
    pub(super) fault: &'a Fault,
    pub(super) tolerance: f64,
}

impl Expected<'_> {
    /// Whether the statements had the same fault. `compare` asks whether the table differs after them, or fails as its query
    /// does.
    async fn matches(
        &self,
        ran: Result<(), pg::Error>,
        compare: impl AsyncFnOnce() -> Result<bool, pg::Error>,
    ) -> Result<bool, pg::Error> {
        match (ran, self.fault) {
            (Err(pg::Error::Server { message, .. }), Fault::RefreshFails(expected)) => {
                if !expected.code.is_empty() && message.code != expected.code {
                    return Ok(false);
                }
                // On what is left of the rows the query itself may fail, which is another fault: then this fails, too.
                if pg::is_about_values(&message.code) { compare().await.map(|_| true) } else { Ok(true) }
            }
            (Ok(()), Fault::Differs(_)) => compare().await,
            (Ok(()), Fault::RefreshFails(_) | Fault::WriteFails(..)) => Ok(false),
            (Err(pg::Error::Server { message, .. }), Fault::WriteFails(_, expected)) => {
                Ok(message.trigger == expected.trigger && message.code == expected.code)
            }
            (Err(pg::Error::Server { message, .. }), Fault::QueryFails(expected)) => {
                Ok(message.code == expected.code)
            }
            // The refresh may not evaluate what fails.
            (Ok(()), Fault::QueryFails(expected)) => match compare().await {
                Ok(_) => Ok(false),
                Err(pg::Error::Server { message, .. }) => Ok(message.code == expected.code),
                Err(lost) => Err(lost),
            },
            (Err(error), _) => Err(error),
        }
    }
}

pub(super) struct ScratchDatabase {
    /// `None` while the database is created.
    client: Option<Client>,
    verified: Endpoint,
    limits: Limits,
    name: String,
    /// The remaining tries.
    tries: usize,
    /// The setup in the open transaction, before its savepoint.
    prepared: Option<Vec<String>>,
}

impl ScratchDatabase {
    pub(super) async fn open(verified: &Client, limits: Limits, tries: usize) -> Result<Self, pg::Error> {
        let mut scratch = Self {
            client: None,
            verified: verified.endpoint().clone(),
            limits,
            name: format!("pgtrickle_ci_case_{}", std::process::id()),
            tries,
            prepared: None,
        };
        match scratch.clean(verified).await {
            Ok(()) => Ok(scratch),
            Err(error) => {
                scratch.close(verified).await?;
                Err(error)
            }
        }
    }

    /// Drops and creates the database.
    async fn clean(&mut self, verified: &Client) -> Result<(), pg::Error> {
        self.client = None;
        self.prepared = None;
        let name = quote_identifier(&self.name);
        verified.run_script(&format!("drop database if exists {name} with (force)")).await?;
        verified.run_script(&format!("create database {name}")).await?;
        let client = Client::connect(&self.verified.with_database(&self.name), self.limits).await?;
        client.run_script("create extension if not exists pg_trickle").await?;
        client.limit().await?;
        self.client = Some(client);
        Ok(())
    }

    pub(super) async fn close(mut self, verified: &Client) -> Result<(), pg::Error> {
        self.client = None;
        let dropped = format!("drop database if exists {} with (force)", quote_identifier(&self.name));
        verified.run_script(&dropped).await?;
        self.name.clear();
        Ok(())
    }

    /// Removes parts of the case as long as the rest reproduces the fault.
    pub(super) async fn smallest(
        &mut self,
        case: Case,
        expected: &Expected<'_>,
        verified: &Client,
    ) -> Result<Case, pg::Error> {
        let mut case = match case.without_unread_columns() {
            Some(less) if self.reproduces(&less, expected, verified).await? => less,
            _ => case,
        };
        let mut again = false;
        loop {
            let before = case.clone();
            for part in Part::ALL {
                // Large pieces first. In later passes single parts may be removable, because others are gone.
                let mut size = if again { 1 } else { case.count(part) };
                while size > 0 {
                    let mut from = 0;
                    while from < case.count(part) {
                        match case.without(part, &(from..from + size)) {
                            Some(less) if self.reproduces(&less, expected, verified).await? => case = less,
                            _ => from += size,
                        }
                    }
                    size = if size == 1 { 0 } else { size.div_ceil(2) };
                }
            }
            if case == before {
                return Ok(case);
            }
            again = true;
        }
    }

    /// Whether the case reproduces the fault; `false` without tries left.
    pub(super) async fn reproduces(
        &mut self,
        case: &Case,
        expected: &Expected<'_>,
        verified: &Client,
    ) -> Result<bool, pg::Error> {
        if self.tries == 0 {
            return Ok(false);
        }
        self.tries -= 1;
        if case.pace == Pace::default() && !case.has_open() {
            self.reproduces_in_transaction(case, expected).await
        } else {
            self.reproduces_committed(case, expected, verified).await
        }
    }

    /// Runs the statements of a script in the empty database, and returns the rows of its last one, which asks for the
    /// rows that differ.
    pub(super) async fn replay(&mut self, script: &str, verified: &Client) -> Result<usize, pg::Error> {
        self.clean(verified).await?;
        let Some(client) = &self.client else { return Ok(0) };
        let statements: Vec<String> = statements(script).map(ToOwned::to_owned).collect();
        let Some((query, before)) = statements.split_last() else { return Ok(0) };
        client.run_each(before).await?;
        client.count_rows(query).await
    }

    /// Sets the remaining tries.
    pub(super) fn allow(&mut self, tries: usize) {
        self.tries = tries;
    }

    /// Runs the statements of the rounds, those of an open transaction over a second connection, whose end rolls it back.
    async fn run_rounds(&self, client: &Client, case: &Case) -> Result<(), pg::Error> {
        let mut second = None;
        if case.has_open() {
            client.wait_for_locks(LOCK).await?;
            second = Some(client.connect_again().await?);
        }
        for statement in case.rounds.iter().flat_map(|round| case.round(round)) {
            match (statement, &second) {
                (Statement::Own(sql), _) => client.run_script(&sql).await?,
                (Statement::Other(sql), Some(second)) => second.run_script(&sql).await?,
                (Statement::Other(_), None) => {}
            }
        }
        Ok(())
    }

    /// Tries the case in one transaction, and rolls it back: only to a savepoint if the next case has the same setup.
    async fn reproduces_in_transaction(
        &mut self,
        case: &Case,
        expected: &Expected<'_>,
    ) -> Result<bool, pg::Error> {
        let (Some(client), setup) = (&self.client, case.setup()) else { return Ok(false) };
        if self.prepared.as_ref() == Some(&setup) {
            client.run_script("rollback to savepoint prepared").await?;
        } else {
            self.prepared = None;
            let script = format!("rollback; begin; {}; savepoint prepared", setup.join(";\n"));
            match client.run_script(&script).await {
                Ok(()) => self.prepared = Some(setup),
                Err(pg::Error::Server { .. }) => return Ok(false),
                Err(lost) => return Err(lost),
            }
        }
        let inside: Vec<String> = case
            .rounds
            .iter()
            .flat_map(|round| case.round(round))
            .filter_map(|statement| match statement {
                Statement::Own(sql) if sql != "begin" && sql != "commit" => Some(sql),
                Statement::Own(_) | Statement::Other(_) => None,
            })
            .collect();
        let ran = client.run_script(&inside.join(";\n")).await;
        let has_failed = ran.is_err();
        let compare = async || {
            if has_failed {
                client.run_script(&unmaintained(case)).await?;
            }
            Ok(!client.compare_here(expected.table, expected.tolerance).await?.is_none())
        };
        false_if_refused(expected.matches(ran, compare).await)
    }

    /// Tries the case with every statement committed, as in the script.
    pub(super) async fn reproduces_committed(
        &mut self,
        case: &Case,
        expected: &Expected<'_>,
        verified: &Client,
    ) -> Result<bool, pg::Error> {
        self.clean(verified).await?;
        let Some(client) = &self.client else { return Ok(false) };
        if let Err(error) = client.run_each(&case.setup()).await {
            return false_if_refused(Err(error));
        }
        let ran = self.run_rounds(client, case).await;
        let has_failed = ran.is_err();
        let compare = async || {
            if has_failed {
                client.run("rollback").await?;
            }
            Ok(!client.compare(expected.table, expected.tolerance).await?.is_none())
        };
        false_if_refused(expected.matches(ran, compare).await)
    }
}

/// Makes the rows of the case again after an error, without maintaining a table.
fn unmaintained(case: &Case) -> String {
    let changes = case.rounds.iter().flatten().flatten();
    let changes = changes.filter(|change| !matches!(change, Change::Refresh { .. }));
    let changes: Vec<String> = changes.map(|change| change.sql(&case.sources)).collect();
    format!(
        "rollback to savepoint prepared; set local session_replication_role = replica; {};
         set local session_replication_role = origin",
        changes.join(";\n")
    )
}

/// A case that the server refuses does not reproduce the fault.
fn false_if_refused(shown: Result<bool, pg::Error>) -> Result<bool, pg::Error> {
    match shown {
        // Connect: of the second session of an open transaction.
        Err(pg::Error::Server { .. } | pg::Error::Answer { .. } | pg::Error::Connect { .. }) => Ok(false),
        shown => shown,
    }
}

/// Drops the database after an interruption or a panic.
impl Drop for ScratchDatabase {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let name = quote_identifier(&self.name);
        // The server may still be creating it for a client that is gone.
        let created = format!(
            "select pg_catalog.pg_terminate_backend(pid, 5000) from pg_catalog.pg_stat_activity
             where pid <> pg_catalog.pg_backend_pid() and query = {}",
            quote_literal(&format!("create database {name}"))
        );
        let dropped = format!("drop database if exists {name} with (force)");
        let gone = finish(async || {
            let client = Client::connect(&self.verified, self.limits).await.ok()?;
            client.run_script(&created).await.ok()?;
            client.run_script(&dropped).await.ok()
        });
        if gone.is_none() {
            output::to_stderr(&format!("cannot drop the database {}", self.name));
        }
    }
}

/// Runs async work to its end on a thread of its own: a dropped value cannot wait in the runtime.
fn finish<T: Send>(work: impl AsyncFnOnce() -> Option<T> + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(work())
        });
        work.join().ok().flatten()
    })
}
