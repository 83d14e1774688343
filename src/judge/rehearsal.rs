//! Compares what a change did to the tables of the base revision with what the plan predicted.

mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::Catalog;
use crate::{
    model::{Column, Deployed, Origin, Outcome, Relation, Stage, Verdict},
    plan::{Change, ColumnChange, Plan, Step, ViewStep},
};

pub use rows::{RowChange, RowChanges, RowComparison};

/// A change that was applied on top of the base revision.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rehearsal {
    /// The base revision, as the user named it.
    pub base: String,
    /// Every table of the plan, in the order of the plan.
    pub tables: Vec<RehearsedTable>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RehearsedTable {
    pub relation: Relation,
    pub origin: Option<Origin>,
    pub planned: TableEffect,
    pub observed: TableEffect,
    /// Reasons that the plan itself does not have, a sentence each.
    pub reasons: Vec<String>,
    /// Every difference from the plan, a sentence each.
    pub surprises: Vec<String>,
    /// What is as planned and still a reason to warn, a sentence each.
    pub warnings: Vec<String>,
    /// How long its rows were unreadable: it was locked, missing or not populated.
    pub without_rows: Duration,
    /// Without the engine's hidden columns; empty if the table did not exist.
    pub columns_before: Vec<Column>,
    pub columns_after: Vec<Column>,
    /// `None` if the rows could not be compared.
    pub contents: Option<RowComparison>,
}

/// What can happen to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableEffect {
    Created,
    /// Its storage and rows stay, apart from changes of its sources.
    Kept,
    /// Its storage stays, and all rows are written again.
    Refilled,
    /// Dropped and recreated: it has a new storage table.
    Rebuilt,
    Dropped,
    /// It exists neither before nor after.
    Absent,
}

/// What was observed of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'a> {
    pub before: &'a [Deployed],
    /// After the change, and before any other.
    pub after: &'a [Deployed],
    /// The plan after the change: what is still to do.
    pub left: &'a Plan,
    /// How long the rows of each table were unreadable.
    pub without_rows: &'a BTreeMap<Relation, Duration>,
    /// The upstream relations of each table that dbt recreates at every run.
    pub recreated: &'a BTreeMap<Relation, Vec<Relation>>,
}

/// Compares what a plan predicted with what was observed.
pub fn rehearsed(plan: &Plan, seen: &Observations<'_>) -> Vec<RehearsedTable> {
    let (before, after) = (super::catalog(seen.before), super::catalog(seen.after));
    plan.steps.iter().map(|step| table(step, &plan.views, &before, &after, seen)).collect()
}

fn table(
    step: &Step,
    views: &[ViewStep],
    before: &Catalog<'_>,
    after: &Catalog<'_>,
    seen: &Observations<'_>,
) -> RehearsedTable {
    let (was, is) = (before.get(&step.relation).copied(), after.get(&step.relation).copied());
    let mut planned = TableEffect::planned(&step.change);
    let mut reasons = Vec::new();
    let mut changed = views.iter().filter(|view| view.refills() && view.readers.contains(&step.relation));
    if let Some(view) = changed.next().filter(|_| planned == TableEffect::Kept) {
        planned = TableEffect::Refilled;
        reasons.push(format!("the view {} changes", view.relation));
    }
    // docs/pg_trickle.md, "Source DDL": a replaced source makes its readers refill.
    if let Some(recreated) = seen.recreated.get(&step.relation).filter(|_| planned == TableEffect::Kept) {
        planned = TableEffect::Refilled;
        let names = recreated.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        reasons.push(format!("dbt recreates {names} at every run"));
    }
    let mut rehearsed = RehearsedTable {
        relation: step.relation.clone(),
        origin: step.origin.clone(),
        planned,
        observed: TableEffect::observed(was, is),
        reasons,
        surprises: Vec::new(),
        warnings: Vec::new(),
        without_rows: seen.without_rows.get(&step.relation).copied().unwrap_or_default(),
        columns_before: was.map(visible).unwrap_or_default(),
        columns_after: is.map(visible).unwrap_or_default(),
        contents: None,
    };
    rehearsed.surprises = rehearsed.find_surprises(step, seen.left);
    rehearsed
}

impl TableEffect {
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Kept, Self::Refilled, Self::Rebuilt, Self::Dropped, Self::Absent];

    fn planned(change: &Change) -> Self {
        match change {
            Change::Create { .. } => Self::Created,
            Change::Recreate { .. } => Self::Rebuilt,
            Change::Drop => Self::Dropped,
            Change::Alter(_) | Change::AlterQuery { .. } | Change::Keep if change.refills() => Self::Refilled,
            Change::Alter(_) | Change::AlterQuery { .. } | Change::Keep => Self::Kept,
        }
    }

    fn observed(was: Option<&Deployed>, is: Option<&Deployed>) -> Self {
        match (was, is) {
            (None, None) => Self::Absent,
            (None, Some(_)) => Self::Created,
            (Some(_), None) => Self::Dropped,
            (Some(was), Some(is)) if was.storage.oid != is.storage.oid => Self::Rebuilt,
            (Some(was), Some(is)) if was.health.last_refresh_at != is.health.last_refresh_at => {
                Self::Refilled
            }
            (Some(_), Some(_)) => Self::Kept,
        }
    }

    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Kept => "kept, not refilled",
            Self::Refilled => "refilled in place",
            Self::Rebuilt => "dropped and recreated",
            Self::Dropped => "dropped",
            Self::Absent => "absent",
        }
    }

    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Kept => "kept",
            Self::Refilled => "refilled",
            Self::Rebuilt => "rebuilt",
            Self::Dropped => "dropped",
            Self::Absent => "absent",
        }
    }
}

impl RehearsedTable {
    /// Whether the table exists before and after.
    pub fn exists_before_and_after(&self) -> bool {
        !self.columns_before.is_empty() && !self.columns_after.is_empty()
    }

    /// Whether the table was kept as planned and has the same rows.
    pub fn is_unchanged(&self) -> bool {
        let is_same = |contents: &RowComparison| contents.difference.as_ref().is_none_or(RowChanges::is_none);
        self.observed == TableEffect::Kept
            && self.surprises.is_empty()
            && self.contents.as_ref().is_some_and(is_same)
    }

    /// Whether its rows differ from those before.
    pub fn has_other_rows(&self) -> bool {
        let difference = self.contents.as_ref().and_then(|contents| contents.difference.as_ref());
        difference.is_some_and(|difference| !difference.is_none())
    }

    /// Adds a warning if more than this share of the rows differ, in percent of those before.
    pub fn limit_changes(&mut self, most: f64) {
        let share = self.contents.as_ref().and_then(RowComparison::share_changed);
        if let Some(share) = share.filter(|share| *share > most) {
            // Rounded up, so that it never equals the limit.
            let share = (share * 10.0).ceil() / 10.0;
            self.warnings.push(format!(
                "{share}% of its rows differ, more than the {most}% of rehearsal.rows_changed_over"
            ));
        }
    }

    fn find_surprises(&self, step: &Step, left: &Plan) -> Vec<String> {
        let mut surprises = Vec::new();
        if self.planned != self.observed {
            surprises.push(format!("planned: {}; observed: {}", self.planned.words(), self.observed.words()));
        }
        let stays = !matches!(self.planned, TableEffect::Created | TableEffect::Dropped);
        if stays && !self.columns_after.is_empty() && step.knows_columns() {
            let planned = names_and_types(&planned_columns(&self.columns_before, &step.columns));
            let observed = names_and_types(&self.columns_after);
            let names = |columns: Vec<&(String, String)>| {
                columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ")
            };
            let missing: Vec<_> = planned.difference(&observed).collect();
            let unplanned: Vec<_> = observed.difference(&planned).collect();
            if !missing.is_empty() {
                surprises.push(format!("missing columns: {}", names(missing)));
            }
            if !unplanned.is_empty() {
                surprises.push(format!("unplanned columns: {}", names(unplanned)));
            }
        }
        let still = left.steps.iter().find(|step| step.relation == self.relation);
        if let Some(still) = still.filter(|step| step.change != Change::Keep) {
            surprises
                .push(format!("it still differs from the project; left to do: {}", still.change.words()));
        }
        surprises
    }

    pub fn outcome(&self) -> Outcome {
        let (verdict, message) = if let Some(contents) = &self.contents {
            let rows = contents.sentence().map(|rows| format!("; rows: {rows}")).unwrap_or_default();
            if self.surprises.is_empty() {
                let warnings: String = self.warnings.iter().map(|warning| format!("; {warning}")).collect();
                let verdict = if warnings.is_empty() { Verdict::Passed } else { Verdict::Warned };
                (verdict, format!("as planned: {}{rows}{warnings}", self.observed.words()))
            } else {
                (Verdict::Failed, format!("not as planned: {}{rows}", self.surprises.join("; ")))
            }
        } else {
            (Verdict::Errored, format!("{}; its rows could not be compared", self.observed.words()))
        };
        Outcome::new(Stage::Rehearsal, &self.relation, verdict, message).about(self.origin.as_ref())
    }
}

/// The columns without the engine's hidden ones.
fn visible(deployed: &Deployed) -> Vec<Column> {
    let columns = deployed.table.columns.iter().flatten();
    columns.filter(|column| !column.is_internal()).cloned().collect()
}

fn planned_columns(before: &[Column], changes: &[ColumnChange]) -> Vec<Column> {
    let mut columns = before.to_vec();
    for change in changes {
        match change {
            ColumnChange::Added(column) => columns.push(column.clone()),
            ColumnChange::Removed(column) => columns.retain(|there| there.name != column.name),
            ColumnChange::Retyped { from, to } => {
                columns.retain(|there| there.name != from.name);
                columns.push(to.clone());
            }
        }
    }
    columns
}

/// The names and types of the columns. `varchar` and `text` count as one type.
fn names_and_types(columns: &[Column]) -> BTreeSet<(String, String)> {
    let family = |kind: &str| if kind == "varchar" { "text" } else { kind }.to_owned();
    columns.iter().map(|column| (column.name.clone(), family(&column.r#type))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Health, Settings, Storage, StreamTable},
        plan::QueryChange,
    };

    fn column(name: &str) -> Column {
        Column { name: name.into(), r#type: "int4".into() }
    }

    fn deployed(oid: u32, refreshed: f64, columns: &[&str]) -> Deployed {
        let columns = columns.iter().map(|name| column(name)).chain([column("__pgt_count")]).collect();
        Deployed {
            table: StreamTable {
                relation: Relation::new("s", "t"),
                query: String::new(),
                settings: Settings::default(),
                upstream: Vec::new(),
                columns: Some(columns),
                origin: None,
            },
            mark: None,
            health: Health { last_refresh_at: Some(refreshed), ..Health::default() },
            storage: Storage { oid, ..Storage::default() },
        }
    }

    fn step(change: Change, columns: Vec<ColumnChange>) -> Step {
        Step {
            becomes: None,
            relation: Relation::new("s", "t"),
            change,
            reasons: Vec::new(),
            columns,
            unknown: None,
            failure: None,
            cost: None,
            lost: Vec::new(),
            downstream: Vec::new(),
            readers: Vec::new(),
            origin: None,
            refused: false,
        }
    }

    fn altered() -> Change {
        let query = QueryChange { before: "select 1".into(), after: "select 2".into() };
        Change::AlterQuery { query, settings: Vec::new() }
    }

    /// The surprises of a table with this step, before and after, and what is left to do.
    fn surprises(step: Step, before: Option<Deployed>, after: Option<Deployed>, left: Change) -> Vec<String> {
        let left = Plan { steps: vec![self::step(left, Vec::new())], ..Plan::default() };
        let seen = Observations {
            before: &Vec::from_iter(before),
            after: &Vec::from_iter(after),
            left: &left,
            without_rows: &BTreeMap::new(),
            recreated: &BTreeMap::new(),
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        let [table] = &rehearsed(&plan, &seen)[..] else { panic!() };
        table.surprises.clone()
    }

    #[test]
    fn storage_and_last_refresh_show_what_happened() {
        let table = |oid, refreshed| Some(deployed(oid, refreshed, &["id"]));
        let plain = |change| step(change, Vec::new());
        let none: [String; 0] = [];
        assert_eq!(surprises(plain(Change::Keep), table(1, 1.0), table(1, 1.0), Change::Keep), none);
        assert_eq!(surprises(plain(altered()), table(1, 1.0), table(1, 2.0), Change::Keep), none);
        assert_eq!(surprises(plain(Change::Drop), table(1, 1.0), None, Change::Keep), none);
        assert_eq!(
            surprises(plain(altered()), table(1, 1.0), table(2, 2.0), Change::Keep),
            ["planned: refilled in place; observed: dropped and recreated"]
        );
        assert_eq!(
            surprises(plain(Change::Keep), table(1, 1.0), table(1, 2.0), Change::Keep),
            ["planned: kept, not refilled; observed: refilled in place"]
        );
        assert_eq!(
            surprises(plain(Change::Drop), None, None, Change::Keep),
            ["planned: dropped; observed: absent"]
        );
    }

    #[test]
    fn unplanned_columns_are_surprises() {
        let table = |columns: &[&str]| {
            let refreshed = if columns.len() == 1 { 1.0 } else { 2.0 };
            Some(deployed(1, refreshed, columns))
        };
        let added = vec![ColumnChange::Added(column("b"))];
        let none: [String; 0] = [];
        assert_eq!(
            surprises(step(altered(), added.clone()), table(&["a"]), table(&["a", "b"]), Change::Keep),
            none
        );
        assert_eq!(
            surprises(step(altered(), added), table(&["a"]), table(&["a", "c"]), Change::Keep),
            ["missing columns: b int4", "unplanned columns: c int4"]
        );
    }

    /// The verdict and the message for this many rows and changed rows, with a limit of 5%.
    fn judged(before: u64, changed: u64) -> (Verdict, String) {
        let difference = Some(RowChanges { changed, ..RowChanges::default() });
        let contents = RowComparison { before: Some(before), after: Some(before), difference };
        let mut table = RehearsedTable {
            relation: Relation::new("s", "t"),
            origin: None,
            planned: TableEffect::Kept,
            observed: TableEffect::Kept,
            reasons: Vec::new(),
            surprises: Vec::new(),
            warnings: Vec::new(),
            without_rows: Duration::ZERO,
            columns_before: Vec::new(),
            columns_after: Vec::new(),
            contents: Some(contents),
        };
        table.limit_changes(5.0);
        let outcome = table.outcome();
        (outcome.verdict, outcome.message)
    }

    #[test]
    fn more_changed_rows_than_the_limit_warn() {
        assert_eq!(judged(100, 5).0, Verdict::Passed);
        assert_eq!(judged(0, 0).0, Verdict::Passed);
        assert_eq!(judged(0, 1).0, Verdict::Warned);
        let (verdict, message) = judged(10_000, 501);
        assert_eq!(verdict, Verdict::Warned);
        assert!(
            message.ends_with("; 5.1% of its rows differ, more than the 5% of rehearsal.rows_changed_over"),
            "{message}"
        );
    }

    #[test]
    fn an_incomplete_change_is_a_surprise() {
        let table = |refreshed| Some(deployed(1, refreshed, &["id"]));
        assert_eq!(
            surprises(step(altered(), Vec::new()), table(1.0), table(2.0), altered()),
            ["it still differs from the project; left to do: alter query, refilled in place"]
        );
    }
}
