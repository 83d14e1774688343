//! The address of a server, the login, and the parameters of connections to it.

use std::{collections::BTreeMap, fmt, fmt::Write as _, net::Ipv6Addr, path::Path, process::Command};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    address_error::{BadAddress, Given},
    conninfo::{Conninfo, variable_of, variables},
    libpq_files::{self, Login, in_home},
    parameters::{Refused, follow, tls_versions},
};
use crate::model::Secret;

/// libpq's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SslMode {
    Disable,
    /// Only if the server rejects connections without TLS.
    Allow,
    /// If the server supports it.
    #[default]
    Prefer,
    /// Always, without verifying the server.
    Require,
    /// Always, with a certificate that a trusted authority signed.
    VerifyCa,
    /// The same, and the certificate must be for the host name.
    VerifyFull,
}

impl SslMode {
    const ALL: [(&'static str, Self); 6] = [
        ("disable", Self::Disable),
        ("allow", Self::Allow),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    /// Reads libpq's word for it.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, mode)| *mode)
    }

    /// libpq's word for it.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, mode)| *mode == self).map_or("prefer", |(word, _)| word)
    }
}

/// Everything that a connection needs. `Display` has no secrets: `host:port/database`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name, an address, or the directory of a Unix socket.
    pub host: String,
    /// The TCP port, also part of the socket's name.
    pub port: u16,
    /// Further hosts and their ports, tried in this order if the first cannot be reached.
    pub others: Vec<(String, u16)>,
    pub user: String,
    /// Its password, on the first host that has one; empty when there is none.
    pub password: Secret,
    /// The password file's password for each host, where no other is given.
    pub saved_passwords: Vec<Secret>,
    /// Further texts that no output shows: dbt's secret variables, which may name the host or the database.
    pub secrets: Vec<Secret>,
    pub database: String,
    pub sslmode: SslMode,
    /// A file with the trusted authorities, or `system` for those of the system.
    pub sslrootcert: Option<String>,
    /// The role to set after the login, as SQL: dbt's `role`.
    pub role: Option<String>,
    /// How often to retry connecting: dbt's `retries`.
    pub retries: u32,
    /// libpq's other parameters, by its names for them.
    pub parameters: BTreeMap<&'static str, String>,
    /// The dbt target of this endpoint and what chose it, as `prod (from DBT_TARGET)`.
    pub dbt_target: Option<String>,
}

/// The supported parameters.
const FOLLOWED: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "sslsni",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Parameters without effect on this program: its encoding, and those of unsupported login methods.
const WITHOUT_EFFECT: [&str; 6] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "sslcompression",
];

/// Other parameters, with the values that match how this program connects.
const FULFILLED: [(&str, &[&str]); 6] = [
    ("gssencmode", &["disable", "prefer"]),
    ("max_protocol_version", &["3.0", "3.2", "latest"]),
    ("min_protocol_version", &["3.0"]),
    ("replication", &["false", "off", "no", "0"]),
    ("sslcertmode", &["allow"]),
    ("service", &[]),
];

impl Endpoint {
    /// Reads a URL or a `key=value` string, with libpq's defaults for the rest. Files of the user have no effect.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let homeless = BTreeMap::from([("HOME".to_owned(), "/dev/null".to_owned())]);
        Self::resolve(Conninfo::parse(text, "the database URL")?, &homeless)
    }

    /// Completes connection parameters from these environment variables and the files that they name, as libpq does.
    pub fn resolve(mut conninfo: Conninfo, variables: &BTreeMap<String, String>) -> Result<Self, BadAddress> {
        conninfo.complete(variables)?;
        let user = match conninfo.take("user") {
            Some(user) => user.value,
            None => own_name()?,
        };
        let database = conninfo.take("dbname").map_or_else(|| user.clone(), |given| given.value);
        let has_name = conninfo.has("host") || !conninfo.has("hostaddr");
        let mut hosts = hosts(&mut conninfo)?.into_iter();
        let (host, port) = hosts.next().unwrap_or_default();
        let mut endpoint = Self { host, port, others: hosts.collect(), user, database, ..Self::default() };
        let passfile = conninfo.take("passfile").map(|given| given.value);
        if let Some(password) = conninfo.take("password") {
            endpoint.password = Secret::new(password.value);
        } else {
            let saved = endpoint.read_passwords(passfile.as_deref(), variables);
            if let Some(first) = saved.iter().find(|password| !password.reveal().is_empty()) {
                endpoint.password = first.clone();
                endpoint.saved_passwords = saved;
            }
        }
        endpoint.take_tls(&mut conninfo, variables)?;
        if endpoint.sslmode == SslMode::VerifyFull && !has_name {
            return Err(BadAddress::NoHostName);
        }
        for (name, given) in conninfo.rest() {
            endpoint.take_parameter(name, given)?;
        }
        // Without a host name the address is the host.
        if endpoint.parameters.get("hostaddr") == Some(&endpoint.host) {
            endpoint.parameters.remove("hostaddr");
        }
        Ok(endpoint)
    }

    /// Each host's password in the password file, empty when there is none.
    fn read_passwords(&self, passfile: Option<&str>, variables: &BTreeMap<String, String>) -> Vec<Secret> {
        let password = |(host, port)| {
            let host = if default_sockets().contains(&host) { "localhost" } else { host };
            let login = Login { host, port, database: &self.database, user: &self.user };
            Secret::new(libpq_files::password(passfile, variables, &login).unwrap_or_default())
        };
        self.hosts().map(password).collect()
    }

    /// The password for the host at this place among all.
    pub(super) fn password_of(&self, index: usize) -> &Secret {
        self.saved_passwords.get(index).unwrap_or(&self.password)
    }

    fn take_tls(
        &mut self,
        conninfo: &mut Conninfo,
        variables: &BTreeMap<String, String>,
    ) -> Result<(), BadAddress> {
        let root = conninfo.take("sslrootcert").map(|given| given.value);
        let from_system = root.as_deref() == Some("system");
        self.sslmode = match conninfo.take("sslmode") {
            Some(given) => SslMode::parse(&given.value).ok_or_else(|| {
                given.wrong("sslmode", "expected disable, allow, prefer, require, verify-ca or verify-full")
            })?,
            None if from_system => SslMode::VerifyFull,
            None => SslMode::default(),
        };
        if from_system && self.sslmode != SslMode::VerifyFull {
            return Err(BadAddress::WeakMode { sslmode: self.sslmode.word() });
        }
        let encrypts = !matches!(self.sslmode, SslMode::Disable | SslMode::Allow | SslMode::Prefer);
        if !encrypts && conninfo.is("sslnegotiation", "direct") {
            return Err(BadAddress::NoDirectTls { sslmode: self.sslmode.word() });
        }
        let in_home = |file: &str| {
            in_home(variables, file).filter(|file| file.is_file()).map(|file| file.display().to_string())
        };
        self.sslrootcert = root.or_else(|| in_home(".postgresql/root.crt"));
        let verifies = matches!(self.sslmode, SslMode::VerifyCa | SslMode::VerifyFull);
        // A socket has no TLS.
        let has_network = self.hosts().any(|(host, _)| !host.starts_with('/'));
        if verifies && has_network && self.sslrootcert.is_none() {
            return Err(BadAddress::NoRootCertificate { sslmode: self.sslmode.word() });
        }
        let asks_who = verifies || self.sslmode == SslMode::Require && self.sslrootcert.is_some();
        let revoked = in_home(".postgresql/root.crl").filter(|_| asks_who);
        if let Some(file) = revoked.filter(|_| !conninfo.has("sslcrl") && !conninfo.has("sslcrldir")) {
            // libpq reads it; that this program does not is an error, and the error names it.
            conninfo.set("sslcrl", file, "the home directory")?;
        }
        for (name, file) in
            [("sslcert", ".postgresql/postgresql.crt"), ("sslkey", ".postgresql/postgresql.key")]
        {
            if !conninfo.has(name)
                && let Some(file) = in_home(file)
            {
                conninfo.set(name, file, "the home directory")?;
            }
        }
        Ok(())
    }

    fn take_parameter(&mut self, name: &'static str, given: Given) -> Result<(), BadAddress> {
        let is_fulfilled =
            |(known, values): &(&str, &[&str])| *known == name && values.contains(&given.value.as_str());
        if FOLLOWED.contains(&name) {
            let one_for_each_host = name == "hostaddr";
            for value in given.value.split(|character| one_for_each_host && character == ',') {
                follow(&mut tokio_postgres::Config::new(), name, value).map_err(|refused| match refused {
                    Refused::Wrong(expected) => given.wrong(name, expected),
                    Refused::Unsupported => given.unsupported(name),
                })?;
            }
            self.parameters.insert(name, given.value.clone());
            // The highest one comes first by its name.
            if name == "ssl_min_protocol_version" && tls_versions(&self.parameters).is_empty() {
                return Err(given.wrong(name, "expected one up to ssl_max_protocol_version"));
            }
        } else if !WITHOUT_EFFECT.contains(&name) && !FULFILLED.iter().any(is_fulfilled) {
            return Err(given.unsupported(name));
        }
        Ok(())
    }

    /// `text` with `***` in place of the password and of each other secret.
    pub fn mask(&self, text: &str) -> String {
        let secrets = self.secrets.iter().chain([&self.password]).chain(&self.saved_passwords);
        secrets.fold(text.to_owned(), |text, secret| secret.mask(&text))
    }

    /// Every host with its port, in the order in which they are tried.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, u16)> {
        std::iter::once((self.host.as_str(), self.port))
            .chain(self.others.iter().map(|(host, port)| (host.as_str(), *port)))
    }

    /// Makes libpq in a process connect to this server, whatever variables the user has set.
    pub fn set_environment(&self, command: &mut Command) {
        self.override_environment(command);
        command.envs(self.environment());
    }

    /// The same for a process that sets host, port, user, password and database itself: sets only the other variables
    /// of libpq.
    pub fn override_environment(&self, command: &mut Command) {
        for variable in variables().filter(|variable| !NAMED.contains(variable)) {
            command.env_remove(variable);
        }
        command.envs(self.environment().into_iter().filter(|(variable, _)| !NAMED.contains(variable)));
    }

    /// libpq's variables for this server.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host_list()),
            ("PGPORT", self.hosts().map(|(_, port)| port.to_string()).collect::<Vec<_>>().join(",")),
            ("PGUSER", self.user.clone()),
            ("PGPASSWORD", self.password.reveal().to_owned()),
            ("PGDATABASE", self.database.clone()),
            ("PGSSLMODE", self.sslmode.word().into()),
        ];
        variables.extend(self.sslrootcert.clone().map(|file| ("PGSSLROOTCERT", file)));
        let parameters = self.parameters.iter();
        variables.extend(parameters.filter_map(|(name, value)| Some((variable_of(name)?, value.clone()))));
        variables
    }

    /// The hosts in libpq's notation.
    pub fn host_list(&self) -> String {
        self.hosts().map(|(host, _)| host).collect::<Vec<_>>().join(",")
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The address as a URL with its password: for the environment of a child process, never for output.
    pub fn url(&self) -> Secret {
        let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        // The path of a socket is no host in a URL: then a parameter has all hosts.
        let has_socket = self.hosts().any(|(host, _)| host.starts_with('/'));
        let host = |(host, port): (&str, u16)| {
            if has_socket {
                return format!(":{port}");
            }
            // Brackets are only for addresses: other names may have colons, too.
            let is_address = host.parse::<Ipv6Addr>().is_ok();
            let host = if is_address { format!("[{host}]") } else { encoded(host) };
            format!("{host}:{port}")
        };
        let hosts: Vec<String> = self.hosts().map(host).collect();
        let host_list = self.host_list();
        let login = format!("{}:{}", encoded(&self.user), encoded(self.password.reveal()));
        let mut url = format!("postgresql://{login}@{}/{}", hosts.join(","), encoded(&self.database));
        let sslmode = (self.sslmode != SslMode::default()).then(|| ("sslmode", self.sslmode.word()));
        let root = self.sslrootcert.as_deref().map(|file| ("sslrootcert", file));
        let socket = has_socket.then_some(("host", host_list.as_str()));
        let parameters = self.parameters.iter().map(|(name, value)| (*name, value.as_str()));
        for (index, (name, value)) in
            socket.into_iter().chain(sslmode).chain(root).chain(parameters).enumerate()
        {
            let separator = if index == 0 { '?' } else { '&' };
            // Writing to a String cannot fail.
            let _ = write!(url, "{separator}{name}={}", encoded(value));
        }
        Secret::new(url)
    }
}

/// The variables that a dbt profile overrides; models may read them.
const NAMED: [&str; 5] = ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"];

/// Characters that are percent-encoded in a URL.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The default socket directories of Debian and of PostgreSQL.
fn default_sockets() -> [&'static str; 2] {
    ["/var/run/postgresql", "/tmp"]
}

fn default_host(port: u16) -> String {
    let has_socket = |dir: &&str| Path::new(dir).join(format!(".s.PGSQL.{port}")).exists();
    let sockets @ [ours, original] = default_sockets();
    let found = sockets.into_iter().find(has_socket);
    found.unwrap_or(if Path::new(ours).is_dir() { ours } else { original }).to_owned()
}

/// One port for each host, as libpq matches them.
fn hosts(conninfo: &mut Conninfo) -> Result<Vec<(String, u16)>, BadAddress> {
    let given = conninfo.take("host");
    let addresses = conninfo.take("hostaddr");
    let listed = |given: Option<&Given>| {
        given.map(|given| given.value.split(',').map(ToOwned::to_owned).collect::<Vec<_>>())
    };
    let hosts =
        listed(given.as_ref()).or_else(|| listed(addresses.as_ref())).unwrap_or_else(|| vec![String::new()]);
    if let (Some(_), Some(addresses)) = (&given, addresses) {
        if addresses.value.split(',').count() != hosts.len() {
            return Err(addresses.wrong("hostaddr", &format!("expected {}", hosts.len())));
        }
        conninfo.set("hostaddr", addresses.value, &addresses.by)?;
    }
    let port = conninfo.take("port");
    let ports = match &port {
        None => vec![5432],
        Some(given) => given
            .value
            .split(',')
            .map(|port| match port.trim() {
                "" => Some(5432),
                port => port.parse().ok().filter(|port| *port != 0),
            })
            .collect::<Option<Vec<u16>>>()
            .ok_or_else(|| given.wrong("port", "expected a number from 1 to 65535"))?,
    };
    if let Some(given) = port.filter(|_| ports.len() != 1 && ports.len() != hosts.len()) {
        return Err(given.wrong("port", &format!("expected one, or {}", hosts.len())));
    }
    let ports = ports.iter().cycle();
    let named =
        |(host, port): (String, &u16)| (if host.is_empty() { default_host(*port) } else { host }, *port);
    Ok(hosts.into_iter().zip(ports).map(named).collect())
}

/// The name of the operating system's user, libpq's default for the user.
fn own_name() -> Result<String, BadAddress> {
    let id = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    user.map(|user| user.name).ok_or(BadAddress::NoUser { id: id.as_raw() })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |(host, port): (&str, u16)| {
            let host = self.mask(host);
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        let hosts: Vec<String> = self.hosts().map(host).collect();
        write!(f, "{}/{}", hosts.join(","), self.mask(&self.database))
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
