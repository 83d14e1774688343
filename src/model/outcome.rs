//! Outcomes: the results that stages report.

use std::{fmt, time::Duration};

use serde::Serialize;
use strum::VariantArray as _;

use super::{Origin, Relation, values::without_values};

/// A part of the gate, in order of execution. It is a test suite in the JUnit file.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Stage {
    /// Starts or connects to a server, and creates what the project needs on it.
    Setup,
    /// Whether the plan is allowed and can succeed.
    Plan,
    /// Deploys the tables with dbt.
    Deploy,
    /// Whether the change did what the plan said to the tables of the base revision.
    Rehearsal,
    /// Whether each table exists, and is the stream table of its model.
    Present,
    /// Whether each table is populated.
    Population,
    /// The dbt tests of the project.
    Test,
    /// Whether each table's status allows refreshes.
    Status,
    /// How old the rows are.
    Freshness,
    /// Whether the scheduler runs, and what blocks it.
    Scheduler,
    /// Whether changes of the sources are captured.
    Capture,
    /// Whether tables are refreshed in the configured mode.
    #[strum(serialize = "refresh-mode")]
    Mode,
    /// Whether the upstream tables of a table are healthy.
    Dependencies,
    /// Whether known bugs of the installed version apply.
    #[strum(serialize = "hazards")]
    Hazard,
    /// Whether the rows of each table equal the result of its query.
    Equality,
    /// The same after changes of the sources.
    Verify,
}

impl Stage {
    /// All stages in order.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name in reports.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The result of one check.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// There is evidence that the subject is good.
    Passed,
    /// The check did not run, because an earlier step failed.
    Skipped,
    /// A possible problem, which does not fail the gate.
    Warned,
    /// There is evidence that the subject is not good.
    Failed,
    /// The check could not get its evidence.
    Errored,
}

impl Verdict {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it fails the gate.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Errored)
    }
}

/// The object that an outcome describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A relation of the database.
    Relation(Relation),
    /// A dbt test, or a part of the server such as `scheduler`.
    Named(String),
}

impl Subject {
    pub fn relation(&self) -> Option<&Relation> {
        match self {
            Self::Relation(relation) => Some(relation),
            Self::Named(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relation(relation) => relation.fmt(formatter),
            Self::Named(name) => formatter.write_str(name),
        }
    }
}

impl From<&Relation> for Subject {
    fn from(relation: &Relation) -> Self {
        Self::Relation(relation.clone())
    }
}

impl From<&str> for Subject {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<&String> for Subject {
    fn from(name: &String) -> Self {
        Self::Named(name.clone())
    }
}

impl From<String> for Subject {
    fn from(name: String) -> Self {
        Self::Named(name)
    }
}

/// Replaces hidden rows in a report.
const ROWS_ARE_HIDDEN: &str = "rows and scripts are hidden because the sources come from another server (`--sources-from`); \
    `rehearsal: {examples: 3}` in pgtrickle-ci.yml shows them";

/// The result of one check of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub stage: Stage,
    /// Unique in its stage.
    pub subject: Subject,
    pub verdict: Verdict,
    /// One sentence.
    pub message: String,
    /// More lines: a server's DETAIL and HINT, the next command to type.
    pub details: Vec<String>,
    /// Lines that may contain values of rows. Reports show them before the details, or hide them: see
    /// [`Outcome::hide_rows`].
    pub rows: Vec<String>,
    /// Parts of the message that quote a server or dbt, each with its replacement where rows are hidden.
    pub quotes: Vec<(String, String)>,
    /// SQL that reproduces it in an empty database, if it is short enough for a report.
    pub script: Option<String>,
    /// `None` if it was not measured.
    pub elapsed: Option<Duration>,
    /// The dbt model of the subject.
    pub origin: Option<Origin>,
    /// The stream tables that it says something about, if the subject is another object: the readers of a source, the
    /// tables that a dbt test tests.
    pub concerns: Vec<Relation>,
}

impl Outcome {
    /// An outcome without details, rows, duration and model.
    pub fn new(
        stage: Stage,
        subject: impl Into<Subject>,
        verdict: Verdict,
        message: impl Into<String>,
    ) -> Self {
        Self {
            stage,
            subject: subject.into(),
            verdict,
            message: message.into(),
            details: Vec::new(),
            rows: Vec::new(),
            quotes: Vec::new(),
            script: None,
            elapsed: None,
            origin: None,
            concerns: Vec::new(),
        }
    }

    #[must_use]
    pub fn about(mut self, origin: Option<&Origin>) -> Self {
        self.origin = origin.cloned();
        self
    }

    #[must_use]
    pub fn concerning<'a>(mut self, tables: impl IntoIterator<Item = &'a Relation>) -> Self {
        self.concerns.extend(tables.into_iter().cloned());
        self
    }

    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Adds lines that may contain values of rows, such as examples and a server's DETAIL.
    #[must_use]
    pub fn with_rows(mut self, rows: impl IntoIterator<Item = String>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// Marks the part of the message that quotes a server or dbt, which may contain values of rows. `code` is the SQLSTATE,
    /// if it is known.
    #[must_use]
    pub fn quoting(mut self, said: &str, code: Option<&str>) -> Self {
        let without = without_values(said, code);
        if without != said && !said.is_empty() {
            self.quotes.push((said.to_owned(), without));
        }
        self
    }

    /// Removes everything that may contain values of rows, and adds a line that says so. `quotes` are those of the whole
    /// report: one outcome may repeat another's message.
    pub fn hide_rows(&mut self, quotes: &[(String, String)]) {
        let mut hides = !self.rows.is_empty() || self.script.is_some();
        self.rows.clear();
        self.script = None;
        for text in std::iter::once(&mut self.message).chain(&mut self.details) {
            for (said, without) in quotes.iter().filter(|(said, _)| !said.is_empty()) {
                if text.contains(said.as_str()) {
                    *text = text.replace(said.as_str(), without);
                    hides = true;
                }
            }
        }
        if hides {
            self.details.push(ROWS_ARE_HIDDEN.to_owned());
        }
    }

    /// Moves the lines that may contain values of rows before the other details.
    pub fn show_rows(&mut self) {
        self.rows.append(&mut self.details);
        std::mem::swap(&mut self.rows, &mut self.details);
    }

    #[must_use]
    pub fn taking(mut self, elapsed: Duration) -> Self {
        self.elapsed = Some(elapsed);
        self
    }
}
