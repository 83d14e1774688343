//! `wait`: until every stream table is populated, or cannot be any more.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    Error,
    cli::WaitArgs,
    commands::{connect, selected_manifest},
    config::Config,
    exit::Exit,
    judge::{
        self,
        population::{self, Progress},
    },
    model::{Outcome, Relation, StreamTable},
    output::Ui,
    pg::{self, Client},
    report::Report,
};

/// The first pause between two looks; each is longer than the one before, up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Waits for the project's stream tables on a server that the user named.
pub(super) async fn wait(config: &Config, args: &WaitArgs, report: &mut Report) -> Result<Exit, Error> {
    let project = selected_manifest(config, &args.project, &args.manifest, &args.selection)?;
    report.project = Some(project.name.clone());
    let client = connect(config, &args.server, &args.project, report).await?;
    let tables: Vec<&StreamTable> = project.tables.iter().collect();
    let waiting = Waiting { refresh: args.refresh, timeout: config.timeout(&args.waiting), ui: config.ui };
    report.outcomes.extend(waiting.populated(&client, &tables).await?);
    Ok(Exit::Passed)
}

/// How to wait.
pub(super) struct Waiting {
    /// Fill the tables that nothing else ever fills.
    pub(super) refresh: bool,
    /// How long at most.
    pub(super) timeout: Duration,
    /// Where to say what is waited for.
    pub(super) ui: Ui,
}

impl Waiting {
    /// Looks, judges and sleeps, until every table is populated, one cannot be, or the time is over.
    pub(super) async fn populated(
        &self,
        client: &Client,
        tables: &[&StreamTable],
    ) -> Result<Vec<Outcome>, pg::Error> {
        let started = Instant::now();
        let mut done: BTreeMap<&Relation, Duration> = BTreeMap::new();
        let mut refreshed: Vec<&Relation> = Vec::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let deployed = client.catalog().await?;
            let catalog = judge::catalog(&deployed);
            let mut waiting = Vec::new();
            let mut hopeless = false;
            for table in tables {
                match population::progress(table, &catalog) {
                    Progress::Populated => {
                        done.entry(&table.relation).or_insert_with(|| started.elapsed());
                    }
                    Progress::NeverByItself if self.refresh && !refreshed.contains(&&table.relation) => {
                        self.ui.say(&format!(
                            "filling {}: it was created with initialize: false",
                            table.relation
                        ));
                        client.refresh(&table.relation).await?;
                        refreshed.push(&table.relation);
                        waiting.push(table.relation.to_string());
                    }
                    Progress::Waiting(_) => waiting.push(table.relation.to_string()),
                    Progress::NeverByItself | Progress::Failed(_) => hopeless = true,
                }
            }
            if waiting.is_empty() || hopeless || started.elapsed() >= self.timeout {
                let timed = |outcome: Outcome, table: &StreamTable| match done.get(&table.relation) {
                    Some(elapsed) => outcome.taking(*elapsed),
                    None => outcome.taking(started.elapsed()),
                };
                return Ok(tables
                    .iter()
                    .map(|table| timed(population::judge(table, &catalog), table))
                    .collect());
            }
            if pause >= Duration::from_secs(1) {
                self.ui.say(&format!("waiting for {}", waiting.join(", ")));
            }
            tokio::time::sleep(pause.min(self.timeout.saturating_sub(started.elapsed()))).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
