//! Where words go: progress to the standard error, reports to files or the standard output.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use crate::report::{annotations, text};

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {source}", file.display())]
pub struct Error {
    file: PathBuf,
    source: io::Error,
}

impl Error {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        "name a file in a folder that exists and can be written to".into()
    }
}

/// How much is said, and how it looks.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ui {
    /// Nothing but what is wrong.
    pub quiet: bool,
    /// What dbt says, too.
    pub verbose: bool,
    /// Changed queries as a whole.
    pub full: bool,
    /// Colour.
    pub color: bool,
    /// The columns of the terminal.
    pub width: usize,
    /// A GitHub runner's log folds what stands between `::group::` and `::endgroup::`.
    pub runner: bool,
}

impl Ui {
    /// One line of progress.
    pub fn say(&self, line: &str) {
        if !self.quiet {
            to_stderr(line);
        }
    }

    /// Whether the output of programs that are run is passed on while they run.
    pub fn passes_output_on(&self) -> bool {
        !self.quiet && (self.verbose || self.runner)
    }

    /// A warning, which a runner shows beside the job, too.
    pub fn warn(&self, title: &str, text: &str) {
        if self.runner {
            to_runner(&annotations::command("warning", &[("title", title)], &text::plain(text)));
        } else {
            to_stderr(&format!("warning: {title}\n{text}"));
        }
    }

    /// Opens a fold in a runner's log.
    pub fn open_group(&self, title: &str) {
        if self.runner {
            command(&format!("::group::{title}"));
        } else {
            self.say(title);
        }
    }

    /// Closes the fold.
    pub fn close_group(&self) {
        if self.runner {
            command("::endgroup::");
        }
    }
}

/// Lines on a terminal that are written over while something changes, and taken away in the end.
#[derive(Debug)]
pub struct Live {
    width: usize,
    lines: Vec<String>,
}

impl Live {
    /// So many lines at most, or an earlier one would scroll out of reach.
    const MOST: usize = 12;

    /// Where somebody can see it.
    pub fn start(ui: Ui) -> Option<Self> {
        let seen = io::stderr().is_terminal() && !ui.quiet && !ui.runner;
        seen.then(|| Self { width: ui.width, lines: Vec::new() })
    }

    /// Shows these lines instead of the last ones.
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

    /// A line that breaks would be two to take away.
    fn cut(&self, line: &str) -> String {
        text::plain(line).replace('\n', " ").chars().take(self.width.saturating_sub(1)).collect()
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

/// Words that are said even when quiet was asked for. What they hold of others' text can neither move the cursor nor
/// be taken for a command by a runner.
pub fn to_stderr(words: &str) {
    // Nobody listens when this fails.
    let _ = writeln!(io::stderr().lock(), "{}", text::no_command(&text::plain(words)));
}

/// Commands of our own to the runner, made by [`crate::report::annotations`].
pub fn to_runner(commands: &str) {
    let _ = io::stderr().lock().write_all(commands.as_bytes());
}

/// Adds text to a file that a runner gave us.
pub fn append(file: &Path, text: &str) -> Result<(), Error> {
    let append =
        || std::fs::OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes());
    append().map_err(|source| Error { file: file.to_owned(), source })
}

/// A command of our own to the runner. The title is ours, too.
fn command(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A report for people to the standard output, which a runner reads as well.
pub fn report_to_stdout(report: &str) -> Result<(), Error> {
    to_stdout(&text::no_command(report))
}

/// Text to the standard output. A reader that left early (`| head`) is no error.
fn to_stdout(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error { file: "-".into(), source }),
        _ => Ok(()),
    }
}

/// Text to a file, or to the standard output for `-`. The file is whole or as it was.
pub fn to_file(file: &Path, text: &str) -> Result<(), Error> {
    if file == Path::new("-") {
        return to_stdout(text);
    }
    let write = || -> io::Result<()> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A pipe or a device (`/dev/stdout`) cannot be replaced, only written to.
        if file.exists() && !file.is_file() {
            return std::fs::write(file, text);
        }
        let mut whole = tempfile::Builder::new().permissions(file_mode()).tempfile_in(folder)?;
        whole.write_all(text.as_bytes())?;
        whole.persist(file).map(drop).map_err(|error| error.error)
    };
    write().map_err(|source| Error { file: file.to_owned(), source })
}

/// Makes a folder, where it is not there.
pub fn make_folder(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error { file: folder.to_owned(), source })
}

/// Reports are for others to read; temporary files are not, by default.
fn file_mode() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o644)
}

/// Whether a file could be written, before the work that fills it is done.
pub fn check_writable(file: &Path) -> Result<(), Error> {
    if file == Path::new("-") || file.exists() {
        return Ok(());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder).map(drop).map_err(|source| Error { file: file.to_owned(), source })
}

/// Whether the standard output is a terminal.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The terminal's width, or a readable one where there is no terminal.
pub fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}
