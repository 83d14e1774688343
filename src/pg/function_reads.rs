//! The tables that queries read through functions, or through views in subqueries. pg_trickle does not know them
//! (docs/pg_trickle.md, "Functions that read" and "Views in subqueries").

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::json;

use super::{Client, Error};
use crate::{
    model::{HiddenRead, Relation},
    sql::{self, ReadName, query, quote_literal},
};

/// The functions of some queries, with what those read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct FunctionReads {
    /// The functions that each query calls, directly or not, by their OIDs.
    calls: Vec<(Relation, u32)>,
    functions: Vec<Function>,
    /// The relations that they may name.
    relations: Vec<Named>,
}

#[derive(Clone, Debug, Deserialize)]
struct Function {
    oid: u32,
    schema: String,
    name: String,
    /// Its body as text; `None` if the server has parsed it.
    source: Option<String>,
    /// Its own setting.
    search_path: Option<String>,
    /// The statement that creates it.
    definition: String,
    /// What a parsed body reads.
    reads: Vec<Relation>,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    relation: Relation,
    /// Itself, or the tables that a view reads.
    tables: Vec<Relation>,
    /// The statements that create it and the views that it reads, with their OIDs.
    views: Vec<(u32, String)>,
}

#[derive(Debug, Deserialize)]
struct ViewRead {
    reader: Relation,
    view: Relation,
    table: Relation,
}

impl Client {
    /// What these queries read through functions in SQL and PL/pgSQL.
    pub async fn function_reads(
        &self,
        queries: impl IntoIterator<Item = (&Relation, &str)>,
    ) -> Result<FunctionReads, Error> {
        let asked: Vec<_> = queries
            .into_iter()
            .map(
                |(relation, sql)| json!({ "relation": relation, "sql": sql, "reads": query::relations(sql) }),
            )
            .collect();
        if asked.is_empty() {
            return Ok(FunctionReads::default());
        }
        let asked = format!("{}::jsonb", quote_literal(&json!(asked).to_string()));
        let sql = include_str!("sql/function_reads.sql").replace("$queries", &asked);
        self.ask("reading the functions of the queries", &sql).await
    }
}

/// A literal with each query and a table that it reads without pg_trickle's knowledge.
pub(super) fn pairs(reads: &BTreeMap<Relation, Vec<HiddenRead>>) -> String {
    let pair = |query: &Relation, read: &HiddenRead| json!({ "reader": query, "schema": read.table.schema, "name": read.table.name });
    let pairs: Vec<_> =
        reads.iter().flat_map(|(query, reads)| reads.iter().map(move |read| pair(query, read))).collect();
    format!("{}::jsonb", quote_literal(&json!(pairs).to_string()))
}

impl Client {
    /// What each query of a stream table reads without pg_trickle's knowledge: through these functions, and through views in
    /// subqueries.
    pub async fn hidden_reads(
        &self,
        functions: &FunctionReads,
    ) -> Result<BTreeMap<Relation, Vec<HiddenRead>>, Error> {
        let mut reads = functions.of_queries();
        let of_views: Vec<ViewRead> =
            self.ask("reading the views of the queries", include_str!("sql/view_reads.sql")).await?;
        for ViewRead { reader, view, table } in of_views {
            reads.entry(reader).or_default().push(HiddenRead { by: view, is_view: true, table });
        }
        Ok(reads)
    }
}

impl FunctionReads {
    /// The tables that each query reads through a function, with that function.
    pub fn of_queries(&self) -> BTreeMap<Relation, Vec<HiddenRead>> {
        let reads = |function: &Function| -> BTreeSet<HiddenRead> {
            let name = Relation::new(&function.schema, &function.name);
            let tables = self.tables(function).into_iter();
            tables
                .map(|table| HiddenRead { by: name.clone(), is_view: false, table: table.clone() })
                .collect()
        };
        let read: BTreeMap<u32, BTreeSet<HiddenRead>> =
            self.functions.iter().map(|function| (function.oid, reads(function))).collect();
        let mut found: BTreeMap<Relation, BTreeSet<HiddenRead>> = BTreeMap::new();
        for (query, oid) in &self.calls {
            for read in read.get(oid).into_iter().flatten() {
                found.entry(query.clone()).or_default().insert(read.clone());
            }
        }
        found.into_iter().map(|(query, reads)| (query, reads.into_iter().collect())).collect()
    }

    /// The statements that create the functions that these queries call, and the views that those read, older ones first.
    pub fn definitions(&self, queries: &[Relation]) -> Vec<String> {
        let mut created = BTreeMap::new();
        for function in self.called(queries) {
            created.insert(function.oid, &function.definition);
            let views = self.named(function).into_iter().flat_map(|named| &named.views);
            created.extend(views.map(|(oid, view)| (*oid, view)));
        }
        created.into_values().cloned().collect()
    }

    /// The OIDs of the functions that these queries call.
    pub fn oids(&self, queries: &[Relation]) -> Vec<u32> {
        self.called(queries).map(|function| function.oid).collect()
    }

    fn called(&self, queries: &[Relation]) -> impl Iterator<Item = &Function> {
        self.functions.iter().filter(|function| {
            self.calls.iter().any(|(query, oid)| *oid == function.oid && queries.contains(query))
        })
    }

    fn tables(&self, function: &Function) -> BTreeSet<&Relation> {
        self.named(function).into_iter().flat_map(|named| &named.tables).collect()
    }

    /// The relations that a function reads.
    fn named(&self, function: &Function) -> Vec<&Named> {
        let names = function.source.as_deref().map(sql::names_read).unwrap_or_default();
        let by_name = names.iter().filter_map(|name| self.resolve(function, name));
        let parsed = self.relations.iter().filter(|named| function.reads.contains(&named.relation));
        by_name.chain(parsed).collect()
    }

    /// The relation of a name. Without a schema, it is looked up in the function's own search_path, or else near the
    /// function: the search_path of the refreshing session is not known.
    fn resolve(&self, function: &Function, read: &ReadName) -> Option<&Named> {
        let in_schema = |schema: &str| {
            self.relations
                .iter()
                .find(|named| named.relation.schema == schema && named.relation.name == read.name)
        };
        if let Some(schema) = &read.schema {
            return in_schema(schema);
        }
        if let Some(path) = &function.search_path {
            return path.split(',').find_map(|schema| in_schema(schema.trim().trim_matches('"')));
        }
        let mut same_name = self.relations.iter().filter(|named| named.relation.name == read.name);
        let only = same_name.next().filter(|_| same_name.next().is_none());
        in_schema(&function.schema).or_else(|| in_schema("public")).or(only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_schema_is_looked_up_near_the_function() {
        let table = |schema: &str, name: &str| Named {
            relation: Relation::new(schema, name),
            tables: vec![Relation::new(schema, name)],
            views: vec![],
        };
        let view = Named {
            relation: Relation::new("app", "current"),
            tables: vec![Relation::new("app", "rates")],
            views: vec![(9, "create view".into())],
        };
        let function = |oid: u32, source: Option<&str>, search_path: Option<&str>| Function {
            oid,
            schema: "app".into(),
            name: format!("f{oid}"),
            source: source.map(Into::into),
            search_path: search_path.map(Into::into),
            definition: format!("create function f{oid}"),
            reads: if source.is_none() { vec![Relation::new("raw", "rates")] } else { vec![] },
        };
        let query = Relation::new("marts", "t");
        let functions = vec![
            function(1, Some("select r from rates"), None),
            function(2, Some("select r from rates"), Some("pg_catalog, \"raw\"")),
            function(3, Some("select r from raw.rates, current, lonely, nowhere"), None),
            function(4, None, None),
            function(5, Some("select r from rates"), Some("pg_catalog")),
        ];
        let reads = FunctionReads {
            calls: functions.iter().map(|function| (query.clone(), function.oid)).collect(),
            functions,
            relations: vec![table("app", "rates"), table("raw", "rates"), table("other", "lonely"), view],
        };
        let found = reads.of_queries();
        let found: Vec<String> =
            found[&query].iter().map(|read| format!("{} {}", read.by.name, read.table)).collect();
        assert_eq!(
            found,
            [
                "f1 app.rates",
                "f2 raw.rates",
                "f3 app.rates",
                "f3 other.lonely",
                "f3 raw.rates",
                "f4 raw.rates"
            ]
        );
        assert_eq!(reads.definitions(&[query]).len(), 6);
        assert!(reads.definitions(&[]).is_empty());
    }
}
