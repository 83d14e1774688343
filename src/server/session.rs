//! Short connections to an ephemeral server, on the loopback and without TLS.

use std::{fmt::Write as _, time::Duration};

use tokio_postgres::{Client, Config, NoTls, config::SslMode};

use crate::pg::Endpoint;

/// The server is on this machine: it answers faster or never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects as `application_name`. The connection ends with the client.
pub(super) async fn open(
    endpoint: &Endpoint,
    application_name: &str,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = Config::new()
        .host(&endpoint.host)
        .port(endpoint.port)
        .user(&endpoint.user)
        .password(endpoint.password.reveal())
        .dbname(&endpoint.database)
        .application_name(application_name)
        .connect_timeout(CONNECT_TIMEOUT)
        .ssl_mode(SslMode::Disable)
        .connect(NoTls)
        .await?;
    // If the connection ends, the next query fails with the reason.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// The server's own message: the library's text is only "db error".
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    let Some(message) = error.as_db_error() else {
        return error.to_string();
    };
    let mut text = message.message().to_owned();
    for (label, value) in
        [("DETAIL", message.detail()), ("HINT", message.hint()), ("SQLSTATE", Some(message.code().code()))]
    {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {label}: {value}");
        }
    }
    text
}
