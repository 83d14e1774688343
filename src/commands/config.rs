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
    // What is in force of `dbt.profile` is above as `dbt profile`.
    let above: Vec<String> = settings.iter().map(|setting| setting.name.replace(' ', ".")).collect();
    settings.extend(options.settings.iter().filter(|setting| !above.contains(&setting.name)).cloned());
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

/// The project, its profile and target, and the server of `run`: never that of the profile.
fn of_dbt(options: &ConfigOptions) -> Vec<InForce> {
    let unknown = |name: &str, error: Error| setting(name, "unknown", error.to_string());
    let mut settings = match dbt_target(options) {
        Ok(settings) => settings,
        Err(error) => vec![unknown("dbt project", error.into())],
    };
    settings.push(match options.server.named(&options.project) {
        Ok(Some(endpoint)) => {
            setting("server", endpoint.to_string(), setter(options, "database-url").unwrap_or_default())
        }
        Ok(None) => setting("server", "ephemeral", "the default: without --database-url, `run` starts one"),
        Err(error) => unknown("server", error.into()),
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
    let named = project.target_name()?;
    let of_name = || named.as_ref().map(|(name, from)| setting("dbt target", name, *from));
    match project.profile(false) {
        Ok(Some(target)) => settings.push(setting("dbt target", target.name, target.chosen_by)),
        Ok(None) => settings.extend(of_name()),
        Err(error) => {
            settings.extend(of_name());
            settings.push(setting("profiles.yml", "unknown", error.to_string()));
        }
    }
    Ok(settings)
}
