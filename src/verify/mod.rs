//! Verification: changes rows of the sources, refreshes, and compares every stream table with its query.
//!
//! On an ephemeral server rounds are committed (`rounds`); on a named server each is rolled back (`rolled_back`). A finding
//! becomes a script that reproduces it (`reproduce`), as small as tries in a scratch database make it.

mod changes;
mod coverage;
mod equality;
mod finding;
mod open;
mod outcomes;
mod proof;
mod refresh;
mod replay;
mod reproduce;
mod rolled_back;
mod rounds;
mod scratch;
mod second_session;
mod settings;
mod subjects;
mod wal;

pub use equality::{Extent, compare_before_rounds, compare_with_queries};
pub use replay::replay;
pub use settings::{RoundSettings, Writes};
pub use subjects::Known;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use equality::compare_after_rounds;
use proof::Proof;
use reproduce::Reproduction;
use rounds::Rounds;
use second_session::SecondSession;
use subjects::Subjects;

use crate::{
    Error,
    model::{Engine, Outcome, StreamTable},
    mutate::was_reproduced,
    output::{self, Activity},
    pg::{self, Client},
};

/// pg_trickle sometimes loses a TRUNCATE that follows a refresh sooner than this, which no seed would reproduce
/// (docs/pg_trickle.md, "Refresh and history").
const TRUNCATE_DELAY: Duration = Duration::from_secs(1);

/// Reports contain scripts up to this many bytes, and the file name of a longer one.
const LONGEST_SCRIPT: usize = 20_000;

/// The end of the name of a script that shows how a query fails.
const FAILING_QUERY: &str = "-fails";

/// A report names the changes that make a query fail if there are at most this many.
const SHOWN_CHANGES: usize = 3;

/// A verification of one server.
pub struct Verification<'a> {
    pub client: &'a Client,
    pub engine: Engine,
    pub settings: RoundSettings,
    pub limits: pg::Limits,
    /// The folder for scripts of findings.
    pub findings: &'a Path,
    /// Whether scripts of other seeds stay in it.
    pub keeps: bool,
    /// How far it is.
    pub activity: &'a Activity,
}

impl Verification<'_> {
    /// Changes rows, refreshes and compares until the budget ends, then writes a script for each finding.
    ///
    /// Each round updates `outcomes`, so that an interrupted verification reports what it has seen.
    pub async fn run(
        &self,
        tables: &[&StreamTable],
        known: &Known,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Error> {
        let Self { client, settings, .. } = self;
        let exclusive = client.exclusively().await?;
        let deployed = client.catalog().await?;
        let delay = if self.engine.is_emulator() { Duration::ZERO } else { TRUNCATE_DELAY };
        let second = SecondSession::of(client, settings).await;
        let (subjects, mutator) =
            Subjects::prepare(client, &deployed, tables, settings, known, second.is_idle()).await?;
        let mut rounds = Rounds::new((client, &exclusive, second), settings, subjects, mutator, delay);
        let before = outcomes.len();
        let mut scripts = Ok(Vec::new());
        let mut record = |rounds: &Rounds| {
            outcomes.truncate(before);
            outcomes.extend(rounds.outcomes(tables));
            self.activity.set(rounds.describe());
            if let Ok(files) = &mut scripts
                && let Err(error) = self.write_unreduced(&rounds.seen.reproductions, files)
            {
                scripts = Err(error);
            }
            for (finding, file) in rounds.seen.reproductions.iter().zip(scripts.iter().flatten()) {
                let mut new = outcomes[before..].iter_mut();
                if let Some(outcome) = new.find(|outcome| finding.is_about(outcome)) {
                    outcome.details.push(format!("script: {}", file.display()));
                }
            }
        };
        record(&rounds);
        if settings.commits() {
            client.limit().await?;
            client.take_database_settings().await?;
            let done = rounds.run(&mut record).await;
            rounds.is_over = done.is_ok();
            record(&rounds);
            done?;
        } else {
            let proof = Proof::begin(client, &rounds.subjects.hidden_reads, settings.budget / 4).await?;
            let done = rounds.run_rolled_back(&mut record).await;
            rounds.is_over = done.is_ok();
            record(&rounds);
            done?;
            outcomes.push(proof.end(client, &exclusive, rounds.process).await?);
            let time = settings.before_rounds();
            let extent = Extent { time, jobs: settings.jobs, activity: self.activity };
            outcomes.push(compare_after_rounds(client, tables, &known.equal, &settings.terms, extent).await?);
        }
        scripts?;
        // The connections are needed for the scratch database.
        let findings = std::mem::take(&mut rounds.seen.reproductions);
        drop(rounds);
        self.write_reduced(&findings, &mut outcomes[before..]).await
    }

    /// Writes a script for each finding that is not among the files yet: an interruption must not lose it.
    fn write_unreduced(&self, findings: &[Reproduction], files: &mut Vec<PathBuf>) -> Result<(), Error> {
        for finding in &findings[files.len()..] {
            let script = finding.unreduced(&self.settings, &self.engine.describe());
            files.push(self.write(finding, &script)?);
        }
        Ok(())
    }

    /// Reduces the findings, one after the other, writes their scripts again, and attaches them to the outcomes.
    async fn write_reduced(&self, findings: &[Reproduction], outcomes: &mut [Outcome]) -> Result<(), Error> {
        let engine = self.engine.describe();
        for (at, finding) in findings.iter().enumerate() {
            let (number, all) = (at + 1, findings.len());
            self.activity.set(format!("reducing finding {number} of {all}, in {}", finding.relation));
            let (case, script) =
                finding.reduced(self.client, self.limits, findings.len(), &self.settings, &engine).await?;
            self.write(finding, &script)?;
            if let Some(outcome) = outcomes.iter_mut().find(|outcome| finding.is_about(outcome)) {
                if finding.finding.is_of_query() {
                    outcome.rows.extend(case.last_changes(SHOWN_CHANGES));
                }
                // The script of a failure has precedence.
                if outcome.script.is_none() {
                    outcome.script = (script.len() <= LONGEST_SCRIPT).then_some(script);
                }
            }
        }
        Ok(())
    }

    /// Writes the script of a finding into its file.
    fn write(&self, finding: &Reproduction, script: &str) -> Result<PathBuf, Error> {
        let seed = if self.keeps { format!("-seed{}", self.settings.seed) } else { String::new() };
        let of_query = if finding.finding.is_of_query() { FAILING_QUERY } else { "" };
        let file = self.findings.join(format!("{}{of_query}{seed}.sql", finding.relation));
        output::make_folder(self.findings)?;
        // The corpus keeps what shows a finding.
        let is_better = || fs::read_to_string(&file).is_ok_and(|earlier| was_reproduced(&earlier));
        if self.keeps && !was_reproduced(script) && is_better() {
            return Ok(file);
        }
        // Its rows may be real data, even if reports hide them.
        output::to_private_file(&file, script)?;
        Ok(file)
    }
}

/// The answer; `None` if the server refused.
fn not_refused<T>(answer: Result<T, pg::Error>) -> Result<Option<T>, pg::Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(pg::Error::Server { .. }) => Ok(None),
        Err(lost) => Err(lost),
    }
}
