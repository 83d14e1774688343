//! What `--select` and `--exclude` mean for a command.

use std::{collections::BTreeSet, path::Path};

use crate::{
    Error,
    cli::SelectArgs,
    config::Config,
    dbt::{self, Dbt},
    model::Relation,
    pg::Client,
    project::Selector,
};

/// What was typed; `None` when nothing was.
pub(super) fn selector(args: &SelectArgs) -> Result<Option<Selector>, Error> {
    Ok(Selector::parse(&args.select, &args.exclude)?)
}

/// The models that are meant in a manifest; `None` when all are, because nothing was typed.
pub(super) fn selected(
    config: &Config,
    args: &SelectArgs,
    manifest: &Path,
    baseline: Option<&Path>,
) -> Result<Option<BTreeSet<String>>, Error> {
    let Some(selector) = selector(args)? else { return Ok(None) };
    let selection = dbt::read_selection(manifest, &selector, baseline)?;
    for part in &selection.in_vain {
        config.ui.say(&format!("warning: nothing is meant by the selector `{part}`"));
    }
    Ok(Some(selection.ids))
}

/// The models that are meant, and those upstream of them that the server lacks: dbt makes and tests these alone.
///
/// dbt has parsed the project.
pub(super) async fn select_for_run(
    config: &Config,
    args: &SelectArgs,
    dbt: &mut Dbt,
    client: &Client,
) -> Result<Option<BTreeSet<String>>, Error> {
    let Some(ids) = selected(config, args, &dbt.manifest_file(), None)? else { return Ok(None) };
    let graph = dbt.graph()?;
    let missing: BTreeSet<Relation> = client.missing(graph.relations()).await?.into_iter().collect();
    let needed = graph.needed(&ids, |relation| !missing.contains(relation));
    config.ui.say(&format!(
        "selected {} of {} models, seeds and snapshots, {} of them for others to read",
        needed.len(),
        graph.relations().count(),
        needed.len() - ids.len()
    ));
    let names = dbt.exact_names()?;
    dbt.select(needed.iter().filter_map(|id| names.get(id).cloned()).collect());
    Ok(Some(needed))
}
