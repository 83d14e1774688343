//! `run`: the whole gate.

use std::{collections::BTreeSet, time::Instant};

use crate::{
    Error,
    commands::{
        check::check_tables,
        connect::connect_and_identify,
        plan::against,
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

/// Deploys the project, waits, tests, checks, and says what it saw.
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
    let mut laps = Laps(Instant::now());
    let server = Server::open(options).await?;
    let (client, software) = connect_and_identify(server.endpoint(), options.server.limits, report).await?;
    let writes = verify::writes(&client, &options.rounds, server.own().is_some()).await?;
    laps.end("server", report);
    let place = Place { client: &client, own: server.own() };
    let target = Target { endpoint: server.endpoint().clone(), ..target };
    let shell = project.environment.shell()?;
    let dbt = Dbt::new(shell, &project.dir, target.clone(), project.vars.clone(), options.ui)?;
    let mut gate = Gate { options, place, dbt, target: &target, selected: None };

    gate.dbt.install_packages(&file).await?;
    gate.run_fixtures().await?;
    let mut base = match &revision {
        Some(revision) => Some(Base::check_out(options, revision, &target).await?),
        None => None,
    };
    gate.prepare(base.as_mut(), report).await?;
    laps.end("preparation", report);
    let mut rehearsing = match base {
        Some(base) => Some(Rehearsing::begin(options, &client, base.name).await?),
        None => None,
    };
    let Some(project) = gate.deploy(rehearsing.as_mut(), report).await? else {
        return Ok(Exit::Refused);
    };
    describe(report, &project, ManifestSource::Compiled { target: target.name.clone() });
    laps.end("deployment", report);

    let made = made(&project, &report.outcomes);
    report.outcomes.extend(not_made(&project, &made));
    let waiting = Waiting::new(&options.wait, true, options.ui);
    report.outcomes.extend(waiting.populated(&client, &made).await?);
    if let Some(rehearsing) = rehearsing {
        rehearsing.finish(&project, report).await?;
    }
    laps.end("population", report);
    if !project.tests.is_empty() {
        let (_, tests) = gate.dbt.test().await?;
        report.outcomes.extend(dbt::test_outcomes(&tests, &project.tests));
    }
    laps.end("tests", report);
    let terms = options.terms.clone();
    let checked =
        check_tables(&client, &software, (&project, owner_for(&project, Some(&target))), &made, terms)
            .await?;
    // What was waited for has its outcome already.
    report.outcomes.extend(checked.outcomes.into_iter().filter(|outcome| outcome.stage != Stage::Population));
    laps.end("checks", report);
    gate.verify(writes, &project, &made, report).await?;
    laps.end("comparison", report);
    Ok(Exit::Passed)
}

/// Since when the part goes on that is under way.
struct Laps(Instant);

impl Laps {
    fn end(&mut self, what: &str, report: &mut Report) {
        report.timings.push((what.to_owned(), self.0.elapsed()));
        self.0 = Instant::now();
    }
}

/// A server that is worked on.
pub(super) struct Place<'a> {
    /// A connection to it.
    pub(super) client: &'a Client,
    /// The server itself, where it is the gate's own.
    pub(super) own: Option<&'a Ephemeral>,
}

/// What the gate works with.
struct Gate<'a> {
    options: &'a RunOptions,
    place: Place<'a>,
    dbt: Dbt,
    /// What dbt deploys to.
    target: &'a Target,
    /// The models that are selected, where not all are.
    selected: Option<BTreeSet<String>>,
}

impl Gate<'_> {
    /// The user's SQL files, in their order: the sources of a server that has none. A server that was named has its own.
    async fn run_fixtures(&self) -> Result<(), Error> {
        if self.place.own.is_none() {
            return Ok(());
        }
        for file in &self.options.fixtures {
            let sql = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
            self.options.ui.say(&format!("running the fixture {}", file.display()));
            self.place
                .client
                .run_script(&sql)
                .await
                .map_err(|error| dbt::Error::Fixture { file: file.clone(), message: error.to_string() })?;
        }
        Ok(())
    }

    /// What has to be there before the project comes: what is selected is known, the base revision deployed, and the
    /// sources made.
    async fn prepare(&mut self, base: Option<&mut Base>, report: &mut Report) -> Result<(), Error> {
        let Self { options, place, dbt, target: _, selected } = self;
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
            report.outcomes.extend(base.deploy(options, place, ids.as_ref()).await?);
        }
        let mut readers = None;
        if let Some(ids) = ids {
            let needed = narrow(options.ui, &ids, dbt, place.client).await?;
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
        sources::provide(&options.project, &wanted, dbt, place.own, place.client).await?;
        Ok(())
    }

    /// Has dbt bring the server to what the project wants, and drops what has no model any more; `None` when the plan
    /// says that something must not happen. In a rehearsal it happens all the same: nobody loses anything, and everybody
    /// sees it.
    async fn deploy(
        &self,
        rehearsing: Option<&mut Rehearsing<'_>>,
        report: &mut Report,
    ) -> Result<Option<Project>, Error> {
        let client = self.place.client;
        let before = client.catalog().await?;
        let is_empty = before.is_empty() && (self.place.own.is_some() || !self.is_occupied().await?);
        let planned = if is_empty { None } else { Some(self.plan_first(report).await?) };
        let is_stopped = report.plan.as_ref().is_some_and(|plan| !plan.stopped_by().is_empty());
        if is_stopped && rehearsing.is_none() {
            return Ok(None);
        }
        let (first, last) = report.plan.as_ref().map(Plan::drops).unwrap_or_default();
        report.outcomes.extend(carry_out_drops(client, &first).await);
        let (_, results) = self.dbt.build().await?;
        let whole = if let Some(project) = planned {
            project
        } else {
            let project = self.dbt.compiled_project().await?.right()?;
            let plan = Plan::between(&project.tables, &before, &Answers::default(), &self.policy(&project))?;
            report.plan = Some(plan.narrowed(self.selected.as_ref(), &project.tables));
            project
        };
        let project = whole.clone().only(self.selected.as_ref());
        report.outcomes.extend(dbt::deploy_outcomes(&results, &with_origins(&project)));
        report.outcomes.extend(carry_out_drops(client, &last).await);
        if let Some(rehearsing) = rehearsing {
            rehearsing.look(&whole, &self.policy(&whole)).await?;
        }
        Ok(Some(project))
    }

    /// Whether something else has the name of a stream table, and would have to go.
    async fn is_occupied(&self) -> Result<bool, Error> {
        let wanted: Vec<Relation> = self.dbt.manifest()?.graph()?.stream_tables().cloned().collect();
        Ok(!self.place.client.standing(&wanted).await?.occupied.is_empty())
    }

    /// The plan of a server that already has stream tables is made before anything is touched, so that what it refuses
    /// does not happen.
    async fn plan_first(&self, report: &mut Report) -> Result<Project, Error> {
        self.dbt.compile().await?;
        let project = self.dbt.project()?.right()?;
        let (plan, _) = against(self.place.client, &project, &self.policy(&project)).await?;
        let plan = plan.narrowed(self.selected.as_ref(), &project.tables);
        report.outcomes.extend(plan.stop_outcomes());
        report.plan = Some(plan);
        Ok(project)
    }

    fn policy(&self, project: &Project) -> Policy {
        self.options.permissions.policy(owner_for(project, Some(self.target)))
    }

    /// Compares the tables as they are; where rows may be changed, also while the data moves.
    async fn verify(
        &self,
        writes: Option<Writes>,
        project: &Project,
        made: &[&StreamTable],
        report: &mut Report,
    ) -> Result<(), Error> {
        let (client, rounds) = (self.place.client, &self.options.rounds);
        let terms = verify::terms(&rounds.equality, Some(project));
        verify::equal_now(client, made, &terms, None, &mut report.outcomes).await?;
        let Some(writes) = writes else { return Ok(()) };
        let wishes = &Wishes::new(rounds, terms, writes == Writes::Committed);
        let budget = humantime::format_duration(wishes.budget);
        self.options.ui.say(&format!("changing rows and comparing, for {budget}"));
        let changed =
            report.plan.iter().flat_map(|plan| &plan.steps).filter(|step| step.change != Change::Keep);
        let changed: BTreeSet<Relation> = changed.map(|step| step.relation.clone()).collect();
        let limits = self.options.server.limits;
        let moved = verify::While { wishes, limits, findings: &rounds.findings };
        moved.data_moves(client, made, &changed, report).await
    }
}

/// The server that the gate works on.
enum Server {
    Own(Ephemeral),
    Named(Endpoint),
}

impl Server {
    async fn open(options: &RunOptions) -> Result<Self, Error> {
        if let Some(endpoint) = options.server.named(&options.project)? {
            return Ok(Self::Named(endpoint));
        }
        match &options.ephemeral.image {
            Some(image) => options.ui.say(&format!("starting a container of {image}")),
            None => options.ui.say("starting a PostgreSQL of its own"),
        }
        Ok(Self::Own(Ephemeral::start(&options.ephemeral).await?))
    }

    fn own(&self) -> Option<&Ephemeral> {
        match self {
            Self::Own(server) => Some(server),
            Self::Named(_) => None,
        }
    }

    fn endpoint(&self) -> &Endpoint {
        match self {
            Self::Own(server) => server.endpoint(),
            Self::Named(endpoint) => endpoint,
        }
    }
}

/// dbt makes and changes; what has no model any more it leaves, and the gate drops it where that was allowed.
async fn carry_out_drops(client: &Client, drops: &[Relation]) -> Vec<Outcome> {
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

/// The tables that dbt did not fail or skip.
pub(super) fn made<'a>(project: &'a Project, outcomes: &[Outcome]) -> Vec<&'a StreamTable> {
    let lost: BTreeSet<&Relation> = outcomes
        .iter()
        .filter(|outcome| outcome.stage == Stage::Deploy && outcome.verdict != Verdict::Passed)
        .filter_map(|outcome| outcome.subject.relation())
        .collect();
    project.tables.iter().filter(|table| !lost.contains(&table.relation)).collect()
}

fn not_made(project: &Project, made: &[&StreamTable]) -> Vec<Outcome> {
    let is_made = |table: &&StreamTable| made.iter().any(|other| other.relation == table.relation);
    let skipped = |table: &StreamTable| {
        let message = "not looked at: it was not made";
        Outcome::new(Stage::Population, &table.relation, Verdict::Skipped, message)
            .about(table.origin.as_ref())
    };
    project.tables.iter().filter(|table| !is_made(table)).map(skipped).collect()
}
