//! The views that stream tables read: a change of one changes the rows of what reads it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{QueryChange, Refusal};
use crate::{
    model::{Origin, Relation, StreamTable, order::Readers},
    project::{Intermediate, Project},
    sql::query,
};

/// What happens to one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewStep {
    /// The view.
    pub relation: Relation,
    /// What happens to it.
    pub change: ViewChange,
    /// The stream tables that read it, directly or through other views: they are refilled.
    pub readers: Vec<Relation>,
    /// The stream tables that read those: their rows follow.
    pub downstream: Vec<Relation>,
    /// The model; `None` where the project has none.
    pub origin: Option<Origin>,
}

/// One way in which a view changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewChange {
    /// It is new.
    Create {
        /// What has its name now, in SQL's word for it.
        replaces: Option<String>,
    },
    /// Its query changes.
    Query(QueryChange),
    /// The project makes no view of this name.
    Remove {
        /// What the project makes of that name instead, in dbt's word for it.
        becomes: Option<String>,
    },
    /// It could not be compared: the reason.
    Unknown(String),
}

/// What a server has under the name of something that dbt makes and stream tables read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Found {
    /// The name.
    #[serde(flatten)]
    pub relation: Relation,
    /// What it is, in SQL's word for it; `None` where nothing has the name.
    pub kind: Option<String>,
    /// The definition of a view as PostgreSQL writes it.
    pub stored: Option<String>,
    /// The compiled query as PostgreSQL would write it.
    pub wanted: Option<String>,
    /// Why the server does not take the compiled query.
    pub refusal: Option<Refusal>,
}

/// A view that stream tables of a server read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReadView {
    /// The view.
    #[serde(flatten)]
    pub relation: Relation,
    /// The stream tables.
    pub readers: Vec<Relation>,
}

/// What a server has between its sources and its stream tables.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct Between {
    /// What it has under each name that was asked for.
    pub found: Vec<Found>,
    /// Every view that a stream table reads.
    pub read: Vec<ReadView>,
}

impl ViewChange {
    /// Terraform's symbol for it.
    pub fn symbol(&self) -> &'static str {
        match self {
            Self::Create { .. } => "+",
            Self::Query(_) => "~",
            Self::Remove { .. } => "-",
            Self::Unknown(_) => "?",
        }
    }

    /// It in a few words.
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

    /// It in one word, for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Query(_) => "alter-query",
            Self::Remove { .. } => "remove",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The query that changes.
    pub fn query(&self) -> Option<&QueryChange> {
        match self {
            Self::Query(query) => Some(query),
            Self::Create { .. } | Self::Remove { .. } | Self::Unknown(_) => None,
        }
    }
}

impl ViewStep {
    /// Whether its readers are refilled by it.
    pub fn refills(&self) -> bool {
        self.change != ViewChange::Remove { becomes: None }
    }

    /// The stream tables that get other rows.
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

/// The stream tables below these, without these themselves.
fn downstream(readers: &[Relation], below: &Readers) -> Vec<Relation> {
    let all: BTreeSet<&Relation> = readers.iter().flat_map(|reader| below.below(reader)).collect();
    all.into_iter().filter(|relation| !readers.contains(relation)).cloned().collect()
}

/// What changes between two states of a project, by the text of the views.
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

/// What changes against a server, which has said how it stores each compiled view.
pub fn against_server(project: &Project, server: &Between) -> Vec<ViewStep> {
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

fn change(wanted: &Intermediate, found: &Found) -> Option<ViewChange> {
    let is_there_as_view = found.kind.as_deref() == Some("view");
    if !wanted.is_view() {
        return is_there_as_view.then(|| ViewChange::Remove { becomes: Some(wanted.kind.clone()) });
    }
    if !is_there_as_view {
        return Some(ViewChange::Create { replaces: found.kind.clone() });
    }
    if let Some(refusal) = found.refusal.as_ref().filter(|refusal| !refusal.is_about_the_query()) {
        return Some(ViewChange::Unknown(refusal.message.clone()));
    }
    // A query that the server refuses is not the one that it stores.
    let after = found.wanted.as_ref().or(wanted.query.as_ref());
    let (before, after) = (found.stored.clone().unwrap_or_default(), after.cloned().unwrap_or_default());
    (before != after).then_some(ViewChange::Query(QueryChange { before, after }))
}

/// A view that stream tables read today, and that neither the project nor any of its queries knows.
fn removed(project: &Project, read: &ReadView, below: &Readers) -> Option<ViewStep> {
    let is_made = project.graph.relations().any(|relation| *relation == read.relation)
        || project.sources.contains_key(&read.relation);
    let is_read = |sql: &str| query::relations(sql).contains(&read.relation);
    let queries = project.tables.iter().map(|table| &table.query);
    let mut queries = queries.chain(project.between.iter().filter_map(|view| view.query.as_ref()));
    let is_ours = |relation: &Relation| project.tables.iter().any(|table| table.relation == *relation);
    let readers: Vec<Relation> = read.readers.iter().filter(|reader| is_ours(reader)).cloned().collect();
    if is_made || readers.is_empty() || queries.any(|sql| is_read(sql)) {
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
