//! Loads the project for all commands, as dbt compiles its current files for the chosen target.
//!
//! It never uses dbt's own artifacts in the target folder: they do not say which target, variables or files they are
//! from.

use std::collections::BTreeSet;

use super::{
    compile::{Compiled, compiled},
    plan::EarlierState,
    selection::{self, SelectedModels},
    target::compile_target,
};
use crate::{
    Error,
    dbt::{DefaultSelector, ManifestFile},
    model::ManifestSource,
    options::{ModelsOptions, ServerOptions},
    output::Ui,
    project::{self, Project, Reading},
};

/// The manifest of the project's current files, or a named manifest.
pub struct LoadedProject {
    pub manifest: ManifestFile,
    pub reading: Reading,
    source: ManifestSource,
    selector: Option<DefaultSelector>,
}

/// A project, and the models to work on.
pub struct SelectedProject {
    pub project: Project,
    pub source: ManifestSource,
    /// The IDs of the selected models; `None` if all are selected.
    pub ids: Option<BTreeSet<String>>,
    /// dbt's default selector, as flags, if it selected the models.
    pub default: Option<String>,
}

/// Loads the project, for a comparison with `server`.
///
/// # Errors
/// dbt cannot compile it, `--no-compile` forbids a necessary compilation, or a named manifest is for another target.
pub async fn load(models: &ModelsOptions, server: Option<&ServerOptions>) -> Result<LoadedProject, Error> {
    if let Some(file) = &models.manifest {
        let manifest = ManifestFile::open(file)?;
        let reading = manifest.project()?;
        warn_of_misspelled(models.project.ui, &reading);
        check_names(models, server, &manifest)?;
        let source = ManifestSource::File(file.display().to_string());
        return Ok(LoadedProject { manifest, reading, source, selector: None });
    }
    let file = models.project.file()?;
    let target = compile_target(&models.project, &file, server)?;
    let Compiled { manifest, source, selector } = compiled(models, &file, target).await?;
    let manifest = ManifestFile::open(&manifest)?;
    let reading = manifest.project()?.with_files_below(&models.project.dir.to_string_lossy());
    warn_of_misspelled(models.project.ui, &reading);
    Ok(LoadedProject { manifest, reading, source, selector })
}

/// Says which keys of models are probably misspelled: dbt takes any key, and a setting would be left at its default.
pub fn warn_of_misspelled(ui: Ui, reading: &Reading) {
    if !reading.misspelled().is_empty() {
        ui.warn("unknown keys in models", &reading.misspelled().join("\n"));
    }
}

impl LoadedProject {
    /// The selected part of the project; fails if a model is invalid, or none is selected.
    pub fn selected(self, models: &ModelsOptions) -> Result<SelectedProject, Error> {
        let selected = self.compared(models, None)?;
        let project = selected.project.only(selected.ids.as_ref());
        if project.tables.is_empty() && !models.allow_empty {
            let is_selected = selected.ids.is_some();
            return Err(project::Error::NoStreamTables { name: project.name, is_selected }.into());
        }
        Ok(SelectedProject { project, ..selected })
    }

    /// The project and its selected models, with `before` as the earlier state.
    pub fn compared(
        self,
        models: &ModelsOptions,
        before: Option<&EarlierState>,
    ) -> Result<SelectedProject, Error> {
        let Self { manifest, reading, source, selector } = self;
        let reading = match before {
            Some(before) => reading.compared_with(&before.file, &before.project),
            None => reading,
        };
        let project = usable(reading, &source)?;
        let baseline = before.map(|before| before.file.as_path());
        let ui = models.project.ui;
        let SelectedModels { ids, default } =
            selection::selected(ui, &models.selection, &manifest, baseline, selector)?;
        Ok(SelectedProject { project, source, ids, default })
    }
}

/// The project; fails if it is invalid. In a manifest that dbt compiled now, a model without SQL is empty.
fn usable(reading: Reading, source: &ManifestSource) -> Result<Project, project::Error> {
    match (reading.into_project(), source) {
        (
            Err(project::Error::NotCompiled { models, .. }),
            ManifestSource::Compiled { .. } | ManifestSource::Kept { .. },
        ) => Err(project::Error::Empty { models }),
        (read, _) => read,
    }
}

/// The project of a command that also works without one. `None` if no project is named, none is in the folder, and no
/// selector needs one.
pub async fn load_if_any(
    models: &ModelsOptions,
    server: &ServerOptions,
) -> Result<Option<SelectedProject>, Error> {
    let is_named = models.manifest.is_some() || models.project.is_dir_named;
    let is_here = models.project.dir.join("dbt_project.yml").exists();
    // A selector needs a project to select from.
    if !is_named && !is_here && models.selection.parse()?.is_none() {
        return Ok(None);
    }
    load(models, Some(server)).await?.selected(models).map(Some)
}

/// The project as it was compiled for this server, if it has not changed since. Best effort: it is only told about.
pub async fn kept(models: &ModelsOptions, server: &ServerOptions) -> Option<Project> {
    let mut models = models.clone();
    models.no_compile = true;
    models.project.ui.quiet = true;
    load(&models, Some(server)).await.ok()?.selected(&models).ok().map(|selected| selected.project)
}

/// Fails if a named manifest is for another database or schema.
fn check_names(
    models: &ModelsOptions,
    server: Option<&ServerOptions>,
    manifest: &ManifestFile,
) -> Result<(), Error> {
    let Some(server) = server else { return Ok(()) };
    // A missing server is reported when connecting.
    let Ok(endpoint) = server.endpoint(&models.project) else { return Ok(()) };
    let naming = manifest.naming()?;
    naming.check_database(&endpoint.database)?;
    // Without a target, only the database is known.
    if models.project.is_target_named()
        && let Some(target) = models.project.profile(true)?
    {
        naming.check_schema(&target.name, &target.schema)?;
    }
    Ok(())
}
