//! How much each source was changed. A round that changes nothing verifies nothing.

use std::{collections::BTreeMap, time::Duration};

use super::{RoundSettings, outcomes::counted};
use crate::{
    model::{Outcome, Relation, Stage, Verdict},
    pg::ServerMessage,
};

/// The rounds that verify a table or a source, unless configured. A shorter budget requires fewer, but at least
/// `LEAST`: a budget in which nothing changes does not pass.
const ENOUGH: u64 = 10;
const LEAST: u64 = 3;
/// The seconds of the budget for each required round.
const SECONDS: u64 = 2;
/// The most constraints that a line names.
const NAMED: usize = 5;

impl RoundSettings {
    /// The fewest rounds of changes that verify a table.
    pub(super) fn enough(&self) -> usize {
        let of_budget = usize::try_from((self.budget.as_secs() / SECONDS).clamp(LEAST, ENOUGH));
        self.min_rounds.unwrap_or(of_budget.unwrap_or_default())
    }

    /// The verdict for too few rounds: a failure if their number is configured.
    pub(super) fn too_few(&self) -> Verdict {
        if self.min_rounds.is_some_and(|rounds| rounds > 0) { Verdict::Failed } else { Verdict::Warned }
    }

    /// The advice when the budget was too short.
    pub(super) fn more_time(&self) -> String {
        let more = (self.budget * 3).max(Duration::from_mins(1));
        format!("give it more time: --budget {}", humantime::format_duration(more))
    }
}

/// The changes of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    /// The rounds that changed it.
    pub(super) rounds: usize,
    /// The last of them.
    last: usize,
    /// The statements that changed it.
    pub(super) statements: usize,
    /// The statements that the server refused,
    pub(super) refused: usize,
    /// and how many of them each constraint or SQLSTATE refused.
    by: BTreeMap<String, usize>,
    /// The statements that locks of other sessions stopped.
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

    /// Leaves the message out, because it may contain values of rows.
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
            counted(self.rounds, "round"),
            counted(self.statements, "statement"),
            self.refused
        )
    }

    /// The outcome of a source that was changed in too few rounds.
    pub(super) fn hardly_changed(
        &self,
        source: &Relation,
        trouble: Option<String>,
        settings: &RoundSettings,
    ) -> Outcome {
        let message = format!(
            "hardly changed, fewer than {}: {}",
            counted(settings.enough(), "round"),
            self.sentence()
        );
        let next = if trouble.is_none() && self.refused <= self.statements {
            settings.more_time()
        } else {
            "fixtures with more rows give it more values to draw from".to_owned()
        };
        Outcome::new(Stage::Verify, source, settings.too_few(), message)
            .with_details(trouble)
            .with_details([next])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{judge::equality::Terms, verify::Writes};

    fn settings(seconds: u64, min_rounds: Option<usize>) -> RoundSettings {
        RoundSettings {
            budget: Duration::from_secs(seconds),
            seed: 1,
            until_found: false,
            terms: Terms { tolerance: 0.0, skip: vec![] },
            by_scheduler: false,
            writes: Writes::Committed,
            min_rounds,
        }
    }

    #[test]
    fn a_short_budget_takes_fewer_rounds_and_never_none() {
        let enough = |seconds| settings(seconds, None).enough();
        assert_eq!([0, 1, 8, 20, 3600].map(enough), [3, 3, 4, 10, 10]);
        assert_eq!(settings(1, Some(50)).enough(), 50);
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
