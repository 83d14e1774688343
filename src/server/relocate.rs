//! Copies an installation to a folder that the server's user can access.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{Error, find::PROGRAMS};

/// The folders to copy in addition to the programs, which find libraries and data by relative paths.
const TREES: [&str; 2] = ["lib", "share"];

/// Copies what `initdb` and `postgres` need from the installation with programs in `bin`. Returns the copy's folder of
/// programs, which is below `folder`.
///
/// Its two parents keep their names, because programs in a Python wheel search libraries in `../../../PACKAGE.libs`.
pub(super) fn copy(bin: &Path, folder: &Path) -> Result<PathBuf, Error> {
    let root = bin.parent().unwrap_or(bin);
    let package = root.parent().unwrap_or(root);
    let home = folder.join("installation");
    let package_copy = home.join(package.file_name().unwrap_or_default());
    let root_copy = package_copy.join(root.file_name().unwrap_or_default());
    let bin_copy = root_copy.join("bin");

    for folder in [&home, &package_copy, &root_copy, &bin_copy] {
        make_folder(folder)?;
    }
    for program in PROGRAMS {
        copy_file(&bin.join(program), &bin_copy.join(program))?;
    }
    for tree in TREES {
        copy_tree_if_exists(&root.join(tree), &root_copy.join(tree))?;
    }
    copy_tree_if_exists(&libs_of(package), &libs_of(&package_copy))?;
    Ok(bin_copy)
}

/// Where wheel build tools put the shared libraries of a package.
fn libs_of(package: &Path) -> PathBuf {
    let mut path = package.as_os_str().to_owned();
    path.push(".libs");
    path.into()
}

fn copy_tree_if_exists(from: &Path, to: &Path) -> Result<(), Error> {
    if from.is_dir() { copy_tree(from, to) } else { Ok(()) }
}

/// Links are copied as links: most point into the same folder, which is copied too.
fn copy_tree(from: &Path, to: &Path) -> Result<(), Error> {
    make_folder(to)?;
    for entry in fs::read_dir(from).map_err(Error::io("read", from))? {
        let entry = entry.map_err(Error::io("read", from))?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(Error::io("inspect", &source))?;
        if kind.is_dir() {
            copy_tree(&source, &copy)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&source).map_err(Error::io("read", &source))?;
            symlink(target, &copy).map_err(Error::io("create", &copy))?;
        } else if kind.is_file() {
            copy_file(&source, &copy)?;
        }
    }
    Ok(())
}

/// The originals may be accessible only to their owner; the copies are for another user.
fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::io("create", path))?;
    open(path, 0o755)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map_err(Error::io("copy", from))?;
    let mode = fs::metadata(from).map_err(Error::io("inspect", from))?.permissions().mode();
    open(to, if mode & 0o100 == 0 { 0o644 } else { 0o755 })
}

fn open(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("set the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_copied_wheel_keeps_its_layout_and_is_readable_by_all() {
        let place = tempfile::tempdir().unwrap();
        let site = place.path().join("site-packages");
        let root = site.join("server/pginstall18");
        for program in ["initdb", "postgres", "psql"] {
            write(&root.join("bin").join(program), 0o700);
        }
        write(&root.join("share/postgresql/postgres.bki"), 0o600);
        write(&root.join("lib/libpq.so.5"), 0o600);
        symlink("libpq.so.5", root.join("lib/libpq.so")).unwrap();
        write(&site.join("server.libs/libssl.so"), 0o600);

        let bin = copy(&root.join("bin"), place.path()).unwrap();

        let copied = place.path().join("installation/server/pginstall18");
        assert_eq!(bin, copied.join("bin"));
        assert_eq!(mode(&bin.join("postgres")), 0o755);
        assert!(!bin.join("psql").exists());
        assert_eq!(mode(&copied.join("share/postgresql")), 0o755);
        assert_eq!(mode(&copied.join("share/postgresql/postgres.bki")), 0o644);
        assert_eq!(fs::read_link(copied.join("lib/libpq.so")).unwrap(), Path::new("libpq.so.5"));
        assert!(place.path().join("installation/server.libs/libssl.so").is_file());
    }
}
