//! The named server: its versions, its engine, and what the role may see and do.

use super::{failed, found};
use crate::{
    Error,
    judge::{self, Evidence},
    model::{Outcome, Verdict, site},
    options::DoctorOptions,
    pg::{Client, ServerInfo},
    plan::actions,
    project::Project,
    sql::quote_identifier,
    stages::{check::gather, plan::plan_against, target::owner},
};

/// The engine, and the rights of the role to check and to deploy. Returns what the server reports.
pub async fn look_at_server(
    options: &DoctorOptions,
    client: &Client,
    server: &ServerInfo,
    project: Option<&Project>,
    outcomes: &mut Vec<Outcome>,
) -> Option<Evidence> {
    let evidence = match gather(client, server).await {
        Ok(evidence) => evidence,
        Err(error) => {
            outcomes.push(failed("rights", Verdict::Failed, &error.into()));
            return None;
        }
    };
    // Without a table, these are the outcomes of the engine and of missing evidence.
    outcomes.extend(judge::judge(&[], &evidence, &options.terms));
    outcomes.push(rights_to_check(client, &evidence));
    if let Some(project) = project {
        outcomes.push(rights_to_deploy(options, client, project).await);
    }
    Some(evidence)
}

fn rights_to_check(client: &Client, evidence: &Evidence) -> Outcome {
    let user = &client.endpoint().user;
    let missing =
        [evidence.facts.as_ref().err(), evidence.captures.as_ref().err(), evidence.engine.as_ref().err()];
    let missing: Vec<&str> = missing.into_iter().flatten().map(|missing| missing.why.as_str()).collect();
    if !missing.is_empty() {
        return found("rights to check", Verdict::Failed, missing.join("; "))
            .with_details([format!("see {} for a role that may check", site::page("nightly.html"))]);
    }
    let sources = evidence.captures.iter().flat_map(|captures| &captures.sources);
    let unreadable = sources.filter(|capture| capture.buffer_readable == Some(false));
    let schemas: std::collections::BTreeSet<&str> =
        unreadable.filter_map(|capture| Some(capture.buffer.as_ref()?.schema.as_str())).collect();
    if schemas.is_empty() {
        return found("rights to check", Verdict::Passed, format!("{user} may see what `check` reads"));
    }
    let grant = |schema: &&str| {
        format!(
            "GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}",
            quote_identifier(schema),
            quote_identifier(user)
        )
    };
    let message =
        format!("{user} may not read the change buffers: `check` cannot tell whether changes are pending");
    found("rights to check", Verdict::Failed, message).with_details(schemas.iter().map(grant))
}

/// What `apply` needs for the current plan. A role that only checks may lack it.
async fn rights_to_deploy(options: &DoctorOptions, client: &Client, project: &Project) -> Outcome {
    let lacking = async {
        let policy = options.permissions.policy(owner(&options.models, project)?);
        let (plan, now) = plan_against(client, project, None, &policy).await?;
        let actions = actions(&plan, &project.tables, &now.tables, &policy.owner);
        Ok::<_, Error>(client.lacking_rights(&plan.rights(&project.tables, &actions)).await?)
    };
    let user = &client.endpoint().user;
    match lacking.await {
        Ok(lacking) if lacking.is_empty() => {
            found("rights to deploy", Verdict::Passed, format!("{user} may apply the current plan"))
        }
        Ok(lacking) => {
            let message = format!("{user} cannot apply the current plan; it may still check");
            found("rights to deploy", Verdict::Warned, message)
                .with_details(lacking.into_iter().map(|right| format!("lacks {right}")))
        }
        Err(error) => failed("rights to deploy", Verdict::Failed, &error),
    }
}
