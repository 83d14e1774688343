//! `check`: population, freshness, change capture and health. It reads, and writes nothing.

use crate::{
    Error,
    cli::CheckArgs,
    commands::{connect, wanted},
    config::Config,
    exit::Exit,
    judge::{self, cdc, freshness, health, population},
    model::{Outcome, StreamTable},
    pg::{self, Client},
    report::Report,
};

/// Checks the project's stream tables, or without a project every one of the database.
pub(super) async fn check(config: &Config, args: &CheckArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = wanted(config, &args.project, &args.manifest, &args.selection)?;
    report.project = project.as_ref().map(|project| project.name.clone());
    let client = connect(config, &args.server, &args.project, report).await?;
    let evidence = Evidence::gather(&client).await?;
    let tables =
        judge::subjects(project.as_ref().map(|project| project.tables.as_slice()), &evidence.deployed);
    report.outcomes.extend(evidence.population(&tables));
    report.outcomes.extend(evidence.outcomes(&tables, config.freshness()));
    Ok(Exit::Passed)
}

/// What the server says of its stream tables, gathered in a fixed number of questions.
pub(super) struct Evidence {
    deployed: pg::Catalog,
    captures: Vec<cdc::Capture>,
    engine: pg::EngineState,
}

impl Evidence {
    pub(super) async fn gather(client: &Client) -> Result<Self, pg::Error> {
        Ok(Self {
            deployed: client.catalog().await?,
            captures: client.captures().await?,
            engine: client.engine_state().await?,
        })
    }

    fn population(&self, tables: &[&StreamTable]) -> Vec<Outcome> {
        let catalog = judge::catalog(&self.deployed);
        tables.iter().map(|table| population::judge(table, &catalog)).collect()
    }

    /// Freshness and health of these tables, the capture of what they read, and the engine.
    pub(super) fn outcomes(
        &self,
        tables: &[&StreamTable],
        limits: Option<freshness::Limits>,
    ) -> Vec<Outcome> {
        let catalog = judge::catalog(&self.deployed);
        let names: Vec<String> = tables.iter().map(|table| table.relation.to_string()).collect();
        let concerned = |capture: &&cdc::Capture| capture.readers.iter().any(|reader| names.contains(reader));
        let fresh = tables.iter().map(|table| freshness::judge(table, &catalog, self.engine.now, limits));
        let captured = self.captures.iter().filter(concerned).map(cdc::judge);
        let healthy = tables.iter().map(|table| health::judge(table, &catalog));
        let engine = health::judge_engine(&self.engine.checks);
        fresh.chain(captured).chain(healthy).chain(engine).collect()
    }
}
