//! `plan`: what would change. It reads, and writes nothing.

use crate::{
    Error,
    cli::PlanArgs,
    commands::{connect, manifest},
    config::Config,
    dbt,
    exit::Exit,
    judge,
    model::{Deployed, Health, Mark},
    pg::Client,
    plan::{Cycle, Plan, Policy, query},
    project::Project,
    report::Report,
};

/// Compares the project with a server, or with another manifest.
pub(super) async fn plan(config: &Config, args: &PlanArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = manifest(config, &args.project, &args.manifest)?;
    report.project = Some(project.name.clone());
    let policy = config.policy(&args.policy, &project.name);
    let plan = if let Some(file) = &args.baseline {
        report.target = Some(file.display().to_string());
        Plan::between(&project.tables, &as_deployed(dbt::read_manifest(file)?), &policy)?
    } else {
        let client = connect(config, &args.server, &args.project, report).await?;
        against(&client, &project, &client.catalog().await?, &policy).await?
    };
    let changes = !plan.is_empty();
    report.plan = Some(plan);
    Ok(if args.exit_code && changes { Exit::Refused } else { Exit::Passed })
}

/// Compares the project with what a server has, and asks it for the columns of the queries that change.
pub(super) async fn against(
    client: &Client,
    project: &Project,
    deployed: &[Deployed],
    policy: &Policy,
) -> Result<Plan, Cycle> {
    let catalog = judge::catalog(deployed);
    let mut tables = project.tables.clone();
    for table in &mut tables {
        let now = catalog.get(&table.relation);
        if now.is_some_and(|now| !query::same(&now.table.query, &table.query)) {
            table.columns = client.columns_of(&table.query).await;
        }
    }
    Plan::between(&tables, deployed, policy)
}

/// A project as it would stand in a server that it had just been deployed to.
fn as_deployed(project: Project) -> Vec<Deployed> {
    let mark = |unique_id: String| Mark { dbt_project: project.name.clone(), unique_id };
    project
        .tables
        .into_iter()
        .map(|table| Deployed {
            mark: table.origin.clone().map(|origin| mark(origin.unique_id)),
            health: Health::default(),
            table,
        })
        .collect()
}
