//! Whether a table is refreshed at all. The status decides, because the engine's error counter stays at zero
//! (docs/pg_trickle.md, "Status").

use super::{Facts, engine_message, freshness::GRACE};
use crate::model::{Deployed, Health, Outcome, Setting, Stage, StreamTable, Value, Verdict};

/// Judges one deployed table. `now` is the server's clock in seconds since the epoch.
pub fn judge(table: &StreamTable, deployed: &Deployed, facts: Option<&Facts>, now: Option<f64>) -> Outcome {
    let (verdict, message, next) = StatusCheck { table, deployed, facts, now }.verdict();
    let errors = [&deployed.health.last_error_message, &deployed.health.blow_reason];
    let errors = errors.into_iter().flatten().map(|raw| engine_message(raw));
    let outcome = Outcome::new(Stage::Status, &table.relation, verdict, message);
    errors
        .fold(outcome, |outcome, error| outcome.quoting(&error, None))
        .with_details(next)
        .about(table.origin.as_ref())
}

/// Whether the scheduler skips the table. If its status passes nevertheless, its model wants that, and its age means
/// nothing.
pub(super) fn is_paused(health: &Health) -> bool {
    health.status == "SUSPENDED" || health.refresh_tier.as_deref() == Some("frozen")
}

/// The message of the last failure and, where the engine keeps it, its kind.
fn last_error(health: &Health) -> String {
    let message = engine_message(health.last_error_message.as_deref().unwrap_or_default());
    message + &health.last_error_code.as_ref().map_or_else(String::new, |code| format!(" ({code})"))
}

fn with_detail(health: &Health, reason: &str) -> String {
    let detail = health.refresh_reason_detail.as_deref().unwrap_or("pg_trickle gives no detail");
    format!("{reason}: {detail}")
}

/// The evidence about one table.
struct StatusCheck<'a> {
    table: &'a StreamTable,
    deployed: &'a Deployed,
    facts: Option<&'a Facts>,
    now: Option<f64>,
}

impl StatusCheck<'_> {
    fn verdict(&self) -> (Verdict, String, Option<String>) {
        let health = &self.deployed.health;
        let name = &self.table.relation;
        let failed = |message: String, next: String| (Verdict::Failed, message, Some(next));
        if health.fuse_state.as_deref() == Some("blown") {
            let why = health.blow_reason.as_deref().unwrap_or("no reason given");
            // Any other reset lets it blow again while the changes are still pending.
            let next = format!("raise fuse_ceiling, then: select pgtrickle.reset_fuse('{name}', 'apply')");
            return failed(format!("its fuse has blown: {why}"), next);
        }
        let resume = format!("select pgtrickle.resume_stream_table('{name}')");
        match health.status.as_str() {
            "ACTIVE" => self.active(),
            "ERROR" => failed(
                format!("in status ERROR: {}", last_error(health)),
                format!("after fixing that: {resume}"),
            ),
            "SUSPENDED" if self.wants(Setting::Status, "SUSPENDED") => {
                (Verdict::Passed, "SUSPENDED, as its model says".into(), None)
            }
            "SUSPENDED" => match health.rebuild_reason() {
                Some(reason) => {
                    let by = if reason.starts_with("SOURCE_") { " by a change of its source" } else { "" };
                    let next = format!(
                        "after adapting its query: select pgtrickle.reinitialize_stream_table('{name}')"
                    );
                    failed(format!("SUSPENDED{by}, {}", with_detail(health, reason)), next)
                }
                None => failed("SUSPENDED: it is not refreshed".into(), resume),
            },
            "INITIALIZING" => failed(
                "INITIALIZING: the scheduler skips it".into(),
                format!("select pgtrickle.refresh_stream_table('{name}')"),
            ),
            status => failed(
                format!("in the unknown status {status}"),
                format!("see its state: select * from pgtrickle.explain_st('{name}')"),
            ),
        }
    }

    fn active(&self) -> (Verdict, String, Option<String>) {
        let health = &self.deployed.health;
        if self.deployed.storage.lost_source {
            let next = "recreate it: dbt run --full-refresh".to_owned();
            let message = "ACTIVE, but a table that it reads was dropped or recreated".to_owned();
            return (Verdict::Failed, message, Some(next));
        }
        if health.needs_reinit {
            // The next tick refills it; a table that waits longer is stuck.
            let since = self.now.zip(health.updated_at).map(|(now, updated)| now - updated);
            let stuck = since.is_none_or(|since| since > GRACE.as_secs_f64());
            let verdict = if stuck { Verdict::Failed } else { Verdict::Warned };
            let reason = health.rebuild_reason();
            // A version that gives a reason has the function.
            let function =
                if reason.is_some() { "reinitialize_stream_table" } else { "refresh_stream_table" };
            let next = format!("select pgtrickle.{function}('{}')", self.table.relation);
            let why = reason.map_or_else(String::new, |reason| format!(": {}", with_detail(health, reason)));
            return (verdict, format!("ACTIVE, but waiting to be refilled{why}"), Some(next));
        }
        if health.has_old_identity {
            let next = "recreate it: dbt run --full-refresh".to_owned();
            let message =
                "ACTIVE, but its rows have the identity of an earlier version of pg_trickle".to_owned();
            return (Verdict::Warned, message, Some(next));
        }
        if health.refresh_tier.as_deref() == Some("frozen") {
            if self.wants(Setting::Tier, "frozen") {
                return (Verdict::Passed, "ACTIVE, but frozen, as its model says".into(), None);
            }
            let next =
                format!("select pgtrickle.alter_stream_table('{}', tier => 'hot')", self.table.relation);
            return (Verdict::Failed, "ACTIVE, but frozen: the scheduler skips it".into(), Some(next));
        }
        match self.facts.and_then(|facts| facts.gated_by.first()) {
            Some(source) => (
                Verdict::Failed,
                format!("ACTIVE, but its source {source} is gated: the scheduler skips it"),
                Some(format!("select pgtrickle.ungate_source('{source}')")),
            ),
            None if health.consecutive_errors > 0 => {
                let message = format!(
                    "ACTIVE, but its last {} refreshes failed: {}",
                    health.consecutive_errors,
                    last_error(health)
                );
                (Verdict::Warned, message, None)
            }
            None => (Verdict::Passed, "ACTIVE".into(), None),
        }
    }

    /// Whether the table's model sets it. A table without a model sets nothing, nor does the mark of one, which names no file.
    fn wants(&self, setting: Setting, word: &str) -> bool {
        let has_model = self.table.origin.as_ref().is_some_and(|origin| !origin.file.is_empty());
        has_model && self.table.settings.get(setting) == Some(&Value::Text(word.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample::{self, NOW};

    type Break = fn(&mut Health);

    fn judged(change: impl FnOnce(&mut Health)) -> Outcome {
        let table = sample::table("t", &[]);
        let mut deployed = sample::deployed(table.clone());
        change(&mut deployed.health);
        judge(&table, &deployed, None, Some(NOW))
    }

    #[test]
    fn only_active_passes_and_every_other_state_has_its_own_message() {
        assert_eq!(judged(|_| ()).verdict, Verdict::Passed);
        let cases: [(Break, &str); 11] = [
            (|h| h.status = "SUSPENDED".into(), "SUSPENDED: it is not refreshed"),
            (|h| h.status = "INITIALIZING".into(), "INITIALIZING"),
            (|h| h.status = "SOMETHING_NEW".into(), "unknown status SOMETHING_NEW"),
            (|h| h.status = "ERROR".into(), "the engine gives no reason"),
            (
                |h| {
                    h.status = "ERROR".into();
                    h.last_error_message = Some("X { message: \"division by zero\", hint: None }".into());
                },
                "in status ERROR: division by zero",
            ),
            (|h| h.refresh_tier = Some("frozen".into()), "frozen"),
            (
                |h| {
                    h.status = "ERROR".into();
                    h.last_error_code = Some("LOCK_TIMEOUT".into());
                },
                "in status ERROR: the engine gives no reason (LOCK_TIMEOUT)",
            ),
            (
                |h| {
                    h.status = "SUSPENDED".into();
                    h.refresh_reason = Some("SOURCE_COLUMN_DROPPED".into());
                    h.refresh_reason_detail = Some("amount".into());
                },
                "SUSPENDED by a change of its source, SOURCE_COLUMN_DROPPED: amount",
            ),
            (
                |h| {
                    h.status = "SUSPENDED".into();
                    h.fuse_state = Some("blown".into());
                    h.blow_reason = Some("12 changes".into());
                },
                "its fuse has blown: 12 changes",
            ),
            (
                |h| {
                    h.needs_reinit = true;
                    h.updated_at = Some(NOW - 60.0);
                },
                "waiting to be refilled",
            ),
            (
                |h| {
                    h.needs_reinit = true;
                    h.updated_at = Some(NOW - 60.0);
                    h.refresh_reason = Some("CDC_BUFFER_MISSING".into());
                    h.refresh_reason_detail = Some("of orders".into());
                },
                "waiting to be refilled: CDC_BUFFER_MISSING: of orders",
            ),
        ];
        for (change, sentence) in cases {
            let outcome = judged(change);
            assert_eq!(outcome.verdict, Verdict::Failed, "{sentence}");
            assert!(outcome.message.contains(sentence), "{sentence} in {}", outcome.message);
            assert!(!outcome.details.is_empty(), "{sentence} has no next command");
        }
    }

    #[test]
    fn a_recent_reinitialization_only_warns() {
        assert_eq!(judged(|h| h.needs_reinit = true).verdict, Verdict::Warned);
    }

    #[test]
    fn retried_failures_warn_and_a_lost_source_fails() {
        assert_eq!(judged(|h| h.consecutive_errors = 2).verdict, Verdict::Warned);
        assert_eq!(judged(|h| h.has_old_identity = true).verdict, Verdict::Warned);
        let table = sample::table("t", &[]);
        let mut deployed = sample::deployed(table.clone());
        deployed.storage.lost_source = true;
        assert_eq!(judge(&table, &deployed, None, Some(NOW)).verdict, Verdict::Failed);
    }

    #[test]
    fn a_gated_source_stops_its_readers() {
        let table = sample::table("t", &[]);
        let facts = Facts { gated_by: vec!["raw.orders".into()], ..Facts::default() };
        let outcome = judge(&table, &sample::deployed(table.clone()), Some(&facts), Some(NOW));
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(outcome.details, ["select pgtrickle.ungate_source('raw.orders')"]);
    }

    #[test]
    fn a_state_that_the_model_sets_passes() {
        let mut table = sample::model("t", &[]);
        table.settings.set(Setting::Tier, Value::Text("frozen".into()));
        let mut deployed = sample::deployed(table.clone());
        deployed.health.refresh_tier = Some("frozen".into());
        assert_eq!(judge(&table, &deployed, None, Some(NOW)).verdict, Verdict::Passed);
        table.origin.as_mut().unwrap().file.clear();
        assert_eq!(
            judge(&table, &deployed, None, Some(NOW)).verdict,
            Verdict::Failed,
            "its mark sets nothing"
        );
        table.origin = None;
        assert_eq!(judge(&table, &deployed, None, Some(NOW)).verdict, Verdict::Failed, "no model sets it");
    }
}
