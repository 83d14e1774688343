//! Probable renames: a drop and a create with the same query.

use std::collections::BTreeMap;

use super::{Change, Step};
use crate::{
    model::{Deployed, Relation, StreamTable},
    sql::query,
};

/// Adds to both steps that they look like a rename, and how to keep the rows. If more than two tables have the query,
/// the pair is ambiguous and gets no note.
pub(super) fn note(steps: &mut [Step], desired: &[&StreamTable], existing: &BTreeMap<&Relation, &Deployed>) {
    let query_of = |step: &Step| match step.change {
        Change::Create { .. } => {
            desired.iter().find(|table| table.relation == step.relation).map(|table| &table.query)
        }
        Change::Drop => existing.get(&step.relation).map(|now| &now.table.query),
        Change::Alter(_) | Change::AlterQuery { .. } | Change::Recreate { .. } | Change::Keep => None,
    };
    let queries: Vec<Option<&String>> = steps.iter().map(query_of).collect();
    let mut pairs = Vec::new();
    for (old, before) in queries.iter().enumerate().filter(|(at, _)| steps[*at].change == Change::Drop) {
        let Some(before) = before else { continue };
        let same: Vec<usize> = (0..steps.len())
            .filter(|at| queries[*at].is_some_and(|other| query::same(before, other)))
            .collect();
        if let [one, other] = same[..] {
            let new = if one == old { other } else { one };
            if steps[new].change != Change::Drop {
                pairs.push((old, new));
            }
        }
    }
    for (old, new) in pairs {
        let (was, is) = (steps[old].relation.clone(), steps[new].relation.clone());
        steps[old].reasons.push(format!("probably renamed to {is}: both have the same query"));
        // docs/pg_trickle.md, "Storage table": pg_trickle does not find a storage table that was renamed.
        let schema = if was.schema == is.schema {
            String::new()
        } else {
            format!(" and `stream_table_schema: {}`", was.schema)
        };
        steps[new].reasons.push(format!(
            "probably renamed from {was}: both have the same query. pg_trickle cannot rename a stream table; to keep \
             the rows, keep the table's name with `stream_table_name: {}`{schema} below `meta.pgtrickle`",
            was.name
        ));
    }
}
