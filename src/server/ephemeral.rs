//! The life of an ephemeral server: initdb, postgres, CREATE EXTENSION, stop.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tokio::net::TcpSocket;

use super::{
    EngineChoice, EphemeralSpec, Error,
    account::Account,
    container,
    emulator::{self, EmulatorVersion},
    find::{self, Installation},
    guardian::{Folder, GuardedProcess},
    relocate,
    scheduler::{self, Scheduler},
    session,
};
use crate::{
    model::Secret,
    pg::{Endpoint, SslMode},
};

/// The superuser inside the server.
const USER: &str = "postgres";

/// The database with the extension. Using initdb's own saves a good part of a second.
const DATABASE: &str = "postgres";

/// The application name of this program's connections.
const APPLICATION_NAME: &str = "pgtrickle-ci";

/// The limit for the first answer, on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The interval between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// The limit for one attempt.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Settings for a server whose data may be lost. `pgtrickle_ci.ephemeral` allows `verify` to commit. Dynamic shared
/// memory is in the server's folder: it is removed with it, and a container's small `/dev/shm` is not a limit.
const THROWAWAY: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 32MB
dynamic_shared_memory_type = mmap
fsync = off
synchronous_commit = off
full_page_writes = off
wal_init_zero = off
track_commit_timestamp = on
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
pgtrickle_ci.ephemeral = on
";

/// Settings that the real `pg_trickle` requires. With the last two it loses no changes (docs/pg_trickle.md, "Settings that
/// lose changes").
const WITH_THE_REAL_EXTENSION: &str = "\
shared_preload_libraries = 'pg_trickle'
wal_level = logical
max_worker_processes = 32
pg_trickle.cleanup_use_truncate = off
pg_trickle.compact_threshold = 0
";

/// A PostgreSQL with `pg_trickle` that runs until this value is dropped or this process ends.
// Fields are dropped in this order.
#[derive(Debug)]
pub struct Ephemeral {
    _scheduler: Option<Scheduler>,
    _server: GuardedProcess,
    _folder: Folder,
    endpoint: Endpoint,
    /// `None` for a container on a machine without an installation.
    installation: Option<Installation>,
}

impl Ephemeral {
    /// Starts a server, waits until it answers, and creates the extension.
    ///
    /// # Errors
    /// No suitable installation, or a failure with the last lines of its log.
    pub async fn start(wanted: &EphemeralSpec) -> Result<Self, Error> {
        match &wanted.image {
            Some(_) if wanted.engine == EngineChoice::Emulator => Err(Error::ImageOrEmulator),
            Some(_) if wanted.emulated_version.is_some() => Err(Error::VersionOfTheRealExtension),
            Some(image) => Self::from_image(image, wanted).await,
            None => Self::start_at(Reservation::new()?, wanted).await,
        }
    }

    async fn from_image(image: &str, wanted: &EphemeralSpec) -> Result<Self, Error> {
        let folder = Folder::create(&wanted.temp_dir, &Account::Ourselves)?;
        let password = random_password()?;
        let (mut server, port) = container::start(image, &password, &folder).await?;
        let endpoint = Endpoint { port, ..endpoint(password) };
        let answered = first_answer(&mut server, &endpoint).await;
        if let Err(Error::Failed { log, .. }) = answered {
            return Err(Error::Container { image: image.to_owned(), log });
        }
        answered?;
        create_extension(&endpoint, false).await?;
        set_up_container(&endpoint).await?;
        let installation = find::find(&EphemeralSpec { engine: EngineChoice::Auto, ..wanted.clone() }).ok();
        Ok(Self { _scheduler: None, _server: server, _folder: folder, endpoint, installation })
    }

    /// As [`Ephemeral::start`], from an installation, at an address that was reserved for it.
    ///
    /// # Errors
    /// As [`Ephemeral::start`].
    pub async fn start_at(reservation: Reservation, wanted: &EphemeralSpec) -> Result<Self, Error> {
        let installation = find::find(wanted)?;
        let emulated = wanted.engine == EngineChoice::Emulator || !installation.has_pg_trickle;
        if !emulated && wanted.emulated_version.is_some() {
            return Err(Error::VersionOfTheRealExtension);
        }
        let site = ServerLocation::prepare(&installation, &wanted.temp_dir)?;
        site.initdb(&reservation.endpoint.password).await?;
        let settings = site.write_settings(emulated.then(|| wanted.emulated_version.unwrap_or_default()))?;
        let (server, endpoint) = site.start_server(&settings, reservation).await?;
        create_extension(&endpoint, emulated).await?;
        let scheduler = emulated.then(|| Scheduler::start(endpoint.clone()));
        Ok(Self {
            _scheduler: scheduler,
            _server: server,
            _folder: site.folder,
            endpoint,
            installation: Some(installation),
        })
    }

    /// The server's address, with its generated password.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A program of the installation, run as the current user. With a container, it is the installation on this
    /// machine.
    ///
    /// # Errors
    /// There is no installation, or it lacks the program.
    pub fn program(&self, name: &'static str) -> Result<Command, Error> {
        let folder = &self.installation()?.bin;
        let program = folder.join(name);
        if !program.is_file() {
            return Err(Error::NoProgram { folder: folder.clone(), program: name });
        }
        let mut command = Command::new(program);
        // A moved installation may not find its own libraries.
        command.env("LC_ALL", "C").env("LD_LIBRARY_PATH", folder.parent().unwrap_or(folder).join("lib"));
        Ok(command)
    }

    /// The version of these programs.
    ///
    /// # Errors
    /// There is no installation.
    pub fn version(&self) -> Result<&str, Error> {
        Ok(&self.installation()?.version)
    }

    fn installation(&self) -> Result<&Installation, Error> {
        self.installation.as_ref().ok_or(Error::NoPrograms)
    }

    /// Stops the server and removes its files, as dropping does, but without blocking the runtime.
    pub async fn stop(self) {
        // It only fails on a panic; then the guardian cleans up when the process ends.
        tokio::task::spawn_blocking(move || drop(self)).await.ok();
    }
}

/// Where a server runs: the account, the folder and the programs.
struct ServerLocation {
    account: Account,
    folder: Folder,
    bin: PathBuf,
    data: PathBuf,
}

impl ServerLocation {
    fn prepare(installation: &Installation, temp_dir: &Path) -> Result<Self, Error> {
        let account = Account::choose()?;
        let folder = Folder::create(temp_dir, &account)?;
        let bin = fs::canonicalize(&installation.bin).map_err(Error::io("find", &installation.bin))?;
        let bin = match account.first_closed_folder(&bin)? {
            None => bin,
            Some(_) => relocate::copy(&bin, folder.path())?,
        };
        let data = folder.private_folder("data", &account)?;
        Ok(Self { account, folder, bin, data })
    }

    /// A program of the installation, without this process's environment.
    fn program(&self, name: &'static str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        // A moved installation may not find its own libraries.
        let libraries = self.bin.parent().unwrap_or(&self.bin).join("lib");
        command.env("LC_ALL", "C").env("TZ", "UTC").env("LD_LIBRARY_PATH", libraries);
        command
    }

    async fn initdb(&self, password: &Secret) -> Result<(), Error> {
        let password = self.folder.private_file("password", password.reveal(), &self.account)?;
        let mut initdb = self.program("initdb");
        initdb
            .args(["--username", USER, "--auth", "scram-sha-256", "--pwfile"])
            .arg(password)
            // The only locale that is the same on all systems.
            .args(["--encoding", "UTF8", "--locale", "C"])
            .args(["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"])
            // The password is random and long: more iterations would only make logins slower.
            .args(["--set", "scram_iterations=1"])
            .args(["--no-sync", "--no-instructions", "--pgdata"])
            .arg(&self.data);
        let mut running = self.folder.keep(&initdb, &self.account, &self.log_of("initdb"))?;
        if running.end().await.success() {
            Ok(())
        } else {
            Err(Error::Failed { program: "initdb", log: running.log_tail() })
        }
    }

    /// Writes the settings outside of the data folder.
    fn write_settings(&self, emulated: Option<EmulatorVersion>) -> Result<PathBuf, Error> {
        let from_initdb = self.data.join("postgresql.conf");
        let mut text = format!("include {}\n{THROWAWAY}", quoted(&from_initdb.to_string_lossy()));
        if let Some(version) = emulated {
            let extensions = emulator::write_into(self.folder.path(), version)?;
            let path = quoted(&format!("{}:$system", extensions.display()));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "extension_control_path = {path}");
        } else {
            text.push_str(WITH_THE_REAL_EXTENSION);
        }
        self.folder.private_file("postgresql.conf", &text, &self.account)
    }

    async fn start_server(
        &self,
        settings: &Path,
        Reservation { endpoint, port }: Reservation,
    ) -> Result<(GuardedProcess, Endpoint), Error> {
        // Elsewhere postgres cannot bind a port that is bound.
        let _port = cfg!(target_os = "linux").then_some(port);
        let mut server = self.launch(settings, endpoint.port)?;
        first_answer(&mut server, &endpoint).await?;
        Ok((server, endpoint))
    }

    fn launch(&self, settings: &Path, port: u16) -> Result<GuardedProcess, Error> {
        let mut postgres = self.program("postgres");
        postgres.arg("-D").arg(&self.data).args(["-p", &port.to_string()]);
        postgres.arg("-c").arg(format!("config_file={}", settings.display()));
        self.folder.keep(&postgres, &self.account, &self.log_of("postgres"))
    }

    fn log_of(&self, program: &str) -> PathBuf {
        self.folder.path().join(format!("{program}.log"))
    }
}

/// The address of a server that does not run yet.
#[derive(Debug)]
pub struct Reservation {
    endpoint: Endpoint,
    /// Bound to the port, so that the system gives it to no other program. As it does not listen, a server can bind the
    /// port on Linux, too.
    port: TcpSocket,
}

impl Reservation {
    /// A free port and a new password.
    ///
    /// # Errors
    /// There is none.
    pub fn new() -> Result<Self, Error> {
        let (port, number) = free_port().map_err(Error::io("find a free port on", Path::new("127.0.0.1")))?;
        Ok(Self { endpoint: Endpoint { port: number, ..endpoint(random_password()?) }, port })
    }

    /// The future server's address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

fn free_port() -> io::Result<(TcpSocket, u16)> {
    let port = TcpSocket::new_v4()?;
    port.set_reuseaddr(true)?;
    port.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let number = port.local_addr()?.port();
    Ok((port, number))
}

/// The server's address, without its port.
fn endpoint(password: Secret) -> Endpoint {
    Endpoint {
        host: Ipv4Addr::LOCALHOST.to_string(),
        port: 0,
        user: USER.into(),
        password,
        database: DATABASE.into(),
        sslmode: SslMode::Disable,
        ..Endpoint::default()
    }
}

/// Waits until the server accepts a login. The password is unique, so it cannot be another server.
async fn first_answer(server: &mut GuardedProcess, endpoint: &Endpoint) -> Result<(), Error> {
    let begin = Instant::now();
    while begin.elapsed() < TIMEOUT {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, session::open(endpoint, APPLICATION_NAME)).await;
        if matches!(answer, Ok(Ok(_))) {
            return Ok(());
        }
        if server.exit_status().is_some() {
            return Err(Error::Failed { program: "postgres", log: server.log_tail() });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::Silent { seconds: TIMEOUT.as_secs(), log: server.log_tail() })
}

async fn create_extension(endpoint: &Endpoint, emulated: bool) -> Result<(), Error> {
    let doing = "creating the extension";
    let refused = |error| Error::Refused { doing, reason: session::reason(&error) };
    let client = session::open(endpoint, APPLICATION_NAME).await.map_err(refused)?;
    // An image may contain the extension already.
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_trickle").await.map_err(refused)?;
    if emulated {
        // The first status query must see a running scheduler.
        client.batch_execute(scheduler::TICK).await.map_err(refused)?;
    }
    Ok(())
}

/// For a container, which has its own settings file.
async fn set_up_container(endpoint: &Endpoint) -> Result<(), Error> {
    let refused = |error| Error::Refused { doing: "setting up the server", reason: session::reason(&error) };
    let client = session::open(endpoint, APPLICATION_NAME).await.map_err(refused)?;
    for setting in [
        "pgtrickle_ci.ephemeral = on",
        "pg_trickle.cleanup_use_truncate = off",
        "pg_trickle.compact_threshold = 0",
    ] {
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.map_err(refused)?;
    }
    client.batch_execute("SELECT pg_reload_conf()").await.map_err(refused)
}

fn random_password() -> Result<Secret, Error> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = |mut file: File| -> io::Result<()> { file.read_exact(&mut bytes) };
    File::open(source).and_then(read).map_err(Error::io("read", source))?;
    Ok(Secret::new(format!("{:032x}", u128::from_ne_bytes(bytes))))
}

/// Quotes a value for postgresql.conf.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::TcpListener};

    use super::*;

    #[test]
    fn values_in_the_settings_are_quoted() {
        assert_eq!(quoted(r"/tmp/o'brien\x"), r"'/tmp/o''brien\\x'");
    }

    #[test]
    fn passwords_are_long_and_unique() {
        let (one, other) = (random_password().unwrap(), random_password().unwrap());
        assert_eq!(one.reveal().len(), 32);
        assert_ne!(one.reveal(), other.reveal());
    }

    #[tokio::test]
    async fn no_two_reservations_have_the_same_port_and_a_server_can_listen_on_it() {
        let reservations: Vec<_> = (0..100).map(|_| Reservation::new().unwrap()).collect();
        let ports: BTreeSet<_> = reservations.iter().map(|one| one.endpoint().port).collect();
        assert_eq!(ports.len(), reservations.len());
        // The standard library reuses addresses, as postgres does.
        if cfg!(target_os = "linux") {
            TcpListener::bind((Ipv4Addr::LOCALHOST, reservations[0].endpoint().port)).unwrap();
        }
    }
}
