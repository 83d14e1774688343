//! The emulator: `pg_trickle` as an extension in SQL, for installations without the real one.
//!
//! PostgreSQL 18 also finds extensions in the folders of `extension_control_path`, so nothing is written into the
//! installation.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::Error;

/// A version of pg_trickle that is emulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EmulatorVersion {
    #[default]
    V0_67_0,
    V0_108_3,
}

impl EmulatorVersion {
    /// The version of the extension. The suffix separates it from the real one.
    fn name(self) -> &'static str {
        match self {
            Self::V0_67_0 => "0.67.0-emulator",
            Self::V0_108_3 => "0.108.3-emulator",
        }
    }
}

/// The script that updates the extension from the first version to the second.
const UPDATE: &str = include_str!("emulator/updates/0.108.3.sql");

/// The parts of the extension's script, in order.
const PARTS: [&str; 12] = [
    include_str!("emulator/00_catalog.sql"),
    include_str!("emulator/10_words.sql"),
    include_str!("emulator/20_views.sql"),
    include_str!("emulator/30_query.sql"),
    include_str!("emulator/40_capture.sql"),
    include_str!("emulator/50_storage.sql"),
    include_str!("emulator/60_refresh.sql"),
    include_str!("emulator/70_create.sql"),
    include_str!("emulator/75_alter_drop.sql"),
    include_str!("emulator/80_scheduler.sql"),
    include_str!("emulator/85_source_ddl.sql"),
    include_str!("emulator/90_monitoring.sql"),
];

/// Writes the extension below `folder` and returns the folder for `extension_control_path`. `CREATE EXTENSION` creates this
/// version.
pub(super) fn write_into(folder: &Path, version: EmulatorVersion) -> Result<PathBuf, Error> {
    let home = folder.join("emulator");
    let extension = home.join("extension");
    fs::create_dir_all(&extension).map_err(Error::io("create", &extension))?;
    for folder in [&home, &extension] {
        open_to_all(folder, 0o755)?;
    }
    let [first, second] = [EmulatorVersion::V0_67_0, EmulatorVersion::V0_108_3].map(EmulatorVersion::name);
    for (name, text) in [
        ("pg_trickle.control".to_owned(), control_file(version)),
        (format!("pg_trickle--{first}.sql"), PARTS.join("\n")),
        (format!("pg_trickle--{first}--{second}.sql"), UPDATE.to_owned()),
    ] {
        let path = extension.join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
        open_to_all(&path, 0o644)?;
    }
    Ok(home)
}

/// The server may run as another user, and the umask may make new files inaccessible to it.
fn open_to_all(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("set the mode of", path))
}

fn control_file(version: EmulatorVersion) -> String {
    format!(
        "comment = 'emulator of pg_trickle in SQL'\n\
         default_version = '{}'\n\
         schema = pgtrickle\n\
         relocatable = false\n\
         superuser = true\n",
        version.name()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_script_contains_every_part_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/emulator");
        let files: BTreeMap<_, _> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "sql"))
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect();
        assert_eq!(files.into_values().collect::<Vec<_>>(), PARTS);
    }

    #[test]
    fn the_files_have_the_names_that_postgresql_expects() {
        let folder = tempfile::tempdir().unwrap();
        for (version, name) in
            [(EmulatorVersion::default(), "0.67.0-emulator"), (EmulatorVersion::V0_108_3, "0.108.3-emulator")]
        {
            let home = write_into(folder.path(), version).unwrap();
            let control = fs::read_to_string(home.join("extension/pg_trickle.control")).unwrap();
            assert!(
                control.contains(&format!("\ndefault_version = '{name}'\nschema = pgtrickle\n")),
                "{control}"
            );
            assert!(home.join("extension/pg_trickle--0.67.0-emulator.sql").is_file());
            assert!(home.join("extension/pg_trickle--0.67.0-emulator--0.108.3-emulator.sql").is_file());
        }
    }
}
