//! The number of queries of a plan and of a check does not depend on the number of tables.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use pgtrickle_ci::pg::{Endpoint, SslMode};
use serde_json::json;

use crate::support::{Database, Ran, manifest, model, pgtrickle_ci};

/// Forwards to a server and counts its answers: each ends with one message that the server is ready for the next query.
struct Counting {
    endpoint: Endpoint,
    answers: Arc<AtomicUsize>,
}

impl Counting {
    fn before(server: &Endpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // The answer to a request for TLS is no message.
        let endpoint =
            Endpoint { host: "127.0.0.1".into(), port, sslmode: SslMode::Disable, ..server.clone() };
        let answers = Arc::new(AtomicUsize::new(0));
        let (counted, address) = (answers.clone(), (server.host.clone(), server.port));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect((address.0.as_str(), address.1)).unwrap();
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass_on(from, to));
                let counted = counted.clone();
                thread::spawn(move || count(server, client, &counted));
            }
        });
        Self { endpoint, answers }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    std::io::copy(&mut from, &mut to).ok();
    to.shutdown(std::net::Shutdown::Write).ok();
}

/// A message of the server is a letter, its length with these four bytes, and the rest. The program does not wait for
/// the answer to a closed statement (`3`), and may end before.
fn count(mut server: TcpStream, mut client: TcpStream, answers: &AtomicUsize) {
    let mut head = [0; 5];
    let mut closed = false;
    while server.read_exact(&mut head).is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; length as usize - 4];
        server.read_exact(&mut body).unwrap();
        if head[0] == b'Z' && !closed {
            answers.fetch_add(1, Ordering::SeqCst);
        }
        closed = head[0] == b'3';
        if client.write_all(&[&head[..], &body].concat()).is_err() {
            return;
        }
    }
}

/// The number of answers for a plan without a change, and for a plan and a check with one changed table, with this many
/// deployed tables.
fn answers(tables: usize) -> [usize; 3] {
    let database = Database::without_extension();
    database.run(&format!(
        "alter database {} set pg_trickle.enabled = off; create extension pg_trickle; create table orders (id int primary key)",
        database.endpoint.database
    ));
    let dir = tempfile::tempdir().unwrap();
    let query = "select id from public.orders";
    let models = |file: &str, last: &str| {
        let query = |number| if number + 1 == tables { last } else { query };
        let all = (0..tables)
            .map(|n| model(&format!("t_{n}"), query(n), &json!({"schedule": "1h", "initialize": false})));
        manifest(dir.path(), file, all)
    };
    let deployed = models("deployed.json", query);
    Ran::of(pgtrickle_ci().args(["apply", "--database-url", &database.url(), "--manifest"]).arg(&deployed))
        .expect(0);

    let proxy = Counting::before(&database.endpoint);
    let changed = models("changed.json", "select id from public.orders where id > 1");
    let url = proxy.endpoint.url().reveal().to_owned();
    let plan = |manifest: &Path| {
        Ran::of(pgtrickle_ci().args(["plan", "--database-url", &url, "--manifest"]).arg(manifest)).expect(0)
    };
    let ran = plan(&deployed);
    assert!(ran.stdout.contains("No changes"), "{}", ran.stdout);
    let of_unchanged = proxy.answers.swap(0, Ordering::SeqCst);
    let ran = plan(&changed);
    assert!(ran.stdout.contains("Plan: 0 to add, 1 to change"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("{} definitions unchanged", tables - 1)), "{}", ran.stdout);
    let of_plan = proxy.answers.swap(0, Ordering::SeqCst);
    let ran = Ran::of(pgtrickle_ci().args(["check", "--database-url", &url, "--manifest"]).arg(changed));
    let ran = ran.expect(1);
    assert!(ran.stdout.contains("differs from its model: query"), "{}", ran.stdout);
    [of_unchanged, of_plan, proxy.answers.load(Ordering::SeqCst)]
}

#[test]
fn the_queries_of_a_plan_and_a_check_do_not_depend_on_the_number_of_tables() {
    let few = answers(10);
    // The login, and twice the version, the catalog and the sources: the settings of a query are a message before it, sent
    // together with it.
    assert_eq!(few[0], 7);
    assert!(few[1] > 7 && few[2] > 7, "only {few:?} answers were counted");
    assert_eq!(answers(100), few);
}
