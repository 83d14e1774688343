//! Takes the shard of a project that a job checks.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use crate::{
    Error, dbt,
    model::{Relation, ShardNode, ShardShare, StreamTable},
    mutate::delicacy,
    options::Sharding,
    output::Ui,
    report,
};

/// The tables of a shard, and what it took; all tables without a shard.
pub fn take_shard<'a>(
    ui: Ui,
    tables: Vec<&'a StreamTable>,
    sharding: Option<&Sharding>,
) -> Result<(Vec<&'a StreamTable>, Option<ShardShare>), Error> {
    let Some(sharding) = sharding else { return Ok((tables, None)) };
    let durations = durations(ui, sharding)?;
    let places: BTreeMap<&Relation, usize> =
        tables.iter().enumerate().map(|(at, table)| (&table.relation, at)).collect();
    let place = |relation: &Relation| places.get(relation).copied();
    let node = |table: &&StreamTable| ShardNode {
        name: table.relation.to_string(),
        weight: 1 + delicacy(&table.query),
        took: durations.get(&table.relation.to_string()).copied(),
        reads: table.upstream.iter().filter(|up| **up != table.relation).filter_map(place).collect(),
        definition: table.query.clone(),
    };
    let nodes: Vec<ShardNode> = tables.iter().map(node).collect();
    let (taken, whole) = sharding.shard.of(&nodes);
    Ok((taken.into_iter().map(|at| tables[at]).collect(), Some(whole)))
}

/// How long each relation took in the earlier report; none without one, as in the first run.
pub fn durations(ui: Ui, sharding: &Sharding) -> Result<BTreeMap<String, Duration>, Error> {
    let Some(file) = &sharding.durations else { return Ok(BTreeMap::new()) };
    let Some(text) = read_earlier(ui, file, "shards weighed by estimates")? else {
        return Ok(BTreeMap::new());
    };
    Ok(report::read::read(&file.display().to_string(), &text)?.durations())
}

/// An earlier report. `None` if it does not exist, as in the first run; then `without` says what is done instead.
pub fn read_earlier(ui: Ui, file: &Path, without: &str) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            ui.say(&format!("{without}: {} does not exist yet", file.display()));
            Ok(None)
        }
        Err(error) => Err(dbt::Error::unreadable(file)(error).into()),
    }
}
