//! The Action's steps without GitHub: `action/steps.sh` with a local release and a program that prints its arguments.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::support::Ran;

/// A program that prints its arguments and environment.
const PROGRAM: &str =
    "#!/bin/sh\necho \"args: $*\"\nenv | grep -E 'PGTRICKLE_CI_|INPUT_|VIRTUAL_ENV' | sort\n";

/// The Action in a separate folder, as a runner checks it out.
struct Action {
    folder: TempDir,
}

impl Action {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("action")).unwrap();
        fs::create_dir(folder.path().join("temp")).unwrap();
        for file in ["Cargo.toml", "action/steps.sh", "action/requirements.txt"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            fs::copy(from, folder.path().join(file)).unwrap();
        }
        Self { folder }
    }

    /// Adds the checksums of a release.
    fn released(self, archive: &str, content: &[u8]) -> Self {
        let sum: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
        self.write("action/releases.sha256", &format!("{sum}  {archive}\n"), 0o644);
        self
    }

    fn write(&self, file: &str, text: &str, mode: u32) {
        let file = self.folder.path().join(file);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Runs a step. Missing inputs are empty, as on a runner. Neither dbt nor cargo is on the PATH.
    fn step(&self, step: &str, inputs: &[(&str, &str)]) -> Ran {
        let folder = self.folder.path();
        let mut command = Command::new("bash");
        command.arg(folder.join("action/steps.sh")).arg(step).current_dir(folder).env_clear();
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("RUNNER_TEMP", folder.join("temp"));
        command.env("GITHUB_OUTPUT", folder.join("output")).env("WORKING_DIRECTORY", ".");
        for name in ["BINARY_PATH", "VERSION", "JSON", "JUNIT", "MARKDOWN", "IMAGE", "DATABASE_URL", "ENGINE"]
        {
            command.env(format!("INPUT_{name}"), "");
        }
        Ran::of(command.envs(inputs.iter().copied()))
    }

    fn outputs(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }
}

fn archive_name() -> String {
    format!("pgtrickle-ci-{}-{}-unknown-linux-musl.tar.gz", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH)
}

/// An archive of a release, with a program of this text.
fn archive(program: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgtrickle-ci");
    fs::write(&file, program).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    let tar = Command::new("tar").args(["-czf", "-", "-C"]).arg(folder.path()).arg("pgtrickle-ci").output();
    tar.unwrap().stdout
}

/// A server with one release archive.
async fn releases(archive: &[u8]) -> MockServer {
    let server = MockServer::start().await;
    let there = format!("/v{}/{}", env!("CARGO_PKG_VERSION"), archive_name());
    let answer = ResponseTemplate::new(200).set_body_bytes(archive);
    Mock::given(path(there)).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn the_released_program_is_downloaded_once_and_run() {
    let archive = archive(PROGRAM);
    let server = releases(&archive).await;
    let action = Action::new().released(&archive_name(), &archive);
    for _ in 0..2 {
        action.step("program", &[("PGTRICKLE_CI_RELEASES", &server.uri())]).expect(0);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    let outputs = action.outputs();
    let program = outputs.lines().last().unwrap().strip_prefix("program=").unwrap();
    assert!(Ran::of(&mut Command::new(program)).expect(0).stdout.starts_with("args:"));
}

#[tokio::test]
async fn a_program_with_another_checksum_is_not_run() {
    let server = releases(&archive("#!/bin/sh\necho something else\n")).await;
    let action = Action::new().released(&archive_name(), &archive(PROGRAM));
    for _ in 0..2 {
        let ran = action.step("program", &[("PGTRICKLE_CI_RELEASES", &server.uri())]).expect(2);
        assert!(
            ran.stdout.contains("::error title=pgtrickle-ci::") && ran.stdout.contains("SHA-256"),
            "{}",
            ran.stdout
        );
        assert_eq!(action.outputs(), "");
    }
}

#[tokio::test]
async fn a_missing_release_and_a_missing_checksum_are_errors() {
    let server = MockServer::start().await;
    let action = Action::new().released(&archive_name(), b"");
    let ran = action.step("program", &[("PGTRICKLE_CI_RELEASES", &server.uri())]).expect(2);
    assert!(ran.stdout.contains("cannot be downloaded"), "{}", ran.stdout);

    let ran = action.step("program", &[("INPUT_VERSION", "v99.0.0")]).expect(2);
    assert!(ran.stdout.contains("no checksum for the version"), "{}", ran.stdout);

    // A branch has no checksums: the program is built if cargo exists.
    let ran = Action::new().step("program", &[]).expect(2);
    assert!(ran.stdout.contains("there is no cargo"), "{}", ran.stdout);
    let action = Action::new();
    action.write("cargo", "#!/bin/sh\necho \"$PWD: cargo $*\"\n", 0o755);
    let here = action.folder.path().display();
    let ran = action.step("program", &[("PATH", &format!("{here}:/usr/bin:/bin"))]).expect(0);
    assert_eq!(ran.stdout, format!("{here}: cargo build --release --locked --target-dir target\n"));
    assert_eq!(action.outputs(), format!("program={here}/target/release/pgtrickle-ci\n"));
}

#[test]
fn windows_is_an_error() {
    let action = Action::new();
    action.write("uname", "#!/bin/sh\necho MINGW64_NT-10.0-26100\n", 0o755);
    let path = format!("{}:/usr/bin:/bin", action.folder.path().display());
    let ran = action.step("program", &[("PATH", &path), ("INPUT_BINARY_PATH", "pgtrickle-ci.exe")]).expect(2);
    assert!(
        ran.stdout.contains("does not run on Windows") && ran.stdout.contains("`runs-on: ubuntu-24.04`"),
        "{}",
        ran.stdout
    );
}

#[test]
fn binary_path_accepts_a_path_or_a_name() {
    let action = Action::new();
    let here = action.folder.path().display();
    action.write("mine", PROGRAM, 0o755);
    action.step("program", &[("INPUT_BINARY_PATH", "./mine")]).expect(0);
    action
        .step("program", &[("INPUT_BINARY_PATH", "mine"), ("PATH", &format!("{here}:/usr/bin:/bin"))])
        .expect(0);
    assert_eq!(action.outputs(), format!("program={here}/mine\n").repeat(2));
    action.step("program", &[("INPUT_BINARY_PATH", "./none")]).expect(2);
}

#[test]
fn inputs_set_the_variables_of_flags() {
    let action = Action::new();
    action.write("mine", PROGRAM, 0o755);
    let image = ("INPUT_IMAGE", "octo/pg:1");
    let program = ("PROGRAM", "./mine");
    let select = ("INPUT_SELECT", "tag:a $(touch evil) \"; b");
    let ran = action.step("gate", &[program, ("MODE", "run"), image, select]).expect(0);
    let temp = action.folder.path().join("temp/pgtrickle-ci");
    let temp = temp.display();
    assert_eq!(
        ran.stdout,
        format!(
            "args: run\nPGTRICKLE_CI_HTML={temp}/report.html\nPGTRICKLE_CI_IMAGE=octo/pg:1\nPGTRICKLE_CI_JSON={temp}/report.json\nPGTRICKLE_CI_JUNIT={temp}/junit.xml\n\
             PGTRICKLE_CI_MARKDOWN={temp}/comment.md\nPGTRICKLE_CI_SELECT=tag:a $(touch evil) \"; b\n"
        )
    );
    let outputs = action.outputs();
    assert!(
        outputs.contains("conclusion=failed\n")
            && outputs.contains(&format!("report-path={temp}/report.json\n"))
    );

    // The image is only for an ephemeral server with the real extension.
    for other in [("INPUT_ENGINE", "emulator"), ("INPUT_DATABASE_URL", "postgresql://x"), ("MODE", "plan")] {
        let ran = action.step("gate", &[program, ("MODE", "run"), image, other]).expect(0);
        assert!(!ran.stdout.contains("_IMAGE="), "{other:?}: {}", ran.stdout);
    }
    let reports = ("REPORTS", "m*e");
    let ran = action.step("gate", &[program, ("MODE", "merge"), reports]).expect(0);
    assert!(ran.stdout.starts_with("args: report merge mine\n"), "{}", ran.stdout);
    let ran = action.step("gate", &[program, ("MODE", "deploy")]).expect(2);
    assert!(ran.stdout.contains("the input mode has to be"), "{}", ran.stdout);
}

#[test]
fn a_report_is_posted_if_it_exists() {
    let action = Action::new();
    action.write("mine", PROGRAM, 0o755);
    let given = [("PROGRAM", "./mine"), ("REPORT", "report.json"), ("INPUT_COMMENT_KEY", "staging")];
    assert_eq!(action.step("comment", &given).expect(0).stdout, "");
    action.write("report.json", "{}", 0o644);
    let said = action.step("comment", &given).expect(0).stdout;
    assert!(
        said.starts_with("args: comment --from-report report.json\nPGTRICKLE_CI_COMMENT_KEY=staging\n"),
        "{said}"
    );

    // The mode `comment` posts the report of another job.
    action.step("gate", &[("MODE", "comment"), ("INPUT_JSON", "report.json")]).expect(0);
    assert_eq!(action.outputs(), "report-path=report.json\n");
}

#[test]
fn action_yml_passes_each_input_and_has_no_expression_in_a_script() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml");
    let action: serde_yaml::Value = serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let runs = serde_yaml::to_string(&action["runs"]).unwrap();
    for (name, input) in action["inputs"].as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        assert!(runs.contains(&format!("inputs.{name}")), "{name} is not used");
        assert!(input["description"].as_str().is_some() && !input["default"].is_null(), "{name}");
    }
    for step in action["runs"]["steps"].as_sequence().unwrap() {
        match (step["run"].as_str(), step["uses"].as_str()) {
            (Some(script), None) => assert!(!script.contains("${{"), "{step:?}"),
            // A commit, not a name that can be moved.
            (None, Some(action)) => {
                let (_, commit) = action.split_once('@').unwrap();
                assert!(
                    commit.len() == 40 && commit.bytes().all(|digit| digit.is_ascii_hexdigit()),
                    "{action}"
                );
            }
            _ => panic!("{step:?} is neither a script nor an action"),
        }
    }
}

#[test]
fn a_release_has_the_checksums_of_its_archives_and_the_digest_of_its_image() {
    let action = Action::new();
    let here = action.folder.path();
    fs::create_dir(here.join("scripts")).unwrap();
    for file in ["scripts/publish.sh", "action.yml"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), here.join(file)).unwrap();
    }
    action.write("gh", "#!/bin/sh\necho \"gh $*\"\n", 0o755);
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    action.write("docker", &format!("#!/bin/sh\necho {digest}\n"), 0o755);
    let version = env!("CARGO_PKG_VERSION");
    let archives = here.join(format!("temp/v{version}"));
    fs::create_dir(&archives).unwrap();
    fs::write(archives.join(archive_name()), archive(PROGRAM)).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(here).env("PATH", format!("{}:/usr/bin:/bin", here.display()));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        Ran::of(&mut command)
    };
    let git = |arguments: &[&str]| run("git", arguments).expect(0).stdout;
    git(&["init", "--quiet", "--bare", "temp/origin"]);
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "temp/origin"]);
    git(&["add", "Cargo.toml", "action.yml", "action", "scripts"]);
    git(&["commit", "--quiet", "--message", "feat: all"]);

    let publish = || run("scripts/publish.sh", &[archives.to_str().unwrap()]);
    let said = publish().expect(0).stdout;
    assert!(said.starts_with(&format!("gh release create v{version} ")), "{said}");
    let tags = git(&["ls-remote", "--tags", "origin"]);
    let major = version.split('.').next().unwrap();
    assert!(
        tags.contains(&format!("refs/tags/v{version}\n")) && tags.contains(&format!("refs/tags/v{major}\n")),
        "{tags}"
    );
    assert!(git(&["show", "v0:action/releases.sha256"]).ends_with(&format!("  {}\n", archive_name())));
    let image = |file: &str| -> serde_yaml::Value {
        serde_yaml::from_str::<serde_yaml::Value>(&git(&["show", file])).unwrap()["inputs"]["image"].clone()
    };
    let tag = image("v0~1:action.yml")["default"].as_str().unwrap().to_owned();
    assert_eq!(image("v0:action.yml")["default"].as_str().unwrap(), format!("{tag}@{digest}"));
    assert!(publish().expect(1).stderr.contains("is released already"));

    // The work tree is now that of the tag.
    let releases = format!("file://{}", here.join("temp").display());
    action.step("program", &[("PGTRICKLE_CI_RELEASES", &releases)]).expect(0);
    assert!(action.outputs().starts_with("program="));
}
