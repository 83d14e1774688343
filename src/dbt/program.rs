//! The program `dbt`, and the Python packages beside it.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// The program `dbt` on the PATH.
pub fn program(path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|dir| dir.join("dbt")).find(|program| program.is_file())
}

/// Whether it is machine code, as dbt 2 is, and no script: it has no `#!`.
pub fn is_native(program: &Path) -> bool {
    let mut start = [0; 2];
    let read = std::fs::File::open(program).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start != *b"#!"
}

/// The folders of Python packages of the environment with this program.
pub fn packages_of(program: &Path) -> Vec<PathBuf> {
    // pipx and uv link the program from an environment of its own.
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let lib = program.parent().and_then(Path::parent).map(|root| root.join("lib"));
    let pythons = lib.and_then(|lib| std::fs::read_dir(lib).ok()).into_iter().flatten().flatten();
    let packages = pythons.map(|python| python.path().join("site-packages"));
    packages.filter(|packages| packages.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn the_packages_of_a_linked_program_are_those_of_its_environment() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let packages = root.join("venv/lib/python3.12/site-packages");
        fs::create_dir_all(&packages).unwrap();
        fs::create_dir(root.join("venv/bin")).unwrap();
        fs::create_dir(root.join("bin")).unwrap();
        fs::write(root.join("venv/bin/dbt"), "#!/bin/sh\n").unwrap();
        symlink("../venv/bin/dbt", root.join("bin/dbt")).unwrap();
        assert_eq!(packages_of(&root.join("bin/dbt")), [packages]);
        assert!(!is_native(&root.join("bin/dbt")));
    }
}
