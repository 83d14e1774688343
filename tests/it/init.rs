//! `init` and `completions`.

use std::{
    fs,
    io::{self, Write},
    process::Command,
};

use tempfile::TempDir;

use crate::support::{DbtProject, Ran, pgtrickle_ci};

fn init(project: &DbtProject) -> Ran {
    Ran::of(pgtrickle_ci().arg("init").current_dir(project.path()))
}

#[test]
fn init_writes_a_configuration_and_a_workflow_once() {
    let project = DbtProject::new();
    let said = init(&project).expect(0).stderr;
    assert!(said.contains("pgtrickle-ci.yml") && said.contains("next: pgtrickle-ci run"), "{said}");
    let workflow = project.path().join(".github/workflows/pgtrickle-ci.yml");
    for place in ["pgtrickle-ci.yml", "pgtrickle-ci-nightly.yml"] {
        let written = fs::read_to_string(project.path().join(".github/workflows").join(place)).unwrap();
        assert!(written.contains("project-dir: .\n"), "{written}");
    }
    assert!(said.contains("secret DATABASE_URL") && !said.contains("fixtures"), "{said}");
    let configuration = fs::read_to_string(project.path().join("pgtrickle-ci.yml")).unwrap();
    assert!(configuration.contains("\n# stub_sources: true\n"), "{configuration}");
    assert!(configuration.contains("\n# dbt: {profiles_dir: .}\n"), "{configuration}");

    let ran = init(&project).expect_error("already exist", "nothing was written");
    assert!(ran.stderr.contains("pgtrickle-ci.yml` and `"), "{}", ran.stderr);
    fs::write(&workflow, "mine").unwrap();
    fs::remove_file(project.path().join(".github/workflows/pgtrickle-ci-nightly.yml")).unwrap();
    fs::remove_file(project.path().join("pgtrickle-ci.yml")).unwrap();
    init(&project).expect_error("workflows/pgtrickle-ci.yml` already exists", "nothing was written");
    assert_eq!(fs::read_to_string(&workflow).unwrap(), "mine");
    assert!(!project.path().join("pgtrickle-ci.yml").exists());
}

#[test]
fn the_workflow_goes_to_the_root_of_the_repository() {
    let repository = tempfile::tempdir().unwrap();
    let git = Command::new("git").args(["init", "--quiet"]).current_dir(&repository).status().unwrap();
    assert!(git.success());
    let project = repository.path().join("warehouse/dbt");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("dbt_project.yml"), "name: shop\nprofile: shop\n").unwrap();
    fs::write(project.join("profiles.yml"), "shop: {}\n").unwrap();
    let mut command = pgtrickle_ci();
    let said = Ran::of(command.arg("init").current_dir(&project)).expect(0).stderr;
    assert!(
        said.contains("next: add the package to packages.yml, below `packages:`, or install the adapter"),
        "{said}"
    );
    let workflow = repository.path().join(".github/workflows/pgtrickle-ci.yml");
    assert!(fs::read_to_string(workflow).unwrap().contains("project-dir: 'warehouse/dbt'\n"));
    let configuration = fs::read_to_string(project.join("pgtrickle-ci.yml")).unwrap();
    assert!(configuration.contains("\ndbt: {profiles_dir: .}\n"), "{configuration}");

    // A repository on GitLab gets a GitLab pipeline.
    fs::remove_dir_all(repository.path().join(".github")).unwrap();
    fs::remove_file(project.join("pgtrickle-ci.yml")).unwrap();
    fs::write(repository.path().join(".gitlab-ci.yml"), "").unwrap();
    let mut command = pgtrickle_ci();
    let arguments = ["init", "--project-dir", "warehouse/dbt"];
    let said = Ran::of(command.args(arguments).current_dir(&repository)).expect(0).stderr;
    assert!(said.contains("next: add `include: {local: .gitlab/pgtrickle-ci.yml}`"), "{said}");
    let pipeline = fs::read_to_string(repository.path().join(".gitlab/pgtrickle-ci.yml")).unwrap();
    assert!(pipeline.contains("PGTRICKLE_CI_PROJECT_DIR: 'warehouse/dbt'\n"), "{pipeline}");
    assert!(said.contains("PGTRICKLE_CI_GITLAB_TOKEN"), "{said}");
}

#[test]
fn sources_without_a_seed_are_stubbed() {
    let project = DbtProject::new();
    project.write(
        "models/sources.yml",
        "sources:\n  - name: raw\n    tables:\n      - name: orders\n        columns: [{name: id, data_type: int}]\n      - {name: customers}\n      - {name: lines}\n",
    );
    project.write("seeds/lines.csv", "id\n1\n");
    let said = init(&project).expect(0).stderr;
    assert!(said.contains("next: declare the columns of raw.customers with their `data_type`"), "{said}");
    assert!(said.contains("next: raw.orders is empty in `run`"), "{said}");
    let configuration = fs::read_to_string(project.path().join("pgtrickle-ci.yml")).unwrap();
    assert!(configuration.contains("\nstub_sources: true\n"), "{configuration}");
}

#[test]
fn without_a_project_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    Ran::of(pgtrickle_ci().arg("init").current_dir(&dir)).expect_error("dbt_project.yml", "--project-dir");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn completions_name_subcommands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let said = Ran::of(pgtrickle_ci().args(["completions", shell])).expect(0).stdout;
        assert!(said.contains("verify") && said.contains("allow-drop"), "{shell}: {said}");
    }
    Ran::of(pgtrickle_ci().args(["completions", "cobol"])).expect(2);
}

/// Writes the script of completions for the shell to a new folder.
fn completions(shell: &str, file: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = Ran::of(pgtrickle_ci().args(["completions", shell])).expect(0).stdout;
    fs::write(folder.path().join(file), script).unwrap();
    folder
}

/// Checks what a shell offers after `pgtrickle-ci SUBCOMMAND --`, for every subcommand.
fn expect_every_flag(offered: impl Fn(&str) -> String) {
    for command in pgtrickle_ci::cli::command().get_subcommands() {
        let name = command.get_name();
        let completed = offered(name);
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            let is_it = |line: &str| line.split_whitespace().next() == Some(&format!("--{flag}"));
            assert!(completed.lines().any(is_it), "{name} {flag}: {completed}");
        }
    }
}

/// Whether the machine has the shell. Without it, the test says that it tried nothing.
#[expect(clippy::explicit_write, reason = "libtest hides what a test that passes prints with eprintln")]
fn has(shell: &str) -> bool {
    let has = Command::new(shell).arg("--version").output().is_ok();
    if !has {
        writeln!(io::stderr(), "skipped: {shell} is not installed, so its completions were not tried")
            .unwrap();
    }
    has
}

/// For the script `$1` and the subcommand `$2`.
const BASH: &str = r#"
source "$1"
function=$(complete -p pgtrickle-ci | sed 's/.* -F \([^ ]*\) .*/\1/')
COMP_WORDS=(pgtrickle-ci "$2" --) COMP_CWORD=2
"$function" pgtrickle-ci -- "$2"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_the_flags_of_every_subcommand() {
    let folder = completions("bash", "pgtrickle-ci.bash");
    expect_every_flag(|subcommand| {
        let mut bash = Command::new("bash");
        bash.args(["-c", BASH, "bash"]).arg(folder.path().join("pgtrickle-ci.bash")).arg(subcommand);
        Ran::of(&mut bash).expect(0).stdout
    });
}

#[test]
fn fish_completes_the_flags_of_every_subcommand() {
    if !has("fish") {
        return;
    }
    let folder = completions("fish", "pgtrickle-ci.fish");
    expect_every_flag(|subcommand| {
        let mut fish = Command::new("fish");
        let script = format!("source $argv[1]; complete --do-complete 'pgtrickle-ci {subcommand} --'");
        fish.args(["--no-config", "-c", &script]).arg(folder.path().join("pgtrickle-ci.fish"));
        Ran::of(fish.env("HOME", folder.path())).expect(0).stdout
    });
}

/// zsh only completes on a terminal, so that a zsh types into another one. It answers the question whether to list all,
/// and then clears the line. For the folder `$1` and the subcommand `$2`.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
send() { zpty -w shell "$1" }
send "PS1=; fpath=(${(q)1} \$fpath); autoload -U compinit; compinit -u -D; print READ''Y"
zpty -r -m shell line '*READY*'
zpty -w -n shell "pgtrickle-ci $2 --"$'\ty\C-a\C-k'
send "print DON''E"
zpty -r -m shell line '*DONE*'
print -r -- "$line"
zpty -d shell
"#;

#[test]
fn zsh_completes_the_flags_of_every_subcommand() {
    if !has("zsh") {
        return;
    }
    let folder = completions("zsh", "_pgtrickle-ci");
    expect_every_flag(|subcommand| {
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", "-c", ZSH, "zsh"]).arg(folder.path()).arg(subcommand);
        Ran::of(zsh.env("HOME", folder.path()).env("TERM", "dumb")).expect(0).stdout
    });
}
