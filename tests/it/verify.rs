//! `verify`: equal tables pass, and differences are counted and shown.

mod driven;
mod effects;
mod failing;
mod faulty;
mod functions;
mod logged;
mod named;
mod open;
mod partitions;
mod planted;
mod shards;
mod snapshots;
mod types;
mod values;

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pgtrickle_ci::pg::Endpoint;
use serde_json::Value;

use crate::support::{Database, Ran, pgtrickle_ci};

/// Verifies every stream table of the database.
fn verify(database: &Database, more: &[&str]) -> (Ran, Value) {
    verify_in(tempfile::tempdir().unwrap().path(), &database.endpoint, more)
}

/// The same, started in this folder.
fn verify_in(dir: &Path, endpoint: &Endpoint, more: &[&str]) -> (Ran, Value) {
    let report = dir.join("report.json");
    let ran = Ran::of(
        pgtrickle_ci()
            .current_dir(dir)
            .args(["verify", "--database-url", endpoint.url().reveal()])
            .args(more)
            .arg("--json")
            .arg(&report),
    );
    let report = fs::read(&report).unwrap_or_else(|_| panic!("no report: {}", ran.stderr));
    let report = serde_json::from_slice(&report).unwrap();
    (ran, report)
}

/// A verification that goes on for longer than it takes to end it, and leaves `report.json` in the folder.
fn started(dir: &Path, endpoint: &Endpoint, more: &[&str]) -> Child {
    pgtrickle_ci()
        .current_dir(dir)
        .args(["verify", "--database-url", endpoint.url().reveal(), "--allow-writes", &endpoint.database])
        .args(more)
        .args(["--json", "report.json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends it the signal. Returns its exit code.
fn end(child: &mut Child, signal: Signal) -> Option<i32> {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    child.wait().unwrap().code()
}

/// Interrupts it as soon as this is so, unless it ends before. Returns its exit code.
fn interrupt_when(child: &mut Child, is_so: impl Fn() -> bool) -> Option<i32> {
    while child.try_wait().unwrap().is_none() {
        if is_so() {
            return end(child, Signal::SIGINT);
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.wait().unwrap().code()
}

/// The command, for runs that end in an error.
fn verify_command(database: &Database, more: &[&str]) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    Ran::of(
        pgtrickle_ci().current_dir(dir.path()).args(["verify", "--database-url", &database.url()]).args(more),
    )
}

#[track_caller]
fn outcome<'a>(report: &'a Value, stage: &str, subject: &str) -> &'a Value {
    let outcomes = report["outcomes"].as_array().unwrap();
    let found = outcomes.iter().find(|o| o["stage"] == stage && o["subject"] == subject);
    found.unwrap_or_else(|| panic!("no {stage} of {subject} in {report:#}"))
}

#[track_caller]
fn expect(report: &Value, subject: &str, verdict: &str, words: &str) {
    let outcome = outcome(report, "equality", subject);
    assert_eq!(outcome["verdict"], verdict, "{outcome:#}");
    assert!(outcome["message"].as_str().unwrap().contains(words), "`{words}` is not in {outcome:#}");
}

fn create(database: &Database, name: &str, query: &str, mode: &str) {
    let query = query.replace('\'', "''");
    database
        .run(&format!("select pgtrickle.create_stream_table('public.{name}', '{query}', '1h', '{mode}')"));
}

/// A role that may write to every table of these schemas and of pg_trickle's.
struct OrdinaryRole<'a> {
    database: &'a Database,
    endpoint: Endpoint,
}

impl<'a> OrdinaryRole<'a> {
    fn of(database: &'a Database, schemas: &str) -> Self {
        let Endpoint { host, port, database: name, .. } = &database.endpoint;
        let role = format!("{name}_role");
        database.run(&format!(
            "create role {role} login password 'x'; grant pg_monitor to {role}; grant create on schema public to {role};
             grant usage on schema pgtrickle, pgtrickle_changes, {schemas} to {role};
             grant all on all tables in schema pgtrickle, pgtrickle_changes to {role};
             grant select, insert, update, delete on all tables in schema {schemas} to {role};
             grant all on all sequences in schema pgtrickle, pgtrickle_changes to {role}"
        ));
        let endpoint = Endpoint::parse(&format!("postgresql://{role}:x@{host}:{port}/{name}")).unwrap();
        Self { database, endpoint }
    }
}

impl Drop for OrdinaryRole<'_> {
    fn drop(&mut self) {
        let role = &self.endpoint.user;
        self.database.run(&format!(
            "reassign owned by {role} to current_user; drop owned by {role}; drop role {role}"
        ));
    }
}

/// Bypasses the guards against writing to a stream table.
fn corrupt(database: &Database, sql: &str) {
    database.run(&format!("set session_replication_role = replica; {sql}; reset session_replication_role"));
}

#[test]
fn differing_rows_are_counted_and_values_of_every_type_compared() {
    let database = Database::new();
    database.run(
        "create type mood as enum ('sad', 'glad');
         create domain small as int check (value < 100);
         create table things (id int primary key, f float8, r real, n numeric, j json, b jsonb, p point, xs int[],
                              m mood, s small, v varchar(9));
         insert into things select n, n / 3.0, n / 7.0, n / 3.0, json_build_object('b', n, 'a', 1), '{\"a\": 1}', point(n, 1),
                                   array[n, 1], 'glad', n, 'x' || n from generate_series(1, 20) as n;
         create table bag (word text); insert into bag values ('a'), ('a'), (null);",
    );
    create(
        &database,
        "every_type",
        "select id, f, r, n, j, b, p, xs, m, s, v from public.things",
        "DIFFERENTIAL",
    );
    create(&database, "bagged", "select word from public.bag", "FULL");
    create(&database, "immediate", "select id, n from public.things", "IMMEDIATE");
    create(&database, "top", "select id, n from public.things order by n desc limit 3", "DIFFERENTIAL");

    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(0);
    for (table, rows) in
        [("every_type", "20 rows"), ("bagged", "3 rows"), ("immediate", "20 rows"), ("top", "3 rows")]
    {
        expect(&report, &format!("public.{table}"), "passed", &format!("equal to its query: {rows}"));
    }
    let every_type = outcome(&report, "equality", "public.every_type");
    assert!(every_type["details"].to_string().contains("(the type has no `=`): p"), "{every_type:#}");

    corrupt(
        &database,
        "update every_type set p = point(0, 0) where id = 3; update every_type set j = '{\"a\":1,\"b\":4}' where id = 4;
         delete from every_type where id = 5; delete from bagged where ctid = (select min(ctid) from bagged where word = 'a');
         update top set n = n + 0.1 where id = 20",
    );
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(1);
    expect(&report, "public.every_type", "failed", "1 row too many, 2 rows missing");
    expect(&report, "public.bagged", "failed", "not equal to its query: 1 row missing");
    expect(&report, "public.top", "failed", "1 row too many, 1 row missing");
    let details = outcome(&report, "equality", "public.every_type")["details"].to_string();
    assert!(details.contains("+ id = 3") && details.contains("- id = 5"), "{details}");
}

/// Each query waits until another connection runs one, too.
#[test]
fn several_connections_compare_several_tables_at_a_time() {
    let database = Database::new();
    database.run(
        "create table o (id int primary key); insert into o select generate_series(1, 4);
         create function met(n int) returns int language plpgsql immutable as 'begin return n; end'",
    );
    for nth in 1..=4 {
        create(&database, &format!("met_{nth}"), "select id, public.met(id) as n from public.o", "FULL");
    }
    corrupt(&database, "delete from met_3 where id = 1");
    for jobs in ["1", "4"] {
        if jobs == "4" {
            // A session keeps its lock, so that the others need not come at the same time, and long enough for them to see it.
            database.run(
                "create or replace function met(n int) returns int language plpgsql immutable as $$ begin
                   perform pg_advisory_lock_shared(815);
                   for attempt in 1..6000 loop
                     if (select count(distinct pid) > 1 from pg_locks where locktype = 'advisory' and objid = 815) then
                       perform pg_sleep(0.1);
                       return n;
                     end if;
                     perform pg_sleep(0.01);
                   end loop;
                   raise 'no other connection compares';
                 end $$",
            );
        }
        let (ran, report) = verify(&database, &["--static", "--jobs", jobs]);
        ran.expect(1);
        let outcomes = report["outcomes"].as_array().unwrap();
        let compared: Vec<(&str, &str)> = outcomes
            .iter()
            .filter(|outcome| outcome["stage"] == "equality")
            .map(|outcome| (outcome["subject"].as_str().unwrap(), outcome["verdict"].as_str().unwrap()))
            .collect();
        let expected = [
            ("public.met_1", "passed"),
            ("public.met_2", "passed"),
            ("public.met_3", "failed"),
            ("public.met_4", "passed"),
        ];
        assert_eq!(compared, expected);
    }
}

#[test]
fn only_the_last_bits_of_floating_point_may_differ() {
    let database = Database::new();
    database.run("create table m (k int, f float8, g float8, r real); insert into m select n, n / 3.0, 1e9 / n, n / 7.0 from generate_series(1, 50) as n");
    create(
        &database,
        "sums",
        "select k, sum(f) as f, sum(g) as g, max(r) as r from public.m group by k",
        "DIFFERENTIAL",
    );
    create(&database, "keyless", "select f, g from public.m", "FULL");
    corrupt(
        &database,
        "update sums set f = f * (1 + 1e-12), g = g * (1 - 1e-11), r = r * 1.0000002; update keyless set g = g * (1 + 1e-12)",
    );
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(0);
    let sums = outcome(&report, "equality", "public.sums");
    assert!(sums["details"].to_string().contains("equal within tolerance"), "{sums:#}");

    corrupt(
        &database,
        "update sums set f = f * (1 + 1e-8) where k < 3; update sums set g = 'infinity' where k = 9; update keyless set f = 0 where f < 1",
    );
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(1);
    expect(&report, "public.sums", "failed", "3 rows too many, 3 rows missing");
    expect(&report, "public.keyless", "failed", "2 rows too many, 2 rows missing");
}

#[test]
fn an_undefined_order_is_not_a_difference() {
    let database = Database::new();
    database.run("create table w (id int primary key, k int, v int); insert into w values (1, 1, 5), (2, 1, 6), (3, 2, 7), (4, 2, 7)");
    create(
        &database,
        "open_order",
        "select k, array_agg(v) as vs, string_agg(v::text, ',') as t from public.w group by k",
        "FULL",
    );
    create(
        &database,
        "given_order",
        "select k, array_agg(v order by v) as vs from public.w group by k",
        "FULL",
    );
    create(&database, "tied", "select id, v from public.w order by v desc limit 1", "DIFFERENTIAL");
    corrupt(
        &database,
        "update open_order set vs = '{6,5}', t = '6,5' where k = 1; update given_order set vs = '{6,5}' where k = 1; update tied set id = case id when 3 then 4 else 3 end",
    );
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(1);
    expect(&report, "public.open_order", "passed", "equal to its query");
    expect(&report, "public.tied", "passed", "equal to its query");
    expect(&report, "public.given_order", "failed", "1 row too many, 1 row missing");
    corrupt(&database, "update open_order set vs = '{6,6}' where k = 1; update tied set id = 1, v = 5");
    let (_, report) = verify(&database, &["--static"]);
    expect(&report, "public.open_order", "failed", "1 row too many");
    expect(&report, "public.tied", "failed", "1 row too many");
}

#[test]
fn a_difference_without_proof_is_not_a_failure() {
    let database = Database::new();
    database.run("create table o (id int primary key, n int); insert into o values (1, 1)");
    create(&database, "late", "select id, n from public.o", "DIFFERENTIAL");
    create(&database, "dice", "select id, random() as roll from public.o", "FULL");
    database.run("select pgtrickle.create_stream_table('public.empty', 'select id from public.o', '1h', 'DIFFERENTIAL', initialize => false)");
    database.run("insert into o values (2, 2)");
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(0);
    expect(&report, "public.late", "warned", "changes of its sources are pending");
    expect(
        &report,
        "public.dice",
        "skipped",
        "its query uses `random`, which returns something else each time",
    );
    expect(&report, "public.empty", "skipped", "never populated");
    database.run("select pgtrickle.refresh_stream_table('public.late')");
    corrupt(&database, "delete from late where id = 1");
    let (_, report) = verify(&database, &["--static"]);
    expect(&report, "public.late", "failed", "1 row missing");
}

#[test]
fn a_clock_in_a_view_or_function_only_warns_and_a_column_named_like_one_is_compared() {
    let database = Database::new();
    database.run(
        "create table o (id int primary key, now int, random int); insert into o values (1, 1, 1);
         create view below as select id, o.now from o where now() > '2000-01-01'; create view above as select id, \"now\" from below;
         create function today() returns date language sql stable as 'select current_date';
         create function later() returns date language plpgsql stable as 'begin return today() + 1; end'",
    );
    create(&database, "by_view", "select id, \"now\" from public.above", "FULL");
    create(&database, "by_function", "select id, public.later() as due from public.o", "FULL");
    create(&database, "by_name", "select id, now, random from public.o", "DIFFERENTIAL");
    for table in ["by_view", "by_function", "by_name"] {
        corrupt(&database, &format!("update {table} set id = 2"));
    }
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(1);
    expect(&report, "public.by_view", "warned", "the view public.below uses `now`, which changes over time");
    expect(&report, "public.by_function", "warned", "the function public.today uses `current_date`");
    expect(&report, "public.by_name", "failed", "1 row too many");
}

/// The scheduler refreshes with the settings of the database.
#[test]
fn a_role_with_a_time_zone_of_its_own_compares_in_the_one_of_the_database() {
    let database = Database::new();
    let (name, user) = (&database.endpoint.database, &database.endpoint.user);
    database.run(&format!("alter database {name} set timezone = 'America/New_York'"));
    let scheduler = Database::connect(&database.endpoint);
    scheduler.run(
        "create table o (id int primary key, at timestamptz); insert into o values (1, '2024-01-01 04:00+00');
         select pgtrickle.create_stream_table('public.days', 'select id, at::date as day from public.o', '1h', 'FULL')",
    );
    database.run(&format!("alter role {user} in database {name} set timezone = 'Asia/Tokyo'"));
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(0);
    expect(&report, "public.days", "passed", "equal to its query: 1 row");
    let (ran, report) = verify(&database, &["--allow-writes", name, "--budget", "2s"]);
    ran.expect(0);
    assert_eq!(outcome(&report, "verify", "public.days")["verdict"], "passed", "{report:#}");

    database.run(&format!("alter database {name} reset timezone"));
    verify_command(&database, &["--static"]).expect_error("has its own timezone", "RESET timezone");
}

#[test]
fn a_role_from_which_rows_are_hidden_compares_nothing() {
    let database = Database::new();
    let (name, port) = (&database.endpoint.database, database.endpoint.port);
    let role = format!("{name}_few");
    database.run("create table o (id int primary key); insert into o values (1), (2)");
    create(&database, "all_of_it", "select id from public.o", "FULL");
    database.run(&format!(
        "alter table o enable row level security; create policy few on o using (id < 2);
         create role {role} login password 'x'; grant select on all tables in schema public, pgtrickle, pgtrickle_changes to {role};
         grant usage on schema pgtrickle, pgtrickle_changes to {role}; grant pg_monitor to {role}"
    ));
    let url = format!("postgresql://{role}:x@{}:{port}/{name}", database.endpoint.host);
    let dir = tempfile::tempdir().unwrap();
    let (ran, report) = verify_in(dir.path(), &Endpoint::parse(&url).unwrap(), &["--static"]);
    ran.expect(1);
    expect(&report, "public.all_of_it", "errored", "row-level security");
    let compared = outcome(&report, "equality", "public.all_of_it").to_string();
    assert!(compared.contains("alter role") && compared.contains("bypassrls"), "{compared}");
    database.run(&format!("drop owned by {role}; drop role {role}"));
}

/// Many features of schemas and queries.
fn everything(database: &Database) {
    database.run(
        "create type mood as enum ('sad', 'glad');
         create domain cents as numeric(10, 2) check (value >= -1000);
         create table people (id int generated always as identity primary key, name text not null unique, boss int references people (id), mood mood);
         create table sales (id bigint primary key, person int references people (id), price cents, qty int check (qty < 100000), at timestamp, day date generated always as (at::date) stored, flags text[], doc jsonb);
         create table bag (word text, weight float8);
         create table parts (region text, id int, n int, primary key (region, id)) partition by list (region);
         create table parts_eu partition of parts for values in ('eu'); create table parts_rest partition of parts default;
         create table empty_one (id uuid primary key, n int not null, t text);
         create table journal (id int primary key, what text, at timestamp);
         insert into journal select n, 'w' || n, timestamp '2024-01-01' + n * interval '1 day' from generate_series(1, 20) as n;
         insert into people (name, boss, mood) select 'p' || n, nullif(n / 3, 0), 'glad' from generate_series(1, 12) as n;
         insert into sales (id, person, price, qty, at, flags, doc) select n, 1 + n % 12, n * 1.5, n % 9, timestamp '2024-01-01' + n * interval '7 hours', array['a', 'b' || n % 3], '{\"a\": 1}' from generate_series(1, 80) as n;
         insert into bag select 'w' || n % 6, n / 4.0 from generate_series(1, 30) as n;
         insert into parts select (array['eu', 'us'])[1 + n % 2], n, n from generate_series(1, 20) as n;",
    );
    create(
        database,
        "per_person",
        "select person, count(*) as n, sum(price) as total, min(qty) as least from public.sales group by person",
        "DIFFERENTIAL",
    );
    create(database, "large", "select person, total from public.per_person where n > 2", "DIFFERENTIAL");
    create(
        database,
        "both_ways",
        "select p.id, p.name, t.total, l.total as large from public.people as p left join public.per_person as t on t.person = p.id left join public.large as l on l.person = p.id",
        "FULL",
    );
    create(database, "words", "select distinct word from public.bag", "DIFFERENTIAL");
    create(
        database,
        "weights",
        "select word, count(*) as n, sum(weight) as w from public.bag group by word",
        "DIFFERENTIAL",
    );
    create(
        database,
        "dear",
        "select id, price from public.sales order by price desc limit 5",
        "DIFFERENTIAL",
    );
    create(
        database,
        "by_region",
        "select region, sum(n) as n from public.parts group by region",
        "DIFFERENTIAL",
    );
    database.run("select pgtrickle.create_stream_table('public.by_region_apart', 'select region, count(*) as n from public.parts group by region', '1h', 'DIFFERENTIAL', partition_by => 'LIST:region')");
    database.run("select pgtrickle.create_stream_table('public.appended', 'select id, what, at from public.journal', '1h', 'DIFFERENTIAL', append_only => true)");
    create(database, "made_up", "select id, n, t from public.empty_one", "DIFFERENTIAL");
    create(
        database,
        "ranked",
        "select id, person, rank() over (partition by person order by price desc, id) as place from public.sales",
        "FULL",
    );
    create(
        database,
        "chiefs",
        "with recursive above as (select id, boss, 1 as depth from public.people where boss is null union all select p.id, p.boss, a.depth + 1 from public.people as p join above as a on p.boss = a.id where a.depth < 20) select id, depth from above",
        "FULL",
    );
    create(database, "at_once", "select id, qty, day from public.sales where qty > 3", "IMMEDIATE");
}

/// What `attempt` returns, with a budget that grows until it returns something: how many rounds a second has depends on
/// the machine.
#[track_caller]
fn with_time<T>(attempt: impl FnMut(&str) -> Option<T>) -> T {
    ["2s", "8s", "32s", "128s", "512s"].into_iter().find_map(attempt).expect("not even with 512 s")
}

/// Whether these tables have this verdict. If not, the report is on standard error.
#[expect(clippy::print_stderr, reason = "a test that fails shows why")]
fn all_are(verdict: &str, report: &Value, tables: &[&str]) -> Option<()> {
    let other = tables
        .iter()
        .find(|table| outcome(report, "verify", &format!("public.{table}"))["verdict"] != verdict);
    if let Some(other) = other {
        eprintln!("{other} is not {verdict}: {report:#}");
    }
    other.is_none().then_some(())
}

/// How many seeds a test tries: more in the hosted workflow.
fn seeds() -> u32 {
    std::env::var("PGTRICKLE_CI_TEST_SEEDS").map_or(1, |seeds| seeds.parse().unwrap())
}

/// The tables that `everything` creates.
const TABLES_OF_EVERYTHING: [&str; 12] = [
    "per_person",
    "large",
    "both_ways",
    "weights",
    "dear",
    "by_region",
    "by_region_apart",
    "appended",
    "ranked",
    "made_up",
    "chiefs",
    "at_once",
];

#[test]
fn healthy_tables_have_no_finding_with_any_seed() {
    let database = Database::new();
    everything(&database);
    let emulator =
        database.value("select extversion like '%-emulator' from pg_extension where extname = 'pg_trickle'");
    if emulator.as_deref() != Some("t") {
        return; // What pg_trickle itself gets wrong is its own.
    }
    let name = database.endpoint.database.clone();
    for seed in 1..=seeds() {
        let seed = seed.to_string();
        with_time(|budget| {
            let words = ["--allow-writes", &name, "--budget", budget, "--seed", &seed];
            let (ran, report) = verify(&database, &words);
            ran.expect(0);
            all_are("passed", &report, &TABLES_OF_EVERYTHING)
        });
    }
}

#[test]
fn only_the_named_database_is_written_to() {
    let database = Database::new();
    database.run(
        "create table o (id int primary key); create view v as select id from o; insert into o values (1)",
    );
    create(&database, "s", "select id from public.v", "DIFFERENTIAL");
    let dir = tempfile::tempdir().unwrap();
    let mut other = pgtrickle_ci();
    other.current_dir(dir.path()).args([
        "verify",
        "--database-url",
        &database.url(),
        "--allow-writes",
        "another",
    ]);
    Ran::of(&mut other).expect_error("`--allow-writes another` does not allow writes", "--allow-writes ");
    let (ran, report) = verify(&database, &[]);
    let ran = ran.expect(0);
    assert!(ran.stderr.contains("to change rows"), "{}", ran.stderr);
    assert!(report["outcomes"].as_array().unwrap().iter().all(|o| o["stage"] == "equality"), "{report:#}");
    let (ran, report) = verify(&database, &["--allow-writes", &database.endpoint.database, "--budget", "1s"]);
    ran.expect(0);
    assert!(outcome(&report, "verify", "public.v")["message"].as_str().unwrap().contains("is a view"));

    let name = database.endpoint.database.clone();
    database.run(&format!("alter database {name} set default_transaction_read_only = on"));
    let mut reader = pgtrickle_ci();
    reader.current_dir(dir.path()).args([
        "verify",
        "--database-url",
        &database.url(),
        "--allow-writes",
        &name,
    ]);
    Ran::of(&mut reader).expect_error("is read-only", "connect to the primary");
}
