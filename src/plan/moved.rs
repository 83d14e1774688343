//! Whether a server has changed since a plan was saved.

use std::collections::BTreeMap;

use super::{
    LostObject, LostView,
    saved::{Error, Saved, digest},
};
use crate::model::{Deployed, Relation, Setting};

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

/// A digest of each table's definition. Left out are its health and what the engine sets by itself.
pub(super) fn fingerprints(deployed: &[Deployed]) -> BTreeMap<String, String> {
    let fingerprint = |now: &Deployed| {
        let settings: Vec<String> = now
            .table
            .settings
            .iter()
            .filter(|(setting, _)| !matches!(setting, Setting::Status | Setting::AppendOnly))
            .map(|(setting, value)| format!("{setting}={value}"))
            .collect();
        let storage = &now.storage;
        let upstream: Vec<String> = now.table.upstream.iter().map(Relation::to_string).collect();
        let views: Vec<String> = storage.views.iter().map(|view| view.relation.to_string()).collect();
        let columns: Vec<String> = now
            .table
            .columns
            .iter()
            .flatten()
            .map(|column| format!("{} {}", column.name, column.r#type))
            .collect();
        let mark = now.mark.as_ref().map(|mark| serde_json::to_string(mark).expect("a mark is texts"));
        let parts = [
            vec![now.table.query.clone(), mark.unwrap_or_default(), storage.lost_source.to_string()],
            settings,
            upstream,
            views,
            columns,
            storage.restore_statements.clone(),
            storage.indexes.clone(),
            storage.publications.clone(),
        ];
        digest(serde_json::to_string(&parts).expect("texts are plain data").as_bytes())
    };
    deployed.iter().map(|now| (now.table.relation.to_string(), fingerprint(now))).collect()
}
