//! Sums and averages of floating point numbers drift when they are maintained instead of computed.

use super::Rule;
use crate::{
    judge::Facts,
    model::{Deployed, Verdict},
};

pub(super) const RULE: Rule = Rule {
    name: "float-aggregate",
    heading: "Correctness",
    versions: (0, 67)..=(0, 67),
    verdict: Verdict::Warned,
    looks,
    way_out: "aggregate a numeric instead, or set refresh_mode to FULL",
};

/// A maintained aggregate has a hidden column that counts (docs/pg_trickle.md, "Storage table").
fn looks(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let columns = deployed.table.columns.as_deref().unwrap_or_default();
    let aggregates = columns.iter().any(|column| column.name == "__pgt_count");
    let maintained = deployed.table.settings.refresh_mode() != Some("FULL");
    (aggregates && maintained && !facts.float_columns.is_empty())
        .then(|| format!("{} may drift away from what the query gives", facts.float_columns.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    #[test]
    fn only_maintained_aggregates_with_floats_are_told() {
        let mut there = sample::deployed(sample::table("t", &[]));
        let facts = Facts { float_columns: vec!["total".into()], ..Facts::default() };
        assert_eq!(looks(&there, &facts), None, "a projection does not add up");
        there.table.columns = Some(sample::columns(&["region", "total", "__pgt_count"]));
        assert!(looks(&there, &facts).unwrap().contains("total"));
        assert_eq!(looks(&there, &Facts::default()), None);
        there.table.settings.set(Setting::RefreshMode, Value::Text("FULL".into()));
        assert_eq!(looks(&there, &facts), None);
    }
}
