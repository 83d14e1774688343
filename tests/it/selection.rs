//! `--select` and `--exclude` mean what they mean to dbt. `selectors/record.py` recorded dbt's answers.

use std::collections::BTreeSet;

use pgtrickle_ci::project::{Error, Selector};
use serde::Deserialize;
use serde_json::json;

use crate::support::{Ran, manifest, model, pgtrickle_ci};

const BEFORE: &str = include_str!("selectors/before.json");
const AFTER: &str = include_str!("selectors/after.json");

/// dbt's answer for one selection.
#[derive(Deserialize)]
struct Answer {
    select: String,
    exclude: String,
    ids: BTreeSet<String>,
}

fn find(select: &str, exclude: &str) -> BTreeSet<String> {
    let typed = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
    let Some(selector) = Selector::parse(&typed(select), &typed(exclude)).unwrap() else {
        return Selector::parse(&["*".into()], &[])
            .unwrap()
            .unwrap()
            .find(("a", AFTER.as_bytes()), None)
            .unwrap()
            .ids;
    };
    match selector.find(("after.json", AFTER.as_bytes()), Some(("before.json", BEFORE.as_bytes()))) {
        Ok(selection) => selection.ids,
        Err(Error::NothingSelected { .. }) => BTreeSet::new(),
        Err(error) => panic!("{select}: {error}"),
    }
}

#[test]
fn every_selector_selects_what_dbt_selects() {
    let answers: Vec<Answer> = serde_json::from_str(include_str!("selectors/selected.json")).unwrap();
    assert!(answers.len() > 60);
    let wrong: Vec<String> = answers
        .iter()
        .filter(|answer| find(&answer.select, &answer.exclude) != answer.ids)
        .map(|answer| {
            let ours = find(&answer.select, &answer.exclude);
            format!(
                "--select {} --exclude {}\n  dbt:  {:?}\n  ours: {ours:?}",
                answer.select, answer.exclude, answer.ids
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_of_a_selector_name_the_selector() {
    let parse = |select: &[&str]| {
        let select: Vec<String> = select.iter().map(ToString::to_string).collect();
        Selector::parse(&select, &[])
    };
    let error = parse(&["tagg:x orders", "state:changed"]).unwrap_err().to_string();
    assert!(
        error.contains("`tagg`") && error.contains("`state:changed`") && error.contains("tag"),
        "{error}"
    );
    let after = ("after.json", AFTER.as_bytes());
    let by_state = parse(&["state:modified"]).unwrap().unwrap();
    assert!(matches!(by_state.find(after, None), Err(Error::NoBaseline)));
    assert!(by_state.find(after, Some(after)).unwrap().ids.is_empty(), "no change is not an error");
    let nothing = parse(&["ordes"]).unwrap().unwrap().find(after, None).unwrap_err();
    assert_eq!(nothing.to_string(), "no model matches the selection: `ordes`");
    assert_eq!(parse(&["orders ordes"]).unwrap().unwrap().find(after, None).unwrap().unmatched, ["ordes"]);
}

/// A narrowed plan creates missing upstream tables, lists readers that are not selected, and drops nothing.
#[test]
fn a_plan_is_narrowed_to_the_selection_and_its_missing_upstream_tables() {
    let dir = tempfile::tempdir().unwrap();
    let reads = |name: &str, parents: &[&str]| {
        let (id, mut node) = model(name, &format!("select 1 as {name}"), &json!({}));
        node["fqn"] = json!(["shop", name]);
        node["depends_on"] =
            json!({"nodes": parents.iter().map(|p| format!("model.shop.{p}")).collect::<Vec<_>>()});
        node["raw_code"] = json!(name);
        (id, node)
    };
    let all =
        [reads("base", &[]), reads("middle", &["base"]), reads("leaf", &["middle"]), reads("other", &[])];
    let wanted = manifest(dir.path(), "wanted.json", all);
    let before = manifest(dir.path(), "before.json", [reads("other", &[]), reads("removed", &[])]);
    let plan = |more: &[&str]| {
        let mut plan = pgtrickle_ci();
        plan.args(["plan", "--manifest"]).arg(&wanted).arg("--baseline").arg(&before).args(more);
        Ran::of(&mut plan)
    };
    let ran = plan(&["--select", "middle"]).expect(0);
    assert!(
        ran.stdout.contains("Plan: 2 to add, 0 to change, 0 to replace, 0 to destroy."),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("public.base") && ran.stdout.contains("public.leaf"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("public.removed") && !ran.stdout.contains("public.other"), "{}", ran.stdout);
    let ran = plan(&["--exclude", "base+"]).expect(0);
    assert!(ran.stdout.contains("No changes: 1 stream table"), "{}", ran.stdout);
    let ran = plan(&["-s", "state:new", "nowhere"]).expect(0);
    assert!(
        ran.stdout.contains("Plan: 3 to add") && ran.stderr.contains("`nowhere`"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    plan(&["--select", "tagg:x"]).expect_error("unknown method `tagg`; the methods are access", "dbt ls");
    plan(&["--select", "nowhere"]).expect_error("no model matches the selection", "dbt ls");
    let check = |more: &[&str]| Ran::of(pgtrickle_ci().args(["check", "--manifest"]).arg(&wanted).args(more));
    check(&["--select", "state:modified"]).expect_error("needs a manifest to compare with", "--baseline");
}
