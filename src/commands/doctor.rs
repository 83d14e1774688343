//! `doctor`: looks at everything that a run needs, and says what to do. It changes nothing.

use super::connect::connect_and_identify;
use crate::{
    Error,
    exit::Exit,
    judge::Evidence,
    model::{Outcome, Stage, Verdict},
    options::{self, DoctorOptions},
    project::Project,
    report::Report,
    stages::doctor::{
        failed, look_at_configuration, look_at_ephemeral, look_at_manifest, look_at_project, look_at_server,
        unmatched_names,
    },
};

pub(super) async fn doctor(options: &DoctorOptions, report: &mut Report) -> Result<Exit, Error> {
    let mut outcomes = look_at_configuration(options);
    if options.models.manifest.is_none() {
        look_at_project(options, &mut outcomes);
    }
    let is_usable = !outcomes.iter().any(|outcome| outcome.verdict.is_bad());
    report.outcomes.extend(outcomes);
    let selected = if is_usable { look_at_manifest(options, &mut report.outcomes).await } else { None };
    let project = selected.map(|selected| selected.project);
    if options.server.url.is_none() {
        look_at_ephemeral(options, &mut report.outcomes);
    }
    let evidence = named_server(options, project.as_ref(), report).await;
    report.outcomes.extend(unmatched_names(options, project.as_ref(), evidence.as_ref()));
    Ok(Exit::Passed)
}

/// Looks at the named server. If only the profile names it, `run` does not need it, and what is wrong is a warning.
async fn named_server(
    options: &DoctorOptions,
    project: Option<&Project>,
    report: &mut Report,
) -> Option<Evidence> {
    let outcome = |verdict, message: String| Outcome::new(Stage::Setup, "server", verdict, message);
    let endpoint = match options.server.endpoint(&options.models.project) {
        Ok(endpoint) => endpoint,
        Err(Error::Options(options::Error::NoServer)) => {
            let message = "none is named: `run` starts its own, other commands need `--database-url`, a profile or PGHOST";
            report.outcomes.push(outcome(Verdict::Skipped, message.into()));
            return None;
        }
        Err(error) if options.server.url.is_some() => {
            report.outcomes.push(failed("server", Verdict::Failed, &error));
            return None;
        }
        // The outcome of the profile says what is wrong.
        Err(_) => return None,
    };
    let (client, server) = match connect_and_identify(&endpoint, options.server.limits, report).await {
        Ok(seen) => seen,
        Err(error) => {
            let is_needed = options.server.url.is_some() || options.models.manifest.is_some();
            let verdict = if is_needed { Verdict::Failed } else { Verdict::Warned };
            let more = (!is_needed).then(|| "`run` does not need it: it starts its own".to_owned());
            report.outcomes.push(failed("server", verdict, &error).with_details(more));
            return None;
        }
    };
    report.outcomes.push(outcome(Verdict::Passed, format!("{} at {endpoint}", server.engine().describe())));
    look_at_server(options, &client, &server, project, &mut report.outcomes).await
}
