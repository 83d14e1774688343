//! `wait`: waits until all stream tables are populated, or one cannot be.

use super::{connect::connect_and_identify, reported::describe_selected};
use crate::{
    Error,
    exit::Exit,
    model::StreamTable,
    options::WaitOptions,
    report::Report,
    stages::{project::load, wait::Waiting},
};

/// Waits for the project's stream tables on a named server.
pub(super) async fn wait(options: &WaitOptions, report: &mut Report) -> Result<Exit, Error> {
    let selected = load(&options.models, Some(&options.server)).await?.selected(&options.models)?;
    describe_selected(report, &selected);
    let endpoint = options.server.endpoint(&options.models.project)?;
    let (client, _) = connect_and_identify(&endpoint, options.server.limits, report).await?;
    let tables: Vec<&StreamTable> = selected.project.tables.iter().collect();
    let waiting = Waiting::new(&options.wait, options.refresh, options.ui);
    report.outcomes.extend(waiting.populated(&client, &tables).await?);
    Ok(Exit::Passed)
}
