//! The workflows of docs/workflows.md and docs/nightly.md with this Action: outputs, the step's summary and the job's result. An
//! independent runner on this machine (`scripts/try_action.sh`) runs them with a mock of GitHub's API.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{Database, Hub, Ran, pgtrickle_ci};

/// Saves the outputs of the gate's step in a folder outside of the workspace. This runner stops after a failed step, so
/// the gate's step may fail, and this step then fails the job.
const SAVE_OUTPUTS: &str = r#"
      - if: always()
        env:
          CONCLUSION: ${{ steps.gate.outputs.conclusion }}
          CREATE: ${{ steps.gate.outputs.create }}
          FAILED: ${{ steps.gate.outputs.failed }}
          REPORT: ${{ steps.gate.outputs.report-path }}
          JUNIT: ${{ steps.gate.outputs.junit-path }}
          MARKDOWN: ${{ steps.gate.outputs.markdown-path }}
          OUTCOME: ${{ steps.gate.outcome }}
        run: |
          echo "$CONCLUSION create=$CREATE failed=$FAILED" > "$TRY_OUT/outputs"
          cp "$GITHUB_STEP_SUMMARY" "$TRY_OUT/summary"
          for file in "$REPORT" "$JUNIT" "$MARKDOWN"; do
            test -z "$file" || cp "$file" "$TRY_OUT"
          done
          test "$OUTCOME" = success
"#;

/// A checkout of this repository with one workflow.
struct Checkout {
    workspace: TempDir,
    out: TempDir,
}

impl Checkout {
    /// The workflow of this name from the docs, with text replacements.
    fn new(name: &str, changes: &[(&str, &str)]) -> Self {
        let checkout = Self { workspace: tempfile::tempdir().unwrap(), out: tempfile::tempdir().unwrap() };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files =
            Command::new("git").current_dir(root).args(["ls-files", "-co", "--exclude-standard"]).output();
        for file in
            String::from_utf8(files.unwrap().stdout).unwrap().lines().filter(|file| root.join(file).is_file())
        {
            let to = checkout.workspace.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root.join(file), to).unwrap();
        }
        let mut workflow = documented(name);
        for (from, to) in changes {
            assert!(workflow.contains(from), "the workflow has no `{from}`:\n{workflow}");
            workflow = workflow.replace(from, to);
        }
        checkout.write_for_this_runner(&(workflow + SAVE_OUTPUTS));
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.current_dir(checkout.workspace.path()).args([
                "-c",
                "user.name=a",
                "-c",
                "user.email=a@example.org",
            ]);
            assert!(git.args(arguments).status().unwrap().success(), "git {arguments:?}");
        };
        git(&["init", "--quiet"]);
        git(&["remote", "add", "origin", "https://github.com/octo-org/shop.git"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "all"]);
        checkout
    }

    /// This runner does not support inputs with a dash in their names, and has no artifacts.
    fn write_for_this_runner(&self, workflow: &str) {
        let file = self.workspace.path().join("action.yml");
        let text = fs::read_to_string(&file).unwrap();
        let (text, _) = text.split_once("\n    - name: Upload the report\n").unwrap();
        let (mut inputs, rest) = text.split_once("\noutputs:\n").map(|(a, b)| (a.to_owned(), b)).unwrap();
        let (mut rest, mut workflow) = (rest.to_owned(), workflow.to_owned());
        let action: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
        for (name, _) in action["inputs"].as_mapping().unwrap() {
            let name = name.as_str().unwrap();
            let plain = name.replace('-', "_");
            inputs = inputs.replace(&format!("\n  {name}:"), &format!("\n  {plain}:"));
            rest = rest.replace(&format!("inputs.{name} "), &format!("inputs.{plain} "));
            workflow = workflow.replace(&format!("\n          {name}: "), &format!("\n          {plain}: "));
        }
        fs::write(file, format!("{inputs}\noutputs:\n{rest}")).unwrap();
        fs::write(self.workspace.path().join("workflow.yml"), workflow).unwrap();
    }

    fn run(&self, hub: &Hub, event: &str) -> Ran {
        let runner =
            std::env::var("PGTRICKLE_CI_TEST_RUNNER").expect("scripts/try_action.sh names the runner");
        let ours = pgtrickle_ci();
        let mut command = Command::new(runner);
        command.env_clear().envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .current_dir(self.workspace.path())
            .args(["run", "--runtime", "emulation", "workflow.yml"])
            // Variables that this runner does not set.
            .env("GITHUB_ACTION_PATH", self.workspace.path())
            .env("GITHUB_EVENT_PATH", format!("{}/tests/it/events/{event}.json", env!("CARGO_MANIFEST_DIR")))
            .env("TRY_API", hub.address())
            .env("TRY_OUT", self.out.path());
        Ran::of(&mut command)
    }

    fn saved(&self, file: &str) -> String {
        fs::read_to_string(self.out.path().join(file)).unwrap_or_default()
    }
}

/// The workflow of this name.
fn documented(name: &str) -> String {
    let docs = [include_str!("../../docs/workflows.md"), include_str!("../../docs/nightly.md")].concat();
    let start = format!("```yaml\nname: {name}\n");
    let (_, from) = docs.split_once(&start).unwrap_or_else(|| panic!("the docs have no workflow `{name}`"));
    let (workflow, _) = from.split_once("```\n").unwrap();
    format!("name: {name}\n{workflow}").trim_end().to_owned()
}

const ACTION: &str = "- uses: trickle-labs/pgtrickle-action@main # better: a commit\n        with:\n";

/// Replaces the Action by that of the checkout, with the tested program.
fn ours(hub: &Hub, more: &str) -> Vec<(&'static str, String)> {
    let program = env!("CARGO_BIN_EXE_pgtrickle-ci");
    let token = "github-token: a-token-for-tests";
    let with = format!("          binary-path: {program}\n          {token}\n{more}");
    vec![
        (
            ACTION,
            format!("- uses: ./\n        id: gate\n        continue-on-error: true\n        with:\n{with}"),
        ),
        (
            "    runs-on: ubuntu-24.04\n",
            format!("    runs-on: ubuntu-24.04\n    env:\n      GITHUB_API_URL: {}\n", hub.address()),
        ),
    ]
}

fn checkout(name: &str, hub: &Hub, more: &str, changes: &[(&str, &str)]) -> Checkout {
    let ours = ours(hub, more);
    let all: Vec<(&str, &str)> =
        ours.iter().map(|(from, to)| (*from, to.as_str())).chain(changes.iter().copied()).collect();
    Checkout::new(name, &all)
}

/// The end of the gate's step, and a step that posts the report. This runner skips the Action's remaining steps after a
/// failed one, unlike GitHub.
fn posting() -> String {
    let program = env!("CARGO_BIN_EXE_pgtrickle-ci");
    let report = "\n          report-path: report.json";
    let with = format!("binary-path: {program}\n          github-token: a-token-for-tests{report}");
    format!(
        "{report}\n      - if: always()\n        uses: ./\n        with:\n          mode: comment\n          {with}"
    )
}

/// The project of this repository, without a base revision: this runner's checkout has no history.
const OWN_PROJECT: [(&str, &str); 2] = [
    ("project-dir: .", "project-dir: integration_tests"),
    ("          base-ref: origin/${{ github.base_ref }}\n", ""),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/try_action.sh runs it"]
async fn a_passing_pull_request_gets_one_comment() {
    let hub = Hub::new().await;
    let checkout = checkout("stream tables on the emulator", &hub, "          budget: 1s\n", &OWN_PROJECT);
    checkout.run(&hub, "pull_request").expect(0);
    let outputs = checkout.saved("outputs");
    assert!(outputs.starts_with("passed create=") && outputs.ends_with(" failed=0\n"), "{outputs}");
    let comments = hub.comments();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].starts_with("### ✅ pgtrickle-ci passed\n"), "{}", comments[0]);
    assert!(checkout.saved("summary").starts_with("### ✅ pgtrickle-ci passed\n"));
    assert!(checkout.saved("junit.xml").contains("<testsuites"));
    assert!(checkout.saved("comment.md").starts_with("### ✅ pgtrickle-ci passed\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/try_action.sh runs it"]
async fn a_failing_pull_request_gets_a_comment_with_the_reason() {
    let hub = Hub::new().await;
    let engine = format!("engine: emulator{}", posting());
    let changes = [OWN_PROJECT.as_slice(), &[("engine: emulator", &engine)]].concat();
    let checkout = checkout("stream tables on the emulator", &hub, "          budget: 1s\n", &changes);
    let test = checkout.workspace.path().join("integration_tests/tests/always_fails.sql");
    fs::write(test, "select 1 as failure").unwrap();
    checkout.run(&hub, "pull_request").expect(1);
    let outputs = checkout.saved("outputs");
    assert!(outputs.starts_with("failed create=") && outputs.ends_with(" failed=1\n"), "{outputs}");
    let summary = checkout.saved("summary");
    assert!(
        summary.starts_with("### ❌ pgtrickle-ci failed\n") && summary.contains("always_fails"),
        "{summary}"
    );
    assert!(checkout.saved("junit.xml").contains("<failure"));
    let comments = hub.comments();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].starts_with("### ❌ pgtrickle-ci failed\n") && comments[0].contains("always_fails"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/try_action.sh runs it"]
async fn a_nightly_run_opens_and_closes_an_issue() {
    let hub = Hub::new().await;
    let database = tokio::task::block_in_place(Database::new);
    let url = format!("database-url: {}\n          project-dir: docs{}", database.url(), posting());
    let night = [("database-url: ${{ secrets.DATABASE_URL }}", url.as_str())];
    let checkout = checkout("freshness", &hub, "", &night);
    let run = |sql: &str| tokio::task::block_in_place(|| database.run(sql));
    run("create table sales (amount int); insert into sales values (1);
         select pgtrickle.create_stream_table('total', 'select sum(amount) as amount from sales', initialize => false)");
    checkout.run(&hub, "schedule").expect(1);
    assert!(checkout.saved("outputs").starts_with("failed "), "{}", checkout.saved("outputs"));
    assert!(checkout.saved("summary").contains("public.total"));
    assert_eq!(hub.issues().len(), 1);
    assert_eq!(hub.issues()[0]["state"], "open");

    run("select pgtrickle.refresh_stream_table('total')");
    checkout.run(&hub, "schedule").expect(0);
    assert!(checkout.saved("outputs").starts_with("passed "), "{}", checkout.saved("outputs"));
    assert_eq!(hub.issues().len(), 1);
    assert_eq!(hub.issues()[0]["state"], "closed");
    tokio::task::block_in_place(|| drop(database));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/try_action.sh runs it"]
async fn a_second_workflow_posts_the_report_of_a_fork() {
    let hub = Hub::new().await;
    let more = "          budget: 1s\n          comment: never\n";
    let gate = checkout("stream tables on the emulator", &hub, more, &OWN_PROJECT);
    gate.run(&hub, "pull_request").expect(0);
    assert_eq!(hub.comments().len(), 0);

    let artifact = format!("run: cp {}/report.json report.json\n", gate.out.path().display());
    let workflow = documented("comment");
    let download = &workflow[workflow.find("uses: actions/download-artifact").unwrap()
        ..workflow.find("      - uses: trickle").unwrap()];
    let condition = "    if: github.event.workflow_run.event == 'pull_request'\n";
    let commenter = checkout("comment", &hub, "", &[(download, artifact.as_str()), (condition, "")]);
    commenter.run(&hub, "workflow_run").expect(0);
    assert_eq!(hub.comments().len(), 1);
    assert!(hub.comments()[0].starts_with("### ✅ pgtrickle-ci passed\n"));
}
