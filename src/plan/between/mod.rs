//! Computes a plan.

mod problems;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answers, Change, ColumnChange, Cost, Cycle, Plan, Policy, QueryChange, SpecialSource, Step, ViewStep,
    columns, dbt, renames, settings::setting_changes,
};
use crate::{
    model::{
        Deployed, HiddenRead, Origin, Ownership, Relation, Setting, StreamTable, Value,
        order::{self, Readers},
        settings::OnChange,
    },
    sql::query,
};

impl Plan {
    /// The plan that changes the deployed tables to the desired ones.
    ///
    /// # Errors
    /// If the desired tables form a dependency cycle.
    pub fn between(
        desired: &[StreamTable],
        deployed: &[Deployed],
        answers: &Answers,
        policy: &Policy,
    ) -> Result<Self, Cycle> {
        let sorted =
            order::topological(&desired.iter().collect::<Vec<_>>()).map_err(|members| Cycle { members })?;
        Ok(Comparison::new(deployed, &sorted, answers, policy).plan(&sorted))
    }
}

/// Both sides of the comparison, and the server's answers.
pub(super) struct Comparison<'a> {
    pub(super) deployed: &'a [Deployed],
    pub(super) existing: BTreeMap<&'a Relation, &'a Deployed>,
    pub(super) desired: BTreeSet<&'a Relation>,
    /// The deployed tables that read each deployed table.
    pub(super) readers: Readers<'a>,
    pub(super) answers: &'a Answers,
    policy: &'a Policy,
    tables: BTreeMap<&'a Relation, &'a StreamTable>,
}

impl<'a> Comparison<'a> {
    fn new(
        deployed: &'a [Deployed],
        sorted: &[&'a StreamTable],
        answers: &'a Answers,
        policy: &'a Policy,
    ) -> Self {
        Self {
            deployed,
            existing: deployed.iter().map(|d| (&d.table.relation, d)).collect(),
            desired: sorted.iter().map(|table| &table.relation).collect(),
            readers: Readers::of(deployed.iter().map(|d| &d.table)),
            answers,
            policy,
            tables: sorted.iter().map(|table| (&table.relation, *table)).collect(),
        }
    }

    /// The query of a desired table.
    pub(super) fn query(&self, relation: &Relation) -> Option<&'a str> {
        self.tables.get(relation).map(|table| table.query.as_str())
    }

    /// The settings of a desired table that the server lacks.
    pub(super) fn lacking_settings(&self, relation: &Relation) -> impl Iterator<Item = Setting> {
        let unseen = &self.answers.unseen;
        let settings = self.tables.get(relation).into_iter().flat_map(|table| explicit_settings(table));
        settings.map(|(setting, _)| setting).filter(|setting| unseen.contains(setting))
    }

    /// The special sources of a desired table, also those below its views.
    pub(super) fn special_sources(&self, relation: &Relation) -> impl Iterator<Item = &'a SpecialSource> {
        let read: BTreeSet<Relation> = self.query(relation).into_iter().flat_map(query::relations).collect();
        self.answers.special_sources.iter().filter(move |source| read.contains(&source.read_as))
    }

    fn plan(&self, sorted: &[&'a StreamTable]) -> Plan {
        let (ours, unmanaged): (Vec<_>, Vec<_>) = self
            .deployed
            .iter()
            .filter(|d| !self.desired.contains(&d.table.relation))
            .partition(|d| self.is_ours(d));
        let mut steps: Vec<Step> = sorted.iter().map(|table| self.step(table)).collect();
        self.replace_readers(&mut steps, sorted);
        self.reset_readers_of_replaced(&mut steps, sorted);

        let drops: Vec<&StreamTable> = ours.iter().map(|d| &d.table).collect();
        // Readers are dropped first. A server has no cycles, so the fallback order does not matter.
        let drops = order::topological(&drops).unwrap_or(drops).into_iter().rev();
        let (first, last): (Vec<_>, Vec<_>) =
            drops.partition(|table| !self.is_read_by_desired(&table.relation));
        let drop = |table: &&StreamTable| {
            let mut step = self.finished(&table.relation, table, Change::Drop, Vec::new());
            // The model is gone, and so is its file.
            step.origin = step.origin.map(|origin| Origin { file: String::new(), ..origin });
            step
        };
        let mut ordered: Vec<Step> = first.iter().map(drop).collect();
        ordered.append(&mut steps);
        ordered.extend(last.iter().map(drop));

        let everything = Readers::of(sorted.iter().copied().chain(ours.iter().map(|d| &d.table)));
        for step in &mut ordered {
            if step.change != Change::Keep {
                step.downstream = everything.below(&step.relation).into_iter().cloned().collect();
            }
        }
        renames::note(&mut ordered, sorted, &self.existing);
        problems::mark(self, &mut ordered);
        let mut plan = Plan {
            problems: problems::of(self, &ordered),
            views: self.answers.views.clone(),
            notes: self
                .notes(sorted)
                .into_iter()
                .chain(self.name_notes(&ordered))
                .chain(self.row_security_notes(&ordered))
                .chain(self.unnoticed_source_notes(&ordered))
                .chain(self.losing_setting_notes(&ordered))
                .chain(self.partition_notes(&ordered))
                .chain(self.function_notes(&ordered))
                .chain(self.other_targets_note(&unmanaged))
                .collect(),
            unmanaged: unmanaged
                .into_iter()
                .filter(|d| !matches!(self.whose(d), Ownership::OtherTarget(_)))
                .map(|d| d.table.relation.clone())
                .collect(),
            unmatched: self.policy.unmatched(&ordered, self.deployed),
            needs_dbt: Vec::new(),
            lost_views: Vec::new(),
            lost_objects: Vec::new(),
            steps: ordered,
        };
        plan.needs_dbt = dbt::needs(&plan, self.answers);
        plan
    }

    fn whose(&self, deployed: &Deployed) -> Ownership {
        self.policy.owner.whose(&deployed.table.relation, deployed.mark.as_ref())
    }

    pub(super) fn is_ours(&self, deployed: &Deployed) -> bool {
        self.whose(deployed) == Ownership::Ours
    }

    /// The number of this project's tables under other targets, and those targets.
    fn other_targets_note(&self, unmanaged: &[&Deployed]) -> Option<String> {
        let targets: Vec<String> = unmanaged
            .iter()
            .filter_map(|deployed| match self.whose(deployed) {
                Ownership::OtherTarget(target) => Some(target),
                Ownership::Ours | Ownership::OtherProject(_) | Ownership::Unmarked => None,
            })
            .collect();
        let names: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let plural = if targets.len() == 1 { "" } else { "s" };
        (!targets.is_empty()).then(|| {
            format!(
                "ignored {} stream table{plural} of this project under other targets: {}",
                targets.len(),
                names.join(", ")
            )
        })
    }

    fn is_read_by_desired(&self, relation: &Relation) -> bool {
        self.readers.below(relation).into_iter().any(|reader| self.desired.contains(reader))
    }

    /// The step of one desired table, before changes of other tables are considered.
    fn step(&self, wanted: &StreamTable) -> Step {
        let Some(now) = self.existing.get(&wanted.relation) else {
            return self.finished(&wanted.relation, wanted, self.create(wanted), Vec::new());
        };
        let mut reasons = Vec::new();
        let change = self.change(now, wanted, &mut reasons);
        self.finished(&wanted.relation, wanted, change, reasons)
    }

    fn create(&self, table: &StreamTable) -> Change {
        Change::Create {
            settings: explicit_settings(table).map(|(setting, value)| (setting, value.clone())).collect(),
            replaces: self.answers.occupied.get(&table.relation).cloned(),
        }
    }

    /// The change from the existing table to the desired one. Adds reasons that the change itself does not show.
    fn change(&self, now: &Deployed, wanted: &StreamTable, reasons: &mut Vec<String>) -> Change {
        let settings = setting_changes(now, wanted, &self.answers.unseen);
        let differs = !query::same(&now.table.query, &wanted.query);
        if now.storage.lost_source {
            reasons
                .push("a relation that it reads was replaced, and pg_trickle must look it up again".into());
        }
        let query = (differs || now.storage.lost_source)
            .then(|| QueryChange { before: now.table.query.clone(), after: wanted.query.clone() });
        let adoption = self.adoption(now);
        let is_adopted = adoption.is_some();
        reasons.extend(adoption);
        if settings.iter().any(|change| change.setting.on_change() == OnChange::Recreate) {
            return Change::Recreate { query: query.filter(|_| differs), settings };
        }
        // A changed view may give its readers other columns, although their own queries stay.
        let view = self.changed_views(&wanted.relation).next();
        if query.is_some() || view.is_some() {
            let obstacles = self.obstacles(now, wanted);
            if !obstacles.is_empty() {
                let view = view.filter(|_| query.is_none());
                reasons.extend(view.map(|view| format!("the view {} changes", view.relation)));
                reasons.extend(obstacles);
                return Change::Recreate { query, settings };
            }
        }
        match query {
            Some(query) => Change::AlterQuery { query, settings },
            None if settings.is_empty() && !is_adopted => Change::Keep,
            None => Change::Alter(settings),
        }
    }

    /// Why the storage table cannot get the columns of the desired query in place; empty if the columns are unknown.
    fn obstacles(&self, now: &Deployed, wanted: &StreamTable) -> Vec<String> {
        let is_read = !self.readers.below(&wanted.relation).is_empty();
        let given = self.answers.columns.get(&wanted.relation);
        let known = now.table.columns.as_ref().zip(given);
        known.map(|(stored, given)| columns::obstacles(stored, given, is_read)).unwrap_or_default()
    }

    /// The changed views that a table reads.
    fn changed_views(&self, relation: &Relation) -> impl Iterator<Item = &ViewStep> {
        self.answers.views.iter().filter(move |view| view.refills() && view.readers.contains(relation))
    }

    /// From which owner the table is taken over; `None` if it is this project's already.
    fn adoption(&self, now: &Deployed) -> Option<String> {
        match self.whose(now) {
            Ownership::Ours => None,
            // The table of a model. Without a known target nothing says that the one in the mark is another.
            Ownership::OtherTarget(_) if self.policy.owner.target.is_none() => None,
            Ownership::OtherTarget(target) => Some(format!("taken over from the target {target}")),
            Ownership::OtherProject(project) => Some(format!("taken over from the project {project}")),
            Ownership::Unmarked => Some("taken over: it has no mark of a dbt project".into()),
        }
    }

    /// Replaces the readers of replaced tables: dropping a table drops its readers (docs/pg_trickle.md, "Drop").
    fn replace_readers(&self, steps: &mut [Step], sorted: &[&'a StreamTable]) {
        let is_replaced = |step: &&Step| matches!(step.change, Change::Recreate { .. });
        let mut dropped_with: BTreeMap<&Relation, Relation> = BTreeMap::new();
        for step in steps.iter().filter(is_replaced) {
            for reader in self.readers.below(&step.relation) {
                dropped_with.entry(reader).or_insert_with(|| step.relation.clone());
            }
        }
        for (step, table) in steps.iter_mut().zip(sorted) {
            let below = dropped_with.get(&step.relation);
            let (Some(up), false) = (below, matches!(step.change, Change::Recreate { .. })) else { continue };
            let change = match std::mem::replace(&mut step.change, Change::Keep) {
                Change::AlterQuery { query, settings } => Change::Recreate { query: Some(query), settings },
                Change::Alter(settings) => Change::Recreate { query: None, settings },
                Change::Keep | Change::Create { .. } | Change::Recreate { .. } | Change::Drop => {
                    Change::Recreate { query: None, settings: Vec::new() }
                }
            };
            step.reasons.push(format!("it reads {up}, and dropping {up} drops it, too"));
            *step = self.finished(&step.relation, table, change, std::mem::take(&mut step.reasons));
        }
    }

    /// Sets the query again for tables that read a relation which a stream table replaces (docs/pg_trickle.md, "Source
    /// DDL").
    fn reset_readers_of_replaced(&self, steps: &mut [Step], sorted: &[&'a StreamTable]) {
        let is_replacing = |step: &Step| matches!(step.change, Change::Create { replaces: Some(_), .. });
        let replaced: BTreeSet<Relation> =
            steps.iter().filter(|step| is_replacing(step)).map(|step| step.relation.clone()).collect();
        if replaced.is_empty() {
            return;
        }
        for (step, table) in steps.iter_mut().zip(sorted) {
            let Some(up) = query::relations(&table.query).into_iter().find(|read| replaced.contains(read))
            else {
                continue;
            };
            if !matches!(step.change, Change::Keep | Change::Alter(_)) {
                continue;
            }
            let query = QueryChange { before: table.query.clone(), after: table.query.clone() };
            let change = Change::AlterQuery { query, settings: step.change.settings().to_vec() };
            step.reasons.push(format!("it reads {up}, which is replaced by a stream table"));
            *step = self.finished(&step.relation, table, change, std::mem::take(&mut step.reasons));
        }
    }

    /// A step with everything that follows from its change.
    fn finished(
        &self,
        relation: &Relation,
        table: &StreamTable,
        change: Change,
        reasons: Vec<String>,
    ) -> Step {
        let now = self.existing.get(relation);
        let is_replaced = matches!(change, Change::Recreate { .. });
        let is_refilled = is_replaced || change.refills() || self.changed_views(relation).next().is_some();
        let given = self.answers.columns.get(relation);
        let stored = now.and_then(|now| now.table.columns.as_ref());
        Step {
            refused: self.policy.refuses(relation, &change),
            becomes: None,
            reasons,
            unknown: self.unknown(relation, &change),
            failure: None,
            columns: stored
                .zip(given)
                .map(|(stored, given)| columns::changes(stored, given))
                .unwrap_or_default(),
            cost: now.filter(|_| is_refilled).map(|now| Cost::of(&now.storage)),
            lost: now
                .filter(|_| is_replaced || change == Change::Drop)
                .map(|now| columns::lost(&now.storage, is_replaced))
                .unwrap_or_default(),
            downstream: Vec::new(),
            readers: now
                .into_iter()
                .flat_map(|now| &now.storage.views)
                .map(|view| format!("view {}", view.relation))
                .collect(),
            relation: relation.clone(),
            origin: table.origin.clone(),
            change,
        }
    }

    /// What the plan cannot know about a step, and why.
    fn unknown(&self, relation: &Relation, change: &Change) -> Option<String> {
        let is_in_place = matches!(change, Change::AlterQuery { .. });
        if let Some(refusal) = self.answers.refusals.get(relation) {
            let needs_columns = is_in_place || matches!(change, Change::Recreate { .. });
            return needs_columns.then(|| {
                format!("its columns: dbt must first build something that it reads ({})", refusal.message)
            });
        }
        let is_known =
            self.answers.columns.contains_key(relation) || self.answers.failures.contains_key(relation);
        (is_in_place && !is_known)
            .then(|| "in place or replaced: depends on the columns on the server".into())
    }

    /// A scheduler that does not notice changes leaves a table as it is (docs/pg_trickle.md, "Materialized views and foreign
    /// tables").
    fn unnoticed_source_notes(&self, steps: &[Step]) -> Vec<String> {
        let mut notes = Vec::new();
        for step in changing(steps) {
            let mode = self.tables.get(&step.relation).and_then(|table| table.settings.refresh_mode());
            for source in self.special_sources(&step.relation) {
                if let Some(kind) = source.unnoticed(mode, self.answers.version) {
                    notes.push(format!(
                        "{} will not follow its source {}: pg_trickle does not notice changes of a {kind}",
                        step.relation, source.relation
                    ));
                }
            }
        }
        notes
    }

    /// Settings of the server concern every table that is maintained from its change buffers.
    fn losing_setting_notes(&self, steps: &[Step]) -> Vec<String> {
        let is_maintained = |step: &Step| {
            let mode = self.tables.get(&step.relation).and_then(|table| table.settings.refresh_mode());
            !matches!(mode, Some("FULL" | "IMMEDIATE"))
        };
        if !changing(steps).any(is_maintained) {
            return Vec::new();
        }
        self.answers.losing_settings.iter().map(|sentence| (*sentence).to_owned()).collect()
    }

    /// Nothing refuses such a table when it is created.
    fn name_notes(&self, steps: &[Step]) -> Vec<String> {
        let note = |step: &Step| {
            let fails = self.tables.get(&step.relation)?.misread_names()?;
            Some(format!("{}: {fails}; give it an alias in FROM", step.relation))
        };
        changing(steps).filter_map(note).collect()
    }

    /// A stream table has the rows of every role (docs/pg_trickle.md, "Row level security").
    fn row_security_notes(&self, steps: &[Step]) -> Vec<String> {
        let protected = self.changing_readers(steps, |source| source.has_row_security);
        let note = |(step, source): (&Step, &SpecialSource)| {
            format!(
                "{} will hold the rows of every role: the policies of its source {} do not protect it",
                step.relation, source.relation
            )
        };
        protected.map(note).collect()
    }

    /// Changes of a partition itself are not captured (docs/pg_trickle.md, "Change capture").
    fn partition_notes(&self, steps: &[Step]) -> Vec<String> {
        let partitioned = self.changing_readers(steps, |source| source.is_partitioned);
        let note = |(step, source): (&Step, &SpecialSource)| {
            format!(
                "{} will not follow every change: pg_trickle does not capture writes to a partition of {} itself, nor TRUNCATE or DROP of one",
                step.relation, source.relation
            )
        };
        partitioned.map(note).collect()
    }

    /// The steps that create or change a table, each with the sources of this kind that it reads.
    fn changing_readers<'s>(
        &'s self,
        steps: &'s [Step],
        is_it: fn(&SpecialSource) -> bool,
    ) -> impl Iterator<Item = (&'s Step, &'s SpecialSource)> {
        changing(steps).flat_map(move |step| {
            let sources = self.special_sources(&step.relation).filter(move |source| is_it(source));
            sources.map(move |source| (step, source))
        })
    }

    /// Changes of such a table are not captured (docs/pg_trickle.md, "Functions that read").
    fn function_notes(&self, steps: &[Step]) -> Vec<String> {
        let note = |step: &Step| {
            let reads = self.answers.function_reads.get(&step.relation)?;
            Some(format!(
                "{} will not follow every change: {}, which pg_trickle does not capture for it",
                step.relation,
                HiddenRead::sentence(reads)
            ))
        };
        changing(steps).filter_map(note).collect()
    }

    /// Settings that this version of the engine does not store cannot be compared.
    fn notes(&self, sorted: &[&StreamTable]) -> Vec<String> {
        let is_set = |setting: &&Setting| sorted.iter().any(|table| table.settings.get(**setting).is_some());
        let unseen: Vec<&str> =
            self.answers.unseen.iter().filter(is_set).map(|setting| setting.name()).collect();
        if unseen.is_empty() {
            return Vec::new();
        }
        vec![format!("this version of pg_trickle does not have {}: not compared", unseen.join(", "))]
    }
}

/// The steps that create or change a table.
fn changing(steps: &[Step]) -> impl Iterator<Item = &Step> {
    steps.iter().filter(|step| !matches!(step.change, Change::Keep | Change::Drop))
}

/// The settings of a new table without those that equal the engine's default, so that a version without the setting
/// accepts the call.
pub(super) fn explicit_settings(table: &StreamTable) -> impl Iterator<Item = (Setting, &Value)> {
    table.settings.iter().filter(|(setting, value)| !setting.is_default(value))
}

impl Step {
    pub fn removed_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|change| match change {
            ColumnChange::Removed(column) => Some(column.name.as_str()),
            ColumnChange::Added(_) | ColumnChange::Retyped { .. } => None,
        })
    }

    /// Whether the plan knows the columns that the table will have.
    pub fn knows_columns(&self) -> bool {
        self.unknown.is_none()
    }
}
