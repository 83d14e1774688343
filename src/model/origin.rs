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
