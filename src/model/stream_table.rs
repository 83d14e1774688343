//! A stream table, in a project and on a server.

use serde::{Deserialize, Serialize};

use super::{Mark, Origin, Relation, Settings};
use crate::sql::query;

/// A stream table, read from a manifest or from a catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamTable {
    pub relation: Relation,
    /// The defining query as written in the project.
    pub query: String,
    pub settings: Settings,
    /// The stream tables that it reads, directly or through views and ephemeral models.
    pub upstream: Vec<Relation>,
    /// The columns of the query, or of the storage table with the engine's hidden columns except the row id. `None`
    /// without a server.
    pub columns: Option<Vec<Column>>,
    /// `None` if no dbt model created it.
    pub origin: Option<Origin>,
}

impl StreamTable {
    /// What becomes of the table because of names that pg_trickle misreads (docs/pg_trickle.md, "Names").
    pub fn misread_names(&self) -> Option<String> {
        let fails = match self.settings.refresh_mode() {
            Some("FULL") => return None,
            Some("IMMEDIATE") => "every write to its sources fails",
            _ => "every refresh that finds changes fails",
        };
        let names: Vec<String> =
            query::unwordly_names(&self.query).iter().map(|name| format!("`{name}`")).collect();
        (!names.is_empty())
            .then(|| format!("pg_trickle writes {} without quotes, so that {fails}", names.join(", ")))
    }
}

/// A column of a table or of a query's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// PostgreSQL's internal name of the type, for example `int4`.
    pub r#type: String,
}

impl Column {
    /// Whether pg_trickle added it (docs/pg_trickle.md, "Storage table").
    pub fn is_internal(&self) -> bool {
        self.name.starts_with("__pgt_")
    }
}

/// How many intervals of its schedule the scheduler waits for a table of this tier (docs/pg_trickle.md, "Scheduler").
pub fn tier_factor(tier: Option<&str>) -> u32 {
    match tier {
        Some("warm") => 2,
        Some("cold") => 10,
        Some(_) | None => 1,
    }
}

impl Origin {
    /// The model's file; `None` if the project no longer has the model.
    pub fn file(&self) -> Option<&str> {
        Some(self.file.as_str()).filter(|file| !file.trim().is_empty())
    }
}

/// A stream table on a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    pub table: StreamTable,
    pub mark: Option<Mark>,
    pub health: Health,
    pub storage: Storage,
}

/// The storage table of a stream table, and the objects that depend on it and are dropped with it.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// The OID of the storage table; it changes when the table is replaced.
    pub oid: u32,
    /// PostgreSQL's estimate of the number of rows; `None` before the first ANALYZE.
    pub rows: Option<i64>,
    /// Whether a relation that it reads no longer exists under the OID that the engine stores.
    pub lost_source: bool,
    /// Views that read the table, directly or through other views.
    pub views: Vec<View>,
    /// Privileges of roles other than the owner, for example `reporting: SELECT`.
    pub grants: Vec<String>,
    /// The statements that restore owner, privileges and comments of a replaced table.
    pub restore_statements: Vec<String>,
    /// Indexes that the engine did not create.
    pub indexes: Vec<String>,
    /// Publications that include the table.
    pub publications: Vec<String>,
}

/// A view or a materialized view on a stream table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub relation: Relation,
    /// The stream table's columns that it reads; empty if it reads another view.
    pub columns: Vec<String>,
}

/// The state of a stream table in the catalog. Times are seconds since the epoch, by the server's clock.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the catalog")]
pub struct Health {
    /// `INITIALIZING`, `ACTIVE`, `SUSPENDED` or `ERROR` (docs/pg_trickle.md, "Status").
    pub status: String,
    pub is_populated: bool,
    /// The last refresh, also one without changes.
    pub last_refresh_at: Option<f64>,
    /// Whether the engine will refill the table.
    #[serde(default)]
    pub needs_reinit: bool,
    /// Whether its rows have an identity of an earlier version, so that the engine refuses to refresh it.
    #[serde(default)]
    pub has_old_identity: bool,
    /// Often missing, even with status `ERROR`.
    #[serde(default)]
    pub last_error_message: Option<String>,
    /// The number of failed refreshes since the last success, where the engine counts them.
    #[serde(default)]
    pub consecutive_errors: i64,
    /// The mode that was asked for, in versions that keep it beside the one that it was resolved to.
    #[serde(default)]
    pub requested_refresh_mode: Option<String>,
    /// Why the last refresh took its mode, or why the table is suspended, in versions that keep it.
    #[serde(default)]
    pub refresh_reason: Option<String>,
    #[serde(default)]
    pub refresh_reason_detail: Option<String>,
    /// The kind of the last failure, in versions that keep it.
    #[serde(default)]
    pub last_error_code: Option<String>,
    /// `MANAGED` or `EXTERNAL`, in versions that have it.
    #[serde(default)]
    pub orchestration_mode: Option<String>,
    /// The mode that the last refresh actually used.
    #[serde(default)]
    pub effective_refresh_mode: Option<String>,
    /// `armed` or `blown`.
    #[serde(default)]
    pub fuse_state: Option<String>,
    #[serde(default)]
    pub blow_reason: Option<String>,
    /// `hot`, `warm`, `cold` or `frozen`.
    #[serde(default)]
    pub refresh_tier: Option<String>,
    /// Whether the storage table exists under the OID in the catalog.
    #[serde(default)]
    pub storage_exists: bool,
    /// The current name of the storage table; `None` if it does not exist.
    #[serde(default)]
    pub storage_now: Option<String>,
    /// Whether another relation has the stream table's name.
    #[serde(default)]
    pub name_taken: bool,
    /// The last refresh that changed rows.
    #[serde(default)]
    pub data_timestamp: Option<f64>,
    /// The last change of the catalog row.
    #[serde(default)]
    pub updated_at: Option<f64>,
}

impl Health {
    /// Whether an external orchestrator refreshes the table, and the scheduler does not (docs/pg_trickle.md, "Scheduler").
    pub fn is_refreshed_externally(&self) -> bool {
        self.orchestration_mode.as_deref() == Some("EXTERNAL")
    }

    /// Why a table is suspended or has to be filled again (docs/pg_trickle.md, "Source DDL" and "Restored databases"). Other
    /// reasons explain the mode of the last refresh.
    pub fn rebuild_reason(&self) -> Option<&str> {
        let reasons = [&self.refresh_reason, &self.last_error_code];
        let explains = |reason: &&str| {
            ["SOURCE_", "CDC_", "RECOVERY_"].iter().any(|beginning| reason.starts_with(beginning))
        };
        reasons.into_iter().filter_map(Option::as_deref).find(explains)
    }
}
