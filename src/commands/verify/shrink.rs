//! A finding becomes a case of its own, as small as it gets, and a script.

use super::{
    laboratory::{Laboratory, Sought},
    moving::{Finding, Moving, Transaction, Wishes, Wrong},
};
use crate::{
    judge::equality::Comparable,
    model::{Deployed, Relation, Setting, Value},
    mutate::{Case, Change, Effect, Evidence, Made, Pace, Row, Seen, Source, before, without_database},
    pg::{self, Client, Limits},
    sql::quote_literal,
};

/// A source with more rows is not taken into a database of its own.
const MOST_ROWS: usize = 20_000;
/// How many cases are tried for all findings together, and at least for each of them. Counted and not timed, so that a
/// seed leads to the same script on any machine.
const TRIES: usize = 1200;
const LEAST_TRIES: usize = 200;
/// How many where each takes seconds, as it waits for the scheduler.
const SLOW_TRIES: usize = 12;

/// All that has to do with a finding.
pub(super) struct Whole {
    pub(super) relation: Relation,
    table: Comparable,
    finding: Finding,
    sources: Vec<Source>,
    others: Vec<String>,
    tables: Vec<Made>,
    /// The rows before the first round, and before the round in which it was found.
    at_first: Vec<Vec<Row>>,
    at_last: Vec<Vec<Row>>,
    rounds: Vec<Vec<Vec<Change>>>,
    pace: Pace,
}

impl Whole {
    /// A finding, while the sources hold what the rounds have left.
    pub(super) async fn of(moving: &Moving<'_>, relation: &Relation) -> Result<Option<Self>, pg::Error> {
        let (Some(finding), Some(table)) = (moving.findings.get(relation), moving.comparables.get(relation))
        else {
            return Ok(None);
        };
        let concerned = concerned(moving, relation);
        let is_concerned = |deployed: &&&Deployed| concerned.contains(&deployed.table.relation);
        let database = &moving.client.endpoint().database;
        let mut tables: Vec<Made> =
            moving.tables.iter().filter(is_concerned).map(|deployed| made(deployed, database)).collect();
        tables.sort_by_key(|table| table.relation == *relation);
        let reads = |source: &&Source| source.readers.iter().any(|reader| concerned.contains(reader));
        let numbers: Vec<usize> = (0..moving.sources().len())
            .filter(|at| reads(&&moving.sources()[*at]) && moving.sources()[*at].view.is_none())
            .collect();
        let view = |source: &Source| {
            let query = source.view.as_ref()?.trim_end_matches([' ', ';', '\n']).to_owned();
            Some(format!("create view {} as {query}", source.relation.quoted()))
        };
        let others = moving.sources().iter().filter(reads).filter_map(view).collect();

        let effects = |rounds: &'_ [Vec<Transaction>]| -> Vec<Effect> {
            rounds.iter().flatten().flatten().map(|(_, effect)| effect.clone()).collect()
        };
        let all = effects(&moving.rounds);
        let last = effects(&moving.rounds[moving.rounds.len().saturating_sub(1)..]);
        let (all, last): (Vec<&Effect>, Vec<&Effect>) = (all.iter().collect(), last.iter().collect());
        let (mut at_first, mut at_last, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for at in &numbers {
            let source = moving.sources()[*at].clone();
            let now = moving.client.all_rows(&source, MOST_ROWS).await?.unwrap_or_default();
            at_first.push(before(&now, *at, &all));
            at_last.push(before(&now, *at, &last));
            sources.push(source);
        }
        let renumbered = |transaction: &Transaction| -> Vec<Change> {
            transaction
                .iter()
                .filter_map(|(change, _)| {
                    let place = numbers.iter().position(|at| *at == change.source())?;
                    Some(change.clone().of_source(place))
                })
                .collect()
        };
        let rounds = moving.rounds.iter().map(|round| round.iter().map(renumbered).collect()).collect();
        let table = Comparable {
            query: without_database(&table.query, database),
            with_ties: table.with_ties.as_ref().map(|query| without_database(query, database)),
            ..table.clone()
        };
        let from_log = sources.iter().any(|source| source.from_log);
        let pace = Pace { from_log, by_scheduler: moving.wishes.by_scheduler };
        let (relation, finding) = (relation.clone(), finding.clone());
        Ok(Some(Self { relation, table, finding, sources, others, tables, at_first, at_last, rounds, pace }))
    }

    /// The script, as small as so many tries make it.
    pub(super) async fn script(
        &self,
        beside: &Client,
        limits: Limits,
        findings: usize,
        wishes: &Wishes,
        engine: &str,
    ) -> Result<String, pg::Error> {
        let tries = LEAST_TRIES.max(TRIES / findings.max(1));
        let sought =
            Sought { table: &self.table, wrong: &self.finding.what, tolerance: wishes.terms.tolerance };
        let (case, seen) = if wishes.commits {
            match Laboratory::open(beside, limits, tries).await {
                Ok(mut laboratory) => {
                    let smallest = self.smallest(&mut laboratory, &sought, beside).await?;
                    laboratory.close(beside).await?;
                    smallest
                }
                Err(pg::Error::Server { .. } | pg::Error::Connect { .. }) => {
                    (Case { pace: self.pace, ..self.all_rounds() }, Seen::Once)
                }
                Err(lost) => return Err(lost),
            }
        } else {
            // A database beside the named one would stay behind when we are killed.
            (self.all_rounds(), if self.finding.round == 0 { Seen::Stale } else { Seen::RolledBack })
        };
        let (wrong, details) = match &self.finding.what {
            Wrong::Differs(difference) => (difference.sentence(), difference.lines(&self.table.columns)),
            Wrong::Refresh(message) => (format!("its refresh fails: {}", message.message), message.details()),
        };
        let engine = engine.to_owned();
        let by = if wishes.by_scheduler { ", refreshed by the scheduler" } else { "" };
        let found = format!("seed {}, round {}{by}", wishes.seed, self.finding.round);
        Ok(case.script(&Evidence { wrong, details, engine, found, seen, table: &self.table }))
    }

    /// The smallest case that shows it again when every statement is committed.
    async fn smallest(
        &self,
        laboratory: &mut Laboratory,
        sought: &Sought<'_>,
        beside: &Client,
    ) -> Result<(Case, Seen), pg::Error> {
        let mut whole = vec![self.last_round(), self.all_rounds()];
        whole.dedup();
        for case in &whole {
            if laboratory.shows(case, sought, beside).await? {
                let smallest = laboratory.smallest(case.clone(), sought, beside).await?;
                if laboratory.shows_for_good(&smallest, sought, beside).await? {
                    return Ok((smallest, Seen::Reduced));
                }
            }
        }
        // In one transaction it does not show: some things take a commit between them, or the scheduler.
        for case in &whole {
            if laboratory.shows_for_good(case, sought, beside).await? {
                return Ok((case.clone(), Seen::Again));
            }
        }
        if self.pace.by_scheduler && !self.pace.from_log {
            for case in whole.into_iter().map(|case| Case { pace: self.pace, ..case }) {
                if laboratory.shows_for_good(&case, sought, beside).await? {
                    laboratory.allow(SLOW_TRIES);
                    return Ok((laboratory.smallest(case, sought, beside).await?, Seen::Reduced));
                }
            }
        }
        let seen = match self.pace {
            _ if self.finding.round == 0 => Seen::Stale,
            Pace { from_log: true, .. } => Seen::FromLog,
            _ => Seen::Once,
        };
        Ok((Case { pace: self.pace, ..self.all_rounds() }, seen))
    }

    fn case(&self, rows: &[Vec<Row>], rounds: &[Vec<Vec<Change>>]) -> Case {
        Case {
            sources: self.sources.clone(),
            rows: rows.to_vec(),
            others: self.others.clone(),
            tables: self.tables.clone(),
            rounds: rounds.to_vec(),
            pace: Pace::default(),
        }
    }

    fn last_round(&self) -> Case {
        self.case(&self.at_last, &self.rounds[self.rounds.len().saturating_sub(1)..])
    }

    fn all_rounds(&self) -> Case {
        self.case(&self.at_first, &self.rounds)
    }
}

/// The table and the stream tables below it, and whoever else reads a source that is captured from the log: all of them
/// decide what is (docs/pg_trickle.md, "Change capture").
fn concerned(moving: &Moving<'_>, relation: &Relation) -> Vec<Relation> {
    let below = upstream(moving, vec![relation.clone()]);
    let is_read = |source: &&Source| source.readers.iter().any(|reader| below.contains(reader));
    let logged = moving.sources().iter().filter(|source| source.from_log).filter(is_read);
    upstream(moving, logged.flat_map(|source| &source.readers).chain(&below).cloned().collect())
}

/// The tables and the stream tables below them.
fn upstream(moving: &Moving<'_>, mut concerned: Vec<Relation>) -> Vec<Relation> {
    let mut next = 0;
    while let Some(relation) = concerned.get(next).cloned() {
        let table = moving.tables.iter().find(|deployed| deployed.table.relation == relation);
        for up in table.into_iter().flat_map(|deployed| &deployed.table.upstream) {
            if !concerned.contains(up) {
                concerned.push(up.clone());
            }
        }
        next += 1;
    }
    concerned
}

fn made(deployed: &Deployed, database: &str) -> Made {
    let table = &deployed.table;
    let mode = table.settings.refresh_mode().unwrap_or("DIFFERENTIAL");
    let partition = match table.settings.get(Setting::PartitionBy) {
        Some(Value::Text(by)) if !by.is_empty() => Some(("partition_by", quote_literal(by))),
        _ => None,
    };
    let is_appended = table.settings.get(Setting::AppendOnly) == Some(&Value::Bool(true));
    let append_only = is_appended.then(|| ("append_only", "true".to_owned()));
    Made {
        relation: table.relation.clone(),
        query: without_database(&table.query, database),
        mode: mode.to_owned(),
        arguments: partition.into_iter().chain(append_only).collect(),
    }
}
