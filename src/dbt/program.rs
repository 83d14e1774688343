//! The program `dbt`, and the Python packages beside it.

use std::path::{Path, PathBuf};

/// The program `dbt` on the PATH.
pub fn program(path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|dir| dir.join("dbt")).find(|program| program.is_file())
}

/// The folders of Python packages of the environment with this program.
pub fn packages_of(program: &Path) -> Vec<PathBuf> {
    let lib = program.parent().and_then(Path::parent).map(|root| root.join("lib"));
    let pythons = lib.and_then(|lib| std::fs::read_dir(lib).ok()).into_iter().flatten().flatten();
    let packages = pythons.map(|python| python.path().join("site-packages"));
    packages.filter(|packages| packages.is_dir()).collect()
}
