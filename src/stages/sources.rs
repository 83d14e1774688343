//! The source tables that the project's models read: created on an ephemeral server, required on a named one.

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

/// Which sources are required, and how to create them.
pub struct RequiredSources<'a> {
    pub options: &'a SourceOptions,
    pub limits: Limits,
    /// The models and tests that read them; `None` means all.
    pub readers: Option<&'a BTreeSet<String>>,
}

/// Creates missing sources as configured, and fails if any is still missing: otherwise dbt would fail once per model.
/// The project must be parsed.
pub async fn provide(
    project: &ProjectOptions,
    wanted: &RequiredSources<'_>,
    dbt: &Dbt,
    server: Option<&Ephemeral>,
    client: &Client,
) -> Result<(), Error> {
    let manifest = dbt.manifest()?;
    let sources = manifest.sources(wanted.readers)?;
    let mut missing = client.missing(sources.keys()).await?;
    if let Some(server) = server.filter(|_| !missing.is_empty()) {
        if matches!(wanted.options, SourceOptions::Stubs) {
            project.ui.say(&format!("creating {} as empty tables", names(&missing)));
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
