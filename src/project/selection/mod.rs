//! The nodes that `--select` and `--exclude` match, in dbt's syntax and without dbt.

mod criterion;
mod matching;
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

/// The parsed values of `--select` and `--exclude`: a union of intersections each.
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

/// The nodes that a selector matches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Selection {
    /// The matching models, seeds and snapshots.
    pub ids: BTreeSet<String>,
    /// The parts that match no node.
    pub unmatched: Vec<String>,
}

impl Selector {
    /// Parses the flags: blanks and repeated flags are a union, commas an intersection. `None` without values.
    pub fn parse(select: &[String], exclude: &[String]) -> Result<Option<Self>, Error> {
        let mut problems = Vec::new();
        let mut parse = |typed: &[String]| -> Vec<Intersection> {
            let mut intersection = |text: &str| {
                let parts = text
                    .split(',')
                    .filter_map(|part| Criterion::parse(part).map_err(|why| problems.push(why)).ok());
                Intersection { text: text.to_owned(), parts: parts.collect() }
            };
            typed.iter().flat_map(|text| text.split_whitespace()).map(&mut intersection).collect()
        };
        let selector = Self { select: parse(select), exclude: parse(exclude) };
        if !problems.is_empty() {
            return Err(Error::Selector { problems });
        }
        Ok((!selector.select.is_empty() || !selector.exclude.is_empty()).then_some(selector))
    }

    /// Whether it has a `state:` method, which needs a baseline.
    pub fn asks_for_state(&self) -> bool {
        let all = self.select.iter().chain(&self.exclude).flat_map(|intersection| &intersection.parts);
        all.into_iter().any(|criterion| criterion.method == Method::State)
    }

    /// The nodes of a manifest. Sections that dbt builds nothing from may be unreadable unless the selector needs them.
    fn read<'a>(&self, manifest: (&str, &'a [u8])) -> Result<Nodes<'a>, Error> {
        let mut all = self.select.iter().chain(&self.exclude).flat_map(|intersection| &intersection.parts);
        let others = super::from_json(manifest.0, manifest.1);
        let needs_others = all.any(Criterion::needs_other_sections);
        let others = if needs_others { others? } else { others.unwrap_or_default() };
        let mut nodes = read(manifest)?;
        nodes.others = others;
        Ok(nodes)
    }

    /// The matching nodes of a manifest; `state:` methods compare it with `baseline`.
    ///
    /// # Errors
    /// Also if no node matches, except with `state:` methods, where that means that nothing changed.
    pub fn find(&self, manifest: (&str, &[u8]), baseline: Option<(&str, &[u8])>) -> Result<Selection, Error> {
        if self.asks_for_state() && baseline.is_none() {
            return Err(Error::NoBaseline);
        }
        let read = |manifest| self.read(manifest);
        let nodes = read(manifest)?;
        let before = baseline.map(read).transpose()?;
        let states = before.as_ref().map(|before| States::between(before, &nodes));
        let mut unmatched = Vec::new();
        let mut union = |intersections: &[Intersection]| {
            let mut all = Ids::new();
            for intersection in intersections {
                let found = intersection.find(&nodes, states.as_ref());
                if found.is_empty() {
                    unmatched.push(intersection.text.clone());
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
        let is_selected = |id: &&str| selected.contains(id) && !excluded.contains(id);
        let built = nodes.all().filter(|(_, node)| node.is_built()).map(|(id, _)| id);
        let ids: BTreeSet<String> = built.filter(is_selected).map(ToOwned::to_owned).collect();
        if ids.is_empty() && !self.asks_for_state() {
            let words = self.select.iter().map(|part| format!("`{}`", part.text));
            let excluding = self.exclude.iter().map(|part| format!("excluding `{}`", part.text));
            return Err(Error::NothingSelected { words: words.chain(excluding).collect() });
        }
        Ok(Selection { ids, unmatched })
    }
}

/// For each model, seed and snapshot of a manifest, a selector that matches only it.
pub fn exact_names(file: &str, bytes: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let nodes = read((file, bytes))?;
    let built = nodes.all().filter(|(_, node)| node.is_built());
    Ok(built.map(|(id, node)| (id.to_owned(), node.exact_name())).collect())
}

/// The name of the manifest's default selector, which applies without `--select` and `--exclude`.
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
        let mut found = self.parts.iter().map(|criterion| nodes.matching(criterion, states));
        let first = found.next().unwrap_or_default();
        found.fold(first, |one, other| one.intersection(&other).copied().collect())
    }
}

fn read<'a>((file, bytes): (&str, &'a [u8])) -> Result<Nodes<'a>, Error> {
    super::from_json(file, bytes)
}

/// The parsed value; the default if it is missing or has another shape.
fn json<T: DeserializeOwned + Default>(raw: Option<&RawValue>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
