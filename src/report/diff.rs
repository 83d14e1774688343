//! The changed lines of a query, for people.

use similar::{
    ChangeTag,
    algorithms::{Capture, Compact, Replace, myers},
};

/// A line of a folded diff.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It goes.
    Removed(String),
    /// It comes.
    Added(String),
    /// It stays, and is shown to say where the change is.
    Same(String),
    /// Lines that stay are left out here.
    Gap,
}

/// One line that stays on each side says where a change is.
pub(super) const CLOSE: usize = 1;
/// More lines than any query has.
pub(super) const EVERYTHING: usize = usize::MAX / 4;

/// The lines that change between two queries, each group with so many lines that stay around it.
pub(super) fn lines(before: &str, after: &str, around: usize) -> Vec<Line> {
    let [before, after] = [before, after].map(|text| text.trim_end().lines().collect::<Vec<_>>());
    let mut diff = Compact::new(Replace::new(Capture::new()), &before[..], &after[..]);
    // The algorithm is called by its name: a choice at run time would bring the four others along, half a megabyte.
    let Ok(()) = myers::diff(&mut diff, &before[..], 0..before.len(), &after[..], 0..after.len());
    let mut lines = Vec::new();
    for (index, group) in diff.into_inner().into_inner().into_grouped_ops(around).iter().enumerate() {
        if index > 0 {
            lines.push(Line::Gap);
        }
        for change in group.iter().flat_map(|op| op.iter_changes(&before, &after)) {
            let text = change.value().trim_end().to_owned();
            lines.push(match change.tag() {
                ChangeTag::Delete => Line::Removed(text),
                ChangeTag::Insert => Line::Added(text),
                ChangeTag::Equal => Line::Same(text),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_and_their_neighbours_are_shown() {
        let before = "select\n  a,\n  b,\n  c\nfrom t\nwhere x\ngroup by 1\norder by 1\n";
        let after = "select\n  a,\n  b2,\n  c\nfrom t\nwhere x\ngroup by 1\norder by 2";
        assert_eq!(
            lines(before, after, CLOSE),
            [
                Line::Same("  a,".into()),
                Line::Removed("  b,".into()),
                Line::Added("  b2,".into()),
                Line::Same("  c".into()),
                Line::Gap,
                Line::Same("group by 1".into()),
                Line::Removed("order by 1".into()),
                Line::Added("order by 2".into()),
            ]
        );
    }

    #[test]
    fn blanks_at_the_end_are_no_change() {
        assert_eq!(lines("select 1\n\n", "select 1", CLOSE), []);
        assert_eq!(lines("select 1\n\n", "select 1", EVERYTHING), []);
    }
}
