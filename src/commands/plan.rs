//! `plan`: what would change. It reads, and writes nothing.

use crate::{
    Error,
    cli::PlanArgs,
    commands::{connect, manifest},
    config::Config,
    dbt,
    exit::Exit,
    model::{Deployed, Health, Mark},
    plan::Plan,
    project::Project,
    report::Report,
};

/// Compares the project with a server, or with another manifest.
pub(super) async fn plan(config: &Config, args: &PlanArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = manifest(config, &args.project, &args.manifest)?;
    report.project = Some(project.name.clone());
    let deployed = match &args.baseline {
        Some(file) => {
            report.target = Some(file.display().to_string());
            as_deployed(dbt::read_manifest(file)?)
        }
        None => connect(config, &args.server, &args.project, report).await?.catalog().await?,
    };
    let plan = Plan::between(&project.tables, &deployed, &config.policy(&args.policy, &project.name))?;
    let changes = !plan.is_empty();
    report.plan = Some(plan);
    Ok(if args.exit_code && changes { Exit::Refused } else { Exit::Passed })
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
