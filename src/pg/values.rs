//! Finds values that the server accepts for columns, before any row is changed.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Client, Error, settings::Purpose};
use crate::{
    mutate::{ConnectedColumns, Row, Source, Types},
    sql::quote_literal,
};

/// How many combinations of values that satisfy a condition are enough.
const ENOUGH: usize = 200;

const DOING: &str = "testing values for the columns of a source";

impl Client {
    /// Sets the values of the columns of these sources that the server accepts, and the combinations of values that
    /// satisfy conditions. `known` are the rows of each source.
    pub async fn supply(&self, sources: &mut [Source], known: &[(Vec<Row>, bool)]) -> Result<(), Error> {
        let types: Types = self.ask("reading the types of columns", include_str!("sql/types.sql")).await?;
        for (source, (rows, _)) in sources.iter_mut().zip(known) {
            if source.out_of_reach.is_some() {
                continue;
            }
            let candidates = source.candidates(&types, rows);
            if !candidates.is_empty() {
                self.supply_columns(source, &candidates).await?;
                self.supply_groups(source, rows).await?;
            }
            for column in source.columns.iter_mut().filter(|column| !column.values.is_empty()) {
                column.literals.retain(|literal| column.values.contains(literal));
            }
        }
        Ok(())
    }

    async fn supply_columns(
        &self,
        source: &mut Source,
        candidates: &[(usize, Vec<String>)],
    ) -> Result<(), Error> {
        let questions: Vec<String> =
            candidates.iter().map(|(at, values)| accepted(&source.columns[*at].type_name, values)).collect();
        let all =
            self.ask_values(&format!("select jsonb_build_array({})::text", questions.join(", "))).await?;
        for (nth, (at, values)) in candidates.iter().enumerate() {
            let accepted = match &all {
                Some(all) => all[nth].clone(),
                None => self.accepted_one_by_one(&source.columns[*at].type_name, values).await?,
            };
            let mut seen = BTreeSet::new();
            source.columns[*at].values =
                accepted.into_iter().filter(|value| seen.insert(value.clone())).collect();
        }
        Ok(())
    }

    /// Tests each value in its own query: some input functions raise errors, which would abort a common query.
    async fn accepted_one_by_one(&self, type_name: &str, values: &[String]) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        let mut rejected = 0;
        for value in values {
            let question = accepted(type_name, std::slice::from_ref(value));
            match self.ask_values(&format!("select jsonb_build_array({question})::text")).await? {
                Some(accepted) => all.extend(accepted.into_iter().flatten()),
                None => rejected += 1,
            }
            // Some types accept no text.
            if all.is_empty() && rejected >= ENOUGH {
                break;
            }
        }
        Ok(all)
    }

    async fn ask_values(&self, sql: &str) -> Result<Option<Vec<Vec<String>>>, Error> {
        match self.ask_for(Purpose::Values, DOING, sql).await {
            Ok(values) => Ok(Some(values)),
            Err(Error::Server { .. }) => Ok(None),
            Err(lost) => Err(lost),
        }
    }

    async fn supply_groups(&self, source: &mut Source, rows: &[Row]) -> Result<(), Error> {
        let mut groups = Vec::new();
        for (columns, conditions) in source.bound() {
            let mut satisfying = Vec::new();
            let mut open = vec![source.combinations(&columns, rows)];
            while let Some(batch) = open.pop().filter(|_| satisfying.len() < ENOUGH) {
                let sql = satisfied(source, &columns, &conditions, &batch);
                match self.ask_for::<Vec<Row>>(Purpose::Values, DOING, &sql).await {
                    Ok(rows) => satisfying.extend(rows),
                    // Some values make a condition raise an error: try both halves.
                    Err(Error::Server { .. }) if batch.len() > 1 => {
                        let (one, other) = batch.split_at(batch.len() / 2);
                        open.extend([one.to_vec(), other.to_vec()]);
                    }
                    Err(Error::Server { .. }) => {}
                    Err(lost) => return Err(lost),
                }
            }
            groups.push(ConnectedColumns { columns, rows: satisfying });
        }
        source.take_groups(groups);
        Ok(())
    }
}

/// An expression for the values that the type accepts, as the type writes them.
fn accepted(type_name: &str, values: &[String]) -> String {
    format!(
        "(select coalesce(jsonb_agg((c.v::{type_name})::text order by c.nth), '[]')
          from jsonb_array_elements_text({}::jsonb) with ordinality as c (v, nth)
          where pg_input_is_valid(c.v, {}))",
        quote_literal(&json!(values).to_string()),
        quote_literal(type_name)
    )
}

/// A query for the rows that satisfy the conditions, or for which they are NULL.
fn satisfied(source: &Source, columns: &[usize], conditions: &[&str], rows: &[Row]) -> String {
    let (mut typed, mut generated, mut texts) = (Vec::new(), String::new(), Vec::new());
    for (nth, at) in columns.iter().enumerate() {
        let (column, name) = (&source.columns[*at], source.quoted(*at));
        match &column.generated {
            Some(expression) => {
                generated = format!("{generated}, ({expression})::{} as {name}", column.type_name);
            }
            None => typed.push(format!("(pgtrickle_ci.v ->> {nth})::{} as {name}", column.type_name)),
        }
        texts.push(format!("{name}::text"));
    }
    let conditions: Vec<String> =
        conditions.iter().map(|condition| format!("({condition}) is not false")).collect();
    format!(
        "select coalesce(jsonb_agg(jsonb_build_array({})), '[]')::text
         from (select *{generated} from (
           select {} from jsonb_array_elements({}::jsonb) as pgtrickle_ci (v)
         ) as typed) as whole
         where {}",
        texts.join(", "),
        typed.join(", "),
        quote_literal(&json!(rows).to_string()),
        conditions.join(" and ")
    )
}
