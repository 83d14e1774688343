//! `plan`: what would change. It reads, and writes nothing.

use std::{collections::BTreeSet, path::Path};

use crate::{
    Error,
    cli::PlanArgs,
    commands::{
        base::base,
        connect, manifest, manifest_file,
        selection::{selected, selector},
        target,
    },
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
    selector(&args.selection)?;
    let base = base(config, args).await?;
    let baseline = base.as_ref().and_then(|base| base.manifest.as_deref());
    let (project, selected) = desired(config, args, baseline).await?;
    report.project = Some(project.name.clone());
    let policy = config.policy(&args.policy, &project.name);
    let plan = if let Some(base) = &base {
        report.target = Some(base.name.clone());
        let before = baseline.map(dbt::read_manifest).transpose()?.unwrap_or_default();
        Plan::between(&project.tables, &as_deployed(before), &policy)?
    } else {
        let client = connect(config, &args.server, &args.project, report).await?;
        against(&client, &project, &client.catalog().await?, &policy).await?
    };
    let plan = plan.narrowed(selected.as_ref(), &project.tables);
    let changes = !plan.is_empty();
    report.plan = Some(plan);
    Ok(if args.exit_code && changes { Exit::Refused } else { Exit::Passed })
}

/// A project, and which of its models are meant where not all are.
type Desired = (Project, Option<BTreeSet<String>>);

/// The project as dbt compiled it. Where that was never done, was lost, or is older than a model, dbt is asked.
async fn desired(config: &Config, args: &PlanArgs, baseline: Option<&Path>) -> Result<Desired, Error> {
    let read = manifest(config, &args.project, &args.manifest);
    let named = args.manifest.manifest.is_some();
    match read {
        Ok(project) if named || !is_outdated(config, args, &project)? => {
            let file =
                args.manifest.manifest.clone().map_or_else(|| manifest_file(config, &args.project), Ok)?;
            Ok((project, selected(config, &args.selection, &file, baseline)?))
        }
        Err(error) if named || !is_uncompiled(&error) => Err(error),
        _ => compile(config, args, baseline).await,
    }
}

fn is_uncompiled(error: &Error) -> bool {
    matches!(
        error,
        Error::Project(project::Error::NotCompiled { .. }) | Error::Dbt(dbt::Error::NoManifest { .. })
    )
}

fn is_outdated(config: &Config, args: &PlanArgs, project: &Project) -> Result<bool, Error> {
    Ok(dbt::is_outdated(&manifest_file(config, &args.project)?, &args.project.project_dir, project))
}

/// Has dbt compile the project for the server that the plan is made against.
async fn compile(config: &Config, args: &PlanArgs, baseline: Option<&Path>) -> Result<Desired, Error> {
    let file = ProjectFile::read(&args.project.project_dir)?;
    let target = target(config, &args.project, &file)?;
    let target = Target { endpoint: config.server(&args.server, &args.project)?, ..target };
    config.ui.say("compiling the project");
    let path = config.environment.path();
    let dbt = Dbt::new(&path, &args.project.project_dir, target, args.vars.clone(), config.ui)?;
    dbt.install_packages(&file).await?;
    dbt.compile().await?;
    let project = dbt.manifest()?;
    Ok((project, selected(config, &args.selection, &dbt.manifest_file(), baseline)?))
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
