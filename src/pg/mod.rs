//! PostgreSQL: getting a connection, and asking the few questions that the gate has. The SQL is in `pg/sql/`.

mod catalog;
mod change;
mod endpoint;
mod equality;
mod error;
mod source_objects;
mod tls;

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio_postgres::{config::SslMode as WireSslMode, types::ToSql};

use crate::model::{Column, Relation};

pub use catalog::{Catalog, EngineState, Server, Standing};
pub use change::{Changed, is_refusal};
pub use endpoint::{BadUrl, Endpoint, MISLEADING, SslMode};
pub use error::{Error, ServerMessage};
pub use source_objects::{ForeignKey, SourceObjects, SourceRelation};

/// How long a server may take for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To accept a connection.
    pub connect: Duration,
    /// For a single statement.
    pub statement: Duration,
    /// For a lock.
    pub lock: Duration,
}

/// A connection.
pub struct Client {
    wire: tokio_postgres::Client,
    endpoint: Endpoint,
    limits: Limits,
}

impl Client {
    /// Connects and logs in.
    pub async fn connect(endpoint: &Endpoint, limits: Limits) -> Result<Self, Error> {
        let wire = wire_config(endpoint, limits);
        let tls = tls::connector(endpoint)?;
        let failed = |source| Error::connecting(endpoint, &source);
        let (client, connection) = wire.connect(tls).await.map_err(failed)?;
        // Its end is seen by the next query, which then fails with the reason.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { wire: client, endpoint: endpoint.clone(), limits })
    }

    /// Where this connection leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks one question in a read-only transaction of its own; the answer is a single JSON text.
    ///
    /// One transaction a question, because a long one would hold back what the engine's scheduler sees
    /// (docs/pg_trickle.md, "Visibility lag").
    async fn ask<T: DeserializeOwned>(&self, doing: &'static str, sql: &str) -> Result<T, Error> {
        self.ask_about(doing, sql, &[]).await
    }

    /// The same with parameters.
    async fn ask_about<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<T, Error> {
        let transaction = self.begin_reading(doing, "read only").await?;
        let answer = transaction.answer(doing, sql, parameters).await;
        transaction.end(doing).await?;
        answer
    }

    async fn begin_reading(&self, doing: &'static str, mode: &str) -> Result<Reading<'_>, Error> {
        let begin = format!("begin {mode}; {}", self.settings());
        self.wire.batch_execute(&begin).await.map_err(|source| Error::asking(doing, &source))?;
        Ok(Reading { wire: &self.wire })
    }

    fn settings(&self) -> String {
        format!(
            "set local statement_timeout = {}; set local lock_timeout = {}",
            self.limits.statement.as_millis(),
            self.limits.lock.as_millis()
        )
    }

    /// Runs a script of a person's, as it is.
    pub async fn run_script(&self, sql: &str) -> Result<(), Error> {
        self.wire.batch_execute(sql).await.map_err(|source| Error::asking("running the script", &source))
    }

    /// What a server says of each query's columns, without running any. The questions go out together, so that many
    /// take hardly longer than one.
    pub async fn describe(
        &self,
        queries: &[String],
    ) -> Result<Vec<Result<Vec<Column>, ServerMessage>>, Error> {
        const DOING: &str = "asking for the columns of the queries";
        // Outside of a transaction, which the first refusal would end.
        let limits = self.settings().replace("set local", "set");
        let failed = |source: tokio_postgres::Error| Error::asking(DOING, &source);
        self.wire.batch_execute(&limits).await.map_err(failed)?;
        let asked =
            futures_util::future::join_all(queries.iter().map(|query| self.wire.prepare(query))).await;
        self.wire.batch_execute("reset statement_timeout; reset lock_timeout").await.map_err(failed)?;
        let column = |column: &tokio_postgres::Column| Column {
            name: column.name().to_owned(),
            r#type: column.type_().name().to_owned(),
        };
        let answer = |prepared: Result<tokio_postgres::Statement, tokio_postgres::Error>| match prepared {
            Ok(statement) => Ok(Ok(statement.columns().iter().map(column).collect())),
            // What the server refuses is its answer; anything else is a broken connection.
            Err(source) => error::server_message(&source).map(Err).ok_or_else(|| failed(source)),
        };
        asked.into_iter().map(answer).collect()
    }

    /// Waits until nobody else changes stream tables of this database, and keeps others from it until the connection
    /// ends. The dbt package takes the same lock (docs/pg_trickle.md, "Concurrent creates").
    pub async fn lock(&self) -> Result<(), Error> {
        let sql = format!(
            "set lock_timeout = {}; select pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended('pgtrickle ddl', 0))",
            self.limits.lock.as_millis()
        );
        let locked = self.wire.batch_execute(&sql).await;
        locked.map_err(|source| Error::asking("waiting for other changes of stream tables", &source))
    }

    /// Executes statements in one transaction: all of them, or none.
    pub async fn carry_out(&self, statements: &[String]) -> Result<(), Error> {
        let failed = |source: tokio_postgres::Error| Error::asking("carrying out the plan", &source);
        self.wire.batch_execute(&format!("begin; {}", self.settings())).await.map_err(failed)?;
        for statement in statements {
            if let Err(error) = self.wire.batch_execute(statement).await {
                let error = failed(error);
                // What the server says about the rollback is not what went wrong.
                let _ = self.wire.batch_execute("rollback").await;
                return Err(error);
            }
        }
        self.wire.batch_execute("commit").await.map_err(failed)
    }

    /// Fills a stream table now.
    pub async fn refresh(&self, table: &Relation) -> Result<(), Error> {
        let name = table.to_string();
        let refreshed = self.wire.query("select pgtrickle.refresh_stream_table($1)", &[&name]).await;
        refreshed.map(drop).map_err(|source| Error::asking("refreshing the stream table", &source))
    }

    /// Drops a stream table and nothing else: one that others read is refused by the engine.
    pub async fn drop_stream_table(&self, table: &Relation) -> Result<(), Error> {
        let name = table.to_string();
        let dropped = self.wire.query("select pgtrickle.drop_stream_table($1)", &[&name]).await;
        dropped.map(drop).map_err(|source| Error::asking("dropping the stream table", &source))
    }

    /// Which of these relations do not exist.
    pub async fn missing<'a>(
        &self,
        relations: impl Iterator<Item = &'a Relation>,
    ) -> Result<Vec<Relation>, Error> {
        let wanted: Vec<Relation> = relations.cloned().collect();
        let quoted: Vec<String> = wanted.iter().map(Relation::quoted).collect();
        let sql = "select name from unnest($1::text[]) as name where to_regclass(name) is null";
        let rows = self.wire.query(sql, &[&quoted]).await;
        let rows = rows.map_err(|source| Error::asking("looking for the sources", &source))?;
        let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(wanted.into_iter().filter(|relation| missing.contains(&relation.quoted())).collect())
    }
}

/// A read-only transaction. Dropped without its end, it ends with the connection.
struct Reading<'a> {
    wire: &'a tokio_postgres::Client,
}

impl Reading<'_> {
    /// Asks a question whose answer is a single JSON text.
    async fn answer<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<T, Error> {
        let row = self.wire.query_one(sql, parameters).await;
        let text: String =
            row.and_then(|row| row.try_get(0)).map_err(|source| Error::asking(doing, &source))?;
        serde_json::from_str(&text).map_err(|source| Error::Answer { doing, source })
    }

    async fn end(self, doing: &'static str) -> Result<(), Error> {
        self.wire.batch_execute("rollback").await.map_err(|source| Error::asking(doing, &source))
    }
}

fn wire_config(endpoint: &Endpoint, limits: Limits) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config
        .host(&endpoint.host)
        .port(endpoint.port)
        .user(&endpoint.user)
        .dbname(&endpoint.database)
        .application_name("pgtrickle-ci")
        .connect_timeout(limits.connect)
        .ssl_mode(match endpoint.sslmode {
            SslMode::Disable => WireSslMode::Disable,
            SslMode::Prefer => WireSslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => WireSslMode::Require,
        });
    if !endpoint.password.reveal().is_empty() {
        config.password(endpoint.password.reveal());
    }
    config
}
