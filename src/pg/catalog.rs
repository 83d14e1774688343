//! The catalog of stream tables, read in a number of questions that does not grow with the number of tables.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Client, Endpoint, Error, about};
use crate::{
    judge::{
        Facts,
        capture::{Captures, IdleReader},
        scheduler::EngineState,
    },
    model::{Column, Deployed, Health, Mark, Origin, Relation, Setting, Settings, Storage, StreamTable},
    plan::Between,
    sql::quote_literal,
};

const READING: &str = "reading the catalog of stream tables";

/// The columns without which a stream table cannot be read; `original_query` is in every version that rewrites.
const NEEDED_COLUMNS: [&str; 9] = [
    "pgt_name",
    "pgt_schema",
    "defining_query",
    "original_query",
    "schedule",
    "refresh_mode",
    "status",
    "is_populated",
    "last_refresh_at",
];

/// The server's software.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// As `18.4`.
    pub postgres: String,
    /// The extension's version, where the database has the extension.
    pub pg_trickle: Option<String>,
    /// The columns of the extension's main table.
    columns: Vec<String>,
}

impl Server {
    /// The settings that this version's catalog does not keep.
    pub fn unseen(&self) -> Vec<Setting> {
        let kept = |column: &str| self.columns.iter().any(|there| there == column);
        let unseen = |setting: &Setting| setting.column().is_some_and(|column| !kept(column));
        Setting::ALL.into_iter().filter(unseen).collect()
    }

    fn check(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let Some(version) = &self.pg_trickle else {
            return Err(Error::NoExtension { endpoint: endpoint.to_string() });
        };
        let missing: Vec<String> = NEEDED_COLUMNS
            .iter()
            .filter(|column| !self.columns.iter().any(|there| there == *column))
            .map(|column| format!("pgt_stream_tables.{column}"))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::TooOld { version: version.clone(), missing }) }
    }
}

/// What a plan is made against, read in one transaction.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What runs there.
    pub server: Server,
    /// Every stream table.
    pub tables: Catalog,
    /// What has a name that was asked for and is no stream table, in SQL's word for its kind.
    pub occupied: BTreeMap<Relation, String>,
    /// What is between the sources and the stream tables, where that was asked.
    pub between: Between,
}

/// Every stream table of a database.
pub type Catalog = Vec<Deployed>;

/// A catalog row with what was looked up beside it.
#[derive(Deserialize)]
struct Row {
    pgt_schema: String,
    pgt_name: String,
    defining_query: String,
    original_query: Option<String>,
    mark: Option<Json>,
    upstream: Vec<Relation>,
    stored_columns: Vec<Column>,
    storage: Storage,
    #[serde(flatten)]
    columns: Map<String, Json>,
}

impl Client {
    /// What runs there.
    ///
    /// # Errors
    /// Also when the database lacks the extension, or has one that is too old.
    pub async fn server(&self) -> Result<Server, Error> {
        let server: Server =
            self.ask("asking for the server's version", include_str!("sql/server.sql")).await?;
        server.check(self.endpoint())?;
        Ok(server)
    }

    /// What a plan for these names is made against, whatever the number of tables: all in one statement, and so as of one
    /// moment.
    pub async fn standing(&self, wanted: &[Relation]) -> Result<Standing, Error> {
        let server = self.server().await?;
        let sql = format!(
            "select jsonb_build_array(({})::jsonb, ({})::jsonb)::text",
            include_str!("sql/stream_tables.sql"),
            about(include_str!("sql/occupied.sql"), wanted)
        );
        let (rows, occupied): (Vec<Map<String, Json>>, Vec<Occupied>) = self.ask(READING, &sql).await?;
        let (tables, occupied) = (read(rows)?, by_name(occupied));
        Ok(Standing { server, tables, occupied, between: Between::default() })
    }

    /// Every stream table of the database.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        read(self.ask(READING, include_str!("sql/stream_tables.sql")).await?)
    }

    /// How far every stream table is: of its life, only what says whether it is filled.
    pub async fn progress(&self) -> Result<BTreeMap<Relation, Health>, Error> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(flatten)]
            relation: Relation,
            #[serde(flatten)]
            health: Health,
        }
        let rows: Vec<Row> =
            self.ask("looking how far the stream tables are", include_str!("sql/progress.sql")).await?;
        Ok(rows.into_iter().map(|row| (row.relation, row.health)).collect())
    }

    /// What is worth knowing of every stream table beyond its catalog row.
    pub async fn facts(&self) -> Result<Vec<Facts>, Error> {
        self.ask("looking at the stream tables", include_str!("sql/facts.sql")).await
    }

    /// How changes reach the stream tables.
    pub async fn captures(&self) -> Result<Captures, Error> {
        const DOING: &str = "looking at the capture of changes";
        let mut captures: Captures = self.ask(DOING, include_str!("sql/captures.sql")).await?;
        let waiting: Vec<String> =
            captures.sources.iter().flat_map(|source| &source.quiet).map(waiting_for).collect();
        if waiting.is_empty() {
            return Ok(captures);
        }
        let sql = format!(
            "select coalesce(jsonb_agg(jsonb_build_array(buffer, reader)), '[]')::text from ({}) as w (buffer, reader)",
            waiting.join(" union all ")
        );
        for (buffer, reader) in self.ask::<Vec<(String, String)>>(DOING, &sql).await? {
            let is_its = |idle: &IdleReader| idle.buffer == buffer && idle.reader == reader;
            for source in captures.sources.iter_mut().filter(|source| source.quiet.iter().any(is_its)) {
                source.passed_by.push(reader.clone());
            }
        }
        Ok(captures)
    }

    /// What the engine says of itself.
    pub async fn engine(&self) -> Result<EngineState, Error> {
        self.ask("asking for the engine's health", include_str!("sql/engine.sql")).await
    }

    /// Which of these names belong to something that is no stream table, and to what.
    pub async fn occupied(&self, names: &[Relation]) -> Result<BTreeMap<Relation, String>, Error> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sql = about(include_str!("sql/occupied.sql"), names);
        Ok(by_name(self.ask("looking for the missing tables", &sql).await?))
    }
}

/// A row when a change waits that was there before the reader's refreshes found nothing.
fn waiting_for(idle: &IdleReader) -> String {
    format!(
        "select {buffer}, {reader} where exists (select from {name} as b where b.lsn > {frontier}::pg_lsn \
         and pg_catalog.age(b.xmin) > pg_catalog.age({first}::xid))",
        buffer = quote_literal(&idle.buffer),
        reader = quote_literal(&idle.reader),
        name = Relation::new("pgtrickle_changes", &idle.buffer).quoted(),
        frontier = quote_literal(idle.frontier.as_deref().unwrap_or("0/0")),
        first = quote_literal(&idle.first_xid),
    )
}

/// A relation in the way of a stream table.
#[derive(Deserialize)]
struct Occupied {
    #[serde(flatten)]
    relation: Relation,
    kind: String,
}

fn by_name(occupied: Vec<Occupied>) -> BTreeMap<Relation, String> {
    occupied.into_iter().map(|one| (one.relation, one.kind)).collect()
}

fn read(rows: Vec<Map<String, Json>>) -> Result<Catalog, Error> {
    let failed = |source| Error::Answer { doing: READING, source };
    rows.into_iter().map(|row| deployed(row).map_err(failed)).collect()
}

fn deployed(row: Map<String, Json>) -> Result<Deployed, serde_json::Error> {
    let health = Health::deserialize(&Json::Object(row.clone()))?;
    let row = Row::deserialize(Json::Object(row))?;
    // Another comment in the mark's place is no mark, and no error.
    let mark: Option<Mark> = row.mark.and_then(|mark| serde_json::from_value(mark).ok());
    let origin = mark.as_ref().map(|mark| Origin { unique_id: mark.unique_id.clone(), file: String::new() });
    Ok(Deployed {
        table: StreamTable {
            relation: Relation::new(row.pgt_schema, row.pgt_name),
            // docs/pg_trickle.md, "Query text": what was written, where the engine stored a rewritten query.
            query: row.original_query.unwrap_or(row.defining_query),
            settings: settings(&row.columns),
            upstream: row.upstream,
            columns: Some(row.stored_columns),
            origin,
        },
        mark,
        health,
        storage: row.storage,
    })
}

/// A value that the table of settings does not know was set by a newer engine; it is no reason to read nothing.
fn settings(columns: &Map<String, Json>) -> Settings {
    Setting::ALL
        .into_iter()
        .filter_map(|setting| Some((setting, setting.read(columns.get(setting.column()?)?).ok()??)))
        .collect()
}
