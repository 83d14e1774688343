//! `plan`: shows what would change. It never writes to a server.

use super::{connect::connect, reported::describe_selected};
use crate::{
    Error,
    exit::Exit,
    options::{PlanBase, PlanOptions},
    output,
    plan::saved::Saved,
    report::Report,
    stages::{
        compile::{RevisionManifest, revision},
        plan::{EarlierState, plan_against, plan_between},
        project::{SelectedProject, load},
        target::owner,
    },
};

/// Compares the project with a server, or with another manifest or revision.
pub(super) async fn plan(options: &PlanOptions, report: &mut Report) -> Result<Exit, Error> {
    options.models.selection.parse()?;
    let base = base(options).await?;
    // Read it before the project, so that only one manifest is in memory at a time.
    let before = match &base {
        Some(RevisionManifest { name, manifest: Some(file) }) => Some(EarlierState::read(file, name)?),
        _ => None,
    };
    let server = base.is_none().then_some(&options.server);
    let selected = load(&options.models, server).await?.compared(&options.models, before.as_ref())?;
    describe_selected(report, &selected);
    let SelectedProject { project, ids, .. } = selected;
    let policy = options.permissions.policy(owner(&options.models, &project)?);
    let plan = if let Some(base) = base {
        report.target = Some(base.name);
        plan_between(before.unwrap_or_default(), &project, ids.as_ref(), &policy)?
    } else {
        let endpoint = options.server.endpoint(&options.models.project)?;
        let client = connect(&endpoint, options.server.limits, report).await?;
        let (plan, now) = plan_against(&client, &project, ids.as_ref(), &policy).await?;
        report.engine = Some(now.server.engine());
        if let Some(file) = &options.out {
            let server = endpoint.to_string();
            let saved = Saved::new(&project, &policy.owner, server, (&now.tables, &now.between), &plan);
            output::to_file(file, &saved.to_text())?;
            options.ui.say(&format!("wrote {}", file.display()));
        }
        plan
    };
    let changes = !plan.is_empty();
    report.outcomes.extend(plan.stop_outcomes());
    report.plan = Some(plan);
    Ok(if options.exit_code && changes { Exit::Refused } else { Exit::Passed })
}

/// The manifest to compare with; `None` for a server.
async fn base(options: &PlanOptions) -> Result<Option<RevisionManifest>, Error> {
    Ok(match &options.base {
        PlanBase::Server => None,
        PlanBase::Manifest(file) => {
            Some(RevisionManifest { name: file.display().to_string(), manifest: Some(file.clone()) })
        }
        PlanBase::Revision(name) => Some(revision(&options.models.project, name).await?),
    })
}
