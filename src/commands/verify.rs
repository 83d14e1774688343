//! `verify`: whether the stream tables hold what their queries give.

use std::time::Instant;

use crate::{
    Error,
    cli::VerifyArgs,
    commands::{connect, wanted},
    config::Config,
    exit::Exit,
    judge::{
        self,
        equality::{self, Comparable},
    },
    model::{Outcome, Stage, StreamTable, Verdict},
    pg::{self, Client},
    report::Report,
};

/// Verifies the project's stream tables, or without a project every one of the database.
pub(super) async fn verify(config: &Config, args: &VerifyArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = wanted(config, &args.project, &args.manifest, &args.selection)?;
    report.project = project.as_ref().map(|project| project.name.clone());
    let client = connect(config, &args.server, &args.project, report).await?;
    let deployed = client.catalog().await?;
    let tables = judge::subjects(project.as_ref().map(|project| project.tables.as_slice()), &deployed);
    equal_now(&client, &tables, config.float_tolerance(), &mut report.outcomes).await?;
    Ok(Exit::Passed)
}

/// Compares each table with its query as both are now. It reads, and writes nothing.
pub(super) async fn equal_now(
    client: &Client,
    tables: &[&StreamTable],
    tolerance: f64,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), pg::Error> {
    let comparables = client.comparables().await?;
    for table in tables {
        let there = comparables.iter().find(|comparable| comparable.relation == table.relation);
        let started = Instant::now();
        let outcome = match there {
            None => Outcome::new(
                Stage::Equality,
                &table.relation,
                Verdict::Errored,
                "does not exist as a stream table",
            ),
            Some(comparable) => compared(client, comparable, tolerance).await?,
        };
        outcomes.push(outcome.taking(started.elapsed()).about(table.origin.as_ref()));
    }
    Ok(())
}

/// What one table's server error hides is an outcome of that table; a lost connection is everybody's.
async fn compared(client: &Client, table: &Comparable, tolerance: f64) -> Result<Outcome, pg::Error> {
    if let Some(outcome) = equality::not_comparable(table) {
        return Ok(outcome);
    }
    match client.compare(table, tolerance).await {
        Ok(difference) => Ok(equality::judge(table, &difference)),
        Err(pg::Error::Server { message, .. }) => {
            let sentence = format!("cannot be compared with its query: {}", message.message);
            Ok(Outcome::new(Stage::Equality, &table.relation, Verdict::Errored, sentence)
                .with_details(message.details()))
        }
        Err(lost) => Err(lost),
    }
}
