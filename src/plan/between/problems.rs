//! Why a plan would fail: failing queries, removed columns that are still read, and readers that belong to another
//! project.

use std::collections::BTreeSet;

use super::Comparison;
use crate::{
    model::Setting,
    plan::{Change, Problem, Refusal, SpecialSource, Step},
    sql,
};

/// Sets the failure of each step whose query fails.
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
            removed_column_failure(comparison, step, steps, refusal)
                .unwrap_or_else(|| format!("its query is invalid: {} ({})", refusal.message, refusal.code)),
        );
    }
    if let Some(reason) = comparison.answers.unsupported.get(&step.relation) {
        return Some(format!("pg_trickle refuses its query: {reason}"));
    }
    let refusal = comparison.answers.refusals.get(&step.relation)?;
    removed_column_failure(comparison, step, steps, refusal)
}

/// The failure of a query that reads a column which the plan removes upstream.
fn removed_column_failure(
    comparison: &Comparison,
    step: &Step,
    steps: &[Step],
    refusal: &Refusal,
) -> Option<String> {
    let query = comparison.query(&step.relation)?;
    let is_named = |column: &&str| sql::tokens(query).any(|token| token.trim_matches('"') == *column);
    let mut removing = steps.iter().filter(|up| up.downstream.contains(&step.relation));
    let (up, column) = removing.find_map(|up| Some((up, up.removed_columns().find(is_named)?)))?;
    // docs/pg_trickle.md, "Errors": undefined_column.
    (refusal.code == "42703").then(|| {
        format!("its query reads `{column}` of {}, which this plan removes: {}", up.relation, refusal.message)
    })
}

pub(super) fn of(comparison: &Comparison, steps: &[Step]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for step in steps {
        problems.extend(uncaptured_sources(comparison, step));
        problems.extend(lacking_settings(comparison, step));
        problems.extend(undistributed(comparison, step));
        problems.extend(unbuffered(comparison, step));
        problems.extend(columns_read_by_views(comparison, step));
        problems.extend(foreign_readers(comparison, step));
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
            message: format!("the view's query is invalid: {} ({})", refusal.message, refusal.code),
            origin: view.origin.clone(),
        });
    }
    problems
}

/// The engine would refuse the argument.
fn lacking_settings(comparison: &Comparison, step: &Step) -> Vec<Problem> {
    if !matches!(step.change, Change::Create { .. } | Change::Recreate { .. }) {
        return Vec::new();
    }
    let problem = |setting: Setting| {
        let since = setting.since()?;
        Some(step.problem(format!("this server does not have {setting}, which came with pg_trickle {since}")))
    };
    comparison.lacking_settings(&step.relation).filter_map(problem).collect()
}

/// No version is known that creates such a table (docs/pg_trickle.md, "Citus").
fn undistributed(comparison: &Comparison, step: &Step) -> Option<Problem> {
    if !matches!(step.change, Change::Create { .. } | Change::Recreate { .. }) {
        return None;
    }
    let table = comparison.tables.get(&step.relation)?;
    table.settings.get(Setting::OutputDistributionColumn)?;
    let why = if comparison.answers.has_citus? {
        "Citus does not distribute it, because it has triggers"
    } else {
        "this database does not have Citus"
    };
    Some(step.problem(format!("creating it with output_distribution_column fails: {why}")))
}

/// A new or changed table captures its sources again (docs/pg_trickle.md, "Names").
fn unbuffered(comparison: &Comparison, step: &Step) -> Option<Problem> {
    if matches!(step.change, Change::Drop | Change::Keep | Change::Alter(_)) {
        return None;
    }
    let why = comparison.answers.refuses_buffers.clone()?;
    let table = comparison.tables.get(&step.relation)?;
    (table.settings.refresh_mode() != Some("IMMEDIATE")).then(|| step.problem(why))
}

/// Citus runs the capture triggers on its workers, which have no change buffers (docs/pg_trickle.md, "Citus").
fn uncaptured_sources(comparison: &Comparison, step: &Step) -> Vec<Problem> {
    if matches!(step.change, Change::Drop | Change::Keep) {
        return Vec::new();
    }
    let sources = comparison.special_sources(&step.relation);
    let problem = |source: &SpecialSource| {
        let citus = source.citus.as_ref()?;
        Some(step.problem(format!(
            "its source {} {citus}: pg_trickle cannot capture its changes",
            source.relation
        )))
    };
    sources.filter_map(problem).collect()
}

/// PostgreSQL does not drop a column that a view reads.
fn columns_read_by_views(comparison: &Comparison, step: &Step) -> Vec<Problem> {
    if !matches!(step.change, Change::AlterQuery { .. }) {
        return Vec::new();
    }
    let removed: BTreeSet<&str> = step.removed_columns().collect();
    let now = comparison.existing.get(&step.relation);
    let views = now.into_iter().flat_map(|now| &now.storage.views);
    views
        .filter_map(|view| {
            let columns: Vec<&str> =
                view.columns.iter().map(String::as_str).filter(|column| removed.contains(column)).collect();
            (!columns.is_empty()).then(|| {
                step.problem(format!(
                    "the view {} reads `{}`: PostgreSQL does not drop a column that a view reads",
                    view.relation,
                    columns.join("`, `")
                ))
            })
        })
        .collect()
}

fn foreign_readers(comparison: &Comparison, step: &Step) -> Vec<Problem> {
    if !matches!(step.change, Change::Recreate { .. } | Change::Drop) {
        return Vec::new();
    }
    let readers = comparison.readers.below(&step.relation);
    let readers = readers.into_iter().filter_map(|reader| comparison.existing.get(reader));
    let is_undesired = |relation| !comparison.desired.contains(relation);
    readers
        .filter(|reader| is_undesired(&reader.table.relation) && !comparison.is_ours(reader))
        .map(|reader| {
            step.problem(format!(
                "{} reads it and would be dropped with it, but does not belong to this project",
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
