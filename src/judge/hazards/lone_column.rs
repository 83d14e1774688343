//! A join with one column that is no text cannot be refreshed incrementally.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Verdict},
    sql::query,
};

pub(super) const RULE: TableRule = Rule {
    name: "lone-column",
    heading: "Wrong deltas",
    fixed: None,
    verdict: Verdict::Failed,
    finds,
    way_out: "select a second column, cast the column to text, or use `refresh_mode: FULL`",
};

fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let fails = match deployed.table.settings.refresh_mode()? {
        "DIFFERENTIAL" => "each refresh that finds changes fails",
        "IMMEDIATE" => "each write to its sources fails",
        _ => return None,
    };
    let column = facts.lone_column.as_ref().filter(|_| query::joins(&deployed.table.query))?;
    Some(format!("its query joins, also by EXISTS or IN, and gives one column of type {column}: {fails}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    #[test]
    fn only_a_join_with_one_column_is_reported() {
        let found = |query: &str, mode: &str, column: Option<&str>| {
            let mut there = sample::deployed(sample::table("t", &[]));
            there.table.query = query.into();
            there.table.settings.set(Setting::RefreshMode, Value::Text(mode.into()));
            finds(&there, &Facts { lone_column: column.map(Into::into), ..Facts::default() })
        };
        let query = "select a.id from s.a where not exists (select from s.b where b.k = a.k)";
        let said = found(query, "DIFFERENTIAL", Some("integer")).unwrap();
        assert!(said.contains("one column of type integer: each refresh"), "{said}");
        assert!(found(query, "IMMEDIATE", Some("integer")).unwrap().contains("each write"));
        assert_eq!(found(query, "FULL", Some("integer")), None);
        assert_eq!(found(query, "DIFFERENTIAL", None), None);
        assert_eq!(found("select id from s.a", "DIFFERENTIAL", Some("integer")), None);
    }
}
