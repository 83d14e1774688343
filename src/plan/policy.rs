//! The permissions that a plan needs.

use super::{Change, Plan, Step};
use crate::model::{Deployed, Owner, Relation};

/// The permissions that a project gives, and the owner of its tables.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The dbt project and target. Tables of other owners are never dropped.
    pub owner: Owner,
    /// The tables that may be dropped: `name`, `schema.name`, or `all`.
    pub allow_drop: Vec<String>,
    /// The tables that may be replaced, in the same format.
    pub allow_recreate: Vec<String>,
}

/// Keys below `plan` in pgtrickle-ci.yml.
const ALLOW_DROP: &str = "allow_drop";
const ALLOW_RECREATE: &str = "allow_recreate";

impl Policy {
    pub(super) fn refuses(&self, relation: &Relation, change: &Change) -> bool {
        let allowed = match change.permission() {
            Some(ALLOW_DROP) => &self.allow_drop,
            Some(_) => &self.allow_recreate,
            None => return false,
        };
        !allowed.iter().any(|name| name == "all" || relation.is_named(name))
    }

    /// A sentence for each name that matches no table, neither desired nor deployed.
    pub(super) fn unmatched(&self, steps: &[Step], deployed: &[Deployed]) -> Vec<String> {
        let is_table = |name: &str| {
            steps.iter().any(|step| step.relation.is_named(name))
                || deployed.iter().any(|one| one.table.relation.is_named(name))
        };
        let unmatched = |key, names: &[String]| -> Vec<String> {
            let unknown = names.iter().filter(|name| *name != "all" && !is_table(name));
            unknown
                .map(|name| format!("`plan.{key}` names `{name}`, and no stream table has that name"))
                .collect()
        };
        let mut all = unmatched(ALLOW_DROP, &self.allow_drop);
        all.extend(unmatched(ALLOW_RECREATE, &self.allow_recreate));
        all
    }
}

impl Change {
    /// The key of pgtrickle-ci.yml that allows the change, if it drops something.
    pub fn permission(&self) -> Option<&'static str> {
        match self {
            Self::Drop => Some(ALLOW_DROP),
            Self::Recreate { .. } | Self::Create { replaces: Some(_), .. } => Some(ALLOW_RECREATE),
            Self::Create { .. } | Self::Alter(_) | Self::AlterQuery { .. } | Self::Keep => None,
        }
    }
}

impl Step {
    /// What is not allowed, as a sentence; `None` if the step is allowed.
    pub fn refusal(&self) -> Option<String> {
        let does = match &self.change {
            Change::Drop => "drops",
            Change::Recreate { .. } => "drops and recreates",
            Change::Create { replaces: Some(kind), .. } => {
                return self.refused.then(|| format!("Not allowed: drops the {kind} `{}`", self.relation));
            }
            Change::Create { .. } | Change::Alter(_) | Change::AlterQuery { .. } | Change::Keep => {
                return None;
            }
        };
        self.refused.then(|| format!("Not allowed: {does} `{}`", self.relation))
    }

    /// The permission that the step lacks.
    pub fn permission(&self) -> Option<Permission> {
        let key = self.change.permission().filter(|_| self.refused)?;
        Some(Permission { key, name: self.relation.to_string() })
    }
}

/// A permission for one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The key below `plan` in pgtrickle-ci.yml.
    pub key: &'static str,
    pub name: String,
}

impl Permission {
    /// The flag that gives the permission for one run.
    pub fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }

    /// The name, quoted for a YAML list if necessary.
    pub fn yaml(&self) -> String {
        yaml_word(&self.name)
    }
}

impl Plan {
    /// The lines for pgtrickle-ci.yml that give all missing permissions; empty if none is missing.
    pub fn permissions(&self) -> String {
        let needed: Vec<Permission> = self.steps.iter().filter_map(Step::permission).collect();
        let line = |key: &str| {
            let names: Vec<String> =
                needed.iter().filter(|one| one.key == key).map(|one| yaml_word(&one.name)).collect();
            if names.is_empty() { String::new() } else { format!("  {key}: [{}]\n", names.join(", ")) }
        };
        let lines = [ALLOW_DROP, ALLOW_RECREATE].map(line).concat();
        if lines.is_empty() { lines } else { format!("plan:\n{lines}") }
    }
}

/// A scalar of a YAML flow sequence. JSON strings are valid YAML.
fn yaml_word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
        && text.starts_with(|c: char| c.is_ascii_alphabetic());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
