//! The report as the body of a pull request comment and of a step summary.
//!
//! The verdict and the problems come first, the rest is folded. If it is too long, sections drop entries, the least
//! important first, and a note says how many.

use std::fmt::Write as _;

use super::{
    Report,
    diff::{self, Line},
    mermaid, text,
    words::{self, Fact},
};
use crate::{
    judge::rehearsal::{Rehearsal, RehearsedTable},
    model::{Engine, Origin, Outcome, Relation, Verdict},
    plan::{NeedsDbt, Plan, Step},
};

/// GitHub allows 65,536 characters in a comment; some are reserved for the hidden marker. This limit counts bytes,
/// which are never fewer than characters.
pub const COMMENT_LIMIT: usize = 65_536 - 1_024;

/// How many names a cell lists.
const SHORT_LIST: usize = 5;
/// The longest text from outside, in characters, so that no single text fills the comment.
const LONGEST_TEXT: usize = 1_000;
const LONGEST_NAME: usize = 200;
const MOST_DETAILS: usize = 10;
const MOST_NEWS: usize = 10;
const MOST_DIFF_LINES: usize = 120;
const LONGEST_DIFF_LINE: usize = 200;

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

/// A part of the body that can drop entries, the last ones first. Without entries it is empty.
struct Section {
    /// What an entry is, in the singular.
    what: &'static str,
    /// The section with the highest number is cut first.
    cut_order: u8,
    before: String,
    entries: Vec<String>,
    after: &'static str,
    /// The size of the entries, in bytes.
    size: usize,
    dropped: usize,
}

impl Section {
    fn new(
        what: &'static str,
        cut_order: u8,
        before: String,
        entries: Vec<String>,
        after: &'static str,
    ) -> Self {
        let size = entries.iter().map(String::len).sum();
        Self { what, cut_order, before, entries, after, size, dropped: 0 }
    }

    fn len(&self) -> usize {
        if self.entries.is_empty() { 0 } else { self.before.len() + self.size + self.after.len() }
    }

    fn drop_last(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.size -= entry.len();
            self.dropped += 1;
        }
    }

    fn to_markdown(&self) -> String {
        if self.entries.is_empty() {
            String::new()
        } else {
            [&self.before, &self.entries.concat(), self.after].concat()
        }
    }
}

fn truncation_note(sections: &[Section]) -> String {
    let parts: Vec<_> = sections
        .iter()
        .filter(|section| section.dropped > 0)
        .map(|s| format!("{} of {}", s.dropped, words::count(s.dropped + s.entries.len(), s.what)))
        .collect();
    format!(
        "**Shortened:** {} left out. The job summary shows more, the Markdown report everything.\n\n",
        parts.join(", ")
    )
}

/// The problems come first, then the rehearsed tables, then the plan.
fn sections(report: &Report) -> Vec<Section> {
    let plan = report.plan.as_ref();
    let sections = [
        Some(problems(report)),
        report.rehearsal.as_ref().map(rehearsal),
        plan.map(changes),
        plan.map(views),
        plan.map(needs_dbt),
        plan.map(permissions),
        plan.map(graph),
        plan.map(diffs),
        Some(scripts(report)),
        plan.map(unmanaged),
        Some(checks(report)),
        Some(environment(report)),
    ];
    sections.into_iter().flatten().collect()
}

fn head(report: &Report) -> String {
    let icon = if report.passed() { "✅" } else { "❌" };
    let mut head = format!("### {icon} pgtrickle-ci {}\n\n", report.conclusion());
    if let Some(selection) = &report.selection {
        let _ = write!(head, "Selection: {}\n\n", code(selection));
    }
    if let Some(plan) = &report.plan {
        let _ = write!(head, "**{}**", plan.summary());
        let (kept, refused) = (plan.counts().keep, plan.refused().count());
        if kept > 0 && !plan.is_empty() {
            let _ = write!(head, " {} unchanged.", words::count(kept, "definition"));
        }
        if refused > 0 {
            let _ = write!(head, " {refused} not allowed.");
        }
        head.push_str("\n\n");
    }
    if !report.outcomes.is_empty() {
        let strict = if report.strict { "; warnings count as failures" } else { "" };
        let checks = words::count(report.outcomes.len(), "check");
        let _ = write!(head, "{checks}: {}{strict}.\n\n", words::tally(report.tally()));
    }
    if report.engine.as_ref().is_some_and(Engine::is_emulator) {
        head.push_str("⚠️ This ran on the emulator, not on pg\\_trickle.\n\n");
    }
    head
}

/// Project, server and timings, folded.
fn environment(report: &Report) -> Section {
    let mut parts = Vec::new();
    if let Some(project) = &report.project {
        let source = report.project_source.as_ref().map(|source| format!(": {}", prose(&source.describe())));
        parts.push(format!("project {}{}", code(project), source.unwrap_or_default()));
    }
    if let Some(target) = &report.target {
        parts.push(code(target));
    }
    if let Some(target) = &report.dbt_target {
        parts.push(format!("target {}", prose(target)));
    }
    if let Some(engine) = &report.engine {
        parts.push(prose(&engine.describe()));
    }
    let timings = report.timings.iter();
    let timings = timings.map(|(what, elapsed)| format!("{} {}", prose(what), words::duration(*elapsed)));
    let timings: Vec<_> = timings.collect();
    let colon = if timings.is_empty() { "" } else { ": " };
    parts.push(format!("{}{colon}{}", words::duration(report.elapsed), timings.join(", ")));
    let before = "<details><summary>Environment and timings</summary>\n\n".to_owned();
    Section::new("environment", 0, before, vec![format!("{}\n", parts.join(" · "))], "\n</details>\n\n")
}

/// The commit, the version, and the command that reproduces the run.
fn foot(report: &Report) -> String {
    let commit =
        report.commit.as_deref().map(|commit| format!("Commit {} · ", code(&text::clip(commit, 12))));
    let command = report.invocation.clone().unwrap_or_else(|| format!("pgtrickle-ci {}", report.command));
    let tool = concat!("pgtrickle-ci ", env!("CARGO_PKG_VERSION"));
    format!(
        "{}{tool} · reproduce locally: {}\n",
        commit.unwrap_or_default(),
        text::markdown_code(&text::clip(&command, LONGEST_TEXT))
    )
}

fn changes(plan: &Plan) -> Section {
    let changed = plan.steps.iter().filter(|step| step.is_shown());
    let before = "| | Stream table | Changes | Downstream |\n|---|---|---|---|\n".to_owned();
    Section::new("changed table", 2, before, changed.map(change_row).collect(), "\n")
}

fn labelled(fact: &Fact) -> String {
    format!("{}: {}", fact.label, prose(&fact.text))
}

fn change_row(step: &Step) -> String {
    let settings = words::settings(&step.change, "→");
    // The section of permissions says how to allow it.
    let refused = step.permission().map(|_| "**not allowed**".to_owned());
    let changes: Vec<_> = std::iter::once(step.words().to_owned())
        .chain(settings.into_iter().map(|(key, value)| format!("{}: {}", code(key), prose(&value))))
        .chain(words::facts(step).iter().map(labelled))
        .chain(refused)
        .collect();
    row(&[
        code(step.symbol()),
        code(&step.relation.to_string()),
        changes.join("<br>"),
        names(&step.downstream),
    ])
}

/// The changed views that stream tables read.
fn views(plan: &Plan) -> Section {
    let before = "| | View read by stream tables | Changes | Gets different rows |\n|---|---|---|---|\n";
    let rows = plan.views.iter().map(|view| {
        let affected: Vec<Relation> = view.affected().cloned().collect();
        row(&[
            code(view.change.symbol()),
            code(&view.relation.to_string()),
            prose(&view.change.words()),
            names(&affected),
        ])
    });
    Section::new("changed view", 2, before.to_owned(), rows.collect(), "\n")
}

fn needs_dbt(plan: &Plan) -> Section {
    let before = "`apply` cannot carry this out; deploy with `dbt build`:\n\n".to_owned();
    let entry = |need: &NeedsDbt| format!("- {}: {}\n", code(&need.relation.to_string()), prose(&need.why));
    Section::new("reason to deploy with dbt", 3, before, plan.needs_dbt.iter().map(entry).collect(), "\n")
}

/// The configuration that allows all refused steps.
fn permissions(plan: &Plan) -> Section {
    let lines = plan.permissions();
    let entry = (!lines.is_empty()).then(|| text::fence("yaml", &lines));
    let before = "To allow the refused steps, add to `pgtrickle-ci.yml`:\n\n".to_owned();
    Section::new("list of permissions", 3, before, entry.into_iter().collect(), "\n")
}

fn names(relations: &[Relation]) -> String {
    let mut list: Vec<_> =
        relations.iter().take(SHORT_LIST).map(|relation| code(&relation.to_string())).collect();
    if relations.len() > SHORT_LIST {
        list.push(format!("and {} more", relations.len() - SHORT_LIST));
    }
    list.join(", ")
}

/// Failures, errors and warnings, the worst first.
fn problems(report: &Report) -> Section {
    let mut problems: Vec<_> = report.problems().collect();
    problems.sort_by_key(|outcome| !outcome.verdict.is_bad());
    Section::new("problem", 1, String::new(), problems.into_iter().map(problem).collect(), "\n")
}

fn problem(outcome: &Outcome) -> String {
    let (stage, verdict) = (outcome.stage.name(), outcome.verdict);
    let subject = code(&outcome.subject.to_string());
    let mut entry =
        format!("- {} **{stage} {}** {subject}: {}", icon(verdict), verdict.name(), prose(&outcome.message));
    if let Some(file) = outcome.origin.as_ref().and_then(Origin::file) {
        let _ = write!(entry, " ({})", code(file));
    }
    entry.push('\n');
    let lines: Vec<_> = outcome.details.iter().flat_map(|detail| detail.lines()).collect();
    for line in lines.iter().take(MOST_DETAILS) {
        let _ = writeln!(entry, "  - {}", prose(line));
    }
    if lines.len() > MOST_DETAILS {
        let _ = writeln!(entry, "  - and {} more", words::count(lines.len() - MOST_DETAILS, "line"));
    }
    entry
}

/// What was planned and observed for each table: failures first, then the tables whose rows changed.
fn rehearsal(rehearsal: &Rehearsal) -> Section {
    let (quiet, mut loud): (Vec<_>, Vec<_>) = rehearsal.tables.iter().partition(|table| table.is_unchanged());
    loud.sort_by_key(|table| (!table.outcome().verdict.is_bad(), !table.has_other_rows()));
    let untouched = match quiet.len() {
        0 => String::new(),
        number => format!(" Unchanged, with the same rows: {}.", words::count(number, "table")),
    };
    let head = format!("Rehearsed on top of {}.{untouched}\n\n", code(&rehearsal.base));
    if loud.is_empty() {
        return Section::new("rehearsed table", 2, String::new(), vec![head], "");
    }
    let before = head + "| | Stream table | Planned | Observed | |\n|---|---|---|---|---|\n";
    Section::new("rehearsed table", 2, before, loud.into_iter().map(rehearsed_row).collect(), "\n")
}

fn rehearsed_row(table: &RehearsedTable) -> String {
    let verdict = table.outcome().verdict;
    let notes = words::observations(table).iter().map(labelled).collect::<Vec<_>>();
    row(&[
        icon(verdict).to_owned(),
        code(&table.relation.to_string()),
        table.planned.words().to_owned(),
        table.observed.words().to_owned(),
        notes.join("<br>"),
    ])
}

/// The graph of changed and downstream tables, folded.
fn graph(plan: &Plan) -> Section {
    let before = "<details><summary>Affected tables</summary>\n\n".to_owned();
    let graph = mermaid::graph(plan).map(|graph| text::fence("mermaid", &graph));
    Section::new("graph", 6, before, graph.into_iter().collect(), "\n</details>\n\n")
}

/// The changed queries, folded.
fn diffs(plan: &Plan) -> Section {
    let steps = plan.steps.iter().filter_map(|step| Some((&step.relation, step.change.query()?)));
    let views = plan.views.iter().filter_map(|view| Some((&view.relation, view.change.query()?)));
    let entries = steps
        .chain(views)
        .filter(|(_, query)| query.before.trim_end() != query.after.trim_end())
        .map(|(relation, query)| diff_entry(relation, &query.before, &query.after));
    Section::new("query diff", 4, String::new(), entries.collect(), "")
}

fn diff_entry(relation: &Relation, before: &str, after: &str) -> String {
    let lines = diff::lines(before, after, diff::CLOSE);
    let mut shown: Vec<_> = lines
        .iter()
        .take(MOST_DIFF_LINES)
        .map(|line| match line {
            Line::Removed(text) => format!("- {}", text::clip(text, LONGEST_DIFF_LINE)),
            Line::Added(text) => format!("+ {}", text::clip(text, LONGEST_DIFF_LINE)),
            Line::Same(text) => format!("  {}", text::clip(text, LONGEST_DIFF_LINE)),
            Line::Gap => "@@ @@".to_owned(),
        })
        .collect();
    if lines.len() > MOST_DIFF_LINES {
        shown.push(format!("@@ and {} more @@", words::count(lines.len() - MOST_DIFF_LINES, "line")));
    }
    let name = text::html_code(&text::clip(&relation.to_string(), LONGEST_NAME));
    let fence = text::fence("diff", &shown.join("\n"));
    format!("<details><summary>Query of {name}</summary>\n\n{fence}\n</details>\n\n")
}

/// Scripts that reproduce findings with psql, folded.
fn scripts(report: &Report) -> Section {
    let entry = |outcome: &Outcome| {
        let name = text::html_code(&text::clip(&outcome.subject.to_string(), LONGEST_NAME));
        let fence = text::fence("sql", outcome.script.as_deref()?.trim_end());
        Some(format!(
            "<details><summary>Script that reproduces the finding in {name}</summary>\n\n{fence}\n</details>\n\n"
        ))
    };
    let entries = report.outcomes.iter().filter_map(entry).collect();
    Section::new("script", 5, String::new(), entries, "")
}

/// Stream tables that this project does not manage, folded.
fn unmanaged(plan: &Plan) -> Section {
    let summary =
        format!("{} not managed by this project", words::count(plan.unmanaged.len(), "stream table"));
    let before = format!("<details><summary>{summary}</summary>\n\n");
    let entries =
        plan.unmanaged.iter().map(|relation| format!("- {}\n", code(&relation.to_string()))).collect();
    Section::new("unmanaged table", 5, before, entries, "\n</details>\n\n")
}

fn checks(report: &Report) -> Section {
    let before = format!(
        "<details><summary>{} by stage</summary>\n\n| | Stage | Subject | Message | Time |\n|---|---|---|---|--:|\n",
        words::count(report.outcomes.len(), "check")
    );
    let rows = report.by_stage().into_iter().flat_map(|(_, outcomes)| outcomes).map(|outcome| {
        row(&[
            icon(outcome.verdict).to_owned(),
            outcome.stage.name().to_owned(),
            code(&outcome.subject.to_string()),
            prose(&outcome.message),
            outcome.elapsed.map(words::duration).unwrap_or_default(),
        ])
    });
    Section::new("check", 3, before, rows.collect(), "\n</details>\n\n")
}

pub(super) fn row(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| text::markdown_cell(cell)).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✅",
        Verdict::Skipped => "⏭️",
        Verdict::Warned => "⚠️",
        Verdict::Failed => "❌",
        Verdict::Errored => "❗",
    }
}

pub(super) fn code(name: &str) -> String {
    text::markdown_code(&text::clip(name, LONGEST_NAME))
}

pub(super) fn prose(message: &str) -> String {
    text::markdown_text(&text::clip(message, LONGEST_TEXT))
}

#[cfg(test)]
mod tests {
    use comrak::Options;

    use super::*;
    use crate::{
        model::Stage,
        plan::Change,
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
