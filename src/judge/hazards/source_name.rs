//! pg_trickle writes the names in FROM without quotes.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "source-name",
    heading: "Names",
    fixed: None,
    verdict: Verdict::Failed,
    finds,
    way_out: "give the table an alias in FROM that needs no quotes",
};

fn finds(deployed: &Deployed, _: &Facts) -> Option<String> {
    deployed.table.misread_names()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample,
        model::{Setting, Value},
    };

    #[test]
    fn a_name_that_needs_quotes_is_reported_where_changes_are_applied() {
        let found = |query: &str, mode: &str| {
            let mut table = sample::table("t", &[]);
            table.query = query.to_owned();
            table.settings.set(Setting::RefreshMode, Value::Text(mode.to_owned()));
            finds(&sample::deployed(table), &Facts::default())
        };
        let query = r#"select id from shop."Odd Table""#;
        assert!(found(query, "DIFFERENTIAL").unwrap().contains("`Odd Table` without quotes"));
        assert!(found(query, "IMMEDIATE").unwrap().contains("every write"));
        assert_eq!(found(query, "FULL"), None);
        assert_eq!(found(&format!("{query} as odd"), "DIFFERENTIAL"), None);
    }
}
