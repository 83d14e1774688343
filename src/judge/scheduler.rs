//! Whether the scheduler of this database runs, and whether old snapshots hold its work back.

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;

use super::{Catalog, Criteria, freshness, shown, status};
use crate::model::{AgeLimits, Outcome, Relation, Stage, StreamTable, Verdict};

/// The engine's state and that of its server.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
pub struct EngineState {
    /// The server's clock, in seconds since the epoch.
    pub now: f64,
    /// The emulator's scheduler is not a process of the server.
    pub emulator: bool,
    pub checks: Vec<EngineCheck>,
    pub role: String,
    /// Whether the role may see the activity of other sessions.
    pub sees_activity: bool,
    pub standby: bool,
    pub enabled: bool,
    /// Whether a drain has stopped the scheduler until it is resumed, in versions in which a drain lasts.
    pub drained: bool,
    /// Whether this version can put capture triggers back.
    pub can_repair: bool,
    /// What the database says of itself, in versions that recognize a copy of a database.
    pub instance: Option<CaptureInstance>,
    /// What `validate_recovery()` says, in versions that have it.
    pub recovery: Option<String>,
    /// The versions of the loaded library and of the database's extension; `None` if the engine does not say.
    pub versions: Option<Versions>,
    /// Whether `preflight_upgrade()` exists.
    pub has_preflight: bool,
    pub capture_paused: bool,
    /// Whether change buffers are emptied with TRUNCATE.
    pub truncates_buffers: bool,
    /// From how many pending changes on a change buffer is compacted; 0 for never, `None` if the server does not say.
    pub compact_threshold: Option<i64>,
    /// The schema of the change buffers, if its name needs quotes.
    pub buffer_schema_to_quote: Option<String>,
    pub wal_level: String,
    /// A slot's lag in megabytes from which to warn.
    pub slot_lag_warning: Option<String>,
    /// A slot's lag in megabytes from which to fail.
    pub slot_lag_critical: Option<String>,
    pub schedulers: Vec<SchedulerProcess>,
    /// Sessions that hold a snapshot, the oldest first.
    pub holders: Vec<SnapshotHolder>,
    /// Open transactions that have written to a source that triggers capture, the oldest first.
    pub writers: Vec<OpenWriter>,
}

/// Whether changes are captured and applied in this database at all (docs/pg_trickle.md, "Restored databases").
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CaptureInstance {
    /// `ACTIVE`, `QUIESCED` or `QUARANTINED`.
    pub state: String,
    pub quarantine_reason: Option<String>,
}

/// docs/pg_trickle.md, "Versions".
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Versions {
    #[serde(rename = "library_version")]
    pub library: String,
    #[serde(rename = "extension_version")]
    pub extension: String,
}

/// One row of the engine's `health_check()` (docs/pg_trickle.md, "Health views").
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EngineCheck {
    pub check_name: String,
    /// `OK`, `WARN`, `WARNING` or `ERROR`.
    pub severity: String,
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SchedulerProcess {
    pub pid: i32,
    /// In seconds.
    pub age: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SnapshotHolder {
    pub id: String,
    pub application: String,
    pub database: String,
    /// How long it has held the snapshot, in seconds.
    pub age: f64,
}

/// An open transaction that has written to a source.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct OpenWriter {
    pub id: String,
    pub application: String,
    pub source: Relation,
    /// When it began, in seconds since the epoch.
    pub began: f64,
}

/// The engine's checks that this module replaces: per table, and without their false alarms.
const ANSWERED_HERE: [&str; 5] =
    ["scheduler_running", "error_tables", "stale_tables", "needs_reinit", "consecutive_errors"];

/// In seconds. A younger scheduler beside late tables may be in a crash loop.
const YOUNG: f64 = 60.0;

pub fn judge(
    engine: &EngineState,
    tables: &[&StreamTable],
    catalog: &Catalog,
    criteria: &Criteria,
) -> Vec<Outcome> {
    let mut outcomes = vec![running(engine, tables, catalog, criteria)];
    outcomes.push(upgrade(engine, tables, catalog));
    outcomes.extend(engine.instance.as_ref().map(instance));
    outcomes.extend(engine.recovery.as_deref().and_then(unrecovered));
    if engine.sees_activity {
        outcomes.push(snapshots(engine, tables, catalog, criteria));
    }
    outcomes.extend(
        engine
            .checks
            .iter()
            .filter(|check| !ANSWERED_HERE.contains(&check.check_name.as_str()))
            .map(own_check),
    );
    outcomes
}

fn own_check(check: &EngineCheck) -> Outcome {
    let verdict = match check.severity.as_str() {
        "OK" => Verdict::Passed,
        "ERROR" => Verdict::Failed,
        _ => Verdict::Warned,
    };
    Outcome::new(Stage::Scheduler, &check.check_name, verdict, &check.detail)
}

/// What an upgrade of the extension has left to do.
fn upgrade(engine: &EngineState, tables: &[&StreamTable], catalog: &Catalog) -> Outcome {
    let outcome = |verdict, message| Outcome::new(Stage::Scheduler, "upgrade", verdict, message);
    let Some(Versions { library, extension }) = &engine.versions else {
        let message = "pg_trickle does not say whether the library and the extension have the same version";
        return outcome(Verdict::Warned, message.to_owned());
    };
    if library != extension {
        let message =
            format!("unfinished: the server runs the library {library}, and the extension is {extension}");
        let before =
            engine.has_preflight.then_some("see what would stop it: select pgtrickle.preflight_upgrade()");
        let steps = before.into_iter().chain(["ALTER EXTENSION pg_trickle UPDATE"]);
        return outcome(Verdict::Failed, message).with_details(steps.map(str::to_owned));
    }
    let health = |table: &&StreamTable| catalog.get(&table.relation).map(|deployed| &deployed.health);
    let all: Vec<_> = tables.iter().filter_map(health).collect();
    let waiting = all.iter().filter(|health| health.needs_reinit || health.has_old_identity).count();
    let message = format!("nothing is left to do: library and extension are {library}");
    if waiting == 0 {
        return outcome(Verdict::Passed, message);
    }
    let plural = if waiting == 1 { "stream table waits" } else { "stream tables wait" };
    outcome(Verdict::Warned, format!("{waiting} {plural} to be built again"))
}

fn instance(instance: &CaptureInstance) -> Outcome {
    let outcome = |verdict, message| Outcome::new(Stage::Scheduler, "capture instance", verdict, message);
    let reason = instance.quarantine_reason.as_deref().unwrap_or("pg_trickle gives no reason");
    match instance.state.as_str() {
        "ACTIVE" => outcome(Verdict::Passed, "ACTIVE".to_owned()),
        "QUARANTINED" => outcome(Verdict::Failed, format!("QUARANTINED: nothing is refreshed: {reason}"))
            .with_details([
                "see what is lost: select pgtrickle.validate_recovery()".into(),
                "then: select pgtrickle.recover_capture_instance()".into(),
            ]),
        state => outcome(Verdict::Failed, format!("{state}: nothing is refreshed"))
            .with_details(["see its state: select pgtrickle.capture_instance_status()".into()]),
    }
}

/// What the engine misses of its capture. Only its words for it are published, so that no text without them proves that
/// nothing is missing (docs/pg_trickle.md, "Restored databases").
fn unrecovered(said: &str) -> Option<Outcome> {
    const VERDICTS: [&str; 3] = ["BLOCKER", "REINITIALIZATION_REQUIRED", "OPERATOR_INTERVENTION_REQUIRED"];
    let words = || said.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
    if !words().any(|word| VERDICTS.contains(&word)) {
        return None;
    }
    let reasons: BTreeSet<&str> =
        words().filter(|word| word.starts_with("CDC_") || word.starts_with("RECOVERY_")).collect();
    let reasons: Vec<&str> = if reasons.is_empty() {
        words().filter(|word| VERDICTS.contains(word)).collect()
    } else {
        reasons.into_iter().collect()
    };
    let message = format!("changes may be lost: {}", reasons.join(", "));
    Some(
        Outcome::new(Stage::Scheduler, "recovery", Verdict::Failed, message)
            .with_details([said.to_owned(), "select pgtrickle.validate_recovery()".into()]),
    )
}

fn running(engine: &EngineState, tables: &[&StreamTable], catalog: &Catalog, criteria: &Criteria) -> Outcome {
    let outcome = |verdict, message: String, next: Option<String>| {
        Outcome::new(Stage::Scheduler, "scheduler", verdict, message).with_details(next)
    };
    if engine.standby {
        let next = "check the primary: --database-url".into();
        return outcome(
            Verdict::Errored,
            "this server is a standby, where no scheduler runs".into(),
            Some(next),
        );
    }
    if !engine.sees_activity {
        let role = engine.role.replace('"', "\"\"");
        return outcome(
            Verdict::Errored,
            format!(
                "the role {} may not see other sessions: cannot tell whether the scheduler runs, what holds it back, and which transactions are open",
                engine.role
            ),
            Some(format!("GRANT pg_monitor TO \"{role}\"")),
        );
    }
    if !engine.enabled {
        let next = "ALTER SYSTEM SET pg_trickle.enabled = on; SELECT pg_reload_conf()".into();
        return outcome(
            Verdict::Failed,
            "pg_trickle.enabled is off: no table is refreshed".into(),
            Some(next),
        );
    }
    if engine.drained {
        return outcome(
            Verdict::Failed,
            "drained: no table is refreshed until it is resumed".into(),
            Some("select pgtrickle.resume_after_drain()".into()),
        );
    }
    let own_check = engine.checks.iter().find(|check| check.check_name == "scheduler_running");
    let own_check_passes = own_check.is_some_and(|check| check.severity == "OK");
    let log = Some("see the server's log for why the scheduler ended".to_owned());
    match engine.schedulers.first() {
        None if own_check_passes && engine.emulator => outcome(Verdict::Passed, "running".into(), None),
        None => {
            let detail = own_check.map(|check| format!(": {}", check.detail)).unwrap_or_default();
            outcome(Verdict::Failed, format!("no scheduler runs for this database{detail}"), log)
        }
        Some(scheduler) if scheduler.age < YOUNG && is_overdue(engine, tables, catalog, criteria) => outcome(
            Verdict::Failed,
            format!(
                "running for only {}, and tables are late: it may be in a crash loop",
                shown(Duration::from_secs_f64(scheduler.age.max(0.0)))
            ),
            log,
        ),
        Some(scheduler) => outcome(
            Verdict::Passed,
            format!(
                "running for {} with pid {}",
                shown(Duration::from_secs_f64(scheduler.age.max(0.0))),
                scheduler.pid
            ),
            None,
        ),
    }
}

fn is_overdue(engine: &EngineState, tables: &[&StreamTable], catalog: &Catalog, criteria: &Criteria) -> bool {
    tables.iter().filter_map(|table| catalog.get(&table.relation).map(|deployed| (table, deployed))).any(
        |(table, deployed)| {
            let age = criteria.age(&table.relation);
            deployed.health.status == "ACTIVE"
                && !status::is_paused(&deployed.health)
                && freshness::judge(table, deployed, catalog, engine.now, age).verdict != Verdict::Passed
        },
    )
}

/// docs/pg_trickle.md, "Visibility lag": the oldest snapshot in the cluster holds back the changes that the scheduler
/// reads, while every table looks fresh. The table with the shortest limits decides how old a snapshot may be.
fn snapshots(
    engine: &EngineState,
    tables: &[&StreamTable],
    catalog: &Catalog,
    criteria: &Criteria,
) -> Outcome {
    let outcome = |verdict, message| Outcome::new(Stage::Scheduler, "snapshots", verdict, message);
    let limits = strictest(tables, catalog, criteria);
    let Some(holder) = engine.holders.first() else {
        return outcome(Verdict::Passed, "no old snapshot holds changes back".to_owned());
    };
    let age = Duration::from_secs_f64(holder.age.max(0.0));
    let exceeds = |limit: Option<Duration>| limit.is_some_and(|limit| age > limit);
    let verdict = if exceeds(limits.error_after) {
        Verdict::Failed
    } else if exceeds(limits.warn_after) {
        Verdict::Warned
    } else {
        return outcome(Verdict::Passed, "no old snapshot holds changes back".to_owned());
    };
    let message = format!(
        "changes of the last {} are held back by a snapshot of {} with pid {} in the database {}",
        shown(age),
        holder.application,
        holder.id,
        holder.database
    );
    outcome(verdict, message).with_details([format!("end it: select pg_terminate_backend({})", holder.id)])
}

/// The shortest limits of all tables; one and ten minutes if no table has any.
fn strictest(tables: &[&StreamTable], catalog: &Catalog, criteria: &Criteria) -> AgeLimits {
    let of = |table: &StreamTable| {
        let deployed = catalog.get(&table.relation)?;
        criteria.age(&table.relation).or_else(|| freshness::by_schedule(deployed))
    };
    let all: Vec<AgeLimits> = tables.iter().filter_map(|table| of(table)).collect();
    let least = |pick: fn(&AgeLimits) -> Option<Duration>| all.iter().filter_map(pick).min();
    AgeLimits {
        warn_after: least(|limits| limits.warn_after).or(Some(Duration::from_mins(1))),
        error_after: least(|limits| limits.error_after).or(Some(Duration::from_mins(10))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{
        catalog,
        sample::{self, NOW},
    };

    fn judged(engine: &EngineState) -> Outcome {
        let table = sample::table("t", &[]);
        let mut there = sample::deployed(table.clone());
        there.health.last_refresh_at = Some(NOW - 500.0);
        judge(engine, &[&table], &catalog(&[there]), &Criteria::default()).remove(0)
    }

    #[test]
    fn only_a_visible_scheduler_passes() {
        let check = |severity: &str| EngineCheck {
            check_name: "scheduler_running".into(),
            severity: severity.into(),
            detail: "words".into(),
        };
        let healthy = sample::engine();
        assert_eq!(judged(&healthy).verdict, Verdict::Passed);
        let none = EngineState { schedulers: vec![], checks: vec![check("OK")], ..healthy.clone() };
        assert_eq!(judged(&none).verdict, Verdict::Failed, "another database's scheduler does not count");
        assert_eq!(judged(&EngineState { emulator: true, ..none.clone() }).verdict, Verdict::Passed);
        let emulator = EngineState { emulator: true, checks: vec![check("ERROR")], ..none };
        assert_eq!(judged(&emulator).message, "no scheduler runs for this database: words");
        assert_eq!(judged(&EngineState { drained: true, ..healthy.clone() }).verdict, Verdict::Failed);
        assert_eq!(judged(&EngineState { enabled: false, ..healthy }).verdict, Verdict::Failed);
    }

    #[test]
    fn an_unfinished_upgrade_fails_and_tables_that_wait_for_it_warn() {
        let judged = |versions: Option<Versions>, waits: bool| {
            let table = sample::table("t", &[]);
            let mut there = sample::deployed(table.clone());
            there.health.has_old_identity = waits;
            let engine = EngineState { versions, ..sample::engine() };
            let outcome = judge(&engine, &[&table], &catalog(&[there]), &Criteria::default()).remove(1);
            (outcome.verdict, outcome.message)
        };
        let versions =
            |extension: &str| Some(Versions { library: "0.108.3".into(), extension: extension.into() });
        assert_eq!(judged(versions("0.108.3"), false).0, Verdict::Passed);
        assert_eq!(
            judged(versions("0.67.0"), false),
            (
                Verdict::Failed,
                "unfinished: the server runs the library 0.108.3, and the extension is 0.67.0".into()
            )
        );
        let waits = (Verdict::Warned, "1 stream table waits to be built again".to_owned());
        assert_eq!(judged(versions("0.108.3"), true), waits);
        assert_eq!(judged(None, false).0, Verdict::Warned);
    }

    #[test]
    fn only_an_active_capture_instance_passes() {
        let verdict = |state: &str| {
            let of =
                CaptureInstance { state: state.into(), quarantine_reason: Some("CDC_CLONE_DETECTED".into()) };
            let engine = EngineState { instance: Some(of), ..sample::engine() };
            let outcome = judge(&engine, &[], &catalog(&[]), &Criteria::default()).remove(2);
            (outcome.verdict, outcome.message)
        };
        assert_eq!(verdict("ACTIVE").0, Verdict::Passed);
        assert_eq!(verdict("QUIESCED"), (Verdict::Failed, "QUIESCED: nothing is refreshed".into()));
        assert_eq!(
            verdict("QUARANTINED"),
            (Verdict::Failed, "QUARANTINED: nothing is refreshed: CDC_CLONE_DETECTED".into())
        );
    }

    #[test]
    fn a_young_scheduler_beside_late_tables_may_be_in_a_crash_loop() {
        let young =
            EngineState { schedulers: vec![SchedulerProcess { pid: 7, age: 4.0 }], ..sample::engine() };
        assert!(judged(&young).message.contains("crash loop"), "{:?}", judged(&young));
        let fresh = sample::table("t", &[]);
        let there = [sample::deployed(fresh.clone())];
        let outcome = judge(&young, &[&fresh], &catalog(&there), &Criteria::default()).remove(0);
        assert_eq!(outcome.verdict, Verdict::Passed);
    }

    #[test]
    fn a_role_that_cannot_see_other_sessions_is_errored() {
        let outcome = judged(&EngineState { sees_activity: false, ..sample::engine() });
        assert_eq!(outcome.verdict, Verdict::Errored);
        assert_eq!(outcome.details, ["GRANT pg_monitor TO \"night\""]);
        assert_eq!(judged(&EngineState { standby: true, ..sample::engine() }).verdict, Verdict::Errored);
    }

    #[test]
    fn a_snapshot_older_than_the_limits_of_a_table_is_reported() {
        let table = sample::table("t", &[]);
        let there = [sample::deployed(table.clone())];
        let held = |age: f64| {
            let holder = SnapshotHolder {
                id: "41".into(),
                application: "report".into(),
                database: "shop".into(),
                age,
            };
            let engine = EngineState { holders: vec![holder], ..sample::engine() };
            judge(&engine, &[&table], &catalog(&there), &Criteria::default()).remove(2)
        };
        assert_eq!(held(60.0).verdict, Verdict::Passed);
        assert_eq!(held(100.0).verdict, Verdict::Warned);
        let outcome = held(3_600.0);
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(
            outcome.message,
            "changes of the last 1h are held back by a snapshot of report with pid 41 in the database shop"
        );
    }

    #[test]
    fn the_engines_flickering_checks_are_ignored() {
        let check = |name: &str| EngineCheck {
            check_name: name.into(),
            severity: "WARN".into(),
            detail: "words".into(),
        };
        let engine =
            EngineState { checks: vec![check("stale_tables"), check("job_queue")], ..sample::engine() };
        let outcomes = judge(&engine, &[], &catalog(&[]), &Criteria::default());
        let subjects: Vec<String> = outcomes.iter().map(|outcome| outcome.subject.to_string()).collect();
        assert_eq!(subjects, ["scheduler", "upgrade", "snapshots", "job_queue"]);
    }
}
