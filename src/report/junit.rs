//! The report as JUnit XML, in a form that all common consumers read.
//!
//! One flat suite per stage. The message is in the attribute and in the text, because some consumers read only one of
//! them. This module adds what junit-report does not do: it makes texts valid for XML, names unique, takes times from
//! the report, and counts skipped cases.

use std::{collections::HashSet, time::Duration};

use junit_report::{TestCase, TestResult, TestSuite, TestSuiteBuilder};
use quick_xml::{Reader, Writer, events::Event};
use time::OffsetDateTime;

use super::{Report, text, words};
use crate::{
    model::{Origin, Outcome, Verdict},
    plan::{Plan, ViewStep},
};

/// Renders the JUnit document.
pub fn render(report: &Report) -> String {
    let mut junit = junit_report::Report::new();
    junit.add_testsuites(report.by_stage().into_iter().map(|(stage, outcomes)| {
        let mut names = Names::default();
        let cases = outcomes.into_iter().map(|outcome| {
            let name = names.unique(&text::xml(&text::line(&outcome.subject.to_string())));
            case(name, outcome, report.strict)
        });
        suite(stage.name(), report.started_at, cases.collect())
    }));
    let views = report.plan.as_ref().map(view_cases).unwrap_or_default();
    if !views.is_empty() {
        junit.add_testsuite(suite("views", report.started_at, views));
    }
    if report.interrupted {
        junit.add_testsuite(suite("run", report.started_at, vec![interruption(report.elapsed)]));
    }
    let mut bytes = Vec::new();
    junit.write_xml(&mut bytes).expect("memory can be written to");
    let skipped: Vec<_> = junit.testsuites().iter().map(TestSuite::skipped).collect();
    completed(&bytes, &skipped).expect("the writer's own XML can be parsed")
}

/// Adds attributes that junit-report cannot write: the number of skipped cases of each suite, and the line of each
/// file. A model is a whole file, so the line is its first.
fn completed(document: &[u8], skipped: &[usize]) -> Result<String, quick_xml::Error> {
    let mut reader = Reader::from_reader(document);
    let mut writer = Writer::new(Vec::new());
    let mut skipped = skipped.iter();
    loop {
        let mut event = reader.read_event()?;
        if matches!(event, Event::Eof) {
            return Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned());
        }
        if let Event::Start(suite) = &mut event
            && suite.name().as_ref() == b"testsuite"
        {
            let count = skipped.next().copied().unwrap_or_default();
            suite.push_attribute(("skipped", count.to_string().as_str()));
        }
        if let Event::Start(case) | Event::Empty(case) = &mut event
            && case.name().as_ref() == b"testcase"
            && case.try_get_attribute("file").is_ok_and(|file| file.is_some())
        {
            case.push_attribute(("line", "1"));
        }
        writer.write_event(event)?;
    }
}

fn suite(name: &str, started_at: OffsetDateTime, cases: Vec<TestCase>) -> TestSuite {
    let mut suite =
        TestSuiteBuilder::new(name).set_timestamp(whole_second(started_at)).add_testcases(cases).build();
    suite.package = classname(name);
    suite
}

fn case(name: String, outcome: &Outcome, strict: bool) -> TestCase {
    let stage = outcome.stage.name();
    let full_text = text::xml(&full_text(outcome));
    let type_ = stage.to_owned();
    let message = text::xml(&text::line(&outcome.message));
    let cause = Some(full_text.clone());
    let is_warning = outcome.verdict == Verdict::Warned;
    let result = match outcome.verdict {
        Verdict::Warned if strict => TestResult::Failure { type_, message, cause },
        Verdict::Passed | Verdict::Warned => TestResult::Success,
        Verdict::Skipped => TestResult::SkippedWithCause { type_, message, cause },
        Verdict::Failed => TestResult::Failure { type_, message, cause },
        Verdict::Errored => TestResult::Error { type_, message, cause },
    };
    TestCase {
        name,
        time: milliseconds(outcome.elapsed.unwrap_or_default()),
        result,
        classname: Some(classname(stage)),
        filepath: outcome.origin.as_ref().and_then(Origin::file).map(|file| text::xml(&text::line(file))),
        system_out: is_warning.then(|| format!("warning: {full_text}")),
        system_err: None,
    }
}

/// One case per changed view that stream tables read.
fn view_cases(plan: &Plan) -> Vec<TestCase> {
    let mut names = Names::default();
    let case = |view: &ViewStep| {
        let name = names.unique(&text::xml(&text::line(&view.relation.to_string())));
        let mut case = TestCase::success(&name, milliseconds(Duration::ZERO));
        case.set_classname(&classname("views"));
        case.filepath = view.origin.as_ref().and_then(Origin::file).map(|file| text::xml(&text::line(file)));
        case.system_out = Some(text::xml(&text::line(&words::view(view))));
        case
    };
    plan.views.iter().map(case).collect()
}

/// An interrupted run has an error, even if all checks so far passed.
fn interruption(elapsed: Duration) -> TestCase {
    let message = "a signal ended the run";
    let mut case = TestCase::error("interrupted", milliseconds(elapsed), "run", message);
    case.set_classname(&classname("run"));
    if let TestResult::Error { cause, .. } = &mut case.result {
        *cause = Some(message.to_owned());
    }
    case
}

fn classname(stage: &str) -> String {
    format!("pgtrickle-ci.{stage}")
}

fn full_text(outcome: &Outcome) -> String {
    std::iter::once(&outcome.message)
        .chain(&outcome.details)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Makes names unique within a suite: GitLab keeps only the first of two cases with the same name.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn unique(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !self.0.contains(name));
        let name = free.unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// Suites add these up: sums of whole milliseconds are exact, unlike fractions of seconds.
fn milliseconds(elapsed: Duration) -> time::Duration {
    time::Duration::milliseconds(i64::from(u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX)))
}

/// In UTC and without a fraction, which some consumers cannot parse.
fn whole_second(moment: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(moment.unix_timestamp()).unwrap_or(moment)
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser has more variants than these tests need")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{model::Stage, report::sample};

    #[derive(Debug)]
    struct Element {
        name: String,
        attributes: BTreeMap<String, String>,
        text: String,
    }

    impl Element {
        fn number(&self, attribute: &str) -> usize {
            self.attributes[attribute].parse().unwrap()
        }
    }

    fn parse(xml: &str) -> Vec<Element> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().expand_empty_elements = true;
        let mut elements: Vec<Element> = Vec::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => elements.push(Element {
                    name: String::from_utf8(start.name().as_ref().to_vec()).unwrap(),
                    attributes: start
                        .attributes()
                        .map(|attribute| {
                            let attribute = attribute.unwrap();
                            let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                            (
                                key,
                                attribute
                                    .normalized_value(quick_xml::XmlVersion::Explicit1_0)
                                    .unwrap()
                                    .into_owned(),
                            )
                        })
                        .collect(),
                    text: String::new(),
                }),
                Event::CData(data) => elements.last_mut().unwrap().text.push_str(&data.decode().unwrap()),
                Event::Eof => return elements,
                _ => {}
            }
        }
    }

    fn named<'a>(elements: &'a [Element], name: &str) -> Vec<&'a Element> {
        elements.iter().filter(|element| element.name == name).collect()
    }

    #[test]
    fn the_document_keeps_its_shape() {
        insta::assert_snapshot!(render(&sample::report()).replace("><", ">\n<"));
    }

    #[test]
    fn counters_match_the_report() {
        let report = sample::report();
        let elements = parse(&render(&report));
        let suites = named(&elements, "testsuite");
        let sum = |attribute: &str| suites.iter().map(|suite| suite.number(attribute)).sum::<usize>();
        let tally = report.tally();
        let views = report.plan.as_ref().map_or(0, |plan| plan.views.len());
        assert_eq!(sum("tests"), report.outcomes.len() + views);
        assert_eq!(sum("failures"), tally.failed);
        assert_eq!(sum("errors"), tally.errored);
        assert_eq!(sum("skipped"), tally.skipped);
        assert_eq!(named(&elements, "testcase").len(), report.outcomes.len() + views);
        assert_eq!(named(&elements, "failure").len(), tally.failed);
        assert_eq!(named(&elements, "error").len(), tally.errored);
        assert_eq!(named(&elements, "skipped").len(), tally.skipped);
        assert_eq!(named(&elements, "system-out").len(), tally.warned + views);
    }

    #[test]
    fn every_case_has_the_attributes_that_consumers_need() {
        let elements = parse(&render(&sample::report()));
        let mut seen = HashSet::new();
        for case in named(&elements, "testcase") {
            let attribute = |name: &str| case.attributes[name].clone();
            assert!(attribute("time").parse::<f64>().is_ok());
            assert!(seen.insert((attribute("classname"), attribute("name"))));
        }
        for problem in elements.iter().filter(|e| ["failure", "error", "skipped"].contains(&e.name.as_str()))
        {
            assert!(problem.text.starts_with(problem.attributes["message"].split(' ').next().unwrap()));
        }
        assert!(
            elements
                .iter()
                .any(|e| { e.attributes.get("file").is_some_and(|f| f == "models/marts/order_totals.sql") })
        );
        for case in named(&elements, "testcase") {
            assert_eq!(case.attributes.contains_key("file"), case.attributes.contains_key("line"));
        }
    }

    #[test]
    fn strict_warnings_and_interruptions_are_failures() {
        let report = Report { strict: true, interrupted: true, ..sample::report() };
        let elements = parse(&render(&report));
        assert_eq!(named(&elements, "failure").len(), report.tally().failed + report.tally().warned);
        assert!(named(&elements, "error").iter().any(|error| error.attributes["type"] == "run"));
    }

    proptest! {
        #[test]
        fn any_text_parses_and_names_are_unique(texts in prop::collection::vec("[\\x00-\\x20<>&\"'\\]a\u{1b}\u{ffff}]{0,6}|.*", 1..6)) {
            let outcome = |text: &String| Outcome::new(Stage::Status, text, Verdict::Failed, text).with_details([text.clone()]);
            let report = Report { outcomes: texts.iter().map(outcome).collect(), plan: None, ..sample::report() };
            let elements = parse(&render(&report));
            let names: HashSet<_> = named(&elements, "testcase").iter().map(|case| case.attributes["name"].clone()).collect();
            prop_assert_eq!(names.len(), texts.len());
            prop_assert_eq!(named(&elements, "failure").len(), texts.len());
        }
    }
}
