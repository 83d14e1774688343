//! The server's refusal of a query.

use serde::Deserialize;

/// The server's error for a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    pub message: String,
}

impl Refusal {
    /// Whether the query itself is wrong, and not, say, a missing privilege, a lock or a read-only server.
    pub fn is_about_the_query(&self) -> bool {
        self.code != "42501" && ["42", "22", "0A", "3F"].iter().any(|class| self.code.starts_with(class))
    }

    /// Whether a function, type, schema or table is missing, which a hook may create.
    pub(super) fn is_about_a_missing_object(&self) -> bool {
        ["42883", "42704", "42P01", "3F000"].contains(&self.code.as_str())
    }
}
