//! Combines flags, environment and file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;

use super::{
    ApplyOptions, CheckOptions, CommentOptions, ConfigOptions, DoctorOptions, Environment, Error, File,
    FileProblem, HistoryOptions, InitOptions, ModelsOptions, Permissions, PlanBase, PlanOptions,
    ProjectOptions, RehearsalOptions, ReportOptions, RoundOptions, RunOptions, Selection, ServerOptions,
    Sharding, ShownOptions, SourceOptions, TableOptions, VerifyOptions, WaitLimits, WaitOptions, environment,
    project::OfFile,
    server,
    settings::{Name, Settings},
};
use crate::{
    cli::{
        ApplyArgs, CheckArgs, CheckingArgs, ColorChoice, CommentArgs, DoctorArgs, Drive, EngineArg,
        EngineArgs, EphemeralArgs, FailOn, GlobalArgs, HIDDEN, HistoryArgs, InitArgs, MergeArgs, ModelsArgs,
        PlanArgs, PolicyArgs, ProfileArgs, ProjectArgs, ReportArgs, RunArgs, SelectArgs, ServerArgs,
        ShownArgs, TableArgs, VerifyArgs, VerifyingArgs, WaitArgs, WaitingArgs,
    },
    judge::{Criteria, Silence, equality},
    model::Shard,
    output::{self, Ui},
    pg,
    server::EphemeralSpec,
};

/// Turns the arguments of a subcommand into options.
pub struct Resolver {
    pub ui: Ui,
    environment: Environment,
    invocation: String,
    settings: Settings,
    file: File,
}

impl Resolver {
    /// Reads the environment and the configuration file. `project_dir` is the value of the flag.
    pub fn new(global: &GlobalArgs, project_dir: Option<&Path>) -> Result<Self, Error> {
        let mut resolver = Self::without_file(global, project_dir)?;
        let beside_project = || resolver.settings.beside_file(Path::new("pgtrickle-ci.yml"));
        let path = global.config.clone().unwrap_or_else(beside_project);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                resolver.file = File::parse(&path, &text)?;
                resolver.settings = resolver.settings.with_file(path, text);
            }
            Err(error) if global.config.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Unreadable { file: path, source }),
        }
        Ok(resolver)
    }

    /// The same as if there were no configuration file.
    pub fn without_file(global: &GlobalArgs, project_dir: Option<&Path>) -> Result<Self, Error> {
        let environment = Environment::read();
        let project_dir = project_dir.unwrap_or_else(|| environment::default_project_dir());
        if project_dir == environment::default_project_dir() {
            environment.of_dbt("PROJECT_DIR")?;
        }
        let ui = ui(global, &environment);
        Ok(Self {
            ui,
            environment,
            invocation: global.invocation.clone(),
            settings: Settings::new(ui, global.given.clone(), project_dir.to_owned()),
            file: File::default(),
        })
    }

    /// Fails if two reports have the same file.
    pub fn reports(&self, args: &ReportArgs, selection: &SelectArgs) -> Result<ReportOptions, Error> {
        let (settings, file) = (&self.settings, &self.file.reports);
        let fail_on = settings.first_shown(
            ("fail-on", "checks.fail_on"),
            args.fail_on,
            self.file.checks.fail_on,
            FailOn::default(),
            name,
        );
        let reports = ReportOptions {
            ui: self.ui,
            json: settings.path(("json", "reports.json"), args.json.as_ref(), file.json.as_ref()),
            junit: settings.path(("junit", "reports.junit"), args.junit.as_ref(), file.junit.as_ref()),
            markdown: settings.path(
                ("markdown", "reports.markdown"),
                args.markdown.as_ref(),
                file.markdown.as_ref(),
            ),
            html: settings.path(("html", "reports.html"), args.html.as_ref(), file.html.as_ref()),
            strict: fail_on == FailOn::Warn,
            invocation: self.invocation.clone(),
            commit: self.environment.commit(),
            leg: self.environment.leg(),
            runner: self.environment.runner_files(),
            selection: self.selection(selection).shown(),
        };
        let files = [&reports.json, &reports.junit, &reports.markdown, &reports.html];
        let same = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let files: Vec<&PathBuf> = files.into_iter().flatten().filter(|file| *file != "/dev/null").collect();
        let is_earlier = |(number, file): &(usize, &&PathBuf)| {
            files[..*number].iter().any(|earlier| same(earlier) == same(file))
        };
        match files.iter().enumerate().find(is_earlier) {
            Some((_, file)) => Err(Error::SameFile { file: (*file).clone() }),
            None => Ok(reports),
        }
    }

    pub fn run(&self, args: &RunArgs) -> RunOptions {
        let sources = self.sources(args);
        // Rows copied from another server may be real data: show examples only if the configuration asks for them.
        let shown = if sources.are_copies() { 0 } else { 3 };
        let examples =
            self.settings.of_file("rehearsal.examples", self.file.rehearsal.examples, shown, u32::to_string);
        RunOptions {
            ui: self.ui,
            project: self.project(&args.project),
            selection: self.selection(&args.selection),
            base_ref: self.base_ref(args),
            server: self.server(&args.server),
            ephemeral: self.ephemeral_server(&args.engine),
            fixtures: self.fixtures(),
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
            allow_empty: self.file.allow_empty,
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
            server: self.server(&args.server),
            permissions: self.permissions(&args.policy),
        }
    }

    pub fn apply(&self, args: &ApplyArgs) -> ApplyOptions {
        ApplyOptions {
            ui: self.ui,
            plan: args.plan.clone(),
            models: self.models(&args.models),
            server: self.server(&args.server),
            permissions: self.permissions(&args.policy),
        }
    }

    pub fn wait(&self, args: &WaitArgs) -> WaitOptions {
        WaitOptions {
            ui: self.ui,
            models: self.models(&args.models),
            refresh: args.refresh,
            server: self.server(&args.server),
            wait: self.wait_limits(&args.waiting),
        }
    }

    pub fn check(&self, args: &CheckArgs) -> CheckOptions {
        CheckOptions {
            ui: self.ui,
            models: self.models(&args.models),
            server: self.server(&args.server),
            terms: self.terms(&args.checking),
            equality: args.equality.then(|| self.budget(args.budget)),
            equality_terms: self.equality(),
            sharding: sharding(args.shard, args.durations.as_ref()),
            jobs: self.jobs(args.jobs),
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
            server: self.server(&args.server),
        }
    }

    pub fn table(&self, args: &TableArgs) -> TableOptions {
        // No dbt command is started, so their limit does not matter.
        let project = self.project_with(&args.profile, Duration::ZERO);
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
            server: self.server(&args.server),
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
        let file = &self.file;
        DoctorOptions {
            ui: self.ui,
            // Nothing is compiled.
            models: ModelsOptions { no_compile: true, ..models },
            server: self.server(&args.server),
            ephemeral: self.ephemeral_server(&args.engine),
            permissions: Permissions {
                allow_drop: file.plan.allow_drop.clone(),
                allow_recreate: file.plan.allow_recreate.clone(),
            },
            terms: self.terms(&CheckingArgs { fail_on_fallback: false }),
            fixtures: self.fixtures(),
            waited_for: file.wait.models.keys().cloned().collect(),
            skipped: file.verify.skip.clone(),
            file: match problem {
                None => Ok(self.settings.file()),
                Some(error) => Err(FileProblem { message: error.to_string(), hint: error.hint() }),
            },
        }
    }

    /// The settings that `run` uses with these flags.
    pub fn config(&self, args: &RunArgs) -> Result<ConfigOptions, Error> {
        let run = self.run(args);
        self.reports(&args.reports, &args.selection)?;
        Ok(ConfigOptions {
            ui: self.ui,
            project: run.project,
            server: run.server,
            file: self.settings.file(),
            settings: self.settings.all(),
        })
    }

    pub fn merged(&self, args: &MergeArgs) -> Result<ReportOptions, Error> {
        let nothing = SelectArgs { select: Vec::new(), exclude: Vec::new() };
        // The merged reports say what they selected.
        Ok(ReportOptions { selection: None, ..self.reports(&args.reports, &nothing)? })
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

    pub fn shown(&self, args: &ShownArgs) -> ShownOptions {
        let ShownArgs { files, junit, markdown, html } = args.clone();
        ShownOptions { ui: self.ui, files, junit, markdown, html }
    }

    pub fn init(&self, args: &InitArgs) -> InitOptions {
        let default = environment::default_project_dir();
        let dir = args.project_dir.clone().unwrap_or_else(|| default.to_owned());
        InitOptions { ui: self.ui, dir }
    }

    pub fn ephemeral(&self, args: &EphemeralArgs) -> EphemeralSpec {
        self.ephemeral_server(&args.engine)
    }

    fn project(&self, args: &ProjectArgs) -> ProjectOptions {
        let dbt_timeout = self.settings.first_shown(
            ("dbt-timeout", "dbt.timeout"),
            args.dbt_timeout,
            self.file.dbt.timeout,
            Duration::from_hours(1),
            duration,
        );
        self.project_with(&args.profile, dbt_timeout)
    }

    fn project_with(&self, args: &ProfileArgs, dbt_timeout: Duration) -> ProjectOptions {
        let of_file = OfFile {
            profile: self.file.dbt.profile.clone(),
            target: self.file.dbt.target.clone(),
            profiles_dir: self.file.dbt.profiles_dir.as_deref().map(|dir| self.settings.beside_file(dir)),
        };
        // As JSON, which is YAML: its texts are in quotes, so that no version of dbt takes one for a number or a date.
        let vars = self.file.dbt.vars.as_ref().map(|vars| serde_json::to_string(vars).unwrap_or_default());
        let vars = self.settings.either(("vars", "dbt.vars"), args.vars.clone(), vars, |_| HIDDEN.into());
        ProjectOptions::new(args, of_file, vars, dbt_timeout, &self.environment, self.ui)
    }

    fn models(&self, args: &ModelsArgs) -> ModelsOptions {
        ModelsOptions {
            project: self.project(&args.project),
            manifest: args.manifest.manifest.clone(),
            no_compile: args.manifest.no_compile,
            selection: self.selection(&args.selection),
            allow_empty: self.file.allow_empty,
        }
    }

    fn permissions(&self, args: &PolicyArgs) -> Permissions {
        // They add up, and `config` shows both.
        let both = |flag: &[String], file: &[String]| flag.iter().chain(file).cloned().collect();
        Permissions {
            allow_drop: both(&args.allow_drop, &self.file.plan.allow_drop),
            allow_recreate: both(&args.allow_recreate, &self.file.plan.allow_recreate),
        }
    }

    fn wait_limits(&self, args: &WaitingArgs) -> WaitLimits {
        let timeout = self.settings.first_shown(
            ("timeout", "wait.timeout"),
            args.timeout,
            self.file.wait.timeout,
            Duration::from_mins(2),
            duration,
        );
        WaitLimits { timeout, models: self.file.wait.models.clone() }
    }

    fn terms(&self, args: &CheckingArgs) -> Criteria {
        Criteria {
            common_age: self.file.freshness,
            fail_on_fallback: self.is_on(
                ("fail-on-fallback", "checks.fail_on_fallback"),
                args.fail_on_fallback,
                self.file.checks.fail_on_fallback,
            ),
            silences: self.silences(),
            ..Criteria::default()
        }
    }

    fn silences(&self) -> Vec<Silence> {
        self.file.checks.silence.iter().map(Into::into).collect()
    }

    fn rounds(&self, args: &VerifyingArgs) -> RoundOptions {
        let (settings, file) = (&self.settings, &self.file.verify);
        // Of the two folders a typed one counts: each takes new scripts.
        let of_file = if args.findings.is_some() { None } else { file.corpus.as_ref() };
        let corpus = settings.path(("corpus", "verify.corpus"), args.corpus.as_ref(), of_file);
        let findings = corpus.clone().unwrap_or_else(|| {
            let of_file = file.findings.as_ref().map(|folder| settings.beside_file(folder));
            let (name, default) = (("findings", "verify.findings"), "pgtrickle-ci-findings".into());
            settings.first_shown(name, args.findings.clone(), of_file, default, |folder| {
                folder.display().to_string()
            })
        });
        let drive =
            settings.first_shown(("drive", "verify.drive"), args.drive, file.drive, Drive::default(), name);
        RoundOptions {
            allow_writes: args.allow_writes.clone(),
            budget: self.budget(args.budget),
            seed: settings.first(("seed", "verify.seed"), args.seed, file.seed, 1),
            sharding: sharding(args.shard, args.durations.as_ref()),
            jobs: self.jobs(args.jobs),
            until_found: self.is_on(
                ("until-found", "verify.until_found"),
                args.until_found,
                file.until_found,
            ),
            by_scheduler: drive == Drive::Scheduler,
            replays: corpus.is_some(),
            findings,
            min_rounds: file.min_rounds,
            partitions: file.partitions,
            open_transactions: file.open_transactions,
            equality: self.equality(),
        }
    }

    fn budget(&self, typed: Option<Duration>) -> Duration {
        self.settings.first_shown(
            ("budget", "verify.budget"),
            typed,
            self.file.verify.budget,
            Duration::from_secs(20),
            duration,
        )
    }

    fn jobs(&self, typed: Option<u32>) -> Option<u32> {
        self.settings.either(("jobs", "verify.jobs"), typed, self.file.verify.jobs, u32::to_string)
    }

    fn equality(&self) -> equality::Terms {
        equality::Terms {
            tolerance: self.settings.of_file(
                "verify.float_tolerance",
                self.file.verify.float_tolerance,
                1e-9,
                |tolerance| format!("{tolerance:e}"),
            ),
            skip: self.file.verify.skip.clone(),
            silences: self.silences(),
        }
    }

    /// The revision that `run` deploys first. A named server is not rehearsed on.
    fn base_ref(&self, args: &RunArgs) -> Option<String> {
        let of_file = self.file.rehearsal.base_ref.clone().filter(|_| args.server.database_url.is_none());
        self.settings.either(
            ("base-ref", "rehearsal.base_ref"),
            args.base_ref.clone(),
            of_file,
            String::to_string,
        )
    }

    /// Where an ephemeral server gets its sources. A named server has its own.
    fn sources(&self, args: &RunArgs) -> SourceOptions {
        let typed = &args.sources;
        if let Some(from) = &typed.sources_from {
            let rows =
                self.settings.either(("sample", "sample"), typed.sample, self.file.sample, u32::to_string);
            return SourceOptions::Copies { from: from.clone(), rows };
        }
        let is_on = self.is_on(
            ("stub-sources", "stub_sources"),
            typed.stub_sources,
            self.file.stub_sources && args.server.database_url.is_none(),
        );
        if is_on { SourceOptions::Stubs } else { SourceOptions::Existing }
    }

    fn fixtures(&self) -> Vec<PathBuf> {
        self.file.fixtures.iter().map(|file| self.settings.beside_file(file)).collect()
    }

    fn selection(&self, args: &SelectArgs) -> Selection {
        Selection {
            select: self.settings.words(("select", "select"), &args.select, &self.file.select),
            exclude: self.settings.words(("exclude", "exclude"), &args.exclude, &self.file.exclude),
        }
    }

    fn server(&self, args: &ServerArgs) -> ServerOptions {
        let (settings, file) = (&self.settings, &self.file.server);
        let limit = |name, typed, file, default| {
            settings.first_shown(name, typed, file, Duration::from_secs(default), duration)
        };
        ServerOptions {
            url: args.database_url.clone(),
            limits: pg::Limits {
                connect: Duration::from_secs(10),
                statement: limit(
                    ("statement-timeout", "server.statement_timeout"),
                    args.statement_timeout,
                    file.statement_timeout,
                    30,
                ),
                lock: limit(
                    ("lock-timeout", "server.lock_timeout"),
                    args.lock_timeout,
                    file.lock_timeout,
                    10,
                ),
            },
        }
    }

    fn ephemeral_server(&self, args: &EngineArgs) -> EphemeralSpec {
        let (settings, file) = (&self.settings, &self.file.ephemeral);
        // A typed folder or version of the emulator takes the place of an image in the file, and the other way round.
        let is_typed = args.pg_bin.is_some() || args.engine_version.is_some();
        let image = file.image.clone().filter(|_| !is_typed);
        let image = settings.either(("image", "ephemeral.image"), args.image.clone(), image, String::clone);
        let of_file = |path| if image.is_some() { None } else { path };
        let engine = settings.first_shown(
            ("engine", "ephemeral.engine"),
            args.engine,
            file.engine,
            EngineArg::default(),
            name,
        );
        let version = settings.either(
            ("engine-version", "ephemeral.engine_version"),
            args.engine_version,
            file.engine_version.filter(|_| image.is_none()),
            name,
        );
        let pg_bin = settings.path(
            ("pg-bin", "ephemeral.pg_bin"),
            args.pg_bin.as_ref(),
            of_file(file.pg_bin.as_ref()),
        );
        server::ephemeral(engine, version, pg_bin, image, &self.environment)
    }

    /// Whether a switch is on: the flag cannot turn off what the file turns on.
    fn is_on(&self, name: Name<'_>, typed: bool, file: bool) -> bool {
        self.settings.first(name, typed.then_some(true), file.then_some(true), false)
    }
}

fn sharding(shard: Option<Shard>, durations: Option<&PathBuf>) -> Option<Sharding> {
    Some(Sharding { shard: shard?, durations: durations.cloned() })
}

/// The name of a value, as the flag takes it.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn duration(duration: &Duration) -> String {
    humantime::format_duration(*duration).to_string()
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
