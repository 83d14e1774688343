//! The server that the scenarios are played on: the one that `PGTRICKLE_CI_TEST_DSN` names, or one of our own with the
//! emulator, of the version that `PGTRICKLE_CI_TEST_ENGINE_VERSION` names.

use std::{fmt, path::PathBuf};

use pgtrickle_ci::{
    model::Version,
    pg::Endpoint,
    server::{EmulatorVersion, EngineChoice, Ephemeral, EphemeralSpec},
};
use tokio_postgres::NoTls;

/// What every scenario finds in its database.
const SHOP: &str = include_str!("shop.sql");

const TEMPLATE: &str = "conformance_template";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Emulator,
    PgTrickle,
}

pub struct Engine {
    pub kind: Kind,
    pub version: Version,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Kind::Emulator => "the emulator of pg_trickle",
            Kind::PgTrickle => "pg_trickle",
        };
        write!(f, "{name} {}", self.version)
    }
}

pub struct Server {
    endpoint: Endpoint,
    engine: Engine,
    _ephemeral: Option<Ephemeral>,
}

impl Server {
    pub async fn start() -> Self {
        let (endpoint, ephemeral) = if let Ok(dsn) = std::env::var("PGTRICKLE_CI_TEST_DSN") {
            (Endpoint::parse(&dsn).unwrap(), None)
        } else {
            let ephemeral = Ephemeral::start(&wanted()).await.unwrap();
            (ephemeral.endpoint().clone(), Some(ephemeral))
        };
        let version = "select default_version from pg_available_extensions where name = 'pg_trickle'";
        let version: String = client(&endpoint).await.query_one(version, &[]).await.unwrap().get(0);
        let kind = if version.ends_with("-emulator") { Kind::Emulator } else { Kind::PgTrickle };
        let engine = Engine { kind, version: Version::parse(&version).unwrap() };
        let server = Self { endpoint, engine, _ephemeral: ephemeral };
        if kind == Kind::Emulator {
            server.prepare(TEMPLATE).await;
            // The emulator's clock does not tick in templates.
            server.run(&format!("alter database {TEMPLATE} is_template true")).await;
        }
        server
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where the database of this name is.
    pub fn database(&self, name: &str) -> Endpoint {
        self.endpoint.with_database(name)
    }

    /// A database with the extension and the shop. The real extension's scheduler sits in each database that has it, so
    /// that none can be copied; with the emulator copying is several times as fast.
    pub async fn create(&self, database: &str) {
        match self.engine.kind {
            Kind::Emulator => self.run(&format!("create database {database} template {TEMPLATE}")).await,
            Kind::PgTrickle => self.prepare(database).await,
        }
    }

    async fn prepare(&self, database: &str) {
        self.run(&format!("create database {database}")).await;
        let client = client(&self.database(database)).await;
        client.batch_execute("create extension pg_trickle").await.unwrap();
        client.batch_execute(SHOP).await.unwrap();
    }

    /// Drops the database and the roles that bear its name. Forced: the real extension's scheduler stays connected.
    pub async fn drop(&self, database: &str) {
        let drop = format!("drop database {database} with (force)");
        if let Err(error) = client(&self.endpoint).await.batch_execute(&drop).await {
            println!("{database} is left behind: {error}");
            return;
        }
        let roles = "select rolname::text from pg_roles where starts_with(rolname, $1)";
        let prefix = format!("{database}_");
        for role in client(&self.endpoint).await.query(roles, &[&prefix]).await.unwrap() {
            self.run(&format!("drop role {}", role.get::<_, String>(0))).await;
        }
    }

    async fn run(&self, sql: &str) {
        client(&self.endpoint).await.batch_execute(sql).await.unwrap();
    }
}

/// A connection of our own, for what is no part of a scenario.
pub async fn client(endpoint: &Endpoint) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(endpoint.url().reveal(), NoTls).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// A server of the installation that the scripts set up.
fn wanted() -> EphemeralSpec {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv");
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
        python_envs: [Some(own), active].into_iter().flatten().collect(),
        temp_dir: std::env::temp_dir(),
    }
}
