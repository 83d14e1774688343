//! Whether tables are refreshed in the configured mode.

use super::Facts;
use crate::model::{Deployed, Outcome, Stage, StreamTable, Verdict};

/// This many of the last refreshes may fall back without a warning: one large load is not a habit.
const TOLERATED: u32 = 2;

/// Judges one deployed table.
pub fn judge(table: &StreamTable, deployed: &Deployed, facts: &Facts, fail_on_fallback: bool) -> Outcome {
    let outcome = |verdict, message: String| {
        Outcome::new(Stage::Mode, &table.relation, verdict, message).about(table.origin.as_ref())
    };
    let deployed_mode = deployed.table.settings.refresh_mode().unwrap_or("unknown");
    let requested = deployed.health.requested_refresh_mode.as_deref().unwrap_or(deployed_mode);
    let asked = table.settings.refresh_mode().filter(|mode| *mode != deployed_mode).unwrap_or(requested);
    let Some(why) = fallback(asked, deployed_mode, deployed, facts) else {
        return outcome(Verdict::Passed, format!("{deployed_mode}, as configured"));
    };
    let verdict = if fail_on_fallback { Verdict::Failed } else { Verdict::Warned };
    outcome(verdict, format!("configured as {asked}, but refreshed in full: {why}")).with_details([
        "see why: select * from pgtrickle.explain_refresh_mode('".to_owned()
            + &table.relation.to_string()
            + "')",
    ])
}

/// Why it is refreshed in full although it should not be. Only refreshes by the scheduler count as evidence of the
/// mode.
fn fallback(asked: &str, deployed_mode: &str, deployed: &Deployed, facts: &Facts) -> Option<String> {
    if !matches!(asked, "DIFFERENTIAL" | "AUTO") {
        return None;
    }
    if deployed_mode == "FULL" {
        // docs/pg_trickle.md, "Refresh modes": AUTO is resolved at creation.
        let reason = deployed.health.refresh_reason.as_ref();
        let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        return Some(format!("its query does not support differential refresh{reason}"));
    }
    if facts.fallbacks > TOLERATED {
        return Some(format!(
            "{} of its last {} refreshes fell back to FULL",
            facts.fallbacks, facts.refreshes
        ));
    }
    let full = deployed.health.effective_refresh_mode.as_deref() == Some("FULL");
    // docs/pg_trickle.md, "Refresh and history": a refresh of several tables in one statement is SCHEDULER_FUSED.
    let by_itself = facts.last_by.as_deref().is_some_and(|by| by.starts_with("SCHEDULER"));
    (full && by_itself).then(|| {
        let why = facts.why_full.as_deref().and_then(|why| why.split(". ").next());
        why.unwrap_or("pg_trickle gives no reason").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    fn judged(asked: &str, mode: &str, effective: &str, facts: &Facts, fail: bool) -> Verdict {
        let mut table = sample::table("t", &[]);
        table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
        let mut there = sample::deployed(table.clone());
        there.health.effective_refresh_mode = Some(effective.into());
        table.settings.set(Setting::RefreshMode, Value::Text(asked.into()));
        judge(&table, &there, facts, fail).verdict
    }

    #[test]
    fn unrequested_full_refreshes_are_reported() {
        let by = |who: &str| Facts { last_by: Some(who.into()), ..Facts::default() };
        let scheduler = by("SCHEDULER");
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "DIFFERENTIAL", &scheduler, true), Verdict::Passed);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "NO_DATA", &scheduler, true), Verdict::Passed);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &scheduler, false), Verdict::Warned);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &scheduler, true), Verdict::Failed);
        assert_eq!(
            judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &by("SCHEDULER_FUSED"), true),
            Verdict::Failed
        );
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &by("MANUAL"), true), Verdict::Passed);
        assert_eq!(
            judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &by("EXTERNAL_GRAPH"), true),
            Verdict::Passed
        );
        assert_eq!(judged("AUTO", "FULL", "FULL", &scheduler, false), Verdict::Warned);
        assert_eq!(judged("AUTO", "DIFFERENTIAL", "DIFFERENTIAL", &scheduler, true), Verdict::Passed);
        assert_eq!(judged("FULL", "FULL", "FULL", &scheduler, true), Verdict::Passed);
    }

    #[test]
    fn repeated_fallbacks_are_counted() {
        let facts = |fallbacks| Facts { fallbacks, refreshes: 20, ..Facts::default() };
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "NO_DATA", &facts(2), false), Verdict::Passed);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "NO_DATA", &facts(3), false), Verdict::Warned);
    }
}
