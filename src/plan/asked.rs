//! What a plan asks the server, and the server's answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    Refusal,
    views::{UpstreamRelations, ViewStep},
};
use crate::{
    model::{Column, Deployed, HiddenRead, POLLS_SNAPSHOTS, Relation, Setting, StreamTable, Version},
    project::Project,
    sql::query,
};

/// A query whose columns the server describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The stream table or view with this query.
    pub relation: Relation,
    /// The query over the new definitions of what it reads.
    pub sql: String,
}

/// What the server says about a project's queries; empty without a server.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answers {
    /// The columns of each query that the server accepts.
    pub columns: BTreeMap<Relation, Vec<Column>>,
    /// The queries that fail now and may succeed later, because dbt first builds something that they read.
    pub refusals: BTreeMap<Relation, Refusal>,
    /// The queries that fail whatever dbt builds.
    pub failures: BTreeMap<Relation, Refusal>,
    /// Why pg_trickle refuses a query in the refresh mode of its table.
    pub unsupported: BTreeMap<Relation, String>,
    /// Settings that the server's version of pg_trickle does not store.
    pub unseen: Vec<Setting>,
    /// The kind of relation that has a new stream table's name now, in SQL's words.
    pub occupied: BTreeMap<Relation, String>,
    /// Changes of the views that stream tables read.
    pub views: Vec<ViewStep>,
    pub unbuilt: Vec<MissingUpstream>,
    pub special_sources: Vec<SpecialSource>,
    /// pg_trickle's version; `None` without a server, and if it has no number.
    pub version: Option<Version>,
    /// Whether the database has Citus; `None` without a server.
    pub has_citus: Option<bool>,
    /// Why no change buffer can be created.
    pub refuses_buffers: Option<String>,
    /// What settings of the server do to changed tables, a sentence each.
    pub losing_settings: Vec<&'static str>,
    /// Tables that new and changed queries read through functions.
    pub function_reads: BTreeMap<Relation, Vec<HiddenRead>>,
}

/// A source that pg_trickle cannot capture, or not all of it, or whose policies do not come along.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SpecialSource {
    /// The relation that queries name: the source or a view on it.
    pub read_as: Relation,
    pub relation: Relation,
    /// What Citus made of it; then its changes cannot be captured.
    pub citus: Option<String>,
    pub has_row_security: bool,
    #[serde(default)]
    pub is_partitioned: bool,
    /// The kind of a relation without triggers, in SQL's words.
    pub snapshot: Option<String>,
    /// Whether the server compares materialized views with copies of them.
    pub polls_views: bool,
}

impl SpecialSource {
    /// Its kind, if a table in this mode does not follow it by itself (docs/pg_trickle.md, "Materialized views and foreign
    /// tables").
    pub(super) fn unnoticed(&self, mode: Option<&str>, version: Option<Version>) -> Option<&str> {
        let is_polled = self.polls_views
            && mode != Some("FULL")
            && version.is_some_and(|version| version >= POLLS_SNAPSHOTS);
        let kind = self.snapshot.as_deref()?;
        (mode == Some("IMMEDIATE") || kind == "materialized view" && !is_polled).then_some(kind)
    }
}

/// A table, seed or snapshot that stream tables read and that does not exist on the server yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingUpstream {
    pub relation: Relation,
    /// Its dbt materialization or resource type.
    pub kind: String,
    pub readers: Vec<Relation>,
}

/// The tables, seeds and snapshots that stream tables read and that the server lacks.
pub fn unbuilt(project: &Project, server: &UpstreamRelations) -> Vec<MissingUpstream> {
    let exists = |relation: &Relation| {
        server.found.iter().any(|found| found.relation == *relation && found.kind.is_some())
    };
    let missing = project.between.iter().filter(|one| !one.is_view() && !exists(&one.relation));
    missing
        .map(|one| MissingUpstream {
            relation: one.relation.clone(),
            kind: one.kind.clone(),
            readers: one.readers.clone(),
        })
        .collect()
}

impl Answers {
    /// Adds the server's answer for one query.
    pub fn note(&mut self, project: &Project, relation: Relation, answer: Result<Vec<Column>, Refusal>) {
        match answer {
            Ok(columns) => drop(self.columns.insert(relation, columns)),
            Err(refusal)
                if refusal.is_about_the_query()
                    && !(project.runs_own_sql && refusal.is_about_a_missing_object())
                    && !depends_on_dbt(project, &relation) =>
            {
                self.failures.insert(relation, refusal);
            }
            Err(refusal) => drop(self.refusals.insert(relation, refusal)),
        }
    }
}

/// Whether a query reads, directly or through others, a table, seed or snapshot: dbt sets its columns when it builds
/// it.
fn depends_on_dbt(project: &Project, relation: &Relation) -> bool {
    let mut open = vec![relation.clone()];
    let mut seen = BTreeSet::new();
    while let Some(next) = open.pop() {
        if !seen.insert(next.clone()) {
            continue;
        }
        let between = project.between.iter().find(|one| one.relation == next);
        if between.is_some_and(|one| !one.is_view()) {
            return true;
        }
        let table = project.tables.iter().find(|table| table.relation == next).map(|table| &table.query);
        let sql = table.or(between.and_then(|view| view.query.as_ref()));
        open.extend(sql.into_iter().flat_map(|sql| query::relations(sql)));
    }
    false
}

fn by_relation(deployed: &[Deployed]) -> BTreeMap<&Relation, &Deployed> {
    deployed.iter().map(|deployed| (&deployed.table.relation, deployed)).collect()
}

/// The queries whose columns the plan needs: new and changed ones, and those that read them.
pub fn questions(project: &Project, deployed: &[Deployed], views: &[ViewStep]) -> Vec<Question> {
    let existing = by_relation(deployed);
    let is_unchanged = |table: &StreamTable| {
        existing
            .get(&table.relation)
            .is_some_and(|now| !now.storage.lost_source && query::same(&now.table.query, &table.query))
    };
    let changing: BTreeSet<&Relation> = views.iter().map(|view| &view.relation).collect();
    let view_queries =
        project.between.iter().filter_map(|view| Some((&view.relation, view.query.as_deref()?)));
    let view_queries: Vec<(&Relation, &str)> = view_queries.collect();
    // The server cannot read what is new, and has the old columns of what changes.
    let mut pending: BTreeMap<Relation, &str> = BTreeMap::new();
    let changed_views = view_queries.iter().filter(|(relation, _)| changing.contains(relation));
    pending.extend(changed_views.map(|(relation, sql)| ((*relation).clone(), *sql)));
    let changed_tables = project.tables.iter().filter(|table| !is_unchanged(table));
    pending.extend(changed_tables.map(|table| (table.relation.clone(), table.query.as_str())));
    let queries = project.tables.iter().map(|table| (&table.relation, table.query.as_str()));
    let queries: Vec<(&Relation, &str)> = queries.chain(view_queries).collect();
    let read: Vec<BTreeSet<Relation>> = queries.iter().map(|(_, sql)| query::relations(sql)).collect();
    loop {
        let known = pending.len();
        for ((relation, sql), read) in queries.iter().zip(&read) {
            if !pending.contains_key(*relation) && read.iter().any(|read| pending.contains_key(read)) {
                pending.insert((*relation).clone(), sql);
            }
        }
        if pending.len() == known {
            break;
        }
    }
    let question = |(relation, sql): (&Relation, &&str)| Question {
        relation: relation.clone(),
        sql: over_pending(relation, sql, &pending),
    };
    pending.iter().map(question).collect()
}

/// The queries that pg_trickle validates: of new tables, and of tables whose query or refresh mode changes. Only what the
/// server can read as it is now is validated; the engine accepts some queries at the top that it refuses as a part of
/// another. In the modes AUTO and FULL it takes most of what it warns of (docs/pg_trickle.md, "Validation").
pub fn validations(
    project: &Project,
    deployed: &[Deployed],
    questions: &[Question],
    answers: &Answers,
) -> Vec<Question> {
    let pending: BTreeSet<&Relation> = questions.iter().map(|question| &question.relation).collect();
    let existing = by_relation(deployed);
    let is_validated = |table: &&StreamTable| {
        let mode = table.settings.refresh_mode();
        let is_pending = pending.contains(&table.relation);
        let is_same = existing.get(&table.relation).is_some_and(|now| {
            now.table.settings.refresh_mode() == mode
                && (!is_pending || query::same(&now.table.query, &table.query))
        });
        matches!(mode, Some("DIFFERENTIAL" | "IMMEDIATE"))
            && !is_same
            && (!is_pending || answers.columns.contains_key(&table.relation))
            && !query::relations(&table.query).iter().any(|read| pending.contains(read))
    };
    let validated = project.tables.iter().filter(is_validated);
    validated
        .map(|table| Question {
            relation: table.relation.clone(),
            sql: query::clean(&table.query).to_owned(),
        })
        .collect()
}

/// A query in which the pending definitions of what it reads are common table expressions.
fn over_pending(relation: &Relation, sql: &str, pending: &BTreeMap<Relation, &str>) -> String {
    let mut read = Vec::new();
    let mut seen = BTreeSet::from([relation.clone()]);
    collect(sql, pending, &mut seen, &mut read);
    let names: BTreeMap<Relation, String> = read
        .iter()
        .enumerate()
        .map(|(number, (relation, _))| (relation.clone(), format!("pgtrickle_ci_{number}")))
        .collect();
    let renamed = |sql: &str| query::renamed(query::clean(sql), &names);
    if read.is_empty() {
        return renamed(sql);
    }
    let definitions: Vec<String> =
        read.iter().map(|(relation, sql)| format!("{} as (\n{}\n)", names[relation], renamed(sql))).collect();
    format!("with {}\nselect * from (\n{}\n) as query", definitions.join(",\n"), renamed(sql))
}

/// The pending definitions that a query reads, upstream first.
fn collect<'a>(
    sql: &str,
    pending: &BTreeMap<Relation, &'a str>,
    seen: &mut BTreeSet<Relation>,
    read: &mut Vec<(Relation, &'a str)>,
) {
    for relation in query::relations(sql) {
        let Some(sql) = pending.get(&relation).copied() else { continue };
        if seen.insert(relation.clone()) {
            collect(sql, pending, seen, read);
            read.push((relation, sql));
        }
    }
}
