//! The verdicts and ages of each table over several reports.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Mark, plain};
use crate::{
    model::{Relation, Verdict},
    report::{Report, matrix::Matrix, words},
};

/// The size of the drawing of ages, in pixels.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 32.0;

/// A table over several reports.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TableHistory {
    relation: String,
    /// Its verdict in each report, the oldest first; none where it was not checked.
    marks: Vec<Option<Mark>>,
    /// Its age in the reports that measured it, as points of a line; empty without one.
    points: String,
    /// In words, for those who do not see the line; empty without an age.
    ages: String,
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
            let ages = ages(relation, reports);
            TableHistory {
                relation: plain(relation),
                marks,
                points: points(&ages, reports),
                ages: sentence(&ages),
            }
        })
        .collect()
}

/// When a report was written and how old the table was, both in seconds.
type Age = (f64, f64);

fn ages(relation: &Relation, reports: &[&Report]) -> Vec<Age> {
    let age = |report: &&&Report| {
        let age = report.ages.iter().find(|age| age.relation == *relation)?;
        Some((seconds(report), (age.now - age.refreshed_at?).max(0.0)))
    };
    reports.iter().filter_map(|report| age(&report)).filter(|(_, age)| age.is_finite()).collect()
}

#[expect(clippy::cast_precision_loss, reason = "seconds since the epoch fit a double")]
fn seconds(report: &Report) -> f64 {
    report.started_at.unix_timestamp() as f64
}

/// The line of the ages: time to the right, age upwards from zero.
fn points(ages: &[Age], reports: &[&Report]) -> String {
    let (Some(first), Some(last)) = (reports.first(), reports.last()) else { return String::new() };
    let (first, last) = (seconds(first), seconds(last));
    let oldest = ages.iter().map(|(_, age)| *age).fold(1.0, f64::max);
    let point = |(at, age): &Age| {
        let x = (at - first) / (last - first).max(1.0) * WIDTH;
        format!("{x:.1},{:.1}", HEIGHT - age / oldest * HEIGHT)
    };
    ages.iter().map(point).collect::<Vec<_>>().join(" ")
}

fn sentence(ages: &[Age]) -> String {
    let duration =
        |age: f64| words::duration(std::time::Duration::try_from_secs_f64(age).unwrap_or_default());
    let Some((_, now)) = ages.last() else { return String::new() };
    let youngest = ages.iter().map(|(_, age)| *age).fold(f64::INFINITY, f64::min);
    let oldest = ages.iter().map(|(_, age)| *age).fold(0.0, f64::max);
    format!("{} now, {} to {}", duration(*now), duration(youngest), duration(oldest))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{
        judge::freshness::TableAge,
        model::{Outcome, Stage},
    };

    fn night(day: i64, verdict: Verdict, age: Option<f64>) -> Report {
        let mut report = Report::begin("check", datetime!(2026-11-01 00:00 UTC) + time::Duration::days(day));
        let relation = Relation::new("s", "t");
        report.outcomes.push(Outcome::new(Stage::Freshness, &relation, verdict, "said"));
        report.ages.push(TableAge {
            relation,
            unique_id: "model.shop.t".into(),
            refreshed_at: age.map(|age| 1_000_000.0 - age),
            now: 1_000_000.0,
            limits: None,
        });
        report
    }

    #[test]
    fn ages_are_a_line_over_time_and_a_sentence() {
        let nights = [
            night(0, Verdict::Passed, Some(30.0)),
            night(1, Verdict::Failed, None),
            night(2, Verdict::Passed, Some(60.0)),
        ];
        let reports: Vec<&Report> = nights.iter().collect();
        let histories = histories(&reports);
        let words: Vec<_> = histories[0].marks.iter().map(|mark| mark.map(|mark| mark.word)).collect();
        assert_eq!(words, [Some("passed"), Some("failed"), Some("passed")]);
        assert_eq!(histories[0].points, "0.0,16.0 240.0,0.0");
        assert_eq!(histories[0].ages, "1m00s now, 30.0s to 1m00s");
    }

    #[test]
    fn a_table_that_was_not_checked_has_gaps() {
        let mut empty = night(1, Verdict::Passed, None);
        empty.outcomes.clear();
        empty.ages.clear();
        let nights = [night(0, Verdict::Passed, None), empty];
        let histories = histories(&nights.iter().collect::<Vec<_>>());
        assert!(histories[0].marks[1].is_none());
        assert_eq!((histories[0].points.as_str(), histories[0].ages.as_str()), ("", ""));
    }
}
