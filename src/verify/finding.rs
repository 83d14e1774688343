//! What is wrong with a table.

use crate::{judge::equality::Difference, pg::ServerMessage};

/// What is wrong with a table, and since when.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The number of the round; 0 is before the first.
    pub(super) round: usize,
    pub(super) fault: Fault,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Differs(Difference),
    RefreshFails(ServerMessage),
}
