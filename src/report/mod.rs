//! What a run has to say, and the ways of saying it: every renderer is `&Report -> String` and opens no file.

pub mod annotations;
pub mod compare;
mod diff;
pub mod freshness;
pub mod json;
pub mod junit;
pub mod legs;
pub mod markdown;
mod mermaid;
mod page;
pub mod read;
#[cfg(test)]
mod sample;
pub mod terminal;
pub(crate) mod text;
mod words;

use std::time::Duration;

use time::OffsetDateTime;

use crate::{
    judge::rehearsal::Rehearsal,
    model::{Outcome, ProjectSource, Stage, Verdict},
    plan::Plan,
};

/// Everything that one command found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The subcommand.
    pub command: String,
    /// The command with its flags as it may be shown to anybody, where that is known.
    pub invocation: Option<String>,
    /// The commit that was looked at, where a workflow said it.
    pub commit: Option<String>,
    /// The job that made it, with its leg of a matrix, where a workflow said it.
    pub leg: Option<String>,
    /// The dbt project's name, once it is known.
    pub project: Option<String>,
    /// Where the project was read from, once it was.
    pub project_source: Option<ProjectSource>,
    /// What `--select` and `--exclude` said, where not everything is meant.
    pub selection: Option<String>,
    /// The server as it may be printed, `host:port/database`, or the baseline that was compared with.
    pub target: Option<String>,
    /// The dbt target and what chose it, as `prod (from DBT_TARGET)`.
    pub dbt_target: Option<String>,
    /// What runs there, once that is known.
    pub engine: Option<Engine>,
    /// When the command began.
    pub started_at: OffsetDateTime,
    /// How long it took.
    pub elapsed: Duration,
    /// Its parts that were timed, in the order in which they went on.
    pub timings: Vec<(String, Duration)>,
    /// What changes, where that was asked.
    pub plan: Option<Plan>,
    /// What the change did on top of another revision, where that was tried.
    pub rehearsal: Option<Rehearsal>,
    /// Every judgement, in the order in which it was made.
    pub outcomes: Vec<Outcome>,
    /// Warnings count as failures.
    pub strict: bool,
    /// Rows may be real data of another server, and the configuration does not ask for them.
    pub hides_rows: bool,
    /// It was stopped by a signal before its end.
    pub interrupted: bool,
}

/// The server's software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// PostgreSQL's version, as `18.4`.
    pub postgres: String,
    /// The extension's version, as `0.67.0` or `0.67.0-emulator`.
    pub pg_trickle: String,
}

impl Engine {
    /// Whether it is this project's own stand-in and not pg_trickle itself.
    pub fn is_emulator(&self) -> bool {
        self.pg_trickle.ends_with("-emulator")
    }

    /// The line that every report carries.
    pub fn describe(&self) -> String {
        let what = if self.is_emulator() { "the pg_trickle emulator" } else { "pg_trickle" };
        format!("{what} {} on PostgreSQL {}", self.pg_trickle, self.postgres)
    }
}

/// How many outcomes ended in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Good.
    pub passed: usize,
    /// Not looked at.
    pub skipped: usize,
    /// Worth a look.
    pub warned: usize,
    /// Not good.
    pub failed: usize,
    /// Without evidence.
    pub errored: usize,
}

impl Report {
    /// An empty report of a command that begins now.
    pub fn begin(command: impl Into<String>, started_at: OffsetDateTime) -> Self {
        Self {
            command: command.into(),
            invocation: None,
            commit: None,
            leg: None,
            project: None,
            project_source: None,
            selection: None,
            target: None,
            dbt_target: None,
            engine: None,
            started_at,
            elapsed: Duration::ZERO,
            timings: Vec::new(),
            plan: None,
            rehearsal: None,
            outcomes: Vec::new(),
            strict: false,
            hides_rows: false,
            interrupted: false,
        }
    }

    /// How many outcomes ended in which way.
    pub fn tally(&self) -> Tally {
        let count = |verdict| self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
        Tally {
            passed: count(Verdict::Passed),
            skipped: count(Verdict::Skipped),
            warned: count(Verdict::Warned),
            failed: count(Verdict::Failed),
            errored: count(Verdict::Errored),
        }
    }

    /// Whether the gate says yes.
    pub fn passed(&self) -> bool {
        let tally = self.tally();
        !self.interrupted && tally.failed == 0 && tally.errored == 0 && !(self.strict && tally.warned > 0)
    }

    /// Decides what becomes of lines that may hold values of rows. Called once, before anything is rendered.
    pub fn settle_rows(&mut self) {
        let mut quotes: Vec<_> =
            self.outcomes.iter_mut().flat_map(|outcome| std::mem::take(&mut outcome.quotes)).collect();
        // A short one may be a part of a long one.
        quotes.sort_by_key(|(said, _)| std::cmp::Reverse(said.len()));
        for outcome in &mut self.outcomes {
            if self.hides_rows {
                outcome.hide_rows(&quotes);
            } else {
                outcome.show_rows();
            }
        }
    }

    /// The verdict in one word.
    pub fn conclusion(&self) -> &'static str {
        if self.interrupted {
            "interrupted"
        } else if self.passed() {
            "passed"
        } else {
            "failed"
        }
    }

    /// The outcomes of each stage that has any, stages in the order in which they run.
    pub fn by_stage(&self) -> Vec<(Stage, Vec<&Outcome>)> {
        let mut stages: Vec<(Stage, Vec<&Outcome>)> = Vec::new();
        for outcome in &self.outcomes {
            match stages.iter_mut().find(|(stage, _)| *stage == outcome.stage) {
                Some((_, outcomes)) => outcomes.push(outcome),
                None => stages.push((outcome.stage, vec![outcome])),
            }
        }
        stages.sort_by_key(|(stage, _)| *stage);
        stages
    }
}
