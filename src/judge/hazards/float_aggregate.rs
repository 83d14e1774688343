//! Incrementally maintained sums and averages of floating point numbers drift.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "float-aggregate",
    heading: "Correctness",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "cast to numeric, or set refresh_mode to FULL",
};

/// An incrementally maintained aggregate has a hidden count column (docs/pg_trickle.md, "Storage table").
fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let columns = deployed.table.columns.as_deref().unwrap_or_default();
    let aggregates = columns.iter().any(|column| column.name == "__pgt_count");
    let maintained = deployed.table.settings.refresh_mode() != Some("FULL");
    (aggregates && maintained && !facts.float_columns.is_empty())
        .then(|| format!("rounding errors add up in {}", facts.float_columns.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    #[test]
    fn only_maintained_aggregates_with_floats_are_reported() {
        let mut there = sample::deployed(sample::table("t", &[]));
        let facts = Facts { float_columns: vec!["total".into()], ..Facts::default() };
        assert_eq!(finds(&there, &facts), None, "a projection does not add up");
        there.table.columns = Some(sample::columns(&["region", "total", "__pgt_count"]));
        assert!(finds(&there, &facts).unwrap().contains("total"));
        assert_eq!(finds(&there, &Facts::default()), None);
        there.table.settings.set(Setting::RefreshMode, Value::Text("FULL".into()));
        assert_eq!(finds(&there, &facts), None);
    }
}
