//! A plan as SQL: every statement that applying it will execute, written before the first one runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Change, Plan, SettingChange, Step, between::explicit_settings, lost_views::PendingViews};
use crate::{
    model::{Deployed, Mark, Origin, Owner, Relation, Setting, StreamTable, Value, order},
    sql::{query, quote_identifier, quote_literal},
};

/// One step of a plan as SQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub relation: Relation,
    /// The change in a few words, as [`Change::words`].
    pub does: String,
    pub origin: Option<Origin>,
    /// The stream tables that the statements drop, readers first.
    pub drops: Vec<Relation>,
    pub statements: Vec<String>,
}

/// The SQL of each step. Steps that change nothing are left out.
pub fn actions(plan: &Plan, desired: &[StreamTable], deployed: &[Deployed], owner: &Owner) -> Vec<Action> {
    let wanted: BTreeMap<&Relation, &StreamTable> =
        desired.iter().map(|table| (&table.relation, table)).collect();
    let existing: BTreeMap<&Relation, &Deployed> = deployed.iter().map(|d| (&d.table.relation, d)).collect();
    let mut views = PendingViews::of(plan);
    let mut drops = Drops::of(plan, deployed);
    let changed = plan.steps.iter().filter(|step| step.change != Change::Keep);
    changed
        .map(|step| {
            let relation = &step.relation;
            let (wanted, now) = (wanted.get(relation).copied(), existing.get(relation).copied());
            let drops = drops.of_step(step);
            let mut statements: Vec<String> = drops.iter().map(drop_stream_table).collect();
            statements.extend(wanted.into_iter().flat_map(|wanted| statements_of(step, wanted, now, owner)));
            if step.change != Change::Drop {
                statements.extend(views.restorable_after(relation));
            }
            let does = step.change.words().to_owned();
            Action { relation: relation.clone(), does, origin: step.origin.clone(), drops, statements }
        })
        .collect()
}

/// The stream tables that each step drops. A replaced table is dropped after its readers, which the plan drops or
/// replaces, too. A cascade would also drop readers that are not in the plan.
struct Drops<'a> {
    readers: order::Readers<'a>,
    /// The tables that later steps drop, upstream first.
    left: Vec<&'a Relation>,
}

impl<'a> Drops<'a> {
    fn of(plan: &Plan, deployed: &'a [Deployed]) -> Self {
        let dropped: BTreeSet<Relation> = plan.dropped().into_iter().collect();
        let tables = deployed.iter().map(|deployed| &deployed.table);
        let tables: Vec<&StreamTable> = tables.filter(|table| dropped.contains(&table.relation)).collect();
        let readers = order::Readers::of(tables.iter().copied());
        // A server has no cycles, so the fallback order does not matter.
        let sorted = order::topological(&tables).unwrap_or(tables);
        Self { readers, left: sorted.into_iter().map(|table| &table.relation).collect() }
    }

    /// The tables that the step drops, readers first.
    fn of_step(&mut self, step: &Step) -> Vec<Relation> {
        if !matches!(step.change, Change::Recreate { .. } | Change::Drop) {
            return Vec::new();
        }
        let below = self.readers.below(&step.relation);
        let is_dropped = |relation: &&Relation| **relation == step.relation || below.contains(relation);
        let (drops, left): (Vec<_>, Vec<_>) = self.left.iter().copied().partition(is_dropped);
        self.left = left;
        drops.into_iter().rev().cloned().collect()
    }
}

/// The statements that bring a table to the desired state, after the drops of the step.
fn statements_of(step: &Step, wanted: &StreamTable, now: Option<&Deployed>, owner: &Owner) -> Vec<String> {
    let mut statements = Vec::new();
    match &step.change {
        Change::Create { replaces, .. } => {
            statements
                .extend(replaces.iter().map(|kind| format!("drop {kind} {}", wanted.relation.quoted())));
            statements.push(create_schema(&wanted.relation.schema));
            statements.extend(create(wanted));
        }
        Change::Recreate { .. } => {
            statements.extend(create(wanted));
            statements.extend(now.into_iter().flat_map(|now| now.storage.restore_statements.iter().cloned()));
        }
        Change::Alter(settings) => statements.extend(alter(wanted, now, None, settings)),
        Change::AlterQuery { query, settings } => {
            statements.extend(alter(wanted, now, Some(&query.after), settings));
        }
        Change::Drop | Change::Keep => {}
    }
    let mark = |origin| owner.mark(origin, now.and_then(|now| now.mark.as_ref()));
    statements.extend(wanted.origin.as_ref().map(|origin| write_mark(&wanted.relation, &mark(origin))));
    statements
}

/// The engine refuses to drop a table that others read.
fn drop_stream_table(relation: &Relation) -> String {
    call("drop_stream_table", relation, &[])
}

/// Creates the schema only if it is missing, so that a role without the CREATE privilege can deploy into existing ones.
fn create_schema(schema: &str) -> String {
    let quoted = quote_identifier(schema);
    let is_missing = format!("to_regnamespace({}) is null", quote_literal(&quoted));
    format!(
        "do {}",
        quote_literal(&format!("begin if {is_missing} then create schema {quoted}; end if; end"))
    )
}

/// When the last reader of a source is dropped or becomes IMMEDIATE, its change buffer stays, with the columns of that
/// reader. A new reader would capture other columns into it, and every write to the source would fail (docs/pg_trickle.md, "Drop"). Newer
/// versions also have a list of the buffers. The dbt package does the same (`_pgtrickle_drop_left_buffers`).
const DROP_LEFT_BUFFERS: &str = include_str!("sql/drop_left_buffers.sql");

/// The statements that create a table.
pub(super) fn create(table: &StreamTable) -> Vec<String> {
    let mut arguments = vec![("query", quote_literal(query::clean(&table.query)))];
    let mut after_create = Vec::new();
    for (setting, value) in explicit_settings(table) {
        // The engine accepts these only for an existing table.
        let is_for_alter = [
            Setting::Status,
            Setting::Tier,
            Setting::Fuse,
            Setting::FuseCeiling,
            Setting::FuseSensitivity,
            Setting::PostRefreshAction,
            Setting::ReindexDriftThreshold,
        ];
        let arguments = if is_for_alter.contains(&setting) { &mut after_create } else { &mut arguments };
        arguments.push((setting.name(), literal(value)));
    }
    let mut statements =
        vec![DROP_LEFT_BUFFERS.to_owned(), call("create_stream_table", &table.relation, &arguments)];
    if !after_create.is_empty() {
        statements.push(call("alter_stream_table", &table.relation, &after_create));
    }
    statements
}

/// The query and the mode come first: they resume a suspended table, and leaving IMMEDIATE resets the schedule to the
/// engine's default (docs/pg_trickle.md, "Alter" and "Changing the query").
fn alter(
    wanted: &StreamTable,
    now: Option<&Deployed>,
    query: Option<&str>,
    settings: &[SettingChange],
) -> Vec<String> {
    let mut first: Vec<(&str, String)> =
        query.into_iter().map(|text| ("query", quote_literal(query::clean(text)))).collect();
    let mut second = Vec::new();
    let mut orchestration = None;
    for change in settings {
        let Some(value) = &change.to else { continue };
        if change.setting == Setting::OrchestrationMode {
            orchestration = Some(format!(
                "select pgtrickle.set_orchestration_mode({}, {})",
                quote_literal(&wanted.relation.quoted()),
                literal(value)
            ));
            continue;
        }
        let arguments = if change.setting == Setting::RefreshMode { &mut first } else { &mut second };
        arguments.push((change.setting.name(), literal(value)));
    }
    let suspended = Value::Text("SUSPENDED".into());
    let status = now.and_then(|now| now.table.settings.get(Setting::Status));
    if !first.is_empty()
        && status == Some(&suspended)
        && *wanted.settings.get(Setting::Status).unwrap_or(&suspended) == suspended
    {
        second.push(("status", literal(&suspended)));
    }
    let mode = wanted.settings.refresh_mode();
    let mut statements = Vec::new();
    if !first.is_empty() {
        let leaves_immediate = now.is_some_and(|now| now.table.settings.refresh_mode() == Some("IMMEDIATE"))
            && first.iter().any(|(name, _)| *name == Setting::RefreshMode.name());
        statements.extend(leaves_immediate.then(|| DROP_LEFT_BUFFERS.to_owned()));
        statements.push(call("alter_stream_table", &wanted.relation, &first));
    }
    // Altering the query of a top-k table can leave wrong rows, which the next refresh corrects. The engine refuses it for a
    // table that an external orchestrator refreshes.
    let is_external = now.is_some_and(|now| now.health.is_refreshed_externally());
    if query.is_some() && mode != Some("FULL") && mode != Some("IMMEDIATE") && !is_external {
        statements.push(call("refresh_stream_table", &wanted.relation, &[]));
    }
    if !second.is_empty() {
        statements.push(call("alter_stream_table", &wanted.relation, &second));
    }
    // Last: the engine refuses to refresh a table that an external orchestrator refreshes.
    statements.extend(orchestration);
    statements
}

fn call(function: &str, relation: &Relation, arguments: &[(&str, String)]) -> String {
    let arguments: Vec<String> =
        arguments.iter().map(|(name, value)| format!(", {name} => {value}")).collect();
    format!("select pgtrickle.{function}({}{})", quote_literal(&relation.to_string()), arguments.concat())
}

fn literal(value: &Value) -> String {
    match value {
        Value::Text(text) => quote_literal(text),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Schedule(schedule) => quote_literal(&schedule.to_string()),
    }
}

/// Writes the mark as a comment on the engine's trigger and removes the one that an earlier version wrote to the
/// column; any other comment on the column is the user's. The dbt package does the same (`_pgtrickle_write_mark`).
fn write_mark(relation: &Relation, mark: &Mark) -> String {
    let mark = serde_json::to_string(mark).expect("a mark is texts");
    let body = format!(
        "declare \
         storage constant regclass := {storage}; \
         mark constant text := {mark}; \
         has_old_mark constant boolean := exists (\
         select from pg_attribute as a, col_description(a.attrelid, a.attnum) as comment \
         where a.attrelid = storage and a.attname = '__pgt_row_id' \
         and case when pg_input_is_valid(comment, 'jsonb') then jsonb_typeof(comment::jsonb -> 'dbt_project') = 'string' \
         and jsonb_typeof(comment::jsonb -> 'unique_id') = 'string' end); \
         begin \
         if not exists (select from pg_trigger where tgrelid = storage and tgname = 'pgt_dml_guard') then \
         execute format('comment on column %s.__pgt_row_id is %L', storage, mark); \
         return; \
         end if; \
         execute format('comment on trigger pgt_dml_guard on %s is %L', storage, mark); \
         if has_old_mark then execute format('comment on column %s.__pgt_row_id is null', storage); end if; \
         end",
        storage = quote_literal(&relation.quoted()),
        mark = quote_literal(&mark),
    );
    format!("do {}", quote_literal(&body))
}
