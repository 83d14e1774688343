//! Rounds of changes, each followed by a refresh and a comparison of every table downstream of what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::undo::Undo;
use crate::{
    judge::equality::{Comparable, Difference, Terms},
    model::{Deployed, Relation, Setting, StreamTable, Value},
    mutate::{Change, Effect, Mutator, Source, delicacy},
    pg::{self, Changed, Client, ServerMessage},
    plan::order,
};

/// So many times as much attention goes to a table that the change is about.
const CHANGED: usize = 10;

/// How to verify.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// How long.
    pub budget: Duration,
    /// What decides which rows are changed.
    pub seed: u64,
    /// What counts as equal, and what is left out.
    pub terms: Terms,
    /// The scheduler refreshes, and nobody else does.
    pub by_scheduler: bool,
    /// Whether the sources have to be as they were afterwards.
    pub put_back: bool,
}

/// What went wrong with a table.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// In which round; 0 is before the first.
    pub(super) round: usize,
    pub(super) what: Wrong,
}

#[derive(Clone, Debug)]
pub(super) enum Wrong {
    Differs(Difference),
    Refresh(ServerMessage),
}

/// The statements of a transaction, each with what it did.
pub(super) type Transaction = Vec<(Change, Effect)>;

/// Everything about the rounds so far.
pub(super) struct Moving<'a> {
    pub(super) client: &'a Client,
    pub(super) wishes: &'a Wishes,
    mutator: Mutator,
    /// Every stream table, each behind those it reads.
    pub(super) tables: Vec<&'a Deployed>,
    pub(super) comparables: BTreeMap<Relation, Comparable>,
    /// For each source the tables that change with it.
    pub(super) reached: Vec<BTreeSet<Relation>>,
    pub(super) findings: BTreeMap<Relation, Finding>,
    pub(super) rounds: Vec<Vec<Transaction>>,
    /// After how many rounds.
    pub(super) compared: BTreeMap<Relation, usize>,
    /// Tables that a change did not reach in time.
    pub(super) unreached: BTreeSet<Relation>,
    /// How much attention the wanted tables are worth.
    worth: BTreeMap<Relation, usize>,
    /// How long to wait before a TRUNCATE.
    calm: Duration,
    pub(super) refused: usize,
    /// Rounds whose rows the queries themselves cannot bear.
    pub(super) unbearable: usize,
    pub(super) thinking: Duration,
    pub(super) taken: Duration,
}

impl<'a> Moving<'a> {
    /// Looks at what there is to change.
    pub(super) async fn prepare(
        client: &'a Client,
        deployed: &'a [Deployed],
        wanted: &[&StreamTable],
        wishes: &'a Wishes,
        changed_first: &BTreeSet<Relation>,
        calm: Duration,
    ) -> Result<Self, crate::Error> {
        let plain: Vec<&StreamTable> = deployed.iter().map(|deployed| &deployed.table).collect();
        let sorted = order::topological(&plain).map_err(|members| crate::plan::Cycle { members })?;
        let tables: Vec<&Deployed> = sorted
            .iter()
            .filter_map(|table| deployed.iter().find(|deployed| deployed.table.relation == table.relation))
            .collect();
        let readers = order::Readers::of(plain.iter().copied());
        let reach = |source: &Source| -> BTreeSet<Relation> {
            let further = source.readers.iter().flat_map(|reader| readers.below(reader));
            source.readers.iter().chain(further).cloned().collect()
        };
        let mut sources = client.sources().await?;
        for source in &mut sources {
            // What the catalog says of it comes and goes with the rows; a model means it.
            source.only_inserts = wanted.iter().any(|table| {
                source.readers.contains(&table.relation)
                    && table.origin.is_some()
                    && table.settings.get(Setting::AppendOnly) == Some(&Value::Bool(true))
            });
            if wishes.put_back && source.out_of_reach.is_none() {
                source.out_of_reach = untouchable(source);
            }
        }
        let worth = |table: &&StreamTable| {
            let factor = if changed_first.contains(&table.relation) { CHANGED } else { 1 };
            (table.relation.clone(), factor * (1 + delicacy(&table.query)))
        };
        let mut known = Vec::with_capacity(sources.len());
        for source in &sources {
            known.push(match source.out_of_reach {
                Some(_) => (Vec::new(), false),
                None => client.known_rows(source).await?,
            });
        }
        let comparables = client.comparables().await?;
        Ok(Self {
            client,
            wishes,
            reached: sources.iter().map(reach).collect(),
            mutator: Mutator::new(wishes.seed, sources, known),
            tables,
            comparables: comparables.into_iter().map(|table| (table.relation.clone(), table)).collect(),
            findings: BTreeMap::new(),
            rounds: Vec::new(),
            compared: BTreeMap::new(),
            unreached: BTreeSet::new(),
            worth: wanted.iter().map(worth).collect(),
            calm,
            refused: 0,
            unbearable: 0,
            thinking: Duration::ZERO,
            taken: Duration::ZERO,
        })
    }

    pub(super) fn sources(&self) -> &[Source] {
        self.mutator.sources()
    }

    /// Rounds until the budget is over; after each of them it is told how things are.
    pub(super) async fn run(
        &mut self,
        undo: &mut Undo,
        mut tell: impl FnMut(&Self),
    ) -> Result<(), pg::Error> {
        let started = Instant::now();
        let deadline = started + self.wishes.budget;
        let within: Vec<usize> =
            (0..self.sources().len()).filter(|at| self.sources()[*at].out_of_reach.is_none()).collect();
        let all = self.reached.iter().flatten().cloned().collect();
        let all = self.out_of_the_log(all, deadline).await?;
        self.compare(&all, deadline).await?;
        while !within.is_empty() && Instant::now() < deadline && self.findings.len() < self.tables.len() {
            self.round(&self.by_worth(&within), deadline, undo).await?;
            self.taken = started.elapsed();
            tell(self);
        }
        Ok(())
    }

    /// First the sources whose tables are worth most: many, delicate ones, and seldom compared so far.
    fn by_worth(&self, sources: &[usize]) -> Vec<usize> {
        let worth = |relation: &Relation| {
            let compared = self.compared.get(relation).copied().unwrap_or_default();
            self.worth.get(relation).copied().unwrap_or_default() * 1000 / (1 + compared)
        };
        let mut sorted = sources.to_vec();
        sorted.sort_by_cached_key(|at| {
            let open = self.reached[*at].iter().filter(|relation| !self.findings.contains_key(relation));
            std::cmp::Reverse(open.map(worth).sum::<usize>())
        });
        sorted
    }

    async fn round(&mut self, of: &[usize], deadline: Instant, undo: &mut Undo) -> Result<(), pg::Error> {
        let sizes = self.thought(|mutator| mutator.begin_round(of));
        self.rounds.push(Vec::new());
        for size in sizes {
            let transaction = self.carry_out((0..size).map(|_| Mutator::change), undo).await?;
            if let Some(round) = self.rounds.last_mut().filter(|_| !transaction.is_empty()) {
                round.push(transaction);
            }
        }
        let round = self.rounds.last().into_iter().flatten().flatten();
        let changed: BTreeSet<usize> = round.map(|(change, _)| change.source()).collect();
        let affected = changed.iter().flat_map(|source| &self.reached[*source]).cloned().collect();
        let affected = self.out_of_the_log(affected, deadline).await?;
        let unbearable = self.unbearable;
        if !self.wishes.by_scheduler {
            self.refresh(&affected, deadline).await?;
        }
        self.compare(&affected, deadline).await?;
        if self.unbearable > unbearable { self.take_round_back(undo).await } else { Ok(()) }
    }

    /// A transaction of changes, each thought of when the one before is done.
    async fn carry_out(
        &mut self,
        changes: impl IntoIterator<Item = impl FnOnce(&mut Mutator) -> Option<Change>>,
        undo: &mut Undo,
    ) -> Result<Transaction, pg::Error> {
        let mut done: Transaction = Vec::new();
        self.client.run("begin").await?;
        for think in changes {
            let Some(change) = self.thought(think) else { continue };
            if matches!(change, Change::Truncate { .. }) {
                tokio::time::sleep(self.calm).await;
            }
            match self.client.change(&change, self.mutator.sources()).await? {
                Changed::Refused(message) => {
                    self.refused += 1;
                    self.blame_immediate(&change, message);
                }
                Changed::Done(effect) => {
                    let effect = match change {
                        Change::Truncate { source } => self.mutator.emptied(source),
                        Change::Insert { .. } | Change::Update { .. } | Change::Delete { .. } => effect,
                    };
                    if effect.rows.is_empty() {
                        self.thought(|mutator| mutator.forget(&change));
                        continue;
                    }
                    self.thought(|mutator| mutator.saw(&effect));
                    done.push((change, effect));
                }
            }
        }
        if self.wishes.put_back && !self.can_be_taken_back(&done).await? {
            self.client.run("rollback").await?;
            self.forget(&mut done);
            return Ok(done);
        }
        undo.about_to_commit(done.iter().map(|(_, effect)| effect.clone()));
        match self.client.run("commit").await {
            Ok(()) => undo.committed(),
            // A constraint that is looked at in the end.
            Err(pg::Error::Server { .. }) => {
                undo.not_committed();
                self.forget(&mut done);
            }
            Err(lost) => return Err(lost),
        }
        Ok(done)
    }

    /// Whether the server lets everything be taken back: a table that is maintained inside the write can refuse the one
    /// way what it took the other (docs/pg_trickle.md, "Refresh modes").
    async fn can_be_taken_back(&mut self, done: &Transaction) -> Result<bool, pg::Error> {
        let mut refused = None;
        self.client.run("savepoint back").await?;
        for change in done.iter().rev().flat_map(|(_, effect)| effect.inverse()) {
            if let Changed::Refused(message) = self.client.change(&change, self.mutator.sources()).await? {
                refused = Some((change, message));
                break;
            }
        }
        self.client.run("rollback to savepoint back").await?;
        let Some((change, message)) = refused else { return Ok(true) };
        self.blame_immediate(&change, message);
        Ok(false)
    }

    /// A transaction that came to nothing.
    fn forget(&mut self, done: &mut Transaction) {
        self.refused += done.len();
        for (_, effect) in done.drain(..).rev() {
            let rows = effect.rows.into_iter().rev().map(|(before, after)| (after, before)).collect();
            self.thought(|mutator| mutator.saw(&Effect { source: effect.source, rows }));
        }
    }

    /// A table that is maintained inside the write makes the write fail: with a word that no schema says, it is a finding.
    fn blame_immediate(&mut self, change: &Change, message: ServerMessage) {
        if pg::is_refusal(&message.code) {
            return;
        }
        let source = &self.sources()[change.source()];
        let is_reader = |deployed: &&&Deployed| {
            is_immediate(&deployed.table) && source.readers.contains(&deployed.table.relation)
        };
        let blamed = self.tables.iter().find(is_reader).map(|deployed| deployed.table.relation.clone());
        if let Some(relation) = blamed.filter(|relation| !self.findings.contains_key(relation)) {
            self.found(&relation, Wrong::Refresh(message));
            // It did nothing, and is what shows it.
            let refused = (change.clone(), Effect { source: change.source(), rows: Vec::new() });
            self.rounds.last_mut().into_iter().for_each(|round| round.push(vec![refused.clone()]));
        }
    }

    /// Takes the changes of the last round back, for rows that a query cannot bear would be in the way of all rounds to
    /// come.
    async fn take_round_back(&mut self, undo: &mut Undo) -> Result<(), pg::Error> {
        let effects: Vec<Effect> =
            self.rounds.last().into_iter().flatten().flatten().map(|(_, effect)| effect.clone()).collect();
        let back: Vec<Change> = effects.iter().rev().flat_map(Effect::inverse).collect();
        let transaction =
            self.carry_out(back.into_iter().map(|change| move |_: &mut Mutator| Some(change)), undo).await?;
        self.rounds.push(vec![transaction]);
        Ok(())
    }

    pub(super) fn found(&mut self, relation: &Relation, what: Wrong) {
        // What goes wrong later may come of what went wrong first.
        self.findings.entry(relation.clone()).or_insert(Finding { round: self.rounds.len(), what });
    }

    /// Lets the mutator think, and takes the time.
    fn thought<T>(&mut self, of: impl FnOnce(&mut Mutator) -> T) -> T {
        let started = Instant::now();
        let thought = of(&mut self.mutator);
        self.thinking += started.elapsed();
        thought
    }
}

pub(super) fn is_immediate(table: &StreamTable) -> bool {
    table.settings.refresh_mode() == Some("IMMEDIATE")
}

/// Why the rows of a source could not be put back for certain, if they could not.
fn untouchable(source: &Source) -> Option<String> {
    if source.only_inserts {
        return Some("is only appended to, and new rows could not be taken back".to_owned());
    }
    if !source.triggers.is_empty() {
        return Some(format!("has triggers of its own: {}", source.triggers.join(", ")));
    }
    source.cascades.then(|| "takes rows of other tables along when its own go".to_owned())
}
