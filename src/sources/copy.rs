//! Copies relations from another server: their definitions, and optionally some rows.

use std::{fmt::Write as _, io, path::Path, process::Stdio};

use super::{Error, sample};
use crate::{
    model::Relation,
    output::Ui,
    pg::{Client, Endpoint, Limits, SourceObjects},
    server::Ephemeral,
    sql::quote_identifier,
};

/// The server to copy from. It is only read.
#[derive(Clone, Debug)]
pub struct SourceServer {
    pub endpoint: Endpoint,
    pub limits: Limits,
    /// The number of rows per table; `None` copies only definitions.
    pub rows: Option<u32>,
}

/// Entries that an archive lists without a catalog row.
const ADDITIONS: [&str; 3] = ["SEQUENCE OWNED BY", "TABLE ATTACH", "INDEX ATTACH"];

/// Copies these relations from `origin` to the ephemeral server that `client` is connected to.
pub async fn copy(
    origin: &SourceServer,
    relations: &[Relation],
    server: &Ephemeral,
    client: &Client,
    ui: Ui,
) -> Result<(), Error> {
    let source = Client::connect(&origin.endpoint, origin.limits).await.map_err(Error::Origin)?;
    let objects = source.source_objects(relations, origin.rows.is_some()).await.map_err(Error::Origin)?;
    check(&objects, origin, server, client).await?;

    let folder = tempfile::Builder::new().prefix("pgtrickle-ci-sources-").tempdir();
    let folder = folder.map_err(|source| Error::Start { program: "pg_dump", source })?;
    let archive = Archive { server, file: &folder.path().join("archive"), list: &folder.path().join("list") };
    archive.dump(&origin.endpoint, &objects, &folder.path().join("filter")).await?;
    let contents = archive.select_objects(&objects).await?;

    let schemas = objects.schemas.iter().chain(objects.extensions.iter().map(|e| &e.schema));
    let schemas: String =
        schemas.map(|name| format!("create schema if not exists {};", quote_identifier(name))).collect();
    client.run_script(&schemas).await.map_err(Error::Target)?;
    archive.restore("pre-data").await?;
    if let Some(rows) = origin.rows {
        let count = sample::copy(&source, client, &objects, rows).await?;
        ui.say(&format!("copied {count} rows"));
    }
    archive.restore("post-data").await?;
    client.run_script(&refreshes(&contents, &objects)).await.map_err(Error::Target)
}

/// Fails with all problems that prevent copying.
async fn check(
    objects: &SourceObjects,
    origin: &SourceServer,
    server: &Ephemeral,
    client: &Client,
) -> Result<(), Error> {
    let version = server.version()?;
    let ours: u32 =
        version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse().unwrap_or(0);
    if objects.major > ours {
        return Err(Error::TooNew {
            origin: origin.endpoint.to_string(),
            theirs: objects.version.clone(),
            ours: version.to_owned(),
        });
    }
    let mut problems: Vec<String> =
        objects.missing.iter().map(|relation| format!("{relation} does not exist")).collect();
    for there in &objects.relations {
        if !there.readable {
            problems.push(format!("{} is not readable by `{}`", there.relation, objects.user));
        }
        if there.kind == 'f' {
            problems
                .push(format!("{} is a foreign table; its foreign server cannot be copied", there.relation));
        }
    }
    let extensions: Vec<String> = objects.extensions.iter().map(|extension| extension.name.clone()).collect();
    for name in client.lacks_extensions(&extensions).await.map_err(Error::Target)? {
        problems.push(format!("the required extension {name} is not available on the ephemeral server"));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Error::NotThere { origin: origin.endpoint.to_string(), problems, user: objects.user.clone() })
}

/// A dump of definitions in pg_dump's custom format. Only a part of it is restored.
struct Archive<'a> {
    server: &'a Ephemeral,
    file: &'a Path,
    list: &'a Path,
}

impl Archive<'_> {
    /// Dumps the schemas of the objects without other tables: dumping a table locks it and requires the SELECT
    /// privilege.
    async fn dump(&self, origin: &Endpoint, objects: &SourceObjects, filter: &Path) -> Result<(), Error> {
        let unwritten = |source| Error::Start { program: "pg_dump", source };
        std::fs::write(filter, dump_filter(objects)).map_err(unwritten)?;
        let mut dump = self.server.program("pg_dump")?;
        dump.args(["--format=custom", "--schema-only", "--no-password", "--filter"]).arg(filter);
        dump.arg("--file").arg(self.file);
        run(dump, "pg_dump", origin).await.map(drop)
    }

    /// Writes the list of objects to restore, and returns it.
    async fn select_objects(&self, objects: &SourceObjects) -> Result<String, Error> {
        let mut list = self.server.program("pg_restore")?;
        list.args(["--list", "--verbose"]).arg(self.file);
        let list = wanted_entries(&run(list, "pg_restore", self.server.endpoint()).await?, objects);
        let unwritten = |source| Error::Start { program: "pg_restore", source };
        std::fs::write(self.list, &list).map_err(unwritten)?;
        Ok(list)
    }

    async fn restore(&self, section: &str) -> Result<(), Error> {
        let mut restore = self.server.program("pg_restore")?;
        restore.args(["--exit-on-error", "--no-owner", "--no-privileges", "--no-tablespaces"]);
        restore.args(["--no-table-access-method", "--no-password", "--section", section]);
        restore
            .args(["--dbname", &self.server.endpoint().database, "--use-list"])
            .arg(self.list)
            .arg(self.file);
        run(restore, "pg_restore", self.server.endpoint()).await.map(drop)
    }
}

/// The file for pg_dump's `--filter`.
fn dump_filter(objects: &SourceObjects) -> String {
    let mut filter = String::new();
    let mut line = |what: &str, pattern: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(filter, "{what} {pattern}");
    };
    for schema in &objects.schemas {
        line("include schema", quote_identifier(schema));
    }
    for extension in &objects.extensions {
        line("include extension", quote_identifier(&extension.name));
    }
    for relation in &objects.others {
        line("exclude table", relation.quoted());
    }
    filter
}

/// The lines of an archive's list for the wanted objects and their additions. A line is
/// `number; catalog row KIND schema name owner`, and the next may be `; depends on: number …`.
fn wanted_entries(list: &str, objects: &SourceObjects) -> String {
    let entries: Vec<&str> = list.lines().filter(|line| !line.is_empty()).collect();
    let number = |line: &str| line.split(';').next().unwrap_or_default().trim().to_owned();
    let numbers = |line: &str| -> Option<(u32, u32)> {
        let mut words = line.split_once(';')?.1.split_whitespace();
        Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    let is_schema = |line: &str| line.split_whitespace().nth(3) == Some("SCHEMA");
    let is_wanted = |line: &&str| {
        let found = numbers(line);
        !line.starts_with(';')
            && !is_schema(line)
            && found.is_some_and(|found| objects.objects.contains(&found))
    };
    let mut kept: Vec<&str> = Vec::new();
    for (at, line) in entries.iter().enumerate() {
        let needs = entries
            .get(at + 1)
            .and_then(|next| next.trim_start_matches(';').trim().strip_prefix("depends on:"));
        let of_wanted = || {
            let numbers: Vec<String> = kept.iter().map(|line| number(line)).collect();
            needs.is_some_and(|needs| {
                needs.split_whitespace().all(|need| numbers.iter().any(|kept| kept == need))
            })
        };
        let is_addition = numbers(line) == Some((0, 0))
            && ADDITIONS.iter().any(|kind| line.contains(&format!(" 0 0 {kind} ")));
        if is_wanted(line) || (is_addition && of_wanted()) {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

/// Statements that populate the materialized views, in the archive's order of dependencies.
fn refreshes(list: &str, objects: &SourceObjects) -> String {
    let views: Vec<&Relation> =
        objects.relations.iter().filter(|there| there.kind == 'm').map(|there| &there.relation).collect();
    let refresh = |line: &str| {
        let view = views
            .iter()
            .find(|view| line.contains(&format!(" MATERIALIZED VIEW {} {} ", view.schema, view.name)))?;
        Some(format!("refresh materialized view {};", view.quoted()))
    };
    list.lines().filter_map(refresh).collect()
}

/// Runs a program of the installation against a server. The address is only in the environment, which other users
/// cannot read.
async fn run(
    mut command: std::process::Command,
    program: &'static str,
    endpoint: &Endpoint,
) -> Result<String, Error> {
    endpoint.set_environment(&mut command);
    command.env("PGAPPNAME", "pgtrickle-ci").stdin(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    let failed = |source: io::Error| Error::Start { program, source };
    let output = command.kill_on_drop(true).output().await.map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let output = errors.lines().map(|line| endpoint.mask(line)).collect();
    Err(Error::Failed { program, output })
}
