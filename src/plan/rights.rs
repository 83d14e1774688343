//! The privileges that applying a plan needs (docs/pg_trickle.md, "Privileges").

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Action, Change, Plan};
use crate::{
    model::{Relation, Setting, StreamTable, Value},
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
    /// Whether a table becomes IMMEDIATE, for which pg_trickle creates functions in its own schema.
    #[serde(default)]
    pub immediate: bool,
    /// Relations of which the role fills tables, so that no policy may hide rows from it.
    #[serde(default)]
    pub see_all: BTreeSet<Relation>,
    /// Stream tables whose triggers on their sources go.
    #[serde(default)]
    pub release: BTreeSet<Relation>,
}

impl RequiredRights {
    /// The right to call this function of pg_trickle.
    pub fn call(function: &str) -> Self {
        Self { call: BTreeSet::from([function.to_owned()]), ..Self::default() }
    }

    /// The right to call what these actions call.
    pub fn calls(actions: &[Action]) -> Self {
        let statements = actions.iter().flat_map(|action| &action.statements);
        let called = |statement: &String| {
            let (function, _) = statement.strip_prefix("select pgtrickle.")?.split_once('(')?;
            Some(function.to_owned())
        };
        Self { call: statements.filter_map(called).collect(), ..Self::default() }
    }
}

impl Plan {
    /// What pg_trickle itself asks of a role that deploys the plan, with dbt or without.
    pub fn rights_of_engine(&self, desired: &[StreamTable], actions: &[Action]) -> RequiredRights {
        let mut needs = RequiredRights::calls(actions);
        for step in &self.steps {
            let settings = match &step.change {
                Change::Keep => continue,
                Change::Alter(settings) | Change::AlterQuery { settings, .. } => settings.as_slice(),
                Change::Create { .. } | Change::Recreate { .. } | Change::Drop => &[],
            };
            let mode = settings.iter().find(|change| change.setting == Setting::RefreshMode);
            let was_immediate = mode.is_some_and(|mode| mode.from == Some(Value::Text("IMMEDIATE".into())));
            if was_immediate || matches!(step.change, Change::Recreate { .. } | Change::Drop) {
                needs.release.insert(step.relation.clone());
            }
            let is_filled = mode.is_some() || !matches!(step.change, Change::Alter(_) | Change::Drop);
            let table = desired.iter().find(|table| table.relation == step.relation);
            if let Some(table) = table.filter(|_| is_filled) {
                needs.immediate |= table.settings.refresh_mode() == Some("IMMEDIATE");
                needs.see_all.extend(query::relations(&table.query));
            }
        }
        needs
    }

    /// What the role needs that executes these actions of the plan.
    pub fn rights(&self, desired: &[StreamTable], actions: &[Action]) -> RequiredRights {
        let mut needs = self.rights_of_engine(desired, actions);
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
