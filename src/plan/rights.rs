//! The privileges that applying a plan needs (docs/pg_trickle.md, "Privileges").

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Change, Plan, SettingChange, Step};
use crate::{
    model::{Relation, Setting, StreamTable},
    sql::query,
};

/// What the role needs that applies a plan.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequiredRights {
    /// Relations that the role, or a role of which it is a member, must own.
    pub own: BTreeSet<Relation>,
    /// Schemas in which the role creates; they may not exist yet.
    pub create_in: BTreeSet<String>,
    pub read: BTreeSet<Relation>,
    /// Sources on which pg_trickle creates capture triggers if they have none.
    pub capture: BTreeSet<Relation>,
    /// Functions of pg_trickle that the role calls; newer versions do not let everyone.
    #[serde(default)]
    pub call: BTreeSet<String>,
}

impl Plan {
    /// The functions of pg_trickle that the plan calls.
    pub fn functions(&self) -> BTreeSet<String> {
        let called = self.steps.iter().flat_map(|step| match &step.change {
            Change::Create { .. } => &["create_stream_table"][..],
            Change::Recreate { .. } => &["drop_stream_table", "create_stream_table"],
            Change::AlterQuery { .. } => &["alter_stream_table", "refresh_stream_table"],
            Change::Alter(_) => &["alter_stream_table"],
            Change::Drop => &["drop_stream_table"],
            Change::Keep => &[],
        });
        let orchestrates = |step: &Step| {
            let is_its = |change: &SettingChange| change.setting == Setting::OrchestrationMode;
            matches!(step.change, Change::Alter(_) | Change::AlterQuery { .. })
                && step.change.settings().iter().any(is_its)
        };
        let orchestration = self.steps.iter().any(orchestrates).then_some("set_orchestration_mode");
        called.copied().chain(orchestration).map(str::to_owned).collect()
    }

    pub fn rights(&self, desired: &[StreamTable]) -> RequiredRights {
        let mut needs = RequiredRights { call: self.functions(), ..RequiredRights::default() };
        for step in self.steps.iter().filter(|step| step.change != Change::Keep) {
            let relation = || step.relation.clone();
            let writes_query = match &step.change {
                Change::Create { replaces, .. } => {
                    needs.create_in.insert(step.relation.schema.clone());
                    needs.own.extend(replaces.iter().map(|_| relation()));
                    true
                }
                Change::Recreate { .. } => {
                    needs.own.insert(relation());
                    needs.create_in.insert(step.relation.schema.clone());
                    true
                }
                Change::AlterQuery { .. } => needs.own.insert(relation()),
                Change::Alter(_) | Change::Drop | Change::Keep => {
                    needs.own.insert(relation());
                    false
                }
            };
            let table = desired.iter().find(|table| table.relation == step.relation);
            let Some(table) = table.filter(|_| writes_query) else { continue };
            let read = query::relations(&table.query);
            if table.settings.refresh_mode() != Some("FULL") {
                needs.capture.extend(read.iter().cloned());
            }
            needs.read.extend(read);
        }
        for view in &self.lost_views {
            needs.own.insert(view.relation.clone());
            needs.create_in.insert(view.relation.schema.clone());
        }
        // Relations that the plan creates do not exist yet.
        let created = self.steps.iter().filter(|step| matches!(step.change, Change::Create { .. }));
        for relation in created.map(|step| &step.relation) {
            needs.read.remove(relation);
            needs.capture.remove(relation);
        }
        needs
    }
}
