//! Choosing the next change.

use std::sync::Arc;

use super::{
    Change, Effect, Row, Source,
    lessons::{Kind, Lessons},
    random::Random,
    rows::GROUP,
};

/// Above this many known rows a source is not emptied, and more rows go than come.
const MANY: usize = 1000;
/// So many rows that are gone are remembered.
const REMEMBERED: usize = 200;

/// What is known of the rows of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) rows: Vec<Row>,
    /// They are all that there are.
    pub(super) whole: bool,
    /// Those that were touched last, which are touched again.
    pub(super) recent: Vec<Row>,
    /// The last ones that are gone.
    pub(super) gone: Vec<Row>,
    /// How often rows that are gone were to fill the empty source again.
    pub(super) returns: usize,
}

/// Draws changes. The same seed over the same data draws the same.
#[derive(Clone, Debug)]
pub struct Mutator {
    pub(super) random: Random,
    pub(super) sources: Arc<[Source]>,
    pub(super) known: Vec<Known>,
    pub(super) lessons: Vec<Lessons>,
    pub(super) next_number: u64,
    turn: usize,
    /// The sources of this round.
    chosen: Vec<usize>,
    /// What an earlier change of this round will be taken back with.
    pub(super) echo: Vec<Change>,
    /// The columns that the last change drew values for.
    pub(super) drawn: Vec<usize>,
    /// Sources may be emptied.
    empties: bool,
    /// How often no change was to be thought of, for each source.
    stuck: Vec<usize>,
    /// What was known before everything that is going to be rolled back.
    before: Option<Vec<Known>>,
}

impl Mutator {
    /// A mutator for these sources; with each the rows that are known, and whether they are all. A source is only emptied
    /// where that is allowed: TRUNCATE locks every reader out until the transaction ends.
    pub fn new(seed: u64, sources: Vec<Source>, known: Vec<(Vec<Row>, bool)>, empties: bool) -> Self {
        let known: Vec<Known> =
            known.into_iter().map(|(rows, whole)| Known { rows, whole, ..Known::default() }).collect();
        let greatest = known
            .iter()
            .flat_map(|known| known.rows.iter().flatten().flatten())
            .filter_map(|value| value.parse::<u64>().ok())
            .filter(|number| *number < 1_000_000_000)
            .max();
        Self {
            random: Random::new(seed),
            lessons: sources.iter().map(|source| Lessons::of(source.columns.len())).collect(),
            stuck: vec![0; sources.len()],
            sources: sources.into(),
            known,
            next_number: greatest.unwrap_or(0) + 1,
            turn: 0,
            chosen: Vec::new(),
            echo: Vec::new(),
            drawn: Vec::new(),
            empties,
            before: None,
        }
    }

    /// The sources.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Why a source is hard to change, as far as it is the mutator's fault.
    pub fn trouble(&self, source: usize) -> Option<String> {
        let table = &self.sources[source];
        let unwritable: Vec<String> = table
            .unwritable()
            .map(|at| format!("`{}` ({})", table.columns[at].name, table.columns[at].type_name))
            .collect();
        if !unwritable.is_empty() {
            return Some(format!(
                "no row can be added: no value can be written for {}",
                unwritable.join(", ")
            ));
        }
        let stuck = self.stuck[source];
        (stuck > 0).then(|| format!("{stuck} times no change could be thought of"))
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
        self.drawn.clear();
        if self.random.percent(20)
            && let Some(echo) = self.echo.pop()
        {
            return Some(echo);
        }
        let source = *self.random.one(&self.chosen)?;
        let change = self.change_of(source);
        self.stuck[source] += usize::from(change.is_none());
        change
    }

    fn change_of(&mut self, source: usize) -> Option<Change> {
        let held = self.known[source].rows.len();
        if self.sources[source].unwritable().next().is_some() {
            // A row that goes cannot come back.
            return if held > 0 { self.update(source) } else { None };
        }
        if self.sources[source].only_inserts || held == 0 {
            return self.insert(source);
        }
        let (inserts, updates, deletes) = match held {
            0..4 => (70, 20, 10),
            4..MANY => (30, 45, 25),
            _ => (15, 45, 40),
        };
        let lessons = &self.lessons[source];
        let may_empty = self.empties && self.known[source].whole && held <= MANY;
        let empties = if may_empty { lessons.share(Kind::Truncate, 100) } else { 0 };
        let inserts = 100 * lessons.share(Kind::Insert, inserts);
        let updates = 100 * lessons.share(Kind::Update, updates);
        let deletes = 100 * lessons.share(Kind::Delete, deletes);
        match self.random.below(empties + inserts + deletes + updates) {
            n if n < empties => Some(self.truncate(source)),
            n if n < empties + inserts => self.insert(source).or_else(|| self.update(source)),
            n if n < empties + inserts + deletes => {
                Some(Change::Delete { source, of: self.deleted_rows(source) })
            }
            _ => self.update(source).or_else(|| self.insert(source)),
        }
    }

    /// Takes note of what a change did.
    pub fn saw(&mut self, effect: &Effect) {
        let known = &mut self.known[effect.source];
        for (before, after) in &effect.rows {
            let at = before.as_ref().and_then(|before| known.rows.iter().position(|row| row == before));
            match (at, after) {
                (Some(at), Some(after)) => known.rows[at].clone_from(after),
                (Some(at), None) => known.gone.push(known.rows.remove(at)),
                (None, Some(after)) => known.rows.push(after.clone()),
                (None, None) => {}
            }
            known.recent.extend(after.clone());
        }
        let forgotten = known.gone.len().saturating_sub(REMEMBERED);
        known.gone.drain(..forgotten);
        if !known.rows.is_empty() {
            known.returns = 0;
        }
        if self.random.percent(30) && !self.sources[effect.source].only_inserts {
            self.echo.extend(effect.inverse());
            self.echo.truncate(GROUP);
        }
    }

    /// Takes note that the server took a change.
    pub fn taken(&mut self, change: &Change) {
        let drawn = std::mem::take(&mut self.drawn);
        self.lessons[change.source()].taken(Kind::of(change), &drawn);
    }

    /// Takes note that the server refused a change, by this constraint.
    pub fn refused(&mut self, change: &Change, constraint: Option<&str>) {
        let (source, drawn) = (change.source(), std::mem::take(&mut self.drawn));
        let by = self.sources[source].constraints.iter().find(|by| Some(by.name.as_str()) == constraint);
        let lessons = &mut self.lessons[source];
        match by {
            // Values of other rows are what it refuses.
            Some(by) if matches!(by.kind, 'p' | 'u' | 'x' | 'i') => {
                lessons.is_strict(&by.name);
                lessons.refused(Kind::of(change), &[]);
            }
            by => {
                let concerned = |at: &usize| by.is_none_or(|by| by.columns.contains(at));
                let mut blamed: Vec<usize> = drawn.iter().copied().filter(concerned).collect();
                if blamed.is_empty() {
                    blamed = drawn;
                }
                lessons.refused(Kind::of(change), &blamed);
            }
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

    fn update(&mut self, source: usize) -> Option<Change> {
        let sources = self.sources.clone();
        let table = &sources[source];
        let is_written = |at: &usize| table.columns[*at].generated.is_none() && !table.columns[*at].always;
        let is_writable = |at: &usize| is_written(at) && !table.unwritable().any(|other| other == *at);
        let written: Vec<usize> = (0..table.columns.len()).filter(is_writable).collect();
        let mut of = self.some_rows(source);
        let plain: Vec<usize> = written.iter().filter(|at| !table.key.contains(at)).copied().collect();
        // Another key, now and then, and always where there is nothing else.
        if let Some(at) = table.key.first().copied().filter(|at| written.contains(at))
            && (plain.is_empty() || self.random.percent(12))
        {
            of.truncate(1);
            let mut set =
                if self.random.percent(70) { self.fresh_with(source, at) } else { self.draw(source, at) };
            set.retain(|(at, _)| is_written(at));
            return Some(Change::Update { source, set, of });
        }
        // Every column that may is NULL in its turn.
        let nullable: Vec<usize> = plain.iter().filter(|at| !table.columns[**at].not_null).copied().collect();
        if !nullable.is_empty() && self.random.percent(20) {
            self.turn += 1;
            let at = nullable[self.turn % nullable.len()];
            if self.lessons[source].dares(at, &mut self.random) {
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
                *value = self.must_be(source, *at);
            }
        }
        let refused = |(at, value): &(usize, Option<String>)| value.is_none() && table.columns[*at].not_null;
        (!set.is_empty() && !set.iter().any(refused)).then_some(Change::Update { source, set, of })
    }

    /// Values for a column of these rows. One that tells rows apart has a new value, in one row.
    fn drawn_or_new(&mut self, source: usize, at: usize, of: &mut Vec<Row>) -> Vec<(usize, Option<String>)> {
        let is_key = self.sources[source].keys().any(|key| key.columns.contains(&at));
        if is_key && self.random.percent(80) {
            of.truncate(1);
            let refers =
                self.sources[source].references.iter().any(|reference| reference.columns.contains(&at));
            if !refers {
                let new = self.fresh_with(source, at);
                // Every value that the server takes is held by some row.
                return if new.iter().any(|(_, value)| value.is_some()) { new } else { Vec::new() };
            }
        }
        self.draw(source, at)
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
