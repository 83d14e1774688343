//! A source that only IMMEDIATE tables read cannot be altered.

use super::{Rule, TableRule};
use crate::{
    judge::{Facts, SourceFacts},
    model::{Deployed, Verdict, Version},
};

pub(super) const RULE: TableRule = Rule {
    name: "immediate-source-ddl",
    heading: "Source DDL",
    // Published for 0.87, without the patch level.
    fixed: Some(Version(0, 88, 0)),
    verdict: Verdict::Warned,
    finds,
    way_out: "before altering it, even its owner, drop the IMMEDIATE tables that read it",
};

fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let is_untracked = |source: &&SourceFacts| source.source_type == "TABLE" && !source.tracked;
    let untracked = facts.sources.iter().filter(is_untracked);
    let untracked: Vec<String> =
        untracked.map(|source| format!("{}.{}", source.schema, source.name)).collect();
    let is_immediate = deployed.table.settings.refresh_mode() == Some("IMMEDIATE");
    (is_immediate && !untracked.is_empty()).then(|| {
        format!("every ALTER TABLE of {} fails: only IMMEDIATE tables read it", untracked.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    #[test]
    fn a_source_of_immediate_tables_alone_is_reported() {
        let found = |mode: &str, tracked: bool| {
            let mut there = sample::deployed(sample::table("t", &[]));
            there.table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
            let source = SourceFacts { source_type: "TABLE".into(), tracked, ..SourceFacts::default() };
            finds(&there, &Facts { sources: vec![source], ..Facts::default() }).is_some()
        };
        assert!(found("IMMEDIATE", false));
        assert!(!found("IMMEDIATE", true), "a differential table reads it, too");
        assert!(!found("FULL", false));
    }
}
