//! What is newly bad and what recovered since an earlier report.

use super::json::{V1Outcome, V1Report};
use crate::model::Outcome;

/// The difference between an earlier report and the outcomes of today.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Bad, and it was not.
    pub newly_bad: Vec<String>,
    /// Good or gone, and it was bad.
    pub recovered: Vec<String>,
}

/// An earlier report that cannot be compared with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a report.
    #[error("`{file}` is no report of pgtrickle-ci: {source}")]
    NotOurs {
        /// The file.
        file: String,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// A format that this version does not know.
    #[error("`{file}` has the format {version}, this version reads {}", super::json::SCHEMA_VERSION)]
    Version {
        /// The file.
        file: String,
        /// Its version.
        version: u32,
    },
}

impl Error {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        "give --compare a file that --json wrote".into()
    }
}

/// Compares with an earlier report in its JSON. What is newly bad is told so in its own details.
///
/// # Errors
/// The text is no report, or one of a later version.
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
    fn what_is_newly_bad_and_what_recovered_is_told() {
        let mut earlier = Report::begin("check", OffsetDateTime::UNIX_EPOCH);
        earlier.outcomes = vec![
            outcome("s.still", Verdict::Failed),
            outcome("s.mended", Verdict::Errored),
            outcome("s.gone", Verdict::Failed),
            outcome("s.broken", Verdict::Passed),
        ];
        let mut now = vec![
            outcome("s.still", Verdict::Failed),
            outcome("s.mended", Verdict::Warned),
            outcome("s.broken", Verdict::Failed),
        ];
        let comparison = compare("report.json", &json::render(&earlier), &mut now).unwrap();
        assert_eq!(comparison.newly_bad, ["status s.broken"]);
        assert_eq!(comparison.recovered, ["status s.mended", "status s.gone"]);
        assert_eq!(now[2].details, ["new since 1970-01-01T00:00:00Z"]);
        assert!(now[0].details.is_empty());
    }

    #[test]
    fn what_is_no_report_or_one_of_the_future_is_refused() {
        let report = json::render(&Report::begin("check", OffsetDateTime::UNIX_EPOCH));
        let future = report.replace("\"schema_version\": 1", "\"schema_version\": 2");
        assert!(matches!(compare("r", "{}", &mut []), Err(Error::NotOurs { .. })));
        assert!(matches!(compare("r", &future, &mut []), Err(Error::Version { version: 2, .. })));
    }
}
