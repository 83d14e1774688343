//! Chooses values for rows that are there: of plain columns and of keys.

use super::{Change, Mutator, Row};

impl Mutator {
    pub(super) fn update(&mut self, source: usize) -> Option<Change> {
        let sources = self.sources.clone();
        let table = &sources[source];
        let is_written = |at: &usize| table.columns[*at].generated.is_none() && !table.columns[*at].always;
        let is_writable = |at: &usize| is_written(at) && !table.unwritable().any(|other| other == *at);
        let written: Vec<usize> = (0..table.columns.len()).filter(is_writable).collect();
        let mut of = self.some_rows(source);
        let plain: Vec<usize> = written.iter().filter(|at| !table.key.contains(at)).copied().collect();
        // Sometimes another key, and always if there is no other column.
        if let Some(at) = table.key.first().copied().filter(|at| written.contains(at))
            && (plain.is_empty() || self.random.percent(12))
        {
            of.truncate(1);
            let mut set =
                if self.random.percent(70) { self.fresh_with(source, at) } else { self.draw(source, at) };
            set.retain(|(at, _)| is_written(at));
            return Some(Change::Update { source, set, of });
        }
        // Set the nullable columns to NULL in turn.
        let nullable: Vec<usize> = plain.iter().filter(|at| !table.columns[**at].not_null).copied().collect();
        if !nullable.is_empty() && self.random.percent(20) {
            self.turn += 1;
            let at = nullable[self.turn % nullable.len()];
            if self.history[source].tries_new_value(at, &mut self.random) {
                self.drawn.push(at);
                return Some(Change::Update { source, set: vec![(at, None)], of });
            }
        }
        let at = *self.random.one(&plain)?;
        let mut set = self.drawn_or_new(source, at, &mut of);
        if self.random.percent(30)
            && let Some(other) =
                self.random.one(&plain).copied().filter(|other| set.iter().all(|(at, _)| at != other))
        {
            let more = self.drawn_or_new(source, other, &mut of);
            set.retain(|(at, _)| more.iter().all(|(other, _)| other != at));
            set.extend(more);
        }
        set.retain(|(at, _)| is_written(at));
        for (at, value) in &mut set {
            if value.is_none() && table.columns[*at].not_null {
                *value = self.not_null_value(source, *at);
            }
        }
        let violates = |(at, value): &(usize, Option<String>)| value.is_none() && table.columns[*at].not_null;
        (!set.is_empty() && !set.iter().any(violates)).then_some(Change::Update { source, set, of })
    }

    /// Values for a column of these rows. A key column mostly has a new value, and only in one row.
    fn drawn_or_new(&mut self, source: usize, at: usize, of: &mut Vec<Row>) -> Vec<(usize, Option<String>)> {
        let is_key = self.sources[source].keys().any(|key| key.columns.contains(&at));
        if is_key && self.random.percent(80) {
            of.truncate(1);
            let is_reference =
                self.sources[source].references.iter().any(|reference| reference.columns.contains(&at));
            if !is_reference {
                let new = self.fresh_with(source, at);
                // Without a value, rows already have every value that the server accepts.
                return if new.iter().any(|(_, value)| value.is_some()) { new } else { Vec::new() };
            }
        }
        self.draw(source, at)
    }
}
