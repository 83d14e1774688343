//! `verify`: whether stream tables are equal to their queries, as they are and while rows change.

use std::collections::BTreeSet;

use super::{connect::connect_and_identify, reported::describe_selected};
use crate::{
    Error,
    exit::Exit,
    judge,
    options::{VerifyOptions, how_long},
    report::Report,
    stages::{
        project::load_if_any,
        shard::take_shard,
        verify::{Verifying, writes},
    },
};

/// Verifies the project's stream tables, or without a project all stream tables of the database.
pub(super) async fn verify(options: &VerifyOptions, report: &mut Report) -> Result<Exit, Error> {
    let selected = load_if_any(&options.models, &options.server).await?;
    if let Some(selected) = &selected {
        describe_selected(report, selected);
    }
    let project = selected.as_ref().map(|selected| &selected.project);
    let endpoint = options.server.endpoint(&options.models.project)?;
    let limits = options.server.limits;
    let (client, server) = connect_and_identify(&endpoint, limits, report).await?;
    let writes = writes(&client, &options.rounds, false).await?;
    if writes.is_some() {
        client.check_takes_writes().await?;
    }
    let deployed = client.catalog().await?;
    let tables = judge::subjects(project.map(|project| project.tables.as_slice()), &deployed);
    let (tables, share) = take_shard(options.ui, tables, options.rounds.sharding.as_ref())?;
    report.shard = share;
    let engine = server.engine();
    let (ui, rounds) = (options.ui, &options.rounds);
    let verifying = Verifying { ui, client: &client, engine, options: rounds, limits, writes };
    verifying.verify(project, &tables, &BTreeSet::new(), &mut report.outcomes).await?;
    if writes.is_none() && !options.only_static {
        options.ui.say(&format!(
            "compared as they are; to change rows {}: --allow-writes {}",
            how_long(client.is_ephemeral().await?),
            client.endpoint().database
        ));
    }
    Ok(Exit::Passed)
}
