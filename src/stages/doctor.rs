//! Looks at everything that a run needs, without changing anything. Each look is an outcome that says what to do.

mod names;
mod server;

pub use names::unmatched_names;
pub use server::look_at_server;

use std::path::Path;

use super::project::{self, SelectedProject};
use crate::{
    Error,
    dbt::{self, ProjectFile, Target},
    model::{Outcome, Stage, Verdict},
    options::DoctorOptions,
    server::available,
};

/// An outcome of a look.
fn found(subject: &str, verdict: Verdict, message: impl Into<String>) -> Outcome {
    Outcome::new(Stage::Setup, subject, verdict, message)
}

/// The outcome of something that fails with this error. A message is one line: further ones are details.
pub fn failed(subject: &str, verdict: Verdict, error: &Error) -> Outcome {
    problem(subject, verdict, &error.to_string(), error.hint().as_deref())
}

fn problem(subject: &str, verdict: Verdict, message: &str, hint: Option<&str>) -> Outcome {
    let mut lines = message.lines().map(|line| line.trim().to_owned());
    let first = lines.next().unwrap_or_default();
    let hint = hint.map(|hint| format!("hint: {hint}"));
    found(subject, verdict, first).with_details(lines).with_details(hint)
}

/// Adds the outcome of a look, and returns what was found.
fn look<T>(
    outcomes: &mut Vec<Outcome>,
    subject: &str,
    seen: Result<T, Error>,
    describe: impl FnOnce(&T) -> String,
) -> Option<T> {
    match seen {
        Ok(seen) => {
            outcomes.push(found(subject, Verdict::Passed, describe(&seen)));
            Some(seen)
        }
        Err(error) => {
            outcomes.push(failed(subject, Verdict::Failed, &error));
            None
        }
    }
}

/// The configuration file and the files that it names.
pub fn look_at_configuration(options: &DoctorOptions) -> Vec<Outcome> {
    let subject = "configuration";
    let mut outcomes = vec![match &options.file {
        Ok(Some(file)) => found(subject, Verdict::Passed, format!("{} is valid", file.display())),
        Ok(None) => found(subject, Verdict::Passed, "no file: every setting has its default"),
        Err(wrong) => problem(subject, Verdict::Failed, &wrong.message, wrong.hint.as_deref()),
    }];
    let missing = options.fixtures.iter().filter(|fixture| !fixture.is_file());
    outcomes.extend(missing.map(|fixture| {
        let message = format!("`fixtures` names {}, which does not exist", fixture.display());
        found(&format!("fixture {}", fixture.display()), Verdict::Failed, message)
            .with_details(["write it, or remove it from `fixtures` in pgtrickle-ci.yml".into()])
    }));
    outcomes
}

/// The project, its profile and target, dbt with its adapter, and the package. Returns the target, if there is one.
pub fn look_at_project(options: &DoctorOptions, outcomes: &mut Vec<Outcome>) -> Option<Target> {
    let project = &options.models.project;
    let file = look(outcomes, "project", project.file().map_err(Error::from), |file: &ProjectFile| {
        format!("{} in {}", file.name, project.dir.display())
    });
    let Some(file) = file else {
        outcomes.push(dbt(options, "postgres"));
        return None;
    };
    let target = match project.profile(false) {
        Ok(None) => {
            let (what, next) = match &file.profile {
                Some(_) => {
                    ("no profiles.yml has its profile", "name the folder that has it: `--profiles-dir DIR`")
                }
                None => (
                    "dbt_project.yml names no profile",
                    "name it there, as `profile: NAME`, or use `--profile NAME`",
                ),
            };
            let message = format!("{what}: models use the schema public");
            outcomes.push(found("profile", Verdict::Warned, message).with_details([next.into()]));
            None
        }
        Ok(Some(target)) => {
            let message = format!(
                "{}, target {}: schema {} at {}",
                target.profile,
                target.describe(),
                target.schema,
                target.endpoint
            );
            outcomes.push(found("profile", Verdict::Passed, message));
            Some(target)
        }
        Err(error) => {
            outcomes.push(failed("profile", Verdict::Failed, &error.into()));
            None
        }
    };
    let adapter = target.as_ref().map_or("postgres", |target| &target.adapter);
    outcomes.push(dbt(options, adapter));
    outcomes.push(package(&file, &project.dir, adapter));
    target
}

/// dbt on the PATH, and its adapter.
fn dbt(options: &DoctorOptions, adapter: &str) -> Outcome {
    let Some(program) = dbt::program(&options.models.project.environment.path()) else {
        return failed("dbt", Verdict::Failed, &dbt::Error::NotInstalled.into());
    };
    // dbt 2 brings its adapters.
    let folders = dbt::packages_of(&program);
    let is_python = folders.iter().any(|folder| folder.join("dbt/cli").is_dir());
    let has_adapter = folders.iter().any(|folder| folder.join("dbt/adapters").join(adapter).is_dir());
    let shown = program.display();
    if is_python && !has_adapter {
        return found("dbt", Verdict::Failed, format!("{shown} has no adapter {adapter}"))
            .with_details([format!("install it beside dbt: `python3 -m pip install dbt-{adapter}`")]);
    }
    if !is_python && !dbt::is_native(&program) {
        let message =
            format!("cannot tell whether {shown} works: it is a script without Python packages beside it");
        return found("dbt", Verdict::Skipped, message)
            .with_details(["see which dbt and which adapter it is: `dbt --version`".into()]);
    }
    found("dbt", Verdict::Passed, format!("{shown}"))
}

/// The materialization `stream_table`, from the package or from the adapter.
fn package(file: &ProjectFile, dir: &Path, adapter: &str) -> Outcome {
    if adapter == "pgtrickle" {
        return found("package", Verdict::Passed, "the adapter dbt-pgtrickle brings the macros");
    }
    if file.lacks_our_package(dir) {
        let message = "neither packages.yml nor dependencies.yml names the dbt package dbt_pgtrickle";
        return found("package", Verdict::Failed, message)
            .with_details([dbt::add_our_package(), "if another package brings it: `dbt deps`".into()]);
    }
    if file.has_our_package(dir) {
        return found("package", Verdict::Passed, "installed");
    }
    if file.lacks_packages(dir) {
        return found("package", Verdict::Passed, "not installed yet: the next command runs `dbt deps`");
    }
    let message =
        format!("dbt_pgtrickle is not in {}, which has other packages", file.packages_dir(dir).display());
    found("package", Verdict::Failed, message).with_details(["install it: `dbt deps`".into()])
}

/// The project of a named manifest, or of a manifest that is kept from an earlier compilation. dbt is not started.
pub async fn look_at_manifest(
    options: &DoctorOptions,
    outcomes: &mut Vec<Outcome>,
) -> Option<SelectedProject> {
    let has_server = options.server.endpoint(&options.models.project).is_ok();
    let server = has_server.then_some(&options.server);
    let loaded = match project::load(&options.models, server).await {
        Ok(loaded) => loaded.selected(&options.models),
        Err(Error::Dbt(dbt::Error::NotCompiled { target, reason })) => {
            let message = format!("not compiled for target {target} yet: {reason}");
            let next = "the next command compiles it; to look at it here, run `pgtrickle-ci plan` first";
            outcomes.push(found("manifest", Verdict::Skipped, message).with_details([next.into()]));
            return None;
        }
        Err(error) => Err(error),
    };
    look(outcomes, "manifest", loaded, |selected| {
        crate::model::ProjectSource {
            tables: selected.project.tables.len(),
            manifest: selected.source.clone(),
        }
        .describe()
    })
}

/// What an ephemeral server is started from.
pub fn look_at_ephemeral(options: &DoctorOptions, outcomes: &mut Vec<Outcome>) {
    let seen = available(&options.ephemeral).map_err(Error::from);
    look(outcomes, "ephemeral server", seen, Clone::clone);
}
