//! Queries of stream tables run with the settings of the database and not with those of the role: the engine's scheduler
//! refreshes with the former, and a role's own TimeZone or search_path may change what a query returns.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{Client, Error};
use crate::sql::quote_literal;

#[derive(Debug, Deserialize)]
struct RoleSetting {
    name: String,
    /// The value without the role's; `None` if it is unknown.
    value: Option<String>,
}

impl Client {
    /// The statements that give another database of the server the settings that this one has of its own for pg_trickle.
    pub async fn own_engine_settings(&self) -> Result<Vec<String>, Error> {
        let sql = "select coalesce(jsonb_agg(format('set %s = %L', name, setting) order by name), '[]')::text
                   from pg_settings where name like 'pg\\_trickle.%' and source in ('database', 'user', 'database user')";
        self.ask("reading the settings of pg_trickle", sql).await
    }

    /// A statement that sets what the role has of its own back to the database's settings until the transaction ends.
    ///
    /// # Errors
    /// If the database says nothing about such a setting: the server's value is not visible.
    pub(super) async fn database_settings(&self) -> Result<&str, Error> {
        self.database_settings
            .get_or_try_init(|| self.read_database_settings("true"))
            .await
            .map(String::as_str)
    }

    /// Sets them for the session.
    pub async fn take_database_settings(&self) -> Result<(), Error> {
        let sql = self.read_database_settings("false").await?;
        self.run(&sql).await
    }

    async fn read_database_settings(&self, is_local: &str) -> Result<String, Error> {
        const DOING: &str = "reading the settings of the role";
        let settings: Vec<RoleSetting> = self.ask(DOING, include_str!("sql/database_settings.sql")).await?;
        let unknown = settings.iter().filter(|setting| setting.value.is_none());
        let unknown: Vec<String> = unknown.map(|setting| setting.name.clone()).collect();
        if !unknown.is_empty() {
            return Err(Error::RoleSettings { user: self.endpoint.user.clone(), unknown });
        }
        let set = settings.iter().fold(String::new(), |mut sql, setting| {
            let (name, value) = (quote_literal(&setting.name), setting.value.as_deref().unwrap_or_default());
            let _ =
                write!(sql, "perform pg_catalog.set_config({name}, {}, {is_local}); ", quote_literal(value));
            sql
        });
        Ok(if set.is_empty() { set } else { format!("do {}; ", quote_literal(&format!("begin {set}end"))) })
    }
}
