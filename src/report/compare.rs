//! New failures and recoveries since an earlier report.

use super::json::{V1Outcome, V1Report};
use crate::model::Outcome;

/// The difference between an earlier report and the current outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Failed or errored now, but not before.
    pub newly_bad: Vec<String>,
    /// Failed or errored before, but not now.
    pub recovered: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{file}` is not a pgtrickle-ci report: {source}")]
    NotOurs { file: String, source: serde_json::Error },
    #[error("`{file}` has report format {version}; this version reads {}", super::json::SCHEMA_VERSION)]
    Version { file: String, version: u32 },
}

impl Error {
    pub fn hint(&self) -> String {
        "pass a file written by `--json` to `--compare`".into()
    }
}

/// Compares with an earlier JSON report. A new failure gets a detail that says so.
///
/// # Errors
/// The text is not a report, or has another format.
pub fn compare(file: &str, earlier: &str, outcomes: &mut [Outcome]) -> Result<Comparison, Error> {
    let not_ours = |source| Error::NotOurs { file: file.to_owned(), source };
    let earlier: V1Report = serde_json::from_str(earlier).map_err(not_ours)?;
    if earlier.schema_version != super::json::SCHEMA_VERSION {
        return Err(Error::Version { file: file.to_owned(), version: earlier.schema_version });
    }
    let was_bad: Vec<&V1Outcome> =
        earlier.outcomes.iter().filter(|o| o.verdict == "failed" || o.verdict == "errored").collect();
    let mut comparison = Comparison::default();
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.verdict.is_bad()) {
        if !was_bad.iter().any(|before| is_same(before, outcome)) {
            comparison.newly_bad.push(name(outcome.stage.name(), &outcome.subject.to_string()));
            outcome.details.push(format!("new since {}", earlier.started_at));
        }
    }
    let is_still_bad =
        |before: &V1Outcome| outcomes.iter().any(|now| now.verdict.is_bad() && is_same(before, now));
    comparison.recovered = was_bad
        .into_iter()
        .filter(|before| !is_still_bad(before))
        .map(|before| name(&before.stage, &before.subject))
        .collect();
    Ok(comparison)
}

fn is_same(before: &V1Outcome, now: &Outcome) -> bool {
    before.stage == now.stage.name() && before.subject == now.subject.to_string()
}

fn name(stage: &str, subject: &str) -> String {
    format!("{stage} {subject}")
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::{
        model::{Stage, Verdict},
        report::{Report, json},
    };

    fn outcome(name: &str, verdict: Verdict) -> Outcome {
        Outcome::new(Stage::Status, name, verdict, "words")
    }

    #[test]
    fn new_failures_and_recoveries_are_listed() {
        let mut earlier = Report::begin("check", OffsetDateTime::UNIX_EPOCH);
        earlier.outcomes = vec![
            outcome("s.still", Verdict::Failed),
            outcome("s.repaired", Verdict::Errored),
            outcome("s.gone", Verdict::Failed),
            outcome("s.broken", Verdict::Passed),
        ];
        let mut now = vec![
            outcome("s.still", Verdict::Failed),
            outcome("s.repaired", Verdict::Warned),
            outcome("s.broken", Verdict::Failed),
        ];
        let comparison = compare("report.json", &json::render(&earlier), &mut now).unwrap();
        assert_eq!(comparison.newly_bad, ["status s.broken"]);
        assert_eq!(comparison.recovered, ["status s.repaired", "status s.gone"]);
        assert_eq!(now[2].details, ["new since 1970-01-01T00:00:00Z"]);
        assert!(now[0].details.is_empty());
    }

    #[test]
    fn other_documents_and_formats_are_rejected() {
        let report = json::render(&Report::begin("check", OffsetDateTime::UNIX_EPOCH));
        let future = report.replace("\"schema_version\": 1", "\"schema_version\": 2");
        assert!(matches!(compare("r", "{}", &mut []), Err(Error::NotOurs { .. })));
        assert!(matches!(compare("r", &future, &mut []), Err(Error::Version { version: 2, .. })));
    }
}
