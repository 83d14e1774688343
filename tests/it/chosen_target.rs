//! The gate uses the same target and the same role as dbt, whatever the shell's variables.

mod dotenv;

use std::{fs, process::Command};

use pgtrickle_ci::pg::Endpoint;
use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, dbt, dbt_command, manifest, model, output, pgtrickle_ci};

/// One database for each target, on a port without a server.
fn profiles(prefix: &str) -> String {
    let output = |name: &str| {
        json!({"type": "postgres", "host": "127.0.0.1", "port": 1, "user": "u", "password": "p", "schema": "s",
            "dbname": format!("{prefix}_{name}"), "retries": 0})
    };
    let profile = |name: &str| {
        json!({"target": "{{ env_var('SHOP_TARGET', 'dev') }}",
            "outputs": {"dev": output(&format!("{name}_dev")), "prod": output(&format!("{name}_prod"))}})
    };
    json!({"shop": profile("shop"), "other": profile("other")}).to_string()
}

/// A case: the folder that it starts in, the environment, our arguments, dbt's, and the target with what chose it.
struct Case<'a> {
    from: &'a str,
    env: &'a [(&'a str, &'a str)],
    arguments: &'a [&'a str],
    want: &'a str,
}

fn case<'a>(
    from: &'a str,
    env: &'a [(&'a str, &'a str)],
    arguments: &'a [&'a str],
    want: &'a str,
) -> Case<'a> {
    Case { from, env, arguments, want }
}

#[test]
fn the_target_is_that_of_dbt_and_the_report_says_what_chose_it() {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let file = dir.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("home/.dbt/profiles.yml", &profiles("home"));
    write("named/profiles.yml", &profiles("named"));
    write("shop/profiles.yml", &profiles("here"));
    write(
        "shop/dbt_project.yml",
        "name: shop\nprofile: \"{{ env_var('SHOP_PROFILE', var('profile', 'shop')) | lower }}\"\n",
    );
    write("shop/models/.keep", "");
    write("shop/pgtrickle-ci.yml", "allow_empty: true\n");
    // So that dbt does not have to compile.
    let empty = manifest(dir.path(), "empty.json", []);

    let named = [("DBT_PROFILES_DIR", "../named"), ("DBT_TARGET", "prod")];
    for case in [
        case("shop", &[], &[], "here_shop_dev dev (from profiles.yml)"),
        case("shop", &[("SHOP_TARGET", "prod")], &[], "here_shop_prod prod (from profiles.yml)"),
        case("shop", &[("DBT_TARGET", "prod")], &[], "here_shop_prod prod (from DBT_TARGET)"),
        case("shop", &[("DBT_TARGET", "")], &[], "here_shop_dev dev (from profiles.yml)"),
        case("shop", &[("DBT_ENGINE_TARGET", "prod")], &[], "here_shop_prod prod (from DBT_ENGINE_TARGET)"),
        case(
            "shop",
            &[("DBT_TARGET", "prod")],
            &["--target", "dev"],
            "here_shop_dev dev (from --target or PGTRICKLE_CI_TARGET)",
        ),
        case("shop", &[("DBT_PROFILE", "other")], &[], "here_other_dev dev (from profiles.yml)"),
        case("shop", &[("SHOP_PROFILE", "OTHER")], &[], "here_other_dev dev (from profiles.yml)"),
        case("shop", &[], &["--vars", "{profile: other}"], "here_other_dev dev (from profiles.yml)"),
        case("shop", &[], &["--vars", "profile: none_of_it"], "error"),
        case(
            "shop",
            &[("DBT_PROFILE", "other")],
            &["--profile", "shop"],
            "here_shop_dev dev (from profiles.yml)",
        ),
        case("shop", &named, &[], "named_shop_prod prod (from DBT_TARGET)"),
        case("shop/models", &[], &[], "home_shop_dev dev (from profiles.yml)"),
        case(".", &[("DBT_PROJECT_DIR", "shop")], &[], "home_shop_dev dev (from profiles.yml)"),
        case(".", &[], &["--project-dir", "shop"], "home_shop_dev dev (from profiles.yml)"),
        case("shop", &[("DBT_TARGET", "nope")], &[], "error"),
        case("shop", &[("DBT_PROFILE", "nope")], &[], "error"),
        case("shop", &[], &["--profiles-dir", "../nowhere"], "error"),
    ] {
        let Case { from, env, arguments, want } = case;
        let place = dir.path().join(from);
        let with = |command: &mut Command| {
            command.current_dir(&place).env("HOME", dir.path().join("home")).envs(env.iter().copied());
        };
        let mut gate = pgtrickle_ci();
        with(gate.args(["check", "--json", "-", "--manifest"]).arg(&empty).args(arguments));
        assert_eq!(ours(&Ran::of(&mut gate)), want, "{env:?} {arguments:?} in {from}");

        let mut dbt = dbt_command();
        dbt.env("DBT_USE_COLORS", "false");
        dbt.env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false").env("DBT_LOG_PATH", dir.path().join("logs"));
        with(dbt.arg("debug").args(arguments));
        let said = Ran::of(&mut dbt).stdout;
        let database = said.lines().find_map(|line| Some(line.split_once("database: ")?.1.trim().to_owned()));
        let want = want.split(' ').next().unwrap();
        assert_eq!(database.unwrap_or_else(|| "error".into()), want, "dbt: {env:?} {arguments:?}\n{said}");
    }
}

/// The kept compilation lies in it.
#[test]
fn a_target_path_of_the_target_is_that_of_dbt() {
    let (database, project) = (Database::new(), DbtProject::new());
    project.write(
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shop\ntarget-path: \"made/{{ target.name }}/{{ target.schema }}\"\n",
    );
    let outputs = json!({"dev": output(&database, "one"), "prod": output(&database, "two")});
    project.write("profiles.yml", &json!({"shop": {"target": "dev", "outputs": outputs}}).to_string());
    project.stream_table("totals", "{'schedule': '1h'}", "select 1 as id");
    dbt(&project, &["deps"]).expect(0);
    for (target, schema) in [("dev", "one"), ("prod", "two")] {
        for compiled in [&[][..], &["--no-compile"]] {
            let mut plan = pgtrickle_ci();
            plan.args(["plan", "--target", target]).args(compiled).current_dir(project.path());
            let planned = Ran::of(&mut plan);
            let told = format!("{}{}", planned.stdout, planned.stderr);
            assert!(planned.stdout.contains(&format!("{schema}.totals")), "{compiled:?}: {told}");
        }
        let made = project.path().join(format!("made/{target}/{schema}"));
        assert!(made.is_dir() && !made.join("manifest.json").exists());
        dbt(&project, &["parse", "--target", target]).expect(0);
        assert!(made.join("manifest.json").exists());
    }
    assert!(!project.path().join("target").exists());
}

#[test]
fn two_targets_or_no_profile_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("shop")).unwrap();
    fs::write(dir.path().join("shop/profiles.yml"), profiles("here")).unwrap();
    fs::write(dir.path().join("shop/dbt_project.yml"), "name: shop\nprofile: shop\n").unwrap();
    let both = [("DBT_TARGET", "dev"), ("DBT_ENGINE_TARGET", "prod")];
    let mut gate = pgtrickle_ci();
    Ran::of(gate.arg("check").current_dir(dir.path().join("shop")).envs(both))
        .expect_error("DBT_ENGINE_TARGET and DBT_TARGET differ", "unset one of");
    let mut gate = pgtrickle_ci();
    let gate = gate.arg("check").env("HOME", "/nowhere").current_dir(dir.path());
    Ran::of(gate.args(["--project-dir", "shop"]))
        .expect_error("dbt does not read `shop/profiles.yml`", "--profiles-dir shop");
}

/// The database and the target in the report of a check without a server.
fn ours(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
    match (report["target"].as_str(), report["dbt_target"].as_str()) {
        (Some(server), Some(target)) => format!("{} {target}", server.rsplit_once('/').unwrap().1),
        _ => "error".into(),
    }
}

/// `apply` of a stream table over `public.orders`, by a profile with this user, password and role.
fn applied(database: &Database, user: &str, password: &str, role: &str) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = &database.endpoint;
    let output = json!({"type": "postgres", "host": endpoint.host, "port": endpoint.port, "user": user,
        "password": password, "dbname": endpoint.database, "schema": "public", "role": role});
    let profiles = json!({"shop": {"target": "dev", "outputs": {"dev": output}}});
    fs::write(dir.path().join("profiles.yml"), profiles.to_string()).unwrap();
    fs::write(dir.path().join("dbt_project.yml"), "name: shop\nprofile: shop\n").unwrap();
    let query = "select id, a from public.orders";
    let wanted = manifest(dir.path(), "m.json", [model("t", query, &json!({"schedule": "1h"}))]);
    Ran::of(pgtrickle_ci().args(["apply", "--manifest"]).arg(wanted).current_dir(dir.path()))
}

const OWNER: &str = "select pg_get_userbyid(relowner) from pg_class where oid = 'public.t'::regclass";

#[test]
fn tables_from_apply_belong_to_the_profiles_role() {
    let database = Database::new();
    let role = format!("owner of {}", database.endpoint.database);
    database.run(&format!("create role \"{role}\" superuser"));
    database.run("create table orders (id int primary key, a int)");
    let Endpoint { user, password, .. } = &database.endpoint;
    applied(&database, user, password.reveal(), &format!("\"{role}\"")).expect(0);
    assert_eq!(database.value(OWNER).as_deref(), Some(role.as_str()));
    database.run(&format!("select pgtrickle.drop_stream_table('public.t'); drop owned by \"{role}\" cascade; drop role \"{role}\""));
}

/// Its user has no privileges except SET ROLE.
#[test]
fn a_user_without_privileges_works_as_the_profiles_role() {
    let database = Database::new();
    let name = &database.endpoint.database;
    let (role, user) = (format!("owner_{name}"), format!("user_{name}"));
    database.run(&format!(
        "create role {role} superuser; create role {user} login noinherit password 'night'; grant {role} to {user};
         create table orders (id int primary key, a int)"
    ));
    let refused = applied(&database, &user, "night", "");
    assert!(refused.code == Some(2) && refused.stderr.contains("permission denied"), "{}", refused.stderr);
    applied(&database, &user, "night", &role).expect(0);
    assert_eq!(database.value(OWNER).as_deref(), Some(role.as_str()));
    database.run(&format!(
        "select pgtrickle.drop_stream_table('public.t'); drop owned by {role} cascade; drop role {user}; drop role {role}"
    ));
}

#[test]
fn the_shell_does_not_change_dbts_server() {
    let project = DbtProject::new();
    project.write(
        "dbt_project.yml",
        "name: shop\nversion: '1.0'\nprofile: shop\nflags: {write_json: false, log_format: json}\n",
    );
    project.write("seeds/codes.csv", "id,code\n1,a\n");
    let most = "{{ run_query('select 100').rows[0][0] if execute }}";
    let query = format!("select id from {{{{ ref('codes') }}}} where id < {most}");
    project.stream_table("totals", "{'schedule': '1h'}", &query);
    let mut gate = pgtrickle_ci();
    gate.args(["run", "--engine", "emulator", "--budget", "1s"]).current_dir(project.path());
    for (name, value) in [
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGSERVICE", "nowhere"),
        ("PGOPTIONS", "-c no_such_setting=1 -c nonsense"),
        ("PGSSLMODE", "verify-full"),
        ("PGREQUIREAUTH", "none"),
        ("PGCHANNELBINDING", "require"),
        ("DBT_WRITE_JSON", "false"),
        ("DBT_ENGINE_WRITE_JSON", "false"),
        ("DBT_ENGINE_TARGET_PATH", "/nowhere"),
        ("DBT_EMPTY", "true"),
        ("DBT_DEFER", "true"),
        ("DBT_RESOURCE_TYPES", "seed"),
        ("DBT_LOG_FORMAT", "json"),
        ("DBT_INTROSPECT", "false"),
    ] {
        gate.env(name, value);
    }
    Ran::of(&mut gate).expect(0);
    assert!(!project.path().join("target").exists());
}
