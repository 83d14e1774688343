//! What a script waits for if its tables do not follow a refresh immediately. The statements commit while they wait: a
//! long transaction would hold back the changes that the scheduler sees (docs/pg_trickle.md, "Visibility lag").

use super::{CaseTable, case_table::dollar_quoted};
use crate::sql::quote_literal;

/// How changes reach the tables of a case; by default through triggers and manual refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pace {
    pub from_log: bool,
    /// Whether only the scheduler refreshes.
    pub by_scheduler: bool,
}

impl Pace {
    /// The schedule of a table of the case.
    pub(super) fn schedule(self) -> &'static str {
        if self.by_scheduler { "1s" } else { "1h" }
    }

    /// The waits after the creation of these tables, until the scheduler has refreshed them once.
    pub(super) fn after_setup(self, tables: &[CaseTable]) -> Vec<String> {
        let captured = self.from_log.then(|| {
            wait(
                "until the sources are captured from the log",
                "",
                include_str!("sql/captured_from_log.sql"),
                "the sources stay on triggers: see wal_level, and whether a slot of the same name is taken",
            )
        });
        captured.into_iter().chain(self.by_scheduler.then(|| scheduled(tables, 1))).collect()
    }

    /// The refreshes of these tables before an open transaction commits, which do not see what it wrote.
    pub(super) fn while_open(self, tables: &[CaseTable]) -> Vec<String> {
        self.refreshes(tables, 1)
    }

    /// The waits after the changes of a round, until they are read, and then the refreshes of these tables.
    pub(super) fn after_changes(self, tables: &[CaseTable]) -> Vec<String> {
        let read = self.from_log.then(|| {
            wait(
                "until the log has been read",
                "written pg_lsn := pg_current_wal_insert_lsn(); ",
                &include_str!("sql/log_is_read.sql").replace("$position", "written"),
                "the log is not read",
            )
        });
        read.into_iter().chain(self.refreshes(tables, 3)).collect()
    }

    /// The refreshes by hand, or the wait for this many refreshes of the scheduler.
    fn refreshes(self, tables: &[CaseTable], times: usize) -> Vec<String> {
        if self.by_scheduler {
            vec![scheduled(tables, times)]
        } else {
            tables.iter().filter_map(CaseTable::refresh).collect()
        }
    }
}

/// Waits for this many refreshes of each table: the changes of one may only be visible to a later one.
fn scheduled(tables: &[CaseTable], times: usize) -> String {
    let names: Vec<String> = tables
        .iter()
        .filter(|table| !table.is_immediate())
        .map(|table| quote_literal(&table.relation.to_string()))
        .collect();
    wait(
        "until the scheduler has refreshed every table",
        "since timestamptz := clock_timestamp(); ",
        &include_str!("sql/scheduled.sql")
            .replace("$times", &times.to_string())
            .replace("$since", "since")
            .replace("$quoted", &names.join(", ")),
        "the scheduler does not refresh",
    )
}

/// `until` is a query that answers with true or false.
fn wait(what: &str, declared: &str, until: &str, otherwise: &str) -> String {
    let until = until.trim_end();
    let body = format!(
        " declare {declared}begin -- waits {what}
  for n in 1 .. 200 loop
    commit;
    if ({until}) then return; end if;
    perform pg_sleep(0.1);
  end loop;
  raise '{otherwise}';
end "
    );
    format!("do {}", dollar_quoted(&body))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Case, Change, Statement, row, sample},
        *,
    };
    use crate::model::Relation;

    fn case(pace: Pace) -> Case {
        let definition = |name: &str, mode: &str| CaseTable {
            relation: Relation::new("marts", name),
            query: "select id, name from shop.customers".into(),
            mode: mode.into(),
            arguments: vec![],
        };
        let mut sources = sample()[1..].to_vec();
        sources[0].from_log = true;
        Case {
            sources,
            rows: vec![vec![]],
            objects: vec![],
            others: vec![],
            views: vec![],
            tables: vec![definition("names", "DIFFERENTIAL"), definition("at_once", "IMMEDIATE")],
            rounds: vec![vec![vec![Change::Insert { source: 0, rows: vec![row(&["1", "Ada"])] }]]],
            pace,
        }
    }

    /// The statements of its first round.
    fn round(case: &Case) -> Vec<String> {
        let text = |statement| match statement {
            Statement::Own(sql) | Statement::Other(sql) => sql,
        };
        case.round(&case.rounds[0]).into_iter().map(text).collect()
    }

    #[test]
    fn a_script_waits_for_the_scheduler_and_does_not_refresh() {
        let case = case(Pace { by_scheduler: true, ..Pace::default() });
        assert!(
            case.setup()
                .join(";\n")
                .contains("$$select id, name from shop.customers$$, '1s', 'DIFFERENTIAL')")
        );
        assert!(case.setup().last().unwrap().contains("where 1 > "));
        let round = round(&case);
        assert_eq!(round.len(), 2, "{round:#?}");
        assert!(round[1].contains("unnest(array['marts.names']::text[])"), "{}", round[1]);
    }

    #[test]
    fn a_name_cannot_end_the_block_that_waits() {
        let mut case = case(Pace { by_scheduler: true, ..Pace::default() });
        case.tables[0].relation = Relation::new("marts", "a$$b$times");
        let wait = round(&case).pop().unwrap();
        assert!(wait.starts_with("do $query$ declare") && wait.ends_with("end $query$"), "{wait}");
        assert!(wait.contains("'marts.a$$b$times'"), "{wait}");
    }

    #[test]
    fn a_script_waits_for_the_log_before_a_refresh() {
        let case = case(Pace { from_log: true, ..Pace::default() });
        let setup = case.setup();
        assert!(
            setup.contains(&r#"alter table "shop"."customers" replica identity full"#.to_owned()),
            "{setup:#?}"
        );
        assert!(
            setup.last().unwrap().contains("waits until the sources are captured from the log"),
            "{setup:#?}"
        );
        let round = round(&case);
        assert!(round[1].contains("waits until the log has been read"), "{round:#?}");
        assert_eq!(round[2..], ["select pgtrickle.refresh_stream_table('marts.names')"]);
    }
}
