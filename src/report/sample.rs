//! The sample report for the tests of all renderers: each kind of change, each verdict, and hostile text.

use std::time::Duration;

use time::macros::datetime;

use super::Report;
use crate::{
    judge::freshness::TableAge,
    judge::rehearsal::{Rehearsal, RehearsedTable, RowChange, RowChanges, RowComparison, TableEffect},
    model::{
        AgeLimits, Column, Engine, ManifestSource, Origin, Outcome, ProjectSource, Relation, Schedule,
        Setting, Stage, Value, Verdict,
    },
    plan::{
        Change, ColumnChange, Cost, NeedsDbt, Plan, QueryChange, SettingChange, Step, ViewChange, ViewStep,
    },
};

/// A name that tries to escape from its context.
pub(super) const HOSTILE_NAME: &str = "x`|<!--]]>\u{1b}[31m@alice #12";

/// A server's message that does the same.
pub(super) const HOSTILE_MESSAGE: &str =
    "ERROR: </details> ```\n| @alice owner/repo#1 <script>alert(1)</script> ]]> \u{1b}[2J\u{0}\u{202e}";

/// A report of a rehearsal that found something in every stage.
pub(super) fn report() -> Report {
    Report {
        commit: Some("ec26c3e57ca3a959ca5aad62de7213c562f8c821".into()),
        invocation: Some(format!("pgtrickle-ci run --target {HOSTILE_NAME} --base-ref origin/main")),
        leg: Some("gate (dbt: 1.11)".into()),
        project: Some("shop".into()),
        project_source: Some(ProjectSource {
            tables: 8,
            manifest: ManifestSource::Kept {
                target: HOSTILE_NAME.into(),
                compiled_at: datetime!(2026-11-20 23:05:00 UTC),
            },
        }),
        selection: Some(format!("--select tag:{HOSTILE_NAME}")),
        target: Some("127.0.0.1:5432/shop_ci".into()),
        dbt_target: None,
        engine: Some(Engine { postgres: "18.4".into(), pg_trickle: "0.67.0-emulator".into() }),
        elapsed: Duration::from_millis(12_340),
        timings: vec![
            ("server".into(), Duration::from_millis(1_250)),
            ("deployment".into(), Duration::from_millis(8_100)),
        ],
        plan: Some(plan()),
        rehearsal: Some(rehearsal()),
        outcomes: outcomes(),
        ages: ages(),
        ..Report::begin("run", datetime!(2026-11-21 01:02:03.456789 UTC))
    }
}

fn relation(name: &str) -> Relation {
    Relation::new("analytics", name)
}

fn origin(name: &str) -> Origin {
    Origin { unique_id: format!("model.shop.{name}"), file: format!("models/marts/{name}.sql") }
}

fn step(name: &str, change: Change) -> Step {
    Step {
        relation: relation(name),
        change,
        reasons: Vec::new(),
        columns: Vec::new(),
        unknown: None,
        failure: None,
        cost: None,
        lost: Vec::new(),
        readers: Vec::new(),
        downstream: Vec::new(),
        origin: Some(origin(name)),
        refused: false,
        becomes: None,
    }
}

/// A step that changes a table with these tables downstream.
pub(super) fn altered(name: &str, downstream: &[&str]) -> Step {
    let downstream = downstream.iter().map(|name| relation(name)).collect();
    Step { downstream, ..step(name, Change::Alter(Vec::new())) }
}

fn every(seconds: u64) -> Value {
    Value::Schedule(Schedule::Every(seconds))
}

fn text(word: &str) -> Value {
    Value::Text(word.into())
}

fn plan() -> Plan {
    let reschedule =
        SettingChange { setting: Setting::Schedule, from: Some(every(120)), to: Some(every(300)) };
    let fuse = SettingChange { setting: Setting::Fuse, from: None, to: Some(text("auto")) };
    let partition = SettingChange { setting: Setting::PartitionBy, from: Some(text("ordered_at")), to: None };
    Plan {
        steps: vec![
            step("stg_orders", Change::Keep),
            step(
                "customer_value",
                Change::Create {
                    settings: vec![
                        (Setting::Schedule, every(90)),
                        (Setting::RefreshMode, text("DIFFERENTIAL")),
                    ],
                    replaces: Some("view".into()),
                },
            ),
            step("order_lines", Change::Alter(vec![reschedule.clone(), fuse])),
            Step {
                downstream: vec![relation("daily_revenue"), relation("customer_value")],
                columns: vec![ColumnChange::Added(Column { name: "lines".into(), r#type: "int8".into() })],
                cost: Some(Cost { rows: Some(1_204), bytes: Some(3_000_000), full_ms: Some(2_449.0) }),
                readers: vec!["view analytics.v_totals".into(), "exposure board (Ada)".into()],
                ..step(
                    "order_totals",
                    Change::AlterQuery {
                        query: QueryChange { before: BEFORE.into(), after: AFTER.into() },
                        settings: vec![reschedule],
                    },
                )
            },
            Step {
                refused: true,
                downstream: vec![relation("weekly_revenue")],
                lost: vec![
                    "the view analytics.v_daily".into(),
                    format!("the grant to {HOSTILE_NAME}: SELECT"),
                ],
                ..step("daily_revenue", Change::Recreate { query: None, settings: vec![partition] })
            },
            Step {
                failure: Some("its query is invalid: column l.nope does not exist (42703)".into()),
                ..step("weekly_revenue", Change::Keep)
            },
            Step { origin: None, refused: true, ..step(HOSTILE_NAME, Change::Drop) },
        ],
        views: views(),
        unmanaged: vec![relation("finance_adhoc")],
        problems: Vec::new(),
        unmatched: Vec::new(),
        needs_dbt: vec![NeedsDbt {
            relation: relation("v_orders"),
            why: "view changes, and only dbt changes views".into(),
            tables: vec![relation("stg_orders")],
        }],
        lost_views: Vec::new(),
        lost_objects: Vec::new(),
        notes: vec!["this version of pg_trickle does not store temporal: not compared".into()],
    }
}

/// A changed view, a new one, a removed one and one that could not be compared.
fn views() -> Vec<ViewStep> {
    let query = QueryChange { before: " SELECT 1;".into(), after: " SELECT 2;".into() };
    let view = |name: &str, change| ViewStep {
        relation: relation(name),
        change,
        readers: vec![relation("stg_orders")],
        downstream: Vec::new(),
        origin: Some(origin(name)),
    };
    vec![
        ViewStep { downstream: vec![relation("order_totals")], ..view("v_orders", ViewChange::Query(query)) },
        view("v_new", ViewChange::Create { replaces: Some("table".into()) }),
        ViewStep { origin: None, ..view("v_gone", ViewChange::Remove { becomes: None }) },
        view(HOSTILE_NAME, ViewChange::Unknown(HOSTILE_MESSAGE.into())),
    ]
}

/// Two tables as planned, one of them unchanged, and one not as planned.
fn rehearsal() -> Rehearsal {
    let integer = |name: &str| Column { name: name.into(), r#type: "int4".into() };
    let rehearsed = |name: &str, planned, observed| RehearsedTable {
        relation: relation(name),
        origin: Some(origin(name)),
        planned,
        observed,
        reasons: Vec::new(),
        surprises: Vec::new(),
        warnings: Vec::new(),
        without_rows: Duration::ZERO,
        columns_before: vec![integer("order_id"), integer("total")],
        columns_after: vec![integer("order_id"), integer("total")],
        contents: Some(RowComparison {
            before: Some(3),
            after: Some(3),
            difference: Some(RowChanges::default()),
        }),
    };
    let row = |total: &str| Some(vec![Some("7".to_owned()), Some(total.to_owned())]);
    let difference = RowChanges {
        columns: vec!["order_id".into(), "total".into()],
        key: Some(1),
        added: 1,
        removed: 1,
        changed: 1,
        examples: vec![
            RowChange { before: None, after: row("10") },
            RowChange { before: Some(vec![None, Some(HOSTILE_MESSAGE.into())]), after: None },
            RowChange { before: row("10"), after: row("12") },
        ],
    };
    Rehearsal {
        base: format!("main{HOSTILE_NAME}"),
        tables: vec![
            rehearsed("stg_orders", TableEffect::Kept, TableEffect::Kept),
            RehearsedTable {
                reasons: vec!["dbt recreates analytics.v_orders at every run".into()],
                warnings: vec![
                    "100% of its rows differ, more than the 5% of rehearsal.rows_changed_over".into(),
                ],
                without_rows: Duration::from_millis(120),
                columns_after: vec![integer("order_id"), integer("total"), integer("lines")],
                contents: Some(RowComparison {
                    before: Some(3),
                    after: Some(3),
                    difference: Some(difference),
                }),
                ..rehearsed("order_totals", TableEffect::Refilled, TableEffect::Refilled)
            },
            RehearsedTable {
                surprises: vec!["planned: dropped and recreated; observed: kept, not refilled".into()],
                contents: None,
                ..rehearsed("daily_revenue", TableEffect::Rebuilt, TableEffect::Kept)
            },
        ],
    }
}

const BEFORE: &str = "select
    o.order_id,
    o.customer_id,
    sum(l.amount) as total
from {{ orders }} o
join {{ lines }} l using (order_id)
group by 1, 2
";

const AFTER: &str = "select
    o.order_id,
    o.customer_id,
    sum(l.amount - l.discount) as total, -- ``` </details> @alice <!-- pgtrickle-ci:key -->
    count(*) as lines
from {{ orders }} o
join {{ lines }} l using (order_id)
where l.status <> 'void'
group by 1, 2
";

const SCRIPT: &str = "-- analytics.order_totals: not equal to its query: 1 row missing
create extension if not exists pg_trickle;
insert into orders values (7, '``` </details> @alice');
";

fn ages() -> Vec<TableAge> {
    let age = |name, refreshed_at, limits| TableAge {
        relation: relation(name),
        unique_id: format!("model.shop.{name}"),
        refreshed_at,
        refresh_ms: refreshed_at.map(|_| 1_204.5),
        now: 1_795_238_005.5,
        limits,
    };
    let limits = AgeLimits { warn_after: Some(Duration::from_secs(70)), error_after: None };
    vec![age("order_totals", Some(1_795_238_000.0), Some(limits)), age(HOSTILE_NAME, None, None)]
}

fn outcomes() -> Vec<Outcome> {
    use Stage::{Capture, Deploy, Freshness, Plan, Population, Scheduler, Setup, Test, Verify};
    use Verdict::{Errored, Failed, Passed, Skipped, Warned};
    let about = |stage, name: &str, verdict, message: &str| {
        Outcome::new(stage, &relation(name), verdict, message).about(Some(&origin(name)))
    };
    let ms = Duration::from_millis;
    vec![
        Outcome::new(Setup, "server", Passed, "PostgreSQL 18.4 answers on 127.0.0.1:5432").taking(ms(1_840)),
        about(Plan, "daily_revenue", Failed, "not allowed: drops and recreates it").with_details([
            "allow it with --allow-recreate analytics.daily_revenue, or restore partition_by".into(),
        ]),
        about(Deploy, "customer_value", Passed, "created by dbt").taking(ms(310)),
        about(Deploy, "order_totals", Failed, "column l.discount does not exist")
            .taking(ms(95))
            .with_details([
                "ERROR 42703: column l.discount does not exist".into(),
                "HINT: Perhaps you meant to reference the column \"l.discounts\".".into(),
            ]),
        about(Population, "customer_value", Passed, "1,204 rows").taking(ms(2_100)),
        about(Population, "order_totals", Skipped, "skipped: its deployment failed"),
        Outcome::new(Test, "not_null_customer_value_customer_id", Passed, "passed")
            .taking(ms(40))
            .concerning([&relation("customer_value")]),
        about(
            Freshness,
            "order_lines",
            Warned,
            "refreshed 4m10s ago, its schedule is 5m and 80 % of it is used",
        )
        .with_details(["raise freshness.warn_after to silence this".into()]),
        Outcome::new(Capture, &relation(HOSTILE_NAME), Errored, HOSTILE_MESSAGE)
            .with_details([HOSTILE_MESSAGE.into()]),
        Outcome::new(Scheduler, "scheduler", Passed, "ticked 1s ago").taking(ms(3)),
        Outcome {
            script: Some(SCRIPT.into()),
            ..about(
                Verify,
                "order_totals",
                Failed,
                "not equal to its query: 1 row missing, after round 3 of seed 1",
            )
            .with_details([
                "- order_id = 7, total = 12.00".into(),
                "script: pgtrickle-ci-findings/analytics.order_totals.sql".into(),
            ])
        },
    ]
}
