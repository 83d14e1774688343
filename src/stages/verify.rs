//! Verifies stream tables: as they are, and while rows change.

use std::{collections::BTreeSet, net::IpAddr, thread};

use crate::{
    Error,
    judge::equality,
    model::{Engine, Outcome, Relation, StreamTable},
    options::{self, RoundOptions},
    output::{Activity, Ui},
    pg::{Client, Limits},
    project::Project,
    verify::{
        Extent, Known, RoundSettings, Verification, Writes, compare_before_rounds, compare_with_queries,
        replay,
    },
};

/// What to verify, and how.
pub struct Verifying<'a> {
    pub ui: Ui,
    pub client: &'a Client,
    pub engine: Engine,
    pub options: &'a RoundOptions,
    pub limits: Limits,
    /// `None` changes no rows.
    pub writes: Option<Writes>,
}

impl Verifying<'_> {
    /// Compares the tables with their queries; then, if rows may be changed, verifies rounds of changes.
    ///
    /// Adds outcomes as it goes, so that an interrupted verification reports what it has seen.
    pub async fn verify(
        self,
        project: Option<&Project>,
        tables: &[&StreamTable],
        changed_first: &BTreeSet<Relation>,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Error> {
        if self.writes.is_some() {
            let budget = humantime::format_duration(self.options.budget);
            self.ui.say(&format!("changing rows and comparing, for {budget}"));
        }
        let (ui, activity) = (self.ui, Activity::default());
        let work = self.work(project, tables, changed_first, &activity, outcomes);
        ui.show_while(&activity, Box::pin(work)).await
    }

    async fn work(
        self,
        project: Option<&Project>,
        tables: &[&StreamTable],
        changed_first: &BTreeSet<Relation>,
        activity: &Activity,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Error> {
        let Self { ui: _, client, engine, options, limits, writes } = self;
        let terms = equality_terms(&options.equality, project);
        let jobs = connections(client, options.jobs);
        let Some(writes) = writes else {
            let extent = Extent { time: None, jobs, activity };
            return Ok(compare_with_queries(client, tables, &terms, extent, outcomes).await?);
        };
        let RoundOptions {
            budget,
            seed,
            until_found,
            by_scheduler,
            min_rounds,
            partitions,
            open_transactions,
            ref findings,
            replays,
            ..
        } = *options;
        let settings = RoundSettings {
            budget,
            seed,
            until_found,
            terms,
            by_scheduler,
            writes,
            partitions,
            open_transactions,
            min_rounds,
            jobs,
        };
        if replays {
            outcomes.extend(replay(client, limits, writes, findings, activity).await?);
        }
        let extent = Extent { time: settings.before_rounds(), jobs, activity };
        let equal = compare_before_rounds(client, tables, &settings.terms, extent, outcomes).await?;
        let known = Known { changed: changed_first.clone(), equal };
        let verification =
            Verification { client, engine, settings, limits, findings, keeps: replays, activity };
        Box::pin(verification.run(tables, &known, outcomes)).await
    }
}

/// The number of connections that compare tables. By default all cores of this machine work; a server elsewhere has other
/// work, too.
pub fn connections(client: &Client, wanted: Option<u32>) -> usize {
    let host = &client.endpoint().host;
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_here = is_loopback || host.starts_with('/');
    let default = || if is_here { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    wanted.map_or_else(default, |wanted| usize::try_from(wanted).unwrap_or(usize::MAX)).max(1)
}

/// What counts as equal, without the models that are excluded from verification.
pub fn equality_terms(terms: &equality::Terms, project: Option<&Project>) -> equality::Terms {
    let unverified = project.into_iter().flat_map(|project| &project.unverified);
    let skip = terms.skip.iter().cloned().chain(unverified.map(ToString::to_string)).collect();
    equality::Terms { skip, ..terms.clone() }
}

/// Whether rows may be changed, and how. On a named server, `--allow-writes` must repeat the name of its database.
pub async fn writes(client: &Client, options: &RoundOptions, is_own: bool) -> Result<Option<Writes>, Error> {
    if is_own {
        return Ok(Some(Writes::Committed));
    }
    let database = &client.endpoint().database;
    match options.allow_writes.as_deref() {
        None => return Ok(None),
        Some(name) if name == database => {}
        Some(name) => {
            let (name, database) = (name.to_owned(), database.clone());
            let is_ephemeral = client.is_ephemeral().await?;
            return Err(options::Error::OtherDatabase { name, database, is_ephemeral }.into());
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
