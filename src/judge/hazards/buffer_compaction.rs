//! Compaction of a change buffer loses changes of sources without a key, and those that another reader still needs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, ServerRule, some_of};
use crate::{
    judge::{Evidence, SourceFacts},
    model::{KEEPS_BUFFERED_CHANGES, Relation, Verdict},
};

pub(super) const RULE: ServerRule = Rule {
    name: "buffer-compaction",
    heading: "Settings that lose changes",
    fixed: Some(KEEPS_BUFFERED_CHANGES),
    verdict: Verdict::Failed,
    finds,
    way_out: "ALTER SYSTEM SET pg_trickle.compact_threshold = 0; SELECT pg_reload_conf()",
};

/// How many sources the message names.
const NAMED: usize = 5;

fn finds(evidence: &Evidence, tables: &BTreeSet<Relation>) -> Option<String> {
    let threshold = evidence.engine.as_ref().ok()?.compact_threshold.filter(|threshold| *threshold > 0)?;
    let mut readers: BTreeMap<(&str, &str), BTreeSet<(&str, &str)>> = BTreeMap::new();
    for facts in evidence.differential(None) {
        for source in &facts.sources {
            readers.entry((&source.schema, &source.name)).or_default().insert((&facts.schema, &facts.name));
        }
    }
    let sources = evidence.differential(Some(tables)).flat_map(|facts| &facts.sources);
    let readers_of =
        |source: &SourceFacts| readers.get(&(&*source.schema, &*source.name)).map_or(0, BTreeSet::len);
    let losing: BTreeSet<String> = sources.filter_map(|source| why(source, readers_of(source))).collect();
    let named = some_of(losing.into_iter().collect(), NAMED);
    (!named.is_empty()).then(|| {
        format!(
            "pg_trickle.compact_threshold is {threshold}: a refresh that finds more changes than that loses some of {}",
            named.join(", ")
        )
    })
}

/// Why the changes of a source are lost that so many tables in the mode DIFFERENTIAL read.
fn why(source: &SourceFacts, readers: usize) -> Option<String> {
    let name = format!("{}.{}", source.schema, source.name);
    match source.source_type.as_str() {
        "TABLE" if source.primary_key.is_empty() => Some(format!("{name} (it has no primary key)")),
        "TABLE" if readers > 1 => Some(format!("{name} ({readers} stream tables read it)")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    fn found(threshold: Option<i64>, sources: Vec<SourceFacts>) -> Option<String> {
        let (table, other) = (sample::table("t", &[]), sample::table("other", &[]));
        let tables = BTreeSet::from([table.relation.clone()]);
        let mut evidence = sample::evidence(vec![sample::deployed(table), sample::deployed(other)]);
        let facts = evidence.facts.as_mut().unwrap();
        facts[1].sources = sources.iter().filter(|source| source.name == "orders").cloned().collect();
        facts[0].sources = sources;
        evidence.engine.as_mut().unwrap().compact_threshold = threshold;
        finds(&evidence, &tables)
    }

    fn source(name: &str, key: &[&str]) -> SourceFacts {
        SourceFacts {
            schema: "raw".into(),
            name: name.into(),
            source_type: "TABLE".into(),
            primary_key: key.iter().map(|column| (*column).into()).collect(),
            ..SourceFacts::default()
        }
    }

    /// The sample has a second table that reads `orders`.
    #[test]
    fn sources_without_a_key_or_with_several_readers_are_named() {
        let sources = vec![source("log", &[]), source("orders", &["id"]), source("lone", &["id"])];
        let message = found(Some(100_000), sources.clone()).unwrap();
        assert!(message.starts_with("pg_trickle.compact_threshold is 100000"), "{message}");
        assert!(
            message.ends_with("raw.log (it has no primary key), raw.orders (2 stream tables read it)"),
            "{message}"
        );
        assert_eq!(found(Some(0), sources.clone()), None);
        assert_eq!(found(None, sources), None);
        assert_eq!(found(Some(1), vec![source("lone", &["id"])]), None);
        let many = (0..7).map(|number| source(&number.to_string(), &[])).collect();
        assert!(found(Some(1), many).unwrap().ends_with("and 2 more"));
    }
}
