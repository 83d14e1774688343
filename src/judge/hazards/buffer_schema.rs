//! The setting for the schema of the change buffers has a name that pg_trickle cannot use.

use std::collections::BTreeSet;

use super::{Rule, ServerRule};
use crate::{
    judge::Evidence,
    model::{Relation, Verdict},
};

pub(super) const RULE: ServerRule = Rule {
    name: "buffer-schema",
    heading: "Names",
    fixed: None,
    verdict: Verdict::Failed,
    finds,
    way_out: "give the schema a name without capitals, blanks or other special characters, and set pg_trickle.change_buffer_schema to it",
};

/// What pg_trickle does with the name of this schema.
pub fn effect(schema: &str) -> String {
    format!(
        "pg_trickle.change_buffer_schema is `{schema}`, which pg_trickle does not quote: only IMMEDIATE tables can be created and refreshed"
    )
}

/// A server without these tables is judged for those to come.
fn finds(evidence: &Evidence, tables: &BTreeSet<Relation>) -> Option<String> {
    let schema = evidence.engine.as_ref().ok()?.buffer_schema_to_quote.as_deref()?;
    let mut concerned =
        evidence.deployed.iter().filter(|one| tables.contains(&one.table.relation)).peekable();
    let is_buffered = concerned.peek().is_none()
        || concerned.any(|one| one.table.settings.refresh_mode() != Some("IMMEDIATE"));
    is_buffered.then(|| effect(schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    fn found(schema: Option<&str>, mode: Option<&str>) -> bool {
        let mut table = sample::table("t", &[]);
        let tables = mode.iter().map(|_| table.relation.clone()).collect();
        table.settings.set(Setting::RefreshMode, Value::Text(mode.unwrap_or("IMMEDIATE").into()));
        let mut evidence = sample::evidence(vec![sample::deployed(table)]);
        evidence.engine.as_mut().unwrap().buffer_schema_to_quote = schema.map(ToOwned::to_owned);
        finds(&evidence, &tables).is_some()
    }

    #[test]
    fn every_table_but_an_immediate_one_needs_the_schema() {
        assert!(found(Some("My Buffers"), Some("DIFFERENTIAL")));
        assert!(found(Some("My Buffers"), Some("FULL")));
        assert!(!found(Some("My Buffers"), Some("IMMEDIATE")));
        assert!(found(Some("My Buffers"), None), "a server without the project's tables");
        assert!(!found(None, Some("DIFFERENTIAL")));
    }
}
