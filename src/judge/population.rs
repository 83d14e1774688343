//! Whether the tables were ever filled, and whether waiting for it makes sense.

use super::{Catalog, engine_message};
use crate::model::{Outcome, Stage, StreamTable, Verdict};

/// Where a table stands on its way to its first contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has been filled.
    Populated,
    /// It may still be: why it is not yet.
    Waiting(String),
    /// It will never be filled by itself: created with `initialize: false`.
    NeverByItself,
    /// It will not be filled: what is wrong.
    Failed(String),
}

/// Where one table stands.
pub fn progress(table: &StreamTable, catalog: &Catalog) -> Progress {
    let Some(deployed) = catalog.get(&table.relation) else {
        return Progress::Waiting("does not exist as a stream table".into());
    };
    let health = &deployed.health;
    match health.status.as_str() {
        "ERROR" => Progress::Failed(format!(
            "is in status ERROR: {}",
            engine_message(health.last_error_message.as_deref().unwrap_or_default())
        )),
        "SUSPENDED" => Progress::Failed("is suspended".into()),
        _ if health.is_populated => Progress::Populated,
        // docs/pg_trickle.md, "Creation and population": the creation fills the table before it commits, so a table
        // that is seen in this state was created without, and the scheduler passes it by.
        "INITIALIZING" => Progress::NeverByItself,
        status => Progress::Waiting(format!("is {status} and not populated yet")),
    }
}

/// The judgement when the waiting is over.
pub fn judge(table: &StreamTable, catalog: &Catalog) -> Outcome {
    let (verdict, message, details) = match progress(table, catalog) {
        Progress::Populated => (Verdict::Passed, "populated".to_owned(), vec![]),
        Progress::Waiting(why) | Progress::Failed(why) => (Verdict::Failed, why, vec![]),
        Progress::NeverByItself => (
            Verdict::Failed,
            "was created with initialize: false, and nothing has filled it since".to_owned(),
            vec![format!("fill it: select pgtrickle.refresh_stream_table('{}')", table.relation)],
        ),
    };
    Outcome::new(Stage::Population, &table.relation, verdict, message)
        .with_details(details)
        .about(table.origin.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::catalog,
        model::{Deployed, Health, Relation, Settings},
    };

    fn table() -> StreamTable {
        let relation = Relation::new("s", "t");
        StreamTable {
            relation,
            query: String::new(),
            settings: Settings::default(),
            upstream: vec![],
            columns: None,
            origin: None,
        }
    }

    fn progress_of(status: &str, is_populated: bool, error: Option<&str>) -> Progress {
        let health = Health {
            status: status.into(),
            is_populated,
            last_error_message: error.map(ToOwned::to_owned),
            ..Health::default()
        };
        let deployed =
            [Deployed { table: table(), mark: None, health, storage: crate::model::Storage::default() }];
        progress(&table(), &catalog(&deployed))
    }

    #[test]
    fn only_a_filled_table_in_good_standing_is_populated() {
        assert_eq!(progress_of("ACTIVE", true, None), Progress::Populated);
        assert!(matches!(progress_of("ACTIVE", false, None), Progress::Waiting(_)));
        assert_eq!(progress_of("INITIALIZING", false, None), Progress::NeverByItself);
        assert!(matches!(progress_of("SUSPENDED", true, None), Progress::Failed(_)));
        assert_eq!(
            progress_of("ERROR", true, Some("… message: \"division by zero\", …")),
            Progress::Failed("is in status ERROR: division by zero".into())
        );
    }

    #[test]
    fn a_missing_table_fails_when_the_waiting_is_over() {
        let outcome = judge(&table(), &Catalog::new());
        assert_eq!(
            (outcome.verdict, outcome.message.as_str()),
            (Verdict::Failed, "does not exist as a stream table")
        );
    }
}
