//! The part of the document about views, refills and what needs dbt.

use serde::{Deserialize, Serialize};

use super::{V1Model, V1Query, V1Relation};
use crate::plan::{Cost, NeedsDbt, QueryChange, ViewChange, ViewStep};

/// A view that stream tables read and that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1View {
    /// The view.
    pub relation: V1Relation,
    /// `create`, `alter-query`, `remove`, or `unknown` where it could not be compared.
    pub action: String,
    /// What has the name of a new view now, in SQL's word for it.
    pub replaces: Option<String>,
    /// What the project makes of that name instead of a view, in dbt's word for it.
    pub becomes: Option<String>,
    /// The query before and after: as PostgreSQL writes it, or as it was compiled.
    pub query: Option<V1Query>,
    /// Why it could not be compared.
    pub unknown: Option<String>,
    /// The stream tables that read it, directly or through other views: they are refilled.
    pub readers: Vec<V1Relation>,
    /// The stream tables that read those: their rows follow.
    pub downstream: Vec<V1Relation>,
    /// The dbt model behind it.
    pub model: Option<V1Model>,
}

/// Something that only dbt can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct V1NeedsDbt {
    /// What it is about.
    pub relation: V1Relation,
    /// Why, as a sentence about it.
    pub why: String,
    /// The stream tables that read it, or that table itself.
    pub tables: Vec<V1Relation>,
}

/// What a refill costs; null where there is no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct V1Refill {
    /// How many rows there are, by PostgreSQL's estimate.
    pub rows: Option<i64>,
    /// The size of the table with its indexes, in bytes.
    pub bytes: Option<i64>,
    /// How long its last full refreshes took, in milliseconds.
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
    /// What was written.
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
    /// What was written.
    ///
    /// # Errors
    /// With an action that this version does not know.
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
