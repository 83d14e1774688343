//! The parts of dbt's `manifest.json` that matter, borrowed from its bytes in one walk. Every field that some dbt
//! version leaves out has a default; what is not named here, and every compiled query, is skipped without being built.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    fmt,
    sync::LazyLock,
};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value as Json, value::RawValue};

use super::OTHER_KEYS;
use crate::model::{AgeLimits, Origin, Relation, Setting};

#[derive(Deserialize)]
pub(super) struct SchemaProbe {
    #[serde(default)]
    pub(super) metadata: SchemaVersion,
}

#[derive(Deserialize, Default)]
pub(super) struct SchemaVersion {
    #[serde(default)]
    pub(super) dbt_schema_version: String,
}

#[derive(Deserialize)]
pub(super) struct Manifest<'a> {
    #[serde(borrow)]
    pub(super) metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(super) nodes: BTreeMap<Cow<'a, str>, Node<'a>>,
    #[serde(borrow, default)]
    pub(super) sources: BTreeMap<Cow<'a, str>, Source<'a>>,
    #[serde(borrow, default)]
    pub(super) exposures: BTreeMap<Cow<'a, str>, Exposure<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) dbt_schema_version: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) project_name: Cow<'a, str>,
}

#[derive(Deserialize)]
pub(super) struct Node<'a> {
    #[serde(borrow)]
    pub(super) resource_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    alias: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) package_name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) original_file_path: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) config: Config<'a>,
    /// Where dbt 2 keeps keys that it does not know.
    #[serde(borrow, default)]
    pub(super) unrendered_config: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) depends_on: DependsOn<'a>,
    #[serde(borrow, default)]
    compiled_code: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "attached_node")]
    attached_to: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
pub(super) struct DependsOn<'a> {
    #[serde(borrow, default)]
    pub(super) nodes: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    schema: Cow<'a, str>,
    #[serde(borrow)]
    identifier: Cow<'a, str>,
    /// As dbt writes it into SQL, quoted where the project says so.
    #[serde(borrow, default)]
    relation_name: Option<Cow<'a, str>>,
    #[serde(default)]
    freshness: Option<AgeLimits>,
}

#[derive(Deserialize)]
pub(super) struct Exposure<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) owner: Owner<'a>,
    #[serde(borrow, default)]
    pub(super) depends_on: DependsOn<'a>,
}

#[derive(Deserialize, Default)]
pub(super) struct Owner<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    email: Option<Cow<'a, str>>,
}

impl Owner<'_> {
    pub(super) fn shown(&self) -> Option<String> {
        self.name.as_ref().or(self.email.as_ref()).map(ToString::to_string)
    }
}

/// A node's config: what it is, and the keys that could be ours.
#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) materialized: Cow<'a, str>,
    meta: Option<&'a RawValue>,
    own: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Config<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Config<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a config")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut config = Config::default();
                while let Some(Text(key)) = map.next_key()? {
                    match key.as_ref() {
                        "materialized" => {
                            config.materialized = map.next_value::<Option<Text>>()?.unwrap_or_default().0;
                        }
                        "meta" => config.meta = map.next_value()?,
                        ours if is_ours(ours) => config.own.push((key, map.next_value()?)),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(config)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A text that is borrowed where nothing in it is escaped.
#[derive(Deserialize, Default)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Asked for every key of every config.
fn is_ours(key: &str) -> bool {
    static KEYS: LazyLock<HashSet<&str>> =
        LazyLock::new(|| Setting::ALL.iter().map(|setting| setting.name()).chain(OTHER_KEYS).collect());
    KEYS.contains(key)
}

impl Config<'_> {
    /// `meta.pgtrickle`, with what stands at the top of the config beneath it: older projects have the keys there.
    pub(super) fn pgtrickle(&self) -> (Map<String, Json>, Map<String, Json>) {
        let meta: Json = read(self.meta);
        let below = meta.get("pgtrickle").and_then(Json::as_object).cloned().unwrap_or_default();
        let top = self.own.iter().map(|(key, value)| (key.to_string(), read(Some(value)))).collect();
        (below, top)
    }
}

fn read(json: Option<&RawValue>) -> Json {
    // It was walked once already: it is JSON.
    json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}

impl Node<'_> {
    pub(super) fn is_stream_table(&self) -> bool {
        self.resource_type == "model" && self.config.materialized == "stream_table"
    }

    /// The compiled SQL; `None` where dbt did not compile the node.
    pub(super) fn compiled_code(&self) -> Option<String> {
        read(self.compiled_code).as_str().map(ToOwned::to_owned)
    }

    /// What the model says of its stream table, key by key: `meta.pgtrickle` first, then the config, then the
    /// unrendered config. The package reads them in the same order (`pgtrickle_configured`).
    pub(super) fn said(&self) -> Said {
        let (below, mut all) = self.config.pgtrickle();
        if let Json::Object(unrendered) = read(self.unrendered_config) {
            for (key, value) in unrendered.into_iter().filter(|(key, _)| is_ours(key)) {
                all.entry(key).or_insert(value);
            }
        }
        let unknown = below.keys().filter(|key| !is_ours(key)).cloned().collect();
        all.extend(below);
        Said { all, unknown }
    }

    /// Where dbt puts a node: its schema and alias.
    pub(super) fn plain_relation(&self) -> Relation {
        Relation::new(self.schema.as_ref(), self.alias.as_ref().unwrap_or(&self.name).as_ref())
    }

    /// Where a model's stream table is: where dbt would put it, unless the model names it itself.
    pub(super) fn relation(&self, said: &Said) -> Relation {
        let own = |key: &str| said.all.get(key).and_then(Json::as_str).map(ToOwned::to_owned);
        let plain = self.plain_relation();
        Relation {
            schema: own("stream_table_schema").unwrap_or(plain.schema),
            name: own("stream_table_name").unwrap_or(plain.name),
        }
    }
}

/// What a model says of its stream table.
pub(super) struct Said {
    pub(super) all: Map<String, Json>,
    /// Keys of `meta.pgtrickle` that mean nothing.
    pub(super) unknown: Vec<String>,
}

impl Source<'_> {
    /// The relation as PostgreSQL stores its name: what dbt does not quote is folded to lower case.
    pub(super) fn relation(&self) -> Relation {
        let written = self.relation_name.as_ref().and_then(|name| Relation::parse(name));
        written.unwrap_or_else(|| Relation::new(self.schema.as_ref(), self.identifier.as_ref()))
    }
}

impl Manifest<'_> {
    /// The file of a node, relative to the project: what a package brings lies where dbt installs packages.
    pub(super) fn file(&self, node: &Node) -> String {
        if node.package_name == self.metadata.project_name {
            node.original_file_path.to_string()
        } else {
            format!("dbt_packages/{}/{}", node.package_name, node.original_file_path)
        }
    }

    /// What the sources' own `freshness` says.
    pub(super) fn ages_of_sources(&self) -> BTreeMap<Relation, AgeLimits> {
        let limits = |source: &Source| source.freshness.filter(|limits| *limits != AgeLimits::default());
        self.sources.values().filter_map(|source| Some((source.relation(), limits(source)?))).collect()
    }

    /// Where each test belongs: the file of the model it is attached to, else its own.
    pub(super) fn tests(&self) -> BTreeMap<String, Origin> {
        let is_test = |node: &Node| node.resource_type == "test" || node.resource_type == "unit_test";
        self.nodes
            .iter()
            .filter(|(_, node)| is_test(node))
            .map(|(id, node)| {
                let model = node.attached_to.as_ref().and_then(|id| Some((id, self.nodes.get(id.as_ref())?)));
                let (unique_id, of) = model.unwrap_or((id, node));
                (id.to_string(), Origin { unique_id: unique_id.to_string(), file: self.file(of) })
            })
            .collect()
    }
}
