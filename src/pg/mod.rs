//! PostgreSQL: connections and queries. The SQL is in `pg/sql/`.

mod address_error;
mod catalog;
mod change;
mod connecting;
mod conninfo;
mod database_settings;
mod deployment;
mod endpoint;
mod equality;
mod error;
mod exclusive;
mod function_reads;
mod libpq_files;
mod one_table;
mod parameters;
mod reach;
mod refresh;
mod rehearsal;
mod round;
mod settings;
mod source_objects;
mod tls;
mod values;

use std::{
    future::poll_fn,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::sync::{Notify, OnceCell};
use tokio_postgres::{AsyncMessage, SimpleQueryMessage, error::SqlState, types::ToSql};

use crate::{
    model::{Column, Relation},
    sql::quote_literal,
};

pub use address_error::BadAddress;
pub use catalog::{ServerInfo, Snapshot};
pub use change::{
    Changed, is_about_the_session, is_about_values, is_in_the_way, is_not_permitted, is_out_of_range,
    is_refusal, is_too_slow, is_without_second_session,
};
pub use conninfo::Conninfo;
pub use deployment::StepFailed;
pub use endpoint::{Endpoint, SslMode};
pub use equality::UnreadLog;
pub use error::{EngineTrigger, Error, ServerMessage};
pub use exclusive::Exclusive;
pub use function_reads::FunctionReads;
pub use reach::{Contents, Reach};
pub use refresh::Refreshed;
use settings::Purpose;
pub use source_objects::{ForeignKey, SourceObjects, SourceRelation};

/// Timeouts for connecting, for a statement and for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connect: Duration,
    pub statement: Duration,
    pub lock: Duration,
}

pub struct Client {
    wire: tokio_postgres::Client,
    endpoint: Endpoint,
    limits: Limits,
    /// Notified at each message on a channel.
    news: Arc<Notify>,
    /// The error with which the server ended the connection.
    last_words: Arc<OnceLock<ServerMessage>>,
    /// Whether a round is open: then queries run inside of its transaction.
    inside: AtomicBool,
    /// The statement that makes queries independent of the role's own settings.
    database_settings: OnceCell<String>,
}

impl Client {
    /// Connects, logs in, and sets the role of the endpoint.
    pub async fn connect(endpoint: &Endpoint, limits: Limits) -> Result<Self, Error> {
        let (client, mut connection) = Box::pin(connecting::open(endpoint, limits)).await?;
        let (news, last_words) = (Arc::new(Notify::new()), Arc::new(OnceLock::new()));
        let (heard, ended) = (Arc::clone(&news), Arc::clone(&last_words));
        // If the connection ends, the next query fails.
        tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notification(_)) => heard.notify_one(),
                    Ok(_) => {}
                    Err(error) => {
                        let _ = error::last_words(&error).map(|said| ended.set(said));
                        break;
                    }
                }
            }
        });
        let inside = AtomicBool::new(false);
        let database_settings = OnceCell::new();
        let client = Self {
            wire: client,
            endpoint: endpoint.clone(),
            limits,
            news,
            last_words,
            inside,
            database_settings,
        };
        if let Some(role) = &endpoint.role {
            let sql = format!("set role {role}");
            client.within_time("setting the profile's role", client.wire.batch_execute(&sql)).await?;
        }
        Ok(client)
    }

    /// Another connection to the same database.
    pub async fn connect_again(&self) -> Result<Self, Error> {
        Self::connect(&self.endpoint, self.limits).await
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Runs one query on the catalogs; the answer is a single JSON text.
    async fn ask<T: DeserializeOwned>(&self, doing: &'static str, sql: &str) -> Result<T, Error> {
        self.ask_for(Purpose::Catalog, doing, sql).await
    }

    /// Runs one query, in the open round or in its own read-only transaction; the answer is a single JSON text.
    ///
    /// Each query has its own transaction, because a long one would hold back the changes that the engine's scheduler
    /// sees (docs/pg_trickle.md, "Visibility lag"). It is a single message without prepared statements, because a
    /// pooler may give each transaction another session.
    async fn ask_for<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        doing: &'static str,
        sql: &str,
    ) -> Result<T, Error> {
        self.ask_in(settings::BEGIN_READ_ONLY, purpose, doing, sql).await
    }

    /// The same in another kind of transaction, which is also rolled back.
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
        let begin = format!("{begin}; {}; {}", self.settings(), settings::local(purpose));
        let answer = self.after(&begin, doing, &format!("{sql}\n; rollback")).await;
        if answer.is_err() {
            // The script stopped before its ROLLBACK. On a lost connection this fails, too, which does no harm.
            self.within_time(doing, self.wire.batch_execute("rollback")).await.ok();
        }
        only_json(doing, &answer?)
    }

    /// The answer to a script, with settings that count for it.
    ///
    /// Two messages, sent together: the server reads all of a message before it carries out any of it, and
    /// `standard_conforming_strings` changes how it reads a backslash.
    async fn after(
        &self,
        settings: &str,
        doing: &'static str,
        script: &str,
    ) -> Result<Vec<SimpleQueryMessage>, Error> {
        let both = async {
            let (set, answer) =
                tokio::join!(self.wire.batch_execute(settings), self.wire.simple_query(script));
            set.and(answer)
        };
        self.within_time(doing, both).await
    }

    /// The JSON text that a statement returns, without a transaction around it.
    async fn first_answer<T: DeserializeOwned>(&self, doing: &'static str, sql: &str) -> Result<T, Error> {
        only_json(doing, &self.within_time(doing, self.wire.simple_query(sql)).await?)
    }

    /// Fails after the timeout: a server that lost its network does not close the connection.
    async fn within_time<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        if self.limits.statement.is_zero() {
            return work.await.map_err(|source| self.failed(doing, &source));
        }
        match tokio::time::timeout(self.limits.statement + self.limits.connect, work).await {
            Ok(done) => done.map_err(|source| self.failed(doing, &source)),
            Err(_) => Err(Error::Lost { doing, reason: "it stopped answering".into(), code: None }),
        }
    }

    /// The error of a statement. The server may have said before it why it ends the connection.
    fn failed(&self, doing: &'static str, source: &tokio_postgres::Error) -> Error {
        if let Some(said) = error::last_words(source) {
            let _ = self.last_words.set(said);
        }
        match (Error::asking(doing, source), self.last_words.get()) {
            (Error::Lost { doing, .. }, Some(said)) => {
                Error::Lost { doing, reason: said.message.clone(), code: Some(said.code.clone()) }
            }
            (error, _) => error,
        }
    }

    /// Listens to the engine's notifications about refreshes and fuses (docs/pg_trickle.md, "Notifications").
    pub async fn listen(&self) -> Result<(), Error> {
        let channels = "listen pg_trickle_alert; listen pgtrickle_alert";
        self.within_time("listening to the engine", self.wire.batch_execute(channels)).await
    }

    /// Returns at the next notification, or after this time. Waits here and not in the server, where a sleeping
    /// statement holds back the changes that the scheduler sees (docs/pg_trickle.md, "Visibility lag").
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

    /// Runs a user's script unchanged, without a timeout.
    pub async fn run_script(&self, sql: &str) -> Result<(), Error> {
        self.wire.batch_execute(sql).await.map_err(|source| self.failed("running the script", &source))
    }

    /// Runs a statement with a timeout.
    pub async fn run(&self, sql: &str) -> Result<(), Error> {
        self.within_time("running a statement", self.wire.batch_execute(sql)).await
    }

    /// The columns of each query, or the server's error, without running any query. The requests are sent together, so that
    /// many take hardly longer than one.
    pub async fn describe(
        &self,
        queries: &[String],
    ) -> Result<Vec<Result<Vec<Column>, ServerMessage>>, Error> {
        const DOING: &str = "reading the columns of the queries";
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        // Outside of a transaction, which the first error would abort.
        let limits = self.settings().replace("set local", "set");
        let failed = |source: tokio_postgres::Error| self.failed(DOING, &source);
        let (set, asked, reset) = tokio::join!(
            self.wire.batch_execute(&limits),
            futures_util::future::join_all(queries.iter().map(|query| self.wire.prepare(query))),
            self.wire.batch_execute("reset statement_timeout; reset lock_timeout"),
        );
        set.and(reset).map_err(failed)?;
        let column = |column: &tokio_postgres::Column| Column {
            name: column.name().to_owned(),
            r#type: column.type_().name().to_owned(),
        };
        let columns = |statement: tokio_postgres::Statement| statement.columns().iter().map(column).collect();
        let answer = |prepared: Result<Vec<Column>, Error>| match prepared {
            Ok(columns) => Ok(Ok(columns)),
            Err(Error::Server { message, .. }) => Ok(Err(message)),
            Err(lost) => Err(lost),
        };
        asked.into_iter().map(|prepared| answer(prepared.map(columns).map_err(failed))).collect()
    }

    /// Takes the lock for changing stream tables of this database until the connection ends. The dbt package takes the
    /// same lock (docs/pg_trickle.md, "Concurrent creates").
    pub async fn lock(&self) -> Result<(), Error> {
        const LOCK: &str = "pg_catalog.hashtextextended('pgtrickle ddl', 0)";
        let sql = format!(
            "set lock_timeout = {}; select pg_catalog.pg_advisory_lock({LOCK})",
            self.limits.lock.as_millis()
        );
        let locked = self.wire.batch_execute(&sql).await;
        match locked.map_err(|source| self.failed("waiting for other changes of stream tables", &source)) {
            Err(Error::Server { message, .. }) if &*message.code == SqlState::LOCK_NOT_AVAILABLE.code() => {
                Err(Error::Locked { holders: self.holders(LOCK).await.unwrap_or_default() })
            }
            locked => locked,
        }
    }

    async fn about_table(
        &self,
        doing: &'static str,
        sql: &str,
        names: &[&(dyn ToSql + Sync)],
    ) -> Result<(), Error> {
        self.within_time(doing, self.wire.query(sql, names)).await.map(drop)
    }

    /// Drops a stream table without CASCADE: the engine rejects it if others read the table.
    pub async fn drop_stream_table(&self, table: &Relation) -> Result<(), Error> {
        let sql = "select pgtrickle.drop_stream_table($1)";
        self.about_table("dropping the stream table", sql, &[&table.to_string()]).await
    }

    /// The relations that do not exist.
    pub async fn missing<'a>(
        &self,
        relations: impl Iterator<Item = &'a Relation>,
    ) -> Result<Vec<Relation>, Error> {
        let wanted: Vec<Relation> = relations.cloned().collect();
        let quoted: Vec<String> = wanted.iter().map(Relation::quoted).collect();
        let sql = "select name from unnest($1::text[]) as name where to_regclass(name) is null";
        let rows = self.wire.query(sql, &[&quoted]).await;
        let rows = rows.map_err(|source| self.failed("looking for the sources", &source))?;
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

/// A query with these relations in its text, because a script has no parameters.
fn about(sql: &str, relations: &[Relation]) -> String {
    let names = serde_json::json!(relations).to_string();
    sql.replace("$relations", &format!("{}::jsonb", quote_literal(&names)))
}

/// A query with this relation in its text.
fn of_table(sql: &str, table: &Relation) -> String {
    sql.replace("$table", &format!("{}, {}", quote_literal(&table.schema), quote_literal(&table.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_never_answers_is_an_error() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgresql://u@127.0.0.1:{}/d", silent.local_addr().unwrap().port());
        let limit = Duration::from_millis(100);
        let limits = Limits { connect: limit, statement: limit, lock: limit };
        let error = Client::connect(&Endpoint::parse(&url).unwrap(), limits).await.err().unwrap();
        assert!(error.to_string().ends_with("it does not answer"), "{error}");
    }
}
