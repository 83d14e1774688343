//! The dbt package and the program agree. `scripts/dbt_matrix.sh` tests the package with dbt.

use std::{fs, path::Path};

use pgtrickle_ci::{
    model::{Setting, Value, settings::OnChange},
    project::Reading,
    sql::query,
};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::{
    catalogs,
    support::{Ran, manifest, model, pgtrickle_ci},
};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// The dict that the macro returns. Its syntax is also valid YAML.
fn settings_of_the_macros() -> Vec<(String, Json)> {
    let source = read("macros/settings/_pgtrickle_known_settings.sql");
    let (begin, end) = (source.find("return({").unwrap(), source.rfind("})").unwrap());
    let settings: Json = serde_yaml::from_str(&source[begin + "return(".len()..=end]).unwrap();
    settings.as_object().unwrap().iter().map(|(name, spec)| (name.clone(), spec.clone())).collect()
}

#[test]
fn the_macros_and_the_program_know_the_same_settings() {
    let macros = settings_of_the_macros();
    let mut names: Vec<_> = Setting::ALL.iter().map(|setting| setting.name()).collect();
    names.sort_unstable();
    let mut theirs: Vec<_> = macros.iter().map(|(name, _)| name.as_str()).collect();
    theirs.sort_unstable();
    assert_eq!(names, theirs);

    for setting in Setting::ALL.iter().copied() {
        let (name, spec) = macros.iter().find(|(name, _)| name == setting.name()).unwrap();
        assert_eq!(setting.column(), spec["column"].as_str(), "{name}");
        let on_change = match spec["changed_by"].as_str() {
            None => OnChange::Alter,
            Some("recreate") => OnChange::Recreate,
            Some("nothing") => OnChange::Nothing,
            Some(other) => panic!("{name} is changed by {other}"),
        };
        assert_eq!(setting.on_change(), on_change, "{name}");
        assert_eq!(setting.since(), spec["since"].as_str(), "{name}");
        assert!(!spec["about"].as_str().unwrap().is_empty(), "{name} is not described");
    }
}

/// What a server lacks is told with a version that has it.
#[test]
fn the_versions_of_settings_are_those_of_the_catalogs() {
    let (oldest, columns) = catalogs::stream_table_columns();
    for setting in Setting::ALL.iter().copied() {
        let Some(column) = setting.column() else { continue };
        let since = columns[column].split_once(" since ").map(|(_, since)| since.to_owned());
        assert_eq!(setting.since().map(|since| format!("{since}.0")), since, "{setting}");
    }
    let lacking = read("macros/catalog/_pgtrickle_lacking.sql");
    assert!(lacking.contains(&format!("'{}'", oldest.trim_end_matches(".0"))), "{oldest}");
}

#[test]
fn the_macros_and_the_program_take_the_same_values() {
    for (name, spec) in settings_of_the_macros() {
        let setting = Setting::ALL.iter().copied().find(|setting| setting.name() == name).unwrap();
        let takes = |value: Json| setting.read(&value).is_ok();
        if let Some(words) = spec["values"].as_array() {
            for word in words {
                assert!(takes(word.clone()), "{name}: {word}");
            }
            assert!(!takes(json!("no such word")), "{name} takes any word");
            continue;
        }
        let kinds = [
            takes(json!(true)),
            takes(json!(2)) && name != "schedule",
            takes(json!(1.5)) && name != "schedule",
            takes(json!("1m")),
        ];
        let expected = match spec["type"].as_str().unwrap() {
            "boolean" => [true, false, false, false],
            "integer" => [false, true, false, false],
            "number" => [false, true, true, false],
            "text" => [false, false, false, true],
            other => panic!("{name} is a {other}"),
        };
        assert_eq!(kinds, expected, "{name}");
    }
}

#[test]
fn the_defaults_of_the_macros_are_values_of_the_program() {
    for (name, spec) in settings_of_the_macros() {
        let setting = Setting::ALL.iter().copied().find(|setting| setting.name() == name).unwrap();
        if let Some(default) = spec.get("default") {
            let read: Option<Value> = setting.read(default).unwrap();
            assert!(read.is_some(), "{name}: {default}");
        }
    }
}

#[derive(Deserialize)]
struct Pair {
    same: bool,
    one: String,
    other: String,
}

/// `integration_tests/coverage/drive.py` tests the package with the same pairs.
#[test]
fn the_program_and_the_package_ignore_the_same_layout() {
    let pairs: Vec<Pair> = serde_yaml::from_str(&read("integration_tests/coverage/query_pairs.yml")).unwrap();
    for Pair { same, one, other } in pairs {
        assert_eq!(query::same(&one, &other), same, "{one} / {other}");
    }
}

#[derive(Deserialize)]
struct Key {
    key: String,
    meant: Option<String>,
}

/// `integration_tests/coverage/drive.py` tests the package with the same keys.
#[test]
fn a_misspelled_key_of_a_config_is_recognized() {
    let keys: Vec<Key> = serde_yaml::from_str(&read("integration_tests/coverage/key_pairs.yml")).unwrap();
    for Key { key, meant } in keys {
        let manifest = json!({
            "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"},
            "nodes": {"model.shop.a": {
                "resource_type": "model", "name": "a", "alias": "a", "schema": "s", "package_name": "shop",
                "original_file_path": "models/a.sql", "config": {"materialized": "stream_table"},
                "unrendered_config": {key.clone(): "1h", "materialized": "stream_table"}, "compiled_code": "select 1",
            }},
        });
        let read = Reading::of("m.json", manifest.to_string().as_bytes(), |_, _| None).unwrap();
        let sentence = meant
            .map(|meant| format!("models/a.sql: `{key}` is not a pgtrickle key: did you mean `{meant}`?"));
        assert_eq!(read.misspelled(), sentence.as_slice(), "{key}");
    }
}

#[test]
fn a_command_warns_about_a_misspelled_key_and_continues() {
    let dir = tempfile::tempdir().unwrap();
    let (id, mut node) = model("a", "select 1 as id", &json!({}));
    node["unrendered_config"] = json!({"materialized": "stream_table", "shedule": "1h"});
    let file = manifest(dir.path(), "m.json", [(id, node)]);
    let mut plan = pgtrickle_ci();
    plan.args(["plan", "--manifest"]).arg(&file).arg("--baseline").arg(&file);
    let ran = Ran::of(&mut plan).expect(0);
    let warning = "warning: unknown keys in models\nmodels/a.sql: `shedule` is not a pgtrickle key: did you mean `schedule`?";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
}

/// The names of a macro's parameters.
fn parameters(source: &str, name: &str) -> Vec<String> {
    let (_, signature) = source.split_once(&format!(" {name}(")).unwrap();
    let (signature, _) = signature.split_once(')').unwrap();
    let names = signature.split(',').map(|parameter| parameter.split('=').next().unwrap().trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_macro_is_in_a_file_of_its_name_and_is_described_with_its_arguments() {
    let described = read("macros/_macros.yml");
    let described: Json = serde_yaml::from_str(&described).unwrap();
    let names = |entries: &Json| -> Vec<String> {
        let entries = entries.as_array().into_iter().flatten();
        entries.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    };
    let arguments = |name: &str| {
        let entries = described["macros"].as_array().unwrap();
        entries.iter().find(|entry| entry["name"] == name).map(|entry| names(&entry["arguments"]))
    };
    let mut all = names(&described["macros"]);
    let mut defined = vec![];
    let folders = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("macros")).unwrap();
    for folder in folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            let source = fs::read_to_string(&file).unwrap();
            let macros = source.lines().filter(|line| line.starts_with("{% macro ")).count();
            if source.contains(&format!("{{% test {name}(")) {
                assert_eq!(arguments(&format!("test_{name}")), Some(parameters(&source, &name)), "{name}");
                defined.push(format!("test_{name}"));
            } else if source.contains(&format!("{{% materialization {name}, ")) {
                defined.push(format!("materialization_{name}_postgres"));
            } else {
                assert!(macros == 1 && source.contains(&format!("{{% macro {name}(")), "{}", file.display());
                assert_eq!(arguments(&name), Some(parameters(&source, &name)), "{name}");
                defined.push(name);
            }
        }
    }
    all.sort();
    defined.sort();
    assert_eq!(defined, all);
}
