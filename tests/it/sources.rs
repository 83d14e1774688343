//! The sources of an ephemeral server: empty tables from declarations, and copies from another server.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, time::Duration};

use pgtrickle_ci::{
    model::{Relation, Secret},
    output::Ui,
    pg::{Client, Endpoint, Limits},
    project::{Declared, DeclaredColumn},
    server::Ephemeral,
    sources::{self, Error, SourceServer},
};

use crate::support::{Database, DbtProject, Ran, pgtrickle_ci, wanted};

const UI: Ui = Ui { quiet: true, verbose: false, full: false, color: false, width: 80, runner: false };
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    statement: Duration::from_secs(30),
    lock: Duration::from_secs(10),
};

/// Tables with foreign keys to others and to themselves, all kinds of types, difficult names, a view, a materialized
/// view, a partitioned table, and an unrelated table that may not be read.
const SHOP: &str = r#"
    create schema raw; create schema types; create schema "Odd ""S";
    create type types.mood as enum ('ok', 'it''s');
    create domain types.positive as int check (value > 0);
    create type types.pair as (a int, m types.mood);
    create function types.next(int) returns int language sql immutable as 'select $1 + 1';
    create function raw.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end';
    create table raw.regions (code text primary key, parent text references raw.regions);
    create table raw.customers (id bigserial primary key, name text not null unique, region text references raw.regions);
    create table raw.orders (
        id int generated always as identity primary key, customer_id bigint references raw.customers,
        amount numeric(10,2) check (amount >= 0), mood types.mood default 'ok', n types.positive, pair types.pair,
        moods types.mood[], twice numeric generated always as (amount * 2) stored, "T" int default types.next(1));
    create index on raw.orders (types.next("T"));
    create table raw.events (id int, d date) partition by range (d);
    create table raw.events_2026 partition of raw.events for values from ('2026-01-01') to ('2027-01-01');
    create table raw.secret (a int);
    create view raw.big as select o.id, c.name from raw.orders o join raw.customers c on c.id = o.customer_id;
    create materialized view raw.counted as select count(*) as n from raw.orders;
    create table "Odd ""S"."T * ?" ("C ol" int primary key, t text);
    insert into raw.regions values ('world', null), ('eu', 'world'), ('moon', null);
    insert into raw.customers (name, region) select 'c' || g, 'eu' from generate_series(1, 50) g;
    insert into raw.orders (customer_id, amount, mood, n, pair, moods)
        select 51 - g, g, 'it''s', 1, row(1, 'ok')::types.pair, '{ok,"it''s"}' from generate_series(1, 50) g;
    create trigger refuse before insert on raw.orders for each row execute function raw.refuse();
    insert into raw.events values (1, '2026-05-05');
    insert into "Odd ""S"."T * ?" values (1, E'tab\t, "quote", \\ and (brackets)'), (2, null), (3, '');
"#;

/// A server to copy to, with connections.
struct Target {
    server: Ephemeral,
    client: Client,
    wire: tokio_postgres::Client,
    _place: tempfile::TempDir,
}

impl Target {
    async fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let server = Ephemeral::start(&wanted(place.path())).await.unwrap();
        let client = Client::connect(server.endpoint(), LIMITS).await.unwrap();
        let url = server.endpoint().url();
        let (wire, connection) = tokio_postgres::connect(url.reveal(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Self { server, client, wire, _place: place }
    }

    async fn copy(
        &self,
        endpoint: &Endpoint,
        rows: Option<u32>,
        relations: &[(&str, &str)],
    ) -> Result<(), Error> {
        let origin = SourceServer { endpoint: endpoint.clone(), limits: LIMITS, rows };
        let relations: Vec<Relation> =
            relations.iter().map(|(schema, name)| Relation::new(*schema, *name)).collect();
        sources::copy(&origin, &relations, &self.server, &self.client, UI).await
    }

    async fn text(&self, sql: &str) -> String {
        let row = self.wire.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        row.get::<_, Option<String>>(0).unwrap_or_default()
    }

    async fn relations(&self) -> String {
        self.text(
            "select string_agg(oid::regclass::text, ' ' order by oid::regclass::text) from pg_class
              where relkind in ('r', 'p', 'v', 'm') and relnamespace::regnamespace::text
                    not in ('pg_catalog', 'information_schema', 'pgtrickle', 'pg_toast', 'public', 'pgtrickle_changes')",
        )
        .await
    }
}

const WANTED: [(&str, &str); 5] =
    [("raw", "orders"), ("raw", "big"), ("raw", "counted"), ("raw", "events"), ("Odd \"S", "T * ?")];

#[tokio::test(flavor = "multi_thread")]
async fn only_the_named_relations_and_their_dependencies_are_copied() {
    let shop = tokio::task::spawn_blocking(|| {
        let shop = Database::without_extension();
        shop.run(SHOP);
        shop
    });
    let shop = shop.await.unwrap();
    let target = Target::start().await;
    target.copy(&shop.endpoint, None, &[("raw", "orders"), ("Odd \"S", "T * ?")]).await.unwrap();
    assert_eq!(target.relations().await, r#""Odd ""S"."T * ?" raw.orders"#);
    assert_eq!(target.text("select count(*)::text from raw.orders").await, "0");
    let kept = "select string_agg(contype::text, '' order by contype) from pg_constraint where conrelid = 'raw.orders'::regclass";
    assert_eq!(target.text(kept).await, "cnp", "the foreign key references a table that was not copied");
    assert_eq!(target.text("select count(*)::text from pg_trigger where tgname = 'refuse'").await, "0");

    // A second copy fails, because the relations already exist.
    let error = target.copy(&shop.endpoint, None, &WANTED).await.unwrap_err();
    assert!(error.to_string().contains("already exists"), "{error}");
    tokio::task::spawn_blocking(move || drop(shop)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_includes_the_rows_that_it_references() {
    let shop = tokio::task::spawn_blocking(|| {
        let shop = Database::without_extension();
        shop.run(SHOP);
        shop
    });
    let shop = shop.await.unwrap();
    let target = Target::start().await;
    target.copy(&shop.endpoint, Some(2), &WANTED).await.unwrap();

    assert_eq!(
        target.relations().await,
        r#""Odd ""S"."T * ?" raw.big raw.counted raw.customers raw.events raw.events_2026 raw.orders raw.regions"#
    );
    // Two of each by the primary key, the two customers of the two orders, and the region's parent.
    for (table, ids) in [("raw.orders", "1,2"), ("raw.customers", "1,2,49,50"), ("raw.events", "1")] {
        let found = target.text(&format!("select string_agg(id::text, ',' order by id) from {table}")).await;
        assert_eq!(found, ids, "{table}");
    }
    assert_eq!(
        target.text("select string_agg(code, ',' order by code) from raw.regions").await,
        "eu,moon,world"
    );
    assert_eq!(
        target.text("select count(*)::text from pg_constraint where contype = 'f' and convalidated and connamespace = 'raw'::regnamespace").await,
        "3"
    );
    assert_eq!(target.text("select n::text from raw.counted").await, "2");
    for (table, next) in [("raw.orders", "3"), ("raw.customers", "51")] {
        let sql = format!("select nextval(pg_get_serial_sequence('{table}', 'id'))::text");
        assert_eq!(target.text(&sql).await, next, "{table}");
    }
    assert_eq!(target.text("select string_agg(name, ',' order by id) from raw.big").await, "c50,c49");
    let odd = r#"select string_agg("C ol" || ':' || coalesce(t, 'NULL'), '; ' order by "C ol") from "Odd ""S"."T * ?""#;
    assert_eq!(target.text(odd).await, "1:tab\t, \"quote\", \\ and (brackets); 2:NULL");
    let row = "select (mood, n, pair, moods, twice, \"T\")::text from raw.orders where id = 1";
    assert_eq!(target.text(row).await, r#"(it's,1,"(1,ok)","{ok,it's}",2.00,2)"#);
    tokio::task::spawn_blocking(move || drop(shop)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_of_a_copy_are_reported_before_it_starts() {
    let (shop, reader) = tokio::task::spawn_blocking(|| {
        let shop = Database::without_extension();
        let reader = format!("reader_{}", shop.endpoint.database);
        shop.run(SHOP);
        shop.run(&format!(
            "create role {reader} login password 'hunter22'; grant usage on schema raw to {reader};
             grant select on all tables in schema raw to {reader}; revoke select on raw.secret, raw.orders from {reader};
             "
        ));
        (shop, reader)
    })
    .await
    .unwrap();
    let target = Target::start().await;
    let endpoint =
        Endpoint { user: reader.clone(), password: Secret::new("hunter22"), ..shop.endpoint.clone() };

    // An unrelated table without the SELECT privilege is not a problem.
    target.copy(&endpoint, None, &[("raw", "customers")]).await.unwrap();
    let error = target
        .copy(&endpoint, None, &[("raw", "big"), ("raw", "secret"), ("raw", "nope")])
        .await
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "raw.nope does not exist".to_owned(),
        format!("raw.secret is not readable by `{reader}`"),
        format!("raw.orders is not readable by `{reader}`"),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    assert!(error.hint().unwrap().contains("SELECT"));
    assert_eq!(target.relations().await, "raw.customers");

    let nowhere = Endpoint { port: 1, ..endpoint };
    let error = target.copy(&nowhere, None, &[("raw", "orders")]).await.unwrap_err();
    assert!(error.to_string().contains("cannot connect to 127.0.0.1:1"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter22"));
    tokio::task::spawn_blocking(move || {
        shop.run(&format!("drop owned by {reader}; drop role {reader}"));
        drop(shop);
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stubs_use_only_declared_types() {
    let target = Target::start().await;
    let column = |name: &str, data_type: &str| DeclaredColumn {
        name: name.into(),
        data_type: (!data_type.is_empty()).then(|| data_type.into()),
    };
    let declared = |columns: Vec<DeclaredColumn>| Declared { file: "models/raw.yml".into(), columns };
    let odd = Relation::new("Odd \"S", "T");
    let good = BTreeMap::from([(
        odd.clone(),
        declared(vec![
            column("Z", "numeric(10, 2)"),
            column("a\"b", "timestamp with time zone"),
            column("order", "int[]"),
        ]),
    )]);
    sources::stub(&target.client, &[odd], &good).await.unwrap();
    let columns =
        "select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum)
                     from pg_attribute where attrelid = '\"Odd \"\"S\".\"T\"'::regclass and attnum > 0";
    assert_eq!(target.text(columns).await, "Z numeric(10,2), a\"b timestamp with time zone, order integer[]");

    let (one, other) = (Relation::new("raw", "one"), Relation::new("raw", "other"));
    let bad = BTreeMap::from([
        (
            one.clone(),
            declared(vec![column("a", ""), column("b", "int"), column("c", "int); drop table x; --")]),
        ),
        (other.clone(), declared(vec![])),
    ]);
    let error = sources::stub(&target.client, &[one, other], &bad).await.unwrap_err().to_string();
    for part in [
        "models/raw.yml: raw.one, column a has no data_type",
        "models/raw.yml: raw.one, column c has the unknown data_type `int); drop table x; --`",
        "models/raw.yml: raw.other has no columns",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(target.text("select count(*)::text from pg_namespace where nspname = 'raw'").await, "0");
}

/// Fixtures run first, and their tables stay. All incomplete declarations of other sources are reported.
#[test]
fn a_run_creates_stubs_for_sources_without_a_fixture() {
    let project = DbtProject::new();
    project.write("pgtrickle-ci.yml", "fixtures: [ci/sources.sql]\n");
    project.write("ci/sources.sql", "create schema raw; create table raw.orders (id int primary key, amount int); insert into raw.orders values (1, 10);");
    let yaml = |data_type: &str| {
        format!(
            "version: 2\nsources:\n  - name: raw\n    tables:\n      - name: orders\n      - name: customers\n        columns:\n          - name: id\n            data_type: int\n          - name: name\n{data_type}      - name: unread\n"
        )
    };
    project.write("models/sources.yml", &yaml(""));
    project.stream_table(
        "good",
        "{'schedule': '1m'}",
        "select o.id, o.amount, c.name from {{ source('raw', 'orders') }} o left join {{ source('raw', 'customers') }} c on c.id = o.id",
    );
    project.write(
        "tests/the_fixture_was_kept.sql",
        "select 1 where (select count(*) from {{ ref('good') }}) <> 1",
    );
    let run = || {
        let mut gate = pgtrickle_ci();
        gate.args(["run", "--engine", "emulator", "--stub-sources", "--project-dir"]);
        Ran::of(gate.arg(project.path()).arg("--profiles-dir").arg(project.path()))
    };
    let ran = run()
        .expect_error("models/sources.yml: raw.customers, column name has no data_type", "--sources-from");
    assert!(!ran.stderr.contains("unread"), "{}", ran.stderr);
    project.write("models/sources.yml", &yaml("            data_type: varchar(20)\n"));
    run().expect(0);
}
