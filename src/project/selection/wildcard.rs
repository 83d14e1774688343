//! `*`, `?`, `[abc]` and `[!abc]` as in Python's `fnmatch` and `glob`, which dbt uses.

/// Whether the pattern matches the whole text; `*` also matches `/`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches_chars(&pattern, &text)
}

/// Whether the pattern matches a path or one of its parent folders. `**` matches any number of folders.
pub(super) fn matches_path(pattern: &str, path: &str) -> bool {
    let parts = |text: &str| {
        text.split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let (pattern, path) = (parts(pattern), parts(path));
    (1..=path.len()).any(|end| matches_parts(&pattern, &path[..end]))
}

fn matches_parts(pattern: &[String], path: &[String]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == "**" => (0..=path.len()).any(|at| matches_parts(rest, &path[at..])),
        Some((first, rest)) => {
            path.first().is_some_and(|part| matches(first, part)) && matches_parts(rest, &path[1..])
        }
    }
}

/// Backtracks only to the last star, so that the time is at most the product of the lengths.
fn matches_chars(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(_) if matched_length(&pattern[p..], text[t]).is_some() => {
                p += matched_length(&pattern[p..], text[t]).unwrap_or(1);
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The length of the pattern's first element if it matches the character.
fn matched_length(pattern: &[char], c: char) -> Option<usize> {
    match pattern[0] {
        '?' => Some(1),
        '[' => match set(pattern) {
            Some((chars, negated, length)) => (in_set(chars, c) != negated).then_some(length),
            None => (c == '[').then_some(1),
        },
        literal => (literal == c).then_some(1),
    }
}

/// `[!a-z]`: its content, whether it is negated, and its length. `None` for a bracket without an end, which is a
/// literal.
fn set(pattern: &[char]) -> Option<(&[char], bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A leading `]` belongs to the set.
    let end = pattern.iter().skip(start + 1).position(|c| *c == ']')? + start + 1;
    Some((&pattern[start..end], negated, end + 1))
}

fn in_set(chars: &[char], c: char) -> bool {
    let mut at = 0;
    while at < chars.len() {
        if at + 2 < chars.len() && chars[at + 1] == '-' {
            if (chars[at]..=chars[at + 2]).contains(&c) {
                return true;
            }
            at += 3;
        } else if chars[at] == c {
            return true;
        } else {
            at += 1;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, text, expected) in [
            ("stg_*", "stg_orders", true),
            ("*_orders", "stg_orders", true),
            ("*o*d*", "stg_orders", true),
            ("stg", "stg_orders", false),
            ("?tg_[a-o]*", "stg_orders", true),
            ("[!s]tg", "stg", false),
            ("a[]]b", "a]b", true),
            ("a[b", "a[b", true),
            ("", "", true),
            ("*", "", true),
            ("a", "", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_path_matches_by_its_folders() {
        for (pattern, expected) in [
            ("models", true),
            ("models/marts/", true),
            ("./models/marts/orders.sql", true),
            ("models/*/orders.sql", true),
            ("models/*", true),
            ("models/*.sql", false),
            ("**/orders.sql", true),
            ("models/**/o*", true),
            ("marts", false),
            ("model", false),
        ] {
            assert_eq!(matches_path(pattern, "models/marts/orders.sql"), expected, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_wildcards_matches_only_itself(text in "[a-z./]{0,8}", other in "[a-z./]{0,8}") {
            prop_assert!(matches(&text, &text));
            prop_assert_eq!(matches(&text, &other), text == other);
        }
    }
}
