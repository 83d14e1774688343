//! A source without capture triggers: nothing tells the scheduler that its rows changed.

use super::{Rule, TableRule};
use crate::{
    judge::{Facts, SourceFacts},
    model::{Deployed, POLLS_SNAPSHOTS, Verdict},
};

/// Nothing makes the table follow its source but a refresh by hand.
pub(super) const UNFOLLOWED: TableRule = Rule {
    name: "unfollowed-source",
    heading: "Materialized views and foreign tables",
    fixed: None,
    verdict: Verdict::Failed,
    finds: unfollowed,
    way_out: "read its tables instead, or refresh this table by hand after each change",
};

/// The engine compares the source with a copy, but not when the scheduler asks for changes.
pub(super) const UNPOLLED: TableRule =
    Rule { name: "unpolled-source", fixed: Some(POLLS_SNAPSHOTS), finds: unpolled, ..UNFOLLOWED };

fn unfollowed(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let mode = deployed.table.settings.refresh_mode();
    let is_unfollowed = |source: &&SourceFacts| match source.source_type.as_str() {
        "MATVIEW" => mode != Some("DIFFERENTIAL"),
        "FOREIGN_TABLE" => mode == Some("IMMEDIATE"),
        _ => false,
    };
    facts.sources.iter().find(is_unfollowed).map(message)
}

fn unpolled(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let is_differential = deployed.table.settings.refresh_mode() == Some("DIFFERENTIAL");
    let is_unpolled = |source: &&SourceFacts| is_differential && source.source_type == "MATVIEW";
    facts.sources.iter().find(is_unpolled).map(message)
}

fn message(source: &SourceFacts) -> String {
    let kind = match source.source_type.as_str() {
        "MATVIEW" => "materialized view",
        _ => "foreign table",
    };
    let name = format!("{}.{}", source.schema, source.name);
    format!("its source {name} is a {kind}, whose changes pg_trickle does not notice")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    fn found(mode: &str, source_type: &str) -> (bool, bool) {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
        let source = SourceFacts {
            schema: "raw".into(),
            name: "daily".into(),
            source_type: source_type.into(),
            ..SourceFacts::default()
        };
        let facts = Facts { sources: vec![source], ..Facts::default() };
        (unfollowed(&there, &facts).is_some(), unpolled(&there, &facts).is_some())
    }

    #[test]
    fn a_table_over_a_snapshot_follows_it_only_where_the_scheduler_asks() {
        for (mode, source_type, expected) in [
            ("FULL", "MATVIEW", (true, false)),
            ("DIFFERENTIAL", "MATVIEW", (false, true)),
            ("IMMEDIATE", "MATVIEW", (true, false)),
            ("IMMEDIATE", "FOREIGN_TABLE", (true, false)),
            ("FULL", "FOREIGN_TABLE", (false, false)),
            ("DIFFERENTIAL", "FOREIGN_TABLE", (false, false)),
            ("DIFFERENTIAL", "TABLE", (false, false)),
            ("FULL", "VIEW", (false, false)),
        ] {
            assert_eq!(found(mode, source_type), expected, "{mode} {source_type}");
        }
    }
}
