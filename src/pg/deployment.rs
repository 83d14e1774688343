//! What a plan asks beyond the catalog of stream tables, and how it is carried out.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio_postgres::SimpleQueryMessage;

use super::{
    Client, Error, about,
    round::ATTENTION,
    settings::{self, Purpose},
};
use crate::{
    model::Relation,
    plan::{Between, Cost, LostObject, LostView, Needs},
    project::Intermediate,
    sql::{query, quote_literal},
};

impl Client {
    /// What the server has between the sources and the stream tables, as of one moment. It takes a transaction that may
    /// write, which is rolled back.
    pub async fn between(&self, wanted: &[Intermediate]) -> Result<Between, Error> {
        if wanted.is_empty() {
            return Ok(Between::default());
        }
        let names: Vec<serde_json::Value> = wanted
            .iter()
            .map(|one| {
                let query = one.query.as_deref().map(query::clean);
                serde_json::json!({"schema": one.relation.schema, "name": one.relation.name, "query": query})
            })
            .collect();
        let names = quote_literal(&serde_json::Value::from(names).to_string());
        let sql = include_str!("sql/between.sql").replace("$wanted", &names);
        self.ask_in("begin", Purpose::Query, "comparing the views that stream tables read", &sql).await
    }

    /// The definitions of these views, `None` where there is no view of the name.
    pub async fn definitions(
        &self,
        views: impl Iterator<Item = &Relation>,
    ) -> Result<BTreeMap<String, Option<String>>, Error> {
        let names: Vec<String> = views.map(Relation::quoted).collect();
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names = format!("{}::jsonb", quote_literal(&serde_json::json!(names).to_string()));
        let sql = include_str!("sql/definitions.sql").replace("$names", &names);
        let found: Vec<(String, Option<String>)> =
            self.ask("reading the views that stream tables read", &sql).await?;
        Ok(found.into_iter().collect())
    }

    /// How these views are created again after they were dropped.
    pub async fn lost_views(&self, views: &[Relation]) -> Result<Vec<LostView>, Error> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let sql = about(include_str!("sql/lost_views.sql"), views);
        self.ask("reading the views that are dropped with stream tables", &sql).await
    }

    /// What is dropped along with these stream tables, beside their own parts.
    pub async fn lost_objects(&self, tables: &[Relation]) -> Result<Vec<LostObject>, Error> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let sql = about(include_str!("sql/lost_objects.sql"), tables);
        self.ask("reading what is dropped with stream tables", &sql).await
    }

    /// The size of stream tables, and how long their last full refreshes took. The number of rows is in the catalog.
    pub async fn costs(&self, tables: &[Relation]) -> Result<BTreeMap<Relation, Cost>, Error> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(flatten)]
            relation: Relation,
            bytes: Option<i64>,
            full_ms: Option<f64>,
        }
        if tables.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<Row> =
            self.ask("asking what a refill costs", &about(include_str!("sql/costs.sql"), tables)).await?;
        let cost = |row: Row| (row.relation, Cost { rows: None, bytes: row.bytes, full_ms: row.full_ms });
        Ok(rows.into_iter().map(cost).collect())
    }

    /// Looks for every right that is missing to carry out a plan.
    ///
    /// # Errors
    /// With all that is missing.
    pub async fn check_rights(&self, needs: &Needs) -> Result<(), Error> {
        let needs = quote_literal(&serde_json::json!(needs).to_string());
        let sql = include_str!("sql/rights.sql").replace("$needs", &needs);
        let lacking: Vec<(String, String)> = self.ask("looking for missing rights", &sql).await?;
        if lacking.is_empty() {
            return Ok(());
        }
        let lacking = lacking.into_iter().map(|(right, what)| format!("{right} on {what}")).collect();
        Err(Error::Rights { user: self.endpoint().user.clone(), lacking })
    }

    /// Executes the statements of all steps in one transaction: all of them, or none. `begin` is called with the number
    /// of each step. Returns how long each took.
    ///
    /// # Errors
    /// With the step that failed, and the sessions that it last waited for.
    pub async fn carry_out(
        &self,
        steps: &[&[String]],
        mut begin: impl FnMut(usize),
    ) -> Result<Vec<Duration>, StepFailed> {
        let failed = |step, source: tokio_postgres::Error, waited_for| StepFailed {
            step,
            error: Error::asking("carrying out the plan", &source),
            waited_for,
            is_known: true,
        };
        // A program that is killed leaves no server process that goes on filling a table under the lock of changes.
        let limits =
            [("transaction_timeout", 0), ("client_connection_check_interval", ATTENTION.as_millis())];
        let settings = format!("begin; {}; {}", self.settings(), settings::limits(&limits));
        self.wire.batch_execute(&settings).await.map_err(|source| failed(0, source, BTreeSet::new()))?;
        let watch = self.watch().await;
        let mut took = Vec::new();
        for (number, statements) in steps.iter().enumerate() {
            begin(number);
            let started = Instant::now();
            for statement in *statements {
                let (done, waited_for) = waiting(watch.as_ref(), self.wire.batch_execute(statement)).await;
                if let Err(source) = done {
                    // What the server says about the rollback is not what went wrong.
                    let _ = self.wire.batch_execute("rollback").await;
                    return Err(failed(number, source, waited_for));
                }
            }
            took.push(started.elapsed());
        }
        let last = steps.len().saturating_sub(1);
        self.wire.batch_execute("commit").await.map_err(|source| {
            let failed = failed(last, source, BTreeSet::new());
            StepFailed { is_known: failed.error.ends_a_transaction(), ..failed }
        })?;
        Ok(took)
    }

    /// A second connection that sees what the open transaction of this one waits for. Best effort: without it an error
    /// only names no session.
    async fn watch(&self) -> Option<Watch> {
        let messages = self.wire.simple_query("select pg_catalog.pg_backend_pid()").await.ok()?;
        let process = messages.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            row.get(0)?.parse().ok()
        })?;
        Some(Watch { client: Self::connect(&self.endpoint, self.limits).await.ok()?, process })
    }
}

/// A step of a plan that failed.
#[derive(Debug)]
pub struct StepFailed {
    /// Its number.
    pub step: usize,
    /// Why.
    pub error: Error,
    /// The sessions that it waited for when it was last looked at.
    pub waited_for: BTreeSet<String>,
    /// Whether everything is rolled back for certain. It is not where the answer to COMMIT got lost.
    pub is_known: bool,
}

/// A connection beside the one that works.
struct Watch {
    client: Client,
    process: i32,
}

/// How often the watch looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits for some work, and for the sessions that it waited for at the last look.
async fn waiting<T>(watch: Option<&Watch>, work: impl Future<Output = T>) -> (T, BTreeSet<String>) {
    let mut waited_for = BTreeSet::new();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, waited_for),
            () = tokio::time::sleep(PAUSE) => {}
        }
        if let Some(watch) = watch {
            // Between the end of the lock's time and the answer nothing is waited for any more.
            let now = watch.client.blocking(watch.process).await.unwrap_or_default();
            if !now.is_empty() {
                waited_for = now;
            }
        }
    }
}
