//! Where a server is and who we are there.

use std::fmt;

use crate::model::Secret;

/// How much TLS a connection asks for; the words are libpq's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server offers it.
    #[default]
    Prefer,
    /// Always, whoever the server is.
    Require,
    /// Always, with a certificate that a known authority signed.
    VerifyCa,
    /// The same, for the very name that was asked for.
    VerifyFull,
}

impl SslMode {
    /// Reads libpq's word for it.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" | "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }

    /// libpq's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// Variables that would lead libpq away from a server, or ask of it what it does not have.
pub const MISLEADING: [&str; 6] =
    ["PGHOSTADDR", "PGSERVICE", "PGOPTIONS", "PGCHANNELBINDING", "PGREQUIREAUTH", "PGTARGETSESSIONATTRS"];

/// Everything that a connection needs. `Display` is what may be printed: `host:port/database`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name, an address, or the directory of a Unix socket.
    pub host: String,
    /// The TCP port, also part of the socket's name.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// Its password; empty when there is none.
    pub password: Secret,
    /// The database.
    pub database: String,
    /// How much TLS.
    pub sslmode: SslMode,
    /// A file with the authorities to trust, instead of the system's.
    pub sslrootcert: Option<String>,
}

impl Endpoint {
    /// How libpq finds it, in a child process's environment; beside it no [`MISLEADING`] variable may be set.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGPASSWORD", self.password.reveal().to_owned()),
            ("PGDATABASE", self.database.clone()),
            ("PGSSLMODE", self.sslmode.word().into()),
        ];
        // libpq takes the system's authorities for this mode alone, and only when it is told to.
        let verifies = self.sslmode == SslMode::VerifyFull;
        let authorities = self.sslrootcert.clone().or_else(|| verifies.then(|| "system".into()));
        variables.extend(authorities.map(|file| ("PGSSLROOTCERT", file)));
        variables
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The whole address as a URL, password and all: for a child process's environment, never for print.
    pub fn url(&self) -> Secret {
        let mut url = url::Url::parse("postgresql://localhost").expect("a constant URL parses");
        // These setters refuse only on URLs that cannot have the part; this one can have all.
        // They leave a `%` as it is, for it may already be the beginning of an escape.
        let _ = url.set_username(&self.user.replace('%', "%25"));
        let _ = url.set_password(Some(&self.password.reveal().replace('%', "%25")));
        let _ = url.set_port(Some(self.port));
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().push(&self.database);
        }
        if self.host.starts_with('/') {
            url.query_pairs_mut().append_pair("host", &self.host);
        } else {
            let _ = url.set_host(Some(&self.host));
        }
        Secret::new(url)
    }
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It is no URL of a PostgreSQL server.
    #[error("the database URL is no `postgresql://user:password@host:port/database`: {0}")]
    Shape(String),
    /// Its sslmode is none of libpq's words.
    #[error("the database URL has the unknown sslmode `{0}`")]
    SslMode(String),
    /// It has a parameter that is not understood here.
    #[error("the database URL has the parameter `{0}`, which is not supported")]
    Parameter(String),
}

impl Endpoint {
    /// Reads `postgresql://user:password@host:port/database?sslmode=…`. The text itself is in no error: it has a
    /// password.
    pub fn parse(url: &str) -> Result<Self, BadUrl> {
        let url = url::Url::parse(url).map_err(|error| BadUrl::Shape(error.to_string()))?;
        if !["postgresql", "postgres"].contains(&url.scheme()) {
            return Err(BadUrl::Shape(format!("the scheme is `{}`", url.scheme())));
        }
        let decoded = |text: &str| percent_decoded(text);
        let user = Some(decoded(url.username()))
            .filter(|user| !user.is_empty())
            .unwrap_or_else(|| "postgres".into());
        let database = decoded(url.path().strip_prefix('/').unwrap_or_default());
        let mut endpoint = Self {
            host: url.host_str().filter(|host| !host.is_empty()).map_or_else(|| "localhost".into(), decoded),
            port: url.port().unwrap_or(5432),
            password: Secret::new(decoded(url.password().unwrap_or_default())),
            database: if database.is_empty() { user.clone() } else { database },
            user,
            sslmode: SslMode::default(),
            sslrootcert: None,
        };
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "sslmode" => {
                    endpoint.sslmode =
                        SslMode::parse(&value).ok_or_else(|| BadUrl::SslMode(value.into_owned()))?;
                }
                "sslrootcert" => endpoint.sslrootcert = Some(value.into_owned()),
                "host" => endpoint.host = value.into_owned(),
                // They say how to connect, not where; this program has its own ways.
                "application_name" | "connect_timeout" => {}
                _ => return Err(BadUrl::Parameter(key.into_owned())),
            }
        }
        Ok(endpoint)
    }
}

/// Text of a URL with its `%41` read.
fn percent_decoded(text: &str) -> String {
    // A query value is decoded by the library; `+` is the one character that it reads in another way.
    let query = format!("v={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(user: &str, password: &str, database: &str) -> Endpoint {
        Endpoint {
            host: "127.0.0.1".into(),
            port: 54321,
            user: user.into(),
            password: Secret::new(password),
            database: database.into(),
            sslmode: SslMode::Prefer,
            sslrootcert: None,
        }
    }

    proptest! {
        #[test]
        fn every_name_and_password_survives_the_url(user in "[ -~]{1,12}", password in "[ -~]{0,12}", database in "[ -~]{1,12}") {
            // A path of one or two dots is a step in every URL, whatever its spelling.
            prop_assume!(![".", ".."].contains(&database.as_str()));
            let endpoint = endpoint(&user, &password, &database);
            prop_assert_eq!(Endpoint::parse(endpoint.url().reveal()), Ok(endpoint));
        }
    }

    #[test]
    fn what_is_printed_has_no_user_and_no_password() {
        let endpoint = endpoint("alice", "hunter22", "shop");
        assert_eq!(endpoint.to_string(), "127.0.0.1:54321/shop");
        assert!(!format!("{endpoint:?}").contains("hunter22"));
    }

    #[test]
    fn parameters_are_read_and_unknown_ones_refused() {
        let endpoint =
            Endpoint::parse("postgres://u@db.example/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem")
                .unwrap();
        assert_eq!((endpoint.sslmode, endpoint.port), (SslMode::VerifyFull, 5432));
        assert_eq!(endpoint.sslrootcert.as_deref(), Some("/etc/ca.pem"));
        assert_eq!(Endpoint::parse("postgres://u@h/d?sslmode=maybe"), Err(BadUrl::SslMode("maybe".into())));
        assert_eq!(
            Endpoint::parse("postgres://u@h/d?target_session_attrs=any"),
            Err(BadUrl::Parameter("target_session_attrs".into()))
        );
        assert!(matches!(Endpoint::parse("mysql://u@h/d"), Err(BadUrl::Shape(_))));
        assert!(matches!(Endpoint::parse("h:5432"), Err(BadUrl::Shape(_))));
    }

    #[test]
    fn a_socket_directory_can_be_the_host() {
        let socket = Endpoint { host: "/var/run/postgresql".into(), ..endpoint("u", "p", "d") };
        assert_eq!(Endpoint::parse(socket.url().reveal()), Ok(socket));
    }
}
