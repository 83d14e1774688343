//! `run_results.json` and its outcomes.

use std::{borrow::Cow, collections::BTreeMap, path::Path, time::Duration};

use serde::Deserialize;

use super::{Error, messages::message_and_details};
use crate::model::{DbtTest, Origin, Outcome, Relation, Stage, Subject, Verdict};

/// The results of one dbt command.
#[derive(Clone, Debug, PartialEq, Deserialize, Default)]
pub struct RunResults {
    pub results: Vec<NodeResult>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NodeResult {
    pub unique_id: String,
    /// `success`, `error`, `skipped`, `pass`, `fail` or `warn`; on dbt v2 also `reused`.
    pub status: String,
    #[serde(default)]
    pub message: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub execution_time: f64,
    /// The rows that a test returned.
    #[serde(default)]
    pub failures: Option<u64>,
}

impl RunResults {
    /// Reads the file, sorted by unique_id: dbt's own order depends on its threads.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(file).map_err(Error::unreadable(file))?;
        let mut read: Self = serde_json::from_slice(&bytes).map_err(Error::unreadable(file))?;
        read.results.sort_by(|one, other| one.unique_id.cmp(&other.unique_id));
        Ok(read)
    }

    /// Whether a node explains exit code 1.
    pub fn has_failures(&self) -> bool {
        let is_well = |status: &str| matches!(status, "success" | "pass" | "warn" | "skipped" | "reused");
        self.results.iter().any(|node| !is_well(&node.status))
    }
}

impl NodeResult {
    /// dbt's message. That of dbt v2 about a test is only `Error` or `Warn`.
    fn text(&self) -> Cow<'_, str> {
        match (self.message.as_deref(), self.failures) {
            // docs/dbt.md, "dbt v2": a test that cannot run is a test that fails with one row.
            (Some("Error" | "Fail" | "Warn"), Some(1)) => {
                "Got 1 result, or the test could not run: dbt v2 reports both alike".into()
            }
            (Some("Error" | "Fail" | "Warn"), Some(rows)) => format!("Got {rows} results").into(),
            (message, _) => message.unwrap_or(&self.status).into(),
        }
    }

    fn outcome(&self, stage: Stage, subject: impl Into<Subject>, verdict: Verdict) -> Outcome {
        let (message, details) = message_and_details(&self.text());
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
                // dbt v2 says `warn` when a macro warned, and `reused` when it had nothing to do.
                "success" | "warn" | "reused" => Verdict::Passed,
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

/// The outcomes of the project's tests. `tables` are its stream tables.
pub fn test_outcomes(
    results: &RunResults,
    tests: &BTreeMap<String, DbtTest>,
    tables: &[(Relation, Origin)],
) -> Vec<Outcome> {
    let by_id: BTreeMap<&str, &Relation> =
        tables.iter().map(|(relation, origin)| (origin.unique_id.as_str(), relation)).collect();
    results
        .results
        .iter()
        .map(|node| {
            let verdict = match node.status.as_str() {
                "pass" | "success" | "reused" => Verdict::Passed,
                "warn" => Verdict::Warned,
                "fail" => Verdict::Failed,
                "skipped" => Verdict::Skipped,
                _ => Verdict::Errored,
            };
            let outcome = node.outcome(Stage::Test, test_name(&node.unique_id), verdict);
            let message =
                if verdict == Verdict::Passed { "passed".to_owned() } else { outcome.message.clone() };
            let test = tests.get(&node.unique_id);
            let tested = test.iter().flat_map(|test| &test.tests);
            Outcome { message, ..outcome }
                .about(test.map(|test| &test.origin))
                .concerning(tested.filter_map(|id| by_id.get(id.as_str()).copied()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(unique_id: &str, status: &str, message: &str) -> NodeResult {
        NodeResult {
            unique_id: unique_id.into(),
            status: status.into(),
            message: Some(message.into()),
            execution_time: 0.25,
            failures: None,
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
        let tests = vec!["model.s.a".into(), "model.s.no_stream_table".into()];
        let test = DbtTest { origin: origin("model.s.a"), tests };
        let outcomes = test_outcomes(
            &results,
            &BTreeMap::from([("test.s.unique_a_id.a1b2c3d4e5".into(), test)]),
            &[(Relation::new("s", "a"), origin("model.s.a"))],
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
        assert_eq!(outcomes[0].concerns, [Relation::new("s", "a")]);
        assert_eq!(outcomes[1].concerns, []);
    }
    #[test]
    fn a_model_of_dbt_v2_that_warned_or_was_reused_is_deployed() {
        let nodes = [("model.s.a", "warn", "Warn"), ("model.s.b", "reused", "No new changes")];
        let results = RunResults { results: nodes.map(|(id, status, text)| node(id, status, text)).into() };
        let tables = ["a", "b"].map(|name| (Relation::new("s", name), origin(&format!("model.s.{name}"))));
        let verdicts: Vec<_> = deploy_outcomes(&results, &tables).iter().map(|o| o.verdict).collect();
        assert_eq!(verdicts, [Verdict::Passed, Verdict::Passed]);
        assert!(!results.has_failures());
    }

    /// From a file that dbt 2.0.0a4 wrote: a test with rows, one whose SQL is wrong, and one that only warns.
    #[test]
    fn tests_of_dbt_v2_name_their_rows() {
        let file = r#"{"results": [
            {"status": "fail", "execution_time": 0.7, "adapter_response": {}, "message": "Error", "failures": 2, "unique_id": "test.s.fails"},
            {"status": "fail", "execution_time": 1.8, "adapter_response": {}, "message": "Error", "failures": 1, "unique_id": "test.s.errs"},
            {"status": "warn", "execution_time": 1.1, "adapter_response": {}, "message": "Warn", "failures": 5, "unique_id": "test.s.warns.04eb22cdbe"},
            {"status": "pass", "execution_time": 0.9, "adapter_response": {}, "message": "Pass", "failures": 0, "unique_id": "test.s.well.054f18ea36"}
        ]}"#;
        let results: RunResults = serde_json::from_str(file).unwrap();
        assert!(results.has_failures());
        let outcomes = test_outcomes(&results, &BTreeMap::new(), &[]);
        let shown: Vec<_> = outcomes.iter().map(|o| (o.verdict, o.message.as_str())).collect();
        assert_eq!(
            shown,
            [
                (Verdict::Failed, "Got 2 results"),
                (Verdict::Failed, "Got 1 result, or the test could not run: dbt v2 reports both alike"),
                (Verdict::Warned, "Got 5 results"),
                (Verdict::Passed, "passed"),
            ]
        );
    }
}
