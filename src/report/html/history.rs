//! The verdicts, ages and refresh times of each table over several reports.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Mark, plain};
use crate::{
    judge::freshness::TableAge,
    model::{Relation, Verdict},
    report::{Report, matrix::Matrix, words},
};

/// The size of a drawing, in pixels.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 32.0;

/// A table over several reports.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TableHistory {
    relation: String,
    /// Its verdict in each report, the oldest first.
    marks: Vec<DatedMark>,
    age: Line,
    /// How long its last refresh took.
    refresh: Line,
}

#[derive(Clone, Debug, Serialize)]
struct DatedMark {
    /// Of the report.
    date: String,
    /// None if the table was not checked.
    mark: Option<Mark>,
}

/// A duration over time.
#[derive(Clone, Debug, Serialize)]
struct Line {
    /// Where reports measured it; empty without one.
    points: String,
    /// In words, for those who do not see the line; empty without a duration.
    words: String,
}

/// The first and the last date, between which all lines are.
pub(super) fn span(reports: &[&Report]) -> Option<(String, String)> {
    Some((date(reports.first()?), date(reports.last()?)))
}

fn date(report: &Report) -> String {
    report.started_at.to_offset(time::UtcOffset::UTC).date().to_string()
}

/// Of every table of these reports, by name.
pub(super) fn histories(reports: &[&Report]) -> Vec<TableHistory> {
    let mut marks: BTreeMap<&Relation, Vec<Option<Mark>>> = BTreeMap::new();
    for (number, report) in reports.iter().enumerate() {
        for table in Matrix::of(report).tables {
            let verdict: Verdict = table.verdict;
            marks.entry(table.relation).or_insert_with(|| vec![None; reports.len()])[number] =
                Some(verdict.into());
        }
    }
    marks
        .into_iter()
        .map(|(relation, marks)| {
            let dated = |(report, mark): (&&Report, _)| DatedMark { date: date(report), mark };
            TableHistory {
                relation: plain(relation),
                marks: reports.iter().zip(marks).map(dated).collect(),
                age: Line::of(relation, reports, |age| Some(age.now - age.refreshed_at?)),
                refresh: Line::of(relation, reports, |age| Some(age.refresh_ms? / 1e3)),
            }
        })
        .collect()
}

/// When a report was written and what it measured, both in seconds.
type Measured = (f64, f64);

impl Line {
    fn of(relation: &Relation, reports: &[&Report], measure: impl Fn(&TableAge) -> Option<f64>) -> Self {
        let measured = |report: &&Report| {
            let age = report.ages.iter().find(|age| age.relation == *relation)?;
            Some((seconds(report), measure(age).filter(|seconds| seconds.is_finite())?.max(0.0)))
        };
        let measured: Vec<Measured> = reports.iter().filter_map(measured).collect();
        Self { points: points(&measured, reports), words: sentence(&measured) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the epoch fit a double")]
fn seconds(report: &Report) -> f64 {
    report.started_at.unix_timestamp() as f64
}

/// Time to the right, the duration upwards from zero.
fn points(measured: &[Measured], reports: &[&Report]) -> String {
    let (Some(first), Some(last)) = (reports.first(), reports.last()) else { return String::new() };
    let (first, last) = (seconds(first), seconds(last));
    let longest = measured.iter().map(|(_, seconds)| *seconds).fold(f64::MIN_POSITIVE, f64::max);
    let point = |(at, seconds): &Measured| {
        let x = (at - first) / (last - first).max(1.0) * WIDTH;
        format!("{x:.1},{:.1}", HEIGHT - seconds / longest * HEIGHT)
    };
    measured.iter().map(point).collect::<Vec<_>>().join(" ")
}

fn sentence(measured: &[Measured]) -> String {
    let duration =
        |seconds: f64| words::duration(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let Some((_, last)) = measured.last() else { return String::new() };
    let shortest = measured.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    let longest = measured.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
    format!("{} last, {} to {}", duration(*last), duration(shortest), duration(longest))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::model::{Outcome, Stage};

    fn night(day: i64, verdict: Verdict, age: Option<f64>) -> Report {
        let mut report = Report::begin("check", datetime!(2026-11-01 00:00 UTC) + time::Duration::days(day));
        let relation = Relation::new("s", "t");
        report.outcomes.push(Outcome::new(Stage::Freshness, &relation, verdict, "said"));
        report.ages.push(TableAge {
            relation,
            unique_id: "model.shop.t".into(),
            refreshed_at: age.map(|age| 1_000_000.0 - age),
            refresh_ms: age.map(|age| age * 10.0),
            now: 1_000_000.0,
            limits: None,
        });
        report
    }

    #[test]
    fn ages_and_refresh_times_are_lines_over_time_and_sentences() {
        let nights = [
            night(0, Verdict::Passed, Some(30.0)),
            night(1, Verdict::Failed, None),
            night(2, Verdict::Passed, Some(60.0)),
        ];
        let reports: Vec<&Report> = nights.iter().collect();
        let histories = histories(&reports);
        let marks: Vec<_> =
            histories[0].marks.iter().map(|one| (&*one.date, one.mark.unwrap().word)).collect();
        assert_eq!(marks, [("2026-11-01", "passed"), ("2026-11-02", "failed"), ("2026-11-03", "passed")]);
        assert_eq!(histories[0].age.points, "0.0,16.0 240.0,0.0");
        assert_eq!(histories[0].age.words, "1m00s last, 30.0s to 1m00s");
        assert_eq!(histories[0].refresh.points, "0.0,16.0 240.0,0.0");
        assert_eq!(histories[0].refresh.words, "600ms last, 300ms to 600ms");
        assert_eq!(span(&reports), Some(("2026-11-01".into(), "2026-11-03".into())));
    }

    #[test]
    fn a_table_that_was_not_checked_has_gaps() {
        let mut empty = night(1, Verdict::Passed, None);
        empty.outcomes.clear();
        empty.ages.clear();
        let nights = [night(0, Verdict::Passed, None), empty];
        let histories = histories(&nights.iter().collect::<Vec<_>>());
        assert!(histories[0].marks[1].mark.is_none());
        assert_eq!((histories[0].age.points.as_str(), histories[0].refresh.words.as_str()), ("", ""));
    }
}
