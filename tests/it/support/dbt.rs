//! dbt in a project of a test.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::{Database, DbtProject, Ran, warm_dbt};

/// The output of a profile for this database.
pub fn output(database: &Database, schema: &str) -> Value {
    let endpoint = &database.endpoint;
    json!({"type": "postgres", "host": endpoint.host, "port": endpoint.port, "user": endpoint.user,
        "password": endpoint.password.reveal(), "dbname": endpoint.database, "schema": schema, "threads": 4})
}

/// Runs dbt on the project, with the profile in its folder.
pub fn dbt(project: &DbtProject, arguments: &[&str]) -> Ran {
    Ran::of(&mut project_command(command(), project, arguments))
}

/// dbt without arguments, and without the variables of the tests.
pub fn command() -> Command {
    let mut dbt = Command::new(warm_dbt::folder().expect("a dbt in .venv").join("dbt"));
    dbt.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    dbt
}

/// The real dbt on the project, with Python modules of this folder.
pub fn dbt_with_modules(project: &DbtProject, arguments: &[&str], modules: &Path) -> Ran {
    let mut started = Command::new(warm_dbt::venv().join("bin/dbt"));
    started.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    started.env("PYTHONPATH", modules).env("PYTHONDONTWRITEBYTECODE", "1");
    Ran::of(&mut project_command(started, project, arguments))
}

fn project_command(mut dbt: Command, project: &DbtProject, arguments: &[&str]) -> Command {
    dbt.env("HOME", project.path());
    dbt.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false").env("DBT_USE_COLORS", "false");
    dbt.env("DBT_PROFILES_DIR", project.path()).env("DBT_LOG_LEVEL_FILE", "none");
    dbt.args(arguments).current_dir(project.path());
    dbt
}
