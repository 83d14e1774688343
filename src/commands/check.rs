//! `check`: whether the stream tables are there, filled, fresh and captured. It reads, and writes nothing.

use std::{collections::BTreeMap, path::Path};

use crate::{
    Error,
    cli::CheckArgs,
    commands::{
        connect_and_identify,
        project::{load_if_any, owner},
        verify,
    },
    config::Config,
    dbt,
    exit::Exit,
    judge::{self, Evidence, Terms, Unanswered, freshness::Age},
    model::{Deployed, Outcome, Owner, Relation, StreamTable},
    output,
    pg::{self, Client},
    plan::{Answers, Plan, Policy},
    project::Project,
    report::{
        Report,
        compare::{self, Comparison},
        freshness,
    },
};

/// Checks the project's stream tables, or without a project every one of the database.
pub(super) async fn check(config: &Config, args: &CheckArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = load_if_any(config, &args.models, &args.server, report).await?;
    let earlier = args.compare.as_deref().map(|file| read_earlier(config, file)).transpose()?.flatten();
    let (client, server) =
        connect_and_identify(&config.server(&args.server, &args.models.project)?, &args.server, report)
            .await?;
    let terms = config.terms(args.checking.fail_on_fallback);
    let checked = match &project {
        Some(project) => {
            let tables: Vec<&StreamTable> = project.tables.iter().collect();
            let owner = owner(config, &args.models, project)?;
            check_tables(&client, &server, (project, owner), &tables, terms).await?
        }
        None => check_database(&client, &server, &terms).await?,
    };
    report.outcomes.extend(checked.outcomes);
    if args.equality {
        let tables = judge::subjects(project.as_ref().map(|project| &project.tables[..]), &checked.deployed);
        let (terms, budget) = (config.equality(project.as_ref()), Some(config.budget(args.budget)));
        verify::equal_now(&client, &tables, &terms, budget, &mut report.outcomes).await?;
    }
    if let (Some(file), Some(earlier)) = (&args.compare, earlier) {
        let file = file.display().to_string();
        tell_changes(config, &compare::compare(&file, &earlier, &mut report.outcomes)?);
    }
    if let Some(file) = &args.freshness {
        output::to_file(file, &freshness::render(report, &checked.ages))?;
        config.ui.say(&format!("wrote {}", file.display()));
    }
    Ok(Exit::Passed)
}

/// The earlier report, before any work that it would be compared with. The first night has none.
fn read_earlier(config: &Config, file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            config.ui.say(&format!("there is no {} yet to compare with", file.display()));
            Ok(None)
        }
        Err(error) => Err(dbt::Error::unreadable(file)(error).into()),
    }
}

fn tell_changes(config: &Config, comparison: &Comparison) {
    for (what, names) in [("newly red", &comparison.newly_bad), ("recovered", &comparison.recovered)] {
        if !names.is_empty() {
            config.ui.say(&format!("{what}: {}", names.join(", ")));
        }
    }
}

/// What became of a check.
pub(super) struct Checked {
    pub(super) outcomes: Vec<Outcome>,
    ages: Vec<Age>,
    deployed: Vec<Deployed>,
}

/// Judges some of a project's stream tables, and those that the project reads as sources.
pub(super) async fn check_tables(
    client: &Client,
    server: &pg::Server,
    (project, owner): (&Project, Owner),
    tables: &[&StreamTable],
    terms: Terms,
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
    // What this version does not keep cannot have drifted.
    let answers = Answers { unseen: server.unseen(), ..Answers::default() };
    let terms = Terms {
        drift: Some(Plan::between(&wanted, &evidence.deployed, &answers, &policy)?),
        ages: project.ages.clone(),
        unselected: project.tables.iter().chain(&project.unselected).cloned().collect(),
        impostors: impostors(client, tables, &evidence).await,
        ..terms
    };
    let (outcomes, ages) = judged(&all, &evidence, &terms);
    Ok(Checked { outcomes, ages, deployed: evidence.deployed })
}

async fn check_database(client: &Client, server: &pg::Server, terms: &Terms) -> Result<Checked, Error> {
    let evidence = gather(client, server).await?;
    let all = judge::subjects(None, &evidence.deployed);
    let (outcomes, ages) = judged(&all, &evidence, terms);
    Ok(Checked { outcomes, ages, deployed: evidence.deployed })
}

fn judged(tables: &[&StreamTable], evidence: &Evidence, terms: &Terms) -> (Vec<Outcome>, Vec<Age>) {
    (judge::judge(tables, evidence, terms), judge::freshness::ages(tables, evidence, terms))
}

/// What the server says, in a number of questions that does not grow with its tables. Without the catalog there is
/// nothing to judge; any other answer that is missing is an outcome of its own.
async fn gather(client: &Client, server: &pg::Server) -> Result<Evidence, pg::Error> {
    let deployed = client.catalog().await?;
    let unanswered = |error: pg::Error| Unanswered { hint: error.hint(), why: error.to_string() };
    Ok(Evidence {
        deployed,
        facts: client.facts().await.map_err(unanswered),
        captures: client.captures().await.map_err(unanswered),
        engine: client.engine().await.map_err(unanswered),
        version: server.pg_trickle.clone().unwrap_or_default(),
    })
}

/// What has the names of tables that are missing. Nobody misses the answer: the tables fail without it, too.
async fn impostors(
    client: &Client,
    tables: &[&StreamTable],
    evidence: &Evidence,
) -> BTreeMap<Relation, String> {
    let catalog = judge::catalog(&evidence.deployed);
    let missing = tables.iter().map(|table| &table.relation).filter(|name| !catalog.contains_key(name));
    client.occupied(&missing.cloned().collect::<Vec<_>>()).await.unwrap_or_default()
}
