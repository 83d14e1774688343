//! A project is verified in shards, and their reports are merged into one.

use std::{fs, path::Path};

use serde_json::Value;

use super::{corrupt, create};
use crate::support::{Database, DbtProject, Ran, pgtrickle_ci};

/// Six tables in four connected parts.
fn shop() -> Database {
    let database = Database::new();
    database.run("create table o (id int primary key, n int); insert into o values (1, 1), (2, 2)");
    for name in ["a", "b", "c", "d"] {
        create(&database, name, "select id, n from public.o", "FULL");
    }
    create(&database, "on_a", "select id from public.a", "FULL");
    create(&database, "on_b", "select id from public.b", "FULL");
    // The scheduler's first round in a new database takes a moment.
    database.wait_for(
        "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
    );
    database
}

#[track_caller]
fn ran(dir: &Path, words: &[&str]) -> Ran {
    Ran::of(pgtrickle_ci().current_dir(dir).args(words))
}

fn read(dir: &Path, file: &str) -> Value {
    serde_json::from_slice(&fs::read(dir.join(file)).unwrap()).unwrap()
}

#[test]
fn all_shards_together_compare_every_table_once_and_their_reports_are_one() {
    let database = shop();
    let (dir, url) = (tempfile::tempdir().unwrap(), database.url());
    for command in [&["verify", "--static"][..], &["check", "--equality"]] {
        let mut compared = Vec::new();
        for shard in ["1/2", "2/2"] {
            let file = format!("{}.json", &shard[..1]);
            let words = [command, &["--database-url", &url, "--shard", shard, "--json", &file]].concat();
            ran(dir.path(), &words).expect(0);
            let report = read(dir.path(), &file);
            let outcomes = report["outcomes"].as_array().unwrap();
            let own = outcomes.iter().filter(|outcome| outcome["stage"] == "equality");
            let own: Vec<String> =
                own.map(|outcome| outcome["subject"].as_str().unwrap().to_owned()).collect();
            assert!((1..6).contains(&own.len()), "{own:?}");
            let together = |one: &str, other: &str| {
                own.contains(&format!("public.{one}")) == own.contains(&format!("public.{other}"))
            };
            assert!(together("a", "on_a") && together("b", "on_b"), "{own:?}");
            compared.extend(own);
        }
        compared.sort();
        assert_eq!(compared, ["a", "b", "c", "d", "on_a", "on_b"].map(|name| format!("public.{name}")));
        ran(dir.path(), &["report", "merge", "1.json", "2.json", "--json", "all.json", "--junit", "all.xml"])
            .expect(0);
        let all = read(dir.path(), "all.json");
        let equality = |outcome: &&Value| outcome["stage"] == "equality";
        assert_eq!(all["outcomes"].as_array().unwrap().iter().filter(equality).count(), 6, "{all:#}");
        assert_eq!(all["command"], command[0]);
        assert_eq!(all["shard"], Value::Null);
    }
    // By the times of that report, or, as the first time, without it.
    let weighed = |shard: &str, durations: &str| {
        let file = format!("{}.json", &shard[..1]);
        let words = ["--shard", shard, "--durations", durations, "--json", &file];
        ran(dir.path(), &[&["verify", "--static", "--database-url", &url][..], &words].concat()).expect(0)
    };
    let first = weighed("1/2", "nowhere.json");
    assert!(first.stderr.contains("shards weighed by estimates: nowhere.json does not exist yet"));
    weighed("2/2", "all.json");
    let merged = ran(dir.path(), &["report", "merge", "1.json", "2.json"]).expect(1);
    assert!(merged.stdout.contains("shards of different projects, plans or durations"), "{}", merged.stdout);
    weighed("1/2", "all.json");
    ran(dir.path(), &["report", "merge", "1.json", "2.json"]).expect(0);
    fs::write(dir.path().join("no.json"), "{}").unwrap();
    let words = ["verify", "--static", "--database-url", &url, "--shard", "1/2", "--durations", "no.json"];
    ran(dir.path(), &words).expect_error("`no.json` is not a pgtrickle-ci report", "--json FILE");
    let missing = ran(dir.path(), &["report", "merge", "1.json"]).expect(1);
    assert!(missing.stdout.contains("shard 2/2 is missing"), "{}", missing.stdout);
}

#[test]
fn a_finding_of_one_shard_fails_the_whole() {
    let database = shop();
    let (dir, url) = (tempfile::tempdir().unwrap(), database.url());
    corrupt(&database, "delete from c where id = 1");
    let codes = ["1/2", "2/2"].map(|shard| {
        let file = format!("{}.json", &shard[..1]);
        let words = ["verify", "--static", "--database-url", &url, "--shard", shard, "--json", &file];
        ran(dir.path(), &words).code.unwrap()
    });
    assert_eq!(codes.iter().sum::<i32>(), 1, "{codes:?}");
    let merged = ran(dir.path(), &["report", "merge", "1.json", "2.json"]).expect(1);
    assert!(merged.stdout.contains("1 row missing"), "{}", merged.stdout);

    // Another project than that of the first shard.
    create(&database, "e", "select id from public.o", "FULL");
    ran(dir.path(), &["verify", "--static", "--database-url", &url, "--shard", "2/2", "--json", "2.json"]);
    let merged = ran(dir.path(), &["report", "merge", "1.json", "2.json"]).expect(1);
    assert!(merged.stdout.contains("shards of different projects, plans or durations"), "{}", merged.stdout);
}

/// Each model is deployed and verified by one shard, and an empty shard passes.
#[test]
fn a_run_deploys_and_verifies_its_shard() {
    let project = DbtProject::new();
    project.write("models/sources.yml", "sources:\n  - name: raw\n    tables:\n      - name: orders\n        columns: [{name: id, data_type: int}]\n");
    let orders = "select id from {{ source('raw', 'orders') }}";
    project.stream_table("one", "{'schedule': '1h'}", orders);
    project.stream_table("two", "{'schedule': '1h'}", orders);
    project.stream_table("on_two", "{'schedule': '1h'}", "select id from {{ ref('two') }}");
    let mut deployed = Vec::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let mut run = pgtrickle_ci();
        run.args(["run", "--engine", "emulator", "--stub-sources", "--budget", "0s", "--shard", shard]);
        run.arg("--json").arg(project.path().join(format!("{}.json", &shard[..1])));
        run.arg("--project-dir").arg(project.path()).arg("--profiles-dir").arg(project.path());
        Ran::of(&mut run).expect(0);
        let report = read(project.path(), &format!("{}.json", &shard[..1]));
        let outcomes = report["outcomes"].as_array().unwrap();
        let own =
            outcomes.iter().filter(|outcome| outcome["stage"] == "verify" && outcome["subject"] != "rounds");
        let own: Vec<String> = own.map(|outcome| outcome["subject"].as_str().unwrap().to_owned()).collect();
        assert_eq!(own.is_empty(), report["shard"]["taken"] == 0, "{report:#}");
        deployed.extend(own.into_iter().filter(|subject| !subject.contains("orders")));
    }
    deployed.sort();
    assert_eq!(deployed, ["marts.on_two", "marts.one", "marts.two"]);
    ran(project.path(), &["report", "merge", "1.json", "2.json", "3.json"]).expect(0);
}

#[test]
fn wrong_shards_and_reports_are_refused() {
    let database = shop();
    let (dir, url) = (tempfile::tempdir().unwrap(), database.url());
    for wrong in ["0/2", "3/2", "two"] {
        ran(dir.path(), &["verify", "--static", "--database-url", &url, "--shard", wrong]).expect(2);
    }
    ran(dir.path(), &["check", "--database-url", &url, "--shard", "1/2"]).expect(2);
    ran(dir.path(), &["verify", "--static", "--database-url", &url, "--json", "whole.json"]).expect(0);
    ran(dir.path(), &["report", "merge", "whole.json"])
        .expect_error("`whole.json` is not the report of a shard", "--shard 1/4");
    ran(dir.path(), &["report", "merge", "nowhere.json"]).expect_error("cannot read the report", "--json");
}
