//! If sources are copies of another server's rows, no report quotes a value of them.

use std::fs;

use crate::support::{Database, DbtProject, Ran, pgtrickle_ci};

/// Runs the project on copied rows. Returns the four formats of the report, and standard error with dbt's output.
fn run(project: &DbtProject, url: &str) -> (Vec<String>, String) {
    let files = ["json", "xml", "md"].map(|end| project.path().join(format!("report.{end}")));
    let mut run = pgtrickle_ci();
    run.args([
        "run",
        "-v",
        "--engine",
        "emulator",
        "--budget",
        "1s",
        "--sample",
        "10",
        "--sources-from",
        url,
    ]);
    run.arg("--project-dir").arg(project.path()).arg("--profiles-dir").arg(project.path());
    for (flag, file) in ["--json", "--junit", "--markdown"].iter().zip(&files) {
        run.arg(flag).arg(file);
    }
    let ran = Ran::of(&mut run);
    let texts = files.map(|file| fs::read_to_string(file).unwrap_or_default());
    ([ran.stdout].into_iter().chain(texts).collect(), ran.stderr)
}

fn origin() -> Database {
    let other = Database::without_extension();
    other.run("create schema raw; create table raw.orders (id int primary key, card text)");
    other.run("insert into raw.orders select n, 'secret ' || n from generate_series(1, 10) n");
    other
}

fn project() -> DbtProject {
    let project = DbtProject::new();
    project.write("models/sources.yml", "sources:\n  - name: raw\n    tables:\n      - name: orders\n");
    project.stream_table("good", "{'schedule': '1h'}", "select id, card from {{ source('raw', 'orders') }}");
    project
}

/// Each kind of message that quotes a value: of a cast, an enum, a key, a check, and a user's function; for a stream
/// table, another dbt table, and dbt tests.
#[test]
fn no_message_of_a_server_quotes_a_value() {
    let other = origin();
    let project = project();
    let orders = "{{ source('raw', 'orders') }}";
    project.write(
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shop\non-run-start:\n  - create schema if not exists helper\n  - \"create or replace function helper.tell(t text) returns text language plpgsql immutable as $f$ begin raise exception 'no address of %', t; end $f$\"\n  - drop type if exists helper.mood cascade\n  - create type helper.mood as enum ('good')\n",
    );
    project.stream_table(
        "cast_fails",
        "{'schedule': '1h'}",
        &format!("select id, card::int as n from {orders}"),
    );
    project.stream_table(
        "raises",
        "{'schedule': '1h'}",
        &format!("select id, helper.tell(card) as t from {orders}"),
    );
    for (name, query) in [
        ("enum_fails", "select card::helper.mood as m"),
        ("date_fails", "select card::date as d"),
        ("array_fails", "select card::int[] as a"),
        ("range_fails", "select ('9' || id || '31415926535')::int as i"),
    ] {
        project.write(
            &format!("models/{name}.sql"),
            &format!("{{{{ config(materialized='table') }}}}\n{query} from {orders}"),
        );
    }
    project.write(
        "models/key_fails.sql",
        &format!("{{{{ config(materialized='table', post_hook='alter table {{{{ this }}}} add check (id < 5)') }}}}\nselect id, card from {orders}"),
    );
    project.write("tests/errs.sql", &format!("select 1 from {orders} where card::int > 0"));
    project.write("tests/tells.sql", &format!("select 1 from {orders} where helper.tell(card) = ''"));

    let (texts, said) = run(&project, &other.url());
    assert!(!said.contains("secret") && !said.contains("31415926535"), "{said}");
    for shown in [
        "Database Error in model cast_fails (models/cast_fails.sql)",
        "invalid input syntax for type integer: \"***\"",
        "because they may hold values of rows: ",
        "1 of ",
    ] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    for text in &texts {
        assert!(!text.contains("secret") && !text.contains("31415926535"), "{text}");
        assert!(text.contains("cast_fails") && text.contains("raises") && text.contains("errs"), "{text}");
        assert!(text.contains("invalid input syntax for type integer"), "{text}");
        assert!(text.contains("it may hold values of rows"), "{text}");
    }
    project.write("pgtrickle-ci.yml", "rehearsal: {examples: 2}\n");
    let (texts, said) = run(&project, &other.url());
    assert!(said.contains("no address of secret") && !said.contains("left out"), "{said}");
    for told in ["type integer: ", "no address of secret", "secret 1"] {
        assert!(texts.iter().all(|text| text.contains(told)), "{told}: {}", texts[0]);
    }
}

/// An error that ends the command is the last line of the report and of the terminal.
#[test]
fn an_error_that_ends_the_command_quotes_no_value() {
    let other = origin();
    // The copied constraint fails on this server.
    let there = &other.endpoint.database;
    other.run(&format!(
        "create function raw.fits(card text) returns boolean language plpgsql as $$ begin if current_database() = '{there}' then return true; end if; raise exception '% does not fit', card; end $$;
         alter table raw.orders add constraint fits check (raw.fits(card))"
    ));
    let (texts, said) = run(&project(), &other.url());
    assert!(said.contains("error: ") && !said.contains("secret"), "{said}");
    assert!(texts.iter().all(|text| !text.contains("secret")), "{texts:?}");
}
