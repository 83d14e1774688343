//! Copying relations from one server to another: what belongs to them, and rows with the rows that they refer to.

use serde::Deserialize;
use tokio_postgres::types::ToSql;

use super::{Client, Error, about};
use crate::{
    model::Relation,
    sql::{quote_identifier, quote_literal},
};

/// What it takes to have some relations elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceObjects {
    /// The server's version, as `17.2`.
    pub version: String,
    /// Its first number.
    pub major: u32,
    /// Who asked.
    pub user: String,
    /// What was asked for and is not there.
    pub missing: Vec<Relation>,
    /// Everything that has to be copied, as the numbers of its catalog and its row there.
    pub objects: Vec<(u32, u32)>,
    /// The tables, views and sequences among it.
    pub relations: Vec<SourceRelation>,
    /// Everything else in their schemas.
    pub others: Vec<Relation>,
    /// The schemas of it all.
    pub schemas: Vec<String>,
    /// The extensions that it needs.
    pub extensions: Vec<Extension>,
    /// The foreign keys between its tables.
    pub keys: Vec<ForeignKey>,
}

/// A table, view or sequence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct SourceRelation {
    /// Its name.
    pub relation: Relation,
    /// `pg_class.relkind`.
    pub kind: char,
    /// Whether its definition can be dumped by who asks.
    pub readable: bool,
    is_partition: bool,
    /// What a row is made of; generated columns make themselves.
    columns: Vec<String>,
    primary_key: Vec<String>,
}

/// An extension and the schema it is in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its schema.
    pub schema: String,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ForeignKey {
    child: Relation,
    /// The table that it leads to.
    pub parent: Relation,
    /// The columns of the child and of the parent, and their type.
    columns: Vec<(String, String, String)>,
}

impl SourceRelation {
    /// Whether it has rows of its own; those of a partition are the partitioned table's.
    pub fn holds_rows(&self) -> bool {
        matches!(self.kind, 'r' | 'p') && !self.is_partition
    }
}

impl Client {
    /// What it takes to have these relations elsewhere; with `families` also the tables that they refer to.
    pub async fn source_objects(
        &self,
        relations: &[Relation],
        families: bool,
    ) -> Result<SourceObjects, Error> {
        let sql = include_str!("sql/source_objects.sql").replace("$families", &families.to_string());
        self.ask("looking at the sources", &about(&sql, relations)).await
    }

    /// Begins to read: until the connection ends everything is seen as it is now, and texts are written in a way that
    /// every server reads.
    pub async fn begin_to_read(&self) -> Result<(), Error> {
        let sql = format!(
            "begin isolation level repeatable read read only; {}; set local datestyle = 'ISO, YMD'; \
             set local intervalstyle = 'postgres'; set local timezone = 'UTC'; set local extra_float_digits = 1; \
             set local lc_monetary = 'C'; set local search_path = pg_catalog",
            self.settings()
        );
        self.run_script(&sql).await
    }

    /// The first rows of a table by its primary key, as texts.
    pub async fn first_rows(&self, of: &SourceRelation, limit: u32) -> Result<Vec<String>, Error> {
        let order = match of.primary_key.as_slice() {
            [] => String::new(),
            columns => format!(" order by {}", list(columns.iter(), "t.")),
        };
        let sql = format!("select (t.*)::text from {} as t{order} limit {limit}", of.relation.quoted());
        self.texts("reading rows of a source", &sql, &[]).await
    }

    /// The keys, as a JSON array of arrays, that rows of the child have and no row of the parent.
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
        let found = self.texts("looking for rows without their parents", &sql, &[]).await?;
        Ok(found.concat())
    }

    /// The rows of the parent with these keys, as texts.
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

    /// Puts rows that another server wrote as texts into a table of the same definition.
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
        inserted.map(drop).map_err(|source| Error::asking("putting rows into a source", &source))
    }

    /// Lets the sequences behind these tables' columns go on where their rows end.
    pub async fn set_sequences(&self, tables: &[&SourceRelation]) -> Result<(), Error> {
        let names: Vec<String> = tables.iter().map(|table| quote_literal(&table.relation.quoted())).collect();
        let script = include_str!("sql/set_sequences.sql").replace("$tables", &names.join(", "));
        self.run_script(&script).await
    }

    /// Which of these extensions this server could not have.
    pub async fn lacks_extensions(&self, names: &[String]) -> Result<Vec<String>, Error> {
        let sql = "select name from unnest($1::text[]) as name where name not in (select name from pg_available_extensions)";
        self.texts("looking for extensions", sql, &[&names]).await
    }

    /// A type as PostgreSQL writes it, when the server has a type of that name.
    pub async fn type_named(&self, words: &str) -> Option<String> {
        // Words that are no type's name are an error for some, and NULL for others.
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
        texts.map_err(|source| Error::asking(doing, &source))
    }
}

fn list<'a>(columns: impl Iterator<Item = &'a String>, before: &str) -> String {
    columns.map(|column| format!("{before}{}", quote_identifier(column))).collect::<Vec<_>>().join(", ")
}
