//! How rounds change rows, and how many of them verify a table.

use std::time::Duration;

use crate::{judge::equality::Terms, model::Verdict};

/// The least time for comparisons before the first round.
const LEAST_BEFORE: Duration = Duration::from_secs(1);

/// The rounds that verify a table or a source, unless configured. A shorter budget requires fewer, but at least
/// `LEAST`: a budget in which nothing changes does not pass.
const ENOUGH: u64 = 10;
const LEAST: u64 = 3;
/// The seconds of the budget for each required round.
const SECONDS: u64 = 2;

/// How rounds change rows, and when they have verified a table.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else of the rounds")]
pub struct RoundSettings {
    pub budget: Duration,
    /// Decides which rows are changed.
    pub seed: u64,
    /// Ends the rounds at the first finding.
    pub until_found: bool,
    /// What counts as equal, and what is left out.
    pub terms: Terms,
    /// The scheduler refreshes the tables, not the rounds.
    pub by_scheduler: bool,
    pub writes: Writes,
    /// Whether the application writes to partitions of sources and detaches them.
    pub partitions: bool,
    /// Whether it has transactions that stay open while others commit.
    pub open_transactions: bool,
    /// The fewest rounds that verify a table, if configured.
    pub min_rounds: Option<usize>,
    /// The number of connections that compare the tables before and after the rounds.
    pub jobs: usize,
}

impl RoundSettings {
    /// The time for comparisons before the first round, so that changes begin within a quarter of the budget. A budget of
    /// 0 asks for comparisons only.
    pub fn before_rounds(&self) -> Option<Duration> {
        (!self.budget.is_zero()).then(|| (self.budget / 4).max(LEAST_BEFORE))
    }

    /// How long a statement of committed rounds waits for a lock.
    pub(super) fn wait_for_locks(&self) -> Duration {
        self.before_rounds().unwrap_or(Duration::MAX)
    }

    pub(super) fn commits(&self) -> bool {
        self.writes == Writes::Committed
    }

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

/// What happens to the changed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// They stay: the server is ephemeral.
    Committed,
    /// Every round is rolled back.
    RolledBack,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(seconds: u64, min_rounds: Option<usize>) -> RoundSettings {
        RoundSettings {
            budget: Duration::from_secs(seconds),
            seed: 1,
            until_found: false,
            terms: Terms::default(),
            by_scheduler: false,
            writes: Writes::Committed,
            partitions: false,
            open_transactions: false,
            min_rounds,
            jobs: 1,
        }
    }

    #[test]
    fn a_short_budget_takes_fewer_rounds_and_never_none() {
        let enough = |seconds| settings(seconds, None).enough();
        assert_eq!([0, 1, 8, 20, 3600].map(enough), [3, 3, 4, 10, 10]);
        assert_eq!(settings(1, Some(50)).enough(), 50);
    }
}
