//! What a rehearsed change does to the rows of tables: copies the rows before, and compares those after.

use std::{collections::BTreeSet, fmt::Write as _};

use tokio_postgres::SimpleQueryMessage;

use super::{Client, Error, settings};
use crate::{
    judge::rehearsal::RowComparison,
    model::{Column, Deployed, Relation},
    sql::{quote_identifier, quote_literal},
};

/// The schema of the copies. No project uses it.
const COPIES: &str = "pgtrickle_ci_base";
/// How many leading columns are tried as a key.
const LONGEST_KEY: usize = 4;

impl Client {
    /// The stream tables whose rows can currently be read.
    pub async fn readable(&self) -> Result<BTreeSet<Relation>, Error> {
        self.ask("checking which stream tables can be read", include_str!("sql/readable.sql")).await
    }

    /// Switches the engine's scheduler on or off, for the whole server.
    pub async fn set_scheduler(&self, on: bool) -> Result<(), Error> {
        let how = if on { "reset pg_trickle.enabled" } else { "set pg_trickle.enabled = off" };
        self.run_script(&format!("alter system {how}")).await?;
        self.run_script("select pg_catalog.pg_reload_conf()").await
    }

    /// Copies the current rows of these tables.
    pub async fn copy_rows(&self, tables: &[Deployed]) -> Result<(), Error> {
        let mut script = format!("drop schema if exists {COPIES} cascade; create schema {COPIES}");
        for (nth, table) in tables.iter().enumerate() {
            let columns: Vec<String> = visible(table).map(|column| quote_identifier(&column.name)).collect();
            // Writing to a String cannot fail.
            let _ = write!(
                script,
                "; create unlogged table {} as select {} from {}",
                copy(nth),
                columns.join(", "),
                table.table.relation.quoted()
            );
        }
        self.run_script(&script).await
    }

    /// Compares the copies of `before` with the tables of `after`, for each of these names, with up to `examples` rows
    /// of each kind of difference. All comparisons are one message.
    pub async fn compare_rows(
        &self,
        names: &[Relation],
        before: &[Deployed],
        after: &[Deployed],
        examples: u32,
    ) -> Result<Vec<RowComparison>, Error> {
        const DOING: &str = "comparing the rows with those of the base";
        let find = |tables: &[Deployed], name: &Relation| {
            tables.iter().position(|table| table.table.relation == *name)
        };
        let mut script = settings::BEGIN_READ_ONLY.to_owned();
        for name in names {
            let (was, is) = (find(before, name), find(after, name).map(|at| &after[at]));
            script.push_str(";\n");
            script.push_str(&match (was, is) {
                (Some(was), Some(is)) => difference(&before[was], was, is, examples),
                (was, is) => counts(was, is),
            });
        }
        let answer = self.wire.simple_query(&format!("{script};\nrollback")).await;
        if answer.is_err() {
            self.wire.batch_execute("rollback").await.ok();
        }
        let messages = answer.map_err(|source| self.failed(DOING, &source))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default()),
            SimpleQueryMessage::RowDescription(_) | SimpleQueryMessage::CommandComplete(_) | _ => None,
        });
        rows.map(|row| serde_json::from_str(row).map_err(|source| Error::Answer { doing: DOING, source }))
            .collect()
    }

    pub async fn drop_copies(&self) -> Result<(), Error> {
        self.run_script(&format!("drop schema if exists {COPIES} cascade")).await
    }
}

fn visible(table: &Deployed) -> impl Iterator<Item = &Column> {
    table.table.columns.iter().flatten().filter(|column| !column.is_internal())
}

fn copy(nth: usize) -> String {
    format!("{COPIES}.t{nth}")
}

/// The number of rows of a table that exists only before or only after.
fn counts(was: Option<usize>, is: Option<&Deployed>) -> String {
    let count = |from: Option<String>| {
        from.map_or_else(|| "null".to_owned(), |from| format!("(select count(*) from {from})"))
    };
    format!(
        "select jsonb_build_object('before', {}, 'after', {})::text",
        count(was.map(copy)),
        count(is.map(|is| is.table.relation.quoted()))
    )
}

/// How a table differs from its copy, in the columns that both have. The key is the shortest list of leading columns
/// that is unique on both sides: two rows with the same key are one changed row.
fn difference(before: &Deployed, was: usize, is: &Deployed, examples: u32) -> String {
    let common = |column: &&Column| visible(is).any(|other| other.name == column.name);
    let columns: Vec<&Column> = visible(before).filter(common).collect();
    let kept: Vec<&Column> =
        columns.iter().filter_map(|column| visible(is).find(|other| other.name == column.name)).collect();
    let values = |columns: &[&Column]| columns.iter().map(|c| shown(c)).collect::<Vec<_>>().join(", ");
    let names: Vec<String> = columns.iter().map(|column| quote_literal(&column.name)).collect();
    format!(
        "with sides as materialized (
  select -1 as side, array[{old}]::text[] as v from {copy}
  union all
  select 1, array[{new}]::text[] from {table}
), surplus as (
  select v, sum(side) as side from sides group by v having sum(side) <> 0
), different as materialized (
  select v, sign(side) as side, row_number() over () as nth from surplus, generate_series(1, abs(side))
), key as (
  select k from generate_series(1, least({LONGEST_KEY}, {count} - 1)) as k
  where not exists (select from sides group by side, v[1:k] having count(*) > 1)
  order by k limit 1
), paired as (
  select max(v) filter (where side < 0) as was, max(v) filter (where side > 0) as now
  from different left join key on true
  group by case when k is null then array[nth::text] else v[1:k] end, k is null
), sorted as (
  select was, now, case when was is null then 1 when now is null then 2 else 3 end as sort,
         row_number() over (partition by was is null, now is null order by coalesce(was, now)) as nth
  from paired
)
select jsonb_build_object(
  'before', (select count(*) from sides where side < 0),
  'after', (select count(*) from sides where side > 0),
  'difference', jsonb_build_object(
    'columns', array[{names}]::text[],
    'key', (select k from key),
    'added', (select count(*) from sorted where sort = 1),
    'removed', (select count(*) from sorted where sort = 2),
    'changed', (select count(*) from sorted where sort = 3),
    'examples', (
      select coalesce(jsonb_agg(jsonb_build_object('before', was, 'after', now) order by sort, nth), '[]')
      from sorted where nth <= {examples}
    )
  )
)::text",
        old = values(&columns),
        new = values(&kept),
        copy = copy(was),
        table = is.table.relation.quoted(),
        count = columns.len(),
        names = names.join(", "),
    )
}

/// A value as canonical text: floating point rounded to the digits on which different orders of addition agree, a
/// numeric without trailing zeros.
fn shown(column: &Column) -> String {
    let name = quote_identifier(&column.name);
    match column.r#type.as_str() {
        "float4" | "float8" => format!("trim_scale({name}::numeric)::text"),
        "numeric" => format!("trim_scale({name})::text"),
        "json" => format!("{name}::jsonb::text"),
        _ => format!("{name}::text"),
    }
}
