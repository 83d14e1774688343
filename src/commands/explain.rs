//! `explain`: what one stream table is, reads and costs, and how it is refreshed. It never writes.

use std::path::Path;

use crate::{
    Error,
    exit::Exit,
    options::TableOptions,
    output,
    plan::Cost,
    report::{
        explain::{self, Explained, V1Explanation},
        json,
    },
    stages::one_table::Connected,
};

use super::reported::style;

pub(super) async fn explain(options: &TableOptions) -> Result<Exit, Error> {
    options.json.as_deref().map(output::check_writable).transpose()?;
    let connected = Connected::to(options).await?;
    let evidence = connected.evidence().await?;
    let deployed = connected.named(options, &evidence.deployed)?;
    let relation = &deployed.table.relation;
    let outcomes = connected.judge(options, deployed, &evidence);
    let Connected { client, server, project } = &connected;
    // Best effort: what the role may not see is unknown.
    let sizes = client.sizes(&explain::buffers(&evidence, relation)).await.unwrap_or_default();
    let costs = client.costs(std::slice::from_ref(relation)).await.unwrap_or_default();
    let known = costs.get(relation).copied().unwrap_or_default();
    let explained = Explained {
        target: client.endpoint().to_string(),
        engine: server.engine(),
        deployed,
        evidence: &evidence,
        outcomes: &explain::concerning(outcomes, relation),
        cost: Cost { rows: deployed.storage.rows, ..known },
        sizes: &sizes,
        project: project.as_ref(),
    };
    let document = || json::document(&V1Explanation::from(&explained));
    write(options, document, || explain::render(&explained, &style(options.ui)))
}

/// Writes the JSON document if it is wanted, and the text unless the document takes standard output.
pub(super) fn write(
    options: &TableOptions,
    document: impl FnOnce() -> String,
    text: impl FnOnce() -> String,
) -> Result<Exit, Error> {
    if let Some(file) = &options.json {
        output::to_file(file, &document())?;
        if file == Path::new("-") {
            return Ok(Exit::Passed);
        }
        options.ui.say(&format!("wrote {}", file.display()));
    }
    output::report_to_stdout(&text())?;
    Ok(Exit::Passed)
}
