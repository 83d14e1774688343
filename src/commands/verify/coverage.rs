//! How much each source was changed: a round that changed nothing proves nothing.

use std::{collections::BTreeMap, time::Duration};

use super::{moving::Wishes, telling::times};
use crate::{
    model::{Outcome, Relation, Stage, Verdict},
    pg::ServerMessage,
};

/// The rounds that a table or a source needs, unless the configuration says another number. A shorter budget takes fewer,
/// but never less than the second number: a budget in which nothing happens does not pass.
const ENOUGH: u64 = 10;
const LEAST: u64 = 3;
/// A budget of so many seconds is long enough for one of them.
const SECONDS: u64 = 2;
/// So many constraints are named that refused most.
const NAMED: usize = 5;

impl Wishes {
    /// The fewest rounds of changes that verify a table.
    pub(super) fn enough(&self) -> usize {
        let of_budget = usize::try_from((self.budget.as_secs() / SECONDS).clamp(LEAST, ENOUGH));
        self.min_rounds.unwrap_or(of_budget.unwrap_or_default())
    }

    /// What too few rounds are: a failure where somebody said how many there have to be.
    pub(super) fn too_few(&self) -> Verdict {
        if self.min_rounds.is_some_and(|rounds| rounds > 0) { Verdict::Failed } else { Verdict::Warned }
    }

    /// What to do about a budget that ended.
    pub(super) fn more_time(&self) -> String {
        let more = (self.budget * 3).max(Duration::from_mins(1));
        format!("give it more time: --budget {}", humantime::format_duration(more))
    }
}

/// What was done to a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    /// The rounds in which a statement changed it.
    pub(super) rounds: usize,
    /// The last of them.
    last: usize,
    /// The statements that changed it.
    pub(super) statements: usize,
    /// The statements that the server refused.
    pub(super) refused: usize,
    /// How many of those by which constraint, or with which SQLSTATE.
    by: BTreeMap<String, usize>,
    /// How many were stopped by locks of other sessions.
    pub(super) blocked: usize,
}

impl Coverage {
    pub(super) fn changed(&mut self, round: usize) {
        self.statements += 1;
        if self.last != round {
            self.rounds += 1;
            self.last = round;
        }
    }

    /// Its message may hold values of rows and is left out.
    pub(super) fn refused(&mut self, message: &ServerMessage) {
        self.refused += 1;
        let by = match message.constraint.as_deref() {
            Some(name) => name.to_owned(),
            None => format!("SQLSTATE {}", message.code),
        };
        *self.by.entry(by).or_default() += 1;
    }

    /// `shop.orders: 3 rounds, 5 statements, 7 refused: orders_check 5, SQLSTATE 22003 2`
    pub(super) fn line(&self, source: &Relation) -> String {
        format!("{source}: {}", self.sentence())
    }

    fn sentence(&self) -> String {
        let mut most: Vec<(&String, &usize)> = self.by.iter().collect();
        most.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
        let most: Vec<String> =
            most.iter().take(NAMED).map(|(name, count)| format!("{name} {count}")).collect();
        let by = if most.is_empty() { String::new() } else { format!(": {}", most.join(", ")) };
        let blocked = if self.blocked == 0 { String::new() } else { format!(", {} blocked", self.blocked) };
        format!(
            "{}, {}{blocked}, {} refused{by}",
            times(self.rounds, "round"),
            times(self.statements, "statement"),
            self.refused
        )
    }

    /// The outcome of a source that was changed in too few rounds.
    pub(super) fn hardly_changed(
        &self,
        source: &Relation,
        trouble: Option<String>,
        wishes: &Wishes,
    ) -> Outcome {
        let message =
            format!("hardly changed, fewer than {}: {}", times(wishes.enough(), "round"), self.sentence());
        let next = if trouble.is_none() && self.refused <= self.statements {
            wishes.more_time()
        } else {
            "fixtures with more rows give it more values to draw from".to_owned()
        };
        Outcome::new(Stage::Verify, source, wishes.too_few(), message)
            .with_details(trouble)
            .with_details([next])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::equality::Terms;

    fn wishes(seconds: u64, min_rounds: Option<usize>) -> Wishes {
        Wishes {
            budget: Duration::from_secs(seconds),
            seed: 1,
            terms: Terms { tolerance: 0.0, skip: vec![] },
            by_scheduler: false,
            commits: true,
            min_rounds,
        }
    }

    #[test]
    fn a_short_budget_takes_fewer_rounds_and_never_none() {
        let enough = |seconds| wishes(seconds, None).enough();
        assert_eq!([0, 1, 8, 20, 3600].map(enough), [3, 3, 4, 10, 10]);
        assert_eq!(wishes(1, Some(50)).enough(), 50);
    }

    #[test]
    fn the_constraints_that_refused_most_come_first_and_their_values_are_left_out() {
        let mut coverage = Coverage::default();
        let by = |constraint: Option<&str>| ServerMessage {
            message: "Key (id)=(secret) already exists".into(),
            code: "23505".into(),
            constraint: constraint.map(Into::into),
            ..ServerMessage::default()
        };
        for constraint in [Some("a"), Some("b"), Some("b"), None] {
            coverage.refused(&by(constraint));
        }
        for round in [1, 1, 2] {
            coverage.changed(round);
        }
        assert_eq!(
            coverage.line(&Relation::new("shop", "orders")),
            "shop.orders: 2 rounds, 3 statements, 4 refused: b 2, SQLSTATE 23505 1, a 1"
        );
    }
}
