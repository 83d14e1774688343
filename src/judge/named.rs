//! Finds the stream table that a user names.

use crate::model::{Deployed, Relation};

/// How many similar names to suggest.
const SUGGESTED: usize = 3;
/// The least similarity of a suggestion, from 0 to 1.
const SIMILAR: f64 = 0.75;

/// A name that does not mean exactly one stream table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the database has no stream tables")]
    NoTables,
    #[error("no stream table is named `{name}`{}", suggestion(near))]
    Unknown {
        name: String,
        /// The names of similar tables, the most similar first.
        near: Vec<String>,
    },
    #[error("several stream tables are named `{name}`: {}", tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Several { name: String, tables: Vec<Relation> },
    /// The project has the model, and the server does not have its table.
    #[error("the stream table {table} of the model `{name}` is not deployed")]
    NotDeployed { name: String, table: Relation },
}

fn suggestion(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    format!(
        " (did you mean {}?)",
        near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
    )
}

impl Error {
    pub fn hint(&self) -> String {
        match self {
            Self::NoTables => "deploy the project first: `dbt run` or `pgtrickle-ci apply`".into(),
            Self::Unknown { .. } => "list all stream tables: `pgtrickle-ci check -v`".into(),
            Self::Several { tables, .. } => match tables.first() {
                Some(table) => format!("name its schema, too: `{table}`"),
                None => "name its schema, too".into(),
            },
            Self::NotDeployed { .. } => "see what a deployment would do: `pgtrickle-ci plan`".into(),
        }
    }
}

/// The deployed table with this name: `totals`, `marts.totals`, `database.marts.totals`, quoted as in SQL or as it is, or
/// the name or unique_id of its dbt model. `models` are the project's tables by the unique_id of their models.
pub fn named<'a>(
    deployed: &'a [Deployed],
    models: &[(&str, &Relation)],
    database: &str,
    name: &str,
) -> Result<&'a Deployed, Error> {
    if deployed.is_empty() {
        return Err(Error::NoTables);
    }
    let is_model = |unique_id: &str| unique_id == name || unique_id.rsplit('.').next() == Some(name);
    let modelled: Vec<&Relation> =
        models.iter().filter(|(id, _)| is_model(id)).map(|(_, relation)| *relation).collect();
    let by_table = |one: &&Deployed| {
        let relation = &one.table.relation;
        relation.is_named(name) || relation.is_called(name, database)
    };
    let by_model = |one: &&Deployed| {
        modelled.contains(&&one.table.relation)
            || one.mark.as_ref().is_some_and(|mark| is_model(&mark.unique_id))
    };
    let mut found: Vec<&Deployed> = deployed.iter().filter(by_table).collect();
    if found.is_empty() {
        found = deployed.iter().filter(by_model).collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(match modelled.first() {
            Some(table) => Error::NotDeployed { name: name.to_owned(), table: (*table).clone() },
            None => Error::Unknown { name: name.to_owned(), near: near(deployed, name) },
        }),
        _ => Err(Error::Several {
            name: name.to_owned(),
            tables: found.iter().map(|one| one.table.relation.clone()).collect(),
        }),
    }
}

/// The tables with similar names, the most similar first.
fn near(deployed: &[Deployed], name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let similarity = |relation: &Relation| {
        let whole = strsim::jaro_winkler(&relation.to_string(), &lower);
        whole.max(strsim::jaro_winkler(&relation.name, &lower))
    };
    let mut near: Vec<(f64, String)> = deployed
        .iter()
        .map(|one| (similarity(&one.table.relation), one.table.relation.to_string()))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .collect();
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(SUGGESTED).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::sample::{deployed, table},
        model::Mark,
    };

    fn marked(name: &str, unique_id: &str) -> Deployed {
        let mark = Mark { dbt_project: "shop".into(), unique_id: unique_id.into(), target: None };
        Deployed { mark: Some(mark), ..deployed(table(name, &[])) }
    }

    #[test]
    fn a_table_is_found_by_its_name_and_by_its_model() {
        let tables = [marked("totals", "model.shop.order_totals"), deployed(table("other", &[]))];
        for name in [
            "totals",
            "s.totals",
            "shop.s.totals",
            "\"s\".\"totals\"",
            "S.Totals",
            "order_totals",
            "model.shop.order_totals",
        ] {
            assert_eq!(named(&tables, &[], "shop", name).unwrap().table.relation.name, "totals", "{name}");
        }
        // A manifest names the models of tables without a mark.
        let other = Relation::new("s", "other");
        let models = [("model.shop.another", &other)];
        assert_eq!(named(&tables, &models, "shop", "another").unwrap().table.relation, other);
    }

    #[test]
    fn a_name_without_a_table_is_refused_with_similar_names() {
        let tables = [deployed(table("order_totals", &[])), deployed(table("customers", &[]))];
        let error = named(&tables, &[], "shop", "order_total").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no stream table is named `order_total` (did you mean `s.order_totals`?)"
        );
        let error = named(&tables, &[], "shop", "S.Customer").unwrap_err();
        assert_eq!(error.to_string(), "no stream table is named `S.Customer` (did you mean `s.customers`?)");
        let error = named(&tables, &[], "shop", "xyz").unwrap_err();
        assert_eq!(error.to_string(), "no stream table is named `xyz`");
        assert_eq!(named(&[], &[], "shop", "xyz").unwrap_err(), Error::NoTables);
        let missing = Relation::new("s", "missing");
        let error = named(&tables, &[("model.shop.missing", &missing)], "shop", "missing").unwrap_err();
        assert_eq!(error.to_string(), "the stream table s.missing of the model `missing` is not deployed");
    }

    #[test]
    fn a_name_of_several_tables_needs_a_schema() {
        let mut other = deployed(table("totals", &[]));
        other.table.relation.schema = "t".into();
        let tables = [deployed(table("totals", &[])), other];
        let error = named(&tables, &[], "shop", "totals").unwrap_err();
        assert_eq!(error.to_string(), "several stream tables are named `totals`: s.totals, t.totals");
        assert_eq!(error.hint(), "name its schema, too: `s.totals`");
        assert_eq!(named(&tables, &[], "shop", "t.totals").unwrap().table.relation.schema, "t");
    }
}
