//! What `--select` and `--exclude` mean for a command.

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

/// The models that are meant in a manifest: those that were typed, or those of the default selector, as dbt has it;
/// `None` where that is every model.
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
    for part in &selection.in_vain {
        ui.say(&format!("warning: selector `{part}` matches nothing"));
    }
    Ok(Some(selection.ids))
}

/// Has dbt make and test these models alone, and those upstream of them that the server lacks; the answer is all of
/// them.
///
/// dbt has parsed the project.
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
        "selected {} of {} models, seeds and snapshots, {} of them for others to read",
        needed.len(),
        graph.relations().count(),
        needed.difference(ids).count()
    ));
    let names = manifest.exact_names()?;
    dbt.select(needed.iter().filter_map(|id| names.get(id).cloned()).collect());
    Ok(needed)
}
