//! What dbt reads when it compiles a project: its files, and the environment variables that they use.
//!
//! A file is only read again if its size, times or inode have changed, so that a project of thousands of files costs
//! thousands of `stat` calls and no reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use serde_yaml::Value as Yaml;
use sha2::{Digest, Sha256};

use super::{Error, ProjectFile, files::files_below};

/// The folders that dbt reads: the key in `dbt_project.yml` and its default.
const FOLDERS: [(&str, &str); 8] = [
    ("model-paths", "models"),
    ("seed-paths", "seeds"),
    ("test-paths", "tests"),
    ("analysis-paths", "analyses"),
    ("macro-paths", "macros"),
    ("snapshot-paths", "snapshots"),
    ("function-paths", "functions"),
    ("docs-paths", ""),
];

/// Files in the project's folder that dbt does not compile. The target of the profile is part of the key.
const NOT_READ: [&str; 3] = ["pgtrickle-ci.yml", "profiles.yml", ".user.yml"];

/// A file that was written this recently may change again within the resolution of its times.
const TOO_RECENT: Duration = Duration::from_secs(2);

/// The files of a project with their digests, and the variables that they use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Digests by path, relative to the project's folder.
    pub files: BTreeMap<String, String>,
    /// The names in `env_var('NAME')`.
    pub variables: BTreeSet<String>,
    /// A call of `env_var` has a computed name, so any variable may matter.
    pub asks_for_any: bool,
}

impl Inputs {
    /// Reads the state of every file that dbt reads in this project and its installed packages.
    ///
    /// `index` caches digests, and is brought up to date if `keeps_index`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn of(
        project_dir: &Path,
        file: &ProjectFile,
        target_dir: &Path,
        index: &Path,
        keeps_index: bool,
    ) -> Result<Self, Error> {
        let mut walk = Walk::new(project_dir, index);
        let packages = file.packages_dir(project_dir);
        let skipped = [target_dir.to_owned(), packages.clone(), project_dir.join("logs")];
        walk.skip = skipped.iter().filter_map(|dir| identity(dir)).collect();
        walk.project(project_dir)?;
        walk.dot_env(project_dir)?;
        walk.packages(&packages)?;
        Ok(walk.end(keeps_index))
    }

    /// The installed packages only.
    ///
    /// # Errors
    /// As [`Inputs::of`].
    pub fn of_packages(project_dir: &Path, file: &ProjectFile, index: &Path) -> Result<Self, Error> {
        let mut walk = Walk::new(project_dir, index);
        walk.packages(&file.packages_dir(project_dir))?;
        Ok(walk.end(true))
    }
}

/// A file in the index.
#[derive(Clone, Serialize, Deserialize)]
struct IndexEntry {
    stamp: Stamp,
    digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    variables: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    asks_for_any: bool,
}

/// Size, inode, and the times of the last change of the contents and of the inode, in nanoseconds.
///
/// A program cannot set the inode's time, so that a change with a restored modification time is noticed.
type Stamp = (u64, u64, i128, i128);

fn stamp(data: &Metadata) -> Stamp {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    (data.size(), data.ino(), nanos(data.mtime(), data.mtime_nsec()), nanos(data.ctime(), data.ctime_nsec()))
}

/// Device and inode, which identify a folder whatever its path.
type Identity = (u64, u64);

fn identity(dir: &Path) -> Option<Identity> {
    std::fs::metadata(dir).ok().map(|data| (data.dev(), data.ino()))
}

struct Walk<'a> {
    root: &'a Path,
    index: &'a Path,
    skip: Vec<Identity>,
    known: BTreeMap<String, IndexEntry>,
    seen: BTreeMap<String, IndexEntry>,
    read_one: bool,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path, index: &'a Path) -> Self {
        // Without a readable index all files are read again.
        let known = std::fs::read(index).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let known = known.unwrap_or_default();
        Self { root, index, skip: Vec::new(), known, seen: BTreeMap::new(), read_one: false }
    }

    /// Walks a project or an installed package: the YAML files in its folder, and the folders of its `dbt_project.yml`.
    fn project(&mut self, dir: &Path) -> Result<(), Error> {
        for entry in entries(dir) {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_yaml = entry.extension().is_some_and(|end| end == "yml" || end == "yaml");
            let is_read = is_yaml && !NOT_READ.contains(&name.as_str()) || name == ".dbtignore";
            if is_read && entry.is_file() {
                self.file(&entry)?;
            }
        }
        match folders(dir) {
            Some(folders) => folders.iter().try_for_each(|folder| self.folder(&dir.join(folder))),
            None => self.folder(dir),
        }
    }

    fn packages(&mut self, dir: &Path) -> Result<(), Error> {
        let own = identity(dir);
        self.skip.retain(|skipped| Some(*skipped) != own);
        entries(dir).iter().filter(|package| package.is_dir()).try_for_each(|package| self.project(package))
    }

    /// dbt 1.12 reads variables from the nearest `.env`.
    fn dot_env(&mut self, dir: &Path) -> Result<(), Error> {
        let here = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let file = here.ancestors().map(|dir| dir.join(".env")).find(|file| file.is_file());
        file.map_or(Ok(()), |file| self.file(&file))
    }

    fn folder(&mut self, dir: &Path) -> Result<(), Error> {
        let skip = self.skip.clone();
        let enters = |dir: &Path| {
            let is_left_out = dir.ends_with(".git") || dir.ends_with("__pycache__");
            !is_left_out && identity(dir).is_some_and(|identity| !skip.contains(&identity))
        };
        for file in files_below(dir, enters) {
            // dbt ignores hidden files, but not hidden folders.
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with('.') && !name.ends_with('~') {
                self.file(&file)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &Path) -> Result<(), Error> {
        // A broken link does not count.
        let Ok(data) = std::fs::metadata(file) else { return Ok(()) };
        let name = file.strip_prefix(self.root).unwrap_or(file).to_string_lossy().into_owned();
        let stamp = stamp(&data);
        let known = self.known.remove(&name).filter(|known| known.stamp == stamp);
        let seen = if let Some(known) = known {
            known
        } else {
            self.read_one = true;
            let bytes = std::fs::read(file).map_err(Error::unreadable(file))?;
            let (variables, asks_for_any) = used_variables(&String::from_utf8_lossy(&bytes));
            IndexEntry { stamp, digest: digest(&bytes), variables, asks_for_any }
        };
        self.seen.insert(name, seen);
        Ok(())
    }

    fn end(self, keeps_index: bool) -> Inputs {
        let inputs = Inputs {
            variables: self.seen.values().flat_map(|seen| seen.variables.iter().cloned()).collect(),
            asks_for_any: self.seen.values().any(|seen| seen.asks_for_any),
            files: self.seen.iter().map(|(name, seen)| (name.clone(), seen.digest.clone())).collect(),
        };
        if keeps_index && (self.read_one || !self.known.is_empty()) {
            write_index(self.index, self.seen);
        }
        inputs
    }
}

/// Writes the index without the files that may change again within the resolution of their times.
fn write_index(index: &Path, mut seen: BTreeMap<String, IndexEntry>) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let settled = i128::try_from(now.saturating_sub(TOO_RECENT).as_nanos()).unwrap_or(i128::MAX);
    seen.retain(|_, seen| seen.stamp.2 < settled && seen.stamp.3 < settled);
    // Best effort: without an index the files are read again.
    let _ = index.parent().map(std::fs::create_dir_all);
    if let Ok(text) = serde_json::to_vec(&seen) {
        let half = index.with_extension(format!("{}.tmp", std::process::id()));
        if std::fs::write(&half, text).is_ok() {
            let _ = std::fs::rename(&half, index);
        }
    }
}

/// The folders of a project's `dbt_project.yml`; `None` if only dbt can tell, because a name is computed or dbt accepts
/// invalid YAML.
fn folders(dir: &Path) -> Option<BTreeSet<String>> {
    let text = std::fs::read_to_string(dir.join("dbt_project.yml")).unwrap_or_default();
    let yaml = super::yaml::read(&text, true).ok()?;
    let mut folders = BTreeSet::new();
    for (key, default) in FOLDERS {
        match yaml.get(key) {
            None => drop(folders.insert(default.to_owned())),
            Some(Yaml::Sequence(named)) => {
                folders.extend(named.iter().filter_map(Yaml::as_str).map(ToOwned::to_owned));
            }
            Some(computed) => drop(folders.insert(computed.as_str()?.to_owned())),
        }
    }
    folders.remove("");
    (!folders.iter().any(|folder| folder.contains("{{"))).then_some(folders)
}

/// The sorted entries of a folder; empty if it cannot be listed.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The literal names in `env_var('NAME')`, and whether a name is another expression, or the function has another name:
/// `{% set e = env_var %}`.
pub(super) fn used_variables(text: &str) -> (Vec<String>, bool) {
    let mut names = BTreeSet::new();
    let mut asks_for_any = false;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, call) in text.match_indices("env_var") {
        let behind = &text[at + call.len()..];
        if text[..at].ends_with(is_word) || behind.starts_with(is_word) {
            continue;
        }
        let Some(argument) = behind.trim_start().strip_prefix('(') else {
            asks_for_any = true;
            continue;
        };
        let argument = argument.trim_start();
        let quote = argument.chars().next().filter(|c| ['\'', '"'].contains(c));
        let name = quote.and_then(|quote| {
            let (name, behind) = argument[1..].split_once(quote)?;
            // `'A' ~ suffix` is not a literal.
            behind.trim_start().starts_with([',', ')']).then_some(name)
        });
        match name {
            Some(name) => drop(names.insert(name.to_owned())),
            None => asks_for_any = true,
        }
    }
    (names.into_iter().collect(), asks_for_any)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    struct TestProject(tempfile::TempDir);

    impl TestProject {
        fn new() -> Self {
            let project = Self(tempfile::tempdir().unwrap());
            project.write("dbt_project.yml", "name: shop\nmodel-paths: [models, more]\n");
            project
        }

        fn write(&self, file: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn inputs(&self) -> Inputs {
            let dir = self.0.path();
            let file = ProjectFile::read(dir).unwrap();
            Inputs::of(dir, &file, &dir.join("target"), &dir.join("target/pgtrickle-ci/files.json"), true)
                .unwrap()
        }

        /// Makes the files look settled, so that the index remembers them.
        fn settle(file: &Path) {
            let hour_ago = SystemTime::now() - Duration::from_hours(1);
            File::options().write(true).open(file).unwrap().set_modified(hour_ago).unwrap();
        }
    }

    #[test]
    fn only_files_that_dbt_reads_count() {
        let project = TestProject::new();
        for file in [
            "models/a.sql",
            "more/b.yml",
            "macros/m.sql",
            "seeds/s.csv",
            "snapshots/x.sql",
            "tests/t.sql",
            "models/.drafts/d.sql",
            "packages.yml",
            "selectors.yml",
            ".dbtignore",
        ] {
            let before = project.inputs();
            project.write(file, "one");
            let added = project.inputs();
            assert_ne!(before, added, "{file} is new");
            project.write(file, "two");
            assert_ne!(added, project.inputs(), "{file} changed");
        }
        let before = project.inputs();
        for file in [
            "target/manifest.json",
            "logs/dbt.log",
            "README.md",
            "src/main.rs",
            "models/.a.sql.swp",
            "pgtrickle-ci.yml",
            "profiles.yml",
            ".user.yml",
        ] {
            project.write(file, "one");
            assert_eq!(before, project.inputs(), "{file} is not read by dbt");
        }
        project.write("dbt_packages/utils/dbt_project.yml", "name: utils\n");
        project.write("dbt_packages/utils/macros/u.sql", "one");
        assert!(project.inputs().files.contains_key("dbt_packages/utils/macros/u.sql"));
    }

    #[test]
    fn a_change_that_keeps_size_and_time_is_noticed() {
        let project = TestProject::new();
        let file = project.write("models/a.sql", "select 1");
        TestProject::settle(&file);
        let before = project.inputs();
        assert_eq!(before, project.inputs());
        project.write("models/a.sql", "select 2");
        TestProject::settle(&file);
        assert_ne!(before, project.inputs());
    }

    #[test]
    fn links_are_followed_and_a_cycle_terminates() {
        let project = TestProject::new();
        project.write("shared/c.sql", "one");
        fs::create_dir(project.0.path().join("models")).unwrap();
        std::os::unix::fs::symlink("../shared", project.0.path().join("models/linked")).unwrap();
        std::os::unix::fs::symlink("..", project.0.path().join("models/circle")).unwrap();
        assert!(project.inputs().files.contains_key("models/linked/c.sql"));
    }

    #[test]
    fn computed_folders_mean_the_whole_project() {
        let project = TestProject::new();
        project.write("dbt_project.yml", "name: shop\nmodel-paths: [\"{{ var('where') }}\"]\n");
        project.write("anywhere/a.sql", "one");
        assert!(project.inputs().files.contains_key("anywhere/a.sql"));
        // dbt takes the last of duplicate keys; our parser rejects them.
        project.write("dbt_project.yml", "name: shop\nvars: {a: 1}\nvars: {b: 1}\nmodel-paths: [anywhere]\n");
        assert!(project.inputs().files.contains_key("anywhere/a.sql"));
    }

    #[test]
    fn the_target_folder_is_ignored_whatever_its_path() {
        let project = TestProject::new();
        project.write("dbt_project.yml", "name: shop\nmodel-paths: [\".\"]\n");
        project.write("target/manifest.json", "one");
        let dir = project.0.path();
        std::os::unix::fs::symlink("target", dir.join("link")).unwrap();
        let file = ProjectFile::read(dir).unwrap();
        fs::create_dir(dir.join("models")).unwrap();
        for target_dir in ["target", "models/../target", "link"] {
            let target_dir = dir.join(target_dir);
            let inputs = Inputs::of(dir, &file, &target_dir, &dir.join("target/files.json"), true).unwrap();
            assert!(!inputs.files.keys().any(|name| name.contains("manifest.json")), "{inputs:?}");
        }
    }

    #[test]
    fn finds_the_variables_that_files_use() {
        let ask = |text: &str| used_variables(text);
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(ask("{{ env_var('A') }} {{ env_var( \"B_2\" , 'x') }}"), (names(&["A", "B_2"]), false));
        assert_eq!(ask("{{ env_var('A' ~ name) }}"), (names(&[]), true));
        assert_eq!(ask("{{ env_var(name) }}"), (names(&[]), true));
        assert_eq!(ask("{% set e = env_var %}{{ e('A') }}"), (names(&[]), true));
        assert_eq!(ask("{{ builtins['env_var']('A') }}"), (names(&[]), true));
        assert_eq!(ask("my_env_var_of_old = 1, env_vars = 2"), (names(&[]), false));
    }
}
