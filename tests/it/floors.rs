//! A file uses its own floor or a lower one, never a higher one; floors 0 and 1 know no runtime, clock or files.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FLOORS: [(&str, u8); 17] = [
    ("model", 0),
    ("project", 1),
    ("plan", 1),
    ("judge", 1),
    ("mutate", 1),
    ("report", 1),
    ("output", 2),
    ("dbt", 2),
    ("pg", 2),
    ("server", 2),
    ("sources", 2),
    ("github", 2),
    ("commands", 3),
    ("cli", 4),
    ("config", 4),
    ("exit", 4),
    ("error", 4),
];

/// The door's words that the acts are spoken to with, and the error that everything ends in.
const ALLOWED_UPWARDS: [(&str, &str); 6] = [
    ("commands", "cli"),
    ("commands", "config"),
    ("commands", "exit"),
    ("commands", "Error"),
    ("dbt", "Error"),
    ("server", "Error"),
];

const HANDS: [&str; 8] = [
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
fn no_file_reaches_up() {
    let mut found = Vec::new();
    for (file, text) in sources() {
        let module = module_of(&file);
        let floor = floor_of(&module);
        for used in uses(&text) {
            let Some((_, other)) = FLOORS.iter().find(|(name, _)| *name == used) else { continue };
            let allowed = ALLOWED_UPWARDS.contains(&(module.as_str(), used.as_str()));
            if *other > floor && !allowed {
                found.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_thought_has_no_hands() {
    for (file, text) in sources().into_iter().filter(|(file, _)| floor_of(&module_of(file)) <= 1) {
        for hand in HANDS {
            assert!(!text.contains(hand), "{} uses {hand}", file.display());
        }
    }
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

fn floor_of(module: &str) -> u8 {
    FLOORS.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("{module} has no floor")).1
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
