//! The base of a comparison: the manifest of a revision, compiled once and kept.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    cli::PlanArgs,
    commands::{manifest_file, target},
    config::Config,
    dbt::{self, Dbt, ProjectFile, Revision, Target},
};

/// What a plan is compared with beside a server.
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
    let revision =
        Revision::find(&args.desired.models.project.project_dir, name).await.map_err(dbt::Error::from)?;
    let name = revision.to_string();
    if !revision.has_project().await {
        config.ui.say(&format!("{name} has no dbt project here: every stream table is new"));
        return Ok(Some(Base { manifest: None, name }));
    }
    let file = ProjectFile::read(&args.desired.models.project.project_dir)?;
    let target = target(config, &args.desired.models.project, &file)?;
    let kept = kept(config, args, &revision, &target).await?;
    if !kept.join("manifest.json").is_file() {
        config.ui.say(&format!("compiling {name}"));
        compile(config, args, &revision, target, &kept).await?;
    }
    Ok(Some(Base { manifest: Some(kept.join("manifest.json")), name }))
}

/// Where what dbt compiled of a revision is kept: in the project's own target folder, under a name that another dbt,
/// another target and other variables do not share.
async fn kept(
    config: &Config,
    args: &PlanArgs,
    revision: &Revision,
    target: &Target,
) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    (&target.profile, &target.name, &target.schema, &args.desired.vars).hash(&mut hasher);
    let endpoint = &target.endpoint;
    (&endpoint.host, endpoint.port, &endpoint.user, &endpoint.database).hash(&mut hasher);
    for name in revision.asks_for().await.map_err(dbt::Error::from)? {
        (config.environment.get(&name), name).hash(&mut hasher);
    }
    // A dbt that is installed anew has another program, or other packages beside it.
    if let Some(program) = dbt::program(&config.environment.path()) {
        for place in dbt::packages_of(&program).into_iter().chain([program]) {
            (fs::metadata(&place).and_then(|data| data.modified()).ok(), place).hash(&mut hasher);
        }
    }
    let name = format!("{}-{:016x}", revision.commit, hasher.finish());
    let manifest = manifest_file(config, &args.desired.models.project)?;
    Ok(manifest.with_file_name("pgtrickle-ci").join(name))
}

async fn compile(
    config: &Config,
    args: &PlanArgs,
    revision: &Revision,
    target: Target,
    kept: &Path,
) -> Result<(), Error> {
    let checkout = revision.check_out().await.map_err(dbt::Error::from)?;
    checkout.borrow_packages(&args.desired.models.project.project_dir)?;
    let path = config.environment.path();
    let dbt = Dbt::new(&path, checkout.project_dir(), target, args.desired.vars.clone(), config.ui)?;
    dbt.install_packages(&ProjectFile::read(checkout.project_dir())?).await?;
    dbt.compile().await?;
    Ok(keep(&dbt.target_dir(), kept).map_err(dbt::Error::unreadable(kept))?)
}

/// Copies the manifest and the compiled SQL, whole or not at all, in the place of what was kept before.
fn keep(target_dir: &Path, kept: &Path) -> io::Result<()> {
    let folder = kept.parent().unwrap_or(kept);
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    let half = tempfile::Builder::new().prefix(".half-").tempdir_in(folder)?;
    copy(&target_dir.join("compiled"), &half.path().join("compiled"))?;
    fs::copy(target_dir.join("manifest.json"), half.path().join("manifest.json"))?;
    fs::rename(half.keep(), kept)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
