//! What the rounds say of each table, and of themselves.

use super::{
    coverage::Coverage,
    moving::{Moving, Wrong},
};
use crate::{
    judge::equality,
    model::{Outcome, Relation, Stage, StreamTable, Verdict},
};

/// What a named server does not show.
const ROLLED_BACK: &str = "each round was one transaction that was rolled back: without TRUNCATE, concurrent commits, the scheduler and changes from the log";

impl Moving<'_> {
    /// What the rounds say of each of these tables, of the sources that were left alone, and of the rounds themselves.
    pub(super) fn outcomes(&self, tables: &[&StreamTable]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> =
            tables.iter().map(|table| self.outcome(table).about(table.origin.as_ref())).collect();
        outcomes.extend((0..self.sources().len()).filter_map(|at| self.outcome_of_source(at, tables)));
        outcomes.push(self.summary());
        outcomes
    }

    /// A source that was left alone, or hardly changed.
    fn outcome_of_source(&self, at: usize, tables: &[&StreamTable]) -> Option<Outcome> {
        let (source, coverage) = (&self.sources()[at], &self.coverage[at]);
        let relation = &source.relation;
        if let Some(why) = &source.out_of_reach {
            let message = format!("not changed: it {why}");
            return Some(Outcome::new(Stage::Verify, relation, Verdict::Skipped, message));
        }
        // A table that was found wrong needs no more rounds.
        let is_open = |table: &&StreamTable| {
            self.reached[at].contains(&table.relation)
                && !self.findings.contains_key(&table.relation)
                && !self.read_from_log(&table.relation)
                && self.wishes.terms.left_out(Stage::Verify, &table.relation).is_none()
        };
        let is_due = coverage.rounds < self.wishes.enough() && tables.iter().any(is_open);
        is_due.then(|| coverage.hardly_changed(relation, self.trouble(at), self.wishes))
    }

    fn outcome(&self, table: &StreamTable) -> Outcome {
        let relation = &table.relation;
        let outcome = |verdict, message: String| Outcome::new(Stage::Verify, relation, verdict, message);
        let count = self.compared.get(relation).copied().unwrap_or_default();
        if let Some(finding) = self.findings.get(relation) {
            let round = match finding.round {
                0 => "before the first round".to_owned(),
                round => format!("after round {round} of seed {}", self.wishes.seed),
            };
            return match &finding.what {
                Wrong::Differs(difference) => {
                    let columns = self.comparables.get(relation).map_or(&[][..], |table| &table.columns);
                    outcome(Verdict::Failed, format!("{}, {round}", difference.sentence()))
                        .with_rows(difference.lines(columns))
                }
                Wrong::Refresh(message) => {
                    outcome(Verdict::Failed, format!("its refresh fails, {round}: {}", message.message))
                        .quoting(&message.message, Some(&message.code))
                        .with_rows(message.details())
                }
            };
        }
        if let Some(outcome) = self.wishes.terms.left_out(Stage::Verify, relation) {
            return outcome;
        }
        let can_change = (0..self.sources().len())
            .any(|at| self.sources()[at].out_of_reach.is_none() && self.reached[at].contains(relation));
        match self.comparables.get(relation) {
            None => outcome(Verdict::Errored, "does not exist as a stream table".into()),
            Some(table) if equality::not_comparable(table).is_some() => equality::not_comparable(table)
                .map_or_else(
                    || outcome(Verdict::Skipped, String::new()),
                    |why| outcome(Verdict::Skipped, why.message),
                ),
            Some(_) if self.read_from_log(relation) => self.not_verified(relation),
            Some(_) if !can_change => outcome(Verdict::Skipped, "none of its sources can be changed".into()),
            Some(_) if count == 0 => self.not_verified(relation),
            Some(_) if count < self.wishes.enough() => self.hardly_verified(relation, count),
            Some(_) => {
                outcome(Verdict::Passed, format!("equal to its query after {}", times(count, "round")))
            }
        }
    }

    fn hardly_verified(&self, relation: &Relation, count: usize) -> Outcome {
        let message = format!(
            "hardly verified: equal to its query after {}, fewer than {}",
            times(count, "round"),
            self.wishes.enough()
        );
        Outcome::new(Stage::Verify, relation, self.wishes.too_few(), message)
            .with_details(self.sources_of(relation))
            .with_details([self.wishes.more_time()])
    }

    /// What was done to the sources of a table.
    fn sources_of(&self, relation: &Relation) -> Vec<String> {
        let reads =
            |at: &usize| self.sources()[*at].out_of_reach.is_none() && self.reached[*at].contains(relation);
        let line = |at: usize| self.coverage[at].line(&self.sources()[at].relation);
        (0..self.sources().len()).filter(reads).map(line).collect()
    }

    fn not_verified(&self, relation: &Relation) -> Outcome {
        let outcome = |why: String, next: &str| {
            Outcome::new(Stage::Verify, relation, self.wishes.too_few(), format!("not verified: {why}"))
                .with_details([next.to_owned()])
        };
        if self.read_from_log(relation) {
            let why =
                "a source of it is captured from the log, which shows committed changes only".to_owned();
            return outcome(why, "verify it on an ephemeral server: pgtrickle-ci run");
        }
        if self.unreached.contains(relation) && !self.wishes.commits {
            let why = format!("its refreshes were blocked{}", self.by_blockers());
            return outcome(why, "run it while nobody else writes or refreshes");
        }
        let is_unchanged = |at: usize| self.coverage[at].rounds == 0;
        let mut read = (0..self.sources().len()).filter(|at| self.reached[*at].contains(relation));
        if self.count >= self.wishes.enough() && read.all(is_unchanged) {
            return outcome("no statement changed a source of it".to_owned(), &self.wishes.more_time())
                .with_details(self.sources_of(relation));
        }
        if !self.unreached.contains(relation) {
            let budget = humantime::format_duration(self.wishes.budget);
            return outcome(format!("the budget of {budget} ended before"), "give it more time: --budget 2m");
        }
        let why = "changes of its sources did not come through to it in time".to_owned();
        if self.wishes.by_scheduler {
            outcome(why, "the scheduler keeps to its schedule: give it a shorter one, or --drive manual")
        } else {
            outcome(why, "look at who holds them back: pgtrickle-ci check")
        }
    }

    /// By whom, as far as it is known.
    fn by_blockers(&self) -> String {
        let blockers: Vec<&str> = self.blockers.iter().map(String::as_str).collect();
        if blockers.is_empty() { " by other sessions".into() } else { format!(" by {}", blockers.join(", ")) }
    }

    fn summary(&self) -> Outcome {
        let comparisons: usize = self.compared.values().sum();
        let seconds = self.taken.as_secs_f64().max(0.001);
        let thinking = self.thinking.as_secs_f64() / seconds;
        #[expect(clippy::cast_precision_loss, reason = "a rate is read to one digit")]
        let rate = comparisons as f64 / seconds;
        let sum = |of: fn(&Coverage) -> usize| self.coverage.iter().map(of).sum::<usize>();
        let message = format!(
            "seed {}: {}, {} carried out, {} refused by the schema",
            self.wishes.seed,
            times(self.changing, "round"),
            times(sum(|coverage| coverage.statements), "statement"),
            sum(|coverage| coverage.refused)
        );
        let idle = self.count - self.changing;
        let idle = (idle > 0)
            .then(|| format!("{} more changed nothing, and count for no table", times(idle, "round")));
        let changed = (0..self.sources().len())
            .filter(|at| self.sources()[*at].out_of_reach.is_none())
            .map(|at| self.coverage[at].line(&self.sources()[at].relation));
        let unbearable = (self.unbearable > 0)
            .then(|| format!("{} times a query itself failed on the rows of a round", self.unbearable));
        let blocked = (self.blocked > 0)
            .then(|| format!("{} statements and refreshes were blocked{}", self.blocked, self.by_blockers()));
        Outcome::new(Stage::Verify, "rounds", Verdict::Passed, message)
            .with_details(changed)
            .with_details(idle)
            .with_details(unbearable)
            .with_details(blocked)
            .with_details((!self.wishes.commits).then(|| ROLLED_BACK.to_owned()))
            .with_details([format!(
                "{rate:.1} comparisons a second, {:.1} % of the time in the database",
                100.0 * (1.0 - thinking)
            )])
            .taking(self.taken)
    }
}

pub(super) fn times(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
