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
};

/// The selected models.
pub struct SelectedModels {
    /// `None` selects all.
    pub ids: Option<BTreeSet<String>>,
    /// dbt's default selector, as flags, if it selected them.
    pub default: Option<String>,
}

/// The selected models of a manifest, from the flags or from dbt's default selector.
pub fn selected(
    ui: Ui,
    selection: &Selection,
    manifest: &ManifestFile,
    baseline: Option<&Path>,
    default: Option<DefaultSelector>,
) -> Result<SelectedModels, Error> {
    if let Some(selector) = selection.parse()? {
        let selection = manifest.selection(&selector, baseline)?;
        for part in &selection.unmatched {
            ui.say(&format!("warning: selector `{part}` matches nothing"));
        }
        return Ok(SelectedModels { ids: Some(selection.ids), default: None });
    }
    let Some(default) = default else { return Ok(SelectedModels { ids: None, default: None }) };
    let flags = format!("--selector {}", default.name);
    if default.ids.is_empty() {
        return Err(project::Error::NothingSelected { words: vec![format!("`{flags}`")] }.into());
    }
    Ok(SelectedModels { ids: Some(default.ids), default: Some(flags) })
}

/// Restricts dbt to these models and the upstream models that the server lacks, and returns all of them. The project
/// must be parsed.
pub async fn narrow(
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
