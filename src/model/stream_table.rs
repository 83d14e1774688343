//! A stream table, as a project wants it and as a server has it.

use serde::{Deserialize, Serialize};

use super::{Mark, Relation, Settings};

/// A stream table: the same type whether it was read from a manifest or from a catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamTable {
    /// Where it is, or will be.
    pub relation: Relation,
    /// The defining query as its author wrote it.
    pub query: String,
    /// What is set; a key that is missing is left to the engine.
    pub settings: Settings,
    /// The stream tables it reads, directly or through views and ephemeral models.
    pub upstream: Vec<Relation>,
    /// Its columns in their order: of the storage with the engine's hidden ones, but without the row id, or of the
    /// query. `None` where nobody asked a server.
    pub columns: Option<Vec<Column>>,
    /// The dbt model it comes from; `None` when no model made it.
    pub origin: Option<Origin>,
}

/// A column of a table or of a query's result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// PostgreSQL's internal name of its type, as `int4`.
    pub r#type: String,
}

/// The dbt model behind a stream table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// dbt's name for the node, as `model.shop.orders`.
    pub unique_id: String,
    /// The model's file, relative to the dbt project; empty where the project has no such model any more.
    pub file: String,
}

impl Origin {
    /// The model's file, where there is one to look at.
    pub fn file(&self) -> Option<&str> {
        Some(self.file.as_str()).filter(|file| !file.trim().is_empty())
    }
}

/// A stream table as it stands in a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// What it is.
    pub table: StreamTable,
    /// Who made it; `None` when it carries no mark.
    pub mark: Option<Mark>,
    /// How it fares.
    pub health: Health,
    /// What hangs on its storage.
    pub storage: Storage,
}

/// What hangs on the relation that holds a stream table's rows. All of it but the rows is lost when that is dropped.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// PostgreSQL's number for it: another one is another storage.
    pub oid: u32,
    /// How many rows there are, by PostgreSQL's estimate; `None` before the first ANALYZE.
    pub rows: Option<i64>,
    /// Something that it reads from no longer exists under the identity that the engine knows.
    pub lost_source: bool,
    /// Views that read it, directly or through other views.
    pub views: Vec<View>,
    /// What other roles than its owner may do, as `reporting: SELECT`.
    pub grants: Vec<String>,
    /// The statements that give a rebuilt table its owner, rights and comments again.
    pub restore_statements: Vec<String>,
    /// Indexes that the engine did not make.
    pub indexes: Vec<String>,
    /// Publications that name it.
    pub publications: Vec<String>,
}

/// A view or a materialized view on a stream table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Where it is.
    pub relation: Relation,
    /// The stream table's columns that it reads; none where it reads another view.
    pub columns: Vec<String>,
}

/// What the catalog says of a stream table's life. Times are seconds since the epoch, by the server's clock.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the catalog")]
pub struct Health {
    /// `INITIALIZING`, `ACTIVE`, `SUSPENDED` or `ERROR` (docs/pg_trickle.md, "Status").
    pub status: String,
    /// Whether it was ever filled.
    pub is_populated: bool,
    /// The last refresh, also one that found nothing to do.
    pub last_refresh_at: Option<f64>,
    /// Set when the engine wants to refill it from scratch.
    #[serde(default)]
    pub needs_reinit: bool,
    /// The engine's last words on a failure; often missing even in `ERROR`.
    #[serde(default)]
    pub last_error_message: Option<String>,
    /// How many of its last refreshes failed, where the engine counts them.
    #[serde(default)]
    pub consecutive_errors: i64,
    /// The mode that the last refresh really used.
    #[serde(default)]
    pub effective_refresh_mode: Option<String>,
    /// `armed` or `blown`.
    #[serde(default)]
    pub fuse_state: Option<String>,
    /// Why the fuse blew.
    #[serde(default)]
    pub blow_reason: Option<String>,
    /// `hot`, `warm`, `cold` or `frozen`.
    #[serde(default)]
    pub refresh_tier: Option<String>,
    /// Whether the storage relation still stands where the catalog says.
    #[serde(default)]
    pub storage_exists: bool,
    /// What the storage relation is called now; `None` when it is gone.
    #[serde(default)]
    pub storage_now: Option<String>,
    /// Whether something else has the table's name.
    #[serde(default)]
    pub name_taken: bool,
    /// The last refresh that changed rows.
    #[serde(default)]
    pub data_timestamp: Option<f64>,
    /// The last change of the catalog row.
    #[serde(default)]
    pub updated_at: Option<f64>,
}
