//! The base of a comparison: a manifest that was named, or that of a revision, compiled once and kept.

use std::path::{Path, PathBuf};

use crate::{
    Error,
    cli::PlanArgs,
    commands::project::{store, target},
    config::Config,
    dbt::{self, Dbt, Inputs, MadeOf, ProjectFile, Revision, Target},
};

/// What a plan is compared with instead of a server.
pub(super) struct Base {
    /// The manifest; `None` for a revision without a project.
    pub(super) manifest: Option<PathBuf>,
    /// What to call it.
    pub(super) name: String,
}

/// The manifest that was named, or that of the revision that was named; `None` when neither was.
pub(super) async fn base(config: &Config, args: &PlanArgs) -> Result<Option<Base>, Error> {
    if let Some(file) = &args.baseline {
        return Ok(Some(Base { manifest: Some(file.clone()), name: file.display().to_string() }));
    }
    let Some(name) = &args.base_ref else { return Ok(None) };
    let revision = Revision::find(args.models.project.dir(), name).await.map_err(dbt::Error::from)?;
    let name = revision.to_string();
    if !revision.has_project().await {
        config.ui.say(&format!("{name} has no dbt project here: every stream table is new"));
        return Ok(Some(Base { manifest: None, name }));
    }
    let file = config.project_file(&args.models.project)?;
    let target = target(config, &args.models.project, &file)?;
    let store = store(config, &args.models.project)?;
    let made_of = made_of(config, args, &file, &revision, &target, &store.index()).await?;
    let manifest = if let Ok(kept) = store.find(&made_of) {
        kept.manifest
    } else {
        config.ui.say(&format!("compiling {name} for target {}", target.name));
        let dbt = compile(config, args, &revision, target).await?;
        store.keep(&dbt.manifest_file(), &made_of, dbt.manifest()?.unstable_models()?, None)?
    };
    Ok(Some(Base { manifest: Some(manifest), name }))
}

/// What the manifest of a revision is made of: the commit, the packages that it borrows, and what its files ask of the
/// environment.
async fn made_of(
    config: &Config,
    args: &PlanArgs,
    file: &ProjectFile,
    revision: &Revision,
    target: &Target,
    index: &Path,
) -> Result<MadeOf, Error> {
    let project = &args.models.project;
    let mut inputs = Inputs::of_packages(project.dir(), file, &index.with_file_name("packages.json"))?;
    let (variables, asks_for_any) = revision.asks_for().await.map_err(dbt::Error::from)?;
    inputs.variables.extend(variables);
    inputs.asks_for_any |= asks_for_any;
    let program = dbt::program(&config.environment.path()).ok_or(dbt::Error::NotInstalled)?;
    let variables = config.environment.variables_of_dbt()?;
    Ok(MadeOf::new(inputs, target, project.vars.as_deref(), &program, variables)?.at(&revision.commit))
}

async fn compile(
    config: &Config,
    args: &PlanArgs,
    revision: &Revision,
    target: Target,
) -> Result<Dbt, Error> {
    let checkout = revision.check_out().await.map_err(dbt::Error::from)?;
    let project = &args.models.project;
    checkout.borrow_packages(project.dir())?;
    let shell = config.environment.shell()?;
    let dbt = Dbt::new(shell, checkout.project_dir(), target, project.vars.clone(), config.ui)?;
    dbt.install_packages(&ProjectFile::read(checkout.project_dir())?).await?;
    dbt.compile().await?;
    Ok(dbt)
}
