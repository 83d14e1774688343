//! A change buffer is emptied with TRUNCATE, and with it what another session has written to it meanwhile.

use std::collections::BTreeSet;

use super::{Rule, ServerRule};
use crate::{
    judge::{Evidence, SourceFacts},
    model::{KEEPS_BUFFERED_CHANGES, Relation, Verdict},
};

pub(super) const RULE: ServerRule = Rule {
    name: "buffer-truncation",
    heading: "Settings that lose changes",
    fixed: Some(KEEPS_BUFFERED_CHANGES),
    verdict: Verdict::Failed,
    finds,
    way_out: "ALTER SYSTEM SET pg_trickle.cleanup_use_truncate = off; SELECT pg_reload_conf()",
};

/// What the setting does.
pub const LOSES: &str = "pg_trickle.cleanup_use_truncate is on: a change that is not committed yet when a refresh cleans its buffer is lost";

fn finds(evidence: &Evidence, tables: &BTreeSet<Relation>) -> Option<String> {
    let is_buffered = |source: &SourceFacts| source.source_type == "TABLE";
    let concerned =
        evidence.differential(Some(tables)).filter(|facts| facts.sources.iter().any(is_buffered)).count();
    let is_on = evidence.engine.as_ref().is_ok_and(|engine| engine.truncates_buffers);
    (is_on && concerned > 0).then(|| LOSES.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Deployed, Setting, Value},
    };

    fn found(is_on: bool, mode: &str, source_type: &str) -> bool {
        let mut table = sample::table("t", &[]);
        table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
        let tables = BTreeSet::from([table.relation.clone()]);
        let deployed: Deployed = sample::deployed(table);
        let mut evidence = sample::evidence(vec![deployed]);
        let source = SourceFacts { source_type: source_type.into(), ..SourceFacts::default() };
        evidence.facts.as_mut().unwrap()[0].sources.push(source);
        evidence.engine.as_mut().unwrap().truncates_buffers = is_on;
        assert_eq!(finds(&evidence, &BTreeSet::new()), None, "of another project");
        finds(&evidence, &tables).is_some()
    }

    #[test]
    fn a_differential_table_over_a_captured_source_loses_changes() {
        assert!(found(true, "DIFFERENTIAL", "TABLE"));
        assert!(!found(false, "DIFFERENTIAL", "TABLE"));
        assert!(!found(true, "FULL", "TABLE"), "it reads the source itself");
        assert!(!found(true, "IMMEDIATE", "TABLE"), "it has no buffer");
        assert!(!found(true, "DIFFERENTIAL", "STREAM_TABLE"));
    }
}
