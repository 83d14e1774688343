//! Names without a schema are looked up at each refresh, in the search_path of the refreshing session.

use super::{Rule, TableRule};
use crate::{
    judge::Facts,
    model::{Deployed, Verdict, Version},
};

pub(super) const RULE: TableRule = Rule {
    name: "search-path",
    heading: "Query text",
    fixed: Some(Version(0, 87, 7)),
    verdict: Verdict::Warned,
    finds,
    way_out: "qualify it with its schema, as ref() and source() do",
};

fn finds(deployed: &Deployed, facts: &Facts) -> Option<String> {
    let words = words(&deployed.table.query);
    let bare: Vec<&str> = facts
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .filter(|name| is_bare(&words, name))
        .collect();
    (!bare.is_empty()).then(|| {
        format!(
            "the query names {} without a schema: each refresh looks it up in its own search_path",
            bare.join(", ")
        )
    })
}

/// Whether a table is read without its schema. If the name also follows a dot, the bare one is a common table
/// expression of the same name, which is usual in dbt projects.
fn is_bare(words: &[String], name: &str) -> bool {
    let follows = |before: &str| words.windows(2).any(|pair| pair[0] == before && pair[1] == name);
    (follows("from") || follows("join")) && !follows(".")
}

/// The identifiers, keywords in lower case and punctuation of a query. Rough: includes the words of literals and
/// comments.
fn words(query: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let word = &rest[..length];
        words.push(if first == '"' { word.trim_matches('"').to_owned() } else { word.to_lowercase() });
        rest = rest[length..].trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{SourceFacts, sample};

    fn found(query: &str) -> bool {
        let mut there = sample::deployed(sample::table("t", &[]));
        there.table.query = query.into();
        let source = SourceFacts { name: "orders".into(), ..SourceFacts::default() };
        finds(&there, &Facts { sources: vec![source], ..Facts::default() }).is_some()
    }

    #[test]
    fn a_source_without_its_schema_is_reported() {
        assert!(found("select id from orders"));
        assert!(found("SELECT id FROM \"orders\" o"));
        assert!(found("select 1 from x.customers join Orders using (id)"));
    }

    #[test]
    fn a_source_with_its_schema_passes_whatever_else_has_its_name() {
        assert!(!found("select id from public.orders"));
        assert!(!found("select id from \"shop\".\"public\".\"orders\" as orders"));
        assert!(!found("with orders as (select * from raw.orders) select id from orders"));
        assert!(!found("select count(*) as orders from raw.sales"));
    }
}
