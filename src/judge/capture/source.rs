//! One source table: by triggers or from the WAL.

use serde::Deserialize;

use super::{Trigger, outcome, trigger_problems};
use crate::{
    judge::{freshness::GRACE, scheduler::Engine},
    model::{Outcome, Stage, Verdict},
};

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
    /// Whether who asks may read it; `None` where it is gone.
    pub buffer_readable: Option<bool>,
    /// The readers whose refreshes of the last while found nothing.
    pub quiet: Vec<Quiet>,
    /// Those of them that a change has waited for all the time.
    #[serde(default)]
    pub passed_by: Vec<String>,
    /// Columns that the capture names and the source does not have any more.
    pub missing_columns: Vec<String>,
    /// The readers that ask for capture from the WAL outright.
    pub wal_asked_by: Option<Vec<String>>,
    /// When the youngest of the readers was made, in seconds since the epoch.
    pub read_since: f64,
    /// Whether its REPLICA IDENTITY is FULL.
    pub whole_identity: Option<bool>,
    /// Whether it has a primary key.
    pub has_key: bool,
    /// Its replication slot.
    pub slot: Option<Slot>,
    /// What the engine says of it, when it says anything.
    pub alert: Option<String>,
}

/// A reader whose refreshes find nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Quiet {
    /// The stream table, `schema.name`.
    pub reader: String,
    /// The table, in the engine's schema for changes, that it takes them from.
    pub buffer: String,
    /// Up to where in the WAL it has taken them.
    pub frontier: Option<String>,
    /// The transaction of the first of its refreshes that found nothing.
    pub first_xid: String,
}

/// A replication slot.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// What it had still to give is gone.
    pub lost: bool,
    /// How far it is behind; `None` on a standby.
    pub lag_bytes: Option<f64>,
}

/// Judges one source.
pub(super) fn judge(capture: &Capture, engine: Option<&Engine>) -> Outcome {
    let readers = capture.readers.join(", ");
    let from_wal = capture.cdc_mode == "WAL";
    let problems = problems(capture, engine);
    if let (true, Some(lag)) = (problems.is_empty() && from_wal, late(capture, engine)) {
        let message = format!("captured from the WAL for {readers}, {lag}");
        return Outcome::new(Stage::Capture, &capture.source, Verdict::Warned, message);
    }
    if let (true, Some(false), Some(engine)) = (problems.is_empty(), capture.buffer_readable, engine) {
        return unread(capture, &engine.role);
    }
    let how = if from_wal { "from the WAL" } else { "by triggers" };
    outcome(&capture.source, format!("captured {how} for {readers}"), problems, || {
        let next = match (&capture.missing_columns[..], capture.source_exists) {
            ([column, ..], _) => {
                format!("give the column its old name {column} again, or change the models that read it")
            }
            (_, false) => "make the models that read it again: dbt run --full-refresh".to_owned(),
            _ if !capture.passed_by.is_empty() => format!(
                "a refresh by hand waits for nobody: select pgtrickle.refresh_stream_table('{}')",
                capture.passed_by[0]
            ),
            _ => format!(
                "set it up again: select pgtrickle.repair_stream_table('{}')",
                capture.readers.first().map_or("", String::as_str)
            ),
        };
        vec![format!("changes of it do not reach {readers}"), next]
    })
}

fn unread(capture: &Capture, role: &str) -> Outcome {
    let message =
        format!("whether changes wait is not known: the role {role} may not read the change buffer");
    let role = role.replace('"', "\"\"");
    Outcome::new(Stage::Capture, &capture.source, Verdict::Errored, message)
        .with_details([format!("GRANT SELECT ON ALL TABLES IN SCHEMA pgtrickle_changes TO \"{role}\"")])
}

fn problems(capture: &Capture, engine: Option<&Engine>) -> Vec<String> {
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
    problems.extend(capture.missing_columns.iter().map(|column| {
        format!("its column {column} is gone, which the capture names: every write to it fails")
    }));
    if !capture.passed_by.is_empty() {
        let readers = capture.passed_by.join(", ");
        problems.push(format!("changes wait, and the refreshes of {readers} find nothing"));
    }
    // A source that is read from the WAL has no triggers; one on its way there still has them.
    if capture.cdc_mode == "WAL" {
        problems.extend(slot_problem(capture, engine));
    } else {
        problems.extend(trigger_problems(
            &capture.triggers,
            expected(&capture.triggers, stable_name).into_iter(),
        ));
        problems.extend(engine.and_then(|engine| still_on_triggers(capture, engine)));
    }
    problems
}

/// Four triggers, one for each kind of statement, or the single one of the row mode.
fn expected(triggers: &[Trigger], stable_name: &str) -> Vec<String> {
    let row_trigger = format!("pg_trickle_cdc_{stable_name}");
    if triggers.iter().any(|trigger| trigger.name == row_trigger) {
        return vec![row_trigger];
    }
    ["ins", "upd", "del", "truncate"].map(|event| format!("pg_trickle_cdc_{event}_{stable_name}")).to_vec()
}

fn slot_problem(capture: &Capture, engine: Option<&Engine>) -> Option<String> {
    let Some(slot) = &capture.slot else {
        return Some("its replication slot is gone".into());
    };
    if slot.lost {
        return Some(format!("its replication slot {} has lost what it still had to give", slot.name));
    }
    let critical = engine.and_then(|engine| megabytes(engine.slot_lag_critical.as_deref()));
    let lag = slot.lag_bytes.filter(|lag| critical.is_some_and(|critical| *lag > critical))?;
    Some(format!("its replication slot {} is {} behind", slot.name, shown_bytes(lag)))
}

fn late(capture: &Capture, engine: Option<&Engine>) -> Option<String> {
    let slot = capture.slot.as_ref()?;
    let warning = megabytes(engine?.slot_lag_warning.as_deref())?;
    let lag = slot.lag_bytes.filter(|lag| *lag > warning)?;
    Some(format!("whose slot {} is {} behind", slot.name, shown_bytes(lag)))
}

fn megabytes(setting: Option<&str>) -> Option<f64> {
    setting.and_then(|text| text.parse::<f64>().ok()).map(|megabytes| megabytes * 1_048_576.0)
}

fn shown_bytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1_048_576.0)
}

/// docs/pg_trickle.md, "Change capture": what was asked for stays on triggers without a word when the source or the
/// server do not allow it; otherwise it goes over within a second or so. The emulator has triggers alone.
fn still_on_triggers(capture: &Capture, engine: &Engine) -> Option<String> {
    let asking = capture.wal_asked_by.as_ref().filter(|asking| !asking.is_empty())?.join(", ");
    let why = if capture.whole_identity != Some(true) {
        "its REPLICA IDENTITY is not FULL"
    } else if !capture.has_key {
        "it has no primary key"
    } else if engine.emulator {
        return None;
    } else if engine.wal_level != "logical" {
        "wal_level is not logical"
    } else if engine.now - capture.read_since > 3.0 * GRACE.as_secs_f64() {
        "the engine does not say why"
    } else {
        return None;
    };
    Some(format!("{asking} asks for capture from the WAL, and it is still captured by triggers: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample::{self, NOW};

    fn capture() -> Capture {
        let trigger = |event: &str| Trigger {
            name: format!("pg_trickle_cdc_{event}_ab12"),
            enabled: true,
            writes: true,
        };
        Capture {
            source: "raw.orders".into(),
            source_exists: true,
            readers: vec!["s.totals".into()],
            cdc_mode: "TRIGGER".into(),
            stable_name: Some("ab12".into()),
            triggers: ["ins", "upd", "del", "truncate"].map(trigger).to_vec(),
            buffer_exists: true,
            buffer_readable: Some(true),
            quiet: vec![],
            passed_by: vec![],
            missing_columns: vec![],
            wal_asked_by: None,
            read_since: NOW - 3_600.0,
            whole_identity: Some(true),
            has_key: true,
            slot: None,
            alert: None,
        }
    }

    fn wal(lost: bool, lag_bytes: f64) -> Capture {
        let slot = Some(Slot { name: "slot_7".into(), lost, lag_bytes: Some(lag_bytes) });
        Capture { cdc_mode: "WAL".into(), triggers: vec![], slot, ..capture() }
    }

    #[test]
    fn four_triggers_or_the_row_trigger_or_a_slot_are_evidence() {
        let engine = sample::engine();
        let verdict = |capture: &Capture| judge(capture, Some(&engine)).verdict;
        assert_eq!(verdict(&capture()), Verdict::Passed);
        let row = Trigger { name: "pg_trickle_cdc_ab12".into(), enabled: true, writes: true };
        assert_eq!(verdict(&Capture { triggers: vec![row], ..capture() }), Verdict::Passed);
        assert_eq!(verdict(&wal(false, 0.0)), Verdict::Passed);
        assert_eq!(verdict(&wal(false, 2e8)), Verdict::Warned);
    }

    #[test]
    fn everything_that_loses_changes_fails_with_its_sentence() {
        let with = |change: fn(&mut Capture)| {
            let mut capture = capture();
            change(&mut capture);
            capture
        };
        for (broken, sentence) in [
            (with(|c| c.triggers[3].enabled = false), "the trigger pg_trickle_cdc_truncate_ab12 is disabled"),
            (with(|c| drop(c.triggers.remove(1))), "the trigger pg_trickle_cdc_upd_ab12 is missing"),
            (
                with(|c| c.triggers[0].writes = false),
                "pg_trickle_cdc_ins_ab12 calls a function that captures nothing",
            ),
            (with(|c| c.source_exists = false), "the source table is gone"),
            (with(|c| c.buffer_exists = false), "changes_ab12 is gone"),
            (with(|c| c.stable_name = None), "does not track"),
            (with(|c| c.passed_by = vec!["s.totals".into()]), "the refreshes of s.totals find nothing"),
            (with(|c| c.missing_columns = vec!["amount".into()]), "its column amount is gone"),
            (with(|c| c.alert = Some("slot_lag".into())), "the engine says: slot_lag"),
            (Capture { slot: None, ..wal(false, 0.0) }, "replication slot is gone"),
            (wal(true, 0.0), "has lost"),
            (wal(false, 2e9), "slot_7 is 1907 MB behind"),
        ] {
            let outcome = judge(&broken, Some(&sample::engine()));
            assert_eq!(outcome.verdict, Verdict::Failed, "{sentence}");
            assert!(outcome.message.contains(sentence), "{sentence} in {}", outcome.message);
        }
    }

    #[test]
    fn wal_that_was_asked_for_and_does_not_come_is_told_with_its_reason() {
        let asked = Capture { wal_asked_by: Some(vec!["s.totals".into()]), ..capture() };
        let said = |capture: Capture, engine: Engine| {
            let outcome = judge(&capture, Some(&engine));
            (outcome.verdict == Verdict::Failed).then_some(outcome.message)
        };
        let engine = sample::engine;
        let no_identity = Capture { whole_identity: Some(false), ..asked.clone() };
        assert!(said(no_identity, engine()).unwrap().contains("REPLICA IDENTITY"));
        assert!(said(Capture { has_key: false, ..asked.clone() }, engine()).unwrap().contains("primary key"));
        let replica = Engine { wal_level: "replica".into(), ..engine() };
        assert!(said(asked.clone(), replica).unwrap().contains("wal_level"));
        assert!(said(asked.clone(), engine()).unwrap().contains("does not say why"));
        assert_eq!(
            said(Capture { read_since: NOW - 5.0, ..asked.clone() }, engine()),
            None,
            "it is on its way"
        );
        assert_eq!(said(asked, Engine { emulator: true, ..engine() }), None);
    }
}
