//! What rounds verify: the tables, the sources that reach them, the values to draw from, and the priority of each table.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::settings::RoundSettings;
use crate::{
    judge::equality::Comparable,
    model::{Deployed, HiddenRead, Relation, Setting, StreamTable, Value, order, tier_factor},
    mutate::{Mutator, Row, Source, delicacy},
    pg::{self, Client, FunctionReads},
};

/// Tables that the pull request changes have this many times the priority.
const CHANGED: usize = 10;

/// What is known about the tables before the first round.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The tables that the pull request changes.
    pub changed: BTreeSet<Relation>,
    /// Whether each table is equal to its query; those without an entry were not compared.
    pub equal: BTreeMap<Relation, bool>,
}

/// The tables, which stay the same for all rounds.
pub(super) struct Subjects<'a> {
    /// All stream tables, upstream ones first.
    pub(super) tables: Vec<&'a Deployed>,
    pub(super) comparables: BTreeMap<Relation, Comparable>,
    /// For each source the tables downstream of it.
    pub(super) reached: Vec<BTreeSet<Relation>>,
    /// Whether each table was equal to its query before the first round; those without an entry were not compared.
    pub(super) equal_before: &'a BTreeMap<Relation, bool>,
    /// The priority of each wanted table: delicate queries first.
    pub(super) priority: BTreeMap<Relation, usize>,
    pub(super) functions: FunctionReads,
    /// The statements for the database's own settings of pg_trickle.
    pub(super) engine_settings: Vec<String>,
    /// The tables that nobody refreshes, because somebody suspended them.
    pub(super) suspended: BTreeSet<Relation>,
    /// The tables that each query reads without pg_trickle's knowledge.
    pub(super) hidden_reads: BTreeMap<Relation, Vec<HiddenRead>>,
}

impl<'a> Subjects<'a> {
    /// Also returns the mutator of their sources, whose transactions may stay open.
    pub(super) async fn prepare(
        client: &Client,
        deployed: &'a [Deployed],
        wanted: &[&StreamTable],
        settings: &RoundSettings,
        known: &'a Known,
        stays_open: bool,
    ) -> Result<(Self, Mutator), crate::Error> {
        let plain: Vec<&StreamTable> = deployed.iter().map(|deployed| &deployed.table).collect();
        let sorted = order::topological(&plain).map_err(|members| crate::plan::Cycle { members })?;
        let tables: Vec<&Deployed> = sorted
            .iter()
            .filter_map(|table| deployed.iter().find(|deployed| deployed.table.relation == table.relation))
            .collect();
        let queries = tables.iter().map(|deployed| (&deployed.table.relation, deployed.table.query.as_str()));
        let functions = client.function_reads(queries).await?;
        let mut hidden_reads = client.hidden_reads(&functions).await?;
        for (relation, reads) in &mut hidden_reads {
            reads.retain(|read| !settings.terms.accepts(read, relation));
        }
        hidden_reads.retain(|_, reads| !reads.is_empty());
        // Nothing tells the scheduler of a refresh (docs/pg_trickle.md, "Materialized views and foreign tables").
        let refreshes_views = settings.commits() && !settings.by_scheduler;
        let mut sources = client.sources(&hidden_reads, refreshes_views).await?;
        for source in &mut sources {
            source.only_inserts = wanted.iter().any(|table| is_append_only_model(table, source));
            source.writes_partitions = settings.partitions;
            source.stays_open = stays_open;
        }
        if !settings.commits() {
            leave_out(client, &mut sources, &hidden_reads).await?;
        }
        read_partitions(client, &mut sources, &tables, settings).await?;
        for source in &mut sources {
            source.may_alter = settings.commits() && follows_alterations(source, &tables);
        }
        let readers = order::Readers::of(plain.iter().copied());
        let reached: Vec<BTreeSet<Relation>> =
            sources.iter().map(|source| downstream(source, &readers)).collect();
        let comparables = client.comparables().await?;
        for (source, reached) in sources.iter_mut().zip(&reached) {
            let readers = comparables.iter().filter(|table| reached.contains(&table.relation));
            source.take_literals(readers.flat_map(Comparable::texts).map(|(_, text)| text));
        }
        let rows = known_rows(client, &sources).await?;
        client.supply(&mut sources, &rows).await?;
        let priority = |table: &&StreamTable| {
            let factor = if known.changed.contains(&table.relation) { CHANGED } else { 1 };
            (table.relation.clone(), factor * (1 + delicacy(&table.query)))
        };
        let suspended = tables.iter().filter(|deployed| deployed.health.status == "SUSPENDED");
        let subjects = Self {
            suspended: suspended.map(|deployed| deployed.table.relation.clone()).collect(),
            reached,
            tables,
            comparables: comparables.into_iter().map(|table| (table.relation.clone(), table)).collect(),
            equal_before: &known.equal,
            priority: wanted.iter().map(priority).collect(),
            functions,
            engine_settings: client.own_engine_settings().await?,
            hidden_reads,
        };
        Ok((subjects, Mutator::new(settings.seed, sources, rows, settings.commits())))
    }

    pub(super) fn find(&self, relation: &Relation) -> Option<&'a Deployed> {
        self.tables.iter().copied().find(|deployed| deployed.table.relation == *relation)
    }

    /// The tables that differed from their queries before the first round, and may be wrong for good.
    pub(super) fn suspected(&self) -> BTreeSet<Relation> {
        let suspected = self.equal_before.iter().filter(|(_, equal)| !**equal);
        suspected.map(|(relation, _)| relation.clone()).collect()
    }

    /// The stream tables that a table reads directly.
    pub(super) fn upstream(&self, relation: &Relation) -> impl Iterator<Item = &'a Relation> {
        self.find(relation).into_iter().flat_map(|deployed| &deployed.table.upstream)
    }

    /// The tables and their upstream stream tables.
    pub(super) fn with_upstream(&self, mut tables: Vec<Relation>) -> Vec<Relation> {
        let mut next = 0;
        while let Some(relation) = tables.get(next).cloned() {
            for up in self.upstream(&relation) {
                if !tables.contains(up) {
                    tables.push(up.clone());
                }
            }
            next += 1;
        }
        tables
    }

    /// The time between two refreshes of the scheduler.
    pub(super) fn interval(&self, relation: &Relation) -> Duration {
        let interval = self.find(relation).and_then(|deployed| {
            let seconds = deployed.table.settings.schedule()?.seconds()?;
            Some(Duration::from_secs(seconds) * tier_factor(deployed.health.refresh_tier.as_deref()))
        });
        interval.unwrap_or_default()
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

/// Partitions are changed where a commit shows it, and nobody else needs the locks. Not by default where an IMMEDIATE table
/// reads them, which no refresh follows (docs/pg_trickle.md, "Change capture").
async fn read_partitions(
    client: &Client,
    sources: &mut [Source],
    tables: &[&Deployed],
    settings: &RoundSettings,
) -> Result<(), pg::Error> {
    let immediate = tables.iter().map(|deployed| &deployed.table).filter(|table| is_immediate(table));
    let immediate: BTreeSet<&Relation> = immediate.map(|table| &table.relation).collect();
    for source in sources {
        let is_read_at_once = source.readers.iter().any(|reader| immediate.contains(reader));
        let is_left_alone =
            source.from_log || source.out_of_reach.is_some() || is_read_at_once && !settings.partitions;
        if !settings.commits() || is_left_alone {
            source.partitions.clear();
        }
        client.held_by_partitions(source).await?;
    }
    Ok(())
}

/// Whether pg_trickle says that it follows a new column and a wider type of the source (docs/pg_trickle.md, "Source DDL").
fn follows_alterations(source: &Source, tables: &[&Deployed]) -> bool {
    let readers = tables.iter().map(|deployed| &deployed.table);
    let mut readers = readers.filter(|table| source.readers.contains(&table.relation));
    !source.from_log
        && source.partitioned.is_none()
        && readers.all(|table| !is_immediate(table) && !selects_every_column(&table.query))
}

/// Whether the query may get another column with its source: `*` and `t.*`, and not `count(*)` or a product.
fn selects_every_column(query: &str) -> bool {
    let tokens: Vec<_> = crate::sql::tokens(query).collect();
    let follows = |pair: &[std::borrow::Cow<'_, str>]| {
        pair[1] == "*" && matches!(pair[0].as_ref(), "select" | "distinct" | "all" | "," | ".")
    };
    tokens.windows(2).any(follows)
}

/// The stream tables that read the source, directly or not.
fn downstream(source: &Source, readers: &order::Readers<'_>) -> BTreeSet<Relation> {
    let further = source.readers.iter().flat_map(|reader| readers.below(reader));
    source.readers.iter().chain(further).cloned().collect()
}

/// Leaves out the sources whose changes a rollback would not revert, or a transaction would not show.
async fn leave_out(
    client: &Client,
    sources: &mut [Source],
    hidden_reads: &BTreeMap<Relation, Vec<HiddenRead>>,
) -> Result<(), pg::Error> {
    let reach = client.reach(hidden_reads).await?;
    for source in sources.iter_mut().filter(|source| source.out_of_reach.is_none()) {
        let escape = reach.escapes.iter().find(|escape| escape.source == source.relation);
        source.out_of_reach = if source.from_log {
            Some("is captured from the log, which reproduces committed changes only".to_owned())
        } else {
            escape.map(|escape| format!("may have effects that no rollback reverts: {}", escape.why))
        };
    }
    Ok(())
}

pub(super) fn is_immediate(table: &StreamTable) -> bool {
    table.settings.refresh_mode() == Some("IMMEDIATE")
}
