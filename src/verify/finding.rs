//! What is wrong with a table.

use super::coverage::counted;
use crate::{
    judge::equality::Difference,
    model::Relation,
    mutate::Change,
    pg::{self, ServerMessage},
};

/// What is wrong with a table, and since when.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// The number of the round; 0 is before the first.
    pub(super) round: usize,
    pub(super) fault: Fault,
    /// The statement that the server refused because of it.
    pub(super) refused: Option<Change>,
    /// How often the scheduler refreshed the table or one upstream of it since the rounds began, besides the rounds.
    pub(super) scheduled: usize,
    /// Whether a refresh finds it without any change of the rounds.
    pub(super) is_of_others: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Fault {
    Differs(Difference),
    RefreshFails(ServerMessage),
    /// Writes to a source fail where pg_trickle captures them.
    WriteFails(Relation, ServerMessage),
    /// The query itself fails on rows that the schema allows. This is no fault of the engine.
    QueryFails(ServerMessage),
}

const OF_OTHERS: &str = "no change of the rounds led to it, so there is no script: with the rows of other sessions alone, a refresh leaves it so";

impl Finding {
    pub(super) fn new(round: usize, fault: Fault, refused: Option<&Change>) -> Self {
        Self { round, fault, refused: refused.cloned(), scheduled: 0, is_of_others: false }
    }

    pub(super) fn is_of_query(&self) -> bool {
        matches!(self.fault, Fault::QueryFails(_))
    }

    /// What to do about a query that fails.
    pub(super) fn next(&self) -> String {
        match &self.refused {
            Some(Change::RefreshView { view, .. }) if self.is_denied() => {
                format!("grant the owner of {view} what its query reads")
            }
            Some(Change::RefreshView { view, .. }) => {
                format!("handle them in the query of {view}, or reject them with a constraint of the source")
            }
            _ => "handle them in the query, or reject them with a constraint of the source".to_owned(),
        }
    }

    /// What fails on possible rows, if it is a query.
    pub(super) fn failing_query(&self) -> String {
        match &self.refused {
            Some(Change::RefreshView { view, .. }) => {
                let on = if self.is_denied() { "" } else { " on possible rows" };
                format!("the refresh of the materialized view {view} fails{on}")
            }
            _ => "its query fails on possible rows".to_owned(),
        }
    }

    fn is_denied(&self) -> bool {
        matches!(&self.fault, Fault::QueryFails(message) if pg::is_not_permitted(&message.code))
    }

    /// That other sessions may have caused it: a script does not repeat when they wrote or refreshed.
    pub(super) fn beside(&self) -> Option<String> {
        if self.is_of_others {
            return Some(OF_OTHERS.to_owned());
        }
        (self.scheduled > 0).then(|| {
            format!("the scheduler refreshed, too: {} since the first round", counted(self.scheduled, "time"))
        })
    }
}
