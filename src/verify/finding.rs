//! What is wrong with a table.

use crate::{judge::equality::Difference, mutate::Change, pg::ServerMessage};

/// What is wrong with a table, and since when.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The number of the round; 0 is before the first.
    pub(super) round: usize,
    pub(super) fault: Fault,
    /// The statement that the server refused because of it.
    pub(super) refused: Option<Change>,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Differs(Difference),
    RefreshFails(ServerMessage),
    /// The query itself fails on rows that the schema allows. This is no fault of the engine.
    QueryFails(ServerMessage),
}

impl Finding {
    pub(super) fn is_of_query(&self) -> bool {
        matches!(self.fault, Fault::QueryFails(_))
    }
}
