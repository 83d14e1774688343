//! Rounds of changes, each followed by a refresh and a comparison of every table downstream of what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{coverage::Coverage, rolled_back, shrink::Whole};
use crate::{
    judge::equality::{Comparable, Difference, Terms},
    model::{Deployed, Relation, Setting, StreamTable, Value, order},
    mutate::{Change, Effect, Mutator, Source, delicacy},
    options::RoundOptions,
    pg::{self, Changed, Client, ServerMessage},
};

/// So many times as much attention goes to a table that the change is about.
const CHANGED: usize = 10;

/// How to verify.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Wishes {
    /// How long.
    pub budget: Duration,
    /// What decides which rows are changed.
    pub seed: u64,
    /// What counts as equal, and what is left out.
    pub terms: Terms,
    /// Only the scheduler refreshes.
    pub by_scheduler: bool,
    /// The server is thrown away afterwards: rounds are committed. Elsewhere each is rolled back.
    pub commits: bool,
    /// The fewest rounds of changes of a table, where somebody said so.
    pub min_rounds: Option<usize>,
}

impl Wishes {
    pub(in crate::commands) fn new(options: &RoundOptions, terms: Terms, commits: bool) -> Self {
        let RoundOptions { budget, seed, by_scheduler, min_rounds, .. } = *options;
        Self { budget, seed, terms, by_scheduler, commits, min_rounds }
    }
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
    /// Each finding with what it takes to see it again, from the moment in which it was found.
    pub(super) wholes: Vec<Whole>,
    /// The rounds whose changes the sources hold now.
    pub(super) rounds: Vec<Vec<Transaction>>,
    /// How many rounds there were, and how many of them changed something.
    pub(super) count: usize,
    pub(super) changing: usize,
    /// What was done to each source.
    pub(super) coverage: Vec<Coverage>,
    /// After how many rounds that changed a source of it.
    pub(super) compared: BTreeMap<Relation, usize>,
    /// Tables that a change did not reach in time.
    pub(super) unreached: BTreeSet<Relation>,
    /// How much attention the wanted tables are worth.
    worth: BTreeMap<Relation, usize>,
    /// How long to wait before a TRUNCATE.
    calm: Duration,
    /// Statements and refreshes that locks or changes of other sessions stopped, and those sessions.
    pub(super) blocked: usize,
    pub(super) blockers: BTreeSet<String>,
    /// The server process of the last round that was rolled back.
    pub(super) process: i32,
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
        }
        if !wishes.commits {
            rolled_back::leave_out(client, &mut sources).await?;
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
        client.supply(&mut sources, &known).await?;
        let comparables = client.comparables().await?;
        Ok(Self {
            client,
            wishes,
            reached: sources.iter().map(reach).collect(),
            tables,
            comparables: comparables.into_iter().map(|table| (table.relation.clone(), table)).collect(),
            findings: BTreeMap::new(),
            wholes: Vec::new(),
            rounds: Vec::new(),
            count: 0,
            changing: 0,
            coverage: vec![Coverage::default(); sources.len()],
            mutator: Mutator::new(wishes.seed, sources, known, wishes.commits),
            compared: BTreeMap::new(),
            unreached: BTreeSet::new(),
            worth: wanted.iter().map(worth).collect(),
            calm,
            blocked: 0,
            blockers: BTreeSet::new(),
            process: 0,
            unbearable: 0,
            thinking: Duration::ZERO,
            taken: Duration::ZERO,
        })
    }

    pub(super) fn sources(&self) -> &[Source] {
        self.mutator.sources()
    }

    /// Why a source is hard to change.
    pub(super) fn trouble(&self, source: usize) -> Option<String> {
        self.mutator.trouble(source)
    }

    /// Committed rounds until the budget is over; after each of them it is told how things are.
    pub(super) async fn run(&mut self, mut tell: impl FnMut(&Self)) -> Result<(), pg::Error> {
        let started = Instant::now();
        let deadline = started + self.wishes.budget;
        let all = self.reached.iter().flatten().cloned().collect();
        let all = self.out_of_the_log(all, deadline).await?;
        self.compare(&all, deadline).await?;
        self.keep_findings().await?;
        while self.goes_on(deadline) {
            self.round(&self.by_worth(), deadline).await?;
            self.taken = started.elapsed();
            tell(self);
        }
        Ok(())
    }

    /// Whether there is time, something to change, and a table without a finding.
    pub(super) fn goes_on(&self, deadline: Instant) -> bool {
        let can_change = self.sources().iter().any(|source| source.out_of_reach.is_none());
        can_change && Instant::now() < deadline && self.findings.len() < self.tables.len()
    }

    /// First the sources whose tables are worth most: many, delicate ones, and seldom compared so far; and that were
    /// changed in few rounds themselves.
    pub(super) fn by_worth(&self) -> Vec<usize> {
        let worth = |relation: &Relation| {
            let compared = self.compared.get(relation).copied().unwrap_or_default();
            self.worth.get(relation).copied().unwrap_or_default() * 1_000_000 / (1 + compared)
        };
        let mut sorted: Vec<usize> =
            (0..self.sources().len()).filter(|at| self.sources()[*at].out_of_reach.is_none()).collect();
        sorted.sort_by_cached_key(|at| {
            let open = self.reached[*at].iter().filter(|relation| !self.findings.contains_key(relation));
            std::cmp::Reverse(open.map(worth).sum::<usize>() / (1 + self.coverage[*at].rounds))
        });
        sorted
    }

    async fn round(&mut self, of: &[usize], deadline: Instant) -> Result<(), pg::Error> {
        for size in self.begin_round(of) {
            self.client.run("begin").await?;
            let done = self.change((0..size).map(|_| Mutator::change)).await?;
            self.commit(done).await?;
        }
        let affected = self.out_of_the_log(self.affected(), deadline).await?;
        let unbearable = self.unbearable;
        if !self.wishes.by_scheduler {
            self.refresh(&affected, deadline).await?;
        }
        self.compare(&affected, deadline).await?;
        self.keep_findings().await?;
        if self.unbearable > unbearable { self.take_round_back().await } else { Ok(()) }
    }

    /// Begins a round on some of these sources. The answer is how many statements each of its transactions has.
    pub(super) fn begin_round(&mut self, of: &[usize]) -> Vec<usize> {
        self.count += 1;
        self.rounds.push(Vec::new());
        self.thought(|mutator| mutator.begin_round(of))
    }

    /// The tables that read what the last round changed.
    pub(super) fn affected(&self) -> BTreeSet<Relation> {
        let round = self.rounds.last().into_iter().flatten().flatten();
        let changed: BTreeSet<usize> = round.map(|(change, _)| change.source()).collect();
        changed.iter().flat_map(|source| &self.reached[*source]).cloned().collect()
    }

    /// Takes down what it takes to see the new findings again, while the sources hold it.
    pub(super) async fn keep_findings(&mut self) -> Result<(), pg::Error> {
        let is_new = |relation: &&Relation| !self.wholes.iter().any(|whole| whole.relation == **relation);
        let new: Vec<Relation> = self.findings.keys().filter(is_new).cloned().collect();
        for relation in new {
            let whole = Whole::of(self, &relation).await?;
            self.wholes.extend(whole);
        }
        Ok(())
    }

    /// Changes of the open transaction, each thought of when the one before is done.
    pub(super) async fn change(
        &mut self,
        changes: impl IntoIterator<Item = impl FnOnce(&mut Mutator) -> Option<Change>>,
    ) -> Result<Transaction, pg::Error> {
        let mut done: Transaction = Vec::new();
        for think in changes {
            let Some(change) = self.thought(think) else { continue };
            if matches!(change, Change::Truncate { .. }) {
                tokio::time::sleep(self.calm).await;
            }
            match self.client.change(&change, self.mutator.sources()).await? {
                Changed::Refused(message) if pg::is_in_the_way(&message.code) => {
                    self.blocked += 1;
                    self.coverage[change.source()].blocked += 1;
                }
                Changed::Refused(message) => {
                    self.coverage[change.source()].refused(&message);
                    self.thought(|mutator| mutator.refused(&change, message.constraint.as_deref()));
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
                    self.thought(|mutator| {
                        mutator.taken(&change);
                        mutator.saw(&effect);
                    });
                    done.push((change, effect));
                }
            }
        }
        Ok(done)
    }

    async fn commit(&mut self, done: Transaction) -> Result<(), pg::Error> {
        match self.client.run("commit").await {
            Ok(()) => self.keep(done),
            // A constraint that is looked at in the end.
            Err(pg::Error::Server { message, .. }) => self.refuse(done, &message),
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    /// A transaction that belongs to the round.
    pub(super) fn keep(&mut self, done: Transaction) {
        for (change, _) in &done {
            self.coverage[change.source()].changed(self.count);
        }
        if !done.is_empty() && self.rounds.last().is_some_and(Vec::is_empty) {
            self.changing += 1;
        }
        if let Some(round) = self.rounds.last_mut().filter(|_| !done.is_empty()) {
            round.push(done);
        }
    }

    /// A transaction that the server did not take as a whole.
    pub(super) fn refuse(&mut self, done: Transaction, message: &ServerMessage) {
        for (change, _) in &done {
            self.coverage[change.source()].refused(message);
            self.thought(|mutator| mutator.refused(change, message.constraint.as_deref()));
        }
        self.unsee(done);
    }

    /// The rows are what they were before these changes.
    pub(super) fn unsee(&mut self, done: Transaction) {
        for (_, effect) in done.iter().rev() {
            self.thought(|mutator| mutator.unsee(effect));
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
    async fn take_round_back(&mut self) -> Result<(), pg::Error> {
        let effects: Vec<Effect> =
            self.rounds.last().into_iter().flatten().flatten().map(|(_, effect)| effect.clone()).collect();
        let back: Vec<Change> = effects.iter().rev().flat_map(Effect::inverse).collect();
        self.count += 1;
        self.rounds.push(Vec::new());
        // It restores the rows, and verifies nothing.
        let (coverage, changing) = (self.coverage.clone(), self.changing);
        self.client.run("begin").await?;
        let done = self.change(back.into_iter().map(|change| move |_: &mut Mutator| Some(change))).await?;
        self.commit(done).await?;
        (self.coverage, self.changing) = (coverage, changing);
        Ok(())
    }

    pub(super) fn found(&mut self, relation: &Relation, what: Wrong) {
        // What goes wrong later may come of what went wrong first.
        self.findings.entry(relation.clone()).or_insert(Finding { round: self.count, what });
    }

    /// Lets the mutator think, and takes the time.
    pub(super) fn thought<T>(&mut self, of: impl FnOnce(&mut Mutator) -> T) -> T {
        let started = Instant::now();
        let thought = of(&mut self.mutator);
        self.thinking += started.elapsed();
        thought
    }
}

pub(super) fn is_immediate(table: &StreamTable) -> bool {
    table.settings.refresh_mode() == Some("IMMEDIATE")
}
