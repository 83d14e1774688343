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

/// The emulator's version. The suffix separates it from the real extension.
pub(super) const VERSION: &str = "0.67.0-emulator";

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

/// Writes the extension below `folder` and returns the folder for `extension_control_path`.
pub(super) fn write_into(folder: &Path) -> Result<PathBuf, Error> {
    let home = folder.join("emulator");
    let extension = home.join("extension");
    fs::create_dir_all(&extension).map_err(Error::io("create", &extension))?;
    for folder in [&home, &extension] {
        open_to_all(folder, 0o755)?;
    }
    for (name, text) in [
        ("pg_trickle.control".to_owned(), control_file()),
        (format!("pg_trickle--{VERSION}.sql"), PARTS.join("\n")),
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

fn control_file() -> String {
    format!(
        "comment = 'emulator of pg_trickle in SQL'\n\
         default_version = '{VERSION}'\n\
         schema = pgtrickle\n\
         relocatable = false\n\
         superuser = true\n"
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
        let home = write_into(folder.path()).unwrap();
        let control = fs::read_to_string(home.join("extension/pg_trickle.control")).unwrap();
        assert!(control.contains("\ndefault_version = '0.67.0-emulator'\nschema = pgtrickle\n"), "{control}");
        assert!(home.join("extension/pg_trickle--0.67.0-emulator.sql").is_file());
    }
}
