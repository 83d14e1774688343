//! The scheduler beside a verification, and `--drive scheduler`: a table that it has not refreshed yet is no finding.

use super::{all_are, outcome, verify, with_time};
use crate::support::Database;

fn shop() -> Database {
    let database = Database::ephemeral();
    database.run(
        "create table o (id int primary key, k int, n int);
         insert into o select n, n % 4, n from generate_series(1, 30) as n;
         select pgtrickle.create_stream_table('public.sums', 'select k, count(*) as n, sum(n) as total from public.o group by k', '1s', 'DIFFERENTIAL');
         select pgtrickle.create_stream_table('public.great', 'select id, n from public.o where n > 5', '1s', 'DIFFERENTIAL')",
    );
    database.wait_for(
        "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
    );
    database
}

/// A transaction in another database holds changes back for a while
/// (docs/pg_trickle.md, "Visibility lag").
#[test]
fn only_the_scheduler_refreshes_and_blocked_tables_are_not_findings() {
    let database = shop();
    let elsewhere = Database::without_extension();
    elsewhere.run("begin isolation level repeatable read; select 1");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_secs(4));
            elsewhere.run("rollback");
        });
        let arguments =
            ["--allow-writes", &database.endpoint.database, "--budget", "25s", "--drive", "scheduler"];
        let (ran, report) = verify(&database, &arguments);
        ran.expect(0);
        for table in ["public.sums", "public.great"] {
            let verified = outcome(&report, "verify", table);
            assert!(
                verified["message"].as_str().unwrap().starts_with("equal to its query after"),
                "{verified:#}"
            );
        }
    });
    let by_hand = "select count(*) from pgtrickle.pgt_refresh_history as h join pgtrickle.pgt_stream_tables as s using (pgt_id)
                   where s.schedule = '1s' and h.initiated_by = 'SCHEDULER' and h.action <> 'NO_DATA'";
    assert_ne!(database.value(by_hand).as_deref(), Some("0"));
}

#[test]
fn a_table_that_is_never_refreshed_is_neither_verified_nor_wrong() {
    let database = shop();
    database.run(
        "select pgtrickle.alter_stream_table('public.sums', schedule => '1h');
         select pgtrickle.drop_stream_table('public.great')",
    );
    let arguments = ["--allow-writes", &database.endpoint.database, "--budget", "4s", "--drive", "scheduler"];
    let (ran, report) = verify(&database, &arguments);
    ran.expect(0);
    let outcome = outcome(&report, "verify", "public.sums");
    assert_eq!(outcome["verdict"], "warned", "{outcome:#}");
    assert!(outcome["message"].as_str().unwrap().contains("did not reach it in time"), "{outcome:#}");
}

#[test]
fn a_session_that_blocks_committed_rounds_or_comparisons_is_named() {
    let database = Database::ephemeral();
    database.run(
        "create table o (id int primary key, n int); insert into o select n, n from generate_series(1, 9) as n;
         select pgtrickle.create_stream_table('public.plain', 'select id, n from public.o', '1h', 'DIFFERENTIAL');
         create table p (id int primary key); insert into p select generate_series(1, 9);
         select pgtrickle.create_stream_table('public.beside', 'select id from public.p', '1h', 'DIFFERENTIAL')",
    );
    let other = Database::connect(&database.endpoint);
    let by = format!("blocked by pid {} ", other.value("select pg_backend_pid()").unwrap());
    for lock in ["o in share mode", "plain in access exclusive mode"] {
        other.run(&format!("begin; lock table {lock}"));
        let name = &database.endpoint.database;
        let (ran, report) =
            verify(&database, &["--allow-writes", name, "--budget", "2s", "--lock-timeout", "1s"]);
        ran.expect(i32::from(!lock.starts_with('o')));
        let table = outcome(&report, "verify", "public.plain").to_string();
        assert!(table.contains("run it while no other session writes, refreshes or holds locks"), "{table}");
        if lock.starts_with('o') {
            assert!(table.contains(&format!("changes of its sources were {by}")), "{table}");
            let source = outcome(&report, "verify", "public.o").to_string();
            assert!(source.contains(&by), "{source}");
        } else {
            assert!(
                table.contains("its comparison failed: canceling statement due to lock timeout"),
                "{table}"
            );
            let compared = outcome(&report, "equality", "public.plain").to_string();
            assert!(compared.contains(&by), "{compared}");
        }
        other.run("rollback");
    }
}

/// What pg_trickle does with the reader of a table that counts, and only where the scheduler refreshes both
/// (docs/pg_trickle.md, "Wrong deltas").
#[test]
fn a_finding_of_the_scheduler_gets_a_script_that_waits_for_the_scheduler() {
    let database = shop();
    if database.is_emulator() {
        return;
    }
    database.run("select pgtrickle.create_stream_table('public.rich', 'select k, total from public.sums where total > 50', '1s', 'DIFFERENTIAL')");
    let refreshed = "select count(*) > 1 from pgtrickle.pgt_refresh_history join pgtrickle.pgt_stream_tables using (pgt_id) where pgt_name = 'rich'";
    database.wait_for(refreshed);
    let report = with_time(|budget| {
        let name = &database.endpoint.database;
        let (_, report) =
            verify(&database, &["--allow-writes", name, "--budget", budget, "--drive", "scheduler"]);
        all_are("failed", &report, &["rich"])?;
        Some(report)
    });
    let found = outcome(&report, "verify", "public.rich");
    let script = found["script"].as_str().unwrap();
    assert!(script.contains("-- Reduced, and reproduced"), "{script}");
    assert!(script.contains("waits until the scheduler has refreshed every table"), "{script}");
    assert!(!script.contains("refresh_stream_table"), "{script}");
}

/// A refresh by hand is skipped while the scheduler refreshes the table, and that refresh may have begun between two
/// transactions of the round.
#[test]
fn a_refresh_that_the_scheduler_keeps_from_running_is_made_up_for() {
    let database = Database::ephemeral();
    database.run(
        "create function slow(n int) returns int language plpgsql immutable as $$ begin perform pg_sleep(0.04); return n; end $$;
         create function sleep() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return null; end $$;
         create table o (id int primary key, n int); insert into o select n, n from generate_series(1, 15) as n;
         create trigger sleeps after insert or update or delete on o execute function sleep();
         select pgtrickle.create_stream_table('public.slowly', 'select id, public.slow(n) as n from public.o', '1s', 'FULL')",
    );
    let scheduled = "select count(*) > 2 from pgtrickle.pgt_refresh_history where initiated_by = 'SCHEDULER'";
    database.wait_for(scheduled);
    let words = ["--allow-writes", &database.endpoint.database, "--budget", "20s", "--seed", "1"];
    let (_, report) = verify(&database, &words);
    let slowly = outcome(&report, "verify", "public.slowly");
    assert!(slowly["message"].as_str().unwrap().contains("equal to its query after "), "{slowly:#}");
}
