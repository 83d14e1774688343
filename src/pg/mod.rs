//! PostgreSQL: getting a connection, and asking the few questions that the gate has. The SQL is in `pg/sql/`.

mod address_error;
mod catalog;
mod change;
mod connecting;
mod conninfo;
mod deployment;
mod endpoint;
mod equality;
mod error;
mod exclusive;
mod libpq_files;
mod reach;
mod rehearsal;
mod round;
mod settings;
mod source_objects;
mod tls;
mod values;

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, SimpleQueryMessage, error::SqlState, types::ToSql};

use crate::{
    model::{Column, Relation},
    sql::quote_literal,
};

pub use address_error::BadAddress;
pub use catalog::{Catalog, Server, Standing};
pub use change::{Changed, is_in_the_way, is_refusal, is_too_slow};
pub use conninfo::Conninfo;
pub use deployment::StepFailed;
pub use endpoint::{Endpoint, SslMode};
pub use equality::Unread;
pub use error::{Error, ServerMessage};
pub use exclusive::Exclusive;
pub use reach::{Contents, Reach};
pub use round::Refreshed;
use settings::Purpose;
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
    /// Something was heard on a channel.
    news: Arc<Notify>,
    /// A transaction is open whose questions must not end it.
    inside: AtomicBool,
}

impl Client {
    /// Connects, logs in, and becomes the role that the endpoint names.
    pub async fn connect(endpoint: &Endpoint, limits: Limits) -> Result<Self, Error> {
        let (client, mut connection) = Box::pin(connecting::open(endpoint, limits)).await?;
        let news = Arc::new(Notify::new());
        let heard = Arc::clone(&news);
        // Its end is seen by the next query, which then fails with the reason.
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if matches!(message, AsyncMessage::Notification(_)) {
                    heard.notify_one();
                }
            }
        });
        let inside = AtomicBool::new(false);
        let client = Self { wire: client, endpoint: endpoint.clone(), limits, news, inside };
        if let Some(role) = &endpoint.role {
            let sql = format!("set role {role}");
            client.within_time("becoming the profile's role", client.wire.batch_execute(&sql)).await?;
        }
        Ok(client)
    }

    /// Where this connection leads.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks one question about the catalogs; the answer is a single JSON text.
    async fn ask<T: DeserializeOwned>(&self, doing: &'static str, sql: &str) -> Result<T, Error> {
        self.ask_for(Purpose::Catalog, doing, sql).await
    }

    /// Asks one question, in the open round or in a read-only transaction of its own; the answer is a single JSON text.
    ///
    /// One transaction a question, because a long one would hold back what the engine's scheduler sees
    /// (docs/pg_trickle.md, "Visibility lag"). One message a question, and nothing prepared: a pooler may give each
    /// transaction another session.
    async fn ask_for<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        doing: &'static str,
        sql: &str,
    ) -> Result<T, Error> {
        self.ask_in("begin read only", purpose, doing, sql).await
    }

    /// The same in another kind of transaction, which is rolled back as well.
    async fn ask_in<T: DeserializeOwned>(
        &self,
        begin: &str,
        purpose: Purpose,
        doing: &'static str,
        sql: &str,
    ) -> Result<T, Error> {
        if self.inside.load(Ordering::SeqCst) {
            return only_json(doing, &self.ask_inside(doing, purpose, sql).await?);
        }
        let script = format!("{begin}; {}; {}{sql}\n; rollback", self.settings(), settings::local(purpose));
        let answer = self.within_time(doing, self.wire.simple_query(&script)).await;
        if answer.is_err() {
            // It stopped before its own end. A connection that is lost needs none.
            self.within_time(doing, self.wire.batch_execute("rollback")).await.ok();
        }
        only_json(doing, &answer?)
    }

    /// The JSON text that a statement answers with, as it is sent.
    async fn first_answer<T: DeserializeOwned>(&self, doing: &'static str, sql: &str) -> Result<T, Error> {
        only_json(doing, &self.within_time(doing, self.wire.simple_query(sql)).await?)
    }

    /// A server that was cut off from the network does not even say so.
    async fn within_time<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        if self.limits.statement.is_zero() {
            return work.await.map_err(|source| Error::asking(doing, &source));
        }
        match tokio::time::timeout(self.limits.statement + self.limits.connect, work).await {
            Ok(done) => done.map_err(|source| Error::asking(doing, &source)),
            Err(_) => Err(Error::Lost { doing, reason: "it does not answer any more".into() }),
        }
    }

    /// Listens to what the engine says of refreshes and of fuses (docs/pg_trickle.md, "Notifications").
    pub async fn listen(&self) -> Result<(), Error> {
        let channels = "listen pg_trickle_alert; listen pgtrickle_alert";
        self.within_time("listening to the engine", self.wire.batch_execute(channels)).await
    }

    /// Comes back at the next news, or after this time. Time passes here and not in the server, where a statement that
    /// sleeps holds back what the scheduler sees (docs/pg_trickle.md, "Visibility lag").
    pub async fn news_within(&self, time: Duration) {
        tokio::time::timeout(time, self.news.notified()).await.ok();
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

    /// Runs a statement of ours, which has to end in time.
    pub async fn run(&self, sql: &str) -> Result<(), Error> {
        self.within_time("running a statement", self.wire.batch_execute(sql)).await
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
        const LOCK: &str = "pg_catalog.hashtextextended('pgtrickle ddl', 0)";
        let sql = format!(
            "set lock_timeout = {}; select pg_catalog.pg_advisory_lock({LOCK})",
            self.limits.lock.as_millis()
        );
        let locked = self.wire.batch_execute(&sql).await;
        match locked.map_err(|source| Error::asking("waiting for other changes of stream tables", &source)) {
            Err(Error::Server { message, .. }) if message.code == SqlState::LOCK_NOT_AVAILABLE.code() => {
                Err(Error::Locked { holders: self.holders(LOCK).await.unwrap_or_default() })
            }
            locked => locked,
        }
    }

    /// Fills a stream table now.
    pub async fn refresh(&self, table: &Relation) -> Result<(), Error> {
        let sql = "select pgtrickle.refresh_stream_table($1)";
        self.about_table("refreshing the stream table", sql, &[&table.to_string()]).await
    }

    /// Leads a stream table in ERROR back to ACTIVE.
    pub async fn resume(&self, table: &Relation) -> Result<(), Error> {
        let sql = "select pgtrickle.resume_stream_table($1)";
        self.about_table("resuming the stream table", sql, &[&table.to_string()]).await
    }

    /// Fills a stream table from scratch. What repairs one would have the triggers of a source that is captured from the
    /// log back, beside the log (docs/pg_trickle.md, "Capture health"); a query that is altered to itself does not.
    pub async fn refill(&self, table: &Relation) -> Result<(), Error> {
        let sql = "select pgtrickle.alter_stream_table($1 || '.' || $2, query => coalesce(original_query, defining_query))
                   from pgtrickle.pgt_stream_tables where pgt_schema = $1 and pgt_name = $2";
        self.about_table("filling the stream table again", sql, &[&table.schema, &table.name]).await
    }

    async fn about_table(
        &self,
        doing: &'static str,
        sql: &str,
        names: &[&(dyn ToSql + Sync)],
    ) -> Result<(), Error> {
        self.within_time(doing, self.wire.query(sql, names)).await.map(drop)
    }

    /// Drops a stream table and nothing else: one that others read is refused by the engine.
    pub async fn drop_stream_table(&self, table: &Relation) -> Result<(), Error> {
        let sql = "select pgtrickle.drop_stream_table($1)";
        self.about_table("dropping the stream table", sql, &[&table.to_string()]).await
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

/// The first row's only column, read as JSON.
fn only_json<T: DeserializeOwned>(doing: &'static str, messages: &[SimpleQueryMessage]) -> Result<T, Error> {
    let text = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        SimpleQueryMessage::RowDescription(_) | SimpleQueryMessage::CommandComplete(_) | _ => None,
    });
    serde_json::from_str(text.unwrap_or_default()).map_err(|source| Error::Answer { doing, source })
}

/// A question about these relations: they go into its text, because a script has no parameters.
fn about(sql: &str, relations: &[Relation]) -> String {
    let names = serde_json::json!(relations).to_string();
    sql.replace("$relations", &format!("{}::jsonb", quote_literal(&names)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_listens_and_says_nothing_is_no_server() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgresql://u@127.0.0.1:{}/d", silent.local_addr().unwrap().port());
        let limit = Duration::from_millis(100);
        let limits = Limits { connect: limit, statement: limit, lock: limit };
        let error = Client::connect(&Endpoint::parse(&url).unwrap(), limits).await.err().unwrap();
        assert!(error.to_string().ends_with("it does not answer"), "{error}");
    }
}
