//! `pgtrickle-ci ephemeral -- CMD`: a server for as long as a command runs.

use std::{ffi::OsString, io, os::unix::process::ExitStatusExt, process::ExitStatus};

use nix::{sys::signal as signals, sys::signal::Signal, unistd::Pid};
use tokio::{
    process::{Child, Command},
    signal::unix::{self, SignalKind},
};

use crate::{
    pg::Endpoint,
    server::{Ephemeral, Error, Wanted},
};

/// Starts a server, runs `command` beside it, stops the server and answers with the command's exit code.
///
/// A Ctrl-C reaches the command by itself, a SIGTERM is passed on to it; its end is waited for, and the code is then
/// 130 or 143 whatever it made of the signal.
///
/// # Errors
/// The server does not start, or the command's program cannot be run.
pub(super) async fn run(wanted: &Wanted, command: &[OsString]) -> Result<u8, crate::Error> {
    let mut interruptions = Interruptions::listen()?;
    let server = tokio::select! {
        started = Ephemeral::start(wanted) => started?,
        signal = interruptions.next() => return Ok(code_of_signal(signal as i32)),
    };
    let code = run_beside(server.endpoint(), command, &mut interruptions).await;
    server.stop().await;
    Ok(code?)
}

async fn run_beside(
    endpoint: &Endpoint,
    command: &[OsString],
    interruptions: &mut Interruptions,
) -> Result<u8, Error> {
    let mut child = start(endpoint, command)?;
    let mut interrupted = None;
    loop {
        tokio::select! {
            status = child.wait() => {
                let code = status.map(code_of).map_err(|source| not_run(command, source))?;
                return Ok(interrupted.map_or(code, |signal: Signal| code_of_signal(signal as i32)));
            }
            signal = interruptions.next() => {
                if signal == Signal::SIGTERM {
                    pass_on(signal, &child);
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
    lead(&mut child, endpoint);
    Command::from(child).kill_on_drop(true).spawn().map_err(|source| not_run(command, source))
}

/// Leads libpq, dbt and everything that reads a `DATABASE_URL` to the server.
fn lead(command: &mut std::process::Command, endpoint: &Endpoint) {
    endpoint.lead(command);
    command.env("DATABASE_URL", endpoint.url().reveal());
}

fn not_run(command: &[OsString], source: io::Error) -> Error {
    let program = command.first().map(|program| program.to_string_lossy().into_owned());
    Error::Command { program: program.unwrap_or_default(), source }
}

/// The command may be gone already, which is what was wanted.
fn pass_on(signal: Signal, child: &Child) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        signals::kill(Pid::from_raw(id), signal).ok();
    }
}

fn code_of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => code_of_signal(signal.unwrap_or_default()),
    }
}

/// As a shell says it.
fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// The signals that ask us to end.
struct Interruptions {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Interruptions {
    fn listen() -> Result<Self, Error> {
        let listen = |kind, name: &str| unix::signal(kind).map_err(Error::io("listen for", name.as_ref()));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Secret, pg::SslMode};

    #[test]
    fn codes_are_the_commands_own_or_those_of_a_shell() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(255 << 8)), 255);
        assert_eq!(code_of(ExitStatus::from_raw(Signal::SIGKILL as i32)), 137);
        assert_eq!(code_of_signal(Signal::SIGINT as i32), 130);
        assert_eq!(code_of_signal(Signal::SIGTERM as i32), 143);
    }

    #[test]
    fn the_command_is_told_the_whole_address() {
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
        lead(&mut command, &endpoint);
        let told = |name: &str| {
            let mut set = command.get_envs();
            set.find(|(set, _)| *set == name).and_then(|(_, value)| value?.to_str())
        };
        assert_eq!(told("PGPORT"), Some("5433"));
        assert_eq!(
            told("DATABASE_URL"),
            Some("postgresql://postgres:0123abcd@127.0.0.1:5433/pgtrickle?sslmode=disable")
        );
    }
}
