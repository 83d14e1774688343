//! The checks at a glance: the verdict of each table in each stage, and the verdicts of everything else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Tally};
use crate::model::{Relation, Stage, Verdict};

/// The worst verdict of a table in each stage.
pub(super) type Stages = BTreeMap<Stage, Verdict>;

pub(super) struct Matrix<'a> {
    /// The tables, the worst first.
    pub(super) tables: Vec<TableVerdicts<'a>>,
    /// The worst verdict and the number of outcomes with another subject.
    pub(super) others: BTreeMap<Stage, (Verdict, Tally)>,
}

pub(super) struct TableVerdicts<'a> {
    /// The worst of its stages.
    pub(super) verdict: Verdict,
    pub(super) relation: &'a Relation,
    pub(super) stages: Stages,
}

impl<'a> Matrix<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let mut tables: BTreeMap<&Relation, Stages> = BTreeMap::new();
        let mut others: BTreeMap<Stage, (Verdict, Tally)> = BTreeMap::new();
        for outcome in &report.outcomes {
            if let Some(relation) = outcome.subject.relation() {
                let stages = tables.entry(relation).or_default();
                let worst = stages.entry(outcome.stage).or_insert(outcome.verdict);
                *worst = (*worst).max(outcome.verdict);
            } else {
                let (worst, tally) =
                    others.entry(outcome.stage).or_insert((outcome.verdict, Tally::default()));
                *worst = (*worst).max(outcome.verdict);
                tally.count(outcome.verdict);
            }
        }
        for outcome in &report.outcomes {
            for relation in &outcome.concerns {
                // What is good about a table that nothing else is said about needs no row.
                let stages = match outcome.verdict {
                    Verdict::Passed | Verdict::Skipped => tables.get_mut(relation),
                    Verdict::Warned | Verdict::Failed | Verdict::Errored => {
                        Some(tables.entry(relation).or_default())
                    }
                };
                if let Some(stages) = stages {
                    let worst = stages.entry(outcome.stage).or_insert(outcome.verdict);
                    *worst = (*worst).max(outcome.verdict);
                }
            }
        }
        let with_verdict = |(relation, stages): (&'a Relation, Stages)| {
            let verdict = stages.values().copied().max().unwrap_or(Verdict::Skipped);
            TableVerdicts { verdict, relation, stages }
        };
        let mut tables: Vec<_> = tables.into_iter().map(with_verdict).collect();
        tables.sort_by_key(|table| (std::cmp::Reverse(table.verdict), table.relation));
        Self { tables, others }
    }
}

/// The stages of these tables.
pub(super) fn stages_of(tables: &[TableVerdicts]) -> BTreeSet<Stage> {
    tables.iter().flat_map(|table| table.stages.keys().copied()).collect()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::model::Outcome;

    #[test]
    fn a_table_has_the_marks_of_what_concerns_it_and_the_worst_come_first() {
        use Stage::{Capture, Status, Test};
        let [good, broken, upstream] =
            ["a_good", "b_broken", "c_upstream"].map(|name| Relation::new("s", name));
        let mut report = Report::begin("check", OffsetDateTime::UNIX_EPOCH);
        report.outcomes = vec![
            Outcome::new(Status, &good, Verdict::Passed, "active"),
            Outcome::new(Status, &broken, Verdict::Passed, "active"),
            Outcome::new(Capture, "raw.orders", Verdict::Failed, "the trigger is missing")
                .concerning([&broken]),
            Outcome::new(Capture, "raw.items", Verdict::Passed, "captured")
                .concerning([&good, &broken, &upstream]),
            Outcome::new(Test, "unique", Verdict::Passed, "passed").concerning([&good]),
            Outcome::new(Test, "not_null", Verdict::Warned, "1 row").concerning([&good]),
        ];
        let Matrix { tables, others } = Matrix::of(&report);
        let shown: Vec<_> = tables.iter().map(|table| (&*table.relation.name, table.verdict)).collect();
        assert_eq!(shown, [("b_broken", Verdict::Failed), ("a_good", Verdict::Warned)]);
        assert_eq!(tables[0].stages[&Capture], Verdict::Failed);
        assert_eq!(
            tables[1].stages,
            Stages::from([(Status, Verdict::Passed), (Capture, Verdict::Passed), (Test, Verdict::Warned),])
        );
        assert_eq!(others[&Capture].0, Verdict::Failed);
        // An upstream table that was not judged itself has a row if something is wrong with it.
        report.outcomes[3].verdict = Verdict::Errored;
        let tables = Matrix::of(&report).tables;
        assert_eq!((tables.len(), tables[2].relation), (3, &upstream));
    }
}
