//! Loads the project for all commands, as dbt compiles its current files for the chosen target.
//!
//! It never uses dbt's own artifacts in the target folder: they do not say which target, variables or files they are
//! from. Instead it keeps its own manifests, each under a key of all its inputs ([`dbt::MadeOf`]).

use std::{collections::BTreeSet, path::PathBuf};

use time::OffsetDateTime;

use crate::{
    Error,
    commands::selection,
    dbt::{self, Dbt, DefaultSelector, Inputs, MadeOf, ManifestFile, ProjectFile, Stale, Store, Target},
    model::{ManifestSource, Owner, ProjectSource, TargetName},
    options::{ModelsOptions, ProjectOptions, ServerOptions},
    output::Ui,
    pg,
    project::{self, Project, Reading},
    report::Report,
};

/// How many reasons for a compilation to show.
const REASONS: usize = 3;

/// How often to compile if files change during the compilation.
const TRIES: usize = 3;

/// The manifest of the project's current files, or a named manifest.
pub(super) struct Loaded {
    pub(super) manifest: ManifestFile,
    pub(super) reading: Reading,
    source: ManifestSource,
    selector: Option<DefaultSelector>,
}

/// A project, and the IDs of the selected models; `None` if all are selected.
pub(super) type Selected = (Project, Option<BTreeSet<String>>);

/// Loads the project, for a comparison with `server`.
///
/// # Errors
/// dbt cannot compile it, `--no-compile` forbids a necessary compilation, or a named manifest is for another target.
pub(super) async fn load(models: &ModelsOptions, server: Option<&ServerOptions>) -> Result<Loaded, Error> {
    if let Some(file) = &models.manifest {
        let manifest = ManifestFile::open(file)?;
        let reading = manifest.project()?;
        warn_of_misspelled(models.project.ui, &reading);
        check_names(models, server, &manifest)?;
        let source = ManifestSource::File(file.display().to_string());
        return Ok(Loaded { manifest, reading, source, selector: None });
    }
    let file = models.project.file()?;
    let target = compile_target(&models.project, &file, server)?;
    let Compiled { manifest, source, selector } = compiled(models, &file, target).await?;
    let manifest = ManifestFile::open(&manifest)?;
    let reading = manifest.project()?.with_files_below(&models.project.dir.to_string_lossy());
    warn_of_misspelled(models.project.ui, &reading);
    Ok(Loaded { manifest, reading, source, selector })
}

/// Says which keys of models are probably misspelled: dbt takes any key, and a setting would be left at its default.
pub(super) fn warn_of_misspelled(ui: Ui, reading: &Reading) {
    if !reading.misspelled().is_empty() {
        ui.warn("unknown keys in models", &reading.misspelled().join("\n"));
    }
}

impl Loaded {
    /// The selected part of the project; fails if any model is invalid.
    pub(super) fn selected(self, models: &ModelsOptions, report: &mut Report) -> Result<Project, Error> {
        let ids = selection::selected(
            models.project.ui,
            &models.selection,
            &self.manifest,
            None,
            self.selector,
            report,
        )?;
        let project = usable(self.reading, &self.source)?.only(ids.as_ref());
        describe(report, &project, self.source);
        if project.tables.is_empty() && !models.allow_empty {
            return Err(
                project::Error::NoStreamTables { name: project.name, is_selected: ids.is_some() }.into()
            );
        }
        Ok(project)
    }

    /// The project and its selected models, with `before` as the earlier state.
    pub(super) fn compared(
        self,
        models: &ModelsOptions,
        before: Option<&super::plan::Before>,
        report: &mut Report,
    ) -> Result<Selected, Error> {
        let project = match before {
            Some(before) => usable(self.reading.compared_with(&before.file, &before.project), &self.source)?,
            None => usable(self.reading, &self.source)?,
        };
        let baseline = before.map(|before| before.file.as_path());
        let ids = selection::selected(
            models.project.ui,
            &models.selection,
            &self.manifest,
            baseline,
            self.selector,
            report,
        )?;
        describe(report, &project, self.source);
        Ok((project, ids))
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

/// Adds the project and its source to the report.
pub(super) fn describe(report: &mut Report, project: &Project, manifest: ManifestSource) {
    report.project = Some(project.name.clone());
    report.project_source = Some(ProjectSource { tables: project.tables.len(), manifest });
}

/// The project of a command that also works without one. `None` if no project is named, none is in the folder, and no
/// selector needs one.
pub(super) async fn load_if_any(
    models: &ModelsOptions,
    server: &ServerOptions,
    report: &mut Report,
) -> Result<Option<Project>, Error> {
    let is_named = models.manifest.is_some() || models.project.is_dir_named;
    let is_here = models.project.dir.join("dbt_project.yml").exists();
    // A selector needs a project to select from.
    if !is_named && !is_here && models.selection.parse()?.is_none() {
        return Ok(None);
    }
    load(models, Some(server)).await?.selected(models, report).map(Some)
}

/// A manifest that dbt compiled.
struct Compiled {
    manifest: PathBuf,
    source: ManifestSource,
    selector: Option<DefaultSelector>,
}

/// The kept manifest for exactly this state of the project, or a new one.
async fn compiled(models: &ModelsOptions, file: &ProjectFile, target: Target) -> Result<Compiled, Error> {
    let project = &models.project;
    let program = dbt::program(&project.environment.path()).ok_or(dbt::Error::NotInstalled)?;
    let target_dir = project.target_dir()?;
    let store = Store::below(&target_dir);
    let target_name = target.name.clone();
    let made_of = || -> Result<MadeOf, dbt::Error> {
        let inputs = Inputs::of(&project.dir, file, &target_dir, &store.index())?;
        let vars = project.vars.as_deref();
        MadeOf::new(inputs, &target, vars, &program, project.environment.variables_of_dbt()?)
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
    let dbt = Dbt::new(
        project.environment.shell()?,
        &project.dir,
        target.clone(),
        project.vars.clone(),
        project.ui,
    )?;
    dbt.install_packages(file).await?;
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
    made_of: impl Fn() -> Result<MadeOf, dbt::Error>,
) -> Result<MadeOf, dbt::Error> {
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

fn why(stale: &Stale) -> String {
    let first_of = |all: &[String]| {
        let more = all.len().saturating_sub(REASONS);
        let shown = all[..all.len() - more].join(", ");
        if more > 0 { format!("{shown} and {more} more") } else { shown }
    };
    match stale {
        Stale::Damaged => "the kept manifest is damaged".into(),
        Stale::Never => "not compiled yet".into(),
        Stale::Changed(changes) => first_of(changes),
        Stale::Unstable(files) => {
            format!("the SQL of {} depends on the server or the time", first_of(files))
        }
    }
}

/// The target to compile for, with the address of the server of the comparison.
pub(super) fn compile_target(
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
pub(super) fn target(project: &ProjectOptions, file: &ProjectFile) -> Result<Target, Error> {
    if let Some(target) = project.profile(true)? {
        return Ok(target);
    }
    let profile = project.profile_name(file)?.unwrap_or_else(|| file.name.clone());
    let (name, chosen_by) =
        project.target_name()?.unwrap_or_else(|| ("ci".into(), "the default without a profiles.yml"));
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
pub(super) fn owner(models: &ModelsOptions, project: &Project) -> Result<Owner, Error> {
    let is_known = models.manifest.is_none() || models.project.is_target_named();
    let target = if is_known { models.project.profile(true)? } else { None };
    Ok(owner_for(project, target.as_ref()))
}

/// The owner of the project's tables under this target.
pub(super) fn owner_for(project: &Project, target: Option<&Target>) -> Owner {
    // An unset variable renders as an empty string.
    let target = target.filter(|target| !target.schema.is_empty() && !target.name.is_empty());
    let models = project.graph.schemas_of_models().map(ToOwned::to_owned);
    Owner {
        project: project.name.clone(),
        target: target.map(|target| TargetName { name: target.name.clone(), schema: target.schema.clone() }),
        schemas: models.chain(target.map(|target| target.schema.clone())).collect(),
    }
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
