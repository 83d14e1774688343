//! `config`: the settings in force and what set each. Values that may be secret are hidden.

use super::reported::style;
use crate::{
    Error, dbt,
    exit::Exit,
    options::ConfigOptions,
    output,
    report::in_force::{self, InForce},
};

pub(super) fn config(options: &ConfigOptions) -> Result<Exit, Error> {
    let mut settings = vec![configuration_file(options)];
    settings.extend(of_dbt(options));
    // What is in force of these is above.
    let is_above = |setting: &&InForce| ["dbt.profile", "dbt.target"].contains(&&*setting.name);
    settings.extend(options.settings.iter().filter(|setting| !is_above(setting)).cloned());
    output::report_to_stdout(&in_force::render(&settings, &style(options.ui)))?;
    Ok(Exit::Passed)
}

fn setting(name: &str, value: impl Into<String>, from: impl Into<String>) -> InForce {
    InForce { name: name.into(), value: value.into(), from: from.into() }
}

/// What set a flag; `None` if nothing did.
fn setter<'a>(options: &'a ConfigOptions, flag: &str) -> Option<&'a str> {
    options.settings.iter().find(|setting| setting.name == flag).map(|setting| setting.from.as_str())
}

fn configuration_file(options: &ConfigOptions) -> InForce {
    let name = "configuration file";
    match &options.file {
        Some(file) => {
            let from = setter(options, "config").unwrap_or("beside dbt_project.yml");
            setting(name, file.display().to_string(), from)
        }
        None => setting(name, "none", "pgtrickle-ci.yml does not exist beside dbt_project.yml"),
    }
}

/// The project, its profile and target, and the server that commands use which start none.
fn of_dbt(options: &ConfigOptions) -> Vec<InForce> {
    let unknown = |name: &str, error: Error| setting(name, "unknown", error.to_string());
    let mut settings = match dbt_target(options) {
        Ok(settings) => settings,
        Err(error) => return vec![unknown("dbt", error.into())],
    };
    settings.push(match options.server.endpoint(&options.project) {
        Ok(endpoint) => {
            let of_profile = settings.iter().any(|setting| setting.name == "dbt target");
            let other = if of_profile { "the dbt target" } else { "PGHOST, PGHOSTADDR or PGSERVICE" };
            setting("server", endpoint.to_string(), setter(options, "database-url").unwrap_or(other))
        }
        Err(error) => unknown("server", error),
    });
    settings
}

fn dbt_target(options: &ConfigOptions) -> Result<Vec<InForce>, dbt::Error> {
    let project = &options.project;
    let file = match project.file() {
        Err(dbt::Error::NoProject { .. }) => return Ok(vec![]),
        file => file?,
    };
    let variable = project.environment.of_dbt("PROJECT_DIR")?.map(|(_, name)| name);
    let place = match setter(options, "project-dir").or(variable) {
        Some(setter) => setter,
        None if project.is_dir_named => "found above this folder",
        None => "this folder",
    };
    let mut settings =
        vec![setting("dbt project", format!("{} in {}", file.name, project.dir.display()), place)];
    if let Some((name, from)) = project.profile_and_origin(&file)? {
        settings.push(setting("dbt profile", name, from));
    }
    if let Some(target) = project.profile(false)? {
        settings.push(setting("dbt target", target.name, target.chosen_by));
    }
    Ok(settings)
}
