//! `report`: shows reports, and merges the reports of all shards.

use std::path::PathBuf;

use super::{
    Refusal,
    comment::read,
    reported::{Written, style, write_files},
};
use crate::{
    Error,
    exit::Exit,
    options::ShownOptions,
    output,
    report::{self, Report, html, junit, markdown, terminal},
};

/// Merges the files.
pub(super) fn merge(files: &[PathBuf]) -> Result<Report, Error> {
    let reports: Vec<(String, Report)> = files
        .iter()
        .map(|file| Ok((file.display().to_string(), read(file)?)))
        .collect::<Result<_, Error>>()?;
    Ok(report::merge::merge(reports)?)
}

/// Writes the reports in other forms, or shows one.
pub(super) fn show(options: &ShownOptions) -> Result<Exit, Error> {
    let ShownOptions { ui, files, junit, markdown, html } = options;
    let reports = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    check_projects(files, &reports)?;
    let page: Written = (html, &|| html::render(&reports));
    let [report] = &reports[..] else {
        if html.is_none() || junit.is_some() || markdown.is_some() {
            return Err(Refusal::SeveralReports.into());
        }
        write_files(*ui, &[page])?;
        return Ok(Exit::Passed);
    };
    write_files(
        *ui,
        &[(junit, &|| junit::render(report)), (markdown, &|| markdown::render_whole(report)), page],
    )?;
    if [junit, markdown, html].into_iter().all(Option::is_none) {
        output::report_to_stdout(&terminal::render(report, &style(*ui)))?;
    }
    Ok(Exit::Passed)
}

/// Fails if the reports are of several projects. One that names none may be of any.
fn check_projects(files: &[PathBuf], reports: &[Report]) -> Result<(), Error> {
    let mut projects =
        files.iter().zip(reports).filter_map(|(file, report)| Some((file, report.project.as_ref()?)));
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
    Ok(())
}
