//! Runs dbt against a given server, without changing the user's files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{process::Command, sync::mpsc};

use super::{
    DefaultSelector, Error, ManifestFile, ProjectFile, RunResults, Shell, Target, child,
    dotenv::{DISABLED, Dotenv},
    lines,
    profile::PASSWORD_VARIABLE,
    watch::{self, Waited, Watch},
};
use crate::{
    output::{self, Ui},
    project::Reading,
};

/// dbt with one target. Its output goes to a temporary folder, which is removed with this value.
pub struct Dbt {
    program: PathBuf,
    /// The project's folder as the user wrote it, for the paths in reports.
    project_dir: PathBuf,
    /// The absolute path of the same folder, for dbt.
    absolute_dir: PathBuf,
    target: Target,
    vars: Option<String>,
    /// The variables of its `.env`.
    dotenv: BTreeMap<String, String>,
    /// The nodes to build and test; `None` for all.
    selected: Option<Vec<String>>,
    /// Whether dbt's default selector chooses the tests.
    tests_by_default: bool,
    /// Whether to hide what dbt quotes from the server, because it may be real data.
    hides_rows: bool,
    /// The limit for each command.
    timeout: Duration,
    /// Holds the generated profiles.yml, dbt's target folder and its logs.
    scratch: tempfile::TempDir,
    ui: Ui,
}

/// A finished dbt command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// dbt's exit code: 0 for success, 1 if nodes failed, 2 if dbt failed.
    pub code: i32,
    pub elapsed: Duration,
}

impl Dbt {
    /// Finds dbt on the PATH and writes its profile.
    pub fn new(
        shell: Shell,
        project_dir: &Path,
        target: Target,
        vars: Option<String>,
        timeout: Duration,
        ui: Ui,
    ) -> Result<Self, Error> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(|source| Error::Start { source });
        let program = absolute(&program(&shell.path).ok_or(Error::NotInstalled)?)?;
        let absolute_dir = absolute(project_dir)?;
        let scratch = tempfile::Builder::new().prefix("pgtrickle-ci-dbt-").tempdir();
        let scratch = scratch.map_err(|source| Error::Start { source })?;
        target.write(scratch.path())?;
        let dotenv = shell.dotenv;
        Ok(Self {
            program,
            project_dir: project_dir.to_owned(),
            absolute_dir,
            target,
            vars,
            dotenv,
            selected: None,
            tests_by_default: false,
            hides_rows: false,
            timeout,
            scratch,
            ui,
        })
    }

    /// Shows only lines of dbt without values of rows from now on.
    pub fn hide_rows(&mut self) {
        self.hides_rows = true;
    }

    /// Builds and tests only these nodes from now on, each a selector.
    pub fn select(&mut self, selected: Vec<String>) {
        self.selected = Some(selected);
    }

    /// Runs the tests of dbt's default selector from now on, which can differ from the tests of the selected nodes.
    pub fn keep_default_tests(&mut self) {
        self.tests_by_default = true;
    }

    /// The folder of dbt's artifacts.
    pub fn target_dir(&self) -> PathBuf {
        self.scratch.path().join("target")
    }

    /// Installs the project's packages if they are missing.
    pub async fn install_packages(&self, file: &ProjectFile) -> Result<(), Error> {
        if file.lacks_packages(&self.project_dir) {
            self.run("deps", &[]).await?;
        }
        Ok(())
    }

    /// Parses the project; its manifest then has everything but compiled SQL.
    pub async fn parse(&self) -> Result<Invocation, Error> {
        self.run("parse", &[]).await
    }

    /// Compiles every model, without changes on the server.
    pub async fn compile(&self) -> Result<Invocation, Error> {
        // The SQL of tests is not needed, and the tests of the package dbt_pgtrickle query a server when they compile.
        self.run("compile", &["--exclude", "resource_type:test"]).await
    }

    /// dbt's default selector with the nodes that it selects; `None` if the project has none.
    ///
    /// dbt must have parsed or compiled the project.
    pub async fn default_selector(&self) -> Result<Option<DefaultSelector>, crate::Error> {
        #[derive(serde::Deserialize)]
        struct Listed {
            unique_id: String,
        }
        let Some(name) = self.manifest()?.default_selector()? else { return Ok(None) };
        let arguments = ["--quiet", "--output", "json", "--output-keys", "unique_id"];
        let (invocation, lines) = self.invoke("ls", &arguments).await?;
        if invocation.code != 0 {
            return Err(self.failed("ls", &invocation, &lines).into());
        }
        let listed = lines.iter().filter_map(|line| serde_json::from_str::<Listed>(line).ok());
        Ok(Some(DefaultSelector { name, ids: listed.map(|listed| listed.unique_id).collect() }))
    }

    /// Builds everything except tests.
    pub async fn build(&self) -> Result<(Invocation, RunResults), Error> {
        // A list of types, because the flag that excludes types is new in dbt 1.8.
        self.nodes(
            "build",
            &["--resource-type", "model", "--resource-type", "seed", "--resource-type", "snapshot"],
            self.selected.as_deref(),
        )
        .await
    }

    /// Runs the project's own tests.
    pub async fn test(&self) -> Result<(Invocation, RunResults), Error> {
        // A test that also reads a node that is not selected runs if that node is already built.
        match self.selected.as_deref().filter(|_| !self.tests_by_default) {
            None => self.nodes("test", &[], None).await,
            selected => self.nodes("test", &["--indirect-selection", "buildable"], selected).await,
        }
    }

    pub fn manifest_file(&self) -> PathBuf {
        self.target_dir().join("manifest.json")
    }

    /// The manifest of the last command.
    pub fn manifest(&self) -> Result<ManifestFile, Error> {
        ManifestFile::open(&self.manifest_file())
    }

    pub fn project(&self) -> Result<Reading, crate::Error> {
        Ok(self.manifest()?.project()?.with_files_below(&self.project_dir.to_string_lossy()))
    }

    /// The project with compiled SQL for every model. dbt does not compile models that it skips after a failure.
    pub async fn compiled_project(&self) -> Result<Reading, crate::Error> {
        let project = self.project()?;
        if project.is_compiled() {
            return Ok(project);
        }
        self.compile().await?;
        self.project()
    }

    /// Runs a command on nodes. A failed node is a result and not an error.
    async fn nodes(
        &self,
        command: &str,
        arguments: &[&str],
        selected: Option<&[String]>,
    ) -> Result<(Invocation, RunResults), Error> {
        let file = self.target_dir().join("run_results.json");
        // Otherwise a result of an earlier command could look like this one's.
        let _ = std::fs::remove_file(&file);
        let mut arguments = arguments.to_vec();
        if let Some(selected) = selected {
            if selected.is_empty() {
                return Ok((Invocation { code: 0, elapsed: Duration::ZERO }, RunResults::default()));
            }
            arguments.push("--select");
            arguments.extend(selected.iter().map(String::as_str));
        }
        let (invocation, lines) = self.invoke(command, &arguments).await?;
        match RunResults::read(&file) {
            // A node that dbt v2 loses, such as a unit test in which it panics, is only in the exit code.
            Ok(results) if invocation.code == 0 || invocation.code == 1 && results.has_failures() => {
                Ok((invocation, results))
            }
            _ => Err(self.failed(command, &invocation, &lines)),
        }
    }

    async fn run(&self, command: &str, arguments: &[&str]) -> Result<Invocation, Error> {
        let (invocation, lines) = self.invoke(command, arguments).await?;
        if invocation.code == 0 { Ok(invocation) } else { Err(self.failed(command, &invocation, &lines)) }
    }

    fn failed(&self, command: &str, invocation: &Invocation, lines: &[String]) -> Error {
        self.show(lines);
        Error::Failed { command: command.to_owned(), code: invocation.code }
    }

    /// Prints dbt's output, unless that has been done already.
    fn show(&self, lines: &[String]) {
        if !self.ui.passes_output_on() {
            for line in lines {
                output::to_stderr(line);
            }
        }
    }

    async fn invoke(&self, command: &str, arguments: &[&str]) -> Result<(Invocation, Vec<String>), Error> {
        self.ui.open_group(&format!("dbt {command}"));
        let started = Instant::now();
        let started_child = child::start(&mut self.command(command, arguments));
        let (mut child, ends_with_us) = started_child.map_err(|source| Error::Start { source })?;
        let (lines, mut said) = mpsc::unbounded_channel();
        child::forward(child.stdout.take(), lines.clone());
        child::forward(child.stderr.take(), lines);
        let (mut kept, mut left_out) = (Vec::new(), 0);
        let mut watch = Watch::new(self.timeout);
        loop {
            let line = match watch.until(said.recv()).await {
                Waited::Done(Some(line)) => self.target.endpoint.mask(&line),
                Waited::Done(None) => break,
                Waited::Heartbeat => {
                    let blockers = watch::blockers(&self.target.endpoint).await;
                    self.ui.say(&watch.heartbeat(command, &blockers));
                    continue;
                }
                Waited::TimedOut => {
                    let blockers = watch::blockers(&self.target.endpoint).await;
                    drop(ends_with_us);
                    // It cancels its queries before it ends.
                    child.wait().await.ok();
                    self.show(&kept);
                    self.ui.close_group();
                    return Err(Error::TimedOut {
                        command: command.to_owned(),
                        limit: self.timeout,
                        blockers,
                    });
                }
            };
            let Some(line) = self.shown(command, line) else {
                left_out += 1;
                continue;
            };
            if self.ui.passes_output_on() {
                output::to_stderr(&line);
            }
            kept.push(line);
        }
        if left_out > 0 {
            let line =
                format!("lines of dbt that are left out, because they may hold values of rows: {left_out}");
            if self.ui.passes_output_on() {
                output::to_stderr(&line);
            }
            kept.push(line);
        }
        let status = child.wait().await.map_err(|source| Error::Start { source })?;
        self.ui.close_group();
        if self.ui.verbose {
            self.ui.say(&format!("dbt {command} took {:.1}s", started.elapsed().as_secs_f64()));
        }
        // A process without a code was ended by a signal.
        Ok((Invocation { code: status.code().unwrap_or(2), elapsed: started.elapsed() }, kept))
    }

    /// A line of dbt, as it may be shown. Only the commands that ask the server can quote rows.
    fn shown(&self, command: &str, line: String) -> Option<String> {
        let may_quote = self.hides_rows && !["deps", "parse", "ls"].contains(&command);
        if may_quote { lines::hidden(&line) } else { Some(line) }
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut process = child::guarded(&self.program, self.scratch.path());
        process
            .args([command, "--project-dir"])
            .arg(&self.absolute_dir)
            .arg("--profiles-dir")
            .arg(self.scratch.path())
            .args(["--profile", &self.target.profile, "--target", &self.target.name])
            .args(arguments)
            .env(PASSWORD_VARIABLE, self.target.endpoint.password.reveal())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.set_dotenv(&mut process);
        self.target.endpoint.override_environment(process.as_std_mut());
        for (_, name) in names_of(&REMOVED) {
            process.env_remove(name);
        }
        let scratch = self.scratch.path();
        for (setting, name) in names_of(&["TARGET_PATH", "LOG_PATH"]) {
            process.env(name, scratch.join(if setting == "LOG_PATH" { "logs" } else { "target" }));
        }
        for (setting, value) in OVERRIDDEN {
            for (_, name) in names_of(&[setting]) {
                process.env(name, value);
            }
        }
        if command == "compile" {
            // Then dbt only sends the queries of models to the server.
            for (_, name) in names_of(&["POPULATE_CACHE"]) {
                process.env(name, "false");
            }
        }
        if command == "ls" {
            // Otherwise it would overwrite the last manifest with one without compiled SQL.
            for (_, name) in names_of(&["WRITE_JSON"]) {
                process.env(name, "false");
            }
        }
        if let Some(vars) = &self.vars {
            process.args(["--vars", vars]);
        }
        process
    }

    /// Sets the variables of dbt's `.env` and keeps dbt from reading it, which would set removed variables again.
    fn set_dotenv(&self, process: &mut Command) {
        process.env(DISABLED, "true");
        if self.dotenv.is_empty() {
            return;
        }
        process.envs(&self.dotenv);
        // dbt 2 has no switch, and reads the file of its working directory.
        if Dotenv::of(&self.program) == Dotenv::Here {
            process.current_dir(self.scratch.path());
        }
    }
}

/// Settings of dbt that override the environment and the project's `flags`: this program reads dbt's artifacts, and no
/// data may be sent elsewhere.
const OVERRIDDEN: [(&str, &str); 5] = [
    ("WRITE_JSON", "true"),
    ("LOG_FORMAT", "text"),
    ("USE_COLORS", "false"),
    ("SEND_ANONYMOUS_USAGE_STATS", "false"),
    ("UPLOAD_TO_ARTIFACTS_INGEST_API", "false"),
];

/// Settings that dbt must not get: they choose nodes and rows, defer to other relations, or replay a recording.
const REMOVED: [&str; 16] = [
    "ARTIFACT_STATE_PATH",
    "DEFER",
    "DEFER_STATE",
    "DEFER_TO_STATE",
    "EMPTY",
    "EXCLUDE_RESOURCE_TYPES",
    "FAVOR_STATE",
    "FAVOR_STATE_MODE",
    "INDIRECT_SELECTION",
    "PARTIAL_PARSE_FILE_PATH",
    "RECORDER_FILE_PATH",
    "RECORDER_MODE",
    "RECORDER_TYPES",
    "RESOURCE_TYPES",
    "SAMPLE",
    "STATE",
];

/// The settings, each with both names of its variable: dbt 1.11 reads `DBT_ENGINE_STATE` and `DBT_STATE`.
fn names_of<'a>(settings: &'a [&'a str]) -> impl Iterator<Item = (&'a str, String)> {
    settings.iter().flat_map(|setting| {
        [(*setting, format!("DBT_ENGINE_{setting}")), (*setting, format!("DBT_{setting}"))]
    })
}

/// The program `dbt` on the PATH.
pub fn program(path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|dir| dir.join("dbt")).find(|program| program.is_file())
}

/// The folders of Python packages of the environment with this program.
pub fn packages_of(program: &Path) -> Vec<PathBuf> {
    let lib = program.parent().and_then(Path::parent).map(|root| root.join("lib"));
    let pythons = lib.and_then(|lib| std::fs::read_dir(lib).ok()).into_iter().flatten().flatten();
    let packages = pythons.map(|python| python.path().join("site-packages"));
    packages.filter(|packages| packages.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pg::Endpoint;

    #[test]
    fn the_shell_does_not_change_what_dbt_does() {
        let scratch = tempfile::tempdir().unwrap();
        let target = Target {
            profile: "shop".into(),
            name: "ci".into(),
            chosen_by: "the test",
            endpoint: Endpoint { host: "db".into(), ..Endpoint::default() },
            adapter: "postgres".into(),
            schema: "s".into(),
            threads: 1,
            manner: serde_json::Map::new(),
        };
        let folder = scratch.path().to_owned();
        let dbt = Dbt {
            program: "dbt".into(),
            project_dir: ".".into(),
            absolute_dir: "/".into(),
            target,
            vars: None,
            dotenv: [("PGSERVICE", "nowhere"), ("DBT_DEFER", "true"), ("SHOP", "7")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            selected: None,
            tests_by_default: false,
            hides_rows: false,
            timeout: Duration::from_mins(1),
            scratch,
            ui: Ui { quiet: true, verbose: false, full: false, color: false, width: 80, runner: false },
        };
        let command = dbt.command("compile", &[]);
        let set: BTreeMap<_, _> = command
            .as_std()
            .get_envs()
            .map(|(name, value)| (name.to_str().unwrap(), value.and_then(std::ffi::OsStr::to_str)))
            .collect();
        for name in [
            "PGSERVICE",
            "PGHOSTADDR",
            "PGOPTIONS",
            "PGSSLCERT",
            "PGREQUIRESSL",
            "DBT_DEFER",
            "DBT_ENGINE_STATE",
        ] {
            assert_eq!(set[name], None, "{name} reaches dbt");
        }
        for name in ["PGHOST", "DBT_TARGET", "DBT_WARN_ERROR", "PGTZ"] {
            assert!(!set.contains_key(name), "{name} belongs to the project");
        }
        assert_eq!((set["SHOP"], set["PYTHON_DOTENV_DISABLED"]), (Some("7"), Some("true")));
        for name in ["DBT_WRITE_JSON", "DBT_ENGINE_WRITE_JSON"] {
            assert_eq!(set[name], Some("true"));
        }
        for name in ["DBT_TARGET_PATH", "DBT_ENGINE_TARGET_PATH"] {
            assert_eq!(set[name], folder.join("target").to_str());
        }
        assert_eq!(set["DBT_ENGINE_POPULATE_CACHE"], Some("false"));
    }
}
