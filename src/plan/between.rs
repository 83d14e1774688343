//! How a plan is made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Cycle, Plan, QueryChange, SettingChange, Step, order, query};
use crate::model::{Deployed, Relation, Schedule, Setting, StreamTable, Value, settings::OnChange};

/// What a plan may do, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The dbt project that plans. A table with another project's mark, or without one, is not its to drop.
    pub project: String,
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
    pub fn between(desired: &[StreamTable], deployed: &[Deployed], policy: &Policy) -> Result<Self, Cycle> {
        let there: BTreeMap<&Relation, &StreamTable> =
            deployed.iter().map(|d| (&d.table.relation, &d.table)).collect();
        let wanted: BTreeSet<&Relation> = desired.iter().map(|table| &table.relation).collect();
        let (ours, unmanaged): (Vec<_>, Vec<_>) = deployed
            .iter()
            .filter(|d| !wanted.contains(&d.table.relation))
            .partition(|d| d.mark.as_ref().is_some_and(|mark| mark.dbt_project == policy.project));

        let readers = order::downstream(desired.iter().chain(ours.iter().map(|d| &d.table)));
        let downstream = |relation: &Relation| -> Vec<Relation> {
            readers.get(relation).into_iter().flatten().map(|reader| (*reader).clone()).collect()
        };
        let step = |table: &StreamTable, change: Change| Step {
            relation: table.relation.clone(),
            refused: policy.refuses(&table.relation, &change),
            downstream: downstream(&table.relation),
            origin: table.origin.clone(),
            change,
        };

        let mut steps: Vec<Step> = order::topological(&desired.iter().collect::<Vec<_>>())
            .map_err(|members| Cycle { members })?
            .into_iter()
            .map(|table| {
                step(
                    table,
                    there.get(&table.relation).map_or_else(|| create(table), |now| change(now, table)),
                )
            })
            .collect();
        // What reads a table goes before it. A cycle cannot stand in a server; its order would not matter.
        let drops = ours.iter().map(|d| &d.table).collect::<Vec<_>>();
        let drops = order::topological(&drops).unwrap_or(drops);
        steps.extend(drops.into_iter().rev().map(|table| step(table, Change::Drop)));

        Ok(Self { steps, unmanaged: unmanaged.into_iter().map(|d| d.table.relation.clone()).collect() })
    }
}

impl Policy {
    fn refuses(&self, relation: &Relation, change: &Change) -> bool {
        let allowed = match change {
            Change::Drop => &self.allow_drop,
            Change::Recreate { .. } => &self.allow_recreate,
            Change::Create { .. } | Change::Alter(_) | Change::AlterQuery { .. } | Change::Keep => {
                return false;
            }
        };
        !allowed.iter().any(|name| name == "all" || relation.is_named(name))
    }
}

/// A new table, with the settings that say something: what the engine does anyway is left out.
fn create(table: &StreamTable) -> Change {
    let unsaid =
        [(Setting::Temporal, Value::Bool(false)), (Setting::StorageBackend, Value::Text("heap".into()))];
    let says_something =
        |(setting, value): &(Setting, &Value)| !unsaid.iter().any(|(s, v)| s == setting && v == *value);
    let settings = table.settings.iter().filter(says_something);
    Change::Create { settings: settings.map(|(setting, value)| (setting, value.clone())).collect() }
}

/// What turns one table into the other.
fn change(now: &StreamTable, wanted: &StreamTable) -> Change {
    let settings = setting_changes(now, wanted);
    let query = (!query::same(&now.query, &wanted.query))
        .then(|| QueryChange { before: now.query.clone(), after: wanted.query.clone() });
    let rebuilds = settings.iter().any(|change| change.setting.on_change() == OnChange::Recreate);
    match query {
        query if rebuilds => Change::Recreate { query, settings },
        Some(query) if !keeps_its_columns(now, wanted) => Change::Recreate { query: Some(query), settings },
        Some(query) => Change::AlterQuery { query, settings },
        None if settings.is_empty() => Change::Keep,
        None => Change::Alter(settings),
    }
}

/// Whether the storage, altered in place, would have its columns in the order of the query. The engine fills it by
/// position: in any other order values end up in the wrong columns (docs/pg_trickle.md, "Changing the query"). Where
/// the columns are not known, nothing speaks against it.
fn keeps_its_columns(now: &StreamTable, wanted: &StreamTable) -> bool {
    let (Some(stored), Some(given)) = (&now.columns, &wanted.columns) else { return true };
    let is_hidden = |column: &str| column.starts_with("__pgt_");
    let left = stored.iter().filter(|column| is_hidden(column) || given.contains(column));
    let added = given.iter().filter(|column| !stored.contains(column));
    left.chain(added).take(given.len()).eq(given)
}

fn setting_changes(now: &StreamTable, wanted: &StreamTable) -> Vec<SettingChange> {
    Setting::ALL
        .into_iter()
        .filter(|setting| setting.on_change() != OnChange::Nothing)
        .map(|setting| SettingChange {
            setting,
            from: now.settings.get(setting).cloned(),
            to: wanted.settings.get(setting).cloned(),
        })
        .filter(|change| !change.is_satisfied(wanted))
        .map(SettingChange::resolved)
        .collect()
}

impl SettingChange {
    /// Whether the table already is what the model asks for, by the engine's own way of keeping it.
    fn is_satisfied(&self, wanted: &StreamTable) -> bool {
        let text = |value: &Option<Value>| match value {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        match (self.setting, &self.to) {
            // Not partitioned is a wish as well. Everything else that a model does not name is left as it is.
            (Setting::PartitionBy, to) => text(to) == text(&self.from),
            (_, None) => true,
            // docs/pg_trickle.md, "Refresh modes": the mode that AUTO was resolved to is kept, AUTO itself never.
            (Setting::RefreshMode, Some(Value::Text(mode))) if mode == "AUTO" => {
                text(&self.from) != "IMMEDIATE"
            }
            // docs/pg_trickle.md, "Schedules": IMMEDIATE has none, whatever is asked for.
            (Setting::Schedule, _) if wanted.settings.refresh_mode() == Some("IMMEDIATE") => true,
            (Setting::Schedule, to) => {
                *to == self.from || (is_calculated(to.as_ref()) && self.from.is_none())
            }
            // docs/pg_trickle.md, "Refresh modes": the engine turns it on by itself after insert-only refreshes.
            (Setting::AppendOnly, Some(Value::Bool(false))) => true,
            // docs/pg_trickle.md, "Status": ERROR and INITIALIZING are how a table fares, not what it was set to.
            (Setting::Status, Some(Value::Text(status))) => {
                (status == "SUSPENDED") == (text(&self.from) == "SUSPENDED")
            }
            (_, to) => *to == self.from,
        }
    }

    /// A change to AUTO is a change to DIFFERENTIAL: the engine refuses AUTO for a table that exists.
    fn resolved(mut self) -> Self {
        if self.setting == Setting::RefreshMode && self.to == Some(Value::Text("AUTO".into())) {
            self.to = Some(Value::Text("DIFFERENTIAL".into()));
        }
        self
    }
}

fn is_calculated(value: Option<&Value>) -> bool {
    value == Some(&Value::Schedule(Schedule::Calculated))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::model::{Health, Mark, Settings};

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
        let mark = project
            .map(|p| Mark { dbt_project: p.into(), unique_id: format!("model.{p}.{}", table.relation.name) });
        Deployed { table, mark, health: Health::default() }
    }

    fn policy() -> Policy {
        Policy { project: "shop".into(), ..Policy::default() }
    }

    /// What happens to one table with the same query and these settings.
    fn between_settings(now: &Json, wanted: &Json) -> Change {
        let there = [deployed(table("t", "select 1", now), Some("shop"))];
        Plan::between(&[table("t", "select 1", wanted)], &there, &policy()).unwrap().steps.remove(0).change
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
        let plan =
            Plan::between(&[table("t", "select a, b from x", &json!({"schedule": "2m"}))], &there, &policy())
                .unwrap();
        let Change::AlterQuery { settings, .. } = &plan.steps[0].change else { panic!("{plan:?}") };
        assert_eq!(settings.len(), 1);
    }

    /// What happens to a table with these stored columns when its query gives those.
    fn between_columns(stored: &[&str], given: &[&str]) -> &'static str {
        let with = |query: &str, columns: &[&str]| {
            let columns = Some(columns.iter().map(|c| (*c).to_owned()).collect());
            StreamTable { columns, ..table("t", query, &json!({})) }
        };
        let there = [deployed(with("select old", stored), Some("shop"))];
        let plan = Plan::between(&[with("select new", given)], &there, &policy()).unwrap();
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
        let plan = Plan::between(&[], &there, &policy()).unwrap();
        assert_eq!(
            plan.steps.iter().map(|s| (s.relation.name.as_str(), s.refused)).collect::<Vec<_>>(),
            [("ours", true)]
        );
        assert_eq!(plan.unmanaged, ["theirs", "by_hand"].map(|name| Relation::new("shop", name)));

        for allowed in ["all", "ours", "shop.ours"] {
            let policy = Policy { allow_drop: vec![allowed.into()], ..policy() };
            assert_eq!(Plan::between(&[], &there, &policy).unwrap().refused().count(), 0, "{allowed}");
        }
        let policy =
            Policy { allow_drop: vec!["theirs".into()], allow_recreate: vec!["all".into()], ..policy() };
        assert_eq!(Plan::between(&[], &there, &policy).unwrap().refused().count(), 1);
    }

    #[test]
    fn creates_follow_what_they_read_and_drops_go_before_it() {
        let mut reader = table("a_reader", "select 1", &json!({}));
        let base = table("base", "select 1", &json!({}));
        reader.upstream = vec![base.relation.clone()];
        let names = |plan: Plan| plan.steps.into_iter().map(|s| s.relation.name).collect::<Vec<_>>();

        let plan = Plan::between(&[reader.clone(), base.clone()], &[], &policy()).unwrap();
        assert_eq!(plan.steps[0].downstream, [reader.relation.clone()]);
        assert_eq!(names(plan), ["base", "a_reader"]);

        let there = [deployed(base, Some("shop")), deployed(reader, Some("shop"))];
        assert_eq!(names(Plan::between(&[], &there, &policy()).unwrap()), ["a_reader", "base"]);
    }
}
