//! What a script creates before its tables.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::sql::{self, quote_identifier};

/// A schema, an extension, a collation, a type or a function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Needed {
    /// Its name, without which no statement needs it; `None` of an extension, whose objects have other names.
    pub name: Option<String>,
    /// The statement that creates it.
    pub sql: String,
}

/// How the definition of a function begins. Its body may name what is created later.
const FUNCTION: &str = "CREATE OR REPLACE FUNCTION ";

/// The statements that create those of the objects, older ones first, that these texts need.
pub(super) fn needed<'a>(objects: &[Needed], texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut named: BTreeSet<String> = texts.flat_map(|text| names(text)).collect();
    let mut kept = Vec::new();
    for object in objects.iter().rev() {
        let is_named = |name: &String| named.contains(quote_identifier(name).trim_matches('"'));
        if object.name.as_ref().is_none_or(is_named) {
            named.extend(names(&object.sql));
            kept.push(object.sql.clone());
        }
    }
    if kept.iter().any(|sql| sql.starts_with(FUNCTION)) {
        kept.push("set check_function_bodies = off".to_owned());
    }
    kept.reverse();
    kept
}

/// The words of a text. The body of a function is one literal.
pub(super) fn names(text: &str) -> Vec<String> {
    let text = text.replace("$function$", " ");
    sql::tokens(&text).map(|token| token.trim_matches('"').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: Option<&str>, sql: &str) -> Needed {
        Needed { name: name.map(ToOwned::to_owned), sql: sql.to_owned() }
    }

    #[test]
    fn only_what_is_named_is_created_and_what_that_needs() {
        let objects = [
            object(Some("util"), "create schema util"),
            object(None, "create extension citext"),
            object(Some("mood"), "create type util.mood as enum ()"),
            object(Some("Odd \"one"), "create domain \"Odd \"\"one\" as util.mood"),
            object(Some("span"), "create type span as range (subtype = float8)"),
            object(
                Some("twice"),
                "CREATE OR REPLACE FUNCTION twice(x int) returns int as $function$ select 2 * x $function$",
            ),
            object(
                Some("thrice"),
                "CREATE OR REPLACE FUNCTION thrice(x int) returns int as $function$ select x + twice(x) $function$",
            ),
        ];
        let kept = |text: &str| needed(&objects, [text.to_owned()].iter());
        assert_eq!(kept("create table t (a int)"), ["create extension citext"]);
        assert_eq!(kept("create table t (a \"Odd \"\"one\"[])").len(), 4);
        assert_eq!(kept("select THRICE(a) from t").len(), 4);
        assert_eq!(kept("select twice(a) from t")[0], "set check_function_bodies = off");
        assert_eq!(kept("select 'span' from t"), ["create extension citext"]);
    }
}
