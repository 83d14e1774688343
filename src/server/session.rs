//! Connections to a server of our own: on the loopback, without TLS, short.

use std::{fmt::Write as _, time::Duration};

use tokio_postgres::{Client, Config, NoTls, config::SslMode};

use crate::pg::Endpoint;

/// The server is on this machine: what takes longer than this is not going to be an answer.
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
    // Its end is seen by the next query, which then fails with the reason.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

/// An error in the server's own words: the library's text for it is "db error".
pub(super) fn reason(error: &tokio_postgres::Error) -> String {
    let Some(said) = error.as_db_error() else {
        return error.to_string();
    };
    let mut text = said.message().to_owned();
    for (label, words) in
        [("DETAIL", said.detail()), ("HINT", said.hint()), ("SQLSTATE", Some(said.code().code()))]
    {
        if let Some(words) = words {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {label}: {words}");
        }
    }
    text
}
