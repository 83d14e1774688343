//! Checks whether stream tables exist, are populated, fresh, and capture changes.

use std::collections::BTreeMap;

use crate::{
    Error,
    judge::{self, Criteria, Evidence, Facts, MissingEvidence, freshness::TableAge},
    model::{Deployed, Outcome, Owner, Relation, StreamTable},
    pg::{self, Client},
    plan::{Answers, Plan, Policy},
    project::Project,
};

/// What a check found.
pub struct Checked {
    pub outcomes: Vec<Outcome>,
    pub ages: Vec<TableAge>,
    pub deployed: Vec<Deployed>,
}

/// Checks the given stream tables, and those that the project reads as sources.
pub async fn check_tables(
    client: &Client,
    server: &pg::ServerInfo,
    (project, owner): (&Project, Owner),
    tables: &[&StreamTable],
    terms: Criteria,
) -> Result<Checked, Error> {
    let evidence = gather(client, server).await?;
    let sources = evidence.deployed.iter().map(|deployed| &deployed.table);
    let is_source = |table: &&StreamTable| {
        project.sources.contains_key(&table.relation)
            && !project.tables.iter().any(|own| own.relation == table.relation)
    };
    let all: Vec<&StreamTable> = tables.iter().copied().chain(sources.filter(is_source)).collect();
    let wanted: Vec<StreamTable> = tables.iter().map(|table| (*table).clone()).collect();
    let policy = Policy { owner, ..Policy::default() };
    // Settings that this version does not store cannot have drifted.
    let answers = Answers { unseen: server.unreadable_settings(), ..Answers::default() };
    let terms = Criteria {
        drift: Some(Plan::between(&wanted, &evidence.deployed, &answers, &policy)?),
        ages: project.ages.clone(),
        unselected: project.tables.iter().chain(&project.unselected).cloned().collect(),
        impostors: impostors(client, tables, &evidence).await,
        ..terms
    };
    let (outcomes, ages) = judged(&all, &evidence, &terms);
    Ok(Checked { outcomes, ages, deployed: evidence.deployed })
}

/// Checks all stream tables of the database.
pub async fn check_database(
    client: &Client,
    server: &pg::ServerInfo,
    terms: &Criteria,
) -> Result<Checked, Error> {
    let evidence = gather(client, server).await?;
    let all = judge::subjects(None, &evidence.deployed);
    let (outcomes, ages) = judged(&all, &evidence, terms);
    Ok(Checked { outcomes, ages, deployed: evidence.deployed })
}

fn judged(tables: &[&StreamTable], evidence: &Evidence, terms: &Criteria) -> (Vec<Outcome>, Vec<TableAge>) {
    (judge::judge(tables, evidence, terms), judge::freshness::ages(tables, evidence, terms))
}

/// Queries the server; the number of queries does not depend on the number of tables. The check needs the catalog;
/// every other failed query becomes an outcome.
pub async fn gather(client: &Client, server: &pg::ServerInfo) -> Result<Evidence, pg::Error> {
    let deployed = client.catalog().await?;
    let unanswered = |error: pg::Error| MissingEvidence { hint: error.hint(), why: error.to_string() };
    Ok(Evidence {
        facts: facts(client, &deployed).await.map_err(unanswered),
        deployed,
        captures: client.captures(server).await.map_err(unanswered),
        engine: client.engine(server).await.map_err(unanswered),
        version: server.pg_trickle.clone().unwrap_or_default(),
    })
}

/// The facts about each table, with what its query reads without pg_trickle's knowledge.
async fn facts(client: &Client, deployed: &[Deployed]) -> Result<Vec<Facts>, pg::Error> {
    let queries = deployed.iter().map(|deployed| (&deployed.table.relation, deployed.table.query.as_str()));
    let functions = client.function_reads(queries).await?;
    let mut reads = client.hidden_reads(&functions).await?;
    let mut facts = client.facts().await?;
    for facts in &mut facts {
        facts.hidden_reads = reads.remove(&Relation::new(&facts.schema, &facts.name)).unwrap_or_default();
    }
    Ok(facts)
}

/// Other relations with the names of missing stream tables. Best effort: those tables fail either way.
async fn impostors(
    client: &Client,
    tables: &[&StreamTable],
    evidence: &Evidence,
) -> BTreeMap<Relation, String> {
    let catalog = judge::catalog(&evidence.deployed);
    let missing = tables.iter().map(|table| &table.relation).filter(|name| !catalog.contains_key(name));
    client.occupied(&missing.cloned().collect::<Vec<_>>()).await.unwrap_or_default()
}
