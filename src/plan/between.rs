//! How a plan is made.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Answers, Change, ColumnChange, Cycle, Plan, Problem, QueryChange, Step, columns,
    order::{self, Readers},
    query,
    settings::setting_changes,
};
use crate::model::{
    Deployed, Owner, Relation, Setting, Storage, StreamTable, Value, Whose, settings::OnChange,
};

/// The reason of a step whose query the server could not take yet.
const UNKNOWN_COLUMNS: &str = "its columns are not known yet";

/// What a plan may do, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The dbt project that plans, and for which target. A table that is not theirs is not dropped.
    pub owner: Owner,
    /// Tables that may be dropped: names, `schema.name`, or `all`.
    pub allow_drop: Vec<String>,
    /// Tables that may be dropped and built again, in the same words.
    pub allow_recreate: Vec<String>,
}

impl Plan {
    /// What it takes to get from the deployed tables to the desired ones.
    ///
    /// # Errors
    /// When the desired tables read each other in a circle.
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

/// The two sides, and what is known of them.
struct Comparison<'a> {
    deployed: &'a [Deployed],
    there: BTreeMap<&'a Relation, &'a Deployed>,
    wanted: BTreeSet<&'a Relation>,
    /// The deployed tables that read each deployed table.
    readers: Readers<'a>,
    answers: &'a Answers,
    policy: &'a Policy,
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
            there: deployed.iter().map(|d| (&d.table.relation, d)).collect(),
            wanted: sorted.iter().map(|table| &table.relation).collect(),
            readers: Readers::of(deployed.iter().map(|d| &d.table)),
            answers,
            policy,
        }
    }

    fn plan(&self, sorted: &[&'a StreamTable]) -> Plan {
        let (ours, unmanaged): (Vec<_>, Vec<_>) = self
            .deployed
            .iter()
            .filter(|d| !self.wanted.contains(&d.table.relation))
            .partition(|d| self.is_ours(d));
        let mut steps: Vec<Step> = sorted.iter().map(|table| self.step(table)).collect();
        self.rebuild_readers(&mut steps, sorted);

        let drops: Vec<&StreamTable> = ours.iter().map(|d| &d.table).collect();
        // What reads a table goes before it. A cycle cannot stand in a server; its order would not matter.
        let drops = order::topological(&drops).unwrap_or(drops).into_iter().rev();
        let (first, last): (Vec<_>, Vec<_>) =
            drops.partition(|table| !self.is_read_by_what_stays(&table.relation));
        let drop = |table: &&StreamTable| self.finished(&table.relation, table, Change::Drop, Vec::new());
        let mut ordered: Vec<Step> = first.iter().map(drop).collect();
        ordered.append(&mut steps);
        ordered.extend(last.iter().map(drop));

        let everything = Readers::of(sorted.iter().copied().chain(ours.iter().map(|d| &d.table)));
        for step in ordered.iter_mut().filter(|step| step.change != Change::Keep) {
            step.downstream = everything.below(&step.relation).into_iter().cloned().collect();
        }
        Plan {
            problems: self.problems(&ordered),
            notes: self.notes(sorted).into_iter().chain(self.of_other_targets(&unmanaged)).collect(),
            unmanaged: unmanaged
                .into_iter()
                .filter(|d| !matches!(self.whose(d), Whose::OtherTarget(_)))
                .map(|d| d.table.relation.clone())
                .collect(),
            steps: ordered,
        }
    }

    fn whose(&self, deployed: &Deployed) -> Whose {
        self.policy.owner.whose(&deployed.table.relation, deployed.mark.as_ref())
    }

    fn is_ours(&self, deployed: &Deployed) -> bool {
        self.whose(deployed) == Whose::Ours
    }

    fn is_read_by_what_stays(&self, relation: &Relation) -> bool {
        self.readers.below(relation).into_iter().any(|reader| self.wanted.contains(reader))
    }

    /// What happens to one wanted table for its own sake.
    fn step(&self, wanted: &StreamTable) -> Step {
        let Some(now) = self.there.get(&wanted.relation) else {
            return self.finished(&wanted.relation, wanted, self.create(wanted), Vec::new());
        };
        let mut reasons = Vec::new();
        let change = self.change(now, wanted, &mut reasons);
        self.finished(&wanted.relation, wanted, change, reasons)
    }

    fn create(&self, table: &StreamTable) -> Change {
        Change::Create {
            settings: worth_saying(table).map(|(setting, value)| (setting, value.clone())).collect(),
            replaces: self.answers.occupied.get(&table.relation).cloned(),
        }
    }

    /// What turns the table that is there into the wanted one, and why where that is not plain to see.
    fn change(&self, now: &Deployed, wanted: &StreamTable, reasons: &mut Vec<String>) -> Change {
        let settings = setting_changes(&now.table, wanted, &self.answers.unseen);
        let differs = !query::same(&now.table.query, &wanted.query);
        if now.storage.lost_source {
            reasons.push("something that it reads was replaced: the engine has to find it again".into());
        }
        let query = (differs || now.storage.lost_source)
            .then(|| QueryChange { before: now.table.query.clone(), after: wanted.query.clone() });
        self.tell_adoption(now, reasons);
        if settings.iter().any(|change| change.setting.on_change() == OnChange::Recreate) {
            return Change::Recreate { query: query.filter(|_| differs), settings };
        }
        let Some(query) = query else {
            return if settings.is_empty() && reasons.is_empty() {
                Change::Keep
            } else {
                Change::Alter(settings)
            };
        };
        let is_read = !self.readers.below(&wanted.relation).is_empty();
        let given = self.answers.columns.get(&wanted.relation);
        let obstacle = now
            .table
            .columns
            .as_ref()
            .zip(given)
            .and_then(|(stored, given)| columns::obstacle(stored, given, is_read));
        if let Some(obstacle) = obstacle {
            reasons.push(obstacle);
            return Change::Recreate { query: Some(query), settings };
        }
        Change::AlterQuery { query, settings }
    }

    /// A table that somebody else made becomes this project's.
    fn tell_adoption(&self, now: &Deployed, reasons: &mut Vec<String>) {
        reasons.push(match self.whose(now) {
            Whose::Ours => return,
            Whose::OtherTarget(target) => format!("taken over from the target {target}"),
            Whose::OtherProject(project) => format!("taken over from the project {project}"),
            Whose::Unmarked => "taken over: no dbt project has made it".into(),
        });
    }

    /// Dropping a table takes those with it that read it (docs/pg_trickle.md, "Drop").
    fn rebuild_readers(&self, steps: &mut [Step], sorted: &[&'a StreamTable]) {
        let is_rebuilt = |step: &&Step| matches!(step.change, Change::Recreate { .. });
        let mut taken_along: BTreeMap<&Relation, Relation> = BTreeMap::new();
        for step in steps.iter().filter(is_rebuilt) {
            for reader in self.readers.below(&step.relation) {
                taken_along.entry(reader).or_insert_with(|| step.relation.clone());
            }
        }
        for (step, table) in steps.iter_mut().zip(sorted) {
            let below = taken_along.get(&step.relation);
            let (Some(up), false) = (below, matches!(step.change, Change::Recreate { .. })) else { continue };
            let change = match std::mem::replace(&mut step.change, Change::Keep) {
                Change::AlterQuery { query, settings } => Change::Recreate { query: Some(query), settings },
                Change::Alter(settings) => Change::Recreate { query: None, settings },
                Change::Keep | Change::Create { .. } | Change::Recreate { .. } | Change::Drop => {
                    Change::Recreate { query: None, settings: Vec::new() }
                }
            };
            step.reasons.push(format!("it reads {up}, which cannot be dropped without it"));
            *step = self.finished(&step.relation, table, change, std::mem::take(&mut step.reasons));
        }
    }

    /// A step with everything that follows from its change.
    fn finished(
        &self,
        relation: &Relation,
        table: &StreamTable,
        change: Change,
        mut reasons: Vec<String>,
    ) -> Step {
        let now = self.there.get(relation);
        let is_rebuilt = matches!(change, Change::Recreate { .. });
        if let Some(refusal) = self.answers.refusals.get(relation)
            && (is_rebuilt || change.query().is_some())
            && !reasons.iter().any(|reason| reason.starts_with(UNKNOWN_COLUMNS))
        {
            reasons.push(format!("{UNKNOWN_COLUMNS}: {}", refusal.message));
        }
        let given = self.answers.columns.get(relation);
        let stored = now.and_then(|now| now.table.columns.as_ref());
        Step {
            refused: self.policy.refuses(relation, &change),
            reasons,
            columns: stored
                .zip(given)
                .map(|(stored, given)| columns::changes(stored, given))
                .unwrap_or_default(),
            refilled_rows: now.filter(|_| is_rebuilt || change.refills()).and_then(|now| now.storage.rows),
            lost: now
                .filter(|_| is_rebuilt || change == Change::Drop)
                .map(|now| lost(&now.storage))
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

    /// What would go wrong: columns that somebody still reads, and readers that are not this project's to drop.
    fn problems(&self, steps: &[Step]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for step in steps {
            let removed: BTreeSet<&str> = step.removed_columns().collect();
            let now = self.there.get(&step.relation);
            if matches!(step.change, Change::AlterQuery { .. }) {
                let views = now.into_iter().flat_map(|now| &now.storage.views);
                for view in views.filter(|view| view.columns.iter().any(|c| removed.contains(c.as_str()))) {
                    let columns: Vec<&str> =
                        view.columns.iter().map(String::as_str).filter(|c| removed.contains(c)).collect();
                    problems.push(step.problem(format!(
                        "the view {} reads `{}`, which would go: PostgreSQL refuses that",
                        view.relation,
                        columns.join("`, `")
                    )));
                }
            }
            if matches!(step.change, Change::Recreate { .. } | Change::Drop) {
                let readers = self.readers.below(&step.relation);
                for reader in readers.into_iter().filter_map(|reader| self.there.get(reader)) {
                    if !self.wanted.contains(&reader.table.relation) && !self.is_ours(reader) {
                        problems.push(step.problem(format!(
                            "{} reads it, would have to be dropped with it, and is not this project's",
                            reader.table.relation
                        )));
                    }
                }
            }
            problems.extend(self.broken(step, steps));
        }
        problems
    }

    /// Whether a query that stays, or comes, reads a column that goes.
    fn broken(&self, step: &Step, steps: &[Step]) -> Option<Problem> {
        let refusal = self.answers.refusals.get(&step.relation)?;
        // docs/pg_trickle.md, "Errors": PostgreSQL's own words about a column that does not exist.
        let is_named = |column: &str| {
            refusal.message.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == column)
        };
        let mut removing = steps.iter().filter(|up| up.downstream.contains(&step.relation));
        let (up, column) = removing.find_map(|up| Some((up, up.removed_columns().find(|c| is_named(c))?)))?;
        (refusal.code == "42703").then(|| {
            step.problem(format!(
                "its query reads `{column}` of {}, which would go: {}",
                up.relation, refusal.message
            ))
        })
    }

    /// How many tables the project has under other targets, and which targets these are.
    fn of_other_targets(&self, unmanaged: &[&Deployed]) -> Option<String> {
        let targets: Vec<String> = unmanaged
            .iter()
            .filter_map(|deployed| match self.whose(deployed) {
                Whose::OtherTarget(target) => Some(target),
                Whose::Ours | Whose::OtherProject(_) | Whose::Unmarked => None,
            })
            .collect();
        let names: BTreeSet<&str> = targets.iter().map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let plural = if targets.len() == 1 { "" } else { "s" };
        (!targets.is_empty()).then(|| {
            format!(
                "left alone {} stream table{plural} that this project made for other targets: {}",
                targets.len(),
                names.join(", ")
            )
        })
    }

    /// What a version of the engine does not keep cannot be compared.
    fn notes(&self, sorted: &[&StreamTable]) -> Vec<String> {
        let is_asked_for =
            |setting: &&Setting| sorted.iter().any(|table| table.settings.get(**setting).is_some());
        let unseen: Vec<&str> =
            self.answers.unseen.iter().filter(is_asked_for).map(|setting| setting.name()).collect();
        if unseen.is_empty() {
            return Vec::new();
        }
        vec![format!("this version of pg_trickle does not keep {}: not compared", unseen.join(", "))]
    }
}

/// The settings of a new table: what the engine does anyway is left out, so that a version without the setting is
/// content.
pub(super) fn worth_saying(table: &StreamTable) -> impl Iterator<Item = (Setting, &Value)> {
    let unsaid =
        [(Setting::Temporal, Value::Bool(false)), (Setting::StorageBackend, Value::Text("heap".into()))];
    let says_something = move |(setting, value): &(Setting, &Value)| {
        !unsaid.iter().any(|(unsaid, default)| unsaid == setting && default == *value)
    };
    table.settings.iter().filter(says_something)
}

/// What goes with the storage, a phrase each.
fn lost(storage: &Storage) -> Vec<String> {
    let views = storage.views.iter().map(|view| format!("the view {}", view.relation));
    let grants = storage.grants.iter().map(|grant| format!("the grant to {grant}"));
    let indexes = storage.indexes.iter().map(|index| format!("the index {index}"));
    let publications = storage.publications.iter().map(|name| format!("its place in the publication {name}"));
    views.chain(grants).chain(indexes).chain(publications).collect()
}

impl Step {
    /// The columns that are there and will not be.
    pub fn removed_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().filter_map(|change| match change {
            ColumnChange::Removed(column) => Some(column.name.as_str()),
            ColumnChange::Added(_) | ColumnChange::Retyped { .. } => None,
        })
    }

    /// Whether the server could say which columns it will have.
    pub fn knows_columns(&self) -> bool {
        !self.reasons.iter().any(|reason| reason.starts_with(UNKNOWN_COLUMNS))
    }

    fn problem(&self, message: String) -> Problem {
        Problem { relation: self.relation.clone(), message, origin: self.origin.clone() }
    }
}

impl Policy {
    fn refuses(&self, relation: &Relation, change: &Change) -> bool {
        let allowed = match change {
            Change::Drop => &self.allow_drop,
            Change::Recreate { .. } | Change::Create { replaces: Some(_), .. } => &self.allow_recreate,
            Change::Create { .. } | Change::Alter(_) | Change::AlterQuery { .. } | Change::Keep => {
                return false;
            }
        };
        !allowed.iter().any(|name| name == "all" || relation.is_named(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::model::{Column, Health, Mark, Settings};

    fn table(name: &str, query: &str, settings: &Json) -> StreamTable {
        let settings: Settings = Setting::ALL
            .into_iter()
            .filter_map(|setting| Some((setting, setting.read(settings.get(setting.name())?).unwrap()?)))
            .collect();
        StreamTable {
            relation: Relation::new("shop", name),
            query: query.into(),
            settings,
            upstream: vec![],
            columns: None,
            origin: None,
        }
    }

    fn deployed(table: StreamTable, project: Option<&str>) -> Deployed {
        let mark = project.map(|p| Mark {
            dbt_project: p.into(),
            unique_id: format!("model.{p}.{}", table.relation.name),
            target: None,
        });
        Deployed { table, mark, health: Health::default(), storage: Storage::default() }
    }

    fn policy() -> Policy {
        let owner = Owner { project: "shop".into(), target: None, schemas: ["shop".to_owned()].into() };
        Policy { owner, ..Policy::default() }
    }

    /// What happens to one table with the same query and these settings.
    fn between_settings(now: &Json, wanted: &Json) -> Change {
        let there = [deployed(table("t", "select 1", now), Some("shop"))];
        Plan::between(&[table("t", "select 1", wanted)], &there, &Answers::default(), &policy())
            .unwrap()
            .steps
            .remove(0)
            .change
    }

    #[test]
    fn settings_are_compared_by_meaning() {
        for (now, wanted) in [
            (json!({"schedule": "1m"}), json!({"schedule": "60s"})),
            (json!({"schedule": null}), json!({"schedule": "calculated"})),
            (json!({"refresh_mode": "DIFFERENTIAL"}), json!({"refresh_mode": "auto"})),
            (json!({"refresh_mode": "FULL"}), json!({"refresh_mode": "AUTO"})),
            (json!({"refresh_mode": "IMMEDIATE"}), json!({"refresh_mode": "IMMEDIATE", "schedule": "5m"})),
            (json!({"append_only": true}), json!({"append_only": false})),
            (json!({"status": "ERROR"}), json!({"status": "ACTIVE"})),
            (json!({"status": "SUSPENDED"}), json!({"status": "paused"})),
            (json!({"cdc_mode": "wal", "tier": "cold"}), json!({})),
            (json!({}), json!({"initialize": false})),
        ] {
            assert_eq!(between_settings(&now, &wanted), Change::Keep, "{now} -> {wanted}");
        }
    }

    #[test]
    fn a_setting_that_differs_is_altered() {
        let change = between_settings(
            &json!({"schedule": "1m", "tier": "hot"}),
            &json!({"schedule": "5m", "tier": "cold"}),
        );
        let Change::Alter(changes) = change else { panic!("{change:?}") };
        let shown: Vec<_> =
            changes.iter().map(|c| format!("{} {}", c.setting, c.to.as_ref().unwrap())).collect();
        assert_eq!(shown, ["schedule 5m", "tier cold"]);
    }

    #[test]
    fn auto_over_an_immediate_table_becomes_differential() {
        let change =
            between_settings(&json!({"refresh_mode": "IMMEDIATE"}), &json!({"refresh_mode": "AUTO"}));
        let Change::Alter(changes) = change else { panic!("{change:?}") };
        assert_eq!(changes[0].to, Some(Value::Text("DIFFERENTIAL".into())));
    }

    #[test]
    fn what_cannot_be_altered_is_built_again() {
        for (now, wanted) in [
            (json!({}), json!({"partition_by": "day"})),
            (json!({"partition_by": "day"}), json!({})),
            (json!({"storage_backend": "heap"}), json!({"storage_backend": "citus"})),
            (json!({"temporal": false}), json!({"temporal": true, "schedule": "5m"})),
        ] {
            let change = between_settings(&now, &wanted);
            assert!(matches!(change, Change::Recreate { .. }), "{now} -> {wanted}: {change:?}");
        }
    }

    #[test]
    fn a_changed_query_is_altered_in_place() {
        let there = [deployed(table("t", "select a from x", &json!({})), Some("shop"))];
        let plan = Plan::between(
            &[table("t", "select a, b from x", &json!({"schedule": "2m"}))],
            &there,
            &Answers::default(),
            &policy(),
        )
        .unwrap();
        let Change::AlterQuery { settings, .. } = &plan.steps[0].change else { panic!("{plan:?}") };
        assert_eq!(settings.len(), 1);
    }

    /// What happens to a table with these stored columns when its query gives those.
    fn between_columns(stored: &[&str], given: &[&str]) -> &'static str {
        let columns = |names: &[&str]| -> Vec<Column> {
            names.iter().map(|name| Column { name: (*name).into(), r#type: "int4".into() }).collect()
        };
        let old = StreamTable { columns: Some(columns(stored)), ..table("t", "select old", &json!({})) };
        let new = table("t", "select new", &json!({}));
        let answers = Answers {
            columns: BTreeMap::from([(new.relation.clone(), columns(given))]),
            ..Answers::default()
        };
        let plan = Plan::between(&[new], &[deployed(old, Some("shop"))], &answers, &policy()).unwrap();
        plan.steps[0].change.name()
    }

    #[test]
    fn a_query_is_altered_in_place_only_when_the_columns_stay_in_its_order() {
        assert_eq!(between_columns(&["id", "a"], &["id", "a"]), "alter-query");
        assert_eq!(between_columns(&["id", "a"], &["id", "a", "b"]), "alter-query");
        assert_eq!(between_columns(&["id", "a", "b"], &["id", "b"]), "alter-query");
        assert_eq!(between_columns(&["g", "n", "s", "__pgt_count"], &["g", "s"]), "alter-query");
        for (stored, given) in [
            (&["id", "b"][..], &["id", "a", "b"][..]),
            (&["id", "a", "b"], &["id", "b", "a"]),
            // What is added comes behind what is hidden.
            (&["g", "n", "__pgt_count"], &["g", "n", "s"]),
        ] {
            assert_eq!(between_columns(stored, given), "replace", "{stored:?} -> {given:?}");
        }
    }

    #[test]
    fn only_this_projects_tables_are_dropped_and_only_when_allowed() {
        let there = [
            deployed(table("ours", "select 1", &json!({})), Some("shop")),
            deployed(table("theirs", "select 1", &json!({})), Some("other")),
            deployed(table("by_hand", "select 1", &json!({})), None),
        ];
        let plan = Plan::between(&[], &there, &Answers::default(), &policy()).unwrap();
        assert_eq!(
            plan.steps.iter().map(|s| (s.relation.name.as_str(), s.refused)).collect::<Vec<_>>(),
            [("ours", true)]
        );
        assert_eq!(plan.unmanaged, ["theirs", "by_hand"].map(|name| Relation::new("shop", name)));

        for allowed in ["all", "ours", "shop.ours"] {
            let policy = Policy { allow_drop: vec![allowed.into()], ..policy() };
            assert_eq!(
                Plan::between(&[], &there, &Answers::default(), &policy).unwrap().refused().count(),
                0,
                "{allowed}"
            );
        }
        let policy =
            Policy { allow_drop: vec!["theirs".into()], allow_recreate: vec!["all".into()], ..policy() };
        assert_eq!(Plan::between(&[], &there, &Answers::default(), &policy).unwrap().refused().count(), 1);
    }

    #[test]
    fn creates_follow_what_they_read_and_drops_go_before_it() {
        let mut reader = table("a_reader", "select 1", &json!({}));
        let base = table("base", "select 1", &json!({}));
        reader.upstream = vec![base.relation.clone()];
        let names = |plan: Plan| plan.steps.into_iter().map(|s| s.relation.name).collect::<Vec<_>>();

        let plan =
            Plan::between(&[reader.clone(), base.clone()], &[], &Answers::default(), &policy()).unwrap();
        assert_eq!(plan.steps[0].downstream, [reader.relation.clone()]);
        assert_eq!(names(plan), ["base", "a_reader"]);

        let there = [deployed(base, Some("shop")), deployed(reader, Some("shop"))];
        assert_eq!(
            names(Plan::between(&[], &there, &Answers::default(), &policy()).unwrap()),
            ["a_reader", "base"]
        );
    }
}
