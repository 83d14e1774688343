//! Watches a dbt command: a heartbeat while it runs, its time limit, and the sessions that block it.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, Interval, interval_at, sleep_until};

use crate::pg::{Client, Endpoint, Limits};

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
}

pub(super) enum Waited<T> {
    Done(T),
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
        Self { started, end, heartbeat: interval_at(started + heartbeat, heartbeat) }
    }

    /// Waits for `work`, until the next heartbeat, or until the limit. `work` may be dropped.
    pub(super) async fn until<T>(&mut self, work: impl Future<Output = T>) -> Waited<T> {
        tokio::select! {
            biased;
            () = sleep_until(self.end) => Waited::TimedOut,
            done = work => Waited::Done(done),
            _ = self.heartbeat.tick() => Waited::Heartbeat,
        }
    }

    pub(super) fn heartbeat(&self, command: &str, blockers: &BTreeSet<String>) -> String {
        heartbeat(command, self.started.elapsed(), blockers)
    }
}

fn heartbeat(command: &str, elapsed: Duration, blockers: &BTreeSet<String>) -> String {
    let elapsed = Duration::from_secs(elapsed.as_secs());
    format!("dbt {command} has run for {}{}", humantime::format_duration(elapsed), blocked_by(blockers))
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
        let mut heartbeats = 0;
        loop {
            match watch.until(std::future::pending::<()>()).await {
                Waited::Heartbeat => heartbeats += 1,
                Waited::TimedOut => break,
                Waited::Done(()) => unreachable!(),
            }
        }
        assert!(heartbeats > 0);
        assert!(matches!(Watch::new(Duration::MAX).until(async { 7 }).await, Waited::Done(7)));
    }

    #[test]
    fn a_heartbeat_names_the_blocking_sessions() {
        let none = BTreeSet::new();
        assert_eq!(heartbeat("build", Duration::from_millis(90_400), &none), "dbt build has run for 1m 30s");
        let blockers = BTreeSet::from(["pid 7 (dbt, idle in transaction)".to_owned()]);
        assert_eq!(
            heartbeat("build", Duration::from_secs(30), &blockers),
            "dbt build has run for 30s; sessions that block others: pid 7 (dbt, idle in transaction)"
        );
    }
}
