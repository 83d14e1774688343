//! The difference between a project's stream tables and the deployed ones.
//!
//! A plan is data. [`Plan::between`] computes it; other modules render, compare and apply it.

mod actions;
mod asked;
mod between;
pub(crate) mod columns;
mod cost;
pub mod dbt;
mod fingerprints;
pub mod lost_objects;
mod lost_views;
pub mod moved;
mod policy;
mod refusal;
mod renames;
mod rights;
pub mod saved;
mod settings;
mod summary;
pub mod views;

use std::collections::BTreeSet;

use crate::{
    model::{Column, Origin, Outcome, Relation, Setting, Stage, StreamTable, Value, Verdict},
    project::Project,
};

pub use actions::{Action, actions};
pub use asked::{Answers, MissingUpstream, Question, SpecialSource, questions, unbuilt, validations};
pub use cost::Cost;
pub use dbt::NeedsDbt;
pub use lost_objects::{KnownLosses, LostObject};
pub use lost_views::LostView;
pub use policy::{Permission, Policy};
pub use refusal::Refusal;
pub use rights::RequiredRights;
pub use summary::Counts;
pub use views::{UpstreamRelations, ViewChange, ViewStep};

/// A step for every stream table, in the order of execution.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// Unchanged tables have a step, too. First come drops of tables that no remaining table reads, then creates and
    /// changes with upstream before downstream, then the other drops.
    pub steps: Vec<Step>,
    /// Changed views that stream tables read.
    pub views: Vec<ViewStep>,
    /// Stream tables on the server that do not belong to this project; no step changes them.
    pub unmanaged: Vec<Relation>,
    /// Why the plan would fail.
    pub problems: Vec<Problem>,
    /// What was not compared and why, and other facts about the plan; a line each.
    pub notes: Vec<String>,
    /// The names in the policy that match no table, a sentence each.
    pub unmatched: Vec<String>,
    /// The changes that only dbt can make; empty if the plan can be applied without it.
    pub needs_dbt: Vec<NeedsDbt>,
    /// The views that are dropped with replaced tables and restored.
    pub lost_views: Vec<LostView>,
    /// The other objects that are dropped with tables and not restored.
    pub lost_objects: Vec<LostObject>,
}

/// A reason why applying the plan would fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub relation: Relation,
    pub message: String,
    pub origin: Option<Origin>,
}

/// Stream tables in a dependency cycle: no order exists in which to create them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these stream tables form a dependency cycle: {}", members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct Cycle {
    /// The tables of the cycle and those downstream of it.
    pub members: Vec<Relation>,
}

impl Cycle {
    pub fn hint(&self) -> String {
        "break the cycle: let one of them read a plain table".into()
    }
}

/// The change of one stream table, and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub relation: Relation,
    pub change: Change,
    /// The reasons for the change that the change itself does not show, a sentence each.
    pub reasons: Vec<String>,
    /// What the plan cannot know about this step, and why.
    pub unknown: Option<String>,
    /// Why its query fails.
    pub failure: Option<String>,
    /// The columns that differ; empty without a server.
    pub columns: Vec<ColumnChange>,
    /// The cost, if an existing table is refilled.
    pub cost: Option<Cost>,
    /// What is dropped with the storage table: views, grants, indexes, publications; a phrase each.
    pub lost: Vec<String>,
    /// The stream tables that read it, directly or through others; empty for an unchanged table.
    pub downstream: Vec<Relation>,
    /// What else reads it: views, tables and exposures of the project, and views on the server.
    pub readers: Vec<String>,
    pub origin: Option<Origin>,
    /// Whether the policy lacks the permission that the step needs.
    pub refused: bool,
    /// The materialization that the project now gives a dropped table's name: dbt then drops the table.
    pub becomes: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChange {
    Added(Column),
    Removed(Column),
    Retyped { from: Column, to: Column },
}

/// How a stream table changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Create {
        /// Without settings that equal the engine's default.
        settings: Vec<(Setting, Value)>,
        /// The kind of relation that has its name now and is dropped, in SQL's words.
        replaces: Option<String>,
    },
    /// The settings change. The rows stay, unless the refresh mode changes.
    Alter(Vec<SettingChange>),
    /// The query changes in place, and the table is refilled.
    AlterQuery {
        query: QueryChange,
        settings: Vec<SettingChange>,
    },
    /// The table is replaced: dropped and created again, with the loss of views on it, grants and indexes.
    Recreate {
        /// `None` if the query stays.
        query: Option<QueryChange>,
        settings: Vec<SettingChange>,
    },
    /// The project has no model for the table any more.
    Drop,
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryChange {
    pub before: String,
    pub after: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SettingChange {
    pub setting: Setting,
    /// `None` if it is not set.
    pub from: Option<Value>,
    /// `None` if it will not be set.
    pub to: Option<Value>,
}

impl Plan {
    /// Adds what the project knows: the readers of each changed table, the tables that every dbt run refills although
    /// nothing changes (docs/pg_trickle.md, "Source DDL"), and the faults of dbt that it meets.
    #[must_use]
    pub fn with_readers(mut self, project: &Project) -> Self {
        self.notes.extend(dbt::recreated_views_note(&self.steps, project));
        self.notes.extend(dbt::unwritable_descriptions_note(project));
        let graph = &project.graph;
        for step in self.steps.iter_mut().filter(|step| step.change == Change::Drop) {
            step.becomes = graph.kind_of(&step.relation).map(ToOwned::to_owned);
        }
        self.needs_dbt.extend(dbt::replacements(&self.steps));
        for step in self.steps.iter_mut().filter(|step| step.change != Change::Keep) {
            let Some(origin) = &step.origin else { continue };
            let readers = graph.readers(&origin.unique_id);
            step.readers =
                readers.models.iter().map(|(relation, kind)| format!("{kind} {relation}")).collect();
            step.readers.extend(readers.exposures.iter().map(|exposure| match &exposure.owner {
                Some(owner) => format!("exposure {} ({owner})", exposure.name),
                None => format!("exposure {}", exposure.name),
            }));
        }
        self
    }

    /// Why the plan must not be applied, by table: missing permissions and problems.
    pub fn stopped_by(&self) -> Vec<(Relation, String)> {
        let refused = self.steps.iter().filter_map(|step| {
            let permission = step.permission()?;
            let Permission { key, name } = &permission;
            let refusal = step.refusal()?;
            let allow = format!(
                "{refusal}. Allow it with `plan.{key}` in pgtrickle-ci.yml or `{} {name}`",
                permission.flag()
            );
            Some((step.relation.clone(), allow))
        });
        let problems =
            self.problems.iter().map(|problem| (problem.relation.clone(), problem.message.clone()));
        refused.chain(problems).collect()
    }

    /// The outcomes of a stopped gate: missing permissions, problems, and policy names that match no table.
    pub fn stop_outcomes(&self) -> Vec<Outcome> {
        let refused = self.steps.iter().filter_map(|step| {
            let permission = step.permission()?;
            let outcome = Outcome::new(Stage::Plan, &step.relation, Verdict::Failed, step.refusal()?);
            let details = [
                format!(
                    "allow it in pgtrickle-ci.yml: plan: {{{}: [{}]}}",
                    permission.key,
                    permission.yaml()
                ),
                format!("or for one run: {} {}", permission.flag(), permission.name),
            ];
            Some(outcome.with_details(details).about(step.origin.as_ref()))
        });
        refused.chain(self.problem_outcomes()).collect()
    }

    /// The tables that are dropped before the other steps, and those dropped after them; without those that dbt drops.
    pub fn drops(&self) -> (Vec<Relation>, Vec<Relation>) {
        let is_drop = |step: &&Step| step.change == Change::Drop;
        let names = |steps: Vec<&Step>| -> Vec<Relation> {
            let ours = steps.into_iter().filter(|step| step.becomes.is_none());
            ours.map(|step| step.relation.clone()).collect()
        };
        let first: Vec<&Step> = self.steps.iter().take_while(is_drop).collect();
        let last = self.steps.iter().skip(first.len()).filter(is_drop);
        (names(first), names(last.collect()))
    }

    /// The outcomes of the plan's problems, and of policy names that match no table.
    pub fn problem_outcomes(&self) -> impl Iterator<Item = Outcome> {
        let problems = self.problems.iter().map(|problem| {
            Outcome::new(Stage::Plan, &problem.relation, Verdict::Failed, problem.message.clone())
                .about(problem.origin.as_ref())
        });
        let unmatched = self.unmatched.iter();
        problems.chain(
            unmatched.map(|sentence| {
                Outcome::new(Stage::Plan, "pgtrickle-ci.yml", Verdict::Warned, sentence.clone())
            }),
        )
    }

    /// Only the steps of these models, and of upstream tables that do not exist yet; all steps without a selection.
    /// Tables without a model cannot be selected.
    #[must_use]
    pub fn narrowed(mut self, ids: Option<&BTreeSet<String>>, tables: &[StreamTable]) -> Self {
        let Some(ids) = ids else { return self };
        let mut read: BTreeSet<&Relation> = BTreeSet::new();
        let mut kept = Vec::new();
        for step in self.steps.into_iter().rev() {
            let is_selected = step.origin.as_ref().is_some_and(|origin| ids.contains(&origin.unique_id));
            let is_needed = matches!(step.change, Change::Create { .. }) && read.contains(&step.relation);
            if step.change != Change::Drop && (is_selected || is_needed) {
                let table = tables.iter().find(|table| table.relation == step.relation);
                read.extend(table.into_iter().flat_map(|table| &table.upstream));
                kept.push(step);
            }
        }
        kept.reverse();
        self.steps = kept;
        let is_kept = |relation: &Relation| self.steps.iter().any(|step| step.relation == *relation);
        self.views.retain(|view| view.affected().any(is_kept));
        let is_below = |relation: &Relation| self.steps.iter().any(|step| step.downstream.contains(relation));
        let is_view = |relation: &Relation| self.views.iter().any(|view| view.relation == *relation);
        self.problems.retain(|problem| {
            is_kept(&problem.relation) || is_below(&problem.relation) || is_view(&problem.relation)
        });
        self.unmanaged.clear();
        self.retain_lost_views();
        let is_kept = |relation: &Relation| self.steps.iter().any(|step| step.relation == *relation);
        let is_lost = |relation: &Relation| self.lost_views.iter().any(|view| view.relation == *relation);
        self.needs_dbt.retain(|need| need.tables.iter().any(is_kept) || is_lost(&need.relation));
        self
    }

    /// The steps without the permission that they need.
    pub fn refused(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.refused)
    }
}

impl Change {
    /// Terraform's symbol; empty for no change.
    pub fn symbol(&self) -> &'static str {
        match self {
            Self::Create { .. } => "+",
            Self::Alter(_) | Self::AlterQuery { .. } => "~",
            Self::Recreate { .. } => "-/+",
            Self::Drop => "-",
            Self::Keep => "",
        }
    }

    pub fn words(&self) -> &'static str {
        match self {
            Self::Create { replaces: None, .. } => "create",
            Self::Create { replaces: Some(_), .. } => "create, replacing another relation",
            Self::Alter(settings) if settings.is_empty() => "take over unchanged",
            Self::Alter(_) if self.refills() => "alter settings, refilled in place",
            Self::Alter(_) => "alter settings",
            Self::AlterQuery { .. } => "alter query, refilled in place",
            Self::Recreate { .. } => "replace: dropped and recreated",
            Self::Drop => "drop",
            Self::Keep => "no change",
        }
    }

    /// The name in JSON reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Alter(_) => "alter",
            Self::AlterQuery { .. } => "alter-query",
            Self::Recreate { .. } => "replace",
            Self::Drop => "drop",
            Self::Keep => "keep",
        }
    }

    /// Whether an existing table is refilled in place. A change of the refresh mode refills, too (docs/pg_trickle.md,
    /// "Alter").
    pub fn refills(&self) -> bool {
        match self {
            Self::AlterQuery { .. } => true,
            Self::Alter(settings) => settings.iter().any(|change| change.setting == Setting::RefreshMode),
            Self::Create { .. } | Self::Recreate { .. } | Self::Drop | Self::Keep => false,
        }
    }

    pub fn query(&self) -> Option<&QueryChange> {
        match self {
            Self::AlterQuery { query, .. } => Some(query),
            Self::Recreate { query, .. } => query.as_ref(),
            Self::Create { .. } | Self::Alter(_) | Self::Drop | Self::Keep => None,
        }
    }

    pub fn settings(&self) -> &[SettingChange] {
        match self {
            Self::Alter(settings) | Self::AlterQuery { settings, .. } | Self::Recreate { settings, .. } => {
                settings
            }
            Self::Create { .. } | Self::Drop | Self::Keep => &[],
        }
    }
}
