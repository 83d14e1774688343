//! The sources that the files of a project declare, before dbt has read them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{ProjectFile, files::files_below};

/// The part of a file of properties that declares sources.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties {
    sources: Vec<Source>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    #[serde(default)]
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    identifier: Option<String>,
    #[serde(default)]
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    data_type: Option<String>,
}

/// The sources, as `raw.orders`, that no seed of the project creates.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SourcesWithoutSeed {
    /// Their columns have types, so that an empty table can be created for each.
    pub typed: BTreeSet<String>,
    pub untyped: BTreeSet<String>,
}

/// Reads the project's files. A file that cannot be read declares none: dbt will say what is wrong with it.
pub fn sources_without_seed(project: &ProjectFile, dir: &Path) -> SourcesWithoutSeed {
    let seeds: BTreeSet<String> = files(&project.seed_dirs(dir), &["csv"])
        .iter()
        .filter_map(|seed| Some(seed.file_stem()?.to_str()?.to_owned()))
        .collect();
    let declared = files(&project.model_dirs(dir), &["yml", "yaml"]).into_iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        serde_yaml::from_str::<Properties>(&text).unwrap_or_default().sources
    });
    let tables =
        declared.flat_map(|source| source.tables.into_iter().map(move |table| (source.name.clone(), table)));
    let mut found = SourcesWithoutSeed::default();
    for (source, table) in tables {
        if seeds.contains(table.identifier.as_ref().unwrap_or(&table.name)) {
            continue;
        }
        let has_type =
            |column: &Column| column.data_type.as_ref().is_some_and(|name| !name.trim().is_empty());
        let is_typed = !table.columns.is_empty() && table.columns.iter().all(has_type);
        let sources = if is_typed { &mut found.typed } else { &mut found.untyped };
        sources.insert(format!("{source}.{}", table.name));
    }
    found
}

/// All files below these folders with one of these extensions.
fn files(folders: &[PathBuf], extensions: &[&str]) -> Vec<PathBuf> {
    let all = folders.iter().flat_map(|folder| files_below(folder, |_| true));
    all.filter(|file| file.extension().is_some_and(|own| extensions.iter().any(|wanted| own == *wanted)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_declared_in_any_file_of_models_and_may_be_a_seed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = dir.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let sources = |file: &str| {
            let file: ProjectFile = serde_yaml::from_str(file).unwrap();
            let found = sources_without_seed(&file, dir.path());
            [Vec::from_iter(found.typed), Vec::from_iter(found.untyped)]
        };
        let none = [[""; 0]; 2];
        assert_eq!(sources("name: shop"), none);
        write(
            "models/staging/raw.yaml",
            "sources:\n  - name: raw\n    tables:\n      - {name: orders, columns: [{name: id, data_type: int}]}\n      - name: returns\n        columns: [{name: id, data_type: int}, {name: day}]\n      - {name: lines, identifier: raw_lines}\n      - {name: customers}\n",
        );
        write("models/broken.yml", "sources: [");
        write("models/models.yml", "models:\n  - name: totals\n    columns: []\n");
        write("seeds/eu/raw_lines.csv", "a\n1\n");
        write("seeds/customers.csv", "a\n1\n");
        // Packages and other folders are not the project's.
        write("dbt_packages/other/models/raw.yml", "sources:\n  - name: other\n    tables: [{name: x}]\n");
        assert_eq!(sources("name: shop"), [["raw.orders".to_owned()], ["raw.returns".to_owned()]]);
        assert_eq!(sources("name: shop\nmodel-paths: [other]"), none);
        assert_eq!(sources("name: shop\nseed-paths: [data]").map(|names| names.len()), [1, 3]);
    }
}
