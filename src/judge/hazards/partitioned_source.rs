//! What is done to a partition itself does not go through the triggers of its table.

use super::{Rule, TableRule};
use crate::{
    judge::{Facts, SourceFacts},
    model::{Deployed, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "partitioned-source",
    heading: "Change capture",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "write through the partitioned table; after changes of a partition itself, refill this table: \
              select pgtrickle.alter_stream_table(…, query => its query)",
};

fn finds(_: &Deployed, facts: &Facts) -> Option<String> {
    let name = |source: &SourceFacts| format!("{}.{}", source.schema, source.name);
    let partitioned: Vec<String> =
        facts.sources.iter().filter(|source| source.is_partitioned).map(name).collect();
    (!partitioned.is_empty()).then(|| {
        format!(
            "writes to a partition of {} itself, and TRUNCATE, DROP and ATTACH of one, may not reach the stream table",
            partitioned.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    #[test]
    fn a_table_over_partitions_is_reported() {
        let there = sample::deployed(sample::table("t", &[]));
        let source = |is_partitioned| SourceFacts {
            schema: "raw".into(),
            name: "visits".into(),
            is_partitioned,
            ..SourceFacts::default()
        };
        let found = |is_partitioned| {
            finds(&there, &Facts { sources: vec![source(is_partitioned)], ..Facts::default() })
        };
        assert!(found(true).unwrap().starts_with("writes to a partition of raw.visits itself"));
        assert_eq!(found(false), None);
    }
}
