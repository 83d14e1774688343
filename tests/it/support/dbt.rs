//! dbt in a project of a test.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::{Database, DbtProject, Ran};

/// The output of a profile for this database.
pub fn output(database: &Database, schema: &str) -> Value {
    let endpoint = &database.endpoint;
    json!({"type": "postgres", "host": endpoint.host, "port": endpoint.port, "user": endpoint.user,
        "password": endpoint.password.reveal(), "dbname": endpoint.database, "schema": schema, "threads": 4})
}

/// Runs dbt on the project, with the profile in its folder.
pub fn dbt(project: &DbtProject, arguments: &[&str]) -> Ran {
    Ran::of(&mut command(project, arguments))
}

/// The same, with Python modules of this folder.
pub fn dbt_with_modules(project: &DbtProject, arguments: &[&str], modules: &Path) -> Ran {
    Ran::of(command(project, arguments).env("PYTHONPATH", modules).env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn command(project: &DbtProject, arguments: &[&str]) -> Command {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv");
    let mut dbt = Command::new(venv.join("bin/dbt"));
    dbt.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", project.path());
    dbt.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false").env("DBT_USE_COLORS", "false");
    dbt.env("DBT_PROFILES_DIR", project.path()).env("DBT_LOG_LEVEL_FILE", "none");
    dbt.args(arguments).current_dir(project.path());
    dbt
}
