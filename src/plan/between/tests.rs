use serde_json::{Value as Json, json};

use super::*;
use crate::model::{Column, Health, Mark, Owner, Settings, Storage, Version};

fn table(name: &str, query: &str, settings: &Json) -> StreamTable {
    let settings: Settings = Setting::ALL
        .iter()
        .copied()
        .filter_map(|setting| Some((setting, setting.read(settings.get(setting.name())?).unwrap()?)))
        .collect();
    StreamTable {
        relation: Relation::new("shop", name),
        query: query.into(),
        settings,
        upstream: vec![],
        columns: None,
        origin: None,
    }
}

fn deployed(table: StreamTable, project: Option<&str>) -> Deployed {
    let mark = project.map(|p| Mark {
        dbt_project: p.into(),
        unique_id: format!("model.{p}.{}", table.relation.name),
        target: None,
    });
    Deployed { table, mark, health: Health::default(), storage: Storage::default() }
}

fn policy() -> Policy {
    let owner = Owner { project: "shop".into(), target: None, schemas: ["shop".to_owned()].into() };
    Policy { owner, ..Policy::default() }
}

/// The change of one table whose query stays.
fn between_settings(now: &Json, wanted: &Json) -> Change {
    let existing = [deployed(table("t", "select 1", now), Some("shop"))];
    Plan::between(&[table("t", "select 1", wanted)], &existing, &Answers::default(), &policy())
        .unwrap()
        .steps
        .remove(0)
        .change
}

#[test]
fn a_server_that_keeps_the_requested_mode_is_compared_by_it() {
    let change = |resolved: &str, requested: &str, wanted: &str| {
        let mut existing = deployed(table("t", "select 1", &json!({"refresh_mode": resolved})), Some("shop"));
        existing.health.requested_refresh_mode = Some(requested.into());
        let wanted = table("t", "select 1", &json!({"refresh_mode": wanted}));
        Plan::between(&[wanted], &[existing], &Answers::default(), &policy()).unwrap().steps.remove(0).change
    };
    assert_eq!(change("FULL", "AUTO", "AUTO"), Change::Keep);
    assert_eq!(change("FULL", "DIFFERENTIAL", "DIFFERENTIAL"), Change::Keep, "it was resolved to FULL");
    for (resolved, requested, wanted) in [
        ("DIFFERENTIAL", "DIFFERENTIAL", "AUTO"),
        ("DIFFERENTIAL", "AUTO", "DIFFERENTIAL"),
        ("FULL", "AUTO", "FULL"),
    ] {
        let Change::Alter(changes) = change(resolved, requested, wanted) else {
            panic!("{requested} -> {wanted}")
        };
        let text = |word: &str| Some(Value::Text(word.into()));
        assert_eq!((&changes[0].from, &changes[0].to), (&text(requested), &text(wanted)));
    }
}

#[test]
fn a_source_that_citus_distributes_is_refused_and_one_with_policies_is_noted() {
    let special = |citus: Option<&str>| SpecialSource {
        read_as: Relation::new("raw", "orders_view"),
        relation: Relation::new("raw", "orders"),
        citus: citus.map(Into::into),
        has_row_security: citus.is_none(),
        is_partitioned: false,
        snapshot: None,
        polls_views: false,
    };
    let plan = |source: SpecialSource, query: &str| {
        let answers = Answers { special_sources: vec![source], ..Answers::default() };
        Plan::between(&[table("t", query, &json!({}))], &[], &answers, &policy()).unwrap()
    };
    let query = "select id from raw.orders_view";
    let problems = plan(special(Some("is distributed by Citus")), query).problems;
    assert_eq!(
        problems[0].message,
        "its source raw.orders is distributed by Citus: pg_trickle cannot capture its changes"
    );
    let noted = plan(special(None), query);
    assert!(noted.problems.is_empty());
    assert_eq!(
        noted.notes,
        ["shop.t will hold the rows of every role: the policies of its source raw.orders do not protect it"]
    );
    assert!(plan(special(Some("is distributed by Citus")), "select id from raw.local").problems.is_empty());
}

#[test]
fn a_table_that_citus_would_have_to_distribute_is_refused_on_a_server() {
    let problems = |has_citus: Option<bool>| {
        let answers = Answers { has_citus, ..Answers::default() };
        let wanted = table("t", "select 1", &json!({"output_distribution_column": "id"}));
        let problems = Plan::between(&[wanted], &[], &answers, &policy()).unwrap().problems;
        problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>()
    };
    assert!(problems(None).is_empty());
    let begin = "creating it with output_distribution_column fails:";
    assert_eq!(
        problems(Some(true)),
        [format!("{begin} Citus does not distribute it, because it has triggers")]
    );
    assert_eq!(problems(Some(false)), [format!("{begin} this database does not have Citus")]);
}

#[test]
fn a_source_that_the_scheduler_does_not_notice_and_settings_that_lose_changes_are_noted() {
    let noted = |mode: &str, kind: &str, polls_views: bool, version: &str| {
        let source = SpecialSource {
            read_as: Relation::new("raw", "daily"),
            relation: Relation::new("raw", "daily"),
            citus: None,
            has_row_security: false,
            is_partitioned: false,
            snapshot: Some(kind.into()),
            polls_views,
        };
        let answers = Answers {
            special_sources: vec![source],
            version: Version::parse(version),
            losing_settings: vec!["a setting"],
            ..Answers::default()
        };
        let wanted = table("t", "select id from raw.daily", &json!({"refresh_mode": mode}));
        Plan::between(&[wanted], &[], &answers, &policy()).unwrap().notes
    };
    let sentence = "shop.t will not follow its source raw.daily: pg_trickle does not notice changes of a";
    for (mode, kind, polls_views, version) in [
        ("FULL", "materialized view", true, "0.108.3"),
        ("FULL", "materialized view", true, "0.67.0"),
        ("IMMEDIATE", "materialized view", true, "0.108.3"),
        ("IMMEDIATE", "foreign table", true, "0.67.0"),
    ] {
        assert_eq!(noted(mode, kind, polls_views, version), [format!("{sentence} {kind}")]);
    }
    assert_eq!(noted("DIFFERENTIAL", "materialized view", true, "0.108.3"), ["a setting"]);
    assert!(noted("FULL", "foreign table", false, "0.67.0").is_empty());
    assert_eq!(noted("DIFFERENTIAL", "foreign table", true, "0.67.0"), ["a setting"]);
}

#[test]
fn settings_are_compared_by_meaning() {
    for (now, wanted) in [
        (json!({"schedule": "1m"}), json!({"schedule": "60s"})),
        (json!({"schedule": null}), json!({"schedule": "calculated"})),
        (json!({"refresh_mode": "DIFFERENTIAL"}), json!({"refresh_mode": "auto"})),
        (json!({"refresh_mode": "FULL"}), json!({"refresh_mode": "AUTO"})),
        (json!({"refresh_mode": "IMMEDIATE"}), json!({"refresh_mode": "IMMEDIATE", "schedule": "5m"})),
        (json!({"append_only": true}), json!({"append_only": false})),
        (json!({"status": "ERROR"}), json!({"status": "ACTIVE"})),
        (json!({"status": "SUSPENDED"}), json!({"status": "paused"})),
        (json!({"cdc_mode": "wal", "tier": "cold"}), json!({})),
        (json!({}), json!({"initialize": false})),
    ] {
        assert_eq!(between_settings(&now, &wanted), Change::Keep, "{now} -> {wanted}");
    }
}

#[test]
fn a_setting_that_differs_is_altered() {
    let change = between_settings(
        &json!({"schedule": "1m", "tier": "hot"}),
        &json!({"schedule": "5m", "tier": "cold"}),
    );
    let Change::Alter(changes) = change else { panic!("{change:?}") };
    let shown: Vec<_> = changes.iter().map(|c| format!("{} {}", c.setting, c.to.as_ref().unwrap())).collect();
    assert_eq!(shown, ["schedule 5m", "tier cold"]);
}

#[test]
fn auto_for_an_immediate_table_becomes_differential() {
    let change = between_settings(&json!({"refresh_mode": "IMMEDIATE"}), &json!({"refresh_mode": "AUTO"}));
    let Change::Alter(changes) = change else { panic!("{change:?}") };
    assert_eq!(changes[0].to, Some(Value::Text("DIFFERENTIAL".into())));
}

#[test]
fn a_setting_that_cannot_be_altered_replaces_the_table() {
    for (now, wanted) in [
        (json!({}), json!({"partition_by": "day"})),
        (json!({"partition_by": "day"}), json!({})),
        (json!({"storage_backend": "heap"}), json!({"storage_backend": "citus"})),
        (json!({"temporal": false}), json!({"temporal": true, "schedule": "5m"})),
    ] {
        let change = between_settings(&now, &wanted);
        assert!(matches!(change, Change::Recreate { .. }), "{now} -> {wanted}: {change:?}");
    }
}

#[test]
fn a_changed_query_is_altered_in_place() {
    let existing = [deployed(table("t", "select a from x", &json!({})), Some("shop"))];
    let plan = Plan::between(
        &[table("t", "select a, b from x", &json!({"schedule": "2m"}))],
        &existing,
        &Answers::default(),
        &policy(),
    )
    .unwrap();
    let Change::AlterQuery { settings, .. } = &plan.steps[0].change else { panic!("{plan:?}") };
    assert_eq!(settings.len(), 1);
}

/// The change of a table with `stored` columns when its new query has the `given` ones.
fn between_columns(stored: &[&str], given: &[&str]) -> &'static str {
    let columns = |names: &[&str]| -> Vec<Column> {
        names.iter().map(|name| Column { name: (*name).into(), r#type: "int4".into() }).collect()
    };
    let old = StreamTable { columns: Some(columns(stored)), ..table("t", "select old", &json!({})) };
    let new = table("t", "select new", &json!({}));
    let answers =
        Answers { columns: BTreeMap::from([(new.relation.clone(), columns(given))]), ..Answers::default() };
    let plan = Plan::between(&[new], &[deployed(old, Some("shop"))], &answers, &policy()).unwrap();
    plan.steps[0].change.name()
}

#[test]
fn a_query_is_altered_in_place_only_if_the_columns_keep_its_order() {
    assert_eq!(between_columns(&["id", "a"], &["id", "a"]), "alter-query");
    assert_eq!(between_columns(&["id", "a"], &["id", "a", "b"]), "alter-query");
    assert_eq!(between_columns(&["id", "a", "b"], &["id", "b"]), "alter-query");
    assert_eq!(between_columns(&["g", "n", "s", "__pgt_count"], &["g", "s"]), "alter-query");
    for (stored, given) in [
        (&["id", "b"][..], &["id", "a", "b"][..]),
        (&["id", "a", "b"], &["id", "b", "a"]),
        // The engine adds columns after its hidden ones.
        (&["g", "n", "__pgt_count"], &["g", "n", "s"]),
    ] {
        assert_eq!(between_columns(stored, given), "replace", "{stored:?} -> {given:?}");
    }
}

#[test]
fn only_this_projects_tables_are_dropped_and_only_when_allowed() {
    let existing = [
        deployed(table("ours", "select 1", &json!({})), Some("shop")),
        deployed(table("theirs", "select 1", &json!({})), Some("other")),
        deployed(table("by_hand", "select 1", &json!({})), None),
    ];
    let plan = Plan::between(&[], &existing, &Answers::default(), &policy()).unwrap();
    assert_eq!(
        plan.steps.iter().map(|s| (s.relation.name.as_str(), s.refused)).collect::<Vec<_>>(),
        [("ours", true)]
    );
    assert_eq!(plan.unmanaged, ["theirs", "by_hand"].map(|name| Relation::new("shop", name)));

    for allowed in ["all", "ours", "shop.ours"] {
        let policy = Policy { allow_drop: vec![allowed.into()], ..policy() };
        assert_eq!(
            Plan::between(&[], &existing, &Answers::default(), &policy).unwrap().refused().count(),
            0,
            "{allowed}"
        );
    }
    let policy = Policy { allow_drop: vec!["theirs".into()], allow_recreate: vec!["all".into()], ..policy() };
    assert_eq!(Plan::between(&[], &existing, &Answers::default(), &policy).unwrap().refused().count(), 1);
}

#[test]
fn upstream_is_created_first_and_dropped_last() {
    let mut reader = table("a_reader", "select 1", &json!({}));
    let base = table("base", "select 1", &json!({}));
    reader.upstream = vec![base.relation.clone()];
    let names = |plan: Plan| plan.steps.into_iter().map(|s| s.relation.name).collect::<Vec<_>>();

    let plan = Plan::between(&[reader.clone(), base.clone()], &[], &Answers::default(), &policy()).unwrap();
    assert_eq!(plan.steps[0].downstream, [reader.relation.clone()]);
    assert_eq!(names(plan), ["base", "a_reader"]);

    let existing = [deployed(base, Some("shop")), deployed(reader, Some("shop"))];
    assert_eq!(
        names(Plan::between(&[], &existing, &Answers::default(), &policy()).unwrap()),
        ["a_reader", "base"]
    );
}
