//! A named server: each round is one transaction that is rolled back, so nothing is lost or left behind, whatever ends
//! it.

use std::{
    fs,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pgtrickle_ci::pg::Endpoint;
use serde_json::{Value, json};

use super::{
    OrdinaryRole, all_are, corrupt, create, end, everything, outcome, started, verify, verify_in, with_time,
};
use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

/// A database whose server does not say that it is ephemeral.
fn named() -> Database {
    let database = Database::new();
    let name = &database.endpoint.database;
    database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = off"));
    database
}

/// The rows of every table of the database, bit for bit, without the engine's own bookkeeping.
#[track_caller]
fn fingerprint(database: &Database) -> String {
    database.run(
        "create or replace function pg_temp.fingerprint() returns text language plpgsql as $$
         declare
           of regclass;
           rows text;
           whole text := '';
         begin
           for of in
             select c.oid from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
             where c.relkind = 'r' and n.nspname !~ '^pg_|^information_schema$|^pgtrickle$' order by c.oid
           loop
             execute format('select concat(count(*), '':'', sum(hashtextextended(encode(record_send(r.*), ''hex''), 0)::numeric)) from only %s as r', of) into rows;
             whole := whole || of || '=' || rows || E'\\n';
           end loop;
           return whole;
         end $$",
    );
    database.value("select pg_temp.fingerprint()").unwrap()
}

/// Verifies with rows that change, and the rows are the same before and after.
#[track_caller]
fn unchanged(database: &Database, more: &[&str]) -> Value {
    let before = fingerprint(database);
    let name = database.endpoint.database.clone();
    let budget: &[&str] = if more.contains(&"--budget") { &[] } else { &["--budget", "3s"] };
    let arguments = [&["--allow-writes", &name], budget, more].concat();
    let (ran, report) = verify(database, &arguments);
    assert!(ran.code != Some(2), "{}", ran.stderr);
    assert_eq!(fingerprint(database), before, "{report:#}");
    let rollback = outcome(&report, "verify", "rollback");
    assert!(rollback["message"].as_str().unwrap().contains("are the same, bit for bit"), "{rollback:#}");
    report
}

/// The same, and changes reached these tables. What pg_trickle itself gets wrong is its own.
#[track_caller]
fn verified(database: &Database, more: &[&str], tables: &[&str]) {
    with_time(|budget| {
        let report = unchanged(database, &[&["--budget", budget], more].concat());
        if database.is_emulator() { all_are("passed", &report, tables) } else { Some(()) }
    });
}

#[test]
fn nothing_is_committed_and_every_table_is_verified() {
    let database = named();
    everything(&database);
    let tables =
        ["per_person", "large", "both_ways", "weights", "by_region", "appended", "ranked", "at_once"];
    verified(&database, &[], &tables);
    let history = "select count(*) from pgtrickle.pgt_refresh_history where initiated_by = 'MANUAL'";
    assert_eq!(database.value(history).as_deref(), Some("0"));
}

#[test]
fn cascading_changes_are_rolled_back_too() {
    let shapes = [
        ("a child", "create table family (id int primary key, n int); create table child () inherits (family);
                     insert into family values (1, 1), (2, 2); insert into child values (3, 3), (4, 4)",
         "select id, n from public.family"),
        ("a trigger of a partition", "create table log (at timestamptz default clock_timestamp(), row text);
                     create table family (id int primary key, n int) partition by range (id);
                     create table one partition of family for values from (0) to (20); create table two partition of family default;
                     create function note() returns trigger language plpgsql as 'begin insert into log (row) values (tg_op); return null; end';
                     create trigger note after insert or update or delete on one for each row execute function note();
                     insert into family select n, n from generate_series(1, 30) as n",
         "select id, n from public.family"),
        ("a rule", "create table log (n int); create table family (id int primary key, n int);
                    create rule noted as on update to family do also insert into log values (old.n);
                    insert into family select n, n from generate_series(1, 9) as n",
         "select id, n from public.family"),
        ("a key that cascades to one partition", "create table family (id int primary key, n int) partition by range (id);
                    create table one partition of family for values from (0) to (20); create table two partition of family default;
                    create table behind (id int primary key, one int references one on delete cascade on update cascade);
                    insert into family select n, n from generate_series(1, 30) as n; insert into behind select n, n from generate_series(1, 19) as n",
         "select id, n from public.family"),
        ("a partitioned table without a key", "create table family (id int, n int) partition by list (id);
                    create table one partition of family for values in (1, 2); create table two partition of family default;
                    insert into family select n % 4, n % 2 from generate_series(1, 30) as n",
         "select n, count(*) as times from public.family group by n"),
        ("a deferred constraint", "create table parent (id int primary key); create table family (id int primary key, n int not null references parent deferrable initially deferred);
                    insert into parent values (1), (2); insert into family values (1, 1), (2, 2), (3, 2)",
         "select f.id, p.id as parent from public.family as f join public.parent as p on p.id = f.n"),
        ("a column that is called like an alias", "create table family (id int primary key, t text, r text, source text);
                    insert into family select n, 'a', 'b', 'c' from generate_series(1, 9) as n",
         "select id, t from public.family"),
    ];
    for (shape, setup, query) in shapes {
        let database = named();
        database.run(setup);
        create(&database, "reader", query, "DIFFERENTIAL");
        let report = unchanged(&database, &[]);
        assert_ne!(outcome(&report, "verify", "public.reader")["verdict"], "skipped", "{shape}: {report:#}");
    }
}

#[test]
fn floats_survive_a_database_that_rounds_them() {
    let database = named();
    let name = &database.endpoint.database;
    database.run(&format!(
        "alter database {name} set extra_float_digits = 0; alter database {name} set datestyle = 'SQL, DMY';
         alter database {name} set intervalstyle = 'sql_standard'; alter database {name} set bytea_output = 'escape';
         create table family (id int primary key, f float8, r real, i interval, d date, b bytea);
         insert into family select n, n / 3.0 + 1e-15, n / 7.0, '1 year -3 days 04:05:06.7', '0044-03-15 BC', '\\x005c' from generate_series(1, 20) as n"
    ));
    create(&database, "reader", "select id, f, r, i, d, b from public.family", "DIFFERENTIAL");
    verified(&database, &[], &["reader"]);
}

/// There a backslash is an escape in every text, and our own queries have patterns with backslashes.
#[test]
fn a_session_that_reads_backslashes_as_escapes_finds_the_same() {
    let database = named();
    everything(&database);
    let found = |options: &str| {
        let dir = tempfile::tempdir().unwrap();
        let found = |words: &[&str]| {
            let mut gate = pgtrickle_ci();
            gate.args(words)
                .args(["--json", "-", "--database-url", &database.url()])
                .env("PGOPTIONS", options);
            let ran = Ran::of(gate.current_dir(dir.path()));
            let report: Value =
                serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
            let outcomes = report["outcomes"].as_array().unwrap().iter();
            let told: Vec<_> = outcomes
                .map(|outcome| {
                    ["stage", "subject", "verdict"].map(|field| outcome[field].as_str().unwrap().to_owned())
                })
                .collect();
            (ran.code, told)
        };
        [found(&["check"]), found(&["verify", "--static"])]
    };
    assert_eq!(found("-c standard_conforming_strings=off"), found("-c standard_conforming_strings=on"));
}

/// A deferrable transaction waits until all others end, and a verification has several.
#[test]
fn a_database_with_deferrable_transactions_is_verified() {
    let database = named();
    let name = &database.endpoint.database;
    database.run(&format!(
        "alter database {name} set default_transaction_isolation = serializable;
         alter database {name} set default_transaction_deferrable = on;
         create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 20) as n"
    ));
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    verified(&database, &[], &["reader"]);
}

/// A role that loads data may have it for good: its changes fire no triggers, and nothing captures them.
#[test]
fn triggers_fire_for_a_role_that_replicates() {
    let database = named();
    let name = &database.endpoint.database;
    database.run(&format!(
        "alter database {name} set session_replication_role = replica;
         create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 9) as n"
    ));
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    verified(&database, &[], &["reader"]);
    // Without the right to change it, no green and no red is said.
    let role = format!("{name}_loader");
    database.run(&format!(
        "create role {role} login password 'x'; grant all on family, reader to {role}; grant create on schema public to {role};
         grant usage on schema pgtrickle, pgtrickle_changes to {role}; grant all on all tables in schema pgtrickle, pgtrickle_changes to {role};
         grant all on all sequences in schema pgtrickle, pgtrickle_changes to {role}; grant pg_monitor to {role}"
    ));
    let url = format!("postgresql://{role}:x@{}:{}/{name}", database.endpoint.host, database.endpoint.port);
    let dir = tempfile::tempdir().unwrap();
    let mut gate = pgtrickle_ci();
    gate.current_dir(dir.path()).args([
        "verify",
        "--database-url",
        &url,
        "--allow-writes",
        name,
        "--budget",
        "1s",
    ]);
    crate::support::Ran::of(&mut gate)
        .expect_error(&format!("do not fire for `{role}`"), "RESET session_replication_role");
    database.run(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_source_with_effects_beyond_a_rollback_is_not_changed() {
    let shapes = [
        ("public.elsewhere, which is written in c",
         "create function elsewhere() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
          create function note() returns trigger language plpgsql as 'begin perform elsewhere(); return null; end';
          create trigger note after update on one for each row execute function note()"),
        ("mentions far",
         "create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
          create foreign table far (n int) server nowhere;
          create function note() returns trigger language plpgsql as 'begin insert into far values (1); return null; end';
          create trigger note after update on one for each row execute function note()"),
        ("writes to the foreign table public.far",
         "create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
          create foreign table far (n int) server nowhere;
          create rule noted as on delete to family do also insert into far values (old.n)"),
        ("the trigger further of public.audit calls public.elsewhere",
         "create function elsewhere() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
          create table audit (n int);
          create function note() returns trigger language plpgsql as 'begin insert into audit values (1); return null; end';
          create trigger note after update on one for each row execute function note();
          create function further() returns trigger language plpgsql as 'begin perform elsewhere(); return null; end';
          create trigger further after insert on audit for each row execute function further()"),
        ("the trigger further of public.audit calls public.elsewhere",
         "create function elsewhere() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
          create table audit (n int); create rule noted as on delete to family do also insert into audit values (old.n);
          create function further() returns trigger language plpgsql as 'begin perform elsewhere(); return null; end';
          create trigger further after insert on audit for each row execute function further()"),
        ("reach the foreign table public.far",
         "create foreign data wrapper nothing; create server nowhere foreign data wrapper nothing;
          create foreign table far (n int) server nowhere; create view near as select n from far;
          create function note() returns trigger language plpgsql as 'begin insert into near values (1); return null; end';
          create trigger note after update on one for each row execute function note()"),
        ("the constraint loud of public.family calls public.elsewhere",
         "create function elsewhere() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
          create function is_fine(n int) returns boolean language plpgsql as 'begin if n is null and n is not null then perform elsewhere(); end if; return true; end';
          alter table family add constraint loud check (is_fine(n))"),
        ("the event trigger watch",
         "create function elsewhere() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
          create function watch() returns event_trigger language plpgsql as 'begin if false then perform elsewhere(); end if; end';
          create event trigger watch on ddl_command_end execute function watch()"),
    ];
    for (why, setup) in shapes {
        is_left_alone(why, setup);
    }
}

#[test]
fn a_source_whose_expressions_have_effects_beyond_a_rollback_is_not_changed() {
    let shapes = [
        ("the index public.loud of public.one calls public.elsewhere", "IS_FINE; create index loud on one (is_fine(n))"),
        ("the index public.loud of public.one calls public.elsewhere", "IS_FINE; create index loud on one (n) where is_fine(n) > 3"),
        ("the index public.loud of public.one calls public.elsewhere", "IS_FINE; alter table one add constraint loud exclude using hash (is_fine(n) with =)"),
        ("the constraint loud of public.one calls public.elsewhere", "IS_FINE; alter table one add constraint loud check (is_fine(n) > 0) not valid"),
        ("the constraint loud of public.one calls public.elsewhere",
         "IS_FINE; create function \"Is_fine_too\"(n int) returns boolean immutable language sql return is_fine(n) > 0; create function is_by(n int) returns boolean immutable language plpgsql as 'begin return \"Is_fine_too\"(n); end';
          alter table one add constraint loud check (is_by(n))"),
        ("the constraint loud of public.one calls public.elsewhere",
         "IS_FINE; create function same(a int, b int) returns boolean immutable language plpgsql as 'begin return is_fine(a) = is_fine(b); end';
          create operator === (leftarg = int, rightarg = int, function = same);
          alter table one add constraint loud check (n === n)"),
        ("the generated column g of public.family calls public.elsewhere", "IS_FINE; alter table family add column g int generated always as (is_fine(n)) stored"),
        ("the domain public.loud of public.family calls public.elsewhere", "IS_FINE; create domain loud as int check (is_fine(value) > 0); alter table family add column more loud[]"),
        ("the policy loud of public.family calls public.elsewhere", "IS_FINE; alter table family enable row level security; create policy loud on family using (is_fine(n) > 0)"),
        ("the trigger loud of public.one calls public.elsewhere",
         "IS_FINE; create function note() returns trigger language plpgsql as 'begin return null; end';
          create trigger loud after update on one for each row when (is_fine(new.n) > 0) execute function note()"),
        ("the trigger note of public.one runs composed SQL in public.note",
         "create function note() returns trigger language plpgsql as $$begin execute 'sel' || 'ect 1'; return null; end$$;
          create trigger note after update on one for each row execute function note()"),
        ("the constraint loud of public.one runs composed SQL in public.is_loud",
         "create function is_loud(n int) returns boolean immutable language plpgsql as $$declare said boolean; begin for said in execute format('select %L', n > 0) loop return said; end loop; end$$;
          alter table one add constraint loud check (is_loud(n))"),
    ];
    for (why, setup) in shapes {
        is_left_alone(why, &setup.replace("IS_FINE", IS_FINE));
    }
}

/// A source with this, and the reason why it is not changed.
#[track_caller]
fn is_left_alone(why: &str, setup: &str) {
    let database = named();
    database.run("create table family (id int primary key, n int) partition by range (id); create table one partition of family default;
                  insert into family select n, n from generate_series(1, 9) as n");
    database.run(setup);
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    let report = unchanged(&database, &["--budget", "1s"]);
    let left = outcome(&report, "verify", "public.family");
    assert!(left["message"].as_str().unwrap().contains(why), "{why}: {left:#}");
    assert_eq!(outcome(&report, "verify", "public.reader")["message"], "none of its sources can be changed");
}

/// A function for expressions, with an effect that no rollback would revert.
const IS_FINE: &str = "
    create function elsewhere() returns language_handler language c as '$libdir/plpgsql', 'plpgsql_call_handler';
    create function is_fine(n int) returns int immutable language plpgsql as 'begin if n is null and n is not null then perform elsewhere(); end if; return n; end'";

/// Neither a function in C that declares no effect, nor SQL that stands in the function, is unknown.
#[test]
fn a_source_with_effects_that_a_rollback_reverts_is_changed() {
    let database = named();
    database.run(
        "create table log (n int); create table family (id int primary key, n int);
         create function quiet() returns language_handler stable language c as '$libdir/plpgsql', 'plpgsql_call_handler';
         create function is_fine(n int) returns int immutable language plpgsql as 'begin if n is null and n is not null then perform quiet(); end if; return n; end';
         create index on family (is_fine(n)); alter table family add check (is_fine(n) = n);
         create function note() returns trigger language plpgsql as $$begin
           -- what others execute
           execute 'insert into log values ($1)' using new.n;
           return null;
         end$$;
         create trigger note after update on family for each row execute function note();
         insert into family select n, n from generate_series(1, 9) as n",
    );
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    verified(&database, &[], &["reader"]);
}

#[test]
fn a_source_that_hides_rows_from_the_role_is_not_changed() {
    let database = named();
    let name = &database.endpoint.database;
    database.run(
        "create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 9) as n;
         alter table family enable row level security; create policy few on family using (n < 4)",
    );
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    let before = fingerprint(&database);
    let role = OrdinaryRole::of(&database, "public");
    let dir = tempfile::tempdir().unwrap();
    let (ran, report) = verify_in(dir.path(), &role.endpoint, &["--allow-writes", name, "--budget", "1s"]);
    let left = outcome(&report, "verify", "public.family");
    assert!(left["message"].as_str().unwrap().contains("grant it BYPASSRLS"), "{left:#}\n{}", ran.stderr);
    assert_eq!(fingerprint(&database), before);
}

#[test]
fn concurrent_commits_stay_and_are_not_findings() {
    let database = named();
    database.run("create table family (id int primary key, n int not null); insert into family select n, n from generate_series(1, 200) as n");
    create(
        &database,
        "sums",
        "select n % 7 as k, count(*) as c, sum(n) as s from public.family group by n % 7",
        "DIFFERENTIAL",
    );
    create(&database, "great", "select id, n from public.family where n > 5", "FULL");
    let name = &database.endpoint.database;
    std::thread::scope(|scope| {
        let verification = scope.spawn(|| verify(&database, &["--allow-writes", name, "--budget", "8s"]));
        let other = Database::connect(&database.endpoint);
        for n in 1..=50 {
            other.run(&format!(
                "insert into family values ({}, {n}); update family set n = n + 1 where id = {n}",
                100_000 + n
            ));
            std::thread::sleep(Duration::from_millis(100));
        }
        let (ran, report) = verification.join().unwrap();
        ran.expect(0);
        let rollback = outcome(&report, "verify", "rollback");
        assert!(rollback.to_string().contains("public.family: another session wrote to it"), "{rollback:#}");
        all_are("passed", &report, &["sums"]).unwrap();
    });
    let kept = "select count(*) = 250 and count(*) filter (where id > 100000) = 50 and sum(n) filter (where id <= 200) = 20150 from family";
    assert_eq!(database.value(kept).as_deref(), Some("t"));
}

/// A refresh by the scheduler between two rounds sees nothing of them.
#[test]
fn tables_that_the_scheduler_refreshes_meanwhile_are_right_afterwards() {
    let database = named();
    database.run("create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 200) as n;
                  select pgtrickle.create_stream_table('public.sums', 'select n % 7 as k, count(*) as c, sum(n) as total from public.family group by n % 7', '1s', 'DIFFERENTIAL');
                  select pgtrickle.create_stream_table('public.great', 'select id, n from public.family where n > 20', '1s', 'DIFFERENTIAL')");
    database.wait_for(
        "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
    );
    std::thread::scope(|scope| {
        let verification = scope.spawn(|| {
            let name = &database.endpoint.database;
            verify(&database, &["--allow-writes", name, "--budget", "8s"])
        });
        let other = Database::connect(&database.endpoint);
        busy(&database);
        for n in 0..60 {
            other.run(&format!("insert into family values ({}, {n})", 100_000 + n));
            std::thread::sleep(Duration::from_millis(100));
        }
        let (ran, report) = verification.join().unwrap();
        assert!(ran.code != Some(2), "{}", ran.stderr);
        let after = outcome(&report, "verify", "rollback");
        assert_eq!(after["verdict"], "passed", "{report:#}");
        let after = outcome(&report, "verify", "afterwards");
        // How many have no pending changes then depends on the scheduler.
        assert_ne!(after["verdict"], "failed", "{after:#}");
        let message = after["message"].as_str().unwrap();
        assert!(message.ends_with(" of 2 tables compared again: none differs from its query"), "{after:#}");
    });
    for table in ["sums", "great"] {
        let refreshes = format!(
            "select count(*) > 1 from pgtrickle.pgt_refresh_history join pgtrickle.pgt_stream_tables using (pgt_id)
             where pgt_name = '{table}' and initiated_by = 'SCHEDULER'"
        );
        assert_eq!(database.value(&refreshes).as_deref(), Some("t"), "{table}");
    }
    let is_there =
        "select (select count(*) from great where id >= 100000) = 39 and (select sum(c) from sums) = 260";
    database.wait_for(is_there);
    let (ran, _) = verify(&database, &["--static"]);
    ran.expect(0);
}

#[test]
fn two_verifications_exclude_each_other() {
    let database = named();
    everything(&database);
    let before = fingerprint(&database);
    let dir = tempfile::tempdir().unwrap();
    let mut first = started(dir.path(), &database.endpoint, &["--budget", "2m"]);
    busy(&database);
    let name = &database.endpoint.database;
    let (ran, _) = verify(&database, &["--allow-writes", name, "--budget", "1s"]);
    ran.expect_error("another verification of", "pg_terminate_backend(");
    end(&mut first, Signal::SIGTERM);
    gone(&database);
    assert_eq!(fingerprint(&database), before);
}

#[test]
fn a_session_that_blocks_a_round_is_named_and_is_not_a_finding() {
    let database = named();
    database.run("create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 5) as n");
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    let other = Database::connect(&database.endpoint);
    other.run("begin; lock table family in share mode");
    let pid = other.value("select pg_backend_pid()").unwrap();
    let report = unchanged(&database, &[]);
    let rounds = outcome(&report, "verify", "rounds").to_string();
    assert!(rounds.contains(&format!("blocked by pid {pid}")), "{rounds}");
    other.run("rollback");
}

#[test]
fn the_scheduler_cannot_refresh_what_is_rolled_back() {
    let database = named();
    let name = &database.endpoint.database;
    let ran = super::verify_command(&database, &["--allow-writes", name, "--drive", "scheduler"]);
    ran.expect_error("the scheduler sees committed changes", "pgtrickle-ci ephemeral");
}

#[test]
fn a_wrong_stream_table_is_found_before_the_first_round_and_not_changed() {
    let database = named();
    database.run("create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 5) as n");
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    corrupt(&database, "update reader set n = 7 where id = 1");
    let report = unchanged(&database, &[]);
    let found = outcome(&report, "verify", "public.reader");
    assert!(found["message"].as_str().unwrap().contains("before the first round"), "{found:#}");
}

/// As pg_trickle does where others write while the scheduler refreshes (docs/pg_trickle.md, "Open transactions").
#[test]
fn a_table_that_others_make_wrong_meanwhile_is_not_blamed_on_the_rounds() {
    let database = named();
    database.run("create table family (id int primary key, n int); insert into family select n, n from generate_series(1, 50) as n");
    create(&database, "reader", "select id, n from public.family", "DIFFERENTIAL");
    std::thread::scope(|scope| {
        let verification = scope.spawn(|| {
            let name = &database.endpoint.database;
            verify(&database, &["--allow-writes", name, "--budget", "8s"])
        });
        let other = Database::connect(&database.endpoint);
        busy(&database);
        corrupt(&other, "update reader set n = 7777 where id = 1");
        let (ran, report) = verification.join().unwrap();
        ran.expect(1);
        let found = outcome(&report, "verify", "public.reader");
        assert!(found["message"].as_str().unwrap().contains(", after round "), "{found:#}");
        assert!(found["details"].to_string().contains("no change of the rounds led to it"), "{found:#}");
        assert_eq!(found["script"], Value::Null, "{found:#}");
    });
}

/// How a verification can end in the middle.
#[test]
fn no_row_is_lost_however_a_verification_ends() {
    let database = named();
    everything(&database);
    let before = fingerprint(&database);
    let times: u64 = std::env::var("PGTRICKLE_CI_TEST_KILLS").map_or(20, |times| times.parse().unwrap());
    for n in 0..times {
        let signal = [Signal::SIGKILL, Signal::SIGHUP, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGINT]
            [usize::try_from(n).unwrap() % 5];
        let dir = tempfile::tempdir().unwrap();
        let mut child = started(dir.path(), &database.endpoint, &["--budget", "2m"]);
        busy(&database);
        std::thread::sleep(Duration::from_millis(n * 7919 % 613));
        let code = end(&mut child, signal);
        // Other verifications of this server may make theirs meanwhile.
        let left =
            format!("select count(*) from pg_database where datname = 'pgtrickle_ci_case_{}'", child.id());
        assert_eq!(database.value(&left).as_deref(), Some("0"));
        let expected = (signal != Signal::SIGKILL).then_some(128 + signal as i32);
        assert_eq!(code, expected, "{signal}");
        gone(&database);
        assert_eq!(fingerprint(&database), before, "{signal}, the {n}th");
        if signal != Signal::SIGKILL {
            let report: Value =
                serde_json::from_slice(&fs::read(dir.path().join("report.json")).unwrap()).unwrap();
            assert!(
                outcome(&report, "verify", "rounds")["message"].as_str().unwrap().contains("round"),
                "{report:#}"
            );
            let told = report.to_string();
            assert!(!told.contains("the budget of") && !told.contains("more time"), "{report:#}");
        }
    }
}

#[test]
fn no_row_is_lost_if_the_session_or_the_network_ends() {
    for way in ["ended by the server", "cut off from the network"] {
        let database = named();
        everything(&database);
        let before = fingerprint(&database);
        let dir = tempfile::tempdir().unwrap();
        let wire = Wire::to(&database.endpoint);
        let child = started(dir.path(), &wire.endpoint, &["--budget", "2m"]);
        busy(&database);
        match way {
            "ended by the server" => database.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'pgtrickle-ci' and backend_xid is not null"),
            _ => wire.cut(),
        }
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{way}: {said}");
        let reason = "terminating connection due to administrator command";
        assert_eq!(said.contains(reason), way == "ended by the server", "{way}: {said}");
        gone(&database);
        assert_eq!(fingerprint(&database), before, "{way}");
    }
}

/// The server ends it: its locks are free again.
#[test]
fn the_server_ends_a_frozen_verification() {
    let database = named();
    everything(&database);
    let before = fingerprint(&database);
    let dir = tempfile::tempdir().unwrap();
    let child = started(dir.path(), &database.endpoint, &["--budget", "2m"]);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    loop {
        busy(&database);
        kill(pid, Signal::SIGSTOP).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        if database.value(OPEN).as_deref() == Some("t") {
            break;
        }
        // Between two rounds there is nothing to end.
        kill(pid, Signal::SIGCONT).unwrap();
    }
    database.wait_for(&format!("select not ({OPEN})"));
    database.run("begin; lock table sales, people in access exclusive mode; rollback");
    kill(pid, Signal::SIGCONT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("terminating connection due to idle-in-transaction timeout"), "{said}");
    assert_eq!(fingerprint(&database), before);
}

const OPEN: &str = "select exists (select from pg_stat_activity where datname = current_database() and application_name = 'pgtrickle-ci' and backend_xid is not null)";

/// Waits until a round has changed something.
fn busy(database: &Database) {
    database.wait_for(OPEN);
}

/// Waits until the server has ended every session of a verification.
fn gone(database: &Database) {
    database.wait_for("select not exists (select from pg_stat_activity where datname = current_database() and application_name = 'pgtrickle-ci')");
}

/// A network between the program and the server, which can be cut.
struct Wire {
    endpoint: Endpoint,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(server: &Endpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { port: listener.local_addr().unwrap().port(), ..server.clone() };
        let ends = Arc::new(Mutex::new(Vec::new()));
        let (open, address) = (Arc::clone(&ends), (server.host.clone(), server.port));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(&address).unwrap());
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        std::io::copy(&mut from, &mut to).ok();
                        to.shutdown(Shutdown::Both).ok();
                    });
                }
                open.lock().unwrap().push(near);
            }
        });
        Self { endpoint, ends }
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            end.shutdown(Shutdown::Both).ok();
        }
    }
}

#[test]
fn an_append_only_source_gets_inserts_that_are_rolled_back() {
    let database = named();
    database.run(
        "create table journal (id int primary key, what text); insert into journal values (1, 'a');
         select pgtrickle.create_stream_table('public.appended', 'select id, what from public.journal', '1h', 'DIFFERENTIAL', append_only => true)",
    );
    let dir = tempfile::tempdir().unwrap();
    let model = model("appended", "select id, what from public.journal", &json!({"append_only": true}));
    let manifest = manifest(dir.path(), "manifest.json", [model]);
    verified(&database, &["--manifest", manifest.to_str().unwrap()], &["appended"]);
}

#[test]
fn a_budget_that_ends_within_a_round_names_unverified_tables() {
    let database = named();
    everything(&database);
    for budget in ["1ms", "300ms"] {
        let report = unchanged(&database, &["--budget", budget, "--seed", "9"]);
        if budget != "1ms" {
            continue; // A fast machine gets through.
        }
        let outcomes = report["outcomes"].as_array().unwrap();
        let unverified = outcomes.iter().any(|o| {
            let message = o["message"].as_str().unwrap();
            o["verdict"] == "warned"
                && message == format!("not verified: the budget of {budget} ended before")
        });
        assert!(unverified, "{report:#}");
    }
}

/// The only engine that makes a mistake by itself is pg_trickle (docs/pg_trickle.md, "Wrong deltas" and "Refresh
/// modes").
#[test]
fn a_bug_of_pg_trickle_is_found_in_a_transaction_and_rolled_back() {
    let database = named();
    if database.is_emulator() {
        return;
    }
    database.run(
        "create table c (id int primary key); create table o (id int primary key, c int not null);
         insert into c select generate_series(1, 9); insert into o select n, n from generate_series(1, 5) as n;
         create table dated (id int primary key, at date not null, year int generated always as (extract(year from at)) stored);
         insert into dated (id, at) select n, date '2024-01-01' + n from generate_series(1, 5) as n",
    );
    create(
        &database,
        "histogram",
        "select n, count(*) as times from (select c.id, count(o.id) as n from public.c left join public.o on o.c = c.id group by c.id) as counts group by n",
        "DIFFERENTIAL",
    );
    create(&database, "at_once", "select id, year from public.dated", "IMMEDIATE");
    with_time(|budget| {
        let report = unchanged(&database, &["--budget", budget]);
        all_are("failed", &report, &["histogram", "at_once"])
    });
    let (ran, _) = verify(&database, &["--static"]);
    ran.expect(0);
}
