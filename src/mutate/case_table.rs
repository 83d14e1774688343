//! The stream tables and views of a case.

use crate::{model::Relation, sql::quote_literal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseTable {
    pub relation: Relation,
    pub query: String,
    pub mode: String,
    /// Further named arguments of `create_stream_table`.
    pub arguments: Vec<(&'static str, String)>,
}

/// A view, and the stream tables that read it, also through other views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseView {
    pub relation: Relation,
    pub readers: Vec<Relation>,
    /// The statement that creates it.
    pub sql: String,
}

impl CaseTable {
    pub(super) fn is_immediate(&self) -> bool {
        self.mode == "IMMEDIATE"
    }

    pub(super) fn sql(&self, schedule: &str) -> String {
        let more: String =
            self.arguments.iter().map(|(name, value)| format!(", {name} => {value}")).collect();
        format!(
            "select pgtrickle.create_stream_table({}, {}, '{schedule}', {}{more})",
            quote_literal(&self.relation.to_string()),
            dollar_quoted(&self.query),
            quote_literal(&self.mode)
        )
    }

    /// The statement that refreshes it; `None` for an IMMEDIATE table.
    pub(super) fn refresh(&self) -> Option<String> {
        let name = quote_literal(&self.relation.to_string());
        (!self.is_immediate()).then(|| format!("select pgtrickle.refresh_stream_table({name})"))
    }
}

/// A dollar-quoted text, which is easier to read and to edit than one with doubled quotes.
pub(super) fn dollar_quoted(text: &str) -> String {
    let tags = ["$$", "$query$", "$stream_table$"];
    let Some(tag) = tags.into_iter().find(|tag| !text.contains(tag)) else {
        return quote_literal(text);
    };
    // A dollar sign at the end would merge with the tag.
    if text.ends_with('$') { quote_literal(text) } else { format!("{tag}{text}{tag}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_quoted_readably() {
        assert_eq!(dollar_quoted("select 'a'"), "$$select 'a'$$");
        assert_eq!(dollar_quoted("select '$$'"), "$query$select '$$'$query$");
        assert_eq!(dollar_quoted("select 1 as a$"), "'select 1 as a$'");
    }
}
