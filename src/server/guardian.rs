//! What outlives us for a moment, to clean up behind us however we end: a panic, SIGKILL and all.
//!
//! The trick is a pipe that nobody writes to. We hold its one end; a small shell script reads the other and gets
//! nothing until we drop our end or are gone, since the system closes it then. Two such scripts are chained:
//!
//! ```text
//! us ──pipe──> keeper of initdb or postgres ──pipe──> sweeper of the folder
//!  └────────────────────pipe────────────────────────────┘
//! ```
//!
//! The keeper stops its program when we end; the sweeper removes the folder when we *and* every keeper have ended, so
//! that nothing still writes into what is being removed. The keepers are the server's user, the sweeper is ours: only
//! it surely has the right to remove the folder. All of them are in process groups of their own, out of the reach of a
//! Ctrl-C in our terminal.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, PipeReader, PipeWriter},
    os::unix::{
        fs::{OpenOptionsExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Error, account::Account};

/// Reads until we end, then removes the folder.
const SWEEP: &str = r#"read -r line; rm -rf -- "$1""#;

/// Runs a program until it ends or we do. A SIGQUIT makes postgres drop everything and go, and ends initdb. It is
/// repeated, because a shell has its background programs ignore it until they ask for it themselves.
///
/// The reader has to be told its standard input: a shell gives what it runs in the background none.
const KEEP: &str = r#"
exec 3<&0
"$@" </dev/null >&2 3<&- &
program=$!
{ read -r line; while kill -QUIT "$program"; do sleep 1; done; } <&3 >/dev/null 2>&1 &
reader=$!
wait "$program"
status=$?
kill "$reader"
exit "$status"
"#;

/// Runs `docker run` (all but the first argument) until it ends or we do, and removes its container (the first argument)
/// then. A SIGKILL ends the fetching of an image, too, and never reaches the server inside.
const CONTAIN: &str = r#"
exec 3<&0
name=$1
shift
"$@" </dev/null >&2 3<&- &
program=$!
{ read -r line; kill -KILL "$program"; } <&3 >/dev/null 2>&1 &
reader=$!
wait "$program"
status=$?
kill "$reader" 2>/dev/null
docker rm --force --volumes "$name" >/dev/null 2>&1 3<&-
exit "$status"
"#;

/// The shell that POSIX systems have, whatever the PATH is.
const SHELL: &str = "/bin/sh";

/// How often a script is looked after.
const PAUSE: Duration = Duration::from_millis(5);

/// How long to wait for a script on the way out. postgres gives its own processes 5 s before it kills them; whatever
/// is not done by then is done later, without us.
const PATIENCE: Duration = Duration::from_secs(8);

/// A folder that goes when we go.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    sweeper: Script,
}

impl Folder {
    /// Makes a new folder below `temp_dir`, which `account` can enter and only we can write to.
    pub(super) fn create(temp_dir: &Path, account: &Account) -> Result<Self, Error> {
        let temp_dir = &fs::canonicalize(temp_dir).map_err(Error::io("find", temp_dir))?;
        account.check_way_to(temp_dir)?;
        let made = tempfile::Builder::new().prefix("pgtrickle-ci-").tempdir_in(temp_dir);
        let made = made.map_err(Error::io("make a folder in", temp_dir))?;
        let rights = if *account == Account::Ourselves { 0o700 } else { 0o755 };
        fs::set_permissions(made.path(), Permissions::from_mode(rights))
            .map_err(Error::io("open", made.path()))?;
        let mut sweep = script(SWEEP, [made.path()]);
        sweep.stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = Script::start(sweep)?;
        // From here on the sweeper removes it.
        Ok(Self { path: made.keep(), sweeper })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder in it that is `account`'s own.
    pub(super) fn private_folder(&self, name: &str, account: &Account) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(Error::io("make", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(Error::io("close", &path))?;
        account.give(&path)?;
        Ok(path)
    }

    /// Writes a file into it that only `account` can read.
    pub(super) fn private_file(&self, name: &str, text: &str, account: &Account) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(Error::io("write", &path))?;
        account.give(&path)?;
        Ok(path)
    }

    /// Starts a program as `account`, in this folder and with nothing of our environment but what `command` sets.
    pub(super) fn keep(&self, command: &Command, account: &Account, log: &Path) -> Result<Kept, Error> {
        let errors = File::create(log).map_err(Error::io("write", log))?;
        let mut keep = script(KEEP, std::iter::once(command.get_program()).chain(command.get_args()));
        keep.env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(&self.path)
            // The sweeper sees the keeper's end by this.
            .stdout(self.sweeper.line()?)
            .stderr(errors);
        account.run_as(&mut keep);
        Ok(Kept { script: Script::start(keep)?, log: log.to_owned() })
    }

    /// Starts `docker run` in our own environment, which tells docker where its server is.
    pub(super) fn keep_container(&self, run: &Command, name: &str, log: &Path) -> Result<Kept, Error> {
        let errors = File::create(log).map_err(Error::io("write", log))?;
        let arguments = [OsStr::new(name), run.get_program()];
        let mut contain = script(CONTAIN, arguments.into_iter().chain(run.get_args()));
        contain.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        contain.stdout(self.sweeper.line()?).stderr(errors);
        Ok(Kept { script: Script::start(contain)?, log: log.to_owned() })
    }
}

/// A program that ends when we end.
#[derive(Debug)]
pub(super) struct Kept {
    script: Script,
    log: PathBuf,
}

impl Kept {
    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.script.child.try_wait().ok().flatten()
    }

    /// Waits until it ends.
    pub(super) async fn end(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The last lines that it wrote.
    pub(super) fn last_words(&self) -> Vec<String> {
        const LINES: usize = 20;
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }
}

/// A running shell script that ends after the last copy of our end of the pipe is closed.
#[derive(Debug)]
struct Script {
    child: Child,
    line: Option<PipeWriter>,
}

impl Script {
    fn start(mut command: Command) -> Result<Self, Error> {
        let shell = Path::new(SHELL);
        let (reader, line): (PipeReader, PipeWriter) =
            io::pipe().map_err(Error::io("make a pipe to", shell))?;
        let child = command.stdin(reader).process_group(0).spawn().map_err(Error::io("start", shell))?;
        Ok(Self { child, line: Some(line) })
    }

    /// Another copy of our end of the pipe.
    fn line(&self) -> Result<Stdio, Error> {
        let copy =
            self.line.as_ref().map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), PipeWriter::try_clone);
        copy.map(Stdio::from).map_err(Error::io("share the pipe to", Path::new(SHELL)))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.line = None;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(PAUSE);
        }
    }
}

fn script<A: AsRef<OsStr>>(text: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(SHELL);
    command.arg("-c").arg(text).arg("pgtrickle-ci").args(arguments);
    command
}
