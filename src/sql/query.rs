//! Compares queries, and finds and renames the relations that they read.
//!
//! A comparison ignores only white space, comments, the case of unquoted words and trailing semicolons. Literals,
//! quoted identifiers and dollar quotes are compared exactly.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    Relation,
    names::unquoted,
    quote_identifier,
    tokens::{is_word, spans, tokens},
};

/// Whether two texts are the same query.
pub fn same(one: &str, other: &str) -> bool {
    one == other || significant(one).eq(significant(other))
}

/// The query without trailing semicolons and comments, which the engine refuses (docs/pg_trickle.md, "Query text").
pub fn clean(sql: &str) -> &str {
    let spans = spans(sql);
    let last = spans.iter().rev().find(|(start, end)| &sql[*start..*end] != ";");
    last.map_or("", |(_, end)| sql[..*end].trim_start())
}

/// The query with other names for these relations wherever it reads them, and aliases that keep column references
/// valid.
pub fn renamed(sql: &str, names: &BTreeMap<Relation, String>) -> String {
    let mut result = String::new();
    let mut copied = 0;
    for read in reads(sql) {
        let Some((relation, name)) = names.get_key_value(&read.relation) else { continue };
        result.push_str(&sql[copied..read.start]);
        result.push_str(name);
        if !read.has_alias {
            let _ = write!(result, " as {}", quote_identifier(&relation.name));
        }
        copied = read.end;
    }
    result + &sql[copied..]
}

/// The relations that a query reads by a schema-qualified name, as dbt writes them. A list of columns such as `(a.b,
/// c.d)` looks the same, so some results may not be relations.
pub fn relations(sql: &str) -> BTreeSet<Relation> {
    reads(sql).into_iter().map(|read| read.relation).collect()
}

/// The names under which a query reads relations, aliases or their own, that are no words even with quotes: `a b`.
pub fn unwordly_names(sql: &str) -> BTreeSet<String> {
    let names = reads(sql).into_iter().map(|read| read.name);
    names.filter(|name| !name.chars().all(is_word)).collect()
}

/// Whether the outermost SELECT joins: in FROM, or by EXISTS or IN. A join within a subquery does not count.
pub fn joins(sql: &str) -> bool {
    let tokens: Vec<Cow<'_, str>> = tokens(sql).collect();
    let (mut depth, mut in_from) = (0, false);
    for (at, token) in tokens.iter().enumerate() {
        let is_subquery = || {
            let next = |nth: usize| tokens.get(at + nth).map_or("", AsRef::as_ref);
            next(1) == "(" && matches!(next(2), "select" | "with" | "values")
        };
        match token.as_ref() {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if depth > 0 => {}
            "join" | "exists" | "lateral" => return true,
            "in" | "any" | "some" if is_subquery() => return true,
            "," if in_from => return true,
            "from" => in_from = true,
            "where" | "group" | "having" | "window" | "order" | "limit" | "union" | "except"
            | "intersect" => in_from = false,
            _ => {}
        }
    }
    false
}

/// A place where a query reads a relation.
struct Read {
    relation: Relation,
    /// The alias, or the relation's own name.
    name: String,
    /// The byte offsets of the name in the text.
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
        let reads = at > 0 && BEFORE_RELATION.iter().any(|word| word.eq_ignore_ascii_case(text(at - 1)));
        let relation = Relation::parse(&(at..=end).map(text).collect::<String>()).filter(|_| reads);
        if let Some(relation) = relation {
            let has_alias = !ends_a_table(text(end + 1));
            let alias = if text(end + 1).eq_ignore_ascii_case("as") { text(end + 2) } else { text(end + 1) };
            let name = if has_alias { unquoted(alias) } else { relation.name.clone() };
            found.push(Read { relation, name, start: spans[at].0, end: spans[end].1, has_alias });
        }
        at = end + 1;
    }
    found
}

/// The tokens that precede a relation.
const BEFORE_RELATION: [&str; 5] = ["from", "join", ",", "(", "only"];

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

/// The tokens without trailing semicolons.
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
    fn a_join_of_the_outermost_select_is_found() {
        for sql in [
            "select a.id from s.a join s.b using (id)",
            "SELECT x.id FROM s.a x, s.b y WHERE x.id = y.id",
            "select id from s.a where not exists (select 1 from s.b)",
            "with m as (select k from s.b) select id from s.a where k in (select k from m)",
        ] {
            assert!(joins(sql), "{sql}");
        }
        for sql in [
            "select id from s.a where k in (1, 2) order by id, k",
            "select id from (select a.id, b.k from s.a join s.b using (id)) as q",
            "select extract(year from day), n from s.a where k = (select max(k) from s.b)",
            "select id from s.a union all select id from s.b",
        ] {
            assert!(!joins(sql), "{sql}");
        }
    }

    #[test]
    fn layout_comments_case_and_a_trailing_semicolon_are_ignored() {
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
    fn everything_inside_quotes_is_compared() {
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
    fn only_the_end_of_a_query_is_cleaned() {
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
    fn a_renamed_relation_keeps_its_name_as_alias() {
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
    fn a_name_that_is_no_word_is_found_unless_it_has_an_alias() {
        let names = |sql| unwordly_names(sql).into_iter().collect::<Vec<_>>();
        assert_eq!(names(r#"select 1 from "s s"."a b" join "s"."c-d" on true"#), ["a b", "c-d"]);
        assert!(names(r#"select "x y" from s."a b" as ab, s."Upper", s.plain p, s."größe""#).is_empty());
        assert_eq!(names(r#"select 1 from s.plain as "p q" where true"#), ["p q"]);
        assert_eq!(names(r#"select 1 from s."a""b""#), [r#"a"b"#]);
    }

    #[test]
    fn a_semicolon_between_statements_is_compared() {
        assert!(!same("select 1; select 2", "select 1 select 2"));
    }

    /// A token that the lexer must return unchanged in any context.
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
        fn the_layout_of_tokens_is_ignored(tokens in prop::collection::vec((token(), blank(), blank()), 1..20)) {
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
        fn the_lexer_accepts_any_text(text in ".{0,60}") {
            let moved = " ".to_owned() + &text;
            prop_assert!(same(&text, &moved));
        }
    }
}
