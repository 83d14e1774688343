//! The server of a run: an ephemeral one, or a named one.

use crate::{
    Error,
    options::RunOptions,
    pg::{Client, Endpoint},
    server::{Ephemeral, Reservation},
};

/// A connection to the server of a run.
pub struct Workspace<'a> {
    pub client: &'a Client,
    /// The server itself, if it is ephemeral.
    pub own: Option<&'a Ephemeral>,
}

/// The server that a run will use.
pub enum ChosenServer {
    Named(Endpoint),
    Installed(Reservation),
    /// docker chooses its address.
    Container,
}

impl ChosenServer {
    /// The server of `--database-url`, otherwise a new ephemeral one. Neither a dbt profile nor PG* names a server for a
    /// run, because it writes to it.
    pub fn of(options: &RunOptions) -> Result<Self, Error> {
        if let Some(endpoint) = options.server.named(&options.project)? {
            return Ok(Self::Named(endpoint));
        }
        if options.ephemeral.image.is_some() {
            return Ok(Self::Container);
        }
        Ok(Self::Installed(Reservation::new()?))
    }

    /// Its address, if that is known before it runs.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Named(endpoint) => Some(endpoint),
            Self::Installed(reservation) => Some(reservation.endpoint()),
            Self::Container => None,
        }
    }

    /// Starts it if it is ephemeral.
    pub async fn start(self, options: &RunOptions) -> Result<RunServer, Error> {
        let (ui, wanted) = (options.ui, &options.ephemeral);
        let server = match self {
            Self::Named(endpoint) => return Ok(RunServer::Named(endpoint)),
            Self::Installed(reservation) => {
                ui.say("starting an ephemeral PostgreSQL");
                Ephemeral::start_at(reservation, wanted).await?
            }
            Self::Container => {
                let image = wanted.image.as_deref().unwrap_or_default();
                ui.say(&format!("starting a container of {image}"));
                Ephemeral::start(wanted).await?
            }
        };
        Ok(RunServer::Ephemeral(server))
    }
}

/// The running server of a run.
pub enum RunServer {
    Ephemeral(Ephemeral),
    Named(Endpoint),
}

impl RunServer {
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
