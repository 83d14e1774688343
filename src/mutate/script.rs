//! A case as a script that psql runs on an empty database, and the bug report around it.

use std::fmt::Write as _;

use super::Case;
use crate::{
    judge::equality::{Comparable, Kind},
    sql::quote_identifier,
};

/// What the script says of where its case comes from.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// What goes wrong, in one sentence.
    pub wrong: String,
    /// More lines: the rows that differ, or what the server says.
    pub details: Vec<String>,
    /// The engine and PostgreSQL, with their versions.
    pub engine: String,
    /// The seed and the round in which it was found.
    pub found: String,
    /// How often it was seen.
    pub seen: Seen,
    /// The table that goes wrong; its query as the script has it.
    pub table: &'a Comparable,
}

/// How often a finding was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Only where it was found.
    Once,
    /// Only where it was found, and before anything was changed there.
    Stale,
    /// Only where it was found: from the log, whose slots a database beside it cannot have.
    FromLog,
    /// In a transaction on a named server, which was rolled back.
    RolledBack,
    /// Again in a database of its own, with all that had happened.
    Again,
    /// Again there, with as little as it takes.
    Reduced,
}

impl Case {
    /// The script.
    pub fn script(&self, evidence: &Evidence) -> String {
        let mut script =
            format!("-- {}: {}\n", comment(&evidence.table.relation.to_string()), comment(&evidence.wrong));
        for line in &evidence.details {
            let _ = writeln!(script, "--   {}", comment(line));
        }
        let _ = writeln!(script, "-- {}; {}", comment(&evidence.engine), comment(&evidence.found));
        script += match evidence.seen {
            Seen::Reduced => {
                "-- Reduced, and seen again in an empty database. Run it with: psql -X -f THIS_FILE\n\n"
            }
            Seen::Again => {
                "-- Not reduced, but seen again in an empty database. Run it with: psql -X -f THIS_FILE\n\n"
            }
            Seen::FromLog => {
                "-- Its sources are captured from the log. Not reduced, and not seen again, for that takes a server without slots of\n-- the same names. Run it on one, in an empty database, with: psql -X -f THIS_FILE\n\n"
            }
            Seen::RolledBack => {
                "-- Seen in a transaction that was rolled back. Not reduced: that takes a database of its own, and none is made on a\n-- named server. Run it in an empty database with: psql -X -f THIS_FILE\n\n"
            }
            Seen::Stale => {
                "-- It was so before anything was changed: an earlier refresh went wrong. Tables that are made new may be right.\n\n"
            }
            Seen::Once => {
                "-- It was not seen again in a database of its own: this is all that happened before it was found.\n\n"
            }
        };
        script += "create extension if not exists pg_trickle;\n";
        for statement in self.setup() {
            let _ = writeln!(script, "{statement};");
        }
        for (round, number) in self.rounds.iter().zip(1..) {
            let _ = writeln!(script, "\n-- round {number}");
            for statement in self.round(round) {
                let _ = writeln!(script, "{statement};");
            }
        }
        script += "\n-- What differs: no row when all is well.\n";
        script += &difference(evidence.table);
        script
    }
}

/// A query that shows the rows that differ.
fn difference(table: &Comparable) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let name = quote_identifier(&column.name);
            match column.kind {
                Kind::Json | Kind::Opaque => format!("{name}::text as {name}"),
                Kind::Exact | Kind::Text | Kind::Float | Kind::Array => name,
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

/// Text that a line of comment can hold.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A query without the name of the database that dbt writes before every relation: elsewhere it has another name.
pub fn without_database(query: &str, database: &str) -> String {
    query.replace(&format!("{}.\"", quote_identifier(database)), "\"")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Change, Made, Pace, row, sample},
        *,
    };
    use crate::{judge::equality::Column, model::Relation};

    #[test]
    fn a_script_says_what_is_wrong_and_shows_it() {
        let relation = Relation::new("marts", "names");
        let query = "select id, name from shop.customers";
        let column = |name: &str, kind| Column { name: name.into(), kind };
        let table = Comparable {
            relation: relation.clone(),
            query: query.into(),
            with_ties: None,
            is_populated: true,
            waiting: vec![],
            columns: vec![column("id", Kind::Exact), column("name", Kind::Json)],
        };
        let made = Made { relation, query: query.into(), mode: "DIFFERENTIAL".into(), arguments: vec![] };
        let ada = vec![row(&["1", "Ada"])];
        let case = Case {
            sources: sample()[1..].to_vec(),
            rows: vec![ada.clone()],
            others: vec![],
            tables: vec![made],
            rounds: vec![vec![vec![Change::Delete { source: 0, of: ada }]]],
            pace: Pace::default(),
        };
        let script = case.script(&Evidence {
            wrong: "not equal to its query: 1 row too many".into(),
            details: vec!["+ id = 1\n; drop table x".into()],
            engine: "pg_trickle 0.67.0 on PostgreSQL 18.4".into(),
            found: "seed 1, round 3".into(),
            seen: Seen::Reduced,
            table: &table,
        });
        insta::assert_snapshot!(script);
    }

    #[test]
    fn the_name_of_the_database_is_left_out_of_a_query() {
        let query = without_database(r#"select * from "shop_ci"."marts"."a""#, "shop_ci");
        assert_eq!(query, r#"select * from "marts"."a""#);
    }
}
