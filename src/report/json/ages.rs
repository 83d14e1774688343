//! The part of the document about the ages of tables.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::V1Relation;
use crate::{judge::freshness::TableAge, model::AgeLimits};

/// The age of a table when it was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Age {
    pub relation: V1Relation,
    /// The unique_id of its model; its own name without a model.
    pub unique_id: String,
    /// Its last refresh, in seconds since the epoch; null if it was never refreshed.
    pub refreshed_at: Option<f64>,
    /// How long its last refresh took that looked for rows, in milliseconds; null if unknown.
    #[serde(default)]
    pub refresh_ms: Option<f64>,
    /// The server's clock when the table was checked, in seconds since the epoch.
    pub checked_at: f64,
    /// An older table is a warning; in seconds, null without a limit.
    pub warn_after: Option<u64>,
    /// An older table is an error; in seconds, null without a limit.
    pub error_after: Option<u64>,
}

impl From<&TableAge> for V1Age {
    fn from(age: &TableAge) -> Self {
        let limits = age.limits.unwrap_or_default();
        Self {
            relation: V1Relation::from(&age.relation),
            unique_id: age.unique_id.clone(),
            refreshed_at: age.refreshed_at,
            refresh_ms: age.refresh_ms,
            checked_at: age.now,
            warn_after: limits.warn_after.map(|limit| limit.as_secs()),
            error_after: limits.error_after.map(|limit| limit.as_secs()),
        }
    }
}

impl V1Age {
    pub(in crate::report) fn read(self) -> TableAge {
        let limits = AgeLimits {
            warn_after: self.warn_after.map(Duration::from_secs),
            error_after: self.error_after.map(Duration::from_secs),
        };
        TableAge {
            relation: self.relation.read(),
            unique_id: self.unique_id,
            refreshed_at: self.refreshed_at,
            refresh_ms: self.refresh_ms,
            now: self.checked_at,
            limits: (limits != AgeLimits::default()).then_some(limits),
        }
    }
}
