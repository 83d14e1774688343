//! Waits until all stream tables are populated, or one cannot be.

mod progress;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    judge::population::{self, Progress},
    model::{Outcome, Relation, StreamTable},
    options::{RunOptions, WaitLimits},
    output::Ui,
    pg::{self, Client, Refreshed},
};

use progress::ProgressPrinter;

/// A wait, with its limits.
pub struct Waiting {
    /// Populate the tables that only a manual refresh populates.
    refresh: bool,
    /// The limit for each table.
    timeout: Duration,
    /// Limits of single tables, by name.
    models: BTreeMap<String, Duration>,
    /// Whether messages of the server may contain rows that are real data.
    hides_rows: bool,
    ui: Ui,
}

/// The progress of one table.
struct Watched<'a> {
    table: &'a StreamTable,
    deadline: Duration,
    progress: Progress,
    /// When the progress last changed.
    since: Duration,
}

impl Waiting {
    pub fn new(limits: &WaitLimits, refresh: bool, ui: Ui) -> Self {
        Self { refresh, timeout: limits.timeout, models: limits.models.clone(), hides_rows: false, ui }
    }

    /// The wait of `run`, which also populates tables.
    pub fn in_run(options: &RunOptions) -> Self {
        Self { hides_rows: options.hides_rows, ..Self::new(&options.wait, true, options.ui) }
    }

    /// Polls until all tables are populated, one cannot be, or one reaches its limit.
    pub async fn populated(
        &self,
        client: &Client,
        tables: &[&StreamTable],
    ) -> Result<Vec<Outcome>, pg::Error> {
        let started = Instant::now();
        let mut watched: Vec<Watched> = tables.iter().map(|table| self.watch(table)).collect();
        let (mut announced, mut refreshed) = (BTreeSet::new(), BTreeSet::new());
        let mut printer = ProgressPrinter::new(self.ui, self.hides_rows);
        // Best effort: notifications only make it faster, and a standby or a pooler does not deliver them.
        client.listen().await.ok();
        loop {
            let seen = client.progress().await?;
            for one in &mut watched {
                one.update(population::progress(seen.get(&one.table.relation)), started.elapsed());
            }
            printer.print(&watched, started.elapsed());
            if let Some(table) = self.next_to_populate(&watched, &refreshed) {
                if announced.insert(table.clone()) {
                    self.ui.say(&format!("populating {table}: it was created with initialize: false"));
                }
                if client.refresh(&table).await? == Refreshed::Done {
                    refreshed.insert(table);
                    continue;
                }
            }
            if is_over(&watched, started.elapsed()) {
                return Ok(watched.iter().map(|one| one.outcome(started.elapsed())).collect());
            }
            client.news_within(pause(started.elapsed())).await;
        }
    }

    fn watch<'a>(&self, table: &'a StreamTable) -> Watched<'a> {
        let own = self.models.iter().find(|(name, _)| table.relation.is_named(name));
        let deadline = own.map_or(self.timeout, |(_, deadline)| *deadline);
        let progress = Progress::Waiting("is not checked yet".into());
        Watched { table, deadline, progress, since: Duration::ZERO }
    }

    /// The next table that only a manual refresh populates. One at a time, because populating one may change the
    /// progress of others.
    fn next_to_populate(&self, watched: &[Watched], refreshed: &BTreeSet<Relation>) -> Option<Relation> {
        let never = watched.iter().filter(|one| one.progress == Progress::NeverByItself);
        let mut left = never.map(|one| &one.table.relation).filter(|name| !refreshed.contains(name));
        left.next().filter(|_| self.refresh).cloned()
    }
}

impl Watched<'_> {
    fn update(&mut self, progress: Progress, now: Duration) {
        if self.progress != progress {
            self.progress = progress;
            self.since = now;
        }
    }

    /// The outcome at the end of the wait. Pending tables have waited until now.
    fn outcome(&self, now: Duration) -> Outcome {
        let waits = matches!(self.progress, Progress::Waiting(_));
        let used_up = (waits && now >= self.deadline).then(|| {
            format!(
                "not populated within {}; raise the limit: --timeout 10m",
                humantime::format_duration(self.deadline)
            )
        });
        population::outcome(&self.table.relation, &self.progress)
            .with_details(used_up)
            .about(self.table.origin.as_ref())
            .taking(if waits { now } else { self.since })
    }
}

/// Whether all tables are populated, or one cannot be or is late. Then the wait ends for all.
fn is_over(watched: &[Watched], now: Duration) -> bool {
    let waits = |one: &&Watched| matches!(one.progress, Progress::Waiting(_));
    let hopeless = watched.iter().any(|one| {
        matches!(one.progress, Progress::NeverByItself | Progress::InError(_) | Progress::Failed(_))
    });
    let late = watched.iter().filter(waits).any(|one| now >= one.deadline);
    hopeless || late || !watched.iter().any(|one| waits(&one))
}

/// A hundredth of the time waited so far: the result is never much late, and a long wait polls rarely.
fn pause(waited: Duration) -> Duration {
    (waited / 100).clamp(Duration::from_millis(10), Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Settings;

    fn watched(table: &StreamTable, progress: Progress) -> Watched<'_> {
        Watched { table, deadline: Duration::from_secs(10), progress, since: Duration::ZERO }
    }

    #[test]
    fn the_wait_ends_with_the_last_table_or_the_first_failure() {
        let table = StreamTable {
            relation: Relation::new("s", "t"),
            query: String::new(),
            settings: Settings::default(),
            upstream: vec![],
            columns: None,
            origin: None,
        };
        let over = |all: &[Progress], seconds| {
            let all: Vec<_> = all.iter().map(|progress| watched(&table, progress.clone())).collect();
            is_over(&all, Duration::from_secs(seconds))
        };
        let waits = Progress::Waiting("does not exist".into());
        assert!(over(&[Progress::Populated, Progress::Populated], 0));
        assert!(!over(&[Progress::Populated, waits.clone()], 9));
        assert!(over(&[Progress::Populated, waits.clone()], 10), "it reached its limit");
        assert!(over(&[waits.clone(), Progress::Failed("in ERROR".into())], 0));
        assert!(over(&[waits, Progress::NeverByItself], 0));
    }

    #[test]
    fn pauses_grow_with_the_wait() {
        let pauses = [0, 5, 600].map(|seconds| pause(Duration::from_secs(seconds)).as_millis());
        assert_eq!(pauses, [10, 50, 500]);
    }
}
