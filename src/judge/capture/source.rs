//! How one source table is captured: by triggers or from the WAL.

use serde::Deserialize;

use super::{Trigger, outcome, repair, trigger_problems};
use crate::{
    judge::{freshness::GRACE, scheduler::EngineState},
    model::{Outcome, Relation, Stage, Verdict},
    sql::quote_identifier,
};

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Capture {
    /// `schema.name`, or the OID of a dropped table.
    pub source: String,
    pub source_exists: bool,
    /// What Citus made of the source.
    pub citus: Option<String>,
    pub readers: Vec<String>,
    /// `TRIGGER`, `TRANSITIONING` or `WAL`.
    pub cdc_mode: String,
    /// The suffix of the capture triggers' names; `None` if the engine does not track the source.
    pub stable_name: Option<String>,
    pub triggers: Vec<Trigger>,
    /// The change buffer, even if it does not exist; `None` if the engine does not track the source.
    pub buffer: Option<Relation>,
    pub buffer_exists: bool,
    /// Whether the current role may read the change buffer; `None` if that does not exist.
    pub buffer_readable: Option<bool>,
    /// The readers whose recent refreshes found no changes.
    pub quiet: Vec<IdleReader>,
    /// Those of them for which a change was pending all that time.
    #[serde(default)]
    pub passed_by: Vec<String>,
    /// Captured columns that the source no longer has.
    pub missing_columns: Vec<String>,
    /// Captured columns that the change buffer does not have; `None` if it has copies of no columns at all.
    pub buffer_lacks: Option<Vec<String>>,
    /// The readers whose `cdc_mode` is `wal`.
    pub wal_asked_by: Option<Vec<String>>,
    /// When the newest of the readers was created, in seconds since the epoch.
    pub read_since: f64,
    pub whole_identity: Option<bool>,
    pub has_key: bool,
    pub slot: Option<ReplicationSlot>,
    /// The engine's own alert for this source.
    pub alert: Option<String>,
}

/// A reader whose refreshes find no changes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IdleReader {
    pub reader: String,
    /// The change buffer that it reads.
    pub buffer: Relation,
    /// The WAL position up to which it has read.
    pub frontier: Option<String>,
    /// The transaction ID of the first of its refreshes that found no changes.
    pub first_xid: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReplicationSlot {
    pub name: String,
    /// PostgreSQL removed WAL that the slot still needed.
    pub lost: bool,
    /// `None` on a standby.
    pub lag_bytes: Option<f64>,
}

pub(super) fn judge(capture: &Capture, engine: Option<&EngineState>) -> Outcome {
    let readers = capture.readers.join(", ");
    let from_wal = capture.cdc_mode == "WAL";
    let problems = problems(capture, engine);
    if let (true, Some(lag)) = (problems.is_empty() && from_wal, lag_warning(capture, engine)) {
        let message = format!("captured from the WAL for {readers}; {lag}");
        return Outcome::new(Stage::Capture, &capture.source, Verdict::Warned, message);
    }
    let unreadable = capture.buffer.as_ref().filter(|_| capture.buffer_readable == Some(false));
    if let (true, Some(buffer), Some(engine)) = (problems.is_empty(), unreadable, engine) {
        return unread(capture, buffer, &engine.role);
    }
    let how = if from_wal { "from the WAL" } else { "by triggers" };
    outcome(&capture.source, format!("captured {how} for {readers}"), problems, || {
        let next = match (&capture.missing_columns[..], capture.source_exists) {
            ([column, ..], _) => {
                format!("rename the column back to {column}, or change the models that read it")
            }
            _ if capture.citus.is_some() => without_citus(capture.readers.first().map_or("", String::as_str)),
            (_, false) => "recreate the models that read it: dbt run --full-refresh".to_owned(),
            _ if !capture.passed_by.is_empty() => format!(
                "refresh it by hand: select pgtrickle.refresh_stream_table('{}')",
                capture.passed_by[0]
            ),
            _ if capture.buffer_lacks.iter().flatten().next().is_some() => {
                "adapt the change buffer: select pgtrickle.rebuild_cdc_triggers()".to_owned()
            }
            _ => repair(capture.readers.first().map_or("", String::as_str), engine),
        };
        vec![format!("its changes do not reach {readers}"), next]
    })
}

/// docs/pg_trickle.md, "Citus".
pub(super) fn uncaptured(citus: &str) -> String {
    format!("it {citus}: pg_trickle cannot capture its changes, and writes to it fail")
}

/// Citus refuses a drop without these settings.
pub(super) fn without_citus(table: &str) -> String {
    format!(
        "read a local table instead, and drop it: set citus.enable_unsafe_triggers = on; \
         set citus.multi_shard_modify_mode = 'sequential'; select pgtrickle.drop_stream_table('{table}')"
    )
}

fn unread(capture: &Capture, buffer: &Relation, role: &str) -> Outcome {
    let message =
        format!("cannot tell whether changes are pending: the role {role} may not read the change buffer");
    let grant = format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}",
        quote_identifier(&buffer.schema),
        quote_identifier(role)
    );
    Outcome::new(Stage::Capture, &capture.source, Verdict::Errored, message).with_details([grant])
}

fn problems(capture: &Capture, engine: Option<&EngineState>) -> Vec<String> {
    if !capture.source_exists {
        return vec!["the source table is gone".into()];
    }
    if let Some(citus) = &capture.citus {
        return vec![uncaptured(citus)];
    }
    let mut problems: Vec<String> =
        capture.alert.iter().map(|alert| format!("pg_trickle reports: {alert}")).collect();
    let Some(stable_name) = &capture.stable_name else {
        problems.push("the engine does not track the source".into());
        return problems;
    };
    if let (false, Some(buffer)) = (capture.buffer_exists, &capture.buffer) {
        problems.push(format!("the change buffer {buffer} is gone"));
    }
    problems.extend(
        capture
            .missing_columns
            .iter()
            .map(|column| format!("its captured column {column} is gone: every write to the source fails")),
    );
    problems.extend(
        capture.buffer_lacks.iter().flatten().map(|column| {
            format!("the change buffer has no column {column}: every write to the source fails")
        }),
    );
    if !capture.passed_by.is_empty() {
        let readers = capture.passed_by.join(", ");
        problems.push(format!("changes are pending, and the refreshes of {readers} do not find them"));
    }
    // A source that is captured from the WAL has no triggers; one that is changing over still has them.
    if capture.cdc_mode == "WAL" {
        problems.extend(slot_problem(capture, engine));
    } else {
        problems.extend(trigger_problems(
            &capture.triggers,
            expected(&capture.triggers, stable_name).into_iter(),
        ));
        problems.extend(engine.and_then(|engine| missing_wal_capture(capture, engine)));
    }
    problems
}

/// Four triggers, one for each kind of statement, or the single trigger of row mode.
fn expected(triggers: &[Trigger], stable_name: &str) -> Vec<String> {
    let row_trigger = format!("pg_trickle_cdc_{stable_name}");
    if triggers.iter().any(|trigger| trigger.name == row_trigger) {
        return vec![row_trigger];
    }
    ["ins", "upd", "del", "truncate"].map(|event| format!("pg_trickle_cdc_{event}_{stable_name}")).to_vec()
}

fn slot_problem(capture: &Capture, engine: Option<&EngineState>) -> Option<String> {
    let Some(slot) = &capture.slot else {
        return Some("its replication slot is gone".into());
    };
    if slot.lost {
        return Some(format!("its replication slot {} has lost changes", slot.name));
    }
    let critical = engine.and_then(|engine| megabytes(engine.slot_lag_critical.as_deref()));
    let lag = slot.lag_bytes.filter(|lag| critical.is_some_and(|critical| *lag > critical))?;
    Some(format!("its replication slot {} is {} behind", slot.name, shown_bytes(lag)))
}

fn lag_warning(capture: &Capture, engine: Option<&EngineState>) -> Option<String> {
    let slot = capture.slot.as_ref()?;
    let warning = megabytes(engine?.slot_lag_warning.as_deref())?;
    let lag = slot.lag_bytes.filter(|lag| *lag > warning)?;
    Some(format!("its replication slot {} is {} behind", slot.name, shown_bytes(lag)))
}

fn megabytes(setting: Option<&str>) -> Option<f64> {
    setting.and_then(|text| text.parse::<f64>().ok()).map(|megabytes| megabytes * 1_048_576.0)
}

fn shown_bytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1_048_576.0)
}

/// docs/pg_trickle.md, "Change capture": if the source or the server does not support capture from the WAL, the source
/// silently stays on triggers; otherwise it changes over within about a second. The emulator only has triggers.
fn missing_wal_capture(capture: &Capture, engine: &EngineState) -> Option<String> {
    let readers = capture.wal_asked_by.as_ref().filter(|readers| !readers.is_empty())?.join(", ");
    let why = if capture.whole_identity != Some(true) {
        "its REPLICA IDENTITY is not FULL"
    } else if !capture.has_key {
        "it has no primary key"
    } else if engine.emulator {
        return None;
    } else if engine.wal_level != "logical" {
        "wal_level is not logical"
    } else if engine.now - capture.read_since > 3.0 * GRACE.as_secs_f64() {
        "pg_trickle gives no reason"
    } else {
        return None;
    };
    Some(format!("`cdc_mode: wal` of {readers} has no effect, it is captured by triggers: {why}"))
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
            citus: None,
            readers: vec!["s.totals".into()],
            cdc_mode: "TRIGGER".into(),
            stable_name: Some("ab12".into()),
            triggers: ["ins", "upd", "del", "truncate"].map(trigger).to_vec(),
            buffer: Some(Relation::new("buffers", "changes_ab12")),
            buffer_exists: true,
            buffer_readable: Some(true),
            quiet: vec![],
            passed_by: vec![],
            missing_columns: vec![],
            buffer_lacks: None,
            wal_asked_by: None,
            read_since: NOW - 3_600.0,
            whole_identity: Some(true),
            has_key: true,
            slot: None,
            alert: None,
        }
    }

    fn wal(lost: bool, lag_bytes: f64) -> Capture {
        let slot = Some(ReplicationSlot { name: "slot_7".into(), lost, lag_bytes: Some(lag_bytes) });
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
    fn an_unreadable_buffer_is_errored_with_the_grant_for_its_schema() {
        let outcome = judge(&Capture { buffer_readable: Some(false), ..capture() }, Some(&sample::engine()));
        assert_eq!(outcome.verdict, Verdict::Errored);
        assert_eq!(outcome.details, [r#"GRANT SELECT ON ALL TABLES IN SCHEMA "buffers" TO "night""#]);
    }

    #[test]
    fn each_loss_of_changes_fails_with_its_message() {
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
            (with(|c| c.buffer_exists = false), "the change buffer buffers.changes_ab12 is gone"),
            (with(|c| c.stable_name = None), "does not track"),
            (
                with(|c| c.citus = Some("is distributed by Citus".into())),
                "it is distributed by Citus: pg_trickle cannot capture its changes",
            ),
            (with(|c| c.passed_by = vec!["s.totals".into()]), "the refreshes of s.totals do not find them"),
            (with(|c| c.missing_columns = vec!["amount".into()]), "its captured column amount is gone"),
            (
                with(|c| c.buffer_lacks = Some(vec!["amount".into()])),
                "the change buffer has no column amount",
            ),
            (with(|c| c.alert = Some("slot_lag".into())), "pg_trickle reports: slot_lag"),
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
    fn a_cdc_mode_without_effect_is_reported_with_its_reason() {
        let asked = Capture { wal_asked_by: Some(vec!["s.totals".into()]), ..capture() };
        let said = |capture: Capture, engine: EngineState| {
            let outcome = judge(&capture, Some(&engine));
            (outcome.verdict == Verdict::Failed).then_some(outcome.message)
        };
        let engine = sample::engine;
        let no_identity = Capture { whole_identity: Some(false), ..asked.clone() };
        assert!(said(no_identity, engine()).unwrap().contains("REPLICA IDENTITY"));
        assert!(said(Capture { has_key: false, ..asked.clone() }, engine()).unwrap().contains("primary key"));
        let replica = EngineState { wal_level: "replica".into(), ..engine() };
        assert!(said(asked.clone(), replica).unwrap().contains("wal_level"));
        assert!(said(asked.clone(), engine()).unwrap().contains("gives no reason"));
        assert_eq!(
            said(Capture { read_since: NOW - 5.0, ..asked.clone() }, engine()),
            None,
            "it is changing over"
        );
        assert_eq!(said(asked, EngineState { emulator: true, ..engine() }), None);
    }
}
