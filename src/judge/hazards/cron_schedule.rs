//! A cron expression is ignored: the table is refreshed at every tick.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Schedule, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "cron-schedule",
    heading: "Schedules",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "set the schedule to a duration, or expect a refresh every second",
};

fn finds(deployed: &Deployed, _: &Facts) -> Option<String> {
    match deployed.table.settings.schedule() {
        Some(Schedule::Cron(expression)) => {
            Some(format!("`{expression}` is ignored, it is refreshed at every tick"))
        }
        Some(Schedule::Every(_) | Schedule::Calculated) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    #[test]
    fn a_cron_expression_is_reported_and_a_duration_is_not() {
        let mut there = sample::deployed(sample::table("t", &[]));
        assert_eq!(finds(&there, &Facts::default()), None);
        let cron = Value::Schedule(Schedule::Cron("@hourly".into()));
        there.table.settings.set(Setting::Schedule, cron);
        assert!(finds(&there, &Facts::default()).unwrap().contains("@hourly"));
    }
}
