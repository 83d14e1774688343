//! The catalog of stream tables. The number of queries does not depend on the number of tables.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{
    Client, Endpoint, Error, about,
    settings::{self, Purpose},
};
use crate::{
    judge::{
        Facts,
        capture::{Captures, IdleReader},
        hazards::{buffer_schema, buffer_truncation},
        scheduler::EngineState,
    },
    model::{
        Column, Deployed, Engine, Health, KEEPS_BUFFERED_CHANGES, Mark, Origin, Relation, Setting, Settings,
        Storage, StreamTable, Version, with_optional_parts,
    },
    plan::{Question, SpecialSource, UpstreamRelations},
    sql::quote_literal,
};

const READING: &str = "reading the catalog of stream tables";

/// The columns that are needed to read a stream table. Every version that rewrites queries has `original_query`.
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

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ServerInfo {
    /// As `18.4`.
    pub postgres: String,
    /// The version of the extension, if it is installed in the database.
    pub pg_trickle: Option<String>,
    truncates_buffers: bool,
    compacts_buffers: bool,
    /// The schema of the change buffers, if its name needs quotes.
    buffer_schema_to_quote: Option<String>,
    /// The columns of the extension's main table.
    columns: Vec<String>,
    /// The relations and functions that may be there.
    objects: Vec<String>,
}

impl ServerInfo {
    pub fn engine(&self) -> Engine {
        Engine { postgres: self.postgres.clone(), pg_trickle: self.pg_trickle.clone().unwrap_or_default() }
    }

    /// The settings for which this version's catalog has no column.
    pub fn unreadable_settings(&self) -> Vec<Setting> {
        let has = |column: &str| self.columns.iter().any(|existing| existing == column);
        let is_unreadable = |setting: &Setting| setting.column().is_some_and(|column| !has(column));
        Setting::ALL.iter().copied().filter(is_unreadable).collect()
    }

    pub fn version(&self) -> Option<Version> {
        Version::parse(self.pg_trickle.as_deref()?)
    }

    pub fn has_citus(&self) -> bool {
        self.objects.iter().any(|object| object == "pg_catalog.pg_dist_partition")
    }

    /// Why no change buffer can be created, if a setting prevents it (docs/pg_trickle.md, "Names").
    pub fn refuses_buffers(&self) -> Option<String> {
        self.buffer_schema_to_quote.as_deref().map(buffer_schema::effect)
    }

    /// What settings do to the changes of tables, a sentence each (docs/pg_trickle.md, "Settings that lose changes").
    pub fn losing_settings(&self) -> Vec<&'static str> {
        if self.version().is_some_and(|version| version >= KEEPS_BUFFERED_CHANGES) {
            return Vec::new();
        }
        let compaction = "pg_trickle.compact_threshold is not 0: a refresh that finds more changes than that loses some of sources without a primary key, and of those that several stream tables read";
        let settings =
            [(self.truncates_buffers, buffer_truncation::LOSES), (self.compacts_buffers, compaction)];
        settings.into_iter().filter(|(is_on, _)| *is_on).map(|(_, sentence)| sentence).collect()
    }

    /// A catalog query with the parts that this version can answer.
    fn ask(&self, sql: &str) -> String {
        with_optional_parts(sql, &self.objects)
    }

    fn check(&self, endpoint: &Endpoint) -> Result<(), Error> {
        let Some(version) = &self.pg_trickle else {
            return Err(Error::NoExtension { endpoint: endpoint.to_string() });
        };
        let missing: Vec<String> = NEEDED_COLUMNS
            .iter()
            .filter(|column| !self.columns.iter().any(|existing| existing == *column))
            .map(|column| format!("pgt_stream_tables.{column}"))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::TooOld { version: version.clone(), missing }) }
    }
}

/// What a plan compares with, read in one transaction.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub server: ServerInfo,
    pub tables: Vec<Deployed>,
    /// The requested names that other relations have, with SQL's word for their kind.
    pub occupied: BTreeMap<Relation, String>,
    /// The views and ephemeral models between sources and stream tables, if requested.
    pub between: UpstreamRelations,
}

/// A catalog row with facts from other catalogs.
#[derive(Deserialize)]
struct CatalogRow {
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
    /// Also if the database does not have the extension, or an old version.
    pub async fn server(&self) -> Result<ServerInfo, Error> {
        let server: ServerInfo =
            self.ask("reading the server's version", include_str!("sql/server.sql")).await?;
        server.check(self.endpoint())?;
        Ok(server)
    }

    /// What a plan for these names compares with. One statement reads it all, so it is consistent.
    pub async fn snapshot(&self, wanted: &[Relation]) -> Result<Snapshot, Error> {
        let server = self.server().await?;
        // Joined as text: to read and write them once more as jsonb takes a third of the time.
        let sql = format!(
            "select '[' || ({}) || ', ' || ({}) || ']'",
            include_str!("sql/stream_tables.sql"),
            about(include_str!("sql/occupied.sql"), wanted)
        );
        let (rows, occupied): (Vec<Map<String, Json>>, Vec<Occupied>) = self.ask(READING, &sql).await?;
        let (tables, occupied) = (read(rows)?, by_name(occupied));
        Ok(Snapshot { server, tables, occupied, between: UpstreamRelations::default() })
    }

    /// Every stream table of the database.
    pub async fn catalog(&self) -> Result<Vec<Deployed>, Error> {
        read(self.ask(READING, include_str!("sql/stream_tables.sql")).await?)
    }

    /// The health of every stream table, with only the fields that decide whether it is populated.
    pub async fn progress(&self) -> Result<BTreeMap<Relation, Health>, Error> {
        #[derive(Deserialize)]
        struct ProgressRow {
            #[serde(flatten)]
            relation: Relation,
            #[serde(flatten)]
            health: Health,
        }
        let rows: Vec<ProgressRow> =
            self.ask("reading the progress of stream tables", include_str!("sql/progress.sql")).await?;
        Ok(rows.into_iter().map(|row| (row.relation, row.health)).collect())
    }

    /// Facts about every stream table beyond its catalog row.
    pub async fn facts(&self) -> Result<Vec<Facts>, Error> {
        self.ask("reading the health of stream tables", include_str!("sql/facts.sql")).await
    }

    pub async fn captures(&self, server: &ServerInfo) -> Result<Captures, Error> {
        const DOING: &str = "reading the capture of changes";
        let mut captures: Captures = self.ask(DOING, &server.ask(include_str!("sql/captures.sql"))).await?;
        let waiting: Vec<String> =
            captures.sources.iter().flat_map(|source| &source.quiet).map(missed_changes).collect();
        if waiting.is_empty() {
            return Ok(captures);
        }
        let sql = format!(
            "select coalesce(jsonb_agg(jsonb_build_array(buffer, reader)), '[]')::text from ({}) as w (buffer, reader)",
            waiting.join(" union all ")
        );
        for (buffer, reader) in self.ask::<Vec<(String, String)>>(DOING, &sql).await? {
            let is_its = |idle: &IdleReader| idle.buffer.name == buffer && idle.reader == reader;
            for source in captures.sources.iter_mut().filter(|source| source.quiet.iter().any(is_its)) {
                source.passed_by.push(reader.clone());
            }
        }
        Ok(captures)
    }

    /// The state of the engine and of its server.
    pub async fn engine(&self, server: &ServerInfo) -> Result<EngineState, Error> {
        self.ask("reading the engine's health", &server.ask(include_str!("sql/engine.sql"))).await
    }

    /// The tables below these relations of which a stream table should not be made without knowing.
    pub async fn special_sources(
        &self,
        server: &ServerInfo,
        relations: &[Relation],
    ) -> Result<Vec<SpecialSource>, Error> {
        let sql = about(include_str!("sql/special_sources.sql"), relations);
        self.ask("reading the sources of stream tables", &server.ask(&sql)).await
    }

    /// The queries that pg_trickle does not maintain differentially, each with its reason.
    pub async fn unsupported(
        &self,
        server: &ServerInfo,
        queries: &[Question],
    ) -> Result<BTreeMap<Relation, String>, Error> {
        if queries.is_empty() {
            return Ok(BTreeMap::new());
        }
        let questions: Vec<_> =
            queries.iter().map(|query| json!({ "relation": query.relation, "sql": query.sql })).collect();
        let questions = quote_literal(&Json::from(questions).to_string());
        let sql = include_str!("sql/unsupported.sql").replace("$queries", &questions);
        // The emulator creates a temporary view.
        let begin = if server.engine().is_emulator() { settings::BEGIN } else { settings::BEGIN_READ_ONLY };
        let found: Vec<(Relation, String)> =
            self.ask_in(begin, Purpose::Query, "validating the queries", &sql).await?;
        Ok(found.into_iter().collect())
    }

    /// The names that relations other than stream tables have, with SQL's word for their kind.
    pub async fn occupied(&self, names: &[Relation]) -> Result<BTreeMap<Relation, String>, Error> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sql = about(include_str!("sql/occupied.sql"), names);
        Ok(by_name(self.ask("looking up the missing tables", &sql).await?))
    }
}

/// A query that returns a row if a pending change is older than the refreshes of the reader that found no changes.
fn missed_changes(idle: &IdleReader) -> String {
    format!(
        "select {buffer}, {reader} where exists (select from {name} as b where b.lsn > {frontier}::pg_lsn \
         and pg_catalog.age(b.xmin) > pg_catalog.age({first}::xid))",
        buffer = quote_literal(&idle.buffer.name),
        reader = quote_literal(&idle.reader),
        name = idle.buffer.quoted(),
        frontier = quote_literal(idle.frontier.as_deref().unwrap_or("0/0")),
        first = quote_literal(&idle.first_xid),
    )
}

/// A relation with the name of a stream table.
#[derive(Deserialize)]
struct Occupied {
    #[serde(flatten)]
    relation: Relation,
    kind: String,
}

fn by_name(occupied: Vec<Occupied>) -> BTreeMap<Relation, String> {
    occupied.into_iter().map(|one| (one.relation, one.kind)).collect()
}

fn read(rows: Vec<Map<String, Json>>) -> Result<Vec<Deployed>, Error> {
    let failed = |source| Error::Answer { doing: READING, source };
    rows.into_iter().map(|row| deployed(row).map_err(failed)).collect()
}

fn deployed(row: Map<String, Json>) -> Result<Deployed, serde_json::Error> {
    let health = Health::deserialize(&row)?;
    let row = CatalogRow::deserialize(row)?;
    // Any other comment in the place of the mark is the user's.
    let mark: Option<Mark> = row.mark.and_then(|mark| serde_json::from_value(mark).ok());
    let origin = mark.as_ref().map(|mark| Origin { unique_id: mark.unique_id.clone(), file: String::new() });
    Ok(Deployed {
        table: StreamTable {
            relation: Relation::new(row.pgt_schema, row.pgt_name),
            // docs/pg_trickle.md, "Query text": if the engine stored a rewritten query, this is the original.
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

/// Ignores unknown values, which a newer engine may have.
fn settings(columns: &Map<String, Json>) -> Settings {
    Setting::ALL
        .iter()
        .copied()
        .filter_map(|setting| Some((setting, setting.read(columns.get(setting.column()?)?).ok()??)))
        .collect()
}
