//! Each is a way in which incremental maintenance goes wrong: it is found, and its script shows it with psql alone.

use std::{fs, path::Path};

use pgtrickle_ci::pg::Endpoint;
use serde_json::{Value, json};

use super::{
    all_are,
    faulty::{self, Faulty},
    interrupt_when, outcome, started, verify_in, with_time,
};
use crate::support::{manifest, model};

#[test]
fn forgotten_deletes_are_found() {
    is_found("forgets_deletes");
}

#[test]
fn double_counted_group_changes_are_found() {
    is_found("counts_moves_twice");
}

#[test]
fn ignored_null_groups_are_found() {
    is_found("ignores_null_groups");
}

#[test]
fn a_lost_second_change_is_found() {
    is_found("loses_second_change");
}

#[test]
fn rows_that_remain_after_a_key_change_are_found() {
    is_found("stale_after_key_change");
}

#[test]
fn a_skipped_source_of_a_join_is_found() {
    is_found("skips_one_source");
}

#[test]
fn a_dropped_last_row_of_a_group_is_found() {
    is_found("drops_last_of_group");
}

#[test]
fn rows_that_come_after_a_truncate_in_one_transaction_are_followed() {
    is_found_with_every_seed("truncates_last", SHOP);
}

#[test]
fn lost_upserts_are_found() {
    is_found_with_every_seed("loses_upserts", SHOP);
}

#[test]
fn lost_rows_of_bulk_changes_are_found() {
    is_found_with_every_seed("loses_bulk", SHOP);
}

#[test]
fn rows_that_come_with_their_counterpart_and_count_twice_are_found() {
    // The fault is in the copy of a source, which its other readers share.
    let only_joined = "select pgtrickle.drop_stream_table('public.' || name) from unnest(array['plain', 'large', 'grouped']) as name";
    is_found_with_every_seed("counts_pairs_twice", &format!("{SHOP}; {only_joined}"));
}

/// Both sides of a NOT EXISTS lose rows in one round.
#[test]
fn rows_that_go_with_their_counterpart_are_followed() {
    let orphans = "select i.id from public.items as i where not exists (select from public.kinds as k where k.kind = i.kind)";
    let only_orphans = format!(
        "{SHOP}; select pgtrickle.drop_stream_table('public.' || name) from unnest(array['plain', 'large', 'grouped', 'joined']) as name;
         select pgtrickle.create_stream_table('public.orphans', '{orphans}', '1h', 'DIFFERENTIAL')"
    );
    is_found_with_every_seed("misses_pairs_of_deletes", &only_orphans);
}

#[test]
fn equal_rows_of_a_source_without_a_key_that_go_together_are_found() {
    let bag = "create table bag (word text, n int);
         insert into bag select 'w' || n % 6, n % 2 from generate_series(1, 30) as n;
         select pgtrickle.create_stream_table('public.words', 'select word, count(*) as n, sum(n) as total from public.bag group by word', '1h', 'DIFFERENTIAL')";
    is_found_with_every_seed("takes_equal_rows_for_one", bag);
}

#[test]
fn changes_that_are_repeated_after_a_rollback_to_a_savepoint_are_followed() {
    is_found_with_every_seed("remembers_rolled_back_changes", SHOP);
}

/// The copy of a source follows the triggers of its rows, which a detached partition does not have.
#[test]
fn rows_that_are_loaded_into_a_detached_partition_and_lost_are_found() {
    let parted = "create table parted (id int, kind text, n int, primary key (id, kind)) partition by list (kind);
         create table parted_a partition of parted for values in ('a');
         create table parted_b partition of parted for values in ('b', 'c');
         insert into parted select n, chr(97 + n % 3), n from generate_series(1, 30) as n;
         select pgtrickle.create_stream_table('public.kinds', 'select kind, count(*) as n, sum(n) as total from public.parted group by kind', '1h', 'DIFFERENTIAL')";
    is_found_with_every_seed("misses_reloads", parted);
}

#[test]
fn rows_that_are_lost_after_a_new_column_are_found() {
    is_found_with_every_seed("loses_new_rows_after_ddl", SHOP);
}

/// A stream table over a materialized view over a view over another one.
#[test]
fn materialized_views_that_are_not_read_again_are_found() {
    let totals = "create table sold (id int primary key, kind text, n int);
         insert into sold select n, 'k' || n % 4, n from generate_series(1, 20) as n;
         create schema \"a view's\";
         create materialized view \"a view's\".totals as select kind, sum(n) as total from sold group by kind;
         create view named as select kind as name, total from \"a view's\".totals;
         create materialized view highest as select name, total from named where total > 2;
         select pgtrickle.create_stream_table('public.high', 'select name, total from public.highest', '1h', 'FULL')";
    is_found_with_every_seed("keeps_old_views", totals);
}

/// No reader is ahead of the others but in rounds that refresh one of them first.
#[test]
fn deletes_that_another_reader_has_removed_from_the_changes_are_found() {
    is_found_with_every_seed("compacts_for_one_reader", SHOP);
}

/// A finding stays in the corpus, and is replayed until it shows nothing.
#[test]
fn earlier_findings_are_replayed_first() {
    let server = Faulty::server();
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("corpus");
    let run = |database: &pgtrickle_ci::pg::Endpoint, seed: &str| {
        faulty::psql(database, SHOP);
        let words =
            ["--allow-writes", &database.database, "--budget", "10m", "--until-found", "--seed", seed];
        verify_in(dir.path(), database, &[&words[..], &["--corpus", corpus.to_str().unwrap()]].concat())
    };
    let database = server.database("corpus_first", "forgets_deletes");
    let (_, report) = run(&database, "1");
    assert_eq!(outcome(&report, "verify", "corpus")["message"], "no scripts");
    let found = first_failure(&report).unwrap();
    let script = format!("{found}-seed1");
    assert!(corpus.join(format!("{script}.sql")).exists(), "{report:#}");

    let (ran, report) = run(&server.database("corpus_again", "forgets_deletes"), "2");
    ran.expect(1);
    let again = outcome(&report, "verify", &format!("corpus: {script}"));
    assert_eq!(again["verdict"], "failed", "{again:#}");
    assert!(again["message"].as_str().unwrap().contains("still shows"), "{again:#}");

    // A script that showed nothing when it was found says nothing of a fault that is gone.
    let unseen = "-- Not reproduced in a scratch database: these are all changes before it was found.\nselect 1 where false;";
    fs::write(corpus.join("unseen.sql"), unseen).unwrap();

    // The fault is gone.
    let healthy = server.database("corpus_healthy", "");
    faulty::psql(&healthy, "create extension if not exists pg_trickle");
    faulty::psql(&healthy, SHOP);
    let words = ["--allow-writes", "corpus_healthy", "--budget", "2s", "--corpus", corpus.to_str().unwrap()];
    let (_, report) = verify_in(dir.path(), &healthy, &words);
    let gone = outcome(&report, "verify", &format!("corpus: {script}"));
    assert_eq!(gone["message"], "an earlier finding shows nothing any more", "{report:#}");
    assert_eq!(outcome(&report, "verify", "corpus: unseen")["verdict"], "skipped", "{report:#}");
}

/// Changes are always pending, and a row that was wrong before a refresh took them and is wrong afterwards is wrong.
#[test]
fn a_table_that_differs_after_its_refresh_is_wrong_however_busy_its_source_is() {
    let server = Faulty::server();
    let database = server.database("busy", "forgets_deletes");
    faulty::psql(
        &database,
        "create table items (id int primary key, kind text); insert into items select n, 'k' from generate_series(1, 9) as n;
         select pgtrickle.create_stream_table('public.plain', 'select id, kind from public.items', '1h', 'DIFFERENTIAL')",
    );
    // The first refresh after this one makes the copy that forgets deletes.
    faulty::psql(
        &database,
        "insert into items values (10, 'k'); select pgtrickle.refresh_stream_table('public.plain')",
    );
    faulty::psql(&database, "delete from items where id = 1");
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            for n in 0..40 {
                faulty::psql(&database, &format!("insert into items values ({}, 'new')", 1000 + n));
                std::thread::sleep(std::time::Duration::from_millis(200));
                faulty::psql(&database, "select pgtrickle.refresh_stream_table('public.plain')");
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let (ran, report) = verify_in(dir.path(), &database, &["--static"]);
        busy.join().unwrap();
        ran.expect(1);
        let compared = outcome(&report, "equality", "public.plain");
        assert_eq!(compared["verdict"], "failed", "{compared:#}");
        assert!(compared["details"].to_string().contains("+ id = 1, kind = k"), "{compared:#}");
    });
}

/// Found with each of ten seeds within its budget. The script of the first one shows it.
#[track_caller]
fn is_found_with_every_seed(fault: &str, setup: &str) {
    let server = Faulty::server();
    find_with_every_seed(fault, setup, "version: 1\n", |_, _, file| {
        let Some(file) = file else { return };
        let again = server.database(&format!("again_{fault}"), fault);
        let shown = faulty::psql_file(&again, file);
        server.drop(&again);
        let script = fs::read_to_string(file).unwrap();
        assert!(shown.contains("too many") || shown.contains("missing"), "{fault}: {script}\n{shown}");
        let healthy = server.database(&format!("healthy_{fault}"), "");
        let shown = faulty::psql_file(&healthy, file);
        server.drop(&healthy);
        assert!(shown.contains("(0 rows)"), "{fault} shows without it:\n{script}\n{shown}");
    });
}

/// Verifies with each seed until there is a finding. `look` gets its table, the report, and the script of the first seed;
/// the others are interrupted before they reduce theirs.
#[track_caller]
pub(super) fn find_with_every_seed(
    fault: &str,
    setup: &str,
    config: &str,
    mut look: impl FnMut(&str, &Value, Option<&Path>),
) {
    let server = Faulty::server();
    let prepared = server.template(fault, setup);
    for seed in 1..=super::seeds() {
        let database = server.copy(&prepared, &format!("seed_{seed}_{fault}"));
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pgtrickle-ci.yml"), config).unwrap();
        let number = seed.to_string();
        let arguments = ["--budget", "10m", "--until-found", "--seed", &number];
        let report = if seed == 1 {
            let allowed = ["--allow-writes", &database.database];
            verify_in(dir.path(), &database, &[&allowed[..], &arguments].concat()).1
        } else {
            verify_until_reduction(dir.path(), &database, &arguments).1
        };
        let found = first_failure(&report);
        let found = found.unwrap_or_else(|| panic!("{fault} was not found with seed {seed}: {report:#}"));
        let script = dir.path().join(format!("pgtrickle-ci-findings/{found}.sql"));
        look(&found, &report, (seed == 1).then_some(&script));
        server.drop(&database);
    }
}

#[test]
fn a_script_creates_what_its_sources_and_functions_need() {
    let server = Faulty::server();
    let database = server.database("needed", "forgets_deletes");
    faulty::psql(
        &database,
        "create schema util; create schema \"odd one\"; create schema raw; create schema calls;
         create type util.mood as enum ('sad', 'it''s', 'glad');
         create function util.is_whole(n int) returns boolean language plpgsql immutable as 'begin return n % 1 = 0; end';
         create domain util.pct as int not null check (value between 0 and 100) check (util.is_whole(value));
         create domain \"odd one\".even as util.pct check (value % 2 = 0);
         create type util.pair as (mood util.mood, note text);
         create type util.span as range (subtype = float8, multirange_type_name = util.spans);
         create collation util.plain (provider = libc, locale = 'C');
         create function util.twice(x int) returns int language sql immutable as 'select x * 2';
         create function calls.thrice(x int) returns int language sql immutable as 'select x * 3';
         create table raw.items (
           id int primary key, mood util.mood, share \"odd one\".even, pair util.pair, span util.span, spans util.spans,
           moods util.mood[], name text collate util.plain, twice int generated always as (util.twice(id)) stored
         );
         create function raw.unread() returns int language sql as 'select 1'; create type raw.unread as enum ();
         insert into raw.items select n, 'sad', 2 * n, row('glad', 'x')::util.pair, '[1,2)', '{[1,2)}', '{sad}', 'n' || n
         from generate_series(1, 9) as n;
         select pgtrickle.create_stream_table('public.priced',
           'select id, mood, share, pair, span, spans, moods, name, twice, calls.thrice(id) as thrice from raw.items', '1h', 'DIFFERENTIAL')",
    );
    let dir = tempfile::tempdir().unwrap();
    let words = ["--allow-writes", &database.database, "--budget", "10m", "--until-found"];
    verify_in(dir.path(), &database, &words).0.expect(1);
    let file = dir.path().join("pgtrickle-ci-findings/public.priced.sql");
    let script = fs::read_to_string(&file).unwrap();
    assert!(script.contains("-- Reduced, and reproduced"), "{script}");
    assert!(script.contains("\"name\" text collate util.plain") && !script.contains("unread"), "{script}");
    let shown = faulty::psql_file(&server.database("needed_again", "forgets_deletes"), &file);
    assert!(shown.contains("too many") && !shown.contains("ERROR"), "{script}\n{shown}");
}

/// Nested views, one of which reads a stream table: they are created between the tables.
#[test]
fn a_script_creates_views_before_the_tables_that_read_them() {
    let server = Faulty::server();
    let database = server.database("viewed", "forgets_deletes");
    faulty::psql(
        &database,
        "create table items (id int primary key, kind text); create table kinds (kind text primary key, n int);
         insert into items select n, 'k' || n % 3 from generate_series(1, 9) as n;
         insert into kinds select 'k' || n, n from generate_series(0, 2) as n;
         select pgtrickle.create_stream_table('public.counted', 'select kind, count(*) as n from public.kinds group by kind', '1h', 'DIFFERENTIAL');
         create view below as select kind, n from counted; create view \"Above\" as select kind, n from below;
         create view unread as select kind from counted;
         select pgtrickle.create_stream_table('public.topped',
           'select i.id, a.n from public.items as i left join public.\"Above\" as a on a.kind = i.kind', '1h', 'DIFFERENTIAL')",
    );
    let dir = tempfile::tempdir().unwrap();
    with_time(|budget| {
        let arguments = ["--allow-writes", &database.database, "--budget", budget];
        all_are("failed", &verify_in(dir.path(), &database, &arguments).1, &["topped"])
    });
    let file = dir.path().join("pgtrickle-ci-findings/public.topped.sql");
    let script = fs::read_to_string(&file).unwrap();
    assert!(script.contains("-- Reduced, and reproduced") && !script.contains("unread"), "{script}");
    let shown = faulty::psql_file(&server.database("viewed_again", "forgets_deletes"), &file);
    assert!(shown.contains("too many") && !shown.contains("ERROR"), "{script}\n{shown}");
}

/// Verifies until the reduction of a finding begins, and interrupts that. The database in which it is reduced is gone
/// afterwards.
#[track_caller]
pub(super) fn verify_until_reduction(
    dir: &Path,
    database: &Endpoint,
    arguments: &[&str],
) -> (Option<i32>, Value) {
    let mut child = started(dir, database, arguments);
    let sql =
        format!("select 'is there' from pg_database where datname = 'pgtrickle_ci_case_{}'", child.id());
    let is_there = || faulty::psql(database, &sql).contains("is there");
    let code = interrupt_when(&mut child, is_there);
    assert!(!is_there());
    (code, serde_json::from_slice(&fs::read(dir.join("report.json")).unwrap()).unwrap())
}

/// One finding for one fault: the reader of a failing table is not verified, and the others go on.
#[test]
fn the_failing_table_is_blamed_and_not_its_readers() {
    let server = Faulty::server();
    for (named, how) in [(false, "committed"), (true, "rolled_back")] {
        let database = server.database(&format!("blamed_{how}"), "fails_after_delete");
        faulty::psql(&database, SHOP);
        let ephemeral = if named { "off" } else { "on" };
        let set = format!("alter database {} set pgtrickle_ci.ephemeral = {ephemeral}", database.database);
        faulty::psql(&database, &set);
        let dir = tempfile::tempdir().unwrap();
        let report = with_time(|budget| {
            let arguments = ["--allow-writes", &database.database, "--budget", budget];
            let (_, report) = verify_in(dir.path(), &database, &arguments);
            all_are("failed", &report, &["grouped"])?;
            all_are("passed", &report, &["plain", "joined"])?;
            Some(report)
        });
        let of = |table: &str| outcome(&report, "verify", &format!("public.{table}"));
        let message = |table: &str| of(table)["message"].as_str().unwrap().to_owned();
        assert!(message("grouped").contains("cannot build the delta of grouped"), "{report:#}");
        assert_eq!(of("large")["verdict"], "warned", "{report:#}");
        assert_eq!(message("large"), "not verified: the refresh of `public.grouped`, which it reads, fails");
        assert!(!dir.path().join("pgtrickle-ci-findings/public.large.sql").exists());

        let query = "select kind, total from public.grouped where n > 2";
        let only = manifest(dir.path(), "manifest.json", [model("large", query, &json!({}))]);
        with_time(|budget| {
            let manifest = only.to_str().unwrap();
            let arguments =
                ["--allow-writes", &database.database, "--budget", budget, "--manifest", manifest];
            let (_, report) = verify_in(dir.path(), &database, &arguments);
            all_are("failed", &report, &["large"])
        });
    }
}

#[test]
fn an_interrupted_reduction_leaves_a_script_and_no_database() {
    let database = Faulty::server().database("shop_interrupted", "counts_moves_twice");
    faulty::psql(&database, SHOP);
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--budget", "10m", "--until-found"];
    let (code, report) = verify_until_reduction(dir.path(), &database, &arguments);
    assert_eq!(code, Some(130), "it ended before it was interrupted");
    let found = first_failure(&report).unwrap();
    let details = &outcome(&report, "verify", &found)["details"];
    let file = format!("pgtrickle-ci-findings/{found}.sql");
    assert!(details.as_array().unwrap().contains(&format!("script: {file}").into()), "{details:#}");
    let script = fs::read_to_string(dir.path().join(file)).unwrap();
    assert!(script.contains("-- Not reduced, and not tried in a scratch database."), "{script}");
}

/// The rounds go on for the other tables.
#[test]
fn interrupted_rounds_leave_the_scripts_of_their_findings() {
    let database = Faulty::server().database("rounds_interrupted", "counts_moves_twice");
    faulty::psql(&database, SHOP);
    let dir = tempfile::tempdir().unwrap();
    let (script, report) =
        (dir.path().join("pgtrickle-ci-findings/public.grouped.sql"), dir.path().join("report.json"));
    let mut child = started(dir.path(), &database, &["--budget", "10m"]);
    assert_eq!(interrupt_when(&mut child, || script.exists()), Some(130));
    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let found = outcome(&report, "verify", "public.grouped");
    assert_eq!(found["verdict"], "failed", "{found:#}");
    assert!(
        found["details"].to_string().contains("script: pgtrickle-ci-findings/public.grouped.sql"),
        "{found:#}"
    );
    let shown = faulty::psql_file(&Faulty::server().database("rounds_again", "counts_moves_twice"), &script);
    assert!(shown.contains("too many") && !shown.contains("ERROR"), "{shown}");
}

/// On a named server: found inside of a transaction that is rolled back, with a script, and nothing is made or changed.
#[test]
fn faults_are_found_on_a_named_server_without_a_commit() {
    for fault in [
        "forgets_deletes",
        "counts_moves_twice",
        "ignores_null_groups",
        "loses_second_change",
        "stale_after_key_change",
        "skips_one_source",
        "drops_last_of_group",
    ] {
        let server = Faulty::server();
        let database = server.database(&format!("named_{fault}"), fault);
        faulty::psql(&database, SHOP);
        faulty::psql(
            &database,
            &format!("alter database {} set pgtrickle_ci.ephemeral = off", database.database),
        );
        let rows = "select md5(string_agg(r, ';' order by r)) from (select i::text as r from items as i union all select k::text from kinds as k union all select g::text from grouped as g union all select j::text from joined as j) as all_rows";
        let before = faulty::psql(&database, rows);
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["--allow-writes", &database.database, "--budget", "10m", "--until-found"];
        let (_, report) = verify_in(dir.path(), &database, &arguments);
        let found = first_failure(&report);
        let found = found.unwrap_or_else(|| panic!("{fault} was not found: {report:#}"));
        assert_eq!(faulty::psql(&database, rows), before, "{fault}");
        let left = faulty::psql(
            &database,
            "select datname from pg_database where datname like 'pgtrickle_ci_case_%'",
        );
        assert!(!left.contains(&format!("case_{}", std::process::id())), "{left}");

        let file = dir.path().join(format!("pgtrickle-ci-findings/{found}.sql"));
        let shown = faulty::psql_file(&server.database(&format!("named_again_{fault}"), fault), &file);
        assert!(shown.contains("too many") || shown.contains("missing"), "{fault}: {shown}");
        let healthy = faulty::psql_file(&server.database(&format!("named_healthy_{fault}"), ""), &file);
        assert!(healthy.contains("(0 rows)"), "{fault} shows without it: {healthy}");
    }
}

pub(super) const SHOP: &str = "
    create table kinds (id int primary key, kind text, label text);
    create table items (id int primary key, kind text, amount numeric(10, 2), note text);
    insert into kinds select n, 'k' || n, 'label ' || n from generate_series(1, 5) as n;
    insert into items select n, 'k' || 1 + n % 12, n, 'note ' || n from generate_series(1, 30) as n;
    select pgtrickle.create_stream_table('public.plain', 'select id, kind, amount from public.items where amount > 2', '1h', 'DIFFERENTIAL');
    select pgtrickle.create_stream_table('public.grouped', 'select kind, count(*) as n, sum(amount) as total from public.items group by kind', '1h', 'DIFFERENTIAL');
    select pgtrickle.create_stream_table('public.large', 'select kind, total from public.grouped where n > 2', '1h', 'DIFFERENTIAL');
    select pgtrickle.create_stream_table('public.joined', 'select i.id, k.label from public.items as i join public.kinds as k on k.kind = i.kind', '1h', 'DIFFERENTIAL')";

/// As if the scheduler had refreshed at each write: a script does not repeat when it did.
#[test]
fn a_finding_says_that_the_scheduler_refreshed_too() {
    let server = Faulty::server();
    let database = server.database("beside_the_scheduler", "forgets_deletes");
    let scheduler = "
        create function refreshed() returns trigger language plpgsql as $$ begin
          insert into pgtrickle.pgt_refresh_history (pgt_id, data_timestamp, start_time, end_time, action, status, initiated_by)
          select pgt_id, now(), now(), now(), 'DIFFERENTIAL', 'COMPLETED', 'SCHEDULER' from pgtrickle.pgt_stream_tables;
          return null;
        end $$;
        create trigger refreshed after insert or update or delete on items execute function refreshed()";
    faulty::psql(&database, &format!("{SHOP}; {scheduler}"));
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--allow-writes", &database.database, "--budget", "10m", "--until-found"];
    let (_, report) = verify_in(dir.path(), &database, &arguments);
    let found = first_failure(&report).unwrap_or_else(|| panic!("nothing was found: {report:#}"));
    let details = outcome(&report, "verify", &found)["details"].to_string();
    let said = "the scheduler refreshed, too: ";
    assert!(details.contains(said), "{details}");
    let script = fs::read_to_string(dir.path().join(format!("pgtrickle-ci-findings/{found}.sql"))).unwrap();
    assert!(script.contains(&format!("--   {said}")), "{script}");
}

#[track_caller]
fn is_found(fault: &str) {
    let server = Faulty::server();
    let database = server.database(&format!("shop_{fault}"), fault);
    faulty::psql(&database, SHOP);
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--allow-writes", &database.database, "--budget", "10m", "--until-found"];
    let (_, report) = verify_in(dir.path(), &database, &arguments);
    let found = first_failure(&report);
    let found = found.unwrap_or_else(|| panic!("{fault} was not found: {report:#}"));

    let file = dir.path().join(format!("pgtrickle-ci-findings/{found}.sql"));
    let script = fs::read_to_string(&file).unwrap();
    assert!(script.contains("-- Reduced, and reproduced"), "{fault} was not seen again:\n{script}");
    let changes = script
        .lines()
        .filter(|line| ["insert", "update", "delete", "truncate"].iter().any(|word| line.starts_with(word)));
    assert!(changes.count() <= 5, "{fault} was not reduced:\n{script}");
    let shown = faulty::psql_file(&server.database(&format!("again_{fault}"), fault), &file);
    assert!(
        shown.contains("too many") || shown.contains("missing"),
        "{fault} does not show:\n{script}\n{shown}"
    );
    let healthy = faulty::psql_file(&server.database(&format!("healthy_{fault}"), ""), &file);
    assert!(healthy.contains("(0 rows)"), "{fault} shows without it:\n{script}\n{healthy}");
}

/// A table that was found wrong.
pub(super) fn first_failure(report: &Value) -> Option<String> {
    let outcomes = report["outcomes"].as_array().unwrap();
    let failed = outcomes.iter().find(|o| o["stage"] == "verify" && o["verdict"] == "failed")?;
    Some(failed["subject"].as_str().unwrap().to_owned())
}
