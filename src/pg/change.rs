//! Changes rows of sources and reports the effect on each row.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio_postgres::{SimpleQueryMessage, error::SqlState};

use super::{
    Client, Error, ServerMessage,
    function_reads::pairs,
    settings::{self, Purpose},
};
use crate::{
    model::{HiddenRead, Relation},
    mutate::{Change, Effect, Partition, Row, Source},
};

/// All rows of a source are read if there are at most this many.
const ALL_ROWS: usize = 3000;
/// How many rows of a larger source are read.
const SAMPLE: usize = 400;

/// The result of a change.
#[derive(Debug)]
pub enum Changed {
    Done(Effect),
    /// The server rejected it, and it was rolled back.
    Refused(ServerMessage),
}

impl Client {
    /// The sources of all stream tables, including views and sources that cannot be changed, and the tables that queries
    /// read through functions; and, if materialized views are `refreshed`, the tables behind those.
    pub async fn sources(
        &self,
        reads: &BTreeMap<Relation, Vec<HiddenRead>>,
        refreshed: bool,
    ) -> Result<Vec<Source>, Error> {
        let sql = include_str!("sql/sources.sql")
            .replace("$hidden", &pairs(reads))
            .replace("$follows", &refreshed.to_string());
        self.ask("reading the sources", &sql).await
    }

    /// Rows of a source, and whether those are all.
    pub async fn known_rows(&self, source: &Source) -> Result<(Vec<Row>, bool), Error> {
        let (mut rows, is_complete) = self.some_rows(source, "", ALL_ROWS + 1).await.map(|rows| {
            let is_complete = rows.len() <= ALL_ROWS;
            (rows, is_complete)
        })?;
        if !is_complete {
            rows = self.some_rows(source, "order by hashtextextended(row::text, 0)", SAMPLE).await?;
        }
        rows.sort();
        Ok((rows, is_complete))
    }

    /// All rows of a source; `None` if there are more than `most`.
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
        self.ask_for(Purpose::Values, "reading rows of a source", &sql).await
    }

    /// Sets the values of the partition key that each partition has rows of, as far as they are read.
    pub async fn held_by_partitions(&self, source: &mut Source) -> Result<(), Error> {
        let key: Vec<String> =
            source.partition_key.iter().map(|at| format!("{}::text", source.quoted(*at))).collect();
        let of_partition = |partition: &Partition| {
            format!(
                "(select coalesce(jsonb_agg(distinct key), '[]') from (select array[{}] as key from {} limit {ALL_ROWS}) as keys)",
                key.join(", "),
                partition.relation.quoted()
            )
        };
        let held: Vec<String> = source.partitions.iter().map(of_partition).collect();
        if held.is_empty() {
            return Ok(());
        }
        let sql = format!("select jsonb_build_array({})::text", held.join(", "));
        let held: Vec<BTreeSet<Row>> =
            self.ask_for(Purpose::Values, "reading rows of partitions", &sql).await?;
        for (partition, held) in source.partitions.iter_mut().zip(held) {
            partition.held = held;
        }
        Ok(())
    }

    /// Sets the session's timeouts for statements and locks. It may be idle for as long as other connections work.
    pub async fn limit(&self) -> Result<(), Error> {
        let sql = format!(
            "set statement_timeout = {}; set lock_timeout = {}; set idle_session_timeout = 0; set transaction_timeout = 0",
            self.limits.statement.as_millis(),
            self.limits.lock.as_millis()
        );
        self.run(&sql).await
    }

    /// Sets the session's timeout for locks.
    pub async fn wait_for_locks(&self, at_most: Duration) -> Result<(), Error> {
        self.run(&format!("set lock_timeout = {}", at_most.min(self.limits.lock).as_millis())).await
    }

    /// Executes one change in the open transaction, under its own savepoint.
    pub async fn change(&self, change: &Change, sources: &[Source]) -> Result<Changed, Error> {
        const DOING: &str = "changing rows of a source";
        let sql = format!(
            "savepoint change; {}{}; {}{}release savepoint change",
            settings::local(Purpose::Values),
            change.telling_sql(sources),
            settings::reset(Purpose::Values),
            self.holding()
        );
        match self.within_time(DOING, self.wire.simple_query(&sql)).await {
            Ok(messages) => Ok(Changed::Done(effect(change, &messages))),
            Err(Error::Server { message, .. }) => {
                self.run("rollback to savepoint change").await?;
                Ok(Changed::Refused(message))
            }
            Err(lost) => Err(lost),
        }
    }

    /// In the open transaction, the error of a query over the rows after any of these steps, if no trigger fired; `None` if it
    /// has none. The steps are reverted.
    pub async fn fails_after(&self, steps: &[String], query: &str) -> Result<Option<ServerMessage>, Error> {
        const DOING: &str = "running the query on changed rows";
        let back = "rollback to savepoint alone; release savepoint alone";
        let asked = steps.iter().map(|step| {
            format!(
                "{}{step}; {}{}select count(query.*) from (\n{query}\n) as query; ",
                settings::local(Purpose::Values),
                settings::reset(Purpose::Values),
                settings::local(Purpose::Query),
            )
        });
        let asked: String = asked.collect();
        let sql = format!("savepoint alone; set local session_replication_role = replica; {asked}{back}");
        match self.within_time(DOING, self.wire.simple_query(&sql)).await {
            Ok(_) => Ok(None),
            Err(Error::Server { message, .. }) => {
                self.run(back).await?;
                Ok(Some(message))
            }
            Err(lost) => Err(lost),
        }
    }

    /// Runs statements in order, each in its own transaction.
    pub async fn run_each(&self, statements: &[String]) -> Result<(), Error> {
        for statement in statements {
            self.run_script(statement).await?;
        }
        Ok(())
    }

    /// The number of rows that a query returns.
    pub async fn count_rows(&self, query: &str) -> Result<usize, Error> {
        const DOING: &str = "looking for rows that differ";
        let messages = self.within_time(DOING, self.wire.simple_query(query)).await?;
        Ok(messages.iter().filter(|message| matches!(message, SimpleQueryMessage::Row(_))).count())
    }

    /// Whether this is an ephemeral server, on which rows may be changed permanently.
    pub async fn is_ephemeral(&self) -> Result<bool, Error> {
        let sql =
            "select to_jsonb(coalesce(current_setting('pgtrickle_ci.ephemeral', true), '') = 'on')::text";
        self.ask("reading the kind of the server", sql).await
    }

    /// Fails on a read-only server.
    pub async fn check_takes_writes(&self) -> Result<(), Error> {
        let sql = "select to_jsonb(pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on')::text";
        if self.ask("checking whether the server is read-only", sql).await? {
            return Err(Error::ReadOnly { endpoint: self.endpoint().to_string() });
        }
        Ok(())
    }
}

/// Whether this SQLSTATE means that the schema rejects a change: by constraints, types, functions, triggers or locks.
/// Any other error is a bug.
pub fn is_refusal(code: &str) -> bool {
    ["22", "23", "40", "44", "55", "57", "0A"].iter().any(|class| code.starts_with(class))
        || [SqlState::RAISE_EXCEPTION, SqlState::INSUFFICIENT_PRIVILEGE]
            .iter()
            .any(|state| state.code() == code)
        || [SqlState::GENERATED_ALWAYS, SqlState::PROGRAM_LIMIT_EXCEEDED]
            .iter()
            .any(|state| state.code() == code)
}

/// Whether this SQLSTATE means that a query fails on values that an application may write, such as a division by zero, a
/// text that is no number, or a second row where one is expected. A number or a date out of range does not count: only
/// the ends of a type's range lead to it.
pub fn is_about_values(code: &str) -> bool {
    let is_one_of = |states: &[SqlState]| states.iter().any(|state| state.code() == code);
    (code.starts_with("21")
        || code.starts_with("22")
        || is_one_of(&[SqlState::CHECK_VIOLATION, SqlState::RAISE_EXCEPTION]))
        && !is_out_of_range(code)
}

/// Whether this SQLSTATE means that a value is beyond its type.
pub fn is_out_of_range(code: &str) -> bool {
    [SqlState::NUMERIC_VALUE_OUT_OF_RANGE, SqlState::DATETIME_FIELD_OVERFLOW]
        .iter()
        .any(|state| state.code() == code)
}

/// Whether this SQLSTATE means that other sessions were in the way: a deadlock or a lock timeout.
pub fn is_in_the_way(code: &str) -> bool {
    code.starts_with("40")
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::OBJECT_IN_USE].iter().any(|state| state.code() == code)
}

/// Whether this SQLSTATE says nothing about the statement, but about its session, the server or other sessions.
pub fn is_about_the_session(code: &str) -> bool {
    is_in_the_way(code)
        || is_not_permitted(code)
        || ["53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
}

/// Whether this SQLSTATE means that a script got no second session: the server lacks the extension, or refused the login.
pub fn is_without_second_session(code: &str) -> bool {
    [
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
        SqlState::S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED,
    ]
    .iter()
    .any(|state| state.code() == code)
}

/// Whether this SQLSTATE means that the role lacks a privilege, or would not see every row.
pub fn is_not_permitted(code: &str) -> bool {
    code == SqlState::INSUFFICIENT_PRIVILEGE.code()
}

/// Whether this SQLSTATE means that the statement took longer than its timeout.
pub fn is_too_slow(code: &str) -> bool {
    code == SqlState::QUERY_CANCELED.code()
}

fn effect(change: &Change, messages: &[SimpleQueryMessage]) -> Effect {
    let read = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Row>(text).ok());
    let rows = messages.iter().filter_map(|message| {
        let SimpleQueryMessage::Row(row) = message else { return None };
        Some((read(row.get(0)), read(row.get(1))))
    });
    Effect { source: change.source(), rows: rows.collect() }
}
