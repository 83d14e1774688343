//! Output for a GitHub runner: annotations, the job summary, the step's outputs.

use std::path::Path;

use crate::{
    options::RunnerFiles,
    output::{self, Ui},
    plan::Plan,
    report::{Report, annotations, markdown},
};

/// GitHub discards a step's summary of more than 1 MiB. The rest is for text that the step already wrote.
const SUMMARY_LIMIT: usize = 1_000_000;

/// Writes annotations, summary and outputs. A failure is only a warning.
pub(super) fn publish(ui: Ui, files: &RunnerFiles, report: &Report) {
    if ui.runner {
        output::to_runner(&annotations::render(report));
    }
    append(ui, files.summary.as_deref(), &markdown::render_within(report, SUMMARY_LIMIT));
    append(ui, files.output.as_deref(), &outputs(report));
}

/// Appends to a file of the runner, if there is one.
pub(super) fn append(ui: Ui, file: Option<&Path>, text: &str) {
    let Some(file) = file else { return };
    if let Err(error) = output::append(file, text) {
        ui.warn("cannot write to the runner", &error.to_string());
    }
}

/// One `name=value` line per output, without text from outside.
fn outputs(report: &Report) -> String {
    let tally = report.tally();
    let counts = report.plan.as_ref().map(Plan::counts).unwrap_or_default();
    let is_empty = report.plan.as_ref().is_none_or(Plan::is_empty);
    format!(
        "conclusion={}\nplan-is-empty={is_empty}\ncreate={}\nalter={}\nreplace={}\ndrop={}\npassed={}\nfailed={}\nwarned={}\n",
        report.conclusion(),
        counts.create,
        counts.alter,
        counts.replace,
        counts.drop,
        tally.passed,
        tally.failed + tally.errored,
        tally.warned,
    )
}
