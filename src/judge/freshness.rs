//! How old the rows of a table may be.
//!
//! The evidence is `last_refresh_at`, which every refresh updates, even one without changes; the engine's own `stale`
//! flickers on healthy tables (docs/pg_trickle.md, "Freshness").

use std::{collections::BTreeMap, time::Duration};

use time::OffsetDateTime;

use super::{Catalog, Criteria, Evidence, cron, shown};
use crate::model::{
    AgeLimits, Deployed, Outcome, Relation, Schedule, Stage, StreamTable, Verdict, tier_factor,
};

/// A few rounds of the scheduler, which runs about once a second and refreshes a table when its age is *over* the
/// schedule.
pub const GRACE: Duration = Duration::from_secs(10);

/// A table with `calculated` as schedule follows its upstream tables in a few rounds, and one of them may take a while.
const FOLLOWS_WITHIN: Duration = Duration::from_mins(1);

/// The age of a table and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct TableAge {
    pub relation: Relation,
    /// The unique_id of its model; its own name without a model.
    pub unique_id: String,
    /// Its last refresh, in seconds since the epoch.
    pub refreshed_at: Option<f64>,
    /// How long its last refresh took that looked for rows, in milliseconds, if the engine measured it.
    pub refresh_ms: Option<f64>,
    /// The server's clock.
    pub now: f64,
    /// The limits, set or derived.
    pub limits: Option<AgeLimits>,
}

/// The ages of these tables; empty if the server's clock is not known.
pub fn ages(tables: &[&StreamTable], evidence: &Evidence, criteria: &Criteria) -> Vec<TableAge> {
    let catalog = super::catalog(&evidence.deployed);
    let Ok(engine) = &evidence.engine else { return vec![] };
    let facts = evidence.facts.as_deref().unwrap_or_default().iter();
    let took: BTreeMap<(&str, &str), Option<f64>> =
        facts.map(|facts| ((&*facts.schema, &*facts.name), facts.last_ms)).collect();
    let age = |table: &&StreamTable| {
        let deployed = catalog.get(&table.relation);
        TableAge {
            relation: table.relation.clone(),
            unique_id: table
                .origin
                .as_ref()
                .map_or_else(|| table.relation.to_string(), |origin| origin.unique_id.clone()),
            refreshed_at: deployed.and_then(|deployed| deployed.health.last_refresh_at),
            refresh_ms: took.get(&(&*table.relation.schema, &*table.relation.name)).copied().flatten(),
            now: engine.now,
            limits: criteria.age(&table.relation).or_else(|| by_schedule(deployed?)),
        }
    };
    tables.iter().map(age).collect()
}

/// The limits that a table's schedule implies, if that is a duration that the scheduler follows.
pub(super) fn by_schedule(deployed: &Deployed) -> Option<AgeLimits> {
    if deployed.health.is_refreshed_externally() {
        return None;
    }
    match deployed.table.settings.schedule()? {
        Schedule::Every(seconds) => Some(derived(*seconds, deployed.health.refresh_tier.as_deref())),
        Schedule::Cron(_) | Schedule::Calculated => None,
    }
}

/// Judges one deployed table. `now` is the server's clock in seconds since the epoch; `limits` override those of the
/// schedule and tier.
pub fn judge(
    table: &StreamTable,
    deployed: &Deployed,
    catalog: &Catalog,
    now: f64,
    limits: Option<AgeLimits>,
) -> Outcome {
    let (verdict, message) = match deployed.health.last_refresh_at {
        Some(last_refresh) => by_age(deployed, catalog, Clock { now, last_refresh }, limits),
        None => (Verdict::Failed, "was never refreshed".into()),
    };
    let next = verdict.is_bad().then(|| {
        format!(
            "see its last refreshes: select * from pgtrickle.get_refresh_history('{}', 5)",
            table.relation
        )
    });
    Outcome::new(Stage::Freshness, &table.relation, verdict, message)
        .with_details(next)
        .about(table.origin.as_ref())
}

#[derive(Clone, Copy)]
struct Clock {
    now: f64,
    last_refresh: f64,
}

impl Clock {
    fn age(self) -> Duration {
        since(self.now, self.last_refresh)
    }
}

fn since(now: f64, then: f64) -> Duration {
    Duration::from_secs_f64((now - then).max(0.0))
}

fn by_age(
    deployed: &Deployed,
    catalog: &Catalog,
    clock: Clock,
    limits: Option<AgeLimits>,
) -> (Verdict, String) {
    // The deployed settings decide, not those of the model: this is about the server.
    let settings = &deployed.table.settings;
    let refreshed = format!("refreshed {} ago", shown(clock.age()));
    if settings.refresh_mode() == Some("IMMEDIATE") {
        return (Verdict::Passed, format!("{refreshed}; updated with every write"));
    }
    if deployed.health.is_refreshed_externally() {
        let (verdict, message) =
            limits.map_or((Verdict::Passed, refreshed), |limits| within(limits, clock.age()));
        return (verdict, format!("{message}, by an external orchestrator"));
    }
    match (settings.schedule(), limits) {
        (Some(Schedule::Calculated) | None, limits) => by_upstream(deployed, catalog, clock, limits),
        (_, Some(limits)) => within(limits, clock.age()),
        (Some(Schedule::Cron(expression)), None) => by_cron(expression, clock),
        (Some(Schedule::Every(seconds)), None) => {
            within(derived(*seconds, deployed.health.refresh_tier.as_deref()), clock.age())
        }
    }
}

fn within(limits: AgeLimits, age: Duration) -> (Verdict, String) {
    let exceeded = |limit: Option<Duration>| limit.filter(|limit| age > *limit);
    let refreshed = format!("refreshed {} ago", shown(age));
    if let Some(limit) = exceeded(limits.error_after) {
        (Verdict::Failed, format!("{refreshed}, the limit is {}", shown(limit)))
    } else if let Some(limit) = exceeded(limits.warn_after) {
        (Verdict::Warned, format!("{refreshed}, late after {}", shown(limit)))
    } else {
        (Verdict::Passed, refreshed)
    }
}

/// The limits that a schedule implies: late after one interval and the grace, too old after three.
fn derived(seconds: u64, tier: Option<&str>) -> AgeLimits {
    let interval = Duration::from_secs(seconds) * tier_factor(tier);
    AgeLimits { warn_after: Some(interval + GRACE), error_after: Some(interval * 3 + GRACE) }
}

/// Late if the last time of the expression was missed, too old if the one before was missed as well.
fn by_cron(expression: &str, clock: Clock) -> (Verdict, String) {
    let refreshed = format!("refreshed {} ago", shown(clock.age()));
    let now = OffsetDateTime::UNIX_EPOCH + time::Duration::seconds_f64(clock.now);
    let Some([last, before]) = cron::last_two(expression, now) else {
        return (Verdict::Warned, format!("{refreshed}; cannot tell when `{expression}` is due"));
    };
    let missed = |time: OffsetDateTime| {
        let time = (time - OffsetDateTime::UNIX_EPOCH).as_seconds_f64();
        clock.last_refresh < time && since(clock.now, time) > GRACE
    };
    if missed(before) {
        (Verdict::Failed, format!("{refreshed}, `{expression}` was due twice since"))
    } else if missed(last) {
        (Verdict::Warned, format!("{refreshed}, `{expression}` was due since"))
    } else {
        (Verdict::Passed, format!("{refreshed}, on schedule (`{expression}`)"))
    }
}

/// docs/pg_trickle.md, "Freshness": a calculated table is refreshed only when an upstream table has changed. The time
/// of the last change is only known of upstream stream tables.
fn by_upstream(
    deployed: &Deployed,
    catalog: &Catalog,
    clock: Clock,
    limits: Option<AgeLimits>,
) -> (Verdict, String) {
    let refreshed = format!("refreshed {} ago", shown(clock.age()));
    let changed = deployed.table.upstream.iter().filter_map(|upstream| {
        let changed = catalog.get(upstream)?.health.data_timestamp?;
        (changed > clock.last_refresh).then(|| (since(clock.now, changed), upstream))
    });
    let late = AgeLimits { warn_after: Some(GRACE), error_after: Some(FOLLOWS_WITHIN) };
    match changed
        .max()
        .map(|(waiting, upstream)| (within(limits.unwrap_or(late), waiting).0, waiting, upstream))
    {
        None | Some((Verdict::Passed, ..)) => {
            (Verdict::Passed, format!("{refreshed}; it is refreshed when its sources change"))
        }
        Some((verdict, waiting, upstream)) => {
            (verdict, format!("{refreshed}, but {upstream} changed {} ago", shown(waiting)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{
            catalog,
            sample::{self, NOW},
        },
        model::{Setting, Value},
    };

    fn judged(schedule: &str, tier: &str, age: Option<f64>, limits: Option<AgeLimits>) -> Verdict {
        let mut table = sample::table("t", &[]);
        table.settings.set(Setting::Schedule, Value::Schedule(Schedule::parse(schedule).unwrap()));
        let mut there = sample::deployed(table.clone());
        there.health.last_refresh_at = age.map(|age| NOW - age);
        there.health.refresh_tier = Some(tier.into());
        judge(&table, &there, &catalog(&[]), NOW, limits).verdict
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
    fn a_table_that_an_orchestrator_refreshes_is_late_only_by_limits_that_are_set() {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.health.last_refresh_at = Some(NOW - 90_000.0);
        there.health.orchestration_mode = Some("EXTERNAL".into());
        let judged = |limits| judge(&there.table, &there, &catalog(&[]), NOW, limits).verdict;
        assert_eq!(by_schedule(&there), None);
        assert_eq!(judged(None), Verdict::Passed);
        let limits = AgeLimits { warn_after: None, error_after: Some(Duration::from_hours(1)) };
        assert_eq!(judged(Some(limits)), Verdict::Failed);
    }

    #[test]
    fn slower_tiers_have_longer_limits() {
        assert_eq!(judged("1m", "warm", Some(125.0), None), Verdict::Passed);
        assert_eq!(judged("1m", "cold", Some(600.0), None), Verdict::Passed);
        assert_eq!(judged("1m", "cold", Some(2_000.0), None), Verdict::Failed);
    }

    #[test]
    fn a_cron_expression_is_late_after_one_missed_time_and_too_old_after_two() {
        // 1970-01-12 13:46:40: the last hours began 2,800 and 6,400 seconds ago.
        assert_eq!(judged("@hourly", "hot", Some(2_700.0), None), Verdict::Passed);
        assert_eq!(judged("@hourly", "hot", Some(3_000.0), None), Verdict::Warned);
        assert_eq!(judged("0 * * * *", "hot", Some(6_500.0), None), Verdict::Failed);
        assert_eq!(judged("0 3 * * *", "hot", Some(6_500.0), None), Verdict::Passed);
        assert_eq!(judged("61 99 * * *", "hot", Some(6_500.0), None), Verdict::Warned);
    }

    #[test]
    fn a_calculated_table_is_late_if_upstream_changed_since() {
        let mut table = sample::table("reader", &["base"]);
        table.settings.set(Setting::Schedule, Value::Schedule(Schedule::Calculated));
        let mut there = sample::deployed(table.clone());
        there.health.last_refresh_at = Some(NOW - 90_000.0);
        let mut base = sample::deployed(sample::table("base", &[]));
        let mut judged = |changed: f64| {
            base.health.data_timestamp = Some(NOW - changed);
            judge(&table, &there, &catalog(std::slice::from_ref(&base)), NOW, None).verdict
        };
        assert_eq!(judged(90_001.0), Verdict::Passed);
        assert_eq!(judged(3.0), Verdict::Passed, "it has a moment to follow");
        assert_eq!(judged(30.0), Verdict::Warned);
        assert_eq!(judged(61.0), Verdict::Failed);
        let limits = AgeLimits { warn_after: None, error_after: Some(Duration::from_mins(5)) };
        base.health.data_timestamp = Some(NOW - 61.0);
        let outcome = judge(&table, &there, &catalog(std::slice::from_ref(&base)), NOW, Some(limits));
        assert_eq!(outcome.verdict, Verdict::Passed, "limits apply to how long changes wait");
    }

    #[test]
    fn configured_limits_override_the_schedule() {
        let limits = AgeLimits { warn_after: None, error_after: Some(Duration::from_secs(5)) };
        assert_eq!(judged("1h", "hot", Some(6.0), Some(limits)), Verdict::Failed);
        assert_eq!(judged("1h", "hot", Some(4.0), Some(limits)), Verdict::Passed);
        assert_eq!(
            judged("calculated", "hot", Some(6.0), Some(limits)),
            Verdict::Passed,
            "nothing changed since"
        );
    }
}
