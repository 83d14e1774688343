//! dbt in a project of a test.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use pgtrickle_ci::dbt::ForkServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, runtime::Runtime};

use super::{Database, DbtProject, Ran};

/// The output of a profile for this database.
pub fn output(database: &Database, schema: &str) -> Value {
    let endpoint = &database.endpoint;
    json!({"type": "postgres", "host": endpoint.host, "port": endpoint.port, "user": endpoint.user,
        "password": endpoint.password.reveal(), "dbname": endpoint.database, "schema": schema, "threads": 4})
}

/// Runs dbt on the project, with the profile in its folder.
pub fn dbt(project: &DbtProject, arguments: &[&str]) -> Ran {
    forked(&project_command(command(), project, arguments))
}

/// dbt without arguments, for [`forked`].
pub fn command() -> Command {
    Command::new(program())
}

/// Runs a dbt command without starting dbt, which takes most of its time. It has the variables of the command only.
pub fn forked(command: &Command) -> Ran {
    struct Shared {
        server: ForkServer,
        runtime: Runtime,
        _scratch: TempDir,
    }
    static SHARED: LazyLock<Shared> = LazyLock::new(|| {
        let mut base = Command::new(program());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name != "PATH") {
            base.env_remove(name);
        }
        let (runtime, scratch) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let started = runtime.block_on(async { ForkServer::start(&program(), &base, scratch.path()) });
        Shared { server: started.unwrap(), runtime, _scratch: scratch }
    });
    SHARED.runtime.block_on(async {
        let mut session = SHARED.server.session().unwrap();
        let [mut out, mut err] = session.start(command).await.unwrap();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let (read, also) = tokio::join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr));
        read.and(also).unwrap();
        Ran { code: Some(session.code().await.unwrap()), stdout, stderr }
    })
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/dbt")
}

/// dbt on the project, started with Python modules of this folder.
pub fn dbt_with_modules(project: &DbtProject, arguments: &[&str], modules: &Path) -> Ran {
    let mut started = command();
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
