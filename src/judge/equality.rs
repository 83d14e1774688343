//! Whether a stream table holds what its query gives.

use serde::Deserialize;

use crate::{
    model::{Outcome, Relation, Stage, Verdict},
    sql,
};

/// What counts as equal, and what is left out.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Terms {
    /// How far apart two floating point numbers may be, relative to the greater.
    pub tolerance: f64,
    /// The tables that are left out, by name or schema.name.
    pub skip: Vec<String>,
}

impl Terms {
    /// The judgement of a table that is left out, if it is one.
    pub fn left_out(&self, stage: Stage, table: &Relation) -> Option<Outcome> {
        let is_meant = self.skip.iter().any(|name| table.is_named(name));
        is_meant.then(|| Outcome::new(stage, table, Verdict::Skipped, "left out, as was asked"))
    }
}

/// A stream table with what it takes to compare it with its query.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Comparable {
    /// The table.
    pub relation: Relation,
    /// Its query, as its author wrote it.
    pub query: String,
    /// For a query that ends in ORDER BY and LIMIT: the same with every row that ties with the last.
    pub with_ties: Option<String>,
    /// Whether it was ever filled.
    pub is_populated: bool,
    /// Where changes of what it reads wait for its next refresh.
    pub waiting: Vec<Buffer>,
    /// What the query gives, without the engine's own columns.
    pub columns: Vec<Column>,
}

/// Where the changes of one source wait.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Buffer {
    /// The table in `pgtrickle_changes`.
    pub buffer: String,
    /// The source, as the frontier of a stream table names it.
    pub source: String,
}

/// A column of a stream table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// How its values are compared.
    pub kind: Kind,
}

/// How values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By the type's own equality.
    Exact,
    /// The same; what is written in characters.
    Text,
    /// By its own equality first, and what is left over within a tolerance.
    Float,
    /// By the equality of its elements.
    Array,
    /// As jsonb, which knows no white space and no order of keys.
    Json,
    /// By its text, for want of an equality.
    Opaque,
}

/// What a comparison found. Rows count as often as they are there.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
pub struct Difference {
    /// The rows of the table.
    pub stored: u64,
    /// The rows that the query gives.
    pub expected: u64,
    /// Rows of the table that the query does not give.
    pub surplus: u64,
    /// Rows that the query gives and the table lacks.
    pub lacking: u64,
    /// Pairs of rows that differ by no more than the tolerance, or by an order that the query leaves open.
    pub near: u64,
    /// Whether changes of a source waited for the next refresh in the same moment: then the difference proves nothing.
    pub waiting: bool,
    /// Some of the rows that differ, in the order of their values.
    pub examples: Vec<Example>,
}

/// A row that is on one side alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Example {
    /// Whether the table has it, and the query does not give it.
    pub stored: bool,
    /// Its values as text.
    pub values: Vec<Option<String>>,
}

impl Difference {
    /// Whether both sides hold the same.
    pub fn is_none(&self) -> bool {
        self.surplus == 0 && self.lacking == 0
    }

    /// What was found, in one sentence.
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

    /// The examples, a line each: `-` for what the table lacks, `+` for what it has too many.
    pub fn lines(&self, columns: &[Column]) -> Vec<String> {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "NULL".into());
        let line = |example: &Example| {
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

/// The judgement of one comparison.
pub fn judge(table: &Comparable, difference: &Difference) -> Outcome {
    let subject = &table.relation;
    let mut details = Vec::new();
    if difference.near > 0 {
        details
            .push(format!("{} of near values: floating point, or an order left open", rows(difference.near)));
    }
    let opaque: Vec<&str> =
        table.columns.iter().filter(|c| c.kind == Kind::Opaque).map(|c| c.name.as_str()).collect();
    if !opaque.is_empty() {
        details.push(format!("compared by their text, for want of an equality: {}", opaque.join(", ")));
    }
    let sentence = difference.sentence();
    let excuse = if difference.waiting {
        Some("changes of its sources wait for its next refresh".to_owned())
    } else {
        moves_by_itself(&table.query)
            .map(|word| format!("its query asks `{word}`, whose answer changes by itself"))
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

/// The judgement of a table that cannot be compared, if it is one: it is named, and does not pass.
pub fn not_comparable(table: &Comparable) -> Option<Outcome> {
    let skipped =
        |message: String| Some(Outcome::new(Stage::Equality, &table.relation, Verdict::Skipped, message));
    if !table.is_populated {
        return skipped("not comparable: it was never filled".into());
    }
    if table.columns.is_empty() {
        return skipped("not comparable: it has no columns that a query gave".into());
    }
    let word = first_of(&table.query, &RANDOM)?;
    skipped(format!("not comparable: `{word}` gives something else each time"))
}

/// What gives another answer each time it is asked.
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

/// What gives another answer as time goes by.
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

/// The word of a query that makes its result change while no source does.
pub fn moves_by_itself(query: &str) -> Option<String> {
    first_of(query, &CLOCKS)
}

fn first_of(sql: &str, words: &[&str]) -> Option<String> {
    sql::tokens(sql).find(|token| words.contains(&token.as_ref())).map(std::borrow::Cow::into_owned)
}

/// Whether a query gathers values without saying in which order, so that another order is as right.
pub fn leaves_order_open(sql: &str) -> bool {
    const GATHERING: [&str; 7] =
        ["array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "xmlagg"];
    let tokens: Vec<_> = sql::tokens(sql).collect();
    let gathers = |at: &usize| GATHERING.contains(&tokens[*at].as_ref());
    (0..tokens.len()).filter(gathers).any(|at| !arguments(&tokens[at + 1..]).any(|token| token == "order"))
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
        let column = |name: &str, kind| Column { name: name.into(), kind };
        Comparable {
            relation: Relation::new("s", "t"),
            query: query.into(),
            with_ties: None,
            is_populated: true,
            waiting: vec![],
            columns: vec![column("id", Kind::Exact), column("place", Kind::Opaque)],
        }
    }

    fn difference() -> Difference {
        let example = |stored, place: Option<&str>| Example {
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
    fn what_differs_is_counted_and_shown() {
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
                "compared by their text, for want of an equality: place"
            ]
        );
    }

    #[test]
    fn a_query_that_asks_the_clock_is_only_warned_about() {
        let outcome = judge(&table("select id from t where day < CURRENT_DATE"), &difference());
        assert_eq!(outcome.verdict, Verdict::Warned);
        assert!(outcome.message.contains("`current_date`"), "{}", outcome.message);
    }

    #[test]
    fn a_table_whose_changes_wait_is_only_warned_about() {
        let waiting = Difference { waiting: true, ..difference() };
        let outcome = judge(&table("select id, place from places"), &waiting);
        assert_eq!(outcome.verdict, Verdict::Warned);
        assert!(outcome.message.contains("wait for its next refresh"), "{}", outcome.message);
    }

    #[test]
    fn what_cannot_be_compared_is_named_and_does_not_pass() {
        for query in ["select random() from t", "select id from t tablesample bernoulli (5)"] {
            assert_eq!(not_comparable(&table(query)).unwrap().verdict, Verdict::Skipped, "{query}");
        }
        assert_eq!(not_comparable(&table("select 'random' as \"now\" from t")), None);
        let empty = Comparable { is_populated: false, ..table("select 1") };
        assert!(not_comparable(&empty).unwrap().message.contains("never filled"));
    }

    #[test]
    fn an_order_is_open_where_a_gathering_does_not_name_one() {
        assert!(leaves_order_open("select array_agg(a) from t order by 1"));
        assert!(leaves_order_open("select string_agg(a, ',' order by b), jsonb_agg(x.y) from t"));
        assert!(!leaves_order_open("select array_agg(a order by lower(b)), 'array_agg(x)' from t"));
    }
}
