//! Where the value of a setting comes from: a flag, its environment variable, a key of `pgtrickle-ci.yml`, or the default.

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
};

use super::{File, explain, key_line::line_of};
use crate::{cli::Given, output::Ui, report::in_force::InForce};

/// A flag and its key in the file.
pub(super) type Name<'a> = (&'a str, &'a str);

/// Finds values, and remembers what set them.
pub(super) struct Settings {
    pub(super) ui: Ui,
    /// The values of all flags.
    given: Vec<Given>,
    /// The configuration file and its text; `None` without one.
    file: Option<(PathBuf, String)>,
    /// The folder of the configuration file. Paths in the file are relative to it.
    dir: PathBuf,
    /// The settings that were found so far, each with its key in the file, for `config`.
    found: RefCell<Vec<(String, InForce)>>,
}

impl Settings {
    pub(super) fn new(ui: Ui, given: Vec<Given>, dir: PathBuf) -> Self {
        Self { ui, given, file: None, dir, found: RefCell::default() }
    }

    pub(super) fn with_file(self, path: PathBuf, text: String) -> Self {
        let dir = path.parent().map(Path::to_owned).unwrap_or_default();
        Self { file: Some((path, text)), dir, ..self }
    }

    pub(super) fn file(&self) -> Option<PathBuf> {
        self.file.as_ref().map(|(path, _)| path.clone())
    }

    /// The value of the flag, else of the key in the file, else the default.
    pub(super) fn first<T: fmt::Display>(
        &self,
        name: Name<'_>,
        typed: Option<T>,
        file: Option<T>,
        default: T,
    ) -> T {
        self.first_shown(name, typed, file, default, T::to_string)
    }

    pub(super) fn first_shown<T>(
        &self,
        name: Name<'_>,
        typed: Option<T>,
        file: Option<T>,
        default: T,
        shown: impl Fn(&T) -> String,
    ) -> T {
        self.either(name, typed, file, &shown).unwrap_or_else(|| {
            self.note(name, shown(&default), "the default".into());
            default
        })
    }

    /// The value of the flag, else of the key in the file.
    pub(super) fn either<T>(
        &self,
        name: Name<'_>,
        typed: Option<T>,
        file: Option<T>,
        shown: impl Fn(&T) -> String,
    ) -> Option<T> {
        let (value, from) = match (typed, file) {
            (Some(value), _) => (value, self.setter_of(name.0)),
            (None, Some(value)) => (value, self.line_of(name.1)),
            (None, None) => return None,
        };
        self.note(name, shown(&value), from);
        Some(value)
    }

    /// The value of a key in the file that no flag sets, else the default.
    pub(super) fn of_file<T>(
        &self,
        key: &str,
        file: Option<T>,
        default: T,
        shown: impl Fn(&T) -> String,
    ) -> T {
        self.first_shown((key, key), None, file, default, shown)
    }

    /// The words of the flag, else of the key in the file.
    pub(super) fn words(&self, name: Name<'_>, typed: &[String], file: &[String]) -> Vec<String> {
        let given = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
        self.either(name, given(typed), given(file), |words| words.join(", ")).unwrap_or_default()
    }

    /// The path of the flag, else of the key in the file.
    pub(super) fn path(
        &self,
        name: Name<'_>,
        typed: Option<&PathBuf>,
        file: Option<&PathBuf>,
    ) -> Option<PathBuf> {
        let file = file.map(|path| self.beside_file(path));
        self.either(name, typed.cloned(), file, |path| path.display().to_string())
    }

    /// A path in the file. `-` is standard output.
    pub(super) fn beside_file(&self, path: &Path) -> PathBuf {
        if path == Path::new("-") { path.to_owned() } else { self.dir.join(path) }
    }

    /// All settings: those that were looked for, and the other flags and keys that are set.
    pub(super) fn all(&self) -> Vec<InForce> {
        let settings = self.found.take();
        let flags = self.given.iter().filter(|given| !settings.iter().any(|(_, has)| has.name == given.flag));
        let flags: Vec<_> = flags
            .map(|given| InForce {
                name: given.flag.clone(),
                value: given.value.clone(),
                from: given.setter(),
            })
            .collect();
        let text = self.file.as_ref().map(|(_, text)| text.as_str()).unwrap_or_default();
        let keys = File::keys_of(text);
        let keys = keys.into_iter().filter(|(key, _)| !settings.iter().any(|(known, _)| known == key));
        let keys: Vec<_> =
            keys.map(|(key, value)| InForce { from: self.line_of(&key), name: key, value }).collect();
        let found = settings.into_iter().map(|(_, setting)| setting);
        found.chain(flags).chain(keys).collect()
    }

    fn note(&self, (flag, key): Name<'_>, value: String, from: String) {
        let mut found = self.found.borrow_mut();
        if found.iter().any(|(known, _)| known == key) {
            return;
        }
        explain(self.ui, flag, &value, &from);
        found.push((key.to_owned(), InForce { name: flag.to_owned(), value, from }));
    }

    /// The flag, or its variable.
    fn setter_of(&self, flag: &str) -> String {
        let given = self.given.iter().find(|given| given.flag == flag);
        given.map_or_else(|| format!("--{flag}"), Given::setter)
    }

    /// The file with the line of a key.
    fn line_of(&self, key: &str) -> String {
        let Some((path, text)) = &self.file else { return "the configuration file".into() };
        let line = line_of(text, key).map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}", path.display())
    }
}
