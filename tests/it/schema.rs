//! docs/pgtrickle-ci.schema.json says the same about a configuration file as the program that reads it.

use std::{fs, path::Path, process::Command};

use pgtrickle_ci::options::File;
use serde_json::{Value, json};

use crate::support::{Ran, venv};

/// Validates each file, and prints a line for it.
const VALIDATE: &str = r"
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for name in sys.argv[2:]:
    errors = [error.message for error in validator.iter_errors(json.load(open(name)))]
    print('invalid: ' + '; '.join(errors).replace('\n', ' ') if errors else 'valid')
";

/// Whether the program reads each text, and whether the schema does.
fn verdicts(texts: &[String]) -> Vec<(bool, bool)> {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let file = dir.path().join(format!("{number}.yml"));
            fs::write(&file, text).unwrap();
            let yaml: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
            fs::write(file.with_extension("json"), serde_json::to_string(&yaml).unwrap()).unwrap();
            file
        })
        .collect();
    let documents = files.iter().map(|file| file.with_extension("json"));
    let mut python = Command::new(venv().join("bin/python"));
    let ran =
        Ran::of(python.args(["-c", VALIDATE, "docs/pgtrickle-ci.schema.json"]).args(documents)).expect(0);
    let by_schema: Vec<bool> = ran.stdout.lines().map(|line| line == "valid").collect();
    assert_eq!(by_schema.len(), texts.len(), "{}", ran.stderr);
    let is_read = |text: &String| File::parse(Path::new("pgtrickle-ci.yml"), text).is_ok();
    texts.iter().map(is_read).zip(by_schema).collect()
}

/// The examples of configuration files in the documents: blocks of YAML whose keys are those of the schema.
fn documented() -> Vec<String> {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string("docs/pgtrickle-ci.schema.json").unwrap()).unwrap();
    let keys = schema["properties"].as_object().unwrap();
    let is_configuration = |text: &str| {
        let yaml: Result<serde_yaml::Mapping, _> = serde_yaml::from_str(text);
        yaml.is_ok_and(|yaml| yaml.keys().all(|key| key.as_str().is_some_and(|key| keys.contains_key(key))))
    };
    let pages = fs::read_dir("docs").unwrap().map(|entry| entry.unwrap().path());
    let pages =
        pages.filter(|page| page.extension().is_some_and(|end| end == "md")).chain(["README.md".into()]);
    let blocks = pages.flat_map(|page| {
        let text = fs::read_to_string(page).unwrap();
        let blocks = text.split("```yaml\n").skip(1).filter_map(|block| block.split_once("```"));
        blocks.map(|(block, _)| block.to_owned()).collect::<Vec<_>>()
    });
    blocks.filter(|block| is_configuration(block)).collect()
}

#[test]
fn every_documented_example_is_valid() {
    let examples = documented();
    assert!(!examples.is_empty(), "no example was found");
    // What `init` writes, and its examples without their comment signs.
    let written = fs::read_to_string("src/commands/init/pgtrickle-ci.yml").unwrap();
    let keys = written.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| line.contains(": {"));
    let texts: Vec<String> =
        examples.into_iter().chain([written.clone()]).chain(keys.map(ToOwned::to_owned)).collect();
    for (text, verdict) in texts.iter().zip(verdicts(&texts)) {
        assert_eq!(verdict, (true, true), "{text}");
    }
}

#[test]
fn the_schema_accepts_what_the_program_reads() {
    let good = [
        "",
        "# a comment",
        "version: 1",
        "dbt:\nplan:\nwait:\nfreshness:\nchecks:\nverify:\nrehearsal:\ncomment:\nfixtures:",
        "plan: {allow_drop: , allow_recreate: [2024, 1.5, true]}",
        "wait: {models: }",
        "checks: {silence: }",
        "freshness: {warn_after: }",
        "comment: {key: 5}",
        "wait: {timeout: 1.5m, models: {a: 0, b: '0'}}",
        "rehearsal: {rows_changed_over: ' .5 %'}",
        "rehearsal: {rows_changed_over: +1e1%}",
        "verify: {budget: 1week2days 3hr 4mins5secs6msec}\nwait: {timeout: 1M1y1min1m}",
        "rehearsal: {rows_changed_over: 100.0%}",
        "wait: {timeout: 1h 30m, models: {marts.slow: 10m}}",
        "rehearsal: {examples: 0, rows_changed_over: 2.5%}",
        "freshness: {warn_after: {count: 10, period: minute}, error_after: {count: null, period: null}}",
        "checks: {fail_on: warn, fail_on_fallback: true, silence: [{hazard: untried-version, model: '*', reason: tried}]}",
        "verify: {budget: 5s, seed: 7, float_tolerance: 1.0e-6, min_rounds: 25, jobs: 4, skip: [s.t]}",
        "comment: {key: staging, when: always}",
        "stub_sources: true\nsample: 9\nselect: [tag:a]\nexclude: \nephemeral: {engine: emulator, engine_version: 0.108.3, pg_bin: bin}",
        "dbt: {profile: shop, target: ci, profiles_dir: dbt, vars: {start: 2026}}\nserver: {statement_timeout: 1m, lock_timeout: 0}",
        "verify: {drive: scheduler, until_found: true, corpus: c}\nephemeral: {image: i}\nrehearsal: {base_ref: main}\nreports: {json: '-', html: a}",
        "plan: {allow_drop: [a], allow_recreate: [all]}\nallow_empty: true\nfixtures: [a.sql]\ndbt: {timeout: 2h}",
    ];
    let bad = [
        "version: 2",
        "fixture: []",
        "fixtures: a.sql",
        "wait: {timout: 2m}",
        "wait: {timeout: 2}",
        "wait: {timeout: 5q}",
        "rehearsal: {rows_changed_over: 101%}",
        "checks: {silence: [ ~ ]}",
        "rehearsal: {rows_changed_over: +%}",
        "wait: {models: {a: soon}}",
        "rehearsal: {rows_changed_over: 5}",
        "rehearsal: {examples: -1}",
        "freshness: {warn_after: {count: 1, period: week}}",
        "freshness: {warn_after: {count: 1}}",
        "checks: {fail_on: never}",
        "checks: {silence: [{hazard: sarch-path, model: a, reason: b}]}",
        "checks: {silence: [{hazard: search-path, model: a}]}",
        "checks: {silence: [{hazard: search-path, model: a, reason: ' '}]}",
        "verify: {seed: -1}",
        "comment: {when: sometimes}",
        "plan: {allow_drop: {a: 1}}",
        "ephemeral: {engine: fake}",
        "ephemeral: {engine_version: 0.67}",
        "ephemeral: {image: a, pg_bin: b}",
        "verify: {corpus: a, findings: b}",
        "dbt: {vars: start}",
        "sample: -1",
        "server: {lock_timeout: soon}",
        "- a",
    ];
    let texts: Vec<String> = good.iter().chain(&bad).map(|text| format!("{text}\n")).collect();
    for (number, (text, verdict)) in texts.iter().zip(verdicts(&texts)).enumerate() {
        let wanted = number < good.len();
        assert_eq!(verdict, (wanted, wanted), "read by the program, valid by the schema: {text}");
    }
}

/// Values of every kind, right and wrong.
const VALUES: [&str; 19] = [
    "null",
    "true",
    "0",
    "7",
    "-1",
    "1.5",
    "99999999999999999999",
    "\"x\"",
    "\"\"",
    "\"5m\"",
    "\"5%\"",
    "\"hour\"",
    "[]",
    "[null]",
    "[\"a\", 7]",
    "[[1]]",
    "{}",
    "{\"a\": null}",
    "{\"count\": 1}",
];

/// All keys of the schema below a mapping, each as the parts of its path; `[]` is an entry of a list.
fn paths(schema: &Value, part: &Value) -> Vec<Vec<String>> {
    let follow = |part: &Value| match part["$ref"].as_str() {
        Some(name) => schema.pointer(name.trim_start_matches('#')).unwrap().clone(),
        None => part.clone(),
    };
    let part = follow(part);
    let part = part["anyOf"].as_array().map_or_else(
        || part.clone(),
        |any| if part["properties"].is_object() { part.clone() } else { follow(&any[0]) },
    );
    let below = |key: &str, part: &Value| {
        let below = paths(schema, part).into_iter();
        let own = std::iter::once(vec![key.to_owned()]);
        own.chain(below.map(move |path| [vec![key.to_owned()], path].concat())).collect::<Vec<_>>()
    };
    let keys = part["properties"].as_object().into_iter().flatten();
    let entries = part.get("items").map(|entry| below("[]", entry));
    keys.flat_map(|(key, part)| below(key, part)).chain(entries.into_iter().flatten()).collect()
}

/// A document with a value at a path. The other keys of a mapping that needs them are right.
fn with(path: &[String], value: &Value) -> Value {
    let Some((key, rest)) = path.split_first() else { return value.clone() };
    let below = with(rest, value);
    match key.as_str() {
        "[]" => json!([below]),
        key => {
            let mut document = match key {
                "hazard" | "model" | "reason" => {
                    json!({"hazard": "search-path", "model": "a", "reason": "b"})
                }
                "count" | "period" => json!({"count": 1, "period": "hour"}),
                _ => json!({}),
            };
            document[key] = below;
            document
        }
    }
}

#[test]
fn the_schema_and_the_program_agree_about_every_key() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string("docs/pgtrickle-ci.schema.json").unwrap()).unwrap();
    let paths = paths(&schema, &schema);
    assert!(
        paths.len() > 60 && paths.contains(&["checks", "silence", "[]", "reason"].map(Into::into).into())
    );
    let values = VALUES.map(|value| serde_json::from_str::<Value>(value).unwrap());
    let texts: Vec<String> =
        paths.iter().flat_map(|path| values.iter().map(|value| with(path, value).to_string())).collect();
    let differences: Vec<String> = texts
        .iter()
        .zip(verdicts(&texts))
        .filter(|(_, (is_read, is_valid))| is_read != is_valid)
        .map(|(text, (is_read, _))| format!("{text}: {}", if is_read { "only read" } else { "only valid" }))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
