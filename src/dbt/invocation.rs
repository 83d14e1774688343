//! dbt's commands against a given server, without changing the user's files.

mod process;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::{
    DefaultSelector, Error, ManifestFile, ProjectFile, RunResults, Started, Target, fork_server::Session,
};
use crate::{output::Ui, project::Reading};

/// dbt with one target. Its output goes to a temporary folder, which is removed with this value.
pub struct Dbt {
    /// `None` if each command is a process of its own.
    session: Mutex<Option<Session>>,
    /// The project's folder as the user wrote it, for the paths in reports.
    project_dir: PathBuf,
    /// The absolute path of the same folder, for dbt.
    absolute_dir: PathBuf,
    target: Target,
    vars: Option<String>,
    /// The nodes to build and test; `None` for all.
    selected: Option<Vec<String>>,
    /// Whether dbt's default selector chooses the tests.
    tests_by_default: bool,
    /// Whether to hide what dbt quotes from the server, because it may be real data.
    hides_rows: bool,
    /// The limit for each command.
    timeout: Duration,
    /// Holds the generated profiles.yml, dbt's target folder and its logs.
    folder: TempDir,
    // Dropped last: its folder has ours.
    started: Arc<Started>,
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
    /// Writes dbt's profile.
    pub async fn new(
        started: Arc<Started>,
        project_dir: &Path,
        target: Target,
        vars: Option<String>,
        timeout: Duration,
        ui: Ui,
    ) -> Result<Self, Error> {
        let absolute_dir = std::path::absolute(project_dir).map_err(|source| Error::Start { source })?;
        let folder = started.folder()?;
        target.write(folder.path())?;
        Ok(Self {
            session: Mutex::new(started.session().await),
            started,
            project_dir: project_dir.to_owned(),
            absolute_dir,
            target,
            vars,
            selected: None,
            tests_by_default: false,
            hides_rows: false,
            timeout,
            folder,
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
        self.folder.path().join("target")
    }

    fn log_dir(&self) -> PathBuf {
        self.folder.path().join("logs")
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
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{dbt::Shell, pg::Endpoint};

    #[tokio::test]
    async fn the_shell_does_not_change_what_dbt_does() {
        let bin = tempfile::tempdir().unwrap();
        std::fs::write(bin.path().join("dbt"), "").unwrap();
        let dotenv = [("PGSERVICE", "nowhere"), ("DBT_DEFER", "true"), ("SHOP", "7")];
        let dotenv = dotenv.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let started = Started::new(Shell { path: vec![bin.path().to_owned()], dotenv }).unwrap();
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
        let ui = Ui { quiet: true, verbose: false, full: false, color: false, width: 80, runner: false };
        let limit = Duration::from_mins(1);
        let dbt = Dbt::new(started.into(), Path::new("."), target, None, limit, ui).await.unwrap();
        let command = dbt.command("compile", &[]);
        let set: BTreeMap<_, _> = command
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
            assert_eq!(set[name], dbt.target_dir().to_str());
        }
        assert_eq!(set["DBT_ENGINE_POPULATE_CACHE"], Some("false"));
    }
}
