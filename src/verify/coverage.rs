//! How much each source was changed. A round that changes nothing verifies nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::RoundSettings;
use crate::{
    model::{Outcome, Relation, Stage},
    mutate::KINDS,
    pg::ServerMessage,
};

/// The most constraints that a line names.
const NAMED: usize = 5;

/// Both sides of a join, an EXISTS or a set operation changed in one round.
const BOTH_SIDES: &str = "several sources at once";

/// The kinds of changes that reached a table before it was compared, and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach(BTreeMap<&'static str, usize>);

impl Reach {
    /// Counts the changes of a round, each with its source.
    pub(super) fn add(&mut self, changes: &[(usize, &'static str)]) {
        for (_, kind) in changes {
            *self.0.entry(kind).or_default() += 1;
        }
        let sources: BTreeSet<usize> = changes.iter().map(|(source, _)| *source).collect();
        *self.0.entry(BOTH_SIDES).or_default() += usize::from(sources.len() > 1);
    }

    /// `changes that reached it: insert 12, update 0, …`. Which table can have several sources at once, others know.
    pub(super) fn line(&self, has_several_sources: bool) -> String {
        let kinds = KINDS.into_iter().chain(has_several_sources.then_some(BOTH_SIDES));
        let counted: Vec<String> = kinds
            .map(|kind| (kind, self.0.get(kind).copied().unwrap_or_default()))
            // Not every source can have these.
            .filter(|(kind, count)| *count > 0 || !["upsert", "partition"].contains(kind))
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        format!("changes that reached it: {}", counted.join(", "))
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
    /// How often its columns were altered.
    pub(super) altered: usize,
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
        let altered = if self.altered == 0 {
            String::new()
        } else {
            format!(", {}", counted(self.altered, "alteration"))
        };
        let blocked = if self.blocked == 0 { String::new() } else { format!(", {} blocked", self.blocked) };
        format!(
            "{}, {}{altered}{blocked}, {} refused{by}",
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
        more_time: Option<String>,
    ) -> Outcome {
        let message = format!(
            "hardly changed, fewer than {}: {}",
            counted(settings.enough(), "round"),
            self.sentence()
        );
        let next = if trouble.is_none() && self.refused <= self.statements {
            more_time
        } else {
            Some("fixtures with more rows give it more values to draw from".to_owned())
        };
        Outcome::new(Stage::Verify, source, settings.too_few(), message)
            .with_details(trouble)
            .with_details(next)
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_never_came_are_counted_as_none() {
        let mut reach = Reach::default();
        reach.add(&[(0, "insert"), (0, "delete")]);
        reach.add(&[(0, "insert"), (1, "key change")]);
        assert_eq!(
            reach.line(true),
            "changes that reached it: insert 2, update 0, key change 1, delete 1, truncate 0, several sources at once 1"
        );
        assert!(!reach.line(false).contains("several sources"));
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
