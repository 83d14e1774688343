//! The report for machines: one JSON document whose shape is a promise.
//!
//! These structs are the format. They are built from the report and never share a type with it, so that the inside of
//! this program can change without anybody's script noticing. Fields may be added to version 1; what is there keeps its
//! name and meaning. Texts are raw: whoever shows them escapes them for the place where they are shown.

mod rehearsal;
mod views;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Engine, Report, Tally};
use crate::{
    model::{ManifestSource, Origin, Outcome, ProjectSource, Relation, Value},
    plan::{Change, ColumnChange, Counts, Plan, SettingChange, Step},
};

pub use rehearsal::V1Rehearsal;
pub use views::{V1NeedsDbt, V1Refill, V1View};

/// The version of the format that this module writes.
pub const SCHEMA_VERSION: u32 = 1;

/// Renders the report as an indented JSON document.
pub fn render(report: &Report) -> String {
    // Its keys are field names and its numbers finite, so there is nothing that JSON could not hold.
    let mut text = serde_json::to_string_pretty(&V1Report::from(report)).expect("a V1Report is plain data");
    text.push('\n');
    text
}

/// The whole document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Report {
    /// 1. A reader refuses what it does not know.
    pub schema_version: u32,
    /// What wrote it.
    pub tool: V1Tool,
    /// The subcommand, as `run` or `plan`.
    pub command: String,
    /// The command with its flags; values that may be secret are `...`. Null where it is not known.
    #[serde(default)]
    pub invocation: Option<String>,
    /// `passed`, `failed` or `interrupted`.
    pub conclusion: String,
    /// Warnings count as failures.
    pub strict: bool,
    /// The commit that was looked at; null where no workflow said it.
    #[serde(default)]
    pub commit: Option<String>,
    /// The job that made it, with its leg of a matrix, as `gate (dbt: 1.11)`; null where no workflow said it.
    #[serde(default)]
    pub leg: Option<String>,
    /// When the command began, RFC 3339.
    pub started_at: String,
    /// How long it took.
    pub elapsed_ms: u64,
    /// Its parts that were timed, in the order in which they went on.
    #[serde(default)]
    pub timings: Vec<V1Timing>,
    /// The dbt project's name, once it was known.
    pub project: Option<String>,
    /// Where the project was read from, once it was.
    #[serde(default)]
    pub project_source: Option<V1ProjectSource>,
    /// What `--select` and `--exclude` said; null where everything is meant.
    #[serde(default)]
    pub selection: Option<String>,
    /// The server, `host:port/database`, or the baseline; never with a password.
    pub target: Option<String>,
    /// The dbt target and what chose it, as `prod (from DBT_TARGET)`; null where no profile was read.
    #[serde(default)]
    pub dbt_target: Option<String>,
    /// What runs there, once it was known.
    pub engine: Option<V1Engine>,
    /// How many outcomes ended in which way.
    pub tally: V1Tally,
    /// What changes; null where nobody asked.
    pub plan: Option<V1Plan>,
    /// What the change did on top of another revision; null where that was not tried.
    #[serde(default)]
    pub rehearsal: Option<V1Rehearsal>,
    /// Every judgement, in the order in which it was made.
    pub outcomes: Vec<V1Outcome>,
}

/// What wrote the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Tool {
    /// `pgtrickle-ci`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Where the project was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1ProjectSource {
    /// How many stream tables it has, of those that are selected.
    pub stream_tables: usize,
    /// `file`: a manifest that was named; `compiled`: by dbt, just now; `kept`: compiled earlier and unchanged since.
    pub from: String,
    /// The manifest that was named.
    #[serde(default)]
    pub file: Option<String>,
    /// The dbt target that it was compiled for.
    #[serde(default)]
    pub target: Option<String>,
    /// When a kept one was compiled, RFC 3339.
    #[serde(default)]
    pub compiled_at: Option<String>,
}

/// A part that was timed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Timing {
    /// What it was, as `server` or `deployment`.
    pub what: String,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// The server's software.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Engine {
    /// PostgreSQL's version, as `18.4`.
    pub postgres: String,
    /// The extension's version, as `0.67.0`.
    pub pg_trickle: String,
    /// It is the emulator and not pg_trickle itself.
    pub emulator: bool,
}

/// How many outcomes ended in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Tally {
    pub passed: usize,
    pub skipped: usize,
    pub warned: usize,
    pub failed: usize,
    pub errored: usize,
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Plan {
    /// The closing sentence.
    pub summary: String,
    /// Nothing changes.
    pub is_empty: bool,
    /// How many tables change in which way.
    pub counts: V1Counts,
    /// A step for every table, unchanged ones too, in the order in which they are taken.
    pub steps: Vec<V1Step>,
    /// The views that stream tables read and that change.
    #[serde(default)]
    pub views: Vec<V1View>,
    /// What only dbt can do; empty where `apply` can carry the plan out.
    #[serde(default)]
    pub needs_dbt: Vec<V1NeedsDbt>,
    /// Stream tables on the server that the project did not make.
    pub unmanaged: Vec<V1Relation>,
    /// What was not compared, and why.
    pub notes: Vec<String>,
}

/// How many tables change in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Counts {
    /// Created.
    pub create: usize,
    /// Altered in place, settings or query.
    pub alter: usize,
    /// Dropped and built again.
    pub replace: usize,
    /// Dropped.
    pub drop: usize,
    /// Left as they are.
    pub keep: usize,
    /// Those of the above whose query fails.
    #[serde(default)]
    pub fail: usize,
    /// Views that stream tables read and that change.
    #[serde(default)]
    pub views: usize,
    /// Tables that get different rows although their own definition stays.
    #[serde(default)]
    pub other_rows: usize,
}

/// What happens to one stream table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Step {
    /// The table.
    pub relation: V1Relation,
    /// `create`, `alter`, `alter-query`, `replace`, `drop` or `keep`.
    pub action: String,
    /// It needs a permission that was not given.
    pub refused: bool,
    /// What has the name of a new table now and has to go, in SQL's word for it.
    pub replaces: Option<String>,
    /// Settings before and after; for a new table what is worth saying of it.
    pub settings: Vec<V1Setting>,
    /// The query before and after, where it is given to the engine anew.
    pub query: Option<V1Query>,
    /// What dbt makes in the place of a dropped table, in its word for it.
    #[serde(default)]
    pub becomes: Option<String>,
    /// Why, where the action does not say it itself.
    pub reasons: Vec<String>,
    /// What could not be known, and why.
    #[serde(default)]
    pub unknown: Option<String>,
    /// Why its query fails.
    #[serde(default)]
    pub fails: Option<String>,
    /// The columns that differ; empty also where no server was asked.
    pub columns: Vec<V1Column>,
    /// How many rows are written again, by PostgreSQL's estimate; null where none are or it is not known.
    pub refilled_rows: Option<i64>,
    /// What a refill costs; null where nothing is refilled.
    #[serde(default)]
    pub refill: Option<V1Refill>,
    /// Views, grants, indexes and publications that go with the storage.
    pub lost: Vec<String>,
    /// The stream tables that read it, directly or through others; empty for `keep`.
    pub downstream: Vec<V1Relation>,
    /// What else reads it: models, exposures with their owners, views that are none of the project's.
    pub readers: Vec<String>,
    /// The dbt model behind it.
    pub model: Option<V1Model>,
}

/// A column before and after. The types are PostgreSQL's internal names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Column {
    /// Its name.
    pub name: String,
    /// Its type now; null when it is new.
    pub from: Option<String>,
    /// Its type afterwards; null when it goes.
    pub to: Option<String>,
}

/// A relation by its two parts, exactly as PostgreSQL stores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Relation {
    pub schema: String,
    pub name: String,
}

/// A setting before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Setting {
    /// The key, as it is written in a model.
    pub name: String,
    /// Its value now; null when it is not set.
    pub from: Option<V1Value>,
    /// Its value afterwards; null when it will not be set.
    pub to: Option<V1Value>,
}

/// The value of a setting; a schedule is a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum V1Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// A query before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Query {
    pub before: String,
    pub after: String,
}

/// A dbt model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Model {
    /// dbt's name for the node, as `model.shop.orders`.
    pub unique_id: String,
    /// Its file, relative to the dbt project.
    pub file: String,
}

/// One judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Outcome {
    /// The stage that made it, as `freshness`.
    pub stage: String,
    /// What it is about; unique in its stage.
    pub subject: String,
    /// The same, where it is a relation.
    #[serde(default)]
    pub relation: Option<V1Relation>,
    /// `passed`, `skipped`, `warned`, `failed` or `errored`.
    pub verdict: String,
    /// One sentence.
    pub message: String,
    /// More lines.
    pub details: Vec<String>,
    /// SQL that shows it with psql on an empty database; null where there is none, or where it is long and only its file
    /// is named in the details.
    #[serde(default)]
    pub script: Option<String>,
    /// How long it took; null where that was not measured.
    pub elapsed_ms: Option<u64>,
    /// The dbt model it is about.
    pub model: Option<V1Model>,
}

impl From<&Report> for V1Report {
    fn from(report: &Report) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: V1Tool { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() },
            command: report.command.clone(),
            invocation: report.invocation.clone(),
            conclusion: report.conclusion().into(),
            strict: report.strict,
            commit: report.commit.clone(),
            leg: report.leg.clone(),
            // It fails for years beyond 9999 alone.
            started_at: report.started_at.format(&Rfc3339).unwrap_or_default(),
            elapsed_ms: milliseconds(report.elapsed),
            timings: report.timings.iter().map(V1Timing::from).collect(),
            project: report.project.clone(),
            project_source: report.project_source.as_ref().map(V1ProjectSource::from),
            selection: report.selection.clone(),
            target: report.target.clone(),
            dbt_target: report.dbt_target.clone(),
            engine: report.engine.as_ref().map(V1Engine::from),
            tally: V1Tally::from(report.tally()),
            plan: report.plan.as_ref().map(V1Plan::from),
            rehearsal: report.rehearsal.as_ref().map(V1Rehearsal::from),
            outcomes: report.outcomes.iter().map(V1Outcome::from).collect(),
        }
    }
}

impl From<&ProjectSource> for V1ProjectSource {
    fn from(source: &ProjectSource) -> Self {
        let empty = Self {
            stream_tables: source.tables,
            from: String::new(),
            file: None,
            target: None,
            compiled_at: None,
        };
        match &source.manifest {
            ManifestSource::File(file) => Self { from: "file".into(), file: Some(file.clone()), ..empty },
            ManifestSource::Compiled { target } => {
                Self { from: "compiled".into(), target: Some(target.clone()), ..empty }
            }
            ManifestSource::Kept { target, compiled_at } => Self {
                from: "kept".into(),
                target: Some(target.clone()),
                compiled_at: compiled_at.format(&Rfc3339).ok(),
                ..empty
            },
        }
    }
}

impl V1ProjectSource {
    /// The source that it says.
    ///
    /// # Errors
    /// With the word that is not known.
    pub(super) fn read(self) -> Result<ProjectSource, String> {
        let target = self.target.unwrap_or_default();
        let compiled_at = self.compiled_at.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
        let manifest = match (self.from.as_str(), compiled_at) {
            ("file", _) => ManifestSource::File(self.file.unwrap_or_default()),
            ("compiled", _) => ManifestSource::Compiled { target },
            ("kept", Some(compiled_at)) => ManifestSource::Kept { target, compiled_at },
            _ => return Err(self.from),
        };
        Ok(ProjectSource { tables: self.stream_tables, manifest })
    }
}

impl From<&(String, Duration)> for V1Timing {
    fn from((what, elapsed): &(String, Duration)) -> Self {
        Self { what: what.clone(), elapsed_ms: milliseconds(*elapsed) }
    }
}

impl From<&Engine> for V1Engine {
    fn from(engine: &Engine) -> Self {
        Self {
            postgres: engine.postgres.clone(),
            pg_trickle: engine.pg_trickle.clone(),
            emulator: engine.is_emulator(),
        }
    }
}

impl From<Tally> for V1Tally {
    fn from(tally: Tally) -> Self {
        let Tally { passed, skipped, warned, failed, errored } = tally;
        Self { passed, skipped, warned, failed, errored }
    }
}

impl From<&Plan> for V1Plan {
    fn from(plan: &Plan) -> Self {
        Self {
            summary: plan.summary(),
            is_empty: plan.is_empty(),
            counts: V1Counts::from(plan.counts()),
            steps: plan.steps.iter().map(V1Step::from).collect(),
            views: plan.views.iter().map(V1View::from).collect(),
            needs_dbt: plan.needs_dbt.iter().map(V1NeedsDbt::from).collect(),
            unmanaged: plan.unmanaged.iter().map(V1Relation::from).collect(),
            notes: plan.notes.clone(),
        }
    }
}

impl From<Counts> for V1Counts {
    fn from(counts: Counts) -> Self {
        let Counts { create, alter, replace, drop, keep, fail, views, other_rows } = counts;
        Self { create, alter, replace, drop, keep, fail, views, other_rows }
    }
}

impl From<&Step> for V1Step {
    fn from(step: &Step) -> Self {
        let (settings, replaces) = if let Change::Create { settings, replaces } = &step.change {
            (settings.iter().map(new_setting).collect(), replaces.clone())
        } else {
            (step.change.settings().iter().map(V1Setting::from).collect(), None)
        };
        let query = step.change.query();
        let query = query.map(|query| V1Query { before: query.before.clone(), after: query.after.clone() });
        Self {
            relation: V1Relation::from(&step.relation),
            action: step.change.name().into(),
            refused: step.refused,
            replaces,
            becomes: step.becomes.clone(),
            settings,
            query,
            reasons: step.reasons.clone(),
            columns: step.columns.iter().map(V1Column::from).collect(),
            unknown: step.unknown.clone(),
            fails: step.failure.clone(),
            refilled_rows: step.cost.and_then(|cost| cost.rows),
            refill: step.cost.as_ref().map(V1Refill::from),
            lost: step.lost.clone(),
            downstream: step.downstream.iter().map(V1Relation::from).collect(),
            readers: step.readers.clone(),
            model: step.origin.as_ref().map(V1Model::from),
        }
    }
}

fn new_setting((setting, value): &(crate::model::Setting, Value)) -> V1Setting {
    V1Setting { name: setting.name().into(), from: None, to: Some(V1Value::from(value)) }
}

impl From<&ColumnChange> for V1Column {
    fn from(change: &ColumnChange) -> Self {
        let (name, from, to) = match change {
            ColumnChange::Added(column) => (&column.name, None, Some(&column.r#type)),
            ColumnChange::Removed(column) => (&column.name, Some(&column.r#type), None),
            ColumnChange::Retyped { from, to } => (&from.name, Some(&from.r#type), Some(&to.r#type)),
        };
        Self { name: name.clone(), from: from.cloned(), to: to.cloned() }
    }
}

impl From<&Relation> for V1Relation {
    fn from(relation: &Relation) -> Self {
        Self { schema: relation.schema.clone(), name: relation.name.clone() }
    }
}

impl V1Relation {
    /// What was written.
    pub(in crate::report) fn read(self) -> Relation {
        Relation::new(self.schema, self.name)
    }
}

impl V1Model {
    /// What was written.
    pub(in crate::report) fn read(self) -> Origin {
        Origin { unique_id: self.unique_id, file: self.file }
    }
}

impl From<&SettingChange> for V1Setting {
    fn from(change: &SettingChange) -> Self {
        Self {
            name: change.setting.name().into(),
            from: change.from.as_ref().map(V1Value::from),
            to: change.to.as_ref().map(V1Value::from),
        }
    }
}

impl From<&Value> for V1Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.clone()),
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => Self::Int(*number),
            Value::Float(number) => Self::Float(*number),
            Value::Schedule(schedule) => Self::Text(schedule.to_string()),
        }
    }
}

impl From<&Origin> for V1Model {
    fn from(origin: &Origin) -> Self {
        Self { unique_id: origin.unique_id.clone(), file: origin.file.clone() }
    }
}

impl From<&Outcome> for V1Outcome {
    fn from(outcome: &Outcome) -> Self {
        Self {
            stage: outcome.stage.name().into(),
            subject: outcome.subject.to_string(),
            relation: outcome.subject.relation().map(V1Relation::from),
            verdict: outcome.verdict.name().into(),
            message: outcome.message.clone(),
            details: outcome.details.clone(),
            script: outcome.script.clone(),
            elapsed_ms: outcome.elapsed.map(milliseconds),
            model: outcome.origin.as_ref().map(V1Model::from),
        }
    }
}

fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn it_reads_back_as_what_was_written() {
        let report = sample::report();
        let read: V1Report = serde_json::from_str(&render(&report)).unwrap();
        assert_eq!(read, V1Report::from(&report));
        assert_eq!(read.plan.unwrap().steps.last().unwrap().relation.name, sample::HOSTILE_NAME);
    }

    #[test]
    fn the_document_keeps_its_shape() {
        let rendered = render(&sample::report()).replace(env!("CARGO_PKG_VERSION"), "@@VERSION@@");
        insta::assert_snapshot!(rendered);
    }

    #[test]
    fn an_empty_report_says_null_where_nothing_is_known() {
        let report = Report::begin("check", sample::report().started_at);
        let read: serde_json::Value = serde_json::from_str(&render(&report)).unwrap();
        for key in ["project", "target", "engine", "plan"] {
            assert!(read[key].is_null(), "{key}");
        }
        assert_eq!(read["outcomes"], serde_json::json!([]));
    }
}
