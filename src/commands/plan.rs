//! `plan`: shows what would change. It never writes to a server.

use std::path::Path;

use super::{connect::connect, reported::describe_selected};
use crate::{
    Error,
    exit::Exit,
    options::{PlanBase, PlanOptions},
    output,
    plan::{Plan, Policy, saved::Saved},
    report::Report,
    stages::{
        compile::revision,
        plan::{EarlierState, plan_against, plan_between},
        project::{SelectedProject, load, owner},
    },
};

/// Compares the project with a server, or with another manifest or revision.
pub(super) async fn plan(options: &PlanOptions, report: &mut Report) -> Result<Exit, Error> {
    options.models.selection.parse()?;
    let plan = match &options.base {
        PlanBase::Server => against_server(options, report).await?,
        PlanBase::Manifest(file) => {
            let name = file.display().to_string();
            against_manifest(options, Some(file), name, report).await?
        }
        PlanBase::Revision(name) => {
            let base = revision(&options.models.project, name).await?;
            against_manifest(options, base.manifest.as_deref(), base.name, report).await?
        }
    };
    let changes = !plan.is_empty();
    report.outcomes.extend(plan.problem_outcomes());
    report.plan = Some(plan);
    Ok(if options.exit_code && changes { Exit::Refused } else { Exit::Passed })
}

async fn against_server(options: &PlanOptions, report: &mut Report) -> Result<Plan, Error> {
    let selected = load(&options.models, Some(&options.server)).await?.compared(&options.models, None)?;
    describe_selected(report, &selected);
    let SelectedProject { project, ids, .. } = selected;
    let policy = options.permissions.policy(owner(&options.models, &project)?);
    let endpoint = options.server.endpoint(&options.models.project)?;
    let client = connect(&endpoint, options.server.limits, report).await?;
    let (plan, snapshot) = plan_against(&client, &project, &policy).await?;
    let plan = plan.narrowed(ids.as_ref(), &project.tables);
    report.engine = Some(snapshot.server.engine());
    if let Some(file) = &options.out {
        let server = client.endpoint().to_string();
        let saved = Saved::new(&project, &policy.owner, server, (&snapshot.tables, &snapshot.between), &plan);
        output::to_file(file, &saved.to_text())?;
        options.ui.say(&format!("wrote {}", file.display()));
    }
    Ok(plan)
}

/// Compares with the manifest of another state of the project; `None` is an empty one.
async fn against_manifest(
    options: &PlanOptions,
    manifest: Option<&Path>,
    name: String,
    report: &mut Report,
) -> Result<Plan, Error> {
    // Read it before the project, so that only one manifest is in memory at a time.
    let before = manifest.map(|file| EarlierState::read(file, &name)).transpose()?;
    let selected = load(&options.models, None).await?.compared(&options.models, before.as_ref())?;
    describe_selected(report, &selected);
    report.target = Some(name);
    let SelectedProject { project, ids, .. } = selected;
    let policy: Policy = options.permissions.policy(owner(&options.models, &project)?);
    let plan = plan_between(before.unwrap_or_default(), &project, &policy)?;
    Ok(plan.narrowed(ids.as_ref(), &project.tables))
}
