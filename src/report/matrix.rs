//! The checks at a glance: the verdict of each table in each stage, and the verdicts of everything else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Tally};
use crate::model::{Relation, Stage, Verdict};

/// The worst verdict of a table in each stage.
pub(super) type Stages = BTreeMap<Stage, Verdict>;

pub(super) struct Matrix<'a> {
    /// The tables, the worst first.
    pub(super) tables: Vec<TableVerdicts<'a>>,
    /// The worst verdict and the number of outcomes that are about no table.
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
