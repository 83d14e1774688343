//! Plans the changes from a server's state, or from an earlier manifest, to the project.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    dbt::ManifestFile,
    model::{Deployed, Health, Mark, Owner, Relation, Storage, StreamTable},
    pg::{Client, ServerMessage, Snapshot},
    plan::{self, Answers, Plan, Policy, Question, Refusal},
    project::{Intermediate, Project},
    sql::query,
};

/// Plans the changes between two manifests, without a server, for the selected models.
pub fn plan_between(
    before: EarlierState,
    project: &Project,
    ids: Option<&BTreeSet<String>>,
    policy: &Policy,
) -> Result<Plan, Error> {
    let EarlierState { tables, between, notes, .. } = before;
    // Accept all schemas: both manifests are for the same target.
    let schemas = tables.iter().map(|deployed| deployed.table.relation.schema.clone());
    let owner = policy.owner.clone();
    let owner = Owner { schemas: owner.schemas.into_iter().chain(schemas).collect(), ..owner };
    let policy = Policy { owner, ..policy.clone() };
    let views = plan::views::between_projects(&between, &project.between, &project.tables);
    let answers = Answers { views, ..Answers::default() };
    let mut plan = Plan::between(&project.tables, &tables, &answers, &policy)?.with_readers(project);
    plan.notes.extend(notes);
    Ok(plan.narrowed(ids, &project.tables))
}

/// An earlier state of a project, as if it had been deployed.
#[derive(Default)]
pub struct EarlierState {
    pub file: PathBuf,
    pub project: String,
    pub tables: Vec<Deployed>,
    pub between: Vec<Intermediate>,
    /// Why some models have no table.
    pub notes: Vec<String>,
}

impl EarlierState {
    pub fn read(file: &Path, name: &str) -> Result<Self, Error> {
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

/// Plans the changes from a server's state to the project's selected models, with views, columns and costs from the
/// server.
pub async fn plan_against(
    client: &Client,
    project: &Project,
    ids: Option<&BTreeSet<String>>,
    policy: &Policy,
) -> Result<(Plan, Snapshot), Error> {
    let wanted: Vec<Relation> = project.tables.iter().map(|table| table.relation.clone()).collect();
    let mut snapshot = client.snapshot(&wanted).await?;
    snapshot.between = client.between(&project.between).await?;
    let mut answers = Answers {
        unseen: snapshot.server.unreadable_settings(),
        occupied: snapshot.occupied.clone(),
        views: plan::views::against_server(project, &snapshot.between),
        unbuilt: plan::unbuilt(project, &snapshot.between),
        version: snapshot.server.version(),
        has_citus: Some(snapshot.server.has_citus()),
        refuses_buffers: snapshot.server.refuses_buffers(),
        losing_settings: snapshot.server.losing_settings(),
        ..Answers::default()
    };
    answers.special_sources = client.special_sources(&snapshot.server, &read_relations(project)).await?;
    let questions = plan::questions(project, &snapshot.tables, &answers.views);
    let queries: Vec<String> = questions.iter().map(|question| question.sql.clone()).collect();
    for (question, answer) in questions.iter().zip(client.describe(&queries).await?) {
        let refusal = |error: ServerMessage| Refusal { code: error.code.into(), message: error.message };
        answers.note(project, question.relation.clone(), answer.map_err(refusal));
    }
    let texts = texts_with_views(project, &questions);
    let texts = texts.iter().map(|(relation, text)| (relation, text.as_str()));
    answers.function_reads = client.function_reads(texts).await?.of_queries();
    let validations = plan::validations(project, &snapshot.tables, &questions, &answers);
    let not_validated = match client.unsupported(&snapshot.server, &validations).await {
        Ok(unsupported) => {
            answers.unsupported = unsupported;
            None
        }
        Err(error) => Some(format!("pg_trickle did not validate the queries: {error}")),
    };
    let mut plan = Plan::between(&project.tables, &snapshot.tables, &answers, policy)?;
    plan.notes.extend(not_validated);
    let lost = client.lost_views(&plan.views_to_restore(&snapshot.tables)).await?;
    let objects = client.lost_objects(&plan.dropped()).await?;
    // Best effort: without it, the plan says that the costs are unknown.
    let costs = client.costs(&plan.refilled()).await.unwrap_or_default();
    let plan = plan.with_lost_views(lost).with_lost_objects(objects, &snapshot.tables);
    let plan = plan.with_costs(&costs).with_readers(project);
    let mut plan = plan.narrowed(ids, &project.tables);
    // Another role may deploy, so they are no problem of the plan.
    let actions = plan::actions(&plan, &project.tables, &snapshot.tables, &policy.owner);
    let needs = plan.rights_with_dbt(&project.tables, &actions);
    let user = &client.endpoint().user;
    let note = |right: String| format!("the role `{user}` cannot deploy this: it lacks {right}");
    plan.notes.extend(client.lacking_rights(&needs).await?.into_iter().map(note));
    Ok((plan, snapshot))
}

/// The relations that the project's stream tables and views read.
fn read_relations(project: &Project) -> Vec<Relation> {
    let tables = project.tables.iter().map(|table| table.query.as_str());
    let queries = tables.chain(project.between.iter().filter_map(|view| view.query.as_deref()));
    let read: BTreeSet<Relation> = queries.flat_map(query::relations).collect();
    read.into_iter().collect()
}

/// The queries of the tables in question, each with those of the views that it reads.
fn texts_with_views(project: &Project, questions: &[Question]) -> Vec<(Relation, String)> {
    let asked: BTreeSet<&Relation> = questions.iter().map(|question| &question.relation).collect();
    let tables = project.tables.iter().filter(|table| asked.contains(&table.relation));
    let text = |table: &StreamTable| {
        let views = project.between.iter().filter(|view| view.readers.contains(&table.relation));
        let views = views.filter_map(|view| view.query.as_deref());
        let queries: Vec<&str> = std::iter::once(table.query.as_str()).chain(views).collect();
        (table.relation.clone(), queries.join("\n;\n"))
    };
    tables.map(text).collect()
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
