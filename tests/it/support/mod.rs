//! Helpers for the tests: the built binary in a clean environment, databases, and small dbt projects.

mod bin;
mod database;
mod dbt;
mod github;
mod project;
mod warm_dbt;

pub use bin::{Ran, pgtrickle_ci, pgtrickle_ci_with_real_dbt};
pub use database::{Database, citus, wanted};
pub use dbt::{command as dbt_command, dbt, dbt_with_modules, output};
pub use github::{HIDDEN, Hub, ME};
pub use project::{DbtProject, commit, git, manifest, model};
pub use warm_dbt::{venv, write_program};
