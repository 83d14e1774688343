//! The checks at a glance: a line per table with a mark per stage, and a line per stage for everything else.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::{mark, paint_of_verdict};
use crate::{
    model::{Relation, Stage, Verdict},
    report::{
        Report, Tally,
        page::{Page, shown},
        text, words,
    },
};

/// More tables that passed are counted and not listed.
const LISTED: usize = 40;
/// The least width of the names. If the stages leave less, their headers get shorter.
const NAMES: usize = 20;

/// The worst verdict of a table in each stage.
type Stages = BTreeMap<Stage, Verdict>;
type Row<'a> = (Verdict, &'a Relation, &'a Stages);

pub(super) fn put(page: &mut Page, report: &Report) {
    let mut tables: BTreeMap<&Relation, Stages> = BTreeMap::new();
    let mut others: BTreeMap<Stage, (Verdict, Tally)> = BTreeMap::new();
    for outcome in &report.outcomes {
        if let Some(relation) = outcome.subject.relation() {
            let stages = tables.entry(relation).or_default();
            let worst = stages.entry(outcome.stage).or_insert(outcome.verdict);
            *worst = (*worst).max(outcome.verdict);
        } else {
            let (worst, tally) = others.entry(outcome.stage).or_insert((outcome.verdict, Tally::default()));
            *worst = (*worst).max(outcome.verdict);
            tally.count(outcome.verdict);
        }
    }
    put_tables(page, &tables);
    for (stage, (verdict, tally)) in &others {
        let head = page.painted(paint_of_verdict(*verdict), mark(*verdict));
        page.push_line(&format!("{head} {}: {}", stage.name(), words::tally(*tally)));
    }
}

fn put_tables(page: &mut Page, tables: &BTreeMap<&Relation, Stages>) {
    let mut rows: Vec<Row> =
        tables.iter().map(|(relation, stages)| (worst(stages), *relation, stages)).collect();
    rows.sort_by_key(|(verdict, relation, _)| (std::cmp::Reverse(*verdict), *relation));
    let (good, others): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(verdict, ..)| *verdict == Verdict::Passed);
    let listed = LISTED.saturating_sub(others.len());
    let (listed, rest) = if good.len() <= listed { (good, Vec::new()) } else { (Vec::new(), good) };
    let rows: Vec<_> = others.into_iter().chain(listed).collect();
    if !rows.is_empty() {
        put_rows(page, &rows);
    }
    if !rest.is_empty() {
        let head = page.painted(paint_of_verdict(Verdict::Passed), mark(Verdict::Passed));
        let tables = words::count(rest.len(), "table");
        page.push_line(&format!("{head} {tables} passed every check; -v lists them"));
    }
}

fn put_rows(page: &mut Page, rows: &[Row]) {
    let stages: BTreeSet<Stage> = rows.iter().flat_map(|(_, _, stages)| stages.keys().copied()).collect();
    let Some((headers, names)) = headers(&stages, page.width()) else {
        return put_narrow_rows(page, rows);
    };
    let mut table = Table::new();
    table.force_no_tty().load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.add_row([""; 2].into_iter().chain(headers));
    for (verdict, relation, of_table) in rows {
        let name = text::clip_to_width(&shown(relation), names);
        let cell = |stage| of_table.get(stage).map_or(" ", |verdict| mark(*verdict));
        table.add_row([mark(*verdict), &name].into_iter().chain(stages.iter().map(cell)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index > 1 {
            column.set_cell_alignment(CellAlignment::Center);
        }
    }
    // No cell wraps, so each line is a row, after the line of headers.
    let verdicts = [None].into_iter().chain(rows.iter().map(|(verdict, ..)| Some(*verdict)));
    for (line, verdict) in table.lines().zip(verdicts) {
        page.push_line(&painted_row(page, verdict, line.trim_end()));
    }
}

/// A row is painted if it did not pass. Of the others only the mark.
fn painted_row(page: &Page, verdict: Option<Verdict>, line: &str) -> String {
    match verdict {
        None => line.to_owned(),
        Some(Verdict::Passed) => {
            let (head, rest) = line.split_at(mark(Verdict::Passed).len());
            page.painted(paint_of_verdict(Verdict::Passed), head) + rest
        }
        Some(verdict) => page.painted(paint_of_verdict(verdict), line),
    }
}

/// Headers for the stages, as long as the width allows, and the width that they leave for the names; `None` if it is
/// too small.
fn headers(stages: &BTreeSet<Stage>, width: usize) -> Option<(Vec<&'static str>, usize)> {
    type Label = fn(Stage) -> &'static str;
    let labels: [Label; 3] = [Stage::name, abbreviation, |stage| &abbreviation(stage)[..2]];
    labels.into_iter().find_map(|label| {
        let headers: Vec<&str> = stages.iter().map(|stage| label(*stage)).collect();
        let used: usize = headers.iter().map(|header| header.len() + 1).sum();
        // The mark and two gaps.
        let names = width.checked_sub(used + 3)?;
        (names >= NAMES).then_some((headers, names))
    })
}

/// Three letters, of which two are unique.
fn abbreviation(stage: Stage) -> &'static str {
    match stage {
        Stage::Setup => "set",
        Stage::Plan => "pla",
        Stage::Deploy => "dep",
        Stage::Rehearsal => "reh",
        Stage::Present => "pre",
        Stage::Population => "pop",
        Stage::Test => "tst",
        Stage::Status => "sta",
        Stage::Freshness => "fre",
        Stage::Scheduler => "sch",
        Stage::Capture => "cap",
        Stage::Mode => "mod",
        Stage::Dependencies => "ups",
        Stage::Hazard => "haz",
        Stage::Equality => "equ",
        Stage::Verify => "ver",
    }
}

/// On a narrow terminal, each table with the stages that did not pass.
fn put_narrow_rows(page: &mut Page, rows: &[Row]) {
    for (verdict, relation, stages) in rows {
        page.put(0, paint_of_verdict(*verdict), &format!("{} {}", mark(*verdict), shown(relation)));
        let others = stages.iter().filter(|(_, verdict)| **verdict != Verdict::Passed);
        let others: Vec<String> =
            others.map(|(stage, verdict)| format!("{} {}", stage.name(), verdict.name())).collect();
        if !others.is_empty() {
            page.put(4, paint_of_verdict(*verdict), &others.join(", "));
        }
    }
}

/// The verdict of a table: the worst, except that a skipped check is no problem of its own.
fn worst(stages: &Stages) -> Verdict {
    stages.values().copied().max().unwrap_or(Verdict::Skipped)
}
