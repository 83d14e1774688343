//! The base of a comparison: a named manifest, or the manifest of a git revision, which is compiled once and kept.

use std::path::{Path, PathBuf};

use crate::{
    Error,
    commands::project::target,
    dbt::{self, CompileInputs, Dbt, Inputs, ManifestCache, ProjectFile, Revision, Target},
    options::{PlanBase, PlanOptions, ProjectOptions},
};

/// What a plan is compared with instead of a server.
pub(super) struct Base {
    /// `None` for a revision without a project.
    pub(super) manifest: Option<PathBuf>,
    /// The name in messages.
    pub(super) name: String,
}

/// The named manifest, or the manifest of the named revision; `None` without either.
pub(super) async fn base(options: &PlanOptions) -> Result<Option<Base>, Error> {
    let project = &options.models.project;
    let name = match &options.base {
        PlanBase::Server => return Ok(None),
        PlanBase::Manifest(file) => {
            return Ok(Some(Base { manifest: Some(file.clone()), name: file.display().to_string() }));
        }
        PlanBase::Revision(name) => name,
    };
    let revision = Revision::find(&project.dir, name).await.map_err(dbt::Error::from)?;
    let name = revision.to_string();
    if !revision.has_project().await {
        project.ui.say(&format!("{name} has no dbt project in this folder: all stream tables are new"));
        return Ok(Some(Base { manifest: None, name }));
    }
    let file = project.file()?;
    let target = target(project, &file)?;
    let store = ManifestCache::below(&project.target_dir()?);
    let made_of = made_of(project, &file, &revision, &target, &store.index()).await?;
    let manifest = if let Ok(kept) = store.find(&made_of) {
        kept.manifest
    } else {
        project.ui.say(&format!("compiling {name} for target {}", target.name));
        let dbt = compile(project, &revision, target).await?;
        store.keep(&dbt.manifest_file(), &made_of, dbt.manifest()?.unstable_models()?, None)?
    };
    Ok(Some(Base { manifest: Some(manifest), name }))
}

/// The inputs of a revision's manifest: the commit, the packages, and the environment variables that its files read.
async fn made_of(
    project: &ProjectOptions,
    file: &ProjectFile,
    revision: &Revision,
    target: &Target,
    index: &Path,
) -> Result<CompileInputs, Error> {
    let mut inputs = Inputs::of_packages(&project.dir, file, &index.with_file_name("packages.json"))?;
    let (variables, asks_for_any) = revision.used_variables().await.map_err(dbt::Error::from)?;
    inputs.variables.extend(variables);
    inputs.asks_for_any |= asks_for_any;
    let program = dbt::program(&project.environment.path()).ok_or(dbt::Error::NotInstalled)?;
    let variables = project.environment.variables_of_dbt()?;
    Ok(CompileInputs::new(inputs, target, project.vars.as_deref(), &program, variables)?.at(&revision.commit))
}

async fn compile(project: &ProjectOptions, revision: &Revision, target: Target) -> Result<Dbt, Error> {
    let checkout = revision.check_out().await.map_err(dbt::Error::from)?;
    checkout.borrow_packages(&project.dir)?;
    let shell = project.environment.shell()?;
    let dbt = Dbt::new(shell, checkout.project_dir(), target, project.vars.clone(), project.ui)?;
    dbt.install_packages(&ProjectFile::read(checkout.project_dir())?).await?;
    dbt.compile().await?;
    Ok(dbt)
}
