//! Whether a server has changed since a plan was saved.

use std::collections::BTreeMap;

use super::{
    LostObject, LostView,
    fingerprints::{digest, fingerprints},
    saved::{Error, Saved},
};
use crate::model::Deployed;

/// The state of the server to which a saved plan is applied.
#[derive(Debug)]
pub struct CurrentState {
    /// `host:port/database`.
    pub server: String,
    pub tables: Vec<Deployed>,
    /// The definitions of the saved views, by their quoted names.
    pub definitions: BTreeMap<String, Option<String>>,
    /// The current definitions of the views that would be dropped and created again.
    pub lost_views: Vec<LostView>,
    /// The objects that would be dropped with the tables that the plan drops.
    pub lost_objects: Vec<LostObject>,
}

impl Saved {
    /// Refuses another server, and one that has changed.
    pub fn check(&self, file: &str, server: &CurrentState) -> Result<(), Error> {
        let file = file.to_owned();
        if self.target != server.server {
            let planned = self.target.clone();
            return Err(Error::OtherServer { file, planned, server: server.server.clone() });
        }
        let now = fingerprints(&server.tables);
        let new =
            now.keys().filter(|name| !self.catalog.contains_key(*name)).map(|name| format!("{name} is new"));
        let gone =
            self.catalog.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone"));
        let changed = |(name, print): (&String, &String)| {
            let other = now.get(name).is_some_and(|now| now != print);
            other.then(|| format!("{name} has changed"))
        };
        let mut moved: Vec<String> = new.chain(gone).chain(self.catalog.iter().filter_map(changed)).collect();
        moved.extend(self.changed_views(server));
        moved.extend(self.new_losses(server));
        if moved.is_empty() { Ok(()) } else { Err(Error::Moved { file, moved }) }
    }

    /// Objects that would be dropped now and did not exist when the plan was saved. [`Self::changed_views`] compares
    /// views.
    fn new_losses<'a>(&'a self, now: &'a CurrentState) -> impl Iterator<Item = String> + 'a {
        let is_new = |lost: &&LostObject| lost.view.is_none() && !self.lost_objects.contains(lost);
        now.lost_objects.iter().filter(is_new).map(|lost| format!("{} depends on {}", lost.what, lost.table))
    }

    fn changed_views<'a>(&'a self, now: &'a CurrentState) -> impl Iterator<Item = String> + 'a {
        let changed = self.views.iter().filter(|view| {
            let definition = now.definitions.get(&view.relation.quoted()).cloned().flatten();
            definition.map(|text| digest(text.as_bytes())) != view.definition
        });
        let lost = self.lost_views.iter().filter(|view| !now.lost_views.contains(view));
        let names = changed.map(|view| &view.relation).chain(lost.map(|view| &view.relation));
        names.map(|relation| format!("the view {relation} has changed"))
    }
}
