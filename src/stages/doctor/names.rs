//! Names in the configuration that match nothing.

use super::found;
use crate::{
    judge::{Evidence, hazards},
    model::{Outcome, Relation, Verdict},
    options::DoctorOptions,
    project::Project,
};

/// The names of stream tables in the configuration that match neither the project nor the server, and the silences that
/// hide nothing.
pub fn unmatched_names(
    options: &DoctorOptions,
    project: Option<&Project>,
    evidence: Option<&Evidence>,
) -> Vec<Outcome> {
    let named = options.named_tables();
    if named.is_empty() && options.terms.silences.is_empty() {
        return vec![];
    }
    let of_project = project.into_iter().flat_map(|project| project.tables.iter().chain(&project.unselected));
    let of_server =
        evidence.into_iter().flat_map(|evidence| &evidence.deployed).map(|deployed| &deployed.table);
    let tables: Vec<&Relation> = of_project.chain(of_server).map(|table| &table.relation).collect();
    let (Some(_), Some(evidence)) = (project, evidence) else {
        let lacks = if project.is_none() { "the compiled project" } else { "a server" };
        let message = format!("cannot tell whether names in the configuration match: this needs {lacks}");
        return vec![found("names", Verdict::Skipped, message)];
    };
    let is_unmatched = |name: &str| !tables.iter().any(|table| table.is_named(name));
    let mut outcomes: Vec<Outcome> = named
        .into_iter()
        .filter(|(_, name)| is_unmatched(name))
        .map(|(key, name)| {
            let message = format!("`{key}` names `{name}`, and no stream table has that name");
            found(&format!("{key} {name}"), Verdict::Warned, message)
        })
        .collect();
    outcomes.extend(hazards::unused(&options.terms.silences, evidence).into_iter().map(|silence| {
        let message = format!(
            "`checks.silence` silences {} for `{}`, and no table there has it",
            silence.hazard, silence.model
        );
        found(&format!("checks.silence {} {}", silence.hazard, silence.model), Verdict::Warned, message)
    }));
    if outcomes.is_empty() {
        outcomes.push(found("names", Verdict::Passed, "every name in the configuration matches"));
    }
    outcomes
}
