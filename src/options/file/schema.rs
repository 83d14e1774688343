//! The JSON schema of `pgtrickle-ci.yml`, for editors. It is generated from the structs that read the file, by a test, so
//! that the program does not contain it.

use schemars::{
    Schema, SchemaGenerator, json_schema, schema_for,
    transform::{Transform, transform_subschemas},
};
use serde_json::{Value, json};

use super::{EXCLUSIVE, File};
use crate::judge::hazards;

/// Where editors find the schema of the newest version.
const ADDRESS: &str =
    "https://raw.githubusercontent.com/trickle-labs/pgtrickle-action/main/docs/pgtrickle-ci.schema.json";

pub(super) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "null"], "enum": [1, null] })
}

/// The units that humantime reads.
const UNITS: &str = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|\
                     weeks?|wks?|w|months?|M|years?|yrs?|y";

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "integer", "null"],
        "pattern": format!(r"^\s*(0|(\d+(\.\d+)?\s*({UNITS})\s*)+)$"),
        // Only zero needs no unit.
        "minimum": 0,
        "maximum": 0,
        "examples": ["90s", "1h 30m"],
    })
}

pub(super) fn durations(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": duration(generator) })
}

pub(super) fn mapping(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

pub(super) fn percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": r"^\s*\+?(0*100(\.0*)?|0*\d{1,2}(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*%$", "examples": ["5%"] })
}

pub(super) fn hazard(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": hazards::names() })
}

pub(super) fn not_empty(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number", "boolean"], "pattern": r"\S" })
}

pub(super) fn tolerance(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["number", "null"], "minimum": 0 })
}

/// Accepts what the program reads of YAML: a key without a value is a missing one, and a name may look like a number.
fn accept_yaml(schema: &mut Schema) {
    transform_subschemas(&mut accept_yaml, schema);
    let is_free_text = schema.get("pattern").or(schema.get("enum")).is_none();
    let has_required = schema.get("required").is_some();
    let most = match schema.get("format").and_then(Value::as_str) {
        Some("uint32") => Some(json!(u32::MAX)),
        Some("uint64" | "uint") => Some(json!(u64::MAX)),
        _ => None,
    };
    if let Some(most) = most {
        schema.insert("maximum".into(), most);
    }
    let Some(types) = schema.get_mut("type") else { return };
    let mut all: Vec<Value> = types.as_array().cloned().unwrap_or_else(|| vec![types.clone()]);
    let has = |name: &str| all.contains(&json!(name));
    let more: &[&str] = match () {
        () if has("array") || has("boolean") && !has("string") || has("object") && !has_required => &["null"],
        () if has("string") && is_free_text => &["number", "boolean"],
        () => return,
    };
    all.extend(more.iter().map(|name| json!(name)));
    *types = all.into();
}

/// Refuses a section that has both keys.
fn exclude(schema: &mut Schema, section: &str, one: &str, other: &str) {
    let name = format!("{}{}Section", section[..1].to_uppercase(), &section[1..]);
    let section = schema.pointer_mut(&format!("/$defs/{name}")).and_then(Value::as_object_mut).unwrap();
    let rules = section.entry("allOf").or_insert_with(|| json!([]));
    rules.as_array_mut().unwrap().push(json!({ "not": { "type": "object", "required": [one, other] } }));
}

/// A limit of the age has both keys, or none.
fn both_or_none(schema: &mut Schema) {
    let age = schema.pointer_mut("/$defs/Age").and_then(Value::as_object_mut).unwrap();
    let all = |kinds: [&str; 2]| json!({ "count": { "type": kinds[0] }, "period": { "type": kinds[1] } });
    let both = json!({ "required": ["count", "period"], "properties": all(["integer", "string"]) });
    age.insert("anyOf".into(), json!([both, { "properties": all(["null", "null"]) }]));
}

/// The schema as an indented document.
fn document() -> String {
    let mut schema = schema_for!(File);
    for (section, one, other) in EXCLUSIVE {
        exclude(&mut schema, section, one, other);
    }
    accept_yaml.transform(&mut schema);
    both_or_none(&mut schema);
    schema.insert("$id".into(), ADDRESS.into());
    schema.insert("title".into(), "pgtrickle-ci.yml".into());
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

#[test]
fn the_schema_in_the_docs_is_up_to_date() {
    let file = "docs/pgtrickle-ci.schema.json";
    let document = document();
    #[expect(clippy::disallowed_methods, reason = "as insta does")]
    let updates = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    if updates {
        std::fs::write(file, &document).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), document, "run the tests with INSTA_UPDATE=always");
}

#[test]
fn the_written_configuration_names_the_schema() {
    let written = include_str!("../../commands/init/pgtrickle-ci.yml");
    assert!(written.starts_with(&format!("# yaml-language-server: $schema={ADDRESS}\n")), "{written}");
    let repository = env!("CARGO_PKG_REPOSITORY").replace("github.com", "raw.githubusercontent.com");
    assert!(ADDRESS.starts_with(&repository), "{ADDRESS}");
}

#[test]
fn the_schema_has_every_key() {
    let schema = document();
    for key in super::known_keys() {
        let last = key.rsplit('.').next().unwrap_or_default();
        assert!(schema.contains(&format!("\"{last}\": {{")), "{key}");
    }
}
