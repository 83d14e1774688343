//! The list of marks in docs/emulator.md, which is written from the scenarios and checked against them.

use std::{fmt::Write as _, fs};

use crate::scenario::Area;

const FILE: &str = "docs/emulator.md";
const BEGIN: &str = "<!-- marks -->\n";
const END: &str = "<!-- /marks -->\n";

/// Whether the list is what the scenarios say.
pub fn are_listed(areas: &[Area]) -> bool {
    let text = fs::read_to_string(FILE).unwrap();
    let up_to_date = text == with_list(&text, areas);
    if !up_to_date {
        println!(
            "error: the marks in {FILE} are not those of the scenarios: run scripts/conformance.sh --marks"
        );
    }
    up_to_date
}

pub fn write(areas: &[Area]) {
    let text = fs::read_to_string(FILE).unwrap();
    fs::write(FILE, with_list(&text, areas)).unwrap();
}

fn with_list(text: &str, areas: &[Area]) -> String {
    let (before, rest) = text.split_once(BEGIN).expect("the list has a beginning");
    let (_, after) = rest.split_once(END).expect("the list has an end");
    format!("{before}{BEGIN}{}{END}{after}", list(areas))
}

fn list(areas: &[Area]) -> String {
    let mut text = String::new();
    for scenario in areas.iter().flat_map(|area| &area.scenarios) {
        if let Some(reason) = &scenario.mark {
            writeln!(text, "- emulator: *{}*: {reason}", scenario.name()).unwrap();
        }
    }
    text
}
