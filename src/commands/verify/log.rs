//! Waiting for what is captured from the log.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    model::Relation,
    pg::{self, Client},
};

/// How long it may take to read the log, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until everything that is committed by now was read from the log, and says for which of these tables it was not;
/// `None` where nothing is captured from the log. A refresh before that sees nothing of it, and loses it for good
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
