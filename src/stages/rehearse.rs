//! `run --base-ref`: deploys the base revision, then the project, and observes what changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    compile,
    deploy::{created_tables, with_names, with_origins},
    plan::plan_against,
    selection, sources,
    wait::Waiting,
    workspace::Workspace,
};
use crate::{
    Error,
    dbt::{self, Checkout, Dbt, Revision, Started, Target},
    judge::rehearsal::{self, Observations, Rehearsal},
    model::{Deployed, Outcome, Relation, Stage, Verdict},
    options::{RehearsalOptions, RunOptions},
    pg::{self, Client, Refreshed},
    plan::{Plan, Policy},
    project::Project,
};

/// The interval for checking whether tables can be read.
const PAUSE: Duration = Duration::from_millis(20);
/// The limit for a refresh that another session prevents.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a round of the scheduler may continue after the scheduler is disabled.
const TICK: Duration = Duration::from_millis(1_200);

/// The base revision of a rehearsal.
pub struct Base {
    /// The name in messages.
    pub name: String,
    /// The project in it, until it is deployed; `None` for a revision without a project.
    project: Option<(Dbt, Checkout)>,
}

impl Base {
    /// Checks out the revision and parses its project.
    pub async fn check_out(
        options: &RunOptions,
        started: Arc<Started>,
        revision: &Revision,
        target: &Target,
    ) -> Result<Self, Error> {
        let name = revision.to_string();
        if !revision.has_project().await {
            options.ui.say(&format!("{name} has no dbt project in this folder: all stream tables are new"));
            return Ok(Self { name, project: None });
        }
        let hides_rows = options.hides_rows;
        let (dbt, checkout) =
            compile::check_out(&options.project, started, revision, target.clone(), hides_rows).await?;
        dbt.parse().await?;
        Ok(Self { name, project: Some((dbt, checkout)) })
    }

    /// Whether its project has stream tables.
    pub fn has_stream_tables(&self) -> bool {
        let Some((dbt, _)) = &self.project else { return false };
        let Ok(manifest) = dbt.manifest() else { return false };
        manifest.graph().is_ok_and(|graph| graph.stream_tables(None).next().is_some())
    }

    /// Its parsed manifest, without compiled SQL.
    pub fn manifest(&self) -> Option<PathBuf> {
        self.project.as_ref().map(|(dbt, _)| dbt.manifest_file())
    }

    /// Deploys its selected models, or all. Failures become warnings: for the change, those tables are new.
    pub async fn deploy(
        &mut self,
        options: &RunOptions,
        workspace: &Workspace<'_>,
        ids: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Outcome>, Error> {
        let Some((mut dbt, _checkout)) = self.project.take() else { return Ok(Vec::new()) };
        options.ui.say(&format!("deploying {}", self.name));
        let selected = match ids {
            Some(ids) => Some(selection::narrow(options.ui, ids, &mut dbt, workspace.client).await?),
            None => None,
        };
        let models = selected.as_ref();
        let limits = options.server.limits;
        let wanted = sources::RequiredSources { options: &options.sources, limits, readers: models };
        sources::provide(&options.project, &wanted, &dbt, workspace.own, workspace.client).await?;
        let (_, results) = dbt.build().await?;
        let (project, wrong) = dbt.compiled_project().await?.into_valid_part()?;
        let project = project.only(models);
        let mut outcomes = dbt::deploy_outcomes(&results, &with_origins(&project));
        let created = created_tables(&project, &outcomes);
        let created = with_names(&project, &created);
        outcomes.extend(Waiting::in_run(options).populated(workspace.client, &created).await?);
        outcomes.retain(|outcome| outcome.verdict != Verdict::Passed);
        let wrong =
            wrong.into_iter().map(|problem| Outcome::new(Stage::Setup, &self.name, Verdict::Warned, problem));
        Ok(outcomes.into_iter().map(|outcome| self.warning(outcome)).chain(wrong).collect())
    }

    /// A problem of the base is only a warning: the change did not cause it.
    fn warning(&self, outcome: Outcome) -> Outcome {
        let subject = format!("{} of {} at {}", outcome.stage.name(), outcome.subject, self.name);
        Outcome {
            stage: Stage::Setup,
            subject: subject.into(),
            verdict: Verdict::Warned,
            origin: None,
            ..outcome
        }
    }
}

/// A running rehearsal, with the state before the change.
pub struct Rehearsing<'a> {
    client: &'a Client,
    base: String,
    before: Vec<Deployed>,
    after: Vec<Deployed>,
    left: Plan,
    watch: ReadabilityWatch,
    options: RehearsalOptions,
}

impl<'a> Rehearsing<'a> {
    /// Disables the scheduler, so that only the change affects the tables, and copies their rows.
    pub async fn begin(options: &RunOptions, client: &'a Client, base: String) -> Result<Self, Error> {
        client.set_scheduler(false).await?;
        client.news_within(TICK).await;
        let before = client.catalog().await?;
        client.copy_rows(&before).await?;
        let names = before.iter().map(|there| there.table.relation.clone()).collect();
        let watcher = Client::connect(client.endpoint(), options.server.limits).await?;
        options.ui.say(&format!("deploying the project on top of {base}"));
        let watch = ReadabilityWatch::start(watcher, names);
        Ok(Self {
            client,
            base,
            before,
            after: Vec::new(),
            left: Plan::default(),
            watch,
            options: options.rehearsal,
        })
    }

    /// Records the state right after the deployment, and what the project would still change.
    pub async fn observe(&mut self, project: &Project, policy: &Policy) -> Result<(), Error> {
        let (left, snapshot) = plan_against(self.client, project, None, policy).await?;
        self.left = left;
        self.after = snapshot.tables;
        Ok(())
    }

    /// Refreshes the tables, and compares their rows with the copies. The outcomes are those of the tables, and an error
    /// if the rows cannot be compared.
    pub async fn finish(self, project: &Project, plan: &Plan) -> Result<(Rehearsal, Vec<Outcome>), Error> {
        let without_rows = self.watch.end().await?;
        let seen = Observations {
            before: &self.before,
            after: &self.after,
            left: &self.left,
            without_rows: &without_rows,
            recreated: &crate::project::recreated_by_dbt(&project.between),
        };
        let mut tables = rehearsal::rehearsed(plan, &seen);
        let mut outcomes = Vec::new();
        let now = self.client.catalog().await?;
        for table in &mut tables {
            let there = now.iter().find(|there| there.table.relation == table.relation);
            if there.is_some_and(|there| there.health.is_populated && there.health.status == "ACTIVE") {
                match self.client.refresh_within(&table.relation, PATIENCE).await {
                    Ok(Refreshed::Done) => {}
                    Ok(Refreshed::Skipped) => {
                        table.surprises.push("another session prevents its next refresh".into());
                    }
                    Err(pg::Error::Server { message, .. }) => {
                        table.surprises.push(format!("its next refresh fails: {}", message.message));
                    }
                    Err(lost) => return Err(lost.into()),
                }
            }
        }
        let names: Vec<Relation> = tables.iter().map(|table| table.relation.clone()).collect();
        match self.client.compare_rows(&names, &self.before, &now, self.options.examples).await {
            Ok(contents) => {
                for (table, contents) in tables.iter_mut().zip(contents) {
                    table.contents = Some(contents);
                    if let Some(most) = self.options.rows_changed_over {
                        table.limit_changes(most);
                    }
                }
            }
            Err(pg::Error::Server { message, .. }) => {
                let what = "cannot compare the rows";
                outcomes.push(message.outcome(Stage::Rehearsal, &self.base, Verdict::Errored, what));
            }
            Err(lost) => return Err(lost.into()),
        }
        outcomes.extend(tables.iter().map(rehearsal::RehearsedTable::outcome));
        self.client.drop_copies().await?;
        self.client.set_scheduler(true).await?;
        Ok((Rehearsal { base: self.base, tables }, outcomes))
    }
}

/// A task that records how long tables cannot be read.
struct ReadabilityWatch {
    end: oneshot::Sender<()>,
    task: JoinHandle<Result<BTreeMap<Relation, Duration>, pg::Error>>,
}

impl ReadabilityWatch {
    fn start(client: Client, names: BTreeSet<Relation>) -> Self {
        let (end, ended) = oneshot::channel();
        Self { end, task: tokio::spawn(watch(client, names, ended)) }
    }

    /// How long the rows of each table could not be read.
    async fn end(self) -> Result<BTreeMap<Relation, Duration>, pg::Error> {
        // Dropping the sender ends the task.
        drop(self.end);
        self.task.await.unwrap_or_else(|gone| {
            Err(pg::Error::Lost { doing: "watching the tables", reason: gone.to_string(), code: None })
        })
    }
}

async fn watch(
    client: Client,
    names: BTreeSet<Relation>,
    mut ended: oneshot::Receiver<()>,
) -> Result<BTreeMap<Relation, Duration>, pg::Error> {
    let mut gaps: BTreeMap<Relation, Duration> = BTreeMap::new();
    let mut missing: Vec<Relation> = Vec::new();
    let mut last = Instant::now();
    loop {
        let readable = client.readable().await?;
        let now = Instant::now();
        for relation in missing {
            *gaps.entry(relation).or_default() += now - last;
        }
        missing = names.difference(&readable).cloned().collect();
        last = now;
        if ended.try_recv() != Err(oneshot::error::TryRecvError::Empty) {
            return Ok(gaps);
        }
        client.news_within(PAUSE).await;
    }
}
