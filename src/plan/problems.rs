//! What would go wrong: queries that can only fail, columns that something still reads, and readers that are not this
//! project's to drop.

use std::collections::BTreeSet;

use super::{Change, Problem, Refusal, Step, between::Comparison};
use crate::sql;

/// Marks the steps whose queries can only fail, each with why.
pub(super) fn mark(comparison: &Comparison, steps: &mut [Step]) {
    let failures: Vec<Option<String>> = steps.iter().map(|step| failure(comparison, step, steps)).collect();
    for (step, failure) in steps.iter_mut().zip(failures) {
        step.failure = failure;
    }
}

fn failure(comparison: &Comparison, step: &Step, steps: &[Step]) -> Option<String> {
    if step.change == Change::Drop {
        return None;
    }
    if let Some(refusal) = comparison.answers.failures.get(&step.relation) {
        return Some(
            reads_what_goes(comparison, step, steps, refusal).unwrap_or_else(|| {
                format!("its query can only fail: {} ({})", refusal.message, refusal.code)
            }),
        );
    }
    let refusal = comparison.answers.refusals.get(&step.relation)?;
    reads_what_goes(comparison, step, steps, refusal)
}

/// Whether a query that stays, or comes, reads a column that goes.
fn reads_what_goes(
    comparison: &Comparison,
    step: &Step,
    steps: &[Step],
    refusal: &Refusal,
) -> Option<String> {
    let table = comparison.query(&step.relation)?;
    let is_named = |column: &&str| sql::tokens(table).any(|token| token.trim_matches('"') == *column);
    let mut removing = steps.iter().filter(|up| up.downstream.contains(&step.relation));
    let (up, column) = removing.find_map(|up| Some((up, up.removed_columns().find(is_named)?)))?;
    // docs/pg_trickle.md, "Errors": PostgreSQL's own error about a column that does not exist.
    (refusal.code == "42703").then(|| {
        format!("its query reads `{column}` of {}, which would go: {}", up.relation, refusal.message)
    })
}

/// Everything that would go wrong.
pub(super) fn of(comparison: &Comparison, steps: &[Step]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for step in steps {
        problems.extend(kept_by_views(comparison, step));
        problems.extend(readers_of_others(comparison, step));
        problems.extend(step.failure.clone().map(|failure| step.problem(failure)));
        let refusal = comparison.answers.refusals.get(&step.relation);
        let unchecked =
            refusal.filter(|refusal| !refusal.is_about_the_query() && step.change != Change::Drop);
        problems.extend(unchecked.map(|refusal| {
            step.problem(format!("its query could not be checked: {} ({})", refusal.message, refusal.code))
        }));
    }
    for view in &comparison.answers.views {
        let Some(refusal) = comparison.answers.failures.get(&view.relation) else { continue };
        problems.push(Problem {
            relation: view.relation.clone(),
            message: format!("the view's query can only fail: {} ({})", refusal.message, refusal.code),
            origin: view.origin.clone(),
        });
    }
    problems
}

/// PostgreSQL drops no column that a view reads.
fn kept_by_views(comparison: &Comparison, step: &Step) -> Vec<Problem> {
    if !matches!(step.change, Change::AlterQuery { .. }) {
        return Vec::new();
    }
    let removed: BTreeSet<&str> = step.removed_columns().collect();
    let now = comparison.there.get(&step.relation);
    let views = now.into_iter().flat_map(|now| &now.storage.views);
    views
        .filter_map(|view| {
            let columns: Vec<&str> =
                view.columns.iter().map(String::as_str).filter(|column| removed.contains(column)).collect();
            (!columns.is_empty()).then(|| {
                step.problem(format!(
                    "the view {} reads `{}`, which would go: PostgreSQL refuses that",
                    view.relation,
                    columns.join("`, `")
                ))
            })
        })
        .collect()
}

fn readers_of_others(comparison: &Comparison, step: &Step) -> Vec<Problem> {
    if !matches!(step.change, Change::Recreate { .. } | Change::Drop) {
        return Vec::new();
    }
    let readers = comparison.readers.below(&step.relation);
    let readers = readers.into_iter().filter_map(|reader| comparison.there.get(reader));
    let is_stranger = |relation| !comparison.wanted.contains(relation);
    readers
        .filter(|reader| is_stranger(&reader.table.relation) && !comparison.is_ours(reader))
        .map(|reader| {
            step.problem(format!(
                "{} reads it, would have to be dropped with it, and is not this project's",
                reader.table.relation
            ))
        })
        .collect()
}

impl Step {
    fn problem(&self, message: String) -> Problem {
        Problem { relation: self.relation.clone(), message, origin: self.origin.clone() }
    }
}
