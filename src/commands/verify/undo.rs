//! Putting the sources of a named server back, whatever became of the rounds.

use std::time::{Duration, Instant};

use super::finish;
use crate::{
    model::{Outcome, Stage, Verdict},
    mutate::{Change, Effect, Source},
    output,
    pg::{self, Changed, Client, Endpoint, Limits},
};

/// How long a server may take to accept somebody again, and how often that is tried.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(500);

/// What was done to the sources and has to be taken back. When this is dropped with something left to take back, after
/// Ctrl-C or a lost connection, it is taken back over a connection of its own.
pub(super) struct Undo {
    endpoint: Endpoint,
    limits: Limits,
    sources: Vec<Source>,
    /// The sums of the sources that can be changed, before the first change.
    sums: Vec<String>,
    /// The process behind the connection that changes, which must be gone before anything is taken back.
    process: i32,
    committed: Vec<Effect>,
    /// Those of a transaction of which nobody knows yet whether it was committed.
    uncertain: Vec<Effect>,
    wanted: bool,
}

impl Undo {
    /// Takes note of how the sources are. Without `wanted` nothing is ever taken back: the server is thrown away.
    pub(super) async fn begin(
        client: &Client,
        sources: &[Source],
        wanted: bool,
        limits: Limits,
    ) -> Result<Self, pg::Error> {
        let sources = sources.to_vec();
        let sums = if wanted { client.checksums(&within_reach(&sources)).await? } else { Vec::new() };
        Ok(Self {
            endpoint: client.endpoint().clone(),
            limits,
            sources,
            sums,
            process: client.process().await?,
            committed: Vec::new(),
            uncertain: Vec::new(),
            wanted,
        })
    }

    pub(super) fn about_to_commit(&mut self, effects: impl Iterator<Item = Effect>) {
        if self.wanted {
            self.uncertain.extend(effects);
        }
    }

    pub(super) fn committed(&mut self) {
        self.committed.append(&mut self.uncertain);
    }

    pub(super) fn not_committed(&mut self) {
        self.uncertain.clear();
    }

    /// Takes everything back, and says whether the sources are what they were.
    pub(super) async fn put_back(&mut self, client: Option<&Client>) -> Option<Outcome> {
        if !self.wanted {
            return None;
        }
        let outcome = |verdict, message: &str| Outcome::new(Stage::Verify, "sources", verdict, message);
        let count = self.committed.len() + self.uncertain.len();
        let put_back = match client {
            Some(client) => match self.over(client).await {
                Err(pg::Error::Lost { .. }) => self.over_a_new_connection().await,
                ended => ended,
            },
            None => self.over_a_new_connection().await,
        };
        self.committed.clear();
        self.uncertain.clear();
        Some(match put_back {
            Ok(different) if different.is_empty() => {
                outcome(Verdict::Passed, "put back: their rows are what they were before")
            }
            Ok(different) => {
                outcome(Verdict::Failed, "not put back: their rows are not what they were before")
                    .with_details(different)
                    .with_details(["others may have written to them meanwhile".to_owned()])
            }
            Err(error) => outcome(Verdict::Errored, "not put back: their rows are not what they were before")
                .with_details([error.to_string(), format!("{count} statements are to be taken back")]),
        })
    }

    async fn over_a_new_connection(&self) -> Result<Vec<String>, pg::Error> {
        let client = self.connect().await?;
        client.end_process(self.process).await?;
        // The other connection may have been lost when it had already put everything back.
        if self.different(&client).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.over(&client).await
    }

    /// A server one of whose processes was killed takes nobody for a moment.
    async fn connect(&self) -> Result<Client, pg::Error> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match Client::connect(&self.endpoint, self.limits).await {
                Err(pg::Error::Connect { .. }) if Instant::now() < patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                connected => return connected,
            }
        }
    }

    async fn over(&self, client: &Client) -> Result<Vec<String>, pg::Error> {
        let uncertain = self.has_uncertain(client).await?;
        let effects = self.committed.iter().chain(uncertain);
        let back: Vec<Change> =
            effects.collect::<Vec<_>>().into_iter().rev().flat_map(Effect::inverse).collect();
        client.run("begin").await?;
        for change in &back {
            if let Changed::Refused(message) = client.change(change, &self.sources).await? {
                output::to_stderr(&format!("cannot take back: {}: {message}", change.sql(&self.sources)));
            }
        }
        client.run("commit").await?;
        self.different(client).await
    }

    /// The sources that are not what they were.
    async fn different(&self, client: &Client) -> Result<Vec<String>, pg::Error> {
        let sources = within_reach(&self.sources);
        let sums = client.checksums(&sources).await?;
        let differs =
            sources.iter().zip(self.sums.iter().zip(&sums)).filter(|(_, (before, now))| before != now);
        Ok(differs.map(|(source, _)| source.relation.to_string()).collect())
    }

    /// The uncertain effects, if their transaction was committed: one of its new rows is there, or one of its old ones
    /// is not.
    async fn has_uncertain(&self, client: &Client) -> Result<&[Effect], pg::Error> {
        for effect in self.uncertain.iter().rev() {
            let rows =
                client.all_rows(&self.sources[effect.source], usize::MAX >> 33).await?.unwrap_or_default();
            for (before, after) in effect.rows.iter().rev() {
                let is_there = |row: &Option<crate::mutate::Row>| row.as_ref().map(|row| rows.contains(row));
                if before != after {
                    let there = is_there(after).or_else(|| is_there(before).map(|there| !there));
                    return Ok(if there == Some(true) { &self.uncertain } else { &[] });
                }
            }
        }
        Ok(&[])
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if !self.wanted || self.committed.is_empty() && self.uncertain.is_empty() {
            return;
        }
        output::to_stderr("putting the sources back");
        let outcome = finish(async || self.put_back(None).await);
        match outcome {
            Some(outcome) => {
                output::to_stderr(&outcome.message);
                outcome.details.iter().for_each(|line| output::to_stderr(line));
            }
            None => output::to_stderr("not put back: there is no way to connect"),
        }
    }
}

fn within_reach(sources: &[Source]) -> Vec<&Source> {
    sources.iter().filter(|source| source.out_of_reach.is_none()).collect()
}
