//! `history`: the last refreshes of one stream table. It never writes.

use crate::{
    Error,
    exit::Exit,
    options::HistoryOptions,
    output,
    report::{
        history::{self, V1History},
        json,
    },
    stages::one_table::Connected,
};

use super::{explain::write, reported::style};

pub(super) async fn history(options: &HistoryOptions) -> Result<Exit, Error> {
    let HistoryOptions { table: options, last } = options;
    options.json.as_deref().map(output::check_writable).transpose()?;
    let connected = Connected::to(options).await?;
    let catalog = connected.client.catalog().await?;
    let deployed = connected.named(options, &catalog)?;
    let history = connected.client.history(&deployed.table.relation, *last).await?;
    let target = connected.client.endpoint().to_string();
    let engine = connected.server.engine();
    let document = || json::document(&V1History::of(&target, &engine, deployed, &history));
    let text = || history::render(&target, &engine, deployed, &history, &style(options.ui));
    write(options, document, text)
}
