//! The parts of dbt's `manifest.json` that the gate needs, borrowed from its bytes in one pass. Fields that some dbt
//! versions omit have a default, other fields are skipped, and compiled queries stay slices of the bytes.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{LazyLock, Mutex, PoisonError},
};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value as Json, value::RawValue};

use super::{OTHER_KEYS, intermediate::is_view, text::Text};
use crate::model::{AgeLimits, DbtTest, Origin, Relation, Setting};

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
    pub(super) nodes: BTreeMap<Text<'a>, Node<'a>>,
    #[serde(borrow, default)]
    pub(super) sources: BTreeMap<Text<'a>, Source<'a>>,
    #[serde(borrow, default)]
    exposures: Option<&'a RawValue>,
    #[serde(borrow, default)]
    unit_tests: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(super) dbt_schema_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) dbt_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) project_name: Text<'a>,
}

#[derive(Default)]
pub(super) struct Node<'a> {
    pub(super) resource_type: Text<'a>,
    pub(super) name: Text<'a>,
    alias: Option<Text<'a>>,
    schema: Text<'a>,
    pub(super) package_name: Text<'a>,
    pub(super) original_file_path: Text<'a>,
    pub(super) config: Config<'a>,
    /// Where dbt 2 keeps unknown keys.
    unrendered_config: Option<&'a RawValue>,
    pub(super) depends_on: DependsOn<'a>,
    compiled_code: Option<&'a RawValue>,
    pub(super) description: Option<&'a RawValue>,
    pub(super) columns: Option<&'a RawValue>,
    attached_to: Option<Text<'a>>,
    configured: OnceCell<Configured>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Node<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a node")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut node = Node::default();
                while let Some(key) = map.next_key::<Text>()? {
                    match &*key {
                        "resource_type" => node.resource_type = map.next_value()?,
                        "name" => node.name = map.next_value()?,
                        "alias" => node.alias = map.next_value()?,
                        "schema" => node.schema = map.next_value()?,
                        "package_name" => node.package_name = map.next_value()?,
                        "original_file_path" => node.original_file_path = map.next_value()?,
                        "config" => node.config = map.next_value::<Option<Config>>()?.unwrap_or_default(),
                        "depends_on" => {
                            node.depends_on = map.next_value::<Option<DependsOn>>()?.unwrap_or_default();
                        }
                        "description" => node.description = map.next_value()?,
                        "columns" => node.columns = map.next_value()?,
                        "attached_node" => node.attached_to = map.next_value()?,
                        "unrendered_config" if node.may_be_stream_table() => {
                            node.unrendered_config = map.next_value()?;
                        }
                        "compiled_code"
                            if node.may_be_stream_table() || is_view(&node.config.materialized) =>
                        {
                            node.compiled_code = map.next_value()?;
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                node.with_required_fields()
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[derive(Deserialize, Default)]
pub(super) struct DependsOn<'a> {
    #[serde(borrow, default)]
    pub(super) nodes: Vec<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    schema: Text<'a>,
    #[serde(borrow)]
    identifier: Text<'a>,
    /// The name as dbt writes it into SQL, quoted if the project says so.
    #[serde(borrow, default)]
    relation_name: Option<Text<'a>>,
    #[serde(default)]
    freshness: Option<AgeLimits>,
}

/// A reader outside of dbt. Exposures are only shown, so one with an unknown shape is skipped.
#[derive(Deserialize)]
pub(super) struct Exposure {
    pub(super) name: String,
    #[serde(default)]
    owner: Json,
    #[serde(default)]
    depends_on: Json,
}

impl Exposure {
    /// The owner's name, or else email address; several of them joined by commas.
    pub(super) fn owner(&self) -> Option<String> {
        let joined = |value: &Json| match value {
            Json::String(text) => Some(text.clone()),
            Json::Array(several) => {
                Some(several.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
        };
        let named = ["name", "email"].iter().find_map(|key| joined(self.owner.get(key)?));
        named.or_else(|| joined(&self.owner)).filter(|text| !text.is_empty())
    }

    pub(super) fn reads(&self) -> impl Iterator<Item = &str> {
        self.depends_on.get("nodes").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }
}

/// A node's config: its materialization, and the keys that pgtrickle-ci may use.
#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) materialized: Text<'a>,
    pub(super) persist_docs: Option<&'a RawValue>,
    meta: Option<&'a RawValue>,
    pre_hook: Option<&'a RawValue>,
    own: Vec<(Text<'a>, &'a RawValue)>,
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
                while let Some(key) = map.next_key::<Text>()? {
                    match &*key {
                        "materialized" => {
                            config.materialized = map.next_value::<Option<Text>>()?.unwrap_or_default();
                        }
                        "meta" => config.meta = map.next_value()?,
                        "persist_docs" => config.persist_docs = map.next_value()?,
                        "pre-hook" => config.pre_hook = map.next_value()?,
                        known if is_known_key(known) => config.own.push((key, map.next_value()?)),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(config)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Whether pgtrickle-ci uses the key. It is called for every key of every config.
fn is_known_key(key: &str) -> bool {
    KNOWN_KEYS.contains(key)
}

static KNOWN_KEYS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| Setting::ALL.iter().map(|setting| setting.name()).chain(OTHER_KEYS).collect());

/// A sentence for each known key that is similar to this one. Thousands of models have the same keys, so each is compared
/// once.
fn probably_meant(key: &str) -> Vec<String> {
    static COMPARED: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
    let mut compared = COMPARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(meant) = compared.get(key) {
        return meant.clone();
    }
    compared.entry(key.to_owned()).or_insert(similar_to(key)).clone()
}

/// The package uses the same rule (`_pgtrickle_is_close`).
fn similar_to(key: &str) -> Vec<String> {
    let max_edits = |known: &str| if known.len() < 6 { 1 } else { 2 };
    let length = key.chars().count();
    // There are at least as many edits as the lengths differ by, which is known at once.
    let may_be_close = |known: &&str| known.len().abs_diff(length) <= max_edits(known);
    let close = KNOWN_KEYS
        .iter()
        .filter(|known| may_be_close(known))
        .filter(|known| strsim::levenshtein(key, known) <= max_edits(known));
    close.map(|known| format!("`{key}` is not a pgtrickle key: did you mean `{known}`?")).collect()
}

/// The part of `meta` that pgtrickle-ci uses.
#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    pgtrickle: Json,
}

impl Config<'_> {
    fn has_pre_hook(&self) -> bool {
        self.pre_hook.is_some_and(|hooks| hooks.get() != "[]")
    }
}

/// The parsed value; the default if it is missing or has another shape.
pub(super) fn read<'a, T: Deserialize<'a> + Default>(json: Option<&'a RawValue>) -> T {
    json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}

/// The parsed value of a part of a node; a problem if it has another shape.
fn needed<'a, T: Deserialize<'a> + Default>(
    part: &str,
    json: Option<&'a RawValue>,
    problems: &mut Vec<String>,
) -> T {
    match json.map(|json| serde_json::from_str::<Option<T>>(json.get())).transpose() {
        Ok(value) => value.flatten().unwrap_or_default(),
        Err(error) => {
            problems.push(format!("{part} in the manifest cannot be read: {error}"));
            T::default()
        }
    }
}

impl Node<'_> {
    /// Whether the node may be a stream table, as far as it is read. Skipping fields of other nodes saves most of the
    /// work.
    fn may_be_stream_table(&self) -> bool {
        self.config.materialized.is_empty() || self.config.materialized == "stream_table"
    }

    /// A node of another project, such as dbt-loom adds, has no file, so a file is not required.
    fn with_required_fields<E: de::Error>(self) -> Result<Self, E> {
        let required = [
            ("resource_type", &self.resource_type),
            ("name", &self.name),
            ("package_name", &self.package_name),
        ];
        let missing = required.into_iter().find(|(_, text)| text.is_empty()).map(|(field, _)| field);
        missing.map_or(Ok(self), |field| Err(E::missing_field(field)))
    }

    pub(super) fn is_stream_table(&self) -> bool {
        self.resource_type == "model" && self.config.materialized == "stream_table"
    }

    /// The compiled SQL; `None` if dbt did not compile the node.
    pub(super) fn compiled_code(&self) -> Option<String> {
        read(self.compiled_code)
    }

    /// The keys of the model's stream table. `meta.pgtrickle` wins over the config, and the config over the unrendered
    /// config. The package reads them in the same order (`_pgtrickle_configured`).
    pub(super) fn configured(&self) -> &Configured {
        self.configured.get_or_init(|| {
            let mut problems = Vec::new();
            let unrendered: Config = needed("unrendered_config", self.unrendered_config, &mut problems);
            // Older projects have the keys at the top level of the config.
            let mut keys = Map::new();
            for (key, value) in unrendered.own.iter().chain(&self.config.own) {
                keys.insert(key.to_string(), needed(&format!("config.{key}"), Some(value), &mut problems));
            }
            // dbt has a `freshness` of its own, which says when dbt builds the model.
            keys.remove("freshness");
            let meta = needed::<Meta>("config.meta", self.config.meta, &mut problems).pgtrickle;
            if !meta.is_object() && !meta.is_null() {
                problems.push(format!("meta.pgtrickle is `{meta}`, expected keys with values"));
            }
            if let Json::Object(meta) = meta {
                let unknown = meta.keys().filter(|key| !is_known_key(key));
                problems.extend(unknown.map(|key| format!("meta.pgtrickle has no key `{key}`")));
                keys.extend(meta);
            }
            let unrendered = read::<Map<String, Json>>(self.unrendered_config);
            let misspelled = unrendered
                .keys()
                .filter(|key| !is_known_key(key))
                .flat_map(|key| probably_meant(key))
                .collect();
            Configured { keys, problems, misspelled }
        })
    }

    /// The relation that dbt gives a node: its schema and alias.
    pub(super) fn plain_relation(&self) -> Relation {
        Relation::new(&*self.schema, &**self.alias.as_ref().unwrap_or(&self.name))
    }

    /// The relation of a model's stream table: the model's own names, or else dbt's.
    pub(super) fn relation(&self) -> Relation {
        let own = |key: &str| self.configured().keys.get(key).and_then(Json::as_str).map(ToOwned::to_owned);
        let plain = self.plain_relation();
        Relation {
            schema: own("stream_table_schema").unwrap_or(plain.schema),
            name: own("stream_table_name").unwrap_or(plain.name),
        }
    }
}

/// The configuration of a stream table.
pub(super) struct Configured {
    pub(super) keys: Map<String, Json>,
    /// Unknown keys and wrong shapes, a sentence each.
    pub(super) problems: Vec<String>,
    /// Keys of the config that are probably misspelled. Another tool may also use them.
    pub(super) misspelled: Vec<String>,
}

impl Source<'_> {
    /// The relation as PostgreSQL stores its name: parts that dbt does not quote are folded to lower case.
    pub(super) fn relation(&self) -> Relation {
        let parsed = self.relation_name.as_ref().and_then(|name| Relation::parse(name));
        parsed.unwrap_or_else(|| Relation::new(&*self.schema, &*self.identifier))
    }
}

impl Manifest<'_> {
    /// Whether the node is a stream table of this project.
    pub(super) fn is_own_stream_table(&self, node: &Node) -> bool {
        node.is_stream_table() && !self.is_elsewhere(node)
    }

    /// Whether the node is of another project, which has no file here.
    fn is_elsewhere(&self, node: &Node) -> bool {
        node.original_file_path.is_empty() && node.package_name != self.metadata.project_name
    }

    /// The path of a model of this project without a materialization, which dbt always writes.
    pub(super) fn unknown_materialization(&self) -> Option<String> {
        let is_unknown = |node: &Node| {
            node.resource_type == "model" && node.config.materialized.is_empty() && !self.is_elsewhere(node)
        };
        let (id, _) = self.nodes.iter().find(|(_, node)| is_unknown(node))?;
        Some(format!("nodes.{id}.config.materialized"))
    }

    pub(super) fn exposures(&self) -> Vec<Exposure> {
        let all: BTreeMap<String, Json> = read(self.exposures);
        all.into_values().filter_map(|exposure| serde_json::from_value(exposure).ok()).collect()
    }

    /// The file of a node, relative to the project. Files of packages are in dbt's install folder.
    pub(super) fn file(&self, node: &Node) -> String {
        if node.package_name == self.metadata.project_name {
            node.original_file_path.to_string()
        } else {
            format!("dbt_packages/{}/{}", node.package_name, node.original_file_path)
        }
    }

    /// Whether dbt executes SQL of the project before it builds models. Hooks of `dbt_pgtrickle` create no objects.
    pub(super) fn runs_own_sql(&self) -> bool {
        self.nodes.iter().any(|(id, node)| {
            let is_start = node.resource_type == "operation" && id.contains("-on-run-start-");
            let calls_function = node.depends_on.nodes.iter().any(|id| id.starts_with("function."));
            is_start && node.package_name != "dbt_pgtrickle" || calls_function || node.config.has_pre_hook()
        })
    }

    /// The limits in the `freshness` of the sources.
    pub(super) fn ages_of_sources(&self) -> BTreeMap<Relation, AgeLimits> {
        let limits = |source: &Source| source.freshness.filter(|limits| *limits != AgeLimits::default());
        self.sources.values().filter_map(|source| Some((source.relation(), limits(source)?))).collect()
    }

    /// Each test, by its unique_id.
    pub(super) fn tests(&self) -> BTreeMap<String, DbtTest> {
        let origin = |id: &Text, node: &Node| Origin { unique_id: id.to_string(), file: self.file(node) };
        let of_model = |id: &Text| {
            let origin = origin(id, self.nodes.get(&**id)?);
            Some(DbtTest { tests: vec![origin.unique_id.clone()], origin })
        };
        let is_test = |node: &Node| node.resource_type == "test";
        let tests = self.nodes.iter().filter(|(_, node)| is_test(node)).map(|(id, node)| {
            let own = || DbtTest {
                origin: origin(id, node),
                tests: node.depends_on.nodes.iter().map(ToString::to_string).collect(),
            };
            (id.to_string(), node.attached_to.as_ref().and_then(of_model).unwrap_or_else(own))
        });
        // dbt lists unit tests separately. Each depends on the model that it tests.
        let unit_tests: BTreeMap<String, Json> = read(self.unit_tests);
        let unit_tests = unit_tests.into_iter().map(|(id, test)| {
            let model = test.pointer("/depends_on/nodes/0").and_then(Json::as_str);
            let node = model.and_then(|model| Some((model, self.nodes.get(model)?)));
            let own = || Origin { unique_id: id.clone(), file: String::new() };
            let origin = node.map_or_else(own, |(model, node)| Origin {
                unique_id: model.to_owned(),
                file: self.file(node),
            });
            let tests = model.map(ToOwned::to_owned).into_iter().collect();
            (id.clone(), DbtTest { origin, tests })
        });
        tests.chain(unit_tests).collect()
    }
}
