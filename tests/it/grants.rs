//! The roles of docs/deploy-role.sql and docs/check-role.sql may do what they are for, and a role that lacks a grant learns so
//! before anything happens.

use serde_json::{Value, json};

use crate::support::{Database, DbtProject, Ran, manifest, model, output, pgtrickle_ci};

/// A role with the grants of one of the scripts, which may create in `public` and owns the source.
struct Role {
    database: Database,
    name: String,
}

impl Role {
    /// A project that dbt deploys as the role, with a table beside the stream tables.
    fn project(&self) -> DbtProject {
        let project = DbtProject::new();
        let mut profile = output(&self.database, "marts");
        profile["user"] = json!(self.name);
        profile["password"] = json!("night");
        let profiles = json!({"shop": {"target": "dev", "outputs": {"dev": profile}}});
        project.write("profiles.yml", &profiles.to_string());
        project.write("models/beside.sql", "{{ config(materialized='table') }}\nselect 1 as id");
        project
    }

    fn gates(&self, project: &DbtProject) -> Ran {
        let mut run = pgtrickle_ci();
        run.args(["run", "--database-url", &self.url(), "--project-dir"]).arg(project.path());
        Ran::of(run.arg("--profiles-dir").arg(project.path()))
    }

    fn new(database: Database) -> Self {
        let name = database.endpoint.database.replace("test", "role");
        let script = include_str!("../../docs/deploy-role.sql").replace("pgtrickle_deploy", &name);
        database.run(&script);
        database.run(&format!(
            "alter role {name} password 'night'; grant create on database {} to {name};
             grant usage, create on schema public to {name};
             create table orders (id int primary key, amount int); alter table orders owner to {name};
             insert into orders values (1, 10)",
            database.endpoint.database
        ));
        database.wait_for(
            "select severity = 'OK' from pgtrickle.health_check() where check_name = 'scheduler_running'",
        );
        Self { database, name }
    }

    fn url(&self) -> String {
        let endpoint = &self.database.endpoint;
        format!("postgresql://{}:night@{}:{}/{}", self.name, endpoint.host, endpoint.port, endpoint.database)
    }

    /// A command of the role, with the models.
    fn runs(&self, command: &[&str], models: &[(String, Value)]) -> Ran {
        let dir = tempfile::tempdir().unwrap();
        let wanted = manifest(dir.path(), "m.json", models.iter().cloned());
        let mut run = pgtrickle_ci();
        run.args(command).args(["--database-url", &self.url(), "--manifest"]).arg(wanted);
        Ran::of(run.current_dir(dir.path()))
    }

    /// Without the right, `plan` and `doctor` say so, and `apply` changes nothing.
    #[track_caller]
    fn is_refused(&self, models: &[(String, Value)], lacks: &str) {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = words(&self.runs(&["plan", "--allow-drop", "t"], models).expect(0).stdout);
        let sentence = format!("the role `{}` cannot deploy this: it lacks {lacks}", self.name);
        assert!(said.contains(&sentence), "{said}");
        let said = words(&self.runs(&["doctor"], models).stdout);
        assert!(said.contains(&format!("lacks {lacks}")), "{said}");
        let catalog =
            "select coalesce(md5(string_agg(s::text, ',')), '') from pgtrickle.pgt_stream_tables as s";
        let before = self.database.value(catalog);
        self.runs(&["apply", "--allow-drop", "t"], models).expect_error(lacks, "the-role-that-deploys");
        assert_eq!(self.database.value(catalog), before);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.database.run(&format!(
                "drop extension pg_trickle cascade; drop owned by {0}; drop role {0}",
                self.name
            ));
        }
    }
}

fn table(query: &str, settings: &Value) -> [(String, Value); 1] {
    [model("t", query, settings)]
}

#[test]
fn the_role_of_the_script_plans_deploys_checks_and_verifies() {
    for database in [Some(Database::new()), Database::newer()].into_iter().flatten() {
        let role = Role::new(database);
        let first = table("select id from public.orders", &json!({"tier": "warm"}));
        let second = table("select id, amount from public.orders", &json!({"schedule": "2m"}));
        for models in [&first[..], &second[..]] {
            let planned = role.runs(&["plan"], models).expect(0).stdout;
            assert!(!planned.contains("lacks"), "{planned}");
            role.runs(&["apply"], models).expect(0);
            role.runs(&["check"], models).expect(0);
            role.runs(&["verify", "--static"], models).expect(0);
        }
        let looked = role.runs(&["doctor"], &second).stdout;
        assert!(looked.contains(&format!("{} may apply the current plan", role.name)), "{looked}");
        let another = [model("another", "select id from public.orders", &json!({}))];
        role.runs(&["apply", "--allow-drop", "t"], &another).expect(0);
    }
}

#[test]
fn a_function_that_the_role_may_not_execute_is_named_before_anything_happens() {
    let Some(database) = Database::newer() else { return };
    let role = Role::new(database);
    let query = "select id from public.orders";
    let steps: [(&str, &[(String, Value)]); 5] = [
        ("create_stream_table", &table(query, &json!({}))),
        ("alter_stream_table", &table(query, &json!({"schedule": "2m"}))),
        ("refresh_stream_table", &table("select id, amount from public.orders", &json!({"schedule": "2m"}))),
        (
            "set_orchestration_mode",
            &table(
                "select id, amount from public.orders",
                &json!({"schedule": "2m", "orchestration_mode": "EXTERNAL"}),
            ),
        ),
        ("drop_stream_table", &[model("another", query, &json!({}))]),
    ];
    for (function, models) in steps {
        role.database.run(&format!("revoke execute on function pgtrickle.{function} from {}", role.name));
        role.is_refused(models, &format!("EXECUTE on function pgtrickle.{function}"));
        role.database.run(&format!("grant execute on function pgtrickle.{function} to {}", role.name));
        role.runs(&["apply", "--allow-drop", "t"], models).expect(0);
    }
}

/// Settings that the engine takes for an existing table only.
#[test]
fn a_creation_that_alters_names_both_functions() {
    let Some(database) = Database::newer() else { return };
    let role = Role::new(database);
    let models = table("select id from public.orders", &json!({"tier": "warm"}));
    role.database.run(&format!("revoke execute on function pgtrickle.alter_stream_table from {}", role.name));
    role.is_refused(&models, "EXECUTE on function pgtrickle.alter_stream_table");
    let plain = table("select id from public.orders", &json!({}));
    let planned = role.runs(&["plan"], &plain).expect(0).stdout;
    assert!(!planned.contains("lacks"), "{planned}");
}

/// Functions that run as their caller.
#[test]
fn a_table_of_the_catalog_that_the_role_may_not_write_to_is_named() {
    let role = Role::new(Database::new());
    let models = table("select id from public.orders", &json!({}));
    role.database.run(&format!("revoke insert on pgtrickle.pgt_dependencies from {}", role.name));
    role.is_refused(&models, "INSERT on pgtrickle.pgt_dependencies");
    role.database.run(&format!("grant insert on pgtrickle.pgt_dependencies to {}", role.name));
    role.runs(&["apply"], &models).expect(0);
}

/// Functions of an IMMEDIATE table are in the engine's schema, and belong to the role.
#[test]
fn an_immediate_table_takes_create_on_the_schema_of_the_engine() {
    let role = Role::new(Database::new());
    let models = table("select id from public.orders", &json!({"refresh_mode": "IMMEDIATE"}));
    role.database.run(&format!("revoke create on schema pgtrickle from {}", role.name));
    role.is_refused(&models, "CREATE on schema pgtrickle");
    role.database.run(&format!("grant create on schema pgtrickle to {}", role.name));
    role.runs(&["apply"], &models).expect(0);
}

/// The change buffers belong to the role.
#[test]
fn a_table_that_is_not_immediate_takes_the_schema_of_the_change_buffers() {
    let role = Role::new(Database::new());
    let query = "select id from public.orders";
    role.database.run(&format!("revoke create on schema pgtrickle_changes from {}", role.name));
    for mode in ["DIFFERENTIAL", "FULL"] {
        role.is_refused(&table(query, &json!({"refresh_mode": mode})), "CREATE on schema pgtrickle_changes");
    }
    role.runs(&["apply"], &table(query, &json!({"refresh_mode": "IMMEDIATE"}))).expect(0);
}

/// The engine reads and captures the tables below a view itself, in every refresh mode.
#[test]
fn a_table_below_a_view_that_the_role_may_not_capture_is_named() {
    let role = Role::new(Database::new());
    role.database.run(&format!(
        "create table of_others (id int primary key); create view seen as select id from of_others;
         grant select on seen to {0}; grant select on of_others to {0}",
        role.name
    ));
    for mode in ["DIFFERENTIAL", "FULL"] {
        let models = table("select id from public.seen", &json!({"refresh_mode": mode}));
        role.is_refused(&models, "TRIGGER on public.of_others");
    }
    role.database.run(&format!("grant trigger on of_others to {}", role.name));
    role.runs(&["apply"], &table("select id from public.seen", &json!({}))).expect(0);
}

/// The engine replaces the functions of the capture triggers with each reader.
#[test]
fn a_source_that_another_role_captures_is_named() {
    let role = Role::new(Database::new());
    let query = "select id from public.orders";
    role.database.run(&format!("select pgtrickle.create_stream_table('public.first', '{query}', '1h')"));
    let owner = role.database.value("select current_user").unwrap();
    let models = table("select id, amount from public.orders", &json!({}));
    role.is_refused(
        &models,
        &format!("ownership on the capture functions of public.orders, which {owner} owns"),
    );
}

/// It stays when the last reader of its source is dropped.
#[test]
fn a_change_buffer_of_another_role_is_named() {
    let role = Role::new(Database::new());
    let query = "select id from public.orders";
    role.database.run(&format!(
        "select pgtrickle.create_stream_table('public.first', '{query}', '1h');
         select pgtrickle.drop_stream_table('public.first')"
    ));
    let buffer = "select oid::regclass from pg_class where relnamespace = 'pgtrickle_changes'::regnamespace and relkind = 'r'";
    // The emulator drops it.
    let Some(buffer) = role.database.value(buffer) else {
        assert!(role.database.is_emulator());
        return;
    };
    let owner = role.database.value("select current_user").unwrap();
    let models = table(query, &json!({}));
    role.is_refused(
        &models,
        &format!("ownership on the change buffer {buffer} of public.orders, which {owner} owns"),
    );
    role.database.run(&format!("drop table {buffer}"));
    role.runs(&["apply"], &models).expect(0);
}

/// It stays when its table is dropped.
#[test]
fn a_guard_function_of_another_role_is_named() {
    let role = Role::new(Database::new());
    let query = "select id from public.orders";
    role.database.run(
        "create table other (id int primary key);
         select pgtrickle.create_stream_table('public.t', 'select id from public.other', '1h');
         select pgtrickle.drop_stream_table('public.t')",
    );
    let owner = role.database.value("select current_user").unwrap();
    let lacks = format!("ownership on the function public._pgt_guard_t, which {owner} owns");
    role.is_refused(&table(query, &json!({})), &lacks);
    role.database.run("drop function public._pgt_guard_t()");
    role.runs(&["apply"], &table(query, &json!({}))).expect(0);
}

/// What policies hide from the role would be missing for good.
#[test]
fn a_table_is_not_filled_by_a_role_from_which_policies_hide_rows() {
    let role = Role::new(Database::new());
    role.database.run(&format!(
        "create table tenants (id int primary key); insert into tenants values (1), (2);
         alter table tenants enable row level security; create policy first on tenants using (id = 1);
         grant select, trigger on tenants to {}",
        role.name
    ));
    let models = table("select id from public.tenants", &json!({}));
    role.is_refused(&models, "BYPASSRLS, for the policies on public.tenants");
    role.database.run(&format!("alter role {} bypassrls", role.name));
    role.runs(&["apply"], &models).expect(0);
    assert_eq!(role.database.value("select count(*) from t").as_deref(), Some("2"));
}

/// With the last reader of a source its triggers go, and those of an IMMEDIATE table with the table.
#[test]
fn a_role_that_does_not_own_the_source_is_told_so_before_a_drop() {
    let role = Role::new(Database::new());
    role.database.run(&format!(
        "create table of_others (id int primary key); grant select, trigger on of_others to {}",
        role.name
    ));
    let (plain, immediate) = (json!({}), json!({"refresh_mode": "IMMEDIATE"}));
    let query = "select id from public.of_others";
    let other = [model("other", query, &plain)];
    role.runs(&["apply"], &[table(query, &plain), other.clone()].concat()).expect(0);
    role.runs(&["apply", "--allow-drop", "t"], &other).expect(0);
    role.runs(&["apply"], &[table(query, &immediate), other.clone()].concat()).expect(0);
    role.is_refused(&other, "ownership on public.of_others");
    role.is_refused(&[table(query, &plain), other.clone()].concat(), "ownership on public.of_others");
    role.database.run(&format!("alter table of_others owner to {}", role.name));
    role.runs(&["apply", "--allow-drop", "t"], &other).expect(0);
}

/// Nothing is compiled then, so that what is needed comes from the parsed project.
#[test]
fn a_first_run_of_a_role_that_lacks_a_grant_ends_before_dbt_builds() {
    let role = Role::new(Database::new());
    let owner = role.database.value("select current_user").unwrap();
    role.database.run(&format!(
        "create view seen as select id from orders; alter table orders owner to {owner};
         grant select, trigger on orders to {0}; grant select on seen to {0}; create schema marts;
         grant usage, create on schema marts to {0}",
        role.name
    ));
    let project = role.project();
    project.write("models/raw.yml", "sources: [{name: raw, schema: public, tables: [{name: seen}]}]");
    project.stream_table("t", "{'schedule': '1m'}", "select id from {{ source('raw', 'seen') }}");
    let lacks = |right: &str, object: &str, said: &str| {
        let member = if object.is_empty() { String::new() } else { format!(" on {object}") };
        role.database.run(&format!("revoke {right}{member} from {}", role.name));
        role.gates(&project).expect_error(&format!("It lacks\n  {said}\n"), "the-role-that-deploys");
        assert_eq!(role.database.value("select to_regclass('marts.beside')"), None, "{said}");
        role.database.run(&format!("grant {right}{member} to {}", role.name));
    };
    lacks("create", "schema marts", "CREATE on schema marts");
    lacks("usage", "schema pgtrickle_changes", "USAGE on schema pgtrickle_changes");
    lacks("trigger", "orders", "TRIGGER on public.orders");
    lacks(
        "usage",
        "sequence pgtrickle.pgt_stream_tables_pgt_id_seq",
        "USAGE on pgtrickle.pgt_stream_tables_pgt_id_seq",
    );
    lacks("pg_monitor", "", "membership on pg_monitor, to see the scheduler and other sessions");
}

#[test]
fn a_run_without_a_function_that_it_needs_ends_before_dbt_builds() {
    let Some(database) = Database::newer() else { return };
    let role = Role::new(database);
    let project = role.project();
    let run = || role.gates(&project);
    // The first run alters the table that it creates.
    for (function, schedule, then_deploys) in [
        ("create_stream_table", "1m", false),
        ("alter_stream_table", "1m", true),
        ("alter_stream_table", "2m", true),
    ] {
        let settings = format!("{{'schedule': '{schedule}', 'tier': 'warm'}}");
        project.stream_table("t", &settings, "select id from public.orders");
        role.database.run(&format!("revoke execute on function pgtrickle.{function} from {}", role.name));
        role.database.run("drop table if exists marts.beside");
        run().expect_error(&format!("EXECUTE on function pgtrickle.{function}"), "the-role-that-deploys");
        assert_eq!(role.database.value("select to_regclass('marts.beside')"), None);
        role.database.run(&format!("grant execute on function pgtrickle.{function} to {}", role.name));
        if then_deploys {
            run().expect(0);
        }
    }
}

#[test]
fn the_role_of_the_check_script_may_check_a_newer_server() {
    let Some(database) = Database::newer() else { return };
    let role = Role::new(database);
    let models = table("select id from public.orders", &json!({}));
    role.runs(&["apply"], &models).expect(0);
    let looks = role.name.replace("role", "looks");
    let script = include_str!("../../docs/check-role.sql").replace("pgtrickle_check", &looks);
    role.database.run(&format!("{script}; alter role {looks} password 'night'"));
    let dir = tempfile::tempdir().unwrap();
    let wanted = manifest(dir.path(), "m.json", models);
    let mut check = pgtrickle_ci();
    check
        .args(["check", "--database-url", &role.url().replace(&role.name, &looks), "--manifest"])
        .arg(wanted);
    Ran::of(&mut check).expect(0);
    role.database.run(&format!("drop owned by {looks}; drop role {looks}"));
}
