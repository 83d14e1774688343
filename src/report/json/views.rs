//! The part of the document about views, refills and steps that need dbt.

use serde::{Deserialize, Serialize};

use super::{V1Model, V1Query, V1Relation};
use crate::plan::{Cost, NeedsDbt, QueryChange, ViewChange, ViewStep};

/// A changed view that stream tables read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1View {
    pub relation: V1Relation,
    /// `create`, `alter-query`, `remove`, or `unknown` if it could not be compared.
    pub action: String,
    /// The kind of relation, in SQL's word, that has the name of a new view.
    pub replaces: Option<String>,
    /// The materialization, in dbt's word, that replaces the view.
    pub becomes: Option<String>,
    /// The query before and after, as PostgreSQL stores it or as dbt compiled it.
    pub query: Option<V1Query>,
    /// Why it could not be compared.
    pub unknown: Option<String>,
    /// The stream tables that read it, directly or through other views. They are refilled.
    pub readers: Vec<V1Relation>,
    /// The stream tables that read those; their rows change too.
    pub downstream: Vec<V1Relation>,
    pub model: Option<V1Model>,
}

/// Something that only dbt can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1NeedsDbt {
    pub relation: V1Relation,
    /// Why, as a sentence about the relation.
    pub why: String,
    /// The stream tables that read it, or the table itself.
    pub tables: Vec<V1Relation>,
}

/// The cost of a refill. Fields are null without evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Refill {
    /// The number of rows, by PostgreSQL's estimate.
    pub rows: Option<i64>,
    /// The size of the table and its indexes.
    pub bytes: Option<i64>,
    /// The duration of its last full refreshes.
    pub full_refresh_ms: Option<f64>,
}

impl From<&Cost> for V1Refill {
    fn from(cost: &Cost) -> Self {
        Self { rows: cost.rows, bytes: cost.bytes, full_refresh_ms: cost.full_ms }
    }
}

impl From<V1Refill> for Cost {
    fn from(cost: V1Refill) -> Self {
        Self { rows: cost.rows, bytes: cost.bytes, full_ms: cost.full_refresh_ms }
    }
}

impl From<&NeedsDbt> for V1NeedsDbt {
    fn from(need: &NeedsDbt) -> Self {
        Self {
            relation: V1Relation::from(&need.relation),
            why: need.why.clone(),
            tables: need.tables.iter().map(V1Relation::from).collect(),
        }
    }
}

impl V1NeedsDbt {
    pub(in crate::report) fn read(self) -> NeedsDbt {
        NeedsDbt {
            relation: self.relation.read(),
            why: self.why,
            tables: self.tables.into_iter().map(V1Relation::read).collect(),
        }
    }
}

impl From<&ViewStep> for V1View {
    fn from(view: &ViewStep) -> Self {
        let (mut replaces, mut becomes, mut unknown) = (None, None, None);
        match &view.change {
            ViewChange::Create { replaces: kind } => replaces.clone_from(kind),
            ViewChange::Remove { becomes: kind } => becomes.clone_from(kind),
            ViewChange::Unknown(why) => unknown = Some(why.clone()),
            ViewChange::Query(_) => {}
        }
        let query = view.change.query();
        Self {
            relation: V1Relation::from(&view.relation),
            action: view.change.name().into(),
            replaces,
            becomes,
            query: query.map(|query| V1Query { before: query.before.clone(), after: query.after.clone() }),
            unknown,
            readers: view.readers.iter().map(V1Relation::from).collect(),
            downstream: view.downstream.iter().map(V1Relation::from).collect(),
            model: view.origin.as_ref().map(V1Model::from),
        }
    }
}

impl V1View {
    /// # Errors
    /// The unknown action.
    pub(in crate::report) fn read(self) -> Result<ViewStep, String> {
        let change = match (self.action.as_str(), self.query) {
            ("create", _) => ViewChange::Create { replaces: self.replaces },
            ("alter-query", Some(query)) => {
                ViewChange::Query(QueryChange { before: query.before, after: query.after })
            }
            ("remove", _) => ViewChange::Remove { becomes: self.becomes },
            ("unknown", _) => ViewChange::Unknown(self.unknown.unwrap_or_default()),
            _ => return Err(self.action),
        };
        Ok(ViewStep {
            relation: self.relation.read(),
            change,
            readers: self.readers.into_iter().map(V1Relation::read).collect(),
            downstream: self.downstream.into_iter().map(V1Relation::read).collect(),
            origin: self.model.map(V1Model::read),
        })
    }
}
