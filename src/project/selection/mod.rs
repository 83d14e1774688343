//! Which of a project's nodes are meant by `--select` and `--exclude`, in dbt's own words and without dbt.

mod criterion;
mod nodes;
mod state;
mod wildcard;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value as Json, value::RawValue};

use super::{Error, text::or_default};
use criterion::{Criterion, Method};
use nodes::{Ids, Nodes};
use state::States;

/// What was written behind `--select` and `--exclude`: parts that all have to mean a node, of which one has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    select: Vec<Intersection>,
    exclude: Vec<Intersection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Intersection {
    text: String,
    parts: Vec<Criterion>,
}

/// What a selector means in a project.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Selection {
    /// The models, seeds and snapshots that are meant.
    pub ids: BTreeSet<String>,
    /// The parts that mean nothing.
    pub in_vain: Vec<String>,
}

impl Selector {
    /// Reads what was typed; blanks and repeated flags unite, commas intersect. `None` when nothing was.
    pub fn parse(select: &[String], exclude: &[String]) -> Result<Option<Self>, Error> {
        let mut problems = Vec::new();
        let mut read = |typed: &[String]| -> Vec<Intersection> {
            let mut intersection = |text: &str| {
                let parts = text
                    .split(',')
                    .filter_map(|part| Criterion::parse(part).map_err(|why| problems.push(why)).ok());
                Intersection { text: text.to_owned(), parts: parts.collect() }
            };
            typed.iter().flat_map(|text| text.split_whitespace()).map(&mut intersection).collect()
        };
        let selector = Self { select: read(select), exclude: read(exclude) };
        if !problems.is_empty() {
            return Err(Error::Selector { problems });
        }
        Ok((!selector.select.is_empty() || !selector.exclude.is_empty()).then_some(selector))
    }

    /// Whether it asks what changed since another manifest.
    pub fn asks_for_state(&self) -> bool {
        let all = self.select.iter().chain(&self.exclude).flat_map(|intersection| &intersection.parts);
        all.into_iter().any(|criterion| criterion.method == Method::State)
    }

    /// The nodes of a manifest, with the sections that dbt builds nothing of. Where it asks nothing of these, they may be
    /// unreadable.
    fn read<'a>(&self, manifest: (&str, &'a [u8])) -> Result<Nodes<'a>, Error> {
        let mut all = self.select.iter().chain(&self.exclude).flat_map(|intersection| &intersection.parts);
        let others = super::from_json(manifest.0, manifest.1);
        let needs_others = all.any(Criterion::asks_for_more_than_what_is_built);
        let others = if needs_others { others? } else { others.unwrap_or_default() };
        let mut nodes = read(manifest)?;
        nodes.others = others;
        Ok(nodes)
    }

    /// Finds what it means in a manifest; `baseline` is the one that states are told from.
    ///
    /// # Errors
    /// Also when nothing is meant, except where that says that nothing changed.
    pub fn find(&self, manifest: (&str, &[u8]), baseline: Option<(&str, &[u8])>) -> Result<Selection, Error> {
        if self.asks_for_state() && baseline.is_none() {
            return Err(Error::NoBaseline);
        }
        let read = |manifest| self.read(manifest);
        let nodes = read(manifest)?;
        let before = baseline.map(read).transpose()?;
        let states = before.as_ref().map(|before| States::between(before, &nodes));
        let mut in_vain = Vec::new();
        let mut union = |intersections: &[Intersection]| {
            let mut all = Ids::new();
            for intersection in intersections {
                let found = intersection.find(&nodes, states.as_ref());
                if found.is_empty() {
                    in_vain.push(intersection.text.clone());
                }
                all.extend(found);
            }
            all
        };
        let selected = if self.select.is_empty() {
            nodes.all().map(|(id, _)| id).collect()
        } else {
            union(&self.select)
        };
        let excluded = union(&self.exclude);
        let is_meant = |id: &&str| selected.contains(id) && !excluded.contains(id);
        let built = nodes.all().filter(|(_, node)| node.is_built()).map(|(id, _)| id);
        let ids: BTreeSet<String> = built.filter(is_meant).map(ToOwned::to_owned).collect();
        if ids.is_empty() && !self.asks_for_state() {
            let words = self.select.iter().map(|part| format!("`{}`", part.text));
            let without = self.exclude.iter().map(|part| format!("without `{}`", part.text));
            return Err(Error::NothingSelected { words: words.chain(without).collect() });
        }
        Ok(Selection { ids, in_vain })
    }
}

/// For each model, seed and snapshot of a manifest a selector that means it alone.
pub fn exact_names(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let nodes = read((file, bytes))?;
    let built = nodes.all().filter(|(_, node)| node.is_built());
    Ok(built.map(|(id, node)| (id.to_owned(), node.exact_name())).collect())
}

/// The name of the selector in a manifest that counts when nothing is selected.
pub fn default_selector(file: &str, bytes: &[u8]) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Manifest {
        #[serde(default, deserialize_with = "or_default")]
        selectors: BTreeMap<String, Definition>,
    }
    #[derive(Deserialize)]
    struct Definition {
        #[serde(default)]
        default: Json,
    }
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|source| Error::NotJson { file: file.to_owned(), source })?;
    let is_default = |definition: &Definition| {
        definition.default == true || definition.default.as_str().is_some_and(|text| text == "True")
    };
    Ok(manifest.selectors.into_iter().find(|(_, definition)| is_default(definition)).map(|(name, _)| name))
}

impl Intersection {
    fn find<'n>(&self, nodes: &'n Nodes, states: Option<&States>) -> Ids<'n> {
        let mut found = self.parts.iter().map(|criterion| nodes.meant_by(criterion, states));
        let first = found.next().unwrap_or_default();
        found.fold(first, |one, other| one.intersection(&other).copied().collect())
    }
}

fn read<'a>((file, bytes): (&str, &'a [u8])) -> Result<Nodes<'a>, Error> {
    super::from_json(file, bytes)
}

/// A part of a manifest; nothing where it is missing or of another shape.
fn json<T: DeserializeOwned + Default>(raw: Option<&RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
