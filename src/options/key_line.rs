//! Finds the line of a key in a YAML file.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};

/// The error at the wanted key: the parser adds the position to an error, and to nothing else.
const FOUND: &str = "the wanted key";

/// The line of a key such as `wait.timeout`, from 1; `None` if the file does not have it.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let parts: Vec<&str> = key.split('.').collect();
    let error = Below(&parts).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.to_string().contains(FOUND).then(|| error.location())?.map(|location| location.line())
}

/// Looks for a path below a mapping.
struct Below<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.0.split_first() else { return Ok(()) };
        while let Some(is_wanted) = map.next_key_seed(Key { wanted, is_last: rest.is_empty() })? {
            if is_wanted {
                map.next_value_seed(Below(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Compares a key; the last one of the path is an error.
struct Key<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        if key == self.wanted && self.is_last { Err(E::custom(FOUND)) } else { Ok(key == self.wanted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_line_where_it_is_written() {
        let text = "# first\nversion: 1\n\nwait: {models: {a: 1m}, timeout: 2m}\nplan:\n  # why\n  allow_drop:\n    - a\n\
                    verify:\n  budget: |\n    wait\n  \"seed\": 7\n";
        for (key, line) in [
            ("version", Some(2)),
            ("wait", Some(4)),
            ("wait.timeout", Some(4)),
            ("plan.allow_drop", Some(7)),
            ("verify.budget", Some(10)),
            ("verify.seed", Some(12)),
            ("verify.skip", None),
            ("version.major", None),
            ("comment.key", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
        assert_eq!((line_of("", "a"), line_of("a: [", "b"), line_of("- a", "a")), (None, None, None));
    }
}
