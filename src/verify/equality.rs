//! Compares tables with their queries, without any writes.

use std::time::{Duration, Instant};

use super::wal;
use crate::{
    judge::equality::{self, Comparable, Difference, Terms},
    model::{Outcome, Stage, StreamTable, Verdict},
    pg::{self, Client},
    sql::quote_identifier,
};

/// Compares each table with its query, both in one snapshot, until the budget ends.
pub async fn compare_with_queries(
    client: &Client,
    tables: &[&StreamTable],
    terms: &Terms,
    budget: Option<Duration>,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), pg::Error> {
    let begun = Instant::now();
    let comparables = client.comparables().await?;
    for table in tables {
        let outcome =
            |verdict, message: String| Outcome::new(Stage::Equality, &table.relation, verdict, message);
        let started = Instant::now();
        let is_over = |budget: &Duration| started.duration_since(begun) >= *budget;
        let there = comparables.iter().find(|comparable| comparable.relation == table.relation);
        let outcome = match (there, budget.filter(is_over)) {
            _ if let Some(left_out) = terms.left_out(Stage::Equality, &table.relation) => left_out,
            (None, _) => outcome(Verdict::Errored, "does not exist as a stream table".into()),
            (Some(_), Some(budget)) => {
                let budget = humantime::format_duration(budget);
                outcome(Verdict::Warned, format!("not compared: the budget of {budget} ended before"))
                    .with_details(["give it more time: --budget 2m".to_owned()])
            }
            (Some(comparable), None) => compared(client, comparable, terms.tolerance).await?,
        };
        outcomes.push(outcome.taking(started.elapsed()).about(table.origin.as_ref()));
    }
    Ok(())
}

/// A server error is an outcome of its table; a lost connection ends the comparison.
async fn compared(client: &Client, table: &Comparable, tolerance: f64) -> Result<Outcome, pg::Error> {
    if let Some(outcome) = equality::not_comparable(table) {
        return Ok(outcome);
    }
    match difference(client, table, tolerance).await {
        Ok(difference) => Ok(equality::judge(table, &difference)),
        Err(pg::Error::Server { message, .. }) => {
            let what = "cannot be compared with its query";
            let outcome = message.outcome(Stage::Equality, &table.relation, Verdict::Errored, what);
            // A row that a policy hides would look like a row too many.
            let hides = message.code == "42501" && message.message.contains("row-level security");
            let role = quote_identifier(&client.endpoint().user);
            Ok(outcome.with_details(hides.then(|| format!("ALTER ROLE {role} BYPASSRLS"))))
        }
        Err(lost) => Err(lost),
    }
}

/// Changes that wait in the log are invisible. So a difference counts only if the same rows differ after the log was read
/// (docs/pg_trickle.md, "Change capture").
async fn difference(client: &Client, table: &Comparable, tolerance: f64) -> Result<Difference, pg::Error> {
    let first = client.compare(table, tolerance).await?;
    if first.is_none() {
        return Ok(first);
    }
    let Some(unread) = wal::unread(client, [&table.relation], None).await? else { return Ok(first) };
    let mut now = client.compare(table, tolerance).await?;
    now.waiting |= !unread.is_empty() || now.examples != first.examples;
    Ok(now)
}
