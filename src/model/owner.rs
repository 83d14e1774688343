//! The owner of a stream table: a dbt project under one target, recorded in a mark on the table.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Origin, Relation};

/// The mark that a deployment writes on each stream table: a comment on the engine's trigger that refuses DML. There it
/// does not conflict with `persist_docs` or with a user's own comment. Earlier versions wrote it, without the target,
/// on the column `__pgt_row_id`. The dbt package writes the same (`_pgtrickle_mark`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub dbt_project: String,
    /// dbt's identifier of the model, for example `model.shop.orders`.
    pub unique_id: String,
    /// `None` in a mark of an earlier version, and if the target was unknown. A mark that lacks one of its two parts has
    /// none.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
}

/// A target of a dbt profile. The targets of two developers often have the same name and different schemas. Two targets
/// can also share a schema, if the project's `generate_schema_name` derives schemas from their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetName {
    #[serde(rename = "target")]
    pub name: String,
    /// The schema of models without their own schema.
    pub schema: String,
}

/// A dbt project under one target.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Owner {
    pub project: String,
    /// `None` if only a manifest is known, which does not name its target.
    pub target: Option<TargetName>,
    /// The schemas into which the target puts models of the project.
    pub schemas: BTreeSet<String>,
}

/// The owner of a stream table, relative to this project and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// This project created it for this target.
    Ours,
    /// This project created it for another target, described by this text.
    OtherTarget(String),
    /// Another dbt project, with this name, created it.
    OtherProject(String),
    /// It has no mark.
    Unmarked,
}

impl Owner {
    /// The owner of a stream table with this mark. The dbt package uses the same rules
    /// (`_pgtrickle_list_stream_tables`).
    ///
    /// A mark with another target schema belongs to another target, wherever the table is. If only the target's name
    /// differs, or the mark names none, the table is ours if it is in a schema into which this target puts models. If
    /// this target is unknown, the schema in the mark must be such a schema, too: the orphans of two targets can be in
    /// one schema.
    pub fn whose(&self, relation: &Relation, mark: Option<&Mark>) -> Ownership {
        let Some(mark) = mark else { return Ownership::Unmarked };
        if mark.dbt_project != self.project {
            return Ownership::OtherProject(mark.dbt_project.clone());
        }
        let is_here = self.schemas.contains(&relation.schema);
        let is_ours = match (&mark.target, &self.target) {
            (Some(made_for), Some(own)) => {
                made_for.schema == own.schema && (made_for.name == own.name || is_here)
            }
            (Some(made_for), None) => is_here && self.schemas.contains(&made_for.schema),
            (None, _) => is_here,
        };
        if is_ours {
            return Ownership::Ours;
        }
        Ownership::OtherTarget(match &mark.target {
            Some(target) => format!("{} (schema {})", target.name, target.schema),
            None => format!("of schema {}", relation.schema),
        })
    }

    /// The mark of this owner for a model's stream table. An unknown target does not replace the one in the table's
    /// current mark.
    pub fn mark(&self, origin: &Origin, now: Option<&Mark>) -> Mark {
        let now = now.filter(|now| now.dbt_project == self.project);
        Mark {
            dbt_project: self.project.clone(),
            unique_id: origin.unique_id.clone(),
            target: self.target.clone().or_else(|| now.and_then(|now| now.target.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, schema: &str) -> TargetName {
        TargetName { name: name.into(), schema: schema.into() }
    }

    fn owner(target: Option<TargetName>) -> Owner {
        Owner { project: "shop".into(), target, schemas: ["dev_alice", "marts"].map(String::from).into() }
    }

    fn whose(owner: &Owner, schema: &str, made_for: Option<TargetName>) -> Ownership {
        let mark = Mark { dbt_project: "shop".into(), unique_id: "model.shop.t".into(), target: made_for };
        owner.whose(&Relation::new(schema, "t"), Some(&mark))
    }

    #[test]
    fn a_table_is_ours_only_if_it_was_created_for_this_target() {
        let alice = owner(Some(target("dev", "dev_alice")));
        let is_ours = |schema: &str, name: &str, made_for: &str| {
            whose(&alice, schema, Some(target(name, made_for))) == Ownership::Ours
        };
        assert!(is_ours("dev_alice", "dev", "dev_alice"));
        assert!(is_ours("dev_alice_gone", "dev", "dev_alice"), "the last model of a custom schema is gone");
        assert!(is_ours("marts", "development", "dev_alice"), "the target was renamed");
        assert!(!is_ours("dev_bob", "dev", "dev_bob"), "two developers with the same target name");
        assert!(!is_ours("marts", "dev", "dev_bob"), "in a schema that both targets share");
        assert!(
            !is_ours("bob_marts", "bob", "dev_alice"),
            "two targets with the same schema, and custom schemas by target name"
        );
    }

    #[test]
    fn without_a_known_target_the_schema_decides() {
        for (owner, made_for) in [
            (owner(Some(target("dev", "dev_alice"))), None),
            (owner(None), Some(target("dev", "dev_alice"))),
            (owner(None), None),
        ] {
            assert_eq!(whose(&owner, "marts", made_for.clone()), Ownership::Ours);
            assert!(matches!(whose(&owner, "dev_bob", made_for), Ownership::OtherTarget(_)));
        }
        let of_bob = whose(&owner(None), "marts", Some(target("dev", "dev_bob")));
        assert!(matches!(of_bob, Ownership::OtherTarget(_)), "in a schema that two targets share");
    }

    #[test]
    fn tables_of_other_owners_name_the_owner() {
        let alice = owner(Some(target("dev", "dev_alice")));
        let bobs = whose(&alice, "marts", Some(target("dev", "dev_bob")));
        assert_eq!(bobs, Ownership::OtherTarget("dev (schema dev_bob)".into()));
        let mark = Mark { dbt_project: "finance".into(), unique_id: String::new(), target: None };
        let table = Relation::new("marts", "t");
        assert_eq!(alice.whose(&table, Some(&mark)), Ownership::OtherProject("finance".into()));
        assert_eq!(alice.whose(&table, None), Ownership::Unmarked);
    }

    #[test]
    fn a_mark_round_trips_and_one_of_an_earlier_version_is_read() {
        let origin = Origin { unique_id: "model.shop.t".into(), file: String::new() };
        let mark = owner(Some(target("dev", "dev_alice"))).mark(&origin, None);
        let text = serde_json::to_string(&mark).unwrap();
        assert_eq!(
            text,
            r#"{"dbt_project":"shop","unique_id":"model.shop.t","target":"dev","schema":"dev_alice"}"#
        );
        assert_eq!(serde_json::from_str::<Mark>(&text).unwrap(), mark);
        let older = Mark { target: None, ..mark.clone() };
        for text in [
            r#"{"dbt_project": "shop", "unique_id": "model.shop.t"}"#,
            r#"{"dbt_project": "shop", "unique_id": "model.shop.t", "target": "dev"}"#,
            r#"{"dbt_project": "shop", "unique_id": "model.shop.t", "schema": "dev_alice", "target": null}"#,
        ] {
            assert_eq!(serde_json::from_str::<Mark>(text).unwrap(), older, "{text}");
        }
        assert_eq!(owner(None).mark(&origin, Some(&mark)), mark, "an unknown target is no other target");
        assert_eq!(owner(None).mark(&origin, Some(&Mark { dbt_project: "finance".into(), ..mark })), older);
    }
}
