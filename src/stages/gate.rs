//! What a run does with the project and dbt: parses, plans, builds.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    compile::prepare_dbt,
    deploy::{created_tables, with_origins},
    plan::plan_against,
    project::warn_of_misspelled,
    rehearse::Base,
    selection::{self, SelectedModels, narrow},
    shard::durations,
    sources,
    target::owner_for,
    workspace::Workspace,
};
use crate::{
    Error,
    dbt::{self, Dbt, ProjectFile, Revision, Started, Target},
    model::{Outcome, Relation, ShardShare},
    options::RunOptions,
    pg::ServerInfo,
    plan::{self, Answers, Plan, Policy, RequiredRights},
    project::{self, Project},
    verify::Writes,
};

/// The project as dbt parsed it, which needs no server.
pub struct Parsed {
    pub dbt: Dbt,
    pub base: Option<Base>,
    pub models: SelectedModels,
    pub shard: Option<ShardShare>,
}

/// The project as it was planned, with all of its tables.
pub struct Planned {
    pub project: Project,
    pub plan: Plan,
}

/// A deployed project.
pub struct Deployment {
    /// With all of its tables.
    pub whole: Project,
    /// With the selected tables.
    pub project: Project,
    pub plan: Plan,
    /// The tables that dbt created or kept.
    pub created: BTreeSet<Relation>,
}

impl Parsed {
    /// Parses the project and its base revision, and resolves the selection and the shard.
    pub async fn of(
        options: &RunOptions,
        file: &ProjectFile,
        started: Arc<Started>,
        revision: Option<&Revision>,
        target: Target,
    ) -> Result<Self, Error> {
        let (project, hides_rows) = (&options.project, options.hides_rows);
        let dbt =
            prepare_dbt(project, started.clone(), &project.dir, file, target.clone(), hides_rows).await?;
        let base = match revision {
            Some(revision) => Some(Base::check_out(options, started, revision, &target).await?),
            None => None,
        };
        dbt.parse().await?;
        let reading = dbt.project()?;
        warn_of_misspelled(options.ui, &reading);
        reading.check()?;
        let baseline = base.as_ref().and_then(Base::manifest);
        let default = dbt.default_selector().await?;
        let manifest = dbt.manifest()?;
        let mut models =
            selection::selected(options.ui, &options.selection, &manifest, baseline.as_deref(), default)?;
        let graph = reading.graph();
        let is_empty = graph.stream_tables(models.ids.as_ref()).next().is_none();
        // A change may remove the last stream table.
        if is_empty && !options.allow_empty && !base.as_ref().is_some_and(Base::has_stream_tables) {
            let (name, is_selected) = (file.name.clone(), models.ids.is_some());
            return Err(project::Error::NoStreamTables { name, is_selected }.into());
        }
        let Some(sharding) = &options.rounds.sharding else {
            return Ok(Self { dbt, base, models, shard: None });
        };
        let durations = durations(options.ui, sharding)?;
        let (ids, took) = graph.shard(models.ids.as_ref(), sharding.shard, &durations);
        models.ids = Some(ids);
        Ok(Self { dbt, base, models, shard: Some(took) })
    }
}

/// What the stages of a run share.
pub struct Gate<'a> {
    pub options: &'a RunOptions,
    pub workspace: Workspace<'a>,
    pub software: &'a ServerInfo,
    /// How rows may be changed; `None` changes none.
    pub writes: Option<Writes>,
    pub dbt: Dbt,
    /// The target that dbt deploys to.
    pub target: &'a Target,
    /// The selected models; `None` if all are selected.
    pub selected: Option<BTreeSet<String>>,
}

impl Gate<'_> {
    /// Restricts dbt to the models and what they need, and creates the sources that they read.
    pub async fn prepare(&mut self, models: SelectedModels) -> Result<(), Error> {
        let Self { options, workspace, dbt, selected, .. } = self;
        let mut readers = None;
        if let Some(ids) = models.ids {
            let needed = narrow(options.ui, &ids, dbt, workspace.client).await?;
            if models.default.is_some() {
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
        sources::provide(&options.project, &wanted, dbt, workspace.own, workspace.client).await
    }

    /// Plans before the first change, so that refused steps can stop the deployment. `None` on an empty server, where the
    /// plan is known after the build, which compiles.
    pub async fn plan(&self) -> Result<Option<Planned>, Error> {
        let (Workspace { client, own }, ids) = (&self.workspace, self.selected.as_ref());
        if client.catalog().await?.is_empty() && (own.is_some() || !self.is_occupied().await?) {
            if own.is_none() {
                let tables = self.dbt.manifest()?.uncompiled_tables(ids)?;
                if !tables.is_empty() {
                    self.check_rights(RequiredRights::first_deployment(&tables)).await?;
                }
            }
            return Ok(None);
        }
        self.dbt.compile().await?;
        let project = self.dbt.project()?.into_project()?;
        let policy = self.policy(&project);
        let (plan, now) = plan_against(client, &project, ids, &policy).await?;
        if own.is_none() {
            let actions = plan::actions(&plan, &project.tables, &now.tables, &policy.owner);
            self.check_rights(plan.rights_with_dbt(&project.tables, &actions)).await?;
        }
        Ok(Some(Planned { project, plan }))
    }

    /// Checks the privileges before dbt builds anything: those for the deployment, and those for the checks after it.
    async fn check_rights(&self, needs: RequiredRights) -> Result<(), Error> {
        Ok(self.workspace.client.check_rights(&RequiredRights { watch: true, ..needs }).await?)
    }

    /// Whether another relation has the name of a stream table and would be dropped.
    async fn is_occupied(&self) -> Result<bool, Error> {
        Ok(!self.workspace.client.snapshot(&self.stream_tables()?).await?.occupied.is_empty())
    }

    /// The relations of the selected stream tables.
    fn stream_tables(&self) -> Result<Vec<Relation>, Error> {
        Ok(self.dbt.manifest()?.graph()?.stream_tables(self.selected.as_ref()).cloned().collect())
    }

    /// Builds the project with dbt. The outcomes are those of its tables.
    pub async fn build(&self, planned: Option<Planned>) -> Result<(Deployment, Vec<Outcome>), Error> {
        let (_, results) = self.dbt.build().await?;
        let Planned { project: whole, plan } = match planned {
            Some(planned) => planned,
            None => self.plan_of_new().await?,
        };
        let project = whole.clone().only(self.selected.as_ref());
        let outcomes = dbt::deploy_outcomes(&results, &with_origins(&project));
        let created = created_tables(&project, &outcomes);
        Ok((Deployment { whole, project, plan, created }, outcomes))
    }

    /// The plan of a deployment to a server without stream tables.
    async fn plan_of_new(&self) -> Result<Planned, Error> {
        let project = self.dbt.compiled_project().await?.into_project()?;
        let policy = self.policy(&project);
        let plan = Plan::between(&project.tables, &[], &Answers::default(), &policy)?.with_readers(&project);
        let plan = plan.narrowed(self.selected.as_ref(), &project.tables);
        Ok(Planned { project, plan })
    }

    /// What the plan may drop, and whose tables it sees as its own.
    pub fn policy(&self, project: &Project) -> Policy {
        self.options.permissions.policy(owner_for(project, Some(self.target)))
    }
}
