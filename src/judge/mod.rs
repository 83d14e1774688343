//! What evidence means: rows in, outcomes out. No clock and no server; a judgement without evidence fails.

pub mod capture;
mod cron;
pub mod dependencies;
pub mod equality;
pub mod freshness;
pub mod hazards;
pub mod mode;
pub mod population;
pub mod present;
pub mod rehearsal;
pub mod scheduler;
pub mod status;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    model::{AgeLimits, Deployed, Outcome, Relation, Stage, StreamTable, Verdict},
    plan::Plan,
};

pub use hazards::Silence;

/// The deployed tables by their names.
pub type Catalog<'a> = BTreeMap<&'a Relation, &'a Deployed>;

/// The deployed tables by their names.
pub fn catalog(deployed: &[Deployed]) -> Catalog<'_> {
    deployed.iter().map(|d| (&d.table.relation, d)).collect()
}

/// The tables to judge: the project's, or without a project all that are there.
pub fn subjects<'a>(project: Option<&'a [StreamTable]>, deployed: &'a [Deployed]) -> Vec<&'a StreamTable> {
    match project {
        Some(tables) => tables.iter().collect(),
        None => deployed.iter().map(|d| &d.table).collect(),
    }
}

/// What a server says of its stream tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The catalog.
    pub deployed: Vec<Deployed>,
    /// What else is worth knowing of each table.
    pub facts: Answer<Vec<Facts>>,
    /// How changes reach the tables.
    pub captures: Answer<capture::Captures>,
    /// What the engine says of itself.
    pub engine: Answer<scheduler::Engine>,
    /// The extension's version.
    pub version: String,
}

/// An answer, or why there is none.
pub type Answer<T> = Result<T, Unanswered>;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// In the server's words.
    pub why: String,
    /// The next command to type.
    pub hint: Option<String>,
}

impl Unanswered {
    fn outcome(&self, stage: Stage) -> Outcome {
        Outcome::new(stage, stage.name(), Verdict::Errored, &self.why)
            .quoting(&self.why, None)
            .with_details(self.hint.as_ref().map(|hint| format!("hint: {hint}")))
    }
}

/// What is worth knowing of a table beyond its catalog row.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Facts {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Those of its sources that are gated.
    pub gated_by: Vec<String>,
    /// What it reads.
    pub sources: Vec<Source>,
    /// How many of its last refreshes fell back to FULL.
    pub fallbacks: u32,
    /// How many of its last refreshes were looked at.
    pub refreshes: u32,
    /// Why the last refresh was FULL, in the engine's words.
    pub why_full: Option<String>,
    /// Who asked for the last refresh that found something: `SCHEDULER`, `MANUAL` or `INITIAL`.
    pub last_by: Option<String>,
    /// Its floating point columns.
    pub float_columns: Vec<String>,
}

/// Something that a stream table reads.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Source {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `TABLE`, `STREAM_TABLE`, `VIEW`, …
    pub source_type: String,
    /// `TRIGGER`, `TRANSITIONING` or `WAL`.
    pub cdc_mode: String,
    /// The columns of its primary key.
    pub primary_key: Vec<String>,
    /// Its columns, where its changes are read from the log.
    pub logged_columns: Vec<LoggedColumn>,
}

/// A column whose changes are read from the log.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct LoggedColumn {
    /// Its name.
    pub name: String,
    /// Its type, as `double precision`.
    pub r#type: String,
    /// It holds text.
    pub is_text: bool,
    /// It may be NULL.
    pub nullable: bool,
    /// A stream table reads it.
    pub read: bool,
}

/// What the tables are held to.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// What turns the deployed tables into the project's, where there is a project.
    pub drift: Option<Plan>,
    /// Ages that a model or a dbt source sets for its table.
    pub ages: BTreeMap<Relation, AgeLimits>,
    /// Ages for all other tables.
    pub common_age: Option<AgeLimits>,
    /// A table that is refreshed in full though it should not be fails.
    pub fail_on_fallback: bool,
    /// The project's tables that are not judged: what is judged may read them.
    pub unselected: Vec<StreamTable>,
    /// Hazards that somebody has looked at.
    pub silences: Vec<Silence>,
    /// What stands under the names of tables that are no stream tables.
    pub impostors: BTreeMap<Relation, String>,
}

impl Terms {
    fn age(&self, relation: &Relation) -> Option<AgeLimits> {
        self.ages.get(relation).copied().or(self.common_age)
    }
}

/// Judges these tables, what they read, and the engine below them.
pub fn judge(tables: &[&StreamTable], evidence: &Evidence, terms: &Terms) -> Vec<Outcome> {
    let catalog = catalog(&evidence.deployed);
    let own: BTreeMap<&Relation, table::TableOutcomes> = tables
        .iter()
        .map(|table| (&table.relation, table::judge(table, evidence, &catalog, terms)))
        .collect();
    let concerned = dependencies::with_upstream(tables, &terms.unselected, &catalog);
    let names: BTreeSet<String> = concerned.iter().map(|table| table.relation.to_string()).collect();
    let others = concerned
        .iter()
        .filter(|table| !own.contains_key(&table.relation))
        .map(|table| (&table.relation, table::judge(table, evidence, &catalog, terms)))
        .collect();

    let reads = dependencies::reads(&concerned, &catalog);
    let mut outcomes = dependencies::settle(&concerned, &reads, own, others);
    outcomes.extend(evidence.facts.as_ref().err().map(|unanswered| unanswered.outcome(Stage::Mode)));
    outcomes.extend(match &evidence.engine {
        Ok(engine) => scheduler::judge(engine, &concerned, &catalog, terms),
        Err(unanswered) => vec![unanswered.outcome(Stage::Scheduler)],
    });
    outcomes.extend(match &evidence.captures {
        Ok(captures) => capture::judge(captures, &names, evidence.engine.as_ref().ok()),
        Err(unanswered) => vec![unanswered.outcome(Stage::Capture)],
    });
    outcomes
}

/// The sentence in the engine's error text, which can be kilobytes of a Rust value and its backtrace
/// (docs/pg_trickle.md, "Status").
pub fn engine_message(raw: &str) -> String {
    let message = raw.split_once("message: \"").map_or(raw, |(_, rest)| quoted(rest));
    let line = message.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "the engine gives no reason".into() } else { line.chars().take(300).collect() }
}

/// Up to the closing quote of a Rust string literal.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    &text[..end.unwrap_or(text.len())]
}

/// An age as people say it.
fn shown(age: Duration) -> String {
    if age < Duration::from_secs(1) {
        format!("{} ms", age.as_millis())
    } else {
        humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
    }
}

#[cfg(test)]
mod sample {
    //! One healthy table and its surroundings, for the tests of every judgement.

    use super::*;
    use crate::model::{Column, Health, Origin, Schedule, Setting, Settings, Storage, Value};

    /// The server's clock in all tests.
    pub(super) const NOW: f64 = 1_000_000.0;

    /// A table in the schema `s` that reads these.
    pub(super) fn table(name: &str, upstream: &[&str]) -> StreamTable {
        let settings = [
            (Setting::Schedule, Value::Schedule(Schedule::Every(60))),
            (Setting::RefreshMode, Value::Text("DIFFERENTIAL".into())),
        ];
        StreamTable {
            relation: Relation::new("s", name),
            query: format!("select id from s.{name}_source"),
            settings: Settings::from_iter(settings),
            upstream: upstream.iter().map(|name| Relation::new("s", *name)).collect(),
            columns: None,
            origin: None,
        }
    }

    /// The same, from a model.
    pub(super) fn model(name: &str, upstream: &[&str]) -> StreamTable {
        let origin = Origin { unique_id: format!("model.shop.{name}"), file: format!("models/{name}.sql") };
        StreamTable { origin: Some(origin), ..table(name, upstream) }
    }

    /// Columns with these names.
    pub(super) fn columns(names: &[&str]) -> Vec<Column> {
        names.iter().map(|name| Column { name: (*name).into(), r#type: "int4".into() }).collect()
    }

    /// The same table as it stands in a healthy server.
    pub(super) fn deployed(table: StreamTable) -> Deployed {
        let health = Health {
            status: "ACTIVE".into(),
            is_populated: true,
            last_refresh_at: Some(NOW - 5.0),
            data_timestamp: Some(NOW - 5.0),
            updated_at: Some(NOW - 5.0),
            storage_exists: true,
            storage_now: Some(table.relation.to_string()),
            refresh_tier: Some("hot".into()),
            ..Health::default()
        };
        Deployed { table, mark: None, health, storage: Storage::default() }
    }

    /// A healthy server with these tables.
    pub(super) fn evidence(deployed: Vec<Deployed>) -> Evidence {
        let facts = deployed.iter().map(|d| Facts {
            schema: d.table.relation.schema.clone(),
            name: d.table.relation.name.clone(),
            ..Facts::default()
        });
        Evidence {
            facts: Ok(facts.collect()),
            deployed,
            captures: Ok(capture::Captures::default()),
            engine: Ok(engine()),
            version: "0.67.0".into(),
        }
    }

    /// A healthy engine.
    pub(super) fn engine() -> scheduler::Engine {
        scheduler::Engine {
            now: NOW,
            emulator: false,
            checks: vec![],
            role: "night".into(),
            sees_activity: true,
            standby: false,
            enabled: true,
            capture_paused: false,
            wal_level: "logical".into(),
            slot_lag_warning: Some("100".into()),
            slot_lag_critical: Some("1024".into()),
            schedulers: vec![scheduler::Scheduler { pid: 7, age: 3_600.0 }],
            holders: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_dump_is_reduced_to_its_sentence() {
        let dump = "ErrorReportWithLevel { level: ERROR, inner: ErrorReport { sqlerrcode: ERRCODE_DIVISION_BY_ZERO, message: \"division by zero\", hint: None, detail: Some(\"0: std::backtrace\") } }";
        assert_eq!(engine_message(dump), "division by zero");
        assert_eq!(engine_message("message: \"column \\\"a\\\" is gone\", x"), "column \\\"a\\\" is gone");
        assert_eq!(engine_message("plain words\nand more"), "plain words");
        assert_eq!(engine_message(""), "the engine gives no reason");
    }

    #[test]
    fn healthy_tables_are_green_and_a_question_without_an_answer_is_errored() {
        let (base, reader) = (sample::table("base", &[]), sample::table("reader", &["base"]));
        let mut evidence =
            sample::evidence(vec![sample::deployed(base.clone()), sample::deployed(reader.clone())]);
        let bad = |evidence: &Evidence| -> Vec<(Stage, Verdict)> {
            let outcomes = judge(&[&base, &reader], evidence, &Terms::default());
            outcomes.iter().filter(|o| o.verdict.is_bad()).map(|o| (o.stage, o.verdict)).collect()
        };
        assert_eq!(bad(&evidence), []);
        let timeout = Unanswered { why: "canceling statement due to statement timeout".into(), hint: None };
        evidence.captures = Err(timeout.clone());
        assert_eq!(bad(&evidence), [(Stage::Capture, Verdict::Errored)]);
        evidence.facts = Err(timeout.clone());
        evidence.engine = Err(timeout);
        for stage in [Stage::Mode, Stage::Scheduler, Stage::Capture] {
            assert!(bad(&evidence).contains(&(stage, Verdict::Errored)), "{stage:?}");
        }
        assert!(bad(&evidence).contains(&(Stage::Freshness, Verdict::Errored)), "no clock, no age");
    }
}
