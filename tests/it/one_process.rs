//! A run has one process of dbt, and is the same without it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Database, DbtProject, Ran, pgtrickle_ci_with_real_dbt, venv, write_program};

/// A project whose build and tests fail in part, with a macro of its own.
fn project() -> DbtProject {
    let project = DbtProject::new();
    project.write("macros/doubled.sql", "{% macro doubled(column) %}{{ column }} * 2{% endmacro %}");
    project.write("models/numbers.sql", "select 1 as n");
    project.write(
        "models/broken.sql",
        "{{ config(materialized='table') }} select nope from {{ ref('numbers') }}",
    );
    project.stream_table(
        "table_of_one",
        "{'schedule': '1m'}",
        "select {{ doubled('n') }} as d from {{ ref('numbers') }}",
    );
    project.write("tests/fails.sql", "select * from {{ ref('numbers') }}");
    project
}

fn run(project: &DbtProject, database: &Database) -> Command {
    let mut run = pgtrickle_ci_with_real_dbt();
    run.args([
        "run",
        "--verbose",
        "--budget",
        "0s",
        "--json",
        "report.json",
        "--database-url",
        &database.url(),
    ]);
    run.args(["--project-dir", "."]).current_dir(project.path());
    run
}

/// The outcomes of dbt, without times.
fn outcomes(project: &DbtProject) -> Vec<Value> {
    let report: Value =
        serde_json::from_slice(&fs::read(project.path().join("report.json")).unwrap()).unwrap();
    let outcomes = report["outcomes"].as_array().unwrap().iter();
    let of_dbt = outcomes.filter(|outcome| ["deploy", "test"].contains(&outcome["stage"].as_str().unwrap()));
    of_dbt
        .map(|outcome| {
            ["stage", "subject", "verdict", "message", "rows"]
                .map(|key| outcome[key].clone())
                .into_iter()
                .collect()
        })
        .collect()
}

/// What dbt prints, without times and paths of temporary folders.
fn lines_of_dbt(ran: &Ran) -> Vec<String> {
    let words = |line: &str| {
        let words = line
            .split_whitespace()
            .filter(|word| !word.contains(':') && !word.ends_with("s]") && !word.contains("/tmp"));
        words.collect::<Vec<_>>().join(" ")
    };
    let lines = ran
        .stderr
        .lines()
        .filter(|line| line.contains(" of ") || line.contains("Error") || line.contains("Done."));
    let mut lines: Vec<String> = lines.map(words).collect();
    // dbt's order depends on its threads.
    lines.sort();
    lines
}

/// A folder with a program `dbt`.
fn folder_with_dbt(script: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_program(&dir.path().join("dbt"), script);
    dir
}

fn first_on_the_path<'a>(command: &'a mut Command, dir: &Path) -> &'a mut Command {
    let path = command.get_envs().find_map(|(name, value)| value.filter(|_| name == "PATH")).unwrap();
    let path = format!("{}:{}", dir.display(), path.to_str().unwrap());
    command.env("PATH", path)
}

#[test]
fn a_run_is_the_same_with_a_process_for_each_command() {
    let project = project();
    let database = Database::new();
    let together = Ran::of(&mut run(&project, &database)).expect(1);
    let expected = outcomes(&project);
    assert!(
        expected.len() > 2 && together.stderr.contains("Database Error in model broken"),
        "{}",
        together.stderr
    );

    let real = venv().join("bin").canonicalize().unwrap();
    // A shell script, and a Python that only runs dbt's own script.
    let script = format!("#!/bin/sh\nexec {}/dbt \"$@\"\n", real.display());
    let wrapped = folder_with_dbt(&script);
    let breaking = tempfile::tempdir().unwrap();
    let python = breaking.path().join("python3");
    write_program(
        &python,
        &format!(
            "#!/bin/sh\ncase $1 in *fork_server.py) echo 'no forks here' >&2; exit 9;; esac\nexec {}/python \"$@\"\n",
            real.display()
        ),
    );
    let own = fs::read_to_string(real.join("dbt")).unwrap();
    let body = own.split_once('\n').unwrap().1;
    write_program(&breaking.path().join("dbt"), &format!("#!{}\n{body}", python.display()));
    for (dir, is_broken) in [(&wrapped, false), (&breaking, true)] {
        let database = Database::new();
        let alone = Ran::of(first_on_the_path(&mut run(&project, &database), dir.path())).expect(1);
        assert_eq!(outcomes(&project), expected);
        assert_eq!(lines_of_dbt(&alone), lines_of_dbt(&together));
        let says = alone.stderr.contains("cannot keep dbt running, so each command starts it: no forks here");
        assert_eq!(says, is_broken, "{}", alone.stderr);
    }
}

/// dbt imports modules named `dbt_…` as plugins: `dbt deps` in its fork, and `dbt parse` for the commands behind it.
#[test]
fn a_plugin_takes_part_in_each_command_and_is_imported_once_for_parse_build_and_test() {
    let project = project();
    let modules = tempfile::tempdir().unwrap();
    let seen = modules.path().join("seen");
    fs::write(
        modules.path().join("dbt_of_the_test.py"),
        format!(
            "from dbt.plugins.manager import dbtPlugin\n\
             open({seen:?}, 'a').write('imported\\n')\n\
             class Plugin(dbtPlugin):\n    \
                 def initialize(self): open({seen:?}, 'a').write('initialized\\n')\n\
             plugins = [Plugin]\n"
        ),
    )
    .unwrap();
    let database = Database::new();
    let mut run = run(&project, &database);
    Ran::of(run.env("PYTHONPATH", modules.path()).env("PYTHONDONTWRITEBYTECODE", "1")).expect(1);
    let seen = fs::read_to_string(seen).unwrap();
    let times = |what: &str| seen.matches(what).count();
    assert_eq!((times("imported"), times("initialized")), (2, 4), "{seen}");
}

/// Nothing of dbt is left after any end, and an idle process ends, too.
#[test]
fn a_signal_ends_the_process_before_between_and_in_commands() {
    for (signal, until) in [
        (Signal::SIGKILL, None),
        (Signal::SIGINT, None),
        (Signal::SIGTERM, Some("dbt parse took")),
        (Signal::SIGINT, Some("START")),
    ] {
        let project = DbtProject::new();
        project.write("pgtrickle-ci.yml", "allow_empty: true\n");
        project.write(
            "models/long.sql",
            "{{ config(materialized='table') }} select length(pg_sleep(100)::text) as l",
        );
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let database = Database::new();
        let mut run = run(&project, &database);
        let said = place.path().join("said");
        run.env("TMPDIR", place.path()).stdout(Stdio::null()).stderr(fs::File::create(&said).unwrap());
        let mut run = run.spawn().unwrap();
        let has_server = || processes_with(place.path()) > 0;
        wait_for("dbt runs", || match until {
            Some(until) => fs::read_to_string(&said).unwrap().contains(until),
            None => has_server(),
        });
        kill(Pid::from_raw(run.id().try_into().unwrap()), signal).unwrap();
        run.wait().unwrap();
        wait_for("dbt ends", || !has_server());
        wait_for("the folder is removed", || fs::read_dir(place.path()).unwrap().count() == 1);
        assert_eq!(database.value("select to_regclass('marts.long')"), None);
    }
}

/// The processes with this text among their arguments.
fn processes_with(text: &Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    arguments.filter(|arguments| String::from_utf8_lossy(arguments).contains(text.to_str().unwrap())).count()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1200 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("not within two minutes: {what}");
}
