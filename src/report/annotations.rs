//! Failures and warnings as workflow commands: a GitHub runner shows them as annotations on the models' files.

use std::fmt::Write as _;

use super::{Report, text, words};
use crate::model::{Origin, Outcome, Verdict};

/// A runner shows this many annotations of each kind per step, and silently drops the rest.
const MOST: usize = 10;
const MOST_LINES: usize = 12;
const LONGEST_LINE: usize = 400;

/// Renders one command per line, the worst first. The last one counts what the runner would not show.
pub fn render(report: &Report) -> String {
    let of = |verdicts: &[Verdict]| -> Vec<&Outcome> {
        let mut found: Vec<_> =
            report.outcomes.iter().filter(|outcome| verdicts.contains(&outcome.verdict)).collect();
        // Failures before errors.
        found.sort_by_key(|outcome| outcome.verdict);
        found
    };
    let (errors, warnings) = (of(&[Verdict::Failed, Verdict::Errored]), of(&[Verdict::Warned]));
    let mut out = String::new();
    let mut hidden = Vec::new();
    let warning = if report.strict { "error" } else { "warning" };
    for (kind, what, outcomes) in [("error", "more problem", errors), (warning, "more warning", warnings)] {
        for outcome in outcomes.iter().take(MOST) {
            out.push_str(&annotation(kind, outcome));
        }
        if outcomes.len() > MOST {
            hidden.push(words::count(outcomes.len() - MOST, what));
        }
    }
    if !hidden.is_empty() {
        let _ = writeln!(out, "::notice title=pgtrickle-ci::{}: see the job summary", hidden.join(" and "));
    }
    out
}

/// A workflow command; the values and the message may be text from outside.
pub fn command(kind: &str, properties: &[(&str, &str)], message: &str) -> String {
    let properties: Vec<_> =
        properties.iter().map(|(name, value)| format!("{name}={}", text::property(value))).collect();
    format!("::{kind} {}::{}\n", properties.join(","), text::data(message))
}

fn annotation(kind: &str, outcome: &Outcome) -> String {
    let title = format!("{} {}: {}", outcome.stage.name(), outcome.verdict.name(), outcome.subject);
    let title = text::clip(&text::line(&title), LONGEST_LINE);
    let lines = outcome.details.iter().flat_map(|detail| detail.lines());
    let lines: Vec<_> = std::iter::once(outcome.message.as_str()).chain(lines).collect();
    let mut shown: Vec<_> =
        lines.iter().take(MOST_LINES).map(|line| text::clip(&text::plain(line), LONGEST_LINE)).collect();
    if lines.len() > MOST_LINES {
        shown.push(format!("and {} more", words::count(lines.len() - MOST_LINES, "line")));
    }
    let message = shown.join("\n");
    match outcome.origin.as_ref().and_then(Origin::file) {
        // A model is a whole file: point to its first line.
        Some(file) => {
            command(kind, &[("file", &text::line(file)), ("line", "1"), ("title", &title)], &message)
        }
        None => command(kind, &[("title", &title)], &message),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{model::Stage, report::sample};

    /// A command as the runner reads it.
    fn parse(line: &str) -> (String, Vec<(String, String)>, String) {
        let (head, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
        let (kind, properties) = head.split_once(' ').unwrap();
        let undo = |text: &str| {
            text.replace("%0D", "\r")
                .replace("%0A", "\n")
                .replace("%3A", ":")
                .replace("%2C", ",")
                .replace("%25", "%")
        };
        let properties = properties.split(',').map(|property| property.split_once('=').unwrap());
        (
            kind.to_owned(),
            properties.map(|(name, value)| (name.to_owned(), undo(value))).collect(),
            undo(message),
        )
    }

    #[test]
    fn the_worst_come_first_and_name_their_files() {
        let rendered = render(&sample::report());
        let commands: Vec<_> = rendered.lines().map(parse).collect();
        let kinds: Vec<_> = commands.iter().map(|(kind, ..)| kind.as_str()).collect();
        assert_eq!(kinds, ["error", "error", "error", "error", "warning"]);
        let (_, properties, message) = &commands[1];
        let wanted = [
            ("file", "models/marts/order_totals.sql"),
            ("line", "1"),
            ("title", "deploy failed: analytics.order_totals"),
        ];
        assert_eq!(properties[..], wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert!(message.starts_with("column l.discount does not exist\nERROR 42703"), "{message}");
    }

    #[test]
    fn a_removed_file_is_not_annotated() {
        let origin = Origin { unique_id: "model.shop.gone".into(), file: String::new() };
        let outcome = Outcome::new(Stage::Plan, "s.gone", Verdict::Failed, "x").about(Some(&origin));
        let rendered = render(&Report { outcomes: vec![outcome], ..sample::report() });
        assert_eq!(rendered, "::error title=plan failed%3A s.gone::x\n");
    }

    #[test]
    fn annotations_respect_the_runners_limits_and_count_the_rest() {
        let mut report = sample::report();
        for number in 0..30 {
            for verdict in [Verdict::Failed, Verdict::Warned] {
                report.outcomes.push(Outcome::new(Stage::Freshness, number.to_string(), verdict, "too old"));
            }
        }
        let rendered = render(&report);
        assert_eq!(rendered.matches("::error ").count(), 10);
        assert_eq!(rendered.matches("::warning ").count(), 10);
        assert!(rendered.ends_with(
            "::notice title=pgtrickle-ci::24 more problems and 21 more warnings: see the job summary\n"
        ));
        let strict = render(&Report { strict: true, ..sample::report() });
        assert!(!strict.contains("::warning") && strict.matches("::error ").count() == 5);
    }

    proptest! {
        #[test]
        fn a_command_is_one_line_and_keeps_its_values(text in "[%:,\\r\\na=]{0,12}|.*") {
            let origin = Origin { unique_id: "model.a.b".into(), file: format!("models/{text}") };
            let outcome = Outcome::new(Stage::Capture, &text, Verdict::Failed, &text).about(Some(&origin));
            let report = Report { outcomes: vec![outcome], ..sample::report() };
            let rendered = render(&report);
            prop_assert_eq!(rendered.lines().count(), 1);
            prop_assert!(!rendered.contains('\r'));
            let (kind, properties, _) = parse(rendered.trim_end_matches('\n'));
            prop_assert_eq!(kind, "error");
            prop_assert_eq!(properties.len(), 3);
            let file = text::line(&format!("models/{text}"));
            prop_assert_eq!(&properties[0].1, &file);
        }
    }
}
