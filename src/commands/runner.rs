//! What a GitHub runner is told beside the report: annotations, the job's summary, the step's outputs.

use std::path::Path;

use crate::{
    options::RunnerFiles,
    output::{self, Ui},
    plan::Plan,
    report::{Report, annotations, markdown},
};

/// GitHub drops the whole summary of a step beyond a mebibyte; some of it is left for what others wrote there.
const SUMMARY_LIMIT: usize = 1_000_000;

/// Tells the runner. That it cannot be told is no reason to fail.
pub(super) fn tell(ui: Ui, files: &RunnerFiles, report: &Report) {
    if ui.runner {
        output::to_runner(&annotations::render(report));
    }
    append(ui, files.summary.as_deref(), &markdown::render_within(report, SUMMARY_LIMIT));
    append(ui, files.output.as_deref(), &outputs(report));
}

/// Adds to a file of the runner, if there is one.
pub(super) fn append(ui: Ui, file: Option<&Path>, text: &str) {
    let Some(file) = file else { return };
    if let Err(error) = output::append(file, text) {
        ui.warn("the runner could not be told", &error.to_string());
    }
}

/// A line each, all of our own making.
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
