//! What the rounds say of each table, and of themselves.

use super::moving::{Moving, Wrong};
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
            Some(_) => {
                outcome(Verdict::Passed, format!("equal to its query after {}", times(count, "round")))
            }
        }
    }

    fn not_verified(&self, relation: &Relation) -> Outcome {
        let outcome = |why: String, next: &str| {
            Outcome::new(Stage::Verify, relation, Verdict::Warned, format!("not verified: {why}"))
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
        let message = format!(
            "seed {}: {}, {} carried out, {} refused by the schema",
            self.wishes.seed,
            times(self.count, "round"),
            times(self.statements, "statement"),
            self.refused
        );
        let unbearable = (self.unbearable > 0)
            .then(|| format!("{} times a query itself failed on the rows of a round", self.unbearable));
        let blocked = (self.blocked > 0)
            .then(|| format!("{} statements and refreshes were blocked{}", self.blocked, self.by_blockers()));
        Outcome::new(Stage::Verify, "rounds", Verdict::Passed, message)
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

fn times(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
