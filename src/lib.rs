//! The gate for dbt projects with stream tables.
//!
//! The house has floors; a file uses its own floor or a lower one, never a higher one
//! (`tests/it/floors.rs` keeps it so):
//!
//! | floor | modules | |
//! |---|---|---|
//! | 4 the door | [`cli`], [`config`], [`exit`] | what was typed becomes one resolved configuration |
//! | 3 the acts | [`commands`] | one file a subcommand, each a short story told in calls |
//! | 2 the hands | [`dbt`], [`pg`], [`server`], [`sources`], [`github`], [`output`] | processes, sockets, files |
//! | 1 the thought | [`project`], [`plan`], [`judge`], [`mutate`], [`report`] | values in, values out: no clock, no input, no output |
//! | 0 the words | [`model`] | names, settings, outcomes |
//!
//! One way, no step back:
//!
//! ```text
//! dbt project -> manifest bytes -> Project ─┐
//!                                           ├─> Plan ─> wait ─> check ─> [Outcome] ─> Report ─> renderers
//! server      -> catalog rows   -> Deployed ┘
//! ```

pub mod cli;
pub mod commands;
pub mod config;
pub mod dbt;
pub mod error;
pub mod exit;
pub mod github;
pub mod judge;
pub mod model;
pub mod mutate;
pub mod output;
pub mod pg;
pub mod plan;
pub mod project;
pub mod report;
pub mod server;
pub mod sources;

pub use error::Error;
