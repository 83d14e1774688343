//! A `dbt` that starts at once: its Python runs scripts in forks of a process that has imported dbt.

use std::{
    fs,
    io::PipeWriter,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use tempfile::TempDir;

struct Warm {
    dir: TempDir,
    /// The end of this ends the process.
    _end: PipeWriter,
}

/// The folder of that `dbt`, if the environment of the tests has dbt.
pub fn folder() -> Option<&'static Path> {
    static WARM: LazyLock<Option<Warm>> = LazyLock::new(|| venv().join("bin/dbt").exists().then(start));
    WARM.as_ref().map(|warm| warm.dir.path())
}

/// The Python environment of the checkout.
pub fn venv() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv")
}

#[expect(clippy::zombie_processes, reason = "the process ends with the tests")]
fn start() -> Warm {
    let dir = tempfile::tempdir().unwrap();
    let (path, python) = (dir.path(), venv().join("bin/python"));
    fs::write(path.join("warm_dbt.py"), include_str!("warm_dbt.py")).unwrap();
    fs::write(path.join("warm_python.py"), include_str!("warm_python.py")).unwrap();
    let interpreter = path.join("python-warm");
    let script =
        format!("#!/bin/sh\nexec '{}' -ISE '{}/warm_python.py' \"$@\"\n", python.display(), path.display());
    write_program(&interpreter, &script);
    let dbt = fs::read_to_string(venv().join("bin/dbt")).unwrap();
    let body = dbt.split_once('\n').unwrap().1;
    write_program(&path.join("dbt"), &format!("#!{}\n{body}", interpreter.display()));

    let listener = UnixListener::bind(path.join("socket")).unwrap();
    let (end, ours) = std::io::pipe().unwrap();
    let mut process = Command::new(python);
    process
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .arg(path.join("warm_dbt.py"))
        .arg(env!("CARGO_MANIFEST_DIR"));
    process.stdin(OwnedFd::from(listener)).stdout(OwnedFd::from(end)).spawn().unwrap();
    Warm { dir, _end: ours }
}

/// Writes a script that can be started.
pub fn write_program(file: &Path, script: &str) {
    fs::write(file, script).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}
