//! What a terminal shows during long work.

use std::process::Command;

use crate::support::{Database, DbtProject, Ran, pgtrickle_ci, venv};

/// Runs a command in a terminal of its own, and prints what it shows.
const IN_TERMINAL: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

fn in_terminal(command: &Command) -> Ran {
    let mut python = Command::new(venv().join("bin/python"));
    python.args(["-c", IN_TERMINAL]).arg(command.get_program()).args(command.get_args()).env_clear();
    if let Some(dir) = command.get_current_dir() {
        python.current_dir(dir);
    }
    python.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&mut python)
}

#[test]
fn a_terminal_shows_how_many_nodes_dbt_has_built() {
    let project = DbtProject::new();
    project.write("pgtrickle-ci.yml", "allow_empty: true\n");
    for name in ["one", "two"] {
        let query = "{{ config(materialized='table') }} select pg_sleep(3)::text as s";
        project.write(&format!("models/{name}.sql"), query);
    }
    let database = Database::new();
    let mut run = pgtrickle_ci();
    run.args(["run", "--database-url", &database.url(), "--project-dir"]).arg(project.path());
    run.arg("--profiles-dir").arg(project.path());
    let shown = in_terminal(&run).stdout;
    assert!(shown.contains("dbt build 0/2 · "), "{shown}");
    // The line is erased at the end.
    let (_, after) = shown.rsplit_once("dbt build 0/2").unwrap();
    assert!(after.contains("\u{1b}[1A\u{1b}[J"), "{shown:?}");
}

#[test]
fn a_terminal_shows_how_far_a_verification_is() {
    let database = Database::new();
    database.run(
        "create table o (id int primary key, n int); insert into o select n, n from generate_series(1, 9) as n;
         create function slow(n int) returns int language plpgsql immutable as 'begin perform pg_sleep(0.2); return n; end';
         select pgtrickle.create_stream_table('public.s', 'select id, public.slow(n) as n from public.o', '1h', 'FULL')",
    );
    let name = &database.endpoint.database;
    for (command, line) in [
        (&["verify", "--allow-writes", name, "--budget", "8s"][..], "round 1, 1 table, 0 findings · "),
        (&["check", "--equality"], "comparing table 1 of 1 · "),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut gate = pgtrickle_ci();
        gate.args(command).args(["--database-url", &database.url()]).current_dir(dir.path());
        let shown = in_terminal(&gate).stdout;
        let (_, after) = shown.rsplit_once(line).unwrap_or_else(|| panic!("no `{line}` in {shown}"));
        assert!(after.contains("\u{1b}[1A\u{1b}[J"), "{shown:?}");
    }
}
