//! The privileges that applying a plan needs (docs/pg_trickle.md, "Privileges").

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Action, Change, Plan, Step, actions::create};
use crate::{
    model::{Relation, Setting, StreamTable, Value},
    project::UncompiledTable,
    sql::query,
};

/// What the role needs that applies a plan.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequiredRights {
    /// Relations that the role, or a role of which it is a member, must own.
    pub own: BTreeSet<Relation>,
    /// Schemas in which the role creates; they may not exist yet.
    pub create_in: BTreeSet<String>,
    /// Stream tables that are created.
    #[serde(default)]
    pub create: BTreeSet<Relation>,
    pub read: BTreeSet<Relation>,
    /// Sources on which pg_trickle creates capture triggers if they have none.
    pub capture: BTreeSet<Relation>,
    /// Functions of pg_trickle that the role calls; newer versions do not let everyone.
    #[serde(default)]
    pub call: BTreeSet<String>,
    /// Whether a table becomes IMMEDIATE, for which pg_trickle creates functions in its own schema.
    #[serde(default)]
    pub immediate: bool,
    /// Whether a table becomes another than IMMEDIATE, for which pg_trickle creates change buffers.
    #[serde(default)]
    pub buffered: bool,
    /// Whether the stream tables are checked then.
    #[serde(default)]
    pub watch: bool,
    /// Relations of which the role fills tables, so that no policy may hide rows from it.
    #[serde(default)]
    pub see_all: BTreeSet<Relation>,
    /// Stream tables whose triggers on their sources go.
    #[serde(default)]
    pub release: BTreeSet<Relation>,
}

impl RequiredRights {
    /// What the first deployment of these stream tables needs.
    pub fn first_deployment(tables: &[UncompiledTable]) -> Self {
        let mut needs = Self::default();
        for UncompiledTable { table, sources } in tables {
            let is_immediate = table.settings.refresh_mode() == Some("IMMEDIATE");
            needs.immediate |= is_immediate;
            needs.buffered |= !is_immediate;
            needs.create_in.insert(table.relation.schema.clone());
            needs.create.insert(table.relation.clone());
            needs.call.extend(create(table).iter().filter_map(|statement| called(statement)));
            needs.read.extend(sources.iter().cloned());
            needs.see_all.extend(sources.iter().cloned());
        }
        needs
    }

    /// The right to call what these actions call.
    fn calls(actions: &[Action]) -> Self {
        let statements = actions.iter().flat_map(|action| &action.statements);
        Self { call: statements.filter_map(|statement| called(statement)).collect(), ..Self::default() }
    }
}

/// The function of pg_trickle that a statement calls.
fn called(statement: &str) -> Option<String> {
    let (function, _) = statement.strip_prefix("select pgtrickle.")?.split_once('(')?;
    Some(function.to_owned())
}

impl Plan {
    /// What a role needs that deploys the plan with dbt.
    pub fn rights_with_dbt(&self, desired: &[StreamTable], actions: &[Action]) -> RequiredRights {
        let mut needs = RequiredRights::calls(actions);
        let tables: BTreeMap<&Relation, &StreamTable> =
            desired.iter().map(|table| (&table.relation, table)).collect();
        for step in self.steps.iter().filter(|step| step.change != Change::Keep) {
            needs.add(step, tables.get(&step.relation).copied());
        }
        // Relations that the plan creates do not exist yet.
        let created = self.steps.iter().filter(|step| matches!(step.change, Change::Create { .. }));
        for relation in created.map(|step| &step.relation) {
            needs.read.remove(relation);
            needs.capture.remove(relation);
        }
        needs
    }

    /// What the role needs that executes these actions of the plan, which also create views.
    pub fn rights(&self, desired: &[StreamTable], actions: &[Action]) -> RequiredRights {
        let mut needs = self.rights_with_dbt(desired, actions);
        for view in &self.lost_views {
            needs.own.insert(view.relation.clone());
            needs.create_in.insert(view.relation.schema.clone());
        }
        needs
    }
}

impl RequiredRights {
    /// What one step needs. `table` is what it leads to.
    fn add(&mut self, step: &Step, table: Option<&StreamTable>) {
        match &step.change {
            Change::Create { replaces, .. } => {
                self.create_in.insert(step.relation.schema.clone());
                self.create.insert(step.relation.clone());
                self.own.extend(replaces.iter().map(|_| step.relation.clone()));
            }
            Change::Recreate { .. } => {
                self.own.insert(step.relation.clone());
                self.create_in.insert(step.relation.schema.clone());
            }
            Change::AlterQuery { .. } | Change::Alter(_) | Change::Drop | Change::Keep => {
                self.own.insert(step.relation.clone());
            }
        }
        let settings = match &step.change {
            Change::Alter(settings) | Change::AlterQuery { settings, .. } => settings.as_slice(),
            Change::Create { .. } | Change::Recreate { .. } | Change::Drop | Change::Keep => &[],
        };
        let mode = settings.iter().find(|change| change.setting == Setting::RefreshMode);
        let was_immediate = mode.is_some_and(|mode| mode.from == Some(Value::Text("IMMEDIATE".into())));
        if was_immediate || matches!(step.change, Change::Recreate { .. } | Change::Drop) {
            self.release.insert(step.relation.clone());
        }
        let writes_query = !matches!(step.change, Change::Alter(_) | Change::Drop | Change::Keep);
        let Some(table) = table.filter(|_| writes_query || mode.is_some()) else { return };
        let read = query::relations(&table.query);
        let is_immediate = table.settings.refresh_mode() == Some("IMMEDIATE");
        self.immediate |= is_immediate;
        self.buffered |= !is_immediate;
        self.see_all.extend(read.iter().cloned());
        if writes_query {
            if table.settings.refresh_mode() != Some("FULL") {
                self.capture.extend(read.iter().cloned());
            }
            self.read.extend(read);
        }
    }
}
