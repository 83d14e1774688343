//! `run_results.json` and its outcomes.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;

use super::Error;
use crate::model::{Origin, Outcome, Relation, Stage, Subject, Verdict};

/// The results of one dbt command.
#[derive(Clone, Debug, PartialEq, Deserialize, Default)]
pub struct RunResults {
    pub results: Vec<NodeResult>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeResult {
    pub unique_id: String,
    /// `success`, `error`, `skipped`, `pass`, `fail` or `warn`.
    pub status: String,
    #[serde(default)]
    pub message: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub execution_time: f64,
}

impl RunResults {
    /// Reads the file, sorted by unique_id: dbt's own order depends on its threads.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(file).map_err(Error::unreadable(file))?;
        let mut read: Self = serde_json::from_slice(&bytes).map_err(Error::unreadable(file))?;
        read.results.sort_by(|one, other| one.unique_id.cmp(&other.unique_id));
        Ok(read)
    }
}

impl NodeResult {
    fn outcome(&self, stage: Stage, subject: impl Into<Subject>, verdict: Verdict) -> Outcome {
        let (message, details) = message_and_details(self.message.as_deref().unwrap_or(&self.status));
        let outcome = Outcome::new(stage, subject, verdict, &*message);
        let has_problem = matches!(verdict, Verdict::Failed | Verdict::Errored | Verdict::Warned);
        let outcome = if has_problem { outcome.quoting(&message, None) } else { outcome };
        outcome
            .with_rows(details)
            .taking(Duration::try_from_secs_f64(self.execution_time).unwrap_or_default())
    }
}

/// The outcome of each stream table, and of any other node that failed. `tables` are the project's stream tables.
pub fn deploy_outcomes(results: &RunResults, tables: &[(Relation, Origin)]) -> Vec<Outcome> {
    let by_id: BTreeMap<&str, &(Relation, Origin)> =
        tables.iter().map(|t| (t.1.unique_id.as_str(), t)).collect();
    results
        .results
        .iter()
        .filter_map(|node| {
            let verdict = match node.status.as_str() {
                "success" => Verdict::Passed,
                "skipped" => Verdict::Skipped,
                _ => Verdict::Errored,
            };
            match by_id.get(node.unique_id.as_str()) {
                Some((relation, origin)) => {
                    Some(node.outcome(Stage::Deploy, relation, verdict).about(Some(origin)))
                }
                // Other nodes are only reported if they fail.
                None => (verdict == Verdict::Errored)
                    .then(|| node.outcome(Stage::Deploy, &node.unique_id, verdict)),
            }
        })
        .map(|outcome| match outcome.verdict {
            Verdict::Skipped => {
                Outcome { message: "skipped by dbt: an upstream node failed".into(), ..outcome }
            }
            Verdict::Passed | Verdict::Warned | Verdict::Failed | Verdict::Errored => outcome,
        })
        .collect()
}

/// The outcomes of dbt's tests. `origins` are the files of their definitions.
pub fn test_outcomes(results: &RunResults, origins: &BTreeMap<String, Origin>) -> Vec<Outcome> {
    results
        .results
        .iter()
        .map(|node| {
            let verdict = match node.status.as_str() {
                "pass" | "success" => Verdict::Passed,
                "warn" => Verdict::Warned,
                "fail" => Verdict::Failed,
                "skipped" => Verdict::Skipped,
                _ => Verdict::Errored,
            };
            let outcome = node.outcome(Stage::Test, test_name(&node.unique_id), verdict);
            let message =
                if verdict == Verdict::Passed { "passed".to_owned() } else { outcome.message.clone() };
            Outcome { message, ..outcome }.about(origins.get(&node.unique_id))
        })
        .collect()
}

/// `test.shop.not_null_orders_id.ab12cd34ef` is written `not_null_orders_id` by its author.
fn test_name(unique_id: &str) -> &str {
    unique_id.splitn(3, '.').nth(2).map_or(unique_id, |name| {
        let hash = name
            .rsplit_once('.')
            .filter(|(_, hash)| hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
        // Two tests of one model may differ only in the hash; the file distinguishes them.
        hash.map_or(name, |(name, _)| name)
    })
}

/// The message of a dbt error and its details. The first line is the place and the second the message. PostgreSQL's
/// lines (`DETAIL:`, `HINT:`) stay. The path of the compiled file is left out, because its folder is temporary.
fn message_and_details(message: &str) -> (String, Vec<String>) {
    let lines: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let headed = lines.first().is_some_and(|line| line.contains(" Error in ")) && lines.len() > 1;
    let mut lines = lines.into_iter().skip(usize::from(headed));
    let first = lines.next().unwrap_or_default().to_owned();
    let rest =
        lines.filter(|line| !line.starts_with("compiled code at") && !line.starts_with("compiled SQL at"));
    let rest = rest.filter(|line| {
        !line.starts_with("CONTEXT:") && !line.starts_with("PL/pgSQL function inline_code_block")
    });
    (first, rest.map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(unique_id: &str, status: &str, message: &str) -> NodeResult {
        NodeResult {
            unique_id: unique_id.into(),
            status: status.into(),
            message: Some(message.into()),
            execution_time: 0.25,
        }
    }

    fn origin(id: &str) -> Origin {
        Origin { unique_id: id.into(), file: "models/a.sql".into() }
    }

    #[test]
    fn a_failed_model_has_postgresqls_message_without_dbts_prefix() {
        let message = "Database Error in model a (models/a.sql)\n  column \"nope\" does not exist\n  DETAIL:  SQLSTATE: 42703\n  HINT:  Perhaps.\n  CONTEXT:  PL/pgSQL function inline_code_block line 14 at RAISE\n  compiled code at target/run/a.sql";
        let results = RunResults { results: vec![node("model.s.a", "error", message)] };
        let [outcome] = &deploy_outcomes(&results, &[(Relation::new("s", "a"), origin("model.s.a"))])[..]
        else {
            panic!()
        };
        assert_eq!(
            (outcome.verdict, outcome.message.as_str()),
            (Verdict::Errored, "column \"nope\" does not exist")
        );
        assert_eq!(outcome.rows, ["DETAIL:  SQLSTATE: 42703", "HINT:  Perhaps."]);
        assert_eq!(outcome.origin, Some(origin("model.s.a")));
    }

    #[test]
    fn other_nodes_are_only_reported_if_they_fail() {
        let results = RunResults {
            results: vec![
                node("seed.s.ok", "success", "INSERT 10"),
                node("seed.s.bad", "error", "Runtime Error in seed bad (seeds/bad.csv)\n  no such column"),
                node("model.s.a", "skipped", ""),
            ],
        };
        let outcomes = deploy_outcomes(&results, &[(Relation::new("s", "a"), origin("model.s.a"))]);
        let shown: Vec<_> = outcomes.iter().map(|o| (o.subject.to_string(), o.verdict)).collect();
        assert_eq!(
            shown,
            [("seed.s.bad".to_owned(), Verdict::Errored), ("s.a".to_owned(), Verdict::Skipped)]
        );
    }

    #[test]
    fn tests_keep_their_names_and_verdicts() {
        let results = RunResults {
            results: vec![
                node("test.s.unique_a_id.a1b2c3d4e5", "pass", ""),
                node("test.s.totals_match", "fail", "Got 3 results, configured to fail if != 0"),
                node("unit_test.s.a.adds_up", "error", "Compilation Error in test x\n  boom"),
            ],
        };
        let outcomes = test_outcomes(
            &results,
            &BTreeMap::from([("test.s.unique_a_id.a1b2c3d4e5".into(), origin("model.s.a"))]),
        );
        let shown: Vec<_> =
            outcomes.iter().map(|o| (o.subject.to_string(), o.verdict, o.message.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("unique_a_id".to_owned(), Verdict::Passed, "passed"),
                ("totals_match".to_owned(), Verdict::Failed, "Got 3 results, configured to fail if != 0"),
                ("a.adds_up".to_owned(), Verdict::Errored, "boom"),
            ]
        );
        assert_eq!(outcomes[0].origin, Some(origin("model.s.a")));
    }
}
