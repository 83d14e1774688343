//! Connects to the server and adds it to the report.

use crate::{
    Error,
    pg::{self, Client},
    report::Report,
};

/// Connects, and adds the server's address to the report.
pub(super) async fn connect(
    endpoint: &pg::Endpoint,
    limits: pg::Limits,
    report: &mut Report,
) -> Result<Client, Error> {
    report.target = Some(endpoint.to_string());
    if endpoint.dbt_target.is_some() {
        report.dbt_target.clone_from(&endpoint.dbt_target);
    }
    Ok(Client::connect(endpoint, limits).await?)
}

/// Connects, and checks and reports the server's versions.
pub(super) async fn connect_and_identify(
    endpoint: &pg::Endpoint,
    limits: pg::Limits,
    report: &mut Report,
) -> Result<(Client, pg::ServerInfo), Error> {
    let client = connect(endpoint, limits, report).await?;
    let server = client.server().await?;
    report.engine = Some(server.engine());
    Ok((client, server))
}
