//! What becomes of the columns when a query changes.

use super::ColumnChange;
use crate::model::Column;

/// The columns that differ between the storage and what the query gives, the engine's own left out.
pub(crate) fn changes(stored: &[Column], given: &[Column]) -> Vec<ColumnChange> {
    let mine = stored.iter().filter(|column| !is_hidden(column));
    let mut changes: Vec<ColumnChange> = mine
        .filter_map(|from| match given.iter().find(|to| to.name == from.name) {
            None => Some(ColumnChange::Removed(from.clone())),
            Some(to) if !is_same_type(from, to) => {
                Some(ColumnChange::Retyped { from: from.clone(), to: to.clone() })
            }
            Some(_) => None,
        })
        .collect();
    let is_new = |column: &&Column| !stored.iter().any(|there| there.name == column.name);
    changes.extend(given.iter().filter(is_new).cloned().map(ColumnChange::Added));
    changes
}

/// Why the storage cannot take the query's columns in place, if so. The engine fills it by position, appends new columns
/// behind all others, its own included, leaves the type of a column as it is or drops the table altogether, and does not
/// hand a new column on to what reads the table: its refreshes fail from then on (docs/pg_trickle.md, "Changing the
/// query").
pub(super) fn obstacle(stored: &[Column], given: &[Column], is_read: bool) -> Option<String> {
    for change in changes(stored, given) {
        if let ColumnChange::Retyped { from, .. } = change {
            return Some(format!("the type of `{}` cannot be changed in place", from.name));
        }
    }
    let is_new = |column: &&Column| !stored.iter().any(|there| there.name == column.name);
    let left =
        stored.iter().filter(|column| is_hidden(column) || given.iter().any(|to| to.name == column.name));
    let added = given.iter().filter(is_new);
    let names = |column: &Column| column.name.clone();
    let afterwards: Vec<String> = left.chain(added).map(names).take(given.len()).collect();
    let wanted: Vec<String> = given.iter().map(names).collect();
    if afterwards != wanted {
        return Some("the storage cannot get its columns into the query's order in place".into());
    }
    let new = given.iter().find(is_new).filter(|_| is_read)?;
    Some(format!("stream tables read it, so that `{}` cannot be added in place", new.name))
}

fn is_hidden(column: &Column) -> bool {
    column.name.starts_with("__pgt_")
}

/// The two texts without a length are one to the engine and to PostgreSQL.
fn is_same_type(one: &Column, other: &Column) -> bool {
    let family =
        |column: &Column| if column.r#type == "varchar" { "text".to_owned() } else { column.r#type.clone() };
    family(one) == family(other)
}
