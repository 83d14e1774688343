//! What is wrong with an address.

use super::conninfo::Given;

/// Why no server can be reached by what was said of it. No password is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is neither a URL nor a `key=value` string.
    #[error("{by} cannot be read: {reason}")]
    Shape {
        /// What said it.
        by: String,
        /// Where reading stopped.
        reason: String,
    },
    /// libpq does not know the parameter.
    #[error("{by} has the unknown parameter `{parameter}`")]
    Parameter {
        /// What said it.
        by: String,
        /// The parameter.
        parameter: String,
    },
    /// The value means nothing to libpq.
    #[error("{by} has the {parameter} `{value}`: {expected}")]
    Value {
        /// What said it.
        by: String,
        /// The parameter.
        parameter: String,
        /// Its value.
        value: String,
        /// What would have been good.
        expected: String,
    },
    /// libpq knows it, this program does not do it.
    #[error("{by} has the {parameter} `{value}`, which pgtrickle-ci does not support")]
    Unsupported {
        /// What said it.
        by: String,
        /// The parameter.
        parameter: String,
        /// Its value; `***` where it is a secret.
        value: String,
    },
    /// The service is in no file.
    #[error("{by} names the service `{service}`, which is in no service file")]
    NoService {
        /// What named it.
        by: String,
        /// The service.
        service: String,
    },
    /// A file that was named.
    #[error("cannot read `{}`: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: std::path::PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Nothing says which authority to trust.
    #[error(
        "sslmode `{sslmode}` needs a root certificate: there is neither an sslrootcert nor a ~/.postgresql/root.crt"
    )]
    NoRootCertificate {
        /// The mode.
        sslmode: &'static str,
    },
    /// A certificate of one of the system's authorities is worth nothing when any name will do.
    #[error("sslmode `{sslmode}` is too weak for sslrootcert `system`, which takes only verify-full")]
    WeakMode {
        /// The mode.
        sslmode: &'static str,
    },
    /// A certificate is for a name.
    #[error("sslmode `verify-full` needs a host name: there is only a hostaddr")]
    NoHostName,
    /// Nothing says whom to log in as.
    #[error("no user is named to log in as, and the system's user {id} has no name")]
    NoUser {
        /// The number.
        id: u32,
    },
}

impl BadAddress {
    pub(super) fn shape(by: &str, reason: &str) -> Self {
        Self::Shape { by: by.to_owned(), reason: reason.to_owned() }
    }

    /// The next command to type.
    pub fn hint(&self) -> String {
        match self {
            Self::Shape { .. } => {
                "write it as `postgresql://user:password@host:5432/database`, or `host=… dbname=…`".into()
            }
            Self::Parameter { .. } => "leave it out: libpq does not know it either".into(),
            Self::Value { parameter, .. } => format!("correct the {parameter}, or leave it out"),
            Self::Unsupported { parameter, .. } => format!("leave the {parameter} out"),
            Self::NoService { .. } => "see ~/.pg_service.conf, or name a file with PGSERVICEFILE".into(),
            Self::Unreadable { .. } => "name a file that exists".into(),
            Self::NoRootCertificate { .. } => {
                "name the file with `sslrootcert`, or take the system's authorities: `sslrootcert=system`"
                    .into()
            }
            Self::WeakMode { .. } => "say `sslmode=verify-full`, or leave sslmode out".into(),
            Self::NoHostName => "name the host, too: `host=NAME hostaddr=ADDRESS`".into(),
            Self::NoUser { .. } => "name one: `postgresql://USER@host:5432/database`, or PGUSER".into(),
        }
    }
}

impl Given {
    pub(super) fn wrong(&self, parameter: &str, expected: &str) -> BadAddress {
        BadAddress::Value {
            by: self.by.clone(),
            parameter: parameter.to_owned(),
            value: self.value.clone(),
            expected: expected.to_owned(),
        }
    }

    pub(super) fn unsupported(&self, parameter: &str) -> BadAddress {
        let is_secret = ["sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"]
            .contains(&parameter);
        let value = if is_secret { "***".to_owned() } else { self.value.clone() };
        BadAddress::Unsupported { by: self.by.clone(), parameter: parameter.to_owned(), value }
    }
}
