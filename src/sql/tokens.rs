//! A lexer for PostgreSQL's SQL that finds the boundaries of tokens.

use std::borrow::Cow;

/// The words, literals and operators of a text, with unquoted words in lower case.
pub fn tokens(sql: &str) -> impl Iterator<Item = Cow<'_, str>> {
    Tokens { rest: sql }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Cow<'a, str>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = skip_blank(self.rest);
        let first = self.rest.chars().next()?;
        let length = match first {
            '\'' => quoted_length(self.rest, '\'', false),
            '"' => quoted_length(self.rest, '"', false),
            '$' => dollar_quoted_length(self.rest).unwrap_or_else(|| run_length(self.rest, is_word)),
            c if is_word(c) => return Some(self.word()),
            c if is_operator(c) => operator_length(self.rest),
            c => c.len_utf8(),
        };
        Some(Cow::Borrowed(self.take(length.max(1))))
    }
}

impl<'a> Tokens<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        token
    }

    /// A word in lower case, with the literal that follows if the word is its prefix (`E'…'`).
    fn word(&mut self) -> Cow<'a, str> {
        let length = run_length(self.rest, is_word);
        let (word, tail) = self.rest.split_at(length);
        let is_literal_prefix = match tail.chars().next() {
            Some('\'') => ["e", "b", "x", "n"].iter().any(|prefix| word.eq_ignore_ascii_case(prefix)),
            _ => false,
        };
        if is_literal_prefix {
            let escapes = word.eq_ignore_ascii_case("e");
            let literal = quoted_length(tail, '\'', escapes);
            let text = self.take(length + literal);
            return Cow::Owned(format!("{}{}", text[..length].to_ascii_lowercase(), &text[length..]));
        }
        let word = self.take(length);
        if word.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(word.to_ascii_lowercase())
        } else {
            Cow::Borrowed(word)
        }
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn is_operator(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?:".contains(c)
}

fn run_length(text: &str, belongs: fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The text after white space and comments. Block comments nest.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if let Some(comment) = text.strip_prefix("--") {
            text = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if text.starts_with("/*") {
            text = &text[block_comment_length(text)..];
        } else {
            return text;
        }
    }
}

fn block_comment_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a literal in `quote`s; a doubled quote does not end it.
fn quoted_length(text: &str, quote: char, backslash_escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && backslash_escapes {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$` at the start of the text.
fn dollar_quoted_length(text: &str) -> Option<usize> {
    let tag_end = text[1..].find('$')? + 2;
    let tag = &text[..tag_end];
    let name = &tag[1..tag.len() - 1];
    let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| text[tag_end..].find(tag).map_or(text.len(), |at| tag_end + at + tag.len()))
}

/// The length of the operator at the start of the text; a comment ends it.
fn operator_length(text: &str) -> usize {
    let ends = |&(at, c): &(usize, char)| {
        let rest = &text[at..];
        !is_operator(c) || at > 0 && (rest.starts_with("--") || rest.starts_with("/*"))
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

/// The statements of a script, without their semicolons.
pub fn statements(sql: &str) -> impl Iterator<Item = &str> {
    let spans = spans(sql);
    let mut statements = Vec::new();
    let mut first = None;
    let mut last = 0;
    for (start, end) in spans {
        if &sql[start..end] == ";" {
            statements.extend(first.take().map(|from: usize| &sql[from..last]));
        } else {
            first.get_or_insert(start);
            last = end;
        }
    }
    statements.extend(first.map(|from| &sql[from..last]));
    statements.into_iter()
}

/// The byte offsets of each token's start and end.
pub(super) fn spans(sql: &str) -> Vec<(usize, usize)> {
    let mut tokens = Tokens { rest: sql };
    let mut spans = Vec::new();
    loop {
        tokens.rest = skip_blank(tokens.rest);
        let start = sql.len() - tokens.rest.len();
        if tokens.next().is_none() {
            return spans;
        }
        spans.push((start, sql.len() - tokens.rest.len()));
    }
}
