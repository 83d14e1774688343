//! The JSON report. Its format is stable.
//!
//! These structs are the format. They are built from the report and share no type with it, so that internal changes do
//! not change the format. Version 1 may get more fields; existing ones keep their name and meaning. Texts are not
//! escaped: a program that shows them must escape them.

mod ages;
mod filled;
mod rehearsal;
mod views;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Report;

pub use ages::V1Age;
pub use rehearsal::V1Rehearsal;
pub use views::{V1NeedsDbt, V1Refill, V1View};

/// The version of the format.
pub const SCHEMA_VERSION: u32 = 1;

/// Renders the report as an indented JSON document.
pub fn render(report: &Report) -> String {
    document(&V1Report::from(report))
}

/// An indented JSON document.
pub fn document(data: &impl Serialize) -> String {
    // It cannot fail: the keys are field names, and a number that is not finite becomes null.
    let mut text = serde_json::to_string_pretty(data).expect("a document is plain data");
    text.push('\n');
    text
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Report {
    /// 1. A reader must reject other versions.
    pub schema_version: u32,
    pub tool: V1Tool,
    /// The subcommand, such as `run`.
    pub command: String,
    /// The command line; values that may be secret are `...`. Null if unknown.
    #[serde(default)]
    pub invocation: Option<String>,
    /// `passed`, `failed` or `interrupted`.
    pub conclusion: String,
    /// Warnings count as failures.
    pub strict: bool,
    /// The tested commit; null outside of a workflow.
    #[serde(default)]
    pub commit: Option<String>,
    /// The job with its leg of a matrix, such as `gate (dbt: 1.11)`; null outside of a workflow.
    #[serde(default)]
    pub leg: Option<String>,
    /// When the command started, in RFC 3339.
    pub started_at: String,
    pub elapsed_ms: u64,
    /// The timed parts of the run, in order.
    #[serde(default)]
    pub timings: Vec<V1Timing>,
    /// The name of the dbt project; null if unknown.
    pub project: Option<String>,
    /// Where the project was read from; null if it was not read.
    #[serde(default)]
    pub project_source: Option<V1ProjectSource>,
    /// `--select` and `--exclude`, as given; null without them.
    #[serde(default)]
    pub selection: Option<String>,
    /// The shard of the project that the command took; null without `--shard`.
    #[serde(default)]
    pub shard: Option<V1Shard>,
    /// The server as `host:port/database` without a password, or the baseline.
    pub target: Option<String>,
    /// The dbt target and where it comes from, such as `prod (from DBT_TARGET)`; null if no profile was read.
    #[serde(default)]
    pub dbt_target: Option<String>,
    /// The server's software; null if unknown.
    pub engine: Option<V1Engine>,
    /// The number of outcomes by verdict.
    pub tally: V1Tally,
    /// The plan; null if the command made none.
    pub plan: Option<V1Plan>,
    /// What the change did after the base revision was deployed; null without a rehearsal.
    #[serde(default)]
    pub rehearsal: Option<V1Rehearsal>,
    /// All outcomes, in the order of the checks.
    pub outcomes: Vec<V1Outcome>,
    /// The age of each checked table.
    #[serde(default)]
    pub ages: Vec<V1Age>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Tool {
    /// Always `pgtrickle-ci`.
    pub name: String,
    pub version: String,
}

impl V1Tool {
    pub(super) fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// A shard of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Shard {
    /// Its number, from 1.
    pub index: usize,
    /// The number of shards.
    pub count: usize,
    /// The number of its tables or models.
    pub taken: usize,
    /// The number of all.
    pub of: usize,
    /// A checksum of all, the same in every shard.
    pub whole: String,
}

/// Where the project was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1ProjectSource {
    /// The number of selected stream tables.
    pub stream_tables: usize,
    /// `file`: a named manifest; `compiled`: by dbt in this run; `kept`: compiled earlier and unchanged since.
    pub from: String,
    /// The path of a named manifest.
    #[serde(default)]
    pub file: Option<String>,
    /// The dbt target of the compilation.
    #[serde(default)]
    pub target: Option<String>,
    /// When a kept manifest was compiled, in RFC 3339.
    #[serde(default)]
    pub compiled_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Timing {
    /// The part, such as `server` or `deployment`.
    pub what: String,
    pub elapsed_ms: u64,
}

/// The server's software.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Engine {
    /// PostgreSQL's version, such as `18.4`.
    pub postgres: String,
    /// The extension's version, such as `0.67.0`.
    pub pg_trickle: String,
    /// Whether it is the emulator and not pg_trickle.
    pub emulator: bool,
}

/// The number of outcomes by verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Tally {
    pub passed: usize,
    pub skipped: usize,
    pub warned: usize,
    pub failed: usize,
    pub errored: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Plan {
    pub summary: String,
    pub is_empty: bool,
    /// The number of tables by action.
    pub counts: V1Counts,
    /// One step per table, also for unchanged ones, in the order of execution.
    pub steps: Vec<V1Step>,
    /// The changed views that stream tables read.
    #[serde(default)]
    pub views: Vec<V1View>,
    /// What only dbt can do; empty if `apply` can execute the plan.
    #[serde(default)]
    pub needs_dbt: Vec<V1NeedsDbt>,
    /// Stream tables on the server that the project does not manage.
    pub unmanaged: Vec<V1Relation>,
    /// What was not compared, and why.
    pub notes: Vec<String>,
}

/// The number of tables by action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Counts {
    pub create: usize,
    /// Altered in place: settings or query.
    pub alter: usize,
    pub replace: usize,
    pub drop: usize,
    pub keep: usize,
    /// Among all of these: tables whose query fails.
    #[serde(default)]
    pub fail: usize,
    /// Changed views that stream tables read.
    #[serde(default)]
    pub views: usize,
    /// Tables whose rows change although their own definition does not.
    #[serde(default)]
    pub other_rows: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Step {
    pub relation: V1Relation,
    /// `create`, `alter`, `alter-query`, `replace`, `drop` or `keep`.
    pub action: String,
    /// It needs a permission that is missing.
    pub refused: bool,
    /// The kind of relation, in SQL's word, that has the name of a new table and is dropped.
    pub replaces: Option<String>,
    /// Settings before and after; for a new table its notable settings.
    pub settings: Vec<V1Setting>,
    /// The query before and after, if it changes.
    pub query: Option<V1Query>,
    /// The materialization, in dbt's word, that replaces a dropped table.
    #[serde(default)]
    pub becomes: Option<String>,
    /// Why, if the action does not explain itself.
    pub reasons: Vec<String>,
    /// What is unknown, and why.
    #[serde(default)]
    pub unknown: Option<String>,
    #[serde(default)]
    pub fails: Option<String>,
    /// The columns that differ; also empty without a server.
    pub columns: Vec<V1Column>,
    /// How many rows are rewritten, by PostgreSQL's estimate; null if none or unknown.
    pub refilled_rows: Option<i64>,
    /// The cost of a refill; null without a refill.
    #[serde(default)]
    pub refill: Option<V1Refill>,
    /// Views, grants, indexes and publications that are dropped with the storage.
    pub lost: Vec<String>,
    /// The stream tables that read it, directly or indirectly; empty for `keep`.
    pub downstream: Vec<V1Relation>,
    /// Other readers: models, exposures with their owners, views outside of the project.
    pub readers: Vec<String>,
    pub model: Option<V1Model>,
}

/// A column before and after. The types are PostgreSQL's internal names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Column {
    pub name: String,
    /// Its current type; null for a new column.
    pub from: Option<String>,
    /// Its future type; null for a removed column.
    pub to: Option<String>,
}

/// Schema and name, exactly as PostgreSQL stores them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Relation {
    pub schema: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Setting {
    /// The key, as in a model's configuration.
    pub name: String,
    /// Its current value; null if not set.
    pub from: Option<V1Value>,
    /// Its future value; null if not set.
    pub to: Option<V1Value>,
}

/// The value of a setting; a schedule is text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum V1Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Query {
    pub before: String,
    pub after: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Model {
    /// dbt's ID of the node, such as `model.shop.orders`.
    pub unique_id: String,
    /// The path relative to the dbt project.
    pub file: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1Outcome {
    /// The stage of the check, such as `freshness`.
    pub stage: String,
    /// What was checked; unique within its stage.
    pub subject: String,
    /// The subject, if it is a relation.
    #[serde(default)]
    pub relation: Option<V1Relation>,
    /// `passed`, `skipped`, `warned`, `failed` or `errored`.
    pub verdict: String,
    pub message: String,
    pub details: Vec<String>,
    /// SQL that reproduces the finding in an empty database. Null without one, or if it is long: then the details name
    /// its file.
    #[serde(default)]
    pub script: Option<String>,
    /// Null if not measured.
    pub elapsed_ms: Option<u64>,
    pub model: Option<V1Model>,
    /// The stream tables that it says something about, if the subject is another object, such as the readers of a source.
    #[serde(default)]
    pub concerns: Vec<V1Relation>,
}

fn milliseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_document_reads_back_unchanged() {
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
    fn an_empty_report_has_nulls() {
        let report = Report::begin("check", sample::report().started_at);
        let read: serde_json::Value = serde_json::from_str(&render(&report)).unwrap();
        for key in ["project", "target", "engine", "plan"] {
            assert!(read[key].is_null(), "{key}");
        }
        assert_eq!(read["outcomes"], serde_json::json!([]));
    }
}
