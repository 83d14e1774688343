//! `.env`: a file of variables that dbt adds to those of the shell. The shell takes precedence.
//!
//! dbt 1.12 reads the nearest one, in its working directory or above, as python-dotenv 1.2 does. dbt 2 reads the one of
//! its working directory, as the crate dotenvy does. Earlier versions read none.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Error, packages_of};

/// Which `.env` a version of dbt reads, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dotenv {
    /// None: dbt 1.11 and earlier.
    Unread,
    /// dbt 1.12.
    Nearest,
    /// dbt 2.
    Here,
}

/// The variables that dbt takes from a `.env` if its working directory is `here`. Without a dbt, those of dbt 1.12.
pub fn variables(
    program: Option<&Path>,
    here: &Path,
    shell: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let Some(nearest) = here.ancestors().map(|dir| dir.join(".env")).find(|file| is_readable(file)) else {
        // Without a file the version of dbt does not matter.
        return Ok(BTreeMap::new());
    };
    let read = match program.map_or(Dotenv::Nearest, Dotenv::of) {
        Dotenv::Nearest if !is_disabled(shell) => {
            let text = std::fs::read_to_string(&nearest).map_err(Error::unreadable(&nearest))?;
            by_python(&text, shell)
        }
        Dotenv::Here => by_dotenvy(&here.join(".env"))?,
        Dotenv::Unread | Dotenv::Nearest => BTreeMap::new(),
    };
    // The system rejects any other variable.
    let is_possible = |name: &str, value: &str| {
        !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') && !shell.contains_key(name)
    };
    Ok(read.into_iter().filter(|(name, value)| is_possible(name, value)).collect())
}

/// Whether it is a file, or a pipe as of a password manager.
fn is_readable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|data| !data.is_dir())
}

/// Whether python-dotenv is switched off.
fn is_disabled(shell: &BTreeMap<String, String>) -> bool {
    let word = shell.get(DISABLED).map(|word| word.to_lowercase());
    word.is_some_and(|word| ["1", "true", "t", "yes", "y"].contains(&word.as_str()))
}

/// The variable that switches python-dotenv off.
pub(super) const DISABLED: &str = "PYTHON_DOTENV_DISABLED";

impl Dotenv {
    /// The behavior of this installation of dbt.
    pub(super) fn of(program: &Path) -> Self {
        match version(program) {
            Some((2.., _)) => Self::Here,
            Some((1, 12..)) => Self::Nearest,
            Some(_) | None => Self::Unread,
        }
    }
}

/// dbt's version, from the installed packages, or else from `dbt --version`.
fn version(program: &Path) -> Option<(u32, u32)> {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let beside = packages_of(&program).into_iter().find_map(|packages| {
        let names = std::fs::read_dir(packages).ok()?.flatten();
        names.map(|entry| entry.file_name()).find_map(|name| {
            numbers(name.to_str()?.strip_prefix("dbt_core-").filter(|rest| rest.ends_with(".dist-info"))?)
        })
    });
    beside.or_else(|| {
        let said = Command::new(&program).arg("--version").stdin(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&said.stdout).split_whitespace().find_map(numbers)
    })
}

/// `1.12.0` → 1 and 12.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// dbt 2 silently stops at the first line that it cannot read.
fn by_dotenvy(file: &Path) -> Result<BTreeMap<String, String>, Error> {
    let opened = match dotenvy::from_path_iter(file) {
        Ok(opened) => opened,
        Err(dotenvy::Error::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Error::unreadable(file)(error)),
    };
    let mut read = BTreeMap::new();
    for (name, value) in opened.map_while(Result::ok) {
        // The first value counts: dbt 2 does not override a variable that is set.
        read.entry(name).or_insert(value);
    }
    Ok(read)
}

/// Reads a file as python-dotenv does. It ignores invalid lines.
fn by_python(text: &str, shell: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    // Python translates line ends when it opens a file.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut read: BTreeMap<String, Option<String>> = BTreeMap::new();
    while !rest.is_empty() {
        let mut reader = DotenvReader(rest);
        match reader.line() {
            Some(DotenvLine::Binding(name, value)) => {
                let value = value.map(|value| resolved(&value, &read, shell));
                read.insert(name, value);
            }
            Some(DotenvLine::Nothing) => {}
            None => reader.skip_line(),
        }
        rest = reader.0;
    }
    read.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The value with `${NAME}` and `${NAME:-default}` replaced.
fn resolved(
    value: &str,
    read: &BTreeMap<String, Option<String>>,
    shell: &BTreeMap<String, String>,
) -> String {
    let mut whole = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${").filter(|(_, after)| after.contains('}')) {
        whole.push_str(before);
        let name_ends = after.find(['}', ':']).unwrap_or(after.len());
        let (name, tail) = after.split_at(name_ends);
        let (default, tail) = match tail.strip_prefix(":-").and_then(|tail| tail.split_once('}')) {
            Some((default, tail)) => (default, Some(tail)),
            None => ("", tail.strip_prefix('}')),
        };
        let Some(tail) = tail else {
            whole.push_str("${");
            rest = after;
            continue;
        };
        let set = shell.get(name).map(|value| Some(value.as_str()));
        let set = set.or_else(|| read.get(name).map(Option::as_deref));
        whole.push_str(set.map_or(default, Option::unwrap_or_default));
        rest = tail;
    }
    whole + rest
}

/// The rest of a file. Each method is a part of python-dotenv's grammar; `None` is an invalid line.
struct DotenvReader<'a>(&'a str);

enum DotenvLine {
    /// The end of the file, an empty line or a comment.
    Nothing,
    /// A name, and its value if it has one.
    Binding(String, Option<String>),
}

impl<'a> DotenvReader<'a> {
    fn line(&mut self) -> Option<DotenvLine> {
        self.take_while(is_space);
        if self.0.is_empty() {
            return Some(DotenvLine::Nothing);
        }
        if let Some(after) = self.0.strip_prefix("export")
            && after.starts_with(is_blank)
        {
            self.0 = after.trim_start_matches(is_blank);
        }
        let name = self.name()?;
        self.take_while(is_blank);
        let mut value = None;
        if let Some(after) = self.0.strip_prefix('=') {
            self.0 = after;
            let is_apart = !self.take_while(is_blank).is_empty();
            value = Some(if is_apart && self.0.starts_with('#') { String::new() } else { self.value()? });
        }
        let after = self.0.trim_start_matches(is_blank);
        if after.starts_with('#') {
            self.0 = after;
            self.take_while(|c| c != '\n');
        }
        self.take_while(is_blank);
        self.0 = self.0.strip_prefix('\n').or_else(|| self.0.is_empty().then_some(""))?;
        Some(if name.is_empty() { DotenvLine::Nothing } else { DotenvLine::Binding(name, value) })
    }

    /// A name; empty before a comment.
    fn name(&mut self) -> Option<String> {
        if self.0.starts_with('#') {
            return Some(String::new());
        }
        let name = match self.0.strip_prefix('\'') {
            Some(after) => {
                let (name, after) = after.split_once('\'')?;
                self.0 = after;
                name
            }
            None => self.take_while(|c| c != '=' && c != '#' && !is_space(c)),
        };
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn value(&mut self) -> Option<String> {
        if let Some(quote @ ('\'' | '"')) = self.0.chars().next() {
            return self.quoted(quote);
        }
        let line = self.take_while(|c| c != '\n');
        let is_comment = |(at, _): &(usize, &str)| line[..*at].ends_with(is_space);
        let end = line.match_indices('#').find(is_comment).map_or(line.len(), |(at, _)| at);
        Some(line[..end].trim_end_matches(is_space).to_owned())
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.0.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => {
                    let (_, escaped) = characters.next()?;
                    match unescaped(escaped).filter(|_| quote == '"' || matches!(escaped, '\\' | '\'')) {
                        Some(character) => value.push(character),
                        None => value.extend(['\\', escaped]),
                    }
                }
                end if end == quote => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                other => value.push(other),
            }
        }
        None
    }

    fn skip_line(&mut self) {
        self.take_while(|c| c != '\n');
        self.0 = self.0.strip_prefix('\n').unwrap_or(self.0);
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let (part, rest) = self.0.split_at(self.0.find(|c| !is_part(c)).unwrap_or(self.0.len()));
        self.0 = rest;
        part
    }
}

/// The meaning of a backslash and this character in Python.
fn unescaped(character: char) -> Option<char> {
    let known = [
        ('\\', '\\'),
        ('\'', '\''),
        ('"', '"'),
        ('a', '\u{7}'),
        ('b', '\u{8}'),
        ('f', '\u{c}'),
        ('n', '\n'),
        ('r', '\r'),
        ('t', '\t'),
        ('v', '\u{b}'),
    ];
    known.iter().find(|(letter, _)| *letter == character).map(|(_, meant)| *meant)
}

/// White space as Python defines it.
fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// White space within a line.
fn is_blank(character: char) -> bool {
    is_space(character) && character != '\n'
}

/// The part of the environment that is needed to start dbt.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    /// The folders of the PATH.
    pub path: Vec<PathBuf>,
    /// The variables that dbt takes from its `.env`.
    pub dotenv: BTreeMap<String, String>,
}

#[cfg(test)]
#[path = "dotenv_tests.rs"]
mod tests;
