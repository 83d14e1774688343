//! `plan`: what would change. It reads, and writes nothing.

use crate::{
    Error,
    cli::PlanArgs,
    commands::{connect, manifest, manifest_file, target},
    config::Config,
    dbt::{self, Dbt, ProjectFile, Target},
    exit::Exit,
    judge,
    model::{Deployed, Health, Mark},
    pg::Client,
    plan::{Cycle, Plan, Policy, query},
    project::{self, Project},
    report::Report,
};

/// Compares the project with a server, or with another manifest.
pub(super) async fn plan(config: &Config, args: &PlanArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = desired(config, args).await?;
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

/// The project as dbt compiled it. Where that was never done, was lost, or is older than a model, dbt is asked.
async fn desired(config: &Config, args: &PlanArgs) -> Result<Project, Error> {
    let read = manifest(config, &args.project, &args.manifest);
    let named = args.manifest.manifest.is_some();
    match read {
        Ok(project) if named || !is_outdated(config, args, &project)? => Ok(project),
        Ok(_)
        | Err(
            Error::Project(project::Error::NotCompiled { .. }) | Error::Dbt(dbt::Error::NoManifest { .. }),
        ) if !named => compile(config, args).await,
        other => other,
    }
}

fn is_outdated(config: &Config, args: &PlanArgs, project: &Project) -> Result<bool, Error> {
    Ok(dbt::is_outdated(&manifest_file(config, &args.project)?, &args.project.project_dir, project))
}

/// Has dbt compile the project for the server that the plan is made against.
async fn compile(config: &Config, args: &PlanArgs) -> Result<Project, Error> {
    let file = ProjectFile::read(&args.project.project_dir)?;
    let target = target(config, &args.project, &file)?;
    let target = Target { endpoint: config.server(&args.server, &args.project)?, ..target };
    config.ui.say("compiling the project");
    let path = config.environment.path();
    let dbt = Dbt::new(&path, &args.project.project_dir, target, args.vars.clone(), config.ui)?;
    dbt.install_packages(&file).await?;
    dbt.compile().await?;
    dbt.manifest()
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
