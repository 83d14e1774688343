//! How old the contents of a table may be.
//!
//! The evidence is `last_refresh_at`, which moves at every refresh, also at one that finds nothing to do; the
//! engine's own `stale` flickers on healthy tables (docs/pg_trickle.md, "Freshness").

use std::time::Duration;

use super::Catalog;
use crate::model::{Outcome, Schedule, Stage, StreamTable, Verdict};

/// Ages from which a table is worth a look, and from which it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Older than this is a warning.
    pub warn_after: Option<Duration>,
    /// Older than this is a failure.
    pub error_after: Option<Duration>,
}

/// A few rounds of the scheduler, which looks about once a second and works when an age is *over* the schedule.
const GRACE: Duration = Duration::from_secs(10);

/// Judges one table. `now` is the server's clock in seconds since the epoch; `limits` overrides what schedule and
/// tier say.
pub fn judge(table: &StreamTable, catalog: &Catalog, now: f64, limits: Option<Limits>) -> Outcome {
    let outcome = |verdict, message: String| {
        Outcome::new(Stage::Freshness, &table.relation, verdict, message).about(table.origin.as_ref())
    };
    let Some(deployed) = catalog.get(&table.relation) else {
        return outcome(Verdict::Failed, "does not exist, so it cannot be fresh".into());
    };
    let Some(last_refresh) = deployed.health.last_refresh_at else {
        return outcome(Verdict::Failed, "was never refreshed".into());
    };
    let age = Duration::from_secs_f64((now - last_refresh).max(0.0));
    let tier = deployed.health.refresh_tier.as_deref().unwrap_or("hot");
    if tier == "frozen" && limits.is_none() {
        return outcome(
            Verdict::Warned,
            format!("refreshed {} ago; its tier is frozen, the scheduler leaves it", shown(age)),
        );
    }
    // What is deployed decides, not what the model asks for: this is about the server.
    let schedule = deployed.table.settings.schedule();
    let Some(limits) = limits.or_else(|| derived(schedule, tier)) else {
        let why = if deployed.table.settings.refresh_mode() == Some("IMMEDIATE") {
            "maintained with every write"
        } else if matches!(schedule, Some(Schedule::Cron(_))) {
            "its schedule is a cron expression, which sets no age limit"
        } else {
            "refreshed when its sources change"
        };
        return outcome(Verdict::Passed, format!("refreshed {} ago; {why}", shown(age)));
    };
    let exceeded = |limit: Option<Duration>| limit.filter(|limit| age > *limit);
    if let Some(limit) = exceeded(limits.error_after) {
        outcome(
            Verdict::Failed,
            format!("refreshed {} ago, more than {} is too old", shown(age), shown(limit)),
        )
    } else if let Some(limit) = exceeded(limits.warn_after) {
        outcome(Verdict::Warned, format!("refreshed {} ago, more than {} is late", shown(age), shown(limit)))
    } else {
        outcome(Verdict::Passed, format!("refreshed {} ago", shown(age)))
    }
}

/// The limits that a schedule implies: late after one interval and the grace, too old after three.
fn derived(schedule: Option<&Schedule>, tier: &str) -> Option<Limits> {
    let factor = match tier {
        "warm" => 2,
        "cold" => 10,
        _ => 1,
    };
    let interval = Duration::from_secs(schedule?.seconds()?) * factor;
    Some(Limits { warn_after: Some(interval + GRACE), error_after: Some(interval * 3 + GRACE) })
}

fn shown(age: Duration) -> String {
    if age < Duration::from_secs(1) {
        format!("{} ms", age.as_millis())
    } else {
        humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::catalog,
        model::{Deployed, Health, Relation, Setting, Settings, Value},
    };

    const NOW: f64 = 1_000_000.0;

    fn judged(schedule: &str, tier: &str, age: Option<f64>, limits: Option<Limits>) -> Verdict {
        let settings =
            Settings::from_iter([(Setting::Schedule, Value::Schedule(Schedule::parse(schedule).unwrap()))]);
        let table = StreamTable {
            relation: Relation::new("s", "t"),
            query: String::new(),
            settings,
            upstream: vec![],
            columns: None,
            origin: None,
        };
        let health = Health {
            last_refresh_at: age.map(|age| NOW - age),
            refresh_tier: Some(tier.into()),
            ..Health::default()
        };
        let deployed = [Deployed {
            table: table.clone(),
            mark: None,
            health,
            storage: crate::model::Storage::default(),
        }];
        judge(&table, &catalog(&deployed), NOW, limits).verdict
    }

    #[test]
    fn a_healthy_table_never_flickers_and_a_stopped_one_fails() {
        assert_eq!(judged("1m", "hot", Some(0.0), None), Verdict::Passed);
        assert_eq!(judged("1m", "hot", Some(62.5), None), Verdict::Passed);
        assert_eq!(judged("1m", "hot", Some(71.0), None), Verdict::Warned);
        assert_eq!(judged("1m", "hot", Some(191.0), None), Verdict::Failed);
        assert_eq!(judged("1m", "hot", None, None), Verdict::Failed);
    }

    #[test]
    fn slow_tiers_are_given_their_time() {
        assert_eq!(judged("1m", "warm", Some(125.0), None), Verdict::Passed);
        assert_eq!(judged("1m", "cold", Some(600.0), None), Verdict::Passed);
        assert_eq!(judged("1m", "cold", Some(2_000.0), None), Verdict::Failed);
        assert_eq!(judged("1m", "frozen", Some(9_000.0), None), Verdict::Warned);
    }

    #[test]
    fn schedules_without_an_interval_are_judged_by_having_been_refreshed() {
        assert_eq!(judged("calculated", "hot", Some(90_000.0), None), Verdict::Passed);
        assert_eq!(judged("@hourly", "hot", Some(90_000.0), None), Verdict::Passed);
        assert_eq!(judged("calculated", "hot", None, None), Verdict::Failed);
    }

    #[test]
    fn limits_that_were_set_win() {
        let limits = Limits { warn_after: None, error_after: Some(Duration::from_secs(5)) };
        assert_eq!(judged("1h", "hot", Some(6.0), Some(limits)), Verdict::Failed);
        assert_eq!(judged("1h", "hot", Some(4.0), Some(limits)), Verdict::Passed);
    }

    #[test]
    fn a_missing_table_is_not_fresh() {
        let table = StreamTable {
            relation: Relation::new("s", "t"),
            query: String::new(),
            settings: Settings::default(),
            upstream: vec![],
            columns: None,
            origin: None,
        };
        assert_eq!(judge(&table, &Catalog::new(), NOW, None).verdict, Verdict::Failed);
    }
}
