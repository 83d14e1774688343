//! A server from a container image, through the docker command line, which docker's replacements provide too.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Error,
    guardian::{Folder, GuardedProcess},
};
use crate::model::Secret;

const DOCKER: &str = "docker";

/// The limit for pulling an image and starting its container.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The interval between two queries to docker.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts a container and returns it with its port on the loopback. The container is removed when the value is dropped,
/// or when this process ends.
pub(super) async fn start(
    image: &str,
    password: &Secret,
    folder: &Folder,
) -> Result<(GuardedProcess, u16), Error> {
    // The folder's name is random and unique.
    let name = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut run = Command::new(DOCKER);
    run.args(["run", "--rm", "--name", &name, "--publish", "127.0.0.1::5432"]);
    // Parallel queries need more than a container's default of 64 MB.
    run.args(["--shm-size", "256m"]);
    // Pass the value through the environment: every user can read command lines.
    run.args(["--env", "POSTGRES_PASSWORD", "--", image]).env("POSTGRES_PASSWORD", password.reveal());
    let mut container = folder.keep_container(&run, &name, &folder.path().join("docker.log"))?;
    let begin = Instant::now();
    while begin.elapsed() < TIMEOUT {
        if let Some(port) = port(&name).await? {
            return Ok((container, port));
        }
        if container.exit_status().is_some() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::Container { image: image.to_owned(), log: container.log_tail() })
}

/// The container's port on the loopback; `None` while it starts.
async fn port(name: &str) -> Result<Option<u16>, Error> {
    let mut ask = tokio::process::Command::new(DOCKER);
    ask.args(["port", name, "5432/tcp"]).stderr(Stdio::null()).kill_on_drop(true);
    let not_run = |source| Error::Command { program: DOCKER.into(), source };
    let output = ask.output().await.map_err(not_run)?;
    Ok(port_in(&String::from_utf8_lossy(&output.stdout)))
}

/// `127.0.0.1:49153` → 49153.
fn port_in(output: &str) -> Option<u16> {
    output.lines().next()?.rsplit_once(':')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_in_dockers_first_line() {
        assert_eq!(port_in("127.0.0.1:49153\n"), Some(49153));
        assert_eq!(port_in("127.0.0.1:49153\n[::1]:49154\n"), Some(49153));
        assert_eq!(port_in(""), None);
        assert_eq!(port_in("Error: No public port '5432/tcp' published"), None);
    }
}
