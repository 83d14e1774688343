//! What refusals teach: which columns to leave as rows have them, which keys to make new, and what kind of change to make.

use std::collections::BTreeSet;

use super::{Change, random::Random};

/// The kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Kind {
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Insert { .. } => Self::Insert,
            Change::Update { .. } => Self::Update,
            Change::Delete { .. } => Self::Delete,
            Change::Truncate { .. } => Self::Truncate,
        }
    }
}

/// The greatest caution: one change in so many still tries.
const GREATEST: usize = 30;
/// After so many changes of a kind the older ones count half: what was refused once may be possible now.
const MEMORY: usize = 60;

/// What is known of the refusals of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Lessons {
    /// For each column how much was refused that drew a value for it, above what was taken.
    caution: Vec<usize>,
    /// Of each kind of change how many were taken and refused.
    taken: [usize; 4],
    refused: [usize; 4],
    /// Keys that found a value twice.
    strict: BTreeSet<String>,
}

impl Lessons {
    pub(super) fn of(columns: usize) -> Self {
        Self { caution: vec![0; columns], ..Self::default() }
    }

    /// A change was taken for which these columns were drawn.
    pub(super) fn taken(&mut self, kind: Kind, drawn: &[usize]) {
        self.taken[kind as usize] += 1;
        for at in drawn {
            self.caution[*at] = self.caution[*at].saturating_sub(1);
        }
        self.fade(kind);
    }

    /// A change was refused, on account of these columns.
    pub(super) fn refused(&mut self, kind: Kind, blamed: &[usize]) {
        self.refused[kind as usize] += 1;
        for at in blamed {
            self.caution[*at] = (self.caution[*at] + 2).min(GREATEST);
        }
        self.fade(kind);
    }

    /// A key found a value twice.
    pub(super) fn is_strict(&mut self, key: &str) {
        self.strict.insert(key.to_owned());
    }

    pub(super) fn knows_strict(&self, key: &str) -> bool {
        self.strict.contains(key)
    }

    /// Whether to try a new value for the column, or to stay with those that rows have.
    pub(super) fn dares(&self, at: usize, random: &mut Random) -> bool {
        random.percent(100 / (1 + self.caution[at]))
    }

    /// How often to make a change of this kind that is usually made so often.
    pub(super) fn share(&self, kind: Kind, usual: usize) -> usize {
        let (taken, refused) = (self.taken[kind as usize], self.refused[kind as usize]);
        (usual * (taken + 2) / (taken + refused + 2)).max(2)
    }

    /// Whether some change of this kind was refused lately.
    pub(super) fn is_refused(&self, kind: Kind) -> bool {
        self.refused[kind as usize] > 0
    }

    fn fade(&mut self, kind: Kind) {
        let (taken, refused) = (&mut self.taken[kind as usize], &mut self.refused[kind as usize]);
        if *taken + *refused > MEMORY {
            *taken /= 2;
            *refused /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_refused_is_left_alone_and_tried_again_when_it_is_taken() {
        let mut lessons = Lessons::of(2);
        let mut random = Random::new(1);
        let mut tried = |lessons: &Lessons, at| (0..1000).filter(|_| lessons.dares(at, &mut random)).count();
        for _ in 0..20 {
            lessons.refused(Kind::Insert, &[1]);
        }
        assert_eq!(tried(&lessons, 0), 1000);
        assert!((1..60).contains(&tried(&lessons, 1)));
        for _ in 0..40 {
            lessons.taken(Kind::Insert, &[1]);
        }
        assert_eq!(tried(&lessons, 1), 1000);
    }

    #[test]
    fn a_kind_of_change_that_is_refused_becomes_rare_and_never_stops() {
        let mut lessons = Lessons::of(1);
        for _ in 0..200 {
            lessons.refused(Kind::Delete, &[]);
            lessons.taken(Kind::Update, &[0]);
        }
        assert_eq!(lessons.share(Kind::Delete, 25), 2);
        assert_eq!(lessons.share(Kind::Update, 45), 45);
        assert!(lessons.is_refused(Kind::Delete) && !lessons.is_refused(Kind::Update));
    }
}
