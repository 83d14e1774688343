//! The changes that only dbt can make: everything that is not a stream table.

use std::collections::BTreeSet;

use super::{Answers, Change, Plan, Step, ViewChange};
use crate::{
    model::Relation,
    project::{Project, recreated_by_dbt},
};

/// A change that only dbt can make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsDbt {
    pub relation: Relation,
    /// The reason, as a phrase that follows the relation's name.
    pub why: String,
    /// The stream tables that read the relation, or the relation itself if it is a stream table.
    pub tables: Vec<Relation>,
}

/// A plan that cannot be applied without dbt.
#[derive(Debug, thiserror::Error)]
#[error("this plan cannot be applied without dbt; nothing was changed:\n  {}", reasons.join("\n  "))]
pub struct DbtNeeded {
    pub reasons: Vec<String>,
}

impl DbtNeeded {
    pub fn hint(&self) -> String {
        "deploy with `dbt build`; `pgtrickle-ci plan` shows what it will do".into()
    }
}

/// # Errors
/// If there are reasons.
pub fn check(reasons: Vec<String>) -> Result<(), DbtNeeded> {
    if reasons.is_empty() { Ok(()) } else { Err(DbtNeeded { reasons }) }
}

/// Stream tables that dbt drops itself, because it creates another kind of relation with the same name.
pub(super) fn replacements(steps: &[Step]) -> impl Iterator<Item = NeedsDbt> {
    let replaced = steps.iter().filter_map(|step| Some((step, step.becomes.as_ref()?)));
    replaced.map(|(step, kind)| NeedsDbt {
        relation: step.relation.clone(),
        why: format!("it becomes a {kind}, which only dbt can create"),
        tables: vec![step.relation.clone()],
    })
}

pub(super) fn needs(plan: &Plan, answers: &Answers) -> Vec<NeedsDbt> {
    let mut needs = Vec::new();
    for view in plan.views.iter().filter(|view| view.change != (ViewChange::Remove { becomes: None })) {
        let why = format!("{}, and only dbt changes views", view.change.words());
        needs.push(NeedsDbt { relation: view.relation.clone(), why, tables: view.readers.clone() });
    }
    for unbuilt in &answers.unbuilt {
        needs.push(NeedsDbt {
            relation: unbuilt.relation.clone(),
            why: format!("the {} does not exist yet", unbuilt.kind),
            tables: unbuilt.readers.clone(),
        });
    }
    for step in plan.steps.iter().filter(|step| step.change != Change::Drop) {
        let need = |why: String| NeedsDbt {
            relation: step.relation.clone(),
            why,
            tables: vec![step.relation.clone()],
        };
        let is_explained = needs.iter().any(|need| need.tables.contains(&step.relation));
        let refusal =
            answers.refusals.get(&step.relation).filter(|_| !is_explained && step.failure.is_none());
        let refusal = refusal.filter(|refusal| refusal.is_about_the_query());
        needs.extend(
            refusal.map(|refusal| need(format!("its query fails until dbt has run: {}", refusal.message))),
        );
    }
    needs
}

/// Names the tables that every run of dbt refills although nothing changes (docs/pg_trickle.md, "Source DDL"), and how
/// to avoid that.
pub(super) fn recreated_views_note(steps: &[Step], project: &Project) -> Option<String> {
    let kept = steps.iter().filter(|step| matches!(step.change, Change::Keep | Change::Alter(_)));
    let recreated = recreated_by_dbt(&project.between);
    let refilled: Vec<&Relation> =
        kept.map(|step| &step.relation).filter(|relation| recreated.contains_key(relation)).collect();
    let read = refilled.iter().flat_map(|relation| &recreated[*relation]);
    let read: BTreeSet<String> = read.map(ToString::to_string).collect();
    let refilled: Vec<String> = refilled.into_iter().map(ToString::to_string).collect();
    (!refilled.is_empty()).then(|| {
        format!(
            "every `dbt run` recreates {}, and so refills {}. To avoid that, make the view ephemeral or a `stable_view`",
            read.into_iter().collect::<Vec<_>>().join(", "),
            refilled.join(", ")
        )
    })
}

/// Warns of descriptions that dbt v2 cannot persist (docs/dbt.md, "dbt v2").
pub(super) fn unwritable_descriptions_note(project: &Project) -> Option<String> {
    let files = &project.unwritable_descriptions;
    (!files.is_empty()).then(|| {
        format!(
            "dbt v2 cannot write the descriptions of {} to the database: it splits them at `;`, and loses those with an \
             odd number of `'`. Remove these characters, or disable `persist_docs`",
            files.join(", ")
        )
    })
}
