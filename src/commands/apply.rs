//! `apply`: executes a plan without dbt, in one transaction.

use std::{collections::BTreeSet, path::Path};

use super::{connect::connect, reported::describe_selected};
use crate::{
    Error, dbt,
    exit::Exit,
    model::{Outcome, Stage, Verdict},
    options::ApplyOptions,
    output::Ui,
    pg::{self, Client},
    plan::{self, Action, KnownLosses, moved::CurrentState, saved::Saved},
    report::Report,
    stages::{
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
    report.outcomes.extend(execute(&prepared, options.ui).await);
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

/// Executes the actions in one transaction.
async fn execute(Prepared { client, actions, losses }: &Prepared, ui: Ui) -> Vec<Outcome> {
    let announce = |number: usize| {
        let action = &actions[number];
        ui.say(&format!("{}/{} {}: {}", number + 1, actions.len(), action.relation, action.does));
    };
    let outcome = |action: &Action, verdict, message: &str| {
        Outcome::new(Stage::Deploy, &action.relation, verdict, message).about(action.origin.as_ref())
    };
    match client.apply(actions, losses, announce).await {
        Ok(took) => {
            let done = actions.iter().zip(took);
            done.map(|(action, took)| outcome(action, Verdict::Passed, &action.does).taking(took)).collect()
        }
        Err(pg::StepFailed { error, is_known: false, .. }) => {
            let message = format!("unknown whether it is done, {error}");
            let each = actions.iter().map(|action| {
                let hint = "the plan is carried out in full or not at all; see which: `pgtrickle-ci plan`";
                outcome(action, Verdict::Errored, &message).with_details([hint.to_owned()])
            });
            each.collect()
        }
        Err(pg::StepFailed { step: failed, error, waited_for, is_known: true }) => {
            let undone = format!("rolled back: {} failed", actions[failed].relation);
            let each = actions.iter().enumerate().map(|(number, action)| {
                if number == failed {
                    failure(outcome(action, Verdict::Errored, ""), &error, &waited_for)
                } else {
                    outcome(action, Verdict::Skipped, &undone)
                }
            });
            each.collect()
        }
    }
}

/// The outcome of the failed step, with the server's message.
fn failure(outcome: Outcome, error: &pg::Error, waited_for: &BTreeSet<String>) -> Outcome {
    let pg::Error::Server { message, .. } = error else {
        return Outcome { message: error.to_string(), ..outcome }.with_details(error.hint());
    };
    let hint = match message.code.as_str() {
        "57014" => Some("raise the limit: --statement-timeout 1h".to_owned()),
        "55P03" => {
            let holders: Vec<&str> = waited_for.iter().map(String::as_str).collect();
            let holders = if holders.is_empty() { "another session".to_owned() } else { holders.join(", ") };
            Some(format!("the lock is held by {holders}; wait longer: --lock-timeout 1m"))
        }
        _ => None,
    };
    let outcome = Outcome { message: message.message.clone(), ..outcome };
    outcome.with_details(message.details()).with_details(hint)
}
