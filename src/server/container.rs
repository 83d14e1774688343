//! A server from a container image, by the docker command line: whatever stands behind it, `docker` is what people have.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    Error,
    guardian::{Folder, Kept},
};
use crate::model::Secret;

/// The command line.
const DOCKER: &str = "docker";

/// How long an image may take to be fetched, and its container to start.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often docker is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts a container of the image, which is removed when the answer is dropped, or when we end. The other half of the
/// answer is its port on the loopback.
pub(super) async fn start(image: &str, password: &Secret, folder: &Folder) -> Result<(Kept, u16), Error> {
    // The folder's name is random and ours alone.
    let name = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut run = Command::new(DOCKER);
    run.args(["run", "--rm", "--name", &name, "--publish", "127.0.0.1::5432"]);
    // Parallel queries want more than the 64 MB that a container has.
    run.args(["--shm-size", "256m"]);
    // The value comes from the environment: a command line is for everybody to read.
    run.args(["--env", "POSTGRES_PASSWORD", "--", image]).env("POSTGRES_PASSWORD", password.reveal());
    let mut container = folder.keep_container(&run, &name, &folder.path().join("docker.log"))?;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(port) = port(&name).await? {
            return Ok((container, port));
        }
        if container.ended().is_some() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::Container { image: image.to_owned(), log: container.last_words() })
}

/// The port that the container's server has on the loopback, once it runs.
async fn port(name: &str) -> Result<Option<u16>, Error> {
    let mut ask = tokio::process::Command::new(DOCKER);
    ask.args(["port", name, "5432/tcp"]).stderr(Stdio::null()).kill_on_drop(true);
    let not_run = |source| Error::Command { program: DOCKER.into(), source };
    let said = ask.output().await.map_err(not_run)?;
    Ok(port_in(&String::from_utf8_lossy(&said.stdout)))
}

/// `127.0.0.1:49153` → 49153.
fn port_in(said: &str) -> Option<u16> {
    said.lines().next()?.rsplit_once(':')?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_what_docker_says_first() {
        assert_eq!(port_in("127.0.0.1:49153\n"), Some(49153));
        assert_eq!(port_in("127.0.0.1:49153\n[::1]:49154\n"), Some(49153));
        assert_eq!(port_in(""), None);
        assert_eq!(port_in("Error: No public port '5432/tcp' published"), None);
    }
}
