//! A second session beside that of the rounds.

use super::settings::RoundSettings;
use crate::pg::{self, Client};

/// The session whose transactions stay open. If its connection ends, however that comes, the server rolls them back.
pub(super) enum SecondSession {
    Unasked,
    /// The server allows no other connection, for this reason.
    Refused(String),
    Idle(Session),
    /// It has an open transaction.
    Open(i32),
}

pub(super) struct Session {
    pub(super) client: Box<Client>,
    process: i32,
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
            let process = second.process().await?;
            Ok::<_, pg::Error>(Session { client: Box::new(second), process })
        };
        match connect().await {
            Ok(session) => Self::Idle(session),
            Err(refused) => Self::Refused(refused.to_string()),
        }
    }

    /// Takes it for a transaction, if there is one.
    pub(super) fn take(&mut self) -> Option<Session> {
        let Self::Idle(Session { process, .. }) = self else { return None };
        let open = Self::Open(*process);
        let Self::Idle(session) = std::mem::replace(self, open) else { return None };
        Some(session)
    }

    /// Its server process.
    pub(super) fn process(&self) -> Option<i32> {
        match self {
            Self::Idle(Session { process, .. }) | Self::Open(process) => Some(*process),
            Self::Unasked | Self::Refused(_) => None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// What the rounds do without it.
    pub(super) fn note(&self) -> Option<String> {
        let Self::Refused(why) = self else { return None };
        Some(format!("no transaction stayed open: {why}"))
    }
}
