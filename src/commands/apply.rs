//! `apply`: executes a plan without dbt, in one transaction.

use std::path::Path;

use super::{connect::connect, reported::describe_selected};
use crate::{
    Error, dbt,
    exit::Exit,
    model::{Outcome, Stage, Verdict},
    options::ApplyOptions,
    plan::{self, KnownLosses, moved::CurrentState, saved::Saved},
    report::Report,
    stages::{
        apply::execute,
        plan::plan_against,
        project::{SelectedProject, load},
        target::owner,
    },
};

/// What to apply.
enum Wanted<'a> {
    Saved(&'a Path, Saved),
    Project(SelectedProject),
}

/// Executes a saved plan, or a plan made now, under the lock. It checks all conditions before the first change.
pub(super) async fn apply(options: &ApplyOptions, report: &mut Report) -> Result<Exit, Error> {
    let wanted = wanted(options).await?;
    match &wanted {
        Wanted::Saved(_, saved) => report.project = Some(saved.project.clone()),
        Wanted::Project(selected) => describe_selected(report, selected),
    }
    let endpoint = options.server.endpoint(&options.models.project)?;
    let client = connect(&endpoint, options.server.limits, report).await?;
    client.lock().await?;
    let (saved, deployed) = match wanted {
        Wanted::Saved(file, saved) => {
            let snapshot = client.snapshot(&[]).await?;
            report.engine = Some(snapshot.server.engine());
            let now = CurrentState {
                server: client.endpoint().to_string(),
                definitions: client.definitions(saved.views.iter().map(|view| &view.relation)).await?,
                lost_views: client.lost_views(&saved.lost()).await?,
                lost_objects: client.lost_objects(&saved.dropped).await?,
                tables: snapshot.tables,
            };
            saved.check(&file.display().to_string(), &now)?;
            report.outcomes.extend(stopped(&saved));
            options.ui.say(&saved.summary);
            (saved, now.tables)
        }
        Wanted::Project(SelectedProject { project, ids, .. }) => {
            let policy = options.permissions.policy(owner(&options.models, &project)?);
            let (plan, now) = plan_against(&client, &project, ids.as_ref(), &policy).await?;
            report.engine = Some(now.server.engine());
            report.outcomes.extend(plan.stop_outcomes());
            let server = endpoint.to_string();
            let saved = Saved::new(&project, &policy.owner, server, (&now.tables, &now.between), &plan);
            report.plan = Some(plan);
            (saved, now.tables)
        }
    };
    if !saved.stopped.is_empty() {
        return Ok(Exit::Refused);
    }
    plan::dbt::check(saved.needs_dbt)?;
    plan::lost_objects::check(&saved.lost_by_rebuilds)?;
    client.check_rights(&saved.rights).await?;
    if !saved.actions.is_empty() {
        let losses = KnownLosses::of(&saved.lost_objects, &deployed);
        report.outcomes.extend(execute(&client, &saved.actions, &losses, options.ui).await);
    }
    Ok(Exit::Passed)
}

async fn wanted(options: &ApplyOptions) -> Result<Wanted<'_>, Error> {
    let Some(file) = &options.plan else {
        let loaded = load(&options.models, Some(&options.server)).await?;
        return Ok(Wanted::Project(loaded.compared(&options.models, None)?));
    };
    let text = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
    Ok(Wanted::Saved(file, Saved::parse(&file.display().to_string(), &text)?))
}

/// The outcomes of a saved plan that must not be applied.
fn stopped(saved: &Saved) -> impl Iterator<Item = Outcome> {
    saved.stopped.iter().map(|(table, why)| Outcome::new(Stage::Plan, table, Verdict::Failed, why))
}
