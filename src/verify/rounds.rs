//! Rounds of changes, each followed by a refresh and a comparison of every table downstream of what changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    changes::{Changes, Transaction},
    coverage::{Reach, counted},
    finding::{Fault, Finding},
    reproduce::Reproduction,
    second_session::SecondSession,
    settings::RoundSettings,
    subjects::{Subjects, is_immediate},
};
use crate::{
    model::{Deployed, Relation},
    mutate::{Change, Mutator},
    pg::{self, Changed, Client, EngineTrigger, Exclusive, ServerMessage},
};

/// How long a round may take after the end of the budget until every table has what it changed. Without a refresh, a table
/// that was refreshed in its middle would stay wrong, and one that reads a materialized view would keep the old rows.
const ENDING: Duration = Duration::from_secs(10);

/// What the rounds saw of the tables.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) findings: BTreeMap<Relation, Finding>,
    /// What reproduces each finding, recorded when it was found.
    pub(super) reproductions: Vec<Reproduction>,
    /// The rounds after which each table was compared, only those that changed a source of it.
    pub(super) compared: BTreeMap<Relation, usize>,
    /// What these rounds did to it.
    pub(super) reach: BTreeMap<Relation, Reach>,
    /// Tables that differed in their last comparison, but whose query reads the clock, with what differed.
    pub(super) moved: BTreeMap<Relation, String>,
    /// Tables that the changes of a round did not reach in time.
    pub(super) unreached: BTreeSet<Relation>,
    /// Statements and refreshes that other sessions blocked, and those sessions.
    pub(super) blocked: usize,
    pub(super) blockers: BTreeSet<String>,
    /// Tables whose last refresh or comparison failed, not for what the rows are: a lock, a timeout, a privilege.
    pub(super) prevented: BTreeMap<Relation, (&'static str, ServerMessage)>,
    /// Tables whose query itself fails on rows that the schema allows, at first.
    pub(super) failing: BTreeMap<Relation, Finding>,
    /// Refreshes, comparisons and writes in which a query failed on the rows.
    pub(super) failing_queries: usize,
    /// The time until the first finding, with the round.
    pub(super) first_found: Option<(Duration, usize)>,
}

/// The rounds so far, and what they found.
pub(super) struct Rounds<'a> {
    pub(super) client: &'a Client,
    /// The connection that watches the rounds.
    exclusive: &'a Exclusive,
    pub(super) second: SecondSession,
    pub(super) settings: &'a RoundSettings,
    /// The wait before a TRUNCATE.
    pub(super) truncate_delay: Duration,
    pub(super) subjects: Subjects<'a>,
    pub(super) changes: Changes,
    pub(super) seen: Seen,
    /// The ID of the newest refresh before the first round.
    newest_refresh: i64,
    /// The server process of the rounds; if each is rolled back, of the last one.
    pub(super) process: i32,
    pub(super) elapsed: Duration,
    /// Whether they ended by themselves, and not by an interruption or a lost connection.
    pub(super) is_over: bool,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(
        (client, exclusive, second): (&'a Client, &'a Exclusive, SecondSession),
        settings: &'a RoundSettings,
        subjects: Subjects<'a>,
        mutator: Mutator,
        truncate_delay: Duration,
    ) -> Self {
        Self {
            client,
            exclusive,
            second,
            settings,
            truncate_delay,
            subjects,
            changes: Changes::new(mutator),
            seen: Seen::default(),
            newest_refresh: 0,
            process: 0,
            elapsed: Duration::ZERO,
            is_over: false,
        }
    }

    /// `round 57, 12 tables, 1 finding`
    pub(super) fn describe(&self) -> String {
        let (round, tables) = (self.changes.rounds + 1, counted(self.subjects.tables.len(), "table"));
        let found = self.seen.findings.len();
        format!("round {round}, {tables}, {}", counted(found, "finding"))
    }

    /// Commits rounds until the budget ends, and calls `record` after each.
    pub(super) async fn run(&mut self, mut record: impl FnMut(&Self)) -> Result<(), pg::Error> {
        let started = Instant::now();
        let deadline = started + self.settings.budget;
        self.newest_refresh = self.client.scheduled(&[], 0).await?.newest;
        self.process = self.client.process().await?;
        self.client.wait_for_locks(self.settings.wait_for_locks()).await?;
        let first = started + self.settings.before_rounds().unwrap_or_default();
        let suspected = self.read_from_wal(self.subjects.suspected(), first).await?;
        self.watched(async |rounds| rounds.compare(&suspected, first).await).await?;
        self.record_findings().await?;
        self.took(started.elapsed());
        while self.continues(deadline) {
            let sources = self.sources_by_priority();
            self.watched(async |rounds| rounds.round(&sources, deadline).await).await?;
            self.took(started.elapsed());
            record(self);
        }
        Ok(())
    }

    /// Works, and collects the sessions that block it meanwhile.
    pub(super) async fn watched(
        &mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<(), pg::Error>,
    ) -> Result<(), pg::Error> {
        let (exclusive, process, own) = (self.exclusive, self.process, self.second.process());
        let mut blockers = BTreeSet::new();
        let done = exclusive.watch(process, own, |now| blockers.extend(now), Box::pin(work(self))).await;
        self.seen.blockers.append(&mut blockers);
        done
    }

    /// Records the time that the rounds have taken so far.
    pub(super) fn took(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        if self.seen.first_found.is_none() && !self.seen.findings.is_empty() {
            self.seen.first_found = Some((elapsed, self.changes.rounds));
        }
    }

    /// Whether there is time, a source to change, and a table without a finding.
    pub(super) fn continues(&self, deadline: Instant) -> bool {
        if self.settings.until_found && !self.seen.findings.is_empty() {
            return false;
        }
        let can_change = self.changes.sources().iter().any(|source| source.out_of_reach.is_none());
        let mut relations = self.subjects.tables.iter().map(|deployed| &deployed.table.relation);
        can_change && Instant::now() < deadline && relations.any(|relation| self.is_open(relation))
    }

    /// Whether the table has no finding and changes can reach it.
    pub(super) fn is_open(&self, relation: &Relation) -> bool {
        !self.subjects.suspended.contains(relation)
            && !self.seen.findings.contains_key(relation)
            && self.failing_upstream(relation).is_none()
    }

    /// A table upstream whose refresh fails, so that no change reaches this one.
    pub(super) fn failing_upstream(&self, relation: &Relation) -> Option<&Relation> {
        let fails = |finding: &Finding| matches!(finding.fault, Fault::RefreshFails(_));
        if !self.seen.findings.values().any(fails) {
            return None;
        }
        let mut seen = BTreeSet::from([relation]);
        let mut next: Vec<&Relation> = self.subjects.upstream(relation).collect();
        while let Some(up) = next.pop() {
            match self.seen.findings.get_key_value(up) {
                Some((failing, finding)) if up != relation && fails(finding) => return Some(failing),
                _ if seen.insert(up) => next.extend(self.subjects.upstream(up)),
                _ => {}
            }
        }
        None
    }

    /// The sources in the order to change them. First those that were changed in few rounds and whose tables are many,
    /// delicate, and rarely compared so far, above all after a change of their result.
    pub(super) fn sources_by_priority(&self) -> Vec<usize> {
        let priority = |relation: &Relation| {
            let compared = self.seen.compared.get(relation).copied().unwrap_or_default();
            let changed = self.seen.reach.get(relation).map_or(0, Reach::changed_results);
            let priority = self.subjects.priority.get(relation).copied().unwrap_or_default();
            priority * 2_000_000 / (2 + compared + changed)
        };
        let mut sorted: Vec<usize> = (0..self.changes.sources().len())
            .filter(|at| self.changes.sources()[*at].out_of_reach.is_none())
            .collect();
        sorted.sort_by_cached_key(|at| {
            let open = self.subjects.reached[*at].iter().filter(|relation| self.is_open(relation));
            std::cmp::Reverse(open.map(priority).sum::<usize>() / (1 + self.changes.coverage[*at].rounds))
        });
        sorted
    }

    async fn round(&mut self, sources: &[usize], deadline: Instant) -> Result<(), pg::Error> {
        let drafts = self.changes.begin_round(sources);
        let (transactions, failing) = (drafts.len(), self.seen.failing_queries);
        let (mut early, mut open) = (None, None);
        for (nth, draft) in (1..).zip(drafts) {
            if nth > 1 && Instant::now() >= deadline {
                break;
            }
            if draft.stays_open {
                open = self.open(&draft).await?;
                continue;
            }
            if draft.truncates {
                // Before the transaction: an open one holds back the scheduler.
                tokio::time::sleep(self.truncate_delay).await;
            }
            self.client.run("begin").await?;
            let mut done = self.change(self.client, (0..draft.statements).map(|_| Mutator::change)).await?;
            done.extend(self.refresh_views(&done).await?);
            self.commit(done).await?;
            if self.seen.failing_queries > failing {
                // The refresh of a view has failed. The round will be reverted, and a later change might hide why.
                break;
            }
            if let Some(number) =
                draft.refreshes.filter(|_| nth < transactions && !self.settings.by_scheduler)
            {
                early = early.or_else(|| self.early_reader(number));
                self.refresh_early(early.as_ref(), deadline).await?;
            }
        }
        if let Some(open) = open {
            self.close(open, deadline).await?;
        }
        let deadline = deadline.max(Instant::now() + ENDING);
        let affected = self.read_from_wal(self.affected(), deadline).await?;
        if !self.settings.by_scheduler {
            // The reader that was ahead comes last.
            let late = early.map(|(_, table)| self.with_readers(table)).unwrap_or_default();
            let (late, first): (BTreeSet<Relation>, BTreeSet<Relation>) =
                affected.iter().cloned().partition(|relation| late.contains(relation));
            self.refresh(&first, deadline).await?;
            self.refresh(&late, deadline).await?;
        }
        self.compare(&affected, deadline).await?;
        self.record_findings().await?;
        if self.seen.failing_queries > failing { self.revert_round().await } else { Ok(()) }
    }

    /// Whether the table can be refreshed in the middle of a round. Not if a source is captured from the log, which a refresh
    /// must not precede.
    pub(super) fn may_be_early(&self, relation: &Relation) -> bool {
        let mut sources = self.changes.sources().iter();
        self.is_open(relation)
            && !sources.any(|source| source.from_log && source.readers.contains(relation))
            && self.subjects.find(relation).is_some_and(|deployed| !is_immediate(&deployed.table))
    }

    /// A changed source of this round, and one of its readers.
    fn early_reader(&self, number: usize) -> Option<(usize, Relation)> {
        let sources = self.changes.sources();
        let is_refreshed = |relation: &&Relation| self.may_be_early(relation);
        let changed = self.changes.changed();
        let readers: Vec<(usize, &Relation)> = changed
            .into_iter()
            .flat_map(|at| sources[at].readers.iter().filter(is_refreshed).map(move |reader| (at, reader)))
            .collect();
        let (at, reader) = readers.get(number % readers.len().max(1))?;
        Some((*at, (*reader).clone()))
    }

    async fn refresh_early(
        &mut self,
        reader: Option<&(usize, Relation)>,
        deadline: Instant,
    ) -> Result<(), pg::Error> {
        let Some((source, table)) = reader.filter(|(_, table)| self.is_open(table)) else { return Ok(()) };
        self.refresh_one(table, deadline).await?;
        self.changes.refreshed(*source, table);
        Ok(())
    }

    /// A table and those that read it.
    fn with_readers(&self, table: Relation) -> BTreeSet<Relation> {
        let mut found = BTreeSet::from([table]);
        loop {
            let is_reader = |deployed: &&&Deployed| {
                let table = &deployed.table;
                !found.contains(&table.relation) && table.upstream.iter().any(|up| found.contains(up))
            };
            let more: Vec<Relation> = self
                .subjects
                .tables
                .iter()
                .filter(is_reader)
                .map(|deployed| deployed.table.relation.clone())
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// The tables downstream of what the last round changed.
    pub(super) fn affected(&self) -> BTreeSet<Relation> {
        let changed = self.changes.changed();
        changed.into_iter().flat_map(|source| &self.subjects.reached[source]).cloned().collect()
    }

    /// Records what reproduces the new findings, while the sources still contain it.
    pub(super) async fn record_findings(&mut self) -> Result<(), pg::Error> {
        self.count_scheduled().await?;
        let is_new = |(relation, finding): &(&Relation, &Finding)| {
            !finding.is_of_others && !self.seen.reproductions.iter().any(|of| of.is_of(relation, finding))
        };
        let new = self.seen.findings.iter().chain(&self.seen.failing).filter(is_new);
        let mut recorded = Vec::new();
        for (relation, finding) in new {
            let by_scheduler = self.settings.by_scheduler;
            let of = (relation, finding, by_scheduler);
            recorded.extend(Reproduction::of(of, &self.subjects, &self.changes, self.client).await?);
        }
        self.seen.reproductions.extend(recorded);
        Ok(())
    }

    /// Counts what the scheduler did besides the rounds, for each new finding.
    async fn count_scheduled(&mut self) -> Result<(), pg::Error> {
        if self.settings.by_scheduler || !self.settings.commits() {
            return Ok(());
        }
        let round = self.changes.rounds;
        for (relation, finding) in &mut self.seen.findings {
            if finding.round == round {
                let read = self.subjects.with_upstream(vec![relation.clone()]);
                finding.scheduled = self.client.scheduled(&read, self.newest_refresh).await?.scheduled;
            }
        }
        Ok(())
    }

    /// Changes rows in the open transaction of this session. Each change is drawn after the one before it is done.
    pub(super) async fn change(
        &mut self,
        client: &Client,
        changes: impl IntoIterator<Item = impl FnOnce(&mut Mutator) -> Option<Change>>,
    ) -> Result<Transaction, pg::Error> {
        let mut done: Transaction = Vec::new();
        let blocked = self.seen.blocked;
        for draw in changes {
            // Each further statement might wait for a lock as long.
            if self.seen.blocked > blocked {
                break;
            }
            let Some(change) = self.changes.draw(draw) else { continue };
            match client.change(&change, self.changes.sources()).await? {
                Changed::Refused(message) => self.refused(client, &change, message).await?,
                Changed::Done(effect) => done.extend(self.changes.done(change, effect)),
            }
        }
        Ok(done)
    }

    /// Refreshes materialized views that read what the open transaction has changed.
    async fn refresh_views(&mut self, done: &Transaction) -> Result<Transaction, pg::Error> {
        let refreshes = self.changes.view_refreshes(done);
        self.change(self.client, refreshes.into_iter().map(|change| move |_: &mut Mutator| Some(change)))
            .await
    }

    async fn refused(
        &mut self,
        client: &Client,
        change: &Change,
        message: ServerMessage,
    ) -> Result<(), pg::Error> {
        if pg::is_in_the_way(&message.code) {
            // Not if the open transaction of this round is in the way.
            self.seen.blocked += usize::from(!self.second.is_open());
            self.changes.blocked(change);
            return Ok(());
        }
        if message.trigger == Some(EngineTrigger::Captures) && !pg::is_about_the_session(&message.code) {
            self.write_fails(change, message);
            return Ok(());
        }
        let is_about_the_view =
            pg::is_not_permitted(&message.code) || !pg::is_about_the_session(&message.code);
        if let Change::RefreshView { view, .. } = change
            && is_about_the_view
        {
            self.view_fails(view, &message, change);
            return Ok(());
        }
        self.changes.refused(change, &message);
        self.judge_immediate_reader(client, change, message).await
    }

    /// One finding for each source: that of the first table that reads it.
    fn write_fails(&mut self, change: &Change, message: ServerMessage) {
        let source = &self.changes.sources()[change.source()];
        let is_known =
            |finding: &Finding| matches!(&finding.fault, Fault::WriteFails(of, _) if *of == source.relation);
        if self.seen.findings.values().any(is_known) {
            return;
        }
        let mut readers = self.subjects.tables.iter().map(|deployed| &deployed.table.relation);
        let reader = readers.find(|relation| source.readers.contains(relation) && self.is_open(relation));
        if let Some(reader) = reader.cloned() {
            let fault = Fault::WriteFails(source.relation.clone(), message);
            self.found(&reader, fault, Some(change));
        }
    }

    async fn commit(&mut self, done: Transaction) -> Result<(), pg::Error> {
        match self.client.run("commit").await {
            Ok(()) => self.changes.keep(done),
            // A deferred constraint.
            Err(pg::Error::Server { message, .. }) => self.changes.refuse(done, &message),
            Err(lost) => return Err(lost),
        }
        Ok(())
    }

    /// An IMMEDIATE table is maintained by the write itself. If the write fails there, and not only the table's query fails
    /// on the rows, that table has a finding; and also for an error that the schema does not explain.
    async fn judge_immediate_reader(
        &mut self,
        client: &Client,
        change: &Change,
        message: ServerMessage,
    ) -> Result<(), pg::Error> {
        let maintained = match message.trigger {
            Some(EngineTrigger::Maintains(table)) => Some(table),
            Some(EngineTrigger::Captures) | None => None,
        };
        let says_nothing = match maintained {
            Some(_) => pg::is_about_the_session(&message.code),
            None => pg::is_refusal(&message.code),
        };
        let source = &self.changes.sources()[change.source()];
        let is_reader = |deployed: &&&Deployed| {
            let relation = &deployed.table.relation;
            let id = self.subjects.comparables.get(relation).map(|table| table.id);
            is_immediate(&deployed.table)
                && source.readers.contains(relation)
                && (maintained.is_none() || maintained == id)
        };
        let Some(deployed) = self.subjects.tables.iter().find(is_reader).filter(|_| !says_nothing) else {
            return Ok(());
        };
        let (relation, query) = (deployed.table.relation.clone(), &deployed.table.query);
        let is_of_query = maintained.is_some() && {
            let sources = self.changes.sources();
            let steps: Vec<String> =
                change.statements().iter().map(|statement| statement.sql(sources)).collect();
            let own = client.fails_after(&steps, query).await?;
            // The same error, or another one for a role that may not switch triggers off.
            own.is_some_and(|own| own.code == message.code || pg::is_about_values(&message.code))
        };
        if is_of_query {
            self.query_fails(&relation, message, Some(change));
        } else {
            self.found(&relation, Fault::RefreshFails(message), Some(change));
        }
        Ok(())
    }

    /// Records that the query of a table fails on the current rows, or on those after a refused change.
    pub(super) fn query_fails(
        &mut self,
        relation: &Relation,
        message: ServerMessage,
        refused: Option<&Change>,
    ) {
        self.seen.failing_queries += usize::from(refused.is_none());
        // Before the first round, the comparison says it.
        if self.changes.rounds > 0 && pg::is_about_values(&message.code) {
            let (round, fault) = (self.changes.rounds, Fault::QueryFails(message));
            let finding = Finding::new(round, fault, refused);
            self.seen.failing.entry(relation.clone()).or_insert(finding);
        }
    }

    /// The refresh of a materialized view fails, and so nothing reaches the tables that read it.
    fn view_fails(&mut self, view: &Relation, message: &ServerMessage, refresh: &Change) {
        self.seen.failing_queries += 1;
        let source = self.changes.sources().iter().find(|source| source.relation == *view);
        let readers = source.map(|source| source.readers.clone()).unwrap_or_default();
        for reader in readers.iter().filter(|_| !pg::is_out_of_range(&message.code)) {
            let fault = Fault::QueryFails(message.clone());
            let finding = Finding::new(self.changes.rounds, fault, Some(refresh));
            self.seen.failing.entry(reader.clone()).or_insert(finding);
        }
    }

    /// Reverts the last round: rows on which a query fails would disturb all later rounds.
    async fn revert_round(&mut self) -> Result<(), pg::Error> {
        let affected = self.affected();
        let inverse = self.changes.begin_reverting();
        // It restores rows and verifies nothing, so it does not count.
        let (coverage, changing) = (self.changes.coverage.clone(), self.changes.changing);
        self.client.run("begin").await?;
        let changes = inverse.into_iter().map(|change| move |_: &mut Mutator| Some(change));
        let mut done = self.change(self.client, changes).await?;
        done.extend(self.refresh_views(&done).await?);
        self.commit(done).await?;
        (self.changes.coverage, self.changes.changing) = (coverage, changing);
        // What it restores is no effect of the next round, which may reach other tables.
        for relation in &affected {
            self.forget_result(relation);
        }
        if self.settings.by_scheduler {
            return Ok(());
        }
        self.refresh(&affected, Instant::now() + ENDING).await
    }

    /// Keeps the first finding of a table: later faults may follow from it.
    pub(super) fn found(&mut self, relation: &Relation, fault: Fault, refused: Option<&Change>) {
        let finding = Finding::new(self.changes.rounds, fault, refused);
        self.seen.findings.entry(relation.clone()).or_insert(finding);
    }
}
