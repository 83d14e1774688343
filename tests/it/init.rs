//! `init` and `completions`.

use std::{fs, process::Command};

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
    let written = fs::read_to_string(&workflow).unwrap();
    assert!(written.contains("project-dir: .\n"), "{written}");

    let ran = init(&project).expect_error("already exist", "nothing was written");
    assert!(ran.stderr.contains("pgtrickle-ci.yml` and `"), "{}", ran.stderr);
    fs::write(&workflow, "mine").unwrap();
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
    let mut command = pgtrickle_ci();
    let said = Ran::of(command.arg("init").current_dir(&project)).expect(0).stderr;
    assert!(
        said.contains("next: add the dbt package dbt_pgtrickle to packages.yml, or install the adapter"),
        "{said}"
    );
    let workflow = repository.path().join(".github/workflows/pgtrickle-ci.yml");
    assert!(fs::read_to_string(workflow).unwrap().contains("project-dir: 'warehouse/dbt'\n"));
    assert!(project.join("pgtrickle-ci.yml").exists());

    // A repository on GitLab gets a GitLab pipeline.
    fs::remove_dir_all(repository.path().join(".github")).unwrap();
    fs::remove_file(project.join("pgtrickle-ci.yml")).unwrap();
    fs::write(repository.path().join(".gitlab-ci.yml"), "").unwrap();
    let mut command = pgtrickle_ci();
    let arguments = ["init", "--project-dir", "warehouse/dbt"];
    let said = Ran::of(command.args(arguments).current_dir(&repository)).expect(0).stderr;
    assert!(said.contains("next: add `include: {local: .gitlab/pgtrickle-ci.yml}`"), "{said}");
    let pipeline = fs::read_to_string(repository.path().join(".gitlab/pgtrickle-ci.yml")).unwrap();
    assert!(pipeline.contains("pgtrickle-ci run --project-dir 'warehouse/dbt'\n"), "{pipeline}");
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

/// What bash offers after `pgtrickle-ci SUBCOMMAND --`, for the script `$1` and the subcommand `$2`.
const COMPLETE: &str = r#"
source "$1"
function=$(complete -p pgtrickle-ci | sed 's/.* -F \([^ ]*\) .*/\1/')
COMP_WORDS=(pgtrickle-ci "$2" --) COMP_CWORD=2
"$function" pgtrickle-ci -- "$2"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_the_flags_of_every_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("completions.bash");
    fs::write(&script, Ran::of(pgtrickle_ci().args(["completions", "bash"])).expect(0).stdout).unwrap();
    for command in pgtrickle_ci::cli::command().get_subcommands() {
        let name = command.get_name();
        let mut bash = Command::new("bash");
        bash.args(["-c", COMPLETE, "bash"]).arg(&script).arg(name);
        let completed = Ran::of(&mut bash).expect(0).stdout;
        for flag in command.get_arguments().filter_map(|argument| argument.get_long()) {
            assert!(completed.lines().any(|line| line == format!("--{flag}")), "{name} {flag}: {completed}");
        }
    }
}
