//! The source tables that the project's models read: made on a server of the gate's own, looked for on any other.

use std::collections::BTreeSet;

use crate::{
    Error,
    dbt::{self, Dbt},
    model::Relation,
    options::{ProjectOptions, SourceOptions},
    pg::{Client, Limits},
    server::Ephemeral,
    sources,
};

/// What is asked of the sources.
pub(super) struct Wanted<'a> {
    pub(super) options: &'a SourceOptions,
    pub(super) limits: Limits,
    /// The models and tests that read them; all where not some are selected.
    pub(super) readers: Option<&'a BTreeSet<String>>,
}

/// Makes the sources that no fixture made, as it was asked for. One that is still not there would fail deep inside dbt,
/// once a model.
///
/// dbt has parsed the project.
pub(super) async fn provide(
    project: &ProjectOptions,
    wanted: &Wanted<'_>,
    dbt: &Dbt,
    server: Option<&Ephemeral>,
    client: &Client,
) -> Result<(), Error> {
    let manifest = dbt.manifest()?;
    let sources = manifest.sources(wanted.readers)?;
    let mut missing = client.missing(sources.keys()).await?;
    if let Some(server) = server.filter(|_| !missing.is_empty()) {
        if matches!(wanted.options, SourceOptions::Stubs) {
            project.ui.say(&format!("making {} as empty tables", names(&missing)));
            sources::stub(client, &missing, &manifest.declared_sources()?).await?;
        } else if let Some(origin) = wanted.options.origin(wanted.limits, &project.environment)? {
            project.ui.say(&format!("copying {} from {}", names(&missing), origin.endpoint));
            sources::copy(&origin, &missing, server, client, project.ui).await?;
        }
        missing = client.missing(sources.keys()).await?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    let line = |relation: &Relation| {
        let files: Vec<&str> = sources.get(relation).into_iter().flatten().map(String::as_str).collect();
        format!("{relation}, read by {}", files.join(", "))
    };
    Err(dbt::Error::MissingSources { missing: missing.iter().map(line).collect() }.into())
}

fn names(relations: &[Relation]) -> String {
    relations.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
