//! The parts of a change that a case can do without.

use super::{Change, case::keep_values};

impl Change {
    pub(super) fn upserts(&self) -> bool {
        matches!(self, Self::Upsert { .. }) || self.inner().into_iter().flatten().any(Self::upserts)
    }

    /// Removes the columns of its source that are not kept.
    pub(super) fn keep_columns(&mut self, kept: &[bool]) {
        match self {
            Self::Insert { rows, .. } | Self::Upsert { rows, .. } | Self::Delete { of: rows, .. } => {
                for row in rows {
                    keep_values(row, kept);
                }
            }
            Self::Update { set, of, .. } => {
                set.retain(|(column, _)| kept[*column]);
                for (column, _) in set.iter_mut() {
                    *column = kept[..*column].iter().filter(|kept| **kept).count();
                }
                for row in of {
                    keep_values(row, kept);
                }
            }
            Self::RolledBack { .. }
            | Self::Open { .. }
            | Self::Partition { .. }
            | Self::Truncate { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => {
                for change in self.inner_mut().into_iter().flatten() {
                    change.keep_columns(kept);
                }
            }
        }
    }

    /// The number of its rows, and of the values that it sets.
    pub(super) fn items(&self) -> usize {
        match self {
            Self::Insert { rows, .. } | Self::Upsert { rows, .. } | Self::Delete { of: rows, .. } => {
                rows.len()
            }
            Self::Update { set, of, .. } => set.len() + of.len(),
            Self::RolledBack { .. }
            | Self::Open { .. }
            | Self::Partition { .. }
            | Self::Truncate { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => self.inner().into_iter().flatten().map(Self::items).sum(),
        }
    }

    pub(super) fn retain_items(&mut self, keeps: &mut dyn FnMut() -> bool) {
        match self {
            Self::Insert { rows, .. } | Self::Upsert { rows, .. } | Self::Delete { of: rows, .. } => {
                rows.retain(|_| keeps());
            }
            Self::Update { set, of, .. } => {
                set.retain(|_| keeps());
                of.retain(|_| keeps());
            }
            Self::RolledBack { .. }
            | Self::Open { .. }
            | Self::Partition { .. }
            | Self::Truncate { .. }
            | Self::Alter { .. }
            | Self::Refresh { .. }
            | Self::RefreshView { .. } => {
                if let Some(changes) = self.inner_mut() {
                    for change in &mut *changes {
                        change.retain_items(keeps);
                    }
                    changes.retain(|change| !change.is_empty());
                }
            }
        }
    }

    /// Whether nothing is left of it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::RolledBack { changes, .. } | Self::Open { changes, .. } => changes.is_empty(),
            Self::Partition { how, .. } => how.is_empty(),
            Self::Insert { rows, .. } | Self::Upsert { rows, .. } | Self::Delete { of: rows, .. } => {
                rows.is_empty()
            }
            Self::Update { set, of, .. } => set.is_empty() || of.is_empty(),
            Self::Truncate { .. } | Self::Alter { .. } | Self::Refresh { .. } | Self::RefreshView { .. } => {
                false
            }
        }
    }
}
