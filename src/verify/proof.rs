//! The evidence that a named server is unchanged: checksums of all tables in reach, before and after.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    model::{HiddenRead, Outcome, Relation, Stage, Verdict},
    pg::{self, Client, Contents, Exclusive},
};

/// The checksums before the first round.
pub(super) struct Proof {
    before: Vec<(Relation, Contents)>,
    /// Tables without a checksum, with the reason.
    left_out: Vec<String>,
}

impl Proof {
    /// Computes the checksums, small tables first, until the time ends.
    pub(super) async fn begin(
        client: &Client,
        hidden_reads: &BTreeMap<Relation, Vec<HiddenRead>>,
        time: Duration,
    ) -> Result<Self, pg::Error> {
        let deadline = Instant::now() + time;
        let (mut before, mut left_out) = (Vec::new(), Vec::new());
        for table in client.reach(hidden_reads).await?.tables {
            if Instant::now() >= deadline {
                left_out.push(format!("{table}: too large for the budget"));
                continue;
            }
            match client.contents(&table).await {
                Ok(contents) => before.push((table, contents)),
                Err(pg::Error::Server { message, .. }) => {
                    left_out.push(format!("{table}: {}", message.message));
                }
                Err(lost) => return Err(lost),
            }
        }
        Ok(Self { before, left_out })
    }

    /// Computes them again. The rounds committed nothing, so a difference is a write of another session.
    pub(super) async fn end(
        self,
        client: &Client,
        exclusive: &Exclusive,
        process: i32,
    ) -> Result<Outcome, pg::Error> {
        // If the second connection is gone, it cannot see the open transaction either.
        if exclusive.is_open(process).await.unwrap_or_default() {
            let message = format!("the transaction of a round is still open: pid {process}");
            return Ok(Outcome::new(Stage::Verify, "rollback", Verdict::Failed, message));
        }
        let mut changed = Vec::new();
        for (table, before) in &self.before {
            match client.contents(table).await {
                Ok(now) if now == *before => {}
                Ok(_) => changed.push(format!("{table}: another session wrote to it at the same time")),
                Err(pg::Error::Server { message, .. }) => {
                    changed.push(format!("{table}: {}", message.message));
                }
                Err(lost) => return Err(lost),
            }
        }
        let count = self.before.len();
        let message = if changed.is_empty() {
            format!("every round was rolled back: the rows of {} are the same, bit for bit", tables(count))
        } else {
            format!(
                "every round was rolled back: {} of {} have other rows than before, which another session wrote",
                changed.len(),
                tables(count)
            )
        };
        let as_text = self.before.iter().filter(|(_, contents)| contents.as_text);
        Ok(Outcome::new(Stage::Verify, "rollback", Verdict::Passed, message)
            .with_details(changed)
            .with_details(
                as_text.map(|(table, _)| format!("{table}: compared as text, a type has no binary form")),
            )
            .with_details(self.left_out.iter().map(|line| format!("not compared: {line}"))))
    }
}

fn tables(count: usize) -> String {
    if count == 1 { "1 table".into() } else { format!("{count} tables") }
}
