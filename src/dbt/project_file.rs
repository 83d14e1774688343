//! `dbt_project.yml` and the files beside it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_yaml::Value as Yaml;

use super::{Context, Error, jinja::Renderer, yaml};
use crate::model::site;

/// The dbt package of this repository.
const OUR_PACKAGE: &str = "dbt_pgtrickle";

/// What to do about a project that does not use the package.
pub fn add_our_package() -> String {
    format!(
        "add the package to packages.yml, below `packages:`, or install the adapter dbt-pgtrickle: \
         `- {{git: \"{}.git\", revision: main}}` (see {})",
        env!("CARGO_PKG_REPOSITORY"),
        site::page("dbt.html")
    )
}

/// The part of `dbt_project.yml` that is needed to run dbt. Values may contain Jinja.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProjectFile {
    pub name: String,
    pub profile: Option<String>,
    /// dbt's target folder, relative to the project.
    target_path: Option<PathBuf>,
    /// The folder of installed packages, relative to the project.
    packages_install_path: Option<PathBuf>,
    /// The folders of models and of seeds, relative to the project.
    model_paths: Option<Vec<PathBuf>>,
    seed_paths: Option<Vec<PathBuf>>,
}

/// The names of these fields.
const FIELDS: [&str; 6] =
    ["name", "profile", "target-path", "packages-install-path", "model-paths", "seed-paths"];

impl ProjectFile {
    /// Reads the file of the project in this folder.
    pub fn read(project_dir: &Path) -> Result<Self, Error> {
        let file = project_dir.join("dbt_project.yml");
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoProject { dir: project_dir.to_owned() });
            }
            Err(error) => return Err(Error::unreadable(&file)(error)),
        };
        // Whichever dbt it is: its folders and names are texts.
        let yaml = yaml::read(&text, true).map_err(Error::unreadable(&file))?;
        let is_unclear = |field: &&&str| yaml.get(**field).is_some_and(yaml::is_unclear);
        if let Some(field) = FIELDS.iter().find(is_unclear) {
            return Err(Error::unreadable(&file)(format!("{field}: {}", yaml::UNCLEAR)));
        }
        serde_yaml::from_value(yaml).map_err(Error::unreadable(&file))
    }

    /// The same with the Jinja of its name and profile rendered, which choose the target.
    pub fn with_profile(self, project_dir: &Path, context: &Context) -> Result<Self, Error> {
        let text = rendering(project_dir, context);
        let name = text(Some(self.name))?.unwrap_or_default();
        Ok(Self { name, profile: text(self.profile)?, ..self })
    }

    /// The same with the Jinja of its folders rendered, which may depend on the target.
    pub fn with_folders(self, project_dir: &Path, context: &Context) -> Result<Self, Error> {
        let text = rendering(project_dir, context);
        let path = |path: Option<PathBuf>| -> Result<Option<PathBuf>, Error> {
            Ok(text(path.map(|path| path.display().to_string()))?.map(PathBuf::from))
        };
        let paths = |paths: Option<Vec<PathBuf>>| -> Result<Option<Vec<PathBuf>>, Error> {
            let Some(paths) = paths else { return Ok(None) };
            let paths = paths.into_iter().filter_map(|one| path(Some(one)).transpose());
            paths.collect::<Result<_, _>>().map(Some)
        };
        Ok(Self {
            target_path: path(self.target_path)?,
            packages_install_path: path(self.packages_install_path)?,
            model_paths: paths(self.model_paths)?,
            seed_paths: paths(self.seed_paths)?,
            ..self
        })
    }

    /// Whether a folder depends on the target.
    pub fn reads_target(&self) -> bool {
        let single = [&self.target_path, &self.packages_install_path].into_iter().flatten();
        let lists = [&self.model_paths, &self.seed_paths].into_iter().flatten().flatten();
        single.chain(lists).any(|path| {
            let text = path.to_string_lossy();
            text.contains('{') && text.contains("target")
        })
    }

    /// Whether the project does not use the package dbt_pgtrickle.
    pub fn lacks_our_package(&self, project_dir: &Path) -> bool {
        let names_it = |file| {
            let text = std::fs::read_to_string(project_dir.join(file)).unwrap_or_default();
            text.contains("pgtrickle")
                || local_packages(&text).any(|dir| is_our_package(&project_dir.join(dir)))
        };
        !self.has_our_package(project_dir) && !["packages.yml", "dependencies.yml"].into_iter().any(names_it)
    }

    /// Whether the package dbt_pgtrickle is installed, whatever it is called where it came from.
    pub fn has_our_package(&self, project_dir: &Path) -> bool {
        self.name == OUR_PACKAGE || self.packages_dir(project_dir).join(OUR_PACKAGE).is_dir()
    }

    /// dbt's target folder, with the manifest.
    pub fn target_dir(&self, project_dir: &Path, from_environment: Option<&str>) -> PathBuf {
        let path = from_environment.map(PathBuf::from).or_else(|| self.target_path.clone());
        project_dir.join(path.unwrap_or_else(|| "target".into()))
    }

    /// Whether the project has packages and none is installed.
    pub fn lacks_packages(&self, project_dir: &Path) -> bool {
        let names_packages =
            ["packages.yml", "dependencies.yml"].iter().any(|file| project_dir.join(file).exists());
        names_packages
            && std::fs::read_dir(self.packages_dir(project_dir))
                .map_or(true, |mut entries| entries.next().is_none())
    }

    pub(super) fn model_dirs(&self, project_dir: &Path) -> Vec<PathBuf> {
        folders(project_dir, self.model_paths.as_ref(), "models")
    }

    pub(super) fn seed_dirs(&self, project_dir: &Path) -> Vec<PathBuf> {
        folders(project_dir, self.seed_paths.as_ref(), "seeds")
    }

    pub fn packages_dir(&self, project_dir: &Path) -> PathBuf {
        project_dir.join(self.packages_install_path.clone().unwrap_or_else(|| "dbt_packages".into()))
    }
}

/// Renders the Jinja of the file's texts.
fn rendering(
    project_dir: &Path,
    context: &Context,
) -> impl Fn(Option<String>) -> Result<Option<String>, Error> {
    let (file, renderer) = (project_dir.join("dbt_project.yml"), Renderer::of_project(context));
    move |text| match text {
        Some(text) => renderer.text(&text.into()).map_err(Error::unreadable(&file)),
        None => Ok(None),
    }
}

fn folders(project_dir: &Path, named: Option<&Vec<PathBuf>>, default: &str) -> Vec<PathBuf> {
    named.map_or_else(
        || vec![project_dir.join(default)],
        |named| named.iter().map(|dir| project_dir.join(dir)).collect(),
    )
}

/// The folders of packages that are on this disk.
fn local_packages(packages: &str) -> impl Iterator<Item = PathBuf> {
    let packages: Yaml = serde_yaml::from_str(packages).unwrap_or_default();
    let list = packages.get("packages").and_then(Yaml::as_sequence).cloned().unwrap_or_default();
    list.into_iter().filter_map(|package| Some(package.get("local")?.as_str()?.into()))
}

fn is_our_package(dir: &Path) -> bool {
    ProjectFile::read(dir).is_ok_and(|file| file.name == OUR_PACKAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_the_projects_target_path() {
        let read = |text: &str| serde_yaml::from_str::<ProjectFile>(text).unwrap();
        let dir = Path::new("shop");
        assert_eq!(read("name: shop").target_dir(dir, None), Path::new("shop/target"));
        assert_eq!(
            read("name: shop\ntarget-path: build/dbt").target_dir(dir, None),
            Path::new("shop/build/dbt")
        );
        assert_eq!(read("name: shop\ntarget-path: a").target_dir(dir, Some("/tmp/t")), Path::new("/tmp/t"));
    }

    #[test]
    fn jinja_is_rendered_as_by_dbt() {
        let file = "name: shop\nprofile: \"{{ env_var('P', 'shop') }}\"\ntarget-path: \"t/{{ var('v', 'x') | as_text }}\"";
        let file = serde_yaml::from_str::<ProjectFile>(file).unwrap();
        let context =
            Context { variables: [("P".to_owned(), "other".to_owned())].into(), ..Context::default() };
        let shop = Path::new("shop");
        let file = file.with_profile(shop, &context).unwrap().with_folders(shop, &context).unwrap();
        assert_eq!(file.profile.as_deref(), Some("other"));
        assert_eq!(file.target_dir(shop, None), Path::new("shop/t/x"));

        let file =
            serde_yaml::from_str::<ProjectFile>("name: shop\nprofile: \"{{ env_var('NO') }}\"").unwrap();
        let error = file.with_profile(shop, &context).unwrap_err().to_string();
        assert_eq!(error, "cannot read `shop/dbt_project.yml`: the environment variable `NO` is not set");
    }

    #[test]
    fn a_name_that_dbt_1_and_2_read_differently_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            std::fs::write(dir.path().join("dbt_project.yml"), text).unwrap();
            ProjectFile::read(dir.path()).map_err(|error| error.to_string())
        };
        for (text, field) in [
            ("name: shop\nprofile: on", "profile"),
            ("name: 0123", "name"),
            ("name: shop\nmodel-paths: [a, 1e5]", "model-paths"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(&format!("{field}: dbt 1 and dbt 2 read this value differently")),
                "{error}"
            );
        }
        // The last of equal keys counts, and what the gate does not need may be anything.
        let file = read("name: a\nname: shop\nvars: {shop: {full: on}}\nprofile: 'on'").unwrap();
        assert_eq!((file.name.as_str(), file.profile.as_deref()), ("shop", Some("on")));
    }

    #[test]
    fn folders_may_depend_on_the_target() {
        let read = |text: &str| serde_yaml::from_str::<ProjectFile>(text).unwrap();
        let shop = Path::new("shop");
        let file = read(
            "name: shop\ntarget-path: \"t/{{ target.name }}\"\nmodel-paths: [\"{{ target.schema }}\", b]",
        );
        assert!(file.reads_target() && !read("name: shop\ntarget-path: target").reads_target());
        let context = Context {
            target: Some([("name", "dev".to_owned()), ("schema", "s".to_owned())].into()),
            ..Context::default()
        };
        let file = file.with_folders(shop, &context).unwrap();
        assert_eq!(file.target_dir(shop, None), Path::new("shop/t/dev"));
        assert_eq!(file.model_dirs(shop), [Path::new("shop/s"), Path::new("shop/b")]);
    }

    #[test]
    fn packages_are_missing_if_their_folder_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let file = serde_yaml::from_str::<ProjectFile>("name: shop").unwrap();
        assert!(!file.lacks_packages(dir.path()));
        std::fs::write(dir.path().join("packages.yml"), "packages: []").unwrap();
        assert!(file.lacks_packages(dir.path()));
        std::fs::create_dir_all(dir.path().join("dbt_packages/dbt_utils")).unwrap();
        assert!(!file.lacks_packages(dir.path()));
    }
}
