//! Transactions that stay open while others commit: made only if the project asks for them, because pg_trickle itself loses
//! what they wrote.

use std::fs;

use super::{
    OrdinaryRole, all_are, create,
    faulty::{self, Faulty},
    outcome, planted, verify_in, with_time,
};
use crate::support::Database;

const ASKED: &str = "version: 1\nverify: {open_transactions: true}\n";

#[test]
fn changes_that_commit_after_a_refresh_that_did_not_see_them_are_followed() {
    let corpus = tempfile::tempdir().unwrap();
    planted::find_with_every_seed("loses_late_commits", planted::SHOP, ASKED, |found, report, file| {
        let details = outcome(report, "verify", found)["details"].to_string();
        assert!(details.contains(", open transaction "), "{details}");
        let Some(file) = file else { return };
        fs::copy(file, corpus.path().join("late.sql")).unwrap();
        let script = fs::read_to_string(file).unwrap();
        assert!(script.contains("-- Reduced, and reproduced"), "{script}");
        assert!(script.contains("select dblink_exec('other', $$begin$$);\n"), "{script}");
        assert!(script.contains("select dblink_exec('other', $$commit$$);\n"), "{script}");
    });
    // Nobody asked. The server of the tests has no dblink, without which the script says nothing.
    let database = Faulty::server().database("late_unasked", "loses_late_commits");
    faulty::psql(&database, planted::SHOP);
    let dir = tempfile::tempdir().unwrap();
    let corpus = corpus.path().to_str().unwrap();
    let words = ["--allow-writes", &database.database, "--budget", "4s", "--corpus", corpus];
    let (_, report) = verify_in(dir.path(), &database, &words);
    assert_eq!(planted::first_failure(&report), None, "{report:#}");
    let replayed = outcome(&report, "verify", "corpus: late");
    assert_eq!(replayed["verdict"], "skipped", "{replayed:#}");
    assert!(replayed["message"].as_str().unwrap().contains("dblink"), "{replayed:#}");
}

#[test]
fn healthy_tables_follow_what_commits_late() {
    let database = Database::new();
    if !database.is_emulator() {
        // pg_trickle's own do not.
        return;
    }
    database.run(
        "create table people (id int primary key, name text);
         create table sales (id int primary key, person int references people (id), price numeric(10, 2));
         create table bag (word text, n int);
         insert into people select n, 'p' || n from generate_series(1, 12) as n;
         insert into sales select n, 1 + n % 12, n from generate_series(1, 60) as n;
         insert into bag select 'w' || n % 6, n from generate_series(1, 30) as n",
    );
    let name = database.endpoint.database.clone();
    database.run(&format!("alter database {name} set pgtrickle_ci.ephemeral = on"));
    create(
        &database,
        "totals",
        "select person, count(*) as n, sum(price) as total from public.sales group by person",
        "DIFFERENTIAL",
    );
    create(&database, "large", "select person, total from public.totals where n > 2", "DIFFERENTIAL");
    create(&database, "words", "select word, count(*) as n from public.bag group by word", "FULL");
    create(
        &database,
        "named",
        "select s.id, p.name from public.sales as s join public.people as p on p.id = s.person",
        "IMMEDIATE",
    );
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pgtrickle-ci.yml"), ASKED).unwrap();
    with_time(|budget| {
        let (_, report) =
            verify_in(dir.path(), &database.endpoint, &["--allow-writes", &name, "--budget", budget]);
        all_are("passed", &report, &["totals", "large", "words", "named"])?;
        let details = outcome(&report, "verify", "public.totals")["details"].to_string();
        (!details.contains(", open transaction 0")).then_some(())
    });
    let open =
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                  and state like 'idle in transaction%' and application_name = 'pgtrickle-ci'";
    // The server needs a moment to notice that the program has ended.
    let has_ended = || database.value(open) == Some("0".into());
    assert!((0..100).any(|_| has_ended() || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        false
    }));
}

#[test]
fn without_a_second_connection_no_transaction_stays_open_and_the_report_says_so() {
    let database = Database::ephemeral();
    database.run(
        "create table bag (id int primary key, n int); insert into bag select n, n from generate_series(1, 20) as n",
    );
    create(&database, "bagged", "select id, n from public.bag", "FULL");
    let role = OrdinaryRole::of(&database, "public");
    database.run(&format!(
        "alter table bagged owner to {0}; alter role {0} connection limit 2",
        role.endpoint.user
    ));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pgtrickle-ci.yml"), ASKED).unwrap();
    let words = ["--allow-writes", &database.endpoint.database, "--budget", "2s"];
    let (ran, report) = verify_in(dir.path(), &role.endpoint, &words);
    let details = outcome(&report, "verify", "rounds")["details"].to_string();
    assert!(
        details.contains("no transaction stayed open: cannot connect to ")
            && details.contains("too many connections"),
        "{details} {}",
        ran.stderr
    );
    database.run(&format!("alter role {} connection limit 1", role.endpoint.user));
    let ran = crate::support::Ran::of(
        crate::support::pgtrickle_ci()
            .current_dir(dir.path())
            .args(["verify", "--database-url", role.endpoint.url().reveal()])
            .args(words),
    );
    ran.expect_error("too many connections for role", "CONNECTION LIMIT");
}
