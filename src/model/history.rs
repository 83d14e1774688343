//! The refreshes of a stream table.

use serde::Deserialize;

/// The last refreshes of a stream table, the newest first.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct History {
    /// The server's clock, in seconds since the epoch.
    pub now: f64,
    pub refreshes: Vec<Refresh>,
}

/// A refresh, or several in a row that changed nothing (docs/pg_trickle.md, "Refresh and history").
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Refresh {
    /// `FULL`, `DIFFERENTIAL`, `REINITIALIZE`, `NO_DATA` or `SKIP`; of several, each that occurs.
    pub action: String,
    /// Whether it looked for changes and changed nothing.
    pub is_idle: bool,
    /// `RUNNING`, `COMPLETED`, `FAILED` or `SKIPPED`.
    pub status: String,
    /// Such as `SCHEDULER`, `MANUAL` or `INITIAL`; `None` if it differs among several.
    pub initiated_by: Option<String>,
    /// How many refreshes; more than one only if they changed nothing.
    pub count: u64,
    /// When the newest of them started, in seconds since the epoch.
    pub started_at: f64,
    /// The mean duration in milliseconds; `None` if the engine did not measure it.
    pub took_ms: Option<f64>,
    pub rows_inserted: i64,
    /// 0 in versions that count an update as a deletion and an insertion.
    pub rows_updated: i64,
    pub rows_deleted: i64,
    pub error: Option<String>,
    /// Why it took its action, in versions that keep it.
    pub reason: Option<String>,
}

impl Refresh {
    /// How many rows it changed.
    pub fn rows(&self) -> i64 {
        self.rows_inserted.saturating_add(self.rows_updated).saturating_add(self.rows_deleted)
    }
}
