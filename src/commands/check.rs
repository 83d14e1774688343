//! `check`: whether stream tables exist, are populated, fresh, and capture changes. It never writes.

use std::{collections::BTreeMap, path::Path};

use crate::{
    Error,
    commands::{
        connect::connect_and_identify,
        project::{load_if_any, owner},
        verify,
    },
    dbt,
    exit::Exit,
    judge::{self, Criteria, Evidence, MissingEvidence, freshness::TableAge},
    model::{Deployed, Outcome, Owner, Relation, StreamTable},
    options::CheckOptions,
    output::{self, Ui},
    pg::{self, Client},
    plan::{Answers, Plan, Policy},
    project::Project,
    report::{
        Report,
        compare::{self, Comparison},
        freshness,
    },
};

/// Checks the project's stream tables, or without a project all stream tables of the database.
pub(super) async fn check(options: &CheckOptions, report: &mut Report) -> Result<Exit, Error> {
    let project = load_if_any(&options.models, &options.server, report).await?;
    let earlier =
        options.compare.as_deref().map(|file| read_earlier(options.ui, file)).transpose()?.flatten();
    let endpoint = options.server.endpoint(&options.models.project)?;
    let (client, server) = connect_and_identify(&endpoint, options.server.limits, report).await?;
    let terms = options.terms.clone();
    let checked = match &project {
        Some(project) => {
            let tables: Vec<&StreamTable> = project.tables.iter().collect();
            let owner = owner(&options.models, project)?;
            check_tables(&client, &server, (project, owner), &tables, terms).await?
        }
        None => check_database(&client, &server, &terms).await?,
    };
    report.outcomes.extend(checked.outcomes);
    if let Some(budget) = options.equality {
        let tables = judge::subjects(project.as_ref().map(|project| &project.tables[..]), &checked.deployed);
        let terms = verify::terms(&options.equality_terms, project.as_ref());
        verify::equal_now(&client, &tables, &terms, Some(budget), &mut report.outcomes).await?;
    }
    if let (Some(file), Some(earlier)) = (&options.compare, earlier) {
        let file = file.display().to_string();
        print_changes(options.ui, &compare::compare(&file, &earlier, &mut report.outcomes)?);
    }
    if let Some(file) = &options.freshness {
        output::to_file(file, &freshness::render(report, &checked.ages))?;
        options.ui.say(&format!("wrote {}", file.display()));
    }
    Ok(Exit::Passed)
}

/// The earlier report, read before the checks. `None` if it does not exist, as on the first run.
fn read_earlier(ui: Ui, file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            ui.say(&format!("not compared: {} does not exist yet", file.display()));
            Ok(None)
        }
        Err(error) => Err(dbt::Error::unreadable(file)(error).into()),
    }
}

fn print_changes(ui: Ui, comparison: &Comparison) {
    for (what, names) in [("new failures", &comparison.newly_bad), ("recovered", &comparison.recovered)] {
        if !names.is_empty() {
            ui.say(&format!("{what}: {}", names.join(", ")));
        }
    }
}

pub(super) struct Checked {
    pub(super) outcomes: Vec<Outcome>,
    ages: Vec<TableAge>,
    deployed: Vec<Deployed>,
}

/// Checks the given stream tables, and those that the project reads as sources.
pub(super) async fn check_tables(
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

async fn check_database(
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
async fn gather(client: &Client, server: &pg::ServerInfo) -> Result<Evidence, pg::Error> {
    let deployed = client.catalog().await?;
    let unanswered = |error: pg::Error| MissingEvidence { hint: error.hint(), why: error.to_string() };
    Ok(Evidence {
        deployed,
        facts: client.facts().await.map_err(unanswered),
        captures: client.captures().await.map_err(unanswered),
        engine: client.engine().await.map_err(unanswered),
        version: server.pg_trickle.clone().unwrap_or_default(),
    })
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
