//! `run`: the whole gate.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    Error,
    commands::{
        check::check_tables,
        connect::connect_and_identify,
        plan::plan_against,
        project::{describe, owner_for, target, warn_of_misspelled},
        rehearse::{Base, Rehearsing},
        selection::{self, narrow},
        sources,
        verify::{self, Wishes, Writes},
        wait::Waiting,
    },
    dbt::{self, Dbt, Revision, Target},
    exit::Exit,
    model::{ManifestSource, Outcome, Relation, Stage, StreamTable, Verdict},
    options::RunOptions,
    pg::{Client, Endpoint},
    plan::{Answers, Change, Plan, Policy},
    project::Project,
    report::Report,
    server::Ephemeral,
};

/// Deploys the project, waits, tests, checks, verifies, and reports.
pub(super) async fn run(options: &RunOptions, report: &mut Report) -> Result<Exit, Error> {
    options.selection.parse()?;
    report.hides_rows = options.hides_rows;
    let project = &options.project;
    let file = project.file()?;
    report.project = Some(file.name.clone());
    let target = target(project, &file)?;
    report.dbt_target = Some(target.describe());
    let revision = match &options.base_ref {
        Some(name) => Some(Revision::find(&project.dir, name).await.map_err(dbt::Error::from)?),
        None => None,
    };
    let mut stopwatch = Stopwatch(Instant::now());
    let server = Server::open(options).await?;
    let (client, software) = connect_and_identify(server.endpoint(), options.server.limits, report).await?;
    let writes = verify::writes(&client, &options.rounds, server.own().is_some()).await?;
    stopwatch.lap("server", report);
    let workspace = Workspace { client: &client, own: server.own() };
    let target = Target { endpoint: server.endpoint().clone(), ..target };
    let shell = project.environment.shell()?;
    let mut dbt = Dbt::new(shell, &project.dir, target.clone(), project.vars.clone(), options.ui)?;
    if options.hides_rows {
        dbt.hide_rows();
    }
    let mut gate = Gate { options, workspace, dbt, target: &target, selected: None };

    gate.dbt.install_packages(&file).await?;
    gate.run_fixtures().await?;
    let mut base = match &revision {
        Some(revision) => Some(Base::check_out(options, revision, &target).await?),
        None => None,
    };
    gate.prepare(base.as_mut(), report).await?;
    stopwatch.lap("preparation", report);
    let mut rehearsing = match base {
        Some(base) => Some(Rehearsing::begin(options, &client, base.name).await?),
        None => None,
    };
    let Some(project) = gate.deploy(rehearsing.as_mut(), report).await? else {
        return Ok(Exit::Refused);
    };
    describe(report, &project, ManifestSource::Compiled { target: target.name.clone() });
    stopwatch.lap("deployment", report);

    let created = created_tables(&project, &report.outcomes);
    report.outcomes.extend(skipped_outcomes(&project, &created));
    report.outcomes.extend(Waiting::in_run(options).populated(&client, &created).await?);
    if let Some(rehearsing) = rehearsing {
        rehearsing.finish(&project, report).await?;
    }
    stopwatch.lap("population", report);
    if !project.tests.is_empty() {
        let (_, tests) = gate.dbt.test().await?;
        report.outcomes.extend(dbt::test_outcomes(&tests, &project.tests));
    }
    stopwatch.lap("tests", report);
    let terms = options.terms.clone();
    let checked =
        check_tables(&client, &software, (&project, owner_for(&project, Some(&target))), &created, terms)
            .await?;
    // The wait already has outcomes for population.
    report.outcomes.extend(checked.outcomes.into_iter().filter(|outcome| outcome.stage != Stage::Population));
    stopwatch.lap("checks", report);
    gate.verify(writes, &project, &created, report).await?;
    stopwatch.lap("comparison", report);
    Ok(Exit::Passed)
}

/// Measures the parts of a run. Contains the start of the current part.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self, what: &str, report: &mut Report) {
        report.timings.push((what.to_owned(), self.0.elapsed()));
        self.0 = Instant::now();
    }
}

/// The server of a run.
pub(super) struct Workspace<'a> {
    /// A connection to the server.
    pub(super) client: &'a Client,
    /// The server itself, if it is ephemeral.
    pub(super) own: Option<&'a Ephemeral>,
}

struct Gate<'a> {
    options: &'a RunOptions,
    workspace: Workspace<'a>,
    dbt: Dbt,
    /// The target that dbt deploys to.
    target: &'a Target,
    /// The selected models; `None` if all are selected.
    selected: Option<BTreeSet<String>>,
}

impl Gate<'_> {
    /// Runs the user's SQL files in order, to create sources. Not on a named server, which has its own.
    async fn run_fixtures(&self) -> Result<(), Error> {
        if self.workspace.own.is_none() {
            return Ok(());
        }
        for file in &self.options.fixtures {
            let sql = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
            self.options.ui.say(&format!("running the fixture {}", file.display()));
            self.workspace
                .client
                .run_script(&sql)
                .await
                .map_err(|error| dbt::Error::Fixture { file: file.clone(), message: error.to_string() })?;
        }
        Ok(())
    }

    /// Prepares the deployment: resolves the selection, deploys the base revision, creates the sources.
    async fn prepare(&mut self, base: Option<&mut Base>, report: &mut Report) -> Result<(), Error> {
        let Self { options, workspace, dbt, target: _, selected } = self;
        dbt.parse().await?;
        let reading = dbt.project()?;
        warn_of_misspelled(options.ui, &reading);
        reading.check()?;
        let baseline = base.as_ref().and_then(|base| base.manifest());
        let default = dbt.default_selector().await?;
        let is_default = default.is_some() && options.selection.parse()?.is_none();
        let manifest = dbt.manifest()?;
        let ids = selection::selected(
            options.ui,
            &options.selection,
            &manifest,
            baseline.as_deref(),
            default,
            report,
        )?;
        if let Some(base) = base {
            report.outcomes.extend(base.deploy(options, workspace, ids.as_ref()).await?);
        }
        let mut readers = None;
        if let Some(ids) = ids {
            let needed = narrow(options.ui, &ids, dbt, workspace.client).await?;
            if is_default {
                dbt.keep_default_tests();
            }
            readers = Some(&ids | &needed);
            *selected = Some(needed);
        }
        let wanted = sources::Wanted {
            options: &options.sources,
            limits: options.server.limits,
            readers: readers.as_ref(),
        };
        sources::provide(&options.project, &wanted, dbt, workspace.own, workspace.client).await?;
        Ok(())
    }

    /// Deploys the project with dbt, and drops tables without a model. `None` if the plan contains refused steps. A
    /// rehearsal deploys those too, because its server is temporary.
    async fn deploy(
        &self,
        rehearsing: Option<&mut Rehearsing<'_>>,
        report: &mut Report,
    ) -> Result<Option<Project>, Error> {
        let client = self.workspace.client;
        let before = client.catalog().await?;
        let is_empty = before.is_empty() && (self.workspace.own.is_some() || !self.is_occupied().await?);
        let planned = if is_empty { None } else { Some(self.plan_first(report).await?) };
        let is_stopped = report.plan.as_ref().is_some_and(|plan| !plan.stopped_by().is_empty());
        if is_stopped && rehearsing.is_none() {
            return Ok(None);
        }
        let (first, last) = report.plan.as_ref().map(Plan::drops).unwrap_or_default();
        report.outcomes.extend(drop_tables(client, &first).await);
        let (_, results) = self.dbt.build().await?;
        let whole = if let Some(project) = planned {
            project
        } else {
            let project = self.dbt.compiled_project().await?.into_project()?;
            let plan = Plan::between(&project.tables, &before, &Answers::default(), &self.policy(&project))?;
            report.plan = Some(plan.narrowed(self.selected.as_ref(), &project.tables));
            project
        };
        let project = whole.clone().only(self.selected.as_ref());
        report.outcomes.extend(dbt::deploy_outcomes(&results, &with_origins(&project)));
        report.outcomes.extend(drop_tables(client, &last).await);
        if let Some(rehearsing) = rehearsing {
            rehearsing.observe(&whole, &self.policy(&whole)).await?;
        }
        Ok(Some(project))
    }

    /// Whether another relation has the name of a stream table and would be dropped.
    async fn is_occupied(&self) -> Result<bool, Error> {
        let wanted: Vec<Relation> = self.dbt.manifest()?.graph()?.stream_tables().cloned().collect();
        Ok(!self.workspace.client.standing(&wanted).await?.occupied.is_empty())
    }

    /// Plans before the first change, so that refused steps can stop the deployment.
    async fn plan_first(&self, report: &mut Report) -> Result<Project, Error> {
        self.dbt.compile().await?;
        let project = self.dbt.project()?.into_project()?;
        let (plan, _) = plan_against(self.workspace.client, &project, &self.policy(&project)).await?;
        let plan = plan.narrowed(self.selected.as_ref(), &project.tables);
        report.outcomes.extend(plan.stop_outcomes());
        report.plan = Some(plan);
        Ok(project)
    }

    fn policy(&self, project: &Project) -> Policy {
        self.options.permissions.policy(owner_for(project, Some(self.target)))
    }

    /// Compares the tables with their queries; then, if rows may be changed, verifies rounds of changes.
    async fn verify(
        &self,
        writes: Option<Writes>,
        project: &Project,
        created: &[&StreamTable],
        report: &mut Report,
    ) -> Result<(), Error> {
        let (client, rounds) = (self.workspace.client, &self.options.rounds);
        let terms = verify::terms(&rounds.equality, Some(project));
        verify::equal_now(client, created, &terms, None, &mut report.outcomes).await?;
        let Some(writes) = writes else { return Ok(()) };
        let wishes = &Wishes::new(rounds, terms, writes == Writes::Committed);
        let budget = humantime::format_duration(wishes.budget);
        self.options.ui.say(&format!("changing rows and comparing, for {budget}"));
        let changed =
            report.plan.iter().flat_map(|plan| &plan.steps).filter(|step| step.change != Change::Keep);
        let changed: BTreeSet<Relation> = changed.map(|step| step.relation.clone()).collect();
        let limits = self.options.server.limits;
        let moved = verify::While { wishes, limits, findings: &rounds.findings };
        moved.data_moves(client, created, &changed, report).await
    }
}

/// An ephemeral or a named server.
enum Server {
    Ephemeral(Ephemeral),
    Named(Endpoint),
}

impl Server {
    async fn open(options: &RunOptions) -> Result<Self, Error> {
        if let Some(endpoint) = options.server.named(&options.project)? {
            return Ok(Self::Named(endpoint));
        }
        match &options.ephemeral.image {
            Some(image) => options.ui.say(&format!("starting a container of {image}")),
            None => options.ui.say("starting an ephemeral PostgreSQL"),
        }
        Ok(Self::Ephemeral(Ephemeral::start(&options.ephemeral).await?))
    }

    fn own(&self) -> Option<&Ephemeral> {
        match self {
            Self::Ephemeral(server) => Some(server),
            Self::Named(_) => None,
        }
    }

    fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Ephemeral(server) => server.endpoint(),
            Self::Named(endpoint) => endpoint,
        }
    }
}

/// Drops tables without a model, which dbt does not do.
async fn drop_tables(client: &Client, drops: &[Relation]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for relation in drops {
        let dropped = client.drop_stream_table(relation).await;
        outcomes.push(match dropped {
            Ok(()) => Outcome::new(Stage::Deploy, relation, Verdict::Passed, "DROP"),
            Err(error) => Outcome::new(Stage::Deploy, relation, Verdict::Errored, error.to_string())
                .quoting(&error.to_string(), None),
        });
    }
    outcomes
}

pub(super) fn with_origins(project: &Project) -> Vec<(Relation, crate::model::Origin)> {
    project.tables.iter().filter_map(|table| Some((table.relation.clone(), table.origin.clone()?))).collect()
}

/// The tables that dbt created or kept.
pub(super) fn created_tables<'a>(project: &'a Project, outcomes: &[Outcome]) -> Vec<&'a StreamTable> {
    let missing: BTreeSet<&Relation> = outcomes
        .iter()
        .filter(|outcome| outcome.stage == Stage::Deploy && outcome.verdict != Verdict::Passed)
        .filter_map(|outcome| outcome.subject.relation())
        .collect();
    project.tables.iter().filter(|table| !missing.contains(&table.relation)).collect()
}

fn skipped_outcomes(project: &Project, created: &[&StreamTable]) -> Vec<Outcome> {
    let is_created = |table: &&StreamTable| created.iter().any(|other| other.relation == table.relation);
    let skipped = |table: &StreamTable| {
        let message = "skipped: dbt did not create it";
        Outcome::new(Stage::Population, &table.relation, Verdict::Skipped, message)
            .about(table.origin.as_ref())
    };
    project.tables.iter().filter(|table| !is_created(table)).map(skipped).collect()
}
