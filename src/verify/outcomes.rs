//! The outcomes of the rounds: of each table, of the sources, and of the rounds themselves.

use super::{
    coverage::{Coverage, Reach, counted},
    finding::{Fault, Finding},
    rounds::Rounds,
    subjects::is_immediate,
};
use crate::{
    judge::equality,
    model::{HiddenRead, Outcome, Relation, Stage, StreamTable, Verdict},
    mutate::{Change, Source},
    pg,
    sql::quote_literal,
};

/// What rounds on a named server do not cover.
const ROLLED_BACK: &str = "each round was one transaction that was rolled back; not covered: TRUNCATE, concurrent commits, the scheduler, changes captured from the log";

/// The advice when other sessions were in the way.
const UNBLOCKED: &str = "run it while no other session writes, refreshes or holds locks";

impl Rounds<'_> {
    pub(super) fn outcomes(&self, tables: &[&StreamTable]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = tables
            .iter()
            .map(|table| {
                self.outcome(table, tables).with_details(self.reach(table)).about(table.origin.as_ref())
            })
            .collect();
        outcomes
            .extend((0..self.changes.sources().len()).filter_map(|at| self.outcome_of_source(at, tables)));
        outcomes.push(self.summary(tables));
        outcomes
    }

    /// What the rounds did to a table.
    fn reach(&self, table: &StreamTable) -> Vec<String> {
        let relation = &table.relation;
        let Some(reach) = self.seen.reach.get(relation) else { return Vec::new() };
        let sources = self.changes.sources().iter().enumerate();
        // Not views, and others that no round can change.
        let reaches = |(at, source): &(usize, &Source)| {
            source.out_of_reach.is_none() && self.subjects.reached[*at].contains(relation)
        };
        let reaching: Vec<_> = sources.filter(reaches).collect();
        reach.lines(&reaching)
    }

    /// The outcome of a source that was not changed, or hardly.
    fn outcome_of_source(&self, at: usize, tables: &[&StreamTable]) -> Option<Outcome> {
        let (source, coverage) = (&self.changes.sources()[at], &self.changes.coverage[at]);
        let relation = &source.relation;
        if let Some(why) = &source.out_of_reach {
            let message = format!("not changed: it {why}");
            return Some(Outcome::new(Stage::Verify, relation, Verdict::Skipped, message));
        }
        // A table with a finding needs no more rounds.
        let is_open = |table: &&StreamTable| {
            self.subjects.reached[at].contains(&table.relation)
                && self.is_open(&table.relation)
                && !self.reads_wal(&table.relation)
                && self.settings.terms.left_out(Stage::Verify, &table.relation).is_none()
        };
        let is_due = coverage.rounds < self.settings.enough() && tables.iter().any(is_open);
        is_due.then(|| {
            let (blocked, next) = if coverage.is_blocked() {
                (Some(format!("blocked{}", self.by_blockers())), Some(UNBLOCKED.to_owned()))
            } else {
                (None, self.more_time())
            };
            let hardly = coverage.hardly_changed(relation, self.changes.trouble(at), self.settings, next);
            hardly.with_details(blocked)
        })
    }

    /// A query that fails on possible rows is a warning: the schema allows them, but the application may never write them.
    fn outcome(&self, table: &StreamTable, tables: &[&StreamTable]) -> Outcome {
        let outcome = self.outcome_of_rounds(table, tables);
        let Some(finding) = self.seen.failing.get(&table.relation) else { return outcome };
        let Fault::QueryFails(message) = &finding.fault else { return outcome };
        let with = match &finding.refused {
            Some(Change::RefreshView { .. }) => "",
            _ if is_immediate(table) => ", and with it writes of its sources",
            _ => ", and with it its refreshes",
        };
        let failing = format!(
            "{}{with}, after round {} of seed {}: {}",
            finding.failing_query(),
            finding.round,
            self.settings.seed,
            message.message
        );
        let verdict = outcome.verdict.max(Verdict::Warned);
        let message_of_both = if outcome.verdict.is_bad() {
            format!("{}; {failing}", outcome.message)
        } else {
            format!("{failing}; {}", outcome.message)
        };
        Outcome { verdict, message: message_of_both, ..outcome }
            .quoting(&message.message, Some(&message.code))
            .with_rows(message.details())
            .with_details([finding.next()])
    }

    fn outcome_of_rounds(&self, table: &StreamTable, tables: &[&StreamTable]) -> Outcome {
        let relation = &table.relation;
        let outcome = |verdict, message: String| Outcome::new(Stage::Verify, relation, verdict, message);
        let count = self.seen.compared.get(relation).copied().unwrap_or_default();
        if let Some(finding) = self.seen.findings.get(relation) {
            return self.outcome_of_finding(relation, finding);
        }
        if let Some(outcome) = self.settings.terms.left_out(Stage::Verify, relation) {
            return outcome;
        }
        if self.subjects.suspended.contains(relation) {
            let next = format!(
                "resume it: select pgtrickle.resume_stream_table({})",
                quote_literal(&relation.to_string())
            );
            return outcome(Verdict::Failed, "not verified: it is suspended".into()).with_details([next]);
        }
        match self.subjects.comparables.get(relation) {
            None => outcome(Verdict::Errored, "does not exist as a stream table".into()),
            Some(table) if let Some(why) = equality::not_comparable(table) => {
                outcome(Verdict::Skipped, why.message)
            }
            Some(_) if self.reads_wal(relation) => self.not_verified(relation),
            Some(_) if !self.can_change(relation) => {
                outcome(Verdict::Skipped, "none of its sources can be changed".into())
            }
            Some(_) if let Some(failing) = self.failing_upstream(relation) => {
                self.behind(relation, failing, tables)
            }
            Some(_) if count == 0 => self.not_verified(relation),
            Some(_) if let Some(what) = self.seen.moved.get(relation) => {
                outcome(Verdict::Warned, what.clone())
            }
            Some(_) if count < self.settings.enough() => {
                let why = format!(
                    "equal to its query after {}, fewer than {}",
                    counted(count, "round"),
                    self.settings.enough()
                );
                self.hardly_verified(relation, &why)
                    .with_details(self.unblocked(relation).or(self.more_time()))
            }
            Some(_) if let Some(rounds) = self.seen.reach.get(relation).and_then(Reach::never_changed) => {
                let why = format!("none of {} changed the result of its query", counted(rounds, "round"));
                let next =
                    "fixtures with rows that its query returns give it more values to draw from".to_owned();
                self.hardly_verified(relation, &why).with_details([next])
            }
            Some(_) => {
                outcome(Verdict::Passed, format!("equal to its query after {}", counted(count, "round")))
            }
        }
    }

    fn outcome_of_finding(&self, relation: &Relation, finding: &Finding) -> Outcome {
        let outcome = |verdict, message: String| Outcome::new(Stage::Verify, relation, verdict, message);
        let round = match finding.round {
            0 => "before the first round".to_owned(),
            round if self.subjects.equal_before.contains_key(relation) => {
                format!("after round {round} of seed {}", self.settings.seed)
            }
            round => {
                format!("after round {round} of seed {}, not compared before the first", self.settings.seed)
            }
        };
        let found = match &finding.fault {
            Fault::Differs(difference) => {
                let columns = self.subjects.comparables.get(relation).map_or(&[][..], |table| &table.columns);
                outcome(Verdict::Failed, format!("{}, {round}", difference.sentence()))
                    .with_rows(difference.lines(columns))
            }
            Fault::WriteFails(source, message) => {
                let what = format!("writes to {source} fail where pg_trickle captures them, {round}");
                message.outcome(Stage::Verify, relation, Verdict::Failed, &what)
            }
            Fault::RefreshFails(message) | Fault::QueryFails(message) => {
                let what = format!("its refresh fails, {round}");
                message.outcome(Stage::Verify, relation, Verdict::Failed, &what)
            }
        };
        let hidden = self.subjects.hidden_reads.get(relation).map(|reads| {
            format!(
                "{}: pg_trickle does not capture changes there for it; join that table in the query",
                HiddenRead::sentence(reads)
            )
        });
        found.with_details(hidden).with_details(finding.beside())
    }

    /// Whether a statement can change a source of the table.
    fn can_change(&self, relation: &Relation) -> bool {
        self.sources_of(relation).any(|at| self.changes.sources()[at].out_of_reach.is_none())
    }

    /// Whether rounds have to verify the table.
    fn is_due(&self, table: &StreamTable) -> bool {
        let relation = &table.relation;
        self.is_open(relation)
            && self.can_change(relation)
            && !self.reads_wal(relation)
            && self.settings.terms.left_out(Stage::Verify, relation).is_none()
            && self
                .subjects
                .comparables
                .get(relation)
                .is_some_and(|table| equality::not_comparable(table).is_none())
    }

    /// The outcome of a table that no change reaches because the refresh of another one fails. That one has the finding;
    /// if it is not selected, this is the only outcome that shows it.
    fn behind(&self, relation: &Relation, failing: &Relation, tables: &[&StreamTable]) -> Outcome {
        let has_outcome = tables.iter().any(|table| table.relation == *failing);
        let verdict = if has_outcome { Verdict::Warned } else { Verdict::Failed };
        let error = match self.seen.findings.get(failing).map(|finding| &finding.fault) {
            Some(Fault::RefreshFails(message)) if !has_outcome => Some(message.message.clone()),
            _ => None,
        };
        let message = format!("not verified: the refresh of `{failing}`, which it reads, fails");
        Outcome::new(Stage::Verify, relation, verdict, message).with_details(error)
    }

    fn hardly_verified(&self, relation: &Relation, why: &str) -> Outcome {
        Outcome::new(Stage::Verify, relation, self.settings.too_few(), format!("hardly verified: {why}"))
            .with_details(self.source_lines(relation))
    }

    /// A line for each source of a table.
    fn source_lines(&self, relation: &Relation) -> Vec<String> {
        let is_changed = |at: &usize| self.changes.sources()[*at].out_of_reach.is_none();
        let line = |at: usize| self.changes.coverage[at].line(&self.changes.sources()[at].relation);
        self.sources_of(relation).filter(is_changed).map(line).collect()
    }

    fn not_verified(&self, relation: &Relation) -> Outcome {
        let outcome =
            |why: String, next: &str| self.unverified(relation, &why).with_details([next.to_owned()]);
        if self.reads_wal(relation) {
            let why =
                "a source of it is captured from the log, which reproduces committed changes only".to_owned();
            return outcome(why, "verify it on an ephemeral server: pgtrickle-ci run");
        }
        if self.seen.unreached.contains(relation) && !self.settings.commits() {
            let why = format!("its refreshes were blocked{}", self.by_blockers());
            return outcome(why, UNBLOCKED);
        }
        let is_unchanged = |at: usize| self.changes.coverage[at].rounds == 0;
        if self.changes.rounds >= self.settings.enough() && self.sources_of(relation).all(is_unchanged) {
            return self
                .unverified(relation, "no statement changed a source of it")
                .with_details(self.more_time())
                .with_details(self.source_lines(relation));
        }
        let blocked = if self.seen.blockers.is_empty() {
            String::new()
        } else {
            format!(", blocked{}", self.by_blockers())
        };
        if let Some((what, message)) = self.seen.prevented.get(relation) {
            let (by, next) = if pg::is_in_the_way(&message.code) {
                (&*blocked, Some(UNBLOCKED.to_owned()))
            } else {
                ("", message.hint.as_deref().map(ToOwned::to_owned))
            };
            let why = format!("its {what} failed: {}{by}", message.message);
            return self.unverified(relation, &why).with_details(next);
        }
        if let Some(next) = self.unblocked(relation) {
            let why = format!("changes of its sources were blocked{}", self.by_blockers());
            return self.unverified(relation, &why).with_details([next]);
        }
        if !self.seen.unreached.contains(relation) {
            let why = format!("{} before", self.ended());
            return self.unverified(relation, &why).with_details(self.more_time());
        }
        let why = format!("changes of its sources did not reach it in time{blocked}");
        if self.settings.by_scheduler {
            outcome(why, "give it a shorter schedule, or use --drive manual")
        } else {
            outcome(why, "see what blocks them: pgtrickle-ci check")
        }
    }

    fn unverified(&self, relation: &Relation, why: &str) -> Outcome {
        Outcome::new(Stage::Verify, relation, self.settings.too_few(), format!("not verified: {why}"))
    }

    /// What ended the rounds.
    fn ended(&self) -> String {
        if self.is_over {
            format!("the budget of {} ended", humantime::format_duration(self.settings.budget))
        } else {
            "the verification was interrupted".to_owned()
        }
    }

    /// The advice when the budget was too short; none if it did not end.
    fn more_time(&self) -> Option<String> {
        self.is_over.then(|| self.settings.more_time())
    }

    /// The advice when other sessions blocked most statements on a source of the table.
    fn unblocked(&self, relation: &Relation) -> Option<String> {
        let is_blocked = self.sources_of(relation).any(|at| self.changes.coverage[at].is_blocked());
        is_blocked.then(|| UNBLOCKED.to_owned())
    }

    /// The sources whose changes reach the table, by their positions.
    fn sources_of(&self, relation: &Relation) -> impl Iterator<Item = usize> {
        (0..self.changes.sources().len()).filter(|at| self.subjects.reached[*at].contains(relation))
    }

    /// By which sessions, as far as known.
    fn by_blockers(&self) -> String {
        let blockers: Vec<&str> = self.seen.blockers.iter().map(String::as_str).collect();
        if blockers.is_empty() { " by other sessions".into() } else { format!(" by {}", blockers.join(", ")) }
    }

    fn summary(&self, tables: &[&StreamTable]) -> Outcome {
        let comparisons: usize = self.seen.compared.values().sum();
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        let drawing = self.changes.drawing.as_secs_f64() / seconds;
        #[expect(clippy::cast_precision_loss, reason = "a rate is read to one digit")]
        let rate = comparisons as f64 / seconds;
        let sum = |of: fn(&Coverage) -> usize| self.changes.coverage.iter().map(of).sum::<usize>();
        let verified_nothing = self.verified_nothing(tables);
        let verdict = match verified_nothing {
            Some(_) => Verdict::Failed,
            None if self.changes.changing == 0 => Verdict::Skipped,
            None => Verdict::Passed,
        };
        let counts = format!(
            "seed {}: {}, {} carried out, {} rejected",
            self.settings.seed,
            counted(self.changes.changing, "round"),
            counted(sum(|coverage| coverage.statements), "statement"),
            sum(|coverage| coverage.refused)
        );
        let message = match verified_nothing {
            Some(why) => format!("verified nothing: {why}; {counts}"),
            None => counts,
        };
        let idle = self.changes.rounds - self.changes.changing - self.changes.reverting;
        let idle =
            (idle > 0).then(|| format!("not counted, without a changed row: {}", counted(idle, "round")));
        let changed = (0..self.changes.sources().len())
            .filter(|at| self.changes.sources()[*at].out_of_reach.is_none())
            .map(|at| self.changes.coverage[at].line(&self.changes.sources()[at].relation));
        let failing_queries = (self.seen.failing_queries > 0).then(|| {
            format!(
                "a query itself failed on the rows of a round {}, after which the round was reverted",
                counted(self.seen.failing_queries, "time")
            )
        });
        let first_found = self.seen.first_found.map(|(after, round)| match round {
            0 => "first finding before the first round".to_owned(),
            round => {
                format!("first finding after {:.1} s and {}", after.as_secs_f64(), counted(round, "round"))
            }
        });
        let blocked = (self.seen.blocked > 0).then(|| {
            format!("statements and refreshes that were blocked{}: {}", self.by_blockers(), self.seen.blocked)
        });
        Outcome::new(Stage::Verify, "rounds", verdict, message)
            .with_details(changed)
            .with_details(idle)
            .with_details(failing_queries)
            .with_details(first_found)
            .with_details(blocked)
            .with_details(self.second.note())
            .with_details((!self.settings.commits()).then(|| ROLLED_BACK.to_owned()))
            .with_details([format!(
                "{rate:.1} comparisons a second, {:.1} % of the time in the database",
                100.0 * (1.0 - drawing)
            )])
            .taking(self.elapsed)
    }

    /// Why no round changed a row, although tables wait for one. A budget of 0 asks for none.
    fn verified_nothing(&self, tables: &[&StreamTable]) -> Option<String> {
        let has_ended = self.settings.until_found && !self.seen.findings.is_empty();
        let asks_for_rounds = !self.settings.budget.is_zero() && self.settings.enough() > 0 && !has_ended;
        if self.changes.changing > 0 || !asks_for_rounds || !tables.iter().any(|table| self.is_due(table)) {
            return None;
        }
        Some(match self.changes.rounds {
            0 => format!("{} before the first change", self.ended()),
            _ => "no statement changed a row".to_owned(),
        })
    }
}
