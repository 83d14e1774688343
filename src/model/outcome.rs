//! The only thing that a stage reports.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{Origin, Relation, values::without_values};

/// A part of the gate, in the order in which they run. It is a suite in the JUnit file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Getting a server and what the project needs on it.
    Setup,
    /// What the plan refuses.
    Plan,
    /// dbt creating the tables.
    Deploy,
    /// Whether the change did to the tables of the base revision what the plan said.
    Rehearsal,
    /// Whether each table is there and is what it claims to be.
    Present,
    /// The tables being filled.
    Population,
    /// dbt's own tests.
    Test,
    /// Whether each table is refreshed at all.
    Status,
    /// How old the contents are.
    Freshness,
    /// Whether the scheduler runs, and what holds it back.
    Scheduler,
    /// Whether changes of the sources are captured.
    Capture,
    /// Whether tables are refreshed in the mode that was asked for.
    Mode,
    /// Whether what a table reads is good itself.
    Dependencies,
    /// What is known to go wrong in the installed version.
    Hazard,
    /// Whether the tables hold what their queries give.
    Equality,
    /// The same while the data moves.
    Verify,
}

impl Stage {
    /// Every stage, in their order: a report is read back with them.
    pub const ALL: [Self; 16] = [
        Self::Setup,
        Self::Plan,
        Self::Deploy,
        Self::Rehearsal,
        Self::Present,
        Self::Population,
        Self::Test,
        Self::Status,
        Self::Freshness,
        Self::Scheduler,
        Self::Capture,
        Self::Mode,
        Self::Dependencies,
        Self::Hazard,
        Self::Equality,
        Self::Verify,
    ];

    /// The stage in one lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Plan => "plan",
            Self::Deploy => "deploy",
            Self::Rehearsal => "rehearsal",
            Self::Present => "present",
            Self::Population => "population",
            Self::Test => "test",
            Self::Status => "status",
            Self::Freshness => "freshness",
            Self::Scheduler => "scheduler",
            Self::Capture => "capture",
            Self::Mode => "refresh-mode",
            Self::Dependencies => "dependencies",
            Self::Hazard => "hazards",
            Self::Equality => "equality",
            Self::Verify => "verify",
        }
    }
}

/// How a single judgement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There is evidence that it is good.
    Passed,
    /// It was not looked at, because something before it went wrong.
    Skipped,
    /// It is worth a look.
    Warned,
    /// There is evidence that it is not good.
    Failed,
    /// The evidence could not be had.
    Errored,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 5] = [Self::Passed, Self::Skipped, Self::Warned, Self::Failed, Self::Errored];

    /// The verdict in one lower-case word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::Errored => "errored",
        }
    }

    /// Whether the gate says no because of it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Errored)
    }
}

/// What an outcome is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A relation of the database.
    Relation(Relation),
    /// A dbt test, or a part of the server such as `scheduler`.
    Named(String),
}

impl Subject {
    /// The relation, where it is one.
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

/// What a report says in place of rows.
const ROWS_ARE_HIDDEN: &str = "rows and scripts are left out because the sources come from another server (`--sources-from`); \
    `rehearsal: {examples: 3}` in pgtrickle-ci.yml shows them";

/// One judgement: what was looked at, how it ended, and what a person should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The stage that made it.
    pub stage: Stage,
    /// What it is about. Unique in its stage.
    pub subject: Subject,
    /// How it ended.
    pub verdict: Verdict,
    /// One sentence.
    pub message: String,
    /// More lines: a server's DETAIL and HINT, the next command to type.
    pub details: Vec<String>,
    /// Lines that may hold values of rows. They come before the details, or are left out: see [`Outcome::hide_rows`].
    pub rows: Vec<String>,
    /// Parts of the message that a server or dbt said, with what to say where rows are hidden.
    pub quotes: Vec<(String, String)>,
    /// SQL that shows it on an empty database, where that is not too long to be told.
    pub script: Option<String>,
    /// How long it took, where that was measured.
    pub elapsed: Option<Duration>,
    /// The dbt model it is about.
    pub origin: Option<Origin>,
}

impl Outcome {
    /// An outcome with nothing but the essentials.
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
        }
    }

    /// The same outcome about a model.
    #[must_use]
    pub fn about(mut self, origin: Option<&Origin>) -> Self {
        self.origin = origin.cloned();
        self
    }

    /// The same outcome with more lines.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// The same outcome with lines that may hold values of rows, such as examples and a server's DETAIL.
    #[must_use]
    pub fn with_rows(mut self, rows: impl IntoIterator<Item = String>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// The same outcome, whose message has what a server or dbt said: that may quote values of rows. `code` is the SQLSTATE,
    /// where it is known.
    #[must_use]
    pub fn quoting(mut self, said: &str, code: Option<&str>) -> Self {
        let without = without_values(said, code);
        if without != said && !said.is_empty() {
            self.quotes.push((said.to_owned(), without));
        }
        self
    }

    /// Leaves out what may hold values of rows, and says so. The quotes are those of the whole report: one outcome may
    /// repeat another's message.
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

    /// Puts what may hold values of rows with the other details.
    pub fn show_rows(&mut self) {
        self.rows.append(&mut self.details);
        std::mem::swap(&mut self.rows, &mut self.details);
    }

    /// The same outcome with its time.
    #[must_use]
    pub fn taking(mut self, elapsed: Duration) -> Self {
        self.elapsed = Some(elapsed);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stage_is_forgotten_where_reports_are_read_back() {
        let (_, name) = include_str!("outcome.rs").split_once("pub fn name(self)").unwrap();
        let (name, _) = name.split_once("\n    }\n").unwrap();
        assert_eq!(name.matches("Self::").count(), Stage::ALL.len());
        assert!(Stage::ALL.is_sorted());
    }
}
