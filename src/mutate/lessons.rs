//! Learns from rejected changes: which columns to leave unchanged, which keys to renew, and which kinds of changes to
//! make.

use std::collections::BTreeSet;

use super::{Change, random::Random};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Insert,
    Upsert,
    Update,
    Delete,
    Truncate,
    Partition,
}

impl ChangeKind {
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Insert { .. } => Self::Insert,
            Change::Upsert { .. } => Self::Upsert,
            Change::Update { .. } => Self::Update,
            Change::Delete { .. } => Self::Delete,
            Change::Truncate { .. } => Self::Truncate,
            Change::Partition { .. } => Self::Partition,
            Change::RolledBack { changes, .. } | Change::Open { changes, .. } => {
                changes.first().map_or(Self::Update, Self::of)
            }
            Change::Alter { .. } | Change::Refresh { .. } | Change::RefreshView { .. } => Self::Update,
        }
    }
}

/// At the greatest caution one change in this many still draws a new value.
const GREATEST_CAUTION: usize = 30;
/// A kind of change that was not tried yet comes this many times as often.
const UNTRIED: usize = 3;
/// After this many changes of a kind the counts are halved: what was rejected once may be possible now.
const MEMORY: usize = 60;

#[derive(Clone, Debug, Default)]
pub(super) struct RejectionHistory {
    /// For each column: the rejected changes that drew a value for it, less the accepted ones.
    caution: Vec<usize>,
    /// The accepted changes of each kind.
    accepted: [usize; 6],
    rejected: [usize; 6],
    /// Keys that rejected a duplicate.
    violated_keys: BTreeSet<String>,
}

impl RejectionHistory {
    pub(super) fn of(columns: usize) -> Self {
        Self { caution: vec![0; columns], ..Self::default() }
    }

    /// Records that the server accepted a change, for which values of these columns were drawn.
    pub(super) fn accept(&mut self, kind: ChangeKind, drawn: &[usize]) {
        self.accepted[kind as usize] += 1;
        for at in drawn {
            self.caution[*at] = self.caution[*at].saturating_sub(1);
        }
        self.fade(kind);
    }

    /// Records that the server rejected a change, because of these columns.
    pub(super) fn reject(&mut self, kind: ChangeKind, blamed: &[usize]) {
        self.rejected[kind as usize] += 1;
        for at in blamed {
            self.caution[*at] = (self.caution[*at] + 2).min(GREATEST_CAUTION);
        }
        self.fade(kind);
    }

    /// Records that a key rejected a duplicate.
    pub(super) fn add_violated_key(&mut self, key: &str) {
        self.violated_keys.insert(key.to_owned());
    }

    pub(super) fn is_violated_key(&self, key: &str) -> bool {
        self.violated_keys.contains(key)
    }

    /// Whether to try a new value for the column, and not one that a row has.
    pub(super) fn tries_new_value(&self, at: usize, random: &mut Random) -> bool {
        random.percent(100 / (1 + self.caution[at]))
    }

    /// The share of this kind of change: the usual one, more for an untried kind, less for rejected changes, and never 0.
    pub(super) fn share(&self, kind: ChangeKind, usual: usize) -> usize {
        if !self.was_tried(kind) {
            return usual * UNTRIED;
        }
        let (accepted, rejected) = (self.accepted[kind as usize], self.rejected[kind as usize]);
        (usual * (accepted + 2) / (accepted + rejected + 2)).max(2)
    }

    pub(super) fn was_tried(&self, kind: ChangeKind) -> bool {
        self.accepted[kind as usize] + self.rejected[kind as usize] > 0
    }

    /// Whether a change of this kind was rejected recently.
    pub(super) fn was_rejected(&self, kind: ChangeKind) -> bool {
        self.rejected[kind as usize] > 0
    }

    fn fade(&mut self, kind: ChangeKind) {
        let (accepted, rejected) = (&mut self.accepted[kind as usize], &mut self.rejected[kind as usize]);
        if *accepted + *rejected > MEMORY {
            *accepted /= 2;
            *rejected /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_column_is_rarely_drawn_until_it_is_accepted() {
        let mut history = RejectionHistory::of(2);
        let mut random = Random::new(1);
        let mut tried = |history: &RejectionHistory, at| {
            (0..1000).filter(|_| history.tries_new_value(at, &mut random)).count()
        };
        for _ in 0..20 {
            history.reject(ChangeKind::Insert, &[1]);
        }
        assert_eq!(tried(&history, 0), 1000);
        assert!((1..60).contains(&tried(&history, 1)));
        for _ in 0..40 {
            history.accept(ChangeKind::Insert, &[1]);
        }
        assert_eq!(tried(&history, 1), 1000);
    }

    #[test]
    fn a_rejected_kind_of_change_becomes_rare_and_never_stops() {
        let mut history = RejectionHistory::of(1);
        for _ in 0..200 {
            history.reject(ChangeKind::Delete, &[]);
            history.accept(ChangeKind::Update, &[0]);
        }
        assert_eq!(history.share(ChangeKind::Delete, 25), 2);
        assert_eq!(history.share(ChangeKind::Update, 45), 45);
        assert_eq!(history.share(ChangeKind::Truncate, 8), 24);
        assert!(history.was_rejected(ChangeKind::Delete) && !history.was_rejected(ChangeKind::Update));
    }
}
