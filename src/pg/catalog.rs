//! The catalog of stream tables, read in a number of questions that does not grow with the number of tables.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{Client, Error};
use crate::{
    judge::{cdc::Capture, health::EngineCheck},
    model::{Deployed, Health, Mark, Origin, Relation, Setting, Settings, StreamTable},
};

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

/// Every stream table of a database.
pub type Catalog = Vec<Deployed>;

/// What the engine says of itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EngineState {
    /// The server's clock, in seconds since the epoch.
    pub now: f64,
    /// Its own checks.
    pub checks: Vec<EngineCheck>,
}

/// A catalog row with what was looked up beside it.
#[derive(Deserialize)]
struct Row {
    pgt_schema: String,
    pgt_name: String,
    defining_query: String,
    original_query: Option<String>,
    mark: Option<String>,
    upstream: Vec<Relation>,
    stored_columns: Vec<String>,
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
        let Some(version) = &server.pg_trickle else {
            return Err(Error::NoExtension { endpoint: self.endpoint().to_string() });
        };
        let missing: Vec<String> = NEEDED_COLUMNS
            .iter()
            .filter(|column| !server.columns.iter().any(|there| there == *column))
            .map(|column| format!("pgt_stream_tables.{column}"))
            .collect();
        if missing.is_empty() { Ok(server) } else { Err(Error::TooOld { version: version.clone(), missing }) }
    }

    /// Every stream table of the database.
    pub async fn catalog(&self) -> Result<Catalog, Error> {
        const DOING: &str = "reading the catalog of stream tables";
        let rows: Vec<Map<String, Json>> = self.ask(DOING, include_str!("sql/stream_tables.sql")).await?;
        rows.into_iter()
            .map(|row| deployed(row).map_err(|source| Error::Answer { doing: DOING, source }))
            .collect()
    }

    /// How the changes of every source are captured.
    pub async fn captures(&self) -> Result<Vec<Capture>, Error> {
        self.ask("looking at the capture of changes", include_str!("sql/captures.sql")).await
    }

    /// What the engine says of itself.
    pub async fn engine_state(&self) -> Result<EngineState, Error> {
        self.ask("asking for the engine's health", include_str!("sql/engine_checks.sql")).await
    }
}

fn deployed(row: Map<String, Json>) -> Result<Deployed, serde_json::Error> {
    let health = Health::deserialize(&Json::Object(row.clone()))?;
    let row = Row::deserialize(Json::Object(row))?;
    // A comment of somebody else's on that column is no mark, and no error.
    let mark: Option<Mark> = row.mark.as_deref().and_then(|text| serde_json::from_str(text).ok());
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
    })
}

/// A value that the table of settings does not know was set by a newer engine; it is no reason to read nothing.
fn settings(columns: &Map<String, Json>) -> Settings {
    Setting::ALL
        .into_iter()
        .filter_map(|setting| Some((setting, setting.read(columns.get(setting.column()?)?).ok()??)))
        .collect()
}
