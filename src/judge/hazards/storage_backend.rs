//! A storage backend is accepted and ignored.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Setting, Value, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "storage-backend",
    heading: "Citus",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "leave storage_backend out",
};

fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let backend = deployed.table.settings.get(Setting::StorageBackend)?;
    let is_ignored = *backend != Value::Text("heap".into()) && facts.access_method.as_deref() == Some("heap");
    is_ignored.then(|| format!("storage_backend {backend} is ignored: its rows are stored as in any table"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    #[test]
    fn a_backend_that_does_not_store_the_rows_is_reported() {
        let found = |backend: &str, access_method: &str| {
            let mut there = sample::deployed(sample::table("t", &[]));
            there.table.settings.set(Setting::StorageBackend, Value::Text(backend.into()));
            finds(&there, &Facts { access_method: Some(access_method.into()), ..Facts::default() }).is_some()
        };
        assert!(found("citus", "heap"));
        assert!(!found("citus", "columnar"));
        assert!(!found("heap", "heap"));
    }
}
