//! The sections of the body, and what each of them says.

use std::fmt::Write as _;

use super::section::Section;
use crate::{
    judge::rehearsal::{Rehearsal, RehearsedTable},
    model::{Engine, Origin, Outcome, Relation, Verdict},
    plan::{NeedsDbt, Plan, Step},
    report::{
        Report,
        diff::{self, Line},
        mermaid, text,
        words::{self, Fact},
    },
};

/// How many names a cell lists.
const SHORT_LIST: usize = 5;
/// The longest text from outside, in characters, so that no single text fills the comment.
const LONGEST_TEXT: usize = 1_000;
const LONGEST_NAME: usize = 200;
const MOST_DETAILS: usize = 10;
const MOST_DIFF_LINES: usize = 120;
const LONGEST_DIFF_LINE: usize = 200;

/// The problems come first, then the rehearsed tables, then the plan.
pub(super) fn sections(report: &Report) -> Vec<Section> {
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

pub(super) fn head(report: &Report) -> String {
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
pub(super) fn foot(report: &Report) -> String {
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
pub(super) fn problems(report: &Report) -> Section {
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

pub(in crate::report) fn row(cells: &[String]) -> String {
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

pub(in crate::report) fn code(name: &str) -> String {
    text::markdown_code(&text::clip(name, LONGEST_NAME))
}

pub(in crate::report) fn prose(message: &str) -> String {
    text::markdown_text(&text::clip(message, LONGEST_TEXT))
}
