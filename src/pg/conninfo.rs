//! libpq's connection parameters: read from a URL or a `key=value` string, then completed as libpq completes them.
//!
//! Source: PostgreSQL 18's manual, chapter "libpq - C Library", sections "Connection Strings" and "Environment
//! Variables".

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::{
    address_error::{BadAddress, Given},
    libpq_files,
};

/// Every parameter with its environment variable, which has the lowest precedence.
const PARAMETERS: &[(&str, &str)] = &[
    ("service", "PGSERVICE"),
    ("servicefile", "PGSERVICEFILE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("dbname", "PGDATABASE"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("fallback_application_name", ""),
    ("client_encoding", "PGCLIENTENCODING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("keepalives", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("keepalives_count", ""),
    ("tcp_user_timeout", ""),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("replication", ""),
    ("min_protocol_version", "PGMINPROTOCOLVERSION"),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslcompression", "PGSSLCOMPRESSION"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("sslpassword", ""),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslsni", "PGSSLSNI"),
    ("sslkeylogfile", ""),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("gssencmode", "PGGSSENCMODE"),
    ("gsslib", "PGGSSLIB"),
    ("gssdelegation", "PGGSSDELEGATION"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("scram_client_key", ""),
    ("scram_server_key", ""),
    ("oauth_issuer", ""),
    ("oauth_client_id", ""),
    ("oauth_client_secret", ""),
    ("oauth_scope", ""),
];

/// Parameters for which an empty text is an invalid value, and not the default.
const NEVER_EMPTY: [&str; 15] = [
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "require_auth",
    "service",
    "sslcertmode",
    "sslmode",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// libpq's variables that choose a server and the way to it, without those that configure a session, such as PGTZ.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let named = PARAMETERS.iter().map(|(_, variable)| *variable).filter(|variable| !variable.is_empty());
    named.chain(["PGREQUIRESSL", "PGSYSCONFDIR"])
}

/// The environment variable of a parameter.
pub(super) fn variable_of(parameter: &str) -> Option<&'static str> {
    let found = PARAMETERS.iter().find(|(name, _)| *name == parameter);
    found.map(|(_, variable)| *variable).filter(|variable| !variable.is_empty())
}

/// Connection parameters. The first value of each counts.
#[derive(Clone, Debug, Default)]
pub struct Conninfo {
    given: BTreeMap<&'static str, Given>,
}

impl Conninfo {
    /// Reads a URL or a `key=value` string. Errors call it `by` and never quote it, because it may have a password.
    pub fn parse(text: &str, by: &str) -> Result<Self, BadAddress> {
        let mut conninfo = Self::default();
        let url = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        match url {
            Some(rest) => conninfo.read_url(rest, by)?,
            // To libpq it is the default database, but here it is more often a variable that is not set.
            None if text.trim().is_empty() => return Err(BadAddress::shape(by, "it is empty")),
            None if text.split_once('=').is_none_or(|(name, _)| name.contains("://")) => {
                return Err(BadAddress::shape(by, "it begins with neither `postgresql://` nor `host=`"));
            }
            None => conninfo.read_pairs(text, by)?,
        }
        Ok(conninfo)
    }

    /// Sets a parameter, even if it has a value.
    pub fn set(&mut self, name: &str, value: impl Into<String>, by: &str) -> Result<(), BadAddress> {
        let value = value.into();
        // The older name of `sslmode`.
        let (name, value) = match name {
            "requiressl" if value.starts_with('1') => ("sslmode", "require".into()),
            "requiressl" => ("sslmode", "prefer".into()),
            _ => (name, value),
        };
        let Some((name, _)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            return Err(BadAddress::Parameter { by: by.to_owned(), parameter: name.to_owned() });
        };
        if value.contains('\0') {
            return Err(BadAddress::shape(by, "a text in it has a NUL character"));
        }
        self.given.insert(name, Given { value, by: by.to_owned() });
        Ok(())
    }

    fn set_if_unset(&mut self, name: &str, value: &str, by: &str) -> Result<(), BadAddress> {
        if self.given.contains_key(name) { Ok(()) } else { self.set(name, value, by) }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.given.get(name).is_some_and(|given| !given.value.is_empty())
    }

    pub(super) fn is(&self, name: &str, value: &str) -> bool {
        self.given.get(name).is_some_and(|given| given.value == value)
    }

    /// Removes and returns a parameter's value; `None` if it is empty.
    pub(super) fn take(&mut self, name: &str) -> Option<Given> {
        self.given.remove(name).filter(|given| !given.value.is_empty())
    }

    pub(super) fn rest(self) -> impl Iterator<Item = (&'static str, Given)> {
        self.given.into_iter().filter(|(_, given)| !given.value.is_empty())
    }

    /// Completes unset parameters from the service, and then from the environment.
    pub fn complete(&mut self, variables: &BTreeMap<String, String>) -> Result<(), BadAddress> {
        for name in ["service", "servicefile"] {
            self.add_variable(name, variables)?;
        }
        self.check_not_empty()?;
        if let Some(service) = self.take("service") {
            let file = self.take("servicefile").map(|given| given.value);
            for (name, value, by) in libpq_files::service(&service, file.as_deref(), variables)? {
                self.set_if_unset(&name, &value, &by)?;
            }
        }
        for (name, _) in PARAMETERS.iter().filter(|(name, _)| !["service", "servicefile"].contains(name)) {
            self.add_variable(name, variables)?;
        }
        if variables.get("PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
            self.set_if_unset("sslmode", "require", "PGREQUIRESSL")?;
        }
        self.check_not_empty()
    }

    fn check_not_empty(&self) -> Result<(), BadAddress> {
        match self.given.iter().find(|(name, given)| given.value.is_empty() && NEVER_EMPTY.contains(name)) {
            Some((name, given)) => Err(given.wrong(name, "expected a value")),
            None => Ok(()),
        }
    }

    fn add_variable(&mut self, name: &str, variables: &BTreeMap<String, String>) -> Result<(), BadAddress> {
        let variable = variable_of(name);
        let set = variable.and_then(|variable| Some((variable, variables.get(variable)?)));
        match set {
            Some((variable, value)) => self.set_if_unset(name, value, variable),
            None => Ok(()),
        }
    }

    /// Reads the part after `postgresql://`.
    fn read_url(&mut self, rest: &str, by: &str) -> Result<(), BadAddress> {
        let decoded = |text: &str| decoded(text, by);
        let login_ends = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
        let (login, rest) = login_ends.map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]));
        let (hosts, ports, rest) = hosts_and_ports(rest, by)?;
        let (database, query) = rest.split_once('?').unwrap_or((rest, ""));
        let database = database.strip_prefix('/').unwrap_or(database);
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let said = [
            ("user", user),
            ("password", password),
            ("host", &hosts),
            ("port", &ports),
            ("dbname", database),
        ];
        for (name, text) in said.into_iter().filter(|(_, text)| !text.is_empty()) {
            self.set(name, decoded(text)?, by)?;
        }
        // The last pair may have an `&`, too.
        let pairs = query.strip_suffix('&').unwrap_or(query).split('&');
        for pair in pairs.filter(|_| !query.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.contains('='))
                .ok_or_else(|| BadAddress::shape(by, "what follows the `?` is not `parameter=value`"))?;
            let (name, value) = (decoded(name)?, decoded(value)?);
            // libpq accepts this for compatibility with JDBC.
            if (&*name, &*value) == ("ssl", "true") {
                self.set("sslmode", "require", by)?;
            } else {
                self.set(&name, value, by)?;
            }
        }
        Ok(())
    }

    /// `host=localhost password='it\'s'`.
    fn read_pairs(&mut self, text: &str, by: &str) -> Result<(), BadAddress> {
        let mut rest = text.trim_start_matches(is_space);
        while !rest.is_empty() {
            let no_value = || BadAddress::shape(by, "a word in it has no `=`");
            let (name, after) = rest.split_once('=').ok_or_else(no_value)?;
            let name = name.trim_end_matches(is_space);
            if name.contains(is_space) {
                return Err(no_value());
            }
            let (value, after) = value(after.trim_start_matches(is_space))
                .ok_or_else(|| BadAddress::shape(by, "a quote in it is not closed"))?;
            self.set(name, value, by)?;
            rest = after.trim_start_matches(is_space);
        }
        Ok(())
    }
}

/// `a:1,[::1]:2/d` → `a,::1`, `1,2` and `/d`. Of several hosts, each has a port or the default one, whatever the environment.
fn hosts_and_ports<'a>(text: &'a str, by: &str) -> Result<(String, String, &'a str), BadAddress> {
    let until = |text: &'a str, ends: &[char]| text.split_at(text.find(ends).unwrap_or(text.len()));
    let (mut hosts, mut ports, mut rest) = (Vec::new(), Vec::new(), text);
    loop {
        let (host, after) = match rest.strip_prefix('[') {
            Some(address) => {
                address.split_once(']').ok_or_else(|| BadAddress::shape(by, "a `[` has no `]`"))?
            }
            None => until(rest, &[':', '/', '?', ',']),
        };
        if rest.starts_with('[') && host.is_empty() {
            return Err(BadAddress::shape(by, "there is no address between `[` and `]`"));
        }
        if !after.is_empty() && !after.starts_with([':', '/', '?', ',']) {
            return Err(BadAddress::shape(by, "a `]` is followed by neither `:` nor `/`"));
        }
        let (port, after) = after.strip_prefix(':').map_or(("", after), |port| until(port, &['/', '?', ',']));
        hosts.push(host);
        ports.push(port);
        let Some(next) = after.strip_prefix(',') else {
            return Ok((hosts.join(","), ports.join(","), after));
        };
        rest = next;
    }
}

fn decoded(text: &str, by: &str) -> Result<String, BadAddress> {
    let escapes_are_whole = text.split('%').skip(1).all(|after| {
        after
            .get(..2)
            .is_some_and(|digits| digits != "00" && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    });
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.ok().filter(|_| escapes_are_whole).map(Into::into).ok_or_else(|| {
        BadAddress::shape(by, "a `%` in it is not followed by two hexadecimal digits of UTF-8 text")
    })
}

/// What libpq takes for a space.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

/// The value at the beginning of the text, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            space if !quoted && is_space(space) => return Some((value, &text[at..])),
            other => value.push(other),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        let conninfo = Conninfo::parse(text, "the URL").unwrap();
        conninfo.given.into_iter().map(|(name, given)| (name.to_owned(), given.value)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn urls_are_read_as_by_libpq() {
        assert_eq!(
            read(
                "postgresql://al%40ice:p%3Aw+x@[::1]:5433,db2,db3:1/sh%2Fop?options=-c%20a%3Db&sslmode=require"
            ),
            pairs(&[
                ("dbname", "sh/op"),
                ("host", "::1,db2,db3"),
                ("options", "-c a=b"),
                ("password", "p:w+x"),
                ("port", "5433,,1"),
                ("sslmode", "require"),
                ("user", "al@ice"),
            ])
        );
        assert_eq!(read("postgres:///shop?host=/run/pg"), pairs(&[("dbname", "shop"), ("host", "/run/pg")]));
        assert_eq!(read("postgres://%2Frun%2Fpg/shop"), pairs(&[("dbname", "shop"), ("host", "/run/pg")]));
        assert_eq!(
            read("postgres://[/run/pg]:5,[a?b]/shop?user=u"),
            pairs(&[("dbname", "shop"), ("host", "/run/pg,a?b"), ("port", "5,"), ("user", "u")])
        );
        assert_eq!(read("postgres://u@?ssl=true"), pairs(&[("sslmode", "require"), ("user", "u")]));
    }

    #[test]
    fn pairs_are_read_as_by_libpq() {
        assert_eq!(
            read(r"host = db  password='it\'s \\ = x' dbname=a\ b user=''"),
            pairs(&[("dbname", "a b"), ("host", "db"), ("password", r"it's \ = x"), ("user", "")])
        );
    }

    #[test]
    fn an_error_does_not_quote_the_connection_string() {
        for text in [
            "h:5432",
            "mysql://u:secret@h/d",
            "postgres://u:secret@[::1/d",
            "postgres://u:secret@h/d?sslmode",
            "postgres://u:secret%2@h/d",
            "postgres://u:secret%00@h/d",
            "host=h password='secret",
            "host=h secret",
            "postgres://u:secret@h/d?colour=red",
            "postgres://u\0:secret@h/d",
        ] {
            let error = Conninfo::parse(text, "the URL").unwrap_err().to_string();
            assert!(error.starts_with("the URL ") && !error.contains("secret"), "{text}: {error}");
        }
    }
}
