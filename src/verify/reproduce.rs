//! The script that reproduces a finding, as small as possible.

use super::{
    changes::{Changes, Transaction},
    finding::{Fault, Finding},
    scratch::{Expected, ScratchDatabase},
    settings::RoundSettings,
    subjects::{Subjects, is_immediate},
};
use crate::{
    judge::equality::Comparable,
    model::{Deployed, Outcome, Relation, Setting, Value},
    mutate::{
        Case, CaseTable, CaseView, Change, Effect, Needed, Pace, Reproducibility, Row, ScriptHeader, Source,
        before, without_database,
    },
    pg::{self, Client, Limits},
    sql::quote_literal,
};

/// A source with more rows is not copied into the scratch database.
const MOST_ROWS: usize = 20_000;
/// The tries for all findings together, and at least for each. Counted and not timed, so that a seed leads to the same
/// script on any machine.
const TRIES: usize = 1200;
const LEAST_TRIES: usize = 200;
/// The tries if each takes a database of its own.
const COMMITTED_TRIES: usize = 80;
/// The tries if each waits seconds for the scheduler.
const SLOW_TRIES: usize = 12;

/// All that is needed to reproduce a finding.
pub(super) struct Reproduction {
    pub(super) relation: Relation,
    table: Comparable,
    /// The tables without which it does not exist.
    needed: Vec<Relation>,
    pub(super) finding: Finding,
    sources: Vec<Source>,
    objects: Vec<Needed>,
    others: Vec<String>,
    views: Vec<CaseView>,
    tables: Vec<CaseTable>,
    /// The rows before the first round.
    before_first: Vec<Vec<Row>>,
    /// The rows before the round of the finding.
    before_last: Vec<Vec<Row>>,
    rounds: Vec<Vec<Vec<Change>>>,
    pace: Pace,
}

impl Reproduction {
    /// Reads the rows of the sources, which contain the changes of the rounds.
    pub(super) async fn of(
        (relation, finding, by_scheduler): (&Relation, &Finding, bool),
        subjects: &Subjects<'_>,
        changes: &Changes,
        client: &Client,
    ) -> Result<Option<Self>, pg::Error> {
        let Some(table) = subjects.comparables.get(relation) else { return Ok(None) };
        let (all_sources, history) = (changes.sources(), &changes.history);
        let needed = involved(subjects, all_sources, relation);
        let involved = with_other_readers(subjects, all_sources, &needed);
        let is_involved = |deployed: &&&Deployed| involved.contains(&deployed.table.relation);
        let database = &client.endpoint().database;
        let deployed = subjects.tables.iter().filter(is_involved);
        let mut tables: Vec<CaseTable> = deployed.map(|deployed| scratch_table(deployed, database)).collect();
        tables.sort_by_key(|table| table.relation == *relation);
        let reads = |source: &&Source| source.readers.iter().any(|reader| involved.contains(reader));
        let numbers: Vec<usize> = (0..all_sources.len())
            .filter(|at| reads(&&all_sources[*at]) && all_sources[*at].view.is_none())
            .collect();
        let last = history.len().saturating_sub(1);
        let (all, last) = (effects(history), effects(&history[last..]));
        let (mut before_first, mut before_last, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for at in &numbers {
            let source = all_sources[*at].clone();
            let now = client.all_rows(&source, MOST_ROWS).await?.unwrap_or_default();
            before_first.push(before(&now, *at, &all));
            before_last.push(before(&now, *at, &last));
            sources.push(source);
        }
        let is_view =
            |relation: &Relation| all_sources.iter().filter(reads).any(|source| source.relation == *relation);
        let is_there = |change: &Change| {
            change.refreshed().is_none_or(|relation| involved.contains(relation) || is_view(relation))
        };
        let relations: Vec<Relation> =
            all_sources.iter().filter(reads).map(|source| source.relation.clone()).collect();
        let objects = client.needed_objects(&relations, &subjects.functions.oids(&involved)).await?;
        let from_log = sources.iter().any(|source| source.from_log);
        Ok(Some(Self {
            relation: relation.clone(),
            needed,
            table: Comparable {
                query: without_database(&table.query, database),
                with_ties: table.with_ties.as_ref().map(|query| without_database(query, database)),
                ..table.clone()
            },
            finding: finding.clone(),
            objects,
            others: others(subjects, &involved),
            views: all_sources.iter().filter(reads).filter_map(case_view).collect(),
            sources,
            tables,
            before_first,
            before_last,
            rounds: with_refused(renumbered(history, &numbers, is_there), finding, &numbers),
            pace: Pace { from_log, by_scheduler },
        }))
    }

    /// Whether it reproduces this finding in this table.
    pub(super) fn is_of(&self, relation: &Relation, finding: &Finding) -> bool {
        self.relation == *relation && self.finding.is_of_query() == finding.is_of_query()
    }

    /// Whether this is the outcome of its table.
    pub(super) fn is_about(&self, outcome: &Outcome) -> bool {
        outcome.subject.relation() == Some(&self.relation)
    }

    /// The script with all changes.
    pub(super) fn unreduced(&self, settings: &RoundSettings, engine: &str) -> String {
        let case = Case { pace: self.pace, ..self.all_rounds() };
        self.script(&case, Reproducibility::Untried, settings, engine)
    }

    /// The case, reduced as far as the tries allow, and its script.
    pub(super) async fn reduced(
        &self,
        verified: &Client,
        limits: Limits,
        findings: usize,
        settings: &RoundSettings,
        engine: &str,
    ) -> Result<(Case, String), pg::Error> {
        let tries = LEAST_TRIES.max(TRIES / findings.max(1));
        let expected =
            Expected { table: &self.table, fault: &self.finding.fault, tolerance: settings.terms.tolerance };
        let (case, seen) = if settings.commits() {
            match ScratchDatabase::open(verified, limits, tries).await {
                Ok(mut scratch) => {
                    let smallest = self.smallest(&mut scratch, &expected, verified).await?;
                    scratch.close(verified).await?;
                    smallest
                }
                Err(pg::Error::Server { .. } | pg::Error::Connect { .. }) => {
                    (Case { pace: self.pace, ..self.alone(self.all_rounds()) }, Reproducibility::Untried)
                }
                Err(lost) => return Err(lost),
            }
        } else {
            // A killed verification would leave a scratch database on the named server.
            (
                self.alone(self.all_rounds()),
                if self.finding.round == 0 { Reproducibility::Stale } else { Reproducibility::RolledBack },
            )
        };
        let script = self.script(&case, seen, settings, engine);
        Ok((case, script))
    }

    fn script(&self, case: &Case, seen: Reproducibility, settings: &RoundSettings, engine: &str) -> String {
        let (wrong, mut details) = match &self.finding.fault {
            Fault::Differs(difference) => (difference.sentence(), difference.lines(&self.table.columns)),
            Fault::RefreshFails(message) => {
                (format!("its refresh fails: {}", message.message), message.details())
            }
            Fault::WriteFails(source, message) => {
                (format!("writes to {source} fail: {}", message.message), message.details())
            }
            Fault::QueryFails(message) => {
                (format!("{}: {}", self.finding.failing_query(), message.message), message.details())
            }
        };
        details.extend(self.finding.beside());
        let engine = engine.to_owned();
        let by = if settings.by_scheduler { ", refreshed by the scheduler" } else { "" };
        let fails = !matches!(self.finding.fault, Fault::Differs(_));
        let found = format!("seed {}, round {}{by}", settings.seed, self.finding.round);
        case.script(&ScriptHeader { wrong, details, engine, found, seen, fails, table: &self.table })
    }

    /// The smallest case that reproduces the fault with committed statements.
    async fn smallest(
        &self,
        scratch: &mut ScratchDatabase,
        expected: &Expected<'_>,
        verified: &Client,
    ) -> Result<(Case, Reproducibility), pg::Error> {
        let (last, all) = (self.last_round(), self.all_rounds());
        let mut whole = vec![self.alone(last.clone()), self.alone(all.clone()), last, all];
        whole.dedup();
        for case in whole.iter().map(Case::closed) {
            if scratch.reproduces(&case, expected, verified).await? {
                let smallest = scratch.smallest(case, expected, verified).await?;
                if scratch.reproduces_committed(&smallest, expected, verified).await? {
                    return Ok((smallest, Reproducibility::Reduced));
                }
            }
        }
        // Some faults need commits, or a transaction that stays open, or the scheduler.
        for case in &whole {
            if scratch.reproduces_committed(case, expected, verified).await? {
                if !case.has_open() {
                    return Ok((case.clone(), Reproducibility::Again));
                }
                scratch.allow(COMMITTED_TRIES);
                let smallest = scratch.smallest(case.clone(), expected, verified).await?;
                return Ok((smallest, Reproducibility::Reduced));
            }
        }
        if self.pace.by_scheduler && !self.pace.from_log {
            for case in whole.into_iter().map(|case| Case { pace: self.pace, ..case }) {
                if scratch.reproduces_committed(&case, expected, verified).await? {
                    scratch.allow(SLOW_TRIES);
                    return Ok((scratch.smallest(case, expected, verified).await?, Reproducibility::Reduced));
                }
            }
        }
        let seen = match self.pace {
            _ if self.finding.round == 0 => Reproducibility::Stale,
            Pace { from_log: true, .. } => Reproducibility::FromLog,
            _ => Reproducibility::Once,
        };
        Ok((Case { pace: self.pace, ..self.all_rounds() }, seen))
    }

    fn case(&self, rows: &[Vec<Row>], rounds: &[Vec<Vec<Change>>]) -> Case {
        Case {
            sources: self.sources.clone(),
            rows: rows.to_vec(),
            objects: self.objects.clone(),
            others: self.others.clone(),
            views: self.views.clone(),
            tables: self.tables.clone(),
            rounds: rounds.to_vec(),
            pace: Pace::default(),
        }
    }

    /// The case without tables that the wrong one does not need.
    fn alone(&self, mut case: Case) -> Case {
        case.keep_tables(&self.needed);
        case
    }

    fn last_round(&self) -> Case {
        self.case(&self.before_last, &self.rounds[self.rounds.len().saturating_sub(1)..])
    }

    fn all_rounds(&self) -> Case {
        self.case(&self.before_first, &self.rounds)
    }
}

/// The effects of all changes of these rounds, in their order.
fn effects(rounds: &[Vec<Transaction>]) -> Vec<&Effect> {
    rounds.iter().flatten().flatten().map(|(_, effect)| effect).collect()
}

/// The changes of these sources, with their positions in `sources` as their numbers, without refreshes of what is not there.
fn renumbered(
    rounds: &[Vec<Transaction>],
    sources: &[usize],
    is_there: impl Fn(&Change) -> bool,
) -> Vec<Vec<Vec<Change>>> {
    let change = |(change, _): &(Change, Effect)| {
        if is_there(change) { renumbered_change(change, sources) } else { None }
    };
    let transaction =
        |transaction: &Transaction| transaction.iter().filter_map(change).collect::<Vec<Change>>();
    let transactions = |round: &Vec<Transaction>| {
        round.iter().map(transaction).filter(|changes| !changes.is_empty()).collect()
    };
    rounds.iter().map(transactions).collect()
}

fn renumbered_change(change: &Change, sources: &[usize]) -> Option<Change> {
    let position = sources.iter().position(|at| *at == change.source())?;
    Some(change.clone().of_source(position))
}

/// The rounds with the statement that the server refused at their end.
fn with_refused(
    mut rounds: Vec<Vec<Vec<Change>>>,
    finding: &Finding,
    sources: &[usize],
) -> Vec<Vec<Vec<Change>>> {
    let refused = finding.refused.as_ref().and_then(|change| renumbered_change(change, sources));
    if let (Some(round), Some(change)) = (rounds.last_mut(), refused) {
        round.push(vec![change]);
    }
    rounds
}

/// The settings of the database, and the statements that create the functions of these tables. The bodies of functions are
/// not checked, so that their order does not matter.
fn others(subjects: &Subjects<'_>, involved: &[Relation]) -> Vec<String> {
    let functions = subjects.functions.definitions(involved);
    let unchecked = (!functions.is_empty()).then(|| "set check_function_bodies = off".to_owned());
    let settings = subjects.engine_settings.iter().cloned();
    settings.chain(unchecked).chain(functions).collect()
}

/// A source that is a view.
fn case_view(source: &Source) -> Option<CaseView> {
    let query = source.view.as_ref()?.trim_end_matches([' ', ';', '\n']);
    let what = if source.snapshot_of.is_some() { "materialized view" } else { "view" };
    let sql = format!("create {what} {} as {query}", source.relation.quoted());
    Some(CaseView { relation: source.relation.clone(), readers: source.readers.clone(), sql })
}

/// The table, its upstream stream tables, and the other readers of a source that is captured from the log, which decide
/// what is captured (docs/pg_trickle.md, "Change capture").
fn involved(subjects: &Subjects<'_>, sources: &[Source], relation: &Relation) -> Vec<Relation> {
    let below = subjects.with_upstream(vec![relation.clone()]);
    let is_read = |source: &&Source| source.readers.iter().any(|reader| below.contains(reader));
    let logged = sources.iter().filter(|source| source.from_log).filter(is_read);
    subjects.with_upstream(logged.flat_map(|source| &source.readers).chain(&below).cloned().collect())
}

/// Also the other tables that read nothing else: a refresh of one reader may harm another.
fn with_other_readers(subjects: &Subjects<'_>, sources: &[Source], involved: &[Relation]) -> Vec<Relation> {
    let is_read_by =
        |source: &&Source, tables: &[Relation]| source.readers.iter().any(|reader| tables.contains(reader));
    let reads_nothing_else = |relation: &Relation| {
        let own = [relation.clone()];
        let mut read = sources.iter().filter(|source| is_read_by(source, &own)).peekable();
        read.peek().is_some()
            && read.all(|source| is_read_by(&source, involved))
            && subjects.upstream(relation).all(|up| involved.contains(up))
    };
    let others = subjects.tables.iter().map(|deployed| &deployed.table.relation);
    let is_refreshed =
        |relation: &&Relation| subjects.find(relation).is_some_and(|deployed| !is_immediate(&deployed.table));
    let others = others.filter(is_refreshed);
    let others = others.filter(|relation| !involved.contains(relation) && reads_nothing_else(relation));
    involved.iter().chain(others).cloned().collect()
}

fn scratch_table(deployed: &Deployed, database: &str) -> CaseTable {
    let table = &deployed.table;
    let mode = table.settings.refresh_mode().unwrap_or("DIFFERENTIAL");
    let partition = match table.settings.get(Setting::PartitionBy) {
        Some(Value::Text(by)) if !by.is_empty() => Some(("partition_by", quote_literal(by))),
        _ => None,
    };
    let is_appended = table.settings.get(Setting::AppendOnly) == Some(&Value::Bool(true));
    let append_only = is_appended.then(|| ("append_only", "true".to_owned()));
    CaseTable {
        relation: table.relation.clone(),
        query: without_database(&table.query, database),
        mode: mode.to_owned(),
        arguments: partition.into_iter().chain(append_only).collect(),
    }
}
