//! Combines flags, environment and file.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ApplyOptions, CheckOptions, CommentOptions, ConfigOptions, DoctorOptions, Environment, Error, File,
    FileProblem, HistoryOptions, InitOptions, ModelsOptions, Permissions, PlanBase, PlanOptions,
    ProjectOptions, RehearsalOptions, RenderOptions, ReportOptions, RoundOptions, RunOptions, Selection,
    ServerOptions, SourceOptions, TableOptions, VerifyOptions, WaitLimits, WaitOptions, environment, explain,
    key_line::line_of, server,
};
use crate::{
    cli::{
        ApplyArgs, CheckArgs, CheckingArgs, ColorChoice, CommentArgs, DoctorArgs, Drive, EphemeralArgs,
        FailOn, Given, GlobalArgs, HistoryArgs, InitArgs, MergeArgs, ModelsArgs, PlanArgs, PolicyArgs,
        ProjectArgs, RenderArgs, ReportArgs, RunArgs, SelectArgs, TableArgs, VerifyArgs, VerifyingArgs,
        WaitArgs, WaitingArgs,
    },
    judge::{Criteria, equality},
    output::{self, Ui},
    report::in_force::InForce,
    server::EphemeralSpec,
};

/// Turns the arguments of a subcommand into options.
pub struct Resolver {
    pub ui: Ui,
    environment: Environment,
    invocation: String,
    /// The values of all flags.
    given: Vec<Given>,
    file: File,
    /// The configuration file and its text; `None` without one.
    file_text: Option<(PathBuf, String)>,
    /// The folder of the configuration file. Paths in the file are relative to it.
    file_dir: PathBuf,
    /// The settings that were resolved so far, each with its key in the file, for `config`.
    resolved: RefCell<Vec<(String, InForce)>>,
}

impl Resolver {
    /// Reads the environment and the configuration file. `project_dir` is the value of the flag.
    pub fn new(global: &GlobalArgs, project_dir: Option<&Path>) -> Result<Self, Error> {
        let mut resolver = Self::without_file(global, project_dir)?;
        let (path, is_named) = match &global.config {
            Some(path) => (path.clone(), true),
            None => (resolver.file_dir.join("pgtrickle-ci.yml"), false),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                resolver.file = File::parse(&path, &text)?;
                resolver.file_text = Some((path.clone(), text));
            }
            Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Unreadable { file: path, source }),
        }
        resolver.file_dir = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(resolver)
    }

    /// The same as if there were no configuration file.
    pub fn without_file(global: &GlobalArgs, project_dir: Option<&Path>) -> Result<Self, Error> {
        let environment = Environment::read();
        let project_dir = project_dir.unwrap_or_else(|| environment::default_project_dir());
        if project_dir == environment::default_project_dir() {
            environment.of_dbt("PROJECT_DIR")?;
        }
        Ok(Self {
            ui: ui(global, &environment),
            environment,
            invocation: global.invocation.clone(),
            given: global.given.clone(),
            file: File::default(),
            file_text: None,
            file_dir: project_dir.to_owned(),
            resolved: RefCell::default(),
        })
    }

    pub fn reports(&self, args: &ReportArgs, selection: &SelectArgs) -> ReportOptions {
        let fail_on = self.first(
            ("fail-on", args.fail_on),
            ("checks.fail_on", self.file.checks.fail_on),
            FailOn::Error,
            |fail_on| if *fail_on == FailOn::Warn { "warn".into() } else { "error".into() },
        );
        ReportOptions {
            ui: self.ui,
            json: args.json.clone(),
            junit: args.junit.clone(),
            markdown: args.markdown.clone(),
            html: args.html.clone(),
            strict: fail_on == FailOn::Warn,
            invocation: self.invocation.clone(),
            commit: self.environment.commit(),
            leg: self.environment.leg(),
            runner: self.environment.runner_files(),
            selection: selected(selection).shown(),
        }
    }

    pub fn run(&self, args: &RunArgs) -> RunOptions {
        let sources = SourceOptions::from(&args.sources);
        // Rows copied from another server may be real data: show examples only if the configuration asks for them.
        let shown = if sources.are_copies() { 0 } else { 3 };
        let examples =
            self.of_file(("rehearsal.examples", self.file.rehearsal.examples), shown, u32::to_string);
        RunOptions {
            ui: self.ui,
            project: self.project(&args.project),
            selection: selected(&args.selection),
            base_ref: args.base_ref.clone(),
            server: ServerOptions::from(&args.server),
            ephemeral: server::ephemeral(&args.engine, &self.environment),
            fixtures: self.file.fixtures.iter().map(|file| self.file_dir.join(file)).collect(),
            hides_rows: sources.are_copies() && examples == 0,
            sources,
            permissions: self.permissions(&args.policy),
            wait: self.wait_limits(&args.waiting),
            rounds: self.rounds(&args.verifying),
            terms: self.terms(&args.checking),
            rehearsal: RehearsalOptions {
                examples,
                rows_changed_over: self.file.rehearsal.rows_changed_over,
            },
        }
    }

    pub fn plan(&self, args: &PlanArgs) -> PlanOptions {
        PlanOptions {
            ui: self.ui,
            models: self.models(&args.models),
            base: match (&args.baseline, &args.base_ref) {
                (Some(file), _) => PlanBase::Manifest(file.clone()),
                (None, Some(name)) => PlanBase::Revision(name.clone()),
                (None, None) => PlanBase::Server,
            },
            out: args.out.clone(),
            exit_code: args.exit_code,
            server: ServerOptions::from(&args.server),
            permissions: self.permissions(&args.policy),
        }
    }

    pub fn apply(&self, args: &ApplyArgs) -> ApplyOptions {
        ApplyOptions {
            ui: self.ui,
            plan: args.plan.clone(),
            models: self.models(&args.models),
            server: ServerOptions::from(&args.server),
            permissions: self.permissions(&args.policy),
        }
    }

    pub fn wait(&self, args: &WaitArgs) -> WaitOptions {
        WaitOptions {
            ui: self.ui,
            models: self.models(&args.models),
            refresh: args.refresh,
            server: ServerOptions::from(&args.server),
            wait: self.wait_limits(&args.waiting),
        }
    }

    pub fn check(&self, args: &CheckArgs) -> CheckOptions {
        CheckOptions {
            ui: self.ui,
            models: self.models(&args.models),
            server: ServerOptions::from(&args.server),
            terms: self.terms(&args.checking),
            equality: args.equality.then(|| self.budget(args.budget)),
            equality_terms: self.equality(),
            shard: args.shard,
            compare: args.compare.clone(),
            freshness: args.freshness.clone(),
        }
    }

    pub fn verify(&self, args: &VerifyArgs) -> VerifyOptions {
        VerifyOptions {
            ui: self.ui,
            models: self.models(&args.models),
            only_static: args.only_static,
            rounds: self.rounds(&args.verifying),
            server: ServerOptions::from(&args.server),
        }
    }

    pub fn table(&self, args: &TableArgs) -> TableOptions {
        // No dbt command is started, so their limit does not matter.
        let project = ProjectOptions::new(&args.profile, Duration::ZERO, &self.environment, self.ui);
        let models = ModelsOptions {
            project,
            manifest: args.manifest.clone(),
            no_compile: true,
            selection: Selection::default(),
            allow_empty: true,
        };
        TableOptions {
            ui: self.ui,
            name: args.name.clone(),
            models,
            server: ServerOptions::from(&args.server),
            terms: self.terms(&CheckingArgs { fail_on_fallback: false }),
            json: args.json.clone(),
        }
    }

    pub fn history(&self, args: &HistoryArgs) -> HistoryOptions {
        HistoryOptions { table: self.table(&args.table), last: args.last }
    }

    /// Takes what is wrong with the configuration file, if this resolver does without it.
    pub fn doctor(&self, args: &DoctorArgs, problem: Option<&Error>) -> DoctorOptions {
        let models = self.models(&args.models);
        let Self { file, file_dir, .. } = self;
        let path = self.file_text.as_ref().map(|(path, _)| path.clone());
        DoctorOptions {
            ui: self.ui,
            // Nothing is compiled.
            models: ModelsOptions { no_compile: true, ..models },
            server: ServerOptions::from(&args.server),
            ephemeral: server::ephemeral(&args.engine, &self.environment),
            permissions: Permissions {
                allow_drop: file.plan.allow_drop.clone(),
                allow_recreate: file.plan.allow_recreate.clone(),
            },
            terms: self.terms(&CheckingArgs { fail_on_fallback: false }),
            fixtures: file.fixtures.iter().map(|fixture| file_dir.join(fixture)).collect(),
            waited_for: file.wait.models.keys().cloned().collect(),
            skipped: file.verify.skip.clone(),
            file: match problem {
                None => Ok(path),
                Some(error) => Err(FileProblem { message: error.to_string(), hint: error.hint() }),
            },
        }
    }

    /// The settings that `run` uses with these flags.
    pub fn config(&self, args: &RunArgs) -> ConfigOptions {
        let run = self.run(args);
        self.reports(&args.reports, &args.selection);
        let mut settings = self.resolved.take();
        let is_resolved = |name: &str| settings.iter().any(|(_, setting)| setting.name == name);
        let flags = self.given.iter().filter(|given| !is_resolved(&given.flag)).map(|given| {
            let Given { flag, value, .. } = given.clone();
            (String::new(), InForce { name: flag, value, from: given.setter() })
        });
        let flags: Vec<_> = flags.collect();
        let text = self.file_text.as_ref().map(|(_, text)| text.as_str()).unwrap_or_default();
        let is_known = |key: &str| settings.iter().any(|(known, _)| known == key);
        let keys: Vec<_> = File::keys_of(text)
            .into_iter()
            .filter(|(key, _)| !is_known(key))
            .map(|(key, value)| (String::new(), InForce { from: self.line_of(&key), name: key, value }))
            .collect();
        settings.extend(flags.into_iter().chain(keys));
        ConfigOptions {
            ui: self.ui,
            project: run.project,
            server: run.server,
            file: self.file_text.as_ref().map(|(path, _)| path.clone()),
            settings: settings.into_iter().map(|(_, setting)| setting).collect(),
        }
    }

    pub fn merged(&self, args: &MergeArgs) -> ReportOptions {
        self.reports(&args.reports, &SelectArgs { select: Vec::new(), exclude: Vec::new() })
    }

    pub fn comment(&self, args: &CommentArgs) -> CommentOptions {
        CommentOptions {
            ui: self.ui,
            environment: self.environment.clone(),
            from_report: args.from_report.clone(),
            when: args.when.or(self.file.comment.when).unwrap_or_default(),
            key: args.comment_key.clone().or_else(|| self.file.comment.key.clone()),
            dry_run: args.dry_run,
            runner: self.environment.runner_files(),
        }
    }

    pub fn render(&self, args: &RenderArgs) -> RenderOptions {
        RenderOptions { ui: self.ui, reports: args.reports.clone(), html: args.html.clone() }
    }

    pub fn init(&self, args: &InitArgs) -> InitOptions {
        let default = environment::default_project_dir();
        let dir = args.project_dir.clone().unwrap_or_else(|| default.to_owned());
        InitOptions { ui: self.ui, dir }
    }

    pub fn ephemeral(&self, args: &EphemeralArgs) -> EphemeralSpec {
        server::ephemeral(&args.engine, &self.environment)
    }

    fn project(&self, args: &ProjectArgs) -> ProjectOptions {
        let dbt_timeout = self.first(
            ("dbt-timeout", args.dbt_timeout),
            ("dbt.timeout", self.file.dbt.timeout),
            Duration::from_hours(1),
            duration,
        );
        ProjectOptions::new(&args.profile, dbt_timeout, &self.environment, self.ui)
    }

    fn models(&self, args: &ModelsArgs) -> ModelsOptions {
        ModelsOptions {
            project: self.project(&args.project),
            manifest: args.manifest.manifest.clone(),
            no_compile: args.manifest.no_compile,
            selection: selected(&args.selection),
            allow_empty: self.file.allow_empty,
        }
    }

    fn permissions(&self, args: &PolicyArgs) -> Permissions {
        let both = |flag: &[String], file: &[String]| flag.iter().chain(file).cloned().collect();
        Permissions {
            allow_drop: both(&args.allow_drop, &self.file.plan.allow_drop),
            allow_recreate: both(&args.allow_recreate, &self.file.plan.allow_recreate),
        }
    }

    fn wait_limits(&self, args: &WaitingArgs) -> WaitLimits {
        let timeout = self.first(
            ("timeout", args.timeout),
            ("wait.timeout", self.file.wait.timeout),
            Duration::from_mins(2),
            duration,
        );
        WaitLimits { timeout, models: self.file.wait.models.clone() }
    }

    fn terms(&self, args: &CheckingArgs) -> Criteria {
        Criteria {
            common_age: self.file.freshness,
            fail_on_fallback: self.first(
                ("fail-on-fallback", args.fail_on_fallback.then_some(true)),
                ("checks.fail_on_fallback", self.file.checks.fail_on_fallback.then_some(true)),
                false,
                bool::to_string,
            ),
            silences: self.file.checks.silence.iter().map(Into::into).collect(),
            ..Criteria::default()
        }
    }

    fn rounds(&self, args: &VerifyingArgs) -> RoundOptions {
        RoundOptions {
            allow_writes: args.allow_writes.clone(),
            budget: self.budget(args.budget),
            seed: self.first(("seed", args.seed), ("verify.seed", self.file.verify.seed), 1, u64::to_string),
            shard: args.shard,
            until_found: args.until_found,
            by_scheduler: args.drive == Drive::Scheduler,
            findings: args.corpus.clone().unwrap_or_else(|| args.findings.clone()),
            replays: args.corpus.is_some(),
            min_rounds: self.file.verify.min_rounds,
            equality: self.equality(),
        }
    }

    fn budget(&self, typed: Option<Duration>) -> Duration {
        self.first(
            ("budget", typed),
            ("verify.budget", self.file.verify.budget),
            Duration::from_secs(20),
            duration,
        )
    }

    fn equality(&self) -> equality::Terms {
        equality::Terms {
            tolerance: self.of_file(
                ("verify.float_tolerance", self.file.verify.float_tolerance),
                1e-9,
                |tolerance| format!("{tolerance:e}"),
            ),
            skip: self.file.verify.skip.clone(),
        }
    }

    /// The value of the flag, else of the key in the file, else the default.
    fn first<T>(
        &self,
        (flag, typed): (&str, Option<T>),
        (key, file): (&str, Option<T>),
        default: T,
        shown: impl Fn(&T) -> String,
    ) -> T {
        let (value, from) = match (typed, file) {
            (Some(value), _) => (value, self.setter_of(flag)),
            (None, Some(value)) => (value, self.line_of(key)),
            (None, None) => (default, "the default".to_owned()),
        };
        self.note((flag, key), shown(&value), from);
        value
    }

    /// The value of a key in the file that no flag sets, else the default.
    fn of_file<T>(&self, (key, file): (&str, Option<T>), default: T, shown: impl Fn(&T) -> String) -> T {
        let from = if file.is_some() { self.line_of(key) } else { "the default".to_owned() };
        let value = file.unwrap_or(default);
        self.note((key, key), shown(&value), from);
        value
    }

    fn note(&self, (name, key): (&str, &str), value: String, from: String) {
        explain(self.ui, name, &value, &from);
        let setting = InForce { name: name.to_owned(), value, from };
        self.resolved.borrow_mut().push((key.to_owned(), setting));
    }

    /// The flag, or its variable.
    fn setter_of(&self, flag: &str) -> String {
        let given = self.given.iter().find(|given| given.flag == flag);
        given.map_or_else(|| format!("--{flag}"), Given::setter)
    }

    /// The file with the line of a key.
    fn line_of(&self, key: &str) -> String {
        let Some((path, text)) = &self.file_text else { return "the configuration file".into() };
        let line = line_of(text, key).map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}", path.display())
    }
}

fn duration(duration: &Duration) -> String {
    humantime::format_duration(*duration).to_string()
}

fn selected(args: &SelectArgs) -> Selection {
    Selection { select: args.select.clone(), exclude: args.exclude.clone() }
}

fn ui(global: &GlobalArgs, environment: &Environment) -> Ui {
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
