//! The settings of a stream table, in one table.
//!
//! Manifest, catalog, comparison and display all iterate over [`Setting::ALL`], so a setting is added in one place.

use std::{collections::BTreeMap, fmt};

use strum::VariantArray as _;

use super::Schedule;

/// A key that a stream table model can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray)]
pub enum Setting {
    Schedule,
    RefreshMode,
    Initialize,
    Status,
    CdcMode,
    PartitionBy,
    AppendOnly,
    Fuse,
    FuseCeiling,
    FuseSensitivity,
    DiamondConsistency,
    DiamondSchedulePolicy,
    PoolerCompatibilityMode,
    MaxDifferentialJoins,
    MaxDeltaFraction,
    OutputDistributionColumn,
    Temporal,
    StorageBackend,
    Tier,
    PostRefreshAction,
    ReindexDriftThreshold,
    Fillfactor,
    TargetFreshness,
    OrchestrationMode,
}

/// How to change a setting of an existing table (docs/pg_trickle.md, "Alter").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnChange {
    /// `alter_stream_table` changes it in place.
    Alter,
    /// The table must be replaced.
    Recreate,
    /// The setting matters only at creation.
    Nothing,
}

/// The values that a setting accepts.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Schedule,
    /// One of these words in any case. The second string of a pair is the engine's spelling.
    Word(&'static [(&'static str, &'static str)]),
    Text,
    Bool,
    /// A number above zero.
    Count,
    Int,
    Float,
}

struct Spec {
    name: &'static str,
    /// The column of `pgtrickle.pgt_stream_tables` with its value.
    column: Option<&'static str>,
    kind: Kind,
    on_change: OnChange,
}

impl Setting {
    /// Every setting, in the order of the configuration reference.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    #[rustfmt::skip]
    fn spec(self) -> Spec {
        use Kind::{Bool, Count, Float, Int, Text, Word};
        use OnChange::{Alter, Nothing, Recreate};
        let spec = |name, column, kind, on_change| Spec { name, column, kind, on_change };
        match self {
            Self::Schedule => spec("schedule", Some("schedule"), Kind::Schedule, Alter),
            Self::RefreshMode => spec("refresh_mode", Some("refresh_mode"), Word(&[("AUTO", "AUTO"), ("FULL", "FULL"), ("DIFFERENTIAL", "DIFFERENTIAL"), ("IMMEDIATE", "IMMEDIATE")]), Alter),
            Self::Initialize => spec("initialize", None, Bool, Nothing),
            Self::Status => spec("status", Some("status"), Word(&[("ACTIVE", "ACTIVE"), ("SUSPENDED", "SUSPENDED"), ("PAUSED", "SUSPENDED"), ("INITIALIZING", "INITIALIZING"), ("ERROR", "ERROR")]), Alter),
            Self::CdcMode => spec("cdc_mode", Some("requested_cdc_mode"), Word(&[("auto", "auto"), ("trigger", "trigger"), ("wal", "wal")]), Alter),
            Self::PartitionBy => spec("partition_by", Some("st_partition_key"), Text, Recreate),
            Self::AppendOnly => spec("append_only", Some("is_append_only"), Bool, Alter),
            Self::Fuse => spec("fuse", Some("fuse_mode"), Word(&[("off", "off"), ("on", "on"), ("auto", "auto")]), Alter),
            Self::FuseCeiling => spec("fuse_ceiling", Some("fuse_ceiling"), Count, Alter),
            Self::FuseSensitivity => spec("fuse_sensitivity", Some("fuse_sensitivity"), Count, Alter),
            Self::DiamondConsistency => spec("diamond_consistency", Some("diamond_consistency"), Word(&[("none", "none"), ("atomic", "atomic")]), Alter),
            Self::DiamondSchedulePolicy => spec("diamond_schedule_policy", Some("diamond_schedule_policy"), Word(&[("fastest", "fastest"), ("slowest", "slowest")]), Alter),
            Self::PoolerCompatibilityMode => spec("pooler_compatibility_mode", Some("pooler_compatibility_mode"), Bool, Alter),
            Self::MaxDifferentialJoins => spec("max_differential_joins", Some("max_differential_joins"), Int, Alter),
            Self::MaxDeltaFraction => spec("max_delta_fraction", Some("max_delta_fraction"), Float, Alter),
            Self::OutputDistributionColumn => spec("output_distribution_column", None, Text, Nothing),
            Self::Temporal => spec("temporal", Some("temporal_mode"), Bool, Recreate),
            Self::StorageBackend => spec("storage_backend", Some("storage_backend"), Text, Recreate),
            Self::PostRefreshAction => spec("post_refresh_action", Some("post_refresh_action"), Word(&[("none", "none"), ("analyze", "analyze"), ("reindex", "reindex"), ("reindex_if_drift", "reindex_if_drift")]), Alter),
            Self::ReindexDriftThreshold => spec("reindex_drift_threshold", Some("reindex_drift_threshold"), Float, Alter),
            Self::Fillfactor => spec("fillfactor", Some("storage_fillfactor"), Count, Recreate),
            Self::TargetFreshness => spec("target_freshness", Some("target_freshness_mode"), Text, Alter),
            Self::OrchestrationMode => spec("orchestration_mode", Some("orchestration_mode"), Word(&[("MANAGED", "MANAGED"), ("EXTERNAL", "EXTERNAL")]), Alter),
            Self::Tier => spec("tier", Some("refresh_tier"), Word(&[("hot", "hot"), ("warm", "warm"), ("cold", "cold"), ("frozen", "frozen")]), Alter),
        }
    }

    /// The first version of pg_trickle with the setting; `None` if every supported version has it.
    pub fn since(self) -> Option<&'static str> {
        match self {
            Self::PostRefreshAction | Self::ReindexDriftThreshold => Some("0.47"),
            Self::Fillfactor => Some("0.73"),
            Self::TargetFreshness => Some("0.86"),
            Self::OrchestrationMode => Some("0.93"),
            Self::Schedule
            | Self::RefreshMode
            | Self::Initialize
            | Self::Status
            | Self::CdcMode
            | Self::PartitionBy
            | Self::AppendOnly
            | Self::Fuse
            | Self::FuseCeiling
            | Self::FuseSensitivity
            | Self::DiamondConsistency
            | Self::DiamondSchedulePolicy
            | Self::PoolerCompatibilityMode
            | Self::MaxDifferentialJoins
            | Self::MaxDeltaFraction
            | Self::OutputDistributionColumn
            | Self::Temporal
            | Self::StorageBackend
            | Self::Tier => None,
        }
    }

    /// Whether the value is what the engine does without the setting.
    pub fn is_default(self, value: &Value) -> bool {
        let defaults = [
            (Self::Temporal, Value::Bool(false)),
            (Self::StorageBackend, Value::Text("heap".into())),
            (Self::PostRefreshAction, Value::Text("none".into())),
            (Self::OrchestrationMode, Value::Text("MANAGED".into())),
        ];
        defaults.iter().any(|(setting, default)| *setting == self && default == value)
    }

    /// The key in a model's configuration.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|setting| setting.name() == key)
    }

    /// The column of `pgtrickle.pgt_stream_tables` with its value, if there is one.
    pub fn column(self) -> Option<&'static str> {
        self.spec().column
    }

    pub fn on_change(self) -> OnChange {
        self.spec().on_change
    }

    /// Reads a value of this setting from JSON. Null is `None`, except for a schedule: the catalog stores `calculated`
    /// as null.
    ///
    /// # Errors
    /// A sentence with the key, the value and the expected values.
    pub fn read(self, json: &serde_json::Value) -> Result<Option<Value>, String> {
        use serde_json::Value as Json;
        let Spec { name, kind, .. } = self.spec();
        let value = match (kind, json) {
            (Kind::Schedule, Json::Null) => Some(Value::Schedule(Schedule::Calculated)),
            (_, Json::Null) => return Ok(None),
            (Kind::Schedule, Json::String(text)) => {
                return Schedule::parse(text).map(|s| Some(Value::Schedule(s)));
            }
            (Kind::Schedule, Json::Number(seconds)) => {
                return Schedule::parse(&seconds.to_string()).map(|s| Some(Value::Schedule(s)));
            }
            (Kind::Word(words), Json::String(text)) => words
                .iter()
                .find(|(spelling, _)| spelling.eq_ignore_ascii_case(text))
                .map(|(_, meaning)| Value::Text((*meaning).to_owned())),
            // YAML 1.1 parses a bare `on` or `off` as a boolean.
            (Kind::Word(words), Json::Bool(on)) => {
                let text = if *on { "on" } else { "off" };
                words.iter().find(|(spelling, _)| *spelling == text).map(|_| Value::Text(text.to_owned()))
            }
            (Kind::Text, Json::String(text)) => Some(Value::Text(text.clone())),
            (Kind::Bool, Json::Bool(flag)) => Some(Value::Bool(*flag)),
            (Kind::Count, Json::Number(number)) => number.as_i64().filter(|n| *n > 0).map(Value::Int),
            (Kind::Int, Json::Number(number)) => number.as_i64().map(Value::Int),
            (Kind::Float, Json::Number(number)) => number.as_f64().map(Value::Float),
            _ => None,
        };
        value.map(Some).ok_or_else(|| format!("{name} is `{}`, expected {}", shown(json), kind.expectation()))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    fn expectation(self) -> String {
        match self {
            Self::Schedule => "a schedule such as `5m`".into(),
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|(spelling, _)| *spelling).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Text => "a string".into(),
            Self::Bool => "true or false".into(),
            Self::Count => "a whole number above 0".into(),
            Self::Int => "a whole number".into(),
            Self::Float => "a number".into(),
        }
    }
}

fn shown(json: &serde_json::Value) -> String {
    json.as_str().map_or_else(|| json.to_string(), ToOwned::to_owned)
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Bool(bool),
    Int(i64),
    Float(f64),
    Schedule(Schedule),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Schedule(schedule) => write!(f, "{schedule}"),
        }
    }
}

/// The settings of a stream table; a missing one is left to the engine.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Settings(BTreeMap<Setting, Value>);

impl Settings {
    pub fn get(&self, setting: Setting) -> Option<&Value> {
        self.0.get(&setting)
    }

    pub fn set(&mut self, setting: Setting, value: Value) {
        self.0.insert(setting, value);
    }

    /// In the order of the configuration reference.
    pub fn iter(&self) -> impl Iterator<Item = (Setting, &Value)> {
        self.0.iter().map(|(setting, value)| (*setting, value))
    }

    /// The refresh mode as the engine spells it.
    pub fn refresh_mode(&self) -> Option<&str> {
        match self.get(Setting::RefreshMode) {
            Some(Value::Text(mode)) => Some(mode),
            _ => None,
        }
    }

    /// A sentence for each combination that the engine refuses (docs/pg_trickle.md, "Refresh modes" and "Alter"). The
    /// dbt package has the same (`_pgtrickle_impossible`).
    pub fn conflicts(&self) -> Vec<String> {
        let is = |setting, word: &str| matches!(self.get(setting), Some(Value::Text(text)) if text == word);
        let mode = self.refresh_mode().unwrap_or_default();
        let is_immediate = mode == "IMMEDIATE";
        let is_append_only = self.get(Setting::AppendOnly) == Some(&Value::Bool(true));
        let has_unused_policy =
            is(Setting::DiamondConsistency, "none") && is(Setting::DiamondSchedulePolicy, "slowest");
        let pairs = [
            (
                is_append_only && (is_immediate || mode == "FULL"),
                format!("append_only cannot go with refresh_mode {mode}"),
            ),
            (
                is_immediate && self.get(Setting::PartitionBy).is_some(),
                "partition_by cannot go with refresh_mode IMMEDIATE".into(),
            ),
            (
                is_immediate && is(Setting::CdcMode, "wal"),
                "cdc_mode wal cannot go with refresh_mode IMMEDIATE".into(),
            ),
            (
                has_unused_policy,
                "diamond_schedule_policy slowest cannot go with diamond_consistency none".into(),
            ),
        ];
        pairs.into_iter().filter_map(|(is_wrong, problem)| is_wrong.then_some(problem)).collect()
    }

    pub fn schedule(&self) -> Option<&Schedule> {
        match self.get(Setting::Schedule) {
            Some(Value::Schedule(schedule)) => Some(schedule),
            _ => None,
        }
    }
}

impl FromIterator<(Setting, Value)> for Settings {
    fn from_iter<T: IntoIterator<Item = (Setting, Value)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_setting_has_a_unique_name() {
        let mut names: Vec<_> = Setting::ALL.iter().map(|s| s.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Setting::ALL.len());
    }

    #[test]
    fn words_are_read_in_any_case_and_normalized_as_in_the_engine() {
        assert_eq!(
            Setting::RefreshMode.read(&json!("differential")),
            Ok(Some(Value::Text("DIFFERENTIAL".into())))
        );
        assert_eq!(Setting::Status.read(&json!("paused")), Ok(Some(Value::Text("SUSPENDED".into()))));
        assert_eq!(Setting::Fuse.read(&json!(false)), Ok(Some(Value::Text("off".into()))));
    }

    #[test]
    fn a_null_schedule_is_calculated_and_any_other_null_is_unset() {
        assert_eq!(
            Setting::Schedule.read(&serde_json::Value::Null),
            Ok(Some(Value::Schedule(Schedule::Calculated)))
        );
        assert_eq!(Setting::CdcMode.read(&serde_json::Value::Null), Ok(None));
    }

    #[test]
    fn a_wrong_value_is_an_error_with_the_expected_values() {
        assert_eq!(
            Setting::RefreshMode.read(&json!("SOMETIMES")),
            Err("refresh_mode is `SOMETIMES`, expected one of AUTO, FULL, DIFFERENTIAL, IMMEDIATE".into())
        );
        assert_eq!(
            Setting::AppendOnly.read(&json!("yes")),
            Err("append_only is `yes`, expected true or false".into())
        );
        assert_eq!(Setting::Fuse.read(&json!(1)), Err("fuse is `1`, expected one of off, on, auto".into()));
        assert!(Setting::Schedule.read(&json!("banana")).unwrap_err().contains("`banana`"));
    }
}
