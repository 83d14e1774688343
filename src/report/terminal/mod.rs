//! The report for a terminal, and for the log of a job.
//!
//! All text goes through `Page` or `matrix`, which remove control sequences. Colour only repeats what a mark or a word
//! already says.

mod matrix;
mod plan;

use anstyle::{AnsiColor, Style as Paint};

use super::{Report, page::Page, text, words};
use crate::model::{Origin, Outcome, Stage, Verdict};

pub use super::page::{Detail, Style};

pub(super) const PLAIN: Paint = Paint::new();
pub(super) const BOLD: Paint = Paint::new().bold();
pub(super) const DIM: Paint = Paint::new().dimmed();
pub(super) const GREEN: Paint = AnsiColor::Green.on_default();
pub(super) const YELLOW: Paint = AnsiColor::Yellow.on_default();
pub(super) const RED: Paint = AnsiColor::Red.on_default();

/// Renders the whole report: the checks at a glance, what is wrong, the plan's summary, the verdict. A command that only
/// plans or applies shows the plan in full.
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page::new(*style);
    put_header(&mut page, report);
    match style.detail {
        Detail::Quiet => put_details(&mut page, report),
        Detail::Normal => put_glance(&mut page, report),
        Detail::Verbose => put_everything(&mut page, report),
    }
    // A plan without checks has no verdict.
    if !report.outcomes.is_empty() || report.interrupted {
        page.blank();
        put_verdict(&mut page, report);
    }
    page.text
}

/// Whether the report goes beyond a plan and a deployment.
fn is_checked(report: &Report) -> bool {
    report.outcomes.iter().any(|outcome| outcome.stage > Stage::Deploy)
}

/// The plan in full, but only its numbers if the tables were checked.
fn put_glance(page: &mut Page, report: &Report) {
    let is_checked = is_checked(report);
    if let Some(plan) = report.plan.as_ref().filter(|_| !is_checked) {
        page.blank();
        plan::put(page, plan);
    }
    // The steps of a plan have marks of their own.
    if report.outcomes.iter().any(|outcome| outcome.stage != Stage::Plan) {
        page.blank();
        matrix::put(page, report);
    }
    put_details(page, report);
    put_rehearsal(page, report);
    if let Some(plan) = report.plan.as_ref().filter(|_| is_checked) {
        page.blank();
        plan::put_notes(page, plan);
        plan::put_summary(page, plan);
    }
}

fn put_everything(page: &mut Page, report: &Report) {
    if let Some(plan) = &report.plan {
        page.blank();
        plan::put(page, plan);
    }
    put_rehearsal(page, report);
    if !report.outcomes.is_empty() {
        page.blank();
        put_checks(page, report);
    }
    put_details(page, report);
}

fn put_rehearsal(page: &mut Page, report: &Report) {
    if let Some(rehearsal) = &report.rehearsal {
        page.blank();
        plan::put_rehearsal(page, rehearsal);
    }
}

fn put_header(page: &mut Page, report: &Report) {
    let project = report.project.as_ref().map(|project| format!(" of {project}"));
    let target = report.target.as_ref().map(|target| format!(" against {target}"));
    let title =
        ["pgtrickle-ci ", report.command.as_str(), &project.unwrap_or_default(), &target.unwrap_or_default()]
            .concat();
    page.put(0, BOLD, &title);
    if let Some(selection) = &report.selection {
        page.put(0, PLAIN, &format!("selection: {}", text::line(selection)));
    }
    if let Some(share) = &report.shard {
        page.put(0, PLAIN, &format!("shard: {}, {} of {}", share.shard, share.taken, share.of));
    }
    if let Some(source) = &report.project_source {
        page.put(0, PLAIN, &format!("project: {}", source.describe()));
    }
    if let Some(target) = &report.dbt_target {
        page.put(0, PLAIN, &format!("target: {}", text::line(target)));
    }
    if let Some(engine) = &report.engine {
        let paint = if engine.is_emulator() { YELLOW } else { PLAIN };
        page.put(0, paint, &format!("engine: {}", engine.describe()));
    }
}

/// A line for every check that is not shown in full.
fn put_checks(page: &mut Page, report: &Report) {
    let outcomes = report.by_stage().into_iter().flat_map(|(_, outcomes)| outcomes);
    for outcome in outcomes.filter(|outcome| !is_in_full(report, outcome, Detail::Verbose)) {
        let (verdict, stage) = (outcome.verdict, outcome.stage.name());
        let time = outcome.elapsed.map(|elapsed| format!(" ({})", words::duration(elapsed)));
        let subject = text::line(&outcome.subject.to_string());
        let message = text::line(&outcome.message);
        let line = format!("{} {stage} {subject}: {message}{}", mark(verdict), time.unwrap_or_default());
        page.put(0, if verdict == Verdict::Passed { PLAIN } else { paint_of_verdict(verdict) }, &line);
    }
}

/// Whether a check is shown with its details.
fn is_in_full(report: &Report, outcome: &Outcome, detail: Detail) -> bool {
    match outcome.verdict {
        Verdict::Failed | Verdict::Errored => true,
        Verdict::Warned => detail != Detail::Quiet || report.strict,
        Verdict::Passed | Verdict::Skipped => detail == Detail::Verbose && !outcome.details.is_empty(),
    }
}

/// Whether it is the refusal of a step that the plan shows in full.
fn is_in_plan(report: &Report, outcome: &Outcome, detail: Detail) -> bool {
    let is_plan_full = match detail {
        Detail::Quiet => false,
        Detail::Normal => !is_checked(report),
        Detail::Verbose => true,
    };
    let steps = report.plan.iter().flat_map(|plan| &plan.steps);
    let mut refused = steps.filter(|step| step.refusal().is_some());
    is_plan_full
        && outcome.stage == Stage::Plan
        && refused.any(|step| outcome.subject.relation() == Some(&step.relation))
}

/// The full message, the details and the file of each check that did not pass; failures first.
fn put_details(page: &mut Page, report: &Report) {
    let detail = page.style.detail;
    let outcomes = report.by_stage().into_iter().flat_map(|(_, outcomes)| outcomes);
    let mut outcomes: Vec<&Outcome> = outcomes
        .filter(|outcome| is_in_full(report, outcome, detail) && !is_in_plan(report, outcome, detail))
        .collect();
    outcomes.sort_by_key(|outcome| (!outcome.verdict.is_bad(), outcome.verdict != Verdict::Warned));
    for outcome in outcomes {
        page.blank();
        let (verdict, stage) = (outcome.verdict, outcome.stage.name());
        let head = format!(
            "{} {stage} {}: {}",
            mark(verdict),
            verdict.name(),
            text::line(&outcome.subject.to_string())
        );
        page.put(0, paint_of_verdict(verdict), &head);
        page.put(4, PLAIN, &text::line(&outcome.message));
        for detail in &outcome.details {
            page.put(4, PLAIN, detail);
        }
        if let Some(file) = outcome.origin.as_ref().and_then(Origin::file) {
            page.put(4, DIM, &text::line(file));
        }
    }
}

fn put_verdict(page: &mut Page, report: &Report) {
    let verdict = if report.passed() { Verdict::Passed } else { Verdict::Failed };
    let tally = words::tally(report.tally());
    let elapsed = words::duration(report.elapsed);
    let strict =
        if report.strict && report.tally().warned > 0 { " (strict: warnings count as failures)" } else { "" };
    let sentence = format!("{} {}: {tally} in {elapsed}{strict}", mark(verdict), report.conclusion());
    page.put(0, paint_of_verdict(verdict).bold(), &sentence);
}

/// A failure and an error are both red and `✗`: either way there is no evidence that the table is good.
pub(super) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Skipped => "-",
        Verdict::Warned => "!",
        Verdict::Failed | Verdict::Errored => "✗",
    }
}

pub(super) fn paint_of_verdict(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::Passed => GREEN,
        Verdict::Skipped => DIM,
        Verdict::Warned => YELLOW,
        Verdict::Failed | Verdict::Errored => RED,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::{
        plan::{Change, Plan},
        report::sample,
    };

    fn render_plan(plan: &Plan, style: &Style) -> String {
        let mut page = Page::new(*style);
        plan::put(&mut page, plan);
        page.text
    }

    fn style(width: usize) -> Style {
        Style { color: false, width, detail: Detail::Normal, full: false }
    }

    #[test]
    fn eighty_columns() {
        insta::assert_snapshot!(render(&sample::report(), &style(80)));
    }

    #[test]
    fn forty_columns() {
        insta::assert_snapshot!(render(&sample::report(), &style(40)));
    }

    #[test]
    fn names_and_messages_of_any_length_are_shown() {
        for length in [65_535, 70_000] {
            let mut report = sample::report();
            report.outcomes[0].message = "x".repeat(length);
            report.outcomes[0].verdict = Verdict::Failed;
            let steps = report.plan.iter_mut().flat_map(|plan| &mut plan.steps);
            steps.last().unwrap().relation.name = "x".repeat(length);
            for detail in [Detail::Quiet, Detail::Normal, Detail::Verbose] {
                for width in [40, 80] {
                    let style = Style { detail, ..style(width) };
                    assert!(render(&report, &style).contains("xxx"), "{length}");
                }
            }
        }
    }

    #[test]
    fn three_hundred_tables_fit_two_screens() {
        let mut report = sample::report();
        report.plan = None;
        report.rehearsal = None;
        let names: Vec<String> = (0..300).map(|number| format!("t{number:03}")).collect();
        let outcome = |name: &String, stage, verdict| {
            Outcome::new(stage, &crate::model::Relation::new("marts", name), verdict, "as it is")
        };
        let all = [Stage::Deploy, Stage::Status, Stage::Freshness, Stage::Hazard, Stage::Equality];
        report.outcomes = all
            .iter()
            .flat_map(|stage| names.iter().map(|name| outcome(name, *stage, Verdict::Passed)))
            .collect();
        report.outcomes.push(outcome(&names[7], Stage::Hazard, Verdict::Warned));
        report.outcomes.push(outcome(&names[9], Stage::Hazard, Verdict::Warned));
        report.outcomes.push(outcome(&names[9], Stage::Hazard, Verdict::Failed));
        let lines = render(&report, &style(80));
        assert!(lines.lines().count() < 100, "{lines}");
        assert!(lines.contains("✓ 298 tables passed every check"), "{lines}");
        let rows: Vec<&str> = lines.lines().filter(|line| line.contains("marts.t00")).take(2).collect();
        assert!(rows[0].starts_with("✗ marts.t009") && rows[0].matches('✗').count() == 2, "{lines}");
        assert!(rows[1].starts_with("! marts.t007"), "{lines}");
        let quiet = render(&report, &Style { detail: Detail::Quiet, ..style(80) });
        assert!(quiet.contains("hazards failed: marts.t009") && !quiet.contains("t007"), "{quiet}");
        let verbose = render(&report, &Style { detail: Detail::Verbose, ..style(80) });
        assert!(verbose.lines().count() > 1500);
    }

    #[test]
    fn every_check_is_shown_once() {
        let mut report = sample::report();
        report.plan = None;
        report.rehearsal = None;
        let verbose = render(&report, &Style { detail: Detail::Verbose, ..style(4_000) });
        for outcome in &report.outcomes {
            let (subject, message) = (outcome.subject.to_string(), text::line(&outcome.message));
            let line = format!("{} {}: {message}", outcome.stage.name(), text::line(&subject));
            let shown = verbose.matches(&line).count() + verbose.matches(&format!("    {message}\n")).count();
            assert_eq!(shown, 1, "{line}\n{verbose}");
        }
    }

    #[test]
    fn a_plan_in_colour() {
        let plan = sample::report().plan.unwrap();
        let coloured = render_plan(&plan, &Style { color: true, ..style(100) });
        insta::assert_snapshot!(coloured.replace('\u{1b}', "␛"));
    }

    #[test]
    fn colour_only_repeats_the_text() {
        let report = sample::report();
        for detail in [Detail::Quiet, Detail::Normal, Detail::Verbose] {
            let plain = Style { detail, ..style(80) };
            let coloured = render(&report, &Style { color: true, ..plain });
            assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), render(&report, &plain));
        }
    }

    #[test]
    fn full_shows_a_changed_query_in_full() {
        let plan = sample::report().plan.unwrap();
        let whole = render_plan(&plan, &Style { full: true, ..style(100) });
        let folded = render_plan(&plan, &style(100));
        assert!(whole.contains("o.customer_id,") && !whole.contains("..."), "{whole}");
        assert!(!folded.contains("o.order_id,"), "{folded}");
    }

    #[test]
    fn a_plan_without_changes_is_one_sentence() {
        let mut plan = sample::report().plan.unwrap();
        plan.steps.retain(|step| step.change == Change::Keep);
        plan.steps.iter_mut().for_each(|step| step.failure = None);
        plan.unmanaged.clear();
        plan.notes.clear();
        plan.views.clear();
        plan.needs_dbt.clear();
        assert_eq!(render_plan(&plan, &style(80)), "No changes: 2 stream tables are up to date.\n");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(width in 24usize..130, detail in prop::sample::select(vec![Detail::Quiet, Detail::Normal, Detail::Verbose]), texts in prop::collection::vec("\\PC{0,90}|[a-z表 ]{0,200}", 1..4)) {
            let mut report = sample::report();
            for text in &texts {
                let outcome = Outcome::new(Stage::Status, text, Verdict::Failed, text).with_details([text.clone()]);
                report.outcomes.push(outcome);
            }
            let rendered = render(&report, &Style { color: false, width, detail, full: detail == Detail::Verbose });
            for line in rendered.lines() {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
