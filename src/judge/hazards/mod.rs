//! Known bugs of the installed version. Each rule in [`RULES`] and [`SERVER_RULES`] has a file with its test, and cites a
//! heading of docs/pg_trickle.md.

mod buffer_compaction;
pub mod buffer_schema;
pub mod buffer_truncation;
mod cron_schedule;
mod float_aggregate;
mod fuse_sensitivity;
mod hidden_reads;
mod immediate_source_ddl;
mod lone_column;
mod open_transactions;
mod partitioned_source;
mod primary_key_position;
mod row_security;
mod search_path;
mod snapshot_source;
mod source_name;
mod storage_backend;
mod wal_capture;

use std::collections::BTreeSet;

use super::{Evidence, Facts};
use crate::model::{
    Deployed, HiddenRead, NEWEST_TRIED, Outcome, Relation, Stage, StreamTable, TRIED, Verdict, Version, site,
};

/// A bug that concerns a table.
type TableRule = Rule<fn(&Deployed, &Facts) -> Option<String>>;

/// A bug that a setting of the server, or what goes on there, lets loose on its tables.
type ServerRule = Rule<fn(&Evidence, &BTreeSet<Relation>) -> Option<String>>;

struct Rule<Finds> {
    /// The name for `checks.silence`.
    name: &'static str,
    /// The heading in docs/pg_trickle.md that shows it.
    heading: &'static str,
    /// The version that is known not to have it any more. Every other version is taken to have it.
    fixed: Option<Version>,
    /// Wrong rows fail, and what cannot be maintained; anything else warns.
    verdict: Verdict,
    finds: Finds,
    way_out: &'static str,
}

const RULES: [TableRule; 16] = [
    cron_schedule::RULE,
    float_aggregate::RULE,
    fuse_sensitivity::RULE,
    hidden_reads::FUNCTIONS,
    hidden_reads::VIEWS,
    immediate_source_ddl::RULE,
    lone_column::RULE,
    partitioned_source::RULE,
    primary_key_position::RULE,
    row_security::RULE,
    search_path::RULE,
    snapshot_source::UNFOLLOWED,
    snapshot_source::UNPOLLED,
    source_name::RULE,
    storage_backend::RULE,
    wal_capture::RULE,
];

/// Each has one outcome for the whole server.
const SERVER_RULES: [ServerRule; 4] =
    [buffer_compaction::RULE, buffer_schema::RULE, buffer_truncation::RULE, open_transactions::RULE];

/// The subject of the outcomes that concern the whole server.
const SERVER: &str = "pg_trickle";

/// The name for `checks.silence` of the warning about a version that this project was not tried on.
const UNTRIED: &str = "untried-version";

/// The names that a silence may use.
pub fn names() -> Vec<&'static str> {
    let of_server = SERVER_RULES.iter().map(|rule| rule.name);
    RULES.iter().map(|rule| rule.name).chain(of_server).chain([UNTRIED]).collect()
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
    fn covers(&self, rule: &TableRule, relation: &Relation) -> bool {
        let names = [relation.to_string(), relation.name.clone()];
        self.hazard == rule.name && names.iter().any(|name| matches(&self.model, name))
    }

    fn covers_server(&self, rule: &ServerRule) -> bool {
        self.hazard == rule.name && matches(&self.model, SERVER)
    }

    pub(super) fn accepts(&self, read: &HiddenRead, relation: &Relation) -> bool {
        let rule = if read.is_view { &hidden_reads::VIEWS } else { &hidden_reads::FUNCTIONS };
        self.covers(rule, relation)
    }
}

impl<Finds> Rule<Finds> {
    fn applies_to(&self, version: Option<Version>) -> bool {
        self.fixed.is_none_or(|fixed| version.is_none_or(|version| version < fixed))
    }

    /// How certain it is that a version which was not tried has it.
    fn certainty(&self, version: Option<Version>) -> Option<String> {
        let version = version.filter(|version| !version.is_tried())?;
        let known = match self.fixed {
            Some(fixed) => format!("fixed in {fixed}"),
            None if version > NEWEST_TRIED => "no version is known to fix it".to_owned(),
            None => "this version was not tried".to_owned(),
        };
        Some(format!("seen on {}; {known}", and(&TRIED)))
    }

    fn next(&self) -> String {
        format!("{} (see {})", self.way_out, site::section("pg_trickle", self.heading))
    }
}

/// The first of them, and how many more there are.
fn some_of(mut all: Vec<String>, most: usize) -> Vec<String> {
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    all.extend((more > 0).then(|| format!("and {more} more")));
    all
}

/// `0.40.0, 0.55.0 and 0.67.0`
fn and(versions: &[Version]) -> String {
    let texts: Vec<String> = versions.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The silences under which no table of the server has the hazard. Empty without the facts about the tables.
pub fn unused<'a>(silences: &'a [Silence], evidence: &Evidence) -> Vec<&'a Silence> {
    let Ok(facts) = &evidence.facts else { return vec![] };
    let number = Version::parse(&evidence.version);
    let facts_of = |relation: &Relation| {
        facts.iter().find(|facts| facts.schema == relation.schema && facts.name == relation.name)
    };
    let hides = |silence: &Silence, rule: &TableRule, deployed: &Deployed| {
        let relation = &deployed.table.relation;
        let finds = |facts: &Facts| (rule.finds)(deployed, facts).is_some();
        silence.covers(rule, relation) && facts_of(relation).is_some_and(finds)
    };
    let all = evidence.deployed.iter().map(|deployed| deployed.table.relation.clone()).collect();
    let is_used = |silence: &&Silence| {
        let mut of_server = SERVER_RULES.iter().filter(|rule| rule.applies_to(number));
        if of_server.any(|rule| silence.covers_server(rule) && (rule.finds)(evidence, &all).is_some()) {
            return true;
        }
        let rules = RULES.iter().filter(|rule| rule.applies_to(number));
        let is_for_version = silence.hazard == UNTRIED && matches(&silence.model, &evidence.version);
        is_for_version && number.is_none_or(|number| !number.is_known())
            || rules.into_iter().any(|rule| evidence.deployed.iter().any(|one| hides(silence, rule, one)))
    };
    silences.iter().filter(|silence| !is_used(silence)).collect()
}

/// Warns about a version whose bugs are not known; `None` for any other.
pub(super) fn judge_version(version: &str, silences: &[Silence]) -> Option<Outcome> {
    let parsed = Version::parse(version);
    if parsed.is_some_and(Version::is_known) {
        return None;
    }
    let tried = and(&TRIED);
    let place = match parsed {
        Some(parsed) if parsed > NEWEST_TRIED => {
            format!("{version} is newer than {NEWEST_TRIED}, the newest on which pgtrickle-ci was tried")
        }
        Some(parsed) if parsed.is_tried() => {
            format!("pgtrickle-ci was tried on {version}, but looks for the bugs of {NEWEST_TRIED}")
        }
        _ => format!("{version} is none of the versions on which pgtrickle-ci was tried, {tried}"),
    };
    let message = format!("{place}: its own bugs are not known");
    let outcome = |verdict| Outcome::new(Stage::Hazard, SERVER, verdict, &message);
    let silence =
        silences.iter().find(|silence| silence.hazard == UNTRIED && matches(&silence.model, version));
    Some(match silence {
        Some(silence) => outcome(Verdict::Passed).with_details([format!("silenced: {}", silence.reason)]),
        None => outcome(Verdict::Warned).with_details([format!(
            "after reviewing its changelog, silence this in pgtrickle-ci.yml: \
             checks.silence: [{{hazard: {UNTRIED}, model: \"{version}\", reason: …}}]"
        )]),
    })
}

/// Judges the settings of the server that harm these tables.
pub(super) fn judge_server(
    evidence: &Evidence,
    tables: &BTreeSet<Relation>,
    silences: &[Silence],
) -> Vec<Outcome> {
    let number = Version::parse(&evidence.version);
    let judged = |rule: &ServerRule| {
        let message = format!("{}: {}", rule.name, (rule.finds)(evidence, tables)?);
        let outcome = |verdict| Outcome::new(Stage::Hazard, SERVER, verdict, &message);
        if let Some(silence) = silences.iter().find(|silence| silence.covers_server(rule)) {
            let why = format!("silenced: {}", silence.reason);
            return Some(outcome(Verdict::Passed).with_details([why]));
        }
        let certainty = rule.certainty(number).map(|certainty| format!("{}: {certainty}", rule.name));
        Some(outcome(rule.verdict).with_details([rule.next()]).with_details(certainty))
    };
    SERVER_RULES.iter().filter(|rule| rule.applies_to(number)).filter_map(judged).collect()
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
    let number = Version::parse(version);
    for rule in RULES.iter().filter(|rule| rule.applies_to(number)) {
        let Some(message) = (rule.finds)(deployed, facts) else { continue };
        if let Some(silence) = silences.iter().find(|silence| silence.covers(rule, &table.relation)) {
            details.push(format!("{} is silenced: {}", rule.name, silence.reason));
            continue;
        }
        verdict = verdict.max(rule.verdict);
        messages.push(format!("{}: {message}", rule.name));
        details.push(rule.next());
        details.extend(rule.certainty(number).map(|certainty| format!("{}: {certainty}", rule.name)));
    }
    let message = if messages.is_empty() {
        let known = if number.is_some_and(Version::is_known) { version } else { &NEWEST_TRIED.to_string() };
        format!("no known bugs of pg_trickle {known} apply")
    } else {
        messages.join("; ")
    };
    Outcome::new(Stage::Hazard, &table.relation, verdict, message)
        .with_details(details)
        .about(table.origin.as_ref())
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
    fn a_rule_applies_until_the_version_that_fixes_it() {
        for version in ["0.40.0", "0.67.0", "0.67.3-emulator", "0.108.3", "unknown"] {
            assert_eq!(judged(version, &[]).verdict, Verdict::Warned, "{version}");
        }
        let fixed = |version: &str| search_path::RULE.applies_to(Version::parse(version));
        assert!(fixed("0.67.0") && fixed("0.87.6") && !fixed("0.87.7") && !fixed("0.108.3"));
    }

    #[test]
    fn a_bug_on_an_untried_version_says_where_it_was_seen() {
        let details = |version| judged(version, &[]).details;
        assert_eq!(details("0.67.0").len(), 1);
        assert_eq!(details("0.40.0").len(), 1);
        let seen = "fuse-sensitivity: seen on 0.40.0, 0.55.0 and 0.67.0; ";
        assert_eq!(details("0.108.3")[1], format!("{seen}no version is known to fix it"));
        assert_eq!(details("0.60.0")[1], format!("{seen}this version was not tried"));
        let certainty = wal_capture::RULE.certainty(Version::parse("0.103.0"));
        assert_eq!(certainty.unwrap(), "seen on 0.40.0, 0.55.0 and 0.67.0; fixed in 0.107.0");
    }

    #[test]
    fn only_a_tried_version_passes_as_known() {
        let harmless = |version| {
            let table = sample::table("t", &[]);
            judge(&table, &sample::deployed(table.clone()), &Facts::default(), version, &[]).message
        };
        assert_eq!(harmless("0.67.1"), "no known bugs of pg_trickle 0.67.1 apply");
        assert_eq!(harmless("0.108.3"), "no known bugs of pg_trickle 0.67.0 apply");
        assert_eq!(judge_version("0.67.0-emulator", &[]), None);
        for (version, words) in [
            ("0.108.3", "is newer than 0.67.0"),
            ("0.55.0", "was tried on 0.55.0, but looks for the bugs of 0.67.0"),
            ("0.60.0", "0.60.0 is none of the versions"),
            ("x", "x is none of the versions"),
        ] {
            let outcome = judge_version(version, &[]).unwrap();
            assert_eq!(outcome.verdict, Verdict::Warned);
            assert!(outcome.message.contains(words), "{}", outcome.message);
        }
        for (model, verdict) in
            [("0.108.*", Verdict::Passed), ("*", Verdict::Passed), ("0.107.*", Verdict::Warned)]
        {
            assert_eq!(
                judge_version("0.108.3", &[silence(UNTRIED, model)]).unwrap().verdict,
                verdict,
                "{model}"
            );
        }
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
    fn a_silence_that_hides_nothing_is_unused() {
        let mut table = sample::table("t", &[]);
        table.settings.set(Setting::FuseSensitivity, Value::Int(3));
        let mut evidence =
            sample::evidence(vec![sample::deployed(table), sample::deployed(sample::table("u", &[]))]);
        let silences = [
            silence("fuse-sensitivity", "s.*"),
            silence("fuse-sensitivity", "u"),
            silence("cron-schedule", "t"),
            silence("fuse-sensitivity", "gone"),
            silence(UNTRIED, "*"),
        ];
        let unused_on = |evidence: &Evidence| -> Vec<String> {
            unused(&silences, evidence)
                .iter()
                .map(|silence| format!("{} {}", silence.hazard, silence.model))
                .collect()
        };
        let unused = ["fuse-sensitivity u", "cron-schedule t", "fuse-sensitivity gone", "untried-version *"];
        assert_eq!(unused_on(&evidence), unused);
        evidence.version = "0.108.3".into();
        assert_eq!(unused_on(&evidence), unused[..3]);
    }

    #[test]
    fn every_rule_cites_a_heading_that_exists() {
        let facts = include_str!("../../../docs/pg_trickle.md");
        let headings =
            RULES.iter().map(|rule| rule.heading).chain(SERVER_RULES.iter().map(|rule| rule.heading));
        for heading in headings {
            assert!(facts.contains(&format!("\n## {heading}\n")), "{heading}");
        }
    }
}
