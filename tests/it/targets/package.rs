//! Every command of the program and of dbt for one target, in a database with another target of the project and the
//! tables of another project.

use std::{fs, path::Path};

use serde_json::json;

use crate::support::{Database, DbtProject, Ran, dbt, output, pgtrickle_ci};

/// The read-only operations, with their arguments for the model `kept`.
const READING: [(&str, &str); 9] = [
    ("pgtrickle_check_freshness", "{}"),
    ("pgtrickle_check_cdc_health", "{}"),
    ("pgtrickle_status", "{}"),
    ("pgtrickle_stream_table_status", "{name: kept}"),
    ("pgtrickle_refresh_history", "{model_name: kept}"),
    ("pgtrickle_explain", "{model_name: kept}"),
    ("pgtrickle_operational_status", "{}"),
    ("pgtrickle_drain", "{}"),
    ("pgtrickle_enable_monitoring", "{}"),
];

const WRITING: [(&str, &str); 5] = [
    ("refresh_all_stream_tables", "{}"),
    ("pgtrickle_refresh", "{model_name: kept}"),
    ("pgtrickle_refresh_stream_table", "{name: kept}"),
    ("pgtrickle_alter_stream_table", "{name: kept, schedule: 90m, refresh_mode: DIFFERENTIAL}"),
    (
        "pgtrickle_create_stream_table",
        "{name: dev_alice.by_hand, query: select id from public.orders, schedule: 1h, refresh_mode: FULL, initialize: true}",
    ),
];

const DROPPING: [(&str, &str); 3] = [
    ("pgtrickle_drop_stream_table", "{name: dev_alice.by_hand}"),
    ("drop_all_stream_tables", "{}"),
    ("drop_all_stream_tables_force", "{schema: dev_alice}"),
];

/// The state of all tables of other targets in the catalog, PostgreSQL and the engine's buffers.
const OTHERS: &str = "
    select string_agg(concat_ws('|', to_jsonb(st), (
      select string_agg(d.description, ';' order by d.classoid, d.objoid, d.objsubid) from pg_description as d
      where d.objoid = st.pgt_relid or d.objoid in (select oid from pg_trigger where tgrelid = st.pgt_relid)
    ), (
      select string_agg(concat(g.tgname, g.tgenabled, g.oid), ';' order by g.tgname) from pg_trigger as g
      where g.tgrelid = st.pgt_relid or g.tgrelid in (select source_relid from pgtrickle.pgt_dependencies as d where d.pgt_id = st.pgt_id and d.source_relid <> 'public.orders'::regclass)
    ), (
      select string_agg(to_jsonb(d)::text, ';' order by d.source_relid) from pgtrickle.pgt_dependencies as d where d.pgt_id = st.pgt_id
    ), (select relfilenode || coalesce(relacl::text, '') from pg_class where oid = st.pgt_relid)), E'\\n' order by st.pgt_id)
    from pgtrickle.pgt_stream_tables as st where st.pgt_schema not in ('dev_alice', 'pgtrickle') or st.pgt_name = 'of_finance'";

struct Three {
    project: DbtProject,
    database: Database,
}

impl Three {
    /// Bob and alice have the same two models in their own schemas; finance has a table in a schema of its own and one
    /// in alice's, and one has no mark.
    fn deployed() -> Self {
        let three = Self { project: DbtProject::new(), database: Database::new() };
        // Not an ephemeral server, so that `verify` rolls its changes back.
        three.database.run(&format!(
            "alter database {} set pgtrickle_ci.ephemeral = off",
            three.database.endpoint.database
        ));
        three.database.run(
            "create table orders (id int primary key, amount int); insert into orders values (1, 10);
             create table invoices (id int primary key, amount int); insert into invoices values (1, 10);
             create schema finance; create schema dev_alice",
        );
        let outputs =
            json!({"alice": output(&three.database, "dev_alice"), "bob": output(&three.database, "dev_bob")});
        three
            .project
            .write("profiles.yml", &json!({"shop": {"target": "alice", "outputs": outputs}}).to_string());
        for (name, query) in [("kept", "public.orders"), ("gone", "public.invoices")] {
            three.project.stream_table(
                name,
                "{'schedule': '1h'}",
                &format!("select id, amount from {query}"),
            );
        }
        let mark = r#"{"dbt_project": "finance", "unique_id": "model.finance.t", "target": "prod", "schema": "finance"}"#;
        for name in ["finance.totals", "dev_alice.of_finance", "finance.no_mark"] {
            three.database.run(&format!(
                "select pgtrickle.create_stream_table('{name}', 'select id, amount from public.invoices', '1h', 'DIFFERENTIAL')"
            ));
            if name != "finance.no_mark" {
                three.database.run(&format!("comment on trigger pgt_dml_guard on {name} is '{mark}'"));
            }
        }
        three.ran("apply", &["--target", "bob"]).expect(0);
        three.ran("apply", &["--target", "alice"]).expect(0);
        // Pending changes for the tables of the others.
        three.database.run("insert into orders values (2, 20); insert into invoices values (2, 20)");
        three
    }

    fn ran(&self, command: &str, more: &[&str]) -> Ran {
        let mut ran = pgtrickle_ci();
        ran.arg(command).args(more).arg("--project-dir").arg(self.project.path());
        ran.arg("--profiles-dir").arg(self.project.path()).args(["--database-url", &self.database.url()]);
        Ran::of(&mut ran)
    }

    /// Runs dbt commands as alice. Returns the output, and `<<< False` for each that fails.
    fn dbt(&self, commands: &[Vec<&str>]) -> String {
        let ran = |command: &Vec<&str>| {
            let Ran { code, stdout, stderr } = dbt(&self.project, command);
            let end = if code == Some(0) { "<<< True" } else { "<<< False" };
            format!(">>> {command:?}\n{stdout}{stderr}\n{end}\n")
        };
        commands.iter().map(ran).collect()
    }

    /// The same, all of which succeed.
    fn dbt_done(&self, commands: &[Vec<&str>]) -> String {
        let said = self.dbt(commands);
        assert!(!said.contains("<<< False"), "{said}");
        said
    }

    fn operations(&self, operations: &[(&'static str, &'static str)]) -> String {
        let call = |(name, arguments): &(&'static str, &'static str)| {
            vec!["run-operation", *name, "--args", *arguments]
        };
        self.dbt_done(&operations.iter().map(call).collect::<Vec<_>>())
    }

    /// Their catalog rows, comments, triggers, storage, rows, and the changes that wait for them.
    fn others(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.database.value(OTHERS).unwrap().lines().map(ToOwned::to_owned).collect();
        let names = "select string_agg(pgt_schema || '.' || pgt_name, ' ' order by pgt_id) from pgtrickle.pgt_stream_tables where pgt_schema not in ('dev_alice', 'pgtrickle') or pgt_name = 'of_finance'";
        for name in self.database.value(names).unwrap().split(' ') {
            all.extend(
                self.database
                    .value(&format!("select string_agg(t::text, ';' order by t.id) from {name} as t")),
            );
        }
        let buffer = "select 'pgtrickle_changes.changes_' || source_stable_name from pgtrickle.pgt_change_tracking where source_relid = 'public.{}'::regclass";
        for source in ["orders", "invoices"] {
            let buffer = self.database.value(&buffer.replace("{}", source)).unwrap();
            all.push(format!(
                "{source}: {}",
                self.database.value(&format!("select count(*) > 0 from {buffer}")).unwrap()
            ));
        }
        all
    }

    #[track_caller]
    fn expect_unchanged(&self, before: &[String], what: &str) {
        let after = self.others();
        // Long lines: show them from the first difference.
        let part = |(before, after): (&String, &String)| {
            let same =
                before.bytes().zip(after.bytes()).take_while(|(before, after)| before == after).count();
            let shown = |text: &str| {
                String::from_utf8_lossy(&text.as_bytes()[same.saturating_sub(60)..])
                    .chars()
                    .take(200)
                    .collect::<String>()
            };
            (before != after).then(|| format!("{}\n  now {}", shown(before), shown(after)))
        };
        let differing: Vec<_> = before.iter().zip(&after).filter_map(part).collect();
        assert!(
            after.len() == before.len() && differing.is_empty(),
            "{what} changed:\n{}",
            differing.join("\n")
        );
    }
}

#[test]
fn operations_for_one_target_do_not_touch_others() {
    let three = Three::deployed();
    let before = three.others();
    let database = three.database.endpoint.database.clone();
    for (command, more) in [
        ("plan", vec![]),
        ("doctor", vec![]),
        ("explain", vec!["dev_alice.kept"]),
        ("history", vec!["dev_alice.kept"]),
        ("apply", vec!["--allow-drop", "all", "--allow-recreate", "all"]),
        ("wait", vec!["--timeout", "20s", "--refresh"]),
        ("check", vec![]),
        ("verify", vec!["--allow-writes", &*database, "--budget", "2s"]),
        ("run", vec!["--allow-drop", "all", "--allow-recreate", "all", "--budget", "1s"]),
    ] {
        let ran = three.ran(command, &more);
        assert!(matches!(ran.code, Some(0 | 1)), "{command}: {}\n{}", ran.stdout, ran.stderr);
        three.expect_unchanged(&before, command);
    }
    // Some of these fail, as does the engine's own monitoring on the emulator.
    let looking = READING.map(|(name, arguments)| vec!["run-operation", name, "--args", arguments]);
    three.dbt(&looking);
    three.expect_unchanged(&before, "an operation that looks");
    let said = three.operations(&WRITING);
    three.expect_unchanged(&before, &format!("an operation that writes\n{said}"));

    let said = three.dbt_done(&[vec!["build"], vec!["run", "--full-refresh"]]);
    three.expect_unchanged(&before, &format!("dbt build, dbt run --full-refresh\n{said}"));
    fs::remove_file(three.project.path().join("models/gone.sql")).unwrap();
    three.dbt_done(&[vec!["run"]]);
    three.expect_unchanged(&before, "dbt run without a model");
    three.ran("apply", &["--allow-drop", "all"]).expect(0);
    three.expect_unchanged(&before, "apply without a model");
    assert_eq!(three.database.value("select to_regclass('dev_alice.gone')::text"), None, "it was dropped");

    three.operations(&DROPPING[..2]);
    three.expect_unchanged(&before, "a drop");
    assert_eq!(
        three
            .database
            .value("select count(*)::text from pgtrickle.pgt_stream_tables where pgt_schema = 'dev_alice'")
            .as_deref(),
        Some("1")
    );

    // No captured change is lost: one refresh makes them match their queries.
    for name in ["dev_bob.kept", "dev_bob.gone", "finance.totals", "finance.no_mark", "dev_alice.of_finance"]
    {
        three.database.run(&format!("select pgtrickle.refresh_stream_table('{name}')"));
        assert_eq!(
            three
                .database
                .value(&format!("select string_agg(id || ' ' || amount, ', ' order by id) from {name}"))
                .as_deref(),
            Some("1 10, 2 20"),
            "{name}"
        );
    }

    // With force it drops all tables in the named schema, and no others.
    let said = three.operations(&DROPPING[2..]);
    assert!(said.contains("dropped dev_alice.of_finance"), "{said}");
    let left = "select string_agg(pgt_schema || '.' || pgt_name, ' ' order by pgt_schema, pgt_name) from pgtrickle.pgt_stream_tables where pgt_schema <> 'pgtrickle'";
    assert_eq!(
        three.database.value(left).as_deref(),
        Some("dev_bob.gone dev_bob.kept finance.no_mark finance.totals")
    );
}

/// A new operation must be added here.
#[test]
fn every_operation_and_command_is_tried() {
    let operations = Path::new(env!("CARGO_MANIFEST_DIR")).join("macros/operations");
    let tried: Vec<&str> = READING.iter().chain(&WRITING).chain(&DROPPING).map(|(name, _)| *name).collect();
    for file in fs::read_dir(operations).unwrap() {
        let name = file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with('_') || name == "_pgtrickle_log_done" || tried.contains(&&*name), "{name}");
    }
    let help = Ran::of(pgtrickle_ci().arg("--help")).expect(0).stdout;
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    // They do not connect to a server of the user.
    let harmless = ["comment", "report", "ephemeral", "init", "config", "completions", "help"];
    let tried = ["plan", "doctor", "explain", "history", "apply", "wait", "check", "verify", "run"];
    let unknown: Vec<_> =
        commands.iter().filter(|name| !tried.contains(name) && !harmless.contains(name)).collect();
    assert!(commands.len() >= tried.len() && unknown.is_empty(), "{unknown:?}");
}
