//! Whether a stream table has the rows that its query returns.

use std::borrow::Cow;

use serde::Deserialize;

use super::Silence;
use crate::{
    model::{HiddenRead, Outcome, Relation, Stage, Verdict},
    sql,
};

/// What counts as equal, and which tables are skipped.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Terms {
    /// How far two floating point numbers may differ, relative to the greater.
    pub tolerance: f64,
    /// Tables to skip, as `name` or `schema.name`.
    pub skip: Vec<String>,
    /// The accepted hazards: a table behind a function or a view that never changes is not changed.
    pub silences: Vec<Silence>,
}

impl Terms {
    /// Whether the user accepts that the changes of such a read do not reach this table.
    pub fn accepts(&self, read: &HiddenRead, table: &Relation) -> bool {
        self.silences.iter().any(|silence| silence.accepts(read, table))
    }

    /// The outcome of a skipped table; `None` for any other.
    pub fn left_out(&self, stage: Stage, table: &Relation) -> Option<Outcome> {
        let is_skipped = self.skip.iter().any(|name| table.is_named(name));
        is_skipped.then(|| Outcome::new(stage, table, Verdict::Skipped, "skipped by configuration"))
    }
}

/// A stream table and the facts needed to compare it with its query.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Comparable {
    /// Its `pgt_id`.
    #[serde(default)]
    pub id: u32,
    pub relation: Relation,
    pub query: String,
    /// The views and functions that the query uses, with those that they use.
    #[serde(default)]
    pub uses: Vec<UsedText>,
    /// For a query that ends in ORDER BY and LIMIT: the query WITH TIES.
    pub with_ties: Option<String>,
    pub is_populated: bool,
    /// The buffers in which changes of its sources wait for its next refresh.
    pub waiting: Vec<ChangeBuffer>,
    /// The columns of the query, without the engine's hidden columns.
    pub columns: Vec<ComparedColumn>,
}

impl Comparable {
    /// Its query, and the views and functions that it uses, each with its name in messages.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let used = self.uses.iter().map(|used| (used.name.as_str(), used.text.as_str()));
        std::iter::once(("its query", self.query.as_str())).chain(used)
    }
}

/// A view or a function that a query uses.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UsedText {
    /// As in `the view shop.recent`.
    pub name: String,
    /// Its query, or the body of the function.
    pub text: String,
}

/// The change buffer of one source.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ChangeBuffer {
    pub buffer: Relation,
    /// The source, as the frontier of a stream table names it.
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ComparedColumn {
    pub name: String,
    pub kind: ValueKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// With the `=` of the type.
    Exact,
    /// With the `=` of the type, for character types.
    Text,
    /// With `=` first, then the remaining rows within a tolerance.
    Float,
    /// With the `=` of its elements.
    Array,
    /// As jsonb, which ignores white space and the order of keys.
    Json,
    /// As text: the type has no `=`.
    Opaque,
}

/// The result of a comparison. Duplicate rows count separately.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Difference {
    pub stored: u64,
    pub expected: u64,
    /// Rows of the table that the query does not return.
    pub surplus: u64,
    /// Rows that the query returns and the table lacks.
    pub lacking: u64,
    /// Pairs of rows that differ within the tolerance, or only in an order that the query does not define.
    pub near: u64,
    /// Whether changes of a source were pending at the same time: then the difference proves nothing.
    pub waiting: bool,
    /// Some of the rows that differ, sorted by their values.
    pub examples: Vec<ExampleRow>,
    /// The sum of the hashes of the rows that the query returns, if it was asked for and there are rows.
    pub hash: Option<String>,
}

/// A row that only one side has.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExampleRow {
    /// Whether the table has it, and not the query.
    pub stored: bool,
    /// Its values as text.
    pub values: Vec<Option<String>>,
}

impl Difference {
    pub fn is_none(&self) -> bool {
        self.surplus == 0 && self.lacking == 0
    }

    pub fn sentence(&self) -> String {
        if self.is_none() {
            return format!("equal to its query: {}", rows(self.stored));
        }
        let parts = [(self.surplus, "too many"), (self.lacking, "missing")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", rows(count)))
            .collect();
        format!("not equal to its query: {}", parts.join(", "))
    }

    /// The examples, a line each: `-` for a row that the table lacks, `+` for one that it has too many.
    pub fn lines(&self, columns: &[ComparedColumn]) -> Vec<String> {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".into());
        let line = |example: &ExampleRow| {
            let values: Vec<String> = columns
                .iter()
                .zip(&example.values)
                .map(|(column, of)| format!("{} = {}", column.name, shortened(&value(of))))
                .collect();
            format!("{} {}", if example.stored { "+" } else { "-" }, values.join(", "))
        };
        let shown = u64::try_from(self.examples.len()).unwrap_or(u64::MAX);
        let more = (self.surplus + self.lacking).saturating_sub(shown);
        let more = (more > 0 && !self.is_none()).then(|| format!("and {} more", rows(more)));
        self.examples.iter().map(line).chain(more).collect()
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".into() } else { format!("{count} rows") }
}

fn shortened(value: &str) -> String {
    const MOST: usize = 60;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

pub fn judge(table: &Comparable, difference: &Difference) -> Outcome {
    let subject = &table.relation;
    let mut details = Vec::new();
    if difference.near > 0 {
        details.push(format!(
            "{} equal within tolerance: floating point, or an undefined order",
            rows(difference.near)
        ));
    }
    let opaque: Vec<&str> =
        table.columns.iter().filter(|c| c.kind == ValueKind::Opaque).map(|c| c.name.as_str()).collect();
    if !opaque.is_empty() {
        details.push(format!("compared as text (the type has no `=`): {}", opaque.join(", ")));
    }
    let sentence = difference.sentence();
    let excuse = if difference.waiting {
        Some("changes of its sources are pending".to_owned())
    } else {
        moves_by_itself(table)
    };
    let (verdict, message) = match (difference.is_none(), excuse) {
        (true, _) => (Verdict::Passed, sentence),
        (false, None) => (Verdict::Failed, sentence),
        (false, Some(excuse)) => (Verdict::Warned, format!("{sentence}; {excuse}")),
    };
    Outcome::new(Stage::Equality, subject, verdict, message)
        .with_rows(difference.lines(&table.columns))
        .with_details(details)
}

/// The outcome of a table that cannot be compared, which does not pass; `None` for any other.
pub fn not_comparable(table: &Comparable) -> Option<Outcome> {
    let skipped =
        |message: String| Some(Outcome::new(Stage::Equality, &table.relation, Verdict::Skipped, message));
    if !table.is_populated {
        return skipped("not comparable: it was never populated".into());
    }
    if table.columns.is_empty() {
        return skipped("not comparable: it has no columns of a query".into());
    }
    let (user, word) =
        first_of(table, |tokens, at| calls(tokens, at, &RANDOM) || is_word(tokens, at, &[SAMPLE]))?;
    skipped(format!("not comparable: {user} uses `{word}`, which returns something else each time"))
}

/// Functions that return something else at each call.
const RANDOM: [&str; 8] = [
    "random",
    "random_normal",
    "clock_timestamp",
    "timeofday",
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "nextval",
];

/// The clause that reads other rows each time.
const SAMPLE: &str = "tablesample";

/// Functions that return the current time.
const CLOCKS: [&str; 3] = ["now", "statement_timestamp", "transaction_timestamp"];

/// Reserved words for the current time, without parentheses.
const CLOCK_WORDS: [&str; 5] =
    ["current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"];

/// Why the result of the table's query changes although no source does, as a sentence.
pub fn moves_by_itself(table: &Comparable) -> Option<String> {
    let (user, word) =
        first_of(table, |tokens, at| calls(tokens, at, &CLOCKS) || is_word(tokens, at, &CLOCK_WORDS))?;
    Some(format!("{user} uses `{word}`, which changes over time"))
}

/// The first token for which this holds, and what uses it: the query, or a view or function in it.
fn first_of(table: &Comparable, is_it: impl Fn(&[Cow<'_, str>], usize) -> bool) -> Option<(String, String)> {
    table.texts().find_map(|(user, text)| {
        let tokens: Vec<_> = sql::tokens(text).collect();
        let at = (0..tokens.len()).find(|at| is_it(&tokens, *at))?;
        Some((user.to_owned(), unquoted(&tokens[at]).to_owned()))
    })
}

/// Whether one of PostgreSQL's functions of these names is called here, and not a column or another schema's function of
/// that name.
fn calls(tokens: &[Cow<'_, str>], at: usize, functions: &[&str]) -> bool {
    let qualifier = (at > 1 && tokens[at - 1] == ".").then(|| unquoted(&tokens[at - 2]));
    functions.contains(&unquoted(&tokens[at]))
        && tokens.get(at + 1).is_some_and(|next| next == "(")
        && qualifier.is_none_or(|schema| schema == "pg_catalog")
}

/// Whether this is one of these reserved words, and not an alias or a column that is called like it.
fn is_word(tokens: &[Cow<'_, str>], at: usize, words: &[&str]) -> bool {
    let is_name = at > 0 && [".", "as"].contains(&tokens[at - 1].as_ref());
    words.contains(&tokens[at].as_ref()) && !is_name
}

fn unquoted(token: &str) -> &str {
    token.trim_matches('"')
}

/// Whether a query aggregates values in an undefined order, so that any order is correct.
pub fn has_undefined_order(sql: &str) -> bool {
    const AGGREGATES: [&str; 7] =
        ["array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "xmlagg"];
    let tokens: Vec<_> = sql::tokens(sql).collect();
    let is_aggregate = |at: &usize| AGGREGATES.contains(&tokens[*at].as_ref());
    (0..tokens.len())
        .filter(is_aggregate)
        .any(|at| !arguments(&tokens[at + 1..]).any(|token| token == "order"))
}

/// The tokens between the parentheses that begin here.
fn arguments<'a>(tokens: &'a [Cow<'a, str>]) -> impl Iterator<Item = &'a str> {
    let mut depth = 0_usize;
    tokens.iter().map(AsRef::as_ref).take_while(move |token| {
        match *token {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(query: &str) -> Comparable {
        let column = |name: &str, kind| ComparedColumn { name: name.into(), kind };
        Comparable {
            id: 1,
            relation: Relation::new("s", "t"),
            query: query.into(),
            uses: vec![],
            with_ties: None,
            is_populated: true,
            waiting: vec![],
            columns: vec![column("id", ValueKind::Exact), column("place", ValueKind::Opaque)],
        }
    }

    fn difference() -> Difference {
        let example = |stored, place: Option<&str>| ExampleRow {
            stored,
            values: vec![Some("1".into()), place.map(Into::into)],
        };
        Difference {
            stored: 10,
            expected: 12,
            surplus: 1,
            lacking: 3,
            near: 0,
            waiting: false,
            examples: vec![example(true, Some("(1,2)")), example(false, None)],
            hash: None,
        }
    }

    #[test]
    fn differing_rows_are_counted_and_shown() {
        let mut outcome = judge(&table("select id, place from places"), &difference());
        outcome.show_rows();
        assert_eq!(
            (outcome.verdict, outcome.message.as_str()),
            (Verdict::Failed, "not equal to its query: 1 row too many, 3 rows missing")
        );
        assert_eq!(
            outcome.details,
            [
                "+ id = 1, place = (1,2)",
                "- id = 1, place = NULL",
                "and 2 rows more",
                "compared as text (the type has no `=`): place"
            ]
        );
    }

    #[test]
    fn a_query_that_uses_the_clock_only_warns() {
        let outcome = judge(&table("select id from t where day < CURRENT_DATE"), &difference());
        assert_eq!(outcome.verdict, Verdict::Warned);
        assert!(outcome.message.contains("`current_date`"), "{}", outcome.message);
    }

    #[test]
    fn only_a_call_of_the_clock_counts() {
        for query in [
            "select id from t where at < now()",
            "select id from t where at < pg_catalog . NOW ()",
            "select id from t where day < \"now\"()::date",
            "select id from t where (current_date) > day",
        ] {
            assert!(moves_by_itself(&table(query)).is_some(), "{query}");
        }
        for query in [
            "select now, t.now, \"now\" from t where now > 'now()'",
            "select app.now() as now from t -- now()",
            "select day as current_date, x.current_date from t as x",
        ] {
            assert_eq!(moves_by_itself(&table(query)), None, "{query}");
        }
        assert_eq!(not_comparable(&table("select random, nextval from t order by random")), None);
    }

    #[test]
    fn a_clock_in_a_view_or_function_is_named() {
        let used =
            UsedText { name: "the view s.recent".into(), text: "SELECT id FROM t WHERE at > now()".into() };
        let moving = Comparable { uses: vec![used], ..table("select id from s.recent") };
        let outcome = judge(&moving, &difference());
        assert_eq!(outcome.verdict, Verdict::Warned);
        assert!(
            outcome.message.ends_with("; the view s.recent uses `now`, which changes over time"),
            "{}",
            outcome.message
        );
    }

    #[test]
    fn a_table_with_pending_changes_only_warns() {
        let waiting = Difference { waiting: true, ..difference() };
        let outcome = judge(&table("select id, place from places"), &waiting);
        assert_eq!(outcome.verdict, Verdict::Warned);
        assert!(outcome.message.contains("are pending"), "{}", outcome.message);
    }

    #[test]
    fn an_incomparable_table_is_skipped_with_the_reason() {
        for query in ["select random() from t", "select id from t tablesample bernoulli (5)"] {
            assert_eq!(not_comparable(&table(query)).unwrap().verdict, Verdict::Skipped, "{query}");
        }
        assert_eq!(not_comparable(&table("select 'random' as \"now\" from t")), None);
        let empty = Comparable { is_populated: false, ..table("select 1") };
        assert!(not_comparable(&empty).unwrap().message.contains("never populated"));
    }

    #[test]
    fn an_aggregate_without_order_by_has_an_undefined_order() {
        assert!(has_undefined_order("select array_agg(a) from t order by 1"));
        assert!(has_undefined_order("select string_agg(a, ',' order by b), jsonb_agg(x.y) from t"));
        assert!(!has_undefined_order("select array_agg(a order by lower(b)), 'array_agg(x)' from t"));
    }
}
