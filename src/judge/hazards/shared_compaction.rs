//! A change buffer that several tables read is compacted for one of them, which loses deletions for another.

use super::Rule;
use crate::{
    judge::{Facts, SourceFacts},
    model::{Deployed, Verdict, Version},
};

pub(super) const RULE: Rule = Rule {
    name: "shared-compaction",
    heading: "Change capture",
    fixed: Some(Version(0, 108, 1)),
    verdict: Verdict::Warned,
    finds,
    way_out: "turn compaction off: `ALTER SYSTEM SET pg_trickle.compact_threshold = 0`, and reload the configuration",
};

fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let threshold = facts.compact_threshold.filter(|threshold| *threshold > 0)?;
    let is_shared = |source: &&SourceFacts| source.readers > 1 && source.source_type == "TABLE";
    let shared: Vec<String> = facts
        .sources
        .iter()
        .filter(is_shared)
        .map(|source| format!("{}.{} ({} readers)", source.schema, source.name, source.readers))
        .collect();
    (deployed.table.settings.refresh_mode() == Some("DIFFERENTIAL") && !shared.is_empty()).then(|| {
        format!(
            "once more than {threshold} changes are pending, the refresh of one reader removes deletions that another still needs: {}",
            shared.join(", ")
        )
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
    fn only_a_differential_reader_of_a_shared_source_is_reported_while_buffers_are_compacted() {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.table.settings.set(Setting::RefreshMode, Value::Text("DIFFERENTIAL".into()));
        let of = |readers, compact_threshold| {
            let source = SourceFacts {
                schema: "raw".into(),
                name: "orders".into(),
                source_type: "TABLE".into(),
                readers,
                ..SourceFacts::default()
            };
            Facts { sources: vec![source], compact_threshold, ..Facts::default() }
        };
        assert!(finds(&there, &of(2, Some(100_000))).unwrap().ends_with(": raw.orders (2 readers)"));
        assert_eq!(finds(&there, &of(1, Some(100_000))), None);
        assert_eq!(finds(&there, &of(2, Some(0))), None);
        assert_eq!(finds(&there, &of(2, None)), None, "the emulator compacts nothing");
        there.table.settings.set(Setting::RefreshMode, Value::Text("FULL".into()));
        assert_eq!(finds(&there, &of(2, Some(1))), None);
    }
}
