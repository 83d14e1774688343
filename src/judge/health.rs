//! Status of each table, and what the engine says of itself.

use serde::Deserialize;

use super::{Catalog, engine_message};
use crate::model::{Outcome, Stage, StreamTable, Verdict};

/// One row of the engine's `health_check()` (docs/pg_trickle.md, "Health views").
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EngineCheck {
    /// What was looked at.
    pub check_name: String,
    /// `OK`, `WARN`, `WARNING` or `ERROR`.
    pub severity: String,
    /// A sentence.
    pub detail: String,
}

/// Those of the engine's checks that this gate answers itself, table by table and without their false alarms.
const ANSWERED_HERE: [&str; 4] = ["error_tables", "stale_tables", "needs_reinit", "consecutive_errors"];

/// Judges one table by its status. The engine's error counter is no evidence: it stays at zero.
pub fn judge(table: &StreamTable, catalog: &Catalog) -> Outcome {
    let (verdict, message) = standing(table, catalog);
    let next = (verdict == Verdict::Failed && catalog.contains_key(&table.relation))
        .then(|| format!("look at it: select * from pgtrickle.explain_st('{}')", table.relation));
    Outcome::new(Stage::Health, &table.relation, verdict, message)
        .with_details(next)
        .about(table.origin.as_ref())
}

fn standing(table: &StreamTable, catalog: &Catalog) -> (Verdict, String) {
    let Some(deployed) = catalog.get(&table.relation) else {
        return (Verdict::Failed, "does not exist as a stream table".into());
    };
    let health = &deployed.health;
    if !health.storage_exists {
        return (
            Verdict::Failed,
            "its storage is not the relation of that name: dropped or renamed by hand".into(),
        );
    }
    if health.fuse_state.as_deref() == Some("blown") {
        let why = health.blow_reason.as_deref().unwrap_or("no reason given");
        return (Verdict::Failed, format!("its fuse has blown: {why}"));
    }
    match health.status.as_str() {
        "ACTIVE" if health.needs_reinit => {
            (Verdict::Warned, "ACTIVE, but due to be filled again from scratch".into())
        }
        "ACTIVE" => (Verdict::Passed, mode_sentence(deployed.health.effective_refresh_mode.as_deref())),
        "ERROR" => {
            let why = engine_message(health.last_error_message.as_deref().unwrap_or_default());
            (Verdict::Failed, format!("in status ERROR: {why}"))
        }
        status => (Verdict::Failed, format!("in status {status}, it is not refreshed")),
    }
}

fn mode_sentence(effective: Option<&str>) -> String {
    match effective {
        Some("NO_DATA") | None => "ACTIVE".into(),
        Some(mode) => format!("ACTIVE, last refreshed {mode}"),
    }
}

/// Judges what the engine says of itself. Without the scheduler's row there is no evidence that it runs.
pub fn judge_engine(checks: &[EngineCheck]) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = checks
        .iter()
        .filter(|check| !ANSWERED_HERE.contains(&check.check_name.as_str()))
        .map(|check| {
            let verdict = match (check.severity.as_str(), check.check_name.as_str()) {
                ("OK", _) => Verdict::Passed,
                ("ERROR", _) | (_, "scheduler_running") => Verdict::Failed,
                _ => Verdict::Warned,
            };
            Outcome::new(Stage::Health, &check.check_name, verdict, check.detail.clone())
        })
        .collect();
    if !outcomes.iter().any(|outcome| outcome.subject == "scheduler_running") {
        let message = "the engine does not say whether its scheduler runs";
        outcomes.push(Outcome::new(Stage::Health, "scheduler_running", Verdict::Errored, message));
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::catalog,
        model::{Deployed, Health, Relation, Settings},
    };

    fn judged(health: Health) -> Outcome {
        let table = StreamTable {
            relation: Relation::new("s", "t"),
            query: String::new(),
            settings: Settings::default(),
            upstream: vec![],
            columns: None,
            origin: None,
        };
        let deployed = [Deployed {
            table: table.clone(),
            mark: None,
            health,
            storage: crate::model::Storage::default(),
        }];
        judge(&table, &catalog(&deployed))
    }

    fn healthy() -> Health {
        Health { status: "ACTIVE".into(), is_populated: true, storage_exists: true, ..Health::default() }
    }

    #[test]
    fn active_alone_passes() {
        assert_eq!(judged(healthy()).verdict, Verdict::Passed);
        assert_eq!(judged(Health { needs_reinit: true, ..healthy() }).verdict, Verdict::Warned);
        for status in ["SUSPENDED", "ERROR", "INITIALIZING", "SOMETHING_NEW"] {
            assert_eq!(
                judged(Health { status: status.into(), ..healthy() }).verdict,
                Verdict::Failed,
                "{status}"
            );
        }
        assert_eq!(judged(Health { storage_exists: false, ..healthy() }).verdict, Verdict::Failed);
        let blown =
            Health { fuse_state: Some("blown".into()), blow_reason: Some("12 changes".into()), ..healthy() };
        assert_eq!(judged(blown).message, "its fuse has blown: 12 changes");
    }

    fn check(name: &str, severity: &str) -> EngineCheck {
        EngineCheck { check_name: name.into(), severity: severity.into(), detail: "words".into() }
    }

    #[test]
    fn a_scheduler_that_does_not_run_fails_whatever_the_severity() {
        let verdicts =
            |checks: &[EngineCheck]| judge_engine(checks).iter().map(|o| o.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&[check("scheduler_running", "OK")]), [Verdict::Passed]);
        assert_eq!(verdicts(&[check("scheduler_running", "WARN")]), [Verdict::Failed]);
        assert_eq!(
            verdicts(&[check("scheduler_running", "OK"), check("slot_lag", "WARN")]),
            [Verdict::Passed, Verdict::Warned]
        );
        assert_eq!(verdicts(&[]), [Verdict::Errored]);
    }

    #[test]
    fn the_engines_flickering_checks_are_left_out() {
        let outcomes = judge_engine(&[check("scheduler_running", "OK"), check("stale_tables", "WARN")]);
        assert_eq!(outcomes.len(), 1);
    }
}
