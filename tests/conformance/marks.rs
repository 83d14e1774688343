//! The lists in the documentation that are written from the scenarios and checked against them: the emulator's marks, and the
//! limits by version.

use std::{fmt::Write as _, fs};

use crate::scenario::Area;

/// A list: its page, the name of its place there, and its lines.
type List = (&'static str, &'static str, fn(&[Area]) -> String);

const LISTS: [List; 2] =
    [("docs/emulator.md", "marks", emulator_marks), ("docs/pg_trickle.md", "limits", limits)];

/// Whether the lists are what the scenarios say.
pub fn are_listed(areas: &[Area]) -> bool {
    let is_up_to_date = |(file, name, list): List| {
        let text = fs::read_to_string(file).unwrap();
        let up_to_date = text == with_list(&text, name, &list(areas));
        if !up_to_date {
            println!(
                "error: the {name} in {file} are not those of the scenarios: run scripts/conformance.sh --marks"
            );
        }
        up_to_date
    };
    LISTS.map(is_up_to_date) == [true; LISTS.len()]
}

pub fn write(areas: &[Area]) {
    for (file, name, list) in LISTS {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, with_list(&text, name, &list(areas))).unwrap();
    }
}

fn with_list(text: &str, name: &str, list: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the list has a beginning");
    let (_, after) = rest.split_once(&end).expect("the list has an end");
    format!("{before}{begin}{list}{end}{after}")
}

fn emulator_marks(areas: &[Area]) -> String {
    let mut text = String::new();
    for scenario in areas.iter().flat_map(|area| &area.scenarios) {
        if let Some(reason) = &scenario.mark {
            writeln!(text, "- emulator: *{}*: {reason}", scenario.name()).unwrap();
        }
    }
    text
}

fn limits(areas: &[Area]) -> String {
    let mut text = String::new();
    for scenario in areas.iter().flat_map(|area| &area.scenarios) {
        for (word, limit) in [("from", &scenario.from), ("until", &scenario.until)] {
            if let Some(limit) = limit {
                writeln!(text, "- {word} {}: *{}*: {}", limit.version, scenario.name(), limit.beyond)
                    .unwrap();
            }
        }
    }
    text
}
