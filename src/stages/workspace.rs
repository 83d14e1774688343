//! The server of a run: an ephemeral one, or a named one.

use crate::{
    Error,
    options::RunOptions,
    pg::{Client, Endpoint},
    server::Ephemeral,
};

/// A connection to the server of a run.
pub struct Workspace<'a> {
    pub client: &'a Client,
    /// The server itself, if it is ephemeral.
    pub own: Option<&'a Ephemeral>,
}

/// An ephemeral or a named server.
pub enum RunServer {
    Ephemeral(Ephemeral),
    Named(Endpoint),
}

impl RunServer {
    /// The server of `--database-url`, otherwise a new ephemeral one. Neither a dbt profile nor PG* names a server for a
    /// run, because it writes to it.
    pub async fn open(options: &RunOptions) -> Result<Self, Error> {
        if let Some(endpoint) = options.server.named(&options.project)? {
            return Ok(Self::Named(endpoint));
        }
        match &options.ephemeral.image {
            Some(image) => options.ui.say(&format!("starting a container of {image}")),
            None => options.ui.say("starting an ephemeral PostgreSQL"),
        }
        Ok(Self::Ephemeral(Ephemeral::start(&options.ephemeral).await?))
    }

    pub fn own(&self) -> Option<&Ephemeral> {
        match self {
            Self::Ephemeral(server) => Some(server),
            Self::Named(_) => None,
        }
    }

    pub fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Ephemeral(server) => server.endpoint(),
            Self::Named(endpoint) => endpoint,
        }
    }
}
