//! The source tables of an ephemeral server, where no fixture made them: empty ones from what the project declares, or
//! copies of those on another server.
//!
//! ```text
//! declared columns ─────────────────────────────> CREATE TABLE        (stub)
//! another server ─> what belongs to a relation ─> pg_dump, pg_restore (copy)
//!                └> a few rows, then the rows that they refer to      (sample)
//! ```

mod copy;
mod error;
mod sample;
mod stub;

pub use copy::{Origin, copy};
pub use error::Error;
pub use stub::stub;
