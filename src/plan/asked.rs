//! What a server is asked before a plan can be exact, and what it answered.

use std::collections::{BTreeMap, BTreeSet};

use super::{order, query};
use crate::model::{Column, Deployed, Relation, Setting, StreamTable};

/// A query whose columns a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The stream table that it is about.
    pub relation: Relation,
    /// The query, over everything that will have changed before it.
    pub sql: String,
}

/// Why a server would not take a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The SQLSTATE.
    pub code: String,
    /// The server's sentence.
    pub message: String,
}

/// What a server said of a project's wishes; empty where there is none to ask.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Answers {
    /// The columns that queries give.
    pub columns: BTreeMap<Relation, Vec<Column>>,
    /// The queries that it would not take.
    pub refusals: BTreeMap<Relation, Refusal>,
    /// Settings that its version of the engine does not keep.
    pub unseen: Vec<Setting>,
    /// Names of stream tables that belong to something else, in SQL's word for it.
    pub occupied: BTreeMap<Relation, String>,
}

/// The queries whose columns decide what happens: those that change, and those that read what changes.
pub fn questions(desired: &[StreamTable], deployed: &[Deployed]) -> Vec<Question> {
    let there: BTreeMap<&Relation, &Deployed> = deployed.iter().map(|d| (&d.table.relation, d)).collect();
    let changes = |table: &StreamTable| {
        there
            .get(&table.relation)
            .is_some_and(|now| now.storage.lost_source || !query::same(&now.table.query, &table.query))
    };
    let sorted = order::topological(&desired.iter().collect::<Vec<_>>()).unwrap_or_default();
    let mut unsettled: BTreeSet<&Relation> = BTreeSet::new();
    // What is new is not there to be read; what changes is not yet what it will be.
    let mut ahead: BTreeMap<&Relation, &StreamTable> = BTreeMap::new();
    let mut questions = Vec::new();
    for table in sorted {
        if changes(table) || table.upstream.iter().any(|up| unsettled.contains(up)) {
            unsettled.insert(&table.relation);
            questions.push(Question { relation: table.relation.clone(), sql: over(table, &ahead) });
        }
        if unsettled.contains(&table.relation) || !there.contains_key(&table.relation) {
            ahead.insert(&table.relation, table);
        }
    }
    questions
}

/// The query of a table over the new queries of the tables that it reads, each of which is given a name.
fn over(table: &StreamTable, ahead: &BTreeMap<&Relation, &StreamTable>) -> String {
    let mut read = Vec::new();
    let mut seen = BTreeSet::new();
    collect(table, ahead, &mut seen, &mut read);
    let names: BTreeMap<Relation, String> = read
        .iter()
        .enumerate()
        .map(|(number, table)| (table.relation.clone(), format!("pgtrickle_ci_{number}")))
        .collect();
    let renamed = |table: &StreamTable| query::renamed(query::clean(&table.query), &names);
    if read.is_empty() {
        return renamed(table);
    }
    let definitions: Vec<String> =
        read.iter().map(|table| format!("{} as (\n{}\n)", names[&table.relation], renamed(table))).collect();
    format!("with {}\nselect * from (\n{}\n) as query", definitions.join(",\n"), renamed(table))
}

/// What a table reads, each behind what it reads itself.
fn collect<'a>(
    table: &StreamTable,
    ahead: &BTreeMap<&'a Relation, &'a StreamTable>,
    seen: &mut BTreeSet<&'a Relation>,
    read: &mut Vec<&'a StreamTable>,
) {
    for (relation, up) in table.upstream.iter().filter_map(|up| ahead.get_key_value(up)) {
        if seen.insert(relation) {
            collect(up, ahead, seen, read);
            read.push(up);
        }
    }
}
