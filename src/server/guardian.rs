//! Processes that clean up after this one, however it ends: also after a panic or SIGKILL.
//!
//! It uses a pipe without writes. We hold one end, a small shell script reads the other. The read returns when we drop
//! our end or our process ends, because the system then closes it. Two such scripts are chained:
//!
//! ```text
//! us ──pipe──> keeper of initdb or postgres ──pipe──> sweeper of the folder
//!  └────────────────────pipe────────────────────────────┘
//! ```
//!
//! The keeper stops its program when we end. The sweeper removes the folder when we *and* all keepers have ended, so
//! that no process writes into the folder during the removal. Keepers run as the server's user. The sweeper runs as our
//! user, who always has the permission to remove the folder. Each has its own process group, so that Ctrl-C in our
//! terminal does not reach it.

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

/// Waits until we end, then removes the folder.
const SWEEP: &str = r#"read -r line; rm -rf -- "$1""#;

/// Runs a program until it or we end. SIGQUIT makes postgres exit immediately, and ends initdb. It is repeated, because
/// a program that a shell runs in the background ignores it until the program installs a handler.
///
/// The reader's standard input is explicit, because a shell's background programs have none.
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

/// Runs `docker run` (all but the first argument) until it or we end, then removes its container (the first argument).
/// SIGKILL also ends a pull, and does not reach the server in the container.
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

/// The shell of POSIX systems, independent of the PATH.
const SHELL: &str = "/bin/sh";

/// The interval between two checks of a script.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a drop waits for a script. postgres kills its processes after 5 s. The scripts finish without us if it
/// takes longer.
const DROP_TIMEOUT: Duration = Duration::from_secs(8);

/// A folder that is removed when we end.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    sweeper: Script,
}

impl Folder {
    /// Creates a folder below `temp_dir` that `account` can enter and only the current user can write to.
    pub(super) fn create(temp_dir: &Path, account: &Account) -> Result<Self, Error> {
        let temp_dir = &fs::canonicalize(temp_dir).map_err(Error::io("find", temp_dir))?;
        account.check_can_enter(temp_dir)?;
        let created = tempfile::Builder::new().prefix("pgtrickle-ci-").tempdir_in(temp_dir);
        let created = created.map_err(Error::io("create a folder in", temp_dir))?;
        let rights = if *account == Account::Ourselves { 0o700 } else { 0o755 };
        fs::set_permissions(created.path(), Permissions::from_mode(rights))
            .map_err(Error::io("set the mode of", created.path()))?;
        let mut sweep = script(SWEEP, [created.path()]);
        sweep.stdout(Stdio::null()).stderr(Stdio::null());
        let sweeper = Script::start(sweep)?;
        // From here on, the sweeper removes it.
        Ok(Self { path: created.keep(), sweeper })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a subfolder that only `account` can access.
    pub(super) fn private_folder(&self, name: &str, account: &Account) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(Error::io("create", &path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))
            .map_err(Error::io("set the mode of", &path))?;
        account.make_owner_of(&path)?;
        Ok(path)
    }

    /// Writes a file that only `account` can read.
    pub(super) fn private_file(&self, name: &str, text: &str, account: &Account) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
            .map_err(Error::io("write", &path))?;
        account.make_owner_of(&path)?;
        Ok(path)
    }

    /// Starts a program as `account`, in this folder, with only the environment that `command` sets.
    pub(super) fn keep(
        &self,
        command: &Command,
        account: &Account,
        log: &Path,
    ) -> Result<GuardedProcess, Error> {
        let errors = File::create(log).map_err(Error::io("write", log))?;
        let mut keep = script(KEEP, std::iter::once(command.get_program()).chain(command.get_args()));
        keep.env_clear()
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(&self.path)
            // The sweeper waits until the keeper closes this pipe.
            .stdout(self.sweeper.pipe()?)
            .stderr(errors);
        account.run_as(&mut keep);
        Ok(GuardedProcess { script: Script::start(keep)?, log: log.to_owned() })
    }

    /// Starts `docker run` with this process's environment, which configures docker's server.
    pub(super) fn keep_container(
        &self,
        run: &Command,
        name: &str,
        log: &Path,
    ) -> Result<GuardedProcess, Error> {
        let errors = File::create(log).map_err(Error::io("write", log))?;
        let arguments = [OsStr::new(name), run.get_program()];
        let mut contain = script(CONTAIN, arguments.into_iter().chain(run.get_args()));
        contain.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        contain.stdout(self.sweeper.pipe()?).stderr(errors);
        Ok(GuardedProcess { script: Script::start(contain)?, log: log.to_owned() })
    }
}

/// A program that is stopped when we end.
#[derive(Debug)]
pub(super) struct GuardedProcess {
    script: Script,
    log: PathBuf,
}

impl GuardedProcess {
    /// The exit status; `None` while it runs.
    pub(super) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.script.child.try_wait().ok().flatten()
    }

    /// Waits until it ends, and returns the exit status.
    pub(super) async fn end(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.exit_status() {
                return status;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> Vec<String> {
        const LINES: usize = 20;
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
        lines[lines.len().saturating_sub(LINES)..].to_vec()
    }
}

/// A running shell script that ends when the last copy of our end of the pipe is closed.
#[derive(Debug)]
struct Script {
    child: Child,
    pipe: Option<PipeWriter>,
}

impl Script {
    fn start(mut command: Command) -> Result<Self, Error> {
        let shell = Path::new(SHELL);
        let (reader, pipe): (PipeReader, PipeWriter) =
            io::pipe().map_err(Error::io("create a pipe to", shell))?;
        let child = command.stdin(reader).process_group(0).spawn().map_err(Error::io("start", shell))?;
        Ok(Self { child, pipe: Some(pipe) })
    }

    /// A copy of our end of the pipe.
    fn pipe(&self) -> Result<Stdio, Error> {
        let copy =
            self.pipe.as_ref().map_or_else(|| Err(io::ErrorKind::BrokenPipe.into()), PipeWriter::try_clone);
        copy.map(Stdio::from).map_err(Error::io("share the pipe to", Path::new(SHELL)))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.pipe = None;
        let begin = Instant::now();
        while begin.elapsed() < DROP_TIMEOUT && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(PAUSE);
        }
    }
}

fn script<A: AsRef<OsStr>>(text: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(SHELL);
    command.arg("-c").arg(text).arg("pgtrickle-ci").args(arguments);
    command
}
