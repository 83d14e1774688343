//! What a plan needs dbt for: everything that is not a stream table.

use std::collections::BTreeSet;

use super::{Answers, Change, Plan, Step, ViewChange};
use crate::{
    model::Relation,
    project::{Project, recreated_by_dbt},
};

/// Something that only dbt can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsDbt {
    /// What it is about.
    pub relation: Relation,
    /// Why, as a sentence about it.
    pub why: String,
    /// The stream tables that read it, or that table itself.
    pub tables: Vec<Relation>,
}

/// A plan that cannot be carried out without dbt.
#[derive(Debug, thiserror::Error)]
#[error("this plan cannot be carried out without dbt, and nothing was changed:\n  {}", reasons.join("\n  "))]
pub struct DbtNeeded {
    /// Why, a line each.
    pub reasons: Vec<String>,
}

impl DbtNeeded {
    /// The next command to type.
    pub fn hint(&self) -> String {
        "deploy with `dbt build`; `pgtrickle-ci plan` shows what it will do".into()
    }
}

impl Plan {
    /// # Errors
    /// When something is left that only dbt can do.
    pub fn check_without_dbt(&self) -> Result<(), DbtNeeded> {
        check(self.needs_dbt.iter().map(|need| format!("{}: {}", need.relation, need.why)))
    }
}

/// # Errors
/// With these reasons, if there are any.
pub fn check(reasons: impl IntoIterator<Item = String>) -> Result<(), DbtNeeded> {
    let reasons: Vec<String> = reasons.into_iter().collect();
    if reasons.is_empty() { Ok(()) } else { Err(DbtNeeded { reasons }) }
}

/// Tables that dbt drops itself, because it makes something else of that name.
pub(super) fn replacements(steps: &[Step]) -> impl Iterator<Item = NeedsDbt> {
    let replaced = steps.iter().filter_map(|step| Some((step, step.becomes.as_ref()?)));
    replaced.map(|(step, kind)| NeedsDbt {
        relation: step.relation.clone(),
        why: format!("it becomes a {kind}, which only dbt makes"),
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
        let own = |why: String| NeedsDbt {
            relation: step.relation.clone(),
            why,
            tables: vec![step.relation.clone()],
        };
        let is_explained = needs.iter().any(|need| need.tables.contains(&step.relation));
        let refusal =
            answers.refusals.get(&step.relation).filter(|_| !is_explained && step.failure.is_none());
        let refusal = refusal.filter(|refusal| refusal.is_about_the_query());
        needs.extend(refusal.map(|refusal| own(format!("its query waits for dbt: {}", refusal.message))));
    }
    needs
}

/// Which tables every run of dbt fills again although nothing changes (docs/pg_trickle.md, "Source DDL"), and the way
/// out.
pub(super) fn remade_note(steps: &[Step], project: &Project) -> Option<String> {
    let kept = steps.iter().filter(|step| matches!(step.change, Change::Keep | Change::Alter(_)));
    let remade = recreated_by_dbt(&project.between);
    let refilled: Vec<&Relation> =
        kept.map(|step| &step.relation).filter(|relation| remade.contains_key(relation)).collect();
    let read = refilled.iter().flat_map(|relation| &remade[*relation]);
    let read: BTreeSet<String> = read.map(ToString::to_string).collect();
    let refilled: Vec<String> = refilled.into_iter().map(ToString::to_string).collect();
    (!refilled.is_empty()).then(|| {
        format!(
            "every `dbt run` rebuilds {}, and so refills {}. A view that is ephemeral or a `stable_view` is not rebuilt",
            read.into_iter().collect::<Vec<_>>().join(", "),
            refilled.join(", ")
        )
    })
}
