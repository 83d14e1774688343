//! `apply`: executes a plan without dbt, in one transaction.

use std::path::Path;

use super::{connect::connect, reported::describe_selected};
use crate::{
    Error, dbt,
    exit::Exit,
    model::{Outcome, Stage, Verdict},
    options::ApplyOptions,
    pg::Client,
    plan::{self, Action, KnownLosses, moved::CurrentState, saved::Saved},
    report::Report,
    stages::{
        apply::execute,
        plan::plan_against,
        project::{SelectedProject, load, owner},
    },
};

/// Executes a saved plan, or a plan made now.
pub(super) async fn apply(options: &ApplyOptions, report: &mut Report) -> Result<Exit, Error> {
    let prepared = match &options.plan {
        Some(file) => read_saved(options, file, report).await?,
        None => plan_now(options, report).await?,
    };
    let Some(prepared) = prepared else { return Ok(Exit::Refused) };
    if prepared.actions.is_empty() {
        return Ok(Exit::Passed);
    }
    let Prepared { client, actions, losses } = &prepared;
    report.outcomes.extend(execute(client, actions, losses, options.ui).await);
    Ok(Exit::Passed)
}

/// The actions of a plan, on the server that is locked for them.
struct Prepared {
    client: Client,
    actions: Vec<Action>,
    losses: KnownLosses,
}

/// The actions of a saved plan, if the server did not change since. `None` if the plan contains refused steps.
async fn read_saved(
    options: &ApplyOptions,
    file: &Path,
    report: &mut Report,
) -> Result<Option<Prepared>, Error> {
    let text = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
    let name = file.display().to_string();
    let saved = Saved::parse(&name, &text)?;
    report.project = Some(saved.project.clone());
    let endpoint = options.server.endpoint(&options.models.project)?;
    let client = connect(&endpoint, options.server.limits, report).await?;
    client.lock().await?;
    let mut snapshot = client.snapshot(&[]).await?;
    report.engine = Some(snapshot.server.engine());
    let now = CurrentState {
        server: client.endpoint().to_string(),
        definitions: client.definitions(saved.views.iter().map(|view| &view.relation)).await?,
        lost_views: client.lost_views(&saved.lost()).await?,
        lost_objects: client.lost_objects(&saved.dropped).await?,
        tables: std::mem::take(&mut snapshot.tables),
    };
    saved.check(&name, &now)?;
    let stopped = saved.stopped.iter();
    let stopped = stopped.map(|(table, why)| Outcome::new(Stage::Plan, table, Verdict::Failed, why));
    report.outcomes.extend(stopped);
    options.ui.say(&saved.summary);
    if !saved.stopped.is_empty() {
        return Ok(None);
    }
    plan::dbt::check(saved.needs_dbt)?;
    plan::lost_objects::check(&saved.lost_by_rebuilds)?;
    client.check_rights(&saved.rights).await?;
    let losses = KnownLosses::of(&saved.lost_objects, &now.tables);
    Ok(Some(Prepared { client, actions: saved.actions, losses }))
}

/// The actions of a plan made now, under the lock. `None` if the plan contains refused steps. It checks all conditions
/// before the first change.
async fn plan_now(options: &ApplyOptions, report: &mut Report) -> Result<Option<Prepared>, Error> {
    let selected = load(&options.models, Some(&options.server)).await?.compared(&options.models, None)?;
    describe_selected(report, &selected);
    let SelectedProject { project, ids, .. } = selected;
    let endpoint = options.server.endpoint(&options.models.project)?;
    let client = connect(&endpoint, options.server.limits, report).await?;
    client.lock().await?;
    let policy = options.permissions.policy(owner(&options.models, &project)?);
    let (plan, snapshot) = plan_against(&client, &project, &policy).await?;
    let plan = plan.narrowed(ids.as_ref(), &project.tables);
    report.engine = Some(snapshot.server.engine());
    report.outcomes.extend(plan.stop_outcomes());
    let is_stopped = !plan.stopped_by().is_empty();
    let without_dbt = plan.check_without_dbt();
    let actions = plan::actions(&plan, &project.tables, &snapshot.tables, &policy.owner);
    let would_lose = plan::lost_objects::check(&plan.lost_by_rebuilds());
    let rights = plan.rights(&project.tables);
    let losses = KnownLosses::of(&plan.lost_objects, &snapshot.tables);
    report.plan = Some(plan);
    if is_stopped {
        return Ok(None);
    }
    without_dbt?;
    would_lose?;
    client.check_rights(&rights).await?;
    Ok(Some(Prepared { client, actions, losses }))
}
