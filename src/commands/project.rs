//! One way to have the project, for every command: as dbt compiles the files that are there, for the target that was
//! asked for.
//!
//! What dbt left in the target folder is never used: it does not say which target, variables or files it was made of.
//! This program keeps its own manifests, each under a key of everything that it was made of ([`dbt::MadeOf`]).

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

/// How many reasons for a compilation are shown.
const REASONS: usize = 3;

/// How often a project is compiled whose files change meanwhile.
const TRIES: usize = 3;

/// A manifest that is what the project's files give now, or that the user named.
pub(super) struct Loaded {
    pub(super) manifest: ManifestFile,
    pub(super) reading: Reading,
    source: ManifestSource,
    selector: Option<DefaultSelector>,
}

/// A project, and the ids of the selected models where not all are selected.
pub(super) type Selected = (Project, Option<BTreeSet<String>>);

/// Loads the project; `server` is the one that it is compared with, where it is compared with one.
///
/// # Errors
/// When dbt cannot compile it, when it had to be compiled and `--no-compile` forbids that, or when a named manifest
/// was made for another target.
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
    /// The selected part of the project, where nothing is wrong with any of it.
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

    /// The whole project and what is selected of it, compared with an earlier state where there is one.
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

/// The project, where nothing is wrong with it. What dbt compiled just now and has no SQL is an empty model.
fn usable(reading: Reading, source: &ManifestSource) -> Result<Project, project::Error> {
    match (reading.into_project(), source) {
        (
            Err(project::Error::NotCompiled { models, .. }),
            ManifestSource::Compiled { .. } | ManifestSource::Kept { .. },
        ) => Err(project::Error::Empty { models }),
        (read, _) => read,
    }
}

/// Names the project in the report, and where it was read from.
pub(super) fn describe(report: &mut Report, project: &Project, manifest: ManifestSource) {
    report.project = Some(project.name.clone());
    report.project_source = Some(ProjectSource { tables: project.tables.len(), manifest });
}

/// The project of a command that can also work on a whole database: `None` where no project was named, none is here,
/// and a server was named outright.
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

/// Has dbt compile the project, until no file changed meanwhile: else the manifest would be kept under the key of
/// something else. The answer is what it was made of.
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

/// Why dbt has to compile, in a few words.
fn why(stale: &Stale) -> String {
    let some = |all: &[String]| {
        let more = all.len().saturating_sub(REASONS);
        let shown = all[..all.len() - more].join(", ");
        if more > 0 { format!("{shown} and {more} more") } else { shown }
    };
    match stale {
        Stale::Damaged => "what was kept of it is damaged".into(),
        Stale::Never => "not compiled for it yet".into(),
        Stale::Changed(changes) => some(changes),
        Stale::Unstable(files) => {
            format!("the SQL of {} depends on the server or the time", some(files))
        }
    }
}

/// The target to compile for: its names, on the server that the project is compared with.
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

/// The names and the schema of the user's own target, so that models are named as they are there. A project without a
/// profile gets the schema `public`.
pub(super) fn target(project: &ProjectOptions, file: &ProjectFile) -> Result<Target, Error> {
    if let Some(target) = project.profile(true)? {
        return Ok(target);
    }
    let profile = project.profile_name(file)?.unwrap_or_else(|| file.name.clone());
    let (name, chosen_by) =
        project.target_name()?.unwrap_or_else(|| ("ci".into(), "the default without a profiles.yml"));
    project.ui.say(&format!("no profiles.yml with `{profile}`: models go to the schema public"));
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

/// The project as the owner of its tables. A named manifest may be of any target, unless the target was named, too.
pub(super) fn owner(models: &ModelsOptions, project: &Project) -> Result<Owner, Error> {
    let is_known = models.manifest.is_none() || models.project.is_target_named();
    let target = if is_known { models.project.profile(true)? } else { None };
    Ok(owner_for(project, target.as_ref()))
}

/// The project as the owner of its tables under this target.
pub(super) fn owner_for(project: &Project, target: Option<&Target>) -> Owner {
    // A variable that is not set leaves an empty text.
    let target = target.filter(|target| !target.schema.is_empty() && !target.name.is_empty());
    let models = project.graph.schemas_of_models().map(ToOwned::to_owned);
    Owner {
        project: project.name.clone(),
        target: target.map(|target| TargetName { name: target.name.clone(), schema: target.schema.clone() }),
        schemas: models.chain(target.map(|target| target.schema.clone())).collect(),
    }
}

/// Whether the names in a named manifest can be those of the server and of the target.
fn check_names(
    models: &ModelsOptions,
    server: Option<&ServerOptions>,
    manifest: &ManifestFile,
) -> Result<(), Error> {
    let Some(server) = server else { return Ok(()) };
    // Without a server there is nothing to compare with, and connecting says so.
    let Ok(endpoint) = server.endpoint(&models.project) else { return Ok(()) };
    let naming = manifest.naming()?;
    naming.check_database(&endpoint.database)?;
    // Without a target only the database is known.
    let is_target_named = models.project.is_target_named() && server.url.is_none();
    if is_target_named && let Some(target) = models.project.profile(false)? {
        naming.check_schema(&target.name, &target.schema)?;
    }
    Ok(())
}
