//! The changed lines of a query.

use similar::{
    ChangeTag,
    algorithms::{Capture, Compact, Replace, myers},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Removed(String),
    Added(String),
    /// An unchanged line near a change.
    Same(String),
    /// Unchanged lines are omitted here.
    Gap,
}

/// One unchanged line on each side of a change.
pub(super) const CLOSE: usize = 1;
/// More unchanged lines than any query has.
pub(super) const EVERYTHING: usize = usize::MAX / 4;

/// The changed lines between two queries, with `around` unchanged lines on each side.
pub(super) fn lines(before: &str, after: &str, around: usize) -> Vec<Line> {
    let [before, after] = [before, after].map(|text| text.trim_end().lines().collect::<Vec<_>>());
    let mut diff = Compact::new(Replace::new(Capture::new()), &before[..], &after[..]);
    // Call the algorithm directly: choosing it at run time would link the four others, half a megabyte.
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
    fn only_changes_and_adjacent_lines_are_shown() {
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
    fn trailing_blanks_are_not_a_change() {
        assert_eq!(lines("select 1\n\n", "select 1", CLOSE), []);
        assert_eq!(lines("select 1\n\n", "select 1", EVERYTHING), []);
    }
}
