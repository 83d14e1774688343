//! A line per table with a mark per stage, and a line per stage for everything else.

use std::collections::BTreeSet;

use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::{mark, paint_of_verdict};
use crate::{
    model::{Stage, Verdict},
    report::{
        Report,
        matrix::{Matrix, TableVerdicts, stages_of},
        page::{Page, shown},
        text, words,
    },
};

/// More tables that passed are counted and not listed.
const LISTED: usize = 40;
/// The least width of the names. If the stages leave less, their headers get shorter.
const NAMES: usize = 20;

pub(super) fn put(page: &mut Page, report: &Report) {
    let Matrix { tables, others } = Matrix::of(report);
    put_tables(page, tables);
    for (stage, (verdict, tally)) in &others {
        let head = page.painted(paint_of_verdict(*verdict), mark(*verdict));
        page.push_line(&format!("{head} {}: {}", stage.name(), words::tally(*tally)));
    }
}

fn put_tables(page: &mut Page, tables: Vec<TableVerdicts>) {
    let (good, others): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table.verdict == Verdict::Passed);
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

fn put_rows(page: &mut Page, rows: &[TableVerdicts]) {
    let stages = stages_of(rows);
    let Some((headers, names)) = headers(&stages, page.width()) else {
        return put_narrow_rows(page, rows);
    };
    let mut table = Table::new();
    table.force_no_tty().load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.add_row([""; 2].into_iter().chain(headers));
    for row in rows {
        let name = text::clip_to_width(&shown(row.relation), names);
        let cell = |stage| row.stages.get(stage).map_or(" ", |verdict| mark(*verdict));
        table.add_row([mark(row.verdict), &name].into_iter().chain(stages.iter().map(cell)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if index > 1 {
            column.set_cell_alignment(CellAlignment::Center);
        }
    }
    // No cell wraps, so each line is a row, after the line of headers.
    let verdicts = [None].into_iter().chain(rows.iter().map(|row| Some(row.verdict)));
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
fn put_narrow_rows(page: &mut Page, rows: &[TableVerdicts]) {
    for TableVerdicts { verdict, relation, stages } in rows {
        page.put(0, paint_of_verdict(*verdict), &format!("{} {}", mark(*verdict), shown(relation)));
        let others = stages.iter().filter(|(_, verdict)| **verdict != Verdict::Passed);
        let others: Vec<String> =
            others.map(|(stage, verdict)| format!("{} {}", stage.name(), verdict.name())).collect();
        if !others.is_empty() {
            page.put(4, paint_of_verdict(*verdict), &others.join(", "));
        }
    }
}
