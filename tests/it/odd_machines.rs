//! Unusual machines: users without a name, repositories of other users, empty variables.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::support::{Database, DbtProject, Ran, commit, manifest, model, pgtrickle_ci, venv};

/// A user ID without a name, as in OpenShift.
const NAMELESS: u32 = 1_000_780_000;

/// Only root can become another user.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn nameless(command: &mut Command) -> &mut Command {
    command.uid(NAMELESS).gid(NAMELESS).env_remove("HOME")
}

fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_user_without_a_name_works_with_a_named_role() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let database = Database::new();
    database.run("create table orders (id int primary key)");
    let url = database.url();
    let endpoint = &database.endpoint;
    let plan = |arguments: &[&str]| {
        let empty = manifest(
            dir.path(),
            "m.json",
            [model("t", "select id from public.orders", &serde_json::json!({}))],
        );
        let mut gate = pgtrickle_ci();
        gate.args(["plan", "--manifest"]).arg(empty).args(arguments).current_dir(dir.path());
        gate
    };
    Ran::of(nameless(&mut plan(&["--database-url", &url]))).expect(0);
    let mut by_variables = plan(&[]);
    by_variables.env("PGHOST", &endpoint.host).env("PGPORT", endpoint.port.to_string());
    by_variables.env("PGUSER", &endpoint.user).env("PGPASSWORD", endpoint.password.reveal());
    Ran::of(nameless(by_variables.env("PGDATABASE", &endpoint.database))).expect(0);
    // libpq's message: "local user with ID 1000780000 does not exist".
    let (_, place) = url.split_once('@').unwrap();
    Ran::of(nameless(&mut plan(&["--database-url", &format!("postgresql://{place}")])))
        .expect_error(&format!("the operating system's user {NAMELESS} has no name"), "PGUSER");
}

#[test]
fn a_user_without_a_name_gets_an_error_for_an_ephemeral_server() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let mut gate = pgtrickle_ci();
    gate.args(["ephemeral", "--engine", "emulator", "--", "true"]).current_dir(dir.path());
    Ran::of(nameless(&mut gate)).expect_error(
        &format!("does not start for the user {NAMELESS}, which has no name"),
        &NAMELESS.to_string(),
    );
}

/// git only opens a repository of the current user.
#[test]
fn a_repository_of_another_user_has_a_hint_to_trust_it() {
    if !is_root() {
        return;
    }
    let project = DbtProject::new();
    let repository = project.path().join("Ann's shop");
    fs::create_dir_all(repository.join("dbt")).unwrap();
    fs::rename(project.path().join("dbt_project.yml"), repository.join("dbt/dbt_project.yml")).unwrap();
    commit(&repository);
    for file in [repository.clone(), repository.join(".git")] {
        chown(file, Some(NAMELESS), Some(NAMELESS)).unwrap();
    }
    let wanted = manifest(project.path(), "wanted.json", []);
    let home = tempfile::tempdir().unwrap();
    let plan = || {
        let mut gate = pgtrickle_ci();
        gate.args(["plan", "--base-ref", "main", "--manifest"]).arg(&wanted).env("HOME", home.path());
        gate.arg("--project-dir").arg(repository.join("dbt")).arg("--profiles-dir").arg(project.path());
        gate
    };
    let top = project.path().canonicalize().unwrap();
    let hint = format!("git config --global --add safe.directory '{}/Ann'\\''s shop'", top.display());
    let ran = Ran::of(&mut plan()).expect_error("dubious ownership", &hint);
    // The command of the hint is enough.
    let line =
        ran.stderr.lines().find_map(|line| line.split_once('`').filter(|_| line.starts_with("hint: ")));
    let typed = line.unwrap().1.trim_end_matches('`');
    let done = Command::new("sh").args(["-c", typed]).env("HOME", home.path()).status().unwrap();
    assert!(done.success(), "{typed}");
    let ran = Ran::of(&mut plan());
    assert!(ran.stderr.contains("compiling main ("), "{}", ran.stderr);
}

/// `github.base_ref` and GITHUB_BASE_REF are empty on a push.
#[test]
fn an_empty_base_ref_on_a_push_has_a_hint() {
    let project = DbtProject::new();
    commit(project.path());
    let wanted = manifest(project.path(), "wanted.json", []);
    let on_push = "GITHUB_BASE_REF is only set for pull requests";
    for (base, hint) in [
        ("origin/", on_push),
        ("", on_push),
        ("refs/heads/", on_push),
        (
            "0000000000000000000000000000000000000000",
            "a new branch has none before its first push; omit `--base-ref`",
        ),
    ] {
        let mut gate = pgtrickle_ci();
        gate.args(["plan", "--base-ref", base, "--manifest"]).arg(&wanted);
        gate.arg("--project-dir").arg(project.path()).arg("--profiles-dir").arg(project.path());
        Ran::of(&mut gate).expect_error(&format!("there is no revision `{base}`"), hint);
    }
    let mut gate = pgtrickle_ci();
    gate.args(["run", "--base-ref", "origin/", "--project-dir"]).arg(project.path());
    Ran::of(gate.arg("--profiles-dir").arg(project.path()))
        .expect_error("there is no revision `origin/`", "omit `--base-ref`");
}

/// In a container, `pip install` puts the wheel into the system's own environment, and no variable names it.
#[test]
fn postgresql_is_found_in_the_environment_of_the_python_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("usr/bin");
    fs::create_dir_all(&bin).unwrap();
    let own = venv();
    std::os::unix::fs::symlink(own.join("lib"), folder.path().join("usr/lib")).unwrap();
    let start = || {
        let mut gate = pgtrickle_ci();
        let path = format!("{}:/usr/bin:/bin", bin.display());
        gate.env("PATH", path).env_remove("VIRTUAL_ENV").current_dir(folder.path());
        Ran::of(gate.args(["ephemeral", "--engine", "emulator", "--", "true"]))
    };
    start().expect_error("PostgreSQL 18", "pip install");
    fs::write(bin.join("python3"), "").unwrap();
    start().expect(0);
}
