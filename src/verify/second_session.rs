//! A second session beside that of the rounds.

use super::settings::RoundSettings;
use crate::pg::{self, Client};

/// The session whose transactions stay open. If its connection ends, however that comes, the server rolls them back.
pub(super) enum SecondSession {
    Unasked,
    /// The server allows no other connection, for this reason.
    Refused(String),
    Idle(Box<Client>),
    /// It has an open transaction.
    Open,
}

impl SecondSession {
    /// Connects if the project asks for transactions that stay open.
    pub(super) async fn of(client: &Client, settings: &RoundSettings) -> Self {
        if !settings.commits() || !settings.open_transactions {
            return Self::Unasked;
        }
        let connect = async || {
            let second = client.connect_again().await?;
            second.limit().await?;
            second.take_database_settings().await?;
            Ok::<_, pg::Error>(second)
        };
        match connect().await {
            Ok(second) => Self::Idle(Box::new(second)),
            Err(refused) => Self::Refused(refused.to_string()),
        }
    }

    /// Takes it for a transaction, if there is one.
    pub(super) fn take(&mut self) -> Option<Box<Client>> {
        let before = std::mem::replace(self, Self::Open);
        if let Self::Idle(client) = before {
            return Some(client);
        }
        *self = before;
        None
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// What the rounds do without it.
    pub(super) fn note(&self) -> Option<String> {
        let Self::Refused(why) = self else { return None };
        Some(format!("no transaction stayed open: {why}"))
    }
}
