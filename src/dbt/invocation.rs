//! Running dbt against a server of our choice, without touching the user's files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    sync::mpsc,
};

use super::{Error, ProjectFile, RunResults, Target, profile::PASSWORD_VARIABLE};
use crate::{
    model::Relation,
    output::{self, Ui},
    project::{self, Declared, Graph, Project, Selection, Selector},
};

/// dbt, pointed at one server. What it writes goes to a folder that is removed with this value.
pub struct Dbt {
    program: PathBuf,
    project_dir: PathBuf,
    target: Target,
    vars: Option<String>,
    /// The nodes that are made and tested; all of them where nobody chose.
    selected: Option<Vec<String>>,
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
        path: &[PathBuf],
        project_dir: &Path,
        target: Target,
        vars: Option<String>,
        ui: Ui,
    ) -> Result<Self, Error> {
        let program = program(path).ok_or(Error::NotInstalled)?;
        let scratch = tempfile::Builder::new().prefix("pgtrickle-ci-dbt-").tempdir();
        let scratch = scratch.map_err(|source| Error::Start { source })?;
        target.write(scratch.path())?;
        Ok(Self { program, project_dir: project_dir.to_owned(), target, vars, selected: None, scratch, ui })
    }

    /// From now on makes and tests these nodes alone, each named by a selector.
    pub fn select(&mut self, selected: Vec<String>) {
        self.selected = Some(selected);
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
        self.must("compile", &[]).await
    }

    /// Makes everything but tests.
    pub async fn build(&self) -> Result<(Invocation, RunResults), Error> {
        // Named one by one: the flag that excludes types came with dbt 1.8.
        self.nodes(
            "build",
            &["--resource-type", "model", "--resource-type", "seed", "--resource-type", "snapshot"],
        )
        .await
    }

    /// Runs the project's own tests.
    pub async fn test(&self) -> Result<(Invocation, RunResults), Error> {
        // A test that also looks at something that is not selected runs when that is there all the same.
        let which: &[&str] =
            if self.selected.is_none() { &[] } else { &["--indirect-selection", "buildable"] };
        self.nodes("test", which).await
    }

    /// The manifest that the last invocation left.
    pub fn manifest(&self) -> Result<Project, crate::Error> {
        let project = read_manifest(&self.target_dir().join("manifest.json"))?;
        Ok(project.with_files_below(&self.project_dir.to_string_lossy()))
    }

    /// What is wrong with the stream tables' models, all of it at once; known before anything is compiled.
    pub fn check(&self) -> Result<(), crate::Error> {
        match self.manifest() {
            Err(crate::Error::Project(project::Error::NotCompiled { .. })) => Ok(()),
            read => read.map(drop),
        }
    }

    /// The sources that these models read, or all models; known before anything is compiled.
    pub fn sources(
        &self,
        models: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<Relation, BTreeSet<String>>, crate::Error> {
        let (file, bytes) = self.manifest_bytes()?;
        Ok(Project::read_sources(&file, &bytes, models)?)
    }

    /// The sources as the project's YAML declares them; known before anything is compiled.
    pub fn declared_sources(&self) -> Result<BTreeMap<Relation, Declared>, crate::Error> {
        let (file, bytes) = self.manifest_bytes()?;
        Ok(project::declared(&file, &bytes)?)
    }

    /// Who reads whom; known before anything is compiled.
    pub fn graph(&self) -> Result<Graph, crate::Error> {
        let (file, bytes) = self.manifest_bytes()?;
        Ok(Project::read_graph(&file, &bytes)?)
    }

    /// For each model, seed and snapshot a selector that means it alone.
    pub fn exact_names(&self) -> Result<BTreeMap<String, String>, crate::Error> {
        let (file, bytes) = self.manifest_bytes()?;
        Ok(project::exact_names(&file, &bytes)?)
    }

    /// Where the manifest of the last invocation lies.
    pub fn manifest_file(&self) -> PathBuf {
        self.target_dir().join("manifest.json")
    }

    fn manifest_bytes(&self) -> Result<(String, Vec<u8>), Error> {
        let file = self.manifest_file();
        Ok((file.display().to_string(), read_bytes(&file)?))
    }

    /// A manifest with compiled SQL for every model: dbt leaves out what it skipped behind a failure.
    pub async fn compiled_manifest(&self) -> Result<Project, crate::Error> {
        match self.manifest() {
            Err(crate::Error::Project(project::Error::NotCompiled { .. })) => {
                self.compile().await?;
                self.manifest()
            }
            read => read,
        }
    }

    /// A command that works on nodes, of which some may fail: that is a result, no error.
    async fn nodes(&self, command: &str, arguments: &[&str]) -> Result<(Invocation, RunResults), Error> {
        let file = self.target_dir().join("run_results.json");
        // A result of an earlier command would be taken for this one's.
        let _ = std::fs::remove_file(&file);
        let mut arguments = arguments.to_vec();
        if let Some(selected) = &self.selected {
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
        let mut child = self.command(command, arguments).spawn().map_err(|source| Error::Start { source })?;
        let (lines, mut said) = mpsc::unbounded_channel();
        forward(child.stdout.take(), lines.clone());
        forward(child.stderr.take(), lines);
        let mut kept = Vec::new();
        while let Some(line) = said.recv().await {
            let line = self.target.endpoint.password.mask(&line);
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

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut process = Command::new(&self.program);
        process
            .args([command, "--project-dir"])
            .arg(&self.project_dir)
            .arg("--profiles-dir")
            .arg(self.scratch.path())
            .args(["--profile", &self.target.profile, "--target", &self.target.name])
            .args(arguments)
            .env("DBT_TARGET_PATH", self.target_dir())
            .env("DBT_LOG_PATH", self.scratch.path().join("logs"))
            .env(PASSWORD_VARIABLE, self.target.endpoint.password.reveal())
            .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
            .env("DBT_USE_COLORS", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if command == "compile" {
            // Then dbt asks a server for nothing but what a model asks for.
            process.env("DBT_POPULATE_CACHE", "false");
        }
        if let Some(vars) = &self.vars {
            process.args(["--vars", vars]);
        }
        process
    }
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

/// Reads a manifest, with the compiled SQL that lies beside it for models whose own copy is lost.
pub fn read_manifest(file: &Path) -> Result<Project, crate::Error> {
    let bytes = read_bytes(file)?;
    let target_dir = file.parent().unwrap_or(Path::new("."));
    let compiled = |package: &str, model: &str| super::compiled_sql(target_dir, package, model);
    Ok(Project::read(&file.display().to_string(), &bytes, compiled)?)
}

/// What a selector means in a manifest, where `baseline` is the one that states are told from.
pub fn read_selection(
    file: &Path,
    selector: &Selector,
    baseline: Option<&Path>,
) -> Result<Selection, crate::Error> {
    let baseline =
        baseline.map(|file| Ok::<_, Error>((file.display().to_string(), read_bytes(file)?))).transpose()?;
    let baseline = baseline.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    Ok(selector.find((&file.display().to_string(), &read_bytes(file)?), baseline)?)
}

fn read_bytes(file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Error::NoManifest { file: file.to_owned() };
        }
        Error::unreadable(file)(error)
    })
}

fn forward(stream: Option<impl AsyncRead + Unpin + Send + 'static>, lines: mpsc::UnboundedSender<String>) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}
