//! The files of the scenarios.
//!
//! ```sql
//! -- # what is to be seen, as a sentence
//! -- emulator: why it cannot agree                       (a mark)
//! -- from 0.55.0: what earlier versions do instead       (the first version of which it is true)
//! -- until 0.86.0: what this version and later ones do   (the first version of which it is not)
//! CREATE TABLE t (id int PRIMARY KEY);
//! SELECT pgtrickle.create_stream_table('public.s', 'SELECT id FROM t LIMIT 5', '1m');
//! --> ERROR 0A000: unsupported operator for DIFFERENTIAL mode: LIMIT …
//! ```
//!
//! A statement ends where a line ends with a semicolon. Below it is what the client gets, a line each: warnings, then
//! rows (columns apart by ` | `), then the error. Empty values of a single column, which is how void looks, are left out.
//! Notices and informations are compared only where one is written down. `…` matches any text; `$db` in a statement
//! or an answer for the name of the scenario's database.
//!
//! A line `--@ …` says how the next statement is run:
//! - `--@ b`: by another session, of that name. The first session is `a`.
//! - `--@ until`: again and again, until the answer is the one below.
//! - `--@ b starts`: without waiting for its end; the next step comes when it ended or waits for a lock or a clock.
//! - `--@ b ends`: no statement; now the one that was started has to end, and this is its answer.
//! - `--@ b hears`: no statement; waits for a notification like the one below.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc};

use pgtrickle_ci::model::Version;

use crate::{
    engine::{Engine, Kind},
    play::Answer,
};

/// One file of scenarios.
pub struct Area {
    pub file: PathBuf,
    pub scenarios: Vec<Arc<Scenario>>,
}

pub struct Scenario {
    pub file: PathBuf,
    pub title: String,
    /// Why the emulator cannot agree.
    pub mark: Option<String>,
    pub from: Option<Limit>,
    pub until: Option<Limit>,
    pub steps: Vec<Step>,
}

/// An end of the versions of which a scenario is true.
pub struct Limit {
    pub version: Version,
    /// What versions beyond it do.
    pub beyond: String,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub session: String,
    pub manner: Manner,
    pub sql: String,
    pub expected: Vec<String>,
    /// The number of the line, from 0, on which the answer begins, or would begin.
    pub answer_at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Once,
    Until,
    Starts,
    Ends,
    Hears,
}

impl Area {
    /// All areas, in the order of their names.
    pub fn read_all() -> Vec<Self> {
        let folder = PathBuf::from("tests/conformance/scenarios");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(Self::read).collect()
    }

    fn read(file: PathBuf) -> Self {
        let text = fs::read_to_string(&file).unwrap();
        let mut reader = Reader { file: file.clone(), scenarios: Vec::new(), pending: Pending::default() };
        for (number, line) in text.lines().enumerate() {
            if let Err(problem) = reader.take(number, line) {
                panic!("{}:{}: {problem}", file.display(), number + 1);
            }
        }
        Self { file, scenarios: reader.scenarios.into_iter().map(Arc::new).collect() }
    }

    /// Replaces answers that differ by those that came.
    pub fn record<'a>(&self, answers: impl Iterator<Item = &'a Answer>) {
        let text = fs::read_to_string(&self.file).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let mut changed: Vec<_> = answers.filter(|answer| !answer.agrees()).collect();
        changed.sort_by_key(|answer| std::cmp::Reverse(answer.step.answer_at));
        let news: Vec<_> = changed.iter().map(|answer| (answer.step.clone(), answer.as_recorded())).collect();
        for (step, new) in &news {
            let old = step.answer_at..step.answer_at + step.expected.len();
            lines.splice(old, new.iter().map(String::as_str));
        }
        if !news.is_empty() {
            let mut text = lines.join("\n");
            text.push('\n');
            fs::write(&self.file, text).unwrap();
            println!("recorded {} answers in {}", news.len(), self.file.display());
        }
    }
}

impl Scenario {
    pub fn name(&self) -> String {
        format!("{}: {}", self.file.file_stem().unwrap().to_string_lossy(), self.title)
    }

    /// Why this engine cannot agree.
    pub fn mark(&self, engine: &Engine) -> Option<&str> {
        self.mark.as_deref().filter(|_| engine.kind == Kind::Emulator)
    }

    /// Why it is not played on this version; `None` if it is true of it.
    pub fn out_of_range(&self, version: Version) -> Option<String> {
        let said = |word, Limit { version, beyond }: &Limit| Some(format!("{word} {version}: {beyond}"));
        match (&self.from, &self.until) {
            (Some(from), _) if version < from.version => said("from", from),
            (_, Some(until)) if version >= until.version => said("until", until),
            _ => None,
        }
    }
}

impl Limit {
    fn read(text: &str) -> Result<Self, String> {
        let (version, beyond) = text.split_once(": ").ok_or("a limit is `VERSION: what others do`")?;
        let version = Version::parse(version).ok_or_else(|| format!("`{version}` is no version"))?;
        Ok(Self { version, beyond: beyond.to_owned() })
    }
}

/// What was read of the next step.
#[derive(Default)]
struct Pending {
    session: Option<String>,
    manner: Option<Manner>,
    sql: String,
}

struct Reader {
    file: PathBuf,
    scenarios: Vec<Scenario>,
    pending: Pending,
}

impl Reader {
    fn take(&mut self, number: usize, line: &str) -> Result<(), String> {
        if let Some(title) = line.strip_prefix("-- # ") {
            self.end_statement()?;
            let (file, title) = (self.file.clone(), title.to_owned());
            let (mark, from, until, steps) = (None, None, None, Vec::new());
            self.scenarios.push(Scenario { file, title, mark, from, until, steps });
        } else if let Some(answer) = line.strip_prefix("--> ") {
            self.end_statement()?;
            let step = self.scenario()?.steps.last_mut().ok_or("an answer to nothing")?;
            step.expected.push(answer.to_owned());
        } else if let Some(how) = line.strip_prefix("--@ ") {
            self.end_statement()?;
            self.manner(number, how)?;
        } else if let Some(reason) = line.strip_prefix("-- emulator: ") {
            self.scenario()?.mark = Some(reason.to_owned());
        } else if let Some(limit) = line.strip_prefix("-- from ") {
            self.scenario()?.from = Some(Limit::read(limit)?);
        } else if let Some(limit) = line.strip_prefix("-- until ") {
            self.scenario()?.until = Some(Limit::read(limit)?);
        } else if line.starts_with("--") {
            // A comment.
        } else if !line.trim().is_empty() {
            writeln!(self.pending.sql, "{line}").unwrap();
            if line.ends_with(';') {
                self.push(number + 1)?;
            }
        }
        Ok(())
    }

    fn manner(&mut self, number: usize, how: &str) -> Result<(), String> {
        let words: Vec<&str> = how.split(' ').collect();
        let (session, manner) = match words[..] {
            ["until"] => ("a", Manner::Until),
            [session] => (session, Manner::Once),
            [session, "until"] => (session, Manner::Until),
            [session, "starts"] => (session, Manner::Starts),
            [session, "ends"] => (session, Manner::Ends),
            [session, "hears"] => (session, Manner::Hears),
            _ => return Err(format!("what does `{how}` mean?")),
        };
        self.pending.session = Some(session.to_owned());
        self.pending.manner = Some(manner);
        if matches!(manner, Manner::Ends | Manner::Hears) { self.push(number + 1) } else { Ok(()) }
    }

    fn push(&mut self, answer_at: usize) -> Result<(), String> {
        let Pending { session, manner, sql } = std::mem::take(&mut self.pending);
        let session = session.unwrap_or_else(|| "a".to_owned());
        let (manner, expected) = (manner.unwrap_or(Manner::Once), Vec::new());
        self.scenario()?.steps.push(Step { session, manner, sql, expected, answer_at });
        Ok(())
    }

    fn end_statement(&self) -> Result<(), String> {
        if self.pending.sql.is_empty() { Ok(()) } else { Err("a statement has no end".to_owned()) }
    }

    fn scenario(&mut self) -> Result<&mut Scenario, String> {
        self.scenarios.last_mut().ok_or_else(|| "no scenario has begun".to_owned())
    }
}
