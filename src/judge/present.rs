//! Whether a table exists, on its own storage, and as its model defines it.

use super::{Catalog, Criteria};
use crate::{
    model::{Health, Outcome, Stage, StreamTable, Verdict},
    plan::Change,
};

pub(super) struct Presence {
    pub(super) outcome: Outcome,
    /// The table exists and differs from its model.
    pub(super) is_drifted: bool,
}

pub(super) fn judge(table: &StreamTable, catalog: &Catalog, criteria: &Criteria) -> Presence {
    let outcome = |verdict, message: String, next: Option<String>| {
        let outcome = Outcome::new(Stage::Present, &table.relation, verdict, message)
            .with_details(next)
            .about(table.origin.as_ref());
        Presence { outcome, is_drifted: false }
    };
    let Some(deployed) = catalog.get(&table.relation) else {
        let message = match criteria.impostors.get(&table.relation) {
            Some(kind) => format!("is a {kind}, not a stream table"),
            None => "does not exist".into(),
        };
        return outcome(Verdict::Failed, message, Some(deploy(table)));
    };
    if let Some(problem) = storage_problem(&deployed.health) {
        let next = match &deployed.health.storage_now {
            Some(elsewhere) if !deployed.health.name_taken => {
                format!("rename it back: alter table {elsewhere} rename to \"{}\"", table.relation.name)
            }
            _ => deploy(table),
        };
        return outcome(Verdict::Failed, problem, Some(next));
    }
    match drift(table, criteria) {
        Some(differences) => {
            let message = format!("differs from its model: {differences}");
            let next = Some("see the difference: pgtrickle-ci plan".into());
            Presence { is_drifted: true, ..outcome(Verdict::Failed, message, next) }
        }
        None => outcome(Verdict::Passed, "exists".into(), None),
    }
}

fn deploy(table: &StreamTable) -> String {
    match &table.origin {
        Some(origin) => {
            let name = origin.unique_id.rsplit('.').next().unwrap_or(&table.relation.name);
            format!("create it: dbt run --select {name}")
        }
        None => "recreate it, or drop what is left of it".into(),
    }
}

/// docs/pg_trickle.md, "Source DDL": the engine does not notice that a storage table was dropped or renamed.
fn storage_problem(health: &Health) -> Option<String> {
    if health.storage_exists {
        return None;
    }
    Some(match (&health.storage_now, health.name_taken) {
        (None, true) => "its storage was dropped, and another object has its name".into(),
        (None, false) => "its storage was dropped".into(),
        (Some(now), true) => format!("its storage was renamed to {now}, and another object has its name"),
        (Some(now), false) => format!("its storage was renamed to {now}"),
    })
}

/// What the plan would change. A model that was never deployed is missing, not different.
fn drift(table: &StreamTable, criteria: &Criteria) -> Option<String> {
    let step = criteria.drift.as_ref()?.steps.iter().find(|step| step.relation == table.relation)?;
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
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{catalog, sample},
        model::{Deployed, Origin, Relation, Schedule, Setting, Value},
        plan::{Answers, Plan, Policy},
    };

    fn judged(deployed: &[Deployed], criteria: &Criteria) -> (Verdict, String) {
        let outcome = judge(&sample::table("t", &[]), &catalog(deployed), criteria).outcome;
        (outcome.verdict, outcome.message)
    }

    #[test]
    fn a_missing_table_differs_from_another_object_with_its_name() {
        let mut criteria = Criteria::default();
        assert_eq!(judged(&[], &criteria), (Verdict::Failed, "does not exist".into()));
        criteria.impostors.insert(Relation::new("s", "t"), "view".into());
        assert_eq!(judged(&[], &criteria).1, "is a view, not a stream table");
        let origin = Some(Origin { unique_id: "model.shop.totals".into(), file: "models/totals.sql".into() });
        let table = StreamTable { origin, ..sample::table("t", &[]) };
        let outcome = judge(&table, &catalog(&[]), &Criteria::default()).outcome;
        assert_eq!(outcome.details, ["create it: dbt run --select totals"]);
    }

    #[test]
    fn renamed_storage_fails_with_its_name() {
        let mut there = sample::deployed(sample::table("t", &[]));
        assert_eq!(judged(&[there.clone()], &Criteria::default()).0, Verdict::Passed);
        there.health.storage_exists = false;
        there.health.storage_now = Some("s.elsewhere".into());
        assert_eq!(
            judged(&[there.clone()], &Criteria::default()).1,
            "its storage was renamed to s.elsewhere"
        );
        there.health = Health { storage_now: None, name_taken: true, ..there.health };
        assert!(judged(&[there], &Criteria::default()).1.contains("another object has its name"));
    }

    #[test]
    fn a_change_by_hand_is_named() {
        let wanted = sample::table("t", &[]);
        let mut changed = wanted.clone();
        changed.query = "select 2".into();
        changed.settings.set(Setting::Schedule, Value::Schedule(Schedule::Every(5)));
        let there = [sample::deployed(changed)];
        let drift = Plan::between(&[wanted], &there, &Answers::default(), &Policy::default()).unwrap();
        let criteria = Criteria { drift: Some(drift), ..Criteria::default() };
        assert_eq!(
            judged(&there, &criteria),
            (Verdict::Failed, "differs from its model: query, schedule".into())
        );
    }
}
