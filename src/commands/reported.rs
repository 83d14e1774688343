//! Runs a command and always writes its report.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use time::OffsetDateTime;

use super::{runner, signals};
use crate::{
    Error,
    exit::Exit,
    model::{ManifestSource, Outcome, ProjectSource, Stage, Verdict},
    options::ReportOptions,
    output::{self, Ui},
    project::Project,
    report::{
        self, Report,
        terminal::{Detail, Style},
    },
    stages::project::SelectedProject,
};

enum Ending {
    Done(Result<Exit, Error>),
    Stopped(u8),
}

/// Runs `work`, then writes the report, also after a failure, a signal or a lost connection.
pub(super) async fn reported(
    options: &ReportOptions,
    command: &'static str,
    work: impl AsyncFnOnce(&mut Report) -> Result<Exit, Error>,
) -> Result<Exit, Error> {
    for file in [&options.json, &options.junit, &options.markdown, &options.html].into_iter().flatten() {
        output::check_writable(file)?;
    }
    let mut report = Report {
        commit: options.commit.clone(),
        selection: options.selection.clone(),
        ..Report::begin(command, OffsetDateTime::now_utc())
    };
    let started = Instant::now();
    let mut signals = signals::Signals::listen();
    // A signal drops the work, which stops what it started.
    let ending = tokio::select! {
        done = work(&mut report) => Ending::Done(done),
        signal = signals.next() => Ending::Stopped(signals::number(signal)),
    };
    report.invocation = Some(options.invocation.clone());
    report.leg.clone_from(&options.leg);
    report.strict |= options.strict;
    // A merged report has the time of its shards.
    if report.elapsed.is_zero() {
        report.elapsed = started.elapsed();
    }
    let ending = match ending {
        Ending::Done(Err(error)) if report.hides_rows => Ending::Done(Err(error.without_values())),
        Ending::Done(_) | Ending::Stopped(_) => ending,
    };
    if let Ending::Done(Err(error)) = &ending {
        let outcome = Outcome::new(Stage::Setup, command, Verdict::Errored, error.to_string());
        report.outcomes.push(outcome.with_details(error.hint().map(|hint| format!("hint: {hint}"))));
    }
    report.interrupted = matches!(ending, Ending::Stopped(_));
    report.settle_rows();
    write(options, &report, &ending)?;
    runner::publish(options.ui, &options.runner, &report);
    match ending {
        Ending::Done(Ok(Exit::Passed)) if !report.passed() => Ok(Exit::Refused),
        Ending::Done(end) => end,
        Ending::Stopped(number) => Ok(Exit::Signal(number)),
    }
}

/// Adds the project and its source to the report.
pub(super) fn describe(report: &mut Report, project: &Project, manifest: ManifestSource) {
    report.project = Some(project.name.clone());
    report.project_source = Some(ProjectSource { tables: project.tables.len(), manifest });
}

/// Adds the project to the report, and dbt's default selector, if it selected the models.
pub(super) fn describe_selected(report: &mut Report, selected: &SelectedProject) {
    describe(report, &selected.project, selected.source.clone());
    if selected.default.is_some() {
        report.selection.clone_from(&selected.default);
    }
}

/// A file that may be wanted, and its text.
pub(super) type Written<'a> = (&'a Option<PathBuf>, &'a dyn Fn() -> String);

/// Writes the files that are wanted. Returns whether one of them is standard output.
pub(super) fn write_files(ui: Ui, files: &[Written]) -> Result<bool, Error> {
    let mut is_stdout_taken = false;
    for (file, text) in files {
        let Some(file) = file else { continue };
        output::to_file(file, &text())?;
        if file == Path::new("-") {
            is_stdout_taken = true;
        } else {
            ui.say(&format!("wrote {}", file.display()));
        }
    }
    Ok(is_stdout_taken)
}

fn write(options: &ReportOptions, report: &Report, ending: &Ending) -> Result<(), Error> {
    let files: [Written; 4] = [
        (&options.json, &|| report::json::render(report)),
        (&options.junit, &|| report::junit::render(report)),
        (&options.markdown, &|| report::markdown::render_whole(report)),
        (&options.html, &|| report::html::render(std::slice::from_ref(report))),
    ];
    let is_stdout_taken = write_files(options.ui, &files)?;
    // `main` prints the error itself.
    let is_only_an_error =
        matches!(ending, Ending::Done(Err(_))) && report.outcomes.len() == 1 && report.plan.is_none();
    let is_unwanted = options.ui.quiet && report.passed();
    if !is_stdout_taken && !is_only_an_error && !is_unwanted {
        output::report_to_stdout(&report::terminal::render(report, &style(options.ui)))?;
    }
    Ok(())
}

/// How a text for the terminal looks.
pub(super) fn style(ui: Ui) -> Style {
    let detail = match ui {
        Ui { quiet: true, .. } => Detail::Quiet,
        Ui { verbose: true, .. } => Detail::Verbose,
        Ui { .. } => Detail::Normal,
    };
    Style { color: ui.color, width: ui.width, detail, full: ui.full }
}
