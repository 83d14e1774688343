//! Rounds of changes, each followed by a refresh and a comparison of every table downstream of what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::undo::Undo;
use crate::{
    judge::equality::{self, Comparable, Difference},
    model::{Deployed, Outcome, Relation, Setting, Stage, StreamTable, Value, Verdict},
    mutate::{Change, Effect, Mutator, Source, delicacy},
    pg::{self, Changed, Client, ServerMessage},
    plan::order,
};

/// How long a change may take to come through to a table that the scheduler refreshes at once.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// How to verify.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// How long.
    pub budget: Duration,
    /// What decides which rows are changed.
    pub seed: u64,
    /// How far apart two floating point numbers may be, relative to the greater.
    pub tolerance: f64,
    /// The tables that are left out.
    pub skip: Vec<String>,
    /// The scheduler refreshes, and nobody else does.
    pub by_scheduler: bool,
    /// Whether the sources have to be as they were afterwards.
    pub put_back: bool,
}

/// What went wrong with a table, and in which round.
#[derive(Clone, Debug)]
pub(super) struct Finding {
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
    compared: BTreeMap<Relation, usize>,
    refused: usize,
    /// Rounds whose rows the queries themselves cannot bear.
    unbearable: usize,
    thinking: Duration,
    taken: Duration,
}

impl<'a> Moving<'a> {
    /// Looks at what there is to change.
    pub(super) async fn prepare(
        client: &'a Client,
        deployed: &'a [Deployed],
        wanted: &[&StreamTable],
        wishes: &'a Wishes,
        changed_first: &BTreeSet<Relation>,
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
            source.only_inserts = wanted.iter().any(|table| {
                source.readers.contains(&table.relation)
                    && table.settings.get(Setting::AppendOnly) == Some(&Value::Bool(true))
            });
            if wishes.put_back && source.out_of_reach.is_none() {
                source.out_of_reach = untouchable(source);
            }
        }
        let weight = |relation: &Relation| {
            let table = plain.iter().find(|table| table.relation == *relation);
            (changed_first.contains(relation), table.map_or(0, |table| delicacy(&table.query)))
        };
        sources.sort_by_cached_key(|source| {
            std::cmp::Reverse(reach(source).iter().map(weight).max().unwrap_or_default())
        });
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
        while !within.is_empty() && Instant::now() < deadline && self.findings.len() < self.tables.len() {
            // The first sources are those of the most delicate tables; now and then the last ones have their turn.
            let turn = if self.rounds.len() % 3 == 2 { self.rounds.len() % within.len() } else { 0 };
            let order: Vec<usize> = within[turn..].iter().chain(&within[..turn]).copied().collect();
            self.round(&order, deadline, undo).await?;
            self.taken = started.elapsed();
            tell(self);
        }
        Ok(())
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
        let affected: BTreeSet<Relation> =
            changed.iter().flat_map(|source| &self.reached[*source]).cloned().collect();
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
        self.client.run_script("begin").await?;
        for think in changes {
            let Some(change) = self.thought(think) else { continue };
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
        undo.about_to_commit(done.iter().map(|(_, effect)| effect.clone()));
        match self.client.run_script("commit").await {
            Ok(()) => undo.committed(),
            // A constraint that is looked at in the end.
            Err(pg::Error::Server { .. }) => {
                undo.not_committed();
                self.refused += done.len();
                for (_, effect) in done.drain(..).rev() {
                    let back = Effect {
                        source: effect.source,
                        rows: effect.rows.into_iter().rev().map(|(before, after)| (after, before)).collect(),
                    };
                    self.thought(|mutator| mutator.saw(&back));
                }
            }
            Err(lost) => return Err(lost),
        }
        Ok(done)
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
        if let Some(relation) = blamed {
            self.found(&relation, Wrong::Refresh(message));
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
        self.rounds.last_mut().into_iter().for_each(|round| round.push(transaction.clone()));
        Ok(())
    }

    /// Refreshes the tables, each behind those it reads.
    async fn refresh(&mut self, affected: &BTreeSet<Relation>, deadline: Instant) -> Result<(), pg::Error> {
        for deployed in self.tables.clone() {
            let relation = &deployed.table.relation;
            let is_broken =
                matches!(self.findings.get(relation), Some(Finding { what: Wrong::Refresh(_), .. }));
            if !affected.contains(relation) || is_broken || is_immediate(&deployed.table) {
                continue;
            }
            if Instant::now() >= deadline {
                return Ok(());
            }
            match self.client.refresh(relation).await {
                Ok(()) => {}
                Err(pg::Error::Server { message, .. }) => self.failed_to_refresh(relation, message).await?,
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// Refreshes every table, after the sources were put back.
    pub(super) async fn refresh_all(&mut self) -> Result<(), pg::Error> {
        let all: BTreeSet<Relation> = self.reached.iter().flatten().cloned().collect();
        self.refresh(&all, Instant::now() + self.wishes.budget + PATIENCE).await
    }

    /// A refresh that fails where the query itself does not is a finding.
    async fn failed_to_refresh(
        &mut self,
        relation: &Relation,
        message: ServerMessage,
    ) -> Result<(), pg::Error> {
        let Some(table) = self.comparables.get(relation) else { return Ok(()) };
        match self.client.compare(table, self.wishes.tolerance).await {
            Err(pg::Error::Server { message: own, .. }) if own.code == message.code => self.unbearable += 1,
            Err(lost @ pg::Error::Lost { .. }) => return Err(lost),
            _ => self.found(relation, Wrong::Refresh(message)),
        }
        Ok(())
    }

    /// Compares the tables, the most delicate ones first.
    async fn compare(&mut self, affected: &BTreeSet<Relation>, deadline: Instant) -> Result<(), pg::Error> {
        let mut due: Vec<Comparable> = affected
            .iter()
            .filter(|relation| !self.findings.contains_key(relation) && !self.is_skipped(relation))
            .filter_map(|relation| self.comparables.get(relation))
            .filter(|table| equality::not_comparable(table).is_none())
            .cloned()
            .collect();
        due.sort_by_cached_key(|table| std::cmp::Reverse(delicacy(&table.query)));
        for table in due {
            if Instant::now() >= deadline {
                return Ok(());
            }
            match self.settled(&table, deadline).await {
                Ok(None) => {}
                Ok(Some(difference)) => {
                    *self.compared.entry(table.relation.clone()).or_default() += 1;
                    if !difference.is_none() && equality::moves_by_itself(&table.query).is_none() {
                        self.found(&table.relation, Wrong::Differs(difference));
                    }
                }
                // Rows that the query itself cannot bear prove nothing.
                Err(pg::Error::Server { .. }) => self.unbearable += 1,
                Err(lost) => return Err(lost),
            }
        }
        Ok(())
    }

    /// The difference that stays when everything has come through; `None` when the budget ended before that.
    ///
    /// A refresh may have been left out because somebody else was at it, a source that is captured from the log comes
    /// through a moment later, and the scheduler waits for its time and for old snapshots. So the wait is made of short
    /// statements, with sleeps on this side (docs/pg_trickle.md, "Visibility lag").
    async fn settled(&self, table: &Comparable, deadline: Instant) -> Result<Option<Difference>, pg::Error> {
        let scheduled = self.wishes.by_scheduler;
        let patience = Instant::now() + PATIENCE;
        loop {
            let difference = self.client.compare(table, self.wishes.tolerance).await?;
            if difference.is_none() || (!difference.waiting && !scheduled) || Instant::now() >= patience {
                return Ok(Some(difference));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
            if !scheduled {
                self.client.refresh(&table.relation).await?;
            }
        }
    }

    fn found(&mut self, relation: &Relation, what: Wrong) {
        let round = self.rounds.len() - 1;
        self.findings.insert(relation.clone(), Finding { round, what });
    }

    fn is_skipped(&self, relation: &Relation) -> bool {
        self.wishes.skip.iter().any(|name| relation.is_named(name))
    }

    /// Lets the mutator think, and takes the time.
    fn thought<T>(&mut self, of: impl FnOnce(&mut Mutator) -> T) -> T {
        let started = Instant::now();
        let thought = of(&mut self.mutator);
        self.thinking += started.elapsed();
        thought
    }

    /// What the rounds say of each of these tables, of the sources that were left alone, and of the rounds themselves.
    pub(super) fn outcomes(&self, tables: &[&StreamTable]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> =
            tables.iter().map(|table| self.outcome(table).about(table.origin.as_ref())).collect();
        outcomes.extend(self.sources().iter().filter_map(|source| {
            let why = source.out_of_reach.as_ref()?;
            Some(Outcome::new(
                Stage::Verify,
                &source.relation,
                Verdict::Skipped,
                format!("not changed: it {why}"),
            ))
        }));
        outcomes.push(self.summary());
        outcomes
    }

    fn outcome(&self, table: &StreamTable) -> Outcome {
        let relation = &table.relation;
        let outcome = |verdict, message: String| Outcome::new(Stage::Verify, relation, verdict, message);
        let count = self.compared.get(relation).copied().unwrap_or_default();
        if let Some(finding) = self.findings.get(relation) {
            let round = format!("after round {} of seed {}", finding.round + 1, self.wishes.seed);
            return match &finding.what {
                Wrong::Differs(difference) => {
                    let columns = self.comparables.get(relation).map_or(&[][..], |table| &table.columns);
                    outcome(Verdict::Failed, format!("{}, {round}", difference.sentence()))
                        .with_details(difference.lines(columns))
                }
                Wrong::Refresh(message) => {
                    outcome(Verdict::Failed, format!("its refresh fails, {round}: {}", message.message))
                        .with_details(message.details())
                }
            };
        }
        let can_change = (0..self.sources().len())
            .any(|at| self.sources()[at].out_of_reach.is_none() && self.reached[at].contains(relation));
        match self.comparables.get(relation) {
            _ if self.is_skipped(relation) => outcome(Verdict::Skipped, "left out, as was asked".into()),
            None => outcome(Verdict::Errored, "does not exist as a stream table".into()),
            Some(table) if equality::not_comparable(table).is_some() => equality::not_comparable(table)
                .map_or_else(
                    || outcome(Verdict::Skipped, String::new()),
                    |why| outcome(Verdict::Skipped, why.message),
                ),
            Some(_) if !can_change => outcome(Verdict::Skipped, "none of its sources can be changed".into()),
            Some(_) if count == 0 => outcome(
                Verdict::Warned,
                format!(
                    "not verified: the budget of {} ended before",
                    humantime::format_duration(self.wishes.budget)
                ),
            ),
            Some(_) => {
                outcome(Verdict::Passed, format!("equal to its query after {}", times(count, "round")))
            }
        }
    }

    fn summary(&self) -> Outcome {
        let statements: usize = self.rounds.iter().flatten().map(Vec::len).sum();
        let comparisons: usize = self.compared.values().sum();
        let seconds = self.taken.as_secs_f64().max(0.001);
        let thinking = self.thinking.as_secs_f64() / seconds;
        #[expect(clippy::cast_precision_loss, reason = "a rate is read to one digit")]
        let rate = comparisons as f64 / seconds;
        let message = format!(
            "seed {}: {}, {} carried out, {} refused by the schema",
            self.wishes.seed,
            times(self.rounds.len(), "round"),
            times(statements, "statement"),
            self.refused
        );
        let unbearable = (self.unbearable > 0)
            .then(|| format!("{} times a query itself failed on the rows of a round", self.unbearable));
        Outcome::new(Stage::Verify, "rounds", Verdict::Passed, message)
            .with_details(unbearable)
            .with_details([format!(
                "{rate:.1} comparisons a second, {:.1} % of the time in the database",
                100.0 * (1.0 - thinking)
            )])
            .taking(self.taken)
    }
}

fn times(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn is_immediate(table: &StreamTable) -> bool {
    table.settings.get(Setting::RefreshMode) == Some(&Value::Text("IMMEDIATE".into()))
}

/// Why the rows of a source could not be put back for certain, if they could not.
fn untouchable(source: &Source) -> Option<String> {
    if !source.triggers.is_empty() {
        return Some(format!("has triggers of its own: {}", source.triggers.join(", ")));
    }
    source.cascades.then(|| "takes rows of other tables along when its own go".to_owned())
}
