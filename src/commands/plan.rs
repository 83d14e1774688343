//! `plan`: shows what would change. It never writes to a server.

use std::path::{Path, PathBuf};

use crate::{
    Error,
    commands::{
        base::{Base, base},
        connect::connect,
        project::{load, owner},
    },
    dbt::ManifestFile,
    exit::Exit,
    model::{Deployed, Health, Mark, Owner, Relation, Storage},
    options::PlanOptions,
    output,
    pg::{Client, ServerMessage, Snapshot},
    plan::{self, Answers, Plan, Policy, Refusal, saved::Saved},
    project::{Intermediate, Project},
    report::Report,
};

/// Compares the project with a server, or with another manifest or revision.
pub(super) async fn plan(options: &PlanOptions, report: &mut Report) -> Result<Exit, Error> {
    options.models.selection.parse()?;
    let base = base(options).await?;
    // Read it before the project, so that only one manifest is in memory at a time.
    let before = match &base {
        Some(Base { manifest: Some(file), name }) => Some(Before::read(file, name)?),
        Some(Base { manifest: None, .. }) | None => None,
    };
    // Two manifests are compared without a server.
    let server = base.is_none().then_some(&options.server);
    let loaded = load(&options.models, server).await?;
    let (project, selected) = loaded.compared(&options.models, before.as_ref(), report)?;
    let owner = owner(&options.models, &project)?;
    let plan = if let Some(base) = &base {
        report.target = Some(base.name.clone());
        let before = before.unwrap_or_default();
        let (tables, notes) = (before.tables, before.notes);
        // Accept all schemas: both manifests are for the same target.
        let schemas = tables.iter().map(|deployed| deployed.table.relation.schema.clone());
        let owner = Owner { schemas: owner.schemas.into_iter().chain(schemas).collect(), ..owner };
        let policy = options.permissions.policy(owner);
        let views = plan::views::between_projects(&before.between, &project.between, &project.tables);
        let answers = Answers { views, ..Answers::default() };
        let mut plan = Plan::between(&project.tables, &tables, &answers, &policy)?
            .with_readers(&project)
            .narrowed(selected.as_ref(), &project.tables);
        plan.notes.extend(notes);
        plan
    } else {
        let endpoint = options.server.endpoint(&options.models.project)?;
        let client = connect(&endpoint, options.server.limits, report).await?;
        let policy = options.permissions.policy(owner);
        let (plan, snapshot) = plan_against(&client, &project, &policy).await?;
        let plan = plan.narrowed(selected.as_ref(), &project.tables);
        report.engine = Some((&snapshot.server).into());
        if let Some(file) = &options.out {
            let server = client.endpoint().to_string();
            let saved =
                Saved::new(&project, &policy.owner, server, (&snapshot.tables, &snapshot.between), &plan);
            output::to_file(file, &saved.to_text())?;
            options.ui.say(&format!("wrote {}", file.display()));
        }
        plan
    };
    let changes = !plan.is_empty();
    report.outcomes.extend(plan.problem_outcomes());
    report.plan = Some(plan);
    Ok(if options.exit_code && changes { Exit::Refused } else { Exit::Passed })
}

/// An earlier state of a project, as if it had been deployed.
#[derive(Default)]
pub(super) struct Before {
    pub(super) file: PathBuf,
    pub(super) project: String,
    tables: Vec<Deployed>,
    between: Vec<Intermediate>,
    /// Why some models have no table.
    notes: Vec<String>,
}

impl Before {
    fn read(file: &Path, name: &str) -> Result<Self, Error> {
        let (project, wrong) = ManifestFile::open(file)?.project()?.into_valid_part()?;
        let note = |problem: String| format!("{name} cannot be deployed completely: {problem}");
        Ok(Self {
            file: file.to_owned(),
            project: project.name.clone(),
            between: project.between.clone(),
            notes: wrong.into_iter().map(note).collect(),
            tables: as_deployed(project),
        })
    }
}

/// Plans the changes from a server's state to the project, with views, columns and costs from the server.
pub(super) async fn plan_against(
    client: &Client,
    project: &Project,
    policy: &Policy,
) -> Result<(Plan, Snapshot), Error> {
    let wanted: Vec<Relation> = project.tables.iter().map(|table| table.relation.clone()).collect();
    let mut snapshot = client.snapshot(&wanted).await?;
    snapshot.between = client.between(&project.between).await?;
    let mut answers = Answers {
        unseen: snapshot.server.unreadable_settings(),
        occupied: snapshot.occupied.clone(),
        ..Answers::of_views(project, &snapshot.between)
    };
    let questions = plan::questions(project, &snapshot.tables, &answers.views);
    let queries: Vec<String> = questions.iter().map(|question| question.sql.clone()).collect();
    for (question, answer) in questions.into_iter().zip(client.describe(&queries).await?) {
        let refusal = |error: ServerMessage| Refusal { code: error.code, message: error.message };
        answers.note(project, question.relation, answer.map_err(refusal));
    }
    let plan = Plan::between(&project.tables, &snapshot.tables, &answers, policy)?;
    let lost = client.lost_views(&plan.views_to_restore(&snapshot.tables)).await?;
    let objects = client.lost_objects(&plan.dropped()).await?;
    // Best effort: without it, the plan says that the costs are unknown.
    let costs = client.costs(&plan.refilled()).await.unwrap_or_default();
    let plan = plan.with_lost_views(lost).with_lost_objects(objects, &snapshot.tables);
    Ok((plan.with_costs(&costs).with_readers(project), snapshot))
}

/// The stream tables of a project, as if it had been deployed.
fn as_deployed(project: Project) -> Vec<Deployed> {
    let mark = |unique_id: String| Mark { dbt_project: project.name.clone(), unique_id, target: None };
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
