//! Progress goes to standard error, reports go to files or standard output.

mod activity;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

pub use activity::Activity;

use crate::report::{annotations, text};

/// The longest time without a line in a log.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a terminal shows what goes on.
pub const FRAME: Duration = Duration::from_millis(500);

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {source}", file.display())]
pub struct Error {
    file: PathBuf,
    source: io::Error,
}

impl Error {
    pub fn hint(&self) -> String {
        "choose a file in an existing, writable folder".into()
    }
}

/// How much output there is, and how it looks.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate switch")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ui {
    /// Only problems.
    pub quiet: bool,
    /// Also dbt's output.
    pub verbose: bool,
    /// Changed queries in full.
    pub full: bool,
    pub color: bool,
    /// The width of the terminal, in columns.
    pub width: usize,
    /// A GitHub runner reads the output: it folds the lines between `::group::` and `::endgroup::`.
    pub runner: bool,
}

impl Ui {
    /// Prints a line of progress.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            to_stderr(line);
        }
    }

    /// Whether to show the output of child processes while they run.
    pub fn passes_output_on(&self) -> bool {
        !self.quiet && (self.verbose || self.runner)
    }

    /// Prints a warning; a runner also shows it in the job's annotations.
    pub fn warn(&self, title: &str, text: &str) {
        if self.runner {
            to_runner(&annotations::command("warning", &[("title", title)], &text::plain(text)));
        } else {
            to_stderr(&format!("warning: {title}\n{text}"));
        }
    }

    /// Starts a group that a runner's log folds.
    pub fn open_group(&self, title: &str) {
        if self.runner {
            command(&format!("::group::{title}"));
        } else {
            self.say(title);
        }
    }

    pub fn close_group(&self) {
        if self.runner {
            command("::endgroup::");
        }
    }
}

/// Lines on a terminal that are redrawn as their content changes, and erased at the end.
#[derive(Debug)]
pub struct Live {
    width: usize,
    lines: Vec<String>,
}

impl Live {
    /// The most lines to draw: with more, the first ones could scroll off and not be erased.
    const MOST: usize = 12;

    /// `None` if standard error is not a terminal, or if the output is quiet.
    pub fn start(ui: Ui) -> Option<Self> {
        let is_visible = io::stderr().is_terminal() && !ui.quiet && !ui.runner;
        is_visible.then(|| Self { width: ui.width, lines: Vec::new() })
    }

    /// Replaces the drawn lines.
    pub fn draw(&mut self, lines: &[String]) {
        let mut new: Vec<String> = lines.iter().take(Self::MOST).map(|line| self.cut(line)).collect();
        if lines.len() > Self::MOST {
            new.push(format!("and {} more", lines.len() - Self::MOST));
        }
        if new != self.lines {
            self.clear();
            let _ = io::stderr().lock().write_all(format!("{}\n", new.join("\n")).as_bytes());
            self.lines = new;
        }
    }

    /// Cuts a line to the width: `clear` counts on each line taking one row.
    fn cut(&self, line: &str) -> String {
        text::clip_to_width(&text::line(line), self.width.saturating_sub(1))
    }

    fn clear(&mut self) {
        if !self.lines.is_empty() {
            let _ = write!(io::stderr().lock(), "\x1b[{}A\x1b[J", self.lines.len());
            self.lines.clear();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Prints even in quiet mode. Text from outside cannot move the cursor or become a workflow command.
pub fn to_stderr(text: &str) {
    // There is no other place to report a failure to.
    let _ = writeln!(io::stderr().lock(), "{}", text::no_command(&text::plain(text)));
}

/// Writes workflow commands that [`crate::report::annotations`] rendered.
pub fn to_runner(commands: &str) {
    let _ = io::stderr().lock().write_all(commands.as_bytes());
}

/// Appends to a file that a runner provides.
pub fn append(file: &Path, text: &str) -> Result<(), Error> {
    let append =
        || std::fs::OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes());
    append().map_err(|source| Error { file: file.to_owned(), source })
}

/// Writes a workflow command that contains no text from outside.
fn command(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints a report. A runner reads standard output too, so workflow commands in it are disabled.
pub fn report_to_stdout(report: &str) -> Result<(), Error> {
    to_stdout(&text::no_command(report))
}

/// Writes to standard output. A closed pipe (`| head`) is not an error.
fn to_stdout(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error { file: "-".into(), source }),
        _ => Ok(()),
    }
}

/// Writes a file atomically, or standard output for `-`.
pub fn to_file(file: &Path, text: &str) -> Result<(), Error> {
    // Other users may read reports; by default they cannot read temporary files.
    to_file_of_mode(file, text, 0o644)
}

/// The same, and only its owner can read the file.
pub fn to_private_file(file: &Path, text: &str) -> Result<(), Error> {
    to_file_of_mode(file, text, 0o600)
}

fn to_file_of_mode(file: &Path, text: &str, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;

    if file == Path::new("-") {
        return to_stdout(text);
    }
    let permissions = std::fs::Permissions::from_mode(mode);
    let write = || -> io::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A pipe or a device (`/dev/stdout`) can only be written to, not replaced.
        if file.exists() && !file.is_file() {
            return std::fs::write(file, text);
        }
        let mut temporary = tempfile::Builder::new().permissions(permissions).tempfile_in(folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.persist(file).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| Error { file: file.to_owned(), source })
}

/// Creates a folder and its parents, if they do not exist.
pub fn make_folder(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error { file: folder.to_owned(), source })
}

/// Fails early if a report file cannot be written, before the work that fills it.
pub fn check_writable(file: &Path) -> Result<(), Error> {
    if file == Path::new("-") || file.exists() {
        return Ok(());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map(drop).map_err(|source| Error { file: file.to_owned(), source })
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The terminal's width in columns; `None` without a terminal.
pub fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn a_drawn_line_takes_one_row() {
        let live = Live { width: 20, lines: Vec::new() };
        for line in
            ["注文合計の集計テーブル is populated", "a\tb\nc", "x\u{1b}[31m\u{202e}y", "dbt build 1/2 · 3s"]
        {
            let cut = live.cut(line);
            assert!(cut.width() < 20 && !cut.contains(char::is_control), "{cut:?}");
        }
        assert_eq!(live.cut("dbt build 1/2 · 3s"), "dbt build 1/2 · 3s");
    }
}
