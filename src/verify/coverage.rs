//! How much each source was changed. A round that changes nothing verifies nothing.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use super::settings::RoundSettings;
use crate::{
    model::{Outcome, Relation, Stage},
    mutate::{KINDS, Source},
    pg::ServerMessage,
};

/// The most constraints that a line names.
const NAMED: usize = 5;

/// Both sides of a join, an EXISTS or a set operation changed in one round.
const BOTH_SIDES: &str = "several sources at once";

/// What rounds did to a table before it was compared, and how often.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// The kinds of changes that reached it.
    kinds: BTreeMap<&'static str, usize>,
    /// What became of its query's result, as far as the result before is known.
    results: BTreeMap<Moved, usize>,
    /// For each source whose changes came alone in a round: how often, and how often the result changed.
    alone: BTreeMap<usize, (usize, usize)>,
    /// The last result.
    last: Option<QueryResult>,
}

/// What a query returned: the number of rows, and the sum of their hashes.
pub(super) type QueryResult = (u64, Option<String>);

/// The difference between two results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moved {
    More,
    Fewer,
    Other,
    Not,
}

impl Moved {
    fn between(before: &QueryResult, after: &QueryResult) -> Self {
        match after.0.cmp(&before.0) {
            Ordering::Greater => Self::More,
            Ordering::Less => Self::Fewer,
            Ordering::Equal if after.1 == before.1 => Self::Not,
            Ordering::Equal => Self::Other,
        }
    }
}

impl Reach {
    /// Counts the changes of a round, each with its source, and what they did to the result of the query.
    pub(super) fn add(&mut self, changes: &[(usize, &'static str)], result: QueryResult) {
        for (_, kind) in changes {
            *self.kinds.entry(kind).or_default() += 1;
        }
        let sources: BTreeSet<usize> = changes.iter().map(|(source, _)| *source).collect();
        *self.kinds.entry(BOTH_SIDES).or_default() += usize::from(sources.len() > 1);
        let Some(before) = self.last.replace(result.clone()).filter(|_| !sources.is_empty()) else { return };
        let moved = Moved::between(&before, &result);
        *self.results.entry(moved).or_default() += 1;
        if let (Some(source), 1) = (sources.first(), sources.len()) {
            let (rounds, effective) = self.alone.entry(*source).or_default();
            *rounds += 1;
            *effective += usize::from(moved != Moved::Not);
        }
    }

    /// Forgets the last result: the rows are others now.
    pub(super) fn forget_result(&mut self) {
        self.last = None;
    }

    /// The rounds that changed the result.
    pub(super) fn changed_results(&self) -> usize {
        self.results.iter().filter(|(moved, _)| **moved != Moved::Not).map(|(_, count)| count).sum()
    }

    /// The rounds that did not change the result, if none did.
    pub(super) fn never_changed(&self) -> Option<usize> {
        self.results.get(&Moved::Not).copied().filter(|_| self.changed_results() == 0)
    }

    /// As lines, with the sources that reach the table by their positions: `changes that reached it: insert 12, update 0, …`,
    /// `effect on its result: more rows 5, fewer rows 0, …`, and with several sources
    /// `rounds on one source that changed its result: shop.orders 7 of 9, …`.
    pub(super) fn lines(&self, sources: &[(usize, &Source)]) -> Vec<String> {
        if self.kinds.is_empty() {
            return Vec::new();
        }
        let has_several = sources.len() > 1;
        let is_possible = |kind: &&str| sources.iter().any(|(_, source)| source.can_have(kind));
        let kinds = KINDS.into_iter().filter(is_possible).chain(has_several.then_some(BOTH_SIDES));
        let of_kind = |kind: &'static str| counted_as(kind, self.kinds.get(kind));
        let mut lines =
            vec![format!("changes that reached it: {}", kinds.map(of_kind).collect::<Vec<_>>().join(", "))];
        if !self.results.is_empty() {
            let words = [
                (Moved::More, "more rows"),
                (Moved::Fewer, "fewer rows"),
                (Moved::Other, "other rows"),
                (Moved::Not, "none"),
            ];
            let results = words.map(|(moved, word)| counted_as(word, self.results.get(&moved)));
            lines.push(format!("effect on its result: {}", results.join(", ")));
        }
        if has_several && !self.alone.is_empty() {
            let sides = sources.iter().map(|(at, source)| {
                let (rounds, effective) = self.alone.get(at).copied().unwrap_or_default();
                format!("{} {effective} of {rounds}", source.relation)
            });
            let sides: Vec<String> = sides.collect();
            lines.push(format!("rounds on one source that changed its result: {}", sides.join(", ")));
        }
        lines
    }
}

/// `insert 12`
fn counted_as(word: &str, count: Option<&usize>) -> String {
    format!("{word} {}", count.copied().unwrap_or_default())
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
    /// The statements that gave up waiting for a lock.
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

    /// Whether other sessions blocked more of its statements than rounds changed it.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked > self.rounds
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

    /// `shop.orders: 3 rounds, 5 statements, 7 rejected: orders_check 5, SQLSTATE 22003 2`
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
        let blocked =
            if self.blocked == 0 { String::new() } else { format!(", {} gave up waiting", self.blocked) };
        format!(
            "{}, {}{altered}{blocked}, {} rejected{by}",
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
    use crate::mutate::sample;

    #[test]
    fn kinds_and_results_that_never_came_are_counted_as_none() {
        let sources = sample();
        let numbered: Vec<(usize, &Source)> = sources.iter().enumerate().collect();
        let mut reach = Reach::default();
        let result = |rows, hash: &str| (rows, Some(hash.to_owned()));
        // What was there before is not known.
        reach.add(&[(0, "insert"), (0, "delete")], result(2, "5"));
        assert_eq!(reach.lines(&numbered).len(), 1);
        reach.add(&[(0, "insert"), (1, "key change")], result(3, "6"));
        reach.add(&[(1, "update")], result(3, "6"));
        reach.add(&[(0, "update"), (0, "to NULL")], result(3, "7"));
        assert_eq!(
            reach.lines(&numbered),
            [
                "changes that reached it: insert 2, upsert 0, update 2, key change 1, delete 1, truncate 0, to NULL 1, from NULL 0, several sources at once 1",
                "effect on its result: more rows 1, fewer rows 0, other rows 1, none 1",
                "rounds on one source that changed its result: shop.orders 1 of 1, shop.customers 0 of 1",
            ]
        );
        assert_eq!(reach.lines(&numbered[..1]).len(), 2);
    }

    #[test]
    fn only_a_result_that_is_known_before_and_after_says_that_it_never_changed() {
        let mut reach = Reach::default();
        let mut add = |changes: &[(usize, &'static str)], hash: &str| {
            reach.add(changes, (1, Some(hash.to_owned())));
            reach.never_changed()
        };
        assert_eq!(add(&[(0, "insert")], "5"), None);
        assert_eq!(add(&[(0, "delete")], "5"), Some(1));
        assert_eq!(add(&[], "6"), Some(1));
        assert_eq!(add(&[(0, "update")], "6"), Some(2));
        assert_eq!(add(&[(0, "update")], "7"), None);
        reach.forget_result();
        reach.add(&[(0, "update")], (9, None));
        assert_eq!(reach.changed_results(), 1);
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
            "shop.orders: 2 rounds, 3 statements, 4 rejected: b 2, SQLSTATE 23505 1, a 1"
        );
    }
}
