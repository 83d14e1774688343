//! The modules have an order, and each uses only itself and earlier ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From the ground up.
const ORDER: [&str; 20] = [
    "exit", "sql", "model", "project", "plan", "judge", "mutate", "report", "output", "hosts", "pg", "dbt",
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

/// A part may use its parent, which re-exports the parts.
#[test]
fn files_of_a_folder_form_no_circle() {
    let files = sources();
    let modules: BTreeMap<Vec<String>, &str> =
        files.iter().map(|(file, text)| (path_of(file), text.as_str())).collect();
    let mut left: BTreeMap<&[String], BTreeSet<Vec<String>>> = BTreeMap::new();
    for (module, text) in &modules {
        let used = names(text).into_iter().filter_map(|(name, _)| defined_in(&modules, module, &name));
        let is_sibling = |used: &Vec<String>| {
            used[0] == module[0] && !used.starts_with(module) && !module.starts_with(used)
        };
        left.insert(module, used.filter(is_sibling).collect());
    }
    // What uses only what is taken away already can be taken away.
    loop {
        let all: BTreeSet<Vec<String>> = left.keys().map(|module| module.to_vec()).collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|used| all.contains(used)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these files are in a circle, or use one that is: {left:#?}");
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
    let readers = ["reported.rs", "runner.rs", "comment.rs", "report.rs"]
        .map(|name| Path::new("src/commands").join(name));
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

/// `plan/between/mod.rs` is `plan`, `between`.
fn path_of(file: &Path) -> Vec<String> {
    let below = file.strip_prefix("src").unwrap().with_extension("");
    let mut path: Vec<String> = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    path.pop_if(|last| last == "mod");
    path
}

/// The file that defines what `module` calls `name`, behind all re-exports.
fn defined_in(
    modules: &BTreeMap<Vec<String>, &str>,
    module: &[String],
    name: &[String],
) -> Option<Vec<String>> {
    let mut full = match name[0].as_str() {
        "crate" => name[1..].to_vec(),
        "super" => {
            let up = name.iter().take_while(|part| *part == "super").count();
            [&module[..module.len().checked_sub(up)?], &name[up..]].concat()
        }
        _ => [module, name].concat(),
    };
    loop {
        let file = (1..=full.len()).rev().map(|end| &full[..end]).find(|part| modules.contains_key(*part))?;
        let (file, rest) = (file.to_vec(), full[file.len()..].to_vec());
        let Some(item) = rest.first() else { return Some(file) };
        let exported = names(modules[&file]);
        let is_item = |(name, is_public): &&(Vec<String>, bool)| *is_public && name.last() == Some(item);
        match exported.iter().find(is_item) {
            Some((name, _)) if name[0] != "crate" && name[0] != "super" => {
                full = [&file[..], &name[..], &rest[1..]].concat();
            }
            _ => return Some(file),
        }
    }
}

/// The names of all `use` items and of all paths from `crate` or `super`, and whether a `pub use` exports them.
fn names(text: &str) -> Vec<(Vec<String>, bool)> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |code, line| code + line + "\n");
    let mut names = Vec::new();
    let items = code.match_indices("use ").filter(|(at, _)| {
        let line = code[..*at].rsplit('\n').next().unwrap().trim();
        line.is_empty() || line.starts_with("pub")
    });
    for (at, of) in items {
        let line = code[..at].rsplit('\n').next().unwrap();
        let item = &code[at + of.len()..];
        expand(&item[..item.find(';').unwrap()], &[], line.trim().starts_with("pub"), &mut names);
    }
    for start in ["crate::", "super::"] {
        let starts = code.match_indices(start).filter(|(at, _)| !code[..*at].ends_with("::"));
        for (at, _) in starts {
            let path: String =
                code[at..].chars().take_while(|c| c.is_alphanumeric() || ['_', ':'].contains(c)).collect();
            let path = path.trim_end_matches(':').split("::").map(ToOwned::to_owned);
            names.push((path.collect(), false));
        }
    }
    names
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(item: &str, before: &[String], is_public: bool, names: &mut Vec<(Vec<String>, bool)>) {
    let (path, group) = match item.split_once('{') {
        Some((path, group)) => (path, Some(group.rsplit_once('}').unwrap().0)),
        None => (item, None),
    };
    let path = path.split(" as ").next().unwrap().split("::").map(|part| part.trim().to_owned());
    let full: Vec<String> = before.iter().cloned().chain(path.filter(|part| !part.is_empty())).collect();
    let Some(group) = group else {
        names.push((full, is_public));
        return;
    };
    let mut depth = 0;
    let parts = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for part in parts.filter(|part| !part.trim().is_empty()) {
        expand(part, &full, is_public, names);
    }
}

fn module_of(file: &Path) -> String {
    let name = file.components().nth(1).unwrap().as_os_str().to_str().unwrap();
    name.trim_end_matches(".rs").to_owned()
}

/// The top-level modules that a file names.
fn uses(text: &str) -> Vec<String> {
    let of_crate = names(text).into_iter().map(|(name, _)| name).filter(|name| name[0] == "crate");
    of_crate.filter_map(|name| name.into_iter().nth(1)).collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
