//! A named server's sources are put back whatever ends it, and the report says what there was to say.

use std::{
    fs,
    net::{Shutdown, TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Mutex},
};

use pgtrickle_ci::pg::Endpoint;
use serde_json::{Value, json};

use super::{create, everything, outcome, verify};
use crate::support::{Database, manifest, model, pgtrickle_ci};

/// All rows of the sources, as one text.
const SUM: &str = "select md5(string_agg(t, ';' order by t)) from (select p::text as t from people as p union all select s::text from sales as s
                   union all select j::text from journal as j union all select b::text from bag as b union all select x::text from parts as x union all select e::text from empty_one as e) as all_rows";

#[test]
fn the_sources_are_as_before_whatever_ends_it() {
    for way in ["interrupted", "killed on the server", "cut off from the network"] {
        let database = Database::new();
        everything(&database);
        let before = database.value(SUM).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let wire = Wire::to(&database.endpoint);
        let child = pgtrickle_ci()
            .current_dir(dir.path())
            .args(["verify", "--database-url", wire.endpoint.url().reveal(), "--budget", "60s"])
            .args(["--allow-writes", &database.endpoint.database, "--json", "report.json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        for _ in 0..3 {
            database.wait_for(&format!("select ({SUM}) <> '{before}'"));
        }
        match way {
            "interrupted" => {
                let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
            }
            "killed on the server" => database.run("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'pgtrickle-ci'"),
            _ => wire.cut(),
        }
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(if way == "interrupted" { 130 } else { 2 }), "{way}: {said}");
        assert!(said.contains("put back: their rows are what they were before"), "{way}: {said}");
        assert_eq!(database.value(SUM).unwrap(), before, "{way}: {said}");
        let report: Value =
            serde_json::from_slice(&fs::read(dir.path().join("report.json")).unwrap()).unwrap();
        assert!(outcome(&report, "verify", "rounds")["message"].as_str().unwrap().contains("round"), "{way}");
    }
}

/// A network between the program and the server, which can be cut. Who connects anew gets through.
struct Wire {
    endpoint: Endpoint,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(server: &Endpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { port: listener.local_addr().unwrap().port(), ..server.clone() };
        let ends = Arc::new(Mutex::new(Vec::new()));
        let (open, address) = (Arc::clone(&ends), (server.host.clone(), server.port));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(&address).unwrap());
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        std::io::copy(&mut from, &mut to).ok();
                        to.shutdown(Shutdown::Both).ok();
                    });
                }
                open.lock().unwrap().push(near);
            }
        });
        Self { endpoint, ends }
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            end.shutdown(Shutdown::Both).ok();
        }
    }
}

#[test]
fn what_is_only_appended_to_is_left_alone_where_rows_have_to_go_again() {
    let database = Database::new();
    database.run(
        "create table journal (id int primary key, what text); insert into journal values (1, 'a');
         select pgtrickle.create_stream_table('public.appended', 'select id, what from public.journal', '1h', 'DIFFERENTIAL', append_only => true)",
    );
    let dir = tempfile::tempdir().unwrap();
    let model = model("appended", "select id, what from public.journal", &json!({"append_only": true}));
    let manifest = manifest(dir.path(), "manifest.json", [model]);
    let name = &database.endpoint.database;
    let (ran, report) = verify(
        &database,
        &["--manifest", manifest.to_str().unwrap(), "--allow-writes", name, "--budget", "1s"],
    );
    ran.expect(0);
    let left = outcome(&report, "verify", "public.journal");
    assert!(left["message"].as_str().unwrap().contains("is only appended to"), "{left:#}");
}

#[test]
fn a_budget_that_ends_in_the_middle_of_a_round_says_what_was_not_verified() {
    let database = Database::new();
    everything(&database);
    let before = database.value(SUM).unwrap();
    for budget in ["1ms", "300ms"] {
        let (ran, report) = verify(
            &database,
            &["--allow-writes", &database.endpoint.database, "--budget", budget, "--seed", "9"],
        );
        assert!(ran.code != Some(2), "{budget}: {}", ran.stderr);
        let outcomes = report["outcomes"].as_array().unwrap();
        let unverified = outcomes.iter().any(|o| {
            let message = o["message"].as_str().unwrap();
            o["verdict"] == "warned"
                && message == format!("not verified: the budget of {budget} ended before")
        });
        assert!(unverified, "{report:#}");
        assert_eq!(outcome(&report, "verify", "sources")["verdict"], "passed", "{report:#}");
        assert_eq!(database.value(SUM).unwrap(), before, "{budget}");
    }
}

/// The only engine that makes a mistake by itself is pg_trickle (docs/pg_trickle.md, "Wrong deltas").
#[test]
fn what_is_found_on_a_named_server_is_put_right_there() {
    let database = Database::new();
    let real = database
        .value("select extversion not like '%-emulator' from pg_extension where extname = 'pg_trickle'");
    if real.as_deref() != Some("t") {
        return;
    }
    database.run(
        "create table c (id int primary key); create table o (id int primary key, c int not null);
         insert into c select generate_series(1, 9); insert into o select n, n from generate_series(1, 5) as n",
    );
    create(
        &database,
        "histogram",
        "select n, count(*) as times from (select c.id, count(o.id) as n from public.c left join public.o on o.c = c.id group by c.id) as counts group by n",
        "DIFFERENTIAL",
    );
    let (ran, report) =
        verify(&database, &["--allow-writes", &database.endpoint.database, "--budget", "20s"]);
    ran.expect(1);
    let found = outcome(&report, "verify", "public.histogram");
    assert_eq!(found["verdict"], "failed", "{found:#}");
    assert!(found["script"].as_str().unwrap().contains("-- Reduced, and seen again"), "{found:#}");
    let (ran, _) = verify(&database, &["--static"]);
    ran.expect(0);
}

/// Of a source with a generated column, a table that is maintained inside the write lets a TRUNCATE pass and refuses every
/// row that is to come back (docs/pg_trickle.md, "Refresh modes").
#[test]
fn what_could_not_be_taken_back_is_not_done() {
    let database = Database::new();
    if database.is_emulator() {
        return;
    }
    database.run(
        "create table dated (id int primary key, at date not null, year int generated always as (extract(year from at)) stored);
         insert into dated (id, at) select n, date '2024-01-01' + n from generate_series(1, 5) as n",
    );
    create(&database, "at_once", "select id, year from public.dated", "IMMEDIATE");
    create(&database, "later", "select count(*) as n from public.dated", "DIFFERENTIAL");
    let (ran, report) =
        verify(&database, &["--allow-writes", &database.endpoint.database, "--budget", "10s"]);
    ran.expect(1);
    let found = outcome(&report, "verify", "public.at_once");
    assert!(found["script"].as_str().unwrap().contains("-- Reduced, and seen again"), "{found:#}");
    assert_eq!(outcome(&report, "verify", "sources")["verdict"], "passed", "{report:#}");
    assert_eq!(database.value("select count(*) from dated").as_deref(), Some("5"));
}
