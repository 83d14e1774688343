//! Changing the rows of sources, and saying what was done to each.

use std::time::Duration;

use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use super::{Client, Error, ServerMessage};
use crate::mutate::{Change, Effect, Row, Source};

/// Up to so many rows a source is known as a whole.
const WHOLE: usize = 3000;
/// So many are known of a greater one.
const SAMPLE: usize = 400;

/// How a statement ended.
#[derive(Debug)]
pub enum Changed {
    /// It did this.
    Done(Effect),
    /// The server does not take it; nothing happened.
    Refused(ServerMessage),
}

impl Client {
    /// The sources of all stream tables, views and what is out of reach too.
    pub async fn sources(&self) -> Result<Vec<Source>, Error> {
        self.ask("looking at the sources", include_str!("sql/sources.sql")).await
    }

    /// Rows of a source, and whether they are all.
    pub async fn known_rows(&self, source: &Source) -> Result<(Vec<Row>, bool), Error> {
        let (mut rows, whole) = self.some_rows(source, "", WHOLE + 1).await.map(|rows| {
            let whole = rows.len() <= WHOLE;
            (rows, whole)
        })?;
        if !whole {
            rows = self.some_rows(source, "order by hashtextextended(row::text, 0)", SAMPLE).await?;
        }
        rows.sort();
        Ok((rows, whole))
    }

    /// Every row of a source that has no more than `most`.
    pub async fn all_rows(&self, source: &Source, most: usize) -> Result<Option<Vec<Row>>, Error> {
        let mut rows = self.some_rows(source, "", most + 1).await?;
        rows.sort();
        Ok((rows.len() <= most).then_some(rows))
    }

    async fn some_rows(&self, source: &Source, order: &str, most: usize) -> Result<Vec<Row>, Error> {
        let texts: Vec<String> =
            (0..source.columns.len()).map(|at| format!("{}::text", source.quoted(at))).collect();
        let sql = format!(
            "select coalesce(jsonb_agg(row), '[]')::text from (select row from (select array[{}] as row from {}) as rows {order} limit {most}) as few",
            texts.join(", "),
            source.relation.quoted()
        );
        self.ask("reading rows of a source", &sql).await
    }

    /// A number for each source that is another one when any of its rows is, and how many rows it has.
    pub async fn checksums(&self, sources: &[&Source]) -> Result<Vec<String>, Error> {
        let one = |source: &&Source| {
            format!(
                "(select count(*) || ':' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) from {} as t)",
                source.relation.quoted()
            )
        };
        let all: Vec<String> = sources.iter().map(one).collect();
        self.ask(
            "adding up the sources",
            &format!("select to_jsonb(array[{}]::text[])::text", all.join(", ")),
        )
        .await
    }

    /// Sets how long a statement and a lock may take from now on.
    pub async fn limit(&self, statement: Duration) -> Result<(), Error> {
        let sql = format!(
            "set statement_timeout = {}; set lock_timeout = {}",
            statement.as_millis(),
            self.limits.lock.as_millis()
        );
        self.run(&sql).await
    }

    /// Carries one change out in the open transaction, under a savepoint of its own.
    pub async fn change(&self, change: &Change, sources: &[Source]) -> Result<Changed, Error> {
        const DOING: &str = "changing rows of a source";
        let sql = format!("savepoint change; {}; release savepoint change", change.telling_sql(sources));
        match self.within_time(DOING, self.wire.simple_query(&sql)).await {
            Ok(messages) => Ok(Changed::Done(effect(change, &messages))),
            Err(Error::Server { message, .. }) => {
                self.run("rollback to savepoint change").await?;
                Ok(Changed::Refused(message))
            }
            Err(lost) => Err(lost),
        }
    }

    /// Runs statements one after the other, each by itself.
    pub async fn run_each(&self, statements: &[String]) -> Result<(), Error> {
        for statement in statements {
            self.run_script(statement).await?;
        }
        Ok(())
    }

    /// Ends what another connection of ours is still at, and waits until its transaction is over.
    pub async fn end_process(&self, process: i32) -> Result<(), Error> {
        let sql = "select coalesce(bool_and(pg_terminate_backend(pid, 10000)), true)::text
                   from pg_stat_activity where pid = $1 and application_name = current_setting('application_name')";
        let ended = self.wire.query(sql, &[&process]).await;
        ended.map(drop).map_err(|source| Error::asking("ending the interrupted statement", &source))
    }

    /// The process on the server that serves this connection.
    pub async fn process(&self) -> Result<i32, Error> {
        self.ask("asking for the backend", "select to_jsonb(pg_backend_pid())::text").await
    }

    /// Fails where nothing can be changed.
    pub async fn check_takes_writes(&self) -> Result<(), Error> {
        let sql = "select to_jsonb(pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on')::text";
        if self.ask("asking whether the server takes writes", sql).await? {
            return Err(Error::ReadOnly { endpoint: self.endpoint().to_string() });
        }
        Ok(())
    }
}

/// Whether a schema says no with this SQLSTATE: its constraints, values that a type or a function does not take, what
/// triggers raise, and locks. An error of any other class is nobody's intention.
pub fn is_refusal(code: &str) -> bool {
    ["22", "23", "40", "44", "55", "57", "0A"].iter().any(|class| code.starts_with(class))
        || [SqlState::RAISE_EXCEPTION, SqlState::INSUFFICIENT_PRIVILEGE]
            .iter()
            .any(|state| state.code() == code)
        || [SqlState::GENERATED_ALWAYS, SqlState::PROGRAM_LIMIT_EXCEEDED]
            .iter()
            .any(|state| state.code() == code)
}

/// Whether an error with this SQLSTATE only says that others were at it: a deadlock, or a lock that was not to be had.
pub fn is_in_the_way(code: &str) -> bool {
    code.starts_with("40")
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::OBJECT_IN_USE].iter().any(|state| state.code() == code)
}

fn effect(change: &Change, messages: &[SimpleQueryMessage]) -> Effect {
    let read = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Row>(text).ok());
    let rows = messages.iter().filter_map(|message| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        Some((read(row.get(0)), read(row.get(1))))
    });
    Effect { source: change.source(), rows: rows.collect() }
}
