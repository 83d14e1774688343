//! `run`: the whole gate.

use std::{collections::BTreeSet, time::Instant};

use super::{connect::connect_and_identify, reported::describe};
use crate::{
    Error,
    dbt::{self, Dbt, Revision, Target},
    exit::Exit,
    model::{self, ManifestSource, Outcome, Relation, ShardShare, Stage, Verdict},
    options::RunOptions,
    plan::{Answers, Change, Plan, Policy},
    project::Project,
    report::Report,
    stages::{
        check::check_tables,
        compile::{prepare_dbt, start_dbt},
        deploy::{created_tables, drop_tables, run_fixtures, skipped_outcomes, with_names, with_origins},
        plan::plan_against,
        project::{owner_for, target, warn_of_misspelled},
        rehearse::{Base, Rehearsing},
        selection::{self, SelectedModels, narrow},
        sources,
        verify::{Verifying, writes},
        wait::Waiting,
        workspace::{RunServer, Workspace},
    },
};

/// Deploys the project, waits, tests, checks, verifies, and reports.
pub(super) async fn run(options: &RunOptions, report: &mut Report) -> Result<Exit, Error> {
    options.selection.parse()?;
    report.hides_rows = options.hides_rows;
    let file = options.project.file()?;
    report.project = Some(file.name.clone());
    let target = target(&options.project, &file)?;
    report.dbt_target = Some(target.describe());
    let revision = base_revision(options).await?;
    let mut stopwatch = Stopwatch(Instant::now());
    let limits = options.server.limits;
    // It imports its modules while the server starts.
    let started = start_dbt(&options.project)?;
    let server = RunServer::open(options).await?;
    let (client, software) = connect_and_identify(server.endpoint(), limits, report).await?;
    let writes = writes(&client, &options.rounds, server.own().is_some()).await?;
    stopwatch.lap("server", report);
    let workspace = Workspace { client: &client, own: server.own() };
    let target = Target { endpoint: server.endpoint().clone(), ..target };
    let (folder, hides_rows) = (&options.project.dir, options.hides_rows);
    let dbt =
        prepare_dbt(&options.project, started.clone(), folder, &file, target.clone(), hides_rows).await?;
    let mut gate = Gate { options, workspace, dbt, target: &target, selected: None };

    // A named server has its own sources.
    if server.own().is_some() {
        run_fixtures(&client, &options.fixtures, options.ui).await?;
    }
    let mut base = match &revision {
        Some(revision) => Some(Base::check_out(options, started, revision, &target).await?),
        None => None,
    };
    gate.prepare(base.as_mut(), report).await?;
    stopwatch.lap("preparation", report);
    if let Some(nothing) = report.shard.as_ref().and_then(empty_shard) {
        report.outcomes.push(nothing);
        return Ok(Exit::Passed);
    }
    let mut rehearsing = match base {
        Some(base) => Some(Rehearsing::begin(options, &client, base.name).await?),
        None => None,
    };
    let Some(deployed) = gate.deploy(rehearsing.as_mut(), report).await? else {
        return Ok(Exit::Refused);
    };
    let Deployment { project, created, changed } = deployed;
    stopwatch.lap("deployment", report);

    report.outcomes.extend(skipped_outcomes(&project, &created));
    let created = with_names(&project, &created);
    report.outcomes.extend(Waiting::in_run(options).populated(&client, &created).await?);
    if let (Some(rehearsing), Some(plan)) = (rehearsing, &report.plan) {
        let (rehearsal, outcomes) = rehearsing.finish(&project, plan).await?;
        report.outcomes.extend(outcomes);
        report.rehearsal = Some(rehearsal);
    }
    stopwatch.lap("population", report);
    if !project.tests.is_empty() {
        let (_, tests) = gate.dbt.test().await?;
        report.outcomes.extend(dbt::test_outcomes(&tests, &project.tests));
    }
    stopwatch.lap("tests", report);
    let owned = (&project, owner_for(&project, Some(&target)));
    let checked = check_tables(&client, &software, owned, &created, options.terms.clone()).await?;
    // The wait already has outcomes for population.
    report.outcomes.extend(checked.outcomes.into_iter().filter(|outcome| outcome.stage != Stage::Population));
    report.ages = checked.ages;
    stopwatch.lap("checks", report);
    let engine = software.engine();
    let (ui, rounds) = (options.ui, &options.rounds);
    let verifying = Verifying { ui, client: &client, engine, options: rounds, limits, writes };
    verifying.verify(Some(&project), &created, &changed, &mut report.outcomes).await?;
    stopwatch.lap("comparison", report);
    Ok(Exit::Passed)
}

/// The revision of `--base-ref`.
async fn base_revision(options: &RunOptions) -> Result<Option<Revision>, Error> {
    let Some(name) = &options.base_ref else { return Ok(None) };
    Ok(Some(Revision::find(&options.project.dir, name).await.map_err(dbt::Error::from)?))
}

/// The outcome of a shard without models: there are more shards than connected parts of the project.
fn empty_shard(share: &ShardShare) -> Option<Outcome> {
    let message = format!("shard {} has none of the {} models", share.shard, share.of);
    (share.taken == 0).then(|| Outcome::new(Stage::Setup, "shard", Verdict::Skipped, message))
}

/// Measures the parts of a run. Contains the start of the current part.
struct Stopwatch(Instant);

impl Stopwatch {
    fn lap(&mut self, what: &str, report: &mut Report) {
        report.timings.push((what.to_owned(), self.0.elapsed()));
        self.0 = Instant::now();
    }
}

/// A deployed project.
struct Deployment {
    project: Project,
    /// The tables that dbt created or kept.
    created: BTreeSet<Relation>,
    /// The tables that the plan changes.
    changed: BTreeSet<Relation>,
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
    /// Prepares the deployment: resolves the selection, deploys the base revision, creates the sources.
    async fn prepare(&mut self, base: Option<&mut Base>, report: &mut Report) -> Result<(), Error> {
        let Self { options, workspace, dbt, target: _, selected } = self;
        dbt.parse().await?;
        let reading = dbt.project()?;
        warn_of_misspelled(options.ui, &reading);
        reading.check()?;
        let baseline = base.as_ref().and_then(|base| base.manifest());
        let default = dbt.default_selector().await?;
        let manifest = dbt.manifest()?;
        let SelectedModels { ids, default } =
            selection::selected(options.ui, &options.selection, &manifest, baseline.as_deref(), default)?;
        let ids = match options.rounds.shard {
            Some(shard) => {
                let (ids, took) = manifest.graph()?.shard(ids.as_ref(), shard);
                report.shard = Some(took);
                Some(ids)
            }
            None => ids,
        };
        // Without a name dbt would build everything.
        if report.shard.as_ref().is_some_and(|share| share.taken == 0) {
            return Ok(());
        }
        let is_default = default.is_some();
        report.selection = default.or(report.selection.take());
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
        let wanted = sources::RequiredSources {
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
    ) -> Result<Option<Deployment>, Error> {
        let client = self.workspace.client;
        let before = client.catalog().await?;
        let is_empty = before.is_empty() && (self.workspace.own.is_some() || !self.is_occupied().await?);
        // On an empty server, the plan is known after the build, which compiles.
        let mut planned = None;
        let (mut first, mut last) = Default::default();
        if !is_empty {
            let (project, plan) = self.plan_first().await?;
            report.outcomes.extend(plan.stop_outcomes());
            let is_stopped = !plan.stopped_by().is_empty();
            (first, last) = plan.drops();
            report.plan = Some(plan.clone());
            if is_stopped && rehearsing.is_none() {
                return Ok(None);
            }
            planned = Some((project, plan));
        }
        report.outcomes.extend(drop_tables(client, &first).await);
        let (_, results) = self.dbt.build().await?;
        let (whole, plan) = match planned {
            Some(planned) => planned,
            None => self.plan_of_new(&before).await?,
        };
        let project = whole.clone().only(self.selected.as_ref());
        let outcomes = dbt::deploy_outcomes(&results, &with_origins(&project));
        let created = created_tables(&project, &outcomes);
        report.outcomes.extend(outcomes);
        report.outcomes.extend(drop_tables(client, &last).await);
        let changed = plan.steps.iter().filter(|step| step.change != Change::Keep);
        let changed = changed.map(|step| step.relation.clone()).collect();
        report.plan = Some(plan);
        let source = ManifestSource::Compiled { target: self.target.name.clone() };
        describe(report, &project, source);
        if let Some(rehearsing) = rehearsing {
            rehearsing.observe(&whole, &self.policy(&whole)).await?;
        }
        Ok(Some(Deployment { project, created, changed }))
    }

    /// Whether another relation has the name of a stream table and would be dropped.
    async fn is_occupied(&self) -> Result<bool, Error> {
        let wanted: Vec<Relation> = self.dbt.manifest()?.graph()?.stream_tables().cloned().collect();
        Ok(!self.workspace.client.snapshot(&wanted).await?.occupied.is_empty())
    }

    /// Plans before the first change, so that refused steps can stop the deployment.
    async fn plan_first(&self) -> Result<(Project, Plan), Error> {
        self.dbt.compile().await?;
        let project = self.dbt.project()?.into_project()?;
        let (plan, _) = plan_against(self.workspace.client, &project, &self.policy(&project)).await?;
        let plan = plan.narrowed(self.selected.as_ref(), &project.tables);
        Ok((project, plan))
    }

    /// The plan of a deployment to a server without stream tables.
    async fn plan_of_new(&self, before: &[model::Deployed]) -> Result<(Project, Plan), Error> {
        let project = self.dbt.compiled_project().await?.into_project()?;
        let policy = self.policy(&project);
        let plan =
            Plan::between(&project.tables, before, &Answers::default(), &policy)?.with_readers(&project);
        let plan = plan.narrowed(self.selected.as_ref(), &project.tables);
        Ok((project, plan))
    }

    fn policy(&self, project: &Project) -> Policy {
        self.options.permissions.policy(owner_for(project, Some(self.target)))
    }
}
