//! The preparation of rounds: the sources, the values to draw from, and the priority of each table.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Known, RoundSettings, coverage::Coverage, rolled_back, rounds::Rounds};
use crate::{
    model::{Deployed, Relation, Setting, StreamTable, Value, order},
    mutate::{Mutator, Row, Source, delicacy},
    pg::{self, Client},
};

/// Tables that the pull request changes have this many times the priority.
const CHANGED: usize = 10;

impl<'a> Rounds<'a> {
    pub(super) async fn prepare(
        client: &'a Client,
        deployed: &'a [Deployed],
        wanted: &[&StreamTable],
        settings: &'a RoundSettings,
        known: &'a Known,
        truncate_delay: Duration,
    ) -> Result<Self, crate::Error> {
        let plain: Vec<&StreamTable> = deployed.iter().map(|deployed| &deployed.table).collect();
        let sorted = order::topological(&plain).map_err(|members| crate::plan::Cycle { members })?;
        let tables: Vec<&Deployed> = sorted
            .iter()
            .filter_map(|table| deployed.iter().find(|deployed| deployed.table.relation == table.relation))
            .collect();
        let mut sources = client.sources().await?;
        for source in &mut sources {
            source.only_inserts = wanted.iter().any(|table| is_append_only_model(table, source));
        }
        if !settings.commits() {
            rolled_back::leave_out(client, &mut sources).await?;
        }
        let rows = known_rows(client, &sources).await?;
        client.supply(&mut sources, &rows).await?;
        let priority = |table: &&StreamTable| {
            let factor = if known.changed.contains(&table.relation) { CHANGED } else { 1 };
            (table.relation.clone(), factor * (1 + delicacy(&table.query)))
        };
        let readers = order::Readers::of(plain.iter().copied());
        let comparables = client.comparables().await?;
        Ok(Self {
            client,
            settings,
            reached: sources.iter().map(|source| downstream(source, &readers)).collect(),
            tables,
            comparables: comparables.into_iter().map(|table| (table.relation.clone(), table)).collect(),
            findings: BTreeMap::new(),
            reproductions: Vec::new(),
            history: Vec::new(),
            count: 0,
            changing: 0,
            coverage: vec![Coverage::default(); sources.len()],
            mutator: Mutator::new(settings.seed, sources, rows, settings.commits()),
            compared: BTreeMap::new(),
            moved: BTreeMap::new(),
            unreached: BTreeSet::new(),
            equal_before: &known.equal,
            priority: wanted.iter().map(priority).collect(),
            truncate_delay,
            blocked: 0,
            blockers: BTreeSet::new(),
            process: 0,
            failing_queries: 0,
            drawing: Duration::ZERO,
            elapsed: Duration::ZERO,
        })
    }
}

/// Whether a model says that rows are only added to its sources. The catalog's word does not count: pg_trickle changes
/// it with the rows.
fn is_append_only_model(table: &StreamTable, source: &Source) -> bool {
    source.readers.contains(&table.relation)
        && table.origin.is_some()
        && table.settings.get(Setting::AppendOnly) == Some(&Value::Bool(true))
}

/// The rows of each source to draw values from, and whether these are all of its rows.
async fn known_rows(client: &Client, sources: &[Source]) -> Result<Vec<(Vec<Row>, bool)>, pg::Error> {
    let mut known = Vec::with_capacity(sources.len());
    for source in sources {
        known.push(match source.out_of_reach {
            Some(_) => (Vec::new(), false),
            None => client.known_rows(source).await?,
        });
    }
    Ok(known)
}

/// The stream tables that read the source, directly or not.
fn downstream(source: &Source, readers: &order::Readers<'_>) -> BTreeSet<Relation> {
    let further = source.readers.iter().flat_map(|reader| readers.below(reader));
    source.readers.iter().chain(further).cloned().collect()
}
