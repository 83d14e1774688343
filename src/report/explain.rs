//! One stream table explained: what it is, what it reads, who reads it, and how it is refreshed. As JSON and for a
//! terminal.

#[cfg(test)]
pub(super) mod sample;
mod terminal;

use std::collections::BTreeMap;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use terminal::render;

use super::json::{SCHEMA_VERSION, V1Engine, V1Outcome, V1Refill, V1Relation, V1Tool, V1Value};
use crate::{
    judge::{Evidence, Facts, SourceFacts, capture::ReplicationSlot, engine_message},
    model::{Deployed, Engine, Outcome, Relation, Setting, Stage, Value, Verdict},
    plan::Cost,
    project::Project,
};

/// What is known of one stream table.
pub struct Explained<'a> {
    /// The server as `host:port/database` without a password.
    pub target: String,
    pub engine: Engine,
    pub deployed: &'a Deployed,
    /// What the server reports about all stream tables.
    pub evidence: &'a Evidence,
    /// The outcomes of the checks of this table and of what it depends on.
    pub outcomes: &'a [Outcome],
    pub cost: Cost,
    /// The sizes of its change buffers.
    pub sizes: &'a BTreeMap<Relation, i64>,
    pub project: Option<&'a Project>,
}

/// The document. Version 1 may get more fields; existing ones keep their name and meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Explanation {
    /// 1. A reader must reject other versions.
    pub schema_version: u32,
    pub tool: V1Tool,
    /// `explain`.
    pub command: String,
    /// The server as `host:port/database` without a password.
    pub target: String,
    pub engine: V1Engine,
    pub relation: V1Relation,
    /// The dbt model; null without one.
    pub model: Option<V1ExplainedModel>,
    /// The query as it was written.
    pub query: String,
    /// The other settings in the catalog, by their keys in a model.
    pub settings: BTreeMap<&'static str, V1Value>,
    pub refresh_mode: V1RefreshMode,
    pub status: V1Status,
    /// The size of the table, and the duration of its last full refreshes.
    pub cost: V1Refill,
    /// What it reads. Null if the server did not tell.
    pub reads: Option<Vec<V1Source>>,
    pub readers: V1Readers,
    /// The results of `check` for this table, and the failures of what it depends on.
    pub outcomes: Vec<V1Outcome>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1ExplainedModel {
    /// dbt's ID of the node, such as `model.shop.orders`.
    pub unique_id: String,
    /// The path relative to the dbt project; null without a manifest.
    pub file: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1RefreshMode {
    /// The mode that was asked for; null in versions that do not keep it and without a project.
    pub requested: Option<String>,
    /// The mode that the table has.
    pub deployed: Option<String>,
    /// What the last refresh did; before the first refresh after the creation, its mode.
    pub effective: Option<String>,
    /// Why, in the engine's words; null if it gives no reason.
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Status {
    /// `INITIALIZING`, `ACTIVE`, `SUSPENDED` or `ERROR`.
    pub status: String,
    pub is_populated: bool,
    /// The last refresh, in RFC 3339; null if there was none.
    pub refreshed_at: Option<String>,
    /// The last refresh that changed rows.
    pub rows_changed_at: Option<String>,
    /// The server's clock when the status was read; null if the server did not tell.
    pub read_at: Option<String>,
    /// The message of the last failure.
    pub error: Option<String>,
    /// Its gated sources, which hold it back.
    pub gated_by: Vec<String>,
}

/// A relation that the stream table reads.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Source {
    pub relation: V1Relation,
    /// `table`, `stream_table`, `view` or another kind.
    pub kind: String,
    /// How its changes are captured: `trigger`, `transitioning`, `wal`, `immediate`; null if they are not.
    pub capture: Option<String>,
    /// The table with the changes that are not applied yet.
    pub buffer: Option<V1Buffer>,
    /// The replication slot of a capture from the WAL.
    pub slot: Option<V1Slot>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Buffer {
    pub relation: V1Relation,
    /// Its size with indexes; null if it does not exist.
    pub bytes: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Slot {
    pub name: String,
    /// How far it is behind the WAL; null on a standby.
    pub lag_bytes: Option<f64>,
    /// PostgreSQL removed WAL that it still needed.
    pub is_lost: bool,
}

/// Who reads the stream table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Readers {
    pub stream_tables: Vec<V1Relation>,
    /// Views on the server, directly or through other views.
    pub views: Vec<V1Relation>,
    /// Other models of the project; null without a manifest.
    pub models: Option<Vec<V1ModelReader>>,
    /// Exposures of the project; null without a manifest.
    pub exposures: Option<Vec<V1ExposureReader>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1ModelReader {
    pub relation: V1Relation,
    /// The materialization.
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1ExposureReader {
    pub name: String,
    pub owner: Option<String>,
}

impl From<&Explained<'_>> for V1Explanation {
    fn from(known: &Explained<'_>) -> Self {
        let Deployed { table, .. } = known.deployed;
        let facts = known.facts();
        Self {
            schema_version: SCHEMA_VERSION,
            tool: V1Tool::this(),
            command: "explain".into(),
            target: known.target.clone(),
            engine: V1Engine::from(&known.engine),
            relation: V1Relation::from(&table.relation),
            model: known.origin().map(|origin| V1ExplainedModel {
                unique_id: origin.unique_id.clone(),
                file: (!origin.file.is_empty()).then(|| origin.file.clone()),
            }),
            query: table.query.clone(),
            settings: known
                .settings()
                .map(|(setting, value)| (setting.name(), V1Value::from(value)))
                .collect(),
            refresh_mode: known.refresh_mode(),
            status: known.status(),
            cost: V1Refill::from(&known.cost),
            reads: facts.map(|facts| facts.sources.iter().map(|source| known.source(source)).collect()),
            readers: known.readers(),
            outcomes: known.outcomes.iter().map(V1Outcome::from).collect(),
        }
    }
}

impl Explained<'_> {
    fn relation(&self) -> &Relation {
        &self.deployed.table.relation
    }

    fn facts(&self) -> Option<&Facts> {
        let relation = self.relation();
        let facts = self.evidence.facts.as_ref().ok()?;
        facts.iter().find(|facts| facts.schema == relation.schema && facts.name == relation.name)
    }

    /// The model in the project, else that of the mark.
    fn origin(&self) -> Option<&crate::model::Origin> {
        let tables = self.project.into_iter().flat_map(|project| &project.tables);
        let model = tables.into_iter().find(|table| table.relation == *self.relation());
        model.and_then(|model| model.origin.as_ref()).or(self.deployed.table.origin.as_ref())
    }

    fn settings(&self) -> impl Iterator<Item = (Setting, &Value)> {
        // The mode and the status have their own places.
        let settings = self.deployed.table.settings.iter();
        settings.filter(|(setting, _)| ![Setting::RefreshMode, Setting::Status].contains(setting))
    }

    fn refresh_mode(&self) -> V1RefreshMode {
        let Deployed { table, health, .. } = self.deployed;
        let tables = self.project.into_iter().flat_map(|project| &project.tables);
        let model = tables.into_iter().find(|model| model.relation == table.relation);
        let of_model = model.and_then(|model| model.settings.refresh_mode()).map(ToOwned::to_owned);
        let why_full = self.facts().and_then(|facts| facts.why_full.clone());
        V1RefreshMode {
            requested: of_model.or_else(|| health.requested_refresh_mode.clone()),
            deployed: table.settings.refresh_mode().map(ToOwned::to_owned),
            effective: health.effective_refresh_mode.clone(),
            why: why_full.or_else(|| health.refresh_reason.clone()),
        }
    }

    fn status(&self) -> V1Status {
        let health = &self.deployed.health;
        V1Status {
            status: health.status.clone(),
            is_populated: health.is_populated,
            refreshed_at: health.last_refresh_at.map(timestamp),
            rows_changed_at: health.data_timestamp.map(timestamp),
            read_at: self.now().map(timestamp),
            error: health.last_error_message.as_deref().map(engine_message),
            gated_by: self.facts().map(|facts| facts.gated_by.clone()).unwrap_or_default(),
        }
    }

    fn now(&self) -> Option<f64> {
        self.evidence.engine.as_ref().ok().map(|engine| engine.now)
    }

    fn source(&self, source: &SourceFacts) -> V1Source {
        let relation = Relation::new(&source.schema, &source.name);
        let (capture, buffer, slot) = self.capture(source, &relation);
        V1Source {
            relation: V1Relation::from(&relation),
            kind: source.source_type.to_lowercase(),
            capture,
            buffer: buffer.map(|buffer| V1Buffer {
                bytes: self.sizes.get(&buffer).copied(),
                relation: V1Relation::from(&buffer),
            }),
            slot: slot.map(|slot| V1Slot {
                name: slot.name.clone(),
                lag_bytes: slot.lag_bytes,
                is_lost: slot.lost,
            }),
        }
    }

    /// How the changes of a source reach the table, through which buffer and slot.
    fn capture(
        &self,
        source: &SourceFacts,
        relation: &Relation,
    ) -> (Option<String>, Option<Relation>, Option<&ReplicationSlot>) {
        if self.deployed.table.settings.refresh_mode() == Some("IMMEDIATE") {
            return (Some("immediate".into()), None, None);
        }
        let mode = Some(source.cdc_mode.to_lowercase());
        let Ok(captures) = &self.evidence.captures else { return (mode, None, None) };
        let (own, read) = (self.relation().to_string(), relation.to_string());
        match source.source_type.as_str() {
            "TABLE" => {
                let of_source = captures.sources.iter().find(|capture| capture.source == read);
                let buffer = of_source.and_then(|capture| capture.buffer.clone());
                (mode, buffer, of_source.and_then(|capture| capture.slot.as_ref()))
            }
            "STREAM_TABLE" => {
                let is_way = |reader: &str, from: Option<&str>| reader == own && from == Some(&*read);
                let way = captures.between.iter().find(|way| is_way(&way.reader, way.read.as_deref()));
                (way.map(|_| "trigger".into()), way.and_then(|way| way.buffer.clone()), None)
            }
            _ => (None, None, None),
        }
    }

    fn readers(&self) -> V1Readers {
        let own = self.relation();
        let tables = self.evidence.deployed.iter().map(|deployed| &deployed.table);
        let readers = tables.filter(|table| table.upstream.contains(own));
        let declared = self.project.map(|project| {
            let readers = |origin: &crate::model::Origin| project.graph.readers(&origin.unique_id);
            self.origin().map(readers).unwrap_or_default()
        });
        let model = |(relation, kind): &(Relation, String)| V1ModelReader {
            relation: V1Relation::from(relation),
            kind: kind.clone(),
        };
        V1Readers {
            stream_tables: readers.map(|table| V1Relation::from(&table.relation)).collect(),
            views: self.deployed.storage.views.iter().map(|view| V1Relation::from(&view.relation)).collect(),
            models: declared.as_ref().map(|declared| declared.models.iter().map(model).collect()),
            exposures: declared.map(|declared| {
                let exposures = declared.exposures.into_iter();
                exposures
                    .map(|exposure| V1ExposureReader { name: exposure.name, owner: exposure.owner })
                    .collect()
            }),
        }
    }
}

/// The change buffers through which the table gets changes.
pub fn buffers(evidence: &Evidence, table: &Relation) -> Vec<Relation> {
    let Ok(captures) = &evidence.captures else { return vec![] };
    let own = table.to_string();
    let of_sources = captures.sources.iter().filter(|capture| capture.readers.contains(&own));
    let between = captures.between.iter().filter(|way| way.reader == own);
    let of_sources = of_sources.filter_map(|capture| capture.buffer.clone());
    of_sources.chain(between.filter_map(|way| way.buffer.clone())).collect()
}

/// A time of the server, in RFC 3339 with milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "a time outside of the range is refused below")]
pub(super) fn timestamp(seconds: f64) -> String {
    let nanoseconds = ((seconds * 1e3).round() as i128).saturating_mul(1_000_000);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The outcomes about this table, and the others that did not pass.
pub fn concerning(outcomes: Vec<Outcome>, table: &Relation) -> Vec<Outcome> {
    let is_own = |outcome: &Outcome| outcome.subject.relation() == Some(table);
    let is_shown = |outcome: &Outcome| match outcome.verdict {
        // Without a project there is nothing that the table could differ from.
        _ if is_own(outcome) => outcome.stage != Stage::Present || outcome.verdict != Verdict::Passed,
        Verdict::Warned | Verdict::Failed | Verdict::Errored => true,
        Verdict::Passed | Verdict::Skipped => false,
    };
    let (own, others): (Vec<_>, Vec<_>) =
        outcomes.into_iter().filter(is_shown).partition(|outcome| is_own(outcome));
    own.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_keeps_its_shape() {
        let document = sample::explained(|known| crate::report::json::document(&V1Explanation::from(known)));
        insta::assert_snapshot!(document.replace(env!("CARGO_PKG_VERSION"), "@@VERSION@@"));
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(timestamp(1_764_190_705.123_4), "2025-11-26T20:58:25.123Z");
        assert_eq!(timestamp(f64::INFINITY), "");
    }

    #[test]
    fn outcomes_of_other_tables_are_left_out_if_they_passed() {
        let own = Relation::new("s", "own");
        let outcome =
            |name: &str, stage, verdict| Outcome::new(stage, &Relation::new("s", name), verdict, "");
        let outcomes = vec![
            outcome("other", Stage::Status, Verdict::Failed),
            outcome("other", Stage::Freshness, Verdict::Passed),
            outcome("own", Stage::Present, Verdict::Passed),
            outcome("own", Stage::Status, Verdict::Passed),
        ];
        let shown: Vec<_> =
            concerning(outcomes, &own).into_iter().map(|outcome| outcome.subject.to_string()).collect();
        assert_eq!(shown, ["s.own", "s.other"]);
    }
}
