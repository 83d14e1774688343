//! Whose a stream table is: the mark on it, and the question that every command asks of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Origin, Relation};

/// The mark that a deployment leaves on each stream table: a comment on the trigger by which the engine refuses DML, where
/// it meets neither `persist_docs` nor a user's own comment. Earlier versions wrote it, without the target, on the column
/// `__pgt_row_id`. The dbt package writes the same (`pgtrickle_mark`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The name of the dbt project.
    pub dbt_project: String,
    /// dbt's name for the model.
    pub unique_id: String,
    /// The target; `None` in a mark of an earlier version, and where no target was known.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetName>,
}

/// A target of a dbt profile. Two people's targets often have one name and two schemas; two targets can also have one
/// schema, and names that a `generate_schema_name` of the project's own makes schemas of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetName {
    /// Its name.
    #[serde(rename = "target")]
    pub name: String,
    /// Its schema, to which models without a schema of their own go.
    pub schema: String,
}

/// A dbt project under one target.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Owner {
    /// The project's name.
    pub project: String,
    /// The target; `None` where only a manifest is known, which does not name it.
    pub target: Option<TargetName>,
    /// The schemas that the target puts models of the project into.
    pub schemas: BTreeSet<String>,
}

/// Whose a stream table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// This project made it, for this target.
    Ours,
    /// This project made it, for another target, in these words.
    OtherTarget(String),
    /// This other dbt project made it.
    OtherProject(String),
    /// It has no mark.
    Unmarked,
}

impl Owner {
    /// Whose a stream table with this mark is, as the dbt package judges it (`pgtrickle_list_stream_tables`).
    ///
    /// A mark of another schema is another target's, wherever the table is. Where the name of the target or all of it is
    /// missing or another, the table is ours if it is in a schema that this target puts models into.
    pub fn whose(&self, relation: &Relation, mark: Option<&Mark>) -> Whose {
        let Some(mark) = mark else { return Whose::Unmarked };
        if mark.dbt_project != self.project {
            return Whose::OtherProject(mark.dbt_project.clone());
        }
        let is_here = self.schemas.contains(&relation.schema);
        let is_ours = match (&mark.target, &self.target) {
            (Some(made_for), Some(own)) => {
                made_for.schema == own.schema && (made_for.name == own.name || is_here)
            }
            (None, _) | (_, None) => is_here,
        };
        if is_ours {
            return Whose::Ours;
        }
        Whose::OtherTarget(match &mark.target {
            Some(target) => format!("{} (schema {})", target.name, target.schema),
            None => format!("of schema {}", relation.schema),
        })
    }

    /// The mark of a stream table that this deployment makes for a model.
    pub fn mark(&self, origin: &Origin) -> Mark {
        Mark {
            dbt_project: self.project.clone(),
            unique_id: origin.unique_id.clone(),
            target: self.target.clone(),
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

    fn whose(owner: &Owner, schema: &str, made_for: Option<TargetName>) -> Whose {
        let mark = Mark { dbt_project: "shop".into(), unique_id: "model.shop.t".into(), target: made_for };
        owner.whose(&Relation::new(schema, "t"), Some(&mark))
    }

    #[test]
    fn a_table_is_ours_only_when_it_was_made_for_this_target() {
        let alice = owner(Some(target("dev", "dev_alice")));
        let is_ours = |schema: &str, name: &str, made_for: &str| {
            whose(&alice, schema, Some(target(name, made_for))) == Whose::Ours
        };
        assert!(is_ours("dev_alice", "dev", "dev_alice"));
        assert!(is_ours("dev_alice_gone", "dev", "dev_alice"), "the last model of a custom schema is gone");
        assert!(is_ours("marts", "development", "dev_alice"), "the target was renamed");
        assert!(!is_ours("dev_bob", "dev", "dev_bob"), "two people with one target name");
        assert!(!is_ours("marts", "dev", "dev_bob"), "in a schema that both targets share");
        assert!(
            !is_ours("bob_marts", "bob", "dev_alice"),
            "two targets of one schema, in schemas by their names"
        );
    }

    #[test]
    fn what_does_not_name_its_target_is_judged_by_its_schema() {
        for (owner, made_for) in [
            (owner(Some(target("dev", "dev_alice"))), None),
            (owner(None), Some(target("dev", "dev_bob"))),
            (owner(None), None),
        ] {
            assert_eq!(whose(&owner, "marts", made_for.clone()), Whose::Ours);
            assert!(matches!(whose(&owner, "dev_bob", made_for), Whose::OtherTarget(_)));
        }
    }

    #[test]
    fn the_tables_of_others_say_whose_they_are() {
        let alice = owner(Some(target("dev", "dev_alice")));
        let bobs = whose(&alice, "marts", Some(target("dev", "dev_bob")));
        assert_eq!(bobs, Whose::OtherTarget("dev (schema dev_bob)".into()));
        let mark = Mark { dbt_project: "finance".into(), unique_id: String::new(), target: None };
        let table = Relation::new("marts", "t");
        assert_eq!(alice.whose(&table, Some(&mark)), Whose::OtherProject("finance".into()));
        assert_eq!(alice.whose(&table, None), Whose::Unmarked);
    }

    #[test]
    fn a_mark_reads_back_and_one_of_an_earlier_version_is_read() {
        let origin = Origin { unique_id: "model.shop.t".into(), file: String::new() };
        let mark = owner(Some(target("dev", "dev_alice"))).mark(&origin);
        let text = serde_json::to_string(&mark).unwrap();
        assert_eq!(
            text,
            r#"{"dbt_project":"shop","unique_id":"model.shop.t","target":"dev","schema":"dev_alice"}"#
        );
        assert_eq!(serde_json::from_str::<Mark>(&text).unwrap(), mark);
        let older = r#"{"dbt_project": "shop", "unique_id": "model.shop.t"}"#;
        assert_eq!(serde_json::from_str::<Mark>(older).unwrap(), Mark { target: None, ..mark });
    }
}
