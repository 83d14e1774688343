//! `run`: the whole gate.

use std::time::{Duration, Instant};

use super::{connect::connect_and_identify, reported::describe};
use crate::{
    Error,
    dbt::{self, Revision, Target},
    exit::Exit,
    model::{ManifestSource, Outcome, ShardShare, Stage, Verdict},
    options::RunOptions,
    pg::Endpoint,
    plan::Change,
    report::Report,
    stages::{
        check::check_tables,
        compile::start_dbt,
        deploy::{drop_tables, run_fixtures, skipped_outcomes, with_names, with_origins},
        gate::{Deployment, Gate, Parsed, Planned},
        rehearse::Rehearsing,
        target::{owner_for, target},
        verify::{Verifying, writes},
        wait::Waiting,
        workspace::{ChosenServer, Workspace},
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
    let started = start_dbt(&options.project)?;
    let chosen = ChosenServer::of(options)?;
    let address = chosen.endpoint().cloned();
    let open = async {
        let server = chosen.start(options).await?;
        let (client, software) =
            connect_and_identify(server.endpoint(), options.server.limits, report).await?;
        Ok((server, client, software))
    };
    let at = |endpoint: &Endpoint| Target { endpoint: endpoint.clone(), ..target.clone() };
    let parse = |target| Parsed::of(options, &file, started, revision.as_ref(), target);
    let ((server, client, software), parsed) = if let Some(endpoint) = address {
        // dbt parses while the server starts.
        tokio::try_join!(open, parse(at(&endpoint)))?
    } else {
        let opened = open.await?;
        let parsed = parse(at(opened.0.endpoint())).await?;
        (opened, parsed)
    };
    let writes = writes(&client, &options.rounds, server.own().is_some()).await?;
    report.timings.push(stopwatch.lap("start"));

    let target = at(server.endpoint());
    let Parsed { dbt, mut base, models, shard } = parsed;
    let workspace = Workspace { client: &client, own: server.own() };
    let mut gate =
        Gate { options, workspace, software: &software, writes, dbt, target: &target, selected: None };
    // A named server has its own sources.
    if server.own().is_some() {
        run_fixtures(&client, &options.fixtures, options.ui).await?;
    }
    if models.default.is_some() {
        report.selection.clone_from(&models.default);
    }
    let nothing = shard.as_ref().and_then(empty_shard);
    report.shard = shard;
    // Without a name dbt would build everything.
    if let Some(nothing) = nothing {
        report.timings.push(stopwatch.lap("preparation"));
        report.outcomes.push(nothing);
        return Ok(Exit::Passed);
    }
    if let Some(base) = &mut base {
        report.outcomes.extend(base.deploy(options, &gate.workspace, models.ids.as_ref()).await?);
    }
    gate.prepare(models).await?;
    report.timings.push(stopwatch.lap("preparation"));
    let mut rehearsing = match base {
        Some(base) => Some(Rehearsing::begin(options, &client, base.name).await?),
        None => None,
    };
    let Some(deployment) = deploy(&gate, rehearsing.as_mut(), report).await? else {
        return Ok(Exit::Refused);
    };
    report.timings.push(stopwatch.lap("deployment"));
    examine(&gate, deployment, rehearsing, stopwatch, report).await?;
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
    fn lap(&mut self, part: &str) -> (String, Duration) {
        let started = std::mem::replace(&mut self.0, Instant::now());
        (part.to_owned(), started.elapsed())
    }
}

/// Deploys the project with dbt, and drops tables without a model. `None` if the plan contains refused steps. A rehearsal
/// deploys those too, because its server is temporary.
async fn deploy(
    gate: &Gate<'_>,
    rehearsing: Option<&mut Rehearsing<'_>>,
    report: &mut Report,
) -> Result<Option<Deployment>, Error> {
    let client = gate.workspace.client;
    let planned = gate.plan().await?;
    let (mut first, mut last) = Default::default();
    if let Some(Planned { plan, .. }) = &planned {
        report.outcomes.extend(plan.stop_outcomes());
        report.plan = Some(plan.clone());
        if !plan.stopped_by().is_empty() && rehearsing.is_none() {
            return Ok(None);
        }
        (first, last) = plan.drops();
    }
    report.outcomes.extend(drop_tables(client, &first).await);
    let (deployment, outcomes) = gate.build(planned).await?;
    report.outcomes.extend(outcomes);
    report.outcomes.extend(drop_tables(client, &last).await);
    report.plan = Some(deployment.plan.clone());
    describe(report, &deployment.project, ManifestSource::Compiled { target: gate.target.name.clone() });
    if let Some(rehearsing) = rehearsing {
        rehearsing.observe(&deployment.whole, &gate.policy(&deployment.whole)).await?;
    }
    Ok(Some(deployment))
}

/// Waits for the tables, tests, checks and verifies them.
async fn examine(
    gate: &Gate<'_>,
    Deployment { project, plan, created, .. }: Deployment,
    rehearsing: Option<Rehearsing<'_>>,
    mut stopwatch: Stopwatch,
    report: &mut Report,
) -> Result<(), Error> {
    let Gate { options, software, writes, target, .. } = *gate;
    let client = gate.workspace.client;
    report.outcomes.extend(skipped_outcomes(&project, &created));
    let created = with_names(&project, &created);
    report.outcomes.extend(Waiting::in_run(options).populated(client, &created).await?);
    if let Some(rehearsing) = rehearsing {
        let (rehearsal, outcomes) = rehearsing.finish(&project, &plan).await?;
        report.outcomes.extend(outcomes);
        report.rehearsal = Some(rehearsal);
    }
    report.timings.push(stopwatch.lap("population"));
    if !project.tests.is_empty() {
        let (_, tests) = gate.dbt.test().await?;
        report.outcomes.extend(dbt::test_outcomes(&tests, &project.tests, &with_origins(&project)));
    }
    report.timings.push(stopwatch.lap("tests"));
    let owned = (&project, owner_for(&project, Some(target)));
    let checked = check_tables(client, software, owned, &created, options.terms.clone()).await?;
    // The wait already has outcomes for population.
    let outcomes = checked.outcomes.into_iter().filter(|outcome| outcome.stage != Stage::Population);
    report.outcomes.extend(outcomes);
    report.ages = checked.ages;
    report.timings.push(stopwatch.lap("checks"));
    let changed = plan.steps.iter().filter(|step| step.change != Change::Keep);
    let changed = changed.map(|step| step.relation.clone()).collect();
    let (engine, limits) = (software.engine(), options.server.limits);
    let verifying = Verifying { ui: options.ui, client, engine, options: &options.rounds, limits, writes };
    verifying.verify(Some(&project), &created, &changed, &mut report.outcomes).await?;
    report.timings.push(stopwatch.lap("comparison"));
    Ok(())
}
