//! How the document is filled from the report, and parts of it read back.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    SCHEMA_VERSION, V1Age, V1Column, V1Counts, V1Engine, V1Model, V1NeedsDbt, V1Outcome, V1Plan,
    V1ProjectSource, V1Query, V1Refill, V1Rehearsal, V1Relation, V1Report, V1Setting, V1Shard, V1Step,
    V1Tally, V1Timing, V1Tool, V1Value, V1View, milliseconds,
};
use crate::{
    model::{Engine, ManifestSource, Origin, Outcome, ProjectSource, Relation, Shard, ShardShare, Value},
    plan::{Change, ColumnChange, Counts, Plan, SettingChange, Step},
    report::{Report, Tally},
};

impl From<&Report> for V1Report {
    fn from(report: &Report) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: V1Tool::this(),
            command: report.command.clone(),
            invocation: report.invocation.clone(),
            conclusion: report.conclusion().into(),
            strict: report.strict,
            commit: report.commit.clone(),
            leg: report.leg.clone(),
            // It only fails for years after 9999.
            started_at: report.started_at.format(&Rfc3339).unwrap_or_default(),
            elapsed_ms: milliseconds(report.elapsed),
            timings: report.timings.iter().map(V1Timing::from).collect(),
            project: report.project.clone(),
            project_source: report.project_source.as_ref().map(V1ProjectSource::from),
            selection: report.selection.clone(),
            shard: report.shard.as_ref().map(V1Shard::from),
            target: report.target.clone(),
            dbt_target: report.dbt_target.clone(),
            engine: report.engine.as_ref().map(V1Engine::from),
            tally: V1Tally::from(report.tally()),
            plan: report.plan.as_ref().map(V1Plan::from),
            rehearsal: report.rehearsal.as_ref().map(V1Rehearsal::from),
            outcomes: report.outcomes.iter().map(V1Outcome::from).collect(),
            ages: report.ages.iter().map(V1Age::from).collect(),
        }
    }
}

impl From<&ShardShare> for V1Shard {
    fn from(share: &ShardShare) -> Self {
        let ShardShare { shard, taken, of, ref whole } = *share;
        Self { index: shard.index, count: shard.count, taken, of, whole: whole.clone() }
    }
}

impl V1Shard {
    pub(in crate::report) fn read(self) -> ShardShare {
        let shard = Shard { index: self.index, count: self.count };
        ShardShare { shard, taken: self.taken, of: self.of, whole: self.whole }
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
    /// # Errors
    /// The unknown word.
    pub(in crate::report) fn read(self) -> Result<ProjectSource, String> {
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
    pub(in crate::report) fn read(self) -> Relation {
        Relation::new(self.schema, self.name)
    }
}

impl V1Model {
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
            concerns: outcome.concerns.iter().map(V1Relation::from).collect(),
        }
    }
}
