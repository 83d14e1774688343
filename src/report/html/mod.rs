//! Reports as one HTML page: no scripts, no network, light and dark.
//!
//! The template escapes every text. The page shows the newest report in full, and the verdicts, ages and refresh
//! times of all.

mod drawing;
mod history;

use minijinja::{Environment, HtmlEscape, Value, context, value::Serde};
use serde::Serialize;

use self::{
    drawing::Drawing,
    history::{histories, span},
};
use super::{
    Report, Tally,
    diff::{self, Line},
    matrix::{Matrix, stages_of},
    text, words,
    words::Fact,
};
use crate::{
    judge::rehearsal::RehearsedTable,
    model::{Engine, Origin, Outcome, ProjectSource, Relation, Stage, Verdict},
    plan::{Plan, QueryChange, Step, ViewStep},
};

const TEMPLATE: &str = include_str!("page.html.jinja");
const STYLE: &str = include_str!("style.css");

/// Renders these reports; without one, an empty text.
pub fn render(reports: &[Report]) -> String {
    let mut reports: Vec<&Report> = reports.iter().collect();
    reports.sort_by_key(|report| report.started_at);
    let Some(newest) = reports.last() else { return String::new() };
    let mut environment = Environment::new();
    // The ending `.html` turns escaping on. The template is part of the program, and a test renders it.
    environment.add_filter("prose", |text: &str| Value::from_safe_string(prose(text)));
    environment.add_template("page.html", TEMPLATE).expect("the template parses");
    let template = environment.get_template("page.html").expect("the template was added");
    let history = if reports.len() > 1 { histories(&reports) } else { Vec::new() };
    let page = context! {
        style => STYLE,
        page => Serde(Page::of(newest)),
        history => Serde(history),
        span => Serde(span(&reports)),
        reports => reports.len(),
    };
    template.render(page).expect("the page has what the template uses")
}

/// The text of a message as HTML: what stands between two backticks is code.
fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let html = parts.iter().enumerate().map(|(at, part)| {
        let part = HtmlEscape(part);
        if at % 2 == 0 {
            part.to_string()
        } else if at + 1 == parts.len() {
            format!("`{part}")
        } else if parts[at].is_empty() {
            "``".to_owned()
        } else {
            format!("<code>{part}</code>")
        }
    });
    html.collect()
}

/// Only visible characters.
fn plain(text: impl ToString) -> String {
    text::plain(&text.to_string())
}

/// A verdict as a mark, a word, and a class of the style sheet.
#[derive(Clone, Copy, Debug, Serialize)]
struct Mark {
    icon: &'static str,
    word: &'static str,
}

impl From<Verdict> for Mark {
    fn from(verdict: Verdict) -> Self {
        let icon = match verdict {
            Verdict::Passed => "✓",
            Verdict::Skipped => "–",
            Verdict::Warned => "!",
            Verdict::Failed | Verdict::Errored => "✗",
        };
        Self { icon, word: verdict.name() }
    }
}

#[derive(Serialize)]
struct Page {
    title: String,
    passed: bool,
    conclusion: &'static str,
    headline: String,
    is_emulator: bool,
    facts: Vec<(&'static str, String)>,
    problems: Vec<Problem>,
    plan: Option<PlanView>,
    rehearsal: Option<RehearsalView>,
    matrix: MatrixView,
    verification: Vec<VerificationView>,
    timings: Vec<Timing>,
    stages: Vec<StageView>,
    version: &'static str,
}

#[derive(Serialize)]
struct Problem {
    mark: Mark,
    stage: &'static str,
    subject: String,
    message: String,
    details: Vec<String>,
    file: Option<String>,
    script: Option<String>,
}

#[derive(Serialize)]
struct PlanView {
    summary: String,
    unchanged: usize,
    steps: Vec<StepView>,
    views: Vec<StepView>,
    needs_dbt: Vec<(String, String)>,
    permissions: String,
    unmanaged: Vec<String>,
    notes: Vec<String>,
    drawing: Option<Drawing>,
}

/// A step of the plan, of a stream table or of a view.
#[derive(Serialize)]
struct StepView {
    symbol: &'static str,
    class: &'static str,
    relation: String,
    words: String,
    refusal: Option<String>,
    settings: Vec<(&'static str, String)>,
    facts: Vec<FactView>,
    diff: Vec<DiffLine>,
    downstream: Vec<String>,
}

#[derive(Serialize)]
struct FactView {
    label: &'static str,
    text: String,
    is_bad: bool,
}

#[derive(Serialize)]
struct DiffLine {
    class: &'static str,
    sign: &'static str,
    text: String,
}

#[derive(Serialize)]
struct RehearsalView {
    base: String,
    tables: Vec<RehearsedView>,
    unchanged: usize,
}

#[derive(Serialize)]
struct RehearsedView {
    mark: Mark,
    relation: String,
    planned: &'static str,
    observed: &'static str,
    facts: Vec<FactView>,
}

#[derive(Serialize)]
struct MatrixView {
    stages: Vec<&'static str>,
    rows: Vec<MatrixRow>,
}

#[derive(Serialize)]
struct MatrixRow {
    mark: Mark,
    relation: String,
    cells: Vec<Option<Mark>>,
}

/// The rounds, or another part of the verification.
#[derive(Serialize)]
struct VerificationView {
    mark: Mark,
    part: String,
    message: String,
    /// What each source was changed by, among others.
    details: Vec<String>,
}

#[derive(Serialize)]
struct Timing {
    what: String,
    elapsed: String,
    /// Of the longest part.
    percent: u128,
}

#[derive(Serialize)]
struct StageView {
    /// The worst of its outcomes.
    mark: Mark,
    name: &'static str,
    tally: String,
    outcomes: Vec<OutcomeView>,
}

#[derive(Serialize)]
struct OutcomeView {
    mark: Mark,
    subject: String,
    message: String,
    elapsed: String,
}

impl Page {
    fn of(report: &Report) -> Self {
        let mut problems: Vec<&Outcome> = report.problems().collect();
        problems.sort_by_key(|outcome| std::cmp::Reverse(outcome.verdict));
        let project = report.project.as_deref().or(report.target.as_deref()).unwrap_or_default();
        Self {
            title: plain(format!("{} of {project}", report.command)),
            passed: report.passed(),
            conclusion: report.conclusion(),
            headline: format!("{} in {}", words::tally(report.tally()), words::duration(report.elapsed)),
            is_emulator: report.engine.as_ref().is_some_and(Engine::is_emulator),
            facts: facts(report),
            problems: problems.into_iter().map(Problem::of).collect(),
            plan: report.plan.as_ref().map(PlanView::of),
            rehearsal: report.rehearsal.as_ref().map(|rehearsal| {
                let (quiet, loud): (Vec<_>, Vec<_>) =
                    rehearsal.tables.iter().partition(|table| table.is_unchanged());
                let tables = loud.into_iter().map(RehearsedView::of).collect();
                RehearsalView { base: plain(&rehearsal.base), tables, unchanged: quiet.len() }
            }),
            matrix: MatrixView::of(report),
            verification: verification(report),
            timings: timings(report),
            stages: report.by_stage().into_iter().map(StageView::of).collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What was tested, where and when.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let started = report.started_at.to_offset(time::UtcOffset::UTC);
    let started = format!("{} {:02}:{:02} UTC", started.date(), started.hour(), started.minute());
    let project = report.project_source.as_ref().map(ProjectSource::describe);
    let facts = [
        ("Project", project),
        ("Server", report.target.clone()),
        ("dbt target", report.dbt_target.clone()),
        ("Engine", report.engine.as_ref().map(Engine::describe)),
        ("Selection", report.selection.clone()),
        ("Commit", report.commit.clone()),
        ("Job", report.leg.clone()),
        ("Started", Some(started)),
        ("Reproduce", report.invocation.clone()),
    ];
    facts.into_iter().filter_map(|(label, text)| Some((label, plain(text?)))).collect()
}

fn verification(report: &Report) -> Vec<VerificationView> {
    let is_part = |outcome: &&Outcome| outcome.stage == Stage::Verify && outcome.subject.relation().is_none();
    let view = |outcome: &Outcome| VerificationView {
        mark: outcome.verdict.into(),
        part: plain(&outcome.subject),
        message: plain(&outcome.message),
        details: outcome.details.iter().map(plain).collect(),
    };
    report.outcomes.iter().filter(is_part).map(view).collect()
}

fn timings(report: &Report) -> Vec<Timing> {
    let longest = report.timings.iter().map(|(_, elapsed)| elapsed.as_millis()).max().unwrap_or(0).max(1);
    let timing = |(what, elapsed): &(String, std::time::Duration)| Timing {
        what: plain(what),
        elapsed: words::duration(*elapsed),
        percent: elapsed.as_millis() * 100 / longest,
    };
    report.timings.iter().map(timing).collect()
}

impl Problem {
    fn of(outcome: &Outcome) -> Self {
        Self {
            mark: outcome.verdict.into(),
            stage: outcome.stage.name(),
            subject: plain(&outcome.subject),
            message: plain(&outcome.message),
            details: outcome.details.iter().map(plain).collect(),
            file: outcome.origin.as_ref().and_then(Origin::file).map(plain),
            script: outcome.script.as_ref().map(plain),
        }
    }
}

impl PlanView {
    fn of(plan: &Plan) -> Self {
        Self {
            summary: plan.summary(),
            unchanged: plan.counts().keep,
            steps: plan.steps.iter().filter(|step| step.is_shown()).map(StepView::of).collect(),
            views: plan.views.iter().map(StepView::of_view).collect(),
            needs_dbt: plan.needs_dbt.iter().map(|need| (plain(&need.relation), plain(&need.why))).collect(),
            permissions: plain(plan.permissions()),
            unmanaged: plan.unmanaged.iter().map(plain).collect(),
            notes: plan.notes.iter().map(plain).collect(),
            drawing: Drawing::of(plan),
        }
    }
}

impl StepView {
    fn of(step: &Step) -> Self {
        let settings = words::settings(&step.change, "→").into_iter();
        Self {
            symbol: step.symbol(),
            class: if step.failure.is_some() { "broken" } else { super::graph::class(&step.change) },
            relation: plain(&step.relation),
            words: plain(step.words()),
            refusal: step.refusal().map(plain),
            settings: settings.map(|(name, value)| (name, plain(value))).collect(),
            facts: words::facts(step).into_iter().map(FactView::of).collect(),
            diff: step.change.query().map(diff_lines).unwrap_or_default(),
            downstream: step.downstream.iter().map(plain).collect(),
        }
    }

    fn of_view(view: &ViewStep) -> Self {
        let affected = view.affected().map(|relation: &Relation| plain(relation));
        Self {
            symbol: view.change.symbol(),
            class: "alter",
            relation: plain(&view.relation),
            words: plain(words::view(view)),
            refusal: None,
            settings: Vec::new(),
            facts: Vec::new(),
            diff: view.change.query().map(diff_lines).unwrap_or_default(),
            downstream: affected.collect(),
        }
    }
}

fn diff_lines(query: &QueryChange) -> Vec<DiffLine> {
    let line = |line: Line| {
        let (class, sign, text) = match line {
            Line::Removed(text) => ("removed", "-", text),
            Line::Added(text) => ("added", "+", text),
            Line::Same(text) => ("same", " ", text),
            Line::Gap => ("gap", "…", String::new()),
        };
        DiffLine { class, sign, text: plain(text) }
    };
    diff::lines(&query.before, &query.after, diff::CLOSE).into_iter().map(line).collect()
}

impl FactView {
    fn of(Fact { label, text, is_bad }: Fact) -> Self {
        Self { label, text: plain(text), is_bad }
    }
}

impl RehearsedView {
    fn of(table: &RehearsedTable) -> Self {
        Self {
            mark: table.outcome().verdict.into(),
            relation: plain(&table.relation),
            planned: table.planned.words(),
            observed: table.observed.words(),
            facts: words::observations(table).into_iter().map(FactView::of).collect(),
        }
    }
}

impl MatrixView {
    fn of(report: &Report) -> Self {
        let Matrix { tables, .. } = Matrix::of(report);
        let stages = stages_of(&tables);
        let rows = tables.iter().map(|table| MatrixRow {
            mark: table.verdict.into(),
            relation: plain(table.relation),
            cells: stages
                .iter()
                .map(|stage| table.stages.get(stage).map(|verdict| (*verdict).into()))
                .collect(),
        });
        Self { rows: rows.collect(), stages: stages.iter().map(|stage| stage.name()).collect() }
    }
}

impl StageView {
    fn of((stage, outcomes): (Stage, Vec<&Outcome>)) -> Self {
        let view = |outcome: &Outcome| OutcomeView {
            mark: outcome.verdict.into(),
            subject: plain(&outcome.subject),
            message: plain(&outcome.message),
            elapsed: outcome.elapsed.map(words::duration).unwrap_or_default(),
        };
        let worst = outcomes.iter().map(|outcome| outcome.verdict).max().unwrap_or(Verdict::Skipped);
        Self {
            mark: worst.into(),
            name: stage.name(),
            tally: words::tally(Tally::of(outcomes.iter().copied())),
            outcomes: outcomes.into_iter().map(view).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_keeps_its_shape() {
        let mut later = sample::report();
        later.started_at += Duration::from_hours(24);
        insta::assert_snapshot!(render(&[later, sample::report()]).replace(STYLE, "/* the style sheet */"));
    }

    #[test]
    fn the_parts_of_the_verification_have_their_details() {
        let mut report = sample::report();
        let details = ["shop.orders: 3 rounds, 5 statements, 7 refused".to_owned()];
        report.outcomes.push(
            Outcome::new(Stage::Verify, "rounds", Verdict::Passed, "seed 1: 3 rounds").with_details(details),
        );
        let page = render(&[report]);
        let (_, section) = page.split_once("<h2 id=\"verification\">").unwrap();
        assert!(section.contains("<li>shop.orders: 3 rounds, 5 statements, 7 refused</li>"), "{section}");
        assert!(page.contains("<a href=\"#verification\">"));
        assert!(!render(&[sample::report()]).contains("id=\"verification\""));
    }

    #[test]
    fn hostile_text_becomes_no_markup() {
        let page = render(&[sample::report()]);
        for text in ["<script", "<!--]]", "</details> ```", "\u{1b}", "\u{202e}", "\0"] {
            assert!(!page.contains(text), "{text:?}");
        }
        assert!(page.contains("&lt;script&gt;alert(1)"), "the text is shown");
        // Neither a script nor anything from elsewhere, whatever a text contains.
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'"));
        for tag in ["<img", "<link", "<iframe", " src=", "url(", "@import"] {
            assert!(!page.replace("url(#tip)", "").contains(tag), "{tag}");
        }
    }

    #[test]
    fn names_in_messages_are_code() {
        assert_eq!(
            prose("run `dbt build` and `<b>`, or `x"),
            "run <code>dbt build</code> and <code>&lt;b&gt;</code>, or `x"
        );
        assert_eq!(prose("```"), "```");
        assert_eq!(prose("a & b"), "a &amp; b");
    }

    #[test]
    fn without_reports_there_is_no_page() {
        assert_eq!(render(&[]), "");
    }
}
