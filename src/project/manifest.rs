//! The parts of dbt's `manifest.json` that matter, borrowed from its bytes in one walk. Every field that some dbt
//! version leaves out has a default; what is not named here is skipped, and compiled queries stay slices of the bytes.

use std::{cell::OnceCell, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value as Json, value::RawValue};

use super::{OTHER_KEYS, intermediate::is_view, text::Text};
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
    /// Where dbt 2 keeps keys that it does not know.
    unrendered_config: Option<&'a RawValue>,
    pub(super) depends_on: DependsOn<'a>,
    compiled_code: Option<&'a RawValue>,
    attached_to: Option<Text<'a>>,
    said: OnceCell<Said>,
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
                        "attached_node" => node.attached_to = map.next_value()?,
                        "unrendered_config" if node.may_be_ours() => {
                            node.unrendered_config = map.next_value()?;
                        }
                        "compiled_code" if node.may_be_ours() || is_view(&node.config.materialized) => {
                            node.compiled_code = map.next_value()?;
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                node.whole()
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
    /// As dbt writes it into SQL, quoted where the project says so.
    #[serde(borrow, default)]
    relation_name: Option<Text<'a>>,
    #[serde(default)]
    freshness: Option<AgeLimits>,
}

/// Who reads what the project makes. It is only told: one that cannot be read is left out.
#[derive(Deserialize)]
pub(super) struct Exposure {
    pub(super) name: String,
    #[serde(default)]
    owner: Json,
    #[serde(default)]
    depends_on: Json,
}

impl Exposure {
    /// The owner's name, else their address; several of them in one line.
    pub(super) fn owner(&self) -> Option<String> {
        let words = |value: &Json| match value {
            Json::String(text) => Some(text.clone()),
            Json::Array(several) => {
                Some(several.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "))
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
        };
        let named = ["name", "email"].iter().find_map(|key| words(self.owner.get(key)?));
        named.or_else(|| words(&self.owner)).filter(|text| !text.is_empty())
    }

    /// The nodes that it reads.
    pub(super) fn reads(&self) -> impl Iterator<Item = &str> {
        self.depends_on.get("nodes").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }
}

/// A node's config: what it is, and the keys that could be ours.
#[derive(Default)]
pub(super) struct Config<'a> {
    pub(super) materialized: Text<'a>,
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
                        "pre-hook" => config.pre_hook = map.next_value()?,
                        ours if is_ours(ours) => config.own.push((key, map.next_value()?)),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(config)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// Asked for every key of every config.
fn is_ours(key: &str) -> bool {
    OTHER_KEYS.contains(&key) || Setting::named(key).is_some()
}

/// Sentences about a key that is close to one of ours. The package counts in the same way (`_pgtrickle_is_close`).
fn probably_meant(key: &str) -> Vec<String> {
    let edits = |ours: &str| if ours.len() < 6 { 1 } else { 2 };
    let ours = Setting::ALL.into_iter().map(Setting::name).chain(OTHER_KEYS);
    let close = ours.filter(|ours| strsim::levenshtein(key, ours) <= edits(ours));
    close.map(|ours| format!("`{key}` is not a pgtrickle key: did you mean `{ours}`?")).collect()
}

/// The part of a `meta` that is ours.
#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default)]
    pgtrickle: Json,
}

impl Config<'_> {
    fn has_pre_hook(&self) -> bool {
        self.pre_hook.is_some_and(|hooks| hooks.get() != "[]")
    }

    /// What stands at its top: older projects have the keys there.
    fn top(&self) -> impl Iterator<Item = (String, Json)> {
        self.own.iter().map(|(key, value)| (key.to_string(), read(Some(value))))
    }
}

/// What a part holds; nothing where it is missing, or of another shape.
fn read<'a, T: Deserialize<'a> + Default>(json: Option<&'a RawValue>) -> T {
    json.and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default()
}

impl Node<'_> {
    /// While a node is read: what nobody will ask of another node is not looked at, and most of a manifest is such.
    fn may_be_ours(&self) -> bool {
        self.config.materialized.is_empty() || self.config.materialized == "stream_table"
    }

    /// A node that another project brings, as dbt-loom does, has no file here.
    fn whole<E: de::Error>(self) -> Result<Self, E> {
        let needed = [
            ("resource_type", &self.resource_type),
            ("name", &self.name),
            ("package_name", &self.package_name),
        ];
        let missing = needed.into_iter().find(|(_, text)| text.is_empty()).map(|(field, _)| field);
        missing.map_or(Ok(self), |field| Err(E::missing_field(field)))
    }

    pub(super) fn is_stream_table(&self) -> bool {
        self.resource_type == "model" && self.config.materialized == "stream_table"
    }

    /// The compiled SQL; `None` where dbt did not compile the node.
    pub(super) fn compiled_code(&self) -> Option<String> {
        read(self.compiled_code)
    }

    /// What the model says of its stream table, key by key: `meta.pgtrickle` first, then the config, then the
    /// unrendered config. The package reads them in the same order (`pgtrickle_configured`).
    pub(super) fn said(&self) -> &Said {
        self.said.get_or_init(|| {
            let mut all: Map<String, Json> = read::<Config>(self.unrendered_config).top().collect();
            all.extend(self.config.top());
            let mut problems = Vec::new();
            let below = read::<Meta>(self.config.meta).pgtrickle;
            if !below.is_object() && !below.is_null() {
                problems.push(format!("meta.pgtrickle is `{below}`, expected keys with values"));
            }
            if let Json::Object(below) = below {
                let unknown = below.keys().filter(|key| !is_ours(key));
                problems.extend(unknown.map(|key| format!("meta.pgtrickle has no key `{key}`")));
                all.extend(below);
            }
            let written = read::<Map<String, Json>>(self.unrendered_config);
            let misspelled =
                written.keys().filter(|key| !is_ours(key)).flat_map(|key| probably_meant(key)).collect();
            Said { all, problems, misspelled }
        })
    }

    /// Where dbt puts a node: its schema and alias.
    pub(super) fn plain_relation(&self) -> Relation {
        Relation::new(&*self.schema, &**self.alias.as_ref().unwrap_or(&self.name))
    }

    /// Where a model's stream table is: where dbt would put it, unless the model names it itself.
    pub(super) fn relation(&self) -> Relation {
        let own = |key: &str| self.said().all.get(key).and_then(Json::as_str).map(ToOwned::to_owned);
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
    /// What of it means nothing.
    pub(super) problems: Vec<String>,
    /// Keys of the config that are probably misspelled. They may also be for somebody else.
    pub(super) misspelled: Vec<String>,
}

impl Source<'_> {
    /// The relation as PostgreSQL stores its name: what dbt does not quote is folded to lower case.
    pub(super) fn relation(&self) -> Relation {
        let written = self.relation_name.as_ref().and_then(|name| Relation::parse(name));
        written.unwrap_or_else(|| Relation::new(&*self.schema, &*self.identifier))
    }
}

impl Manifest<'_> {
    /// Whether the gate has to do with the node: a stream table of another project, which has no file here, is that
    /// project's own.
    pub(super) fn is_ours(&self, node: &Node) -> bool {
        let is_elsewhere =
            node.original_file_path.is_empty() && node.package_name != self.metadata.project_name;
        node.is_stream_table() && !is_elsewhere
    }

    /// Who reads what the project makes.
    pub(super) fn exposures(&self) -> Vec<Exposure> {
        let all: BTreeMap<String, Json> = read(self.exposures);
        all.into_values().filter_map(|exposure| serde_json::from_value(exposure).ok()).collect()
    }

    /// The file of a node, relative to the project: what a package brings lies where dbt installs packages.
    pub(super) fn file(&self, node: &Node) -> String {
        if node.package_name == self.metadata.project_name {
            node.original_file_path.to_string()
        } else {
            format!("dbt_packages/{}/{}", node.package_name, node.original_file_path)
        }
    }

    /// Whether dbt executes SQL of the project's own before it makes models. The hooks of our own package make nothing.
    pub(super) fn runs_own_sql(&self) -> bool {
        self.nodes.iter().any(|(id, node)| {
            let is_start = node.resource_type == "operation" && id.contains("-on-run-start-");
            let calls_function = node.depends_on.nodes.iter().any(|id| id.starts_with("function."));
            is_start && node.package_name != "dbt_pgtrickle" || calls_function || node.config.has_pre_hook()
        })
    }

    /// What the sources' own `freshness` says.
    pub(super) fn ages_of_sources(&self) -> BTreeMap<Relation, AgeLimits> {
        let limits = |source: &Source| source.freshness.filter(|limits| *limits != AgeLimits::default());
        self.sources.values().filter_map(|source| Some((source.relation(), limits(source)?))).collect()
    }

    /// Where each test belongs: the file of the model it is attached to, else its own.
    pub(super) fn tests(&self) -> BTreeMap<String, Origin> {
        let origin = |id: &Text, node: &Node| Origin { unique_id: id.to_string(), file: self.file(node) };
        let of_model = |id: &Text| Some(origin(id, self.nodes.get(&**id)?));
        let is_test = |node: &Node| node.resource_type == "test";
        let tests = self.nodes.iter().filter(|(_, node)| is_test(node)).map(|(id, node)| {
            let model = node.attached_to.as_ref().and_then(of_model);
            (id.to_string(), model.unwrap_or_else(|| origin(id, node)))
        });
        // dbt keeps unit tests apart from its nodes. Each depends on the model that it tests.
        let unit_tests: BTreeMap<String, Json> = read(self.unit_tests);
        let unit_tests = unit_tests.into_iter().map(|(id, test)| {
            let model = test.pointer("/depends_on/nodes/0").and_then(Json::as_str);
            let node = model.and_then(|model| Some((model, self.nodes.get(model)?)));
            let own = || Origin { unique_id: id.clone(), file: String::new() };
            let origin = node.map_or_else(own, |(model, node)| Origin {
                unique_id: model.to_owned(),
                file: self.file(node),
            });
            (id.clone(), origin)
        });
        tests.chain(unit_tests).collect()
    }
}
