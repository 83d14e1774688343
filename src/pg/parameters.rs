//! libpq's parameters that the driver and the TLS library follow.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use tokio_postgres::{
    Config,
    config::{ChannelBinding, SslNegotiation, TargetSessionAttrs},
};

pub(super) enum Refused {
    /// An invalid value, with the valid ones.
    Wrong(&'static str),
    /// The driver does not support it.
    Unsupported,
}

/// Applies one of libpq's parameters to the driver's configuration.
pub(super) fn follow(config: &mut Config, name: &str, value: &str) -> Result<(), Refused> {
    let number = || value.trim().parse::<i32>().map_err(|_| Refused::Wrong("expected a number"));
    // Zero and less mean the system's default.
    let time = |unit: fn(u64) -> Duration| {
        number().map(|number| u64::try_from(number).ok().filter(|number| *number > 0).map(unit))
    };
    match name {
        "application_name" => drop(config.application_name(value)),
        "options" => drop(config.options(value)),
        "hostaddr" if !value.is_empty() => {
            config.hostaddr(value.parse::<IpAddr>().map_err(|_| Refused::Wrong("expected an IP address"))?);
        }
        "connect_timeout" => {
            // Zero and less wait forever, for which an hour is enough.
            config.connect_timeout(time(Duration::from_secs)?.unwrap_or(Duration::from_hours(1)));
        }
        "keepalives" => drop(config.keepalives(number()? != 0)),
        "keepalives_idle" => {
            if let Some(time) = time(Duration::from_secs)? {
                config.keepalives_idle(time);
            }
        }
        "keepalives_interval" => {
            if let Some(time) = time(Duration::from_secs)? {
                config.keepalives_interval(time);
            }
        }
        "keepalives_count" => {
            if let Ok(count) = u32::try_from(number()?) {
                config.keepalives_retries(count);
            }
        }
        "tcp_user_timeout" => {
            if let Some(time) = time(Duration::from_millis)? {
                config.tcp_user_timeout(time);
            }
        }
        "channel_binding" => drop(config.channel_binding(match value {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            _ => return Err(Refused::Wrong("expected disable, prefer or require")),
        })),
        "sslnegotiation" => drop(config.ssl_negotiation(match value {
            "postgres" => SslNegotiation::Postgres,
            "direct" => SslNegotiation::Direct,
            _ => return Err(Refused::Wrong("expected postgres or direct")),
        })),
        "target_session_attrs" => drop(config.target_session_attrs(match value {
            "any" => TargetSessionAttrs::Any,
            "read-write" => TargetSessionAttrs::ReadWrite,
            "read-only" => TargetSessionAttrs::ReadOnly,
            "primary" | "standby" | "prefer-standby" => return Err(Refused::Unsupported),
            _ => return Err(Refused::Wrong("expected any, read-write or read-only")),
        })),
        "sslsni" if !["0", "1"].contains(&value) => return Err(Refused::Wrong("expected 0 or 1")),
        "ssl_min_protocol_version" => drop(tls_version(value)?),
        "ssl_max_protocol_version" if tls_version(value)? == TlsVersion::Older => {
            return Err(Refused::Unsupported);
        }
        "load_balance_hosts" if !["disable", "random"].contains(&value) => {
            return Err(Refused::Wrong("expected disable or random"));
        }
        _ => {}
    }
    Ok(())
}

/// A version of TLS: the library has 1.2 and 1.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TlsVersion {
    Older,
    V1_2,
    V1_3,
}

/// Reads libpq's word for a version.
fn tls_version(word: &str) -> Result<TlsVersion, Refused> {
    match word.to_ascii_lowercase().as_str() {
        "tlsv1" | "tlsv1.1" => Ok(TlsVersion::Older),
        "tlsv1.2" => Ok(TlsVersion::V1_2),
        "tlsv1.3" => Ok(TlsVersion::V1_3),
        _ => Err(Refused::Wrong("expected TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")),
    }
}

/// The versions that the parameters take; none where the least one is above the highest one.
pub(super) fn tls_versions(
    parameters: &BTreeMap<&'static str, String>,
) -> Vec<&'static SupportedProtocolVersion> {
    let limit = |name: &str| parameters.get(name).and_then(|word| tls_version(word).ok());
    let is_between = |version: TlsVersion| {
        limit("ssl_min_protocol_version").is_none_or(|least| least <= version)
            && limit("ssl_max_protocol_version").is_none_or(|highest| version <= highest)
    };
    let known = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
    known.into_iter().filter(|(version, _)| is_between(*version)).map(|(_, known)| known).collect()
}
