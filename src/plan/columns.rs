//! How a changed query changes the columns, and which objects a drop of the table drops.

use super::ColumnChange;
use crate::model::{Column, Storage};

/// The columns that differ between the storage table and the query, without the engine's own columns.
pub(crate) fn changes(stored: &[Column], given: &[Column]) -> Vec<ColumnChange> {
    let mine = stored.iter().filter(|column| !column.is_internal());
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

/// Every reason why the storage table cannot get the query's columns in place. The engine fills columns by position,
/// appends new ones after all others, including its own, and keeps a column's type or drops the table. It does not pass
/// a new column to stream tables that read this one: their refreshes fail from then on (docs/pg_trickle.md, "Changing
/// the query").
pub(super) fn obstacles(stored: &[Column], given: &[Column], is_read: bool) -> Vec<String> {
    let mut obstacles: Vec<String> = changes(stored, given)
        .into_iter()
        .filter_map(|change| match change {
            ColumnChange::Retyped { from, .. } => Some(format!("the type of `{}` changes", from.name)),
            ColumnChange::Added(_) | ColumnChange::Removed(_) => None,
        })
        .collect();
    obstacles.extend(misplaced(stored, given));
    if let Some(new) = added(stored, given).next().filter(|_| is_read) {
        obstacles.push(format!("the column `{}` is new, and other stream tables read this table", new.name));
    }
    obstacles
}

/// The first column that would not have its place in the query's order.
fn misplaced(stored: &[Column], given: &[Column]) -> Option<String> {
    let kept =
        stored.iter().filter(|column| column.is_internal() || given.iter().any(|to| to.name == column.name));
    let result: Vec<&Column> = kept.chain(added(stored, given)).collect();
    let at = given.iter().zip(&result).position(|(wanted, is)| wanted.name != is.name)?;
    let (wanted, is) = (&given[at], result[at]);
    let is_new = added(stored, given).any(|new| new.name == wanted.name);
    Some(match (is_new, is.is_internal()) {
        (true, true) => {
            format!("the column `{}` is new, and pg_trickle would add it after its own columns", wanted.name)
        }
        (true, false) => format!("the column `{}` is new and not the last column", wanted.name),
        (false, _) => format!("the order of the columns changes at `{}`", wanted.name),
    })
}

fn added<'a>(stored: &'a [Column], given: &'a [Column]) -> impl Iterator<Item = &'a Column> {
    given.iter().filter(|column| !stored.iter().any(|stored| stored.name == column.name))
}

/// The objects that are dropped with the storage table, a phrase each. `apply` restores some of them for a replaced
/// table.
pub(super) fn lost(storage: &Storage, is_rebuilt: bool) -> Vec<String> {
    let restored = if is_rebuilt { " (`apply` restores it)" } else { "" };
    let views = storage.views.iter().map(|view| format!("the view {}{restored}", view.relation));
    let grants = storage.grants.iter().map(|grant| format!("the grant to {grant}{restored}"));
    let indexes = storage.indexes.iter().map(|index| format!("the index {index}"));
    let publications =
        storage.publications.iter().map(|name| format!("its membership in the publication {name}"));
    views.chain(grants).chain(indexes).chain(publications).collect()
}

/// `text` and `varchar` without a length are the same to the engine and to PostgreSQL.
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
    fn every_obstacle_is_named() {
        let reasons = |stored: &[&str], given: &[&str], is_read| {
            obstacles(&columns(stored), &columns(given), is_read).join("; ")
        };
        assert_eq!(reasons(&["id", "a"], &["id", "a", "b"], false), "");
        for (stored, given, is_read, reason) in [
            (
                &["id", "a"][..],
                &["id", "a", "b"][..],
                true,
                "the column `b` is new, and other stream tables read this table",
            ),
            (&["id", "b"], &["id", "a", "b"], false, "the column `a` is new and not the last column"),
            (
                &["id", "n", "__pgt_count"],
                &["id", "n", "s"],
                false,
                "the column `s` is new, and pg_trickle would add it after its own columns",
            ),
            (&["id", "a", "b"], &["id", "b", "a"], false, "the order of the columns changes at `b`"),
            (&["id", "a int4"], &["id", "a text"], true, "the type of `a` changes"),
            (
                &["id int4", "b"],
                &["id int8", "a", "b"],
                true,
                "the type of `id` changes; the column `a` is new and not the last column; the column `a` is new, and other stream tables read this table",
            ),
        ] {
            assert_eq!(reasons(stored, given, is_read), reason);
        }
    }
}
