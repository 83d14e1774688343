//! What becomes of the columns when a query changes, and of what hangs on the storage.

use super::ColumnChange;
use crate::model::{Column, Storage};

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
    changes.extend(added(stored, given).cloned().map(ColumnChange::Added));
    changes
}

/// Why the storage cannot take the query's columns in place: every reason there is. The engine fills it by position,
/// appends new columns behind all others, its own included, leaves the type of a column as it is or drops the table
/// altogether, and does not hand a new column on to what reads the table: its refreshes fail from then on
/// (docs/pg_trickle.md, "Changing the query").
pub(super) fn obstacles(stored: &[Column], given: &[Column], is_read: bool) -> Vec<String> {
    let mut obstacles: Vec<String> = changes(stored, given)
        .into_iter()
        .filter_map(|change| match change {
            ColumnChange::Retyped { from, .. } => Some(format!("`{}` gets another type", from.name)),
            ColumnChange::Added(_) | ColumnChange::Removed(_) => None,
        })
        .collect();
    obstacles.extend(misplaced(stored, given));
    if let Some(new) = added(stored, given).next().filter(|_| is_read) {
        obstacles.push(format!("`{}` is a new column, and other stream tables read this table", new.name));
    }
    obstacles
}

/// Why the columns would end up in another order than the query's.
fn misplaced(stored: &[Column], given: &[Column]) -> Option<String> {
    let left =
        stored.iter().filter(|column| is_hidden(column) || given.iter().any(|to| to.name == column.name));
    let afterwards: Vec<&Column> = left.chain(added(stored, given)).collect();
    let at = given.iter().zip(&afterwards).position(|(wanted, is)| wanted.name != is.name)?;
    let (wanted, is) = (&given[at], afterwards[at]);
    let is_new = added(stored, given).any(|new| new.name == wanted.name);
    Some(match (is_new, is_hidden(is)) {
        (true, true) => {
            format!("`{}` is a new column, and would come behind pg_trickle's own columns", wanted.name)
        }
        (true, false) => format!("`{}` is a new column, and not the last one", wanted.name),
        (false, _) => format!("the order of the columns changes at `{}`", wanted.name),
    })
}

fn added<'a>(stored: &'a [Column], given: &'a [Column]) -> impl Iterator<Item = &'a Column> {
    given.iter().filter(|column| !stored.iter().any(|there| there.name == column.name))
}

/// What goes with the storage, a phrase each. Where the table is built again, `apply` brings some of it back.
pub(super) fn lost(storage: &Storage, is_rebuilt: bool) -> Vec<String> {
    let comes_back = if is_rebuilt { " (`apply` restores it)" } else { "" };
    let views = storage.views.iter().map(|view| format!("the view {}{comes_back}", view.relation));
    let grants = storage.grants.iter().map(|grant| format!("the grant to {grant}{comes_back}"));
    let indexes = storage.indexes.iter().map(|index| format!("the index {index}"));
    let publications = storage.publications.iter().map(|name| format!("its place in the publication {name}"));
    views.chain(grants).chain(indexes).chain(publications).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<Column> {
        let column = |written: &&str| {
            let (name, r#type) = written.split_once(' ').unwrap_or((written, "int4"));
            Column { name: name.into(), r#type: r#type.into() }
        };
        names.iter().map(column).collect()
    }

    #[test]
    fn every_reason_for_a_rebuild_is_the_true_one() {
        let reasons = |stored: &[&str], given: &[&str], is_read| {
            obstacles(&columns(stored), &columns(given), is_read).join("; ")
        };
        assert_eq!(reasons(&["id", "a"], &["id", "a", "b"], false), "");
        for (stored, given, is_read, reason) in [
            (
                &["id", "a"][..],
                &["id", "a", "b"][..],
                true,
                "`b` is a new column, and other stream tables read this table",
            ),
            (&["id", "b"], &["id", "a", "b"], false, "`a` is a new column, and not the last one"),
            (
                &["id", "n", "__pgt_count"],
                &["id", "n", "s"],
                false,
                "`s` is a new column, and would come behind pg_trickle's own columns",
            ),
            (&["id", "a", "b"], &["id", "b", "a"], false, "the order of the columns changes at `b`"),
            (&["id", "a int4"], &["id", "a text"], true, "`a` gets another type"),
            (
                &["id int4", "b"],
                &["id int8", "a", "b"],
                true,
                "`id` gets another type; `a` is a new column, and not the last one; `a` is a new column, and other stream tables read this table",
            ),
        ] {
            assert_eq!(reasons(stored, given, is_read), reason);
        }
    }
}
