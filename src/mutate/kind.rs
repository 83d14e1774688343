//! The kinds of changes that reports count.

pub(super) const INSERT: &str = "insert";
pub(super) const UPSERT: &str = "upsert";
pub(super) const UPDATE: &str = "update";
pub(super) const KEY_CHANGE: &str = "key change";
pub(super) const DELETE: &str = "delete";
pub(super) const TRUNCATE: &str = "truncate";
pub(super) const PARTITION: &str = "partition";
/// It came in a transaction that stayed open while others committed.
pub(super) const OPEN: &str = "open transaction";
/// A row got a NULL in a column,
pub(super) const TO_NULL: &str = "to NULL";
/// or lost one.
pub(super) const FROM_NULL: &str = "from NULL";

/// All of them, in the order of reports.
pub const KINDS: [&str; 10] =
    [INSERT, UPSERT, UPDATE, KEY_CHANGE, DELETE, TRUNCATE, PARTITION, OPEN, TO_NULL, FROM_NULL];
