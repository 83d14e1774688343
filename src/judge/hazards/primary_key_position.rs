//! A projection with the primary key behind another column fails as soon as its first column has duplicates.

use super::Rule;
use crate::{
    judge::{Facts, Source},
    model::{Column, Deployed, Setting, Verdict},
};

pub(super) const RULE: Rule = Rule {
    name: "primary-key-position",
    heading: "Storage table",
    versions: (0, 67)..=(0, 67),
    verdict: Verdict::Warned,
    looks,
    way_out: "select the primary key first, or set partition_by",
};

fn looks(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let settings = &deployed.table.settings;
    let columns = deployed.table.columns.as_deref().unwrap_or_default();
    let aggregates = columns.iter().any(Column::is_internal);
    let concerned = settings.refresh_mode() == Some("DIFFERENTIAL")
        && settings.get(Setting::PartitionBy).is_none()
        && !aggregates;
    let [Source { primary_key, source_type, .. }] = &facts.sources[..] else { return None };
    let [key] = &primary_key[..] else { return None };
    let at = columns.iter().position(|column| column.name == *key)?;
    let first = &columns.first()?.name;
    (concerned && source_type == "TABLE" && at > 0)
        .then(|| format!("{key} comes behind {first}: a second row with the same {first} fails"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::sample;

    fn looked(columns: &[&str], sources: usize) -> Option<String> {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.table.columns = Some(sample::columns(columns));
        let source =
            Source { primary_key: vec!["id".into()], source_type: "TABLE".into(), ..Source::default() };
        looks(&there, &Facts { sources: vec![source; sources], ..Facts::default() })
    }

    #[test]
    fn a_key_behind_another_column_of_a_projection_is_told() {
        assert!(looked(&["day", "id"], 1).unwrap().contains("id comes behind day"));
        assert_eq!(looked(&["id", "day"], 1), None);
        assert_eq!(looked(&["day"], 1), None);
        assert_eq!(looked(&["day", "id", "__pgt_count"], 1), None, "an aggregate has its groups");
        assert_eq!(looked(&["day", "id"], 2), None, "a join has other row ids");
    }
}
