//! Deploys with dbt: which tables it created, and the drops that dbt does not do.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    Error, dbt,
    model::{Origin, Outcome, Relation, Stage, StreamTable, Verdict},
    output::Ui,
    pg::Client,
    project::Project,
};

/// Runs the user's SQL files in order, to create sources.
pub async fn run_fixtures(client: &Client, files: &[PathBuf], ui: Ui) -> Result<(), Error> {
    for file in files {
        let sql = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
        ui.say(&format!("running the fixture {}", file.display()));
        let failed = |message| dbt::Error::Fixture { file: file.clone(), message };
        client.run_script(&sql).await.map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

/// Drops tables without a model, which dbt does not do.
pub async fn drop_tables(client: &Client, drops: &[Relation]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for relation in drops {
        let dropped = client.drop_stream_table(relation).await;
        outcomes.push(match dropped {
            Ok(()) => Outcome::new(Stage::Deploy, relation, Verdict::Passed, "DROP"),
            Err(error) => Outcome::new(Stage::Deploy, relation, Verdict::Errored, error.to_string())
                .quoting(&error.to_string(), None),
        });
    }
    outcomes
}

/// The models of the stream tables.
pub fn with_origins(project: &Project) -> Vec<(Relation, Origin)> {
    project.tables.iter().filter_map(|table| Some((table.relation.clone(), table.origin.clone()?))).collect()
}

/// The tables that dbt created or kept.
pub fn created_tables(project: &Project, deployed: &[Outcome]) -> BTreeSet<Relation> {
    let missing: BTreeSet<&Relation> = deployed
        .iter()
        .filter(|outcome| outcome.verdict != Verdict::Passed)
        .filter_map(|outcome| outcome.subject.relation())
        .collect();
    let tables = project.tables.iter().map(|table| &table.relation);
    tables.filter(|relation| !missing.contains(relation)).cloned().collect()
}

/// The project's tables with these names.
pub fn with_names<'a>(project: &'a Project, names: &BTreeSet<Relation>) -> Vec<&'a StreamTable> {
    project.tables.iter().filter(|table| names.contains(&table.relation)).collect()
}

/// The outcomes of tables that dbt did not create: without them, there is nothing to wait for.
pub fn skipped_outcomes(project: &Project, created: &BTreeSet<Relation>) -> Vec<Outcome> {
    let skipped = |table: &StreamTable| {
        let message = "skipped: dbt did not create it";
        Outcome::new(Stage::Population, &table.relation, Verdict::Skipped, message)
            .about(table.origin.as_ref())
    };
    project.tables.iter().filter(|table| !created.contains(&table.relation)).map(skipped).collect()
}
