//! One project, compiled by dbt 1.6, 1.7, 1.11 and a prerelease of 2.0. The files in `manifests/` are their manifests
//! without unused fields.

use std::path::Path;

use pgtrickle_ci::{
    dbt::ManifestFile,
    model::{Relation, Setting},
    project::{Error, Project, Reading, Selector, recreated_by_dbt},
};
use serde_json::{Value, json};

const MANIFESTS: [(&str, &str); 4] = [
    ("dbt 1.6", include_str!("manifests/dbt-1.6.json")),
    ("dbt 1.7", include_str!("manifests/dbt-1.7.json")),
    ("dbt 1.11", include_str!("manifests/dbt-1.11.json")),
    ("dbt 2.0", include_str!("manifests/dbt-2.0a4.json")),
];

fn read(manifest: &str) -> Project {
    Reading::of("manifest.json", manifest.as_bytes(), |_, _| None).unwrap().into_project().unwrap()
}

fn names(relations: &[Relation]) -> Vec<String> {
    relations.iter().map(ToString::to_string).collect()
}

#[test]
fn every_dbt_version_gives_the_same_project() {
    // dbt 2 wraps the SQL of an ephemeral model differently, so those queries differ.
    let without_inlined = |mut project: Project| {
        project.tables.iter_mut().filter(|t| t.query.contains("__dbt__cte__")).for_each(|t| t.query.clear());
        project
    };
    let first = without_inlined(read(MANIFESTS[0].1));
    for (dbt, manifest) in &MANIFESTS[1..] {
        let project = without_inlined(read(manifest));
        assert_eq!(project.tables, first.tables, "{dbt}");
        assert_eq!(project.sources, first.sources, "{dbt}");
        assert_eq!(project.graph, first.graph, "{dbt}");
    }
}

/// Versions, a disabled model, an ephemeral parent, a package's model, keys in every supported place, and sources with
/// and without quotes.
#[test]
fn every_part_of_a_manifest_is_read_as_by_dbt() {
    for (dbt, manifest) in MANIFESTS {
        let project = read(manifest);
        let line = |table: &pgtrickle_ci::model::StreamTable| {
            let value = |setting| table.settings.get(setting).map(ToString::to_string).unwrap_or_default();
            let file = &table.origin.as_ref().unwrap().file;
            let (mode, schedule) = (value(Setting::RefreshMode), value(Setting::Schedule));
            format!("{} {mode} {schedule} {file} <- {}", table.relation, names(&table.upstream).join(" "))
        };
        assert_eq!(
            project.tables.iter().map(line).collect::<Vec<_>>(),
            [
                "analytics.from_package DIFFERENTIAL calculated dbt_packages/extra/models/from_package.sql <- ",
                "analytics.in_yaml FULL @hourly models/in_yaml.sql <- ",
                "analytics.through_ephemeral DIFFERENTIAL 10m models/marts/through_ephemeral.sql <- analytics.from_package analytics.versioned",
                "analytics_other.renamed IMMEDIATE 10m models/marts/top_level.sql <- analytics.in_yaml",
                "analytics.versioned_v1 DIFFERENTIAL 5m models/versioned_v1.sql <- ",
                "analytics.versioned DIFFERENTIAL 5m models/versioned_v2.sql <- ",
            ],
            "{dbt}"
        );
        let in_yaml = &project.tables[1];
        assert_eq!(
            in_yaml.query,
            "select id, 'it''s \"quoted\"\ttab' as note from \"warehouse\".\"web\".\"Page Hits\"",
            "{dbt}"
        );
        assert_eq!(in_yaml.settings.get(Setting::Fuse).unwrap().to_string(), "off", "{dbt}");
        let sources: Vec<_> = project.sources.keys().map(ToString::to_string).collect();
        assert_eq!(sources, ["raw_data.orders", "web.Page Hits"], "{dbt}");
        let recreated = &recreated_by_dbt(&project.between)[&Relation::new("analytics", "through_ephemeral")];
        assert_eq!(names(recreated), ["analytics.a_view"], "{dbt}");

        let readers = project.graph.readers("model.extra.from_package");
        let models: Vec<_> =
            readers.models.iter().map(|(relation, kind)| format!("{kind} {relation}")).collect();
        assert_eq!(models, ["view analytics.a_view", "view analytics.final"], "{dbt}");
        let exposures: Vec<_> =
            readers.exposures.iter().map(|e| (e.name.as_str(), e.owner.as_deref())).collect();
        assert_eq!(exposures, [("dashboard", Some("Ada Lovelace"))], "{dbt}");
    }
}

/// A stream table cannot be compared without the SQL of the views that it reads.
#[test]
fn a_view_without_compiled_sql_counts_as_not_compiled() {
    for (dbt, manifest) in MANIFESTS {
        let at = manifest.find("\"model.shop.a_view\": {").unwrap();
        let (before, view) = manifest.split_at(at);
        let without = before.to_owned() + &view.replacen("\"compiled_code\":", "\"other\":", 1);
        let read = |compiled: Option<&str>| {
            Reading::of("m.json", without.as_bytes(), |_, _| compiled.map(str::to_owned))
                .unwrap()
                .into_project()
        };
        let Err(Error::NotCompiled { models, .. }) = read(None) else { panic!("{dbt}") };
        assert_eq!(models, ["a_view"], "{dbt}");
        let project = read(Some("select 1")).unwrap();
        assert_eq!(project.between[0].query.as_deref(), Some("select 1"), "{dbt}");
    }
}

#[test]
fn an_uncompiled_model_never_becomes_an_empty_query() {
    for (dbt, manifest) in MANIFESTS {
        let without = manifest.replace("\"compiled_code\":", "\"other\":");
        let error = Reading::of("manifest.json", without.as_bytes(), |_, _| None)
            .unwrap()
            .into_project()
            .unwrap_err();
        let Error::NotCompiled { models, .. } = error else { panic!("{dbt}: {error}") };
        assert_eq!(models.len(), 6, "{dbt}");
        let found = Reading::of("manifest.json", without.as_bytes(), |package, file| {
            Some(format!("select '{package}/{file}'"))
        });
        assert_eq!(
            found.unwrap().into_project().unwrap().tables[0].query,
            "select 'extra/models/from_package.sql'",
            "{dbt}"
        );
    }
}

/// Manifests by dbt 1.12 and a prerelease of 2.0 with every section filled: owners that are lists, numbers that JSON
/// does not have, metrics, functions. Most macros are left out.
#[test]
fn a_manifest_with_every_section_filled_is_read() {
    for file in ["dbt-1.12.filled.json", "dbt-2.0a4.filled.json"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/manifests").join(file);
        let manifest = ManifestFile::open(&file).unwrap();
        assert!(manifest.project().is_ok(), "{}", file.display());
        let readers = manifest.graph().unwrap().readers("model.shop.totals").exposures;
        let exposures: Vec<_> = readers.iter().map(|e| (e.name.as_str(), e.owner.as_deref())).collect();
        assert_eq!(exposures, [("board", Some("Ann"))], "{}", file.display());
        let sources = manifest.declared_sources().unwrap();
        assert_eq!(sources[&Relation::new("raw", "orders")].columns.len(), 2);
        assert_eq!(manifest.exact_names().unwrap().len(), 5, "{}", file.display());
    }
}

/// The manifest of dbt 1.12 with every section filled, without the numbers that JSON does not have.
fn filled() -> String {
    ["-Infinity", "Infinity", "NaN"]
        .iter()
        .fold(include_str!("manifests/dbt-1.12.filled.json").to_owned(), |text, word| {
            text.replace(word, "null")
        })
}

/// Another project's model, as dbt mesh and dbt-loom put it among the nodes; owners; numbers; sections of another year.
#[test]
fn an_invalid_part_that_is_not_needed_is_ignored() {
    let filled = &filled();
    let mut edited: Vec<(&str, Value)> = Vec::new();
    let mut edit = |what, change: &dyn Fn(&mut Value)| {
        let mut manifest: Value = serde_json::from_str(filled).unwrap();
        change(&mut manifest);
        edited.push((what, manifest));
    };
    edit("a model without a file", &|m| {
        m["nodes"]["model.other.far"] = json!({"resource_type": "model", "name": "far", "package_name": "other",
            "original_file_path": null, "path": null, "schema": "s", "alias": null, "compiled_code": null, "config": null});
    });
    edit("a model with its names only", &|m| {
        m["nodes"]["model.other.far"] =
            json!({"resource_type": "model", "name": "far", "package_name": "other"});
    });
    edit("an owner of many", &|m| {
        m["exposures"]["exposure.shop.board"]["owner"] =
            json!({"name": ["Ann", "Bo"], "email": ["a@b.example"]});
    });
    edit("an owner that is a text", &|m| m["exposures"]["exposure.shop.board"]["owner"] = json!("Ann"));
    edit("another section", &|m| m["dreams"] = json!([{"nodes": 7}]));
    edit("other docs and macros", &|m| {
        (m["docs"], m["macros"]) = (json!(7), json!({"macro.x.y": {"name": null}}));
    });
    edit("other maps", &|m| (m["parent_map"], m["child_map"]) = (json!([]), json!("x")));
    edit("no exposures", &|m| m["exposures"] = Value::Null);
    edit("metrics in a list", &|m| m["metrics"] = json!([{"name": "revenue"}]));
    edit("exposures that are a text", &|m| m["exposures"] = json!("board"));
    edit("an exposure without a name", &|m| m["exposures"]["exposure.shop.board"] = json!({"name": null}));
    edit("unit tests in a list", &|m| m["unit_tests"] = json!([7]));
    for section in SECTIONS_OF_OTHERS {
        edit(section, &|m| m[section] = Value::Null);
    }
    for section in SECTIONS_OF_OTHERS.into_iter().filter(|section| !NEEDED.contains(section)) {
        edit(section, &|m| m[section] = json!(["of", "another", "year"]));
    }
    for (what, manifest) in edited {
        let (_dir, manifest) = opened(&manifest);
        manifest.project().unwrap_or_else(|error| panic!("{what}: {error}"));
        let graph = manifest.graph().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(graph.stream_tables(None).count(), 1, "{what}");
        manifest.unstable_models().unwrap_or_else(|error| panic!("{what}: {error}"));
        manifest.declared_sources().unwrap_or_else(|error| panic!("{what}: {error}"));
        manifest.exact_names().unwrap_or_else(|error| panic!("{what}: {error}"));
        manifest.naming().unwrap_or_else(|error| panic!("{what}: {error}"));
        manifest.default_selector().unwrap_or_else(|error| panic!("{what}: {error}"));
        let selector = Selector::parse(&["totals+".into()], &[]).unwrap().unwrap();
        manifest.selection(&selector, None).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// What is not a node, a source or the metadata.
const SECTIONS_OF_OTHERS: [&str; 15] = [
    "child_map",
    "disabled",
    "docs",
    "exposures",
    "functions",
    "group_map",
    "groups",
    "macros",
    "metrics",
    "parent_map",
    "saved_queries",
    "selectors",
    "semantic_models",
    "unit_tests",
    "dreams",
];

/// Macros say whether a query may differ at the next compilation, selectors what dbt builds.
const NEEDED: [&str; 2] = ["macros", "selectors"];

fn opened(manifest: &Value) -> (tempfile::TempDir, ManifestFile) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("manifest.json");
    std::fs::write(&file, manifest.to_string()).unwrap();
    let manifest = ManifestFile::open(&file).unwrap();
    (dir, manifest)
}

/// The parents of an exposure or a metric are selected by its name or its tag.
#[test]
fn a_selector_that_needs_an_invalid_section_is_an_error_with_the_path() {
    let filled: Value = serde_json::from_str(&filled()).unwrap();
    for (section, value, words, place) in [
        ("exposures", json!([]), "+exposure:board", Some("exposures")),
        (
            "exposures",
            json!({"exposure.shop.board": {"tags": 7}}),
            "exposure:*",
            Some("exposures.exposure.shop.board.tags"),
        ),
        ("metrics", json!(["revenue"]), "+tag:nightly", Some("metrics")),
        ("saved_queries", json!(7), "@totals", Some("saved_queries")),
        ("metrics", json!(["revenue"]), "totals+", None),
        ("metrics", Value::Null, "+totals", None),
        ("macros", json!([]), "totals", None),
    ] {
        let mut manifest = filled.clone();
        manifest[section] = value;
        let (_dir, manifest) = opened(&manifest);
        let selector = Selector::parse(&[words.to_owned()], &[]).unwrap().unwrap();
        match (manifest.selection(&selector, None), place) {
            (Ok(_), None) => {}
            (Err(error), Some(place)) => {
                assert!(error.to_string().contains(&format!("`{place}`")), "{words}: {error}");
            }
            (Ok(_), Some(place)) => panic!("{words}: {place} is read"),
            (Err(error), None) => panic!("{words}: {error}"),
        }
    }
}

/// Python writes these numbers and halves of surrogate pairs into JSON.
#[test]
fn what_is_no_json_or_no_text_is_an_error_where_it_is_needed() {
    let filled = filled();
    for (part, replacement, said) in [
        (r#""schedule":"5m""#, r#""schedule":NaN"#, "models/totals.sql: `NaN` is not a schedule"),
        (
            r#""schedule":"5m""#,
            r#""fuse_ceiling":-Infinity"#,
            "models/totals.sql: fuse_ceiling is `-Infinity`",
        ),
        (
            r#""schedule":"5m""#,
            r#""schedule":"\ud800""#,
            "models/totals.sql: config.meta in the manifest cannot be read",
        ),
        (
            r#""schedule":"5m""#,
            r#""schedule":"5m"},"\ud800":{"#,
            "config.meta in the manifest cannot be read",
        ),
        (
            r#""name":"totals""#,
            r#""name":"\ud800""#,
            "m.json` cannot be read at `nodes.model.shop.totals.name`",
        ),
        (r#""description":"""#, r#""description":"\ud800""#, ""),
        (r#""threshold":null"#, r#""threshold":NaN,"text":"\udfff""#, ""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.json");
        assert!(filled.contains(part), "{part}");
        std::fs::write(&file, format!("\u{feff}{}", filled.replace(part, replacement))).unwrap();
        let project = ManifestFile::open(&file).unwrap().project().map(|reading| reading.check());
        match project {
            Ok(Ok(())) => assert_eq!(said, "", "{replacement}"),
            Ok(Err(error)) | Err(error) => {
                let text = error.to_string();
                assert!(!said.is_empty() && text.contains(said), "{replacement}: {text}");
            }
        }
    }
}

/// What it needs is named with its place.
#[test]
fn an_invalid_part_is_named_with_its_path() {
    let filled = &filled();
    for (path, value, place) in [
        ("/nodes/model.shop.totals/name", json!(7), "nodes.model.shop.totals.name"),
        ("/nodes/model.shop.totals/schema", json!(["a"]), "nodes.model.shop.totals.schema"),
        ("/nodes/model.shop.totals/depends_on/nodes", json!({"a": 1}), "nodes.model.shop.totals.depends_on"),
        ("/sources/source.shop.raw.orders/identifier", json!(1), "sources.source.shop.raw.orders.identifier"),
        ("/nodes", json!([]), "nodes"),
        ("/nodes/model.shop.totals", Value::Null, "nodes.model.shop.totals"),
        ("/nodes/model.shop.totals/config", Value::Null, "nodes.model.shop.totals.config.materialized"),
        (
            "/nodes/model.shop.totals/config/materialized",
            Value::Null,
            "nodes.model.shop.totals.config.materialized",
        ),
    ] {
        let mut manifest: Value = serde_json::from_str(filled).unwrap();
        *manifest.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
        let bytes = manifest.to_string();
        let error = Reading::of("manifest.json", bytes.as_bytes(), |_, _| None)
            .err()
            .unwrap_or_else(|| panic!("{path} is read"));
        let text = error.to_string();
        assert!(text.contains(place) && text.contains("manifest.json"), "{path}: {text}");
    }
}
