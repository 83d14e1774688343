//! Table ages in dbt's `sources.json` format, version 3.

use std::time::Duration;

use serde_json::{Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    judge::freshness::TableAge,
    model::{AgeLimits, Outcome, Stage, Verdict},
};

/// Renders the ages, with the verdicts of the outcomes.
pub fn render(
    started_at: OffsetDateTime,
    elapsed: Duration,
    ages: &[TableAge],
    outcomes: &[Outcome],
) -> String {
    let results: Vec<Json> = ages.iter().map(|age| result(age, outcomes)).collect();
    let document = json!({
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/sources/v3.json",
            "dbt_version": concat!("pgtrickle-ci ", env!("CARGO_PKG_VERSION")),
            "generated_at": timestamp(started_at),
            "invocation_id": null,
            "env": {},
        },
        "results": results,
        "elapsed_time": elapsed.as_secs_f64(),
    });
    format!("{document:#}\n")
}

/// A table without an age has dbt's status `runtime error`, with the table's first problem as the message.
fn result(age: &TableAge, outcomes: &[Outcome]) -> Json {
    let of_table = |outcome: &&Outcome| outcome.subject.relation() == Some(&age.relation);
    let fresh = outcomes.iter().filter(of_table).find(|outcome| outcome.stage == Stage::Freshness);
    let status = match fresh.map(|outcome| outcome.verdict) {
        Some(Verdict::Passed) => Some("pass"),
        Some(Verdict::Warned) => Some("warn"),
        Some(Verdict::Failed) => Some("error"),
        Some(Verdict::Skipped | Verdict::Errored) | None => None,
    };
    let (Some(status), Some(refreshed_at)) = (status, age.refreshed_at) else {
        let bad = outcomes.iter().filter(of_table).find(|outcome| outcome.verdict.is_bad());
        let why = bad.or(fresh).map_or("was not checked", |outcome| outcome.message.as_str());
        return json!({"unique_id": age.unique_id, "error": why, "status": "runtime error"});
    };
    json!({
        "unique_id": age.unique_id,
        "max_loaded_at": seconds(refreshed_at),
        "snapshotted_at": seconds(age.now),
        "max_loaded_at_time_ago_in_s": (age.now - refreshed_at).max(0.0),
        "status": status,
        "criteria": criteria(age.limits),
        "adapter_response": {},
        "timing": [],
        "thread_id": "MainThread",
        "execution_time": 0.0,
    })
}

fn criteria(limits: Option<AgeLimits>) -> Json {
    let limits = limits.unwrap_or_default();
    // dbt has no seconds: round up to whole minutes.
    let after = |limit: Option<Duration>| {
        let minutes = limit.map(|limit| limit.as_secs().div_ceil(60));
        json!({"count": minutes, "period": minutes.map(|_| "minute")})
    };
    json!({"warn_after": after(limits.warn_after), "error_after": after(limits.error_after), "filter": null})
}

fn seconds(epoch: f64) -> Option<String> {
    timestamp(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds_f64(epoch))
}

fn timestamp(time: OffsetDateTime) -> Option<String> {
    time.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Relation;

    #[test]
    fn ages_have_dbts_format() {
        let outcome = |stage, name: &str, verdict, message: &str| {
            Outcome::new(stage, &Relation::new("s", name), verdict, message)
        };
        let outcomes = [
            outcome(Stage::Freshness, "good", Verdict::Passed, "refreshed 5s ago"),
            outcome(Stage::Freshness, "old", Verdict::Failed, "refreshed 1h ago"),
            outcome(Stage::Status, "broken", Verdict::Failed, "in status ERROR"),
            outcome(Stage::Freshness, "broken", Verdict::Skipped, "skipped"),
        ];
        let age = |name: &str| TableAge {
            relation: Relation::new("s", name),
            unique_id: format!("model.shop.{name}"),
            refreshed_at: Some(1_795_238_000.0),
            refresh_ms: None,
            now: 1_795_238_005.5,
            limits: Some(AgeLimits { warn_after: Some(Duration::from_secs(70)), error_after: None }),
        };
        let ages = ["good", "old", "broken", "gone"].map(age);
        let text = render(OffsetDateTime::UNIX_EPOCH, Duration::from_millis(2500), &ages, &outcomes);
        let document: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(document["elapsed_time"], 2.5);
        let results = document["results"].as_array().unwrap();
        assert_eq!(results[0]["status"], "pass");
        assert_eq!(results[0]["max_loaded_at"], "2026-11-21T05:13:20Z");
        assert_eq!(results[0]["max_loaded_at_time_ago_in_s"], 5.5);
        assert_eq!(results[0]["criteria"]["warn_after"], json!({"count": 2, "period": "minute"}));
        assert_eq!(results[0]["criteria"]["error_after"], json!({"count": null, "period": null}));
        assert_eq!(results[1]["status"], "error");
        assert_eq!(
            results[2],
            json!({"unique_id": "model.shop.broken", "error": "in status ERROR", "status": "runtime error"})
        );
        assert_eq!(results[3]["error"], "was not checked");
    }
}
