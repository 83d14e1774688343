//! `verify`: whether the stream tables hold what their queries give, as they are and while the data moves.

mod coverage;
mod laboratory;
mod log;
mod moving;
mod now;
mod proof;
mod rolled_back;
mod settle;
mod shrink;
mod telling;

use std::{collections::BTreeSet, path::Path, time::Duration};

use moving::Moving;
pub(super) use moving::Wishes;
pub(super) use now::equal_now;
use proof::Proof;
use shrink::Whole;

use crate::{
    Error,
    commands::{connect::connect_and_identify, project::load_if_any},
    exit::Exit,
    judge::{self, equality},
    model::{Relation, StreamTable},
    options::{self, RoundOptions, VerifyOptions},
    output,
    pg::{self, Client},
    project::Project,
    report::{self, Report},
};

/// A TRUNCATE that follows a refresh faster than this is lost now and then, which no seed would find again
/// (docs/pg_trickle.md, "Refresh and history").
const CALM: Duration = Duration::from_secs(1);

/// A script of more bytes is not told in reports, which then only name its file.
const LONGEST_SCRIPT: usize = 20_000;

/// Verifies the project's stream tables, or without a project every one of the database.
pub(super) async fn verify(options: &VerifyOptions, report: &mut Report) -> Result<Exit, Error> {
    let project = load_if_any(&options.models, &options.server, report).await?;
    let endpoint = options.server.endpoint(&options.models.project)?;
    let (client, _) = connect_and_identify(&endpoint, options.server.limits, report).await?;
    let rounds = &options.rounds;
    let writes = writes(&client, rounds, false).await?;
    if writes.is_some() {
        client.check_takes_writes().await?;
    }
    let deployed = client.catalog().await?;
    let tables = judge::subjects(project.as_ref().map(|project| project.tables.as_slice()), &deployed);
    let terms = terms(&rounds.equality, project.as_ref());
    equal_now(&client, &tables, &terms, None, &mut report.outcomes).await?;
    if let Some(writes) = writes {
        let wishes = Wishes::new(rounds, terms, writes == Writes::Committed);
        let moved = While { wishes: &wishes, limits: options.server.limits, findings: &rounds.findings };
        moved.data_moves(&client, &tables, &BTreeSet::new(), report).await?;
    } else if !options.only_static {
        options.ui.say(&format!(
            "compared as they are; to move the data in transactions that are rolled back, give --allow-writes {}",
            client.endpoint().database
        ));
    }
    Ok(Exit::Passed)
}

/// What counts as equal: the configuration's terms, without the models that are not verified.
pub(super) fn terms(terms: &equality::Terms, project: Option<&Project>) -> equality::Terms {
    let unverified = project.into_iter().flat_map(|project| &project.unverified);
    let skip = terms.skip.iter().cloned().chain(unverified.map(ToString::to_string)).collect();
    equality::Terms { skip, ..terms.clone() }
}

/// What becomes of the rows that are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// They stay: the server is ephemeral.
    Committed,
    /// Nothing of it is ever committed.
    RolledBack,
}

/// Whether rows may be changed, and how: on the gate's own server freely, elsewhere only where the name of the database is
/// repeated.
pub(super) async fn writes(
    client: &Client,
    options: &RoundOptions,
    is_own: bool,
) -> Result<Option<Writes>, Error> {
    if is_own {
        return Ok(Some(Writes::Committed));
    }
    let database = &client.endpoint().database;
    match options.allow_writes.as_deref() {
        None => return Ok(None),
        Some(name) if name == database => {}
        Some(name) => {
            let (name, database) = (name.to_owned(), database.clone());
            return Err(options::Error::OtherDatabase { name, database }.into());
        }
    }
    if client.is_ephemeral().await? {
        Ok(Some(Writes::Committed))
    } else if options.by_scheduler {
        Err(options::Error::SchedulerSeesCommits { database: database.clone() }.into())
    } else {
        Ok(Some(Writes::RolledBack))
    }
}

/// How, and where to.
pub(super) struct While<'a> {
    pub(super) wishes: &'a Wishes,
    pub(super) limits: pg::Limits,
    /// The folder for the scripts of findings.
    pub(super) findings: &'a Path,
}

impl While<'_> {
    /// Changes rows, refreshes and compares, until the budget is over; then every finding becomes a script.
    pub(super) async fn data_moves(
        &self,
        client: &Client,
        tables: &[&StreamTable],
        changed_first: &BTreeSet<Relation>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let exclusive = client.exclusively().await?;
        let deployed = client.catalog().await?;
        let is_emulator = report.engine.as_ref().is_some_and(report::Engine::is_emulator);
        let calm = if is_emulator { Duration::ZERO } else { CALM };
        let mut moving = Moving::prepare(client, &deployed, tables, self.wishes, changed_first, calm).await?;
        let before = report.outcomes.len();
        let mut tell = |moving: &Moving| {
            report.outcomes.truncate(before);
            report.outcomes.extend(moving.outcomes(tables));
        };
        tell(&moving);
        if self.wishes.commits {
            client.limit(self.limits.statement).await?;
            let moved = moving.run(&mut tell).await;
            tell(&moving);
            moved?;
        } else {
            let proof = Proof::begin(client, self.wishes.budget / 4).await?;
            let moved = moving.run_rolled_back(&exclusive, &mut tell).await;
            tell(&moving);
            moved?;
            report.outcomes.push(proof.end(client, &exclusive, moving.process).await?);
        }
        let findings = std::mem::take(&mut moving.wholes);
        self.write_scripts(client, &findings, before, report).await
    }

    /// A script for each finding, attached to its outcome.
    async fn write_scripts(
        &self,
        client: &Client,
        findings: &[Whole],
        before: usize,
        report: &mut Report,
    ) -> Result<(), Error> {
        let engine = report.engine.as_ref().map(report::Engine::describe).unwrap_or_default();
        for finding in findings {
            let script = finding.script(client, self.limits, findings.len(), self.wishes, &engine).await?;
            let file = self.findings.join(format!("{}.sql", finding.relation));
            output::make_folder(self.findings)?;
            // Its rows may be real data, also where reports hide them.
            output::to_private_file(&file, &script)?;
            if let Some(outcome) = report.outcomes[before..]
                .iter_mut()
                .find(|outcome| outcome.subject.relation() == Some(&finding.relation))
            {
                outcome.details.push(format!("script: {}", file.display()));
                outcome.script = (script.len() <= LONGEST_SCRIPT).then_some(script);
            }
        }
        Ok(())
    }
}

/// Does what is left to do when everything else was dropped, in the middle of a runtime that cannot be waited in: on a
/// thread of its own.
fn finish<T: Send>(work: impl AsyncFnOnce() -> Option<T> + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(work())
        });
        work.join().ok().flatten()
    })
}
