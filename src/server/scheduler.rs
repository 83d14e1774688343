//! The emulator's clock. The emulator has no process in the server, so this program runs its scheduler.

use std::{collections::HashSet, time::Duration};

use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_postgres::Error;

use super::session;
use crate::pg::Endpoint;

/// The period of the real extension's scheduler.
const PERIOD: Duration = Duration::from_secs(1);

/// One round of the emulator's scheduler. It commits, so it cannot run in a transaction.
pub(super) const TICK: &str = "CALL pgtrickle._emulator_tick()";

/// The application name of the real extension's scheduler.
const APPLICATION_NAME: &str = "pg_trickle scheduler";

/// A running clock. Dropping it stops it at once.
#[derive(Debug)]
pub(super) struct Scheduler {
    _task: JoinSet<()>,
}

impl Scheduler {
    /// Starts the clock of the server at `endpoint`. The endpoint's database must not be dropped.
    pub(super) fn start(endpoint: Endpoint) -> Self {
        let mut task = JoinSet::new();
        task.spawn(run(endpoint));
        Self { _task: task }
    }
}

/// Errors are ignored: the next round is a second later, and the server's log has the reason.
async fn run(endpoint: Endpoint) {
    let mut clock = tokio::time::interval(PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = JoinSet::new();
    let mut busy = HashSet::new();
    loop {
        clock.tick().await;
        while let Some(ended) = ticks.try_join_next() {
            ended.map(|database| busy.remove(&database)).ok();
        }
        for database in databases(&endpoint).await.unwrap_or_default() {
            // A long refresh in one database does not delay the others.
            if busy.insert(database.clone()) {
                ticks.spawn(tick_and_return_name(endpoint.with_database(&database)));
            }
        }
    }
}

/// The databases that may have an emulator. It does not connect to templates: a database with a connection cannot be
/// copied.
async fn databases(endpoint: &Endpoint) -> Result<Vec<String>, Error> {
    let client = session::open(endpoint, APPLICATION_NAME).await?;
    let rows = client
        .query("select datname::text from pg_database where datallowconn and not datistemplate", &[])
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn tick_and_return_name(endpoint: Endpoint) -> String {
    tick(&endpoint).await.ok();
    endpoint.database
}

/// One tick in one database. The connection is closed afterwards, so that the database can be dropped.
async fn tick(endpoint: &Endpoint) -> Result<(), Error> {
    let client = session::open(endpoint, APPLICATION_NAME).await?;
    let emulators = "select from pg_extension where extname = 'pg_trickle' and extversion like '%-emulator'";
    if client.query_opt(emulators, &[]).await?.is_some() {
        client.batch_execute(TICK).await?;
    }
    Ok(())
}
