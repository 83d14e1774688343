//! Turns evidence into outcomes, without a clock or a server. Missing evidence fails.

pub mod capture;
mod cron;
pub mod dependencies;
pub mod equality;
pub mod freshness;
pub mod hazards;
pub mod mode;
pub mod named;
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
    model::{AgeLimits, Deployed, HiddenRead, Outcome, Relation, Stage, StreamTable, Verdict},
    plan::Plan,
};

pub use hazards::Silence;

/// The deployed tables by name.
pub type Catalog<'a> = BTreeMap<&'a Relation, &'a Deployed>;

/// The deployed tables by name.
pub fn catalog(deployed: &[Deployed]) -> Catalog<'_> {
    deployed.iter().map(|d| (&d.table.relation, d)).collect()
}

/// The tables to judge: the project's, or without a project all deployed ones.
pub fn subjects<'a>(project: Option<&'a [StreamTable]>, deployed: &'a [Deployed]) -> Vec<&'a StreamTable> {
    match project {
        Some(tables) => tables.iter().collect(),
        None => deployed.iter().map(|d| &d.table).collect(),
    }
}

/// What a server reports about its stream tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub deployed: Vec<Deployed>,
    pub facts: Answer<Vec<Facts>>,
    pub captures: Answer<capture::Captures>,
    pub engine: Answer<scheduler::EngineState>,
    pub version: String,
}

impl Evidence {
    /// The facts about the tables that read change buffers, of these tables or of all.
    fn differential(&self, tables: Option<&BTreeSet<Relation>>) -> impl Iterator<Item = &Facts> {
        let is_differential = |deployed: &&Deployed| {
            deployed.table.settings.refresh_mode() == Some("DIFFERENTIAL")
                && tables.is_none_or(|tables| tables.contains(&deployed.table.relation))
        };
        let relations: BTreeSet<(&str, &str)> = self
            .deployed
            .iter()
            .filter(is_differential)
            .map(|deployed| (&*deployed.table.relation.schema, &*deployed.table.relation.name))
            .collect();
        let facts = self.facts.iter().flatten();
        facts.filter(move |facts| relations.contains(&(&*facts.schema, &*facts.name)))
    }
}

/// The result of a query for evidence.
pub type Answer<T> = Result<T, MissingEvidence>;

/// Why a query for evidence failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingEvidence {
    /// The server's message.
    pub why: String,
    /// The next command to type.
    pub hint: Option<String>,
}

impl MissingEvidence {
    fn outcome(&self, stage: Stage) -> Outcome {
        Outcome::new(stage, stage.name(), Verdict::Errored, &self.why)
            .quoting(&self.why, None)
            .with_details(self.hint.as_ref().map(|hint| format!("hint: {hint}")))
    }
}

/// Facts about a table beyond its catalog row.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Facts {
    pub schema: String,
    pub name: String,
    /// Its gated sources.
    pub gated_by: Vec<String>,
    /// The type of the only column, if it is no text; `None` also for an aggregate and a DISTINCT.
    pub lone_column: Option<String>,
    pub sources: Vec<SourceFacts>,
    /// How many of the examined refreshes fell back to FULL.
    pub fallbacks: u32,
    /// How many of its last refreshes were examined.
    pub refreshes: u32,
    /// Why the last refresh was FULL, in the engine's words.
    pub why_full: Option<String>,
    /// What started the last refresh with changes, such as `SCHEDULER`, `MANUAL` or `INITIAL`.
    pub last_by: Option<String>,
    /// How long the last refresh took that looked for rows, in milliseconds, if it is among the examined ones.
    pub last_ms: Option<f64>,
    pub float_columns: Vec<String>,
    /// How PostgreSQL stores its rows, such as `heap`; `None` for a partitioned table.
    pub access_method: Option<String>,
    /// Whether the stream table itself has row level security.
    pub has_row_security: bool,
    /// Tables that its query reads without pg_trickle's knowledge.
    #[serde(skip)]
    pub hidden_reads: Vec<HiddenRead>,
}

#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct SourceFacts {
    pub schema: String,
    pub name: String,
    /// `TABLE`, `STREAM_TABLE`, `VIEW`, …
    pub source_type: String,
    /// `TRIGGER`, `TRANSITIONING` or `WAL`.
    pub cdc_mode: String,
    pub has_row_security: bool,
    pub is_partitioned: bool,
    /// Whether the engine captures its changes or compares it with a copy.
    pub tracked: bool,
    pub primary_key: Vec<String>,
    pub logged_columns: Vec<LoggedColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct LoggedColumn {
    pub name: String,
    pub r#type: String,
    pub is_text: bool,
    pub nullable: bool,
    pub read: bool,
}

/// What the tables are judged by.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// The plan from the deployed tables to the project's, if there is a project.
    pub drift: Option<Plan>,
    /// Limits that a model or a dbt source sets for its table.
    pub ages: BTreeMap<Relation, AgeLimits>,
    /// Limits for all other tables.
    pub common_age: Option<AgeLimits>,
    /// Whether a table fails that is refreshed in full although its mode is DIFFERENTIAL or AUTO.
    pub fail_on_fallback: bool,
    /// The project's tables that are not judged, which judged ones may read.
    pub unselected: Vec<StreamTable>,
    pub silences: Vec<Silence>,
    /// The kinds of other relations with the names of missing stream tables.
    pub impostors: BTreeMap<Relation, String>,
}

impl Criteria {
    fn age(&self, relation: &Relation) -> Option<AgeLimits> {
        self.ages.get(relation).copied().or(self.common_age)
    }
}

/// Judges these tables, their upstream tables, and the engine.
pub fn judge(tables: &[&StreamTable], evidence: &Evidence, criteria: &Criteria) -> Vec<Outcome> {
    let catalog = catalog(&evidence.deployed);
    let own: BTreeMap<&Relation, table::TableOutcomes> = tables
        .iter()
        .map(|table| (&table.relation, table::judge(table, evidence, &catalog, criteria)))
        .collect();
    let concerned = dependencies::with_upstream(tables, &criteria.unselected, &catalog);
    let named: BTreeMap<String, &Relation> =
        concerned.iter().map(|table| (table.relation.to_string(), &table.relation)).collect();
    let others = concerned
        .iter()
        .filter(|table| !own.contains_key(&table.relation))
        .map(|table| (&table.relation, table::judge(table, evidence, &catalog, criteria)))
        .collect();

    let reads = dependencies::reads(&concerned, &catalog);
    let mut outcomes = dependencies::settle(&concerned, &reads, own, others);
    outcomes.extend(hazards::judge_version(&evidence.version, &criteria.silences));
    let relations = concerned.iter().map(|table| table.relation.clone()).collect();
    outcomes.extend(hazards::judge_server(evidence, &relations, &criteria.silences));
    outcomes.extend(evidence.facts.as_ref().err().map(|unanswered| unanswered.outcome(Stage::Mode)));
    outcomes.extend(match &evidence.engine {
        Ok(engine) => scheduler::judge(engine, &concerned, &catalog, criteria),
        Err(unanswered) => vec![unanswered.outcome(Stage::Scheduler)],
    });
    outcomes.extend(match &evidence.captures {
        Ok(captures) => capture::judge(captures, &named, evidence.engine.as_ref().ok()),
        Err(unanswered) => vec![unanswered.outcome(Stage::Capture)],
    });
    outcomes
}

/// The message within the engine's error text, which can be kilobytes of a Rust value with its backtrace
/// (docs/pg_trickle.md, "Status").
pub fn engine_message(raw: &str) -> String {
    let message = raw.split_once("message: \"").map_or(raw.to_owned(), |(_, rest)| unescaped(quoted(rest)));
    let line = message.lines().next().unwrap_or_default().trim();
    if line.is_empty() { "the engine gives no reason".into() } else { line.chars().take(300).collect() }
}

/// The text up to the closing quote of a Rust string literal.
fn quoted(text: &str) -> &str {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    &text[..end.unwrap_or(text.len())]
}

/// A Rust string literal's text without its escapes.
fn unescaped(text: &str) -> String {
    let mut characters = text.chars();
    let mut result = String::new();
    while let Some(character) = characters.next() {
        result.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(other) => other,
                None => break,
            },
            other => other,
        });
    }
    result
}

/// An age for people.
fn shown(age: Duration) -> String {
    if age < Duration::from_secs(1) {
        format!("{} ms", age.as_millis())
    } else {
        humantime::format_duration(Duration::from_secs(age.as_secs())).to_string()
    }
}

#[cfg(test)]
pub(crate) mod sample {
    //! A healthy table and server, for the tests of this module.

    use super::*;
    use crate::model::{Column, Health, Origin, Schedule, Setting, Settings, Storage, Value};

    pub(crate) const NOW: f64 = 1_000_000.0;

    /// A table in the schema `s` with these upstream tables.
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

    pub(super) fn model(name: &str, upstream: &[&str]) -> StreamTable {
        let origin = Origin { unique_id: format!("model.shop.{name}"), file: format!("models/{name}.sql") };
        StreamTable { origin: Some(origin), ..table(name, upstream) }
    }

    pub(super) fn columns(names: &[&str]) -> Vec<Column> {
        names.iter().map(|name| Column { name: (*name).into(), r#type: "int4".into() }).collect()
    }

    /// The table as a healthy server has it.
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

    pub(crate) fn engine() -> scheduler::EngineState {
        scheduler::EngineState {
            now: NOW,
            emulator: false,
            checks: vec![],
            role: "night".into(),
            sees_activity: true,
            standby: false,
            enabled: true,
            drained: false,
            can_repair: true,
            instance: None,
            recovery: None,
            versions: Some(scheduler::Versions { library: "0.67.0".into(), extension: "0.67.0".into() }),
            has_preflight: false,
            truncates_buffers: false,
            buffer_schema_to_quote: None,
            compact_threshold: None,
            capture_paused: false,
            wal_level: "logical".into(),
            slot_lag_warning: Some("100".into()),
            slot_lag_critical: Some("1024".into()),
            schedulers: vec![scheduler::SchedulerProcess { pid: 7, age: 3_600.0 }],
            holders: vec![],
            writers: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_dump_is_reduced_to_its_message() {
        let dump = "ErrorReportWithLevel { level: ERROR, inner: ErrorReport { sqlerrcode: ERRCODE_DIVISION_BY_ZERO, message: \"division by zero\", hint: None, detail: Some(\"0: std::backtrace\") } }";
        assert_eq!(engine_message(dump), "division by zero");
        assert_eq!(engine_message(r#"message: "column \"a\" is gone", x"#), r#"column "a" is gone"#);
        assert_eq!(engine_message(r#"message: "at \"\\\"\nLINE 1", x"#), r#"at "\""#);
        assert_eq!(engine_message("plain words\nand more"), "plain words");
        assert_eq!(engine_message(""), "the engine gives no reason");
    }

    #[test]
    fn healthy_tables_pass_and_missing_evidence_is_errored() {
        let (base, reader) = (sample::table("base", &[]), sample::table("reader", &["base"]));
        let mut evidence =
            sample::evidence(vec![sample::deployed(base.clone()), sample::deployed(reader.clone())]);
        let bad = |evidence: &Evidence| -> Vec<(Stage, Verdict)> {
            let outcomes = judge(&[&base, &reader], evidence, &Criteria::default());
            outcomes.iter().filter(|o| o.verdict.is_bad()).map(|o| (o.stage, o.verdict)).collect()
        };
        assert_eq!(bad(&evidence), []);
        let timeout =
            MissingEvidence { why: "canceling statement due to statement timeout".into(), hint: None };
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
