//! Values that the server takes for a column, found out before anything is changed.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Client, Error, settings::Purpose};
use crate::{
    mutate::{ConnectedColumns, Row, Source, Types},
    sql::quote_literal,
};

/// So many rows of values that satisfy a condition are enough.
const ENOUGH: usize = 200;

const DOING: &str = "trying values for the columns of a source";

impl Client {
    /// Gives the columns of these sources values that the server takes, and those that conditions bind together rows of
    /// values that satisfy them. `known` are the rows of each.
    pub async fn supply(&self, sources: &mut [Source], known: &[(Vec<Row>, bool)]) -> Result<(), Error> {
        let types: Types = self.ask("looking at the types of columns", include_str!("sql/types.sql")).await?;
        for (source, (rows, _)) in sources.iter_mut().zip(known) {
            if source.out_of_reach.is_some() {
                continue;
            }
            let candidates = source.candidates(&types, rows);
            if !candidates.is_empty() {
                self.supply_columns(source, &candidates).await?;
                self.supply_groups(source, rows).await?;
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
            candidates.iter().map(|(at, values)| taken(&source.columns[*at].type_name, values)).collect();
        let all =
            self.ask_values(&format!("select jsonb_build_array({})::text", questions.join(", "))).await?;
        for (nth, (at, values)) in candidates.iter().enumerate() {
            let taken = match &all {
                Some(all) => all[nth].clone(),
                None => self.taken_one_by_one(&source.columns[*at].type_name, values).await?,
            };
            let mut seen = BTreeSet::new();
            source.columns[*at].values =
                taken.into_iter().filter(|value| seen.insert(value.clone())).collect();
        }
        Ok(())
    }

    /// An input function that raises errors instead of handing them over ends the whole question.
    async fn taken_one_by_one(&self, type_name: &str, values: &[String]) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        let mut refused = 0;
        for value in values {
            let question = taken(type_name, std::slice::from_ref(value));
            match self.ask_values(&format!("select jsonb_build_array({question})::text")).await? {
                Some(taken) => all.extend(taken.into_iter().flatten()),
                None => refused += 1,
            }
            // Some types take nothing that a client writes.
            if all.is_empty() && refused >= ENOUGH {
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
                    // Some values make a condition raise an error: the others are in the halves without them.
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

/// A question whose answer is those of the values that the type takes, as the type writes them.
fn taken(type_name: &str, values: &[String]) -> String {
    format!(
        "(select coalesce(jsonb_agg((c.v::{type_name})::text order by c.nth), '[]')
          from jsonb_array_elements_text({}::jsonb) with ordinality as c (v, nth)
          where pg_input_is_valid(c.v, {}))",
        quote_literal(&json!(values).to_string()),
        quote_literal(type_name)
    )
}

/// A question whose answer is those of the rows that satisfy the conditions, or leave them open as NULL does.
fn satisfied(source: &Source, columns: &[usize], conditions: &[&str], rows: &[Row]) -> String {
    let (mut typed, mut worked_out, mut texts) = (Vec::new(), String::new(), Vec::new());
    for (nth, at) in columns.iter().enumerate() {
        let (column, name) = (&source.columns[*at], source.quoted(*at));
        match &column.generated {
            Some(expression) => {
                worked_out = format!("{worked_out}, ({expression})::{} as {name}", column.type_name);
            }
            None => typed.push(format!("(pgtrickle_ci.v ->> {nth})::{} as {name}", column.type_name)),
        }
        texts.push(format!("{name}::text"));
    }
    let conditions: Vec<String> =
        conditions.iter().map(|condition| format!("({condition}) is not false")).collect();
    format!(
        "select coalesce(jsonb_agg(jsonb_build_array({})), '[]')::text
         from (select *{worked_out} from (
           select {} from jsonb_array_elements({}::jsonb) as pgtrickle_ci (v)
         ) as typed) as whole
         where {}",
        texts.join(", "),
        typed.join(", "),
        quote_literal(&json!(rows).to_string()),
        conditions.join(" and ")
    )
}
