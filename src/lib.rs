//! The CI gate for dbt projects with stream tables.
//!
//! The modules have an order, and each uses only itself and earlier ones (`tests/it/layers.rs` checks it):
//!
//! | modules | |
//! |---|---|
//! | [`sql`], [`model`] | names, settings, outcomes; SQL as text |
//! | [`project`], [`plan`], [`judge`], [`mutate`], [`report`] | values in, values out: no clock, no input, no output |
//! | [`output`], [`hosts`], [`pg`], [`dbt`], [`server`], [`sources`] | processes, sockets, files |
//! | [`cli`], [`options`] | what was typed becomes one plain struct per subcommand |
//! | [`verify`], [`stages`] | rounds of changes and comparisons; what commands consist of |
//! | [`commands`] | one file per subcommand, which holds the report |
//!
//! Data flows one way:
//!
//! ```text
//! dbt project -> manifest bytes -> Project ─┐
//!                                           ├─> Plan ─> wait ─> check ─> [Outcome] ─> Report ─> renderers
//! server      -> catalog rows   -> Deployed ┘
//! ```

pub mod cli;
pub mod commands;
pub mod dbt;
pub mod error;
pub mod exit;
pub mod hosts;
pub mod judge;
pub mod model;
pub mod mutate;
pub mod options;
pub mod output;
pub mod pg;
pub mod plan;
pub mod project;
pub mod report;
pub mod server;
pub mod sources;
pub mod sql;
pub mod stages;
pub mod verify;

pub use error::Error;
