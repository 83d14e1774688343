//! What a server is asked before a plan can be exact, and what it answered.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::views::{self, Between, ViewStep};
use crate::{
    model::{Column, Deployed, Relation, Setting, StreamTable},
    project::Project,
    sql::query,
};

/// A query whose columns a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The stream table or view that it is about.
    pub relation: Relation,
    /// The query, over everything that will have changed before it.
    pub sql: String,
}

/// Why a server would not take a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    /// The server's sentence.
    pub message: String,
}

impl Refusal {
    /// Whether the query is what is wrong: a missing right, a lock and a read-only server are not.
    pub fn is_about_the_query(&self) -> bool {
        self.code != "42501" && ["42", "22", "0A", "3F"].iter().any(|class| self.code.starts_with(class))
    }

    /// Whether a function, type, schema or table is missing, which other SQL may create.
    fn is_about_a_missing_object(&self) -> bool {
        ["42883", "42704", "42P01", "3F000"].contains(&self.code.as_str())
    }
}

/// What a server said of what a project wants; empty where there is none to ask.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answers {
    /// The columns that queries give.
    pub columns: BTreeMap<Relation, Vec<Column>>,
    /// The queries that it does not take yet: dbt builds something first that they read.
    pub refusals: BTreeMap<Relation, Refusal>,
    /// The queries that it will never take.
    pub failures: BTreeMap<Relation, Refusal>,
    /// Settings that its version of the engine does not keep.
    pub unseen: Vec<Setting>,
    /// Names of stream tables that belong to something else, in SQL's word for it.
    pub occupied: BTreeMap<Relation, String>,
    /// What changes of the views that stream tables read.
    pub views: Vec<ViewStep>,
    /// What dbt has to make before stream tables can read it.
    pub unbuilt: Vec<Unbuilt>,
}

/// A table, seed or snapshot that stream tables read and that the server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbuilt {
    /// The relation.
    pub relation: Relation,
    /// dbt's word for how it is made.
    pub kind: String,
    /// The stream tables that read it.
    pub readers: Vec<Relation>,
}

impl Answers {
    /// What is known before any query is asked for its columns.
    pub fn of_views(project: &Project, between: &Between) -> Self {
        let is_there = |relation: &Relation| {
            between.found.iter().any(|found| found.relation == *relation && found.kind.is_some())
        };
        let lacking = project.between.iter().filter(|one| !one.is_view() && !is_there(&one.relation));
        Self {
            views: views::against_server(project, between),
            unbuilt: lacking
                .map(|one| Unbuilt {
                    relation: one.relation.clone(),
                    kind: one.kind.clone(),
                    readers: one.readers.clone(),
                })
                .collect(),
            ..Self::default()
        }
    }

    /// Notes what the server said of one query.
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

/// Whether a query reads something, directly or through others, whose columns dbt decides when it builds it: a table, a
/// seed, a snapshot.
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

/// The queries whose columns decide what happens: those that are new or change, and those that read what changes.
pub fn questions(project: &Project, deployed: &[Deployed], views: &[ViewStep]) -> Vec<Question> {
    let there: BTreeMap<&Relation, &Deployed> = deployed.iter().map(|d| (&d.table.relation, d)).collect();
    let is_settled = |table: &StreamTable| {
        there
            .get(&table.relation)
            .is_some_and(|now| !now.storage.lost_source && query::same(&now.table.query, &table.query))
    };
    let changing: BTreeSet<&Relation> = views.iter().map(|view| &view.relation).collect();
    let view_queries =
        project.between.iter().filter_map(|view| Some((&view.relation, view.query.as_deref()?)));
    let view_queries: Vec<(&Relation, &str)> = view_queries.collect();
    // What is new is not there to be read; what changes is not yet what it will be.
    let mut ahead: BTreeMap<Relation, &str> = BTreeMap::new();
    let changed_views = view_queries.iter().filter(|(relation, _)| changing.contains(relation));
    ahead.extend(changed_views.map(|(relation, sql)| ((*relation).clone(), *sql)));
    let unsettled = project.tables.iter().filter(|table| !is_settled(table));
    ahead.extend(unsettled.map(|table| (table.relation.clone(), table.query.as_str())));
    let queries = project.tables.iter().map(|table| (&table.relation, table.query.as_str()));
    let queries: Vec<(&Relation, &str)> = queries.chain(view_queries).collect();
    let read: Vec<BTreeSet<Relation>> = queries.iter().map(|(_, sql)| query::relations(sql)).collect();
    loop {
        let known = ahead.len();
        for ((relation, sql), read) in queries.iter().zip(&read) {
            if !ahead.contains_key(*relation) && read.iter().any(|read| ahead.contains_key(read)) {
                ahead.insert((*relation).clone(), sql);
            }
        }
        if ahead.len() == known {
            break;
        }
    }
    let question = |(relation, sql): (&Relation, &&str)| Question {
        relation: relation.clone(),
        sql: over(relation, sql, &ahead),
    };
    ahead.iter().map(question).collect()
}

/// A query over the new queries of what it reads, each of which is given a name.
fn over(relation: &Relation, sql: &str, ahead: &BTreeMap<Relation, &str>) -> String {
    let mut read = Vec::new();
    let mut seen = BTreeSet::from([relation.clone()]);
    collect(sql, ahead, &mut seen, &mut read);
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

/// What a query reads of what changes, each behind what it reads itself.
fn collect<'a>(
    sql: &str,
    ahead: &BTreeMap<Relation, &'a str>,
    seen: &mut BTreeSet<Relation>,
    read: &mut Vec<(Relation, &'a str)>,
) {
    for relation in query::relations(sql) {
        let Some(sql) = ahead.get(&relation).copied() else { continue };
        if seen.insert(relation.clone()) {
            collect(sql, ahead, seen, read);
            read.push((relation, sql));
        }
    }
}
