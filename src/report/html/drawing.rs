//! The graph of the affected tables as positions of an SVG: a column per distance from the changed sources.

use serde::Serialize;

use crate::{
    plan::Plan,
    report::{
        graph::{self, AffectedTables},
        text,
    },
};

/// A graph with more tables is unreadable.
const MOST_TABLES: usize = 80;
/// Longer names are cut, in characters.
const LONGEST_NAME: usize = 34;
/// In pixels: a character of the font, a box, and the gaps between boxes.
const CHARACTER: usize = 8;
const HEIGHT: usize = 30;
const GAP_X: usize = 56;
const GAP_Y: usize = 14;
const MARGIN: usize = 8;

/// Boxes and lines, in pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Drawing {
    width: usize,
    height: usize,
    boxes: Vec<TableBox>,
    lines: Vec<ReaderLine>,
    /// How many tables are left out.
    more: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct TableBox {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    class: &'static str,
    /// Possibly cut.
    label: String,
    /// The whole name, and what happens to the table.
    title: String,
}

/// A line from the right side of a table to the left side of its reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ReaderLine {
    from: (usize, usize),
    to: (usize, usize),
    /// Where both ends turn towards each other.
    middle: usize,
}

impl Drawing {
    /// `None` if no two affected tables are connected.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let AffectedTables { steps, more, edges } = AffectedTables::of(plan, MOST_TABLES)?;
        let columns = columns(steps.len(), &edges);
        let labels: Vec<String> =
            steps.iter().map(|step| text::clip(&super::plain(&step.relation), LONGEST_NAME)).collect();
        let width_of = |at: &usize| labels[*at].chars().count() * CHARACTER + 2 * CHARACTER;
        let mut boxes: Vec<Option<TableBox>> = vec![None; steps.len()];
        let mut x = MARGIN;
        for column in &columns {
            let width = column.iter().map(width_of).max().unwrap_or(0);
            for (row, at) in column.iter().enumerate() {
                boxes[*at] = Some(TableBox {
                    x,
                    y: MARGIN + row * (HEIGHT + GAP_Y),
                    width,
                    height: HEIGHT,
                    class: graph::class(&steps[*at].change),
                    label: labels[*at].clone(),
                    title: super::plain(format!("{}: {}", steps[*at].relation, steps[*at].words())),
                });
            }
            x += width + GAP_X;
        }
        let boxes: Vec<TableBox> = boxes.into_iter().flatten().collect();
        let line = |(from, to): &(usize, usize)| {
            let (from, to) = (&boxes[*from], &boxes[*to]);
            let (start, end) = (from.x + from.width, to.x);
            ReaderLine {
                from: (start, from.y + HEIGHT / 2),
                to: (end, to.y + HEIGHT / 2),
                middle: usize::midpoint(start, end),
            }
        };
        let tallest = columns.iter().map(Vec::len).max().unwrap_or(0);
        Some(Self {
            width: x - GAP_X + MARGIN,
            height: 2 * MARGIN + tallest * (HEIGHT + GAP_Y) - GAP_Y,
            lines: edges.iter().map(line).collect(),
            boxes,
            more,
        })
    }
}

/// The nodes of each column: a reader is to the right of all that it reads. Within a column, nodes are ordered by the
/// average row of what they read, which keeps lines short.
fn columns(count: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut depth = vec![0; count];
    // The longest path has fewer edges than there are nodes; a cycle, which no plan has, ends there, too.
    for _ in 0..count {
        let mut is_settled = true;
        for (from, to) in edges {
            if depth[*to] <= depth[*from] && depth[*from] + 1 < count {
                depth[*to] = depth[*from] + 1;
                is_settled = false;
            }
        }
        if is_settled {
            break;
        }
    }
    let deepest = depth.iter().copied().max().unwrap_or(0);
    let mut columns: Vec<Vec<usize>> = Vec::new();
    let mut rows = vec![0; count];
    for wanted in 0..=deepest {
        let mut column: Vec<usize> = (0..count).filter(|at| depth[*at] == wanted).collect();
        column.sort_by_key(|at| {
            let read: Vec<usize> =
                edges.iter().filter(|(_, to)| to == at).map(|(from, _)| rows[*from]).collect();
            read.iter().sum::<usize>() * 1_000 / read.len().max(1)
        });
        for (row, at) in column.iter().enumerate() {
            rows[*at] = row;
        }
        columns.push(column);
    }
    columns.retain(|column| !column.is_empty());
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    #[test]
    fn a_reader_is_to_the_right_of_all_that_it_reads() {
        assert_eq!(columns(4, &[(0, 1), (1, 2), (0, 3), (3, 2)]), [vec![0], vec![1, 3], vec![2]]);
        // A table that reads the second row of the first column is below one that reads the first row.
        assert_eq!(columns(4, &[(0, 3), (1, 2)]), [vec![0, 1], vec![3, 2]]);
    }

    proptest! {
        #[test]
        fn boxes_do_not_overlap_and_fit_the_drawing(readers in prop::collection::vec(prop::collection::vec(any::<bool>(), 9), 9)) {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
            let step = |at: usize| {
                let later = (at + 1..9).filter(|to| readers[at][*to]).map(|to| names[to]);
                sample::altered(names[at], &later.collect::<Vec<_>>())
            };
            let plan = Plan { steps: (0..9).map(step).collect(), ..Plan::default() };
            let Some(drawing) = Drawing::of(&plan) else { return Ok(()) };
            for (at, one) in drawing.boxes.iter().enumerate() {
                prop_assert!(one.x + one.width <= drawing.width && one.y + one.height <= drawing.height);
                for other in &drawing.boxes[at + 1..] {
                    let apart_x = one.x + one.width <= other.x || other.x + other.width <= one.x;
                    let apart_y = one.y + one.height <= other.y || other.y + other.height <= one.y;
                    prop_assert!(apart_x || apart_y, "{one:?} {other:?}");
                }
            }
            for line in &drawing.lines {
                prop_assert!(line.from.0 < line.to.0, "a line goes to the right: {line:?}");
            }
        }
    }
}
