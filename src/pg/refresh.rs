//! Refreshes by hand, and what sets a stream table right.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio_postgres::SimpleQueryMessage;

use super::{Client, Error, about, is_in_the_way, of_table};
use crate::{model::Relation, sql::quote_literal};

const DOING: &str = "refreshing the stream table";

/// The pause between two tries of a refresh that other sessions prevent.
const PAUSE: Duration = Duration::from_millis(100);

/// What the scheduler did.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Scheduled {
    /// The ID of the newest refresh in the history.
    pub newest: i64,
    /// How often it has refreshed and changed one of the tables.
    pub scheduled: usize,
}

/// The result of a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    Done,
    /// Another refresh of the table was running, which may have begun before the last changes.
    Skipped,
}

impl Client {
    /// Refreshes a stream table.
    pub async fn refresh(&self, table: &Relation) -> Result<Refreshed, Error> {
        let answer = self.within_time(DOING, self.wire.simple_query(&refresh_and_count(table))).await?;
        Ok(was_refreshed(&answer))
    }

    /// Refreshes a stream table. Tries again while other sessions refresh or lock it, until the patience ends.
    pub async fn refresh_within(&self, table: &Relation, patience: Duration) -> Result<Refreshed, Error> {
        let deadline = Instant::now() + patience;
        loop {
            match self.refresh(table).await {
                Ok(Refreshed::Skipped) => {}
                Err(Error::Server { message, .. }) if is_in_the_way(&message.code) => {}
                ended => return ended,
            }
            if Instant::now() >= deadline {
                return Ok(Refreshed::Skipped);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Refreshes a stream table in the open round.
    pub async fn refresh_in_round(&self, table: &Relation) -> Result<Refreshed, Error> {
        let (refresh, holding) = (refresh_and_count(table), self.holding());
        let sql = format!("savepoint refresh; {refresh}; {holding}release savepoint refresh");
        let answer = self.within_time(DOING, self.wire.simple_query(&sql)).await;
        self.or_back_to("refresh", answer).await.map(|answer| was_refreshed(&answer))
    }

    /// How often the scheduler has changed one of these tables since the refresh with this ID.
    pub async fn scheduled(&self, tables: &[Relation], newest: i64) -> Result<Scheduled, Error> {
        let sql = about(include_str!("sql/scheduled.sql"), tables).replace("$newest", &newest.to_string());
        self.ask("reading the refreshes of the scheduler", &sql).await
    }

    /// Sets a stream table in ERROR back to ACTIVE.
    pub async fn resume(&self, table: &Relation) -> Result<(), Error> {
        let sql = "select pgtrickle.resume_stream_table($1)";
        self.about_table("resuming the stream table", sql, &[&table.to_string()]).await
    }

    /// Refills a stream table by altering its query to itself. `repair_stream_table` would add triggers to a source
    /// that is captured from the WAL (docs/pg_trickle.md, "Capture health").
    pub async fn refill(&self, table: &Relation) -> Result<(), Error> {
        let sql = of_table(include_str!("sql/refill.sql"), table);
        self.about_table("refilling the stream table", &sql, &[]).await
    }
}

/// One transaction, even outside of a round, because the server takes these statements as one message.
///
/// A skipped refresh only raises a notice. A completed one adds a row to the history, whose time is the beginning of the
/// transaction (docs/pg_trickle.md, "Refresh and history").
fn refresh_and_count(table: &Relation) -> String {
    let count = of_table(include_str!("sql/refreshes_in_transaction.sql"), table);
    let name = quote_literal(&table.to_string());
    format!("{count}; select pgtrickle.refresh_stream_table({name}); {count}")
}

fn was_refreshed(answer: &[SimpleQueryMessage]) -> Refreshed {
    let counts: Vec<&str> = answer
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).filter(|text| !text.is_empty()),
            SimpleQueryMessage::RowDescription(_) | SimpleQueryMessage::CommandComplete(_) | _ => None,
        })
        .collect();
    if counts.first() == counts.last() { Refreshed::Skipped } else { Refreshed::Done }
}
