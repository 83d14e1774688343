//! A Python process that has imported dbt and runs commands in forks of itself ([`fork_server.py`](../fork_server.py)):
//! most of a short dbt command is the import.

use std::{
    ffi::OsString,
    io::{self, IoSlice, PipeWriter, Read},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream as Socket,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixStream, unix::pipe::Receiver},
    process::Child,
};

use super::child;

const SCRIPT: &str = include_str!("fork_server.py");

/// What pip, uv and pipx write into the script of dbt 1.5 and later.
const ENTRY: &str = "from dbt.cli.main import cli";

/// The process. It ends with its commands when this value is dropped.
pub(super) struct ForkServer {
    // Dropped first: the guard interrupts commands, and must do so before the process ends.
    ends_with_us: PipeWriter,
    guard: Child,
    control: Socket,
}

impl ForkServer {
    /// Starts the Python of `program`, with the environment of `base`. `None` if `program` is not dbt as a Python script.
    pub(super) fn start(program: &Path, base: &Command, folder: &Path) -> Option<Self> {
        // On macOS, system libraries fail in a fork.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let (interpreter, argument) = interpreter(&std::fs::read(program).ok()?)?;
        let script = folder.join("fork_server.py");
        std::fs::write(&script, SCRIPT).ok()?;
        let (control, theirs) = Socket::pair().ok()?;
        let mut command = Command::new(interpreter);
        command.args(argument).arg(script).arg(program);
        child::copy_environment(base, &mut command);
        let mut guarded = child::guarded(&command, folder);
        guarded.stdout(Stdio::null()).stderr(OwnedFd::from(theirs));
        let (guard, ends_with_us) = child::start(&mut guarded).ok()?;
        Some(Self { ends_with_us, guard, control })
    }

    /// A session for the commands of one project.
    pub(super) fn session(&self) -> io::Result<Session> {
        let (ours, theirs) = Socket::pair()?;
        // A session of a process that ended fails at its first command.
        send_with(&self.control, b"\n", &[theirs.into()]).ok();
        ours.set_nonblocking(true)?;
        Ok(Session(BufReader::new(UnixStream::from_std(ours)?)))
    }

    /// Why it ended by itself, as far as it said so.
    pub(super) fn complaint(&mut self) -> Option<String> {
        let mut said = Vec::new();
        self.control.set_nonblocking(true).ok()?;
        // What came before an error was read.
        self.control.read_to_end(&mut said).ok();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rfind(|line| !line.trim().is_empty())?;
        Some(match serde_json::from_str(last) {
            Ok(Answer::Broken(reason)) => reason,
            _ => last.to_owned(),
        })
    }

    /// Interrupts the commands, and waits for their end.
    pub(super) async fn end(mut self) {
        drop(self.ends_with_us);
        drop(self.control);
        self.guard.wait().await.ok();
    }
}

/// The commands of one project, one at a time.
pub(super) struct Session(BufReader<UnixStream>);

/// What a session answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Code(i32),
    Broken(String),
}

impl Session {
    /// Runs the command, which is dbt with arguments. Its output and errors end with it.
    pub(super) async fn start(&mut self, command: &Command) -> io::Result<[Receiver; 2]> {
        let message = message(command).ok_or_else(|| io::Error::other("not UTF-8"))?;
        let ((stdout, out), (stderr, err)) = (io::pipe()?, io::pipe()?);
        let socket = self.0.get_mut();
        socket.writable().await?;
        send_with(socket, b" ", &[out.into(), err.into()])?;
        socket.write_all(format!("{message}\n").as_bytes()).await?;
        Ok([Receiver::from_owned_fd(stdout.into())?, Receiver::from_owned_fd(stderr.into())?])
    }

    /// The exit code of the started command; fails if there is none, with the reason if the session said one.
    pub(super) async fn code(&mut self) -> Result<i32, Option<String>> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await;
        match read.ok().and_then(|_| serde_json::from_str(&line).ok()) {
            Some(Answer::Code(code)) => Ok(code),
            Some(Answer::Broken(reason)) => Err(Some(reason)),
            None => Err(None),
        }
    }
}

/// The command for the script; `None` if it has text that is not UTF-8.
fn message(command: &Command) -> Option<Value> {
    let arguments: Option<Vec<&str>> = command.get_args().map(|argument| argument.to_str()).collect();
    let mut environment = serde_json::Map::new();
    for (name, value) in command.get_envs() {
        let value = match value {
            Some(value) => Value::from(value.to_str()?),
            None => Value::Null,
        };
        environment.insert(name.to_str()?.to_owned(), value);
    }
    let directory = match command.get_current_dir() {
        Some(directory) => Some(directory.to_str()?),
        None => None,
    };
    Some(json!({"arguments": arguments?, "environment": environment, "directory": directory}))
}

/// Sends bytes with descriptors, which are closed here.
fn send_with(socket: &impl AsRawFd, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
    let descriptors: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], &rights, flags, None)?;
    Ok(())
}

/// The Python of a script that calls dbt, with an argument if there is one.
fn interpreter(script: &[u8]) -> Option<(OsString, Option<OsString>)> {
    let script = str::from_utf8(script).ok()?;
    let (first, rest) = script.strip_prefix("#!")?.split_once('\n')?;
    if !rest.lines().any(|line| line.trim() == ENTRY) {
        return None;
    }
    // A path that is too long for the system, or has spaces, is in the second line.
    if first.trim() == "/bin/sh" {
        let command = rest.strip_prefix("'''exec' ")?.split_once(" \"$0\" \"$@\"")?.0;
        let path = command.trim_matches(['"', '\'']);
        return (!path.contains(['"', '\'', '$', '`', '\\'])).then(|| (path.into(), None));
    }
    let (program, argument) = match first.trim().split_once(' ') {
        Some((program, argument)) => (program, Some(argument.trim())),
        None => (first.trim(), None),
    };
    let names = |path: &str| {
        Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("python"))
    };
    let is_python = names(program) || program.ends_with("/env") && argument.is_some_and(names);
    is_python.then(|| (program.into(), argument.map(Into::into)))
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use tokio::io::AsyncReadExt;

    use super::*;

    /// A `dbt` with a package beside it, whose commands are these Python functions.
    struct FakeDbt {
        dir: tempfile::TempDir,
        scratch: tempfile::TempDir,
    }

    impl FakeDbt {
        fn new(commands: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let program = dir.path().join("dbt");
            let package = dir.path().join("modules");
            std::fs::create_dir_all(package.join("dbt/cli")).unwrap();
            let main = format!(
                "import os, signal, sys, threading, time\n{commands}\ndef cli(obj):\n    globals()[sys.argv[1]](obj)\n"
            );
            // Python would prefer an installed dbt to a folder without these.
            for folder in ["dbt", "dbt/cli"] {
                std::fs::write(package.join(folder).join("__init__.py"), "").unwrap();
            }
            std::fs::write(package.join("dbt/cli/main.py"), main).unwrap();
            let script = format!(
                "#!/usr/bin/env python3\nimport sys\nsys.path.insert(0, '{}')\n{ENTRY}\nsys.exit(cli())\n",
                package.display()
            );
            std::fs::write(&program, script).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            Self { dir, scratch: tempfile::tempdir().unwrap() }
        }

        fn start(&self) -> ForkServer {
            let program = self.dir.path().join("dbt");
            let mut base = Command::new(&program);
            base.env("PYTHONPATH", self.dir.path().join("modules")).env("KEPT", "kept");
            ForkServer::start(&program, &base, self.scratch.path()).unwrap()
        }
    }

    /// The output, the errors and the exit code of a command.
    async fn run(
        session: &mut Session,
        command: &mut Command,
    ) -> (String, String, Result<i32, Option<String>>) {
        let [mut stdout, mut stderr] = session.start(command).await.unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        stdout.read_to_string(&mut out).await.unwrap();
        stderr.read_to_string(&mut err).await.unwrap();
        (out, err, session.code().await)
    }

    fn dbt(command: &str) -> Command {
        let mut dbt = Command::new("dbt");
        dbt.arg(command);
        dbt
    }

    #[tokio::test]
    async fn commands_have_the_manifest_of_the_last_parse_and_nothing_else_of_each_other() {
        let fake = FakeDbt::new(
            "
seen = []
def parse(obj):
    assert obj['manifest'] is None
    obj['manifest'] = 'manifest of ' + os.environ['PROJECT']
    print('parsed', os.environ['KEPT'])
def build(obj):
    seen.append(1)
    print(obj['manifest'], seen, os.environ.get('PROJECT'), os.environ.get('KEPT'), sys.argv[2:], os.getcwd())
    sys.stderr.write('one line without an end')
    sys.exit(1)
",
        );
        let server = fake.start();
        let (mut one, mut other) = (server.session().unwrap(), server.session().unwrap());
        let mut build = dbt("build");
        build.args(["--select", "ä b"]).env_remove("KEPT").current_dir("/");
        let said = |manifest: &str| format!("{manifest} [1] None None ['--select', 'ä b'] /\n");
        let (out, err, code) = run(&mut one, &mut build).await;
        assert_eq!((out, err.as_str(), code.unwrap()), (said("None"), "one line without an end", 1));
        for project in ["shop", "mart"] {
            let (out, _, code) = run(&mut one, dbt("parse").env("PROJECT", project)).await;
            assert_eq!((out.as_str(), code.unwrap()), ("parsed kept\n", 0));
            let (out, _, _) = run(&mut one, &mut build).await;
            assert_eq!(out, said(&format!("manifest of {project}")));
        }
        assert_eq!(run(&mut other, &mut build).await.0, said("None"));
    }

    #[tokio::test]
    async fn every_end_of_a_command_has_the_exit_code_of_a_shell() {
        let fake = FakeDbt::new(
            "
def parse(obj): sys.exit(2)
def build(obj): os.kill(os.getpid(), signal.SIGKILL)
def test(obj): raise ValueError('no')
def ls(obj): sys.exit('text')
",
        );
        let server = fake.start();
        let mut session = server.session().unwrap();
        for (command, code, said) in
            [("parse", 2, ""), ("build", 137, ""), ("test", 1, "ValueError: no"), ("ls", 1, "text")]
        {
            let (_, err, ended) = run(&mut session, &mut dbt(command)).await;
            assert!(ended.unwrap() == code && err.contains(said), "{command}: {err}");
        }
    }

    #[tokio::test]
    async fn a_process_that_breaks_has_no_exit_code() {
        let unimportable = FakeDbt::new("import nothing_of_this_name");
        let mut server = unimportable.start();
        let mut session = server.session().unwrap();
        assert_eq!(run(&mut session, &mut dbt("parse")).await.2, Err(None));
        let reason = server.complaint().unwrap();
        assert_eq!(reason, "ModuleNotFoundError: No module named 'nothing_of_this_name'");

        let fake = FakeDbt::new(
            "
def parse(obj): os._exit(0)
def ls(obj): pass
def deps(obj): pass
",
        );
        let server = fake.start();
        let mut session = server.session().unwrap();
        assert_eq!(run(&mut session, &mut dbt("ls")).await.2.unwrap(), 0);
        assert!(run(&mut session, &mut dbt("parse")).await.2.is_err());
        assert!(session.start(&dbt("ls")).await.is_err(), "nothing reads from the session");

        let threaded = FakeDbt::new(
            "
def parse(obj): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
def build(obj): pass
",
        );
        let server = threaded.start();
        let mut session = server.session().unwrap();
        assert_eq!(run(&mut session, &mut dbt("parse")).await.2.unwrap(), 0);
        let reason = run(&mut session, &mut dbt("build")).await.2.unwrap_err();
        assert_eq!(reason.as_deref(), Some("dbt or one of its plugins started threads"));
    }

    #[tokio::test]
    async fn the_end_interrupts_the_running_command() {
        let fake = FakeDbt::new(
            "
def build(obj):
    try:
        print('started', flush=True)
        time.sleep(600)
    except KeyboardInterrupt:
        print('cancelled')
        sys.exit(1)
",
        );
        let server = fake.start();
        let mut session = server.session().unwrap();
        let [mut stdout, _stderr] = session.start(&dbt("build")).await.unwrap();
        let mut start = [0; 8];
        stdout.read_exact(&mut start).await.unwrap();
        tokio::time::timeout(Duration::from_mins(1), server.end()).await.unwrap();
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&start, rest.as_str()), (b"started\n", "cancelled\n"));
    }

    #[test]
    fn only_scripts_that_call_dbt_have_an_interpreter() {
        let of = |first: &str, entry: &str| {
            let (program, argument) = interpreter(format!("{first}\nimport sys\n{entry}\n").as_bytes())?;
            Some((program.into_string().unwrap(), argument.map(|argument| argument.into_string().unwrap())))
        };
        let some = |program: &str, argument: Option<&str>| Some((program.into(), argument.map(Into::into)));
        assert_eq!(of("#!/v/bin/python3.11", ENTRY), some("/v/bin/python3.11", None));
        assert_eq!(of("#!/v/bin/python -sP", ENTRY), some("/v/bin/python", Some("-sP")));
        assert_eq!(of("#!/usr/bin/env python3", ENTRY), some("/usr/bin/env", Some("python3")));
        let long = |path: &str| format!("#!/bin/sh\n'''exec' {path} \"$0\" \"$@\"\n' '''");
        assert_eq!(of(&long("\"/a b/python3\""), ENTRY), some("/a b/python3", None));
        assert_eq!(of(&long("'/a b/python3'"), ENTRY), some("/a b/python3", None));
        for other in [&long("\"$(dirname -- \"$0\")\"/'python'"), "#!/bin/sh", "#!/usr/bin/env -S uv run", ""]
        {
            assert_eq!(of(other, ENTRY), None, "{other}");
        }
        assert_eq!(of("#!/v/bin/python", "from other import cli"), None);
        assert_eq!(interpreter(b"\x7fELF\xff\n"), None);
    }
}
