//! `pgtrickle-ci.yml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

mod keys;
#[cfg(test)]
mod schema;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_yaml::Value as Yaml;

use keys::known_keys;
pub use keys::{UnknownKey, WrongValue};

use super::{Error, key_line::line_of};
use crate::{
    cli::{self, Drive, EngineArg, EngineVersionArg, FailOn, When},
    judge::Silence,
    model::AgeLimits,
};

/// The configuration file. Every key is optional.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct File {
    /// The version of the format: 1.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(schema_with = "schema::version"))]
    pub version: Version,
    /// Accept a project without stream tables.
    #[serde(deserialize_with = "or_default")]
    pub allow_empty: bool,
    /// SQL files that run first on an ephemeral server, to create sources that are not seeds. Relative to this file.
    #[serde(deserialize_with = "or_default")]
    pub fixtures: Vec<PathBuf>,
    /// Create missing sources on an ephemeral server as empty tables.
    #[serde(deserialize_with = "or_default")]
    pub stub_sources: bool,
    /// How many rows per table `--sources-from` copies.
    pub sample: Option<u32>,
    /// Only these models, by dbt selectors.
    #[serde(deserialize_with = "or_default")]
    pub select: Vec<String>,
    /// Exclude these models, by dbt selectors.
    #[serde(deserialize_with = "or_default")]
    pub exclude: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub dbt: DbtSection,
    #[serde(deserialize_with = "or_default")]
    pub ephemeral: EphemeralSection,
    #[serde(deserialize_with = "or_default")]
    pub server: ServerSection,
    #[serde(deserialize_with = "or_default")]
    pub plan: PlanSection,
    #[serde(deserialize_with = "or_default")]
    pub wait: WaitSection,
    /// Age limits for all tables, instead of limits derived from their schedules.
    pub freshness: Option<AgeLimits>,
    #[serde(deserialize_with = "or_default")]
    pub checks: ChecksSection,
    #[serde(deserialize_with = "or_default")]
    pub verify: VerifySection,
    #[serde(deserialize_with = "or_default")]
    pub rehearsal: RehearsalSection,
    #[serde(deserialize_with = "or_default")]
    pub reports: ReportsSection,
    #[serde(deserialize_with = "or_default")]
    pub comment: CommentSection,
}

/// `ephemeral:`, the server that `run` starts.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct EphemeralSection {
    /// The extension to run.
    pub engine: Option<EngineArg>,
    /// The version of pg_trickle that the emulator emulates.
    pub engine_version: Option<EngineVersionArg>,
    /// The folder of the PostgreSQL 18 programs.
    pub pg_bin: Option<PathBuf>,
    /// The container image to start with docker instead.
    pub image: Option<String>,
}

/// `server:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct ServerSection {
    /// The limit for each statement.
    #[serde(deserialize_with = "duration")]
    #[cfg_attr(test, schemars(schema_with = "schema::duration"))]
    pub statement_timeout: Option<Duration>,
    /// The limit for waiting on a lock.
    #[serde(deserialize_with = "duration")]
    #[cfg_attr(test, schemars(schema_with = "schema::duration"))]
    pub lock_timeout: Option<Duration>,
}

/// `reports:`, the files of each report. Relative to this file; `-` is standard output.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct ReportsSection {
    pub json: Option<PathBuf>,
    pub junit: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
    pub html: Option<PathBuf>,
}

/// `rehearsal:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct RehearsalSection {
    /// The git revision that `run` deploys first.
    pub base_ref: Option<String>,
    /// How many example rows of each kind (added, removed, changed) a report shows.
    pub examples: Option<u32>,
    /// Warn if more than this percentage of a table's rows differ.
    #[serde(deserialize_with = "percent")]
    #[cfg_attr(test, schemars(schema_with = "schema::percent"))]
    pub rows_changed_over: Option<f64>,
}

/// `comment:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct CommentSection {
    /// Separates the comments of several workflows.
    pub key: Option<String>,
    /// When to post.
    pub when: Option<When>,
}

/// `dbt:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct DbtSection {
    /// The dbt profile.
    pub profile: Option<String>,
    /// The target of the profile.
    pub target: Option<String>,
    /// The folder that contains profiles.yml. Relative to this file.
    pub profiles_dir: Option<PathBuf>,
    /// Variables for dbt.
    #[cfg_attr(test, schemars(schema_with = "schema::mapping"))]
    pub vars: Option<serde_yaml::Mapping>,
    /// The limit for each dbt command.
    #[serde(deserialize_with = "duration")]
    #[cfg_attr(test, schemars(schema_with = "schema::duration"))]
    pub timeout: Option<Duration>,
}

/// `plan:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct PlanSection {
    /// Stream tables that may be dropped, or `all`.
    #[serde(deserialize_with = "or_default")]
    pub allow_drop: Vec<String>,
    /// Stream tables that may be dropped and recreated, or `all`.
    #[serde(deserialize_with = "or_default")]
    pub allow_recreate: Vec<String>,
}

/// `wait:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct WaitSection {
    /// A duration such as `2m`.
    #[serde(deserialize_with = "duration")]
    #[cfg_attr(test, schemars(schema_with = "schema::duration"))]
    pub timeout: Option<Duration>,
    /// Timeouts of single stream tables, by name.
    #[serde(deserialize_with = "durations")]
    #[cfg_attr(test, schemars(schema_with = "schema::durations"))]
    pub models: BTreeMap<String, Duration>,
}

/// `checks:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct ChecksSection {
    /// The lowest severity that makes the exit code 1.
    pub fail_on: Option<FailOn>,
    /// Fail if a DIFFERENTIAL or AUTO table is refreshed in full.
    #[serde(deserialize_with = "or_default")]
    pub fail_on_fallback: bool,
    /// Hazards that were reviewed and accepted.
    #[serde(deserialize_with = "or_default")]
    pub silence: Vec<SilenceSection>,
}

/// One of `silence:`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SilenceSection {
    /// The name of the hazard.
    #[cfg_attr(test, schemars(schema_with = "schema::hazard"))]
    hazard: String,
    /// The table's name, with or without its schema; `*` matches any text.
    model: String,
    /// Why it is harmless there.
    #[cfg_attr(test, schemars(schema_with = "schema::not_empty"))]
    reason: String,
}

impl From<&SilenceSection> for Silence {
    fn from(section: &SilenceSection) -> Self {
        let SilenceSection { hazard, model, reason } = section.clone();
        Self { hazard, model, reason }
    }
}

/// A key without a value is a missing one.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `verify:`
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct VerifySection {
    /// Time for changing rows and comparing, such as `20s`.
    #[serde(deserialize_with = "duration")]
    #[cfg_attr(test, schemars(schema_with = "schema::duration"))]
    pub budget: Option<Duration>,
    /// The seed for the changes.
    pub seed: Option<u64>,
    /// The largest difference between two equal floating point numbers, relative to the greater one.
    #[cfg_attr(test, schemars(schema_with = "schema::tolerance"))]
    pub float_tolerance: Option<f64>,
    /// Fewer rounds that change the sources of a table are a failure.
    pub min_rounds: Option<usize>,
    /// The application writes to partitions of sources, and truncates, detaches and attaches them.
    #[serde(deserialize_with = "or_default")]
    pub partitions: bool,
    /// The application has transactions that stay open while others commit.
    #[serde(deserialize_with = "or_default")]
    pub open_transactions: bool,
    /// The number of connections that compare tables.
    pub jobs: Option<u32>,
    /// The stream tables that are not compared.
    #[serde(deserialize_with = "or_default")]
    pub skip: Vec<String>,
    /// End at the first finding.
    #[serde(deserialize_with = "or_default")]
    pub until_found: bool,
    /// What refreshes the stream tables after each round.
    pub drive: Option<Drive>,
    /// The folder for scripts that reproduce findings. Relative to this file.
    pub findings: Option<PathBuf>,
    /// The folder of scripts that are replayed first, and for new ones. Relative to this file.
    pub corpus: Option<PathBuf>,
}

/// The version of the format, 1.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|_| Self)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| cli::duration(&text)).transpose().map_err(serde::de::Error::custom)
}

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.as_deref().and_then(percent_of))
}

fn percent_of(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?.trim().parse::<f64>().ok()?;
    (0.0..=100.0).contains(&number).then_some(number)
}

fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Duration>, D::Error> {
    let texts = Option::<BTreeMap<String, Option<String>>>::deserialize(deserializer)?.unwrap_or_default();
    let set = texts.into_iter().filter_map(|(name, text)| Some((name, text?)));
    let read = |(name, text): (String, String)| Ok((name, cli::duration(&text)?));
    set.map(read).collect::<Result<_, &str>>().map_err(serde::de::Error::custom)
}

/// Keys that exclude each other.
const EXCLUSIVE: [(&str, &str, &str); 3] = [
    ("ephemeral", "image", "pg_bin"),
    ("ephemeral", "image", "engine_version"),
    ("verify", "corpus", "findings"),
];

impl File {
    /// Parses the file's text; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |source| Error::Wrong { file: path.to_owned(), source };
        let yaml: Yaml = crate::model::yaml::read(text).map_err(wrong)?;
        if yaml.is_null() {
            return Ok(Self::default());
        }
        let unknown = keys::unknown(&yaml);
        if !unknown.is_empty() {
            return Err(Error::UnknownKeys { file: path.to_owned(), keys: unknown });
        }
        if let Some(value) = keys::wrong_value(&yaml) {
            return Err(Error::WrongValue { file: path.to_owned(), line: line_of(text, &value.key), value });
        }
        if let Some(reason) = crate::dbt::unclear_section(text, &["dbt", "vars"]) {
            let value = WrongValue { key: "dbt.vars".into(), message: format!("`dbt.vars`: {reason}") };
            return Err(Error::WrongValue { file: path.to_owned(), line: line_of(text, &value.key), value });
        }
        let has = |section: &str, key: &str| {
            yaml.get(section).and_then(|section| section.get(key)).is_some_and(|value| !value.is_null())
        };
        if let Some((section, one, other)) =
            EXCLUSIVE.iter().find(|(section, one, other)| has(section, one) && has(section, other))
        {
            let file = path.to_owned();
            return Err(Error::Exclusive { file, section, one, other });
        }
        // Parse the text again: only then does a name keep the digits of a number.
        serde_yaml::from_str(text).map_err(wrong)
    }

    /// The known keys that a valid text sets, as dotted paths, each with its value in one line.
    pub(super) fn keys_of(text: &str) -> Vec<(String, String)> {
        let yaml: Yaml = serde_yaml::from_str(text).unwrap_or_default();
        let value_of = |key: &str| key.split('.').try_fold(&yaml, |value, part| value.get(part));
        let set = |key: String| Some((key.clone(), shown(value_of(&key).filter(|value| !value.is_null())?)));
        known_keys().into_iter().filter_map(set).collect()
    }
}

/// A value in one line.
fn shown(value: &Yaml) -> String {
    value.as_str().map_or_else(|| serde_json::to_string(value).unwrap_or_default(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<File, Error> {
        File::parse(Path::new("pgtrickle-ci.yml"), text)
    }

    #[test]
    fn an_empty_file_and_a_file_of_comments_give_defaults() {
        assert_eq!(parse("").unwrap(), File::default());
        assert_eq!(parse("# empty\n").unwrap(), File::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = "version: 1\nallow_empty: true\nfixtures: [ci/sources.sql]\nstub_sources: true\nsample: 9\nselect: [tag:a]\nexclude: [b]\n\
                    dbt: {timeout: 2h, profile: shop, target: ci, profiles_dir: dbt, vars: {start: 2026}}\nephemeral: {engine: emulator, engine_version: 0.108.3, pg_bin: bin}\n\
                    server: {statement_timeout: 1m, lock_timeout: 1s}\nplan: {allow_drop: [a], allow_recreate: [all]}\nwait: {timeout: 90s, models: {slow: 10m}}\n\
                    freshness: {warn_after: {count: 10, period: minute}, error_after: {count: 1, period: hour}}\nverify: {budget: 5s, seed: 7, float_tolerance: 1e-6, min_rounds: 25, partitions: true, open_transactions: true, jobs: 4, skip: [s.t], until_found: true, drive: scheduler, findings: found}\n\
                    checks: {fail_on: warn, fail_on_fallback: true, silence: [{hazard: search-path, model: \"marts.*\", reason: one schema}]}\n\
                    rehearsal: {base_ref: main, examples: 5, rows_changed_over: 2.5%}\nreports: {json: r.json, junit: r.xml, markdown: r.md, html: r.html}\ncomment: {key: staging, when: always}\n";
        let file = parse(text).unwrap();
        assert!(file.allow_empty);
        assert_eq!(file.fixtures, [PathBuf::from("ci/sources.sql")]);
        assert_eq!(file.plan.allow_recreate, ["all"]);
        assert_eq!(file.dbt.timeout, Some(Duration::from_hours(2)));
        assert_eq!(file.wait.timeout, Some(Duration::from_secs(90)));
        assert_eq!(file.wait.models["slow"], Duration::from_mins(10));
        assert_eq!(file.freshness.unwrap().error_after, Some(Duration::from_hours(1)));
        assert_eq!(file.checks.fail_on, Some(FailOn::Warn));
        assert_eq!((file.verify.seed, file.verify.float_tolerance), (Some(7), Some(1e-6)));
        assert_eq!((file.verify.min_rounds, file.verify.jobs), (Some(25), Some(4)));
        assert!(file.verify.partitions && file.verify.open_transactions);
        assert_eq!((file.verify.budget, &file.verify.skip[0][..]), (Some(Duration::from_secs(5)), "s.t"));
        assert_eq!(Silence::from(&file.checks.silence[0]).reason, "one schema");
        assert_eq!((file.rehearsal.examples, file.rehearsal.rows_changed_over), (Some(5), Some(2.5)));
        assert_eq!((file.comment.key.as_deref(), file.comment.when), (Some("staging"), Some(When::Always)));
        assert_eq!(
            (file.stub_sources, file.sample, file.ephemeral.engine),
            (true, Some(9), Some(EngineArg::Emulator))
        );
        assert_eq!((&file.select[0][..], &file.exclude[0][..]), ("tag:a", "b"));
        assert_eq!((file.dbt.target.as_deref(), file.dbt.vars.unwrap().len()), (Some("ci"), 1));
        assert_eq!(file.server.lock_timeout, Some(Duration::from_secs(1)));
        assert_eq!(
            (file.verify.drive, file.rehearsal.base_ref.as_deref()),
            (Some(Drive::Scheduler), Some("main"))
        );
        assert_eq!(file.reports.html, Some("r.html".into()));
        let other = parse("ephemeral: {image: an/image}\nverify: {corpus: c}\n").unwrap();
        assert_eq!(
            (other.ephemeral.image.as_deref(), other.verify.corpus),
            (Some("an/image"), Some("c".into()))
        );
        for key in
            known_keys().into_iter().filter(|key| !["ephemeral.image", "verify.corpus"].contains(&&**key))
        {
            assert!(key.rsplit('.').all(|part| text.contains(part)), "this test does not set {key}");
        }
    }

    #[test]
    fn all_unknown_keys_are_reported_with_the_nearest_known_key() {
        let said = |text: &str| {
            let error = parse(text).unwrap_err();
            (
                error.to_string().replace("unknown keys in the configuration file `pgtrickle-ci.yml`: ", ""),
                error.hint().unwrap(),
            )
        };
        assert_eq!(
            said("fixture: []\nwait: {timout: 2m}\n"),
            (
                "`fixture` (did you mean `fixtures`?), `wait.timout` (did you mean `timeout`?)".into(),
                format!("all keys are in {}", crate::model::site::page("reference.html#pgtrickle-ciyml"))
            )
        );
        let hint = "the keys of `plan` are allow_drop, allow_recreate".to_owned();
        assert_eq!(said("plan: {<<: {}, 7: 1}\n"), ("`plan.<<`, `plan.7`".into(), hint));
        let wanted = "`checks.silence.modle` (did you mean `model`?)";
        assert_eq!(said("checks: {silence: [{hazard: search-path, modle: a, reason: b}]}\n").0, wanted);
    }

    /// Texts, each with the end of its error.
    const WRONG_VALUES: &[(&str, &str)] = &[
        (
            "version: 7\n",
            " at line 1: `version` is `7`, expected 1, the version of the format that this program reads",
        ),
        (
            "wait:\n  timeout: 5\n",
            " at line 2: `wait.timeout` is `5`, expected a duration with units, such as `90s` or `1h 30m`",
        ),
        (
            "wait:\n  models: {a.b: soon}\n",
            " at line 2: `wait.models.a.b` is `soon`, expected a duration with units, such as `90s` or `1h 30m`",
        ),
        (
            "rehearsal:\n  rows_changed_over: 5\n",
            " at line 2: `rehearsal.rows_changed_over` is `5`, expected a percentage from 0% to 100%, such as `5%`",
        ),
        (
            "rehearsal:\n  rows_changed_over: 101%\n",
            " at line 2: `rehearsal.rows_changed_over` is `101%`, expected a percentage from 0% to 100%, such as `5%`",
        ),
        (
            "rehearsal:\n  examples: -1\n",
            " at line 2: `rehearsal.examples` is `-1`, expected a whole number from 0 to 4294967295",
        ),
        (
            "plan:\n  allow_drop: {a: 1}\n",
            " at line 2: `plan.allow_drop` is a mapping, expected a list such as `[a, b]`",
        ),
        (
            "plan:\n  allow_drop: [a, ]\nselect: [a, ~]\n",
            " at line 3: `select` has nothing in entry 2, expected a text",
        ),
        (
            "checks: 5\n",
            " at line 1: `checks` is `5`, expected a mapping with the keys fail_on, fail_on_fallback, silence",
        ),
        (
            "checks: {fail_on: never}\n",
            " at line 1: `checks.fail_on` is `never`, expected one of error, warn",
        ),
        (
            "verify: {float_tolerance: -1}\n",
            " at line 1: `verify.float_tolerance` is `-1`, expected a number that is not negative, such as `1e-9`",
        ),
        ("allow_empty: 'yes'\n", " at line 1: `allow_empty` is `yes`, expected true or false"),
        (
            "dbt: {vars: hunter2}\n",
            " at line 1: `dbt.vars` is no mapping, expected a mapping such as `{start: 2026-01-01}`",
        ),
        (
            "dbt: {vars: {full: no}}\n",
            " at line 1: `dbt.vars`: dbt 1 and dbt 2 read this value differently without quotes: write it in quotes, or as true, false or a plain number",
        ),
        (
            "freshness:\n  warn_after: {count: 1}\n",
            " at line 2: `freshness.warn_after.period` is missing: a limit needs both, such as `{count: 10, period: minute}`",
        ),
        ("- a\n", ": it is a list, expected a mapping such as `version: 1`"),
        (
            "checks:\n  silence:\n    - {hazard: search-path, model: a, reason: ' '}\n",
            " at line 2: `checks.silence.reason` in entry 1 is ` `, expected a text that is not blank",
        ),
        (
            "checks:\n  silence:\n    - {hazard: search-path, model: a}\n",
            " at line 2: `checks.silence.reason` in entry 1 is missing: each entry needs `hazard`, `model` and `reason`",
        ),
        (
            "checks:\n  silence:\n    - a\n",
            " at line 2: `checks.silence` has `a` in entry 1, expected a mapping",
        ),
    ];

    #[test]
    fn an_invalid_value_is_reported_with_its_line_in_plain_words() {
        for &(text, wanted) in WRONG_VALUES {
            let error = parse(text).unwrap_err();
            let said = error.to_string();
            let said = said.strip_prefix("the configuration file `pgtrickle-ci.yml` is invalid").unwrap();
            assert_eq!(said, wanted, "{text}");
            assert_eq!(
                error.hint().unwrap(),
                "see the example in https://trickle-labs.github.io/pgtrickle-action/reference.html#pgtrickle-ciyml"
            );
        }
        let hazard = parse("checks: {silence: [{hazard: sarch-path, model: a, reason: b}]}\n")
            .unwrap_err()
            .to_string();
        assert!(
            hazard.contains("`checks.silence.hazard` in entry 1 is `sarch-path`, expected one of "),
            "{hazard}"
        );
        assert!(matches!(parse("checks: [\n").unwrap_err(), Error::Wrong { .. }));
    }

    #[test]
    fn a_key_without_a_value_is_a_missing_one() {
        for key in ["version", "allow_empty", "freshness", "checks"]
            .map(ToOwned::to_owned)
            .into_iter()
            .chain(known_keys())
        {
            for null in ["~", "null", ""] {
                let text = match key.split('.').collect::<Vec<_>>()[..] {
                    [key] => format!("{key}: {null}\n"),
                    [section, key] => format!("{section}:\n  {key}: {null}\n"),
                    [section, limit, key] => format!("{section}:\n  {limit}:\n    {key}: {null}\n"),
                    _ => panic!("{key}"),
                };
                let file = parse(&text).unwrap();
                assert_eq!(File { freshness: None, ..file }, File::default(), "{text}");
                assert_eq!(File::keys_of(&text), [], "{text}");
            }
        }
        assert!(parse("verify: {corpus: a, findings: ~}\n").is_ok());
    }
}
