//! Waiting until changes are captured from the write-ahead log.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    model::Relation,
    pg::{self, Client},
};

/// The limit for pg_trickle to read the log, and the interval of polling.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until pg_trickle has read all committed changes from the log. Returns the tables for which it has not; `None` if
/// no change is captured from the log. An earlier refresh would lose those changes
/// (docs/pg_trickle.md, "Change capture").
pub(super) async fn unread(
    client: &Client,
    tables: impl IntoIterator<Item = &Relation>,
    deadline: Option<Instant>,
) -> Result<Option<BTreeSet<Relation>>, pg::Error> {
    let patience = Instant::now() + PATIENCE;
    let deadline = deadline.map_or(patience, |deadline| deadline.min(patience));
    let tables: Vec<Relation> = tables.into_iter().cloned().collect();
    let mut log = client.unread(&tables, None).await?;
    while log.tables.as_ref().is_some_and(|unread| !unread.is_empty()) && Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
        log = client.unread(&tables, Some(&log.position)).await?;
    }
    Ok(log.tables)
}
