//! Draws values: mostly ones that rows have, sometimes edges of the column's domain and new ones. Columns that a
//! constraint connects are drawn together.

use super::{Mutator, Reference, Row, Source, SourceColumn, value};

/// With fewer rows than this, more values are drawn from the edges of the domains.
pub(super) const FEW: usize = 8;

/// A column, by its position, and its new value.
pub(super) type Assignment = (usize, Option<String>);

impl Mutator {
    /// Values for a column and for those that a foreign key or a condition connects with it.
    pub(super) fn draw(&mut self, source: usize, at: usize) -> Vec<Assignment> {
        let sources = self.sources.clone();
        let table = &sources[source];
        let reference = table.references.iter().find(|reference| reference.columns.contains(&at));
        let group = table.groups.iter().position(|group| group.columns.contains(&at));
        let group_columns = group.map(|group| table.groups[group].columns.clone()).unwrap_or_default();
        if !self.history[source].tries_new_value(at, &mut self.random) {
            let mut together = group_columns;
            together.extend(reference.iter().flat_map(|reference| &reference.columns));
            together.push(at);
            together.sort_unstable();
            together.dedup();
            if let Some(held) = self.held(source, &together) {
                return held;
            }
            return vec![(at, self.value(source, at))];
        }
        self.drawn.push(at);
        if let Some(reference) = reference {
            let found = self.referenced_values(reference);
            return found
                .or_else(|| self.held(source, &reference.columns))
                .unwrap_or_else(|| vec![(at, None)]);
        }
        if let Some(group) = group {
            // Values that satisfy the condition, or those of a row.
            let drawn = if self.random.percent(60) {
                self.random.one(&table.groups[group].rows).cloned()
            } else {
                None
            };
            let drawn = drawn.map(|row| group_columns.iter().copied().zip(row).collect());
            if let Some(drawn) = drawn.or_else(|| self.held(source, &group_columns)) {
                return drawn;
            }
        }
        vec![(at, self.value(source, at))]
    }

    /// The values of one known row in these columns.
    fn held(&mut self, source: usize, columns: &[usize]) -> Option<Vec<Assignment>> {
        let known = &self.known[source];
        let row = self.random.one(&known.rows).or_else(|| known.deleted.first())?;
        Some(columns.iter().map(|at| (*at, row[*at].clone())).collect())
    }

    /// Values for a foreign key, from a known row of its target.
    pub(super) fn referenced_values(&mut self, reference: &Reference) -> Option<Vec<Assignment>> {
        let target = self.sources.iter().position(|other| other.relation == reference.target)?;
        let columns = &self.sources[target].columns;
        let place = |name: &String| columns.iter().position(|column| column.name == *name);
        let places: Vec<usize> = reference.target_columns.iter().map(place).collect::<Option<_>>()?;
        let row = self.random.one(&self.known[target].rows)?;
        Some(reference.columns.iter().copied().zip(places.iter().map(|at| row[*at].clone())).collect())
    }

    /// A value for a column: mostly one of a known row, else NULL, an edge, or a new one.
    fn value(&mut self, source: usize, at: usize) -> Option<String> {
        let sources = self.sources.clone();
        let column = &sources[source].columns[at];
        if self.random.percent(15)
            && let Some(value) = self.counterpart(source, at)
        {
            return Some(value);
        }
        // A few rows have too few values.
        let from = if self.known[source].rows.len() < FEW { 40 } else { 0 };
        match from + self.random.below(100 - from) {
            0..62 => {
                let held = self.random.one(&self.known[source].rows).and_then(|row| row[at].clone());
                held.or_else(|| self.edge(column))
            }
            62..77 => None,
            77..92 => self.edge(column),
            _ => self.fresh(source, at),
        }
    }

    /// A literal of a query, or a value from the edges of the column's domain.
    fn edge(&mut self, column: &SourceColumn) -> Option<String> {
        if self.random.percent(60)
            && let Some(literal) = self.random.one(&column.literals)
        {
            return Some(literal.clone());
        }
        value::edge(column, &mut self.random)
    }

    /// A value that a row of another source got in this round: the other side of a join, an EXISTS or a NOT EXISTS. Mostly
    /// of a column of the same name, or else of a key.
    fn counterpart(&mut self, source: usize, at: usize) -> Option<String> {
        let sources = self.sources.clone();
        let own = &sources[source].columns[at];
        let others: Vec<usize> = (0..sources.len())
            .filter(|other| *other != source && !self.known[*other].recent.is_empty())
            .collect();
        let other = *self.random.one(&others)?;
        let columns = &sources[other].columns;
        let same_type = |column: &usize| columns[*column].type_name == own.type_name;
        let mut candidates: Vec<usize> = (0..columns.len()).filter(same_type).collect();
        if self.random.percent(70) {
            let is_likely: [&dyn Fn(&usize) -> bool; 2] =
                [&|column| columns[*column].name == own.name, &|column| sources[other].key.contains(column)];
            let likely = is_likely
                .iter()
                .map(|is_likely| candidates.iter().copied().filter(is_likely).collect::<Vec<_>>())
                .find(|likely| !likely.is_empty());
            candidates = likely.unwrap_or(candidates);
        }
        let column = *self.random.one(&candidates)?;
        self.random.one(&self.known[other].recent)?[column].clone()
    }

    /// A column of each source by which a query may join them: of the same name and type, or of the type of a key.
    pub(super) fn matching_columns(&mut self, source: usize, other: usize) -> Option<(usize, usize)> {
        let (one, two) = (&self.sources[source], &self.sources[other]);
        let (mut named, mut keys) = (Vec::new(), Vec::new());
        for (at, column) in one.columns.iter().enumerate() {
            for (place, counterpart) in two.columns.iter().enumerate() {
                let is_written = column.generated.is_none() && counterpart.generated.is_none();
                if !is_written || column.type_name != counterpart.type_name {
                    continue;
                }
                if column.name == counterpart.name {
                    named.push((at, place));
                } else if one.key.contains(&at) || two.key.contains(&place) {
                    keys.push((at, place));
                }
            }
        }
        let by_name = !named.is_empty() && self.random.percent(60);
        let pairs = if by_name || keys.is_empty() { named } else { keys };
        self.random.one(&pairs).copied()
    }

    /// A value for a NOT NULL column; `None` for any other.
    pub(super) fn not_null_value(&mut self, source: usize, at: usize) -> Option<String> {
        let sources = self.sources.clone();
        let column = &sources[source].columns[at];
        if !column.not_null {
            return None;
        }
        let edge = value::edge(column, &mut self.random).or_else(|| self.fresh(source, at));
        edge.or_else(|| self.held(source, &[at])?.remove(0).1)
    }

    /// A value that no row has in the column, with values for the columns that a condition connects with it.
    pub(super) fn fresh_with(&mut self, source: usize, at: usize) -> Vec<Assignment> {
        self.drawn.push(at);
        let sources = self.sources.clone();
        for group in sources[source].groups.iter().filter(|group| group.columns.contains(&at)) {
            let place = group.columns.iter().position(|column| *column == at).unwrap_or_default();
            let is_new = |row: &&Row| row[place].is_some() && !self.holds(source, at, row[place].as_ref());
            let new: Vec<&Row> = group.rows.iter().filter(is_new).collect();
            if let Some(row) = self.random.one(&new) {
                return group.columns.iter().copied().zip((*row).clone()).collect();
            }
        }
        vec![(at, self.fresh(source, at))]
    }

    /// A value that no known row has in the column.
    pub(super) fn fresh(&mut self, source: usize, at: usize) -> Option<String> {
        self.next_number += 1;
        let sources = self.sources.clone();
        let column = &sources[source].columns[at];
        if column.values.is_empty() {
            return value::fresh(column, self.next_number);
        }
        let count = column.values.len();
        let start = usize::try_from(self.next_number).unwrap_or_default() % count;
        let mut turned = column.values[start..].iter().chain(&column.values[..start]);
        turned.find(|value| !self.holds(source, at, Some(value))).cloned()
    }

    fn holds(&self, source: usize, at: usize, value: Option<&String>) -> bool {
        self.known[source].rows.iter().any(|row| row[at].as_ref() == value)
    }
}

impl Source {
    /// NOT NULL columns for which no value can be written: no row can be added.
    pub(super) fn unwritable(&self) -> impl Iterator<Item = usize> {
        (0..self.columns.len()).filter(|at| {
            let column = &self.columns[*at];
            column.not_null
                && column.generated.is_none()
                && column.values.is_empty()
                && column.kind == super::ColumnKind::Other
        })
    }
}
