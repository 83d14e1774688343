//! What a plan needs beyond the catalog of stream tables, and how it is applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    Client, Error, about, of_table,
    round::ATTENTION,
    settings::{self, Purpose},
};
use crate::{
    model::Relation,
    plan::{Action, Cost, KnownLosses, LostObject, LostView, RequiredRights, UpstreamRelations},
    project::Intermediate,
    sql::{query, quote_literal},
};

impl Client {
    /// The views between sources and stream tables on the server. Comparing them takes a read-write transaction, which
    /// is rolled back.
    pub async fn between(&self, wanted: &[Intermediate]) -> Result<UpstreamRelations, Error> {
        if wanted.is_empty() {
            return Ok(UpstreamRelations::default());
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
        self.ask_in(settings::BEGIN, Purpose::Query, "comparing the views that stream tables read", &sql)
            .await
    }

    /// The definitions of these views; `None` if there is no view of that name.
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

    /// What is needed to recreate these views after they are dropped.
    pub async fn lost_views(&self, views: &[Relation]) -> Result<Vec<LostView>, Error> {
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let sql = about(include_str!("sql/lost_views.sql"), views);
        self.ask("reading the views that are dropped with stream tables", &sql).await
    }

    /// The objects that are dropped together with these stream tables, besides their own parts.
    pub async fn lost_objects(&self, tables: &[Relation]) -> Result<Vec<LostObject>, Error> {
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let sql = about(include_str!("sql/lost_objects.sql"), tables);
        self.ask("reading what is dropped with stream tables", &sql).await
    }

    /// The size of stream tables and the duration of their last full refreshes. The number of rows is in the catalog.
    pub async fn costs(&self, tables: &[Relation]) -> Result<BTreeMap<Relation, Cost>, Error> {
        #[derive(Deserialize)]
        struct CostRow {
            #[serde(flatten)]
            relation: Relation,
            bytes: Option<i64>,
            full_ms: Option<f64>,
        }
        if tables.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<CostRow> =
            self.ask("reading the cost of refills", &about(include_str!("sql/costs.sql"), tables)).await?;
        let cost = |row: CostRow| (row.relation, Cost { rows: None, bytes: row.bytes, full_ms: row.full_ms });
        Ok(rows.into_iter().map(cost).collect())
    }

    /// Checks all privileges that a plan needs.
    ///
    /// # Errors
    /// With every missing privilege.
    pub async fn check_rights(&self, needs: &RequiredRights) -> Result<(), Error> {
        let lacking = self.lacking_rights(needs).await?;
        if lacking.is_empty() {
            return Ok(());
        }
        Err(Error::Rights { user: self.endpoint().user.clone(), lacking })
    }

    /// The privileges that the role lacks, each with its object.
    pub async fn lacking_rights(&self, needs: &RequiredRights) -> Result<Vec<String>, Error> {
        if *needs == RequiredRights::default() {
            return Ok(Vec::new());
        }
        let needs = quote_literal(&serde_json::json!(needs).to_string());
        let sql = include_str!("sql/rights.sql").replace("$needs", &needs);
        let lacking: Vec<(String, String)> = self.ask("checking privileges", &sql).await?;
        Ok(lacking.into_iter().map(|(right, what)| format!("{right} on {what}")).collect())
    }

    /// Executes all actions in one transaction: all of them, or none. `begin` is called with the number of each. Returns
    /// how long each took. `known` are the objects that may be dropped along with stream tables.
    ///
    /// # Errors
    /// With the failed action, and the sessions that it last waited for.
    pub async fn apply(
        &self,
        actions: &[Action],
        known: &KnownLosses,
        mut begin: impl FnMut(usize),
    ) -> Result<Vec<Duration>, StepFailed> {
        let failed = |step, source: tokio_postgres::Error, waited_for| StepFailed {
            step,
            error: self.failed("applying the plan", &source),
            waited_for,
            is_known: true,
        };
        // If this program is killed, its server process must not go on populating a table under the lock.
        let limits =
            [("transaction_timeout", 0), ("client_connection_check_interval", ATTENTION.as_millis())];
        // A table that was filled under policies would lack rows for good (docs/pg_trickle.md, "Row level security").
        let settings = format!(
            "{}; set local row_security = off; {}; {}",
            settings::BEGIN,
            self.settings(),
            settings::limits(&limits)
        );
        self.wire.batch_execute(&settings).await.map_err(|source| failed(0, source, BTreeSet::new()))?;
        let watch = Self::connect(&self.endpoint, self.limits).await.ok().zip(self.process().await.ok());
        let mut took = Vec::new();
        for (number, action) in actions.iter().enumerate() {
            begin(number);
            let started = Instant::now();
            let (done, waited_for) = Self::watched(watch.as_ref(), self.apply_one(action, known)).await;
            if let Err(error) = done {
                // An error of the rollback is not the cause.
                let _ = self.wire.batch_execute("rollback").await;
                return Err(StepFailed { step: number, error, waited_for, is_known: true });
            }
            took.push(started.elapsed());
        }
        let last = actions.len().saturating_sub(1);
        self.wire.batch_execute("commit").await.map_err(|source| {
            let failed = failed(last, source, BTreeSet::new());
            StepFailed { is_known: failed.error.ends_a_transaction(), ..failed }
        })?;
        Ok(took)
    }

    async fn apply_one(&self, action: &Action, known: &KnownLosses) -> Result<(), Error> {
        if !action.drops.is_empty() {
            self.check_losses(&action.drops, known).await?;
        }
        for statement in &action.statements {
            let done = self.wire.batch_execute(statement).await;
            done.map_err(|source| self.failed("applying the plan", &source))?;
        }
        Ok(())
    }

    /// Fails if objects depend on these tables that did not when the plan was made: the engine would drop them, too. From
    /// here on, the locks keep others from creating more.
    async fn check_losses(&self, tables: &[Relation], known: &KnownLosses) -> Result<(), Error> {
        const DOING: &str = "reading again what is dropped with stream tables";
        // In the order of a refresh: the catalog's row first.
        let lock = |table: &Relation| {
            let quoted = table.quoted();
            let body = format!(
                "begin if to_regclass({}) is not null then lock table {quoted} in access exclusive mode; end if; end",
                quote_literal(&quoted),
            );
            let row = of_table(include_str!("sql/lock_row.sql"), table);
            format!("{row}; do {}", quote_literal(&body))
        };
        let locks: Vec<String> = tables.iter().rev().map(lock).collect();
        let locked = self.wire.batch_execute(&locks.join("; ")).await;
        locked.map_err(|source| self.failed("applying the plan", &source))?;
        // The question sets the search path, which the plan's own queries need as it is.
        let sql = format!(
            "savepoint looking; {}\n; rollback to savepoint looking",
            about(include_str!("sql/lost_objects.sql"), tables)
        );
        let lost: Vec<LostObject> = self.first_answer(DOING, &sql).await?;
        let new = known.unknown(&lost);
        if new.is_empty() { Ok(()) } else { Err(Error::NewDependents { objects: new }) }
    }

    /// Waits for the work, and sees on another connection which sessions it waited for last. Without that connection an error
    /// names no sessions.
    async fn watched<T>(watch: Option<&(Self, i32)>, work: impl Future<Output = T>) -> (T, BTreeSet<String>) {
        let mut waited_for = BTreeSet::new();
        let done = match watch {
            // After the lock timeout, and before the error arrives, the session waits for none.
            Some((client, process)) => client.watch(*process, None, |now| waited_for = now, work).await,
            None => work.await,
        };
        (done, waited_for)
    }
}

/// A step of a plan that failed.
#[derive(Debug)]
pub struct StepFailed {
    pub step: usize,
    pub error: Error,
    /// The sessions that it last waited for.
    pub waited_for: BTreeSet<String>,
    /// Whether everything was rolled back for certain; not if the answer to COMMIT was lost.
    pub is_known: bool,
}
