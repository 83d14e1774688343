//! Chooses rows: new ones, deleted ones to insert again, and ones to change.

use super::{
    Change, Mutator, Row,
    drawing::FEW,
    mutator::{BULK, GROUP},
};

/// How many new rows are drawn until one has new keys.
const ATTEMPTS: usize = 8;
/// How often, in percent, an INSERT has as many rows as the largest group that one statement changes. It fills sources up
/// again, too.
const BULK_INSERTS: usize = 4;
/// How often an empty source gets its deleted rows again, before a row is made up.
const RETURNS: usize = 6;

impl Mutator {
    pub(super) fn insert(&mut self, source: usize) -> Option<Change> {
        if let Some(insert) = self.reinsert(source) {
            return Some(insert);
        }
        if self.random.percent(BULK_INSERTS) {
            let rows: Vec<Row> = (0..GROUP).filter_map(|_| self.new_row(source)).collect();
            return (!rows.is_empty()).then_some(Change::Insert { source, rows });
        }
        let count = if self.random.percent(20) { 2 + self.random.below(3) } else { 1 };
        let rows: Vec<Row> = (0..count).map(|_| self.new_row(source)).collect::<Option<_>>()?;
        Some(Change::Insert { source, rows })
    }

    /// Some rows with new values and some new ones, in one statement.
    pub(super) fn upsert(&mut self, source: usize) -> Option<Change> {
        let sources = self.sources.clone();
        let table = &sources[source];
        let mut rows = self.some_rows(source);
        for _ in 0..self.random.below(3) {
            let more = self.random.one(&self.known[source].rows).cloned();
            rows.extend(more.filter(|row| !rows.contains(row)));
        }
        let settable: Vec<usize> = table.upserted().collect();
        for row in &mut rows {
            let at = *self.random.one(&settable)?;
            for (at, value) in self.draw(source, at).into_iter().filter(|(at, _)| settable.contains(at)) {
                let value = value.or_else(|| self.not_null_value(source, at));
                if value.is_some() || !table.columns[at].not_null {
                    row[at] = value;
                }
            }
        }
        for _ in 0..self.random.below(3) {
            rows.extend(self.new_row(source));
        }
        // One statement must not change a row twice.
        let mut seen = std::collections::BTreeSet::new();
        rows.retain(|row| seen.insert(table.key.iter().map(|at| row[*at].clone()).collect::<Vec<_>>()));
        (!rows.is_empty()).then_some(Change::Upsert { source, rows })
    }

    /// Rows with the same value in this and in another source of the round that has a reader in common: both sides of a join,
    /// an EXISTS or a NOT EXISTS come or go together. The other side is planned as the next change.
    pub(super) fn both_sides(&mut self, source: usize) -> Option<Change> {
        let others = self.read_together(source, &self.chosen);
        let other = *self.random.one(&others)?;
        if [source, other].iter().any(|of| self.sources[*of].unwritable().next().is_some()) {
            return None;
        }
        let (at, place) = self.matching_columns(source, other)?;
        let only_inserts = [source, other].iter().any(|of| self.sources[*of].only_inserts);
        let changes = if !only_inserts && self.random.percent(50) {
            let there: std::collections::BTreeSet<_> =
                self.known[other].rows.iter().filter_map(|row| row[place].as_ref()).collect();
            let is_shared = |row: &&Row| row[at].as_ref().is_some_and(|value| there.contains(value));
            let shared: Vec<&Row> = self.known[source].rows.iter().filter(is_shared).collect();
            let row = (*self.random.one(&shared)?).clone();
            let matching = self.known[other].rows.iter().filter(|other| other[place] == row[at]);
            let matching: Vec<&Row> = matching.collect();
            let counterpart = (*self.random.one(&matching)?).clone();
            [
                Change::Delete { source, of: vec![row] },
                Change::Delete { source: other, of: vec![counterpart] },
            ]
        } else {
            let (mut row, mut counterpart) = (self.new_row(source)?, self.new_row(other)?);
            if self.random.percent(50) {
                counterpart[place].clone_from(&row[at]);
            } else {
                row[at].clone_from(&counterpart[place]);
            }
            // These are columns of two sources, which say little about a rejection of one.
            self.drawn.clear();
            if row[at].is_none() || self.collides(source, &row) || self.collides(other, &counterpart) {
                return None;
            }
            [
                Change::Insert { source, rows: vec![row] },
                Change::Insert { source: other, rows: vec![counterpart] },
            ]
        };
        let [mut first, mut second] = changes;
        if self.random.percent(50) {
            std::mem::swap(&mut first, &mut second);
        }
        self.planned.push_back(second);
        Some(first)
    }

    /// Inserts deleted rows again: into an empty source always, because that shows little, otherwise sometimes.
    fn reinsert(&mut self, source: usize) -> Option<Change> {
        let known = &self.known[source];
        if !known.rows.is_empty() {
            let row = if self.random.percent(8) { self.random.one(&known.deleted).cloned() } else { None };
            let row = row.filter(|row| !known.rows.contains(row) && !self.collides(source, row))?;
            return Some(Change::Insert { source, rows: vec![row] });
        }
        let fills_source =
            |change: &Change| matches!(change, Change::Insert { source: of, .. } if *of == source);
        if let Some(at) = self.undo.iter().position(fills_source) {
            return Some(self.undo.remove(at));
        }
        // Fewer and other rows each time: a row with a lost reference makes the whole statement fail.
        let (deleted, tried) = (known.deleted.len(), known.returns);
        if deleted == 0 || tried >= RETURNS {
            self.known[source].returns = 0;
            return None;
        }
        self.known[source].returns += 1;
        let count = (GROUP >> (2 * tried)).clamp(1, deleted);
        let start = if count == deleted { 0 } else { self.random.below(deleted) };
        let rows: Vec<Row> =
            (0..count).map(|nth| known_row(&self.known[source].deleted, start + nth)).collect();
        let rows = rows.into_iter().map(|row| self.with_valid_references(source, row)).collect();
        Some(Change::Insert { source, rows })
    }

    /// The row with references to existing rows.
    fn with_valid_references(&mut self, source: usize, mut row: Row) -> Row {
        let sources = self.sources.clone();
        for reference in &sources[source].references {
            let Some(target) = sources.iter().position(|other| other.relation == reference.target) else {
                continue;
            };
            let is_lost = self.known[target].is_complete
                && target != source
                && reference.columns.iter().all(|at| row[*at].is_some())
                && !self.finds(target, reference, &row);
            if is_lost && let Some(found) = self.referenced_values(reference) {
                for (at, value) in found {
                    row[at] = value;
                }
            }
        }
        row
    }

    /// A row like an existing or deleted one, with new keys; if there is none, made up from the types of its columns.
    pub(super) fn new_row(&mut self, source: usize) -> Option<Row> {
        for _ in 0..ATTEMPTS {
            let row = self.some_row(source)?;
            if !self.collides(source, &row) {
                return Some(row);
            }
        }
        None
    }

    fn some_row(&mut self, source: usize) -> Option<Row> {
        let known = &self.known[source];
        let drawn = if known.rows.len() < FEW { 60 } else { 30 };
        let like = self.random.one(&known.rows).or_else(|| self.random.one(&known.deleted)).cloned();
        let sources = self.sources.clone();
        let table = &sources[source];
        if table.keys().next().is_none()
            && self.random.percent(30)
            && let Some(row) = &like
        {
            return Some(row.clone());
        }
        let mut row: Row = like.clone().unwrap_or_else(|| vec![None; table.columns.len()]);
        for at in 0..table.columns.len() {
            if like.is_none() || self.random.percent(drawn) {
                for (at, value) in self.draw(source, at) {
                    row[at] = value;
                }
            }
        }
        for at in self.renewed_key_columns(source) {
            for (at, value) in self.fresh_with(source, at).into_iter().filter(|(_, value)| value.is_some()) {
                row[at] = value;
            }
        }
        for (at, value) in row.iter_mut().enumerate() {
            if value.is_none() {
                *value = self.not_null_value(source, at);
            }
        }
        let complete = (0..row.len()).all(|at| {
            row[at].is_some() || !table.columns[at].not_null || table.columns[at].generated.is_some()
        });
        complete.then_some(row)
    }

    /// The columns that get new values so that the keys of a new row are new: one column of each key, or all of a key
    /// that rejected a duplicate. Foreign keys are left out.
    fn renewed_key_columns(&mut self, source: usize) -> Vec<usize> {
        let sources = self.sources.clone();
        let table = &sources[source];
        let is_own = |at: &&usize| {
            table.columns[**at].generated.is_none()
                && !table.references.iter().any(|reference| reference.columns.contains(at))
        };
        let mut new: Vec<usize> = Vec::new();
        for key in table.keys() {
            let own: Vec<usize> = key.columns.iter().filter(is_own).copied().collect();
            if self.history[source].is_violated_key(&key.name) {
                new.extend(own);
            } else if !own.iter().any(|at| new.contains(at)) {
                new.extend(self.random.one(&own));
            }
        }
        new.sort_unstable();
        new.dedup();
        new
    }

    /// Whether a known row has the same primary or unique key.
    pub(super) fn collides(&self, source: usize, row: &Row) -> bool {
        let table = &self.sources[source];
        let mut keys = table.keys().filter(|key| matches!(key.kind, 'p' | 'u'));
        keys.any(|key| {
            key.columns.iter().all(|at| row[*at].is_some())
                && self.known[source]
                    .rows
                    .iter()
                    .any(|other| key.columns.iter().all(|at| other[*at] == row[*at]))
        })
    }

    /// Whether a known row of the target is the one that the row references.
    fn finds(&self, target: usize, reference: &super::Reference, row: &Row) -> bool {
        let place =
            |name: &String| self.sources[target].columns.iter().position(|column| column.name == *name);
        let places: Vec<Option<usize>> = reference.target_columns.iter().map(place).collect();
        self.known[target].rows.iter().any(|other| {
            reference
                .columns
                .iter()
                .zip(&places)
                .all(|(at, place)| place.is_some_and(|place| other[place] == row[*at]))
        })
    }

    /// Rows to delete. If deletes were rejected, one that no known row references.
    pub(super) fn deleted_rows(&mut self, source: usize) -> Vec<Row> {
        let rows = self.some_rows(source);
        if !self.history[source].was_rejected(super::lessons::ChangeKind::Delete) {
            return rows;
        }
        for _ in 0..ATTEMPTS {
            let Some(row) = self.random.one(&self.known[source].rows).cloned() else { break };
            if !self.is_referenced(source, &row) {
                return vec![row];
            }
        }
        rows
    }

    fn is_referenced(&self, source: usize, row: &Row) -> bool {
        let target = &self.sources[source];
        self.sources.iter().zip(&self.known).any(|(other, known)| {
            other.references.iter().filter(|reference| reference.target == target.relation).any(|reference| {
                let value = |name: &String| {
                    let place = target.columns.iter().position(|column| column.name == *name)?;
                    row[place].as_ref()
                };
                let values: Vec<Option<&String>> = reference.target_columns.iter().map(value).collect();
                known.rows.iter().any(|other| {
                    reference.columns.iter().zip(&values).all(|(at, value)| other[*at].as_ref() == *value)
                })
            })
        })
    }

    /// One row, a few, or all that share a value; often recently changed ones.
    pub(super) fn some_rows(&mut self, source: usize) -> Vec<Row> {
        if self.random.percent(35)
            && let Some(row) = self.random.one(&self.known[source].recent).cloned()
            && self.known[source].rows.contains(&row)
        {
            return vec![row];
        }
        let columns = self.sources[source].columns.len();
        let rows = &self.known[source].rows;
        let Some(first) = self.random.one(rows).cloned() else { return Vec::new() };
        if rows.len() <= BULK && self.random.percent(3) {
            return rows.clone();
        }
        match self.random.below(10) {
            0..6 => vec![first],
            6..8 => {
                let mut few = vec![first];
                for _ in 0..=self.random.below(3) {
                    few.extend(self.random.one(rows).filter(|row| !few.contains(row)).cloned());
                }
                few
            }
            _ => {
                let at = self.random.below(columns);
                let group: Vec<Row> =
                    rows.iter().filter(|row| row[at] == first[at]).take(GROUP + 1).cloned().collect();
                if group.len() > GROUP { vec![first] } else { group }
            }
        }
    }
}

/// A row of the list, which repeats after its end.
fn known_row(rows: &[Row], nth: usize) -> Row {
    rows[nth % rows.len()].clone()
}
