//! `dbt_project.yml` and what lies around it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Error;

/// The part of `dbt_project.yml` that it takes to run dbt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ProjectFile {
    /// The project's name.
    pub name: String,
    /// The profile it uses.
    pub profile: Option<String>,
    /// Where dbt writes, relative to the project.
    target_path: Option<PathBuf>,
    /// Where packages are installed, relative to the project.
    packages_install_path: Option<PathBuf>,
}

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
        serde_yaml::from_str(&text).map_err(Error::unreadable(&file))
    }

    /// Whether no file that names packages names ours.
    pub fn lacks_our_package(&self, project_dir: &Path) -> bool {
        let names_it = |file| {
            std::fs::read_to_string(project_dir.join(file)).is_ok_and(|text| text.contains("pgtrickle"))
        };
        self.name != "dbt_pgtrickle" && !["packages.yml", "dependencies.yml"].into_iter().any(names_it)
    }

    /// The folder with the manifest.
    pub fn target_dir(&self, project_dir: &Path, from_environment: Option<&str>) -> PathBuf {
        let path = from_environment.map(PathBuf::from).or_else(|| self.target_path.clone());
        project_dir.join(path.unwrap_or_else(|| "target".into()))
    }

    /// Whether the project names packages that are not installed.
    pub fn lacks_packages(&self, project_dir: &Path) -> bool {
        let names_packages =
            ["packages.yml", "dependencies.yml"].iter().any(|file| project_dir.join(file).exists());
        names_packages
            && std::fs::read_dir(self.packages_dir(project_dir))
                .map_or(true, |mut entries| entries.next().is_none())
    }

    /// Where packages are installed.
    pub fn packages_dir(&self, project_dir: &Path) -> PathBuf {
        project_dir.join(self.packages_install_path.clone().unwrap_or_else(|| "dbt_packages".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_target_path_is_respected_and_the_environment_wins() {
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
    fn packages_are_lacking_until_their_folder_has_something() {
        let dir = tempfile::tempdir().unwrap();
        let file = serde_yaml::from_str::<ProjectFile>("name: shop").unwrap();
        assert!(!file.lacks_packages(dir.path()));
        std::fs::write(dir.path().join("packages.yml"), "packages: []").unwrap();
        assert!(file.lacks_packages(dir.path()));
        std::fs::create_dir_all(dir.path().join("dbt_packages/dbt_utils")).unwrap();
        assert!(!file.lacks_packages(dir.path()));
    }
}
