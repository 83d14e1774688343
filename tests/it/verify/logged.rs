//! Sources that are captured from the log, which only pg_trickle itself does: a refresh before the log was read loses
//! what was written (docs/pg_trickle.md, "Change capture").

use super::{all_are, corrupt, create, expect, outcome, verify, with_time};
use crate::support::Database;

/// A source without known bugs, which no other test captures: slots have names of the whole
/// cluster.
struct Logged {
    database: Database,
    source: String,
}

impl Logged {
    fn new(schedule: &str) -> Option<Self> {
        Self::on(Database::ephemeral(), schedule)
    }

    fn on(database: Database, schedule: &str) -> Option<Self> {
        if database.is_emulator() {
            return None;
        }
        let source = database.endpoint.database.replace("pgtrickle_ci_test", "ledger");
        database.run(&format!(
            "create table {source} (id int primary key, k int not null, n int not null);
             alter table {source} replica identity full;
             insert into {source} select n, n % 4, n from generate_series(1, 30) as n"
        ));
        for (name, query) in [
            ("sums", format!("select k, count(*) as n, sum(n) as total from public.{source} group by k")),
            ("small", format!("select id, k, n from public.{source} where n < 20")),
        ] {
            create(&database, name, &query, "DIFFERENTIAL");
            database.run(&format!(
                "select pgtrickle.alter_stream_table('public.{name}', schedule => '{schedule}')"
            ));
        }
        database.wait_for("select bool_and(cdc_mode = 'WAL') from pgtrickle.pgt_dependencies");
        Some(Self { database, source })
    }

    /// Captured from the log, and by nothing else.
    fn expect_captured(&self) {
        let sql = format!(
            "select (select bool_or(cdc_mode = 'WAL') from pgtrickle.pgt_dependencies)
                and not exists (select from pg_trigger where tgrelid = '{}'::regclass)",
            self.source
        );
        assert_eq!(self.database.value(&sql).as_deref(), Some("t"));
    }
}

#[test]
fn refreshes_wait_for_the_log() {
    for (schedule, drive) in [("1h", "manual"), ("1s", "scheduler")] {
        let Some(logged) = Logged::new(schedule) else { return };
        let name = &logged.database.endpoint.database;
        let (ran, report) =
            verify(&logged.database, &["--allow-writes", name, "--budget", "15s", "--drive", drive]);
        ran.expect(0);
        for table in ["public.sums", "public.small"] {
            let verified = outcome(&report, "verify", table);
            assert!(
                verified["message"].as_str().unwrap().starts_with("equal to its query after"),
                "{drive}: {verified:#}"
            );
        }
        logged.expect_captured();
    }
}

#[test]
fn a_wrong_row_is_found_in_a_logged_source_without_changing_capture() {
    let Some(logged) = Logged::new("1h") else { return };
    let name = &logged.database.endpoint.database;
    corrupt(&logged.database, "delete from small where id = 7");
    let (ran, report) = verify(&logged.database, &["--static"]);
    ran.expect(1);
    expect(&report, "public.small", "failed", "not equal to its query: 1 row missing");
    // A text that is cut at its first blank (docs/pg_trickle.md, "Change capture").
    let source = &logged.source;
    logged.database.run(&format!("create table {source}_notes (id int primary key, note text not null); alter table {source}_notes replica identity full"));
    create(&logged.database, "notes", &format!("select id, note from public.{source}_notes"), "DIFFERENTIAL");
    logged.database.wait_for("select bool_and(cdc_mode = 'WAL') from pgtrickle.pgt_dependencies");
    let report = with_time(|budget| {
        let (_, report) = verify(&logged.database, &["--allow-writes", name, "--budget", budget]);
        all_are("failed", &report, &["notes"])?;
        Some(report)
    });
    let found = outcome(&report, "verify", "public.notes");
    assert!(found["script"].as_str().unwrap().contains("captured from the log"), "{found:#}");
    logged.expect_captured();
}

#[test]
fn logged_sources_are_not_verified_on_a_named_server() {
    let Some(logged) = Logged::on(Database::new(), "1h") else { return };
    let name = &logged.database.endpoint.database;
    let (ran, report) = verify(&logged.database, &["--allow-writes", name, "--budget", "3s"]);
    ran.expect(0);
    for table in ["public.sums", "public.small"] {
        let outcome = outcome(&report, "verify", table);
        assert_eq!(outcome["verdict"], "warned", "{outcome:#}");
        assert!(outcome["message"].as_str().unwrap().contains("captured from the log"), "{outcome:#}");
    }
    logged.expect_captured();
}
