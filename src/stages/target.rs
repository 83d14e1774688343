//! The dbt target of a project, and the owner that it gives to the project's tables.

use crate::{
    Error,
    dbt::{DEFAULT_TARGET, ProjectFile, Target},
    model::{Owner, TargetName},
    options::{ModelsOptions, ProjectOptions, ServerOptions},
    pg,
    project::Project,
};

/// The target to compile for, with the address of the server of the comparison.
pub fn compile_target(
    project: &ProjectOptions,
    file: &ProjectFile,
    server: Option<&ServerOptions>,
) -> Result<Target, Error> {
    let target = target(project, file)?;
    Ok(match server {
        Some(server) => Target { endpoint: server.endpoint(project)?, ..target },
        None => target,
    })
}

/// The user's own target, so that models get the same schemas and names. A project without a profile gets the schema
/// `public`.
pub fn target(project: &ProjectOptions, file: &ProjectFile) -> Result<Target, Error> {
    if let Some(target) = project.profile(true)? {
        return Ok(target);
    }
    let profile = project.profile_name(file)?.unwrap_or_else(|| file.name.clone());
    let (name, chosen_by) = project
        .target_name()?
        .unwrap_or_else(|| (DEFAULT_TARGET.into(), "the default without a profiles.yml"));
    project.ui.say(&format!("no profiles.yml with `{profile}`: models use the schema public"));
    Ok(Target {
        profile,
        name,
        chosen_by,
        endpoint: pg::Endpoint::default(),
        adapter: "postgres".into(),
        schema: "public".into(),
        threads: 4,
        manner: serde_json::Map::default(),
    })
}

/// The owner of the project's tables. The target of a named manifest is unknown, unless `--target` is set.
pub fn owner(models: &ModelsOptions, project: &Project) -> Result<Owner, Error> {
    let is_known = models.manifest.is_none() || models.project.is_target_named();
    let target = if is_known { models.project.profile(true)? } else { None };
    Ok(owner_for(project, target.as_ref()))
}

/// The owner of the project's tables under this target.
pub fn owner_for(project: &Project, target: Option<&Target>) -> Owner {
    // An unset variable renders as an empty string.
    let target = target.filter(|target| !target.schema.is_empty() && !target.name.is_empty());
    let models = project.graph.schemas_of_models().map(ToOwned::to_owned);
    Owner {
        project: project.name.clone(),
        target: target.map(|target| TargetName { name: target.name.clone(), schema: target.schema.clone() }),
        schemas: models.chain(target.map(|target| target.schema.clone())).collect(),
    }
}
