//! The user's dbt, which starts before its target is known.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{
    Error, Shell, child,
    dotenv::{DISABLED, Dotenv},
    fork_server::{ForkServer, Session},
    program,
};

/// The program with the variables of every command, and the process that runs the commands.
pub struct Started {
    // Dropped first: commands write into the folder.
    server: Mutex<Option<ForkServer>>,
    program: PathBuf,
    /// The variables of its `.env`.
    dotenv: BTreeMap<String, String>,
    /// Holds the folders of commands.
    scratch: TempDir,
}

impl Started {
    /// Finds dbt on the PATH, and starts it if it is a Python script.
    pub fn new(shell: Shell) -> Result<Self, Error> {
        let start = |source| Error::Start { source };
        let program = std::path::absolute(program(&shell.path).ok_or(Error::NotInstalled)?).map_err(start)?;
        let scratch = tempfile::Builder::new().prefix("pgtrickle-ci-dbt-").tempdir().map_err(start)?;
        let started = Self { server: Mutex::new(None), program, dotenv: shell.dotenv, scratch };
        let server = ForkServer::start(&started.program, &started.command(), started.scratch.path());
        Ok(Self { server: Mutex::new(server), ..started })
    }

    /// A folder for the files of one project.
    pub(super) fn folder(&self) -> Result<TempDir, Error> {
        tempfile::tempdir_in(self.scratch.path()).map_err(|source| Error::Start { source })
    }

    /// A session for the commands of one project; `None` if each command is a process of its own.
    pub(super) async fn session(&self) -> Option<Session> {
        self.server.lock().await.as_ref()?.session().ok()
    }

    /// Why there are no sessions any more.
    pub(super) async fn complaint(&self) -> Option<String> {
        self.server.lock().await.as_mut()?.complaint()
    }

    /// Interrupts the commands of all sessions, waits for their end, and removes the folder.
    pub(super) async fn end(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.end().await;
        }
    }

    /// The command under a guard, as a process of its own.
    pub(super) fn guarded(&self, command: &Command) -> tokio::process::Command {
        child::guarded(command, self.scratch.path())
    }

    /// dbt without arguments, and with the variables that do not depend on the target.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // dbt must not read its `.env`, which would set removed variables again.
        command.env(DISABLED, "true").envs(&self.dotenv);
        // dbt 2 has no switch, and reads the file of its working directory.
        if !self.dotenv.is_empty() && Dotenv::of(&self.program) == Dotenv::Here {
            command.current_dir(self.scratch.path());
        }
        for name in REMOVED.into_iter().flat_map(names_of) {
            command.env_remove(name);
        }
        for (setting, value) in OVERRIDDEN {
            set(&mut command, setting, value);
        }
        command
    }
}

/// Sets a setting of dbt.
pub(super) fn set(command: &mut Command, setting: &str, value: impl AsRef<Path>) {
    for name in names_of(setting) {
        command.env(name, value.as_ref());
    }
}

/// Both names of a setting's variable: dbt 1.11 reads `DBT_ENGINE_STATE` and `DBT_STATE`.
fn names_of(setting: &str) -> [String; 2] {
    [format!("DBT_ENGINE_{setting}"), format!("DBT_{setting}")]
}

/// Settings of dbt that override the environment and the project's `flags`: this program reads dbt's artifacts, its output
/// and its log file, models may query the server while they compile, and no data may be sent elsewhere.
const OVERRIDDEN: [(&str, &str); 9] = [
    ("WRITE_JSON", "true"),
    ("INTROSPECT", "true"),
    // Less than errors also hides what `dbt ls` lists.
    ("LOG_LEVEL", "info"),
    ("LOG_FORMAT", "text"),
    ("LOG_FORMAT_FILE", "json"),
    ("LOG_LEVEL_FILE", "info"),
    ("USE_COLORS", "false"),
    ("SEND_ANONYMOUS_USAGE_STATS", "false"),
    ("UPLOAD_TO_ARTIFACTS_INGEST_API", "false"),
];

/// Settings that dbt must not get: they choose nodes and rows, defer to other relations, or replay a recording.
const REMOVED: [&str; 15] = [
    "ARTIFACT_STATE_PATH",
    "DEFER",
    "DEFER_STATE",
    "DEFER_TO_STATE",
    "EMPTY",
    "EXCLUDE_RESOURCE_TYPES",
    "FAVOR_STATE",
    "FAVOR_STATE_MODE",
    "PARTIAL_PARSE_FILE_PATH",
    "RECORDER_FILE_PATH",
    "RECORDER_MODE",
    "RECORDER_TYPES",
    "RESOURCE_TYPES",
    "SAMPLE",
    "STATE",
];
