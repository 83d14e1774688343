//! Compares a stream table with its query on the server: one scan of each side, and only differing rows are returned.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Client, Error, about, of_table, only_json, settings::Purpose};
use crate::{
    judge::equality::{Comparable, ComparedColumn, Difference, ValueKind, has_undefined_order},
    model::Relation,
    sql::{quote_identifier, quote_literal},
};

/// How many differing rows are returned.
const EXAMPLES: usize = 10;
/// How far the engine has read the WAL.
#[derive(Debug, Deserialize)]
pub struct UnreadLog {
    /// A position in the WAL.
    pub position: String,
    /// The readers of sources that were not read up to there; `None` if no source is captured from the WAL.
    pub tables: Option<BTreeSet<Relation>>,
}

const DOING: &str = "comparing the stream table with its query";

impl Client {
    /// Every stream table with the facts needed to compare it.
    pub async fn comparables(&self) -> Result<Vec<Comparable>, Error> {
        self.ask("reading the columns of the stream tables", include_str!("sql/comparables.sql")).await
    }

    /// The end of the WAL, or `position`, and which of these tables have sources that were not read up to there.
    pub async fn unread(&self, tables: &[Relation], position: Option<&str>) -> Result<UnreadLog, Error> {
        let position = position.map_or_else(|| "null".to_owned(), quote_literal);
        let sql = about(include_str!("sql/unread.sql"), tables)
            .replace("$position", &format!("{position}::pg_lsn"));
        self.ask("reading the progress of capture from the log", &sql).await
    }

    /// Compares a table with its query as multisets, both in the snapshot of one statement.
    ///
    /// If they differ, a second comparison also reads the pending changes.
    pub async fn compare(&self, table: &Comparable, tolerance: f64) -> Result<Difference, Error> {
        self.compared(table, tolerance, false).await
    }

    /// The same, and hashes the rows of the query, which takes half as long again.
    pub async fn compare_and_hash(&self, table: &Comparable, tolerance: f64) -> Result<Difference, Error> {
        self.compared(table, tolerance, true).await
    }

    async fn compared(&self, table: &Comparable, tolerance: f64, hashes: bool) -> Result<Difference, Error> {
        let ask = async |query: &str, pending: &str| {
            let settings = self.database_settings().await?;
            let sql = format!("{settings}{}", comparison(table, query, pending, tolerance, hashes));
            self.ask_for::<Difference>(Purpose::Query, DOING, &sql).await
        };
        let first = ask(&table.query, "false").await?;
        if first.is_none() {
            return Ok(first);
        }
        let second = ask(&table.query, &has_pending(table, None)).await?;
        let Some(with_ties) = table.with_ties.as_deref().filter(|_| !second.is_none()) else {
            return Ok(second);
        };
        Ok(unless_tied(second, &ask(with_ties, "false").await?))
    }

    /// The same comparison in the open transaction, right after its refreshes, and with its settings. It hashes, too.
    pub async fn compare_here(&self, table: &Comparable, tolerance: f64) -> Result<Difference, Error> {
        let ask = async |query: &str| {
            let sql = comparison(table, query, "false", tolerance, true);
            only_json::<Difference>(DOING, &self.ask_inside(DOING, Purpose::Query, &sql).await?)
        };
        let found = ask(&table.query).await?;
        let Some(with_ties) = table.with_ties.as_deref().filter(|_| !found.is_none()) else {
            return Ok(found);
        };
        Ok(unless_tied(found, &ask(with_ties).await?))
    }

    /// Whether changes up to this position of the WAL are still pending for the table.
    pub async fn is_pending(&self, table: &Comparable, position: &str) -> Result<bool, Error> {
        let sql = format!("select to_jsonb({})::text", has_pending(table, Some(position)));
        self.ask("reading the pending changes", &sql).await
    }
}

/// LIMIT may return any of the rows that tie with the last one. If all rows of the table are in the query WITH TIES and
/// the number is right, there is no difference.
fn unless_tied(found: Difference, with_ties: &Difference) -> Difference {
    if with_ties.surplus == 0 && found.stored == found.expected {
        return Difference { near: found.surplus, surplus: 0, lacking: 0, examples: vec![], ..found };
    }
    found
}

/// An expression for whether changes are pending for the table, in the snapshot of the comparison, up to this position of
/// the WAL (docs/pg_trickle.md, "Change capture").
fn has_pending(table: &Comparable, position: Option<&str>) -> String {
    let until = position.map(|at| format!(" and lsn <= {}::pg_lsn", quote_literal(at))).unwrap_or_default();
    let frontier = format!("({})", of_table(include_str!("sql/frontier.sql"), &table.relation));
    let pending = table.waiting.iter().map(|buffer| {
        let name = buffer.buffer.quoted();
        let source = quote_literal(&buffer.source);
        format!("exists (select from {name} where lsn > coalesce(({frontier} -> {source} ->> 'lsn')::pg_lsn, '0/0'){until})")
    });
    let pending: Vec<String> = pending.collect();
    if pending.is_empty() { "false".into() } else { pending.join(" or ") }
}

/// The SQL of the comparison. Both sides are scanned once, as one list in which a row of the table counts 1 and a row
/// of the query -1: rows with a sum other than 0 differ.
fn comparison(table: &Comparable, query: &str, pending: &str, tolerance: f64, hashes: bool) -> String {
    let columns = &table.columns;
    let names = list(columns, |nth, _| format!("v{nth}"));
    let values = list(columns, |nth, column| {
        let name = quote_identifier(&column.name);
        match column.kind {
            ValueKind::Json => format!("{name}::jsonb as v{nth}"),
            ValueKind::Opaque => format!("{name}::text as v{nth}"),
            ValueKind::Exact | ValueKind::Text | ValueKind::Float | ValueKind::Array => {
                format!("{name} as v{nth}")
            }
        }
    });
    let texts = list(columns, |nth, _| format!("v{nth}::text"));
    let own = list(columns, |_, column| quote_identifier(&column.name));
    let hash = if hashes { format!("hashtextextended(row({own})::text, 0)") } else { "null".to_owned() };
    format!(
        "with sides as (
  select {values}, 1 as side, null::bigint as hash from {storage}
  union all
  select {values}, -1, {hash} from (\n{query}\n) as query
), grouped as materialized (
  select {names}, sum(side) as surplus, count(*) filter (where side = 1) as stored,
         count(*) filter (where side = -1) as expected, sum(hash) as hash, grouping(v1) as whole
  from sides group by grouping sets (({names}), ()) having grouping(v1) = 1 or sum(side) <> 0
), single as (
  select {names}, sign(surplus) as side from grouped, generate_series(1, abs(surplus)) where whole = 0
), paired as materialized (
  {paired}
), paired_again as materialized (
  {paired_again}
), different as (
  select side, array[{texts}] as shown from paired_again where not is_near
)
select jsonb_build_object(
  'stored', (select stored from grouped where whole = 1),
  'expected', (select expected from grouped where whole = 1),
  'hash', (select hash::text from grouped where whole = 1),
  'surplus', (select count(*) from different where side > 0),
  'lacking', (select count(*) from different where side < 0),
  'waiting', {pending},
  'near', (select count(*) / 2 from paired where is_near) + (select count(*) / 2 from paired_again where is_near),
  'examples', (
    select coalesce(jsonb_agg(jsonb_build_object('stored', side > 0, 'values', shown) order by shown, side), '[]')
    from (select side, shown from different order by shown, side limit {EXAMPLES}) as few
  )
)::text",
        storage = table.relation.quoted(),
        // By their leading digits first, so that one extra row does not shift all other pairs; then the rows that
        // rounding has separated.
        paired = pairing(&table.query, columns, tolerance, "single", true),
        paired_again = pairing(&table.query, columns, tolerance, "paired where not is_near", false),
    )
}

/// Pairs the remaining rows of both sides that are equal except for the last bits of floating point or an order that
/// the query does not define.
fn pairing(query: &str, columns: &[ComparedColumn], tolerance: f64, rows: &str, by_digits: bool) -> String {
    let open = has_undefined_order(query);
    let names = list(columns, |nth, _| format!("v{nth}"));
    let is_float = |(_, column): &(usize, &ComparedColumn)| column.kind == ValueKind::Float;
    let floats: Vec<usize> = numbered(columns).filter(is_float).map(|(nth, _)| nth).collect();
    if floats.is_empty() && !open {
        return format!("select {names}, side, false as is_near from {rows}");
    }
    let mut same: Vec<String> = numbered(columns)
        .filter(|column| !is_float(column))
        .map(|(nth, column)| if open { without_order(nth, column.kind) } else { format!("v{nth}") })
        .collect();
    if by_digits {
        same.extend(floats.iter().map(|nth| format!("to_char(v{nth}::float8, '9.99999EEEE')")));
    }
    let order = floats.iter().map(|nth| format!("v{nth}")).collect::<Vec<_>>().join(", ");
    let order = if order.is_empty() { order } else { format!("order by {order}") };
    let close: String = floats.iter().map(|nth| format!(" and {}", is_close(*nth, tolerance))).collect();
    let side = ["side".to_owned()].into_iter().chain(same.iter().cloned()).collect::<Vec<_>>().join(", ");
    let pair = same.into_iter().chain(["nth".to_owned()]).collect::<Vec<_>>().join(", ");
    format!(
        "select {names}, side, count(*) over pair = 2{close} as is_near
  from (select {names}, side, row_number() over (partition by {side} {order}) as nth from {rows}) as numbered
  window pair as (partition by {pair})"
    )
}

/// An expression for a value in a canonical order.
fn without_order(nth: usize, kind: ValueKind) -> String {
    match kind {
        ValueKind::Array => format!("(select array_agg(e::text order by e::text) from unnest(v{nth}) as e)"),
        ValueKind::Json | ValueKind::Text | ValueKind::Opaque => {
            format!("(select string_agg(c, '' order by c) from regexp_split_to_table(v{nth}::text, '') as c)")
        }
        ValueKind::Exact | ValueKind::Float => format!("v{nth}"),
    }
}

/// An expression for whether both values of a pair are null, equal, or finite and near. A real has at most seven
/// digits.
fn is_close(nth: usize, tolerance: f64) -> String {
    let most = format!("max(v{nth}::float8) over pair");
    let least = format!("min(v{nth}::float8) over pair");
    format!(
        "(count(v{nth}) over pair = 0 or count(v{nth}) over pair = 2 and ({most} = {least}
          or {most} < 'infinity' and {least} > '-infinity' and {most} / 2 - {least} / 2
             <= greatest({tolerance:e}, case when pg_typeof(v{nth}) = 'real'::regtype then 1e-6 else 0 end)
                * greatest(abs({most}), abs({least})) / 2))"
    )
}

fn numbered(columns: &[ComparedColumn]) -> impl Iterator<Item = (usize, &ComparedColumn)> {
    (1..).zip(columns)
}

fn list(columns: &[ComparedColumn], of: impl Fn(usize, &ComparedColumn) -> String) -> String {
    numbered(columns).map(|(nth, column)| of(nth, column)).collect::<Vec<_>>().join(", ")
}
