//! The emulator's clock: it has no process in the server, so somebody outside has to tell it that time passes.

use std::{collections::HashSet, time::Duration};

use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_postgres::Error;

use super::session;
use crate::pg::Endpoint;

/// As often as the real extension's scheduler looks.
const PERIOD: Duration = Duration::from_secs(1);

/// One round of the emulator's scheduler; it commits, so it stands alone.
pub(super) const TICK: &str = "CALL pgtrickle._emulator_tick()";

/// As the real extension's scheduler calls itself.
const APPLICATION_NAME: &str = "pg_trickle scheduler";

/// A running clock; it stops when this is dropped, whatever it is at.
#[derive(Debug)]
pub(super) struct Scheduler {
    _task: JoinSet<()>,
}

impl Scheduler {
    /// Starts the clock of the server at `endpoint`. Its database must be one that nobody drops.
    pub(super) fn start(endpoint: Endpoint) -> Self {
        let mut task = JoinSet::new();
        task.spawn(run(endpoint));
        Self { _task: task }
    }
}

/// Errors are ignored: what is wrong now is seen again in a second, and its reason is the server's log's to tell.
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
            // A long refresh in one database does not hold up the others.
            if busy.insert(database.clone()) {
                ticks.spawn(tick_and_tell(endpoint.with_database(&database)));
            }
        }
    }
}

/// Where an emulator may be. Templates are left alone: nobody can copy a database that somebody is connected to.
async fn databases(endpoint: &Endpoint) -> Result<Vec<String>, Error> {
    let client = session::open(endpoint, APPLICATION_NAME).await?;
    let rows = client
        .query("select datname::text from pg_database where datallowconn and not datistemplate", &[])
        .await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

async fn tick_and_tell(endpoint: Endpoint) -> String {
    tick(&endpoint).await.ok();
    endpoint.database
}

/// One tick in one database, over a connection that is gone afterwards, so that the database can be dropped.
async fn tick(endpoint: &Endpoint) -> Result<(), Error> {
    let client = session::open(endpoint, APPLICATION_NAME).await?;
    let emulators = "select from pg_extension where extname = 'pg_trickle' and extversion like '%-emulator'";
    if client.query_opt(emulators, &[]).await?.is_some() {
        client.batch_execute(TICK).await?;
    }
    Ok(())
}
