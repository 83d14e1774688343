//! Digests, by which a saved plan knows a server and a project again.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::model::{Deployed, Relation, Setting};

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
