//! A database for one test, which is dropped if the test passes and kept if it fails.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pgtrickle_ci::{
    pg::Endpoint,
    server::{EmulatorVersion, EngineChoice, Ephemeral, EphemeralSpec},
};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage, error::SqlState};

use super::venv;

/// One server for all tests of this process; it ends with the process.
struct Server {
    endpoint: Endpoint,
    runtime: Runtime,
    _ephemeral: Option<Ephemeral>,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (endpoint, ephemeral) = if let Ok(dsn) = std::env::var("PGTRICKLE_CI_TEST_DSN") {
            (Endpoint::parse(&dsn).unwrap(), None)
        } else {
            let ephemeral = runtime.block_on(Ephemeral::start(&wanted(&std::env::temp_dir()))).unwrap();
            (ephemeral.endpoint().clone(), Some(ephemeral))
        };
        Server { endpoint, runtime, _ephemeral: ephemeral }
    })
}

/// A server of the scripts' installation.
pub fn wanted(temp_dir: &Path) -> EphemeralSpec {
    let active = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    EphemeralSpec {
        engine: EngineChoice::Emulator,
        emulated_version: std::env::var("PGTRICKLE_CI_TEST_ENGINE_VERSION").ok().map(
            |version| match &*version {
                "0.67.0" => EmulatorVersion::V0_67_0,
                "0.108.3" => EmulatorVersion::V0_108_3,
                other => panic!("PGTRICKLE_CI_TEST_ENGINE_VERSION is {other}"),
            },
        ),
        pg_bin: None,
        image: None,
        python_envs: [Some(venv()), active].into_iter().flatten().collect(),
        temp_dir: temp_dir.to_owned(),
    }
}

/// A database with the extension.
pub struct Database {
    pub endpoint: Endpoint,
    client: Client,
    /// Whether the database is dropped with this value.
    is_own: bool,
}

impl Database {
    /// A new database with the extension.
    pub fn new() -> Self {
        let database = Self::without_extension();
        database.run("create extension pg_trickle");
        database
    }

    /// A new database with the emulator of a newer version; `None` on a server without it.
    pub fn newer() -> Option<Self> {
        let database = Self::without_extension();
        let version = "0.108.3-emulator";
        let there =
            format!("select count(*) > 0 from pg_available_extension_versions where version = '{version}'");
        if database.value(&there).as_deref() != Some("t") {
            return None;
        }
        database.run(&format!("create extension pg_trickle version '{version}'"));
        Some(database)
    }

    /// A new database without it.
    pub fn without_extension() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = server();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pgtrickle_ci_test_{}_{number}", std::process::id());
        let maintenance = server.runtime.block_on(connect(&server.endpoint));
        server.runtime.block_on(maintenance.batch_execute(&format!("create database {name}"))).unwrap();
        // Its defaults lose changes (docs/pg_trickle.md, "Settings that lose changes").
        let settings = format!(
            "alter database {name} set pg_trickle.cleanup_use_truncate = 'off';
             alter database {name} set pg_trickle.compact_threshold = 0"
        );
        server.runtime.block_on(maintenance.batch_execute(&settings)).unwrap();
        let endpoint = server.endpoint.with_database(&name);
        let client = server.runtime.block_on(connect(&endpoint));
        Self { endpoint, client, is_own: true }
    }

    /// A database in which `verify` commits, even on a named server.
    pub fn ephemeral() -> Self {
        let database = Self::new();
        database
            .run(&format!("alter database {} set pgtrickle_ci.ephemeral = on", database.endpoint.database));
        database
    }

    /// Another connection to one.
    pub fn connect(endpoint: &Endpoint) -> Self {
        let client = server().runtime.block_on(connect(endpoint));
        Self { endpoint: endpoint.clone(), client, is_own: false }
    }

    /// Its address for the binary.
    pub fn url(&self) -> String {
        self.endpoint.url().reveal().to_owned()
    }

    /// Runs statements.
    #[track_caller]
    pub fn run(&self, sql: &str) {
        server().runtime.block_on(self.client.batch_execute(sql)).unwrap_or_else(|error| {
            panic!(
                "{sql}\n{}",
                error
                    .as_db_error()
                    .map_or_else(|| error.to_string(), |e| format!("{} {}", e.code().code(), e.message()))
            )
        });
    }

    /// The first column of the first row, as text.
    #[track_caller]
    pub fn value(&self, sql: &str) -> Option<String> {
        let rows = server().runtime.block_on(self.client.simple_query(sql)).unwrap();
        rows.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            Some(row.get(0).map(ToOwned::to_owned))
        })?
    }

    /// Whether the engine is the emulator.
    pub fn is_emulator(&self) -> bool {
        let sql = "select extversion like '%-emulator' from pg_extension where extname = 'pg_trickle'";
        self.value(sql).as_deref() == Some("t")
    }

    /// Waits until a query says `t`.
    #[track_caller]
    pub fn wait_for(&self, sql: &str) {
        let started = std::time::Instant::now();
        while self.value(sql).as_deref() != Some("t") {
            assert!(started.elapsed().as_secs() < 180, "never came true: {sql}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

/// The catalog of Citus, with these statements after it.
pub fn citus(then: &str) -> String {
    format!(
        r#"set allow_system_table_mods = on;
         create table pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", colocationid int, repmodel "char");
         {then}"#
    )
}

impl Drop for Database {
    fn drop(&mut self) {
        if std::thread::panicking() || !self.is_own {
            return;
        }
        let server = server();
        let name = self.endpoint.database.clone();
        server.runtime.block_on(async {
            let maintenance = connect(&server.endpoint).await;
            // Forced: the scheduler of the real extension stays connected. If it captures from the WAL, its use of a
            // slot can make the first attempts fail.
            let drop = format!("drop database {name} with (force)");
            let mut dropped = maintenance.batch_execute(&drop).await;
            for _ in 0..50 {
                if !matches!(dropped.as_ref().map_err(Error::code), Err(Some(&SqlState::OBJECT_IN_USE))) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                dropped = maintenance.batch_execute(&drop).await;
            }
            dropped.unwrap();
        });
    }
}

async fn connect(endpoint: &Endpoint) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host(&endpoint.host).port(endpoint.port).user(&endpoint.user).dbname(&endpoint.database);
    config.password(endpoint.password.reveal());
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}
