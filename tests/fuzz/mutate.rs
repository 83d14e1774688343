//! Changes of an input: of the tree behind it where it is JSON or YAML, of its words, and of its letters.

use serde_json::{Map, Value, json};

/// A generator of random numbers that says the same each time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or_default() % limit.max(1)
    }

    pub(crate) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Texts that have broken a reader of something before.
const TEXTS: [&str; 34] = [
    "",
    " ",
    "\0",
    "null",
    "NaN",
    "-1",
    "99999999999999999999",
    "1e400",
    "0x10",
    "é",
    "\u{feff}",
    "\u{202e}",
    "\u{1f600}",
    "a.b.c",
    "..",
    "/",
    "*",
    "+",
    "\"",
    "'",
    "`",
    "$$",
    "$a$",
    "E'\\'",
    "--",
    "/*",
    "{{",
    "{{ env_var('HOME') }}",
    "{% for a in range(9) %}",
    "{{ 'a' * 9 }}",
    "&a [*a]",
    "<<: *a",
    "!!binary x",
    "::error::",
];

/// A text that is not there by chance.
fn text(random: &mut Random) -> String {
    let text = *random.one(&TEXTS);
    match random.below(12) {
        0 => text.repeat(random.below(3_000)),
        1 => format!("{text}{}", random.one(&TEXTS)),
        _ => text.to_owned(),
    }
}

fn value(random: &mut Random) -> Value {
    match random.below(14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!([]),
        3 => json!({}),
        4 => json!(-1),
        5 => json!(u64::MAX),
        6 => json!(i64::MIN),
        7 => json!(1e308),
        8 => json!(0.1),
        9 => {
            let mut deep = Value::Null;
            for _ in 0..random.below(300) {
                deep = if random.below(2) == 0 { json!([deep]) } else { json!({"a": deep}) };
            }
            deep
        }
        10 => json!(vec!["a"; random.below(2_000)]),
        _ => Value::String(text(random)),
    }
}

/// The number of values in a tree.
fn size(tree: &Value) -> usize {
    1 + match tree {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The value at this place, counted from the top.
fn at<'a>(tree: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(tree);
    }
    *place -= 1;
    match tree {
        Value::Array(items) => items.iter_mut().find_map(|item| at(item, place)),
        Value::Object(map) => map.values_mut().find_map(|item| at(item, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn any<'a>(random: &mut Random, tree: &'a mut Value) -> &'a mut Value {
    let mut place = random.below(size(tree));
    // The count and the walk agree.
    at(tree, &mut place).expect("there is a value at each place")
}

/// Changes a tree in some places; `other` is one that parts are taken from.
pub(crate) fn tree(random: &mut Random, tree: &mut Value, other: &Value) {
    let mut other = other.clone();
    for _ in 0..=random.below(4) {
        let new = match random.below(4) {
            0 => any(random, &mut other).clone(),
            1 => any(random, tree).clone(),
            _ => value(random),
        };
        let place = any(random, tree);
        match (random.below(6), place) {
            (0, Value::Object(map)) => {
                let keys: Vec<String> = map.keys().cloned().collect();
                if !keys.is_empty() {
                    map.remove(random.one(&keys));
                }
            }
            (1, Value::Object(map)) => {
                map.insert(text(random), new);
            }
            (2, Value::Object(map)) => renamed(random, map, &other),
            (3, Value::Array(items)) => {
                for _ in 0..random.below(50) {
                    items.push(new.clone());
                }
            }
            (4, Value::String(old)) => *old = words(random, old, &[]),
            (_, place) => *place = new,
        }
    }
}

/// A value under the key of another one.
fn renamed(random: &mut Random, map: &mut Map<String, Value>, other: &Value) {
    let keys: Vec<String> = map.keys().cloned().collect();
    if keys.is_empty() {
        return;
    }
    let key = random.one(&keys).clone();
    let moved = map.remove(&key).unwrap_or_default();
    let others: Vec<&String> = other.as_object().into_iter().flat_map(Map::keys).collect();
    let name = if others.is_empty() { text(random) } else { (*random.one(&others)).clone() };
    map.insert(name, moved);
}

/// Changes a text in some places: what is cut out, doubled, taken from another, or repeated until it is long.
pub(crate) fn words(random: &mut Random, text_of: &str, others: &[String]) -> String {
    let mut changed = text_of.to_owned();
    for _ in 0..=random.below(5) {
        let (start, end) = (place(random, &changed), place(random, &changed));
        let (start, end) = (start.min(end), start.max(end));
        let part = changed[start..end].to_owned();
        match random.below(7) {
            0 => changed.replace_range(start..end, ""),
            1 => changed.truncate(end),
            2 => changed.insert_str(end, &text(random)),
            3 => changed.insert_str(start, &part),
            4 if !others.is_empty() => {
                let other = random.one(others);
                let (from, to) = (place(random, other), place(random, other));
                changed.insert_str(start, &other[from.min(to)..from.max(to)]);
            }
            5 => {
                // A short part, often: what is quadratic shows.
                let short: String = part.chars().take(1 + random.below(12)).collect();
                changed.insert_str(end, &short.repeat(random.below(20_000)));
            }
            _ => changed.replace_range(start..end, &text(random)),
        }
        cut(&mut changed, 100_000);
    }
    changed
}

/// A place between two characters.
fn place(random: &mut Random, text: &str) -> usize {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Cuts a text to so many bytes.
pub(crate) fn cut(text: &mut String, longest: usize) {
    let mut at = longest.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.truncate(at);
}

/// Changes JSON, mostly by its structure.
pub(crate) fn of_json(random: &mut Random, corpus: &[String]) -> String {
    let input = random.one(corpus).clone();
    let (Ok(mut parsed), Ok(other)) =
        (serde_json::from_str(&input), serde_json::from_str(random.one::<String>(corpus)))
    else {
        return words(random, &input, corpus);
    };
    if random.below(5) > 0 {
        tree(random, &mut parsed, &other);
        let written = parsed.to_string();
        return if random.below(8) == 0 { words(random, &written, corpus) } else { written };
    }
    words(random, &input, corpus)
}

/// Changes YAML. JSON is YAML; so that its own signs are tried, half of it is written as YAML.
pub(crate) fn of_yaml(random: &mut Random, corpus: &[String]) -> String {
    let input = random.one(corpus).clone();
    let (Ok(mut parsed), Ok(other)) =
        (serde_yaml::from_str(&input), serde_yaml::from_str(random.one::<String>(corpus)))
    else {
        return words(random, &input, corpus);
    };
    if random.below(3) == 0 {
        return words(random, &input, corpus);
    }
    tree(random, &mut parsed, &other);
    let written = match random.below(2) {
        0 => parsed.to_string(),
        _ => serde_yaml::to_string(&parsed).unwrap_or_default(),
    };
    if random.below(4) == 0 { words(random, &written, corpus) } else { written }
}

/// Changes text that has no structure in common with others.
pub(crate) fn of_text(random: &mut Random, corpus: &[String]) -> String {
    let input = random.one(corpus).clone();
    words(random, &input, corpus)
}
