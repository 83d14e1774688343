//! Opens connections: which hosts are tried, with which TLS modes, and how often.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio_postgres::{
    Config, Connection, Socket, config::SslMode as WireSslMode, error::SqlState, tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Endpoint, Error, Limits, SslMode, parameters::follow, tls};

/// A client, and the connection that has to be polled.
type Connected =
    (tokio_postgres::Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

/// Connects and logs in, with the endpoint's number of retries, as dbt does.
pub(super) async fn open(endpoint: &Endpoint, limits: Limits) -> Result<Connected, Error> {
    let mut attempt = 0;
    loop {
        match try_hosts(endpoint, limits).await {
            Err(error) if attempt < endpoint.retries && error.is_temporary() => {
                tokio::time::sleep(Duration::from_secs(u64::from(attempt) * u64::from(attempt))).await;
                attempt += 1;
            }
            ended => return ended,
        }
    }
}

/// Connects to the first host that answers. One that rejects the login ends the search, as in libpq.
async fn try_hosts(endpoint: &Endpoint, limits: Limits) -> Result<Connected, Error> {
    let mut hosts: Vec<usize> = (0..endpoint.hosts().count()).collect();
    if endpoint.parameters.get("load_balance_hosts").is_some_and(|word| word == "random") {
        let order = RandomState::new();
        hosts.sort_by_key(|index| order.hash_one(index));
    }
    let mut failed = None;
    for index in hosts {
        match try_modes(endpoint, index, limits).await {
            Err(error) if error.allows_other_hosts() => failed = Some(error),
            ended => return ended,
        }
    }
    Err(failed.expect("an endpoint has a host"))
}

/// `prefer` and `allow` have a second mode, for a server that rejects the first.
async fn try_modes(endpoint: &Endpoint, host: usize, limits: Limits) -> Result<Connected, Error> {
    let is_socket = endpoint.hosts().nth(host).is_some_and(|(host, _)| host.starts_with('/'));
    let (first, second) = match endpoint.sslmode {
        // As in libpq there is no TLS on a socket, whatever the sslmode.
        _ if is_socket => (WireSslMode::Disable, None),
        SslMode::Disable => (WireSslMode::Disable, None),
        SslMode::Allow => (WireSslMode::Disable, Some(WireSslMode::Require)),
        SslMode::Prefer => (WireSslMode::Prefer, Some(WireSslMode::Disable)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (WireSslMode::Require, None),
    };
    let first = try_once(endpoint, host, first, limits).await;
    match (first, second) {
        (Err(error), Some(second)) if error.allows_other_modes() => {
            try_once(endpoint, host, second, limits).await.map_err(|_| error)
        }
        (first, _) => first,
    }
}

async fn try_once(
    endpoint: &Endpoint,
    host: usize,
    mode: WireSslMode,
    limits: Limits,
) -> Result<Connected, Error> {
    // Unusable certificates are no reason against a connection without TLS.
    let tls = if mode == WireSslMode::Disable { tls::unused() } else { tls::connector(endpoint)? };
    let mut config = of_host(endpoint, host, limits);
    config.ssl_mode(mode);
    // The driver's own timeout is only for the network: a process that listens may still never answer.
    let limit = config.get_connect_timeout().copied().unwrap_or(limits.connect);
    match tokio::time::timeout(limit * 2, config.connect(tls)).await {
        Ok(connected) => connected.map_err(|source| Error::connecting(endpoint, &source)),
        Err(_) => Err(Error::Connect {
            endpoint: endpoint.to_string(),
            reason: "it does not answer".into(),
            code: None,
            in_tls: false,
        }),
    }
}

fn of_host(endpoint: &Endpoint, index: usize, limits: Limits) -> Config {
    let mut config = Config::new();
    config.user(&endpoint.user).dbname(&endpoint.database).application_name("pgtrickle-ci");
    config.connect_timeout(limits.connect);
    if let Some((host, port)) = endpoint.hosts().nth(index) {
        config.host(host).port(port);
    }
    let password = endpoint.password_of(index).reveal();
    if !password.is_empty() {
        config.password(password);
    }
    for (name, value) in &endpoint.parameters {
        let value = match *name {
            "hostaddr" => value.split(',').nth(index).unwrap_or_default(),
            _ => value,
        };
        // Invalid values were rejected when the endpoint was read.
        let _ = follow(&mut config, name, value);
    }
    config
}

impl Error {
    /// Whether a retry can help: no server answered, or it is starting or has too many connections.
    fn is_temporary(&self) -> bool {
        let Self::Connect { code, in_tls, .. } = self else { return false };
        match code {
            Some(code) => ["08", "53", "57"].iter().any(|class| code.starts_with(class)),
            None => !in_tls,
        }
    }

    /// A host that cannot prove who it is, or has no TLS, ends the search.
    fn allows_other_hosts(&self) -> bool {
        let Self::Connect { code, in_tls, .. } = self else { return false };
        !in_tls && code.as_deref().is_none_or(|code| code == SqlState::CANNOT_CONNECT_NOW.code())
    }

    fn allows_other_modes(&self) -> bool {
        if let Self::Connect { code, in_tls, .. } = self {
            return *in_tls || code.as_ref().is_some_and(|code| code.starts_with("28"));
        }
        matches!(self, Self::TlsFile { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connecting_is_retried_as_often_as_the_profile_says() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let refusing = tokio::spawn(async move {
            for tries in 0_u32.. {
                let waited = tokio::time::timeout(Duration::from_secs(3), listener.accept()).await;
                if waited.is_err() {
                    return tries;
                }
            }
            0
        });
        let endpoint = Endpoint { host: "127.0.0.1".into(), port, retries: 2, ..Endpoint::default() };
        let limit = Duration::from_secs(5);
        let failed =
            open(&endpoint, Limits { connect: limit, statement: limit, lock: limit }).await.err().unwrap();
        assert!(failed.is_temporary(), "{failed}");
        assert_eq!(refusing.await.unwrap(), 3);
    }
}
