//! What a dbt project wants: manifest bytes in, [`Project`] out.

mod declared;
mod graph;
mod intermediate;
mod manifest;
mod naming;
mod reading;
mod selection;
mod text;
mod unstable;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AgeLimits, Origin, Relation, StreamTable};
pub use declared::{Declared, DeclaredColumn, declared};
pub use graph::{Exposure, Graph, Readers};
pub use intermediate::{Intermediate, remade};
use manifest::{Manifest, Node};
pub use naming::Naming;
pub use reading::Reading;
pub use selection::{Selection, Selector, default_selector, exact_names};
use serde::Deserialize;
pub use unstable::unstable_models;

/// The oldest and the newest manifest schema that is understood: dbt 1.6 to 2.0.
const SCHEMAS: std::ops::RangeInclusive<u32> = 10..=12;

/// What a model may say below `meta.pgtrickle` beside the settings.
const OTHER_KEYS: [&str; 5] =
    ["stream_table_name", "stream_table_schema", "on_recreate", "freshness", "verify"];

/// A dbt project, as far as the gate cares.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Project {
    /// Its name in `dbt_project.yml`.
    pub name: String,
    /// Its stream tables.
    pub tables: Vec<StreamTable>,
    /// The source tables that its models read, with the models' files.
    pub sources: BTreeMap<Relation, BTreeSet<String>>,
    /// How old tables may be: what models say of themselves, and dbt sources of theirs.
    pub ages: BTreeMap<Relation, AgeLimits>,
    /// The stream tables whose models say `verify: false`.
    pub unverified: BTreeSet<Relation>,
    /// Where each of dbt's own tests is written, by its unique_id.
    pub tests: BTreeMap<String, Origin>,
    /// Who reads whom.
    pub graph: Graph,
    /// What lies between the sources and the stream tables.
    pub between: Vec<Intermediate>,
    /// Whether dbt executes SQL of the project's own before it makes models: `on-run-start`, pre-hooks, functions. That may
    /// create what queries call.
    pub runs_own_sql: bool,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Truncated, or no JSON at all.
    #[error("`{file}` is not a whole dbt manifest: {source}")]
    NotJson {
        /// The manifest.
        file: String,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// A part that is needed has another shape than in any dbt.
    #[error("`{file}` cannot be read at `{path}`: {source}")]
    Shape {
        /// The manifest.
        file: String,
        /// Where in its JSON.
        path: String,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// A schema that this version does not know.
    #[error(
        "`{file}` has the manifest schema `{schema}`, this version understands v10 to v12 (dbt 1.6 to 2.0)"
    )]
    Schema {
        /// The manifest.
        file: String,
        /// What it says of itself.
        schema: String,
    },
    /// dbt parsed the project but did not compile it.
    #[error("`{file}` has no compiled SQL for {}", models.join(", "))]
    NotCompiled {
        /// The manifest.
        file: String,
        /// The models without.
        models: Vec<String>,
    },
    /// dbt compiled the project, and these models gave no SQL.
    #[error("dbt compiled no SQL for {}: the models are empty", models.join(", "))]
    Empty {
        /// The models.
        models: Vec<String>,
    },
    /// Two manifests that have nothing to do with each other.
    #[error("`{file}` is a manifest of the project {other}, not of {name}")]
    OtherProject {
        /// The baseline.
        file: String,
        /// Its project.
        other: String,
        /// The project that it was to be compared with.
        name: String,
    },
    /// Models that no stream table can be made of, and what else is wrong; all of it at once.
    #[error("the project cannot be used as it is:\n  {}", problems.join("\n  "))]
    Wrong {
        /// One line each, with the model's file.
        problems: Vec<String>,
    },
    /// Selectors that cannot be read; all of them at once.
    #[error("cannot select: {}", problems.join("\n  "))]
    Selector {
        /// One line each.
        problems: Vec<String>,
    },
    /// Nothing to check, wait for or verify.
    #[error("{} has no stream tables{}", name, if *is_selected { " among the selected models" } else { "" })]
    NoStreamTables {
        /// The project's name.
        name: String,
        /// Whether `--select` or `--exclude` left models out.
        is_selected: bool,
    },
    /// A manifest that was made for another database than the one that is asked.
    #[error("`{file}` was compiled for the database `{compiled_for}`, this is `{database}`")]
    OtherDatabase {
        /// The manifest.
        file: String,
        /// The database in its stream tables' names.
        compiled_for: String,
        /// Where the connection leads.
        database: String,
    },
    /// A manifest that was made for another target than the one that is asked.
    #[error(
        "`{file}` was compiled for another target: its stream tables are in {}, target `{target}` puts them into `{schema}`",
        schemas.join(", ")
    )]
    OtherTarget {
        /// The manifest.
        file: String,
        /// The schemas of its stream tables.
        schemas: Vec<String>,
        /// The target's name.
        target: String,
        /// The target's schema.
        schema: String,
    },
    /// A selector asks what changed, and nobody said since when.
    #[error("cannot select by state: there is no manifest to compare with")]
    NoBaseline,
    /// A selector means no model at all.
    #[error("nothing is selected: no model is meant by {}", words.join(" "))]
    NothingSelected {
        /// What was typed.
        words: Vec<String>,
    },
}

impl Error {
    /// The next command to type.
    pub fn hint(&self) -> String {
        match self {
            Self::NotJson { .. } => "make it again: `dbt compile`".into(),
            Self::Shape { .. } => {
                "make it again: `dbt compile`; if it stays so, this dbt is not known here".into()
            }
            Self::Schema { .. } => {
                "compile the project with a dbt between 1.6 and 2.0, or update pgtrickle-ci".into()
            }
            Self::OtherProject { .. } => "name a manifest of the same project: `--baseline FILE`".into(),
            Self::Empty { .. } => "write their queries, or remove their files".into(),
            Self::NotCompiled { .. } => "compile the project first: `dbt compile`".into(),
            Self::Wrong { .. } => "mend the `meta.pgtrickle` of these models, then `dbt compile`".into(),
            Self::NoStreamTables { is_selected: true, .. } => "select others with `--select`".into(),
            Self::NoStreamTables { .. } => {
                "name another project with `--project-dir DIR`, or accept it in pgtrickle-ci.yml: `allow_empty: true`".into()
            }
            Self::OtherDatabase { .. } | Self::OtherTarget { .. } => {
                "leave `--manifest` out to have the project compiled for this target, or name its target with `--target`".into()
            }
            Self::Selector { .. } => {
                "dbt has the same words: `dbt ls --resource-type model --select …`".into()
            }
            Self::NoBaseline => "name one: `pgtrickle-ci plan --baseline FILE` or `--base-ref REF`".into(),
            Self::NothingSelected { .. } => "see what is there: `dbt ls --resource-type model`".into(),
        }
    }
}

impl Project {
    /// Reads only what is there before compilation: the sources that these models and tests read, or all of them.
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

    /// Reads only who reads whom, which is there before compilation as well.
    pub fn read_graph(file: &str, bytes: &[u8]) -> Result<Graph, Error> {
        Ok(Graph::of(&parse(file, bytes)?))
    }

    /// The same project with these models' stream tables alone; whole where nothing was selected.
    #[must_use]
    pub fn only(mut self, ids: Option<&BTreeSet<String>>) -> Self {
        let Some(ids) = ids else { return self };
        self.tables
            .retain(|table| table.origin.as_ref().is_some_and(|origin| ids.contains(&origin.unique_id)));
        self
    }
}

/// Reads the bytes once. Only what cannot be read is looked at again: a manifest of the future may have other shapes,
/// and is not to be taken for a broken one.
fn parse<'a>(file: &str, bytes: &'a [u8]) -> Result<Manifest<'a>, Error> {
    match from_json::<Manifest>(file, bytes) {
        Ok(manifest) => {
            check_schema(file, &manifest.metadata.dbt_schema_version)?;
            Ok(manifest)
        }
        Err(error) => {
            let probe: manifest::SchemaProbe = from_json(file, bytes)?;
            check_schema(file, &probe.metadata.dbt_schema_version)?;
            Err(error)
        }
    }
}

/// Reads the bytes. Only what cannot be read is read again, to say where it stopped.
fn from_json<'a, T: Deserialize<'a>>(file: &str, bytes: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let stopped = serde_path_to_error::deserialize::<_, T>(&mut json).err();
        let path = stopped.map(|error| error.path().to_string()).unwrap_or_default();
        let file = file.to_owned();
        if source.is_data() && !["", "."].contains(&path.as_str()) {
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

/// Whether the node has rows that it reads from elsewhere.
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
