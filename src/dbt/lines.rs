//! dbt's output where rows are hidden: its own lines without what they quote of a server.

use crate::model::values::{LEFT_OUT, without_values};

/// The start of dbt's own lines, after the time. They hold names and counts.
const OWN: [&str; 18] = [
    "Running with dbt=",
    "Registered adapter: ",
    "Unable to do partial parsing",
    "Found ",
    "Concurrency: ",
    "Finished running ",
    "Completed ",
    "Done. ",
    "Nothing to do",
    "Database Error in ",
    "Compilation Error in ",
    "Runtime Error in ",
    "Failure in ",
    "Warning in ",
    "compiled code at ",
    "compiled Code at ",
    "See test failures",
    "Got ",
];

/// dbt 2 begins the line of a node with one of these, and its time in brackets.
const STATES: [&str; 8] =
    ["Started", "Succeeded", "Passed", "Failed", "Errored", "Skipped", "Warned", "Reused"];

/// The line without text that may be a value of a row; `None` where nothing is left.
pub(super) fn hidden(line: &str) -> Option<String> {
    let (time, text) = after_time(line);
    let is_own = OWN.iter().any(|start| text.starts_with(start))
        || is_count(text)
        || STATES.iter().any(|state| text.strip_prefix(state).is_some_and(|rest| rest.starts_with(" [")));
    if is_own || text.is_empty() {
        return Some(line.to_owned());
    }
    let without = without_values(text, None);
    (without != LEFT_OUT).then(|| format!("{time}{without}"))
}

/// The time and the spaces before a line's text, and the text.
fn after_time(line: &str) -> (&str, &str) {
    let is_time =
        |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    let timed = line.get(..8).filter(|word| is_time(word)).map_or(0, str::len);
    let text = line[timed..].trim_start();
    (&line[..line.len() - text.len()], text)
}

/// `3 of 7 ERROR creating sql table model s.t ...`
fn is_count(text: &str) -> bool {
    let words: Vec<&str> = text.splitn(4, ' ').collect();
    let [number, "of", all, _] = words[..] else { return false };
    [number, all].iter().all(|word| word.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_a_value_is_hidden() {
        for kept in [
            "",
            "13:47:23  ",
            "13:47:23  Running with dbt=1.11.16",
            "13:47:23  1 of 7 ERROR creating sql table model marts.m1 ...... [ERROR in 0.34s]",
            "13:47:23  Database Error in model m1 (models/m1.sql)",
            "  compiled code at target/run/shop/models/m1.sql",
            "  Got 3 results, configured to fail if != 0",
            "   Failed [  0.02s] model marts.m1 (table)",
            "13:47:23    relation \"raw.nope\" does not exist",
        ] {
            assert_eq!(hidden(kept).as_deref(), Some(kept));
        }
        assert_eq!(
            hidden("13:47:23    invalid input syntax for type integer: \"secret\"").as_deref(),
            Some("13:47:23    invalid input syntax for type integer: \"***\"")
        );
        for gone in [
            "13:47:23  secret",
            "  no address of secret",
            "  LINE 1: select 'secret'::int",
            "  DETAIL:  Key (card)=(secret) already exists.",
            "secret of 3",
            "1 of secret",
            "Failed secret",
        ] {
            assert_eq!(hidden(gone), None, "{gone}");
        }
    }
}
