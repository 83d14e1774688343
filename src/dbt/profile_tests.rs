use std::collections::BTreeMap;

use super::*;
use crate::{model::Secret, pg::SslMode};

const PROFILES: &str = r#"
base: &base {type: postgres, user: alice, password: "{{ env_var('PW', 'none') }}", schema: marts}
shop:
  target: "{{ env_var('SHOP_TARGET', 'dev') }}"
  outputs:
    dev:
      <<: *base
      host: "{{ env_var('PGHOST', 'localhost') }}"
      port: "{{ env_var('PGPORT', '5432') | as_number }}"
      dbname: shop
      threads: 8
    prod: {type: postgres, host: db, port: 6432, user: bob, pass: x, database: live, schema: prod, sslmode: require}
    stream: {type: pgtrickle, host: db, port: 6432, user: bob, pass: x, dbname: live, schema: prod}
    lake: {type: duckdb, path: x}
    broken: {type: postgres, host: "{{ env_var('NO_SUCH') }}", user: u, dbname: d, schema: s,
             threads: "{{ env_var('NO_SUCH') | as_number }}"}
    whole: {type: postgres, host: db, port: 1, user: u, password: "{{ odd", dbname: d, schema: s, role: "\"My Role\"",
            search_path: "a, b", keepalives_idle: 5, connect_timeout: "{{ 3 | as_number }}", retries: 4, application_name: me,
            sslmode: disable, autocommit: true}
    mode: {type: postgres, host: db, port: 1, user: u, password: p, dbname: d, schema: s, sslmode: maybe}
    port: {type: postgres, host: db, port: many, user: u, dbname: d, schema: s}
    hidden: {type: postgres, host: "{{ env_var('DBT_ENV_SECRET_HOST') }}", port: 1, user: u, password: p, schema: s,
             dbname: "of_{{ env_var('DBT_ENV_SECRET_DB') }}"}
    role: {type: postgres, host: db, port: 1, user: u, password: p, dbname: d, schema: s, role: "a; drop table b"}
"#;

fn find(target: Option<&str>, variables: &[(&str, &str)], without_server: bool) -> Result<Target, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("profiles.yml"), PROFILES).unwrap();
    find_in(dir.path(), target, variables, without_server)
}

fn find_in(
    dir: &Path,
    target: Option<&str>,
    variables: &[(&str, &str)],
    without_server: bool,
) -> Result<Target, String> {
    let variables: BTreeMap<_, _> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let wanted = RequestedProfile {
        dir: dir.to_owned(),
        profile: "shop".into(),
        target: target.map(|name| (name.to_owned(), "--target")),
        without_server,
    };
    let found = Target::find(&wanted, &Context { variables, ..Context::default() });
    found.map_err(|error| {
        error.to_string().split_once("profiles.yml`: ").map_or(error.to_string(), |(_, s)| s.to_owned())
    })
}

#[test]
fn jinja_anchors_and_defaults_are_understood() {
    let target = find(None, &[("PGPORT", "55555"), ("PW", "s3cret")], false).unwrap();
    assert_eq!(
        (target.describe().as_str(), target.schema.as_str(), target.threads),
        ("dev (from profiles.yml)", "marts", 8)
    );
    assert_eq!(target.endpoint.to_string(), "localhost:55555/shop");
    assert_eq!(target.endpoint.password.reveal(), "s3cret");
    assert_eq!(find(None, &[("SHOP_TARGET", "prod")], false).unwrap().endpoint.sslmode, SslMode::Require);
    assert_eq!(find(Some("prod"), &[], false).unwrap().describe(), "prod (from --target)");
}

#[test]
fn every_field_of_dbt_postgres_is_read() {
    let Target { endpoint, manner, .. } = find(Some("whole"), &[], false).unwrap();
    assert_eq!((endpoint.role.as_deref(), endpoint.retries), (Some("\"My Role\""), 4));
    assert_eq!(endpoint.password.reveal(), "{{ odd");
    let parameters: Vec<_> =
        endpoint.parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        parameters,
        [
            ("application_name", "me"),
            ("connect_timeout", "3"),
            ("keepalives_idle", "5"),
            ("options", "-c search_path=a,\\ b")
        ]
    );
    assert_eq!(manner["autocommit"], json!(true));
    assert_eq!(manner["search_path"], json!("a, b"));
}

#[test]
fn the_environment_completes_a_profile_as_for_dbt() {
    let target =
        find(Some("prod"), &[("PGOPTIONS", "-c a=b"), ("PGUSER", "no"), ("PGSSLMODE", "disable")], false)
            .unwrap();
    assert_eq!(target.endpoint.parameters["options"], "-c a=b");
    assert_eq!((target.endpoint.user.as_str(), target.endpoint.sslmode), ("bob", SslMode::Require));
}

#[test]
fn errors_name_the_wrong_value() {
    let said = |target, variables: &[(&str, &str)]| find(target, variables, false).unwrap_err();
    assert_eq!(
        said(Some("nope"), &[]),
        "the profile `shop` has no target `nope`, only dev, prod, stream, lake, broken, whole, mode, port, hidden, role"
    );
    assert_eq!(
        said(Some("lake"), &[]),
        "the target `lake` is of type `duckdb`, stream tables need postgres or pgtrickle"
    );
    assert!(said(Some("broken"), &[]).contains("`NO_SUCH`"));
    assert!(said(None, &[("PGPORT", "many")]).contains("`many`"));
    assert!(said(Some("mode"), &[]).starts_with("the target `mode` has the sslmode `maybe`"));
    assert!(
        said(Some("port"), &[]).starts_with("the port of the target `port` is a text, expected a number")
    );
    assert!(said(Some("role"), &[]).starts_with("the target `role` has the role `a; drop table b`"));
    assert!(said(Some("prod"), &[("PGCHANNELBINDING", "x")]).starts_with("PGCHANNELBINDING has the"));
}

#[test]
fn without_a_server_unset_variables_do_not_matter() {
    let target = find(Some("broken"), &[], true).unwrap();
    assert_eq!((target.schema.as_str(), target.endpoint.database.as_str()), ("s", "d"));
}

/// The fields of dbt 1 are compared with it (tests/it/connections.yml).
#[test]
fn numbers_may_be_texts_in_a_profile_for_dbt_2() {
    let found = |fields: &str, may_be_dbt_2| {
        let dir = tempfile::tempdir().unwrap();
        let output = format!("type: postgres, host: db, user: u, dbname: d, schema: s, {fields}");
        std::fs::write(
            dir.path().join("profiles.yml"),
            format!("shop: {{outputs: {{default: {{{output}}}}}}}"),
        )
        .unwrap();
        let wanted = RequestedProfile {
            dir: dir.path().to_owned(),
            profile: "shop".into(),
            target: None,
            without_server: false,
        };
        let context = Context { may_be_dbt_2, ..Context::default() };
        Target::find(&wanted, &context).map_err(|error| error.to_string())
    };
    for (fields, of_dbt_1) in [
        (
            "password: p, port: '6432', threads: 4",
            "the port of the target `default` is a text, expected a number",
        ),
        ("password: p, port: 6432, threads: '4'", "the threads of the target `default` is a text"),
        ("port: 6432, threads: 4", "has no `password`"),
        (
            "password: p, port: 6432, threads: 4, retries: '3', autocommit: 'true'",
            "is a text, expected true or false",
        ),
    ] {
        let target = found(fields, true).unwrap();
        assert_eq!((target.endpoint.port, target.threads), (6432, 4), "{fields}");
        let said = found(fields, false).unwrap_err();
        assert!(said.contains(of_dbt_1), "{said}");
    }
    assert_eq!(found("", true).unwrap().endpoint.port, 5432);
    assert!(found("", false).unwrap_err().contains("has no `port`"));
    let unquoted = "shop: {target: 2024, outputs: {'2024': {type: postgres}}}";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("profiles.yml"), unquoted).unwrap();
    assert_eq!(
        find_in(dir.path(), None, &[], false).unwrap_err(),
        "the target of the profile `shop` is no text: write it in quotes"
    );
    // dbt 1 reads these by YAML 1.1, and dbt 2 by YAML 1.2.
    for fields in
        ["password: p, port: 1, threads: 010", "password: 1e5, port: 1", "password: p, port: 1, role: on"]
    {
        assert!(found(fields, true).unwrap_err().contains("in quotes"), "{fields}");
    }
    assert_eq!(found("password: p, port: 1, threads: 010", false).unwrap().threads, 8);
    assert_eq!(found("password: 1e5, port: 1", false).unwrap().endpoint.password.reveal(), "1e5");
    // Neither takes these.
    for fields in ["password: 5, port: 1", "password: p, port: many", "password: p, port: true", "role: 5"] {
        assert!(found(fields, true).is_err() && found(fields, false).is_err(), "{fields}");
    }
}

#[test]
fn a_written_profile_reads_back_and_has_no_password() {
    let dir = tempfile::tempdir().unwrap();
    let target = find(Some("whole"), &[], false).unwrap();
    let endpoint = Endpoint {
        password: Secret::new("{{ hunter22 }}"),
        database: "{{ d }}".into(),
        others: vec![("db2".into(), 1)],
        // The variable of the password is one of dbt's secret ones.
        secrets: vec![Secret::new("{{ hunter22 }}")],
        ..target.endpoint.clone()
    };
    let target = Target { endpoint, ..target };
    target.write(dir.path()).unwrap();
    let text = std::fs::read_to_string(dir.path().join("profiles.yml")).unwrap();
    assert!(!text.contains("hunter22"));
    let read = find_in(dir.path(), Some("whole"), &[(PASSWORD_VARIABLE, "{{ hunter22 }}")], false);
    assert_eq!(read, Ok(target));
}

#[test]
fn secret_variables_stay_hidden_in_every_part_of_a_profile() {
    let secrets =
        [("DBT_ENV_SECRET_HOST", "vault.internal"), ("DBT_ENV_SECRET_DB", "acme"), ("OTHER", "host")];
    let endpoint = find(Some("hidden"), &secrets, false).unwrap().endpoint;
    assert_eq!((endpoint.host.as_str(), endpoint.database.as_str()), ("vault.internal", "of_acme"));
    assert_eq!(endpoint.to_string(), "***:1/of_***");
    assert_eq!(endpoint.mask("no database of_acme at the host"), "no database of_*** at the host");
    assert!(!format!("{:?}", endpoint.secrets).contains("acme"));
}

/// dbt takes a password that it cannot render as it is. One that only this program cannot render would be another one.
#[test]
fn a_password_that_dbt_may_render_is_no_text() {
    let found = |password: &str| {
        let dir = tempfile::tempdir().unwrap();
        let output = json!({"type": "postgres", "host": "db", "port": 1, "user": "u", "password": password, "dbname": "d",
            "schema": "s"});
        let profiles = json!({"shop": {"outputs": {"default": output}}});
        std::fs::write(dir.path().join("profiles.yml"), profiles.to_string()).unwrap();
        find_in(dir.path(), None, &[], false).map(|target| target.endpoint.password.reveal().to_owned())
    };
    for password in ["{{ odd", "a{% b", "{{ env_var('NO') }}", "{{ a b }}"] {
        assert_eq!(found(password).as_deref(), Ok(password));
    }
    for password in [
        "{{ modules.re.sub('a', 'b', 'c') }}",
        "{{ 'a' | escape }}",
        "{{ '[a]' | as_native }}",
        "{% block a %}p{% endblock %}",
    ] {
        assert!(
            found(password)
                .unwrap_err()
                .contains("the password of the target `default`: pgtrickle-ci does not render")
        );
    }
}

#[test]
fn a_profile_keeps_its_adapter() {
    for (name, adapter) in [("prod", "postgres"), ("stream", "pgtrickle")] {
        let dir = tempfile::tempdir().unwrap();
        find(Some(name), &[], false).unwrap().write(dir.path()).unwrap();
        let read = find_in(dir.path(), Some(name), &[(PASSWORD_VARIABLE, "x")], false).unwrap();
        assert_eq!(read.adapter, adapter);
    }
}

#[test]
fn several_ports_are_an_error() {
    let target = find(Some("prod"), &[], false).unwrap();
    let endpoint = Endpoint { others: vec![("db2".into(), 1)], ..target.endpoint.clone() };
    let error = Target { endpoint, ..target }.write(Path::new("/nowhere")).unwrap_err();
    assert!(error.to_string().contains("db:6432,db2:1/live"), "{error}");
}
