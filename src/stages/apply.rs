//! Executes the actions of a plan, without dbt.

use std::collections::BTreeSet;

use crate::{
    model::{Outcome, Stage, Verdict},
    output::Ui,
    pg::{self, Client},
    plan::{Action, KnownLosses},
};

/// Executes the actions in one transaction.
pub async fn execute(client: &Client, actions: &[Action], losses: &KnownLosses, ui: Ui) -> Vec<Outcome> {
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
    let hint = match &*message.code {
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
