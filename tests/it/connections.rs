//! The gate connects to the same server as libpq and dbt-postgres: one table of cases for both.

mod proxy;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use pgtrickle_ci::{
    dbt::{Context, RequestedProfile, Target},
    pg::{Client, Conninfo, Endpoint, Error, Limits},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Database, venv};
use proxy::{Proxies, Rule};

/// A password with what has a meaning in URLs, strings and files, and what SCRAM prepares: a no-break space, a soft
/// hyphen and a ligature.
const ODD: &str = "'\" \\ @/?#%&=+:;,$(){}[]<>|~!^* ä€ \u{a0}x\u{ad}y\u{fb01} ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    url: Option<String>,
    profile: Option<BTreeMap<String, Value>>,
    /// More fields of the profile, as YAML.
    #[serde(default)]
    yaml: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Whether others may read the files.
    #[serde(default)]
    readable: bool,
    want: String,
    /// A part of the hint of the gate's error.
    hint: Option<String>,
}

#[test]
fn connections_use_the_same_server_as_libpq_and_dbt() {
    let python = venv().join("bin/python");
    let database = Database::without_extension();
    let name = &database.endpoint.database;
    let (alice, odd) = (format!("alice_{name}"), format!("Odd {name}"));
    // Roles and databases belong to the whole server: each run has its own.
    let own = |text: &str| {
        let text = text.replace("we ird", &format!("we {name}")).replace("we%20ird", &format!("we%20{name}"));
        text.replace("alice", &alice).replace("Odd Role", &odd).replace("shop", name)
    };
    for statement in roles_and_databases() {
        database.run(&own(&statement.replace("analyst", &format!("analyst_{name}"))));
    }

    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let mut proxies = Proxies::new((&*database.endpoint.host, database.endpoint.port), dir.path());
    let mut ports = ports(&mut proxies);
    proxies.open_socket(&dir.path().join(".s.PGSQL.7000"));
    let text = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap().replace('\n', "\\n");

    let mut table = own(include_str!("connections.yml"))
        .replace("Analyst", &format!("Analyst_{name}"))
        .replace("analyst", &format!("analyst_{name}"))
        .replace("$DIR", dir.path().to_str().unwrap())
        .replace("$CA", &text("ca.crt"))
        .replace("$CERTIFICATE", &text("client.crt"))
        .replace("$KEY", &text("client.key"));
    let has_six = ports.iter().all(|(_, port)| port.is_some());
    ports.retain(|(_, port)| port.is_some());
    for (word, port) in ports {
        table = table.replace(word, &port.unwrap().to_string());
    }
    let mut cases: Vec<Case> = serde_yaml::from_str(&table).unwrap();
    cases.retain(|case| has_six || case.url.as_ref().is_none_or(|url| !url.contains("$SIX")));

    let homes: Vec<PathBuf> = (0..cases.len()).map(|index| dir.path().join(format!("home{index}"))).collect();
    let plain = proxies.port(0);
    for (case, home) in cases.iter_mut().zip(&homes) {
        prepare(case, home, &alice, name, plain);
    }
    let theirs = reference(&python, &cases);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut wrong = Vec::new();
    for ((case, home), theirs) in cases.iter().zip(&homes).zip(theirs) {
        let library = proxies.with_tls(&theirs.library);
        let program = theirs.program.map(|answer| proxies.with_tls(&answer));
        let ours = proxies.with_tls(&runtime.block_on(gate(case, home)));
        let short =
            |answer: &str| if answer.starts_with("error") { "error".into() } else { answer.to_owned() };
        // `dbt debug` says whether, and not where.
        let is_good = case.want != "error";
        let agrees = |answer: &String| match short(answer).as_str() {
            "ok" => is_good,
            answer => answer == case.want,
        };
        let is_advised = case.hint.as_ref().is_none_or(|hint| ours.contains(hint));
        if short(&ours) != case.want
            || short(&library) != case.want
            || !program.iter().all(agrees)
            || !is_advised
        {
            let what = json!({"url": case.url, "profile": case.profile, "yaml": case.yaml, "env": case.env});
            wrong.push(format!(
                "{what}\n  wanted: {}\n  theirs: {library}\n  program: {program:?}\n  ours:   {ours}",
                case.want
            ));
        }
    }
    database.run(&format!("drop database \"we {name}\""));
    database.run(&format!("drop database {alice}"));
    database.run(&format!(
        "drop owned by {alice}; drop role {alice}; drop role odd_{alice}; drop role analyst_{name}; drop role \"{odd}\""
    ));
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn roles_and_databases() -> [String; 7] {
    let odd = format!("create role odd_alice login password '{}'", ODD.replace('\'', "''"));
    [
        "create role alice login password 'p:w'",
        "create role analyst",
        &odd,
        "create role \"Odd Role\"",
        "grant analyst, \"Odd Role\" to alice",
        "create database \"we ird\"",
        "create database alice",
    ]
    .map(ToOwned::to_owned)
}

/// The addresses of the server by their names in the table; without a port if the machine has no such address.
fn ports(proxies: &mut Proxies) -> Vec<(&'static str, Option<u16>)> {
    vec![
        ("$PLAIN", proxies.open("127.0.0.1", None, Rule::Any)),
        ("$TLS", proxies.open("127.0.0.1", Some("server"), Rule::Any)),
        ("$ONLY", proxies.open("127.0.0.1", Some("server"), Rule::OnlyTls)),
        ("$OWN", proxies.open("127.0.0.1", Some("own"), Rule::OnlyTls)),
        ("$V1", proxies.open("127.0.0.1", Some("v1"), Rule::OnlyTls)),
        ("$NAMED", proxies.open("127.0.0.1", Some("names"), Rule::OnlyTls)),
        ("$OLD", proxies.open("127.0.0.1", Some("server"), Rule::OnlyTls12)),
        ("$NEW", proxies.open("127.0.0.1", Some("server"), Rule::OnlyTls13)),
        ("$CLIENT", proxies.open("127.0.0.1", Some("server"), Rule::OnlyKnown)),
        ("$CLOSED", Some(1)),
        ("$SIX", proxies.open("::1", None, Rule::Any)),
    ]
}

/// The home directory of a case with its files and its profile.
fn prepare(case: &mut Case, home: &Path, user: &str, database: &str, port: u16) {
    let in_home = |text: &str| text.replace("$HOME", home.to_str().unwrap());
    for value in case.env.values_mut() {
        *value = in_home(value);
    }
    case.env.insert("HOME".into(), home.to_str().unwrap().into());
    fs::create_dir_all(home).unwrap();
    for (file, text) in &case.files {
        let file = home.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        let mode = if case.readable { 0o644 } else { 0o600 };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }
    if let Some(fields) = &case.profile {
        let mut output = json!({"type": "postgres", "host": "127.0.0.1", "port": port, "user": user,
            "password": "p:w", "dbname": database, "schema": "public"});
        output.as_object_mut().unwrap().extend(fields.clone());
        let output = output.to_string();
        let output = format!("{}, {}}}", output.strip_suffix('}').unwrap(), case.yaml);
        let profiles = format!("shop: {{target: dev, outputs: {{dev: {output}}}}}\n");
        fs::write(home.join("profiles.yml"), profiles).unwrap();
        fs::write(home.join("dbt_project.yml"), "name: shop\nprofile: shop\n").unwrap();
    }
}

/// The results of the other programs in a case.
#[derive(Deserialize)]
struct Theirs {
    /// libpq by psycopg2, or dbt-postgres.
    library: String,
    /// psql, if this machine has one with TLS; for a profile `dbt debug`.
    program: Option<String>,
}

/// The results of libpq, dbt-postgres and their programs.
fn reference(python: &Path, cases: &[Case]) -> Vec<Theirs> {
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| json!({"url": case.url.clone().unwrap_or_default(), "profile": case.profile.is_some(), "env": case.env}))
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/connections/reference.py");
    let mut child =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The result of the gate.
async fn gate(case: &Case, home: &Path) -> String {
    let limit = Duration::from_secs(10);
    let limits = Limits { connect: limit, statement: limit, lock: limit };
    let endpoint = match endpoint(case, home) {
        Ok(endpoint) => endpoint,
        Err(error) => return format!("error: {error}"),
    };
    match Client::connect(&endpoint, limits).await {
        Ok(client) => {
            let ask = "do $$ begin raise exception '% % %', current_database(), current_user, inet_client_port(); end $$";
            match client.run_script(ask).await {
                Err(Error::Server { message, .. }) => message.message,
                other => panic!("{other:?}"),
            }
        }
        Err(error) => format!("error: {error}\n  hint: {}", error.hint().unwrap_or_default()),
    }
}

fn endpoint(case: &Case, home: &Path) -> Result<Endpoint, String> {
    if case.profile.is_some() {
        let wanted = RequestedProfile {
            dir: home.to_owned(),
            profile: "shop".into(),
            target: None,
            without_server: false,
        };
        let context = Context { variables: case.env.clone(), ..Context::default() };
        return Target::find(&wanted, &context)
            .map(|target| target.endpoint)
            .map_err(|error| error.to_string());
    }
    let conninfo = case.url.as_deref().map_or(Ok(Conninfo::default()), |url| Conninfo::parse(url, "the URL"));
    conninfo.and_then(|conninfo| Endpoint::resolve(conninfo, &case.env)).map_err(|error| error.to_string())
}

/// An authority; a server certificate for `localhost`, and one of X.509 v1; a self-signed one; a client certificate.
fn certificates(dir: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -new -x509 -nodes -newkey rsa:2048 -days 2";
    openssl(&format!("{new} -subj /CN=authority -keyout ca.key -out ca.crt"));
    openssl(&format!("{new} -subj /CN=localhost -keyout own.key -out own.crt"));
    fs::write(dir.join("localhost"), "subjectAltName=DNS:localhost\n").unwrap();
    fs::write(dir.join("several"), "subjectAltName=DNS:*.db.example,IP:127.0.0.1,IP:::1\n").unwrap();
    for (name, more) in [
        ("server", " -extfile localhost"),
        ("names", " -extfile several"),
        ("v1", ""),
        ("client", " -extfile localhost"),
    ] {
        openssl(&format!(
            "req -new -nodes -newkey rsa:2048 -subj /CN=localhost -keyout {name}.key -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out {name}.crt{more}"
        ));
    }
    fs::copy(dir.join("client.key"), dir.join("open.key")).unwrap();
    for (file, mode) in [("client.key", 0o600), ("open.key", 0o644)] {
        fs::set_permissions(dir.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
}
