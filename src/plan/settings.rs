//! Changed settings, compared as the engine stores them.

use super::SettingChange;
use crate::model::{Deployed, Schedule, Setting, StreamTable, Value, settings::OnChange};

/// The settings whose stored value differs from the model's. The server does not store those in `unseen`.
pub(super) fn setting_changes(
    deployed: &Deployed,
    wanted: &StreamTable,
    unseen: &[Setting],
) -> Vec<SettingChange> {
    let now = &deployed.table;
    let requested = deployed.health.requested_refresh_mode.as_ref();
    let stored = |setting| match (setting, requested) {
        (Setting::RefreshMode, Some(mode)) => Some(Value::Text(mode.clone())),
        _ => now.settings.get(setting).cloned(),
    };
    Setting::ALL
        .iter()
        .copied()
        .filter(|setting| setting.on_change() != OnChange::Nothing && !unseen.contains(setting))
        .map(|setting| SettingChange {
            setting,
            from: stored(setting),
            to: wanted.settings.get(setting).cloned(),
        })
        .filter(|change| !change.is_satisfied(now, wanted, requested.is_some()))
        .map(|change| if requested.is_some() { change } else { change.resolved() })
        .collect()
}

impl SettingChange {
    /// Whether the stored value already means what the model sets. `keeps_auto`: the engine stores the mode that was asked
    /// for.
    fn is_satisfied(&self, now: &StreamTable, wanted: &StreamTable, keeps_auto: bool) -> bool {
        let text = |value: &Option<Value>| match value {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        match (self.setting, &self.to) {
            // Without the setting the model wants no partitions. Any other setting that a model does not name stays.
            (Setting::PartitionBy, to) => text(to) == text(&self.from),
            (_, None) => true,
            // docs/pg_trickle.md, "Refresh modes": the engine stores the mode that AUTO resolved to.
            (Setting::RefreshMode, Some(Value::Text(mode))) if mode == "AUTO" && !keeps_auto => {
                text(&self.from) != "IMMEDIATE"
            }
            // docs/pg_trickle.md, "Schedules": IMMEDIATE has no schedule, even if the model sets one.
            (Setting::Schedule, _) if wanted.settings.refresh_mode() == Some("IMMEDIATE") => true,
            // docs/pg_trickle.md, "Alter": leaving IMMEDIATE resets the schedule to the engine's default.
            (Setting::Schedule, Some(_)) if now.settings.refresh_mode() == Some("IMMEDIATE") => false,
            (Setting::Schedule, to) => {
                *to == self.from || (is_calculated(to.as_ref()) && self.from.is_none())
            }
            // docs/pg_trickle.md, "Refresh modes": the engine turns append_only on after insert-only refreshes.
            (Setting::AppendOnly, Some(Value::Bool(false))) => true,
            // docs/pg_trickle.md, "Freshness": the catalog has the kind of the target only.
            (Setting::TargetFreshness, Some(Value::Text(target))) => {
                let word = target.to_uppercase();
                let kind = if ["ON_COMMIT", "MANUAL"].contains(&&*word) { &word } else { "INTERVAL" };
                text(&self.from) == kind
            }
            // docs/pg_trickle.md, "Status": ERROR and INITIALIZING are states, not settings.
            (Setting::Status, Some(Value::Text(status))) => {
                (status == "SUSPENDED") == (text(&self.from) == "SUSPENDED")
            }
            (_, to) => *to == self.from,
        }
    }

    /// A change to AUTO is a change to DIFFERENTIAL, where the engine refuses AUTO for a table that exists.
    fn resolved(mut self) -> Self {
        if self.setting == Setting::RefreshMode && self.to == Some(Value::Text("AUTO".into())) {
            self.to = Some(Value::Text("DIFFERENTIAL".into()));
        }
        self
    }
}

fn is_calculated(value: Option<&Value>) -> bool {
    value == Some(&Value::Schedule(Schedule::Calculated))
}
