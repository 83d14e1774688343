//! `pgtrickle-ci ephemeral -- CMD`: runs a command with a temporary server.

use std::{ffi::OsString, io, os::unix::process::ExitStatusExt, process::ExitStatus};

use nix::{sys::signal::Signal, unistd::Pid};
use tokio::process::{Child, Command};

use super::signals::{self as ending, Signals};
use crate::{
    pg::Endpoint,
    server::{Ephemeral, EphemeralSpec, Error},
};

/// Starts a server, runs `command`, stops the server, and returns the command's exit code.
///
/// A terminal sends SIGINT and SIGQUIT to the command itself; other signals are forwarded. The server stops after the
/// command. After a signal, the code is 128 plus its number, independent of the command's own code.
///
/// # Errors
/// The server does not start, or the command cannot run.
pub(super) async fn run(wanted: &EphemeralSpec, command: &[OsString]) -> Result<u8, crate::Error> {
    let mut signals = Signals::listen_to_forward();
    let server = tokio::select! {
        started = Ephemeral::start(wanted) => started?,
        signal = signals.next() => return Ok(ending::exit_code(signal)),
    };
    let code = run_command(server.endpoint(), command, &mut signals).await;
    server.stop().await;
    Ok(code?)
}

async fn run_command(endpoint: &Endpoint, command: &[OsString], signals: &mut Signals) -> Result<u8, Error> {
    let mut child = start(endpoint, command)?;
    let mut interrupted = None;
    loop {
        tokio::select! {
            status = child.wait() => {
                let code = status.map(code_of).map_err(|source| not_run(command, source))?;
                return Ok(interrupted.map_or(code, ending::exit_code));
            }
            signal = signals.next() => {
                if !matches!(signal, Signal::SIGINT | Signal::SIGQUIT) {
                    forward(signal, &child);
                }
                interrupted = Some(signal);
            }
        }
    }
}

fn start(endpoint: &Endpoint, command: &[OsString]) -> Result<Child, Error> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| not_run(command, io::ErrorKind::InvalidInput.into()))?;
    let mut child = std::process::Command::new(program);
    child.args(arguments);
    set_address(&mut child, endpoint);
    Command::from(child).kill_on_drop(true).spawn().map_err(|source| not_run(command, source))
}

/// Sets the variables that point libpq, dbt and readers of `DATABASE_URL` to the server.
fn set_address(command: &mut std::process::Command, endpoint: &Endpoint) {
    endpoint.set_environment(command);
    command.env("DATABASE_URL", endpoint.url().reveal());
}

fn not_run(command: &[OsString], source: io::Error) -> Error {
    let program = command.first().map(|program| program.to_string_lossy().into_owned());
    Error::Command { program: program.unwrap_or_default(), source }
}

/// It is not an error if the command has already ended.
fn forward(signal: Signal, child: &Child) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        nix::sys::signal::kill(Pid::from_raw(id), signal).ok();
    }
}

fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => u8::try_from(128 + signal.unwrap_or_default()).unwrap_or(u8::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Secret, pg::SslMode};

    #[test]
    fn exit_codes_are_the_commands_own_or_a_shells() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(255 << 8)), 255);
        assert_eq!(code_of(ExitStatus::from_raw(Signal::SIGKILL as i32)), 137);
    }

    #[test]
    fn the_command_gets_the_full_address() {
        let endpoint = Endpoint {
            host: "127.0.0.1".into(),
            port: 5433,
            user: "postgres".into(),
            password: Secret::new("0123abcd"),
            database: "pgtrickle".into(),
            sslmode: SslMode::Disable,
            ..Endpoint::default()
        };
        let mut command = std::process::Command::new("psql");
        set_address(&mut command, &endpoint);
        let variable = |name: &str| {
            let mut set = command.get_envs();
            set.find(|(set, _)| *set == name).and_then(|(_, value)| value?.to_str())
        };
        assert_eq!(variable("PGPORT"), Some("5433"));
        assert_eq!(
            variable("DATABASE_URL"),
            Some("postgresql://postgres:0123abcd@127.0.0.1:5433/pgtrickle?sslmode=disable")
        );
    }
}
