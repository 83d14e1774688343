//! Watches a dbt command: heartbeats while it runs, its time limit, and the sessions that block it.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, Interval, interval_at, sleep_until};

use crate::{
    output::FRAME,
    pg::{Client, Endpoint, Limits},
};

const HEARTBEAT: Duration = Duration::from_secs(30);

/// Diagnosis must not take long: the server may be the problem.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    statement: Duration::from_secs(5),
    lock: Duration::from_secs(1),
};

/// The clock of one command.
pub(super) struct Watch {
    started: Instant,
    end: Instant,
    heartbeat: Interval,
    frame: Interval,
}

pub(super) enum Waited<T> {
    Done(T),
    /// The progress may be shown again.
    Frame,
    Heartbeat,
    TimedOut,
}

impl Watch {
    pub(super) fn new(limit: Duration) -> Self {
        Self::with_heartbeat(limit, HEARTBEAT)
    }

    fn with_heartbeat(limit: Duration, heartbeat: Duration) -> Self {
        let started = Instant::now();
        // A limit beyond the clock's range is no limit.
        let end = started.checked_add(limit).unwrap_or(started + Duration::from_hours(24 * 365));
        let (heartbeat, frame) =
            (interval_at(started + heartbeat, heartbeat), interval_at(started + FRAME, FRAME));
        Self { started, end, heartbeat, frame }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for `work`, until the next frame or heartbeat, or until the limit. `work` may be dropped.
    pub(super) async fn until<T>(&mut self, work: impl Future<Output = T>) -> Waited<T> {
        tokio::select! {
            biased;
            () = sleep_until(self.end) => Waited::TimedOut,
            done = work => Waited::Done(done),
            _ = self.heartbeat.tick() => Waited::Heartbeat,
            _ = self.frame.tick() => Waited::Frame,
        }
    }
}

/// The sessions that block others of the database; none if the server does not answer.
pub(super) async fn blockers(endpoint: &Endpoint) -> BTreeSet<String> {
    match Client::connect(endpoint, LIMITS).await {
        Ok(client) => client.blocking_sessions().await.unwrap_or_default(),
        Err(_) => BTreeSet::new(),
    }
}

pub(super) fn blocked_by(blockers: &BTreeSet<String>) -> String {
    if blockers.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = blockers.iter().map(String::as_str).collect();
    format!("; sessions that block others: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_silent_command_has_heartbeats_and_an_end() {
        let mut watch = Watch::with_heartbeat(Duration::from_secs(2), Duration::from_millis(50));
        let (mut heartbeats, mut frames) = (0, 0);
        loop {
            match watch.until(std::future::pending::<()>()).await {
                Waited::Heartbeat => heartbeats += 1,
                Waited::Frame => frames += 1,
                Waited::TimedOut => break,
                Waited::Done(()) => unreachable!(),
            }
        }
        assert!(heartbeats > 0 && frames > 0);
        assert!(matches!(Watch::new(Duration::MAX).until(async { 7 }).await, Waited::Done(7)));
    }

    #[test]
    fn blocking_sessions_are_named() {
        assert_eq!(blocked_by(&BTreeSet::new()), "");
        let blockers = BTreeSet::from(["pid 7 (dbt, idle in transaction)".to_owned()]);
        assert_eq!(blocked_by(&blockers), "; sessions that block others: pid 7 (dbt, idle in transaction)");
    }
}
