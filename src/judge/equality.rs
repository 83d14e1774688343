//! Whether a stream table has the rows that its query returns.

use serde::Deserialize;

use crate::{
    model::{Outcome, Relation, Stage, Verdict},
    sql,
};

/// What counts as equal, and which tables are skipped.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Terms {
    /// How far two floating point numbers may differ, relative to the greater.
    pub tolerance: f64,
    /// Tables to skip, as `name` or `schema.name`.
    pub skip: Vec<String>,
}

impl Terms {
    /// The outcome of a skipped table; `None` for any other.
    pub fn left_out(&self, stage: Stage, table: &Relation) -> Option<Outcome> {
        let is_skipped = self.skip.iter().any(|name| table.is_named(name));
        is_skipped.then(|| Outcome::new(stage, table, Verdict::Skipped, "skipped by configuration"))
    }
}

/// A stream table and the facts needed to compare it with its query.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Comparable {
    pub relation: Relation,
    pub query: String,
    /// For a query that ends in ORDER BY and LIMIT: the query WITH TIES.
    pub with_ties: Option<String>,
    pub is_populated: bool,
    /// The buffers in which changes of its sources wait for its next refresh.
    pub waiting: Vec<ChangeBuffer>,
    /// The columns of the query, without the engine's hidden columns.
    pub columns: Vec<ComparedColumn>,
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
        moves_by_itself(&table.query).map(|word| format!("its query uses `{word}`, which changes over time"))
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
    let word = first_of(&table.query, &RANDOM)?;
    skipped(format!("not comparable: `{word}` returns something else each time"))
}

/// Words of queries that return something else each time they run.
const RANDOM: [&str; 9] = [
    "random",
    "random_normal",
    "clock_timestamp",
    "timeofday",
    "gen_random_uuid",
    "uuidv4",
    "uuidv7",
    "nextval",
    "tablesample",
];

/// Words of queries whose result depends on the current time.
const CLOCKS: [&str; 8] = [
    "now",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "statement_timestamp",
    "transaction_timestamp",
];

/// The word that makes the result of the query change although no source does.
pub fn moves_by_itself(query: &str) -> Option<String> {
    first_of(query, &CLOCKS)
}

fn first_of(sql: &str, words: &[&str]) -> Option<String> {
    sql::tokens(sql).find(|token| words.contains(&token.as_ref())).map(std::borrow::Cow::into_owned)
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
fn arguments<'a>(tokens: &'a [std::borrow::Cow<'a, str>]) -> impl Iterator<Item = &'a str> {
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
            relation: Relation::new("s", "t"),
            query: query.into(),
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
