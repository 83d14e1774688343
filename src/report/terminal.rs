//! The report for a terminal, and for the log of a job.
//!
//! All text goes through `Page` or `checks_table`, which remove control sequences. Colour only repeats what a mark or a
//! word already says.

use anstyle::{AnsiColor, Style as Paint};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width};

use super::{
    Report,
    diff::{self, Line},
    page::{Page, shown},
    text, words,
};
use crate::{
    judge::rehearsal::Rehearsal,
    model::{Origin, Outcome, Verdict},
    plan::{Change, Plan, QueryChange, Step, ViewChange},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    pub width: usize,
    /// Whether to show everything: full messages in the table, details of passed checks, full lists.
    pub verbose: bool,
    /// Whether to show changed queries in full, not only their changed lines.
    pub full: bool,
}

/// Below this many terminal columns, the table of checks has fewer columns.
const NARROW: usize = 64;
/// The indent of lines about a table of the plan.
const BODY: usize = 8;

const PLAIN: Paint = Paint::new();
const BOLD: Paint = Paint::new().bold();
const DIM: Paint = Paint::new().dimmed();
const GREEN: Paint = AnsiColor::Green.on_default();
const YELLOW: Paint = AnsiColor::Yellow.on_default();
const RED: Paint = AnsiColor::Red.on_default();
const MAGENTA: Paint = AnsiColor::Magenta.on_default();

/// Renders the whole report.
pub fn render(report: &Report, style: &Style) -> String {
    let mut page = Page::new(*style);
    put_header(&mut page, report);
    if let Some(plan) = &report.plan {
        page.blank();
        put_plan(&mut page, plan);
    }
    if let Some(rehearsal) = &report.rehearsal {
        page.blank();
        put_rehearsal(&mut page, rehearsal);
    }
    if !report.outcomes.is_empty() {
        page.blank();
        put_checks(&mut page, report);
        put_details(&mut page, report);
    }
    // A plan without checks has no verdict.
    if !report.outcomes.is_empty() || report.interrupted {
        page.blank();
        put_verdict(&mut page, report);
    }
    page.text
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

fn put_plan(page: &mut Page, plan: &Plan) {
    let changed: Vec<_> = plan.steps.iter().filter(|step| step.is_shown()).collect();
    let names = changed.iter().map(|step| shown(&step.relation).chars().count()).max().unwrap_or(0);
    // A name that is wider has its action on the next line.
    let names = names.min(page.width());
    for step in &changed {
        put_step(page, step, names);
    }
    put_views(page, plan);
    if !plan.unmanaged.is_empty() {
        page.put(2, PLAIN, "not managed by this project:");
        page.put_names(BODY, PLAIN, "", &plan.unmanaged);
    }
    for note in &plan.notes {
        page.put(2, YELLOW, &format!("note: {}", text::line(note)));
    }
    if !changed.is_empty() || !plan.views.is_empty() || !plan.unmanaged.is_empty() || !plan.notes.is_empty() {
        page.blank();
    }
    page.put(0, BOLD, &plan.summary());
    let kept = plan.counts().keep;
    if !plan.is_empty() && kept > 0 {
        page.put(0, DIM, &format!("{} unchanged.", words::count(kept, "definition")));
    }
    put_needs_dbt(page, plan);
    let permissions = plan.permissions();
    if !permissions.is_empty() {
        page.put(
            0,
            RED,
            &format!(
                "{} not allowed. To allow them, add to pgtrickle-ci.yml:",
                words::count(plan.refused().count(), "step")
            ),
        );
        for line in permissions.lines() {
            page.put_code(2, PLAIN, "", line);
        }
    }
}

/// The changed views that stream tables read.
fn put_views(page: &mut Page, plan: &Plan) {
    if plan.views.is_empty() {
        return;
    }
    page.put(2, PLAIN, "views that stream tables read:");
    for view in &plan.views {
        page.put(
            4,
            YELLOW,
            &format!("{:<3} {}  {}", view.change.symbol(), shown(&view.relation), view.change.words()),
        );
        put_query(page, view.change.query());
        if let ViewChange::Unknown(why) = &view.change {
            page.put(BODY, PLAIN, &format!("because: {}", text::line(why)));
        }
        let reads = if view.refills() { "refills: " } else { "no longer read by: " };
        page.put_names(BODY, PLAIN, reads, &view.readers);
        page.put_names(BODY, DIM, "downstream: ", &view.downstream);
    }
    for step in plan.other_rows() {
        if let Some(cost) = &step.cost {
            page.put(4, PLAIN, &format!("refill of {}: {}", shown(&step.relation), words::cost(cost)));
        }
    }
}

fn put_needs_dbt(page: &mut Page, plan: &Plan) {
    if plan.needs_dbt.is_empty() {
        return;
    }
    page.put(0, YELLOW, "`apply` cannot carry this out; deploy with `dbt build`:");
    for need in &plan.needs_dbt {
        page.put(2, PLAIN, &format!("{}: {}", shown(&need.relation), text::line(&need.why)));
    }
}

fn put_step(page: &mut Page, step: &Step, names: usize) {
    let paint = if step.failure.is_some() { RED } else { paint_of_change(&step.change) };
    let symbol = step.symbol();
    let name = shown(&step.relation);
    let action = step.words();
    let head = format!("{symbol:<3} {name:<names$}  {action}");
    if head.chars().count() + 2 <= page.width() {
        page.put(2, paint, &head);
    } else {
        page.put(2, paint, &format!("{symbol:<3} {name}"));
        page.put(6, paint, action);
    }
    let settings = words::settings(&step.change, "->");
    let keys = settings.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in settings {
        page.put(BODY, PLAIN, &format!("{key:<keys$}  {}", text::line(&value)));
    }
    put_query(page, step.change.query());
    for (word, fact) in words::facts(step) {
        let paint = if word == "lost" || word == "fails" { RED } else { PLAIN };
        page.put(BODY, paint, &format!("{word}: {}", text::line(&fact)));
    }
    page.put_names(BODY, DIM, "downstream: ", &step.downstream);
    if let Some((refusal, permission)) = step.refusal().zip(step.permission()) {
        let flag = permission.flag();
        let name = text::shell_word(&permission.name);
        let allow = format!(
            "{}. Allow it with `plan.{}` in pgtrickle-ci.yml or {flag} {name}",
            text::line(&refusal),
            permission.key
        );
        page.put(BODY, RED, &allow);
    }
}

/// The changed lines of a query.
fn put_query(page: &mut Page, query: Option<&QueryChange>) {
    let around = if page.style.full { diff::EVERYTHING } else { diff::CLOSE };
    let lines = query.map(|query| diff::lines(&query.before, &query.after, around)).unwrap_or_default();
    if !lines.is_empty() {
        page.put(BODY, PLAIN, "query");
    }
    for line in &lines {
        put_diff_line(page, line);
    }
}

/// What was planned and observed for each table. Unchanged tables are only counted.
fn put_rehearsal(page: &mut Page, rehearsal: &Rehearsal) {
    page.put(0, BOLD, &format!("Rehearsed on top of {}:", text::line(&rehearsal.base)));
    let (quiet, loud): (Vec<_>, Vec<_>) = rehearsal.tables.iter().partition(|table| table.is_quiet());
    for table in &loud {
        let is_planned = table.surprises.is_empty();
        let (paint, word) = if is_planned { (GREEN, "as planned") } else { (RED, "not as planned") };
        let observed = table.observed.words();
        page.put(2, paint, &format!("{}  {word}: {observed}", shown(&table.relation)));
        for (word, fact) in words::observations(table) {
            let paint = if word == "surprise" { RED } else { PLAIN };
            page.put(BODY, paint, &format!("{word}: {}", text::line(&fact)));
        }
    }
    if !quiet.is_empty() {
        let tables = words::count(quiet.len(), "table");
        page.put(2, DIM, &format!("{tables} as planned: kept, with the same rows"));
    }
}

fn put_diff_line(page: &mut Page, line: &Line) {
    match line {
        Line::Removed(text) => page.put_code(BODY + 2, RED, "- ", text),
        Line::Added(text) => page.put_code(BODY + 2, GREEN, "+ ", text),
        Line::Same(text) => page.put_code(BODY + 2, DIM, "  ", text),
        Line::Gap => page.put(BODY + 2, DIM, "..."),
    }
}

fn put_checks(page: &mut Page, report: &Report) {
    let outcomes = report.by_stage().into_iter().flat_map(|(_, outcomes)| outcomes);
    for line in checks_table(outcomes, page.style).lines() {
        // Only the first line of a row starts with a mark: continued lines start with a space.
        let line = line.trim_end();
        let verdict = VERDICTS.iter().find(|verdict| line.starts_with(mark(**verdict)));
        match verdict {
            Some(verdict) => {
                let (head, rest) = line.split_at(mark(*verdict).len());
                let painted = page.painted(paint_of_verdict(*verdict), head);
                page.push_line(&format!("{painted}{rest}"));
            }
            None => page.push_line(line),
        }
    }
}

/// The longest text of a cell: comfy-table counts widths in 16 bits, and wraps long words slowly.
const LONGEST_CELL: usize = 2_000;

/// One row per check, cut to one line if `put_details` shows the rest. On a narrow terminal the message is below its
/// subject.
fn checks_table<'a>(outcomes: impl Iterator<Item = &'a Outcome>, style: Style) -> Table {
    let narrow = style.width < NARROW;
    let mut table = Table::new();
    table.force_no_tty().load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(style.width).unwrap_or(u16::MAX));
    for outcome in outcomes {
        let mark = mark(outcome.verdict).to_owned();
        let stage = outcome.stage.name().to_owned();
        let subject = text::clip(&text::line(&outcome.subject.to_string()), LONGEST_CELL);
        let message = text::clip(&text::line(&outcome.message), LONGEST_CELL);
        let time = outcome.elapsed.map(words::duration).unwrap_or_default();
        let mut row = if narrow {
            Row::from([mark, format!("{stage} {subject}\n{message}"), time])
        } else {
            Row::from([mark, stage, subject, message, time])
        };
        if !narrow && !style.verbose && has_details_below(outcome) {
            row.max_height(1);
        }
        table.add_row(row);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    if let Some(column) = table.column_mut(if narrow { 2 } else { 4 }) {
        column.set_padding((1, 0)).set_cell_alignment(CellAlignment::Right);
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    if let (false, Some(subject)) = (narrow, table.column_mut(2)) {
        subject.set_constraint(ColumnConstraint::UpperBoundary(Width::Percentage(45)));
    }
    table
}

/// Whether `put_details` shows the check, so that its row may be cut.
fn has_details_below(outcome: &Outcome) -> bool {
    outcome.verdict.is_bad() || outcome.verdict == Verdict::Warned
}

/// The full message, the details and the file of each check that did not pass.
fn put_details(page: &mut Page, report: &Report) {
    let verbose = page.style.verbose;
    let wanted = |outcome: &&Outcome| has_details_below(outcome) || (verbose && !outcome.details.is_empty());
    for outcome in report.by_stage().into_iter().flat_map(|(_, outcomes)| outcomes).filter(wanted) {
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

const VERDICTS: [Verdict; 5] =
    [Verdict::Passed, Verdict::Skipped, Verdict::Warned, Verdict::Failed, Verdict::Errored];

fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✓",
        Verdict::Skipped => "-",
        Verdict::Warned => "!",
        Verdict::Failed => "✗",
        Verdict::Errored => "?",
    }
}

fn paint_of_verdict(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::Passed => GREEN,
        Verdict::Skipped => DIM,
        Verdict::Warned => YELLOW,
        Verdict::Failed => RED,
        Verdict::Errored => MAGENTA,
    }
}

fn paint_of_change(change: &Change) -> Paint {
    match change {
        Change::Create { .. } => GREEN,
        Change::Alter(_) | Change::AlterQuery { .. } => YELLOW,
        Change::Recreate { .. } | Change::Drop => RED,
        Change::Keep => PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::{model::Stage, report::sample};

    fn render_plan(plan: &Plan, style: &Style) -> String {
        let mut page = Page::new(*style);
        put_plan(&mut page, plan);
        page.text
    }

    fn style(width: usize) -> Style {
        Style { color: false, width, verbose: false, full: false }
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
    fn names_and_messages_of_any_length_have_a_row() {
        for length in [65_535, 70_000] {
            let mut report = sample::report();
            report.outcomes[0].message = "x".repeat(length);
            let steps = report.plan.iter_mut().flat_map(|plan| &mut plan.steps);
            steps.last().unwrap().relation.name = "x".repeat(length);
            for width in [40, 80] {
                assert!(render(&report, &style(width)).contains("xxx"), "{length}");
            }
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
        for verbose in [false, true] {
            let plain = Style { verbose, ..style(80) };
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
        fn no_line_is_wider_than_the_terminal(width in 24usize..130, verbose: bool, texts in prop::collection::vec("\\PC{0,90}|[a-z表 ]{0,200}", 1..4)) {
            let mut report = sample::report();
            for text in &texts {
                let outcome = Outcome::new(Stage::Status, text, Verdict::Failed, text).with_details([text.clone()]);
                report.outcomes.push(outcome);
            }
            let rendered = render(&report, &Style { color: false, width, verbose, full: verbose });
            for line in rendered.lines() {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
