//! Compiles the manifest of the project or of a git revision, once, and keeps it under a key of all its inputs
//! ([`dbt::CompileInputs`]).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use time::OffsetDateTime;

use super::target::target;
use crate::{
    Error,
    dbt::{
        self, Checkout, CompileInputs, Dbt, DefaultSelector, Inputs, ManifestCache, ProjectFile, Revision,
        StaleReason, Started, Target,
    },
    model::ManifestSource,
    options::{ModelsOptions, ProjectOptions},
};

/// How many reasons for a compilation to show.
const REASONS: usize = 3;

/// How often to compile if files change during the compilation.
const TRIES: usize = 3;

/// A manifest that dbt compiled.
pub(super) struct Compiled {
    pub(super) manifest: PathBuf,
    pub(super) source: ManifestSource,
    pub(super) selector: Option<DefaultSelector>,
}

/// The kept manifest for exactly this state of the project, or a new one.
pub(super) async fn compiled(
    models: &ModelsOptions,
    file: &ProjectFile,
    target: Target,
) -> Result<Compiled, Error> {
    let project = &models.project;
    let program = dbt::program(&project.environment.path()).ok_or(dbt::Error::NotInstalled)?;
    let target_dir = project.target_dir()?;
    let store = ManifestCache::below(&target_dir);
    let target_name = target.name.clone();
    let made_of = || -> Result<CompileInputs, dbt::Error> {
        let inputs = Inputs::of(&project.dir, file, &target_dir, &store.index(), !models.no_compile)?;
        let vars = project.vars.as_deref();
        CompileInputs::new(inputs, &target, vars, &program, project.environment.variables_of_dbt()?)
    };
    let stale = match store.find(&made_of()?) {
        Ok(kept) => {
            let compiled_at = OffsetDateTime::from(kept.compiled_at);
            let source = ManifestSource::Kept { target: target_name, compiled_at };
            return Ok(Compiled { manifest: kept.manifest, source, selector: kept.selector });
        }
        Err(stale) => stale,
    };
    let reason = why(&stale);
    if models.no_compile {
        return Err(dbt::Error::NotCompiled { target: target_name, reason }.into());
    }
    project.ui.say(&format!("compiling the project for target {target_name}: {reason}"));
    let started = start_dbt(project)?;
    let dbt = prepare_dbt(project, started, &project.dir, file, target.clone(), false).await?;
    let made = compile_unchanged(&dbt, made_of).await?;
    let unstable = dbt.manifest()?.unstable_models()?;
    let selector = dbt.default_selector().await?;
    let manifest = store.keep(&dbt.manifest_file(), &made, unstable, selector.clone())?;
    Ok(Compiled { manifest, source: ManifestSource::Compiled { target: target_name }, selector })
}

/// Compiles the project until no file changes during the compilation, because the manifest must match its key. Returns
/// the key.
async fn compile_unchanged(
    dbt: &Dbt,
    made_of: impl Fn() -> Result<CompileInputs, dbt::Error>,
) -> Result<CompileInputs, dbt::Error> {
    let mut made = made_of()?;
    for _ in 0..TRIES {
        dbt.compile().await?;
        let after = made_of()?;
        if after == made {
            return Ok(made);
        }
        made = after;
    }
    Err(dbt::Error::KeepsChanging)
}

fn why(stale: &StaleReason) -> String {
    let first_of = |all: &[String]| {
        let more = all.len().saturating_sub(REASONS);
        let shown = all[..all.len() - more].join(", ");
        if more > 0 { format!("{shown} and {more} more") } else { shown }
    };
    match stale {
        StaleReason::Damaged => "the kept manifest is damaged".into(),
        StaleReason::Never => "no earlier compilation is kept".into(),
        StaleReason::Changed(changes) => first_of(changes),
        StaleReason::Unstable(files) => {
            format!("the SQL of {} depends on the server or the time", first_of(files))
        }
    }
}

/// A git revision of the project that a plan is compared with.
pub struct RevisionManifest {
    /// The name in messages.
    pub name: String,
    /// `None` for a revision without a project.
    pub manifest: Option<PathBuf>,
}

/// The kept manifest of the revision, or a new one.
pub async fn revision(project: &ProjectOptions, name: &str) -> Result<RevisionManifest, Error> {
    let revision = Revision::find(&project.dir, name).await.map_err(dbt::Error::from)?;
    let name = revision.to_string();
    if !revision.has_project().await {
        project.ui.say(&format!("{name} has no dbt project in this folder: all stream tables are new"));
        return Ok(RevisionManifest { name, manifest: None });
    }
    let file = project.file()?;
    let target = target(project, &file)?;
    let store = ManifestCache::below(&project.target_dir()?);
    let made_of = revision_made_of(project, &file, &revision, &target, &store.index()).await?;
    let manifest = if let Ok(kept) = store.find(&made_of) {
        kept.manifest
    } else {
        project.ui.say(&format!("compiling {name} for target {}", target.name));
        let (dbt, _checkout) = check_out(project, start_dbt(project)?, &revision, target, false).await?;
        dbt.compile().await?;
        store.keep(&dbt.manifest_file(), &made_of, dbt.manifest()?.unstable_models()?, None)?
    };
    Ok(RevisionManifest { name, manifest: Some(manifest) })
}

/// Checks out a revision of the project, with its packages. The checkout is deleted when it is dropped.
pub(super) async fn check_out(
    project: &ProjectOptions,
    started: Arc<Started>,
    revision: &Revision,
    target: Target,
    hides_rows: bool,
) -> Result<(Dbt, Checkout), Error> {
    let checkout = revision.check_out().await.map_err(dbt::Error::from)?;
    checkout.borrow_packages(&project.dir)?;
    let folder = checkout.project_dir();
    let dbt = prepare_dbt(project, started, folder, &ProjectFile::read(folder)?, target, hides_rows).await?;
    Ok((dbt, checkout))
}

/// Starts the user's dbt.
pub fn start_dbt(project: &ProjectOptions) -> Result<Arc<Started>, Error> {
    Ok(Arc::new(Started::new(project.environment.shell()?)?))
}

/// dbt for the project in `folder`, with its packages installed.
pub async fn prepare_dbt(
    project: &ProjectOptions,
    started: Arc<Started>,
    folder: &Path,
    file: &ProjectFile,
    target: Target,
    hides_rows: bool,
) -> Result<Dbt, Error> {
    let (vars, timeout) = (project.vars.clone(), project.dbt_timeout);
    let mut dbt = Dbt::new(started, folder, target, vars, timeout, project.ui).await?;
    if hides_rows {
        dbt.hide_rows();
    }
    dbt.install_packages(file).await?;
    Ok(dbt)
}

/// The inputs of a revision's manifest: the commit, the packages, and the environment variables that its files read.
async fn revision_made_of(
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
