//! The documents contain what the code refers to.

use std::{collections::BTreeSet, fs, path::PathBuf};

const CITED: &str = "docs/pg_trickle.md, ";

#[test]
fn every_cited_heading_exists() {
    let text = fs::read_to_string("docs/pg_trickle.md").unwrap();
    let headings: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut cited = 0;
    let mut missing = Vec::new();
    for file in files() {
        // A citation may span two lines of a comment.
        let text = fs::read_to_string(&file).unwrap();
        let words = text.split_whitespace().filter(|word| !["//", "///", "//!", "--"].contains(word));
        let text = words.collect::<Vec<_>>().join(" ");
        for citation in text.split(CITED).skip(1) {
            cited += 1;
            let citation = citation.trim_start_matches('"');
            if !headings.iter().any(|heading| citation.starts_with(heading)) {
                let shown: String = citation.chars().take(40).collect();
                missing.push(format!("{}: {shown}", file.display()));
            }
        }
    }
    assert!(cited > 50, "only {cited} citations were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn public_objects_of_the_emulator_cite_their_source_and_its_files_are_listed() {
    let folder = PathBuf::from("src/server/emulator");
    let contents = fs::read_to_string(folder.join("00_catalog.sql")).unwrap();
    let mut seen = 0;
    let updates = folder.join("updates");
    for entry in fs::read_dir(&folder).unwrap().chain(fs::read_dir(&updates).unwrap()) {
        let path = entry.unwrap().path();
        if path == updates {
            continue;
        }
        let part = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(contents.contains(&format!("\n--   {part} ")), "{part} is not in the contents");
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let objects = ["CREATE FUNCTION pgtrickle.", "CREATE VIEW pgtrickle.", "CREATE TABLE pgtrickle."];
            let object = objects.iter().find_map(|start| pair[1].strip_prefix(start));
            if object.is_some_and(|name| !name.starts_with('_')) {
                seen += 1;
                assert!(pair[0].contains(CITED), "{part}: {} cites nothing", pair[1]);
            }
        }
    }
    assert!(seen > 40, "only {seen} were found");
}

/// The code, the macros and the scenarios.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![PathBuf::from("src"), PathBuf::from("macros"), PathBuf::from("tests/conformance")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            files.push(path);
        }
    }
    files
}

/// The report's format is stable and documented in docs/report.md.
#[test]
fn every_field_of_the_report_is_documented() {
    let document = fs::read_to_string("docs/report.md").unwrap();
    for source in [
        "src/report/json.rs",
        "src/report/json/rehearsal.rs",
        "src/report/json/views.rs",
        "src/report/explain.rs",
        "src/report/history.rs",
        "src/plan/saved.rs",
    ] {
        let code = fs::read_to_string(source).unwrap();
        let code = code.split("#[cfg(test)]").next().unwrap().to_owned();
        let fields = code.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
        let missing: Vec<_> = fields
            .map(|(field, _)| field.trim_start_matches("r#"))
            .filter(|field| !field.contains(' ') && !document.contains(&format!("`{field}`")))
            .filter(|field| !document.contains(&format!(".{field}`")))
            .collect();
        assert!(missing.is_empty(), "{source}: {missing:?}");
    }
}
