//! The views that stream tables read: a changed view changes the rows of its readers.
//!
//! Two revisions are compared as text ([`between_projects`]). A server has the view as it wrote it, so it also writes the
//! compiled query in that way (`pg/sql/between.sql`), and those two texts are compared ([`against_server`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{QueryChange, Refusal};
use crate::{
    model::{Origin, Relation, StreamTable, order::Readers},
    project::{Intermediate, Project},
    sql::query,
};

/// The change of one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewStep {
    pub relation: Relation,
    pub change: ViewChange,
    /// The stream tables that read it, directly or through other views: they are refilled.
    pub readers: Vec<Relation>,
    /// The stream tables that read the readers: their rows change, too.
    pub downstream: Vec<Relation>,
    /// `None` if the project has no model for it.
    pub origin: Option<Origin>,
}

/// How a view changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    Create {
        /// The kind of relation that has its name now, in SQL's words.
        replaces: Option<String>,
    },
    Query(QueryChange),
    /// The project has no view of this name.
    Remove {
        /// The materialization that the project gives the name instead.
        becomes: Option<String>,
    },
    /// Why it could not be compared.
    Unknown(String),
}

/// The relation on the server that has the name of a dbt model which stream tables read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UpstreamRelation {
    #[serde(flatten)]
    pub relation: Relation,
    /// Its kind in SQL's words; `None` if no relation has the name.
    pub kind: Option<String>,
    /// The definition of a view as PostgreSQL writes it.
    pub stored: Option<String>,
    /// The compiled query as PostgreSQL would write it.
    pub wanted: Option<String>,
    /// The server's error for the compiled query.
    pub refusal: Option<Refusal>,
}

/// A view on the server that stream tables read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReadView {
    #[serde(flatten)]
    pub relation: Relation,
    pub readers: Vec<Relation>,
}

/// The relations on the server between sources and stream tables.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct UpstreamRelations {
    /// One for each name in question.
    pub found: Vec<UpstreamRelation>,
    /// Every view that a stream table reads.
    pub read: Vec<ReadView>,
}

impl ViewChange {
    /// Terraform's symbol, or `?`.
    pub fn symbol(&self) -> &'static str {
        match self {
            Self::Create { .. } => "+",
            Self::Query(_) => "~",
            Self::Remove { .. } => "-",
            Self::Unknown(_) => "?",
        }
    }

    pub fn words(&self) -> String {
        match self {
            Self::Create { replaces: None } => "new view".into(),
            Self::Create { replaces: Some(kind) } => format!("{kind} becomes a view"),
            Self::Query(_) => "view changes".into(),
            Self::Remove { becomes: Some(kind) } => format!("view becomes a {kind}"),
            Self::Remove { becomes: None } => "view is no longer in the project".into(),
            Self::Unknown(_) => "view could not be compared".into(),
        }
    }

    /// The name in JSON reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Query(_) => "alter-query",
            Self::Remove { .. } => "remove",
            Self::Unknown(_) => "unknown",
        }
    }

    pub fn query(&self) -> Option<&QueryChange> {
        match self {
            Self::Query(query) => Some(query),
            Self::Create { .. } | Self::Remove { .. } | Self::Unknown(_) => None,
        }
    }
}

impl ViewStep {
    /// Whether the change refills the readers.
    pub fn refills(&self) -> bool {
        self.change != ViewChange::Remove { becomes: None }
    }

    /// The stream tables that get different rows.
    pub fn affected(&self) -> impl Iterator<Item = &Relation> {
        self.readers.iter().chain(&self.downstream)
    }

    fn new(intermediate: &Intermediate, change: ViewChange, below: &Readers) -> Self {
        Self {
            relation: intermediate.relation.clone(),
            change,
            readers: intermediate.readers.clone(),
            downstream: downstream(&intermediate.readers, below),
            origin: Some(intermediate.origin.clone()),
        }
    }
}

/// The stream tables downstream of the readers, without the readers.
fn downstream(readers: &[Relation], below: &Readers) -> Vec<Relation> {
    let all: BTreeSet<&Relation> = readers.iter().flat_map(|reader| below.below(reader)).collect();
    all.into_iter().filter(|relation| !readers.contains(relation)).cloned().collect()
}

/// The views that differ between two revisions of a project, compared as text.
pub fn between_projects(
    before: &[Intermediate],
    after: &[Intermediate],
    tables: &[StreamTable],
) -> Vec<ViewStep> {
    let below = Readers::of(tables);
    let named = |all: &'_ [Intermediate]| -> BTreeMap<Relation, Intermediate> {
        all.iter().map(|one| (one.relation.clone(), one.clone())).collect()
    };
    let (was, is) = (named(before), named(after));
    let mut steps = Vec::new();
    for intermediate in is.values() {
        let change = match (was.get(&intermediate.relation), intermediate.is_view()) {
            (None, true) => ViewChange::Create { replaces: None },
            (Some(was), true) if !was.is_view() => ViewChange::Create { replaces: Some(was.kind.clone()) },
            (Some(was), false) if was.is_view() => {
                ViewChange::Remove { becomes: Some(intermediate.kind.clone()) }
            }
            (Some(was), true) => match (&was.query, &intermediate.query) {
                (Some(before), Some(after)) if !query::same(before, after) => {
                    ViewChange::Query(QueryChange { before: before.clone(), after: after.clone() })
                }
                _ => continue,
            },
            (_, false) => continue,
        };
        steps.push(ViewStep::new(intermediate, change, &below));
    }
    for gone in was.values().filter(|was| was.is_view() && !is.contains_key(&was.relation)) {
        let mut step = ViewStep::new(gone, ViewChange::Remove { becomes: None }, &below);
        step.origin = None;
        steps.push(step);
    }
    steps
}

/// The views that differ from the server, which has normalized each compiled query.
pub fn against_server(project: &Project, server: &UpstreamRelations) -> Vec<ViewStep> {
    let below = Readers::of(&project.tables);
    let mut steps = Vec::new();
    for intermediate in &project.between {
        let found = server.found.iter().find(|found| found.relation == intermediate.relation);
        if let Some(change) = found.and_then(|found| change(intermediate, found)) {
            steps.push(ViewStep::new(intermediate, change, &below));
        }
    }
    steps.extend(server.read.iter().filter_map(|read| removed(project, read, &below)));
    steps
}

fn change(wanted: &Intermediate, found: &UpstreamRelation) -> Option<ViewChange> {
    let is_view_now = found.kind.as_deref() == Some("view");
    if !wanted.is_view() {
        return is_view_now.then(|| ViewChange::Remove { becomes: Some(wanted.kind.clone()) });
    }
    if !is_view_now {
        return Some(ViewChange::Create { replaces: found.kind.clone() });
    }
    if let Some(refusal) = found.refusal.as_ref().filter(|refusal| !refusal.is_about_the_query()) {
        return Some(ViewChange::Unknown(refusal.message.clone()));
    }
    // A query that the server refuses cannot be the stored one.
    let after = found.wanted.as_ref().or(wanted.query.as_ref());
    let (before, after) = (found.stored.clone().unwrap_or_default(), after.cloned().unwrap_or_default());
    (before != after).then_some(ViewChange::Query(QueryChange { before, after }))
}

/// The removal of a view that stream tables on the server read, if the project neither has it nor reads it.
fn removed(project: &Project, read: &ReadView, below: &Readers) -> Option<ViewStep> {
    let is_known = project.graph.relations().any(|relation| *relation == read.relation)
        || project.sources.contains_key(&read.relation);
    let is_read = |sql: &str| query::relations(sql).contains(&read.relation);
    let queries = project.tables.iter().map(|table| &table.query);
    let mut queries = queries.chain(project.between.iter().filter_map(|view| view.query.as_ref()));
    let is_ours = |relation: &Relation| project.tables.iter().any(|table| table.relation == *relation);
    let readers: Vec<Relation> = read.readers.iter().filter(|reader| is_ours(reader)).cloned().collect();
    if is_known || readers.is_empty() || queries.any(|sql| is_read(sql)) {
        return None;
    }
    Some(ViewStep {
        relation: read.relation.clone(),
        change: ViewChange::Remove { becomes: None },
        downstream: downstream(&readers, below),
        readers,
        origin: None,
    })
}
