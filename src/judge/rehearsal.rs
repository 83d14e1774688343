//! What a change did to the tables of the base revision, beside what the plan had said.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;

use super::Catalog;
use crate::{
    model::{Column, Deployed, Origin, Outcome, Relation, Stage, Verdict},
    plan::{Change, ColumnChange, Plan, Step, ViewStep},
};

/// A change that was carried out on top of the base revision.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Rehearsal {
    /// The revision, as a person calls it.
    pub base: String,
    /// Every table of the plan, in its order.
    pub tables: Vec<Rehearsed>,
}

/// One table of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsed {
    /// The table.
    pub relation: Relation,
    /// The model behind it.
    pub origin: Option<Origin>,
    /// What the plan said.
    pub planned: Happening,
    /// What happened.
    pub observed: Happening,
    /// Why it was planned, where the plan itself does not say it; a sentence each.
    pub reasons: Vec<String>,
    /// Everything that is not as planned, a sentence each.
    pub surprises: Vec<String>,
    /// What is as planned and worth a look all the same, a sentence each.
    pub warnings: Vec<String>,
    /// How long nobody could read its rows: it was locked, missing or not filled.
    pub without_rows: Duration,
    /// Its columns before, without the engine's own; none where it was not there.
    pub columns_before: Vec<Column>,
    /// Its columns afterwards.
    pub columns_after: Vec<Column>,
    /// What it held and holds; `None` where that could not be asked.
    pub contents: Option<Contents>,
}

/// What can happen to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was not there before.
    Created,
    /// Its storage stays, and so do the rows, but for what their sources bring.
    Kept,
    /// Its storage stays, and all rows are written anew.
    Refilled,
    /// Its storage is another one.
    Rebuilt,
    /// It is not there any more.
    Dropped,
    /// It is not there, and was not before.
    Absent,
}

/// What a table held and holds. A row counts as often as it is there.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct Contents {
    /// The number of rows before; `None` where the table was not there.
    pub before: Option<u64>,
    /// The number of rows afterwards.
    pub after: Option<u64>,
    /// What differs; `None` where there is nothing to compare.
    pub difference: Option<Difference>,
}

/// How the rows differ, in the columns that were there before and are there now.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct Difference {
    /// The columns that are compared.
    pub columns: Vec<String>,
    /// How many of them, the first ones, tell the rows apart; `None` where a few do not.
    pub key: Option<usize>,
    /// Rows that were not there.
    pub added: u64,
    /// Rows that are not there any more.
    pub removed: u64,
    /// Rows of the same key with other values.
    pub changed: u64,
    /// A few of each.
    pub examples: Vec<Example>,
}

/// A row before and after; one of them is missing where it was added or removed.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
pub struct Example {
    /// Its values as they were, as text.
    pub before: Option<Vec<Option<String>>>,
    /// Its values as they are.
    pub after: Option<Vec<Option<String>>>,
}

/// What was seen of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Before the change.
    pub before: &'a [Deployed],
    /// Behind it, with nothing but the change between the two.
    pub after: &'a [Deployed],
    /// What a plan made afterwards would still change.
    pub left: &'a Plan,
    /// How long the rows of each table could not be read.
    pub without_rows: &'a BTreeMap<Relation, Duration>,
    /// What each table reads that dbt makes anew whenever it runs.
    pub remade: &'a BTreeMap<Relation, Vec<Relation>>,
}

/// Compares what a plan said with what was seen.
pub fn rehearsed(plan: &Plan, seen: &Seen<'_>) -> Vec<Rehearsed> {
    let (before, after) = (super::catalog(seen.before), super::catalog(seen.after));
    plan.steps.iter().map(|step| table(step, &plan.views, &before, &after, seen)).collect()
}

fn table(
    step: &Step,
    views: &[ViewStep],
    before: &Catalog<'_>,
    after: &Catalog<'_>,
    seen: &Seen<'_>,
) -> Rehearsed {
    let (was, is) = (before.get(&step.relation).copied(), after.get(&step.relation).copied());
    let mut planned = Happening::planned(&step.change);
    let mut reasons = Vec::new();
    let mut changed = views.iter().filter(|view| view.refills() && view.readers.contains(&step.relation));
    if let Some(view) = changed.next().filter(|_| planned == Happening::Kept) {
        planned = Happening::Refilled;
        reasons.push(format!("the view {} changes", view.relation));
    }
    // docs/pg_trickle.md, "Source DDL": what was replaced has to be found again.
    if let Some(remade) = seen.remade.get(&step.relation).filter(|_| planned == Happening::Kept) {
        planned = Happening::Refilled;
        let names = remade.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        reasons.push(format!("dbt makes {names} anew at every run"));
    }
    let mut rehearsed = Rehearsed {
        relation: step.relation.clone(),
        origin: step.origin.clone(),
        planned,
        observed: Happening::observed(was, is),
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

impl Happening {
    /// Every one of them.
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

    /// It in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Kept => "kept, and not filled again",
            Self::Refilled => "filled again in place",
            Self::Rebuilt => "dropped and built again",
            Self::Dropped => "dropped",
            Self::Absent => "not there",
        }
    }

    /// It in one word, for machines.
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

impl Rehearsed {
    /// Whether it was there before and is there now.
    pub fn stayed(&self) -> bool {
        !self.columns_before.is_empty() && !self.columns_after.is_empty()
    }

    /// Whether nothing happened to it, and nothing in it is another.
    pub fn is_quiet(&self) -> bool {
        let is_same = |contents: &Contents| contents.difference.as_ref().is_none_or(Difference::is_none);
        self.observed == Happening::Kept
            && self.surprises.is_empty()
            && self.contents.as_ref().is_some_and(is_same)
    }

    /// Whether its rows are others than before.
    pub fn has_other_rows(&self) -> bool {
        let difference = self.contents.as_ref().and_then(|contents| contents.difference.as_ref());
        difference.is_some_and(|difference| !difference.is_none())
    }

    /// Warns where the rows that differ are more than this share of those before, in percent.
    pub fn limit_changes(&mut self, most: f64) {
        let share = self.contents.as_ref().and_then(Contents::share_changed);
        if let Some(share) = share.filter(|share| *share > most) {
            // Rounded up, so that it never reads as the limit itself.
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
        let stays = !matches!(self.planned, Happening::Created | Happening::Dropped);
        if stays && !self.columns_after.is_empty() && step.knows_columns() {
            let planned = columns_of(&planned_columns(&self.columns_before, &step.columns));
            let observed = columns_of(&self.columns_after);
            let names = |columns: Vec<&(String, String)>| {
                columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect::<Vec<_>>().join(", ")
            };
            let missing: Vec<_> = planned.difference(&observed).collect();
            let unplanned: Vec<_> = observed.difference(&planned).collect();
            if !missing.is_empty() {
                surprises.push(format!("planned columns that are not there: {}", names(missing)));
            }
            if !unplanned.is_empty() {
                surprises.push(format!("columns that were not planned: {}", names(unplanned)));
            }
        }
        let still = left.steps.iter().find(|step| step.relation == self.relation);
        if let Some(still) = still.filter(|step| step.change != Change::Keep) {
            surprises.push(format!(
                "it is still not what the project wants; left to do: {}",
                still.change.words()
            ));
        }
        surprises
    }

    /// The judgement of it.
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

impl Contents {
    /// How many rows differ, in percent of those before; all of them where there were none.
    fn share_changed(&self) -> Option<f64> {
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let difference = self.difference.as_ref().filter(|difference| !difference.is_none())?;
        let differing = difference.added + difference.removed + difference.changed;
        match self.before? {
            0 => Some(100.0),
            before => Some(100.0 * number(differing) / number(before)),
        }
    }

    /// The numbers of rows, and how many differ.
    pub fn sentence(&self) -> Option<String> {
        Some(match (self.before, self.after) {
            (Some(before), Some(after)) => {
                let difference = self.difference.as_ref().map(Difference::sentence);
                format!("{before} -> {after}, {}", difference.unwrap_or_default())
            }
            (Some(before), None) => format!("{before} before"),
            (None, Some(after)) => after.to_string(),
            (None, None) => return None,
        })
    }
}

impl Difference {
    /// Whether the rows are the same.
    pub fn is_none(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }

    fn sentence(&self) -> String {
        let parts = [(self.added, "added"), (self.removed, "removed"), (self.changed, "changed")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() { "all the same".into() } else { parts.join(", ") }
    }

    /// The examples, each as what became of the row and its values; of a changed row only those that tell it apart, and
    /// those that changed.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        self.examples.iter().map(|example| self.line(example)).collect()
    }

    fn line(&self, example: &Example) -> (&'static str, String) {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".into());
        let row = |values: &[Option<String>]| {
            let values = self.columns.iter().zip(values);
            values.map(|(name, value)| format!("{name} = {}", shown(value))).collect::<Vec<_>>().join(", ")
        };
        match (&example.before, &example.after) {
            (Some(before), Some(after)) => {
                let key = self.key.unwrap_or_default().min(before.len());
                let changes = self.columns.iter().zip(before).zip(after).skip(key);
                let changes: Vec<String> = changes
                    .filter(|((_, was), is)| was != is)
                    .map(|((name, was), is)| format!("{name} {} -> {}", shown(was), shown(is)))
                    .collect();
                ("changed", format!("{}: {}", row(&before[..key]), changes.join(", ")))
            }
            (Some(before), None) => ("removed", row(before)),
            (None, Some(after)) => ("added", row(after)),
            (None, None) => ("added", String::new()),
        }
    }
}

/// The columns without the engine's own.
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

/// Their names and types, in which the two texts without a length are one.
fn columns_of(columns: &[Column]) -> BTreeSet<(String, String)> {
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

    /// What is told of a table for which one thing was planned, when another may have happened.
    fn told(step: Step, before: Option<Deployed>, after: Option<Deployed>, left: Change) -> Vec<String> {
        let left = Plan { steps: vec![self::step(left, Vec::new())], ..Plan::default() };
        let seen = Seen {
            before: &Vec::from_iter(before),
            after: &Vec::from_iter(after),
            left: &left,
            without_rows: &BTreeMap::new(),
            remade: &BTreeMap::new(),
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        let [table] = &rehearsed(&plan, &seen)[..] else { panic!() };
        table.surprises.clone()
    }

    #[test]
    fn what_happened_is_told_from_the_storage_and_the_last_refresh() {
        let table = |oid, refreshed| Some(deployed(oid, refreshed, &["id"]));
        let plain = |change| step(change, Vec::new());
        let none: [String; 0] = [];
        assert_eq!(told(plain(Change::Keep), table(1, 1.0), table(1, 1.0), Change::Keep), none);
        assert_eq!(told(plain(altered()), table(1, 1.0), table(1, 2.0), Change::Keep), none);
        assert_eq!(told(plain(Change::Drop), table(1, 1.0), None, Change::Keep), none);
        assert_eq!(
            told(plain(altered()), table(1, 1.0), table(2, 2.0), Change::Keep),
            ["planned: filled again in place; observed: dropped and built again"]
        );
        assert_eq!(
            told(plain(Change::Keep), table(1, 1.0), table(1, 2.0), Change::Keep),
            ["planned: kept, and not filled again; observed: filled again in place"]
        );
        assert_eq!(
            told(plain(Change::Drop), None, None, Change::Keep),
            ["planned: dropped; observed: not there"]
        );
    }

    #[test]
    fn columns_have_to_be_those_that_were_planned() {
        let table = |columns: &[&str]| {
            let refreshed = if columns.len() == 1 { 1.0 } else { 2.0 };
            Some(deployed(1, refreshed, columns))
        };
        let added = vec![ColumnChange::Added(column("b"))];
        let none: [String; 0] = [];
        assert_eq!(
            told(step(altered(), added.clone()), table(&["a"]), table(&["a", "b"]), Change::Keep),
            none
        );
        assert_eq!(
            told(step(altered(), added), table(&["a"]), table(&["a", "c"]), Change::Keep),
            ["planned columns that are not there: b int4", "columns that were not planned: c int4"]
        );
    }

    /// The verdict and the message for that many rows before and that many that differ, with a limit of 5%.
    fn judged(before: u64, changed: u64) -> (Verdict, String) {
        let difference = Some(Difference { changed, ..Difference::default() });
        let contents = Contents { before: Some(before), after: Some(before), difference };
        let mut table = Rehearsed {
            relation: Relation::new("s", "t"),
            origin: None,
            planned: Happening::Kept,
            observed: Happening::Kept,
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
    fn more_changed_rows_than_the_limit_are_a_warning() {
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
    fn what_is_left_to_do_is_a_surprise() {
        let table = |refreshed| Some(deployed(1, refreshed, &["id"]));
        assert_eq!(
            told(step(altered(), Vec::new()), table(1.0), table(2.0), altered()),
            ["it is still not what the project wants; left to do: alter query, refilled in place"]
        );
    }
}
