//! What a change will do: the difference between the stream tables that a project wants and those that are there.
//!
//! A plan is data. It is built in one place, [`Plan::between`], and rendered, compared and carried out elsewhere.

mod actions;
mod asked;
mod between;
pub(crate) mod columns;
mod cost;
pub mod dbt;
pub mod lost_objects;
mod lost_views;
pub mod moved;
mod policy;
mod problems;
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
pub use asked::{Answers, Question, Refusal, Unbuilt, questions};
pub use cost::Cost;
pub use dbt::NeedsDbt;
pub use lost_objects::LostObject;
pub use lost_views::LostView;
pub use policy::{Permission, Policy};
pub use rights::Needs;
pub use summary::Counts;
pub use views::{Between, ViewChange, ViewStep};

/// What will happen to every stream table, in the order in which it happens.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// A step for every table, unchanged ones too: drops of what nothing reads, then what is made and changed with
    /// upstream before downstream, then the other drops.
    pub steps: Vec<Step>,
    /// The views that stream tables read and that change.
    pub views: Vec<ViewStep>,
    /// Stream tables on the server that this project did not make; they are left alone.
    pub unmanaged: Vec<Relation>,
    /// What would go wrong, although each step for itself is possible.
    pub problems: Vec<Problem>,
    /// What was not compared, and why, and what else is worth knowing; a line each.
    pub notes: Vec<String>,
    /// The names of the policy that mean no table, a sentence each.
    pub unmatched: Vec<String>,
    /// What only dbt can do; empty where the plan can be carried out without it.
    pub needs_dbt: Vec<NeedsDbt>,
    /// The views that are dropped with tables that are built again.
    pub lost_views: Vec<LostView>,
    /// What else is dropped with tables; nothing restores it.
    pub lost_objects: Vec<LostObject>,
}

/// Something that would go wrong when the plan is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The table that would suffer.
    pub relation: Relation,
    /// What would happen to it.
    pub message: String,
    /// The model to look at.
    pub origin: Option<Origin>,
}

/// Stream tables that read each other in a circle: no order exists in which to make them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these stream tables depend on each other in a circle: {}", members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct Cycle {
    /// Its members, and what stands downstream of them.
    pub members: Vec<Relation>,
}

impl Cycle {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        "let one of them read a plain table instead".into()
    }
}

/// What will happen to one stream table.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The table.
    pub relation: Relation,
    /// What will happen to it.
    pub change: Change,
    /// Why, where the change does not say it itself; a sentence each.
    pub reasons: Vec<String>,
    /// What could not be known of it, and why.
    pub unknown: Option<String>,
    /// Why its query can only fail.
    pub failure: Option<String>,
    /// The columns that differ, where a server was asked.
    pub columns: Vec<ColumnChange>,
    /// What it costs, where the rows of a table that is there are written again.
    pub cost: Option<Cost>,
    /// What is lost with the storage: views, grants, indexes, publications; a phrase each.
    pub lost: Vec<String>,
    /// The stream tables that read it, directly or through others; of an unchanged table nobody asks.
    pub downstream: Vec<Relation>,
    /// What else reads it: views, tables and exposures of the project, and what the server knows beside them.
    pub readers: Vec<String>,
    /// The model behind it.
    pub origin: Option<Origin>,
    /// Whether it needs a permission that the policy does not give.
    pub refused: bool,
    /// What the project makes in the place of a dropped table, in dbt's word for it: dbt drops it then.
    pub becomes: Option<String>,
}

/// A column before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnChange {
    /// It is new.
    Added(Column),
    /// It goes.
    Removed(Column),
    /// Its type is another.
    Retyped {
        /// As it is.
        from: Column,
        /// As it will be.
        to: Column,
    },
}

/// One way in which a stream table changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is new.
    Create {
        /// What is worth saying of it: its mode and schedule.
        settings: Vec<(Setting, Value)>,
        /// What has its name now and has to go, in SQL's word for it.
        replaces: Option<String>,
    },
    /// Settings change; the contents stay.
    Alter(Vec<SettingChange>),
    /// The query changes in place, and the table is filled again.
    AlterQuery {
        /// The query before and after.
        query: QueryChange,
        /// Settings that change along with it.
        settings: Vec<SettingChange>,
    },
    /// The table is dropped and built again: views on it, grants and indexes are lost.
    Recreate {
        /// The query before and after, where it changes.
        query: Option<QueryChange>,
        /// The settings that change.
        settings: Vec<SettingChange>,
    },
    /// The project has no model for it any more.
    Drop,
    /// Nothing.
    Keep,
}

/// A query before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryChange {
    /// As it is.
    pub before: String,
    /// As it will be.
    pub after: String,
}

/// One setting before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingChange {
    /// The setting.
    pub setting: Setting,
    /// Its value now; `None` when it is not set.
    pub from: Option<Value>,
    /// Its value afterwards; `None` when it will not be set.
    pub to: Option<Value>,
}

impl Plan {
    /// The same plan with what the project's graph says: what reads each table that changes, and which tables are filled
    /// again whenever dbt runs, though nothing changes (docs/pg_trickle.md, "Source DDL").
    #[must_use]
    pub fn with_readers(mut self, project: &Project) -> Self {
        self.notes.extend(dbt::remade_note(&self.steps, project));
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

    /// Why it must not be carried out, by table: for want of a permission, or because something would go wrong.
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

    /// What is not allowed, what would go wrong and what is odd, as the gate says it when it stops.
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

    /// What is dropped before anything else happens, and what is dropped at the end; without what dbt replaces.
    pub fn drops(&self) -> (Vec<Relation>, Vec<Relation>) {
        let is_drop = |step: &&Step| step.change == Change::Drop;
        let gone = |steps: Vec<&Step>| -> Vec<Relation> {
            let left = steps.into_iter().filter(|step| step.becomes.is_none());
            left.map(|step| step.relation.clone()).collect()
        };
        let first: Vec<&Step> = self.steps.iter().take_while(is_drop).collect();
        let last = self.steps.iter().skip(first.len()).filter(is_drop);
        (gone(first), gone(last.collect()))
    }

    /// What would go wrong, and what of the policy means nothing, as the gate says it.
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

    /// The steps of these models alone, with the tables upstream that they read and that are not there yet; all steps
    /// where nothing was selected. What has no model any more, or never had one, is nothing that was asked for.
    #[must_use]
    pub fn narrowed(mut self, ids: Option<&BTreeSet<String>>, tables: &[StreamTable]) -> Self {
        let Some(ids) = ids else { return self };
        let mut read: BTreeSet<&Relation> = BTreeSet::new();
        let mut kept = Vec::new();
        for step in self.steps.into_iter().rev() {
            let is_meant = step.origin.as_ref().is_some_and(|origin| ids.contains(&origin.unique_id));
            let comes_along = matches!(step.change, Change::Create { .. }) && read.contains(&step.relation);
            if step.change != Change::Drop && (is_meant || comes_along) {
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
        self.keep_lost_views();
        let is_kept = |relation: &Relation| self.steps.iter().any(|step| step.relation == *relation);
        let is_lost = |relation: &Relation| self.lost_views.iter().any(|view| view.relation == *relation);
        self.needs_dbt.retain(|need| need.tables.iter().any(is_kept) || is_lost(&need.relation));
        self
    }

    /// The steps that need a permission they do not have.
    pub fn refused(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.refused)
    }
}

impl Change {
    /// Terraform's symbol for it; empty for nothing.
    pub fn symbol(&self) -> &'static str {
        match self {
            Self::Create { .. } => "+",
            Self::Alter(_) | Self::AlterQuery { .. } => "~",
            Self::Recreate { .. } => "-/+",
            Self::Drop => "-",
            Self::Keep => "",
        }
    }

    /// It in a few words.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Create { replaces: None, .. } => "create",
            Self::Create { replaces: Some(_), .. } => "create, replacing another relation",
            Self::Alter(settings) if settings.is_empty() => "take over as it is",
            Self::Alter(_) if self.refills() => "alter settings, refilled in place",
            Self::Alter(_) => "alter settings",
            Self::AlterQuery { .. } => "alter query, refilled in place",
            Self::Recreate { .. } => "replace: dropped and rebuilt",
            Self::Drop => "drop",
            Self::Keep => "no change",
        }
    }

    /// It in one word, for machines.
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

    /// Whether all rows of a table that stays are written anew. A change of the mode does that, too
    /// (docs/pg_trickle.md, "Alter").
    pub fn refills(&self) -> bool {
        match self {
            Self::AlterQuery { .. } => true,
            Self::Alter(settings) => settings.iter().any(|change| change.setting == Setting::RefreshMode),
            Self::Create { .. } | Self::Recreate { .. } | Self::Drop | Self::Keep => false,
        }
    }

    /// The query that changes with it.
    pub fn query(&self) -> Option<&QueryChange> {
        match self {
            Self::AlterQuery { query, .. } => Some(query),
            Self::Recreate { query, .. } => query.as_ref(),
            Self::Create { .. } | Self::Alter(_) | Self::Drop | Self::Keep => None,
        }
    }

    /// The settings that change with it.
    pub fn settings(&self) -> &[SettingChange] {
        match self {
            Self::Alter(settings) | Self::AlterQuery { settings, .. } | Self::Recreate { settings, .. } => {
                settings
            }
            Self::Create { .. } | Self::Drop | Self::Keep => &[],
        }
    }
}
