//! Merges the reports of all shards of a project into one, with one verdict.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::Report;
use crate::model::{Outcome, Stage, Subject, Verdict};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{file}` is not the report of a shard")]
    NoShard { file: String },
    #[error("`{file}` is a report of `{command}`, `{first}` one of `{expected}`")]
    OtherCommand { file: String, command: String, first: String, expected: String },
}

impl Error {
    pub fn hint(&self) -> String {
        match self {
            Self::NoShard { .. } => {
                "write one per shard: `pgtrickle-ci run --shard 1/4 --json shard-1.json`".into()
            }
            Self::OtherCommand { .. } => "merge the reports of one command".into(),
        }
    }
}

/// The report of the whole. It fails if a shard is missing or comes twice, or if the shards are not of the same commit,
/// project and engine.
///
/// # Errors
/// If a file is not the report of a shard of the same command. There must be at least one.
pub fn merge(reports: Vec<(String, Report)>) -> Result<Report, Error> {
    for (file, report) in &reports {
        let (first, expected) = (&reports[0].0, &reports[0].1.command);
        if report.command != *expected {
            let (file, command) = (file.clone(), report.command.clone());
            return Err(Error::OtherCommand {
                file,
                command,
                first: first.clone(),
                expected: expected.clone(),
            });
        }
        if report.shard.is_none() {
            return Err(Error::NoShard { file: file.clone() });
        }
    }
    let shards = shards(&reports);
    let mut reports = reports.into_iter().map(|(_, report)| report);
    let Some(mut merged) = reports.next() else {
        return Err(Error::NoShard { file: "no file".into() });
    };
    let share =
        |report: &Report| report.shard.as_ref().map(|share| share.shard.to_string()).unwrap_or_default();
    let name = share(&merged);
    merged.timings = vec![(format!("shard {name}"), merged.elapsed)];
    rename_parts(&mut merged.outcomes, &name);
    for report in reports {
        let name = share(&report);
        merged.timings.push((format!("shard {name}"), report.elapsed));
        merge_into(&mut merged, report, &name);
    }
    merged.timings.sort();
    merged.elapsed = merged.timings.iter().map(|(_, elapsed)| *elapsed).max().unwrap_or(Duration::ZERO);
    merged.shard = None;
    merged.outcomes.insert(0, shards);
    Ok(merged)
}

fn merge_into(merged: &mut Report, mut report: Report, name: &str) {
    merged.started_at = merged.started_at.min(report.started_at);
    merged.strict |= report.strict;
    merged.interrupted |= report.interrupted;
    merged.hides_rows |= report.hides_rows;
    if merged.selection != report.selection {
        merged.selection = None;
    }
    match (&mut merged.plan, report.plan.take()) {
        (Some(plan), Some(other)) => {
            add_new(&mut plan.steps, other.steps, |one, other| one.relation == other.relation);
            add_new(&mut plan.views, other.views, |one, other| one == other);
            add_new(&mut plan.unmanaged, other.unmanaged, |one, other| one == other);
            add_new(&mut plan.notes, other.notes, |one, other| one == other);
            add_new(&mut plan.needs_dbt, other.needs_dbt, |one, other| one == other);
        }
        (plan @ None, other) => *plan = other,
        (Some(_), None) => {}
    }
    match (&mut merged.rehearsal, report.rehearsal.take()) {
        (Some(rehearsal), Some(other)) => {
            add_new(&mut rehearsal.tables, other.tables, |one, other| one.relation == other.relation);
        }
        (rehearsal @ None, other) => *rehearsal = other,
        (Some(_), None) => {}
    }
    add_new(&mut merged.ages, report.ages, |one, other| one.relation == other.relation);
    rename_parts(&mut report.outcomes, name);
    merge_outcomes(&mut merged.outcomes, report.outcomes);
}

/// Of several outcomes of one subject in a stage, the worst is kept. Each shard names only tables of its own that the outcome
/// concerns; a better outcome of another server says nothing about a worse one's tables.
fn merge_outcomes(merged: &mut Vec<Outcome>, others: Vec<Outcome>) {
    let key = |outcome: &Outcome| (outcome.stage, outcome.subject.to_string());
    let places: HashMap<_, usize> =
        merged.iter().enumerate().map(|(place, outcome)| (key(outcome), place)).collect();
    for outcome in others {
        match places.get(&key(&outcome)) {
            Some(place) if rank(outcome.verdict) > rank(merged[*place].verdict) => merged[*place] = outcome,
            Some(place) if outcome.verdict == merged[*place].verdict => {
                add_new(&mut merged[*place].concerns, outcome.concerns, |one, other| one == other);
            }
            Some(_) => {}
            None => merged.push(outcome),
        }
    }
}

/// Each shard has rounds of its own, and other parts of the verification.
fn rename_parts(outcomes: &mut [Outcome], shard: &str) {
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.stage == Stage::Verify) {
        if let Subject::Named(part) = &mut outcome.subject {
            *part = format!("{part}, shard {shard}");
        }
    }
}

fn add_new<T>(to: &mut Vec<T>, others: Vec<T>, same: impl Fn(&T, &T) -> bool) {
    for other in others {
        if !to.iter().any(|one| same(one, &other)) {
            to.push(other);
        }
    }
}

/// From the least to the worst: unlike in the order of verdicts, a check that ran counts more than a skipped one.
fn rank(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Skipped => 0,
        Verdict::Passed => 1,
        Verdict::Warned => 2,
        Verdict::Failed => 3,
        Verdict::Errored => 4,
    }
}

/// Whether rows were changed.
fn has_rounds(report: &Report) -> bool {
    let is_rounds = |outcome: &Outcome| matches!(&outcome.subject, Subject::Named(part) if part == "rounds");
    report.outcomes.iter().any(|outcome| outcome.stage == Stage::Verify && is_rounds(outcome))
}

/// Whether these are all shards of one whole.
fn shards(reports: &[(String, Report)]) -> Outcome {
    let shares: Vec<_> =
        reports.iter().filter_map(|(file, report)| Some((file, report, report.shard.as_ref()?))).collect();
    let mut wrong = Vec::new();
    let Some((first_file, first, first_share)) = shares.first() else {
        return Outcome::new(Stage::Setup, "shards", Verdict::Errored, "no report");
    };
    for (file, report, share) in &shares {
        if share.shard.count != first_share.shard.count {
            wrong.push(format!("`{file}` is shard {}, `{first_file}` {}", share.shard, first_share.shard));
        }
        if report.commit != first.commit {
            let commit = |report: &Report| report.commit.clone().unwrap_or_else(|| "no commit".into());
            wrong.push(format!("`{file}` is of {}, `{first_file}` of {}", commit(report), commit(first)));
        }
        if (&share.whole, share.of) != (&first_share.whole, first_share.of) {
            wrong.push(format!(
                "`{file}` and `{first_file}` are shards of different projects, plans or durations"
            ));
        }
        if share.taken > 0 && first_share.taken > 0 && has_rounds(report) != has_rounds(first) {
            wrong.push(format!("only one of `{file}` and `{first_file}` verified while rows changed"));
        }
        if report.engine != first.engine {
            wrong.push(format!("`{file}` and `{first_file}` are of different engines"));
        }
    }
    let mut seen = BTreeSet::new();
    for (file, _, share) in &shares {
        if !seen.insert(share.shard.index) {
            wrong.push(format!("shard {} comes twice, the second time in `{file}`", share.shard));
        }
    }
    let missing = (1..=first_share.shard.count).filter(|index| !seen.contains(index));
    wrong.extend(missing.map(|index| format!("shard {index}/{} is missing", first_share.shard.count)));
    let taken: usize = shares.iter().map(|(_, _, share)| share.taken).fold(0, usize::saturating_add);
    if wrong.is_empty() && taken != first_share.of {
        wrong.push(format!("the shards have {taken} of {} tables", first_share.of));
    }
    if wrong.is_empty() {
        let message = format!("{} shards of {} tables or models", shares.len(), first_share.of);
        return Outcome::new(Stage::Setup, "shards", Verdict::Passed, message);
    }
    Outcome::new(Stage::Setup, "shards", Verdict::Failed, "not all shards of one run").with_details(wrong)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::model::{
        Relation,
        shard::{Shard, ShardShare},
    };

    fn shard(index: usize, verdict: Verdict) -> (String, Report) {
        let mut report = Report::begin("verify", OffsetDateTime::UNIX_EPOCH);
        let shard = Shard { index, count: 2 };
        report.commit = Some("abc".into());
        report.elapsed = Duration::from_secs(index as u64);
        report.shard = Some(ShardShare { shard, taken: index, of: 3, whole: "f00".into() });
        for table in ["common".to_owned(), format!("t{index}")] {
            let relation = Relation::new("s", table);
            report.outcomes.push(Outcome::new(Stage::Verify, &relation, verdict, "told"));
        }
        report.outcomes.push(Outcome::new(Stage::Verify, "rounds", Verdict::Passed, "3 rounds"));
        (format!("shard-{index}.json"), report)
    }

    fn lines(report: &Report) -> &[String] {
        &report.outcomes[0].details
    }

    #[test]
    fn all_shards_are_one_report_with_the_worst_verdict_of_each_table() {
        let merged = merge(vec![shard(2, Verdict::Passed), shard(1, Verdict::Failed)]).unwrap();
        assert_eq!(merged.outcomes[0].message, "2 shards of 3 tables or models");
        assert!(!merged.passed());
        assert_eq!(merged.elapsed, Duration::from_secs(2));
        let verdicts: Vec<(String, Verdict)> =
            merged.outcomes.iter().map(|outcome| (outcome.subject.to_string(), outcome.verdict)).collect();
        assert_eq!(
            verdicts[1..],
            [
                ("s.common".to_owned(), Verdict::Failed),
                ("s.t2".to_owned(), Verdict::Passed),
                ("rounds, shard 2/2".to_owned(), Verdict::Passed),
                ("s.t1".to_owned(), Verdict::Failed),
                ("rounds, shard 1/2".to_owned(), Verdict::Passed),
            ]
        );
        assert!(merge(vec![shard(1, Verdict::Passed), shard(2, Verdict::Passed)]).unwrap().passed());
    }

    #[test]
    fn the_tables_of_a_shared_outcome_are_those_of_the_shards_where_it_is_as_bad() {
        let captured = |index, verdict| {
            let mut shard = shard(index, Verdict::Passed);
            let table = Relation::new("s", format!("t{index}"));
            shard
                .1
                .outcomes
                .push(Outcome::new(Stage::Capture, "raw.o", verdict, "told").concerning([&table]));
            shard
        };
        let concerns = |one, other| {
            let merged = merge(vec![captured(1, one), captured(2, other)]).unwrap();
            let outcome = merged.outcomes.into_iter().find(|outcome| outcome.stage == Stage::Capture);
            outcome.unwrap().concerns.into_iter().map(|table| table.name).collect::<Vec<_>>()
        };
        assert_eq!(concerns(Verdict::Failed, Verdict::Failed), ["t1", "t2"]);
        assert_eq!(concerns(Verdict::Failed, Verdict::Passed), ["t1"]);
        assert_eq!(concerns(Verdict::Passed, Verdict::Failed), ["t2"]);
    }

    #[test]
    fn a_missing_or_strange_shard_fails() {
        type Spoil = fn(&mut Report);
        let passing = || shard(1, Verdict::Passed);
        let missing = merge(vec![passing()]).unwrap();
        assert!(!missing.passed());
        assert_eq!(lines(&missing), ["shard 2/2 is missing"]);

        let spoils: [(Spoil, &str); 5] = [
            (|report| report.commit = Some("def".into()), "is of def, `shard-1.json` of abc"),
            (|report| report.shard.as_mut().unwrap().whole = "other".into(), "different projects, plans or"),
            (|report| report.shard.as_mut().unwrap().shard = Shard { index: 1, count: 2 }, "comes twice"),
            (|report| report.shard.as_mut().unwrap().taken = 1, "the shards have 2 of 3 tables"),
            (|report| drop(report.outcomes.pop()), "verified while rows changed"),
        ];
        for (spoil, line) in spoils {
            let mut second = shard(2, Verdict::Passed);
            spoil(&mut second.1);
            let merged = merge(vec![passing(), second]).unwrap();
            assert!(!merged.passed(), "{line}");
            assert!(lines(&merged).concat().contains(line), "{line}: {:?}", lines(&merged));
        }
        let mut stopped = shard(2, Verdict::Passed);
        stopped.1.interrupted = true;
        assert!(!merge(vec![passing(), stopped]).unwrap().passed());
    }

    #[test]
    fn a_report_of_no_shard_or_another_command_is_refused() {
        let mut whole = shard(2, Verdict::Passed);
        whole.1.shard = None;
        assert!(merge(vec![shard(1, Verdict::Passed), whole]).is_err());
        let mut other = shard(2, Verdict::Passed);
        other.1.command = "check".into();
        assert!(merge(vec![shard(1, Verdict::Passed), other]).is_err());
    }
}
