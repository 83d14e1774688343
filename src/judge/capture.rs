//! Whether changes of the sources still reach the stream tables that read them.
//!
//! The engine notices neither a missing nor a disabled capture trigger (docs/pg_trickle.md, "Capture health"), so
//! the triggers themselves are the evidence.

mod source;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::scheduler::EngineState;
use crate::model::{Outcome, Relation, Stage, Verdict};

pub use source::{Capture, IdleReader, ReplicationSlot};

/// How changes travel: from source tables, into IMMEDIATE tables, and between stream tables.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Captures {
    pub sources: Vec<Capture>,
    pub immediate: Vec<ImmediateCapture>,
    pub between: Vec<StreamTableCapture>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Trigger {
    pub name: String,
    /// Whether it fires for ordinary sessions.
    pub enabled: bool,
    /// Whether its function writes to the change buffer of the source.
    pub writes: bool,
}

/// The triggers through which an IMMEDIATE table follows one of its sources.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ImmediateCapture {
    pub table: String,
    /// The suffix of the triggers' names.
    pub pgt_id: i64,
    /// `schema.name`, or the OID of a dropped table.
    pub source: String,
    pub source_exists: bool,
    /// What Citus made of the source.
    pub citus: Option<String>,
    /// `TABLE` or `STREAM_TABLE`.
    pub source_type: String,
    /// Columns that the table reads and the source no longer has.
    pub missing_columns: Vec<String>,
    /// The triggers of this table on the source.
    pub triggers: Vec<Trigger>,
}

/// The change buffer between a stream table and one that reads it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct StreamTableCapture {
    pub reader: String,
    /// `None` if the table that the reader knows was dropped.
    pub read: Option<String>,
    /// The OID by which the reader knows it.
    pub read_as: i64,
    pub buffer: Option<Relation>,
    pub buffer_exists: bool,
}

/// Judges every capture that ends at one of these tables, by their names. Without the engine's settings, checks only the triggers,
/// buffers and slots.
pub fn judge(
    captures: &Captures,
    tables: &BTreeMap<String, &Relation>,
    engine: Option<&EngineState>,
) -> Vec<Outcome> {
    let readers = |names: &[String]| -> Vec<&Relation> {
        names.iter().filter_map(|name| tables.get(name).copied()).collect()
    };
    let sources = captures.sources.iter().filter_map(|capture| {
        let readers = readers(&capture.readers);
        (!readers.is_empty()).then(|| source::judge(capture, engine).concerning(readers))
    });
    let immediate = captures
        .immediate
        .iter()
        .filter_map(|way| tables.get(&way.table).map(|table| follows(way, engine).concerning([*table])));
    let between = captures
        .between
        .iter()
        .filter_map(|way| tables.get(&way.reader).map(|reader| hands_over(way).concerning([*reader])));
    let paused = engine.filter(|engine| engine.capture_paused).map(|_| {
        let message = "pg_trickle.cdc_paused is on: changes are discarded";
        Outcome::new(Stage::Capture, "capture", Verdict::Failed, message).with_details([
            "ALTER SYSTEM SET pg_trickle.cdc_paused = off; SELECT pg_reload_conf()".into(),
            "then refresh every table in full: the changes made while it was on are lost".into(),
        ])
    });
    let mut outcomes: Vec<Outcome> = paused.into_iter().collect();
    outcomes.extend(sources);
    outcomes.extend(immediate);
    outcomes.extend(between);
    outcomes
}

/// docs/pg_trickle.md, "Change capture": an IMMEDIATE table has its own triggers. The emulator has no `before`
/// triggers.
fn follows(way: &ImmediateCapture, engine: Option<&EngineState>) -> Outcome {
    let subject = format!("{} for {}", way.source, way.table);
    let emulator = engine.is_some_and(|engine| engine.emulator);
    let before = ["insert", "update", "delete", "trunc"].map(|event| format!("before_{event}"));
    let after = ["ins", "upd", "del", "trunc"].map(|event| format!("after_{event}"));
    let expected = before.iter().filter(|_| !emulator).chain(&after);
    let names = expected.map(|name| format!("pgt_ivm_{name}_{}", way.pgt_id));
    let problems = if way.source_type == "STREAM_TABLE" {
        vec!["an IMMEDIATE table does not follow a stream table".to_owned()]
    } else if let Some(citus) = &way.citus {
        vec![source::uncaptured(citus)]
    } else if way.source_exists {
        let gone = way.missing_columns.iter();
        let gone = gone.map(|column| format!("its column {column} is gone: every write to the source fails"));
        gone.chain(trigger_problems(&way.triggers, names)).collect()
    } else {
        vec!["the source table is gone".to_owned()]
    };
    outcome(&subject, format!("{} follows every write", way.table), problems, || {
        if let [column, ..] = &way.missing_columns[..] {
            return vec![format!("rename the column back to {column}, or change the model {}", way.table)];
        }
        let next = match way.citus {
            Some(_) => source::without_citus(&way.table),
            None => repair(&way.table, engine),
        };
        vec![format!("its changes do not reach {}", way.table), next]
    })
}

/// How to get back the triggers for a stream table.
fn repair(table: &str, engine: Option<&EngineState>) -> String {
    if engine.is_none_or(|engine| engine.can_repair) {
        format!("repair the capture: select pgtrickle.repair_stream_table('{table}')")
    } else {
        "recreate the models that read it: dbt run --full-refresh (pg_trickle 0.42 and later can repair the capture)".into()
    }
}

/// docs/pg_trickle.md, "Dependencies": the reader of a recreated table still looks for the old one.
fn hands_over(way: &StreamTableCapture) -> Outcome {
    let read = way.read.clone().unwrap_or_else(|| way.read_as.to_string());
    let problems = match (&way.read, &way.buffer) {
        (None, _) => vec!["the stream table that it reads was dropped or recreated".to_owned()],
        (Some(_), Some(buffer)) if !way.buffer_exists => {
            vec![format!("the change buffer {buffer} is gone")]
        }
        _ => vec![],
    };
    outcome(&format!("{read} for {}", way.reader), format!("changes reach {}", way.reader), problems, || {
        vec![format!("recreate {}: dbt run --full-refresh", way.reader)]
    })
}

fn outcome(
    subject: &str,
    passed: String,
    problems: Vec<String>,
    details: impl FnOnce() -> Vec<String>,
) -> Outcome {
    if problems.is_empty() {
        Outcome::new(Stage::Capture, subject, Verdict::Passed, passed)
    } else {
        Outcome::new(Stage::Capture, subject, Verdict::Failed, problems.join("; ")).with_details(details())
    }
}

fn trigger_problems(triggers: &[Trigger], expected: impl Iterator<Item = String>) -> Vec<String> {
    expected
        .filter_map(|name| match triggers.iter().find(|trigger| trigger.name == name) {
            None => Some(format!("the trigger {name} is missing")),
            Some(trigger) if !trigger.enabled => Some(format!("the trigger {name} is disabled")),
            Some(trigger) if !trigger.writes => {
                Some(format!("the trigger {name} calls a function that captures nothing"))
            }
            Some(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    fn immediate() -> ImmediateCapture {
        let events = ["before_insert", "before_update", "before_delete", "before_trunc"];
        let after = ["after_ins", "after_upd", "after_del", "after_trunc"];
        let trigger =
            |event: &&str| Trigger { name: format!("pgt_ivm_{event}_3"), enabled: true, writes: true };
        ImmediateCapture {
            table: "s.now".into(),
            pgt_id: 3,
            source: "raw.orders".into(),
            source_exists: true,
            citus: None,
            source_type: "TABLE".into(),
            missing_columns: vec![],
            triggers: events.iter().chain(&after).map(trigger).collect(),
        }
    }

    fn judged(captures: &Captures, engine: &EngineState) -> Vec<(Verdict, String)> {
        concerned(captures, engine).into_iter().map(|o| (o.verdict, o.message)).collect()
    }

    fn concerned(captures: &Captures, engine: &EngineState) -> Vec<Outcome> {
        let tables = ["now", "reader"].map(|name| Relation::new("s", name));
        let tables = tables.iter().map(|table| (table.to_string(), table)).collect();
        judge(captures, &tables, Some(engine))
    }

    #[test]
    fn an_immediate_table_needs_all_of_its_triggers() {
        let engine = sample::engine();
        let with = |change: fn(&mut ImmediateCapture)| {
            let mut way = immediate();
            change(&mut way);
            judged(&Captures { immediate: vec![way], ..Captures::default() }, &engine).remove(0)
        };
        assert_eq!(with(|_| ()).0, Verdict::Passed);
        let (verdict, message) = with(|way| way.triggers[7].enabled = false);
        assert_eq!((verdict, &*message), (Verdict::Failed, "the trigger pgt_ivm_after_trunc_3 is disabled"));
        assert_eq!(
            with(|way| drop(way.triggers.remove(0))).1,
            "the trigger pgt_ivm_before_insert_3 is missing"
        );
        assert_eq!(with(|way| way.source_exists = false).1, "the source table is gone");
        let (verdict, message) = with(|way| way.missing_columns = vec!["n".into()]);
        assert_eq!(verdict, Verdict::Failed);
        assert_eq!(message, "its column n is gone: every write to the source fails");
        assert!(with(|way| way.source_type = "STREAM_TABLE".into()).1.contains("does not follow"));
        // The emulator has no `before` triggers.
        let mut way = immediate();
        way.triggers.drain(..4);
        let captures = Captures { immediate: vec![way], ..Captures::default() };
        let emulator = EngineState { emulator: true, ..engine };
        assert_eq!(judged(&captures, &emulator)[0].0, Verdict::Passed);
    }

    #[test]
    fn a_lost_buffer_or_table_between_stream_tables_fails() {
        let way = StreamTableCapture {
            reader: "s.reader".into(),
            read: Some("s.base".into()),
            read_as: 4711,
            buffer: Some(Relation::new("buffers", "changes_pgt_1")),
            buffer_exists: true,
        };
        let judged = |way: StreamTableCapture| {
            judged(&Captures { between: vec![way], ..Captures::default() }, &sample::engine()).remove(0)
        };
        assert_eq!(judged(way.clone()).0, Verdict::Passed);
        assert!(
            judged(StreamTableCapture { buffer_exists: false, ..way.clone() })
                .1
                .contains("buffers.changes_pgt_1 is gone")
        );
        assert!(
            judged(StreamTableCapture { read: None, buffer: None, ..way }).1.contains("dropped or recreated")
        );
    }

    #[test]
    fn an_outcome_concerns_the_judged_readers() {
        let source: Capture = serde_json::from_value(serde_json::json!({
            "source": "raw.orders", "source_exists": false, "readers": ["s.other", "s.reader", "s.now"], "cdc_mode": "TRIGGER",
            "triggers": [], "buffer_exists": false, "quiet": [], "missing_columns": [], "read_since": 0.0, "has_key": true,
        }))
        .unwrap();
        let captures = Captures { sources: vec![source], immediate: vec![immediate()], between: vec![] };
        let concerned: Vec<Vec<String>> = concerned(&captures, &sample::engine())
            .iter()
            .map(|outcome| outcome.concerns.iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(concerned, [vec!["s.reader", "s.now"], vec!["s.now"]]);
    }

    #[test]
    fn paused_capture_fails_once() {
        let engine = EngineState { capture_paused: true, ..sample::engine() };
        let outcomes = judged(&Captures::default(), &engine);
        assert_eq!(outcomes.len(), 1);
        assert!(outcomes[0].1.contains("cdc_paused"));
    }
}
