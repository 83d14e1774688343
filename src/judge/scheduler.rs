//! Whether the scheduler of this database runs, and whether what it does becomes visible.

use std::time::Duration;

use serde::Deserialize;

use super::{Catalog, Terms, freshness, shown, status};
use crate::model::{AgeLimits, Outcome, Stage, StreamTable, Verdict};

/// What the engine says of itself, and what surrounds it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Engine {
    /// The server's clock, in seconds since the epoch.
    pub now: f64,
    /// It is the emulator, whose scheduler is no process of the server.
    pub emulator: bool,
    /// The engine's own checks.
    pub checks: Vec<EngineCheck>,
    /// Who asks.
    pub role: String,
    /// Whether the role may see what other sessions do.
    pub sees_activity: bool,
    /// The server is a standby.
    pub standby: bool,
    /// `pg_trickle.enabled`.
    pub enabled: bool,
    /// `pg_trickle.cdc_paused`.
    pub capture_paused: bool,
    /// `wal_level`.
    pub wal_level: String,
    /// Megabytes from which a slot's lag is worth a look.
    pub slot_lag_warning: Option<String>,
    /// Megabytes from which a slot's lag is a failure.
    pub slot_lag_critical: Option<String>,
    /// The schedulers of this database.
    pub schedulers: Vec<Scheduler>,
    /// Sessions that hold a snapshot, the oldest first.
    pub holders: Vec<Holder>,
}

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

/// A scheduler's process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Scheduler {
    /// Its process.
    pub pid: i32,
    /// For how many seconds it has been there.
    pub age: f64,
}

/// A session that holds a snapshot.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Holder {
    /// Its process.
    pub id: String,
    /// What it calls itself.
    pub application: String,
    /// Where it is connected to.
    pub database: String,
    /// For how many seconds it has held it.
    pub age: f64,
}

/// Those of the engine's checks that this gate answers itself, table by table and without their false alarms.
const ANSWERED_HERE: [&str; 5] =
    ["scheduler_running", "error_tables", "stale_tables", "needs_reinit", "consecutive_errors"];

/// A scheduler that is younger has not had its chance.
const YOUNG: f64 = 60.0;

/// Judges the engine below these tables.
pub fn judge(engine: &Engine, tables: &[&StreamTable], catalog: &Catalog, terms: &Terms) -> Vec<Outcome> {
    let mut outcomes = vec![running(engine, tables, catalog, terms)];
    if engine.sees_activity {
        outcomes.push(snapshots(engine, tables, catalog, terms));
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

fn running(engine: &Engine, tables: &[&StreamTable], catalog: &Catalog, terms: &Terms) -> Outcome {
    let outcome = |verdict, message: String, next: Option<String>| {
        Outcome::new(Stage::Scheduler, "scheduler", verdict, message).with_details(next)
    };
    if engine.standby {
        let next = "check the primary: --database-url".into();
        return outcome(
            Verdict::Errored,
            "this server is a standby, nothing is scheduled here".into(),
            Some(next),
        );
    }
    if !engine.sees_activity {
        let role = engine.role.replace('"', "\"\"");
        return outcome(
            Verdict::Errored,
            format!(
                "the role {} may not see other sessions: whether the scheduler runs, and what holds it back, is not known",
                engine.role
            ),
            Some(format!("GRANT pg_monitor TO \"{role}\"")),
        );
    }
    if !engine.enabled {
        let next = "ALTER SYSTEM SET pg_trickle.enabled = on; SELECT pg_reload_conf()".into();
        return outcome(
            Verdict::Failed,
            "pg_trickle.enabled is off: nothing is refreshed".into(),
            Some(next),
        );
    }
    let said = engine.checks.iter().find(|check| check.check_name == "scheduler_running");
    let says_yes = said.is_some_and(|check| check.severity == "OK");
    let log = Some("read the server's log: it says why the scheduler ended".to_owned());
    match engine.schedulers.first() {
        None if says_yes && engine.emulator => outcome(Verdict::Passed, "it runs".into(), None),
        None => {
            let detail = said.map(|check| format!(": {}", check.detail)).unwrap_or_default();
            outcome(Verdict::Failed, format!("no scheduler runs for this database{detail}"), log)
        }
        Some(scheduler) if scheduler.age < YOUNG && is_overdue(engine, tables, catalog, terms) => outcome(
            Verdict::Failed,
            format!(
                "it has run for {} only, and tables are late: it may be crashing again and again",
                shown(Duration::from_secs_f64(scheduler.age.max(0.0)))
            ),
            log,
        ),
        Some(scheduler) => outcome(
            Verdict::Passed,
            format!(
                "it has run for {} with pid {}",
                shown(Duration::from_secs_f64(scheduler.age.max(0.0))),
                scheduler.pid
            ),
            None,
        ),
    }
}

fn is_overdue(engine: &Engine, tables: &[&StreamTable], catalog: &Catalog, terms: &Terms) -> bool {
    tables.iter().filter_map(|table| catalog.get(&table.relation).map(|deployed| (table, deployed))).any(
        |(table, deployed)| {
            let age = terms.age(&table.relation);
            deployed.health.status == "ACTIVE"
                && !status::rests(&deployed.health)
                && freshness::judge(table, deployed, catalog, engine.now, age).verdict != Verdict::Passed
        },
    )
}

/// docs/pg_trickle.md, "Visibility lag": the oldest snapshot in the cluster holds back what the scheduler takes up,
/// while every table looks fresh. How old one may be is what the most impatient table allows.
fn snapshots(engine: &Engine, tables: &[&StreamTable], catalog: &Catalog, terms: &Terms) -> Outcome {
    let outcome = |verdict, message| Outcome::new(Stage::Scheduler, "snapshots", verdict, message);
    let limits = strictest(tables, catalog, terms);
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
        "changes since {} are held back by a snapshot of {} with pid {} in the database {}",
        shown(age),
        holder.application,
        holder.id,
        holder.database
    );
    outcome(verdict, message).with_details([format!("end it: select pg_terminate_backend({})", holder.id)])
}

/// The shortest ages of all tables. Without any, a minute is worth a look and ten are too many.
fn strictest(tables: &[&StreamTable], catalog: &Catalog, terms: &Terms) -> AgeLimits {
    let of = |table: &StreamTable| {
        let deployed = catalog.get(&table.relation)?;
        terms.age(&table.relation).or_else(|| freshness::by_schedule(deployed))
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

    fn judged(engine: &Engine) -> Outcome {
        let table = sample::table("t", &[]);
        let mut there = sample::deployed(table.clone());
        there.health.last_refresh_at = Some(NOW - 500.0);
        judge(engine, &[&table], &catalog(&[there]), &Terms::default()).remove(0)
    }

    #[test]
    fn a_scheduler_has_to_be_seen() {
        let check = |severity: &str| EngineCheck {
            check_name: "scheduler_running".into(),
            severity: severity.into(),
            detail: "words".into(),
        };
        let healthy = sample::engine();
        assert_eq!(judged(&healthy).verdict, Verdict::Passed);
        let none = Engine { schedulers: vec![], checks: vec![check("OK")], ..healthy.clone() };
        assert_eq!(judged(&none).verdict, Verdict::Failed, "another database's scheduler is none of ours");
        assert_eq!(judged(&Engine { emulator: true, ..none.clone() }).verdict, Verdict::Passed);
        let emulator = Engine { emulator: true, checks: vec![check("ERROR")], ..none };
        assert_eq!(judged(&emulator).message, "no scheduler runs for this database: words");
        assert_eq!(judged(&Engine { enabled: false, ..healthy }).verdict, Verdict::Failed);
    }

    #[test]
    fn a_young_scheduler_beside_late_tables_is_crashing() {
        let young = Engine { schedulers: vec![Scheduler { pid: 7, age: 4.0 }], ..sample::engine() };
        assert!(judged(&young).message.contains("crashing"), "{:?}", judged(&young));
        let fresh = sample::table("t", &[]);
        let there = [sample::deployed(fresh.clone())];
        let outcome = judge(&young, &[&fresh], &catalog(&there), &Terms::default()).remove(0);
        assert_eq!(outcome.verdict, Verdict::Passed);
    }

    #[test]
    fn without_the_privilege_to_see_there_is_no_answer() {
        let outcome = judged(&Engine { sees_activity: false, ..sample::engine() });
        assert_eq!(outcome.verdict, Verdict::Errored);
        assert_eq!(outcome.details, ["GRANT pg_monitor TO \"night\""]);
        assert_eq!(judged(&Engine { standby: true, ..sample::engine() }).verdict, Verdict::Errored);
    }

    #[test]
    fn an_old_snapshot_is_named_when_it_is_older_than_a_table_may_be() {
        let table = sample::table("t", &[]);
        let there = [sample::deployed(table.clone())];
        let held = |age: f64| {
            let holder =
                Holder { id: "41".into(), application: "report".into(), database: "shop".into(), age };
            let engine = Engine { holders: vec![holder], ..sample::engine() };
            judge(&engine, &[&table], &catalog(&there), &Terms::default()).remove(1)
        };
        assert_eq!(held(60.0).verdict, Verdict::Passed);
        assert_eq!(held(100.0).verdict, Verdict::Warned);
        let outcome = held(3_600.0);
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(
            outcome.message,
            "changes since 1h are held back by a snapshot of report with pid 41 in the database shop"
        );
    }

    #[test]
    fn the_engines_flickering_checks_are_left_out() {
        let check = |name: &str| EngineCheck {
            check_name: name.into(),
            severity: "WARN".into(),
            detail: "words".into(),
        };
        let engine = Engine { checks: vec![check("stale_tables"), check("job_queue")], ..sample::engine() };
        let outcomes = judge(&engine, &[], &catalog(&[]), &Terms::default());
        let subjects: Vec<String> = outcomes.iter().map(|outcome| outcome.subject.to_string()).collect();
        assert_eq!(subjects, ["scheduler", "snapshots", "job_queue"]);
    }
}
