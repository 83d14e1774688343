//! `plan`: what would change. It reads, and writes nothing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    cli::{DesiredArgs, ModelsArgs, PlanArgs, ProjectArgs, ServerArgs},
    commands::{
        ReadManifest,
        base::{Base, base},
        connect, manifest_file, read_manifest,
        selection::{selected, selector},
        target,
    },
    config::Config,
    dbt::{self, Dbt, ManifestFile, ProjectFile, Target},
    exit::Exit,
    model::{Deployed, Health, Mark, Relation, Storage},
    output,
    pg::{Client, ServerMessage, Standing},
    plan::{self, Answers, Plan, Policy, Refusal, saved::Saved},
    project::{self, Intermediate, Project, Reading},
    report::Report,
};

/// Compares the project with a server, or with another manifest.
pub(super) async fn plan(config: &Config, args: &PlanArgs, report: &mut Report) -> Result<Exit, Error> {
    selector(&args.desired.models.selection)?;
    let base = base(config, args).await?;
    // Before the other one, so that no two are in memory but for their stream tables.
    let before = match &base {
        Some(Base { manifest: Some(file), name }) => Some(Before::read(file, name)?),
        Some(Base { manifest: None, .. }) | None => None,
    };
    let (project, selected) = desired(config, &args.desired, &args.server, before.as_ref()).await?;
    report.project = Some(project.name.clone());
    let policy = config.policy(&args.policy, &project.name);
    let plan = if let Some(base) = &base {
        report.target = Some(base.name.clone());
        let before = before.unwrap_or_default();
        let (tables, notes) = (before.tables, before.notes);
        let views = plan::views::between_projects(&before.between, &project.between, &project.tables);
        let answers = Answers { views, ..Answers::default() };
        let mut plan = Plan::between(&project.tables, &tables, &answers, &policy)?
            .with_readers(&project)
            .narrowed(selected.as_ref(), &project.tables);
        plan.notes.extend(notes);
        plan
    } else {
        let client =
            connect(&config.server(&args.server, &args.desired.models.project)?, &args.server, report)
                .await?;
        let (plan, standing) = against(&client, &project, &policy).await?;
        let plan = plan.narrowed(selected.as_ref(), &project.tables);
        report.engine = Some((&standing.server).into());
        if let Some(file) = &args.out {
            let server = client.endpoint().to_string();
            let saved = Saved::new(&project, server, &standing.tables, &standing.between, &plan);
            output::to_file(file, &saved.to_text())?;
            config.ui.say(&format!("wrote {}", file.display()));
        }
        plan
    };
    let changes = !plan.is_empty();
    report.outcomes.extend(plan.problem_outcomes());
    report.plan = Some(plan);
    Ok(if args.exit_code && changes { Exit::Refused } else { Exit::Passed })
}

/// An earlier state of a project, as it would stand in a server that it had just been deployed to.
#[derive(Default)]
pub(super) struct Before {
    file: PathBuf,
    project: String,
    tables: Vec<Deployed>,
    between: Vec<Intermediate>,
    /// Why some of its models have no table.
    notes: Vec<String>,
}

impl Before {
    fn read(file: &Path, name: &str) -> Result<Self, Error> {
        let (project, wrong) = ManifestFile::open(file)?.project()?.as_it_is()?;
        let note = |problem: String| format!("{name} could not be deployed whole: {problem}");
        Ok(Self {
            file: file.to_owned(),
            project: project.name.clone(),
            between: project.between.clone(),
            notes: wrong.into_iter().map(note).collect(),
            tables: as_deployed(project),
        })
    }
}

/// A project, and which of its models are meant where not all are.
pub(super) type Desired = (Project, Option<BTreeSet<String>>);

/// The project as dbt compiled it. Where that was never done, was lost, or is older than a model, dbt is asked.
pub(super) async fn desired(
    config: &Config,
    args: &DesiredArgs,
    server: &ServerArgs,
    before: Option<&Before>,
) -> Result<Desired, Error> {
    let is_named = args.models.manifest.manifest.is_some();
    let read = read_manifest(config, &args.models).and_then(|read| {
        let is_current = is_named || !is_outdated(config, &args.models.project, &read.1)?;
        is_current.then(|| meant(config, &args.models, read, before)).transpose()
    });
    match read {
        Ok(Some(desired)) => Ok(desired),
        Err(error) if is_named || !is_uncompiled(&error) => Err(error),
        Ok(None) | Err(_) => compile(config, &args.models, args.vars.clone(), server, before).await,
    }
}

/// What a manifest wants, where nothing is wrong with it.
fn meant(
    config: &Config,
    models: &ModelsArgs,
    (manifest, reading): ReadManifest,
    before: Option<&Before>,
) -> Result<Desired, Error> {
    let project = match before {
        Some(before) => reading.compared_with(&before.file, &before.project).right()?,
        None => reading.right()?,
    };
    let baseline = before.map(|before| before.file.as_path());
    Ok((project, selected(config, &models.selection, &manifest, baseline)?))
}

pub(super) fn is_uncompiled(error: &Error) -> bool {
    matches!(
        error,
        Error::Project(project::Error::NotCompiled { .. }) | Error::Dbt(dbt::Error::NoManifest { .. })
    )
}

fn is_outdated(config: &Config, args: &ProjectArgs, project: &Reading) -> Result<bool, Error> {
    Ok(dbt::is_outdated(&manifest_file(config, args)?, &args.project_dir, project))
}

/// Has dbt compile the project for the server that it is looked at on.
pub(super) async fn compile(
    config: &Config,
    models: &ModelsArgs,
    vars: Option<String>,
    server: &ServerArgs,
    before: Option<&Before>,
) -> Result<Desired, Error> {
    let file = ProjectFile::read(&models.project.project_dir)?;
    let target = target(config, &models.project, &file)?;
    let target = Target { endpoint: config.server(server, &models.project)?, ..target };
    config.ui.say("compiling the project");
    let path = config.environment.path();
    let dbt = Dbt::new(&path, &models.project.project_dir, target, vars, config.ui)?;
    dbt.install_packages(&file).await?;
    dbt.compile().await?;
    meant(config, models, (dbt.manifest()?, dbt.project()?), before)
}

/// Compares the project with what a server has, and asks it for the views, columns and costs that decide what happens.
pub(super) async fn against(
    client: &Client,
    project: &Project,
    policy: &Policy,
) -> Result<(Plan, Standing), Error> {
    let wanted: Vec<Relation> = project.tables.iter().map(|table| table.relation.clone()).collect();
    let mut standing = client.standing(&wanted).await?;
    standing.between = client.between(&project.between).await?;
    let mut answers = Answers {
        unseen: standing.server.unseen(),
        occupied: standing.occupied.clone(),
        ..Answers::of_views(project, &standing.between)
    };
    let questions = plan::questions(project, &standing.tables, &answers.views);
    let queries: Vec<String> = questions.iter().map(|question| question.sql.clone()).collect();
    for (question, answer) in questions.into_iter().zip(client.describe(&queries).await?) {
        let refusal = |said: ServerMessage| Refusal { code: said.code, message: said.message };
        answers.note(project, question.relation, answer.map_err(refusal));
    }
    let plan = Plan::between(&project.tables, &standing.tables, &answers, policy)?;
    let lost = client.lost_views(&plan.views_to_restore(&standing.tables)).await?;
    // Best effort: a plan without it says that it does not know.
    let costs = client.costs(&plan.refilled()).await.unwrap_or_default();
    Ok((plan.with_lost_views(lost).with_costs(&costs).with_readers(project), standing))
}

/// A project as it would stand in a server that it had just been deployed to.
fn as_deployed(project: Project) -> Vec<Deployed> {
    let mark = |unique_id: String| Mark { dbt_project: project.name.clone(), unique_id };
    project
        .tables
        .into_iter()
        .map(|table| Deployed {
            mark: table.origin.clone().map(|origin| mark(origin.unique_id)),
            health: Health::default(),
            storage: Storage::default(),
            table,
        })
        .collect()
}
