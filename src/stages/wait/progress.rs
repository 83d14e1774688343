//! Progress output while waiting: live lines on a terminal, elsewhere a line per event and a heartbeat.

use std::{collections::BTreeMap, time::Duration};

use super::Watched;
use crate::{
    judge::population::{self, Progress},
    model::Relation,
    output::{HEARTBEAT, Live, Ui},
};

/// Prints progress that it has not printed yet.
pub(super) struct ProgressPrinter {
    ui: Ui,
    hides_rows: bool,
    live: Option<Live>,
    events: BTreeMap<Relation, Progress>,
    last: Duration,
}

impl ProgressPrinter {
    pub(super) fn new(ui: Ui, hides_rows: bool) -> Self {
        Self { ui, hides_rows, live: Live::start(ui), events: BTreeMap::new(), last: Duration::ZERO }
    }

    /// Prints changes since the last call.
    pub(super) fn print(&mut self, watched: &[Watched], now: Duration) {
        if let Some(live) = &mut self.live {
            live.draw(&watched.iter().map(|one| line(one, now, self.hides_rows)).collect::<Vec<_>>());
            return;
        }
        for one in watched {
            let before = self.events.insert(one.table.relation.clone(), one.progress.clone());
            // The initial state is not an event.
            if before.is_some_and(|before| before != one.progress) {
                self.ui.say(&line(one, now, self.hides_rows));
                self.last = now;
            }
        }
        if now >= self.last + HEARTBEAT {
            let waits = |one: &&Watched| matches!(one.progress, Progress::Waiting(_));
            let names: Vec<String> =
                watched.iter().filter(waits).map(|one| one.table.relation.to_string()).collect();
            self.ui.say(&format!("waiting for {} ({}s)", names.join(", "), now.as_secs()));
            self.last = now;
        }
    }
}

fn line(one: &Watched, now: Duration, hides_rows: bool) -> String {
    let name = &one.table.relation;
    let progress = if hides_rows { one.progress.without_values() } else { one.progress.clone() };
    match progress {
        Progress::Populated => format!("{name} is populated ({:.1}s)", one.since.as_secs_f64()),
        Progress::Waiting(why) => format!("{name} {why} ({:.0}s)", now.as_secs_f64()),
        Progress::NeverByItself => format!("{name} was created with initialize: false"),
        Progress::InError(message) => format!("{name} {}", population::in_error(&message)),
        Progress::Failed(why) => format!("{name} {why}"),
    }
}
