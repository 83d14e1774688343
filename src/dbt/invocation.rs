//! Running dbt against a server of our choice, without touching the user's files.

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
};
use crate::{
    output::{self, Ui},
    project::Reading,
};

/// dbt, pointed at one server. What it writes goes to a folder that is removed with this value.
pub struct Dbt {
    program: PathBuf,
    /// The project's folder as the user typed it: the files in reports are relative to where the user is.
    project_dir: PathBuf,
    /// The same from the root, for dbt.
    absolute_dir: PathBuf,
    target: Target,
    vars: Option<String>,
    /// The variables of its `.env`.
    dotenv: BTreeMap<String, String>,
    /// The nodes that are made and tested; all of them where nobody chose.
    selected: Option<Vec<String>>,
    /// dbt itself chooses the tests.
    tests_by_default: bool,
    /// What dbt quotes of the server may be real data, and is not shown.
    hides_rows: bool,
    /// Holds the generated profiles.yml, dbt's target folder and its logs.
    scratch: tempfile::TempDir,
    ui: Ui,
}

/// A run of dbt that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// dbt's exit code: 0 all is well, 1 some nodes failed, 2 dbt could not do its work.
    pub code: i32,
    /// How long it took.
    pub elapsed: Duration,
}

impl Dbt {
    /// Finds dbt on the path and writes its profile.
    pub fn new(
        shell: Shell,
        project_dir: &Path,
        target: Target,
        vars: Option<String>,
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
            scratch,
            ui,
        })
    }

    /// From now on shows only those lines of dbt that hold no values of rows.
    pub fn hide_rows(&mut self) {
        self.hides_rows = true;
    }

    /// From now on makes and tests these nodes alone, each named by a selector.
    pub fn select(&mut self, selected: Vec<String>) {
        self.selected = Some(selected);
    }

    /// From now on tests what dbt's default selector means, which may be less or more than the tests of the selected nodes.
    pub fn keep_default_tests(&mut self) {
        self.tests_by_default = true;
    }

    /// Where this dbt leaves its artifacts.
    pub fn target_dir(&self) -> PathBuf {
        self.scratch.path().join("target")
    }

    /// Installs the project's packages where they are lacking.
    pub async fn install_packages(&self, file: &ProjectFile) -> Result<(), Error> {
        if file.lacks_packages(&self.project_dir) {
            self.must("deps", &[]).await?;
        }
        Ok(())
    }

    /// Parses the project; its manifest then has everything but compiled SQL.
    pub async fn parse(&self) -> Result<Invocation, Error> {
        self.must("parse", &[]).await
    }

    /// Compiles every model, and makes nothing on the server.
    pub async fn compile(&self) -> Result<Invocation, Error> {
        // Nobody wants the tests' SQL, and those of our own dbt package ask a server for it.
        self.must("compile", &["--exclude", "resource_type:test"]).await
    }

    /// What dbt selects when nothing is selected; `None` where that is everything.
    ///
    /// dbt has parsed or compiled the project.
    pub async fn default_selector(&self) -> Result<Option<DefaultSelector>, crate::Error> {
        #[derive(serde::Deserialize)]
        struct Listed {
            unique_id: String,
        }
        let Some(name) = self.manifest()?.default_selector()? else { return Ok(None) };
        let arguments = ["--quiet", "--output", "json", "--output-keys", "unique_id"];
        let (invocation, said) = self.invoke("ls", &arguments).await?;
        if invocation.code != 0 {
            return Err(self.failed("ls", &invocation, &said).into());
        }
        let listed = said.iter().filter_map(|line| serde_json::from_str::<Listed>(line).ok());
        Ok(Some(DefaultSelector { name, ids: listed.map(|listed| listed.unique_id).collect() }))
    }

    /// Makes everything but tests.
    pub async fn build(&self) -> Result<(Invocation, RunResults), Error> {
        // Named one by one: the flag that excludes types came with dbt 1.8.
        self.nodes(
            "build",
            &["--resource-type", "model", "--resource-type", "seed", "--resource-type", "snapshot"],
            self.selected.as_deref(),
        )
        .await
    }

    /// Runs the project's own tests.
    pub async fn test(&self) -> Result<(Invocation, RunResults), Error> {
        // A test that also looks at something that is not selected runs when that is there all the same.
        match self.selected.as_deref().filter(|_| !self.tests_by_default) {
            None => self.nodes("test", &[], None).await,
            selected => self.nodes("test", &["--indirect-selection", "buildable"], selected).await,
        }
    }

    /// Where the manifest of the last invocation lies.
    pub fn manifest_file(&self) -> PathBuf {
        self.target_dir().join("manifest.json")
    }

    /// The manifest that the last invocation left.
    pub fn manifest(&self) -> Result<ManifestFile, Error> {
        ManifestFile::open(&self.manifest_file())
    }

    /// The project in it.
    pub fn project(&self) -> Result<Reading, crate::Error> {
        Ok(self.manifest()?.project()?.with_files_below(&self.project_dir.to_string_lossy()))
    }

    /// The project with compiled SQL for every model: dbt leaves out what it skipped behind a failure.
    pub async fn compiled_project(&self) -> Result<Reading, crate::Error> {
        let project = self.project()?;
        if project.is_compiled() {
            return Ok(project);
        }
        self.compile().await?;
        self.project()
    }

    /// A command that works on nodes, of which some may fail: that is a result, no error.
    async fn nodes(
        &self,
        command: &str,
        arguments: &[&str],
        selected: Option<&[String]>,
    ) -> Result<(Invocation, RunResults), Error> {
        let file = self.target_dir().join("run_results.json");
        // A result of an earlier command would be taken for this one's.
        let _ = std::fs::remove_file(&file);
        let mut arguments = arguments.to_vec();
        if let Some(selected) = selected {
            if selected.is_empty() {
                return Ok((Invocation { code: 0, elapsed: Duration::ZERO }, RunResults::default()));
            }
            arguments.push("--select");
            arguments.extend(selected.iter().map(String::as_str));
        }
        let (invocation, said) = self.invoke(command, &arguments).await?;
        match RunResults::read(&file) {
            Ok(results) if invocation.code <= 1 => Ok((invocation, results)),
            _ => Err(self.failed(command, &invocation, &said)),
        }
    }

    async fn must(&self, command: &str, arguments: &[&str]) -> Result<Invocation, Error> {
        let (invocation, said) = self.invoke(command, arguments).await?;
        if invocation.code == 0 { Ok(invocation) } else { Err(self.failed(command, &invocation, &said)) }
    }

    /// dbt's own words are shown, unless they have been already.
    fn failed(&self, command: &str, invocation: &Invocation, said: &[String]) -> Error {
        if !self.ui.passes_output_on() {
            for line in said {
                output::to_stderr(line);
            }
        }
        Error::Failed { command: command.to_owned(), code: invocation.code }
    }

    async fn invoke(&self, command: &str, arguments: &[&str]) -> Result<(Invocation, Vec<String>), Error> {
        self.ui.open_group(&format!("dbt {command}"));
        let started = Instant::now();
        let started_child = child::start(&mut self.command(command, arguments));
        let (mut child, _ends_with_us) = started_child.map_err(|source| Error::Start { source })?;
        let (lines, mut said) = mpsc::unbounded_channel();
        child::forward(child.stdout.take(), lines.clone());
        child::forward(child.stderr.take(), lines);
        let (mut kept, mut left_out) = (Vec::new(), 0);
        while let Some(line) = said.recv().await {
            let line = self.target.endpoint.password.mask(&line);
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
        // No code is a signal: whatever it was, the work is not done.
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
        self.read_dotenv_for(&mut process);
        self.target.endpoint.rule_out_others(process.as_std_mut());
        for (_, name) in names_of(&LEFT_OUT) {
            process.env_remove(name);
        }
        let scratch = self.scratch.path();
        for (setting, name) in names_of(&["TARGET_PATH", "LOG_PATH"]) {
            process.env(name, scratch.join(if setting == "LOG_PATH" { "logs" } else { "target" }));
        }
        for (setting, value) in OVERRULED {
            for (_, name) in names_of(&[setting]) {
                process.env(name, value);
            }
        }
        if command == "compile" {
            // Then dbt asks a server for nothing but what a model asks for.
            for (_, name) in names_of(&["POPULATE_CACHE"]) {
                process.env(name, "false");
            }
        }
        if command == "ls" {
            // It would write a manifest without compiled SQL over the last one.
            for (_, name) in names_of(&["WRITE_JSON"]) {
                process.env(name, "false");
            }
        }
        if let Some(vars) = &self.vars {
            process.args(["--vars", vars]);
        }
        process
    }

    /// dbt gets the variables of its `.env` from us and does not read it: else it would set again what must not reach it.
    fn read_dotenv_for(&self, process: &mut Command) {
        process.env(DISABLED, "true");
        if self.dotenv.is_empty() {
            return;
        }
        process.envs(&self.dotenv);
        // dbt 2 has no switch, and reads the file of the folder that it is started in.
        if Dotenv::of(&self.program) == Dotenv::Here {
            process.current_dir(self.scratch.path());
        }
    }
}

/// Settings of dbt that this program decides, whatever the environment and the project's `flags` say: what is read of dbt
/// has to be written, and nothing may be sent away.
const OVERRULED: [(&str, &str); 5] = [
    ("WRITE_JSON", "true"),
    ("LOG_FORMAT", "text"),
    ("USE_COLORS", "false"),
    ("SEND_ANONYMOUS_USAGE_STATS", "false"),
    ("UPLOAD_TO_ARTIFACTS_INGEST_API", "false"),
];

/// Settings that are not for dbt's work here: which nodes and how many rows of them it makes, which other project's
/// relations it takes for them, and whether it works at all or plays back what was recorded.
const LEFT_OUT: [&str; 16] = [
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

/// The settings, each with the two names of its variable: dbt 1.11 knows `DBT_ENGINE_STATE` and `DBT_STATE`.
fn names_of<'a>(settings: &'a [&'a str]) -> impl Iterator<Item = (&'a str, String)> {
    settings.iter().flat_map(|setting| {
        [(*setting, format!("DBT_ENGINE_{setting}")), (*setting, format!("DBT_{setting}"))]
    })
}

/// dbt, on the path.
pub fn program(path: &[PathBuf]) -> Option<PathBuf> {
    path.iter().map(|dir| dir.join("dbt")).find(|program| program.is_file())
}

/// The folders of Python packages that lie beside a program of a Python environment.
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
    fn dbt_works_for_us_whatever_the_shell_says() {
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
            assert!(!set.contains_key(name), "{name} is the project's own matter");
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
