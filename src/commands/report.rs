//! `report`: merges the reports of all shards, and renders reports as one HTML page.

use std::path::PathBuf;

use super::comment::read;
use crate::{
    Error,
    exit::Exit,
    options::RenderOptions,
    output,
    report::{self, Report, html},
};

/// Merges the files into `report`.
pub(super) fn merge(files: &[PathBuf], report: &mut Report) -> Result<Exit, Error> {
    let reports: Vec<(String, Report)> = files
        .iter()
        .map(|file| Ok((file.display().to_string(), read(file)?)))
        .collect::<Result<_, Error>>()?;
    let merged = report::merge::merge(reports)?;
    let strict = report.strict || merged.strict;
    let (invocation, leg) = (report.invocation.take(), report.leg.take());
    *report = Report { invocation, leg, strict, ..merged };
    Ok(Exit::Passed)
}

/// Reads the reports and writes the page.
pub(super) fn render(options: &RenderOptions) -> Result<Exit, Error> {
    let reports = options.reports.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    output::to_file(&options.html, &html::render(&reports))?;
    if options.html.as_os_str() != "-" {
        options.ui.say(&format!("wrote {}", options.html.display()));
    }
    Ok(Exit::Passed)
}
