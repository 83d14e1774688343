//! dbt as a child process that ends when this program ends, however that is: also after SIGKILL.

use std::{
    io::{self, PipeWriter},
    path::Path,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// Runs a program (all but the first argument) in a process group of its own, until it or we end. We hold the other end of
/// its standard input, which the system closes when we end. SIGINT then has dbt cancel its queries; what is left of the
/// group after five seconds is killed, and dbt's folder (the first argument) is removed.
///
/// The program runs in the foreground, because a shell's background programs ignore SIGINT. The trap keeps the shell until
/// the program has ended.
const GUARD: &str = r#"
exec 3<&0
folder=$1
shift
trap : INT
{
  read -r line
  trap '' TERM
  kill -INT 0
  for second in 1 2 3 4 5; do
    kill -0 "$$" && sleep 1
  done
  rm -rf -- "$folder"
  kill -KILL 0
} <&3 >/dev/null 2>&1 &
guard=$!
"$@" </dev/null 3<&-
status=$?
kill "$guard"
exit "$status"
"#;

/// The command that runs this one under the guard.
pub(super) fn guarded(command: &std::process::Command, folder: &Path) -> Command {
    let mut guarded = std::process::Command::new("/bin/sh");
    guarded.arg("-c").arg(GUARD).arg("pgtrickle-ci").args([folder.as_os_str(), command.get_program()]);
    guarded.args(command.get_args());
    copy_environment(command, &mut guarded);
    let mut guarded = Command::from(guarded);
    guarded.process_group(0);
    guarded
}

/// Gives a command the variables and the working directory of another one.
pub(super) fn copy_environment(from: &std::process::Command, to: &mut std::process::Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(dir) = from.get_current_dir() {
        to.current_dir(dir);
    }
}

/// Starts it. It ends when the second value is dropped.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, PipeWriter)> {
    let (reader, ours) = io::pipe()?;
    Ok((command.stdin(reader).spawn()?, ours))
}

/// Sends each line of its output.
pub(super) fn forward(stream: impl AsyncRead + Unpin + Send + 'static, lines: mpsc::UnboundedSender<String>) {
    tokio::spawn(async move {
        // Bytes: one that is not UTF-8 must not close the pipe.
        let mut reader = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = reader.next_segment().await {
            let line = String::from_utf8_lossy(&line);
            if lines.send(line.trim_end_matches('\r').to_owned()).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::{process::Stdio, time::Duration};

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn soon(check: impl Fn() -> bool) -> bool {
        for _ in 0..100 {
            if check() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    fn shell(script: &str, folder: &Path) -> Command {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]);
        guarded(&command, folder)
    }

    #[tokio::test]
    async fn a_child_has_its_own_exit_code_and_output() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = shell("read -r line; echo \"got $?\"; exit 3", folder.path());
        command.stdout(Stdio::piped());
        let (mut child, _ours) = start(&mut command).unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!((said.as_str(), child.wait().await.unwrap().code()), ("got 1\n", Some(3)));
        assert!(folder.path().exists());
    }

    /// The first program cleans up on SIGINT. The second one ignores it, and has a child of its own.
    #[tokio::test]
    async fn a_child_ends_with_us_and_leaves_no_folder() {
        for script in [
            "trap 'touch cleaned; exit 0' INT; echo; while :; do sleep 0.1; done",
            "trap '' INT; echo; sleep 600",
        ] {
            let place = tempfile::tempdir().unwrap();
            let folder = place.path().join("folder");
            std::fs::create_dir(&folder).unwrap();
            let mut command = shell(script, &folder);
            command.current_dir(place.path()).stdout(Stdio::piped());
            let (mut child, ours) = start(&mut command).unwrap();
            let mut stdout = child.stdout.take().unwrap();
            stdout.read_u8().await.unwrap();
            drop(ours);
            assert!(soon(|| !folder.exists()).await, "{script}");
            assert_eq!(place.path().join("cleaned").exists(), script.contains("cleaned"));
            // The pipe ends when every process of the group has ended.
            let ended =
                tokio::time::timeout(Duration::from_mins(1), stdout.read_to_end(&mut Vec::new())).await;
            assert!(ended.is_ok(), "{script}");
            child.wait().await.unwrap();
        }
    }
}
