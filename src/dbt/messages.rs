//! What dbt says about a node that failed, without dbt's wrapping.

/// The sentence that says what is wrong, and the lines that say more.
///
/// dbt v1 says in the first line where, then what, then how. PostgreSQL's own lines (`DETAIL:`, `HINT:`) stay. dbt v2 puts a
/// prefix before the sentence and its macros behind it, and quotes the whole SQL behind an error of the server. Where the
/// compiled file is helps no reader: its folder is removed.
pub(super) fn message_and_details(message: &str) -> (String, Vec<String>) {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    // A backtrace is last.
    let lines: Vec<&str> = lines.take_while(|line| *line != "0: <unknown>").collect();
    let headed = lines.first().is_some_and(|line| line.contains(" Error in ")) && lines.len() > 1;
    let mut lines = lines[usize::from(headed)..].iter().copied();
    let first = without_prefix(lines.next().unwrap_or_default()).to_owned();
    let mut details = Vec::new();
    let mut is_query = false;
    for line in lines {
        is_query |= line.starts_with("Query was: ");
        if is_query {
            details.extend(sqlstate(line));
        } else if !is_noise(line) {
            details.push(line.to_owned());
        }
    }
    (first, details)
}

/// `… Compilation Error for model.shop.a from models/a.sql: TEXT` and `Failed to prepare query: ERROR:  TEXT` of dbt v2.
fn without_prefix(line: &str) -> &str {
    if let Some((_, text)) = line.split_once("invalid operation: Compilation Error") {
        let text = text.split_once(" from ").map_or(text, |(_, text)| text);
        return text.split_once(": ").map_or(text, |(_, text)| text);
    }
    if line.starts_with("[libpq] ") || line.starts_with("Failed to ") {
        return line.split_once("ERROR:  ").map_or(line, |(_, text)| text);
    }
    line
}

fn is_noise(line: &str) -> bool {
    let starts = ["compiled code at", "compiled SQL at", "CONTEXT:", "PL/pgSQL function inline_code_block"];
    starts.iter().any(|start| line.starts_with(start)) || (line.starts_with("(in ") && line.ends_with(')'))
}

/// dbt v2 writes it behind the SQL.
fn sqlstate(line: &str) -> Option<String> {
    let (_, code) = line.rsplit_once("(SQLSTATE: ")?;
    Some(format!("SQLSTATE: {}", code.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> (String, String) {
        let (first, details) = message_and_details(message);
        (first, details.join("\n"))
    }

    fn expected(first: &str, details: &str) -> (String, String) {
        (first.to_owned(), details.to_owned())
    }

    #[test]
    fn a_message_of_dbt_v1_keeps_postgresqls_lines() {
        let message = "Database Error in model a (models/a.sql)\n  column \"nope\" does not exist\n  DETAIL:  SQLSTATE: 42703\n  HINT:  Perhaps.\n  CONTEXT:  PL/pgSQL function inline_code_block line 14 at RAISE\n  compiled code at target/run/a.sql";
        assert_eq!(
            read(message),
            expected("column \"nope\" does not exist", "DETAIL:  SQLSTATE: 42703\nHINT:  Perhaps.")
        );
    }

    // The messages below are from run_results.json of dbt 2.0.0a4.

    #[test]
    fn an_error_of_a_macro_of_dbt_v2_loses_prefix_and_macros() {
        let message = "Error executing materialization macro 'dbt_pgtrickle.materialization_stream_table_postgres' for model model.shop.wrong: Failed to eval the compiled Jinja expression invalid operation: Compilation Error for model.shop.wrong from models/wrong.sql: column \"nope\" does not exist\nDETAIL: SQLSTATE: 42703\n(in run/shop/models/wrong.sql:1:14)\n(in dbt_packages/dbt_pgtrickle/macros/materializations/stream_table.sql:20:30)";
        assert_eq!(read(message), expected("column \"nope\" does not exist", "DETAIL: SQLSTATE: 42703"));
        let message = "Error executing materialization macro 'dbt_pgtrickle.materialization_stream_table_postgres' for model model.shop.a: Failed to eval the compiled Jinja expression invalid operation: Compilation Error for model.shop.a from models/a.sql: the pgtrickle settings of model.shop.a are wrong:\n  - `schedul` is not a setting\n  - tier is `x`, but can be hot, warm, cold, frozen\n(in run/shop/models/a.sql:1:14)";
        assert_eq!(
            read(message),
            expected(
                "the pgtrickle settings of model.shop.a are wrong:",
                "- `schedul` is not a setting\n- tier is `x`, but can be hot, warm, cold, frozen"
            )
        );
        let message = "Failed to render SQL invalid operation: Compilation Error for model.shop.a from models/a.sql: says the model: no\n(in models/a.sql:1:56)";
        assert_eq!(read(message), expected("says the model: no", ""));
    }

    #[test]
    fn an_error_of_the_server_on_dbt_v2_loses_the_sql() {
        let message = "Database Error in model wrong_table (target/run/shop/models/wrong_table.sql)\n  Failed to prepare query: ERROR:  column \"nope\" does not exist\n  LINE 8:      select nope from \"shop\".\"raw\".\"orders\"\n                      ^\n  \n  Query was: /* {\"app\": \"dbt\"} */\n  create  table \"shop\".\"an\".\"wrong_table__dbt_tmp\"\n    as\n    (\n       select nope from \"shop\".\"raw\".\"orders\"\n    ) (SQLSTATE: 42703)\n  (in run/shop/models/wrong_table.sql:1:4)";
        assert_eq!(
            read(message),
            expected(
                "column \"nope\" does not exist",
                "LINE 8:      select nope from \"shop\".\"raw\".\"orders\"\n^\nSQLSTATE: 42703"
            )
        );
        let message = "Database Error in model hooked (target/run/shop/models/hooked.sql)\n  [libpq] Failed to execute query: could not begin COPY: ERROR:  division by zero\n  \n  Query was: COPY (/* {\"app\": \"dbt\"} */\n  select 1/0) TO STDOUT (FORMAT binary)\n  (in run/shop/models/hooked.sql:1:14)";
        assert_eq!(read(message), expected("division by zero", ""));
    }

    #[test]
    fn a_backtrace_of_dbt_v2_is_cut() {
        let message = "no, says the macro\n   0: <unknown>\n   1: <unknown>\n   8: start_thread\n             at ./nptl/pthread_create.c:442:8";
        assert_eq!(read(message), expected("no, says the macro", ""));
    }
}
