//! Whether two queries are one: blind to white space, comments, the case of unquoted words and a semicolon at the
//! end, and to nothing else. Literals, quoted identifiers and dollar quotes count to the letter.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    Relation, quote_identifier,
    tokens::{is_word, spans, tokens},
};

/// Whether a change from one text to the other is no change of the query.
pub fn same(one: &str, other: &str) -> bool {
    one == other || significant(one).eq(significant(other))
}

/// The query without semicolons and comments at its end, which the engine refuses (docs/pg_trickle.md, "Query text").
pub fn clean(sql: &str) -> &str {
    let spans = spans(sql);
    let last = spans.iter().rev().find(|(start, end)| &sql[*start..*end] != ";");
    last.map_or("", |(_, end)| sql[..*end].trim_start())
}

/// The query with these relations called by other names, wherever it reads them.
pub fn renamed(sql: &str, names: &BTreeMap<Relation, String>) -> String {
    let mut written = String::new();
    let mut copied = 0;
    for read in reads(sql) {
        let Some((relation, name)) = names.get_key_value(&read.relation) else { continue };
        written.push_str(&sql[copied..read.start]);
        written.push_str(name);
        if !read.has_alias {
            let _ = write!(written, " as {}", quote_identifier(&relation.name));
        }
        copied = read.end;
    }
    written + &sql[copied..]
}

/// The relations that a query reads by a name with a schema, as dbt writes them. A column list such as `(a.b, c.d)` looks
/// the same, so that some of them may be none.
pub fn relations(sql: &str) -> BTreeSet<Relation> {
    reads(sql).into_iter().map(|read| read.relation).collect()
}

/// A place where a query reads a relation.
struct Read {
    relation: Relation,
    /// Where its name begins and ends in the text.
    start: usize,
    end: usize,
    has_alias: bool,
}

fn reads(sql: &str) -> Vec<Read> {
    let spans = spans(sql);
    let text = |at: usize| spans.get(at).map_or("", |(start, end)| &sql[*start..*end]);
    let mut found = Vec::new();
    let mut at = 0;
    while at < spans.len() {
        let mut end = at;
        while text(end + 1) == "." && end + 2 < spans.len() {
            end += 2;
        }
        let reads = at > 0 && READING.iter().any(|word| word.eq_ignore_ascii_case(text(at - 1)));
        let relation = Relation::parse(&(at..=end).map(text).collect::<String>()).filter(|_| reads);
        if let Some(relation) = relation {
            let has_alias = !ends_a_table(text(end + 1));
            found.push(Read { relation, start: spans[at].0, end: spans[end].1, has_alias });
        }
        at = end + 1;
    }
    found
}

/// What stands before a relation that is read.
const READING: [&str; 5] = ["from", "join", ",", "(", "only"];

/// Whether this token cannot be the alias of the table before it.
fn ends_a_table(token: &str) -> bool {
    const CLAUSES: [&str; 22] = [
        "where",
        "join",
        "inner",
        "left",
        "right",
        "full",
        "cross",
        "natural",
        "on",
        "using",
        "group",
        "order",
        "having",
        "limit",
        "offset",
        "fetch",
        "union",
        "intersect",
        "except",
        "window",
        "for",
        "tablesample",
    ];
    !token.starts_with(|c: char| is_word(c) || c == '"')
        || CLAUSES.iter().any(|clause| clause.eq_ignore_ascii_case(token))
}

/// The tokens that matter, without semicolons at the end.
fn significant(sql: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut tokens: Vec<_> = tokens(sql).collect();
    while tokens.last().is_some_and(|token| token == ";") {
        tokens.pop();
    }
    tokens.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layout_comments_case_and_the_last_semicolon_do_not_count() {
        let plain = "select id, sum(amount) as total from orders where status <> 'paid' group by id";
        for other in [
            "SELECT id,sum( amount )AS total FROM orders WHERE status<>'paid' GROUP BY ID",
            "select id, -- the key\n sum(amount) as total\nfrom orders /* all /* nested */ of them */ where status <> 'paid' group by id;",
            "\n\n  select id , sum ( amount ) as total from orders where status <> 'paid' group by id -- end",
        ] {
            assert!(same(plain, other), "{other}");
        }
    }

    #[test]
    fn everything_inside_quotes_counts() {
        for (one, other) in [
            ("select 'a'", "select 'A'"),
            ("select 'a  b'", "select 'a b'"),
            ("select '--x'", "select '--y'"),
            ("select \"Id\" from t", "select \"id\" from t"),
            ("select $$a b$$", "select $$a  b$$"),
            ("select $q$;$q$", "select $q$$q$"),
            ("select E'it\\'s -- A'", "select E'it\\'s -- a'"),
            ("select 1 from t limit 3", "select 1 from t limit 5"),
            ("select a b", "select ab"),
            ("select a - -1", "select a + -1"),
            ("select 1 -- ' \n, 2", "select 1 -- ' \n, 3"),
        ] {
            assert!(!same(one, other), "{one} / {other}");
        }
    }

    #[test]
    fn the_end_of_a_query_is_cleaned_and_nothing_else() {
        for (written, clean) in [
            ("\nselect 1; -- done\n;", "select 1"),
            ("select ';' -- x", "select ';'"),
            ("select 1 /* a */ from t", "select 1 /* a */ from t"),
            ("-- why\nselect 1", "-- why\nselect 1"),
            (" ; ", ""),
        ] {
            assert_eq!(super::clean(written), clean, "{written}");
        }
    }

    #[test]
    fn a_relation_is_renamed_where_it_is_read_and_keeps_its_name() {
        let names = BTreeMap::from([(Relation::new("an", "base"), "new_1".to_owned())]);
        for (query, renamed) in [
            ("select id from an.base", "select id from new_1 as \"base\""),
            ("select b.id from \"db\".\"an\".\"base\" b where true", "select b.id from new_1 b where true"),
            (
                "select 1 from x, AN.Base where base.id = 1",
                "select 1 from x, new_1 as \"base\" where base.id = 1",
            ),
            ("select 1 from x join an.base using (id)", "select 1 from x join new_1 as \"base\" using (id)"),
            (
                "select 'from an.base', an.base.id from (an.base)",
                "select 'from an.base', an.base.id from (new_1 as \"base\")",
            ),
            ("select 1 from an.base_2 -- from an.base", "select 1 from an.base_2 -- from an.base"),
        ] {
            assert_eq!(super::renamed(query, &names), renamed);
        }
    }

    #[test]
    fn a_semicolon_inside_is_no_end() {
        assert!(!same("select 1; select 2", "select 1 select 2"));
    }

    /// A token that stands for itself wherever it is put, as the lexer must return it.
    fn token() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z_][a-z0-9_]{0,6}"
                .prop_filter("is a literal's prefix", |w| !["e", "b", "x", "n"].contains(&w.as_str())),
            "[0-9]{1,4}",
            "'[^'\\\\]{0,8}'",
            "\"[^\"]{1,8}\"",
            "[$]t[$][a-z' -]{0,8}[$]t[$]",
            prop_oneof![
                Just("<>"),
                Just("="),
                Just("+"),
                Just("||"),
                Just("("),
                Just(")"),
                Just(","),
                Just(".")
            ]
            .prop_map(str::to_owned),
        ]
    }

    fn blank() -> impl Strategy<Value = &'static str> {
        prop_oneof![
            Just(" "),
            Just("\n"),
            Just("\t \n"),
            Just(" -- it's\n"),
            Just("/* ' */"),
            Just(" /* \" /* $$ */ */ ")
        ]
    }

    proptest! {
        #[test]
        fn any_layout_of_the_same_tokens_is_the_same(tokens in prop::collection::vec((token(), blank(), blank()), 1..20)) {
            let one: String = tokens.iter().map(|(token, blank, _)| format!("{blank}{token}{blank}")).collect();
            let other: String = tokens.iter().map(|(token, _, blank)| format!("{token}{blank}")).collect();
            prop_assert!(same(&one, &(other + ";")));
        }

        #[test]
        fn one_changed_token_is_a_change(tokens in prop::collection::vec(token(), 1..20), at in any::<prop::sample::Index>(), new in token()) {
            let at = at.index(tokens.len());
            prop_assume!(tokens[at] != new);
            let mut changed = tokens.clone();
            changed[at] = new;
            prop_assert!(!same(&tokens.join(" "), &changed.join(" ")));
        }

        #[test]
        fn no_text_breaks_the_lexer(text in ".{0,60}") {
            let moved = " ".to_owned() + &text;
            prop_assert!(same(&text, &moved));
        }
    }
}
