//! Whether the tables were ever populated, and whether to keep waiting.

use super::{Catalog, engine_message};
use crate::model::{Health, Outcome, Relation, Stage, StreamTable, Verdict, values::without_values};

/// How far a table is with its first population.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Populated,
    /// It may still be populated: why it is not yet.
    Waiting(String),
    /// The scheduler does not populate it: it was created with `initialize: false`.
    NeverByItself,
    /// It is in status ERROR: the engine's message, which may quote values of rows.
    InError(String),
    /// It will not be populated: what is wrong.
    Failed(String),
}

impl Progress {
    /// The same without values of rows that the engine may quote.
    #[must_use]
    pub fn without_values(&self) -> Self {
        match self {
            Self::InError(message) => Self::InError(without_values(message, None)),
            Self::Populated | Self::Waiting(_) | Self::NeverByItself | Self::Failed(_) => self.clone(),
        }
    }
}

pub fn progress(health: Option<&Health>) -> Progress {
    let Some(health) = health else {
        return Progress::Waiting("does not exist as a stream table".into());
    };
    match health.status.as_str() {
        "ERROR" => {
            Progress::InError(engine_message(health.last_error_message.as_deref().unwrap_or_default()))
        }
        "SUSPENDED" if !health.is_populated => {
            Progress::Failed("is suspended and was never populated".into())
        }
        _ if health.is_populated => Progress::Populated,
        // docs/pg_trickle.md, "Creation and population": the creation populates the table before it commits, so a table
        // in this state was created without, and the scheduler skips it.
        "INITIALIZING" => Progress::NeverByItself,
        status => Progress::Waiting(format!("is {status} and not populated yet")),
    }
}

/// The outcome of a table that was waited for.
pub fn outcome(relation: &Relation, progress: &Progress) -> Outcome {
    let (verdict, message, details) = match progress {
        Progress::Populated => (Verdict::Passed, "populated".to_owned(), vec![]),
        Progress::Waiting(why) | Progress::Failed(why) => (Verdict::Failed, why.clone(), vec![]),
        Progress::InError(message) => {
            return Outcome::new(Stage::Population, relation, Verdict::Failed, in_error(message))
                .quoting(message, None);
        }
        Progress::NeverByItself => (
            Verdict::Failed,
            "was created with initialize: false and not populated since".to_owned(),
            vec![format!("populate it: select pgtrickle.refresh_stream_table('{relation}')")],
        ),
    };
    Outcome::new(Stage::Population, relation, verdict, message).with_details(details)
}

/// The sentence about a table in status ERROR.
pub fn in_error(message: &str) -> String {
    format!("is in status ERROR: {message}")
}

/// Judges whether one table was ever populated. What happened since is its status.
pub fn judge(table: &StreamTable, catalog: &Catalog) -> Outcome {
    let health = catalog.get(&table.relation).map(|deployed| &deployed.health);
    let progress = match health {
        Some(health) if health.is_populated => Progress::Populated,
        health => progress(health),
    };
    outcome(&table.relation, &progress).about(table.origin.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{catalog, sample};

    fn health(status: &str, is_populated: bool, error: Option<&str>) -> Health {
        Health {
            status: status.into(),
            is_populated,
            last_error_message: error.map(ToOwned::to_owned),
            ..Health::default()
        }
    }

    #[test]
    fn waiting_ends_if_the_table_cannot_become_populated() {
        let progress = |status, populated, error| progress(Some(&health(status, populated, error)));
        assert_eq!(progress("ACTIVE", true, None), Progress::Populated);
        assert!(matches!(progress("ACTIVE", false, None), Progress::Waiting(_)));
        assert_eq!(progress("INITIALIZING", false, None), Progress::NeverByItself);
        assert!(matches!(progress("SUSPENDED", false, None), Progress::Failed(_)));
        assert_eq!(
            progress("ERROR", true, Some("… message: \"division by zero\", …")),
            Progress::InError("division by zero".into())
        );
        let quotes = progress("ERROR", true, Some("… message: \"no address of secret\", …"));
        assert!(!format!("{:?}", quotes.without_values()).contains("secret"));
    }

    #[test]
    fn an_unpopulated_table_fails_with_the_next_command() {
        let table = sample::table("t", &[]);
        let mut there = sample::deployed(table.clone());
        let judged = |there| judge(&table, &catalog(&[there]));
        assert_eq!(judged(there.clone()).verdict, Verdict::Passed);
        there.health = health("INITIALIZING", false, None);
        let outcome = judged(there);
        assert_eq!(outcome.verdict, Verdict::Failed);
        assert_eq!(outcome.details, ["populate it: select pgtrickle.refresh_stream_table('s.t')"]);
        assert_eq!(judge(&table, &catalog(&[])).message, "does not exist as a stream table");
    }
}
