//! Reports each cause once: tables that fail because of another one point to it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalog, table::TableOutcomes};
use crate::model::{Outcome, Relation, Stage, StreamTable, Verdict};

type Judged<'a> = BTreeMap<&'a Relation, TableOutcomes>;
type Reads<'a> = BTreeMap<&'a Relation, BTreeSet<&'a Relation>>;

/// What each table reads, according to its model and to the server.
pub(super) fn reads<'a>(tables: &[&'a StreamTable], catalog: &Catalog<'a>) -> Reads<'a> {
    tables.iter().map(|table| (&table.relation, upstream(table, catalog))).collect()
}

fn upstream<'a>(table: &'a StreamTable, catalog: &Catalog<'a>) -> BTreeSet<&'a Relation> {
    let deployed = catalog.get(&table.relation).map(|deployed| &deployed.table);
    table.upstream.iter().chain(deployed.into_iter().flat_map(|deployed| &deployed.upstream)).collect()
}

/// These tables and all stream tables upstream, each as its model defines it, or else as it is deployed.
pub(super) fn with_upstream<'a>(
    tables: &[&'a StreamTable],
    unselected: &'a [StreamTable],
    catalog: &Catalog<'a>,
) -> Vec<&'a StreamTable> {
    let models: BTreeMap<&Relation, &StreamTable> =
        unselected.iter().map(|table| (&table.relation, table)).collect();
    let mut all: BTreeMap<&Relation, &StreamTable> =
        tables.iter().map(|table| (&table.relation, *table)).collect();
    let mut open: Vec<&StreamTable> = tables.to_vec();
    while let Some(table) = open.pop() {
        for upstream in upstream(table, catalog) {
            let deployed = || catalog.get(upstream).map(|deployed| &deployed.table);
            let found = models.get(upstream).copied().or_else(deployed);
            if let Some(found) = found.filter(|_| !all.contains_key(upstream)) {
                all.insert(&found.relation, found);
                open.push(found);
            }
        }
    }
    all.into_values().collect()
}

/// Combines the outcomes of single tables: `own` are reported, `others` belong to upstream tables that were not
/// selected.
pub(super) fn settle<'a>(
    concerned: &[&'a StreamTable],
    reads: &Reads<'a>,
    mut own: Judged<'a>,
    others: Judged<'a>,
) -> Vec<Outcome> {
    let has_cause = |(_, outcomes): &(&&Relation, &TableOutcomes)| outcomes.cause().is_some();
    let causes: BTreeSet<&Relation> =
        own.iter().chain(&others).filter(has_cause).map(|(name, _)| *name).collect();
    let mut affected: BTreeMap<&Relation, Vec<String>> = BTreeMap::new();
    let mut dependencies = Vec::new();
    for table in concerned {
        let Some(outcomes) = own.get_mut(&table.relation) else { continue };
        let roots = roots(&table.relation, reads, &causes);
        if !roots.is_empty() {
            outcomes.blame_upstream(&joined(&roots));
        }
        for root in &roots {
            affected.entry(root).or_default().push(table.relation.to_string());
        }
        dependencies.extend(depends(table, &reads[&table.relation], &roots));
    }
    for (root, tables) in affected {
        let also = format!("affects {}", tables.join(", "));
        match own.get_mut(root) {
            Some(outcomes) => outcomes.add_to_cause(also),
            None => dependencies.extend(outside(root, &others[root], also)),
        }
    }
    let own = concerned.iter().filter_map(|table| own.remove(&table.relation));
    own.flat_map(TableOutcomes::into_outcomes).chain(dependencies).collect()
}

/// The unhealthy upstream tables whose own upstream is healthy.
fn roots<'a>(
    table: &'a Relation,
    reads: &Reads<'a>,
    causes: &BTreeSet<&'a Relation>,
) -> BTreeSet<&'a Relation> {
    let mut found = BTreeSet::new();
    let mut seen = BTreeSet::from([table]);
    let mut open = vec![table];
    while let Some(next) = open.pop() {
        let upstream = || reads.get(next).into_iter().flatten().copied();
        let is_first = || !upstream().any(|upstream| leads_to_a_cause(upstream, reads, causes));
        if next != table && causes.contains(next) && is_first() {
            found.insert(next);
        }
        open.extend(upstream().filter(|upstream| seen.insert(upstream)));
    }
    found
}

fn leads_to_a_cause<'a>(table: &'a Relation, reads: &Reads<'a>, causes: &BTreeSet<&'a Relation>) -> bool {
    let mut seen = BTreeSet::from([table]);
    let mut open = vec![table];
    while let Some(next) = open.pop() {
        if causes.contains(next) {
            return true;
        }
        open.extend(reads.get(next).into_iter().flatten().filter(|upstream| seen.insert(upstream)));
    }
    false
}

fn depends(
    table: &StreamTable,
    upstream: &BTreeSet<&Relation>,
    roots: &BTreeSet<&Relation>,
) -> Option<Outcome> {
    if upstream.is_empty() {
        return None;
    }
    let outcome = |verdict, message| {
        Outcome::new(Stage::Dependencies, &table.relation, verdict, message).about(table.origin.as_ref())
    };
    Some(if roots.is_empty() {
        outcome(Verdict::Passed, format!("upstream tables are healthy: {}", joined(upstream)))
    } else {
        outcome(Verdict::Skipped, format!("affected by {}", joined(roots)))
    })
}

/// A cause among the tables that were not selected.
fn outside(root: &Relation, outcomes: &TableOutcomes, also: String) -> Option<Outcome> {
    let cause = outcomes.cause()?;
    let details = cause.details.iter().cloned().chain([also]);
    Some(Outcome::new(Stage::Dependencies, root, cause.verdict, &cause.message).with_details(details))
}

fn joined(relations: &BTreeSet<&Relation>) -> String {
    let names: Vec<String> = relations.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::{self, Criteria, sample},
        model::{Deployed, Setting, Value},
    };

    fn chain() -> (Vec<StreamTable>, Vec<Deployed>) {
        let tables =
            vec![sample::table("base", &[]), sample::table("mid", &["base"]), sample::table("top", &["mid"])];
        let deployed = tables.iter().cloned().map(sample::deployed).collect();
        (tables, deployed)
    }

    fn judged(tables: &[&StreamTable], deployed: Vec<Deployed>) -> Vec<Outcome> {
        judge::judge(tables, &sample::evidence(deployed), &Criteria::default())
    }

    fn bad(outcomes: &[Outcome]) -> Vec<(Stage, String)> {
        outcomes.iter().filter(|o| o.verdict.is_bad()).map(|o| (o.stage, o.subject.to_string())).collect()
    }

    #[test]
    fn one_cause_is_reported_once_with_the_tables_it_affects() {
        let (tables, mut deployed) = chain();
        for at in [0, 1] {
            deployed[at].health.status = "ERROR".into();
        }
        deployed[2].health.last_refresh_at = Some(0.0);
        let outcomes = judged(&tables.iter().collect::<Vec<_>>(), deployed);
        assert_eq!(bad(&outcomes), [(Stage::Status, "s.base".to_owned())]);
        let cause = outcomes.iter().find(|o| o.verdict.is_bad()).unwrap();
        assert_eq!(cause.details.last().unwrap(), "affects s.mid, s.top");
        let top = Some(&tables[2].relation);
        let is_of_top = |o: &&Outcome| o.stage == Stage::Dependencies && o.subject.relation() == top;
        let top = outcomes.iter().find(is_of_top).unwrap();
        assert_eq!((top.verdict, &*top.message), (Verdict::Skipped, "affected by s.base"));
    }

    #[test]
    fn a_cause_outside_the_project_fails_as_a_dependency() {
        let (tables, mut deployed) = chain();
        deployed[0].health.status = "SUSPENDED".into();
        let outcomes = judged(&[&tables[1], &tables[2]], deployed);
        assert_eq!(bad(&outcomes), [(Stage::Dependencies, "s.base".to_owned())]);
    }

    #[test]
    fn a_table_outside_the_selection_is_judged_by_its_model() {
        let (mut tables, mut deployed) = chain();
        deployed[0].health.status = "SUSPENDED".into();
        tables[0].origin = sample::model("base", &[]).origin;
        tables[0].settings.set(Setting::Status, Value::Text("SUSPENDED".into()));
        let judged = |unselected: &[StreamTable], deployed: &[Deployed]| {
            let criteria = Criteria { unselected: unselected.to_vec(), ..Criteria::default() };
            let outcomes =
                judge::judge(&[&tables[1], &tables[2]], &sample::evidence(deployed.to_vec()), &criteria);
            bad(&outcomes).len()
        };
        assert_eq!(judged(&tables[..1], &deployed), 0, "its model pauses it");
        assert_eq!(judged(&tables[..1], &deployed[1..]), 1, "it is missing");
    }

    #[test]
    fn a_missing_table_is_its_own_failure_whatever_it_reads() {
        let (tables, mut deployed) = chain();
        deployed[0].health.status = "SUSPENDED".into();
        deployed.remove(2);
        let outcomes = judged(&tables.iter().collect::<Vec<_>>(), deployed);
        assert_eq!(
            bad(&outcomes),
            [(Stage::Status, "s.base".to_owned()), (Stage::Present, "s.top".to_owned())]
        );
    }

    #[test]
    fn a_dependency_cycle_terminates() {
        let tables = [sample::table("a", &["b"]), sample::table("b", &["a"])];
        let mut deployed: Vec<Deployed> = tables.iter().cloned().map(sample::deployed).collect();
        deployed[0].health.status = "ERROR".into();
        let outcomes = judged(&[&tables[0], &tables[1]], deployed);
        assert_eq!(bad(&outcomes), [(Stage::Status, "s.a".to_owned())]);
    }
}
