//! Where a table or a test comes from.

use serde::{Deserialize, Serialize};

/// The dbt model behind a stream table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// dbt's identifier of the node, for example `model.shop.orders`.
    pub unique_id: String,
    /// The model's file, relative to the dbt project; empty if the project no longer has the model.
    pub file: String,
}

/// A test of a dbt project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DbtTest {
    /// The model that it is attached to, or else itself.
    pub origin: Origin,
    /// The unique_ids of the models that it tests: the one that it is attached to, or else all that it reads.
    pub tests: Vec<String>,
}
