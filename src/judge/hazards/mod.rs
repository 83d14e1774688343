//! Known bugs of the installed version that concern a table. Each rule in [`RULES`] has a file with its test, and cites
//! a heading of docs/pg_trickle.md.

mod cron_schedule;
mod float_aggregate;
mod fuse_sensitivity;
mod primary_key_position;
mod search_path;
mod wal_capture;

use std::ops::RangeInclusive;

use super::Facts;
use crate::model::{Deployed, Outcome, Relation, Stage, StreamTable, Verdict};

struct Rule {
    /// The name for `checks.silence`.
    name: &'static str,
    /// The heading in docs/pg_trickle.md that shows it.
    heading: &'static str,
    /// The versions that have the bug, major and minor.
    versions: RangeInclusive<(u32, u32)>,
    /// Wrong rows fail, anything else warns.
    verdict: Verdict,
    finds: fn(&Deployed, &Facts) -> Option<String>,
    way_out: &'static str,
}

const RULES: [Rule; 6] = [
    cron_schedule::RULE,
    float_aggregate::RULE,
    fuse_sensitivity::RULE,
    primary_key_position::RULE,
    search_path::RULE,
    wal_capture::RULE,
];

/// The rule names that a silence may use.
pub fn names() -> [&'static str; 6] {
    RULES.map(|rule| rule.name)
}

/// A hazard that the user has accepted for some tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub hazard: String,
    /// The table's name, with or without its schema; `*` matches any text.
    pub model: String,
    /// Why it is harmless there.
    pub reason: String,
}

impl Silence {
    fn covers(&self, rule: &Rule, relation: &Relation) -> bool {
        let names = [relation.to_string(), relation.name.clone()];
        self.hazard == rule.name && names.iter().any(|name| matches(&self.model, name))
    }
}

/// Whether a text matches a pattern with `*`.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| matches(after, &rest[at..]))
        }),
    }
}

/// Judges one deployed table.
pub(super) fn judge(
    table: &StreamTable,
    deployed: &Deployed,
    facts: &Facts,
    version: &str,
    silences: &[Silence],
) -> Outcome {
    let mut verdict = Verdict::Passed;
    let mut messages = Vec::new();
    let mut details = Vec::new();
    for rule in RULES.iter().filter(|rule| number(version).is_some_and(|v| rule.versions.contains(&v))) {
        let Some(message) = (rule.finds)(deployed, facts) else { continue };
        if let Some(silence) = silences.iter().find(|silence| silence.covers(rule, &table.relation)) {
            details.push(format!("{} is silenced: {}", rule.name, silence.reason));
            continue;
        }
        verdict = verdict.max(rule.verdict);
        messages.push(format!("{}: {message}", rule.name));
        details.push(format!("{} (see \"{}\" in docs/pg_trickle.md)", rule.way_out, rule.heading));
    }
    let message = if messages.is_empty() {
        format!("no known bugs of pg_trickle {version} apply")
    } else {
        messages.join("; ")
    };
    Outcome::new(Stage::Hazard, &table.relation, verdict, message)
        .with_details(details)
        .about(table.origin.as_ref())
}

/// `0.67.0-emulator` as `(0, 67)`.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    fn judged(version: &str, silences: &[Silence]) -> Outcome {
        let mut table = sample::table("t", &[]);
        table.settings.set(Setting::FuseSensitivity, Value::Int(3));
        judge(&table, &sample::deployed(table.clone()), &Facts::default(), version, silences)
    }

    fn silence(hazard: &str, model: &str) -> Silence {
        Silence { hazard: hazard.into(), model: model.into(), reason: "it never blows".into() }
    }

    #[test]
    fn a_rule_applies_only_to_its_versions() {
        assert_eq!(judged("0.67.0", &[]).verdict, Verdict::Warned);
        assert_eq!(judged("0.67.3-emulator", &[]).verdict, Verdict::Warned);
        assert_eq!(judged("0.68.0", &[]).verdict, Verdict::Passed);
    }

    #[test]
    fn a_silenced_rule_passes_with_its_reason() {
        for model in ["t", "s.t", "s.*", "*"] {
            let outcome = judged("0.67.0", &[silence("fuse-sensitivity", model)]);
            assert_eq!(outcome.verdict, Verdict::Passed, "{model}");
            assert_eq!(outcome.details, ["fuse-sensitivity is silenced: it never blows"]);
        }
        for other in [silence("cron-schedule", "t"), silence("fuse-sensitivity", "u*")] {
            assert_eq!(judged("0.67.0", &[other]).verdict, Verdict::Warned);
        }
    }

    #[test]
    fn every_rule_cites_a_heading_that_exists() {
        let facts = include_str!("../../../docs/pg_trickle.md");
        for rule in RULES {
            assert!(facts.contains(&format!("\n## {}\n", rule.heading)), "{}", rule.heading);
        }
    }
}
