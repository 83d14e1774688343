//! Copies relations from one server to another: their dependencies, and rows with the rows that they reference.

use serde::Deserialize;
use tokio_postgres::types::ToSql;

use super::{Client, Error, about};
use crate::{
    model::Relation,
    mutate::Needed,
    sql::{quote_identifier, quote_literal},
};

/// Everything needed to copy some relations.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceObjects {
    /// The server's version, as `17.2`.
    pub version: String,
    pub major: u32,
    pub user: String,
    /// The requested relations that do not exist.
    pub missing: Vec<Relation>,
    /// All objects to copy, as the OIDs of their catalog and of their row in it.
    pub objects: Vec<(u32, u32)>,
    /// The tables, views and sequences among them.
    pub relations: Vec<SourceRelation>,
    /// All other relations in their schemas.
    pub others: Vec<Relation>,
    /// The schemas of all objects.
    pub schemas: Vec<String>,
    /// The extensions that they need.
    pub extensions: Vec<Extension>,
    /// The foreign keys between the tables.
    pub keys: Vec<ForeignKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceRelation {
    pub relation: Relation,
    /// `pg_class.relkind`.
    pub kind: char,
    /// Whether the current role can dump its definition.
    pub readable: bool,
    is_partition: bool,
    /// Without generated columns.
    columns: Vec<String>,
    primary_key: Vec<String>,
}

/// An extension and the schema it is in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Extension {
    pub name: String,
    pub schema: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ForeignKey {
    child: Relation,
    /// The referenced table.
    pub parent: Relation,
    /// The columns of the child and of the parent, and their type.
    columns: Vec<(String, String, String)>,
}

impl SourceRelation {
    /// Whether it has its own rows. Those of a partition count for the partitioned table.
    pub fn holds_rows(&self) -> bool {
        matches!(self.kind, 'r' | 'p') && !self.is_partition
    }
}

impl Client {
    /// Everything needed to copy these relations; with `families` also the tables that they reference.
    pub async fn source_objects(
        &self,
        relations: &[Relation],
        families: bool,
    ) -> Result<SourceObjects, Error> {
        let sql = include_str!("sql/source_objects.sql").replace("$families", &families.to_string());
        self.ask("reading the sources", &about(&sql, relations)).await
    }

    /// What a script creates before these tables, views and functions: schemas, extensions, collations, types, and functions
    /// that tables need.
    pub async fn needed_objects(
        &self,
        relations: &[Relation],
        functions: &[u32],
    ) -> Result<Vec<Needed>, Error> {
        let objects = self.source_objects(relations, false).await?.objects;
        let objects = serde_json::to_string(&objects).expect("numbers are JSON");
        let functions: Vec<String> = functions.iter().map(u32::to_string).collect();
        let sql = include_str!("sql/needed_objects.sql")
            .replace("$objects", &format!("{}::jsonb", quote_literal(&objects)))
            .replace(
                "$functions",
                &format!("{}::oid[]", quote_literal(&format!("{{{}}}", functions.join(",")))),
            );
        self.ask("reading what the sources need", &sql).await
    }

    /// Begins a read-only transaction with one snapshot until the connection ends, in which text has formats that every
    /// server reads.
    pub async fn begin_snapshot(&self) -> Result<(), Error> {
        let sql = format!(
            "begin isolation level repeatable read read only; {}; set local datestyle = 'ISO, YMD'; \
             set local intervalstyle = 'postgres'; set local timezone = 'UTC'; set local extra_float_digits = 1; \
             set local lc_monetary = 'C'; set local search_path = pg_catalog",
            self.settings()
        );
        self.run_script(&sql).await
    }

    /// The first rows of a table in the order of its primary key, as text.
    pub async fn first_rows(&self, of: &SourceRelation, limit: u32) -> Result<Vec<String>, Error> {
        let order = match of.primary_key.as_slice() {
            [] => String::new(),
            columns => format!(" order by {}", list(columns.iter(), "t.")),
        };
        let sql = format!("select (t.*)::text from {} as t{order} limit {limit}", of.relation.quoted());
        self.texts("reading rows of a source", &sql, &[]).await
    }

    /// The foreign key values of the child without a row of the parent, as a JSON array of arrays.
    pub async fn orphans(&self, key: &ForeignKey) -> Result<String, Error> {
        let each = |form: &dyn Fn(&str, &str) -> String, between: &str| {
            let parts: Vec<String> = key
                .columns
                .iter()
                .map(|(child, parent, _)| form(&quote_identifier(child), &quote_identifier(parent)))
                .collect();
            parts.join(between)
        };
        let sql = format!(
            "select coalesce(json_agg(k.key), '[]')::text from (
               select distinct jsonb_build_array({texts}) as key from {child} as c
                where {given} and not exists (select from {parent} as p where {same})) as k",
            texts = each(&|child, _| format!("c.{child}::text"), ", "),
            given = each(&|child, _| format!("c.{child} is not null"), " and "),
            same = each(&|child, parent| format!("p.{parent} = c.{child}"), " and "),
            child = key.child.quoted(),
            parent = key.parent.quoted(),
        );
        let found = self.texts("looking for missing referenced rows", &sql, &[]).await?;
        Ok(found.concat())
    }

    /// The rows of the parent with these keys, as text.
    pub async fn parents(&self, key: &ForeignKey, keys: &str) -> Result<Vec<String>, Error> {
        let columns = list(key.columns.iter().map(|(_, parent, _)| parent), "p.");
        let values: Vec<String> = key
            .columns
            .iter()
            .enumerate()
            .map(|(at, (_, _, data_type))| format!("(k ->> {at})::{data_type}"))
            .collect();
        let sql = format!(
            "select (p.*)::text from {} as p where ({columns}) in (select {} from json_array_elements($1::text::json) as k)",
            key.parent.quoted(),
            values.join(", ")
        );
        self.texts("reading rows of a source", &sql, &[&keys]).await
    }

    /// Inserts rows that another server returned as text into a table with the same definition.
    pub async fn insert(&self, into: &SourceRelation, rows: &[String]) -> Result<(), Error> {
        if into.columns.is_empty() || rows.is_empty() {
            return Ok(());
        }
        let table = into.relation.quoted();
        let values: Vec<String> =
            into.columns.iter().map(|column| format!("(x.r).{}", quote_identifier(column))).collect();
        let sql = format!(
            "insert into {table} ({}) overriding system value
             select {} from (select text::{table} as r from unnest($1::text[]) as text offset 0) as x",
            list(into.columns.iter(), ""),
            values.join(", ")
        );
        let inserted = self.wire.execute(&sql, &[&rows]).await;
        inserted.map(drop).map_err(|source| self.failed("inserting rows into a source", &source))
    }

    /// Sets the sequences of these tables' columns to the end of their rows.
    pub async fn set_sequences(&self, tables: &[&SourceRelation]) -> Result<(), Error> {
        let names: Vec<String> = tables.iter().map(|table| quote_literal(&table.relation.quoted())).collect();
        let script = include_str!("sql/set_sequences.sql").replace("$tables", &names.join(", "));
        self.run_script(&script).await
    }

    /// The extensions that are not available on this server.
    pub async fn lacks_extensions(&self, names: &[String]) -> Result<Vec<String>, Error> {
        let sql = "select name from unnest($1::text[]) as name where name not in (select name from pg_available_extensions)";
        self.texts("looking for extensions", sql, &[&names]).await
    }

    /// PostgreSQL's spelling of a type; `None` if the server has no such type.
    pub async fn type_named(&self, words: &str) -> Option<String> {
        // Unknown types are an error for some words, and NULL for others.
        let sql = "select format_type(to_regtype($1), to_regtypemod($1))";
        let row = self.wire.query_one(sql, &[&words]).await.ok()?;
        row.try_get::<_, Option<String>>(0).ok()?
    }

    async fn texts(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<String>, Error> {
        let rows = self.wire.query(sql, parameters).await;
        let texts = rows.and_then(|rows| rows.iter().map(|row| row.try_get(0)).collect());
        texts.map_err(|source| self.failed(doing, &source))
    }
}

fn list<'a>(columns: impl Iterator<Item = &'a String>, before: &str) -> String {
    columns.map(|column| format!("{before}{}", quote_identifier(column))).collect::<Vec<_>>().join(", ")
}
