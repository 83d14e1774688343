//! Resolves `--select` and `--exclude`.

use std::{collections::BTreeSet, path::Path};

use crate::{
    Error,
    dbt::{Dbt, DefaultSelector, ManifestFile},
    model::Relation,
    options::Selection,
    output::Ui,
    pg::Client,
    project,
    report::Report,
};

/// The selected models of a manifest, from the flags or from dbt's default selector. `None` selects all.
pub(super) fn selected(
    ui: Ui,
    selection: &Selection,
    manifest: &ManifestFile,
    baseline: Option<&Path>,
    default: Option<DefaultSelector>,
    report: &mut Report,
) -> Result<Option<BTreeSet<String>>, Error> {
    let Some(selector) = selection.parse()? else {
        report.selection = default.as_ref().map(|default| format!("--selector {}", default.name));
        if default.as_ref().is_some_and(|default| default.ids.is_empty()) {
            let words = report.selection.iter().map(|words| format!("`{words}`")).collect();
            return Err(project::Error::NothingSelected { words }.into());
        }
        return Ok(default.map(|default| default.ids));
    };
    let selection = manifest.selection(&selector, baseline)?;
    for part in &selection.unmatched {
        ui.say(&format!("warning: selector `{part}` matches nothing"));
    }
    Ok(Some(selection.ids))
}

/// Restricts dbt to these models and the upstream models that the server lacks, and returns all of them. The project
/// must be parsed.
pub(super) async fn narrow(
    ui: Ui,
    ids: &BTreeSet<String>,
    dbt: &mut Dbt,
    client: &Client,
) -> Result<BTreeSet<String>, Error> {
    let manifest = dbt.manifest()?;
    let graph = manifest.graph()?;
    let missing: BTreeSet<Relation> = client.missing(graph.relations()).await?.into_iter().collect();
    let needed = graph.needed(ids, |relation| !missing.contains(relation));
    ui.say(&format!(
        "selected {} of {} models, seeds and snapshots, {} of them only as upstream",
        needed.len(),
        graph.relations().count(),
        needed.difference(ids).count()
    ));
    let names = manifest.exact_names()?;
    dbt.select(needed.iter().filter_map(|id| names.get(id).cloned()).collect());
    Ok(needed)
}
