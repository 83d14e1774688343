//! One part of a selector, for example `+tag:nightly+1`, in dbt's grammar.

use super::wildcard;

/// A number of edges in the graph.
pub(super) type Depth = usize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) method: Method,
    pub(super) value: String,
    /// How many generations of parents to include.
    pub(super) parents: Depth,
    /// How many generations of children to include.
    pub(super) children: Depth,
    /// Whether to include all children and all their parents.
    pub(super) childrens_parents: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Access,
    Config(Vec<String>),
    Exposure,
    File,
    Fqn,
    Group,
    Package,
    Path,
    ResourceType,
    Source,
    State,
    Tag,
}

/// The methods by name. A key follows `config`.
static METHODS: [(&str, Method); 12] = [
    ("access", Method::Access),
    ("config", Method::Config(Vec::new())),
    ("exposure", Method::Exposure),
    ("file", Method::File),
    ("fqn", Method::Fqn),
    ("group", Method::Group),
    ("package", Method::Package),
    ("path", Method::Path),
    ("resource_type", Method::ResourceType),
    ("source", Method::Source),
    ("state", Method::State),
    ("tag", Method::Tag),
];

/// The values of `state:`.
pub(super) const STATES: [&str; 10] = [
    "new",
    "old",
    "modified",
    "unmodified",
    "modified.body",
    "modified.configs",
    "modified.contract",
    "modified.macros",
    "modified.persisted_descriptions",
    "modified.relation",
];

const RESOURCE_TYPES: [&str; 12] = [
    "analysis",
    "exposure",
    "function",
    "metric",
    "model",
    "saved_query",
    "seed",
    "semantic_model",
    "snapshot",
    "source",
    "test",
    "unit_test",
];

impl Criterion {
    /// Whether exposures, metrics, macros and the like decide what it matches: exposures have parents, and a macro changes.
    pub(super) fn needs_other_sections(&self) -> bool {
        let others = ["exposure", "metric", "semantic_model", "saved_query"];
        let is_named = match self.method {
            Method::Exposure | Method::State => true,
            Method::ResourceType => others.contains(&self.value.as_str()),
            Method::Access
            | Method::Config(_)
            | Method::File
            | Method::Fqn
            | Method::Group
            | Method::Package
            | Method::Path
            | Method::Source
            | Method::Tag => false,
        };
        is_named || self.parents > 0 || self.childrens_parents
    }

    /// # Errors
    /// A sentence about this part.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (childrens_parents, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (parents, rest) = leading_depth(rest);
        let (children, rest) = trailing_depth(rest);
        let is_word = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
        };
        let (method, value) = match rest.split_once(':').filter(|(name, _)| is_word(name)) {
            Some((name, value)) => (Method::named(name).map_err(|why| format!("`{text}` {why}"))?, value),
            None => (Method::implied_by(rest), rest),
        };
        if childrens_parents && children > 0 {
            return Err(format!("`{text}` has both a leading `@` and a trailing `+`: remove one"));
        }
        check_value(&method, value).map_err(|why| format!("`{text}` {why}"))?;
        Ok(Self { method, value: value.to_owned(), parents, children, childrens_parents })
    }
}

impl Method {
    fn named(name: &str) -> Result<Self, String> {
        let mut parts = name.split('.');
        let first = parts.next().unwrap_or_default();
        let known = METHODS.iter().find(|(known, _)| *known == first);
        match known {
            Some((_, Self::Config(_))) => Ok(Self::Config(parts.map(ToOwned::to_owned).collect())),
            Some((_, method)) => Ok(method.clone()),
            None => {
                let names: Vec<&str> = METHODS.iter().map(|(known, _)| *known).collect();
                Err(format!("has the unknown method `{first}`; the methods are {}", names.join(", ")))
            }
        }
    }

    fn implied_by(value: &str) -> Self {
        let lower = value.to_lowercase();
        if value.contains('/') {
            Self::Path
        } else if [".sql", ".py", ".csv"].iter().any(|ending| lower.ends_with(ending)) {
            Self::File
        } else {
            Self::Fqn
        }
    }
}

fn check_value(method: &Method, value: &str) -> Result<(), String> {
    let one_of = |known: &[&str]| {
        let is_known = known.contains(&value);
        if is_known { Ok(()) } else { Err(format!("needs one of {}", known.join(", "))) }
    };
    if value.is_empty() {
        return Err("has an empty value".into());
    }
    let parts = value.split('.').count();
    match method {
        Method::State => one_of(&STATES),
        Method::ResourceType => one_of(&RESOURCE_TYPES),
        Method::Source if parts > 3 => Err("has more parts than package.source.table".into()),
        Method::Exposure if parts > 2 => Err("has more parts than package.exposure".into()),
        Method::Access
        | Method::Config(_)
        | Method::Exposure
        | Method::File
        | Method::Fqn
        | Method::Group
        | Method::Package
        | Method::Path
        | Method::Source
        | Method::Tag => Ok(()),
    }
}

/// `2+rest`, `+rest`.
fn leading_depth(text: &str) -> (Depth, &str) {
    match text.split_once('+') {
        Some(("", rest)) => (Depth::MAX, rest),
        Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (number.parse().unwrap_or(Depth::MAX), rest)
        }
        _ => (0, text),
    }
}

/// `rest+2`, `rest+`.
fn trailing_depth(text: &str) -> (Depth, &str) {
    match text.rsplit_once('+') {
        Some((rest, "")) => (Depth::MAX, rest),
        Some((rest, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            (number.parse().unwrap_or(Depth::MAX), rest)
        }
        _ => (0, text),
    }
}

/// Whether `selector` matches a node's fqn: its name, or a prefix of its path with or without the package.
pub(super) fn matches_fqn(fqn: &[&str], is_versioned: bool, selector: &str) -> bool {
    matches_path_or_name(fqn, is_versioned, selector)
        || fqn.len() > 1 && matches_path_or_name(&fqn[1..], is_versioned, selector)
}

fn matches_path_or_name(fqn: &[&str], is_versioned: bool, selector: &str) -> bool {
    let name = if is_versioned { fqn.len().checked_sub(2) } else { fqn.len().checked_sub(1) };
    let Some(name) = name.map(|at| fqn[at]) else { return false };
    let wanted: Vec<&str> = selector.split('.').collect();
    let last_two = |parts: &[&str]| parts[parts.len().saturating_sub(2)..].join("_");
    if name == selector || is_versioned && last_two(fqn) == last_two(&wanted) {
        return true;
    }
    let path: Vec<&str> = fqn.iter().flat_map(|part| part.split('.')).collect();
    if path.len() < wanted.len() {
        return false;
    }
    let is_pattern = |part: &&str| part.contains(['*', '?', '[', ']']);
    match wanted.iter().position(is_pattern) {
        None => path.starts_with(&wanted),
        Some(at) if path[..at] != wanted[..at] => false,
        Some(at) => {
            wildcard::matches(&wanted[at..].join("."), &path[at..].join("."))
                || wanted.len() == 1 && wildcard::matches(selector, name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_parsed_as_in_dbt() {
        let parse = |text: &str| Criterion::parse(text).unwrap();
        let plain = parse("orders");
        assert_eq!((plain.method, plain.parents, plain.children), (Method::Fqn, 0, 0));
        let both = parse("2+tag:a:b+");
        assert_eq!((both.method, both.value.as_str()), (Method::Tag, "a:b"));
        assert_eq!((both.parents, both.children), (2, Depth::MAX));
        assert_eq!(parse("models/marts").method, Method::Path);
        assert_eq!(parse("Orders.SQL+1").method, Method::File);
        assert_eq!(
            parse("config.meta.owner:ann").method,
            Method::Config(vec!["meta".into(), "owner".into()])
        );
        assert!(parse("@orders").childrens_parents);
    }

    #[test]
    fn a_wrong_part_gives_a_specific_error() {
        let why = |text: &str| Criterion::parse(text).unwrap_err();
        assert!(
            why("tagg:x")
                .contains("unknown method `tagg`; the methods are access, config, exposure, file, fqn")
        );
        assert!(why("state:changed").contains("needs one of new, old, modified"));
        assert!(why("@x+").contains("both a leading `@` and a trailing `+`"));
        assert!(why("resource_type:table").contains("model"));
        assert!(why("tag:").contains("has an empty value") && why("+").contains("has an empty value"));
    }
}
