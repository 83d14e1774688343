//! A query that fails on rows that the schema allows is a warning, with the error and a row.

use std::{fs, path::Path};

use super::{all_are, create, outcome, verify, verify_in, with_time};
use crate::support::Database;

/// Its queries divide, convert a text, and overflow, which only the ends of a type's range lead to.
fn shop(database: &Database) {
    database.run(
        "create table items (id int primary key, n int not null, note text, small smallint);
         insert into items select i, 1 + i % 4, i % 3, i from generate_series(1, 20) as i;
         create table parts (id int primary key, n int not null); insert into parts select i, i from generate_series(1, 20) as i;
         create table years (id int primary key, year int check (year between 1 and 99));
         insert into years select i, i from generate_series(1, 20) as i;",
    );
    create(database, "divides", "select id, 10 / n as part from public.items", "DIFFERENTIAL");
    create(database, "at_once", "select id, 10 / n as part from public.parts", "IMMEDIATE");
    create(database, "converts", "select id, note::int as number from public.items", "FULL");
    create(
        database,
        "overflows",
        "select id, (small * 200)::smallint as s from public.items",
        "DIFFERENTIAL",
    );
    create(database, "guarded", "select id, 10 / nullif(n, 0) as part from public.items", "DIFFERENTIAL");
    create(database, "checked", "select id, 10 / year as part from public.years", "DIFFERENTIAL");
}

#[test]
fn a_query_that_fails_on_possible_rows_is_a_warning_with_the_error_and_a_row() {
    for is_named in [false, true] {
        let (dir, report) = with_time(|budget| {
            let database = Database::ephemeral();
            shop(&database);
            let name = database.endpoint.database.clone();
            if is_named {
                database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = off"));
            }
            let dir = tempfile::tempdir().unwrap();
            let words = ["--allow-writes", &name, "--budget", budget, "--seed", "1", "--corpus", "corpus"];
            let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
            let failing = ["divides", "at_once", "converts"];
            all_are("warned", &report, &failing)?;
            all_are("passed", &report, &["guarded", "checked"])?;
            // Luck leads to the ends of its type. That is no finding, either.
            assert_ne!(outcome(&report, "verify", "public.overflows")["verdict"], "failed", "{report:#}");
            let is_verified = |table: &&str| {
                let message = &outcome(&report, "verify", &format!("public.{table}"))["message"];
                message.as_str().unwrap().contains("; equal to its query after ")
            };
            failing.iter().all(is_verified).then_some((dir, report))
        });
        for (table, error, with, source) in [
            ("divides", "division by zero", "its refreshes", "items"),
            ("at_once", "division by zero", "writes of its sources", "parts"),
            ("converts", "invalid input syntax for type integer", "its refreshes", "items"),
        ] {
            let of = outcome(&report, "verify", &format!("public.{table}"));
            let message = of["message"].as_str().unwrap();
            assert!(
                message.starts_with(&format!(
                    "its query fails on possible rows, and with it {with}, after round "
                )),
                "{of:#}"
            );
            assert!(message.contains(error) && message.contains("; equal to its query after "), "{of:#}");
            let shown = of["details"].to_string();
            assert!(
                shown.contains(&format!("public\\\".\\\"{source}"))
                    && shown.contains("constraint of the source"),
                "{of:#}"
            );
            let script = dir.path().join(format!("corpus/public.{table}-fails-seed1.sql"));
            let script = fs::read_to_string(script).unwrap();
            assert!(
                script.starts_with(&format!("-- public.{table}: its query fails on possible rows: ")),
                "{script}"
            );
            let shrunk = script.contains("-- Reduced, and reproduced");
            // A later statement of the round may have changed the row of the refused write.
            assert!(shrunk != is_named || table == "at_once" && !is_named, "{script}");
        }
        // A later run does not fail because of it.
        if !is_named {
            replays_as_a_warning(dir.path());
        }
    }
}

/// In a database of its own: the rounds that wrote the corpus may have ended with a row on which a query fails.
fn replays_as_a_warning(dir: &Path) {
    let database = Database::ephemeral();
    shop(&database);
    let corpus = dir.join("corpus");
    let name = &database.endpoint.database;
    let words = ["--allow-writes", name, "--budget", "1s", "--corpus", corpus.to_str().unwrap()];
    let (ran, report) = verify_in(dir, &database.endpoint, &words);
    ran.expect(0);
    let again = outcome(&report, "verify", "corpus: public.divides-fails-seed1");
    assert_eq!(again["verdict"], "warned", "{again:#}");
    let message = again["message"].as_str().unwrap();
    assert!(message.ends_with("still fails on possible rows: division by zero"), "{again:#}");
}

/// The scheduler meets such rows, too, even if a later statement of the round replaces them.
#[test]
fn a_table_that_is_suspended_because_of_such_a_row_goes_on_without_it() {
    with_time(|budget| {
        let database = Database::ephemeral();
        database.run(
            "create table items (id int primary key, n int not null); insert into items select i, i from generate_series(1, 20) as i;
             create function suspend() returns trigger language plpgsql as $$ begin
               update pgtrickle.pgt_stream_tables set status = 'ERROR';
               return null;
             end $$;
             create trigger suspends after insert or update on items for each row when (new.n = 0) execute function suspend()",
        );
        create(&database, "divides", "select id, 10 / n as part from public.items", "DIFFERENTIAL");
        let words = ["--allow-writes", &database.endpoint.database, "--budget", budget, "--seed", "1"];
        let (_, report) = verify(&database, &words);
        all_are("warned", &report, &["divides"])?;
        let message = outcome(&report, "verify", "public.divides")["message"].as_str().unwrap();
        assert!(
            message.starts_with("its query fails on possible rows, and with it its refreshes"),
            "{message}"
        );
        message.contains("; equal to its query after ").then_some(())
    });
}

/// As pg_trickle, a refresh computes with rows that came and went since the last one, too.
#[test]
fn a_refresh_that_fails_on_rows_since_replaced_is_no_finding() {
    let database = Database::ephemeral();
    if !database.is_emulator() {
        return;
    }
    database.run(
        "create table items (id int primary key, n int not null); insert into items select i, i from generate_series(1, 20) as i",
    );
    create(&database, "divides", "select id, 10 / n as part from public.items", "DIFFERENTIAL");
    database.run(
        "create or replace function pgtrickle._after_differential(st pgtrickle.pgt_stream_tables, appends boolean) returns void language plpgsql as $$
         declare fails boolean;
         begin
           execute format('select exists (select from pgtrickle_changes.%I where n = 0 and not pg_visible_in_snapshot(__pgt_xid, $1))',
             (select 'changes_' || source_stable_name from pgtrickle.pgt_change_tracking where source_relid = 'public.items'::regclass))
             into fails using pgtrickle._seen(st);
           if fails then raise exception 'division by zero in a delta' using errcode = '22012'; end if;
         end $$",
    );
    let name = database.endpoint.database.clone();
    let is_first = |seed: &usize| {
        let words = ["--allow-writes", &name, "--budget", "2s", "--seed", &seed.to_string()];
        let (_, report) = verify(&database, &words);
        let of = outcome(&report, "verify", "public.divides");
        assert_ne!(of["verdict"], "failed", "{of:#}");
        of["message"]
            .as_str()
            .unwrap()
            .contains("fails on possible rows, and with it its refreshes, after round")
            && of["message"]
                .as_str()
                .unwrap()
                .contains("division by zero in a delta; equal to its query after ")
    };
    // The query fails first where such a row is still there at the end of a round.
    assert!((1..=30).any(|seed| is_first(&seed)), "no refresh met such a row first");
}

/// A write that fails in the engine and not in the query is a finding, whatever its SQLSTATE.
#[test]
fn a_write_that_the_maintenance_refuses_alone_is_a_finding() {
    let database = Database::ephemeral();
    if !database.is_emulator() {
        return;
    }
    database.run("create table items (id int primary key, n int); insert into items select i, i from generate_series(1, 20) as i");
    create(&database, "first", "select id from public.items where n > 5", "IMMEDIATE");
    create(&database, "second", "select id, n from public.items", "IMMEDIATE");
    // As pg_trickle, which in some cases gives two rows the same identity.
    database.run("create unique index on public.second (n); alter table items alter n set not null");
    let report = with_time(|budget| {
        let words = ["--allow-writes", &database.endpoint.database, "--budget", budget, "--seed", "1"];
        let (_, report) = verify(&database, &words);
        all_are("failed", &report, &["second"])?;
        all_are("passed", &report, &["first"])?;
        Some(report)
    });
    let second = outcome(&report, "verify", "public.second");
    assert!(second["message"].as_str().unwrap().contains("duplicate key value"), "{second:#}");
}

/// Where pg_trickle's own trigger rejects a write, the application's writes fail.
#[test]
fn a_write_that_fails_where_it_is_captured_is_a_finding() {
    for is_named in [false, true] {
        let database = Database::ephemeral();
        let name = database.endpoint.database.clone();
        if is_named {
            database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = off"));
        }
        database.run(
            "create table docs (id int primary key, n int not null, body json); create table others (id int primary key);
             insert into docs select i, i, '{}' from generate_series(1, 9) as i; insert into others select generate_series(1, 9)",
        );
        create(&database, "read", "select id, n, body from public.docs", "DIFFERENTIAL");
        create(&database, "counted", "select count(*) as n from public.docs", "DIFFERENTIAL");
        create(&database, "apart", "select id from public.others", "DIFFERENTIAL");
        if database.is_emulator() {
            // pg_trickle itself compares the documents with an operator that they do not have.
            let updates = "select pg_get_functiondef(oid) from pg_proc where proname like 'pg_trickle_cdc_upd_fn_%' and prosrc like '%body%'";
            let compares = "select replace(pg_get_functiondef(oid), 'BEGIN', 'BEGIN PERFORM (SELECT ''{}''::json) = ''{}''::json;') from pg_proc where proname like 'pg_trickle_cdc_upd_fn_%' and prosrc like '%body%'";
            assert!(database.value(updates).is_some(), "nothing captures updates");
            database.run(&database.value(compares).unwrap());
        }
        let dir = tempfile::tempdir().unwrap();
        let report = with_time(|budget| {
            let words = ["--allow-writes", &name, "--budget", budget, "--seed", "1"];
            let (_, report) = verify_in(dir.path(), &database.endpoint, &words);
            all_are("passed", &report, &["apart"])?;
            Some(report)
        });
        let of = |table: &str| outcome(&report, "verify", &format!("public.{table}"));
        let failed = ["read", "counted"].map(of);
        let failed: Vec<_> = failed.into_iter().filter(|outcome| outcome["verdict"] == "failed").collect();
        let [failed] = failed[..] else { panic!("not one finding: {report:#}") };
        let message = failed["message"].as_str().unwrap();
        assert!(
            message.starts_with("writes to public.docs fail where pg_trickle captures them"),
            "{message}"
        );
        assert!(message.contains("operator does not exist: json = json"), "{message}");
        let script =
            dir.path().join(format!("pgtrickle-ci-findings/{}.sql", failed["subject"].as_str().unwrap()));
        let script = fs::read_to_string(script).unwrap();
        assert!(script.contains("writes to public.docs fail: operator does not exist"), "{script}");
        if !database.is_emulator() && !is_named {
            assert!(script.contains("-- Reduced, and reproduced"), "{script}");
        }
    }
}

/// What somebody has suspended, and what is in ERROR, follows no changes, and those are no excuse.
#[test]
fn a_table_that_takes_no_changes_is_red_and_no_finding() {
    let database = Database::ephemeral();
    shop(&database);
    database.run(
        "update pgtrickle.pgt_stream_tables set status = 'ERROR' where pgt_name = 'divides';
         select pgtrickle.alter_stream_table('public.guarded', status => 'SUSPENDED'); delete from items where id = 1",
    );
    let (ran, report) = verify(&database, &["--static"]);
    ran.expect(1);
    for table in ["public.divides", "public.guarded"] {
        let compared = outcome(&report, "equality", table);
        assert_eq!(compared["verdict"], "failed", "{compared:#}");
    }
    assert_eq!(outcome(&report, "equality", "public.converts")["verdict"], "warned", "{report:#}");

    let dir = tempfile::tempdir().unwrap();
    let words = ["--allow-writes", &database.endpoint.database, "--budget", "2s"];
    let (ran, report) = verify_in(dir.path(), &database.endpoint, &words);
    ran.expect(1);
    let suspended = outcome(&report, "verify", "public.guarded");
    assert_eq!(suspended["message"], "not verified: it is suspended", "{suspended:#}");
    assert!(!dir.path().join("pgtrickle-ci-findings/public.guarded.sql").exists());
}
