//! A cache of compiled manifests below the project's target folder. The key of each is made of all its inputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Target,
    inputs::{Inputs, digest},
    packages_of,
};

/// How many manifests are kept: enough for some targets and base revisions.
const MOST: usize = 8;

const MANIFEST: &str = "manifest.json";
const LABEL: &str = "made_of.json";

/// Variables that differ between shells and do not matter to a project.
const OF_THE_SHELL: [&str; 8] =
    ["_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES", "DBT_TARGET_PATH", "DBT_LOG_PATH"];

/// All inputs of a compilation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileInputs {
    pub target: String,
    /// The commit, if a revision was compiled and not the working tree.
    #[serde(default)]
    pub commit: Option<String>,
    /// A digest of dbt's profile, without its password.
    profile: String,
    vars: Option<String>,
    /// A digest of the installed dbt: its path, time of installation and packages.
    dbt: String,
    /// The project's files with their digests.
    files: BTreeMap<String, String>,
    /// The names of the relevant environment variables. Their values are only in the key.
    variables: BTreeSet<String>,
    #[serde(skip)]
    values: BTreeMap<String, Option<String>>,
}

impl CompileInputs {
    /// Collects the inputs of a compilation.
    ///
    /// `program` is dbt. Only the variables of `environment` count that the files use, and dbt's own.
    ///
    /// # Errors
    /// If the target cannot be written as a profile.
    pub fn new(
        inputs: Inputs,
        target: &Target,
        vars: Option<&str>,
        program: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let counts =
            |name: &str| !OF_THE_SHELL.contains(&name) && (inputs.asks_for_any || name.starts_with("DBT_"));
        let set = environment.keys().filter(|name| counts(name)).cloned();
        let variables: BTreeSet<String> = inputs.variables.iter().cloned().chain(set).collect();
        Ok(Self {
            target: target.name.clone(),
            commit: None,
            profile: digest(target.to_profiles_yml()?.as_bytes()),
            vars: vars.map(ToOwned::to_owned),
            dbt: digest(installation(program).as_bytes()),
            files: inputs.files,
            values: variables.iter().map(|name| (name.clone(), environment.get(name).cloned())).collect(),
            variables,
        })
    }

    /// The same for the files of a commit.
    #[must_use]
    pub fn at(mut self, commit: &str) -> Self {
        self.commit = Some(commit.to_owned());
        self
    }

    fn key(&self) -> String {
        let everything = serde_json::json!([env!("CARGO_PKG_VERSION"), self, self.values]);
        digest(everything.to_string().as_bytes())
    }

    /// The differences from an earlier state, a phrase each.
    fn changes_since(&self, earlier: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let files: BTreeSet<&String> = self.files.keys().chain(earlier.files.keys()).collect();
        for file in files {
            match (earlier.files.get(file), self.files.get(file)) {
                (None, _) => changes.push(format!("{file} is new")),
                (_, None) => changes.push(format!("{file} is gone")),
                (before, now) if before != now => changes.push(format!("{file} changed")),
                _ => {}
            }
        }
        let others = [
            (self.vars != earlier.vars, "--vars changed"),
            (self.profile != earlier.profile, "the profile changed"),
            (self.dbt != earlier.dbt, "the installation of dbt changed"),
        ];
        changes.extend(others.iter().filter(|(differs, _)| *differs).map(|(_, what)| (*what).to_owned()));
        if changes.is_empty() {
            changes.push("an environment variable that the project reads changed".into());
        }
        changes
    }
}

/// A text that identifies an installation of dbt: an upgrade renames `dist-info` folders. A script that starts a dbt in
/// another place, such as those of pyenv and asdf, is run for its version.
fn installation(program: &Path) -> String {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let mut parts = vec![format!("{} {:?}", program.display(), modified(&program))];
    let mut is_found = false;
    for packages in packages_of(&program) {
        let listed = fs::read_dir(&packages).into_iter().flatten().flatten();
        let mut names: Vec<String> = listed
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| {
                name.starts_with("dbt") || Path::new(name).extension().is_some_and(|end| end == "pth")
            })
            .collect();
        names.sort();
        is_found |= names.iter().any(|name| name.starts_with("dbt_core-"));
        parts.push(format!("{} {:?} {names:?}", packages.display(), modified(&packages)));
    }
    if !is_found && is_script(&program) {
        let said = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        parts.extend(said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()));
    }
    parts.join("\n")
}

fn is_script(program: &Path) -> bool {
    let mut start = [0; 2];
    fs::File::open(program).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!"
}

/// The default selector of `selectors.yml`, which applies if there is no other selection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultSelector {
    pub name: String,
    /// The unique_ids that it selects.
    pub ids: BTreeSet<String>,
}

/// The metadata of a cached manifest.
#[derive(Serialize, Deserialize)]
struct CacheEntry {
    made_of: CompileInputs,
    /// The manifest's size in bytes, to detect a partial file, for example after a power failure.
    #[serde(default)]
    size: u64,
    /// Models whose SQL also depends on the server or on the time.
    #[serde(default)]
    unstable: Vec<String>,
    #[serde(default)]
    selector: Option<DefaultSelector>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct CachedManifest {
    pub manifest: PathBuf,
    pub compiled_at: SystemTime,
    /// dbt's default selector, if the project has one.
    pub selector: Option<DefaultSelector>,
}

pub struct ManifestCache {
    dir: PathBuf,
}

/// Why dbt has to compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// There is no cached manifest for this target.
    Never,
    /// The cached file is not complete.
    Damaged,
    /// The inputs that changed, a phrase each.
    Changed(Vec<String>),
    /// The SQL of these models depends on the server or on the time, so it is compiled each time.
    Unstable(Vec<String>),
}

impl ManifestCache {
    /// The cache in a project's target folder, which `dbt clean` removes.
    pub fn below(target_dir: &Path) -> Self {
        Self { dir: target_dir.join("pgtrickle-ci") }
    }

    /// The file with the digests of the project's files.
    pub fn index(&self) -> PathBuf {
        self.dir.join("files.json")
    }

    /// The cached manifest of these inputs.
    ///
    /// # Errors
    /// With the reason to compile.
    pub fn find(&self, made_of: &CompileInputs) -> Result<CachedManifest, StaleReason> {
        let place = self.place(made_of);
        let file = place.join(MANIFEST);
        let data = fs::metadata(&file).ok();
        let is_whole = |label: &CacheEntry| data.as_ref().is_some_and(|data| data.len() == label.size);
        let Some(label) = read_label(&place) else { return Err(self.why(made_of)) };
        if !is_whole(&label) {
            return Err(StaleReason::Damaged);
        }
        if !label.unstable.is_empty() {
            return Err(StaleReason::Unstable(label.unstable));
        }
        let compiled_at = data.and_then(|data| data.modified().ok());
        // The modification time is that of the last use: the least recently used manifests are removed first.
        let _ = fs::File::open(&place).and_then(|dir| dir.set_modified(SystemTime::now()));
        Ok(CachedManifest {
            manifest: file,
            compiled_at: compiled_at.unwrap_or(SystemTime::UNIX_EPOCH),
            selector: label.selector,
        })
    }

    /// What changed since the last compilation for the same target.
    fn why(&self, made_of: &CompileInputs) -> StaleReason {
        let mut kept = self.places();
        kept.reverse();
        let labels = kept.iter().filter_map(|place| read_label(place));
        let mut of_target = labels
            .map(|label| label.made_of)
            .filter(|earlier| earlier.target == made_of.target && earlier.commit == made_of.commit);
        of_target
            .next()
            .map_or(StaleReason::Never, |earlier| StaleReason::Changed(made_of.changes_since(&earlier)))
    }

    /// Stores a manifest atomically, and removes the least recently used ones.
    ///
    /// # Errors
    /// If the folder is not writable.
    pub fn keep(
        &self,
        manifest: &Path,
        made_of: &CompileInputs,
        unstable: Vec<String>,
        selector: Option<DefaultSelector>,
    ) -> Result<PathBuf, Error> {
        let place = self.place(made_of);
        let keep = || -> io::Result<()> {
            fs::create_dir_all(self.manifests())?;
            let half = tempfile::Builder::new().prefix(".half-").tempdir_in(self.manifests())?;
            let size = fs::copy(manifest, half.path().join(MANIFEST))?;
            let label =
                serde_json::to_vec(&CacheEntry { made_of: made_of.clone(), size, unstable, selector })?;
            fs::write(half.path().join(LABEL), label)?;
            // Another process may be reading the old files: they are replaced and never missing.
            if fs::rename(half.path(), &place).is_err() {
                for file in [MANIFEST, LABEL] {
                    fs::rename(half.path().join(file), place.join(file))?;
                }
            }
            Ok(())
        };
        keep().map_err(|source| Error::Unwritable { dir: self.manifests(), source })?;
        let mut places = self.places();
        places.truncate(places.len().saturating_sub(MOST));
        for old in places {
            let _ = fs::remove_dir_all(old);
        }
        Ok(place.join(MANIFEST))
    }

    /// The folders of cached manifests, the least recently used first.
    fn places(&self) -> Vec<PathBuf> {
        let listed = fs::read_dir(self.manifests()).into_iter().flatten().flatten();
        let mut places: Vec<(SystemTime, PathBuf)> = listed
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        places.sort();
        places.into_iter().map(|(_, place)| place).collect()
    }

    fn manifests(&self) -> PathBuf {
        self.dir.join("manifests")
    }

    fn place(&self, made_of: &CompileInputs) -> PathBuf {
        self.manifests().join(made_of.key())
    }
}

fn read_label(place: &Path) -> Option<CacheEntry> {
    serde_json::from_slice(&fs::read(place.join(LABEL)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dbt::inputs::digest, pg::Endpoint};

    fn target(name: &str) -> Target {
        let endpoint = Endpoint::parse("postgresql://u:secret@h/d").unwrap();
        Target {
            profile: "shop".into(),
            name: name.into(),
            chosen_by: "the test",
            endpoint,
            adapter: "postgres".into(),
            schema: "marts".into(),
            threads: 1,
            manner: serde_json::Map::default(),
        }
    }

    fn made_of(files: &[(&str, &str)], target_name: &str, environment: &[(&str, &str)]) -> CompileInputs {
        let inputs = Inputs {
            files: files.iter().map(|(name, text)| ((*name).to_owned(), digest(text.as_bytes()))).collect(),
            variables: BTreeSet::from(["SCHEMA".to_owned()]),
            asks_for_any: false,
        };
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        CompileInputs::new(inputs, &target(target_name), None, Path::new("/nowhere/dbt"), &environment)
            .unwrap()
    }

    struct CacheFolder {
        dir: tempfile::TempDir,
        store: ManifestCache,
    }

    impl CacheFolder {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = ManifestCache::below(dir.path());
            Self { dir, store }
        }

        fn keep(&self, made_of: &CompileInputs, unstable: &[&str]) {
            let manifest = self.dir.path().join("m.json");
            fs::write(&manifest, "{}").unwrap();
            let unstable = unstable.iter().map(ToString::to_string).collect();
            self.store.keep(&manifest, made_of, unstable, None).unwrap();
        }
    }

    #[test]
    fn a_manifest_is_only_used_for_the_same_inputs() {
        let kept = CacheFolder::new();
        let one = made_of(&[("a.sql", "1")], "dev", &[("SCHEMA", "x"), ("OTHER", "1")]);
        assert_eq!(kept.store.find(&one), Err(StaleReason::Never));
        kept.keep(&one, &[]);
        assert!(kept.store.find(&one).is_ok());
        let same = made_of(&[("a.sql", "1")], "dev", &[("SCHEMA", "x"), ("OTHER", "2")]);
        assert!(kept.store.find(&same).is_ok(), "the project does not use OTHER");
        let changes = |files: &[(&str, &str)], environment: &[(&str, &str)]| match kept.store.find(&made_of(
            files,
            "dev",
            environment,
        )) {
            Err(StaleReason::Changed(changes)) => changes.join(", "),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            changes(&[("a.sql", "2"), ("b.sql", "1")], &[("SCHEMA", "x")]),
            "a.sql changed, b.sql is new"
        );
        assert_eq!(changes(&[], &[("SCHEMA", "x")]), "a.sql is gone");
        let variable = "an environment variable that the project reads changed";
        assert_eq!(changes(&[("a.sql", "1")], &[("SCHEMA", "y")]), variable);
        assert_eq!(changes(&[("a.sql", "1")], &[("SCHEMA", "x"), ("DBT_FULL_REFRESH", "1")]), variable);
        assert_eq!(
            kept.store.find(&made_of(&[("a.sql", "1")], "prod", &[("SCHEMA", "x")])),
            Err(StaleReason::Never)
        );
        assert!(kept.store.find(&one.clone().at("abc")).is_err(), "a commit is not the work tree");
    }

    #[test]
    fn a_partial_manifest_is_replaced() {
        let kept = CacheFolder::new();
        let one = made_of(&[], "dev", &[]);
        kept.keep(&one, &[]);
        let file = kept.store.find(&one).unwrap().manifest;
        fs::write(&file, "{").unwrap();
        assert_eq!(kept.store.find(&one), Err(StaleReason::Damaged));
        kept.keep(&one, &[]);
        assert_eq!(kept.store.find(&one).unwrap().manifest, file);
        assert_eq!(fs::read_to_string(&file).unwrap(), "{}");
        assert_eq!(fs::read_dir(kept.store.manifests()).unwrap().count(), 1, "a partial folder is left");
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let manifest = dir.path().join("m.json");
        fs::write(&manifest, "{}").unwrap();
        fs::write(dir.path().join("target"), "a file").unwrap();
        let store = ManifestCache::below(&dir.path().join("target"));
        let error = store.keep(&manifest, &made_of(&[], "dev", &[]), Vec::new(), None).unwrap_err();
        assert!(error.to_string().contains("target/pgtrickle-ci/manifests`: "), "{error}");
        assert!(error.hint().unwrap().contains("DBT_TARGET_PATH"));
    }

    #[test]
    fn unstable_sql_is_never_taken_from_the_cache() {
        let kept = CacheFolder::new();
        let one = made_of(&[], "dev", &[]);
        kept.keep(&one, &["models/a.sql"]);
        assert_eq!(kept.store.find(&one), Err(StaleReason::Unstable(vec!["models/a.sql".into()])));
    }

    #[test]
    fn an_upgrade_behind_a_shim_is_another_installation() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (shim, dbt) = (dir.path().join("shims/dbt"), dir.path().join("real-dbt"));
        fs::create_dir(dir.path().join("shims")).unwrap();
        let write = |file: &Path, text: String| {
            fs::write(file, text).unwrap();
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        };
        write(&shim, format!("#!/bin/sh\nexec '{}' \"$@\"\n", dbt.display()));
        let version = |version: &str| write(&dbt, format!("#!/bin/sh\necho {version}\n"));
        version("1.11.0");
        let before = installation(&shim);
        assert_eq!(before, installation(&shim));
        version("1.11.1");
        assert_ne!(before, installation(&shim));
    }

    #[test]
    fn values_of_variables_and_the_password_are_not_stored() {
        let kept = CacheFolder::new();
        kept.keep(&made_of(&[], "dev", &[("SCHEMA", "hidden")]), &[]);
        for place in kept.store.places() {
            let label = fs::read_to_string(place.join("made_of.json")).unwrap();
            assert!(!label.contains("hidden") && !label.contains("secret"), "{label}");
        }
    }

    #[test]
    fn the_least_recently_used_are_removed() {
        let kept = CacheFolder::new();
        let first = made_of(&[], "t0", &[]);
        kept.keep(&first, &[]);
        for number in 1..12 {
            kept.keep(&made_of(&[], &format!("t{number}"), &[]), &[]);
            assert!(kept.store.find(&first).is_ok(), "it was used recently");
        }
        assert_eq!(kept.store.places().len(), MOST);
    }
}
