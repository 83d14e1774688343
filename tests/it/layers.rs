//! The modules have an order, and each uses only itself and earlier ones.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the ground up.
const ORDER: [&str; 20] = [
    "exit", "sql", "model", "project", "plan", "judge", "mutate", "report", "output", "github", "pg", "dbt",
    "server", "sources", "cli", "options", "verify", "stages", "commands", "error",
];

/// The one circle: functions that combine errors of several modules return the error that holds them all.
const CIRCLE: &str = "Error";

/// Modules that compute values from values: no runtime, no clock, no files, no environment.
const PURE: [&str; 7] = ["sql", "model", "project", "plan", "judge", "mutate", "report"];

const IMPURE: [&str; 8] = [
    "tokio::",
    "clap::",
    "std::env",
    "std::fs",
    "SystemTime::now",
    "Instant::now",
    "now_utc",
    "std::process",
];

#[test]
fn modules_use_only_earlier_ones() {
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        let own = position(&module_of(&file)).unwrap_or_else(|| panic!("{} has no place", file.display()));
        for used in uses(&text).iter().filter(|used| *used != CIRCLE) {
            if position(used).is_none_or(|position| position > own) {
                wrong.insert(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_modules_have_no_effects() {
    for (file, text) in sources().into_iter().filter(|(file, _)| PURE.contains(&&*module_of(file))) {
        for effect in IMPURE {
            assert!(!text.contains(effect), "{} uses {effect}", file.display());
        }
    }
}

#[test]
fn only_the_options_know_clap() {
    for (file, text) in sources() {
        let module = module_of(&file);
        let is_dispatch = file.ends_with("commands/mod.rs");
        let may = ["cli", "options"].contains(&&*module) || is_dispatch;
        let knows = text.contains("clap::") || uses(&text).iter().any(|used| used == "cli");
        assert!(may || !knows, "{} knows the command line", file.display());
    }
}

/// The report is for its renderers: a command keeps what it needs in values of its own.
#[test]
fn commands_write_the_report_and_never_read_it() {
    // They run a command and render its report, or read a report from a file.
    let readers = ["reported.rs", "runner.rs", "comment.rs"].map(|name| Path::new("src/commands").join(name));
    let writes = [" = ", ".extend(", ".push(", ".clone_from("];
    for (file, text) in sources() {
        if module_of(&file) != "commands" || readers.contains(&file) {
            continue;
        }
        for (at, of) in text.match_indices("report.") {
            let rest = &text[at + of.len()..];
            let field = word(rest);
            let is_lent = text[..at].ends_with("&mut ");
            let is_written = writes.iter().any(|write| rest[field.len()..].starts_with(write));
            let is_end_of_sentence = field.is_empty();
            assert!(is_lent || is_written || is_end_of_sentence, "{} reads report.{field}", file.display());
        }
    }
}

fn position(module: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == module)
}

/// Every source file, without its tests.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::from("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
            files.push((path, text[..end].to_owned()));
        }
    }
    assert!(files.len() > 30, "the sources were not found");
    files.retain(|(file, _)| !["src/main.rs", "src/lib.rs"].contains(&file.to_str().unwrap()));
    files
}

fn module_of(file: &Path) -> String {
    let name = file.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a file names: `crate::a::…`, and each of `crate::{a::…, b}`.
fn uses(text: &str) -> Vec<String> {
    let mut used = Vec::new();
    for part in text.split("crate::").skip(1) {
        match part.strip_prefix('{') {
            None => used.push(word(part)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphanumeric() => {
                            used.push(word(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
