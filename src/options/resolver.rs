//! Combines flags, environment and file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    ApplyOptions, CheckOptions, CommentOptions, Environment, Error, File, HistoryOptions, InitOptions,
    ModelsOptions, Permissions, PlanBase, PlanOptions, ProjectOptions, RehearsalOptions, RenderOptions,
    ReportOptions, RoundOptions, RunOptions, Selection, ServerOptions, SourceOptions, TableOptions,
    VerifyOptions, WaitLimits, WaitOptions, environment, explain, server,
};
use crate::{
    cli::{
        ApplyArgs, CheckArgs, CheckingArgs, ColorChoice, CommentArgs, Drive, EphemeralArgs, FailOn,
        GlobalArgs, HistoryArgs, InitArgs, MergeArgs, ModelsArgs, PlanArgs, PolicyArgs, ProjectArgs,
        RenderArgs, ReportArgs, RunArgs, SelectArgs, TableArgs, VerifyArgs, VerifyingArgs, WaitArgs,
        WaitingArgs,
    },
    judge::{Criteria, equality},
    output::{self, Ui},
    server::EphemeralSpec,
};

/// Turns the arguments of a subcommand into options.
pub struct Resolver {
    pub ui: Ui,
    environment: Environment,
    invocation: String,
    file: File,
    /// The folder of the configuration file. Paths in the file are relative to it.
    file_dir: PathBuf,
}

impl Resolver {
    /// Reads the environment and the configuration file. `project_dir` is the value of the flag.
    pub fn new(global: &GlobalArgs, project_dir: Option<&Path>) -> Result<Self, Error> {
        let environment = Environment::read();
        let project_dir = project_dir.unwrap_or_else(|| environment::default_project_dir());
        if project_dir == environment::default_project_dir() {
            environment.of_dbt("PROJECT_DIR")?;
        }
        let (path, is_named) = match &global.config {
            Some(path) => (path.clone(), true),
            None => (project_dir.join("pgtrickle-ci.yml"), false),
        };
        let file = match std::fs::read_to_string(&path) {
            Ok(text) => File::parse(&path, &text)?,
            Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(source) => return Err(Error::Unreadable { file: path, source }),
        };
        Ok(Self {
            ui: ui(global, &environment),
            environment,
            invocation: global.invocation.clone(),
            file,
            file_dir: path.parent().map(Path::to_owned).unwrap_or_default(),
        })
    }

    pub fn reports(&self, args: &ReportArgs, selection: &SelectArgs) -> ReportOptions {
        let fail_on = self.first(
            "fail-on",
            (args.fail_on, "--fail-on or PGTRICKLE_CI_FAIL_ON"),
            self.file.checks.fail_on,
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
        let examples = self.file.rehearsal.examples.unwrap_or(if sources.are_copies() { 0 } else { 3 });
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
            "dbt-timeout",
            (args.dbt_timeout, "--dbt-timeout or PGTRICKLE_CI_DBT_TIMEOUT"),
            self.file.dbt.timeout,
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
            "timeout",
            (args.timeout, "--timeout or PGTRICKLE_CI_TIMEOUT"),
            self.file.wait.timeout,
            Duration::from_mins(2),
            duration,
        );
        WaitLimits { timeout, models: self.file.wait.models.clone() }
    }

    fn terms(&self, args: &CheckingArgs) -> Criteria {
        Criteria {
            common_age: self.file.freshness,
            fail_on_fallback: args.fail_on_fallback || self.file.checks.fail_on_fallback,
            silences: self.file.checks.silence.iter().map(Into::into).collect(),
            ..Criteria::default()
        }
    }

    fn rounds(&self, args: &VerifyingArgs) -> RoundOptions {
        RoundOptions {
            allow_writes: args.allow_writes.clone(),
            budget: self.budget(args.budget),
            seed: args.seed.or(self.file.verify.seed).unwrap_or(1),
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
            "budget",
            (typed, "--budget or PGTRICKLE_CI_BUDGET"),
            self.file.verify.budget,
            Duration::from_secs(20),
            duration,
        )
    }

    fn equality(&self) -> equality::Terms {
        equality::Terms {
            tolerance: self.file.verify.float_tolerance.unwrap_or(1e-9),
            skip: self.file.verify.skip.clone(),
        }
    }

    /// The value of the flag, else of the file, else the default.
    fn first<T>(
        &self,
        name: &str,
        (typed, flag): (Option<T>, &str),
        file: Option<T>,
        default: T,
        shown: impl Fn(&T) -> String,
    ) -> T {
        let (value, from) = match (typed, file) {
            (Some(value), _) => (value, flag),
            (None, Some(value)) => (value, "the configuration file"),
            (None, None) => (default, "the default"),
        };
        explain(self.ui, name, shown(&value), from);
        value
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
