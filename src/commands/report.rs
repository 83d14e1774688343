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

/// Merges the files.
pub(super) fn merge(files: &[PathBuf]) -> Result<Report, Error> {
    let reports: Vec<(String, Report)> = files
        .iter()
        .map(|file| Ok((file.display().to_string(), read(file)?)))
        .collect::<Result<_, Error>>()?;
    Ok(report::merge::merge(reports)?)
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
