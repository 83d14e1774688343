//! Source tables of an ephemeral server that no fixture created: empty tables from the project's declarations, or
//! copies from another server.
//!
//! ```text
//! declared columns ─────────────────────────────> CREATE TABLE        (stub)
//! another server ─> objects of each relation ──> pg_dump, pg_restore (copy)
//!                └> some rows and the rows that they reference    (sample)
//! ```

mod copy;
mod error;
mod sample;
mod stub;

pub use copy::{SourceServer, copy};
pub use error::Error;
pub use stub::stub;
