//! A stream table for the tests of `explain` and `history`.

use std::collections::BTreeMap;

use super::Explained;
use crate::{
    judge::{
        Evidence, Facts, MissingEvidence, SourceFacts,
        capture::{Capture, Captures, ReplicationSlot, StreamTableCapture},
        sample::{self, NOW},
        scheduler::EngineState,
    },
    model::{
        Deployed, Engine, Health, Origin, Outcome, Relation, Schedule, Setting, Settings, Stage, Storage,
        StreamTable, Value, Verdict, View,
    },
    plan::Cost,
    report::sample::{HOSTILE_MESSAGE, HOSTILE_NAME},
};

pub(in crate::report) fn engine() -> Engine {
    Engine { postgres: "18.6".into(), pg_trickle: "0.67.0".into() }
}

pub(in crate::report) fn deployed() -> Deployed {
    let settings = [
        (Setting::Schedule, Value::Schedule(Schedule::Every(60))),
        (Setting::RefreshMode, Value::Text("DIFFERENTIAL".into())),
        (Setting::Tier, Value::Text("warm".into())),
    ];
    Deployed {
        table: StreamTable {
            relation: Relation::new("marts", "order_totals"),
            query: "select\n    o.customer_id,\n    sum(o.amount) as total\nfrom raw.orders as o\ngroup by o.customer_id".into(),
            settings: Settings::from_iter(settings),
            upstream: vec![Relation::new("marts", "customers")],
            columns: None,
            origin: Some(Origin { unique_id: "model.shop.order_totals".into(), file: String::new() }),
        },
        mark: None,
        health: Health {
            status: "ACTIVE".into(),
            is_populated: true,
            last_refresh_at: Some(NOW - 12.0),
            data_timestamp: Some(NOW - 7_512.0),
            effective_refresh_mode: Some("FULL".into()),
            requested_refresh_mode: Some("AUTO".into()),
            last_error_message: Some(HOSTILE_MESSAGE.into()),
            storage_exists: true,
            ..Health::default()
        },
        storage: Storage {
            rows: Some(1_204),
            views: vec![View { relation: Relation::new("marts", HOSTILE_NAME), columns: vec![] }],
            ..Storage::default()
        },
    }
}

fn source(schema: &str, name: &str, source_type: &str, cdc_mode: &str) -> SourceFacts {
    SourceFacts {
        schema: schema.into(),
        name: name.into(),
        source_type: source_type.into(),
        cdc_mode: cdc_mode.into(),
        ..SourceFacts::default()
    }
}

fn capture(source: &str, cdc_mode: &str, buffer: &str, slot: Option<ReplicationSlot>) -> Capture {
    Capture {
        source: source.into(),
        source_exists: true,
        citus: None,
        readers: vec!["marts.order_totals".into()],
        cdc_mode: cdc_mode.into(),
        stable_name: None,
        triggers: vec![],
        buffer: Some(Relation::new("pgtrickle_changes", buffer)),
        buffer_exists: true,
        buffer_readable: Some(true),
        quiet: vec![],
        passed_by: vec![],
        missing_columns: vec![],
        buffer_lacks: None,
        wal_asked_by: None,
        read_since: 0.0,
        whole_identity: None,
        has_key: true,
        slot,
        alert: None,
    }
}

fn evidence() -> Evidence {
    let facts = Facts {
        schema: "marts".into(),
        name: "order_totals".into(),
        sources: vec![
            source("raw", "orders", "TABLE", "TRIGGER"),
            source("raw", "payments", "TABLE", "WAL"),
            source("marts", "customers", "STREAM_TABLE", "TRIGGER"),
            source("raw", HOSTILE_NAME, "FOREIGN_TABLE", "TRIGGER"),
        ],
        why_full: Some("the delta is too large".into()),
        ..Facts::default()
    };
    let slot = ReplicationSlot { name: "pgtrickle_7".into(), lost: false, lag_bytes: Some(2e8) };
    let between = StreamTableCapture {
        reader: "marts.order_totals".into(),
        read: Some("marts.customers".into()),
        read_as: 7,
        buffer: Some(Relation::new("pgtrickle_changes", "changes_pgt_4")),
        buffer_exists: false,
    };
    let mut reader = deployed();
    reader.table.relation.name = "big_orders".into();
    reader.table.upstream = vec![Relation::new("marts", "order_totals")];
    Evidence {
        deployed: vec![deployed(), reader],
        facts: Ok(vec![facts]),
        captures: Ok(Captures {
            sources: vec![
                capture("raw.orders", "TRIGGER", "changes_ab12", None),
                capture("raw.payments", "WAL", "changes_cd34", Some(slot)),
            ],
            immediate: vec![],
            between: vec![between],
        }),
        engine: Ok(EngineState {
            versions: None,
            slot_lag_warning: None,
            slot_lag_critical: None,
            schedulers: vec![],
            ..sample::engine()
        }),
        version: "0.67.0".into(),
    }
}

fn outcomes() -> Vec<Outcome> {
    let outcome =
        |stage, verdict, message: &str| Outcome::new(stage, &deployed().table.relation, verdict, message);
    vec![
        outcome(Stage::Population, Verdict::Passed, "populated"),
        outcome(Stage::Mode, Verdict::Warned, "configured as AUTO, but refreshed in full").with_details([
            "see why: select * from pgtrickle.explain_refresh_mode('marts.order_totals')".to_owned(),
        ]),
        outcome(Stage::Freshness, Verdict::Failed, HOSTILE_MESSAGE),
    ]
}

fn with(evidence: &Evidence, show: impl FnOnce(&Explained<'_>) -> String) -> String {
    let sizes = BTreeMap::from([
        (Relation::new("pgtrickle_changes", "changes_ab12"), 16_384),
        (Relation::new("pgtrickle_changes", "changes_cd34"), 8_192),
    ]);
    show(&Explained {
        target: "127.0.0.1:5432/shop".into(),
        engine: engine(),
        deployed: &evidence.deployed[0],
        evidence,
        outcomes: &outcomes(),
        cost: Cost { rows: Some(1_204), bytes: Some(3_000_000), full_ms: Some(2_449.0) },
        sizes: &sizes,
        project: None,
    })
}

/// Shows a table with every kind of source.
pub(super) fn explained(show: impl FnOnce(&Explained<'_>) -> String) -> String {
    with(&evidence(), show)
}

/// Shows it as a role sees it that may read the catalog only.
pub(super) fn explained_without_answers(show: impl FnOnce(&Explained<'_>) -> String) -> String {
    let missing = || MissingEvidence { why: "permission denied".into(), hint: None };
    let evidence =
        Evidence { facts: Err(missing()), captures: Err(missing()), engine: Err(missing()), ..evidence() };
    with(&evidence, show)
}
