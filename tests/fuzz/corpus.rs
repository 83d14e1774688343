//! What the targets begin with: files of this repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pgtrickle_ci::{
    model::Owner,
    plan::{Answers, Plan, Policy, UpstreamRelations, saved::Saved},
    project::Reading,
    report::{
        Report,
        legs::{Posting, RunOrder},
        markdown, read,
    },
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files below a folder whose names end so, in order.
fn files(folder: &str, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !["target", "dbt_packages", "logs"].iter().any(|name| path.ends_with(name)) {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

pub(crate) fn manifests() -> Vec<String> {
    [files("tests/it/manifests", ".json"), files("tests/it/selectors", "re.json")].concat()
}

/// With the whole of Jinja that the tests of connections use.
pub(crate) fn profiles() -> Vec<String> {
    let mut all =
        [files("integration_tests", "profiles.yml"), files("integration_tests_tpch", "profiles.yml")]
            .concat();
    all.push(
        "shop:\n  target: \"{{ env_var('T', 'dev') | lower }}\"\n  outputs:\n    dev: &a {type: postgres, host: '{{ env_var(\"HOST\").lower().split(\".\")[0] }}', user: u, password: \"{{ env_var('DBT_ENV_SECRET_PW') }}\", port: \"{{ var('port', 5432) | as_number }}\", dbname: d, schema: \"{% if env_var('F', 'True') | as_bool %}a{% else %}b{% endif %}\", role: '\"r\"', search_path: 'a, b', sslmode: require, threads: 4}\n    prod: {<<: *a, dbname: prod}\n".into(),
    );
    all
}

pub(crate) fn project_files() -> Vec<String> {
    let ours = fs::read_to_string(root().join("dbt_project.yml")).into_iter().collect();
    [files("integration_tests", "dbt_project.yml"), files("integration_tests_tpch", "dbt_project.yml"), ours]
        .concat()
}

pub(crate) fn configurations() -> Vec<String> {
    let mut all =
        [files("src/commands/init", ".yml"), files("integration_tests_tpch", "pgtrickle-ci.yml")].concat();
    all.push(
        "version: 1\nallow_empty: true\nfixtures: [ci/sources.sql]\ndbt: {timeout: 2h}\nplan: {allow_drop: [a], allow_recreate: all}\nwait: {timeout: 90s, models: {slow: 10m}}\nfreshness: {warn_after: {count: 10, period: minute}, error_after: {count: 1, period: hour}}\nverify: {budget: 5s, seed: 7, float_tolerance: 1e-6, skip: [s.t]}\nchecks: {fail_on: warn, fail_on_fallback: true, silence: [{hazard: search-path, model: \"marts.*\", reason: one schema}]}\nrehearsal: {examples: 5, rows_changed_over: 2.5%}\ncomment: {key: staging, when: always}\n".into(),
    );
    all
}

pub(crate) fn events() -> Vec<String> {
    files("tests/it/events", ".json")
}

/// What `plan --out` would save for an empty server.
pub(crate) fn saved_plans() -> Vec<String> {
    let saved = |manifest: &String| {
        let project = Reading::of("m.json", manifest.as_bytes(), |_, _| None).ok()?.into_project().ok()?;
        let plan = Plan::between(&project.tables, &[], &Answers::default(), &Policy::default()).ok()?;
        let nothing = (&[][..], &UpstreamRelations::default());
        Some(Saved::new(&project, &Owner::default(), "host:1/db".into(), nothing, &plan).to_text())
    };
    manifests().iter().filter_map(saved).collect()
}

/// The report that the snapshot holds, and those of its parts.
pub(crate) fn reports() -> Vec<String> {
    let snapshots = files("src/report/snapshots", "the_document_keeps_its_shape.snap");
    let body = |text: &String| text.splitn(3, "---\n").nth(2).map(ToOwned::to_owned);
    snapshots.iter().filter_map(body).collect()
}

pub(crate) fn report() -> Report {
    reports().iter().find_map(|text| read::read("r.json", text).ok()).expect("the snapshot is a report")
}

/// The comments of one job and of two.
pub(crate) fn comments() -> Vec<String> {
    let report = report();
    let compose = |leg, attempt, bodies: &[&str]| {
        let posting = Posting { report: &report, leg, turn: RunOrder { run: 7, attempt } };
        posting.compose(bodies, markdown::COMMENT_LIMIT).map(|composed| composed.text)
    };
    let one = compose("gate (dbt: 1.11)", 1, &[]);
    let two = one.as_deref().and_then(|one| compose("gate (dbt: 1.12)", 2, &[one]));
    one.into_iter().chain(two).collect()
}

pub(crate) fn queries() -> Vec<String> {
    let models = |folder: &str| files(folder, ".sql");
    let mut all =
        [models("integration_tests"), models("integration_tests_tpch"), models("tests/conformance")].concat();
    all.extend(
        [
            "select E'\\'a' || U&\"d\\0061t\" || $q$ '' $q$ || $$ $$ -- c\n/* a /* b */ c */ from a.b, \"c\".\"d\" x where a->>'b' @> '{}'::jsonb;",
            "select 1 from only (s.t) join lateral f(x) on true where $1 = any(array[1, 2]) and B'1' = X'f'",
        ]
        .map(ToOwned::to_owned),
    );
    // An operator that a comment ends, again and again.
    all.push("*/".repeat(50_000));
    all
}

/// The URLs of the table of connections, and key/value strings.
pub(crate) fn addresses() -> Vec<String> {
    let table = fs::read_to_string(Path::new(&root()).join("tests/it/connections.yml")).unwrap_or_default();
    let urls =
        table.lines().filter_map(|line| Some(line.split_once("url: \"")?.1.split_once('"')?.0.to_owned()));
    let more = [
        "postgresql://al%40ice:p%3Aw+x@[::1]:5433,db2,db3:1/sh%2Fop?options=-c%20a%3Db&sslmode=require",
        r"host = db  hostaddr=::1 password='it\'s \\ = x' dbname=a\ b user='' port=1,2",
    ];
    urls.chain(more.map(ToOwned::to_owned))
        .map(|url| url.replace("$PLAIN", "5432").replace("$TLS", "5433"))
        .collect()
}

pub(crate) fn dotenvs() -> Vec<String> {
    vec![
        "A=1\nexport B = 'it\\'s' # c\n'C d'=\"x\ny${A}${NO:-d}\"\nD\nE=a b # c\n# F=1\n\u{feff}G=${B:x}\r\n"
            .into(),
        "PGHOST=localhost\nDBT_TARGET=${X}\n".into(),
    ]
}
