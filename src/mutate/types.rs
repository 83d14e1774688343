//! Candidate values of every type, as text. The server decides which of them it accepts.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;

use super::texts;
use crate::sql;

/// The types of the columns of sources and the types that those consist of, by OID.
pub type Types = BTreeMap<u32, Type>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Type {
    /// `pg_type.typname` of a built-in type, else empty.
    pub name: String,
    pub shape: Shape,
    /// A domain's base, an array's element, a range's bounds, a multirange's range, a composite's columns.
    pub parts: Vec<TypePart>,
    pub labels: Vec<String>,
    /// The separator of the elements of an array.
    pub delimiter: String,
    pub conditions: Vec<String>,
}

/// How the values of a type are composed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    #[default]
    Base,
    Domain,
    Enum,
    Array,
    Range,
    Multirange,
    Composite,
}

/// A type with its modifier, such as a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TypePart {
    /// `pg_type.oid`
    pub oid: u32,
    /// `pg_attribute.atttypmod`
    pub typmod: i32,
}

/// The limit of nested types: a row type may contain an array of itself.
const MAX_DEPTH: usize = 6;

/// Values that a column of this type may accept: the edges of the type, and `count` more distinct ones.
pub fn candidates(types: &Types, of: TypePart, count: u64) -> Vec<String> {
    let mut all = edges(types, of, MAX_DEPTH);
    for number in 1..=count {
        all.extend(numbered(types, of, number, MAX_DEPTH));
    }
    without_repeats(all)
}

/// Candidates from a condition: its literals, and the adjacent whole numbers.
pub(super) fn constants(condition: &str) -> Vec<String> {
    constants_of(&sql::tokens(condition).collect::<Vec<_>>())
}

/// The same, from the tokens of a condition.
pub(super) fn constants_of(tokens: &[Cow<'_, str>]) -> Vec<String> {
    let mut found = Vec::new();
    let is_number =
        |at: usize| tokens.get(at).is_some_and(|token| token.starts_with(|c: char| c.is_ascii_digit()));
    let is_point = |at: usize| tokens.get(at).is_some_and(|token| token == ".");
    for (at, token) in tokens.iter().enumerate() {
        if let Some(text) = token.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
            let text = text.replace("''", "'");
            found.extend(beside(&text));
            found.push(text);
        } else if is_number(at) && !(at > 0 && is_point(at - 1)) {
            let sign = if at > 0 && tokens[at - 1] == "-" { "-" } else { "" };
            let decimals = if is_point(at + 1) && is_number(at + 2) {
                format!(".{}", tokens[at + 2])
            } else {
                String::new()
            };
            let text = format!("{sign}{token}{decimals}");
            found.extend(beside(&text));
            found.push(text);
        }
    }
    without_repeats(found)
}

/// Values that differ from an existing one in their last number or letter.
pub(super) fn variations(value: &str) -> Vec<String> {
    let is_digit = |c: char| c.is_ascii_digit();
    let Some(end) = value.rfind(is_digit).map(|at| at + 1) else {
        let mut chars: Vec<char> = value.chars().collect();
        let Some(at) = chars.iter().rposition(char::is_ascii_lowercase) else { return Vec::new() };
        return ['a', 'm', 'z']
            .map(|letter| {
                chars[at] = letter;
                chars.iter().collect()
            })
            .to_vec();
    };
    let start = value[..end].rfind(|c| !is_digit(c)).map_or(0, |at| at + 1);
    let Ok(number) = value[start..end].parse::<u64>() else { return Vec::new() };
    let width = end - start;
    [1, 2, 3, 5, 7, 11, 101]
        .map(|more| number.saturating_add(more))
        .into_iter()
        .chain([number / 2])
        .map(|number| format!("{}{number:0width$}{}", &value[..start], &value[end..]))
        .collect()
}

fn beside(text: &str) -> Vec<String> {
    text.parse::<i64>().map_or_else(
        |_| Vec::new(),
        |number| vec![number.saturating_sub(1).to_string(), number.saturating_add(1).to_string()],
    )
}

fn without_repeats(all: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    all.into_iter().filter(|value| seen.insert(value.clone())).collect()
}

fn edges(types: &Types, of: TypePart, depth: usize) -> Vec<String> {
    let Some(kind) = types.get(&of.oid).filter(|_| depth > 0) else { return Vec::new() };
    let part =
        |nth: usize| kind.parts.get(nth).map(|part| edges(types, *part, depth - 1)).unwrap_or_default();
    match kind.shape {
        Shape::Base => texts::edges(&kind.name, of.typmod),
        Shape::Enum => kind.labels.clone(),
        Shape::Domain => {
            let mut all: Vec<String> = kind.conditions.iter().flat_map(|text| constants(text)).collect();
            all.extend(part(0));
            // The condition may be a pattern.
            all.extend(texts::SHAPED.iter().map(|text| (*text).to_owned()));
            all
        }
        Shape::Array => {
            let of = part(0);
            let mut all = vec!["{}".to_owned(), "{NULL}".to_owned()];
            all.extend(of.iter().map(|value| format!("{{{}}}", quoted_element(value))));
            all.extend(of.iter().zip(of.iter().skip(1)).map(|(one, other)| {
                format!("{{{}{}{}}}", quoted_element(one), kind.delimiter, quoted_element(other))
            }));
            all
        }
        Shape::Range => {
            let of = part(0);
            let mut all = vec!["empty".to_owned(), "(,)".to_owned()];
            for (at, one) in of.iter().enumerate() {
                all.push(format!("[{},)", quoted_element(one)));
                let others = of.iter().skip(at + 1).take(3);
                all.extend(others.flat_map(|other| {
                    [(one, other), (other, one)]
                        .map(|(from, to)| format!("[{},{})", quoted_element(from), quoted_element(to)))
                }));
            }
            all
        }
        Shape::Multirange => {
            let of = part(0);
            let mut all = vec!["{}".to_owned()];
            all.extend(of.iter().map(|range| format!("{{{range}}}")));
            all.extend(of.iter().zip(of.iter().skip(4)).map(|(one, other)| format!("{{{one},{other}}}")));
            all
        }
        Shape::Composite => {
            let members: Vec<Vec<String>> = (0..kind.parts.len()).map(part).collect();
            let longest = members.iter().map(Vec::len).max().unwrap_or(0);
            let row = |nth: usize| {
                let values = members.iter().map(|of| match of.len() {
                    0 => String::new(),
                    length => quoted_element(&of[nth % length]),
                });
                format!("({})", values.collect::<Vec<_>>().join(","))
            };
            (0..longest).map(row).collect()
        }
    }
}

/// A value for this number. Values of ranges do not overlap.
fn numbered(types: &Types, of: TypePart, number: u64, depth: usize) -> Vec<String> {
    let Some(kind) = types.get(&of.oid).filter(|_| depth > 0) else { return Vec::new() };
    let part = |nth: usize| {
        kind.parts.get(nth).map(|part| numbered(types, *part, number, depth - 1)).unwrap_or_default()
    };
    match kind.shape {
        Shape::Base => texts::numbered(&kind.name, of.typmod, number),
        Shape::Enum => Vec::new(),
        Shape::Domain => part(0),
        Shape::Array => part(0).iter().map(|value| format!("{{{}}}", quoted_element(value))).collect(),
        Shape::Range => {
            part(0).iter().map(|value| format!("[{value},{value}]", value = quoted_element(value))).collect()
        }
        Shape::Multirange => part(0).iter().map(|range| format!("{{{range}}}")).collect(),
        Shape::Composite => {
            let value = |nth: usize| {
                let own = part(nth).into_iter().next();
                own.or_else(|| edges(types, kind.parts[nth], depth - 1).into_iter().next())
            };
            let values: Vec<String> = (0..kind.parts.len())
                .map(|nth| value(nth).map(|text| quoted_element(&text)).unwrap_or_default())
                .collect();
            vec![format!("({})", values.join(","))]
        }
    }
}

/// A value quoted as an element of an array, a range or a row.
fn quoted_element(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(oid: u32) -> TypePart {
        TypePart { oid, typmod: -1 }
    }

    fn types() -> Types {
        let of = |shape, name: &str, parts: &[u32]| Type {
            shape,
            name: name.into(),
            parts: parts.iter().copied().map(part).collect(),
            delimiter: ",".into(),
            ..Type::default()
        };
        let small = Type {
            conditions: vec!["CHECK (VALUE < 100 AND VALUE <> 'it''s')".into()],
            ..of(Shape::Domain, "", &[1])
        };
        Types::from([
            (1, of(Shape::Base, "int4", &[])),
            (2, of(Shape::Base, "interval", &[])),
            (3, of(Shape::Range, "int4range", &[1])),
            (4, of(Shape::Multirange, "int4multirange", &[3])),
            (5, of(Shape::Array, "_interval", &[2])),
            (6, small),
            (7, of(Shape::Domain, "", &[6])),
            (8, of(Shape::Composite, "", &[7, 5])),
            (9, of(Shape::Base, "", &[])),
            (10, of(Shape::Composite, "", &[10])),
        ])
    }

    #[test]
    fn every_shape_has_values_and_many_that_differ() {
        let types = types();
        for oid in 1..=9 {
            let some = candidates(&types, part(oid), 30);
            assert!(some.len() >= 30, "{oid}: {some:?}");
        }
    }

    #[test]
    fn values_within_values_are_quoted() {
        let types = types();
        let has = |oid, value: &str| {
            let some = candidates(&types, part(oid), 3);
            assert!(some.iter().any(|candidate| candidate == value), "{oid}: {some:?}");
        };
        has(3, "[\"3\",\"3\"]");
        has(4, "{[\"3\",\"3\"]}");
        has(5, "{\"3 hours\"}");
        has(8, "(\"3\",\"{\\\"3 hours\\\"}\")");
    }

    #[test]
    fn a_domain_over_a_domain_uses_the_literals_of_the_inner_condition() {
        let some = candidates(&types(), part(7), 0);
        for value in ["99", "100", "101", "it's"] {
            assert!(some.iter().any(|candidate| candidate == value), "{value}: {some:?}");
        }
    }

    #[test]
    fn a_type_that_contains_itself_terminates() {
        assert!(candidates(&types(), part(10), 3).len() <= 4);
    }

    #[test]
    fn values_vary_in_their_last_number_or_letter() {
        assert_eq!(variations("AB-009x")[..2], ["AB-010x", "AB-011x"]);
        assert_eq!(variations("abc"), ["aba", "abm", "abz"]);
        assert!(variations("").is_empty());
    }
}
