//! What goes on during long work: a live line on a terminal, elsewhere a line now and then.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, interval_at};

use super::{FRAME, HEARTBEAT, Live, Ui};

/// What goes on at the moment: the work sets it, and [`Ui::show_while`] shows it.
#[derive(Debug, Default)]
pub struct Activity(Mutex<String>);

impl Activity {
    pub fn set(&self, now: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// `comparing 12/300 · 48s`
    fn line(&self, elapsed: Duration) -> String {
        let now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{now} · {}", humantime::format_duration(Duration::from_secs(elapsed.as_secs())))
    }
}

impl Ui {
    /// Does the work, and meanwhile shows what goes on.
    pub async fn show_while<T>(self, activity: &Activity, work: impl Future<Output = T>) -> T {
        let mut live = Live::start(self);
        let every = if live.is_some() { FRAME } else { HEARTBEAT };
        let show = |line: String| match &mut live {
            Some(live) => live.draw(&[line]),
            None => self.say(&line),
        };
        during(every, activity, show, work).await
    }
}

async fn during<T>(
    every: Duration,
    activity: &Activity,
    mut show: impl FnMut(String),
    work: impl Future<Output = T>,
) -> T {
    let started = Instant::now();
    let mut shows = interval_at(started + every, every);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = shows.tick() => show(activity.line(started.elapsed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_shows_what_goes_on_until_the_work_is_done() {
        let (activity, shown) = (Activity::default(), Mutex::new(Vec::new()));
        let is_shown = |line: &str| shown.lock().unwrap().iter().any(|shown| shown == line);
        let work = async {
            for line in ["round 1", "round 2"] {
                activity.set(line.to_owned());
                while !is_shown(&format!("{line} · 0s")) {
                    tokio::task::yield_now().await;
                }
            }
            7
        };
        let show = |line| shown.lock().unwrap().push(line);
        assert_eq!(during(Duration::from_millis(1), &activity, show, work).await, 7);
        activity.set("round 3".into());
        assert_eq!(activity.line(Duration::from_millis(48_900)), "round 3 · 48s");
    }
}
