//! Replays the scripts of earlier findings: one that shows nothing any more was a bug that is gone.

use std::path::{Path, PathBuf};

use super::{FAILING_QUERY, scratch::ScratchDatabase, settings::Writes};
use crate::{
    dbt,
    model::{Outcome, Stage, Verdict},
    mutate,
    output::Activity,
    pg::{self, Client, Limits},
};

/// Runs each script of the folder in a scratch database, which a named server does not get.
pub async fn replay(
    client: &Client,
    limits: Limits,
    writes: Writes,
    folder: &Path,
    activity: &Activity,
) -> Result<Vec<Outcome>, crate::Error> {
    let scripts = scripts_in(folder)?;
    if scripts.is_empty() || writes != Writes::Committed {
        let message = if scripts.is_empty() {
            "no scripts"
        } else {
            "not replayed: a named server gets no scratch database"
        };
        return Ok(vec![Outcome::new(Stage::Verify, "corpus", Verdict::Skipped, message)]);
    }
    let mut scratch = ScratchDatabase::open(client, limits, 0).await?;
    let mut outcomes = Vec::new();
    for (at, file) in scripts.iter().enumerate() {
        activity.set(format!("replaying finding {} of {}", at + 1, scripts.len()));
        let text = std::fs::read_to_string(file).map_err(dbt::Error::unreadable(file))?;
        let subject = format!("corpus: {}", file.file_stem().unwrap_or_default().to_string_lossy());
        let outcome =
            |verdict, message: String| Outcome::new(Stage::Verify, subject.as_str(), verdict, message);
        outcomes.push(match scratch.replay(&text, client).await {
            Ok(0) if !mutate::was_reproduced(&text) => {
                outcome(Verdict::Skipped, "its script shows nothing, as when it was found".to_owned())
            }
            Ok(0) => outcome(Verdict::Passed, "an earlier finding shows nothing any more".to_owned()),
            Ok(rows) => {
                outcome(Verdict::Failed, format!("an earlier finding still shows {rows} rows that differ"))
            }
            Err(pg::Error::Server { message, .. })
                if mutate::needs_second_session(&text) && pg::is_without_second_session(&message.code) =>
            {
                let what = "an earlier finding is not replayed, for want of a second session";
                message.outcome(Stage::Verify, subject.as_str(), Verdict::Skipped, what)
            }
            Err(pg::Error::Server { message, .. }) if !mutate::was_reproduced(&text) => {
                let what = "its script, which showed nothing when it was found, fails";
                message.outcome(Stage::Verify, subject.as_str(), Verdict::Skipped, what)
            }
            // No fault of the engine.
            Err(pg::Error::Server { message, .. }) if subject.contains(FAILING_QUERY) => {
                let what = "an earlier query still fails on possible rows";
                message.outcome(Stage::Verify, subject.as_str(), Verdict::Warned, what)
            }
            Err(pg::Error::Server { message, .. }) => {
                let what = "the script of an earlier finding fails";
                message.outcome(Stage::Verify, subject.as_str(), Verdict::Failed, what)
            }
            Err(lost) => return Err(lost.into()),
        });
    }
    scratch.close(client).await?;
    Ok(outcomes)
}

/// The scripts, sorted by name; none if the folder does not exist yet.
fn scripts_in(folder: &Path) -> Result<Vec<PathBuf>, dbt::Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(dbt::Error::unreadable(folder)(error)),
    };
    let mut scripts = Vec::new();
    for entry in entries {
        let path = entry.map_err(dbt::Error::unreadable(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}
