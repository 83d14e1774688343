//! What `--select` and `--exclude` mean for a command.

use std::{collections::BTreeSet, path::Path};

use crate::{
    Error,
    cli::SelectArgs,
    config::Config,
    dbt::{Dbt, DefaultSelector, ManifestFile},
    model::Relation,
    pg::Client,
    project::Selector,
    report::Report,
};

/// What was typed; `None` when nothing was.
pub(super) fn selector(args: &SelectArgs) -> Result<Option<Selector>, Error> {
    Ok(Selector::parse(&args.select, &args.exclude)?)
}

/// What was typed, as it is typed.
pub(super) fn shown(args: &SelectArgs) -> Option<String> {
    let flag =
        |flag: &str, words: &[String]| (!words.is_empty()).then(|| format!("{flag} {}", words.join(" ")));
    let flags: Vec<String> =
        [flag("--select", &args.select), flag("--exclude", &args.exclude)].into_iter().flatten().collect();
    (!flags.is_empty()).then(|| flags.join(" "))
}

/// The models that are meant in a manifest: those that were typed, or those of the default selector, as dbt has it;
/// `None` where that is every model.
pub(super) fn selected(
    config: &Config,
    args: &SelectArgs,
    manifest: &ManifestFile,
    baseline: Option<&Path>,
    default: Option<DefaultSelector>,
    report: &mut Report,
) -> Result<Option<BTreeSet<String>>, Error> {
    let Some(selector) = selector(args)? else {
        report.selection = default.as_ref().map(|default| format!("--selector {}", default.name));
        return Ok(default.map(|default| default.ids));
    };
    let selection = manifest.selection(&selector, baseline)?;
    for part in &selection.in_vain {
        config.ui.say(&format!("warning: selector `{part}` matches nothing"));
    }
    Ok(Some(selection.ids))
}

/// Has dbt make and test these models alone, and those upstream of them that the server lacks; the answer is all of
/// them.
///
/// dbt has parsed the project.
pub(super) async fn narrow(
    config: &Config,
    ids: &BTreeSet<String>,
    dbt: &mut Dbt,
    client: &Client,
) -> Result<BTreeSet<String>, Error> {
    let manifest = dbt.manifest()?;
    let graph = manifest.graph()?;
    let missing: BTreeSet<Relation> = client.missing(graph.relations()).await?.into_iter().collect();
    let needed = graph.needed(ids, |relation| !missing.contains(relation));
    config.ui.say(&format!(
        "selected {} of {} models, seeds and snapshots, {} of them for others to read",
        needed.len(),
        graph.relations().count(),
        needed.difference(ids).count()
    ));
    let names = manifest.exact_names()?;
    dbt.select(needed.iter().filter_map(|id| names.get(id).cloned()).collect());
    Ok(needed)
}
