//! The relations that the body of a function reads, by the names in its text.

use std::{borrow::Cow, collections::BTreeSet};

use super::tokens::{is_word, tokens};

/// The name of a relation, with a schema if the text has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadName {
    pub schema: Option<String>,
    pub name: String,
}

/// The names in the FROM clauses of a body in SQL or PL/pgSQL, without those of its common table expressions. Also those in
/// the literals of a body that executes texts. Some are not relations, as the `day` of `extract(year from day)`.
pub fn names_read(body: &str) -> BTreeSet<ReadName> {
    let tokens: Vec<Cow<'_, str>> = tokens(body).collect();
    let text = |at: usize| tokens.get(at).map_or("", AsRef::as_ref);
    let mut found = BTreeSet::new();
    let mut defined = BTreeSet::new();
    // For each open parenthesis, whether it is in a FROM clause.
    let mut clauses = vec![false];
    let mut is_expected = false;
    let mut at = 0;
    while at < tokens.len() {
        let token = text(at);
        let in_from = clauses.last().copied().unwrap_or_default();
        match token {
            "(" => {
                // The parentheses of a join continue the clause.
                clauses.push(is_expected && in_from);
            }
            ")" => {
                clauses.pop();
                is_expected = false;
            }
            "from" | "join" => {
                set_last(&mut clauses, true);
                is_expected = true;
            }
            "," if in_from => is_expected = true,
            "lateral" | "only" if is_expected => {}
            word if ENDS.contains(&word) => {
                set_last(&mut clauses, false);
                is_expected = false;
            }
            "as" => {
                let body = (1..=3)
                    .map(|next| text(at + next))
                    .find(|token| !["not", "materialized"].contains(token));
                if body == Some("(") && at > 0 {
                    defined.insert(unquoted(text(at - 1)));
                }
                is_expected = false;
            }
            word if is_expected && word.starts_with(|c: char| is_word(c) || c == '"') => {
                let mut parts = vec![unquoted(word)];
                while text(at + 1) == "." && at + 2 < tokens.len() {
                    at += 2;
                    parts.push(unquoted(text(at)));
                }
                let name = parts.pop().unwrap_or_default();
                if text(at + 1) != "(" {
                    found.insert(ReadName { schema: parts.pop(), name });
                }
                is_expected = false;
            }
            _ => is_expected = false,
        }
        at += 1;
    }
    found.retain(|read| read.schema.is_some() || !defined.contains(&read.name));
    if tokens.iter().any(|token| token == "execute") {
        let texts = tokens.iter().filter_map(|token| literal(token));
        found.extend(texts.flat_map(|text| names_read(&text)));
    }
    found
}

/// The words after which a comma separates no relations.
const ENDS: [&str; 16] = [
    "select",
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "returning",
    ";",
    "loop",
];

fn set_last(clauses: &mut [bool], in_from: bool) {
    if let Some(last) = clauses.last_mut() {
        *last = in_from;
    }
}

/// The name of an identifier.
pub(super) fn unquoted(token: &str) -> String {
    match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(name) => name.replace("\"\"", "\""),
        None => token.to_owned(),
    }
}

/// The text of a literal.
fn literal(token: &str) -> Option<String> {
    if let Some(rest) = token.strip_prefix('$') {
        let tag = &token[..rest.find('$')? + 2];
        return Some(token.strip_prefix(tag)?.strip_suffix(tag)?.to_owned());
    }
    let text = token.strip_prefix(['e', 'n']).unwrap_or(token).strip_prefix('\'')?.strip_suffix('\'')?;
    Some(text.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Vec<String> {
        let shown = |read: ReadName| {
            read.schema.map_or_else(|| read.name.clone(), |schema| format!("{schema}.{}", read.name))
        };
        names_read(body).into_iter().map(shown).collect()
    }

    #[test]
    fn relations_of_from_clauses_are_read() {
        for (body, names) in [
            ("select r from rates where c = k", &["rates"][..]),
            (
                "SELECT 1 FROM App.Rates AS r, only \"Odd Name\" o, (other x join more using (id)) WHERE a in (b, c)",
                &["Odd Name", "more", "other", "app.rates"],
            ),
            (
                "select (select max(v) from inner_one) from generate_series(1, 2) as n, lateral (select 1 from deep) as d",
                &["deep", "inner_one"],
            ),
            (
                "with base as materialized (select 1 from raw), b as (select 2) select * from base, b",
                &["raw"],
            ),
            ("select coalesce(a, rates) from t group by rates, other -- from never\n", &["t"]),
            ("begin for r in select * from db.s.t loop raise notice 'from never'; end loop; end", &["s.t"]),
            ("select 1", &[]),
        ] {
            assert_eq!(read(body), names, "{body}");
        }
    }

    #[test]
    fn texts_that_a_body_executes_are_read() {
        assert_eq!(read("begin execute 'select ''a'' from rates' into x; return x; end"), ["rates"]);
        assert_eq!(
            read("begin execute format($q$select 1 from app.%I, fixed$q$, n); end"),
            ["fixed", "app.%"]
        );
        assert_eq!(read("begin return 'from nowhere'; end"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_text_is_read(body in ".{0,80}") {
            names_read(&format!("execute {body}"));
        }
    }
}
