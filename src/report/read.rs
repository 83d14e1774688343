//! Parses a JSON report, to render it later or elsewhere.
//!
//! A report from a workflow of a fork is as hostile as its pull request. This module reads only facts and recomputes
//! counts and conclusions; the renderers escape every text again.

use std::time::Duration;

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Report,
    json::{
        SCHEMA_VERSION, V1Age, V1Column, V1Model, V1NeedsDbt, V1Outcome, V1Plan, V1ProjectSource,
        V1Rehearsal, V1Relation, V1Report, V1Setting, V1Shard, V1Step, V1Value, V1View,
    },
};
use crate::{
    model::{Column, Engine, Outcome, Setting, Stage, Subject, Value, Verdict},
    plan::{Change, ColumnChange, Cost, Plan, QueryChange, SettingChange, Step},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not JSON, or not in this format.
    #[error("`{file}` is not a pgtrickle-ci report: {source}")]
    NotJson { file: String, source: serde_json::Error },
    #[error("`{file}` has report format {found}; this version reads {SCHEMA_VERSION}")]
    Version { file: String, found: u32 },
    /// The document contains an unknown word.
    #[error("`{file}` has the unknown {what} `{word}`")]
    Unknown {
        file: String,
        /// The kind of word, such as `verdict`.
        what: &'static str,
        word: String,
    },
}

impl Error {
    pub fn hint(&self) -> String {
        match self {
            Self::NotJson { .. } => "write one with `run`, `plan` or `check` and `--json FILE`".into(),
            Self::Version { .. } | Self::Unknown { .. } => {
                "read it with the version of pgtrickle-ci that wrote it".into()
            }
        }
    }
}

#[derive(Deserialize)]
struct Probe {
    schema_version: u32,
}

/// The kind of the unknown word, and the word.
type Unknown = (&'static str, String);

/// Parses a report; `file` is its name for messages.
pub fn read(file: &str, text: &str) -> Result<Report, Error> {
    let not_json = |source| Error::NotJson { file: file.to_owned(), source };
    let Probe { schema_version: found } = serde_json::from_str(text).map_err(not_json)?;
    if found != SCHEMA_VERSION {
        return Err(Error::Version { file: file.to_owned(), found });
    }
    let document: V1Report = serde_json::from_str(text).map_err(not_json)?;
    report(document).map_err(|(what, word)| Error::Unknown { file: file.to_owned(), what, word })
}

fn report(document: V1Report) -> Result<Report, Unknown> {
    let started_at = OffsetDateTime::parse(&document.started_at, &Rfc3339)
        .map_err(|_| ("start time", document.started_at.clone()))?;
    Ok(Report {
        invocation: document.invocation,
        commit: document.commit,
        leg: document.leg,
        project: document.project,
        project_source: document
            .project_source
            .map(V1ProjectSource::read)
            .transpose()
            .map_err(|word| ("project source", word))?,
        selection: document.selection,
        shard: document.shard.map(V1Shard::read),
        target: document.target,
        dbt_target: document.dbt_target,
        engine: document.engine.map(|e| Engine { postgres: e.postgres, pg_trickle: e.pg_trickle }),
        elapsed: Duration::from_millis(document.elapsed_ms),
        timings: document
            .timings
            .into_iter()
            .map(|timing| (timing.what, Duration::from_millis(timing.elapsed_ms)))
            .collect(),
        plan: document.plan.map(plan).transpose()?,
        rehearsal: document
            .rehearsal
            .map(V1Rehearsal::read)
            .transpose()
            .map_err(|word| ("happening", word))?,
        outcomes: document.outcomes.into_iter().map(outcome).collect::<Result<_, _>>()?,
        ages: document.ages.into_iter().map(V1Age::read).collect(),
        strict: document.strict,
        interrupted: document.conclusion == "interrupted",
        ..Report::begin(document.command, started_at)
    })
}

fn plan(plan: V1Plan) -> Result<Plan, Unknown> {
    Ok(Plan {
        steps: plan.steps.into_iter().map(step).collect::<Result<_, _>>()?,
        unmanaged: plan.unmanaged.into_iter().map(V1Relation::read).collect(),
        // The outcomes contain them.
        problems: Vec::new(),
        notes: plan.notes,
        views: plan
            .views
            .into_iter()
            .map(V1View::read)
            .collect::<Result<_, _>>()
            .map_err(|word| ("action", word))?,
        needs_dbt: plan.needs_dbt.into_iter().map(V1NeedsDbt::read).collect(),
        unmatched: Vec::new(),
        lost_views: Vec::new(),
        lost_objects: Vec::new(),
    })
}

fn step(step: V1Step) -> Result<Step, Unknown> {
    Ok(Step {
        becomes: step.becomes.clone(),
        change: change(&step)?,
        columns: step.columns.into_iter().map(column).collect::<Result<_, _>>()?,
        relation: step.relation.read(),
        reasons: step.reasons,
        unknown: step.unknown,
        failure: step.fails,
        // Earlier documents have only the number of rows.
        cost: step
            .refill
            .map(Cost::from)
            .or(step.refilled_rows.map(|rows| Cost { rows: Some(rows), ..Cost::default() })),
        lost: step.lost,
        readers: step.readers,
        downstream: step.downstream.into_iter().map(V1Relation::read).collect(),
        origin: step.model.map(V1Model::read),
        refused: step.refused,
    })
}

fn change(step: &V1Step) -> Result<Change, Unknown> {
    let query = step.query.as_ref();
    let query = query.map(|query| QueryChange { before: query.before.clone(), after: query.after.clone() });
    let settings = || step.settings.iter().map(setting).collect::<Result<Vec<_>, _>>();
    Ok(match (step.action.as_str(), query) {
        ("create", _) => {
            let values = settings()?.into_iter().filter_map(|change| Some((change.setting, change.to?)));
            Change::Create { settings: values.collect(), replaces: step.replaces.clone() }
        }
        ("alter", _) => Change::Alter(settings()?),
        ("alter-query", Some(query)) => Change::AlterQuery { query, settings: settings()? },
        ("replace", query) => Change::Recreate { query, settings: settings()? },
        ("drop", _) => Change::Drop,
        ("keep", _) => Change::Keep,
        _ => return Err(("action", step.action.clone())),
    })
}

fn column(change: V1Column) -> Result<ColumnChange, Unknown> {
    let V1Column { name, from, to } = change;
    let column = |r#type| Column { name: name.clone(), r#type };
    match (from, to) {
        (None, Some(to)) => Ok(ColumnChange::Added(column(to))),
        (Some(from), None) => Ok(ColumnChange::Removed(column(from))),
        (Some(from), Some(to)) => Ok(ColumnChange::Retyped { from: column(from), to: column(to) }),
        (None, None) => Err(("column", name)),
    }
}

fn setting(change: &V1Setting) -> Result<SettingChange, Unknown> {
    let known = Setting::named(&change.name);
    let setting = known.ok_or_else(|| ("setting", change.name.clone()))?;
    let value = |value: &Option<V1Value>| value.as_ref().map(|value| read_value(setting, value)).transpose();
    Ok(SettingChange { setting, from: value(&change.from)?, to: value(&change.to)? })
}

fn read_value(setting: Setting, value: &V1Value) -> Result<Value, Unknown> {
    let json = match value {
        V1Value::Bool(flag) => (*flag).into(),
        V1Value::Int(number) => (*number).into(),
        V1Value::Float(number) => (*number).into(),
        V1Value::Text(text) => text.as_str().into(),
    };
    setting.read(&json).ok().flatten().ok_or_else(|| ("value", json.to_string()))
}

fn outcome(outcome: V1Outcome) -> Result<Outcome, Unknown> {
    let stage = outcome.stage.parse::<Stage>().ok();
    let verdict = outcome.verdict.parse::<Verdict>().ok();
    Ok(Outcome {
        stage: stage.ok_or(("stage", outcome.stage))?,
        verdict: verdict.ok_or(("verdict", outcome.verdict))?,
        subject: match outcome.relation {
            Some(relation) => Subject::Relation(relation.read()),
            None => outcome.subject.into(),
        },
        message: outcome.message,
        details: outcome.details,
        rows: Vec::new(),
        quotes: Vec::new(),
        script: outcome.script,
        elapsed: outcome.elapsed_ms.map(Duration::from_millis),
        origin: outcome.model.map(V1Model::read),
        concerns: outcome.concerns.into_iter().map(V1Relation::read).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{json, sample};

    #[test]
    fn a_report_reads_back_unchanged() {
        for interrupted in [false, true] {
            let report = Report { interrupted, strict: interrupted, ..sample::report() };
            assert_eq!(read("report.json", &json::render(&report)).unwrap(), report);
        }
        let empty = Report::begin("check", sample::report().started_at);
        assert_eq!(read("report.json", &json::render(&empty)).unwrap(), empty);
    }

    #[test]
    fn unknown_words_are_named() {
        let whole = json::render(&sample::report());
        let rejected = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from}");
            read("r.json", &whole.replace(from, to)).unwrap_err().to_string()
        };
        let said = rejected("\"schema_version\": 1", "\"schema_version\": 2");
        assert_eq!(said, "`r.json` has report format 2; this version reads 1");
        for (from, what) in [
            ("\"stage\": \"capture\"", "stage"),
            ("\"verdict\": \"failed\"", "verdict"),
            ("\"action\": \"drop\"", "action"),
            ("\"observed\": \"refilled\"", "happening"),
            ("\"name\": \"schedule\"", "setting"),
        ] {
            let key = from.split(':').next().unwrap();
            let said = rejected(from, &format!("{key}: \"guessed\""));
            assert_eq!(said, format!("`r.json` has the unknown {what} `guessed`"));
        }
        assert!(rejected("\"1m30s\"", "\"banana\"").contains("has the unknown value"));
        assert!(
            read("r.json", "[]")
                .unwrap_err()
                .to_string()
                .starts_with("`r.json` is not a pgtrickle-ci report")
        );
    }
}
