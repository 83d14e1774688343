//! `config` and `doctor`: what this program sees of its surroundings.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, manifest, model, pgtrickle_ci};

/// The words of each line of `config`.
fn config(project: &DbtProject, arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    let mut command = pgtrickle_ci();
    command.current_dir(project.path()).arg("config").args(arguments);
    let variables = variables.iter().chain(&[("SHOP_PASSWORD", "hunter2"), ("COLUMNS", "160")]);
    let ran = Ran::of(command.envs(variables.map(|(name, value)| (*name, *value)))).expect(0);
    assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
    ran.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn each_setting_has_its_value_and_what_set_it() {
    let project = DbtProject::new();
    let file = "version: 1\n\nwait: {timeout: 90s}\nverify:\n  budget: 5s\n  seed: 7\nplan:\n  allow_drop: [old]\nfixtures: [a.sql]\n";
    project.write("pgtrickle-ci.yml", file);
    let url = "postgresql://u:hunter2@h/d";
    let variables = [("PGTRICKLE_CI_LOCK_TIMEOUT", "3s"), ("PGTRICKLE_CI_SOURCES_FROM", url)];
    let lines = config(&project, &["--budget", "9s", "--allow-drop", "x"], &variables);
    for line in [
        "configuration file ./pgtrickle-ci.yml beside dbt_project.yml",
        "dbt project shop in . this folder",
        "dbt profile shop dbt_project.yml",
        "server ephemeral the default: without --database-url, `run` starts one",
        "findings pgtrickle-ci-findings the default",
        // The flag wins over the file, the file over the default.
        "budget 9s --budget",
        "timeout 1m 30s ./pgtrickle-ci.yml:3",
        "seed 7 ./pgtrickle-ci.yml:6",
        "fail-on error the default",
        "lock-timeout 3s PGTRICKLE_CI_LOCK_TIMEOUT",
        "statement-timeout 30s the default",
        "sources-from ... PGTRICKLE_CI_SOURCES_FROM",
        // Both count.
        "allow-drop x --allow-drop",
        "plan.allow_drop [\"old\"] ./pgtrickle-ci.yml:8",
        "fixtures [\"a.sql\"] ./pgtrickle-ci.yml:9",
        "verify.float_tolerance 1e-9 the default",
    ] {
        assert_eq!(lines.iter().filter(|other| *other == line).count(), 1, "{line}\n{}", lines.join("\n"));
    }
    assert!(!lines.iter().any(|line| line.starts_with("verify.budget")), "{}", lines.join("\n"));
}

/// Every key with a flag, in files without keys that exclude each other.
const KEYS: [&str; 2] = [
    "stub_sources: true
select: [a]
exclude: [b]
dbt: {timeout: 2h, profile: shop, target: dev, profiles_dir: .., vars: {key: hunter2}}
ephemeral: {engine: emulator, engine_version: 0.108.3, pg_bin: bin}
server: {statement_timeout: 1m, lock_timeout: 1s}
plan: {allow_drop: [c], allow_recreate: [d]}
wait: {timeout: 3m}
checks: {fail_on: warn, fail_on_fallback: true}
verify: {budget: 1s, seed: 2, jobs: 3, until_found: true, drive: scheduler, findings: found}
rehearsal: {base_ref: origin/main}
reports: {json: r.json, junit: r.xml, markdown: r.md, html: r.html}
",
    "sample: 7\nephemeral: {image: an/image}\nverify: {corpus: corpus}\n",
];

/// The flags of `run` that have no key, with the reason.
const WITHOUT_KEY: [(&str, &str); 11] = [
    ("config", "it names the file"),
    ("project-dir", "the file is found there"),
    ("database-url", "a file that is committed must not choose a server"),
    ("sources-from", "a file that is committed must not choose a server"),
    ("allow-writes", "each command asks for it"),
    ("shard", "each job has another"),
    ("durations", "it belongs to --shard"),
    ("color", "of one terminal"),
    ("quiet", "of one terminal"),
    ("verbose", "of one terminal"),
    ("help", "no setting"),
];

#[test]
fn every_flag_of_run_has_a_key() {
    let flags = Ran::of(pgtrickle_ci().args(["run", "--help"])).expect(0).stdout;
    let flags = flags.lines().filter_map(|line| line.trim_start().strip_prefix(['-']).map(|_| line));
    let long = |line: &str| line.split("--").nth(1)?.split([' ', '<']).next().map(ToOwned::to_owned);
    let flags: Vec<String> = flags.filter_map(long).collect();
    assert!(flags.len() > 30, "{flags:?}");
    let project = DbtProject::new();
    let mut from_file = Vec::new();
    for (number, keys) in KEYS.iter().enumerate() {
        project.write("ci/all.yml", keys);
        let file = project.path().join("ci/all.yml");
        let origin = "postgresql://u@h/d";
        let flags: &[&str] = if number == 1 { &["--sources-from", origin] } else { &[] };
        let lines = config(&project, &[&["--config", file.to_str().unwrap()], flags].concat(), &[]);
        assert!(!lines.join("\n").contains("hunter2"), "{lines:?}");
        let lines =
            lines.iter().filter(|line| line.contains("/ci/all.yml:") || line.ends_with(" pgtrickle-ci.yml"));
        // `plan.allow_drop` and `dbt target` are named after their keys.
        let names =
            lines.filter_map(|line| line.trim_start_matches("dbt ").split(' ').next()?.rsplit('.').next());
        from_file.extend(names.map(|name| name.replace('_', "-")));
    }
    for flag in flags {
        let is_known = from_file.contains(&flag) || WITHOUT_KEY.iter().any(|(name, _)| *name == flag);
        assert!(is_known, "--{flag} has no key: {from_file:?}");
    }
}

#[test]
fn keys_that_exclude_each_other_are_an_error() {
    let project = DbtProject::new();
    project.write("pgtrickle-ci.yml", "verify: {corpus: a, findings: b}\n");
    let ran = Ran::of(pgtrickle_ci().current_dir(project.path()).arg("config")).expect(2);
    assert!(ran.stderr.contains("sets `verify.corpus` and `verify.findings`"), "{}", ran.stderr);
}

#[test]
fn without_a_project_there_are_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Ran::of(pgtrickle_ci().current_dir(&dir).env("HOME", dir.path()).arg("config")).expect(0);
    assert!(ran.stdout.starts_with("configuration file"), "{}", ran.stdout);
    assert!(ran.stdout.contains("`run` starts one"), "{}", ran.stdout);
}

#[test]
fn without_profiles_the_file_still_names_profile_and_target() {
    let dir = tempfile::tempdir().unwrap();
    let file = "dbt: {profile: shop, target: prod, profiles_dir: nowhere}\nselect:\n";
    fs::write(dir.path().join("pgtrickle-ci.yml"), file).unwrap();
    let shown = || {
        let mut command = pgtrickle_ci();
        let ran = Ran::of(command.current_dir(&dir).env("HOME", dir.path()).arg("config")).expect(0);
        let lines = ran.stdout.lines();
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect::<String>()
    };
    let without_project = shown();
    assert!(without_project.contains("dbt.target prod ./pgtrickle-ci.yml:1"), "{without_project}");
    assert!(!without_project.contains("select"), "{without_project}");
    fs::write(dir.path().join("dbt_project.yml"), "name: shop\nprofile: other\n").unwrap();
    let without_profiles = shown();
    for line in
        ["dbt profile shop pgtrickle-ci.yml\n", "dbt target prod pgtrickle-ci.yml\n", "profiles.yml unknown "]
    {
        assert!(without_profiles.contains(line), "{line}: {without_profiles}");
    }
}

#[test]
fn two_reports_need_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Ran::of(pgtrickle_ci().current_dir(&dir).env("HOME", dir.path()).arg("config").args(arguments))
    };
    for (one, other) in [("x", "./x"), ("-", "-")] {
        let said = run(&["--json", one, "--junit", other]).expect(2).stderr;
        assert!(said.contains("two reports have the same file `"), "{said}");
    }
    run(&["--json", "/dev/null", "--junit", "/dev/null", "--html", "x", "--markdown", "-"]).expect(0);
    fs::write(dir.path().join("pgtrickle-ci.yml"), "reports: {json: x, html: x}\n").unwrap();
    run(&[]).expect(2);
    run(&["--html", "y"]).expect(0);
}

/// A healthy project with a manifest.
fn doctor(project: &DbtProject, arguments: &[&str]) -> (Ran, Value) {
    let report = project.path().join("doctor.json");
    let mut command = pgtrickle_ci();
    command.current_dir(project.path()).env("SHOP_PASSWORD", "hunter2").arg("doctor").args(arguments);
    let ran = Ran::of(command.arg("--json").arg(&report));
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"), "{}", ran.stdout);
    (ran, serde_json::from_slice(&fs::read(report).unwrap()).unwrap())
}

/// The verdict and the message of a look.
#[track_caller]
fn look(report: &Value, subject: &str) -> (String, String) {
    let outcomes = report["outcomes"].as_array().unwrap();
    let outcome = outcomes.iter().find(|outcome| outcome["subject"] == subject);
    let outcome = outcome.unwrap_or_else(|| panic!("nothing looked at {subject}: {outcomes:#?}"));
    let text = |key: &str| outcome[key].as_str().unwrap().to_owned();
    (text("verdict"), text("message"))
}

#[test]
fn everything_that_is_missing_is_reported_at_once() {
    let project = DbtProject::new();
    project.write("packages.yml", "packages: []\n");
    project.write("pgtrickle-ci.yml", "fixture: []\n");
    let (ran, report) = doctor(&project, &["--target", "prod", "--pg-bin", "/nowhere"]);
    let ran = ran.expect(1);
    for (subject, words) in [
        ("configuration", "`fixture` (did you mean `fixtures`?)"),
        ("profile", "prod"),
        ("package", "names the dbt package dbt_pgtrickle"),
        ("ephemeral server", "/nowhere"),
    ] {
        let (verdict, message) = look(&report, subject);
        assert_eq!(verdict, "failed", "{subject}: {message}");
        assert!(message.contains(words), "{subject}: {message}");
    }
    assert_eq!(look(&report, "project").0, "passed");
    // The tests' dbt is a script without packages beside it.
    assert_eq!(look(&report, "dbt").0, "skipped");
    assert!(ran.stdout.contains("hint: "), "{}", ran.stdout);
    assert!(!project.path().join("target").exists(), "it created the target folder");
}

/// The details of a look.
#[track_caller]
fn details(report: &Value, subject: &str) -> String {
    let outcomes = report["outcomes"].as_array().unwrap();
    outcomes.iter().find(|outcome| outcome["subject"] == subject).unwrap()["details"].to_string()
}

#[test]
fn each_line_of_a_problem_is_a_line_and_each_problem_has_a_next_step() {
    let project = DbtProject::new();
    project.write("pgtrickle-ci.yml", "fixtures: [lost.sql]\n");
    let odd = project.path().join("odd");
    project.write("odd/dbt", "#!/bin/sh\nexit 3\n");
    let report = project.path().join("doctor.json");
    let mut command = pgtrickle_ci();
    // Neither dbt nor PostgreSQL is on the PATH.
    let command = command.current_dir(project.path()).env("PATH", &odd).env_remove("VIRTUAL_ENV");
    Ran::of(command.args(["doctor", "--pg-bin", "/nowhere", "--json"]).arg(&report)).expect(1);
    let seen: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    for outcome in seen["outcomes"].as_array().unwrap() {
        assert!(!outcome["message"].as_str().unwrap().contains('\n'), "{outcome}");
        if outcome["verdict"] == "failed" {
            assert_ne!(outcome["details"], json!([]), "{outcome}");
        }
    }
    assert!(details(&seen, "fixture ./lost.sql").contains("remove it from `fixtures`"));
    for (file, text, subject, next) in [
        ("dbt_project.yml", "name: shop\n", "profile", "--profile NAME"),
        ("dbt_project.yml", "name: [\n", "project", "ls -l ./dbt_project.yml"),
    ] {
        let project = DbtProject::new();
        project.write(file, text);
        let (_, report) = doctor(&project, &["--pg-bin", "/nowhere"]);
        assert!(details(&report, subject).contains(next), "{subject}: {report}");
        look(&report, "dbt");
    }
    // A script that may be anything, such as a shim of pyenv.
    let (verdict, message) = look(&seen, "dbt");
    assert!(verdict == "skipped" && message.contains("odd/dbt"), "{verdict}: {message}");
    assert!(details(&seen, "dbt").contains("dbt --version"));
}

#[test]
fn the_package_is_found_under_any_address_and_missed_where_it_is_not_installed() {
    let project = DbtProject::new();
    let package = |expected: &str, words: &str| {
        let (_, report) = doctor(&project, &[]);
        let (verdict, message) = look(&report, "package");
        assert!(verdict == expected && message.contains(words), "{verdict}: {message}");
    };
    project.write("elsewhere/dbt_project.yml", "name: dbt_pgtrickle\n");
    project.write("packages.yml", "packages:\n  - local: elsewhere\n");
    package("passed", "not installed yet");
    fs::create_dir_all(project.path().join("dbt_packages/other")).unwrap();
    package("failed", "not in ./dbt_packages");
    fs::create_dir(project.path().join("dbt_packages/dbt_pgtrickle")).unwrap();
    package("passed", "installed");
    // By a private address, whose name says nothing.
    project.write("packages.yml", "packages:\n  - git: https://example.org/mirror.git\n    revision: main\n");
    package("passed", "installed");
}

#[test]
fn a_usage_error_hides_values_that_may_be_secret() {
    for arguments in [
        &["config", "--vars", "hunter2: ["][..],
        &["plan", "postgresql://u:hunter2@h/d"],
        &["run", "--timeout", "postgresql://u:hunter2@h/d"],
        &["postgresql://u:hunter2@h/d"],
    ] {
        let ran = Ran::of(pgtrickle_ci().args(arguments)).expect(2);
        assert!(ran.stderr.contains("'...'") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    let ran = Ran::of(pgtrickle_ci().env("PGTRICKLE_CI_VARS", "hunter2").arg("config")).expect(2);
    assert!(ran.stderr.contains("--vars") && !ran.stderr.contains("hunter2"), "{}", ran.stderr);
    let ran = Ran::of(pgtrickle_ci().args(["run", "--timeout", "soon"])).expect(2);
    assert!(ran.stderr.contains("'soon'"), "{}", ran.stderr);
}

#[test]
fn a_healthy_server_passes_and_unmatched_names_are_warnings() {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key);
         select pgtrickle.create_stream_table('public.totals', 'select id from public.orders', '1m', 'FULL')",
    );
    // The scheduler's first round in a new database takes a moment.
    database.wait_for(
        "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
    );
    let project = DbtProject::new();
    let totals =
        model("totals", "select id from public.orders", &json!({"schedule": "1m", "refresh_mode": "FULL"}));
    let manifest = manifest(project.path(), "m.json", [totals]);
    project.write(
        "pgtrickle-ci.yml",
        "fixtures: [there.sql]\nplan: {allow_drop: [totals, gone]}\nwait: {models: {public.totals: 1m}}\nverify: {skip: [lost]}\n\
         checks: {silence: [{hazard: search-path, model: \"public.*\", reason: one schema}]}\n",
    );
    project.write("there.sql", "");
    let url = database.url();
    let arguments = ["--database-url", &url, "--manifest", manifest.to_str().unwrap()];
    let (ran, report) = doctor(&project, &arguments);
    ran.expect(0);
    assert_eq!(look(&report, "server").0, "passed");
    assert_eq!(look(&report, "manifest").1, format!("1 stream table, read from {}", manifest.display()));
    assert_eq!(look(&report, "rights to check").0, "passed");
    assert_eq!(look(&report, "rights to deploy").0, "passed");
    for subject in ["plan.allow_drop gone", "verify.skip lost", "checks.silence search-path public.*"] {
        assert_eq!(look(&report, subject).0, "warned", "{subject}");
    }
    let subjects: Vec<&str> = report["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| outcome["subject"].as_str().unwrap())
        .collect();
    assert!(!subjects.contains(&"plan.allow_drop totals"), "{subjects:?}");

    let bare = Database::without_extension();
    let (ran, report) =
        doctor(&project, &["--database-url", &bare.url(), "--manifest", manifest.to_str().unwrap()]);
    ran.expect(1);
    let (verdict, message) = look(&report, "server");
    assert!(verdict == "failed" && message.contains("does not have the extension pg_trickle"), "{message}");
    assert_eq!(look(&report, "names").0, "skipped");
    fs::remove_file(project.path().join("there.sql")).unwrap();
    let (_, report) = doctor(&project, &arguments);
    let (verdict, message) = look(&report, "fixture ./there.sql");
    assert!(verdict == "failed" && message.contains("does not exist"), "{message}");
}

#[test]
fn a_role_without_rights_is_reported_with_what_it_lacks() {
    let database = Database::new();
    database.run(
        "create table orders (id int primary key);
         select pgtrickle.create_stream_table('public.totals', 'select id from public.orders', '1m', 'FULL')",
    );
    let role = format!("d_{}", database.endpoint.database);
    database.run(&format!(
        "create role {role} login password 'x'; grant usage on schema pgtrickle to {role};
         grant select on pgtrickle.pgt_stream_tables, pgtrickle.pgt_dependencies to {role}"
    ));
    let project = DbtProject::new();
    let endpoint = &database.endpoint;
    let url = format!("postgresql://{role}:x@{}:{}/{}", endpoint.host, endpoint.port, endpoint.database);
    let manifest = manifest(project.path(), "m.json", [model("other", "select 1 as a", &json!({}))]);
    let (ran, report) = doctor(&project, &["--database-url", &url, "--manifest", manifest.to_str().unwrap()]);
    database.run(&format!("drop owned by {role}; drop role {role}"));
    ran.expect(1);
    let (verdict, message) = look(&report, "rights to check");
    assert!(verdict == "failed" && message.contains("permission denied"), "{message}");
}
