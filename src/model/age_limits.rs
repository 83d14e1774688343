//! How old the rows of a table may be, in dbt's format.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// `warn_after` and `error_after`, each `{count: 10, period: minute}`; a missing one sets no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct AgeLimits {
    /// Older rows give a warning.
    #[serde(deserialize_with = "age")]
    #[cfg_attr(test, schemars(with = "Option<Age>"))]
    pub warn_after: Option<Duration>,
    /// Older rows fail.
    #[serde(deserialize_with = "age")]
    #[cfg_attr(test, schemars(with = "Option<Age>"))]
    pub error_after: Option<Duration>,
}

impl AgeLimits {
    /// Reads the `freshness` of a model; `None` if it sets no limit.
    ///
    /// # Errors
    /// A sentence about the wrong value.
    pub fn read(json: &serde_json::Value) -> Result<Option<Self>, String> {
        let unknown = |key: &&String| !["warn_after", "error_after"].contains(&key.as_str());
        if let Some(key) = json.as_object().and_then(|keys| keys.keys().find(unknown)) {
            return Err(format!("freshness has no key `{key}`, only warn_after and error_after"));
        }
        let limits: Option<Self> =
            Deserialize::deserialize(json).map_err(|error| format!("freshness is `{json}`: {error}"))?;
        Ok(limits.filter(|limits| *limits != Self::default()))
    }
}

/// dbt writes `{count: null, period: null}` for a limit that is not set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Age {
    count: Option<u32>,
    period: Option<Period>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

fn age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let age = Option::<Age>::deserialize(deserializer)?;
    match age.map(|age| (age.count, age.period)) {
        None | Some((None, None)) => Ok(None),
        Some((Some(count), Some(period))) => Ok(Some(period.times(count))),
        Some(_) => Err(serde::de::Error::custom("a limit needs both count and period")),
    }
}

impl Period {
    fn times(self, count: u32) -> Duration {
        let seconds = match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        };
        Duration::from_secs(u64::from(count) * seconds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_read_as_dbt_writes_them() {
        let limits =
            AgeLimits::read(&json!({"warn_after": {"count": 5, "period": "minute"}, "error_after": null}));
        assert_eq!(
            limits,
            Ok(Some(AgeLimits { warn_after: Some(Duration::from_mins(5)), error_after: None }))
        );
        let unset = json!({"warn_after": {"count": null, "period": null}, "error_after": {"count": null, "period": null}});
        assert_eq!(AgeLimits::read(&unset), Ok(None));
        assert_eq!(AgeLimits::read(&json!(null)), Ok(None));
    }

    #[test]
    fn an_invalid_limit_is_an_error_and_not_a_missing_one() {
        for wrong in [
            json!({"warn_afer": {"count": 5, "period": "minute"}}),
            json!({"warn_after": {"count": 5}}),
            json!({"warn_after": {"count": 5, "period": "fortnight"}}),
            json!({"error_after": "5m"}),
            json!("often"),
        ] {
            assert!(AgeLimits::read(&wrong).is_err(), "{wrong}");
        }
    }
}
