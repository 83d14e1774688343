//! `plan --base-ref`: compares with a revision of the repository, compiled by dbt.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::support::{DbtProject, Ran, git, manifest, model, pgtrickle_ci};

/// A repository with two commits: an empty one, and this project.
fn repository() -> DbtProject {
    let project = DbtProject::new();
    git(project.path(), &["init", "-q", "-b", "main", "."]);
    git(project.path(), &["commit", "-q", "--allow-empty", "-m", "nothing"]);
    git(project.path(), &["tag", "nothing"]);
    project.write(".gitignore", "target/\nlogs/\ndbt_packages/\npackage-lock.yml\n");
    project.stream_table("changed", "{}", "select 1 as a");
    project.stream_table("removed", "{}", "select 2 as b");
    project.write("tests/asks.sql", "{% if execute %}{% do run_query('select 1') %}{% endif %}select 1");
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "-q", "-m", "base"]);
    project
}

fn work_trees(project: &DbtProject) -> usize {
    git(project.path(), &["worktree", "list", "--porcelain"]).matches("worktree ").count()
}

/// The base is the commit, whatever the working tree has. It is compiled once, without a server.
#[test]
fn a_revision_is_compiled_once_and_compared() {
    let project = repository();
    project.stream_table("changed", "{}", "this is not committed, and no SQL {{ ref('nowhere') }}");
    let wanted = |query: &str| {
        let (id, mut node) = model("changed", query, &json!({}));
        node["schema"] = json!("marts");
        manifest(project.path(), "wanted.json", [(id, node)])
    };
    let plan = |base: &str, query: &str| {
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--base-ref", base, "--manifest"]).arg(wanted(query));
        Ran::of(plan.arg("--project-dir").arg(project.path()).arg("--profiles-dir").arg(project.path()))
    };
    let ran = plan("main", "select 1 as a, 2 as b").expect(1);
    assert!(
        ran.stdout.contains("Plan: 0 to add, 1 to change, 0 to replace, 1 to destroy."),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("main (") && ran.stdout.contains("marts.removed"), "{}", ran.stdout);
    assert!(ran.stderr.contains("compiling main ("), "{}", ran.stderr);
    let again = plan("HEAD", "select 1 as a").expect(1);
    assert!(
        again.stdout.contains("Plan: 0 to add, 0 to change, 0 to replace, 1 to destroy."),
        "{}",
        again.stdout
    );
    assert!(!again.stderr.contains("compiling"), "{}", again.stderr);

    let new = plan("nothing", "select 1 as a").expect(0);
    assert!(
        new.stdout.contains("Plan: 1 to add") && new.stderr.contains("has no dbt project"),
        "{}",
        new.stderr
    );
    plan("origin/main", "select 1").expect_error("there is no revision `origin/main`", "git fetch origin");
    assert_eq!(work_trees(&project), 1);

    // dbt is not started for an unknown revision.
    let mut run = pgtrickle_ci();
    let run = Ran::of(
        run.args(["run", "--base-ref", "origin/main", "--project-dir"])
            .arg(project.path())
            .arg("--profiles-dir")
            .arg(project.path()),
    );
    let run = run.expect_error("there is no revision `origin/main`", "git fetch origin");
    assert!(!run.stderr.contains("starting"), "{}", run.stderr);
}

#[test]
fn an_interrupted_compilation_leaves_no_work_tree() {
    let project = repository();
    let place = tempfile::tempdir().unwrap();
    let wanted = manifest(project.path(), "wanted.json", []);
    let mut plan = pgtrickle_ci();
    plan.args(["plan", "--base-ref", "main", "--manifest"])
        .arg(wanted)
        .arg("--project-dir")
        .arg(project.path())
        .arg("--profiles-dir")
        .arg(project.path());
    plan.env("TMPDIR", place.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut plan = plan.spawn().unwrap();
    let started = Instant::now();
    let project_file = |entry: std::fs::DirEntry| entry.path().join("work-tree/dbt_project.yml").exists();
    while !std::fs::read_dir(place.path()).unwrap().any(|entry| project_file(entry.unwrap())) {
        assert!(started.elapsed() < Duration::from_mins(1), "nothing was ever checked out");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(plan.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(plan.wait().unwrap().code(), Some(130));
    assert_eq!(work_trees(&project), 1);
    let left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
