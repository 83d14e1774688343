//! Compares tables with their queries, without any writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future;

use super::{not_refused, wal};
use crate::{
    judge::equality::{self, Comparable, Difference, Terms},
    model::{Outcome, Relation, Stage, StreamTable, Verdict},
    output::Activity,
    pg::{self, Client},
    sql::quote_identifier,
};

/// The limit for a refresh to take pending changes, and the interval of asking.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(250);
/// If one connection compares all tables in this time, no other is opened.
const HEAD_START: Duration = Duration::from_millis(250);

/// How comparisons are made.
#[derive(Clone, Copy)]
pub struct Extent<'a> {
    /// The time for them.
    pub time: Option<Duration>,
    /// The most connections.
    pub jobs: usize,
    /// How far they are.
    pub activity: &'a Activity,
}

/// Compares each table with its query, both in one snapshot, until the budget ends.
pub async fn compare_with_queries(
    client: &Client,
    tables: &[&StreamTable],
    terms: &Terms,
    extent: Extent<'_>,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), pg::Error> {
    let (begun, before) = (Instant::now(), outcomes.len());
    let left = compare_until(client, tables, terms, extent, outcomes).await?;
    let time = extent.time.map_or(PATIENCE, |time| time.saturating_sub(begun.elapsed()).min(PATIENCE));
    look_again(client, terms.tolerance, time, &mut outcomes[before..]).await?;
    let budget = humantime::format_duration(extent.time.unwrap_or_default());
    outcomes.extend(left.into_iter().map(|table| {
        let message = format!("not compared: the budget of {budget} ended before");
        Outcome::new(Stage::Equality, &table.relation, Verdict::Warned, message)
            .with_details(["give it more time: --budget 2m".to_owned()])
            .about(table.origin.as_ref())
    }));
    Ok(())
}

/// Looks again at the tables that differ while changes are pending. Once a refresh has taken those changes, a row that
/// differed before and still differs is wrong, however busy the sources are.
async fn look_again(
    client: &Client,
    tolerance: f64,
    time: Duration,
    outcomes: &mut [Outcome],
) -> Result<(), pg::Error> {
    let is_open =
        |outcome: &&mut Outcome| outcome.stage == Stage::Equality && outcome.verdict == Verdict::Warned;
    let mut open: Vec<&mut Outcome> = outcomes.iter_mut().filter(is_open).collect();
    if open.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + time;
    let mut comparables = client.comparables().await?;
    comparables
        .retain(|table| open.iter().any(|outcome| outcome.subject.relation() == Some(&table.relation)));
    let mut pending = Vec::new();
    for table in &comparables {
        // One that cannot be compared again stays as it was.
        let Some(first) = not_refused(client.compare(table, tolerance).await)? else { continue };
        if first.waiting {
            pending.push((table, first));
        } else {
            // A refresh has taken them already.
            let Some(now) = not_refused(beyond_the_log(client, table, tolerance, first).await)? else {
                continue;
            };
            judge_again(&mut open, table, &now);
        }
    }
    let position = client.unread(&[], None).await?.position;
    while !pending.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
        let mut left = Vec::new();
        for (table, first) in pending {
            if client.is_pending(table, &position).await? {
                left.push((table, first));
                continue;
            }
            let Some(mut now) = not_refused(client.compare(table, tolerance).await)? else { continue };
            now.waiting &= !now.examples.iter().any(|example| first.examples.contains(example));
            judge_again(&mut open, table, &now);
        }
        pending = left;
    }
    Ok(())
}

/// Replaces the outcome of the table.
fn judge_again(outcomes: &mut [&mut Outcome], table: &Comparable, difference: &Difference) {
    let relation = Some(&table.relation);
    if let Some(outcome) = outcomes.iter_mut().find(|outcome| outcome.subject.relation() == relation) {
        let (origin, elapsed) = (outcome.origin.clone(), outcome.elapsed.unwrap_or_default());
        **outcome = equality::judge(table, difference).about(origin.as_ref()).taking(elapsed);
    }
}

/// Compares each table before the first round, until the time ends. Returns whether each is equal. Tables without an entry
/// get the outcome of their rounds.
pub async fn compare_before_rounds(
    client: &Client,
    tables: &[&StreamTable],
    terms: &Terms,
    extent: Extent<'_>,
    outcomes: &mut Vec<Outcome>,
) -> Result<BTreeMap<Relation, bool>, pg::Error> {
    let before = outcomes.len();
    compare_until(client, tables, terms, extent, outcomes).await?;
    let equal = |outcome: &Outcome| {
        let is_equal = outcome.verdict == Verdict::Passed;
        Some((outcome.subject.relation()?.clone(), is_equal)).filter(|_| outcome.verdict != Verdict::Skipped)
    };
    Ok(outcomes[before..].iter().filter_map(equal).collect())
}

/// Whether tables that were equal before the rounds still are, although other sessions and the scheduler worked meanwhile.
pub(super) async fn compare_after_rounds(
    client: &Client,
    tables: &[&StreamTable],
    equal_before: &BTreeMap<Relation, bool>,
    terms: &Terms,
    extent: Extent<'_>,
) -> Result<Outcome, pg::Error> {
    let was_equal = |table: &&StreamTable| equal_before.get(&table.relation) == Some(&true);
    let tables: Vec<&StreamTable> = tables.iter().copied().filter(was_equal).collect();
    let mut outcomes = Vec::new();
    let left = compare_until(client, &tables, terms, extent, &mut outcomes).await?;
    look_again(client, terms.tolerance, PATIENCE, &mut outcomes).await?;
    let is_equal = |outcome: &&Outcome| outcome.verdict == Verdict::Passed;
    let lines = outcomes.iter().filter(|outcome| !is_equal(outcome));
    let lines = lines.map(|outcome| format!("{}: {}", outcome.subject, outcome.message));
    let not_compared =
        (!left.is_empty()).then(|| format!("{} more not compared: the time for it ended", left.len()));
    let worst = outcomes.iter().map(|outcome| outcome.verdict).max().unwrap_or(Verdict::Passed);
    let verdict = if left.is_empty() { worst } else { worst.max(Verdict::Warned) };
    let message = if outcomes.iter().any(|outcome| outcome.verdict == Verdict::Failed) {
        "tables that were equal to their queries before the rounds differ now; fill them again: `dbt run --full-refresh --select ...`".to_owned()
    } else {
        let equal = outcomes.iter().filter(is_equal).count();
        format!("{equal} of {} tables compared again: none differs from its query", tables.len())
    };
    let outcome = Outcome::new(Stage::Verify, "afterwards", verdict, message);
    Ok(outcome.with_details(lines).with_details(not_compared))
}

/// Returns the tables that are left when the time ends.
async fn compare_until<'a>(
    client: &Client,
    tables: &[&'a StreamTable],
    terms: &Terms,
    extent: Extent<'_>,
    outcomes: &mut Vec<Outcome>,
) -> Result<Vec<&'a StreamTable>, pg::Error> {
    let until = extent.time.map(|time| Instant::now() + time);
    let by_name = |comparable: Comparable| (comparable.relation.clone(), comparable);
    let comparables = client.comparables().await?.into_iter().map(by_name).collect();
    let before = outcomes.len();
    let done = Mutex::new(Done { outcomes, places: Vec::new(), left: Vec::new() });
    let (next, activity) = (AtomicUsize::new(0), extent.activity);
    let queue = Queue { tables, comparables, terms, until, activity, next, done };
    queue.run(client, extent.jobs).await?;
    let Done { outcomes, places, mut left } = queue.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut placed: Vec<(usize, Outcome)> = places.into_iter().zip(outcomes.drain(before..)).collect();
    placed.sort_by_key(|(place, _)| *place);
    outcomes.extend(placed.into_iter().map(|(_, outcome)| outcome));
    left.sort_unstable();
    Ok(left.into_iter().map(|place| tables[place]).collect())
}

/// Tables that one or more connections compare.
struct Queue<'q, 'a> {
    tables: &'q [&'a StreamTable],
    comparables: BTreeMap<Relation, Comparable>,
    terms: &'q Terms,
    until: Option<Instant>,
    activity: &'q Activity,
    next: AtomicUsize,
    done: Mutex<Done<'q>>,
}

struct Done<'q> {
    outcomes: &'q mut Vec<Outcome>,
    /// The place of each outcome's table in the queue.
    places: Vec<usize>,
    /// The tables for which there was no time.
    left: Vec<usize>,
}

impl Queue<'_, '_> {
    async fn run(&self, client: &Client, jobs: usize) -> Result<(), pg::Error> {
        let mut alone = Box::pin(self.work(client));
        if let Ok(worked) = tokio::time::timeout(HEAD_START, &mut alone).await {
            return worked;
        }
        let others = (1..jobs.min(self.tables.len())).map(|_| self.work_again(client));
        future::try_join(alone, future::try_join_all(others)).await.map(|_| ())
    }

    /// Works on another connection, unless nothing is left or the server refuses one.
    async fn work_again(&self, client: &Client) -> Result<(), pg::Error> {
        if self.next.load(Ordering::Relaxed) >= self.tables.len() {
            return Ok(());
        }
        match client.connect_again().await {
            Ok(another) => self.work(&another).await,
            Err(_) => Ok(()),
        }
    }

    /// Compares one table after the other, each in its own snapshot: one for all would hold back pg_trickle's scheduler
    /// (docs/pg_trickle.md, "Visibility lag").
    async fn work(&self, client: &Client) -> Result<(), pg::Error> {
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(table) = self.tables.get(place) else { return Ok(()) };
            self.activity.set(format!("comparing table {} of {}", place + 1, self.tables.len()));
            let started = Instant::now();
            let outcome = self.compared(client, table).await?;
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                None => done.left.push(place),
                Some(outcome) => {
                    done.places.push(place);
                    done.outcomes.push(outcome.taking(started.elapsed()).about(table.origin.as_ref()));
                }
            }
        }
    }

    /// `None` if the time is over.
    async fn compared(&self, client: &Client, table: &StreamTable) -> Result<Option<Outcome>, pg::Error> {
        let relation = &table.relation;
        if let Some(left_out) = self.terms.left_out(Stage::Equality, relation) {
            return Ok(Some(left_out));
        }
        let Some(comparable) = self.comparables.get(relation) else {
            let message = "does not exist as a stream table";
            return Ok(Some(Outcome::new(Stage::Equality, relation, Verdict::Errored, message)));
        };
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Ok(None);
        }
        compared(client, comparable, self.terms.tolerance).await.map(Some)
    }
}

/// A server error is an outcome of its table; a lost connection ends the comparison.
async fn compared(client: &Client, table: &Comparable, tolerance: f64) -> Result<Outcome, pg::Error> {
    if let Some(outcome) = equality::not_comparable(table) {
        return Ok(outcome);
    }
    match difference(client, table, tolerance).await {
        Ok(difference) => Ok(equality::judge(table, &difference)),
        Err(pg::Error::Server { message, .. }) => {
            let what = "cannot be compared with its query";
            let user = quote_identifier(&client.endpoint().user);
            let next = pg::is_not_permitted(&message.code).then(|| {
                format!("the role has to see every row: `grant select on` what it reads, and `alter role {user} bypassrls`")
            });
            let blockers = if pg::is_in_the_way(&message.code) {
                client.blocking_readers(&table.relation).await.unwrap_or_default()
            } else {
                BTreeSet::new()
            };
            let blocked = blockers.into_iter().map(|session| format!("blocked by {session}"));
            let outcome = message.outcome(Stage::Equality, &table.relation, Verdict::Errored, what);
            Ok(outcome.with_details(next).with_details(blocked))
        }
        Err(lost) => Err(lost),
    }
}

async fn difference(client: &Client, table: &Comparable, tolerance: f64) -> Result<Difference, pg::Error> {
    let first = client.compare(table, tolerance).await?;
    beyond_the_log(client, table, tolerance, first).await
}

/// Changes that wait in the log are invisible. So a difference counts only if the same rows differ after the log was read
/// (docs/pg_trickle.md, "Change capture").
async fn beyond_the_log(
    client: &Client,
    table: &Comparable,
    tolerance: f64,
    first: Difference,
) -> Result<Difference, pg::Error> {
    if first.is_none() {
        return Ok(first);
    }
    let Some(unread) = wal::unread(client, [&table.relation], None).await? else { return Ok(first) };
    let mut now = client.compare(table, tolerance).await?;
    now.waiting |= !unread.is_empty() || now.examples != first.examples;
    Ok(now)
}
