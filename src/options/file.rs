//! `pgtrickle-ci.yml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer};
use serde_yaml::Value as Yaml;

use super::Error;
use crate::{
    cli::{FailOn, When},
    judge::{Silence, hazards},
    model::AgeLimits,
};

/// The configuration file. Every key is optional.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct File {
    /// The version of this format; 1.
    pub version: Version,
    /// A project without stream tables is no error.
    pub allow_empty: bool,
    /// SQL files that run first on an ephemeral server, relative to this file: the sources that are no seeds.
    pub fixtures: Vec<PathBuf>,
    /// What may be lost.
    pub plan: PlanSection,
    /// Waiting for the tables to be populated.
    pub wait: WaitSection,
    /// Ages for all tables, instead of what their schedules imply.
    pub freshness: Option<AgeLimits>,
    /// What counts as bad.
    pub checks: ChecksSection,
    /// Whether the tables hold what their queries give.
    pub verify: VerifySection,
    /// What a rehearsal shows, and what it warns of.
    pub rehearsal: RehearsalSection,
    /// The comment of a pull request.
    pub comment: CommentSection,
}

/// `rehearsal:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct RehearsalSection {
    /// How many example rows of each kind (added, removed, changed) a report shows.
    pub examples: Option<u32>,
    /// The share of a table's rows, in percent, above which differing rows are a warning.
    #[serde(deserialize_with = "percent")]
    pub rows_changed_over: Option<f64>,
}

/// `comment:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct CommentSection {
    /// Tells the comments of several workflows apart.
    pub key: Option<String>,
    /// When to post.
    pub when: Option<When>,
}

/// `plan:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct PlanSection {
    /// Stream tables that may be dropped, or `all`.
    pub allow_drop: Vec<String>,
    /// Stream tables that may be dropped and built again, or `all`.
    pub allow_recreate: Vec<String>,
}

/// `wait:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct WaitSection {
    /// How long, as `2m`.
    #[serde(deserialize_with = "duration")]
    pub timeout: Option<Duration>,
    /// How long for some stream tables, by their names.
    #[serde(deserialize_with = "durations")]
    pub models: BTreeMap<String, Duration>,
}

/// `checks:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct ChecksSection {
    /// What makes the exit code 1.
    pub fail_on: Option<FailOn>,
    /// A table that is refreshed in full though it should not be fails.
    pub fail_on_fallback: bool,
    /// Hazards that somebody has looked at.
    pub silence: Vec<SilenceSection>,
}

/// One of `silence:`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceSection {
    #[serde(deserialize_with = "hazard")]
    hazard: String,
    model: String,
    #[serde(deserialize_with = "said")]
    reason: String,
}

impl From<&SilenceSection> for Silence {
    fn from(section: &SilenceSection) -> Self {
        let SilenceSection { hazard, model, reason } = section.clone();
        Self { hazard, model, reason }
    }
}

fn hazard<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = hazards::names();
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    let known = known.join(", ");
    Err(serde::de::Error::custom(format!("there is no hazard `{name}`, there are {known}")))
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let reason = String::deserialize(deserializer)?;
    if reason.trim().is_empty() {
        return Err(serde::de::Error::custom("a hazard is silenced with a reason, this one is empty"));
    }
    Ok(reason)
}

/// `verify:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct VerifySection {
    /// How long to change rows and compare, as `20s`.
    #[serde(deserialize_with = "duration")]
    pub budget: Option<Duration>,
    /// What decides which rows are changed.
    pub seed: Option<u64>,
    /// How far apart two floating point numbers may be, relative to the greater.
    pub float_tolerance: Option<f64>,
    /// The fewest rounds in which the sources of each table have to change; fewer fail.
    pub min_rounds: Option<usize>,
    /// Stream tables that are left out.
    pub skip: Vec<String>,
}

/// The version of the format, refused when it is another.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "version {other} is not known, this program reads version 1"
            ))),
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map(Some)
        .map_err(|error| serde::de::Error::custom(format!("`{text}`: {error}")))
}

/// `5%`
fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number.filter(|number| (0.0..=100.0).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            Err(serde::de::Error::custom(format!("`{text}` is not a share between 0% and 100%, as `5%`")))
        }
    }
}

fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Duration>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
    let read = |(name, text): (String, String)| match humantime::parse_duration(&text) {
        Ok(duration) => Ok((name, duration)),
        Err(error) => Err(serde::de::Error::custom(format!("`{name}: {text}`: {error}"))),
    };
    texts.into_iter().map(read).collect()
}

/// The keys that each mapping of the file may have. Below those that are not listed anything may stand.
const KEYS: [(&str, &[&str]); 10] = [
    (
        "",
        &[
            "version",
            "allow_empty",
            "fixtures",
            "plan",
            "wait",
            "freshness",
            "checks",
            "verify",
            "rehearsal",
            "comment",
        ],
    ),
    ("plan", &["allow_drop", "allow_recreate"]),
    ("wait", &["timeout", "models"]),
    ("freshness", &["warn_after", "error_after"]),
    ("freshness.warn_after", &["count", "period"]),
    ("freshness.error_after", &["count", "period"]),
    ("checks", &["fail_on", "fail_on_fallback", "silence"]),
    ("verify", &["budget", "seed", "float_tolerance", "min_rounds", "skip"]),
    ("rehearsal", &["examples", "rows_changed_over"]),
    ("comment", &["key", "when"]),
];

/// Every key, as it is written from the top.
pub(super) fn known_keys() -> Vec<String> {
    let full = |parent: &str, key: &str| {
        if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
    };
    KEYS.iter()
        .flat_map(|(parent, keys)| keys.iter().map(move |key| full(parent, key)))
        .filter(|key| !KEYS.iter().any(|(parent, _)| parent == key))
        .collect()
}

impl File {
    /// Reads the file's text; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |source| Error::Wrong { file: path.to_owned(), source };
        let yaml: Yaml = crate::model::yaml::read(text).map_err(wrong)?;
        if yaml.is_null() {
            return Ok(Self::default());
        }
        let mut unknown = Vec::new();
        find_unknown(&yaml, "", &mut unknown);
        if !unknown.is_empty() {
            return Err(Error::UnknownKeys { file: path.to_owned(), keys: unknown });
        }
        // From the text again: only so do messages have a line.
        serde_yaml::from_str(text).map_err(wrong)
    }
}

fn find_unknown(yaml: &Yaml, parent: &str, unknown: &mut Vec<String>) {
    let Some((_, known)) = KEYS.iter().find(|(section, _)| *section == parent) else {
        return;
    };
    for (key, value) in yaml.as_mapping().into_iter().flatten() {
        let key = key.as_str().map_or_else(|| format!("{key:?}"), ToOwned::to_owned);
        let full = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        if known.contains(&key.as_str()) {
            find_unknown(value, &full, unknown);
        } else {
            let nearest = known.iter().max_by(|one, other| {
                strsim::jaro_winkler(one, &key).total_cmp(&strsim::jaro_winkler(other, &key))
            });
            let nearest = nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default();
            unknown.push(format!("the unknown key `{full}`{nearest}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, Error> {
        File::parse(Path::new("pgtrickle-ci.yml"), text)
    }

    #[test]
    fn an_empty_file_and_one_of_comments_are_defaults() {
        assert_eq!(parse("").unwrap(), File::default());
        assert_eq!(parse("# nothing yet\n").unwrap(), File::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = "version: 1\nallow_empty: true\nfixtures: [ci/sources.sql]\nplan: {allow_drop: [a], allow_recreate: [all]}\nwait: {timeout: 90s, models: {slow: 10m}}\n\
                    freshness: {warn_after: {count: 10, period: minute}, error_after: {count: 1, period: hour}}\nverify: {budget: 5s, seed: 7, float_tolerance: 1e-6, min_rounds: 25, skip: [s.t]}\n\
                    checks: {fail_on: warn, fail_on_fallback: true, silence: [{hazard: search-path, model: \"marts.*\", reason: one schema}]}\n\
                    rehearsal: {examples: 5, rows_changed_over: 2.5%}\ncomment: {key: staging, when: always}\n";
        let file = parse(text).unwrap();
        assert!(file.allow_empty);
        assert_eq!(file.fixtures, [PathBuf::from("ci/sources.sql")]);
        assert_eq!(file.plan.allow_recreate, ["all"]);
        assert_eq!(file.wait.timeout, Some(Duration::from_secs(90)));
        assert_eq!(file.wait.models["slow"], Duration::from_mins(10));
        assert_eq!(file.freshness.unwrap().error_after, Some(Duration::from_hours(1)));
        assert_eq!(file.checks.fail_on, Some(FailOn::Warn));
        assert_eq!((file.verify.seed, file.verify.float_tolerance), (Some(7), Some(1e-6)));
        assert_eq!(file.verify.min_rounds, Some(25));
        assert_eq!((file.verify.budget, &file.verify.skip[0][..]), (Some(Duration::from_secs(5)), "s.t"));
        assert_eq!(Silence::from(&file.checks.silence[0]).reason, "one schema");
        assert_eq!((file.rehearsal.examples, file.rehearsal.rows_changed_over), (Some(5), Some(2.5)));
        assert_eq!((file.comment.key.as_deref(), file.comment.when), (Some("staging"), Some(When::Always)));
        for key in known_keys() {
            assert!(key.rsplit('.').all(|part| text.contains(part)), "{key} is not tried here");
        }
    }

    #[test]
    fn all_unknown_keys_are_named_with_the_nearest_known_one() {
        let Error::UnknownKeys { keys, .. } = parse("fixture: []\nwait: {timout: 2m}\n").unwrap_err() else {
            panic!()
        };
        assert_eq!(
            keys,
            [
                "the unknown key `fixture` (did you mean `fixtures`?)",
                "the unknown key `wait.timout` (did you mean `timeout`?)"
            ]
        );
    }

    #[test]
    fn a_wrong_value_is_told_with_its_line() {
        assert!(matches!(parse("version: 7\n").unwrap_err(), Error::Wrong { .. }));
        for text in [
            "wait:\n  timeout: soon\n",
            "rehearsal:\n  rows_changed_over: 5\n",
            "rehearsal:\n  rows_changed_over: 101%\n",
            "rehearsal:\n  examples: -1\n",
            "plan:\n  allow_drop: {a: 1}\n",
            "checks: [\n",
            "checks:\n  silence: [{hazard: sarch-path, model: a, reason: b}]\n",
            "checks:\n  silence: [{hazard: search-path, model: a, reason: ''}]\n",
            "checks:\n  silence: [{hazard: search-path, model: a}]\n",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                matches!(error, Error::Wrong { .. }) && error.to_string().contains("line"),
                "{text}: {error}"
            );
        }
    }
}
