//! Errors of database addresses.

/// Why an address is invalid. Contains no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Neither a URL nor a `key=value` string.
    #[error("{by} cannot be read: {reason}")]
    Shape { by: String, reason: String },
    /// libpq does not know the parameter.
    #[error("{by} has the unknown parameter `{parameter}`")]
    Parameter { by: String, parameter: String },
    /// libpq does not know the value.
    #[error("{by} has the {parameter} `{value}`: {expected}")]
    Value {
        by: String,
        parameter: String,
        value: String,
        /// The valid values.
        expected: String,
    },
    /// libpq knows the parameter, but this program does not support it.
    #[error("{by} has the {parameter} `{value}`, which pgtrickle-ci does not support")]
    Unsupported {
        by: String,
        parameter: String,
        /// `***` for a secret.
        value: String,
    },
    #[error("{by} names the service `{service}`, which no service file defines")]
    NoService { by: String, service: String },
    #[error("cannot read `{}`: {reason}", file.display())]
    Unreadable { file: std::path::PathBuf, reason: String },
    #[error(
        "sslmode `{sslmode}` needs a root certificate: there is neither an sslrootcert nor a ~/.postgresql/root.crt"
    )]
    NoRootCertificate { sslmode: &'static str },
    /// Anyone can get a certificate of a system authority for some name, so the name must be verified.
    #[error("sslmode `{sslmode}` is too weak for sslrootcert `system`, which requires verify-full")]
    WeakMode { sslmode: &'static str },
    /// Direct TLS has no way back to a connection without it.
    #[error("sslmode `{sslmode}` is too weak for sslnegotiation `direct`, which requires TLS")]
    NoDirectTls { sslmode: &'static str },
    /// A certificate is for a name.
    #[error("sslmode `verify-full` needs a host name: there is only a hostaddr")]
    NoHostName,
    #[error("no user name is given, and the operating system's user {id} has no name")]
    NoUser { id: u32 },
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
            Self::WeakMode { .. } => "use `sslmode=verify-full`, or leave sslmode out".into(),
            Self::NoDirectTls { .. } => {
                "use `sslmode=require` or a stricter one, or leave sslnegotiation out".into()
            }
            Self::NoHostName => "add the host name: `host=NAME hostaddr=ADDRESS`".into(),
            Self::NoUser { .. } => "name one: `postgresql://USER@host:5432/database`, or PGUSER".into(),
        }
    }
}

/// A parameter's value and what set it, for errors.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) value: String,
    pub(super) by: String,
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
