//! A case as a script for psql and an empty database, with the bug report in its comments.

use std::fmt::Write as _;

use super::{Case, Statement, case_table::dollar_quoted};
use crate::{
    judge::equality::{Comparable, ValueKind},
    sql::quote_identifier,
};

/// What a script says that was seen to show its finding.
const REPRODUCED: &str = "reproduced in an empty database. Run it";

const SECOND_SESSION: &str = include_str!("sql/second_session.sql");

/// The comments of a script about its case.
#[derive(Clone, Debug)]
pub struct ScriptHeader<'a> {
    /// The finding in one sentence.
    pub wrong: String,
    /// Further lines: the differing rows, or the server's error.
    pub details: Vec<String>,
    /// The engine and PostgreSQL, with their versions.
    pub engine: String,
    /// The seed and the round that found it.
    pub found: String,
    pub seen: Reproducibility,
    /// Whether a statement fails, and not the rows differ.
    pub fails: bool,
    /// The wrong table, with the query of the script.
    pub table: &'a Comparable,
}

/// Where a finding was reproduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reproducibility {
    /// Nowhere else so far.
    Untried,
    /// Nowhere else.
    Once,
    /// Nowhere else, and it was there before the first change.
    Stale,
    /// Nowhere else: it takes capture from the WAL, and a scratch database cannot have slots of the same names.
    FromLog,
    /// Nowhere else: it was found in a transaction on a named server, which was rolled back.
    RolledBack,
    /// In a scratch database, with all changes.
    Again,
    /// In a scratch database, with the fewest changes.
    Reduced,
}

impl Case {
    pub fn script(&self, evidence: &ScriptHeader) -> String {
        let mut script =
            format!("-- {}: {}\n", comment(&evidence.table.relation.to_string()), comment(&evidence.wrong));
        for line in &evidence.details {
            let _ = writeln!(script, "--   {}", comment(line));
        }
        let _ = writeln!(script, "-- {}; {}", comment(&evidence.engine), comment(&evidence.found));
        script += match evidence.seen {
            Reproducibility::Reduced => {
                "-- Reduced, and reproduced in an empty database. Run it with: psql -X -f THIS_FILE\n\n"
            }
            Reproducibility::Again => {
                "-- Not reduced, but reproduced in an empty database. Run it with: psql -X -f THIS_FILE\n\n"
            }
            Reproducibility::FromLog => {
                "-- Its sources are captured from the log. Not reduced and not reproduced: that takes a server without slots of the\n-- same names. Run it on one, in an empty database, with: psql -X -f THIS_FILE\n\n"
            }
            Reproducibility::RolledBack => {
                "-- Found in a transaction that was rolled back. Not reduced: that takes a scratch database, which is not created on a\n-- named server. Run it in an empty database with: psql -X -f THIS_FILE\n\n"
            }
            Reproducibility::Stale => {
                "-- The table was wrong before the first change: an earlier refresh went wrong. A new table may be right.\n\n"
            }
            Reproducibility::Untried => {
                "-- Not reduced, and not tried in a scratch database. Run it in an empty database with: psql -X -f THIS_FILE\n\n"
            }
            Reproducibility::Once => {
                "-- Not reproduced in a scratch database: these are all changes before it was found.\n\n"
            }
        };
        script += "create extension if not exists pg_trickle;\n";
        for statement in self.setup() {
            let _ = writeln!(script, "{statement};");
        }
        if self.has_open() {
            script.push('\n');
            script += SECOND_SESSION;
        }
        for (round, number) in self.rounds.iter().zip(1..) {
            let _ = writeln!(script, "\n-- round {number}");
            for statement in self.round(round) {
                let _ = match statement {
                    Statement::Own(sql) => writeln!(script, "{sql};"),
                    Statement::Other(sql) => {
                        writeln!(script, "select dblink_exec('other', {});", dollar_quoted(&sql))
                    }
                };
            }
        }
        script += if evidence.fails {
            "\n-- A statement above fails. These are the rows that differ after it.\n"
        } else {
            "\n-- The rows that differ; none if the table is right.\n"
        };
        script += &difference(evidence.table);
        script
    }
}

/// A query for the rows that differ.
fn difference(table: &Comparable) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let name = quote_identifier(&column.name);
            match column.kind {
                ValueKind::Json | ValueKind::Opaque => format!("{name}::text as {name}"),
                ValueKind::Exact | ValueKind::Text | ValueKind::Float | ValueKind::Array => name,
            }
        })
        .collect();
    let columns = columns.join(", ");
    let stored = format!("select {columns} from {}", table.relation.quoted());
    let expected = format!("select {columns} from (\n{}\n) as query", table.query);
    format!(
        "select 'too many' as problem, * from ({stored} except all {expected}) as surplus\nunion all\nselect 'missing' as problem, * from ({expected} except all {stored}) as lacking;\n"
    )
}

/// The text as part of one comment line.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a script was seen to show its finding in an empty database.
pub fn was_reproduced(script: &str) -> bool {
    script.lines().any(|line| line.starts_with("-- ") && line.contains(REPRODUCED))
}

/// Whether a script opens a second session.
pub fn needs_second_session(script: &str) -> bool {
    script.contains(SECOND_SESSION)
}

/// The query without the database name that dbt writes before every relation: elsewhere the database has another name.
pub fn without_database(query: &str, database: &str) -> String {
    query.replace(&format!("{}.\"", quote_identifier(database)), "\"")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{CaseTable, Change, Pace, row, sample},
        *,
    };
    use crate::{judge::equality::ComparedColumn, model::Relation};

    #[test]
    fn a_script_says_what_is_wrong_and_shows_it() {
        let relation = Relation::new("marts", "names");
        let query = "select id, name from shop.customers";
        let column = |name: &str, kind| ComparedColumn { name: name.into(), kind };
        let table = Comparable {
            id: 1,
            relation: relation.clone(),
            query: query.into(),
            uses: vec![],
            with_ties: None,
            is_populated: true,
            waiting: vec![],
            columns: vec![column("id", ValueKind::Exact), column("name", ValueKind::Json)],
        };
        let made =
            CaseTable { relation, query: query.into(), mode: "DIFFERENTIAL".into(), arguments: vec![] };
        let ada = vec![row(&["1", "Ada"])];
        let case = Case {
            sources: sample()[1..].to_vec(),
            rows: vec![ada.clone()],
            objects: vec![],
            others: vec![],
            views: vec![],
            tables: vec![made],
            rounds: vec![vec![vec![Change::Delete { source: 0, of: ada }]]],
            pace: Pace::default(),
        };
        let script = case.script(&ScriptHeader {
            wrong: "not equal to its query: 1 row too many".into(),
            details: vec!["+ id = 1\n; drop table x".into()],
            engine: "pg_trickle 0.67.0 on PostgreSQL 18.4".into(),
            found: "seed 1, round 3".into(),
            seen: Reproducibility::Reduced,
            fails: false,
            table: &table,
        });
        insta::assert_snapshot!(script);
    }

    #[test]
    fn a_query_loses_the_database_name() {
        let query = without_database(r#"select * from "shop_ci"."marts"."a""#, "shop_ci");
        assert_eq!(query, r#"select * from "marts"."a""#);
    }
}
