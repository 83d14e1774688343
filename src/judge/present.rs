//! Whether a table is there, and is what it claims to be.

use super::{Catalog, Terms};
use crate::{
    model::{Health, Outcome, Stage, StreamTable, Verdict},
    plan::Change,
};

/// The judgement, and its kind where that decides something.
pub(super) struct Present {
    pub(super) outcome: Outcome,
    /// The table exists, and differs from its model.
    pub(super) is_drifted: bool,
}

/// Judges one table: in the catalog, on its own storage, and as its model says.
pub(super) fn judge(table: &StreamTable, catalog: &Catalog, terms: &Terms) -> Present {
    let outcome = |verdict, message: String, next: Option<String>| {
        let outcome = Outcome::new(Stage::Present, &table.relation, verdict, message)
            .with_details(next)
            .about(table.origin.as_ref());
        Present { outcome, is_drifted: false }
    };
    let Some(deployed) = catalog.get(&table.relation) else {
        let message = match terms.impostors.get(&table.relation) {
            Some(kind) => format!("is a {kind} and no stream table"),
            None => "does not exist".into(),
        };
        return outcome(Verdict::Failed, message, Some(deploy(table)));
    };
    if let Some(problem) = storage_problem(&deployed.health) {
        let next = match &deployed.health.storage_now {
            Some(elsewhere) if !deployed.health.name_taken => {
                format!("put it back: alter table {elsewhere} rename to \"{}\"", table.relation.name)
            }
            _ => deploy(table),
        };
        return outcome(Verdict::Failed, problem, Some(next));
    }
    match drift(table, terms) {
        Some(differences) => {
            let message = format!("is not what its model says: {differences}");
            let next = Some("see the difference: pgtrickle-ci plan".into());
            Present { is_drifted: true, ..outcome(Verdict::Failed, message, next) }
        }
        None => outcome(Verdict::Passed, "is there".into(), None),
    }
}

fn deploy(table: &StreamTable) -> String {
    match &table.origin {
        Some(origin) => {
            let name = origin.unique_id.rsplit('.').next().unwrap_or(&table.relation.name);
            format!("make it: dbt run --select {name}")
        }
        None => "make it again, or drop what is left of it".into(),
    }
}

/// docs/pg_trickle.md, "Source DDL": nothing in the engine notices that a storage table went away or was renamed.
fn storage_problem(health: &Health) -> Option<String> {
    if health.storage_exists {
        return None;
    }
    Some(match (&health.storage_now, health.name_taken) {
        (None, true) => "its storage was dropped, and something else has its name".into(),
        (None, false) => "its storage was dropped".into(),
        (Some(now), true) => format!("its storage is now called {now}, and something else has its name"),
        (Some(now), false) => format!("its storage was renamed to {now}"),
    })
}

/// What the plan would change. A model that waits for its first deployment is missing, not different.
fn drift(table: &StreamTable, terms: &Terms) -> Option<String> {
    let step = terms.drift.as_ref()?.steps.iter().find(|step| step.relation == table.relation)?;
    let settings = step.change.settings().iter().map(|change| change.setting.name());
    let query = match &step.change {
        Change::AlterQuery { .. } | Change::Recreate { query: Some(_), .. } => Some("query"),
        Change::Recreate { query: None, .. }
        | Change::Create { .. }
        | Change::Alter(_)
        | Change::Drop
        | Change::Keep => None,
    };
    let names: Vec<&str> = query.into_iter().chain(settings).collect();
    (!names.is_empty()).then(|| format!("{} differs", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{catalog, sample},
        model::{Deployed, Origin, Relation, Schedule, Setting, Value},
        plan::{Answers, Plan, Policy},
    };

    fn judged(deployed: &[Deployed], terms: &Terms) -> (Verdict, String) {
        let outcome = judge(&sample::table("t", &[]), &catalog(deployed), terms).outcome;
        (outcome.verdict, outcome.message)
    }

    #[test]
    fn missing_and_taken_names_are_told_apart() {
        let mut terms = Terms::default();
        assert_eq!(judged(&[], &terms), (Verdict::Failed, "does not exist".into()));
        terms.impostors.insert(Relation::new("s", "t"), "view".into());
        assert_eq!(judged(&[], &terms).1, "is a view and no stream table");
        let origin = Some(Origin { unique_id: "model.shop.totals".into(), file: "models/totals.sql".into() });
        let table = StreamTable { origin, ..sample::table("t", &[]) };
        let outcome = judge(&table, &catalog(&[]), &Terms::default()).outcome;
        assert_eq!(outcome.details, ["make it: dbt run --select totals"]);
    }

    #[test]
    fn storage_that_is_elsewhere_fails_with_its_name() {
        let mut there = sample::deployed(sample::table("t", &[]));
        assert_eq!(judged(&[there.clone()], &Terms::default()).0, Verdict::Passed);
        there.health.storage_exists = false;
        there.health.storage_now = Some("s.elsewhere".into());
        assert_eq!(judged(&[there.clone()], &Terms::default()).1, "its storage was renamed to s.elsewhere");
        there.health = Health { storage_now: None, name_taken: true, ..there.health };
        assert!(judged(&[there], &Terms::default()).1.contains("something else has its name"));
    }

    #[test]
    fn what_was_changed_by_hand_is_named() {
        let wanted = sample::table("t", &[]);
        let mut changed = wanted.clone();
        changed.query = "select 2".into();
        changed.settings.set(Setting::Schedule, Value::Schedule(Schedule::Every(5)));
        let there = [sample::deployed(changed)];
        let drift = Plan::between(&[wanted], &there, &Answers::default(), &Policy::default()).unwrap();
        let terms = Terms { drift: Some(drift), ..Terms::default() };
        assert_eq!(
            judged(&there, &terms),
            (Verdict::Failed, "is not what its model says: query, schedule differs".into())
        );
    }
}
