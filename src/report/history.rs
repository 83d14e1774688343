//! The last refreshes of one stream table: as JSON, and as a bar chart for a terminal.

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::{
    explain::timestamp,
    json::{SCHEMA_VERSION, V1Engine, V1Model, V1Relation, V1Tool},
    page::Page,
    terminal::{BOLD, DIM, Detail, PLAIN, RED, Style},
    text, words,
};
use crate::{
    judge::engine_message,
    model::{Deployed, Engine, History, Refresh},
};

/// The widest bar. A wider one is no easier to compare.
const WIDEST: usize = 40;
/// The least width of a bar. A narrower terminal shows none.
const NARROWEST: usize = 6;

/// The document. Version 1 may get more fields; existing ones keep their name and meaning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1History {
    /// 1. A reader must reject other versions.
    pub schema_version: u32,
    pub tool: V1Tool,
    /// `history`.
    pub command: String,
    /// The server as `host:port/database` without a password.
    pub target: String,
    pub engine: V1Engine,
    pub relation: V1Relation,
    /// The dbt model; null without one.
    pub model: Option<V1Model>,
    /// The server's clock when the history was read, in RFC 3339.
    pub read_at: String,
    /// The newest first.
    pub refreshes: Vec<V1Refresh>,
}

/// A refresh, or several in a row that changed nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct V1Refresh {
    /// When it started, the newest if there are several, in RFC 3339.
    pub started_at: String,
    /// `FULL`, `DIFFERENTIAL`, `REINITIALIZE`, `NO_DATA` or `SKIP`; of several, each that occurs.
    pub action: String,
    /// It looked for changes and changed nothing.
    pub is_idle: bool,
    /// `RUNNING`, `COMPLETED`, `FAILED` or `SKIPPED`.
    pub status: String,
    /// Such as `SCHEDULER`, `MANUAL` or `INITIAL`; null if unknown.
    pub initiated_by: Option<String>,
    /// The number of refreshes; more than 1 only if they are idle.
    pub count: u64,
    /// The duration, of several the mean; null if the engine did not measure it.
    pub took_ms: Option<f64>,
    pub rows_inserted: i64,
    /// 0 in versions that count an update as a deletion and an insertion.
    pub rows_updated: i64,
    pub rows_deleted: i64,
    /// The engine's message if it failed; else null.
    pub error: Option<String>,
    /// Why it took its action, in the engine's words; null in versions that do not keep it.
    pub reason: Option<String>,
}

impl V1History {
    pub fn of(target: &str, engine: &Engine, deployed: &Deployed, history: &History) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: V1Tool::this(),
            command: "history".into(),
            target: target.to_owned(),
            engine: V1Engine::from(engine),
            relation: V1Relation::from(&deployed.table.relation),
            model: deployed.table.origin.as_ref().map(V1Model::from),
            read_at: timestamp(history.now),
            refreshes: history.refreshes.iter().map(V1Refresh::from).collect(),
        }
    }
}

impl From<&Refresh> for V1Refresh {
    fn from(refresh: &Refresh) -> Self {
        Self {
            started_at: timestamp(refresh.started_at),
            action: refresh.action.clone(),
            is_idle: refresh.is_idle,
            status: refresh.status.clone(),
            initiated_by: refresh.initiated_by.clone(),
            count: refresh.count,
            took_ms: refresh.took_ms,
            rows_inserted: refresh.rows_inserted,
            rows_updated: refresh.rows_updated,
            rows_deleted: refresh.rows_deleted,
            error: refresh.error.clone(),
            reason: refresh.reason.clone(),
        }
    }
}

/// Renders the history for a terminal.
pub fn render(
    target: &str,
    engine: &Engine,
    deployed: &Deployed,
    history: &History,
    style: &Style,
) -> String {
    let mut page = Page::new(*style);
    let name = super::page::shown(&deployed.table.relation);
    page.put(0, BOLD, &format!("{name}: its last refreshes at {}", text::line(target)));
    page.put(0, PLAIN, &format!("engine: {}", engine.describe()));
    page.blank();
    if history.refreshes.is_empty() {
        page.put(0, PLAIN, "no refresh is in its history");
        return page.text;
    }
    put_chart(&mut page, history);
    put_errors(&mut page, history);
    page.text
}

/// What a bar's length shows.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    Duration,
    Rows,
}

impl Measure {
    /// The durations, unless the engine measured none.
    fn of(history: &History) -> Self {
        let is_timed = history.refreshes.iter().any(|refresh| refresh.took_ms.is_some());
        if is_timed { Self::Duration } else { Self::Rows }
    }

    #[expect(clippy::cast_precision_loss, reason = "a bar needs no more precision")]
    fn value(self, refresh: &Refresh) -> f64 {
        match self {
            Self::Duration => refresh.took_ms.unwrap_or_default(),
            Self::Rows => refresh.rows() as f64,
        }
    }

    fn explained(self) -> &'static str {
        match self {
            Self::Duration => "the bars show durations",
            Self::Rows => "the bars show rows: this version of pg_trickle does not measure durations",
        }
    }
}

fn put_chart(page: &mut Page, history: &History) {
    let header = ["ago", "action", "by", "took", "rows"].map(ToOwned::to_owned);
    let rows: Vec<[String; 5]> =
        history.refreshes.iter().map(|refresh| cells(refresh, history.now)).collect();
    let width_of =
        |column: usize| rows.iter().chain([&header]).map(|row| row[column].width()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width_of);
    // Who started it is the first column that a narrow terminal lacks.
    let all: usize = widths.iter().map(|width| width + 2).sum();
    let shows_by = all + NARROWEST <= page.width();
    let used = if shows_by { all } else { all - widths[2] - 2 };
    let bars = page.width().saturating_sub(used).min(WIDEST);
    let measure = Measure::of(history);
    let longest = history.refreshes.iter().map(|refresh| measure.value(refresh)).fold(0.0, f64::max);

    let line = |row: &[String; 5]| -> String {
        let columns = row.iter().zip(widths).enumerate().filter(|(index, _)| *index != 2 || shows_by);
        columns
            .map(|(index, (cell, width))| {
                let gap = " ".repeat(width - cell.width());
                // Numbers are aligned at their ends.
                if [0, 3, 4].contains(&index) { format!("{gap}{cell}  ") } else { format!("{cell}{gap}  ") }
            })
            .collect()
    };
    let heading = page.painted(DIM, &text::clip_to_width(line(&header).trim_end(), page.width()));
    page.push_line(&heading);
    for (refresh, row) in history.refreshes.iter().zip(&rows) {
        let value = measure.value(refresh);
        let bar = if bars < NARROWEST || longest <= 0.0 { String::new() } else { bar(value / longest, bars) };
        let line = format!("{}{bar}", line(row));
        let paint = match () {
            () if refresh.error.is_some() || refresh.status == "FAILED" => RED,
            () if refresh.is_idle => DIM,
            () => PLAIN,
        };
        let painted = page.painted(paint, text::clip_to_width(line.trim_end(), page.width()).as_str());
        page.push_line(&painted);
    }
    if longest > 0.0 && bars >= NARROWEST {
        page.put(0, DIM, measure.explained());
    }
}

/// When, what, by whom, how long, and the rows. Text of the catalog is cut to the length of the engine's own words.
fn cells(refresh: &Refresh, now: f64) -> [String; 5] {
    let word = |text: &str| text::clip_to_width(&text::line(text), 14);
    let many = if refresh.count > 1 { format!(" ×{}", refresh.count) } else { String::new() };
    let failed = if refresh.status == "FAILED" { "✗ " } else { "" };
    let took = refresh.took_ms.and_then(|ms| std::time::Duration::try_from_secs_f64(ms / 1000.0).ok());
    let changed = [('+', refresh.rows_inserted), ('~', refresh.rows_updated), ('-', refresh.rows_deleted)];
    let changed: Vec<String> = changed
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(sign, count)| format!("{sign}{count}"))
        .collect();
    let rows = if changed.is_empty() { "0".to_owned() } else { changed.join(" ") };
    [
        words::age(now - refresh.started_at),
        if refresh.is_idle {
            format!("no changes{many}")
        } else {
            format!("{failed}{}", word(&refresh.action))
        },
        word(refresh.initiated_by.as_deref().unwrap_or("-")),
        took.map_or_else(|| "-".to_owned(), words::duration),
        rows,
    ]
}

/// A bar of a part of the width, in eighths of a column. Anything but nothing is visible.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the width is small"
)]
fn bar(part: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part <= 0.0 {
        return String::new();
    }
    let eighths = ((part.min(1.0) * width as f64 * 8.0).round() as usize).max(1);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The message of each failure, and with `-v` the reason of each refresh.
fn put_errors(page: &mut Page, history: &History) {
    let is_verbose = page.style.detail == Detail::Verbose;
    for refresh in &history.refreshes {
        let when = words::age(history.now - refresh.started_at);
        if let Some(error) = &refresh.error {
            page.blank();
            page.put(0, RED, &format!("✗ failed {when} ago: {}", text::line(&engine_message(error))));
        }
        if let Some(reason) = refresh.reason.as_ref().filter(|_| is_verbose) {
            page.put(0, DIM, &format!("{when} ago: {}", text::line(reason)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::explain::sample;

    fn refresh(action: &str, ago: f64, rows: i64, took_ms: Option<f64>) -> Refresh {
        Refresh {
            action: action.into(),
            status: "COMPLETED".into(),
            initiated_by: Some("SCHEDULER".into()),
            count: 1,
            started_at: 1_000_000.0 - ago,
            took_ms,
            rows_inserted: rows,
            ..Refresh::default()
        }
    }

    fn history(is_timed: bool) -> History {
        let took = |ms: f64| is_timed.then_some(ms);
        let failure = Refresh {
            status: "FAILED".into(),
            error: Some(
                "ErrorReportWithLevel { message: \"division by zero\u{1b}[31m\", hint: None }".into(),
            ),
            ..refresh("DIFFERENTIAL", 400.0, 0, took(3.0))
        };
        let replaced = Refresh { rows_deleted: 12, ..refresh("DIFFERENTIAL", 190.0, 1_204, took(310.0)) };
        let initial = Refresh {
            initiated_by: Some("INITIAL".into()),
            reason: Some("CREATED".into()),
            ..refresh("FULL", 90_000.0, 5_000, took(2_449.0))
        };
        let idle = Refresh { count: 61, is_idle: true, ..refresh("NO_DATA", 2.0, 0, took(1.5)) };
        History { now: 1_000_000.0, refreshes: vec![idle, replaced, failure, initial] }
    }

    fn rendered(width: usize, color: bool, history: &History) -> String {
        let style = Style { color, width, detail: Detail::Normal, full: false };
        let deployed = sample::deployed();
        render("127.0.0.1:5432/shop", &sample::engine(), &deployed, history, &style)
    }

    #[test]
    fn durations_are_bars_at_every_width() {
        let pages: Vec<String> = [50, 60, 80, 120].map(|width| rendered(width, false, &history(true))).into();
        insta::assert_snapshot!(pages.join("\n-----\n"));
    }

    #[test]
    fn without_durations_rows_are_bars() {
        insta::assert_snapshot!(rendered(80, false, &history(false)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut long = history(true);
        long.refreshes[0].action = "表".repeat(200);
        long.refreshes[1].rows_inserted = i64::MAX;
        long.refreshes[2].error = Some("x".repeat(500));
        for width in 24..130 {
            let text = rendered(width, false, &long);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn colour_only_repeats_the_text() {
        let coloured = rendered(80, true, &history(true));
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), rendered(80, false, &history(true)));
        assert!(coloured.contains('\u{1b}'));
    }

    #[test]
    fn a_table_without_history_says_so() {
        assert!(rendered(80, false, &History::default()).ends_with("no refresh is in its history\n"));
    }

    #[test]
    fn the_smallest_value_has_a_bar() {
        assert_eq!([0.0, 0.000_1, 0.5, 1.0].map(|part| bar(part, 4)), ["", "▏", "██", "████"]);
    }
}
