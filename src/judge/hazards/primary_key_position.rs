//! A projection with another column before the primary key fails as soon as that first column has duplicates.

use super::{Rule, TableRule};
use crate::{
    judge::{Facts, SourceFacts},
    model::{Column, Deployed, Setting, Verdict, Version},
};

pub(super) const RULE: TableRule = Rule {
    name: "primary-key-position",
    heading: "Storage table",
    fixed: Some(Version(0, 106, 1)),
    verdict: Verdict::Warned,
    finds,
    way_out: "select the primary key first, or set partition_by",
};

fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let settings = &deployed.table.settings;
    let columns = deployed.table.columns.as_deref().unwrap_or_default();
    let aggregates = columns.iter().any(Column::is_internal);
    let concerned = settings.refresh_mode() == Some("DIFFERENTIAL")
        && settings.get(Setting::PartitionBy).is_none()
        && !aggregates;
    let [SourceFacts { primary_key, source_type, .. }] = &facts.sources[..] else { return None };
    let [key] = &primary_key[..] else { return None };
    let at = columns.iter().position(|column| column.name == *key)?;
    let first = &columns.first()?.name;
    (concerned && source_type == "TABLE" && at > 0)
        .then(|| format!("{key} comes after {first}: a second row with the same {first} fails"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    fn found(columns: &[&str], sources: usize) -> Option<String> {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.table.columns = Some(sample::columns(columns));
        let source = SourceFacts {
            primary_key: vec!["id".into()],
            source_type: "TABLE".into(),
            ..SourceFacts::default()
        };
        finds(&there, &Facts { sources: vec![source; sources], ..Facts::default() })
    }

    #[test]
    fn a_key_after_another_column_of_a_projection_is_reported() {
        assert!(found(&["day", "id"], 1).unwrap().contains("id comes after day"));
        assert_eq!(found(&["id", "day"], 1), None);
        assert_eq!(found(&["day"], 1), None);
        assert_eq!(found(&["day", "id", "__pgt_count"], 1), None, "an aggregate has its groups");
        assert_eq!(found(&["day", "id"], 2), None, "a join has other row ids");
    }
}
