//! Whether tables are refreshed in the mode that was asked for.

use super::Facts;
use crate::model::{Deployed, Outcome, Stage, StreamTable, Verdict};

/// So many of the last refreshes may fall back without a word: a large load is no habit.
const TOLERATED: u32 = 2;

/// Judges one table that is there.
pub fn judge(table: &StreamTable, deployed: &Deployed, facts: &Facts, fail_on_fallback: bool) -> Outcome {
    let outcome = |verdict, message: String| {
        Outcome::new(Stage::Mode, &table.relation, verdict, message).about(table.origin.as_ref())
    };
    let deployed_mode = deployed.table.settings.refresh_mode().unwrap_or("unknown");
    let asked = table.settings.refresh_mode().unwrap_or(deployed_mode);
    let Some(why) = fallback(asked, deployed_mode, deployed, facts) else {
        return outcome(Verdict::Passed, format!("{deployed_mode}, as asked for"));
    };
    let verdict = if fail_on_fallback { Verdict::Failed } else { Verdict::Warned };
    outcome(verdict, format!("{asked} was asked for, and it is refreshed in full: {why}")).with_details([
        "see why: select * from pgtrickle.explain_refresh_mode('".to_owned()
            + &table.relation.to_string()
            + "')",
    ])
}

/// Why it runs FULL though it should not. What a person refreshed, or the creation filled, says nothing of the mode.
fn fallback(asked: &str, deployed_mode: &str, deployed: &Deployed, facts: &Facts) -> Option<String> {
    if !matches!(asked, "DIFFERENTIAL" | "AUTO") {
        return None;
    }
    if deployed_mode == "FULL" {
        // docs/pg_trickle.md, "Refresh modes": AUTO is resolved at creation.
        return Some("its query cannot be maintained otherwise".into());
    }
    if facts.fallbacks > TOLERATED {
        return Some(format!("{} of its last {} refreshes fell back", facts.fallbacks, facts.refreshes));
    }
    let full = deployed.health.effective_refresh_mode.as_deref() == Some("FULL");
    let by_itself = facts.last_by.as_deref() == Some("SCHEDULER");
    (full && by_itself).then(|| {
        let why = facts.why_full.as_deref().and_then(|why| why.split(". ").next());
        why.unwrap_or("the engine does not say why").to_owned()
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
    fn what_runs_in_full_by_itself_is_told() {
        let by = |who: &str| Facts { last_by: Some(who.into()), ..Facts::default() };
        let scheduler = by("SCHEDULER");
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "DIFFERENTIAL", &scheduler, true), Verdict::Passed);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "NO_DATA", &scheduler, true), Verdict::Passed);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &scheduler, false), Verdict::Warned);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &scheduler, true), Verdict::Failed);
        assert_eq!(judged("DIFFERENTIAL", "DIFFERENTIAL", "FULL", &by("MANUAL"), true), Verdict::Passed);
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
