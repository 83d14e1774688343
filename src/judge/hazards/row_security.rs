//! A stream table over a source with row level security holds the rows of every role.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Verdict},
};

pub(super) const RULE: TableRule = Rule {
    name: "row-security",
    heading: "Row level security",
    fixed: None,
    verdict: Verdict::Warned,
    finds,
    way_out: "grant it only to roles that may read every row of the source, or protect it with policies of its own",
};

fn finds(_: &Deployed, facts: &Facts) -> Option<String> {
    let protected = facts.sources.iter().filter(|source| source.has_row_security);
    let protected: Vec<String> =
        protected.map(|source| format!("{}.{}", source.schema, source.name)).collect();
    (!protected.is_empty() && !facts.has_row_security).then(|| {
        format!("the policies of {} do not protect it: it holds the rows of every role", protected.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{SourceFacts, sample};

    #[test]
    fn a_table_without_the_policies_of_its_source_is_reported() {
        let there = sample::deployed(sample::table("t", &[]));
        let source = SourceFacts {
            schema: "raw".into(),
            name: "orders".into(),
            has_row_security: true,
            ..SourceFacts::default()
        };
        let facts = Facts { sources: vec![source], ..Facts::default() };
        assert!(finds(&there, &facts).unwrap().contains("raw.orders"));
        assert_eq!(finds(&there, &Facts { has_row_security: true, ..facts }), None, "it has its own");
        assert_eq!(finds(&there, &Facts::default()), None);
    }
}
