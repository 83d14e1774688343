//! `report`: merges the reports of all shards, and renders reports as one HTML page.

use std::path::PathBuf;

use super::{Refusal, comment::read};
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
    let projects = options.reports.iter().zip(&reports);
    let mut projects = projects.filter_map(|(file, report)| Some((file, report.project.as_ref()?)));
    if let Some((first, expected)) = projects.next()
        && let Some((file, project)) = projects.find(|(_, project)| *project != expected)
    {
        return Err(Refusal::OtherProject {
            file: file.display().to_string(),
            project: project.clone(),
            first: first.display().to_string(),
            expected: expected.clone(),
        }
        .into());
    }
    output::to_file(&options.html, &html::render(&reports))?;
    if options.html.as_os_str() != "-" {
        options.ui.say(&format!("wrote {}", options.html.display()));
    }
    Ok(Exit::Passed)
}
