//! Whether the changes of a source table still reach the stream tables that read it.
//!
//! The engine notices neither a missing nor a disabled capture trigger (docs/pg_trickle.md, "Capture health"), so
//! the triggers themselves are the evidence.

use serde::Deserialize;

use crate::model::{Outcome, Stage, Verdict};

/// How the changes of one source table are captured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Capture {
    /// The source, `schema.name`; its old number where the table is gone.
    pub source: String,
    /// Whether the table is still there.
    pub source_exists: bool,
    /// The stream tables that read it.
    pub readers: Vec<String>,
    /// `TRIGGER`, `TRANSITIONING` or `WAL`.
    pub cdc_mode: String,
    /// What the names of the capture triggers end in; `None` where the engine does not track the source.
    pub stable_name: Option<String>,
    /// The capture triggers on it.
    pub triggers: Vec<Trigger>,
    /// Whether the table that changes are written to is there.
    pub buffer_exists: bool,
    /// What the engine says of it, when it says anything.
    pub alert: Option<String>,
}

/// One trigger on a source table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// Whether it fires for ordinary sessions.
    pub enabled: bool,
}

/// Judges one source.
pub fn judge(capture: &Capture) -> Outcome {
    let problems = problems(capture);
    let readers = capture.readers.join(", ");
    if problems.is_empty() {
        let how = if capture.cdc_mode == "WAL" { "from the WAL" } else { "by triggers" };
        return Outcome::new(
            Stage::Cdc,
            &capture.source,
            Verdict::Passed,
            format!("captured {how} for {readers}"),
        );
    }
    Outcome::new(Stage::Cdc, &capture.source, Verdict::Failed, problems.join("; ")).with_details([
        format!("changes of it do not reach {readers}"),
        format!(
            "set it up again: select pgtrickle.repair_stream_table('{}')",
            capture.readers.first().map_or("", String::as_str)
        ),
    ])
}

fn problems(capture: &Capture) -> Vec<String> {
    if !capture.source_exists {
        return vec!["the source table is gone".into()];
    }
    let mut problems: Vec<String> =
        capture.alert.iter().map(|alert| format!("the engine says: {alert}")).collect();
    let Some(stable_name) = &capture.stable_name else {
        problems.push("the engine does not track the source".into());
        return problems;
    };
    if !capture.buffer_exists {
        problems.push(format!("the change buffer pgtrickle_changes.changes_{stable_name} is gone"));
    }
    // A source that is read from the WAL has no triggers; one on its way there still has them.
    if capture.cdc_mode != "WAL" {
        problems.extend(trigger_problems(&capture.triggers, stable_name));
    }
    problems
}

/// Four triggers, one for each kind of statement, or the single one of the row mode.
fn trigger_problems(triggers: &[Trigger], stable_name: &str) -> Vec<String> {
    let find = |name: &str| triggers.iter().find(|trigger| trigger.name == name);
    let row_trigger = format!("pg_trickle_cdc_{stable_name}");
    let expected = if find(&row_trigger).is_some() {
        vec![row_trigger]
    } else {
        ["ins", "upd", "del", "truncate"]
            .map(|event| format!("pg_trickle_cdc_{event}_{stable_name}"))
            .to_vec()
    };
    expected
        .iter()
        .filter_map(|name| match find(name) {
            Some(trigger) if trigger.enabled => None,
            Some(_) => Some(format!("the trigger {name} is disabled")),
            None => Some(format!("the trigger {name} is missing")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture() -> Capture {
        let trigger = |event: &str| Trigger { name: format!("pg_trickle_cdc_{event}_ab12"), enabled: true };
        Capture {
            source: "raw.orders".into(),
            source_exists: true,
            readers: vec!["analytics.totals".into()],
            cdc_mode: "TRIGGER".into(),
            stable_name: Some("ab12".into()),
            triggers: ["ins", "upd", "del", "truncate"].map(trigger).to_vec(),
            buffer_exists: true,
            alert: None,
        }
    }

    #[test]
    fn four_enabled_triggers_or_the_row_trigger_or_the_wal_are_evidence() {
        assert_eq!(judge(&capture()).verdict, Verdict::Passed);
        let row = Trigger { name: "pg_trickle_cdc_ab12".into(), enabled: true };
        assert_eq!(judge(&Capture { triggers: vec![row], ..capture() }).verdict, Verdict::Passed);
        assert_eq!(
            judge(&Capture { triggers: vec![], cdc_mode: "WAL".into(), ..capture() }).verdict,
            Verdict::Passed
        );
    }

    #[test]
    fn everything_that_loses_changes_fails_with_its_sentence() {
        let mut disabled = capture();
        disabled.triggers[3].enabled = false;
        let mut missing = capture();
        missing.triggers.remove(1);
        for (broken, sentence) in [
            (disabled, "the trigger pg_trickle_cdc_truncate_ab12 is disabled"),
            (missing, "the trigger pg_trickle_cdc_upd_ab12 is missing"),
            (Capture { source_exists: false, ..capture() }, "the source table is gone"),
            (Capture { buffer_exists: false, ..capture() }, "changes_ab12 is gone"),
            (Capture { stable_name: None, ..capture() }, "does not track"),
            (
                Capture {
                    cdc_mode: "WAL".into(),
                    alert: Some("replication_slot_missing".into()),
                    ..capture()
                },
                "replication_slot_missing",
            ),
        ] {
            let outcome = judge(&broken);
            assert_eq!(outcome.verdict, Verdict::Failed);
            assert!(outcome.message.contains(sentence), "{sentence} in {}", outcome.message);
        }
    }
}
