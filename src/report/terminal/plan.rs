//! The plan, and what a rehearsal of it observed.

use anstyle::Style as Paint;

use super::{BOLD, DIM, GREEN, PLAIN, RED, YELLOW};
use crate::{
    judge::rehearsal::Rehearsal,
    plan::{Change, Plan, QueryChange, Step, ViewChange},
    report::{
        diff::{self, Line},
        page::{Page, shown},
        text,
        words::{self, Fact},
    },
};

/// The indent of lines about a table.
const BODY: usize = 8;

/// The plan in full.
pub(super) fn put(page: &mut Page, plan: &Plan) {
    let changed: Vec<_> = plan.steps.iter().filter(|step| step.is_shown()).collect();
    let names = changed.iter().map(|step| shown(&step.relation).chars().count()).max().unwrap_or(0);
    // A wider name has its action on the next line.
    let names = names.min(page.width());
    for step in &changed {
        put_step(page, step, names);
    }
    put_views(page, plan);
    if !plan.unmanaged.is_empty() {
        page.put(2, PLAIN, "not managed by this project:");
        page.put_names(BODY, PLAIN, "", &plan.unmanaged);
    }
    put_notes(page, plan);
    if !changed.is_empty() || !plan.views.is_empty() || !plan.unmanaged.is_empty() || !plan.notes.is_empty() {
        page.blank();
    }
    put_summary(page, plan);
}

pub(super) fn put_notes(page: &mut Page, plan: &Plan) {
    for note in &plan.notes {
        page.put(2, YELLOW, &format!("note: {}", text::line(note)));
    }
}

/// What the plan changes, in numbers, and what it needs.
pub(super) fn put_summary(page: &mut Page, plan: &Plan) {
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
    for fact in words::facts(step) {
        put_fact(page, &fact);
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
pub(super) fn put_rehearsal(page: &mut Page, rehearsal: &Rehearsal) {
    page.put(0, BOLD, &format!("Rehearsed on top of {}:", text::line(&rehearsal.base)));
    let (quiet, loud): (Vec<_>, Vec<_>) = rehearsal.tables.iter().partition(|table| table.is_unchanged());
    for table in &loud {
        let is_planned = table.surprises.is_empty();
        let (paint, word) = if is_planned { (GREEN, "as planned") } else { (RED, "not as planned") };
        let observed = table.observed.words();
        page.put(2, paint, &format!("{}  {word}: {observed}", shown(&table.relation)));
        for fact in words::observations(table) {
            put_fact(page, &fact);
        }
    }
    if !quiet.is_empty() {
        let tables = words::count(quiet.len(), "table");
        page.put(2, DIM, &format!("{tables} as planned: kept, with the same rows"));
    }
}

fn put_fact(page: &mut Page, fact: &Fact) {
    let paint = if fact.is_bad { RED } else { PLAIN };
    page.put(BODY, paint, &format!("{}: {}", fact.label, text::line(&fact.text)));
}

fn put_diff_line(page: &mut Page, line: &Line) {
    match line {
        Line::Removed(text) => page.put_code(BODY + 2, RED, "- ", text),
        Line::Added(text) => page.put_code(BODY + 2, GREEN, "+ ", text),
        Line::Same(text) => page.put_code(BODY + 2, DIM, "  ", text),
        Line::Gap => page.put(BODY + 2, DIM, "..."),
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
