//! Creates empty tables from the columns and data types that the project's YAML declares.

use std::collections::BTreeMap;

use super::Error;
use crate::{model::Relation, pg::Client, project::Declared, sql::quote_identifier};

/// Creates these relations as empty tables.
///
/// # Errors
/// A declaration is incomplete; then no table is created.
pub async fn stub(
    client: &Client,
    relations: &[Relation],
    declared: &BTreeMap<Relation, Declared>,
) -> Result<(), Error> {
    let mut problems = Vec::new();
    let mut statements = Vec::new();
    for relation in relations {
        let Some(table) = declared.get(relation) else { continue };
        if table.columns.is_empty() {
            problems.push(format!("{}: {relation} has no columns", table.file));
        }
        let mut columns = Vec::new();
        for column in &table.columns {
            match data_type(client, column.data_type.as_deref()).await {
                Ok(known) => columns.push(format!("{} {known}", quote_identifier(&column.name))),
                Err(problem) => {
                    problems.push(format!("{}: {relation}, column {} {problem}", table.file, column.name));
                }
            }
        }
        statements.push(format!("create schema if not exists {}", quote_identifier(&relation.schema)));
        statements.push(format!("create table {} ({})", relation.quoted(), columns.join(", ")));
    }
    if !problems.is_empty() {
        return Err(Error::Undeclared { problems });
    }
    client.run_script(&statements.join(";\n")).await.map_err(Error::Target)
}

/// The type's name from the server: text of the YAML never becomes part of a statement.
async fn data_type(client: &Client, declared: Option<&str>) -> Result<String, String> {
    let declared = declared.ok_or("has no data_type")?;
    let known = client.type_named(declared).await;
    known.ok_or_else(|| format!("has the unknown data_type `{declared}`"))
}
