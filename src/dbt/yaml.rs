//! YAML as dbt reads it. dbt 1 reads YAML 1.1, in which `on` is true and `010` is eight; dbt 2 reads YAML 1.2, as the
//! library does.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{
    Error, Mapping, Number, Value as Yaml,
    value::{Tag, TaggedValue},
};

/// The reason why a value without quotes is not used.
pub(super) const UNCLEAR: &str = "dbt 1 and dbt 2 read this value differently without quotes: write it in quotes, or as \
     true, false or a plain number";

/// Reads a document with its merges. As for dbt, the last of equal keys counts. A value without quotes that dbt 1 and 2 read
/// differently is [unclear](is_unclear) if it may be read by both.
pub(super) fn read(text: &str, may_be_dbt_2: bool) -> Result<Yaml, Error> {
    let text = text.trim_start_matches('\u{feff}');
    let shape: Shape = crate::model::yaml::read(text)?;
    let reading = Reading { shape: &shape, text, may_be_dbt_2 };
    let mut yaml = match &shape {
        // There may be no document at all.
        Shape::Scalar(Yaml::Null) => Yaml::Null,
        Shape::Scalar(_) | Shape::List(_) | Shape::Mapping(_) => {
            reading.deserialize(serde_yaml::Deserializer::from_str(text))?
        }
    };
    yaml.apply_merge()?;
    Ok(yaml)
}

/// What is wrong with a section of a text that is passed on to dbt: it has such a value.
pub fn unclear_section(text: &str, section: &[&str]) -> Option<&'static str> {
    let yaml = read(text, true).ok()?;
    let section = section.iter().try_fold(&yaml, |value, key| value.get(*key))?;
    is_unclear(section).then_some(UNCLEAR)
}

/// Whether there is a value in it that has no certain meaning.
pub(super) fn is_unclear(value: &Yaml) -> bool {
    match value {
        Yaml::Tagged(_) => true,
        Yaml::Sequence(list) => list.iter().any(is_unclear),
        Yaml::Mapping(mapping) => mapping.values().any(is_unclear),
        Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => false,
    }
}

fn unclear(text: &str) -> Yaml {
    Yaml::Tagged(Box::new(TaggedValue { tag: Tag::new("unclear"), value: text.into() }))
}

/// A document by YAML 1.2, with equal keys.
enum Shape {
    Scalar(Yaml),
    List(Vec<Self>),
    Mapping(Vec<(Self, Self)>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("YAML without tags")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Yaml::Null))
    }

    /// Of an empty document.
    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar(Yaml::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Shape, E> {
        Ok(Shape::Scalar(whole(value)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Shape, E> {
        Ok(Shape::Scalar(i128::try_from(value).map_or_else(|_| unclear(&value.to_string()), whole)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            entries.push(entry);
        }
        Ok(Shape::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            entries.push(entry);
        }
        Ok(Shape::Mapping(entries))
    }
}

/// The second reading of a document, which sees how each scalar is written.
#[derive(Clone, Copy)]
struct Reading<'a> {
    shape: &'a Shape,
    text: &'a str,
    may_be_dbt_2: bool,
}

impl Reading<'_> {
    /// The value of a scalar that is this value by YAML 1.2.
    fn scalar(self, value: &Yaml, written: Option<&str>) -> Yaml {
        let Some(plain) = written.filter(|written| self.is_plain(written)) else { return value.clone() };
        let old = by_yaml_1_1(plain);
        if self.may_be_dbt_2 && old != *value { unclear(plain) } else { old }
    }

    /// Whether a scalar, a part of the text, has neither quotes nor a tag.
    fn is_plain(self, written: &str) -> bool {
        let start = (written.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.get(..start).unwrap_or_default();
        let is_quoted = before.ends_with(['\'', '"']);
        let words = before.rsplit([' ', '\t', '\n', '[', '{', ',']).filter(|word| !word.is_empty());
        let is_tagged =
            words.take_while(|word| word.starts_with(['!', '&'])).any(|word| word.starts_with('!'));
        !is_quoted && !is_tagged
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Yaml;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        match self.shape {
            Shape::Scalar(value @ (Yaml::Number(_) | Yaml::String(_))) => {
                Ok(self.scalar(value, deserializer.deserialize_str(Written)?))
            }
            // The same in both versions.
            Shape::Scalar(value) => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| value.clone()),
            Shape::List(_) => deserializer.deserialize_seq(self),
            Shape::Mapping(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Yaml;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the same document")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Yaml, A::Error> {
        let Shape::List(shapes) = self.shape else { return Err(A::Error::custom("not the same document")) };
        let mut values = Vec::new();
        for shape in shapes {
            values.extend(list.next_element_seed(Reading { shape, ..self })?);
        }
        // The library wants to be asked for the end.
        list.next_element::<IgnoredAny>()?;
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Yaml, A::Error> {
        let Shape::Mapping(shapes) = self.shape else {
            return Err(A::Error::custom("not the same document"));
        };
        let mut values = Mapping::new();
        for (key, value) in shapes {
            let key = mapping.next_key_seed(Reading { shape: key, ..self })?.unwrap_or_default();
            let value = mapping.next_value_seed(Reading { shape: value, ..self })?;
            let is_merge = key == "<<";
            if values.insert(key, value).is_some() && is_merge {
                return Err(A::Error::custom("two `<<` in one mapping: write `<<: [*a, *b]`"));
            }
        }
        mapping.next_key::<IgnoredAny>()?;
        Ok(values.into())
    }
}

/// A scalar as it is written in the document; `None` if it is not written in one piece, which only quoted and long texts are
/// not.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Option<&'de str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a scalar")
    }

    fn visit_borrowed_str<E>(self, written: &'de str) -> Result<Self::Value, E> {
        Ok(Some(written))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// The value of a scalar without quotes as `PyYAML` reads it, which dbt 1 uses.
fn by_yaml_1_1(plain: &str) -> Yaml {
    match plain {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => true.into(),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => false.into(),
        "null" | "Null" | "NULL" | "~" => Yaml::Null,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => f64::INFINITY.into(),
        "-.inf" | "-.Inf" | "-.INF" => f64::NEG_INFINITY.into(),
        ".nan" | ".NaN" | ".NAN" => f64::NAN.into(),
        // `PyYAML` refuses it.
        "=" => unclear(plain),
        _ if is_time(plain) => unclear(plain),
        _ => {
            let number = whole_1_1(plain).map(whole).or_else(|| float_1_1(plain).map(Yaml::from));
            number.unwrap_or_else(|| plain.into())
        }
    }
}

/// Whether it is a date with a time, which dbt writes in another way. A date alone stays the same text.
fn is_time(plain: &str) -> bool {
    let has_year =
        plain.get(..5).is_some_and(|year| year.ends_with('-') && all(&year[..4], |c| c.is_ascii_digit()));
    has_year && plain.contains(':') && all(plain, |c| c.is_ascii_digit() || "-:.+ \tTtZ".contains(c))
}

/// A whole number: decimal, binary, octal, hexadecimal or by sixties.
fn whole_1_1(plain: &str) -> Option<i128> {
    let (sign, digits) = signed(plain);
    let radix = |digits: &str, radix| {
        let is_right = all(digits, |c| c == '_' || c.is_digit(radix));
        let digits = digits.replace('_', "");
        (is_right && !digits.is_empty()).then(|| i128::from_str_radix(&digits, radix).unwrap_or(i128::MAX))
    };
    let number = match digits.as_bytes() {
        [b'0', b'b', ..] => radix(&digits[2..], 2),
        [b'0', b'x', ..] => radix(&digits[2..], 16),
        [b'0', ..] => radix(digits, 8),
        [b'1'..=b'9', ..] => {
            let (first, sixties) = sixties(digits)?;
            let add = |sum: i128, part: u8| sum.saturating_mul(60).saturating_add(part.into());
            radix(first, 10).map(|first| sixties.into_iter().fold(first, add))
        }
        _ => None,
    };
    number.map(|number| i128::from(sign) * number)
}

/// A number with a point, and with an exponent that has a sign, or by sixties.
fn float_1_1(plain: &str) -> Option<f64> {
    let (sign, digits) = signed(plain);
    let (before, after) = digits.split_once('.')?;
    let (first, sixties) = sixties(before)?;
    let (fraction, exponent) = match after.find(['e', 'E']) {
        Some(at) => (&after[..at], Some(&after[at + 1..])),
        None => (after, None),
    };
    let is_exponent =
        |text: &str| text.strip_prefix(['-', '+']).is_some_and(|digits| all(digits, |c| c.is_ascii_digit()));
    let may_have = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_digit());
    let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    // `.5` is a number, and neither `-.5` nor `.` is.
    let is_number = starts(first) || before.is_empty() && digits == plain && starts(fraction);
    let is_right = is_number && may_have(first) && may_have(fraction);
    if !is_right || !exponent.is_none_or(|text| sixties.is_empty() && is_exponent(text)) {
        return None;
    }
    let number = match sixties.split_last() {
        Some((last, middle)) => {
            let first: f64 = first.replace('_', "").parse().ok()?;
            let sum = middle.iter().fold(first, |sum, part| sum * 60.0 + f64::from(*part));
            sum * 60.0 + format!("{last}.{fraction}").replace('_', "").parse::<f64>().ok()?
        }
        None => digits.replace('_', "").parse().ok()?,
    };
    Some(f64::from(sign) * number)
}

/// The sign of a number, and the rest.
fn signed(plain: &str) -> (i8, &str) {
    match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(plain)),
    }
}

/// The parts of `1:30`: the first, and the others, which are below sixty.
fn sixties(digits: &str) -> Option<(&str, Vec<u8>)> {
    let mut parts = digits.split(':');
    let first = parts.next()?;
    let below_sixty = |part: &str| {
        let is_right = part.len() <= 2 && all(part, |c| c.is_ascii_digit());
        part.parse().ok().filter(|number| is_right && *number < 60)
    };
    Some((first, parts.map(below_sixty).collect::<Option<_>>()?))
}

fn all(text: &str, is_right: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(is_right)
}

/// A whole number. One that is too large for the library is a whole one in Python, too, and rounded in dbt 2.
fn whole(number: i128) -> Yaml {
    let small = i64::try_from(number).map(Number::from).or_else(|_| u64::try_from(number).map(Number::from));
    small.map_or_else(|_| unclear(&number.to_string()), Yaml::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, may_be_dbt_2: bool) -> Vec<Yaml> {
        let yaml = read(text, may_be_dbt_2).unwrap();
        yaml.as_mapping().unwrap().values().cloned().collect()
    }

    /// The values of `PyYAML` 6.0.
    #[test]
    fn values_without_quotes_are_those_of_yaml_1_1_for_dbt_1() {
        for (plain, value) in [
            ("yes", Yaml::from(true)),
            ("OFF", false.into()),
            ("y", "y".into()),
            ("010", 8.into()),
            ("08", "08".into()),
            ("0o17", "0o17".into()),
            ("-0b11", (-3).into()),
            ("0x_1f", 31.into()),
            ("5_432", 5432.into()),
            ("1:30", 90.into()),
            ("1:30.5", 90.5.into()),
            ("1e5", "1e5".into()),
            ("1.5e3", "1.5e3".into()),
            ("1.5e+3", 1500.0.into()),
            ("+.5", "+.5".into()),
            ("2024-01-31", "2024-01-31".into()),
            ("18446744073709551615", u64::MAX.into()),
            ("99999999999999999999", unclear("99999999999999999999")),
            ("+12", 12.into()),
            ("1_000.5_0", 1000.5.into()),
            ("-1.", (-1.0).into()),
            ("1:70", "1:70".into()),
            ("0x", "0x".into()),
            (".", ".".into()),
            ("~", Yaml::Null),
            ("", Yaml::Null),
        ] {
            let found = values(&format!("ä: ü\na: &x {plain}\nb: [*x]"), false);
            assert_eq!((&found[1], &found[2][0]), (&value, &value), "{plain}");
        }
    }

    #[test]
    fn values_in_quotes_and_blocks_are_texts() {
        let text = "a: 'on'\nb: \"010\"\nc: |-\n  1e5\nd: !!str 010\ne: [&x !!str on]\n";
        for may_be_dbt_2 in [false, true] {
            let found = values(text, may_be_dbt_2);
            assert_eq!(found[..4], ["on", "010", "1e5", "010"].map(Yaml::from));
            assert_eq!(found[4], Yaml::from(vec!["on"]));
        }
    }

    #[test]
    fn what_dbt_1_and_2_read_differently_is_unclear() {
        for plain in ["on", "010", "1e5", "1_0", "0o17", "1:30", "=", "2024-01-01 10:00:00"] {
            assert!(is_unclear(&values(&format!("a: {plain}"), true)[0]), "{plain}");
        }
        for plain in ["12", "0x1f", "1.5", "true", "null", "marts", "2024-01-31", ".nan", "1.5e+3"] {
            assert!(!is_unclear(&values(&format!("a: {plain}"), true)[0]), "{plain}");
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_a_key_before_a_merge() {
        let text = "x: &x {a: 1, b: 2}\ny: {a: 3, <<: *x, a: 4}\n";
        let found = read(text, false).unwrap();
        assert_eq!((&found["y"]["a"], &found["y"]["b"]), (&4.into(), &2.into()));
        assert!(read("a: &a {}\nb: {<<: *a, <<: *a}", false).is_err());
        assert!(read("a: !custom 1", false).is_err());
        assert_eq!(read("\u{feff}# nothing\n", false).unwrap(), Yaml::Null);
    }
}
