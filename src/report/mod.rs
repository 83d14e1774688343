//! The report of a command and its renderers. A renderer is `&Report -> String` and opens no file.

pub mod annotations;
pub mod compare;
mod diff;
pub mod explain;
pub mod freshness;
mod graph;
pub mod history;
pub mod html;
pub mod in_force;
pub mod json;
pub mod junit;
pub mod legs;
pub mod markdown;
mod matrix;
pub mod merge;
mod mermaid;
mod page;
pub mod read;
#[cfg(test)]
mod sample;
pub mod terminal;
pub(crate) mod text;
mod words;

use std::{collections::BTreeMap, time::Duration};

use time::OffsetDateTime;

use crate::{
    judge::{freshness::TableAge, rehearsal::Rehearsal},
    model::{Engine, Outcome, ProjectSource, ShardShare, Stage, Verdict},
    plan::Plan,
};

/// Everything that one command found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub command: String,
    /// The command line without secrets, if known.
    pub invocation: Option<String>,
    /// The tested commit, if a workflow named it.
    pub commit: Option<String>,
    /// The job that wrote the report, with its leg of a matrix, if a workflow named it.
    pub leg: Option<String>,
    /// The name of the dbt project, once known.
    pub project: Option<String>,
    /// Where the project was read from, once it is read.
    pub project_source: Option<ProjectSource>,
    /// `--select` and `--exclude`, as given.
    pub selection: Option<String>,
    /// The shard of the project that the command took.
    pub shard: Option<ShardShare>,
    /// The server as `host:port/database` without secrets, or the baseline of the comparison.
    pub target: Option<String>,
    /// The dbt target and where it comes from, such as `prod (from DBT_TARGET)`.
    pub dbt_target: Option<String>,
    /// The server's software, once known.
    pub engine: Option<Engine>,
    pub started_at: OffsetDateTime,
    pub elapsed: Duration,
    /// The timed parts of the run, in order.
    pub timings: Vec<(String, Duration)>,
    /// The plan, if the command made one.
    pub plan: Option<Plan>,
    /// What the change did after the base revision was deployed, if the command rehearsed it.
    pub rehearsal: Option<Rehearsal>,
    /// All outcomes, in the order of the checks.
    pub outcomes: Vec<Outcome>,
    /// The ages of the checked tables.
    pub ages: Vec<TableAge>,
    /// Warnings count as failures.
    pub strict: bool,
    /// Rows may be real data of another server, and the configuration does not ask to show them.
    pub hides_rows: bool,
    /// A signal ended the run.
    pub interrupted: bool,
}

/// The number of outcomes by verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    pub passed: usize,
    pub skipped: usize,
    pub warned: usize,
    pub failed: usize,
    pub errored: usize,
}

impl Tally {
    pub(super) fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut tally = Self::default();
        outcomes.into_iter().for_each(|outcome| tally.count(outcome.verdict));
        tally
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Skipped => &mut self.skipped,
            Verdict::Warned => &mut self.warned,
            Verdict::Failed => &mut self.failed,
            Verdict::Errored => &mut self.errored,
        } += 1;
    }
}

impl Report {
    /// An empty report for a command that starts now.
    pub fn begin(command: impl Into<String>, started_at: OffsetDateTime) -> Self {
        Self {
            command: command.into(),
            invocation: None,
            commit: None,
            leg: None,
            project: None,
            project_source: None,
            selection: None,
            shard: None,
            target: None,
            dbt_target: None,
            engine: None,
            started_at,
            elapsed: Duration::ZERO,
            timings: Vec::new(),
            plan: None,
            rehearsal: None,
            outcomes: Vec::new(),
            ages: Vec::new(),
            strict: false,
            hides_rows: false,
            interrupted: false,
        }
    }

    /// How long each subject took, in all stages.
    pub fn durations(&self) -> BTreeMap<String, Duration> {
        let mut durations: BTreeMap<String, Duration> = BTreeMap::new();
        for (subject, elapsed) in self.outcomes.iter().filter_map(|of| Some((&of.subject, of.elapsed?))) {
            *durations.entry(subject.to_string()).or_default() += elapsed;
        }
        durations
    }

    /// The number of outcomes by verdict.
    pub fn tally(&self) -> Tally {
        Tally::of(&self.outcomes)
    }

    /// Failures, errors and warnings, in the order of the checks.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Outcome> {
        let is_problem = |verdict: Verdict| verdict.is_bad() || verdict == Verdict::Warned;
        self.outcomes.iter().filter(move |outcome| is_problem(outcome.verdict))
    }

    /// Whether the gate passed.
    pub fn passed(&self) -> bool {
        let tally = self.tally();
        !self.interrupted && tally.failed == 0 && tally.errored == 0 && !(self.strict && tally.warned > 0)
    }

    /// Hides or shows detail lines that may contain values of rows. Call it once, before rendering.
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

    /// `passed`, `failed` or `interrupted`.
    pub fn conclusion(&self) -> &'static str {
        if self.interrupted {
            "interrupted"
        } else if self.passed() {
            "passed"
        } else {
            "failed"
        }
    }

    /// The outcomes by stage, in the order of the stages.
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
