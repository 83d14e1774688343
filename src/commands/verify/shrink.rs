//! A finding becomes a case of its own, as small as it gets, and a script.

use std::time::{Duration, Instant};

use super::moving::{Finding, Moving, Wrong, is_immediate};
use crate::{
    judge::equality::Comparable,
    model::{Deployed, Relation, Setting, Value, quote_identifier},
    mutate::{Case, Effect, Evidence, Made, Part, Source, before, without_database},
    pg::{self, Client, Limits},
};

/// A source with more rows is not taken into a database of its own.
const MOST_ROWS: usize = 20_000;

/// The script of a finding.
pub(super) async fn script(
    moving: &Moving<'_>,
    relation: &Relation,
    limits: Limits,
    patience: Duration,
    engine: &str,
) -> Result<String, pg::Error> {
    let Some((finding, table)) = moving.findings.get(relation).zip(moving.comparables.get(relation)) else {
        return Ok(String::new());
    };
    let database = &moving.client.endpoint().database;
    let table = Comparable {
        query: without_database(&table.query, database),
        with_ties: table.with_ties.as_ref().map(|query| without_database(query, database)),
        ..table.clone()
    };
    let whole = Whole::of(moving, relation, finding).await?;
    let mut laboratory = match Laboratory::open(moving.client, limits).await {
        Ok(laboratory) => Some(laboratory),
        Err(pg::Error::Server { .. } | pg::Error::Connect { .. }) => None,
        Err(lost) => return Err(lost),
    };
    let mut smallest = None;
    if let Some(laboratory) = &mut laboratory {
        laboratory.deadline = Instant::now() + patience;
        for case in [whole.last_round(), whole.all_rounds()] {
            if laboratory.shows(&case, &table, &finding.what, moving.wishes.tolerance).await? {
                smallest =
                    Some(laboratory.smallest(case, &table, &finding.what, moving.wishes.tolerance).await?);
                break;
            }
        }
    }
    if let Some(laboratory) = laboratory {
        laboratory.close(moving.client).await?;
    }
    let (wrong, details) = match &finding.what {
        Wrong::Differs(difference) => (difference.sentence(), difference.lines(&table.columns)),
        Wrong::Refresh(message) => (format!("its refresh fails: {}", message.message), message.details()),
    };
    let evidence = Evidence {
        wrong,
        details,
        engine: engine.to_owned(),
        found: format!("seed {}, round {}", moving.wishes.seed, finding.round + 1),
        seen_again: smallest.is_some(),
        table: &table,
    };
    Ok(smallest.unwrap_or_else(|| whole.all_rounds()).script(&evidence))
}

/// All that has to do with a finding.
struct Whole {
    sources: Vec<Source>,
    others: Vec<String>,
    tables: Vec<Made>,
    /// The rows before the first round, and before the round in which it was found.
    at_first: Vec<Vec<crate::mutate::Row>>,
    at_last: Vec<Vec<crate::mutate::Row>>,
    rounds: Vec<Vec<Vec<crate::mutate::Change>>>,
}

impl Whole {
    async fn of(moving: &Moving<'_>, relation: &Relation, finding: &Finding) -> Result<Self, pg::Error> {
        let concerned = upstream(moving, relation);
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

        let effects = |rounds: std::ops::Range<usize>| -> Vec<&Effect> {
            moving.rounds[rounds].iter().flatten().flatten().map(|(_, effect)| effect).collect()
        };
        let end = moving.rounds.len();
        let (mut at_first, mut at_last, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for at in &numbers {
            let source = moving.sources()[*at].clone();
            let now = moving.client.all_rows(&source, MOST_ROWS).await?.unwrap_or_default();
            at_first.push(before(&now, *at, &effects(0..end)));
            at_last.push(before(&now, *at, &effects(finding.round..end)));
            sources.push(source);
        }
        let renumbered = |transaction: &super::moving::Transaction| -> Vec<crate::mutate::Change> {
            transaction
                .iter()
                .filter_map(|(change, _)| {
                    let place = numbers.iter().position(|at| *at == change.source())?;
                    Some(change.clone().of_source(place))
                })
                .collect()
        };
        let rounds = moving.rounds[..=finding.round]
            .iter()
            .map(|round| round.iter().map(renumbered).collect())
            .collect();
        Ok(Self { sources, others, tables, at_first, at_last, rounds })
    }

    fn case(&self, rows: &[Vec<crate::mutate::Row>], rounds: &[Vec<Vec<crate::mutate::Change>>]) -> Case {
        Case {
            sources: self.sources.clone(),
            rows: rows.to_vec(),
            others: self.others.clone(),
            tables: self.tables.clone(),
            rounds: rounds.to_vec(),
        }
    }

    fn last_round(&self) -> Case {
        self.case(&self.at_last, &self.rounds[self.rounds.len() - 1..])
    }

    fn all_rounds(&self) -> Case {
        self.case(&self.at_first, &self.rounds)
    }
}

/// The table and the stream tables below it.
fn upstream(moving: &Moving<'_>, relation: &Relation) -> Vec<Relation> {
    let mut concerned = vec![relation.clone()];
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
    let mode = if is_immediate(table) {
        "IMMEDIATE"
    } else {
        table.settings.refresh_mode().unwrap_or("DIFFERENTIAL")
    };
    let partition = match table.settings.get(Setting::PartitionBy) {
        Some(Value::Text(by)) if !by.is_empty() => Some(("partition_by", crate::model::quote_literal(by))),
        _ => None,
    };
    Made {
        relation: table.relation.clone(),
        query: without_database(&table.query, database),
        mode: mode.to_owned(),
        arguments: partition.into_iter().collect(),
    }
}

/// A database beside the one that is verified, in which cases are tried and leave nothing.
struct Laboratory {
    client: Client,
    name: String,
    deadline: Instant,
}

impl Laboratory {
    async fn open(beside: &Client, limits: Limits) -> Result<Self, pg::Error> {
        let name = format!("pgtrickle_ci_case_{}", std::process::id());
        let quoted = quote_identifier(&name);
        beside.run_script(&format!("drop database if exists {quoted} with (force)")).await?;
        beside.run_script(&format!("create database {quoted}")).await?;
        let client = Client::connect(&beside.endpoint().with_database(&name), limits).await?;
        client.run_script("create extension pg_trickle").await?;
        client.limit(limits.statement).await?;
        Ok(Self { client, name, deadline: Instant::now() })
    }

    async fn close(self, beside: &Client) -> Result<(), pg::Error> {
        drop(self.client);
        beside
            .run_script(&format!("drop database if exists {} with (force)", quote_identifier(&self.name)))
            .await
    }

    /// Takes parts away as long as what is left still shows it.
    async fn smallest(
        &self,
        mut case: Case,
        table: &Comparable,
        wrong: &Wrong,
        tolerance: f64,
    ) -> Result<Case, pg::Error> {
        let mut before = None;
        while before.as_ref() != Some(&case) && Instant::now() < self.deadline {
            before = Some(case.clone());
            for part in Part::ALL {
                let mut size = case.count(part).div_ceil(2);
                while size > 0 && Instant::now() < self.deadline {
                    let mut from = 0;
                    while from < case.count(part) && Instant::now() < self.deadline {
                        match case.without(part, &(from..from + size)) {
                            Some(less) if self.shows(&less, table, wrong, tolerance).await? => case = less,
                            _ => from += size,
                        }
                    }
                    size = if size == 1 { 0 } else { size.div_ceil(2) };
                }
            }
        }
        Ok(case)
    }

    /// Whether the same goes wrong with this case. All in one transaction, which is rolled back.
    async fn shows(
        &self,
        case: &Case,
        table: &Comparable,
        wrong: &Wrong,
        tolerance: f64,
    ) -> Result<bool, pg::Error> {
        let shown = self.try_case(case, table, wrong, tolerance).await;
        self.client.run_script("rollback").await?;
        match shown {
            Err(pg::Error::Server { .. } | pg::Error::Answer { .. }) => Ok(false),
            shown => shown,
        }
    }

    async fn try_case(
        &self,
        case: &Case,
        table: &Comparable,
        wrong: &Wrong,
        tolerance: f64,
    ) -> Result<bool, pg::Error> {
        self.client.run_script(&format!("begin; {}", case.setup().join(";\n"))).await?;
        let statements = case.rounds.iter().flat_map(|round| case.round(round));
        let inside: Vec<String> =
            statements.filter(|statement| statement != "begin" && statement != "commit").collect();
        match (self.client.run_script(&inside.join(";\n")).await, wrong) {
            (Err(pg::Error::Server { message, .. }), Wrong::Refresh(expected)) => {
                Ok(message.code == expected.code)
            }
            (Err(error), _) => Err(error),
            (Ok(()), Wrong::Refresh(_)) => Ok(false),
            (Ok(()), Wrong::Differs(_)) => Ok(!self.client.compare_here(table, tolerance).await?.is_none()),
        }
    }
}
