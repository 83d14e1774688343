//! What is read, and what has to be true of what was read.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use pgtrickle_ci::{
    dbt,
    dbt::{Context, ManifestFile, RequestedProfile},
    hosts::{Event, Repository},
    options,
    pg::Endpoint,
    plan::saved::Saved,
    project::Selector,
    report::{
        self,
        legs::{Posting, RunOrder},
    },
    sql::{query, tokens},
};
use serde_json::Value;

use crate::{
    corpus,
    mutate::{self, Random},
};

/// A kind of input.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) corpus: fn() -> Vec<String>,
    pub(crate) mutate: fn(&mut Random, &[String]) -> String,
    /// Reads it; the folder is empty at the start, and one for all inputs.
    pub(crate) read: fn(&str, &Path),
}

pub(crate) const TARGETS: [Target; 11] = [
    Target { name: "manifests", corpus: corpus::manifests, mutate: mutate::of_json, read: manifest },
    Target { name: "profiles", corpus: corpus::profiles, mutate: mutate::of_yaml, read: profile },
    Target {
        name: "project-files",
        corpus: corpus::project_files,
        mutate: mutate::of_yaml,
        read: project_file,
    },
    Target {
        name: "configurations",
        corpus: corpus::configurations,
        mutate: mutate::of_yaml,
        read: configuration,
    },
    Target { name: "events", corpus: corpus::events, mutate: mutate::of_json, read: event },
    Target { name: "saved-plans", corpus: corpus::saved_plans, mutate: mutate::of_json, read: saved_plan },
    Target { name: "reports", corpus: corpus::reports, mutate: mutate::of_json, read: shown_report },
    Target { name: "comments", corpus: corpus::comments, mutate: mutate::of_text, read: comment },
    Target { name: "queries", corpus: corpus::queries, mutate: mutate::of_text, read: sql },
    Target { name: "addresses", corpus: corpus::addresses, mutate: mutate::of_text, read: address },
    Target { name: "dotenvs", corpus: corpus::dotenvs, mutate: mutate::of_text, read: dotenv },
];

fn manifest(text: &str, dir: &Path) {
    static SELECTORS: LazyLock<Vec<Selector>> = LazyLock::new(|| {
        let words = ["+tag:nightly+ path:models,config.materialized:view", "@a 2+b+1 state:modified*", "*"];
        let parse = |text: &str| Selector::parse(&[text.to_owned()], &["source:*".to_owned()]).ok().flatten();
        words.into_iter().filter_map(parse).collect()
    });
    let file = dir.join("manifest.json");
    fs::write(&file, text).expect("the manifest can be written");
    let Ok(manifest) = ManifestFile::open(&file) else { return };
    if let Ok(reading) = manifest.project() {
        let _ = reading.check();
        let _ = reading.with_files_below("shop").compared_with(&file, "shop").into_project();
    }
    if let Ok(graph) = manifest.graph() {
        let _ = graph.readers("model.shop.totals");
        let _ = graph.needed(&graph.stream_tables(None).map(ToString::to_string).collect(), |_| false);
    }
    for selector in &*SELECTORS {
        let _ = manifest.selection(selector, Some(&file));
    }
    let _ = manifest.declared_sources();
    let _ = manifest.unstable_models();
    let _ = manifest.default_selector();
    let _ = manifest.naming();
    let _ = manifest.exact_names();
}

fn variables() -> BTreeMap<String, String> {
    [("HOST", "db.example"), ("DBT_ENV_SECRET_PW", "secret"), ("X", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn profile(text: &str, dir: &Path) {
    fs::write(dir.join("profiles.yml"), text).expect("the profile can be written");
    let context = Context { variables: variables(), ..Context::default() };
    for profile in ["shop", "coverage", "integration_tests", "tpch"] {
        for without_server in [false, true] {
            let wanted = RequestedProfile {
                dir: dir.to_owned(),
                profile: profile.into(),
                target: None,
                without_server,
            };
            let Ok(target) = dbt::Target::find(&wanted, &context) else { continue };
            if let Ok(written) = target.to_profiles_yml() {
                let read: serde_yaml::Value =
                    serde_yaml::from_str(&written).expect("what is written is YAML");
                assert!(read.get(profile).is_some(), "{written}");
                // The user may have the same text.
                let outputs = read[profile]["outputs"].as_mapping().expect("the profile has outputs");
                assert!(outputs.values().all(|output| output["password"] != "secret"), "{written}");
            }
        }
    }
}

fn project_file(text: &str, dir: &Path) {
    fs::write(dir.join("dbt_project.yml"), text).expect("the project can be written");
    let context = Context { variables: variables(), ..Context::default() };
    let read = dbt::ProjectFile::read(dir).and_then(|file| file.with_profile(dir, &context));
    if let Ok(file) = read.and_then(|file| file.with_folders(dir, &context)) {
        let _ = file.target_dir(dir, None);
        let _ = dbt::Inputs::of(dir, &file, &dir.join("target"), &dir.join("target/index.json"), true);
    }
}

fn configuration(text: &str, _: &Path) {
    if let Err(error) = options::File::parse(Path::new("pgtrickle-ci.yml"), text) {
        assert!(!error.to_string().is_empty() && error.hint().is_some());
    }
}

fn event(text: &str, _: &Path) {
    for name in ["pull_request", "workflow_run", "merge_group", "issue_comment", "push", "schedule"] {
        let _ = Event::read(name, text, Some("ec26c3e57ca3a959ca5aad62de7213c562f8c821"));
    }
    let _ = Repository::parse(text);
}

fn saved_plan(text: &str, _: &Path) {
    let _ = Saved::parse("plan.json", text);
    // The seal keeps every change out; a plan with a valid seal is read.
    let plan = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|mut sealed| sealed.get_mut("plan").map(Value::take));
    let Some(plan) = plan.and_then(|plan| serde_json::from_value::<Saved>(plan).ok()) else { return };
    if let Ok(again) = Saved::parse("plan.json", &plan.to_text()) {
        assert_eq!(again, plan);
    }
    let _ = plan.lost();
}

fn shown_report(text: &str, _: &Path) {
    let Ok(read) = report::read::read("report.json", text) else { return };
    let json = report::json::render(&read);
    let again = report::read::read("report.json", &json).expect("what is written is read");
    assert_eq!(report::json::render(&again), json);
    let mut xml = quick_xml::Reader::from_str(&*Box::leak(report::junit::render(&read).into_boxed_str()));
    while !matches!(xml.read_event().expect("JUnit is XML"), quick_xml::events::Event::Eof) {}
    assert!(report::markdown::render(&read).chars().count() <= report::markdown::COMMENT_LIMIT);
    let _ = report::markdown::render_whole(&read);
    let _ = report::annotations::render(&read);
    let _ = report::html::render(std::slice::from_ref(&read));
    let style = report::terminal::Style {
        color: true,
        width: 80,
        detail: report::terminal::Detail::Verbose,
        full: true,
    };
    assert!(!report::terminal::render(&read, &style).contains("\u{1b}]"));
}

/// The comment of an earlier job, which this one reads back and joins.
fn comment(text: &str, _: &Path) {
    static REPORT: LazyLock<report::Report> = LazyLock::new(corpus::report);
    let posting = Posting { report: &REPORT, leg: "gate (dbt: 1.6)", turn: RunOrder { run: 7, attempt: 1 } };
    let Some(composed) = posting.compose(&[text], report::markdown::COMMENT_LIMIT) else { return };
    assert!(composed.text.chars().count() <= report::markdown::COMMENT_LIMIT);
    let again = posting.compose(&[&composed.text], report::markdown::COMMENT_LIMIT);
    assert_eq!(again.expect("the same job may post again").text, composed.text);
}

fn sql(text: &str, _: &Path) {
    assert!(query::same(text, text));
    let clean = query::clean(text);
    assert!(query::same(clean, text), "{clean}");
    let names: BTreeMap<_, _> = query::relations(text).into_iter().map(|r| (r.clone(), r.quoted())).collect();
    let _ = query::renamed(text, &names);
    assert!(tokens(text).all(|token| !token.is_empty()));
}

fn address(text: &str, _: &Path) {
    let Ok(endpoint) = Endpoint::parse(text) else { return };
    let url = endpoint.url();
    let again = Endpoint::parse(url.reveal()).expect("what is written is read");
    assert_eq!(again, endpoint, "{}", url.reveal());
}

fn dotenv(text: &str, dir: &Path) {
    fs::write(dir.join(".env"), text).expect("the file can be written");
    let read = dbt::dotenv(None, dir, &variables()).expect("a text is read");
    assert!(read.keys().all(|name| !name.is_empty() && !variables().contains_key(name)));
}
