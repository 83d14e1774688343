//! The keys of the file, what each of them takes, and what is wrong with a value, in plain words.

use clap::ValueEnum;
use serde_yaml::Value as Yaml;

use super::shown;
use crate::{
    cli::{self, Drive, EngineArg, EngineVersionArg, FailOn, When},
    judge::hazards,
};

/// What a key takes. Every key also takes null, which is the same as leaving it out.
pub(super) enum Kind {
    /// A mapping with the keys of the section.
    Section,
    Version,
    Switch,
    /// A whole number up to this one.
    Number(u64),
    Tolerance,
    Text,
    /// A text that is not blank.
    Reason,
    Texts,
    Duration,
    /// Durations by name.
    Durations,
    Percent,
    /// One of these words.
    Word(fn() -> Vec<String>),
    /// Variables for dbt, which may be secret.
    Variables,
    /// A list of mappings with the keys of the section, all of which are needed.
    Entries,
}

use Kind::{
    Duration, Durations, Entries, Number, Percent, Reason, Section, Switch, Text, Texts, Tolerance,
    Variables, Version, Word,
};

type Key = (&'static str, Kind);

/// The keys of each section. Mappings that are not listed may have any keys.
const KEYS: [(&str, &[Key]); 15] = [
    (
        "",
        &[
            ("version", Version),
            ("allow_empty", Switch),
            ("fixtures", Texts),
            ("stub_sources", Switch),
            ("sample", Number(u32::MAX as u64)),
            ("select", Texts),
            ("exclude", Texts),
            ("dbt", Section),
            ("ephemeral", Section),
            ("server", Section),
            ("plan", Section),
            ("wait", Section),
            ("freshness", Section),
            ("checks", Section),
            ("verify", Section),
            ("rehearsal", Section),
            ("reports", Section),
            ("comment", Section),
        ],
    ),
    (
        "dbt",
        &[
            ("timeout", Duration),
            ("profile", Text),
            ("target", Text),
            ("profiles_dir", Text),
            ("vars", Variables),
        ],
    ),
    (
        "ephemeral",
        &[
            ("engine", Word(words::<EngineArg>)),
            ("engine_version", Word(words::<EngineVersionArg>)),
            ("pg_bin", Text),
            ("image", Text),
        ],
    ),
    ("server", &[("statement_timeout", Duration), ("lock_timeout", Duration)]),
    ("plan", &[("allow_drop", Texts), ("allow_recreate", Texts)]),
    ("wait", &[("timeout", Duration), ("models", Durations)]),
    ("freshness", &[("warn_after", Section), ("error_after", Section)]),
    ("freshness.warn_after", &[("count", Number(u32::MAX as u64)), ("period", Word(periods))]),
    ("freshness.error_after", &[("count", Number(u32::MAX as u64)), ("period", Word(periods))]),
    ("checks", &[("fail_on", Word(words::<FailOn>)), ("fail_on_fallback", Switch), ("silence", Entries)]),
    ("checks.silence", &[("hazard", Word(hazard_names)), ("model", Text), ("reason", Reason)]),
    (
        "verify",
        &[
            ("budget", Duration),
            ("seed", Number(u64::MAX)),
            ("float_tolerance", Tolerance),
            ("min_rounds", Number(u64::MAX)),
            ("partitions", Switch),
            ("open_transactions", Switch),
            ("jobs", Number(u32::MAX as u64)),
            ("skip", Texts),
            ("until_found", Switch),
            ("drive", Word(words::<Drive>)),
            ("findings", Text),
            ("corpus", Text),
        ],
    ),
    (
        "rehearsal",
        &[("base_ref", Text), ("examples", Number(u32::MAX as u64)), ("rows_changed_over", Percent)],
    ),
    ("reports", &[("json", Text), ("junit", Text), ("markdown", Text), ("html", Text)]),
    ("comment", &[("key", Text), ("when", Word(words::<When>))]),
];

/// The least similarity of a suggestion, from 0 to 1.
const SIMILAR: f64 = 0.7;

fn words<T: ValueEnum>() -> Vec<String> {
    let names = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    names.map(|value| value.get_name().to_owned()).collect()
}

fn periods() -> Vec<String> {
    ["second", "minute", "hour", "day"].map(ToOwned::to_owned).into()
}

fn hazard_names() -> Vec<String> {
    hazards::names().into_iter().map(ToOwned::to_owned).collect()
}

fn below(section: &str) -> Option<&'static [Key]> {
    KEYS.iter().find(|(parent, _)| *parent == section).map(|(_, keys)| *keys)
}

fn path(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// All keys with a value of their own, as dotted paths.
pub(super) fn known_keys() -> Vec<String> {
    let is_section = |kind: &Kind| matches!(kind, Section);
    let sections = KEYS.iter().filter(|(parent, _)| *parent != "checks.silence");
    let keys =
        sections.flat_map(|(parent, keys)| keys.iter().map(move |(key, kind)| (path(parent, key), kind)));
    keys.filter(|(_, kind)| !is_section(kind)).map(|(key, _)| key).collect()
}

/// A key that does not exist.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key, with the nearest known one.
    pub shown: String,
    /// Which keys there are, if none is near.
    pub known: Option<String>,
}

/// All unknown keys of the file.
pub(super) fn unknown(yaml: &Yaml) -> Vec<UnknownKey> {
    let mut unknown = Vec::new();
    find_unknown(yaml, "", &mut unknown);
    unknown
}

fn find_unknown(yaml: &Yaml, parent: &str, unknown: &mut Vec<UnknownKey>) {
    let Some(known) = below(parent) else { return };
    for entry in yaml.as_sequence().into_iter().flatten() {
        find_unknown(entry, parent, unknown);
    }
    for (key, value) in yaml.as_mapping().into_iter().flatten() {
        let key = key.as_str().map_or_else(|| shown(key), ToOwned::to_owned);
        let full = path(parent, &key);
        if known.iter().any(|(known, _)| *known == key) {
            find_unknown(value, &full, unknown);
            continue;
        }
        let similarity = |known: &str| strsim::jaro_winkler(known, &key);
        let near = known.iter().map(|(known, _)| *known).filter(|known| similarity(known) >= SIMILAR);
        let nearest = near.max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
        let did_you_mean = nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default();
        let place = if parent.is_empty() { "the file".into() } else { format!("`{parent}`") };
        unknown.push(UnknownKey {
            shown: format!("`{full}`{did_you_mean}"),
            known: nearest.is_none().then(|| format!("the keys of {place} are {}", listed(known))),
        });
    }
}

fn listed(keys: &[Key]) -> String {
    keys.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ")
}

/// A value that its key does not take.
#[derive(Debug, PartialEq, Eq)]
pub struct WrongValue {
    /// The key whose line the message names.
    pub key: String,
    /// A sentence about the value and what is expected.
    pub message: String,
}

/// The first value of the file that its key does not take.
pub(super) fn wrong_value(yaml: &Yaml) -> Option<WrongValue> {
    if yaml.is_mapping() {
        return wrong_below(yaml, "", "").err();
    }
    let message = format!("it is {}, expected a mapping such as `version: 1`", found(yaml));
    Some(WrongValue { key: String::new(), message })
}

/// Checks the values of a section. `entry` says which entry of a list it is.
fn wrong_below(yaml: &Yaml, parent: &str, entry: &str) -> Result<(), WrongValue> {
    for (key, kind) in below(parent).unwrap_or_default() {
        let Some(value) = yaml.get(key) else { continue };
        let full = path(parent, key);
        check(value, kind, &full, entry)?;
    }
    let is_set = |key: &str| yaml.get(key).is_some_and(|value| !value.is_null());
    let lacking = |key: &str, why: &str| {
        let key = path(parent, key);
        Err(WrongValue { key: parent.to_owned(), message: format!("`{key}`{entry} is missing: {why}") })
    };
    match parent {
        "freshness.warn_after" | "freshness.error_after" => match (is_set("count"), is_set("period")) {
            (true, false) => lacking("period", "a limit needs both, such as `{count: 10, period: minute}`"),
            (false, true) => lacking("count", "a limit needs both, such as `{count: 10, period: minute}`"),
            _ => Ok(()),
        },
        "checks.silence" => match ["hazard", "model", "reason"].into_iter().find(|key| !is_set(key)) {
            Some(key) => lacking(key, "each entry needs `hazard`, `model` and `reason`"),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn check(value: &Yaml, kind: &Kind, key: &str, entry: &str) -> Result<(), WrongValue> {
    if value.is_null() {
        return Ok(());
    }
    let (fits, expected) = expected(value, kind, key);
    if !fits {
        let value = if matches!(kind, Variables) { "no mapping".into() } else { found(value) };
        let message = format!("`{key}`{entry} is {value}, expected {expected}");
        return Err(WrongValue { key: key.to_owned(), message });
    }
    match kind {
        Section => wrong_below(value, key, entry),
        Entries => check_entries(value, key),
        Texts => check_texts(value, key),
        Durations => value.as_mapping().into_iter().flatten().try_for_each(|(name, duration)| {
            check(duration, &Duration, &path(key, &shown(name)), entry)
                .map_err(|wrong| WrongValue { key: key.to_owned(), ..wrong })
        }),
        Version | Switch | Number(_) | Tolerance | Text | Reason | Duration | Percent | Word(_)
        | Variables => Ok(()),
    }
}

/// Whether the value is what the key takes, and what that is. Of lists and mappings only the value itself counts.
fn expected(value: &Yaml, kind: &Kind, key: &str) -> (bool, String) {
    let text = value.as_str();
    let is_duration = || value.as_u64() == Some(0) || text.is_some_and(|text| cli::duration(text).is_ok());
    let (fits, expected) = match kind {
        Section => {
            let keys = listed(below(key).unwrap_or_default());
            return (value.is_mapping(), format!("a mapping with the keys {keys}"));
        }
        Number(most) => {
            let fits = value.as_u64().is_some_and(|number| number <= *most);
            return (fits, format!("a whole number from 0 to {most}"));
        }
        Word(words) => {
            let words = words();
            let fits = text.is_some_and(|text| words.iter().any(|word| word == text));
            return (fits, format!("one of {}", words.join(", ")));
        }
        Entries => (value.is_sequence(), "a list such as `[{hazard: …, model: …, reason: …}]`"),
        Texts => (value.is_sequence(), "a list such as `[a, b]`"),
        Durations => (value.is_mapping(), "a mapping such as `{marts.slow: 10m}`"),
        Variables => (value.is_mapping(), "a mapping such as `{start: 2026-01-01}`"),
        Version => (value.as_u64() == Some(1), "1, the version of the format that this program reads"),
        Switch => (value.is_bool(), "true or false"),
        Tolerance => (
            value.as_f64().is_some_and(|number| number >= 0.0 && number.is_finite()),
            "a number that is not negative, such as `1e-9`",
        ),
        Text => (is_text(value), "a text"),
        Reason => {
            (is_text(value) && text.is_none_or(|text| !text.trim().is_empty()), "a text that is not blank")
        }
        Duration => (is_duration(), "a duration with units, such as `90s` or `1h 30m`"),
        Percent => (text.and_then(super::percent_of).is_some(), "a percentage from 0% to 100%, such as `5%`"),
    };
    (fits, expected.to_owned())
}

fn check_entries(entries: &Yaml, key: &str) -> Result<(), WrongValue> {
    for (number, one) in entries.as_sequence().into_iter().flatten().enumerate() {
        let entry = format!(" in entry {}", number + 1);
        if !one.is_mapping() {
            let message = format!("`{key}` has {}{entry}, expected a mapping", found(one));
            return Err(WrongValue { key: key.to_owned(), message });
        }
        wrong_below(one, key, &entry).map_err(|wrong| WrongValue { key: key.to_owned(), ..wrong })?;
    }
    Ok(())
}

fn check_texts(texts: &Yaml, key: &str) -> Result<(), WrongValue> {
    let mut texts = texts.as_sequence().into_iter().flatten().enumerate();
    let Some((number, wrong)) = texts.find(|(_, text)| !is_text(text)) else { return Ok(()) };
    let message = format!("`{key}` has {} in entry {}, expected a text", found(wrong), number + 1);
    Err(WrongValue { key: key.to_owned(), message })
}

/// A name may look like a number.
fn is_text(value: &Yaml) -> bool {
    value.is_string() || value.is_number() || value.is_bool()
}

/// What was found, for a message.
fn found(value: &Yaml) -> String {
    match value {
        Yaml::Null => "nothing".into(),
        Yaml::Sequence(_) => "a list".into(),
        Yaml::Mapping(_) => "a mapping".into(),
        Yaml::Tagged(_) => "a value with a YAML tag".into(),
        Yaml::String(text) if text.is_empty() => "empty".into(),
        Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => format!("`{}`", shown(value)),
    }
}
