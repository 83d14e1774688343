//! dbt's manifest, whose file is read once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use memchr::memmem;

use super::{Error, compiled_sql};
use crate::{
    model::Relation,
    project::{self, Declared, Graph, Naming, Project, Reading, Selection, Selector, UncompiledTable},
};

pub struct ManifestFile {
    file: PathBuf,
    name: String,
    bytes: Vec<u8>,
}

/// The buffer of the last manifest. A plan reads two manifests in turn, and allocating memory for a large one takes as
/// long as reading it.
static SPARE: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Some programs of Windows begin each text so.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Drop for ManifestFile {
    fn drop(&mut self) {
        *SPARE.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(&mut self.bytes);
    }
}

/// Puts numbers that Python writes and JSON does not allow, such as `NaN`, into quotes: where a number is needed, the error
/// shows them. `None` if there are none.
fn without_non_finite(bytes: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let lacks = |word: &str| memmem::find(bytes, word.as_bytes()).is_none();
    if lacks(WORDS[0]) && lacks(WORDS[2]) {
        return None;
    }
    let mut finite = Vec::with_capacity(bytes.len());
    let (mut in_text, mut at) = (false, 0);
    while let Some(byte) = bytes.get(at) {
        let word = WORDS.iter().find(|word| !in_text && bytes[at..].starts_with(word.as_bytes()));
        if let Some(word) = word {
            finite.extend(format!("\"{word}\"").as_bytes());
            at += word.len();
            continue;
        }
        finite.push(*byte);
        if in_text && *byte == b'\\' {
            finite.extend(bytes.get(at + 1));
            at += 1;
        }
        in_text ^= *byte == b'"';
        at += 1;
    }
    Some(finite)
}

impl ManifestFile {
    pub fn open(file: &Path) -> Result<Self, Error> {
        let mut bytes = std::mem::take(&mut *SPARE.lock().unwrap_or_else(PoisonError::into_inner));
        bytes.clear();
        let read = File::open(file).and_then(|mut file| file.read_to_end(&mut bytes));
        read.map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                return Error::NoManifest { file: file.to_owned() };
            }
            Error::unreadable(file)(error)
        })?;
        if bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if let Some(finite) = without_non_finite(&bytes) {
            bytes = finite;
        }
        Ok(Self { file: file.to_owned(), name: file.display().to_string(), bytes })
    }

    /// The project in it. If the manifest has lost the SQL of a model, the compiled file in the target folder replaces
    /// it.
    pub fn project(&self) -> Result<Reading, project::Error> {
        let target_dir = self.file.parent().unwrap_or(Path::new("."));
        let compiled = |package: &str, model: &str| compiled_sql(target_dir, package, model);
        Reading::of(&self.name, &self.bytes, compiled)
    }

    /// The nodes that a selector selects. `baseline` is the manifest for `state:` selectors.
    pub fn selection(&self, selector: &Selector, baseline: Option<&Path>) -> Result<Selection, crate::Error> {
        let baseline = baseline.filter(|_| selector.asks_for_state()).map(Self::open).transpose()?;
        let baseline = baseline.as_ref().map(|baseline| (baseline.name.as_str(), baseline.bytes.as_slice()));
        Ok(selector.find((&self.name, &self.bytes), baseline)?)
    }

    /// The sources that these models and tests read, or all sources. Does not need compiled SQL.
    pub fn sources(
        &self,
        readers: Option<&BTreeSet<String>>,
    ) -> Result<BTreeMap<Relation, BTreeSet<String>>, project::Error> {
        Project::read_sources(&self.name, &self.bytes, readers)
    }

    /// The sources as the project's YAML declares them. Does not need compiled SQL.
    pub fn declared_sources(&self) -> Result<BTreeMap<Relation, Declared>, project::Error> {
        project::declared(&self.name, &self.bytes)
    }

    /// The stream tables of these models, or of all. Does not need compiled SQL.
    pub fn uncompiled_tables(
        &self,
        ids: Option<&BTreeSet<String>>,
    ) -> Result<Vec<UncompiledTable>, project::Error> {
        Project::read_uncompiled_tables(&self.name, &self.bytes, ids)
    }

    /// The dependencies of its nodes. Does not need compiled SQL.
    pub fn graph(&self) -> Result<Graph, project::Error> {
        Project::read_graph(&self.name, &self.bytes)
    }

    /// The files of models whose SQL may differ at the next compilation of the same project.
    pub fn unstable_models(&self) -> Result<Vec<String>, project::Error> {
        project::unstable_models(&self.name, &self.bytes)
    }

    /// The name of the default selector of `selectors.yml`.
    pub fn default_selector(&self) -> Result<Option<String>, project::Error> {
        project::default_selector(&self.name, &self.bytes)
    }

    pub fn naming(&self) -> Result<Naming, project::Error> {
        Naming::read(&self.name, &self.bytes)
    }

    /// For each model, seed and snapshot a selector that selects only it.
    pub fn exact_names(&self) -> Result<BTreeMap<String, String>, project::Error> {
        project::exact_names(&self.name, &self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_allow_become_texts() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \" Infinity"}"#;
        let finite = without_non_finite(text.as_bytes()).unwrap();
        assert_eq!(
            std::str::from_utf8(&finite),
            Ok(r#"{"a": "NaN", "b": ["-Infinity", "Infinity"], "c": "NaN \" Infinity"}"#)
        );
        assert_eq!(without_non_finite(b"{}"), None);
    }
}
