//! One comment for all reports of a workflow run, with a part for each job and each leg of a matrix.
//!
//! The comment itself stores the state. Every part starts with a hidden line that labels it, so that a later job finds
//! and keeps the parts of other jobs. Text from outside cannot forge such a line: `text` breaks up the start of every
//! HTML comment, and the label escapes `<` and `>`.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{
    Report, json,
    markdown::{self, CommentBody, code, prose, row},
    text, words,
};
use crate::model::Outcome;

const LEG: &str = "<!-- pgtrickle-ci-leg ";
/// The end of a label without a part.
const BARE: &str = " /-->";
const REST: &str = "<!-- pgtrickle-ci-rest -->";
const END: &str = "<!-- pgtrickle-ci-end -->";
const FULL: &str = "<!-- pgtrickle-ci-full -->";

/// The longest name of a job, in characters.
const LONGEST_LEG: usize = 80;
/// The longest label that is read, in bytes. Ours are shorter, and what displaces other reports is not ours.
const LONGEST_LABEL: usize = 2_000;
/// How many rows the table has for failed and for passed reports.
const MOST_FAILED: usize = 100;
const MOST_PASSED: usize = 20;
/// The approximate size of the table and the labels, in bytes.
const FRAME: usize = 2_000;

/// The order of reports: GitHub counts a workflow's runs, and the attempts of each run; GitLab pipelines, and jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunOrder {
    /// The ID of the run or pipeline, which increases from run to run.
    pub run: u64,
    /// The attempt, or GitLab's ID of the job. It increases when a run, or some of its jobs, is rerun.
    pub attempt: u64,
}

/// The name of a job with its leg, from the workflow's `toJSON(matrix)`: `gate (dbt: 1.11, os: linux)`.
pub fn name(job: &str, matrix: &str) -> String {
    let values = match serde_json::from_str(matrix) {
        Ok(Json::Object(values)) => {
            values.iter().map(|(key, value)| format!("{key}: {}", shown(value))).collect()
        }
        Ok(_) => Vec::new(),
        // Not from a workflow, but it separates the legs.
        Err(_) => Vec::from_iter((!matrix.trim().is_empty()).then(|| matrix.trim().to_owned())),
    };
    if values.is_empty() { job.to_owned() } else { format!("{job} ({})", values.join(", ")) }
}

/// A value of a matrix, quoted unless it is unambiguous.
fn shown(value: &Json) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " ._-+/:@*".contains(c);
    let plain = value.as_str().filter(|text| text.chars().all(is_plain));
    plain.map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A report to add to the comment.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'a> {
    pub report: &'a Report,
    /// The job that wrote the report, from [`name`].
    pub leg: &'a str,
    pub turn: RunOrder,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComposedComment {
    pub text: String,
    /// Whether all reports in it passed.
    pub passed: bool,
    /// Whether this report's problems differ from those of the report that it replaces.
    pub is_news: bool,
}

impl Posting<'_> {
    /// Combines this report with all reports in `bodies`, in at most `limit` bytes. A report replaces earlier ones of
    /// the same job. `None` if `bodies` already contain a later one.
    pub fn compose(&self, bodies: &[&str], limit: usize) -> Option<ComposedComment> {
        let mine = Label::of(self);
        let mut legs: Vec<Leg> = bodies.iter().flat_map(|body| read(body)).collect();
        if legs.iter().any(|leg| leg.label.replaces(&mine)) {
            return None;
        }
        let before = legs.iter().map(|leg| &leg.label).find(|label| mine.replaces(label) || mine == **label);
        let is_news = mine.problems != before.map_or_else(no_problems, |label| label.problems);
        if !legs.iter().any(|leg| leg.label == mine) {
            let others: usize = legs.iter().map(Leg::len).sum();
            let share = (limit / (legs.len() + 1)).max(limit.saturating_sub(others)).saturating_sub(FRAME);
            legs.push(Leg { body: markdown::body(self.report, share), label: mine });
        }
        let labels: Vec<_> = legs.iter().map(|leg| leg.label.clone()).collect();
        legs.retain(|leg| !labels.iter().any(|other| other.replaces(&leg.label)));
        legs.sort_by(|a, b| a.label.cmp(&b.label));
        legs.dedup_by(|a, b| a.label == b.label);
        let mut is_full = bodies.iter().any(|body| body.contains(FULL));
        let passed = legs.iter().all(|leg| leg.label.passed);
        let mut text = render(&legs, is_full);
        while text.len() > limit && shorten(&mut legs, &mut is_full) {
            text = render(&legs, is_full);
        }
        Some(ComposedComment { text, passed, is_news })
    }
}

/// Short, because a comment may contain hundreds.
fn digest(things: impl IntoIterator<Item = impl Hash>) -> u32 {
    let mut hasher = DefaultHasher::new();
    things.into_iter().for_each(|thing| thing.hash(&mut hasher));
    u32::try_from(hasher.finish() >> 32).unwrap_or_default()
}

fn no_problems() -> u32 {
    digest([(); 0])
}

/// Identifies a part. It sorts failed reports first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Label {
    passed: bool,
    leg: String,
    command: String,
    project: Option<String>,
    turn: RunOrder,
    /// Separates two reports of one job with the same name.
    digest: u32,
    /// A digest of the failures and errors.
    problems: u32,
    /// The verdict and the tally.
    said: String,
}

impl Label {
    fn of(posting: &Posting<'_>) -> Self {
        let Posting { report, leg, turn } = *posting;
        let is_bad = |outcome: &&Outcome| outcome.verdict.is_bad();
        let problems =
            report.outcomes.iter().filter(is_bad).map(|outcome| (outcome.stage, outcome.subject.to_string()));
        Self {
            passed: report.passed(),
            leg: text::clip(leg, LONGEST_LEG),
            command: text::clip(&report.command, LONGEST_LEG),
            project: report.project.as_deref().map(|project| text::clip(project, LONGEST_LEG)),
            turn,
            digest: digest([json::render(report)]),
            problems: digest(problems),
            said: format!("{}: {}", report.conclusion(), words::tally(report.tally())),
        }
    }

    /// Whether this is a later report of the same job. A run that ended early may not know its project.
    fn replaces(&self, other: &Self) -> bool {
        let is_same_project =
            self.project == other.project || self.project.is_none() || other.project.is_none();
        self.leg == other.leg && self.command == other.command && is_same_project && self.turn > other.turn
    }

    fn icon(&self) -> &'static str {
        if self.passed { "✅" } else { "❌" }
    }

    fn hidden(&self, end: &str) -> String {
        // It cannot fail: the keys are field names.
        let json = serde_json::to_string(self).expect("a label is plain data");
        format!("{LEG}{}{end}", json.replace('<', "\\u003c").replace('>', "\\u003e"))
    }

    fn row(&self) -> String {
        let project = self.project.as_deref().map(|project| format!(" of {}", code(project)));
        let ran = format!("{}{}", prose(&self.command), project.unwrap_or_default());
        row(&[self.icon().to_owned(), code(&self.leg), ran, prose(&self.said)])
    }
}

struct Leg {
    label: Label,
    body: CommentBody,
}

impl Leg {
    fn len(&self) -> usize {
        self.body.brief.len() + self.body.rest.len()
    }

    fn marked(&self) -> String {
        let CommentBody { brief, rest } = &self.body;
        if brief.is_empty() {
            return format!("{}\n", self.label.hidden(BARE));
        }
        let rest = if rest.is_empty() { String::new() } else { format!("{REST}\n{rest}") };
        format!("{}\n{brief}{rest}{END}\n", self.label.hidden(" -->"))
    }

    /// A fold, open if the report failed.
    fn folded(&self) -> String {
        if self.body.brief.is_empty() {
            return self.marked();
        }
        let open = if self.label.passed { "" } else { " open" };
        let (icon, name) = (self.label.icon(), text::html_code(&self.label.leg));
        format!("<details{open}><summary>{icon} {name}</summary>\n\n{}\n</details>\n\n", self.marked())
    }
}

fn render(legs: &[Leg], is_full: bool) -> String {
    match legs {
        [leg] if !is_full => leg.marked(),
        _ => format!("{}{}", head(legs, is_full), legs.iter().map(Leg::folded).collect::<String>()),
    }
}

fn head(legs: &[Leg], is_full: bool) -> String {
    let (passed, failed): (Vec<_>, Vec<_>) = legs.iter().partition(|leg| leg.label.passed);
    let reports = words::count(legs.len(), "report");
    let mut head = if failed.is_empty() {
        format!("### ✅ pgtrickle-ci passed: {reports}\n\n")
    } else {
        format!("### ❌ pgtrickle-ci failed: {} of {reports}\n\n", failed.len())
    };
    head.push_str("| | Job | Command | Result |\n|---|---|---|---|\n");
    for (legs, most, word) in [(failed, MOST_FAILED, "failed"), (passed, MOST_PASSED, "passed")] {
        head.extend(legs.iter().take(most).map(|leg| leg.label.row()));
        if legs.len() > most {
            let others = format!("{} others", legs.len() - most);
            head.push_str(&row(&[legs[0].label.icon().to_owned(), others, String::new(), word.to_owned()]));
        }
    }
    head.push('\n');
    let short = legs.iter().filter(|leg| leg.body.rest.is_empty()).count();
    if short > 0 {
        let _ = write!(
            head,
            "**Shortened:** details of {} left out. The summary of each job shows them.\n\n",
            words::count(short, "report")
        );
    }
    if is_full {
        let _ = write!(head, "{FULL}\n**Some reports do not fit here:** see the jobs of the run.\n\n");
    }
    head
}

/// Shortens the last part possible: first the details, then the problems, then the part. Failed reports come first, so
/// they are shortened last. `false` if nothing is left to drop.
fn shorten(legs: &mut Vec<Leg>, is_full: &mut bool) -> bool {
    if let Some(leg) = legs.iter_mut().rev().find(|leg| !leg.body.rest.is_empty()) {
        leg.body.rest.clear();
    } else if let Some(leg) = legs.iter_mut().rev().find(|leg| !leg.body.brief.is_empty()) {
        leg.body.brief.clear();
    } else {
        *is_full = true;
        return legs.pop().is_some();
    }
    true
}

/// Parses the parts of a comment that [`Leg::marked`] wrote.
fn read(body: &str) -> Vec<Leg> {
    let mut legs = Vec::new();
    let mut open: Option<Leg> = None;
    let mut in_rest = false;
    for line in body.lines().map(str::trim_end) {
        let label = line.strip_prefix(LEG);
        if let Some(json) = label.and_then(|label| label.strip_suffix(BARE)) {
            legs.extend(leg(json));
        } else if let Some(json) = label.and_then(|label| label.strip_suffix(" -->")) {
            open = leg(json);
            in_rest = false;
        } else if line == END {
            legs.extend(open.take());
        } else if line == REST {
            in_rest = true;
        } else if let Some(leg) = &mut open {
            let part = if in_rest { &mut leg.body.rest } else { &mut leg.body.brief };
            part.push_str(line);
            part.push('\n');
        }
    }
    legs
}

fn leg(label: &str) -> Option<Leg> {
    let label = (label.len() <= LONGEST_LABEL).then(|| serde_json::from_str(label).ok())??;
    Some(Leg { label, body: CommentBody::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Stage, Verdict},
        report::sample::{self, HOSTILE_MESSAGE, HOSTILE_NAME},
    };

    const LIMIT: usize = markdown::COMMENT_LIMIT;

    fn report(failures: usize) -> Report {
        let mut report = sample::report();
        report.outcomes.retain(|outcome| !outcome.verdict.is_bad());
        for number in 0..failures {
            let subject = format!("table_{number}");
            let outcome =
                Outcome::new(Stage::Freshness, subject, Verdict::Failed, HOSTILE_MESSAGE.repeat(20));
            report.outcomes.push(outcome);
        }
        report
    }

    fn add(text: &str, leg: &str, turn: (u64, u64), report: &Report) -> Option<ComposedComment> {
        let (run, attempt) = turn;
        Posting { report, leg, turn: RunOrder { run, attempt } }.compose(&[text], LIMIT)
    }

    #[test]
    fn a_jobs_name_contains_its_leg() {
        for (matrix, wanted) in [
            ("", "gate"),
            ("null", "gate"),
            ("{}", "gate"),
            (r#"{"dbt": "1.11", "os": "ubuntu-24.04"}"#, "gate (dbt: 1.11, os: ubuntu-24.04)"),
            (r#"{"dbt": 1.10}"#, "gate (dbt: 1.1)"),
            (r#"{"a": "1, b: 2"}"#, r#"gate (a: "1, b: 2")"#),
            (r#"{"a": {"b": [true, null]}}"#, r#"gate (a: {"b":[true,null]})"#),
            ("not JSON", "gate (not JSON)"),
        ] {
            assert_eq!(name("gate", matrix), wanted);
        }
    }

    #[test]
    fn posting_the_same_report_again_changes_nothing() {
        let mut text = String::new();
        for (leg, failures) in [("a", 0), ("b", 2), ("c", 0)] {
            text = add(&text, leg, (1, 1), &report(failures)).unwrap().text;
            // GitHub may return either line ending.
            for there in [text.clone(), text.replace('\n', "\r\n")] {
                assert_eq!(add(&there, leg, (1, 1), &report(failures)).unwrap().text, text);
            }
        }
        assert_eq!(read(&text).len(), 3);
        assert!(!add(&text, "a", (1, 1), &report(0)).unwrap().passed);
    }

    #[test]
    fn a_report_replaces_only_earlier_ones_of_its_job() {
        let mut early = report(1);
        // The run ended before it read the project.
        early.project = None;
        let text = add("", "a", (1, 1), &early).unwrap().text;
        let text = add(&text, "b", (1, 1), &report(1)).unwrap().text;
        let text = add(&text, "a", (1, 2), &report(0)).unwrap().text;
        let labels: Vec<_> = read(&text).into_iter().map(|leg| (leg.label.leg, leg.label.passed)).collect();
        assert_eq!(labels, [("b".to_owned(), false), ("a".to_owned(), true)]);
        assert_eq!(add(&text, "a", (1, 1), &early), None);
        let mut other = report(1);
        other.command = "verify".into();
        let text = add(&text, "a", (1, 3), &other).unwrap().text;
        assert_eq!(read(&text).len(), 3, "another command is another report");
    }

    #[test]
    fn duplicate_comments_merge_into_one_with_the_latest_reports() {
        let one = add("", "a", (1, 1), &report(1)).unwrap().text;
        let other = add("", "a", (1, 2), &report(0)).unwrap().text;
        let report = report(0);
        let mine = Posting { report: &report, leg: "b", turn: RunOrder { run: 1, attempt: 1 } };
        let composed = mine.compose(&[&one, &other], LIMIT).unwrap();
        let legs: Vec<_> = read(&composed.text).into_iter().map(|leg| leg.label.leg).collect();
        assert_eq!((legs, composed.passed), (vec!["a".to_owned(), "b".to_owned()], true));
    }

    #[test]
    fn only_different_problems_are_news() {
        let red = add("", "a", (1, 1), &report(1)).unwrap();
        assert!(red.is_news);
        assert!(!add(&red.text, "a", (2, 1), &report(1)).unwrap().is_news);
        assert!(add(&red.text, "a", (2, 1), &report(2)).unwrap().is_news);
        assert!(add(&red.text, "a", (2, 1), &report(0)).unwrap().is_news);
        assert!(!add(&red.text, "b", (2, 1), &report(0)).unwrap().is_news);
    }

    #[test]
    fn many_legs_fit_and_failed_ones_are_shortened_last() {
        let mut text = String::new();
        let run = 29_679_449_526;
        for number in 0..256 {
            let failures = if number % 16 == 0 { 60 } else { 0 };
            text = add(&text, &format!("gate ({number})"), (run, 1), &report(failures)).unwrap().text;
            assert!(text.len() <= LIMIT, "{} bytes with {number}", text.len());
        }
        assert!(text.starts_with("### ❌ pgtrickle-ci failed: 16 of 256 reports\n"), "{}", &text[..200]);
        for number in (0..256).step_by(16) {
            assert!(text.contains(&format!("| ❌ | `gate ({number})` |")), "{number}");
        }
        assert!(text.contains("| ✅ | 220 others |  | passed |\n"), "{text}");
        assert!(text.contains("**Shortened:** details of"), "{text}");
    }

    #[test]
    fn the_comment_says_that_reports_do_not_fit() {
        let mut text = String::new();
        for number in 0..256 {
            text = add(&text, &format!("{number}{}", "<-->\u{1F600}".repeat(30)), (1, 1), &report(1))
                .unwrap()
                .text;
            assert!(text.len() <= LIMIT);
        }
        assert!(text.contains("**Some reports do not fit here:**"));
        assert!(add(&text, "x", (1, 1), &report(0)).unwrap().text.contains("**Some reports do not fit"));
    }

    #[test]
    fn a_label_that_is_too_long_displaces_no_report() {
        let text = add("", "a", (1, 1), &report(1)).unwrap().text;
        let text = text.replacen("1 failed", &"x".repeat(LIMIT), 1);
        let text = add(&text, "b", (1, 1), &report(1)).unwrap().text;
        let legs: Vec<_> = read(&text).into_iter().map(|leg| leg.label.leg).collect();
        assert_eq!(legs, ["b"]);
        let longest = [HOSTILE_NAME, "<-->\u{1F600}\u{1}"].map(|evil| evil.repeat(40));
        for evil in longest {
            let mut hostile = report(1);
            hostile.project = Some(evil.clone());
            hostile.command.clone_from(&evil);
            assert_eq!(read(&add("", &evil, (1, 1), &hostile).unwrap().text).len(), 1);
        }
    }

    #[test]
    fn a_hostile_name_cannot_end_or_forge_a_label() {
        let forged = Label::of(&Posting { report: &report(0), leg: "forged", turn: RunOrder::default() })
            .hidden(" -->");
        for evil in [HOSTILE_NAME, "-->", "\n<!-- pgtrickle-ci-end -->\n", &forged] {
            let mut hostile = report(1);
            hostile.project = Some(evil.to_owned());
            hostile.outcomes[0].message = evil.to_owned();
            let text = add("", evil, (1, 1), &hostile).unwrap().text;
            let text = add(&text, "other", (1, 1), &report(0)).unwrap().text;
            let legs = read(&text);
            let names: Vec<_> = legs.iter().map(|leg| leg.label.leg.clone()).collect();
            assert_eq!(names, [text::clip(evil, LONGEST_LEG), "other".to_owned()]);
            let html = comrak::markdown_to_html(&text, &{
                let mut options = comrak::Options::default();
                options.extension.table = true;
                options.render.r#unsafe = true;
                options
            });
            assert_eq!(html.matches("<!--").count(), html.matches("-->").count(), "{html}");
            assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
            assert_eq!(html.matches("<details").count(), html.matches("</details>").count());
        }
    }
}
