//! The order in which stream tables can be created, and the tables downstream of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Relation, StreamTable};

/// The tables, upstream before downstream; tables without such an order are sorted by name.
///
/// # Errors
/// The relations of a cycle and those downstream of it.
pub fn topological<'a>(tables: &[&'a StreamTable]) -> Result<Vec<&'a StreamTable>, Vec<Relation>> {
    let mut left: BTreeMap<&Relation, &'a StreamTable> =
        tables.iter().map(|table| (&table.relation, *table)).collect();
    let readers = Readers::of(left.values().copied());
    let mut unsorted_upstream: BTreeMap<&Relation, usize> = left
        .values()
        .map(|table| {
            let others: BTreeSet<&Relation> =
                table.upstream.iter().filter(|up| **up != table.relation).collect();
            (&table.relation, others.into_iter().filter(|up| left.contains_key(up)).count())
        })
        .collect();
    let mut ready: BTreeSet<&Relation> =
        unsorted_upstream.iter().filter(|(_, count)| **count == 0).map(|(relation, _)| *relation).collect();
    let mut sorted = Vec::with_capacity(tables.len());
    while !ready.is_empty() {
        let mut next = BTreeSet::new();
        for relation in ready {
            for reader in readers.direct(relation) {
                if let Some(count) = unsorted_upstream.get_mut(reader) {
                    *count -= 1;
                    if *count == 0 {
                        next.insert(reader);
                    }
                }
            }
            sorted.extend(left.remove(relation));
        }
        ready = next;
    }
    if left.is_empty() { Ok(sorted) } else { Err(left.into_keys().cloned().collect()) }
}

/// The tables that read each table.
pub struct Readers<'a>(BTreeMap<&'a Relation, BTreeSet<&'a Relation>>);

impl<'a> Readers<'a> {
    /// Finds the readers among these tables.
    pub fn of(tables: impl IntoIterator<Item = &'a StreamTable>) -> Self {
        let mut readers: BTreeMap<&Relation, BTreeSet<&Relation>> = BTreeMap::new();
        for table in tables {
            for up in table.upstream.iter().filter(|up| **up != table.relation) {
                readers.entry(up).or_default().insert(&table.relation);
            }
        }
        Self(readers)
    }

    fn direct(&self, relation: &Relation) -> impl Iterator<Item = &'a Relation> {
        self.0.get(relation).into_iter().flatten().copied()
    }

    /// All tables downstream of a table, direct and indirect.
    pub fn below(&self, relation: &Relation) -> BTreeSet<&'a Relation> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Relation> = self.direct(relation).collect();
        while let Some(reader) = open.pop() {
            if found.insert(reader) {
                open.extend(self.direct(reader));
            }
        }
        found
    }
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
    fn a_cycle_is_an_error_with_its_members() {
        let tables = [table("a", &["c"]), table("b", &["a"]), table("c", &["b"]), table("free", &[])];
        let cycle = topological(&tables.iter().collect::<Vec<_>>()).unwrap_err();
        assert_eq!(cycle, ["a", "b", "c"].map(|name| Relation::new("s", name)));
    }

    #[test]
    fn downstream_includes_chains_and_diamonds() {
        let tables = [table("b", &["a"]), table("c", &["a"]), table("d", &["b", "c"])];
        let readers = Readers::of(&tables);
        let names = |of: &str| {
            readers.below(&Relation::new("s", of)).iter().map(|r| r.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("a"), ["b", "c", "d"]);
        assert_eq!(names("b"), ["d"]);
    }

    proptest! {
        #[test]
        fn upstream_comes_before_downstream(edges in prop::collection::vec((0usize..12, 0usize..12), 0..40)) {
            // A graph with edges only from lower to higher numbers has no cycle.
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
