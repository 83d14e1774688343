//! Parses a dbt project: manifest bytes in, [`Project`] out.

mod dbt_v2;
mod declared;
mod graph;
mod intermediate;
mod manifest;
mod naming;
mod reading;
mod selection;
mod text;
mod uncompiled;
mod unstable;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AgeLimits, DbtTest, Relation, StreamTable};
pub use declared::{Declared, DeclaredColumn, declared};
pub use graph::{Exposure, Graph, Readers};
pub use intermediate::{Intermediate, recreated_by_dbt};
use manifest::{Manifest, Node};
pub use naming::Naming;
pub use reading::Reading;
pub use selection::{Selection, Selector, default_selector, exact_names};
use serde::{Deserialize, de::IgnoredAny};
pub use uncompiled::UncompiledTable;
pub use unstable::unstable_models;

/// The supported versions of the manifest schema: dbt 1.6 to 2.0.
const SCHEMAS: std::ops::RangeInclusive<u32> = 10..=12;

/// The keys below `meta.pgtrickle` that are not settings.
const OTHER_KEYS: [&str; 5] =
    ["stream_table_name", "stream_table_schema", "on_recreate", "freshness", "verify"];

/// The parts of a dbt project that the gate needs.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Project {
    /// The name in `dbt_project.yml`.
    pub name: String,
    pub tables: Vec<StreamTable>,
    /// The stream tables that a selection left out of `tables`.
    pub unselected: Vec<StreamTable>,
    /// The source tables that models read, with the models' files.
    pub sources: BTreeMap<Relation, BTreeSet<String>>,
    /// How old tables may be, from the `freshness` of models and sources.
    pub ages: BTreeMap<Relation, AgeLimits>,
    /// The stream tables with `verify: false`.
    pub unverified: BTreeSet<Relation>,
    /// The dbt tests, by their unique_ids.
    pub tests: BTreeMap<String, DbtTest>,
    pub graph: Graph,
    /// The relations between the sources and the stream tables.
    pub between: Vec<Intermediate>,
    /// Whether dbt executes SQL of the project before it builds models: `on-run-start`, pre-hooks, functions. That SQL
    /// may create functions that queries call.
    pub runs_own_sql: bool,
    /// The files of dbt's own models whose descriptions dbt v2 cannot persist, if that is the dbt that read the project.
    pub unwritable_descriptions: Vec<String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is truncated, or not JSON.
    #[error("`{file}` is not a complete dbt manifest: {source}")]
    NotJson { file: String, source: serde_json::Error },
    /// A required part has a shape that no supported dbt writes.
    #[error("`{file}` cannot be read at `{path}`: {source}")]
    Shape {
        file: String,
        /// The path in the JSON document.
        path: String,
        source: serde_json::Error,
    },
    #[error("`{file}` has the manifest schema `{schema}`; this version supports v10 to v12 (dbt 1.6 to 2.0)")]
    Schema { file: String, schema: String },
    /// dbt parsed the project but did not compile it.
    #[error("`{file}` has no compiled SQL for {}", models.join(", "))]
    NotCompiled { file: String, models: Vec<String> },
    /// dbt compiled the project, and these models have no SQL.
    #[error("dbt compiled no SQL for {}: the models are empty", models.join(", "))]
    Empty { models: Vec<String> },
    /// The baseline is a manifest of another project.
    #[error("`{file}` is a manifest of the project {other}, not of {name}")]
    OtherProject {
        file: String,
        /// The baseline's project.
        other: String,
        name: String,
    },
    /// Every error in the models and in the baseline.
    #[error("the project has errors:\n  {}", problems.join("\n  "))]
    Wrong {
        /// A line each, with the model's file.
        problems: Vec<String>,
    },
    /// Every selector that cannot be parsed.
    #[error("cannot select: {}", problems.join("\n  "))]
    Selector { problems: Vec<String> },
    #[error("{} has no stream tables{}", name, if *is_selected { " among the selected models" } else { "" })]
    NoStreamTables {
        name: String,
        /// Whether `--select` or `--exclude` excluded models.
        is_selected: bool,
    },
    /// The manifest was compiled for another database.
    #[error("`{file}` was compiled for the database `{compiled_for}`; this is `{database}`")]
    OtherDatabase {
        file: String,
        /// The database in the manifest.
        compiled_for: String,
        /// The database of the connection.
        database: String,
    },
    /// The manifest was compiled for another target.
    #[error(
        "`{file}` was compiled for another target: its stream tables are in {}; target `{target}` puts them into `{schema}`",
        schemas.join(", ")
    )]
    OtherTarget {
        file: String,
        /// The schemas of the stream tables in the manifest.
        schemas: Vec<String>,
        target: String,
        schema: String,
    },
    /// A `state:` selector without a baseline.
    #[error("a `state:` selector needs a manifest to compare with")]
    NoBaseline,
    #[error("no model matches the selection: {}", words.join(" "))]
    NothingSelected {
        /// The parts of `--select` and `--exclude`.
        words: Vec<String>,
    },
}

impl Error {
    pub fn hint(&self) -> String {
        match self {
            Self::NotJson { .. } => "run `dbt compile` again".into(),
            Self::Shape { .. } => {
                "run `dbt compile` again; if the error stays, this dbt version is not supported".into()
            }
            Self::Schema { .. } => {
                "compile the project with a dbt between 1.6 and 2.0, or update pgtrickle-ci".into()
            }
            Self::OtherProject { .. } => "pass a manifest of the same project: `--baseline FILE`".into(),
            Self::Empty { .. } => "write their queries, or remove their files".into(),
            Self::NotCompiled { .. } => "compile the project first: `dbt compile`".into(),
            Self::Wrong { .. } => "correct `meta.pgtrickle` in these models, then run `dbt compile`".into(),
            Self::NoStreamTables { is_selected: true, .. } => "select other models with `--select`".into(),
            Self::NoStreamTables { .. } => {
                "choose another project with `--project-dir DIR`, or allow this in pgtrickle-ci.yml: `allow_empty: true`".into()
            }
            Self::OtherDatabase { .. } | Self::OtherTarget { .. } => {
                "omit `--manifest` to compile the project for this target, or pass the manifest's target with `--target`".into()
            }
            Self::Selector { .. } => {
                "the syntax is dbt's: `dbt ls --resource-type model --select …`".into()
            }
            Self::NoBaseline => "pass one: `pgtrickle-ci plan --baseline FILE` or `--base-ref REF`".into(),
            Self::NothingSelected { .. } => "list the models: `dbt ls --resource-type model`".into(),
        }
    }
}

impl Project {
    /// Reads the sources that these models and tests, or all of them, read. They are known before compilation.
    pub fn read_sources(
        file: &str,
        bytes: &[u8],
        readers: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<Relation, BTreeSet<String>>, Error> {
        let is_meant = |id: &str, node: &Node| {
            let reads = is_model(node) || node.resource_type == "test";
            reads && readers.is_none_or(|readers| readers.contains(id))
        };
        Ok(sources_read(&parse(file, bytes)?, is_meant))
    }

    /// Reads the dependency graph, which is known before compilation.
    pub fn read_graph(file: &str, bytes: &[u8]) -> Result<Graph, Error> {
        Ok(Graph::of(&parse(file, bytes)?))
    }

    /// Keeps only the stream tables of these models; all of them without a selection.
    #[must_use]
    pub fn only(mut self, ids: Option<&BTreeSet<String>>) -> Self {
        let Some(ids) = ids else { return self };
        let is_selected =
            |table: &StreamTable| table.origin.as_ref().is_some_and(|origin| ids.contains(&origin.unique_id));
        (self.tables, self.unselected) = self.tables.into_iter().partition(is_selected);
        self
    }
}

/// Parses the bytes once. On an error it parses them again for the schema version: a newer manifest may have other
/// shapes, and must not be reported as broken.
fn parse<'a>(file: &str, bytes: &'a [u8]) -> Result<Manifest<'a>, Error> {
    match from_json::<Manifest>(file, bytes) {
        Ok(manifest) => {
            check_schema(file, &manifest.metadata.dbt_schema_version)?;
            check_materializations(file, &manifest)?;
            Ok(manifest)
        }
        Err(error) => {
            let probe: manifest::SchemaProbe = from_json(file, bytes)?;
            check_schema(file, &probe.metadata.dbt_schema_version)?;
            Err(error)
        }
    }
}

/// Parses the bytes. On an error it parses them again to find the path of the error.
fn from_json<'a, T: Deserialize<'a>>(file: &str, bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let located = serde_path_to_error::deserialize::<_, T>(&mut json).err();
        let path = located.map(|error| error.path().to_string()).unwrap_or_default();
        let file = file.to_owned();
        // Half of a surrogate pair is JSON, and no text.
        let is_json = || source.is_data() || serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        if !["", "."].contains(&path.as_str()) && is_json() {
            Error::Shape { file, path, source }
        } else {
            Error::NotJson { file, source }
        }
    })
}

fn check_schema(file: &str, schema: &str) -> Result<(), Error> {
    let version = schema
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_prefix('v')?.strip_suffix(".json")?.parse().ok());
    match version {
        Some(version) if SCHEMAS.contains(&version) && schema.contains("/manifest/") => Ok(()),
        _ => Err(Error::Schema { file: file.to_owned(), schema: schema.to_owned() }),
    }
}

/// A model whose config is lost might be a stream table, which must not look as if it were deleted.
fn check_materializations(file: &str, manifest: &Manifest) -> Result<(), Error> {
    let Some(path) = manifest.unknown_materialization() else { return Ok(()) };
    let source = serde::de::Error::custom("expected the model's materialization");
    Err(Error::Shape { file: file.to_owned(), path, source })
}

/// Whether the node has rows of its own.
fn is_model(node: &Node) -> bool {
    matches!(&*node.resource_type, "model" | "snapshot")
}

/// The sources that these nodes read, with the nodes' files.
fn sources_read(
    manifest: &Manifest,
    is_meant: impl Fn(&str, &Node) -> bool,
) -> BTreeMap<Relation, BTreeSet<String>> {
    let mut read: BTreeMap<Relation, BTreeSet<String>> = BTreeMap::new();
    for (_, node) in manifest.nodes.iter().filter(|(id, node)| is_meant(id, node)) {
        for source in node.depends_on.nodes.iter().filter_map(|id| manifest.sources.get(&**id)) {
            read.entry(source.relation()).or_default().insert(manifest.file(node));
        }
    }
    read
}
