//! Choosing the next change.

use super::{Change, Effect, Row, Source, random::Random, value};

/// Above this many known rows a source is not emptied, and more rows go than come.
const MANY: usize = 1000;
/// The most rows that one statement changes.
const GROUP: usize = 40;

/// What is known of the rows of a source.
#[derive(Clone, Debug, Default)]
struct Known {
    rows: Vec<Row>,
    /// They are all that there are.
    whole: bool,
    /// Those that were touched last, which are touched again.
    recent: Vec<Row>,
}

/// Draws changes. The same seed over the same data draws the same.
#[derive(Clone, Debug)]
pub struct Mutator {
    random: Random,
    sources: Vec<Source>,
    known: Vec<Known>,
    next_number: u64,
    turn: usize,
    /// The sources of this round.
    chosen: Vec<usize>,
    /// What an earlier change of this round will be taken back with.
    echo: Vec<Change>,
    /// Sources may be emptied.
    empties: bool,
    /// What was known before everything that is going to be rolled back.
    before: Option<Vec<Known>>,
}

impl Mutator {
    /// A mutator for these sources; with each the rows that are known, and whether they are all. A source is only emptied
    /// where that is allowed: TRUNCATE locks every reader out until the transaction ends.
    pub fn new(seed: u64, sources: Vec<Source>, known: Vec<(Vec<Row>, bool)>, empties: bool) -> Self {
        let known: Vec<Known> =
            known.into_iter().map(|(rows, whole)| Known { rows, whole, recent: Vec::new() }).collect();
        let greatest = known
            .iter()
            .flat_map(|known| known.rows.iter().flatten().flatten())
            .filter_map(|value| value.parse::<u64>().ok())
            .filter(|number| *number < 1_000_000_000)
            .max();
        Self {
            random: Random::new(seed),
            sources,
            known,
            next_number: greatest.unwrap_or(0) + 1,
            turn: 0,
            chosen: Vec::new(),
            echo: Vec::new(),
            empties,
            before: None,
        }
    }

    /// The sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Begins a round on some of `of`; earlier ones are likelier. The answer is how many statements each of its
    /// transactions has.
    pub fn begin_round(&mut self, of: &[usize]) -> Vec<usize> {
        self.chosen.clear();
        self.echo.clear();
        for known in &mut self.known {
            known.recent.clear();
        }
        let wanted = 1 + self.random.below(3);
        for _ in 0..wanted {
            let at = self.random.below(of.len()).min(self.random.below(of.len()));
            if let Some(source) = of.get(at).filter(|source| !self.chosen.contains(source)) {
                self.chosen.push(*source);
            }
        }
        let transactions = 1 + self.random.below(3);
        (0..transactions).map(|_| 1 + self.random.below(5)).collect()
    }

    /// The next change of the round; `None` where nothing can be thought of.
    pub fn change(&mut self) -> Option<Change> {
        if self.random.percent(20)
            && let Some(echo) = self.echo.pop()
        {
            return Some(echo);
        }
        let source = *self.random.one(&self.chosen)?;
        let held = self.known[source].rows.len();
        if self.sources[source].only_inserts || held == 0 {
            return self.insert(source);
        }
        let (inserts, deletes) = match held {
            0..4 => (70, 10),
            4..MANY => (30, 25),
            _ => (15, 40),
        };
        match self.random.below(100) {
            0 if self.empties && self.known[source].whole && held <= MANY => Some(self.truncate(source)),
            n if n < inserts => self.insert(source),
            n if n < inserts + deletes => Some(Change::Delete { source, of: self.some_rows(source) }),
            _ => self.update(source),
        }
    }

    /// Takes note of what a change did.
    pub fn saw(&mut self, effect: &Effect) {
        let known = &mut self.known[effect.source];
        for (before, after) in &effect.rows {
            let at = before.as_ref().and_then(|before| known.rows.iter().position(|row| row == before));
            match (at, after) {
                (Some(at), Some(after)) => known.rows[at].clone_from(after),
                (Some(at), None) => drop(known.rows.remove(at)),
                (None, Some(after)) => known.rows.push(after.clone()),
                (None, None) => {}
            }
            known.recent.extend(after.clone());
        }
        if self.random.percent(30) && !self.sources[effect.source].only_inserts {
            self.echo.extend(effect.inverse());
            self.echo.truncate(GROUP);
        }
    }

    /// Takes note that the rows are what they were before a change.
    pub fn unsee(&mut self, effect: &Effect) {
        let known = &mut self.known[effect.source];
        for (before, after) in effect.rows.iter().rev() {
            if let Some(at) = after.as_ref().and_then(|after| known.rows.iter().position(|row| row == after))
            {
                known.rows.remove(at);
            }
            known.rows.extend(before.clone());
        }
        known.recent.clear();
    }

    /// A transaction begins that is going to be rolled back.
    pub fn begin(&mut self) {
        self.before = Some(self.known.clone());
    }

    /// It was rolled back: the rows are what they were when it began.
    pub fn rolled_back(&mut self) {
        self.known = self.before.take().unwrap_or_else(|| std::mem::take(&mut self.known));
    }

    /// What a statement that empties this source did.
    pub fn emptied(&self, source: usize) -> Effect {
        Effect { source, rows: self.known[source].rows.iter().map(|row| (Some(row.clone()), None)).collect() }
    }

    /// A row that a statement did not find is not known any more.
    pub fn forget(&mut self, change: &Change) {
        if let Change::Update { source, of, .. } | Change::Delete { source, of } = change {
            let known = &mut self.known[*source];
            known.rows.retain(|row| !of.contains(row));
            known.recent.clear();
        }
    }

    /// Empties a source, and has most of its rows come back.
    fn truncate(&mut self, source: usize) -> Change {
        let rows = self.known[source].rows.clone();
        if !rows.is_empty() {
            self.echo.push(Change::Insert { source, rows });
        }
        Change::Truncate { source }
    }

    fn insert(&mut self, source: usize) -> Option<Change> {
        if let Some(gone) = self.come_back(source) {
            return Some(gone);
        }
        let count = if self.random.percent(20) { 2 + self.random.below(3) } else { 1 };
        let rows: Vec<Row> = (0..count).map(|_| self.new_row(source)).collect::<Option<_>>()?;
        Some(Change::Insert { source, rows })
    }

    /// What was emptied comes back before anything else: an empty source shows little.
    fn come_back(&mut self, source: usize) -> Option<Change> {
        let is_emptied = self.known[source].rows.is_empty();
        let comes_back =
            |change: &Change| matches!(change, Change::Insert { source: of, .. } if *of == source);
        let at = self.echo.iter().position(comes_back).filter(|_| is_emptied)?;
        Some(self.echo.remove(at))
    }

    /// A row like one that is there, under a key of its own; of an empty source one made of its types.
    fn new_row(&mut self, source: usize) -> Option<Row> {
        let like = self.random.one(&self.known[source].rows).cloned();
        let table = self.sources[source].clone();
        if table.key.is_empty()
            && self.random.percent(30)
            && let Some(row) = &like
        {
            return Some(row.clone());
        }
        let mut row: Row = Vec::with_capacity(table.columns.len());
        for at in 0..table.columns.len() {
            let value = match &like {
                Some(like) if !self.random.percent(30) => like[at].clone(),
                _ => self.draw(source, at),
            };
            row.push(value.or_else(|| self.must_be(source, at)));
        }
        // One column of the key is enough to make it new, if it refers to nothing.
        let refers = |at: &&usize| table.references.iter().any(|reference| reference.columns.contains(at));
        let own: Vec<usize> = table.key.iter().filter(|at| !refers(at)).copied().collect();
        if let Some(at) = self.random.one(&own).copied() {
            row[at] = self.fresh(source, at).or_else(|| row[at].clone());
        }
        let complete = (0..row.len()).all(|at| row[at].is_some() || !table.columns[at].not_null);
        complete.then_some(row)
    }

    /// A value for a column that refuses NULL.
    fn must_be(&mut self, source: usize, at: usize) -> Option<String> {
        let column = self.sources[source].columns[at].clone();
        if !column.not_null {
            return None;
        }
        value::edge(&column, &mut self.random).or_else(|| self.fresh(source, at))
    }

    fn update(&mut self, source: usize) -> Option<Change> {
        let table = self.sources[source].clone();
        let written: Vec<usize> = (0..table.columns.len())
            .filter(|at| table.columns[*at].generated.is_none() && !table.columns[*at].always)
            .collect();
        let mut of = self.some_rows(source);
        let plain: Vec<usize> = written.iter().filter(|at| !table.key.contains(at)).copied().collect();
        // Another key, now and then, and always where there is nothing else.
        if let Some(at) = table.key.first().copied().filter(|at| written.contains(at))
            && (plain.is_empty() || self.random.percent(12))
        {
            of.truncate(1);
            let value = if self.random.percent(70) { self.fresh(source, at) } else { self.draw(source, at) };
            return Some(Change::Update { source, set: vec![(at, value)], of });
        }
        // Every column that may is NULL in its turn.
        let nullable: Vec<usize> = plain.iter().filter(|at| !table.columns[**at].not_null).copied().collect();
        if !nullable.is_empty() && self.random.percent(20) {
            self.turn += 1;
            return Some(Change::Update {
                source,
                set: vec![(nullable[self.turn % nullable.len()], None)],
                of,
            });
        }
        let at = *self.random.one(&plain)?;
        let mut set = vec![(at, self.draw(source, at))];
        if self.random.percent(30)
            && let Some(other) = self.random.one(&plain).copied().filter(|other| *other != at)
        {
            set.push((other, self.draw(source, other)));
        }
        for (at, value) in &mut set {
            if value.is_none() && table.columns[*at].not_null {
                *value = self.must_be(source, *at);
            }
        }
        Some(Change::Update { source, set, of })
    }

    /// One row, a few, or all that share a value; often ones that were touched just now.
    fn some_rows(&mut self, source: usize) -> Vec<Row> {
        if self.random.percent(35)
            && let Some(row) = self.random.one(&self.known[source].recent).cloned()
            && self.known[source].rows.contains(&row)
        {
            return vec![row];
        }
        let columns = self.sources[source].columns.len();
        let Known { rows, .. } = &self.known[source];
        let Some(first) = self.random.one(rows).cloned() else { return Vec::new() };
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

    /// A value for a column: mostly one that some row holds, else NULL, an edge, or a new one.
    fn draw(&mut self, source: usize, at: usize) -> Option<String> {
        if let Some(value) = self.referred(source, at) {
            return Some(value);
        }
        let column = self.sources[source].columns[at].clone();
        match self.random.below(100) {
            0..62 => {
                let held = self.random.one(&self.known[source].rows).and_then(|row| row[at].clone());
                held.or_else(|| value::edge(&column, &mut self.random))
            }
            62..77 => None,
            77..92 => value::edge(&column, &mut self.random),
            _ => self.fresh(source, at),
        }
    }

    /// A value that a foreign key finds.
    fn referred(&mut self, source: usize, at: usize) -> Option<String> {
        let table = &self.sources[source];
        let reference = table.references.iter().find(|reference| reference.columns.contains(&at))?;
        let nth = reference.columns.iter().position(|column| *column == at)?;
        let target = self.sources.iter().position(|other| other.relation == reference.target)?;
        let name = &reference.target_columns[nth];
        let there = self.sources[target].columns.iter().position(|column| column.name == *name)?;
        self.random.one(&self.known[target].rows)?[there].clone()
    }

    fn fresh(&mut self, source: usize, at: usize) -> Option<String> {
        self.next_number += 1;
        value::fresh(&self.sources[source].columns[at], self.next_number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{
        super::{row, sample},
        *,
    };

    fn mutator(seed: u64, only_inserts: bool) -> Mutator {
        let mut sources = sample();
        sources[0].only_inserts = only_inserts;
        let orders = (1..30).map(|n| row(&[&n.to_string(), &(1 + n % 5).to_string(), "note"])).collect();
        let customers = (1..6).map(|n| row(&[&n.to_string(), "Ada"])).collect();
        Mutator::new(seed, sources, vec![(orders, true), (customers, true)], true)
    }

    /// What a server that takes everything would answer.
    fn effect(mutator: &Mutator, change: &Change) -> Effect {
        let source = change.source();
        let rows = match change {
            Change::Truncate { .. } => return mutator.emptied(source),
            Change::Insert { rows, .. } => rows.iter().map(|row| (None, Some(row.clone()))).collect(),
            Change::Delete { of, .. } => of.iter().map(|row| (Some(row.clone()), None)).collect(),
            Change::Update { set, of, .. } => {
                let after = |row: &Row| {
                    let mut row = row.clone();
                    for (at, value) in set {
                        row[*at].clone_from(value);
                    }
                    row
                };
                of.iter().map(|row| (Some(row.clone()), Some(after(row)))).collect()
            }
        };
        Effect { source, rows }
    }

    fn changes(mut mutator: Mutator, of: &[usize], count: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < count {
            for _ in 0..mutator.begin_round(of).into_iter().sum() {
                let Some(change) = mutator.change() else { continue };
                mutator.saw(&effect(&mutator, &change));
                changes.push(change);
            }
        }
        changes
    }

    #[test]
    fn a_seed_decides_everything() {
        let of_seed = |seed| changes(mutator(seed, false), &[0, 1], 200);
        assert_eq!(of_seed(7), of_seed(7));
        assert_ne!(of_seed(7), of_seed(8));
    }

    #[test]
    fn every_kind_of_change_comes_up() {
        let changes = changes(mutator(1, false), &[0, 1], 2000);
        let some = |what: fn(&Change) -> bool| assert!(changes.iter().any(what));
        some(|change| matches!(change, Change::Truncate { .. }));
        some(|change| matches!(change, Change::Insert { rows, .. } if rows.len() > 1));
        some(|change| matches!(change, Change::Delete { of, .. } if of.len() > 1));
        some(|change| matches!(change, Change::Update { set, .. } if set[0].0 == 0));
        some(|change| matches!(change, Change::Update { set, .. } if set[0].1.is_none()));
        some(|change| matches!(change, Change::Update { set, .. } if set.len() > 1));
    }

    #[test]
    fn what_is_only_appended_to_gets_inserts_alone() {
        let changes = changes(mutator(3, true), &[0], 300);
        assert!(changes.iter().all(|change| matches!(change, Change::Insert { .. })));
    }

    #[test]
    fn new_rows_refer_to_rows_that_are_there_under_keys_of_their_own() {
        let changes = changes(mutator(4, true), &[0], 300);
        let inserted = |change: &Change| match change {
            Change::Insert { rows, .. } => rows.clone(),
            Change::Update { .. } | Change::Delete { .. } | Change::Truncate { .. } => vec![],
        };
        let rows: Vec<Row> = changes.iter().flat_map(inserted).collect();
        let keys: BTreeSet<_> = rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(keys.len(), rows.len());
        assert!(rows.iter().all(|row| (1..6).any(|n: i32| row[1] == Some(n.to_string()))));
    }
}
