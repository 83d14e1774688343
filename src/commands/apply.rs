//! `apply`: a plan is carried out, step by step, without dbt.

use std::{path::Path, time::Instant};

use crate::{
    Error,
    cli::ApplyArgs,
    commands::{
        connect,
        plan::against,
        project::{load, owner},
    },
    config::Config,
    dbt,
    exit::Exit,
    model::{Outcome, Stage, Verdict},
    output::Ui,
    pg::{self, Client},
    plan::{self, Action, saved::Saved},
    report::Report,
};

/// Carries out a saved plan, or one that is made now.
pub(super) async fn apply(config: &Config, args: &ApplyArgs, report: &mut Report) -> Result<Exit, Error> {
    let actions = match &args.plan {
        Some(file) => saved(config, args, file, report).await?,
        None => fresh(config, args, report).await?,
    };
    let Some((client, actions)) = actions else { return Ok(Exit::Refused) };
    report.outcomes.extend(carry_out(&client, &actions, config.ui).await);
    Ok(Exit::Passed)
}

/// The actions of a saved plan, for a server that is as it was; `None` when the plan is not to be carried out.
async fn saved(
    config: &Config,
    args: &ApplyArgs,
    file: &Path,
    report: &mut Report,
) -> Result<Option<(Client, Vec<Action>)>, Error> {
    let text = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
    let name = file.display().to_string();
    let saved = Saved::parse(&name, &text)?;
    report.project = Some(saved.project.clone());
    let client = connect(&config.server(&args.server, &args.models.project)?, &args.server, report).await?;
    client.lock().await?;
    let standing = client.standing(&[]).await?;
    report.engine = Some((&standing.server).into());
    saved.check(&name, &client.endpoint().to_string(), &standing.tables)?;
    let stopped = saved.stopped.iter();
    let stopped = stopped.map(|(table, why)| Outcome::new(Stage::Plan, table, Verdict::Failed, why));
    report.outcomes.extend(stopped);
    config.ui.say(&saved.summary);
    Ok(saved.stopped.is_empty().then_some((client, saved.actions)))
}

/// The actions of a plan that is made now, under the lock.
async fn fresh(
    config: &Config,
    args: &ApplyArgs,
    report: &mut Report,
) -> Result<Option<(Client, Vec<Action>)>, Error> {
    let loaded = load(config, &args.models, Some(&args.server)).await?;
    let (project, selected) = loaded.compared(config, &args.models, None, report)?;
    let client = connect(&config.server(&args.server, &args.models.project)?, &args.server, report).await?;
    client.lock().await?;
    let policy = config.policy(&args.policy, owner(config, &args.models, &project)?);
    let (plan, standing) = against(&client, &project, &policy).await?;
    let plan = plan.narrowed(selected.as_ref(), &project.tables);
    report.engine = Some((&standing.server).into());
    let stops = plan.stop_outcomes();
    let actions = plan::actions(&plan, &project.tables, &standing.tables, &policy.owner);
    report.plan = Some(plan);
    if stops.is_empty() {
        return Ok(Some((client, actions)));
    }
    report.outcomes.extend(stops);
    Ok(None)
}

/// One after the other, each whole or not at all. What comes behind a failure is left alone.
async fn carry_out(client: &Client, actions: &[Action], ui: Ui) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut failed = None;
    for (number, action) in actions.iter().enumerate() {
        let outcome = |verdict, message: &str| {
            Outcome::new(Stage::Deploy, &action.relation, verdict, message).about(action.origin.as_ref())
        };
        if let Some(failed) = &failed {
            outcomes.push(outcome(Verdict::Skipped, &format!("not done: {failed} failed before")));
            continue;
        }
        ui.say(&format!("{}/{} {}: {}", number + 1, actions.len(), action.relation, action.does));
        let started = Instant::now();
        let done = client.carry_out(&action.statements).await;
        outcomes.push(
            match done {
                Ok(()) => outcome(Verdict::Passed, &action.does),
                Err(pg::Error::Server { message, .. }) => {
                    failed = Some(action.relation.clone());
                    let is_timeout = message.code == "57014";
                    let hint = is_timeout.then(|| "give it more time: --statement-timeout 1h".to_owned());
                    outcome(Verdict::Errored, &message.message)
                        .with_details(message.details())
                        .with_details(hint)
                }
                Err(error) => {
                    failed = Some(action.relation.clone());
                    outcome(Verdict::Errored, &error.to_string())
                }
            }
            .taking(started.elapsed()),
        );
    }
    outcomes
}
