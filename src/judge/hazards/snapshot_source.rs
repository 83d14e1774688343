//! A source without capture triggers: nothing tells the scheduler that its rows changed.

use super::{Rule, TableRule};
use crate::{
    judge::{Facts, SourceFacts},
    model::{Deployed, POLLS_SNAPSHOTS, Verdict},
};

/// The changes of the source are never noticed.
pub(super) const UNTRACKED: TableRule = Rule {
    name: "untracked-source",
    heading: "Materialized views and foreign tables",
    fixed: None,
    verdict: Verdict::Failed,
    finds: untracked,
    way_out: "read its tables instead, or refresh this table by hand after each change",
};

/// The engine compares the source with a copy, but not when the scheduler asks for changes.
pub(super) const UNPOLLED: TableRule = Rule {
    name: "unpolled-source",
    heading: "Materialized views and foreign tables",
    fixed: Some(POLLS_SNAPSHOTS),
    verdict: Verdict::Failed,
    finds: unpolled,
    way_out: "read its tables instead, or refresh this table by hand after each change",
};

fn untracked(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let is_immediate = deployed.table.settings.refresh_mode() == Some("IMMEDIATE");
    let is_untracked = |source: &&SourceFacts| match source.source_type.as_str() {
        "MATVIEW" => is_immediate || !source.tracked,
        "FOREIGN_TABLE" => is_immediate,
        _ => false,
    };
    message(facts.sources.iter().find(is_untracked)?, "does not notice")
}

fn unpolled(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let is_immediate = deployed.table.settings.refresh_mode() == Some("IMMEDIATE");
    let is_unpolled =
        |source: &&SourceFacts| source.source_type == "MATVIEW" && source.tracked && !is_immediate;
    message(facts.sources.iter().find(is_unpolled)?, "only notices by a refresh by hand")
}

fn message(source: &SourceFacts, notices: &str) -> Option<String> {
    let kind = match source.source_type.as_str() {
        "MATVIEW" => "materialized view",
        _ => "foreign table",
    };
    Some(format!(
        "its source {}.{} is a {kind}, whose changes pg_trickle {notices}",
        source.schema, source.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    fn found(mode: &str, source_type: &str, tracked: bool) -> (bool, bool) {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
        let source = SourceFacts {
            schema: "raw".into(),
            name: "daily".into(),
            source_type: source_type.into(),
            tracked,
            ..SourceFacts::default()
        };
        let facts = Facts { sources: vec![source], ..Facts::default() };
        (untracked(&there, &facts).is_some(), unpolled(&there, &facts).is_some())
    }

    #[test]
    fn a_table_over_a_snapshot_follows_it_only_where_the_scheduler_asks() {
        for (mode, source_type, tracked, expected) in [
            ("FULL", "MATVIEW", false, (true, false)),
            ("FULL", "MATVIEW", true, (false, true)),
            ("DIFFERENTIAL", "MATVIEW", true, (false, true)),
            ("IMMEDIATE", "MATVIEW", true, (true, false)),
            ("IMMEDIATE", "FOREIGN_TABLE", true, (true, false)),
            ("FULL", "FOREIGN_TABLE", false, (false, false)),
            ("DIFFERENTIAL", "FOREIGN_TABLE", true, (false, false)),
            ("DIFFERENTIAL", "TABLE", true, (false, false)),
            ("FULL", "VIEW", false, (false, false)),
        ] {
            assert_eq!(found(mode, source_type, tracked), expected, "{mode} {source_type} {tracked}");
        }
    }
}
