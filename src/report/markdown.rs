//! The report as the body of a pull request comment and of a step summary.
//!
//! The verdict and the problems come first, the rest is folded. If it is too long, sections drop entries, the least
//! important first, and a note says how many.

mod section;
mod sections;

use super::Report;
use section::{Section, truncation_note};
use sections::{foot, head, problems, sections};

pub(super) use sections::{code, prose, row};

/// GitHub allows 65,536 characters in a comment; some are reserved for the hidden marker. This limit counts bytes,
/// which are never fewer than characters.
pub const COMMENT_LIMIT: usize = 65_536 - 1_024;

/// The same for GitLab, which allows 1,000,000 characters.
pub const NOTE_LIMIT: usize = 1_000_000 - 1_024;

/// How many problems an update lists.
const MOST_NEWS: usize = 10;

/// Renders everything, without a limit.
pub fn render_whole(report: &Report) -> String {
    render_within(report, usize::MAX)
}

pub fn render(report: &Report) -> String {
    render_within(report, COMMENT_LIMIT)
}

/// Renders a short update: the head and the worst problems.
pub fn render_news(report: &Report) -> String {
    let problems = problems(report);
    let left = problems.entries.len().saturating_sub(MOST_NEWS);
    let more = if left > 0 { format!("- and {left} more\n") } else { String::new() };
    let problems: String = problems.entries.into_iter().take(MOST_NEWS).collect();
    [head(report), problems, more].concat()
}

/// Renders the body in at most `limit` bytes. The part that cannot be cut takes a few thousand bytes.
pub fn render_within(report: &Report, limit: usize) -> String {
    let CommentBody { brief, rest } = body(report, limit);
    brief + &rest
}

/// A body in two parts; the second may be dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommentBody {
    /// The verdict and the problems.
    pub brief: String,
    /// Everything else.
    pub rest: String,
}

/// The body, in at most `limit` bytes.
pub(super) fn body(report: &Report, limit: usize) -> CommentBody {
    let (head, foot) = (head(report), foot(report));
    let mut sections = sections(report);
    let mut note = String::new();
    while head.len() + sections.iter().map(Section::len).sum::<usize>() + note.len() + foot.len() > limit {
        let least =
            sections.iter_mut().filter(|section| !section.entries.is_empty()).max_by_key(|s| s.cut_order);
        let Some(section) = least else { break };
        section.drop_last();
        note = truncation_note(&sections);
    }
    let mut sections = sections.iter().map(Section::to_markdown);
    let brief = head + &sections.next().unwrap_or_default();
    let rest: String = sections.chain([note, foot]).collect();
    CommentBody { brief, rest }
}

#[cfg(test)]
mod tests {
    use comrak::Options;

    use super::*;
    use crate::{
        model::{Outcome, Relation, Stage, Verdict},
        plan::{Change, Step},
        report::sample::{self, HOSTILE_MESSAGE, HOSTILE_NAME},
    };

    /// A report with `tables` tables that all change and fail with long messages.
    fn long_report(tables: usize) -> Report {
        let mut report = sample::report();
        let mut plan = report.plan.clone().unwrap();
        let step =
            plan.steps.iter().find(|step| matches!(step.change, Change::AlterQuery { .. })).cloned().unwrap();
        for number in 0..tables {
            let relation = Relation::new(HOSTILE_NAME, format!("table_{number}"));
            let message = HOSTILE_MESSAGE.repeat(number % 40);
            report.outcomes.push(
                Outcome::new(Stage::Freshness, &relation, Verdict::Failed, message)
                    .with_details([HOSTILE_MESSAGE.repeat(9)]),
            );
            plan.unmanaged.push(relation.clone());
            plan.steps.push(Step { relation, ..step.clone() });
        }
        report.plan = Some(plan);
        report
    }

    fn html(markdown: &str) -> String {
        let mut options = Options::default();
        options.extension.table = true;
        options.extension.autolink = true;
        options.render.r#unsafe = true;
        comrak::markdown_to_html(markdown, &options)
    }

    #[test]
    fn the_comment_keeps_its_shape() {
        let rendered = render(&sample::report()).replace(env!("CARGO_PKG_VERSION"), "@@VERSION@@");
        insta::assert_snapshot!(rendered);
    }

    #[test]
    fn a_long_comment_is_shortened_to_the_limit_with_a_note() {
        for tables in [10, 60, 200, 1_000] {
            let body = render(&long_report(tables));
            assert!(body.len() <= COMMENT_LIMIT, "{tables} tables make {} bytes", body.len());
            assert_eq!(body.contains("**Shortened:**"), tables >= 60, "{tables}");
        }
    }

    #[test]
    fn the_markdown_file_is_not_shortened() {
        let report = long_report(1_000);
        let whole = render_whole(&report);
        assert!(whole.len() > COMMENT_LIMIT && !whole.contains("Shortened"));
        assert!((0..1_000).all(|number| whole.contains(&format!("table_{number}"))));
    }

    #[test]
    fn at_every_limit_all_folds_and_fences_are_closed() {
        let report = long_report(12);
        let whole = render_whole(&report);
        for limit in (0..whole.len()).step_by(509) {
            let body = render_within(&report, limit);
            let html = html(&body);
            assert_eq!(html.matches("<details>").count(), html.matches("</details>").count());
            assert!(body.starts_with("### ❌ pgtrickle-ci failed\n"));
            assert!(html.trim_end().ends_with("--base-ref origin/main</code></p>"), "{limit}");
        }
    }

    #[test]
    fn hostile_text_becomes_no_html_and_no_link() {
        let html = html(&render(&long_report(5)));
        for evil in ["<script", "<a ", "<!-- pgtrickle-ci", "<img"] {
            assert!(!html.contains(evil), "{evil}");
        }
    }
}
