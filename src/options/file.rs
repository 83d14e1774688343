//! `pgtrickle-ci.yml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

#[cfg(test)]
mod schema;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_yaml::Value as Yaml;

use super::Error;
use crate::{
    cli::{Drive, EngineArg, EngineVersionArg, FailOn, When},
    judge::{Silence, hazards},
    model::AgeLimits,
};

/// The configuration file. Every key is optional.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct File {
    /// The version of the format: 1.
    #[cfg_attr(test, schemars(schema_with = "schema::version"))]
    pub version: Version,
    /// Accept a project without stream tables.
    pub allow_empty: bool,
    /// SQL files that run first on an ephemeral server, to create sources that are not seeds. Relative to this file.
    pub fixtures: Vec<PathBuf>,
    /// Create missing sources on an ephemeral server as empty tables.
    pub stub_sources: bool,
    /// How many rows per table `--sources-from` copies.
    pub sample: Option<u32>,
    /// Only these models, by dbt selectors.
    pub select: Vec<String>,
    /// Exclude these models, by dbt selectors.
    pub exclude: Vec<String>,
    pub dbt: DbtSection,
    pub ephemeral: EphemeralSection,
    pub server: ServerSection,
    pub plan: PlanSection,
    pub wait: WaitSection,
    /// Age limits for all tables, instead of limits derived from their schedules.
    pub freshness: Option<AgeLimits>,
    pub checks: ChecksSection,
    pub verify: VerifySection,
    pub rehearsal: RehearsalSection,
    pub reports: ReportsSection,
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
    pub allow_drop: Vec<String>,
    /// Stream tables that may be dropped and recreated, or `all`.
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
    pub fail_on_fallback: bool,
    /// Hazards that were reviewed and accepted.
    pub silence: Vec<SilenceSection>,
}

/// One of `silence:`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct SilenceSection {
    /// The name of the hazard.
    #[serde(deserialize_with = "hazard")]
    #[cfg_attr(test, schemars(schema_with = "schema::hazard"))]
    hazard: String,
    /// The table's name, with or without its schema; `*` matches any text.
    model: String,
    /// Why it is harmless there.
    #[serde(deserialize_with = "not_empty")]
    #[cfg_attr(test, schemars(schema_with = "schema::not_empty"))]
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
    Err(serde::de::Error::custom(format!("unknown hazard `{name}`; the hazards are {known}")))
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let reason = String::deserialize(deserializer)?;
    if reason.trim().is_empty() {
        return Err(serde::de::Error::custom("the reason for silencing a hazard is empty"));
    }
    Ok(reason)
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
    pub float_tolerance: Option<f64>,
    /// Fewer rounds that change the sources of a table are a failure.
    pub min_rounds: Option<usize>,
    /// The stream tables that are not compared.
    pub skip: Vec<String>,
    /// End at the first finding.
    pub until_found: bool,
    /// What refreshes the stream tables after each round.
    pub drive: Option<Drive>,
    /// The folder for scripts that reproduce findings. Relative to this file.
    pub findings: Option<PathBuf>,
    /// The folder of scripts that are replayed first, and for new ones. Relative to this file.
    pub corpus: Option<PathBuf>,
}

/// The version of the format; any other than 1 is an error.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "unknown version {other}: this program reads version 1"
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

fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number.filter(|number| (0.0..=100.0).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(serde::de::Error::custom(format!(
            "`{text}` is not a percentage from 0% to 100%, such as `5%`"
        ))),
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

/// The keys of each mapping in the file. Mappings that are not listed may have any keys.
const KEYS: [(&str, &[&str]); 14] = [
    (
        "",
        &[
            "version",
            "allow_empty",
            "fixtures",
            "stub_sources",
            "sample",
            "select",
            "exclude",
            "dbt",
            "ephemeral",
            "server",
            "plan",
            "wait",
            "freshness",
            "checks",
            "verify",
            "rehearsal",
            "reports",
            "comment",
        ],
    ),
    ("dbt", &["timeout", "profile", "target", "profiles_dir", "vars"]),
    ("ephemeral", &["engine", "engine_version", "pg_bin", "image"]),
    ("server", &["statement_timeout", "lock_timeout"]),
    ("plan", &["allow_drop", "allow_recreate"]),
    ("wait", &["timeout", "models"]),
    ("freshness", &["warn_after", "error_after"]),
    ("freshness.warn_after", &["count", "period"]),
    ("freshness.error_after", &["count", "period"]),
    ("checks", &["fail_on", "fail_on_fallback", "silence"]),
    (
        "verify",
        &[
            "budget",
            "seed",
            "float_tolerance",
            "min_rounds",
            "skip",
            "until_found",
            "drive",
            "findings",
            "corpus",
        ],
    ),
    ("rehearsal", &["base_ref", "examples", "rows_changed_over"]),
    ("reports", &["json", "junit", "markdown", "html"]),
    ("comment", &["key", "when"]),
];

/// Keys that exclude each other.
const EXCLUSIVE: [(&str, &str, &str); 3] = [
    ("ephemeral", "image", "pg_bin"),
    ("ephemeral", "image", "engine_version"),
    ("verify", "corpus", "findings"),
];

/// The least similarity of a suggestion, from 0 to 1.
const SIMILAR: f64 = 0.7;

/// All keys as dotted paths.
fn known_keys() -> Vec<String> {
    let full = |parent: &str, key: &str| {
        if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
    };
    KEYS.iter()
        .flat_map(|(parent, keys)| keys.iter().map(move |key| full(parent, key)))
        .filter(|key| !KEYS.iter().any(|(parent, _)| parent == key))
        .collect()
}

impl File {
    /// Parses the file's text; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |source| Error::Wrong { file: path.to_owned(), source };
        let yaml: Yaml = crate::model::yaml::read(text).map_err(wrong)?;
        if yaml.is_null() {
            return Ok(Self::default());
        }
        let mut unknown = Vec::new();
        find_unknown(&yaml, "", &mut unknown);
        if !unknown.is_empty() {
            return Err(Error::UnknownKeys { file: path.to_owned(), keys: unknown, known: known_keys() });
        }
        let has =
            |section: &str, key: &str| yaml.get(section).is_some_and(|section| section.get(key).is_some());
        if let Some((section, one, other)) =
            EXCLUSIVE.iter().find(|(section, one, other)| has(section, one) && has(section, other))
        {
            let file = path.to_owned();
            return Err(Error::Exclusive { file, section, one, other });
        }
        // Parse the text again: only then do messages have a line number.
        serde_yaml::from_str(text).map_err(wrong)
    }

    /// The known keys that a valid text sets, as dotted paths, each with its value in one line.
    pub(super) fn keys_of(text: &str) -> Vec<(String, String)> {
        let yaml: Yaml = serde_yaml::from_str(text).unwrap_or_default();
        let value_of = |key: &str| key.split('.').try_fold(&yaml, |value, part| value.get(part));
        known_keys().into_iter().filter_map(|key| Some((key.clone(), shown(value_of(&key)?)))).collect()
    }
}

/// A value in one line.
fn shown(value: &Yaml) -> String {
    value.as_str().map_or_else(|| serde_json::to_string(value).unwrap_or_default(), ToOwned::to_owned)
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
            let similarity = |known: &str| strsim::jaro_winkler(known, &key);
            let near = known.iter().filter(|known| similarity(known) >= SIMILAR);
            let nearest = near.max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
            let nearest = nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default();
            unknown.push(format!("`{full}`{nearest}"));
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
    fn an_empty_file_and_a_file_of_comments_give_defaults() {
        assert_eq!(parse("").unwrap(), File::default());
        assert_eq!(parse("# empty\n").unwrap(), File::default());
    }

    #[test]
    fn every_key_is_read() {
        let text = "version: 1\nallow_empty: true\nfixtures: [ci/sources.sql]\nstub_sources: true\nsample: 9\nselect: [tag:a]\nexclude: [b]\n\
                    dbt: {timeout: 2h, profile: shop, target: ci, profiles_dir: dbt, vars: {start: 2026}}\nephemeral: {engine: emulator, engine_version: 0.108.3, pg_bin: bin}\n\
                    server: {statement_timeout: 1m, lock_timeout: 1s}\nplan: {allow_drop: [a], allow_recreate: [all]}\nwait: {timeout: 90s, models: {slow: 10m}}\n\
                    freshness: {warn_after: {count: 10, period: minute}, error_after: {count: 1, period: hour}}\nverify: {budget: 5s, seed: 7, float_tolerance: 1e-6, min_rounds: 25, skip: [s.t], until_found: true, drive: scheduler, findings: found}\n\
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
        assert_eq!(file.verify.min_rounds, Some(25));
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
        let Error::UnknownKeys { keys, .. } = parse("fixture: []\nwait: {timout: 2m}\n").unwrap_err() else {
            panic!()
        };
        assert_eq!(keys, ["`fixture` (did you mean `fixtures`?)", "`wait.timout` (did you mean `timeout`?)"]);
        let Error::UnknownKeys { keys, .. } = parse("plan: {<<: {}}\n").unwrap_err() else { panic!() };
        assert_eq!(keys, ["`plan.<<`"]);
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_line() {
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
