//! The order in which stream tables can be made, and what stands downstream of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Relation, StreamTable};

/// The tables with every table behind those it reads; among equals in the order of their names.
///
/// # Errors
/// The relations of a cycle.
pub fn topological<'a>(tables: &[&'a StreamTable]) -> Result<Vec<&'a StreamTable>, Vec<Relation>> {
    let mut left: BTreeMap<&Relation, &'a StreamTable> =
        tables.iter().map(|table| (&table.relation, *table)).collect();
    let mut sorted = Vec::with_capacity(tables.len());
    while !left.is_empty() {
        let ready: Vec<&Relation> = left
            .values()
            .filter(|table| !table.upstream.iter().any(|up| *up != table.relation && left.contains_key(up)))
            .map(|table| &table.relation)
            .collect();
        if ready.is_empty() {
            return Err(left.into_keys().cloned().collect());
        }
        sorted.extend(ready.into_iter().filter_map(|relation| left.remove(relation)));
    }
    Ok(sorted)
}

/// For every table that others read: all that stand downstream of it, near and far.
pub fn downstream<'a>(
    tables: impl IntoIterator<Item = &'a StreamTable>,
) -> BTreeMap<&'a Relation, BTreeSet<&'a Relation>> {
    let mut readers: BTreeMap<&Relation, BTreeSet<&Relation>> = BTreeMap::new();
    for table in tables {
        for up in &table.upstream {
            readers.entry(up).or_default().insert(&table.relation);
        }
    }
    readers.keys().map(|relation| (*relation, reachable(relation, &readers))).collect()
}

fn reachable<'a>(
    start: &'a Relation,
    readers: &BTreeMap<&'a Relation, BTreeSet<&'a Relation>>,
) -> BTreeSet<&'a Relation> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(relation) = open.pop() {
        for reader in readers.get(relation).into_iter().flatten() {
            if found.insert(*reader) {
                open.push(reader);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Settings;

    fn table(name: &str, upstream: &[&str]) -> StreamTable {
        StreamTable {
            relation: Relation::new("s", name),
            query: String::new(),
            settings: Settings::default(),
            upstream: upstream.iter().map(|up| Relation::new("s", *up)).collect(),
            columns: None,
            origin: None,
        }
    }

    #[test]
    fn a_cycle_is_told_with_its_members() {
        let tables = [table("a", &["c"]), table("b", &["a"]), table("c", &["b"]), table("free", &[])];
        let cycle = topological(&tables.iter().collect::<Vec<_>>()).unwrap_err();
        assert_eq!(cycle, ["a", "b", "c"].map(|name| Relation::new("s", name)));
    }

    #[test]
    fn downstream_reaches_through_chains_and_diamonds() {
        let tables = [table("b", &["a"]), table("c", &["a"]), table("d", &["b", "c"])];
        let reached = downstream(&tables);
        let names =
            |of: &str| reached[&Relation::new("s", of)].iter().map(|r| r.name.clone()).collect::<Vec<_>>();
        assert_eq!(names("a"), ["b", "c", "d"]);
        assert_eq!(names("b"), ["d"]);
    }

    proptest! {
        #[test]
        fn nothing_comes_before_what_it_reads(edges in prop::collection::vec((0usize..12, 0usize..12), 0..40)) {
            // Edges from lower to higher numbers alone: any such graph can be sorted.
            let tables: Vec<_> = (0..12)
                .map(|n| {
                    let upstream: Vec<_> = edges.iter().filter(|(low, high)| *high == n && low < high).map(|(low, _)| format!("t{low}")).collect();
                    table(&format!("t{n}"), &upstream.iter().map(String::as_str).collect::<Vec<_>>())
                })
                .collect();
            let mut shuffled: Vec<_> = tables.iter().collect();
            shuffled.reverse();
            let sorted = topological(&shuffled).unwrap();
            prop_assert_eq!(sorted.len(), 12);
            for (at, table) in sorted.iter().enumerate() {
                for up in &table.upstream {
                    prop_assert!(sorted[..at].iter().any(|before| before.relation == *up));
                }
            }
        }
    }
}
