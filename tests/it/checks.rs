//! `check`: each fault in a healthy project fails with its message and passes after the repair.

mod capture;
mod equality;
mod hazards;
mod newer;
mod soak;
mod surroundings;
mod tables;

use serde_json::{Value, json};

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

const SCHEDULER_RUNS: &str =
    "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'";

/// A database with sources and healthy stream tables, and the manifest of their project.
struct Shop {
    database: Database,
    dir: tempfile::TempDir,
    models: Vec<(String, Value)>,
}

impl Shop {
    /// With one table, `totals`, on one source, `orders`.
    fn new() -> Self {
        Self::in_database(Database::new())
    }

    fn in_database(database: Database) -> Self {
        let mut shop = Self { database, dir: tempfile::tempdir().unwrap(), models: Vec::new() };
        shop.database.run(
            "create table orders (id int primary key, amount int); insert into orders values (1, 10), (2, 20)",
        );
        shop.add("totals", "select id, amount from public.orders", &json!({}));
        // The scheduler's first round in a new database takes a moment.
        shop.database.wait_for(SCHEDULER_RUNS);
        shop
    }

    /// Deploys a stream table and adds it to the manifest.
    fn add(&mut self, name: &str, query: &str, settings: &Value) {
        let text = |key: &str, default: &str| settings[key].as_str().unwrap_or(default).to_owned();
        self.database.run(&format!(
            "select pgtrickle.create_stream_table('public.{name}', '{query}', '{}', '{}', cdc_mode => {})",
            text("schedule", "1m"),
            text("refresh_mode", "DIFFERENTIAL"),
            settings["cdc_mode"].as_str().map_or_else(|| "null".into(), |mode| format!("'{mode}'")),
        ));
        self.models.push(model(name, query, settings));
    }

    fn check(&self, more: &[&str]) -> (Ran, Value) {
        self.check_at(&self.database.url(), more)
    }

    fn check_at(&self, url: &str, more: &[&str]) -> (Ran, Value) {
        let manifest = manifest(self.dir.path(), "manifest.json", self.models.iter().cloned());
        let report = self.dir.path().join("report.json");
        let ran = Ran::of(
            pgtrickle_ci()
                .current_dir(self.dir.path())
                .args(["check", "--database-url", url])
                .args(more)
                .arg("--manifest")
                .arg(manifest)
                .arg("--json")
                .arg(&report),
        );
        (ran, serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap())
    }

    #[track_caller]
    fn expect_failure(&self, stage: &str, sentence: &str) {
        let (ran, report) = self.check(&[]);
        expect_bad(&ran, &report, stage, sentence);
    }

    #[track_caller]
    fn expect_pass(&self) {
        let (ran, _) = self.check(&[]);
        ran.expect(0);
    }

    /// Adds a fault, which must fail, and repairs it, after which the check must pass.
    #[track_caller]
    fn fault(&self, breaking: &str, stage: &str, sentence: &str, mending: &str) {
        self.database.run(breaking);
        self.expect_failure(stage, sentence);
        self.database.run(mending);
        if !self.database.is_emulator() {
            // A scheduler that the fault ends is alive until its round is over.
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        // A repaired table is refreshed in the next round, by a new scheduler if the fault ended it.
        self.database.wait_for("select not bool_or(needs_reinit) from pgtrickle.pgt_stream_tables");
        self.database.wait_for(SCHEDULER_RUNS);
        self.expect_pass();
    }
}

/// The check fails with an outcome of the stage with this message.
#[track_caller]
fn expect_bad(ran: &Ran, report: &Value, stage: &str, sentence: &str) {
    let outcomes = report["outcomes"].as_array().unwrap();
    let bad = |outcome: &&Value| {
        outcome["stage"] == stage && (outcome["verdict"] == "failed" || outcome["verdict"] == "errored")
    };
    let messages: Vec<String> =
        outcomes.iter().filter(bad).map(|outcome| outcome["message"].to_string()).collect();
    assert!(
        messages.iter().any(|message| message.contains(sentence)),
        "`{sentence}` is not said: {messages:?}\n{}\n{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(ran.code, Some(1));
}

#[test]
fn a_healthy_table_passes_and_a_check_leaves_nothing() {
    let shop = Shop::new();
    let catalog = "select md5(string_agg(s::text, ',')) from pgtrickle.pgt_stream_tables as s";
    let before = shop.database.value(catalog);
    shop.expect_pass();
    assert_eq!(shop.database.value(catalog), before);
}

#[test]
fn without_a_project_every_table_of_the_database_is_checked() {
    let shop = Shop::new();
    let check = || {
        Ran::of(pgtrickle_ci().current_dir(shop.dir.path()).args([
            "check",
            "--database-url",
            &shop.database.url(),
        ]))
    };
    assert!(check().expect(0).stdout.contains("public.totals"));
    shop.database.run("select pgtrickle.alter_stream_table('public.totals', status => 'SUSPENDED')");
    check().expect(1);
}

#[test]
fn an_earlier_report_shows_new_failures_and_ages_have_dbts_format() {
    let shop = Shop::new();
    shop.check(&["--compare", "earlier.json"]).0.expect(0);
    std::fs::rename(shop.dir.path().join("report.json"), shop.dir.path().join("earlier.json")).unwrap();
    shop.database.run("select pgtrickle.alter_stream_table('public.totals', status => 'SUSPENDED')");
    let (ran, _) = shop.check(&["--compare", "earlier.json", "--freshness", "freshness.json"]);
    let ran = ran.expect(1);
    assert!(ran.stderr.contains("new failures: status public.totals"), "{}", ran.stderr);
    let ages = std::fs::read(shop.dir.path().join("freshness.json")).unwrap();
    let ages: Value = serde_json::from_slice(&ages).unwrap();
    assert_eq!(ages["results"][0]["unique_id"], "model.shop.totals");
    assert_eq!(ages["results"][0]["status"], "runtime error");

    std::fs::rename(shop.dir.path().join("report.json"), shop.dir.path().join("earlier.json")).unwrap();
    shop.database.run("select pgtrickle.resume_stream_table('public.totals')");
    let (ran, _) = shop.check(&["--compare", "earlier.json", "--freshness", "freshness.json"]);
    assert!(ran.expect(0).stderr.contains("recovered: status public.totals"));
    let ages = std::fs::read(shop.dir.path().join("freshness.json")).unwrap();
    let ages: Value = serde_json::from_slice(&ages).unwrap();
    assert_eq!(ages["results"][0]["status"], "pass");
    assert_eq!(
        ages["results"][0]["criteria"]["warn_after"],
        json!({"count": 2, "period": "minute"}),
        "the schedule of a minute and its grace"
    );

    let (ran, _) = shop.check(&["--compare", "manifest.json"]);
    ran.expect_error("`manifest.json` is not a pgtrickle-ci report", "--json");
}
