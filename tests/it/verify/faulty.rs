//! A server whose emulator maintains its sources wrongly, in the way that the role's `pg_trickle.emulator_fault` names.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use pgtrickle_ci::{pg::Endpoint, server::Ephemeral};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::{venv, wanted};

pub struct Faulty {
    server: Ephemeral,
    _runtime: Runtime,
    _dir: TempDir,
}

impl Faulty {
    pub fn server() -> &'static Self {
        static SERVER: OnceLock<Faulty> = OnceLock::new();
        SERVER.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let server = runtime.block_on(Ephemeral::start(&wanted(dir.path()))).unwrap();
            let script = {
                // The script that creates the extension, and not one that updates it.
                let creates =
                    |name: &str| name.starts_with("pg_trickle--") && name.matches("--").count() == 1;
                find(dir.path(), &creates).unwrap()
            };
            let mut script = fs::OpenOptions::new().append(true).open(script).unwrap();
            script.write_all(include_bytes!("faults.sql")).unwrap();
            Self { server, _runtime: runtime, _dir: dir }
        })
    }

    /// A new database of a role under which this goes wrong; under none everything is well.
    pub fn database(&self, name: &str, fault: &str) -> Endpoint {
        let own = self.server.endpoint();
        psql(own, &format!("create database {name}"));
        if fault.is_empty() {
            return own.with_database(name);
        }
        let password = own.password.reveal();
        psql(
            own,
            &format!(
                "do $$ begin
                   if to_regrole('{fault}') is null then
                     create role {fault} superuser login password '{password}';
                     alter role {fault} set pg_trickle.emulator_fault = '{fault}';
                   end if;
                 end $$"
            ),
        );
        let database = Endpoint { user: fault.to_owned(), ..own.with_database(name) };
        psql(&database, "create extension if not exists pg_trickle");
        database
    }

    /// A template in which statements have run, for `copy`. The scheduler leaves templates alone.
    pub fn template(&self, fault: &str, setup: &str) -> Endpoint {
        let template = self.database(&format!("template_{fault}"), fault);
        psql(&template, setup);
        psql(self.server.endpoint(), &format!("alter database template_{fault} is_template true"));
        template
    }

    pub fn copy(&self, template: &Endpoint, name: &str) -> Endpoint {
        let from = &template.database;
        let busy =
            format!("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{from}'");
        psql(self.server.endpoint(), &busy);
        psql(self.server.endpoint(), &format!("create database {name} template {from}"));
        template.with_database(name)
    }

    /// The scheduler works in every database that is left.
    pub fn drop(&self, database: &Endpoint) {
        let sql = format!("drop database {} with (force)", database.database);
        psql(self.server.endpoint(), &sql);
    }
}

/// Runs statements with psql, and says what it said.
#[track_caller]
pub fn psql(endpoint: &Endpoint, sql: &str) -> String {
    run_psql(endpoint, &["-c", sql])
}

/// Runs a file with psql alone.
#[track_caller]
pub fn psql_file(endpoint: &Endpoint, file: &Path) -> String {
    run_psql(endpoint, &["-f", file.to_str().unwrap()])
}

#[track_caller]
fn run_psql(endpoint: &Endpoint, arguments: &[&str]) -> String {
    let venv = venv();
    let program = find(&venv.join("lib"), &|name| name == "psql").unwrap_or_else(|| PathBuf::from("psql"));
    let ran = Command::new(program)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", endpoint.url().reveal()])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}\n{said}");
    said
}

fn find(folder: &Path, is_it: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if is_it(&entry.file_name().to_string_lossy()) {
                return Some(path);
            }
        }
    }
    None
}
