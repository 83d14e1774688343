use proptest::prelude::*;

use super::*;

fn endpoint(user: &str, password: &str, database: &str) -> Endpoint {
    Endpoint {
        host: "127.0.0.1".into(),
        port: 54321,
        user: user.into(),
        password: Secret::new(password),
        database: database.into(),
        ..Endpoint::default()
    }
}

fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<Endpoint, BadAddress> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let conninfo =
        if text.is_empty() { Conninfo::default() } else { Conninfo::parse(text, "the URL").unwrap() };
    Endpoint::resolve(conninfo, &variables)
}

proptest! {
    #[test]
    fn every_name_and_password_survives_the_url(user in "[ -~]{1,12}", password in "[ -~]{0,12}", database in "[ -~]{1,12}") {
        let endpoint = endpoint(&user, &password, &database);
        prop_assert_eq!(Endpoint::parse(endpoint.url().reveal()), Ok(endpoint));
    }
}

#[test]
fn every_kind_of_host_survives_the_url() {
    for text in [
        "postgres://u@[::1]:5/d",
        "postgres://u@a:1,[::1]:2,c:3/d?target_session_attrs=read-write",
        "host='a:b/c?d=[e' port=7 user=u dbname=d",
        "host=/run/pg,db,::1 port=7,8,9 user=u dbname=d",
        "host=db,/run/pg user=u dbname=d",
        "host=/run/pg port=7 user=u dbname=d options='-c a=b\\\\ c'",
        "postgres://u@db/d?hostaddr=127.0.0.1&sslmode=allow&connect_timeout=3",
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!(Endpoint::parse(endpoint.url().reveal()), Ok(endpoint), "{text}");
    }
}

#[test]
fn output_has_no_user_and_no_password() {
    let endpoint = endpoint("alice", "hunter22", "shop");
    assert_eq!(endpoint.to_string(), "127.0.0.1:54321/shop");
    assert!(!format!("{endpoint:?}").contains("hunter22"));
    let several = Endpoint { others: vec![("::1".into(), 2)], ..endpoint };
    assert_eq!(several.to_string(), "127.0.0.1:54321,[::1]:2/shop");
}

#[test]
fn the_environment_completes_the_url() {
    let variables = [
        ("PGUSER", "bob"),
        ("PGPORT", "6543"),
        ("PGPASSWORD", "x"),
        ("PGOPTIONS", "-c a=b"),
        ("PGHOST", "no"),
    ];
    let endpoint = resolve("postgres://db/shop", &variables).unwrap();
    assert_eq!((endpoint.to_string().as_str(), endpoint.user.as_str()), ("db:6543/shop", "bob"));
    assert_eq!(endpoint.password.reveal(), "x");
    assert_eq!(endpoint.parameters["options"], "-c a=b");
    // Several hosts in a URL say that each has the default port.
    assert_eq!(resolve("postgres://u@a,b/d", &[("PGPORT", "6543")]).unwrap().to_string(), "a:5432,b:5432/d");
}

#[test]
fn an_address_without_a_name_is_the_host() {
    let endpoint = resolve("", &[("PGHOSTADDR", "127.0.0.2"), ("PGUSER", "u")]).unwrap();
    assert_eq!((endpoint.to_string().as_str(), endpoint.parameters.len()), ("127.0.0.2:5432/u", 0));
}

#[test]
fn an_unknown_value_is_an_error_that_names_its_origin() {
    for (text, variables, said) in [
        ("postgres://u@h/d?sslmode=maybe", ("A", ""), "the URL has the sslmode `maybe`: expected disable,"),
        ("postgres://u@h/d", ("PGSSLMODE", "maybe"), "PGSSLMODE has the sslmode `maybe`"),
        ("postgres://u@h:many/d", ("A", ""), "the URL has the port `many`: expected a number"),
        ("postgres://u@h/d", ("PGPORT", "65536"), "PGPORT has the port `65536`"),
        ("postgres://u@h/d", ("PGPORT", "0"), "PGPORT has the port `0`"),
        ("postgres://u@/d?host=a,b,c", ("PGPORT", "1,2"), "PGPORT has the port `1,2`: expected one, or 3"),
        (
            "postgres://u@h/d",
            ("PGREQUIREAUTH", "scram-sha-256"),
            "PGREQUIREAUTH has the require_auth `scram-sha-256`, which",
        ),
        (
            "postgres://u@h/d?target_session_attrs=standby",
            ("A", ""),
            "the URL has the target_session_attrs `standby`",
        ),
        ("postgres://u@h/d?channel_binding=maybe", ("A", ""), "the URL has the channel_binding `maybe`"),
        (
            "postgres://u@h/d",
            ("PGCONNECT_TIMEOUT", "soon"),
            "PGCONNECT_TIMEOUT has the connect_timeout `soon`",
        ),
        ("postgres://u@h/d?sslpassword=secret", ("A", ""), "the URL has the sslpassword `***`, which"),
        ("postgres://u@h/d", ("PGSERVICE", "nope"), "PGSERVICE names the service `nope`"),
        ("postgres://u@h/d?sslmode=verify-full", ("A", ""), "sslmode `verify-full` needs a root certificate"),
        ("postgres://u@h/d?sslrootcert=system&sslmode=require", ("A", ""), "sslmode `require` is too weak"),
    ] {
        let error = resolve(text, &[variables]).unwrap_err().to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
}

#[test]
fn the_systems_authorities_require_verify_full() {
    let endpoint = resolve("postgres://u@h/d?sslrootcert=system", &[]).unwrap();
    assert_eq!((endpoint.sslmode, endpoint.sslrootcert.as_deref()), (SslMode::VerifyFull, Some("system")));
}

#[test]
fn a_process_gets_the_variables_of_this_server_only() {
    let endpoint =
        Endpoint { parameters: [("options", "-c a=b".to_owned())].into(), ..endpoint("u", "p", "d") };
    let mut command = Command::new("psql");
    command.env("PGSERVICE", "other").env("PGHOSTADDR", "10.0.0.1").env("PGTZ", "UTC");
    endpoint.set_environment(&mut command);
    let set: BTreeMap<String, Option<String>> = command
        .get_envs()
        .map(|(name, value)| {
            (name.to_string_lossy().into(), value.map(|value| value.to_string_lossy().into()))
        })
        .collect();
    assert_eq!((set["PGSERVICE"].as_ref(), set["PGHOSTADDR"].as_ref()), (None, None));
    assert_eq!((set["PGTZ"].as_deref(), set["PGOPTIONS"].as_deref()), (Some("UTC"), Some("-c a=b")));
    assert_eq!(set["PGDATABASE"].as_deref(), Some("d"));
}
