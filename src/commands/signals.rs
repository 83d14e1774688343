//! Catches the signals that end the program, so that it can write its report and stop its servers.

use std::{
    fs, process,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::{
    signal::unix::{self, SignalKind},
    sync::mpsc,
};

/// All signals that can be caught and that otherwise end a process. Not SIGPIPE: Rust programs ignore it, and a write
/// to a closed pipe fails. Not faults such as SIGSEGV: no orderly end is possible after them.
const ENDING: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGABRT,
    Signal::SIGALRM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    #[cfg(target_os = "linux")]
    Signal::SIGIO,
    #[cfg(target_os = "linux")]
    Signal::SIGPWR,
    #[cfg(target_os = "linux")]
    Signal::SIGSTKFLT,
];

/// How long an orderly end may take. Work that blocks its thread, such as reading a manifest from a pipe that stays open,
/// notices no signal.
const ORDERLY: Duration = Duration::from_secs(30);

/// The same signal again ends the program immediately. Not within this time: `timeout` sends each signal twice, to the
/// program and to its process group.
const TWICE: Duration = Duration::from_millis(500);

/// A listener for these signals. While it exists, they do not end the program.
pub(super) struct Signals {
    caught: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    /// Listens for a command that ends in order after the first signal.
    pub(super) fn listen() -> Self {
        Self::start(true)
    }

    /// Listens for a command that forwards every signal, and ends when it wants to.
    pub(super) fn listen_to_forward() -> Self {
        Self::start(false)
    }

    fn start(is_ending: bool) -> Self {
        let (send, caught) = mpsc::unbounded_channel();
        let ignored = ignored_mask();
        for signal in ENDING.iter().copied().filter(|signal| is_wanted(*signal, ignored)) {
            // A signal without a listener ends the program as usual.
            let Ok(mut stream) = unix::signal(SignalKind::from_raw(signal as i32)) else { continue };
            let send = send.clone();
            tokio::spawn(async move {
                let mut first: Option<Instant> = None;
                while stream.recv().await.is_some() {
                    send.send(signal).ok();
                    match first {
                        _ if !is_ending => {}
                        Some(first) if first.elapsed() >= TWICE => exit_now(signal),
                        Some(_) => {}
                        None => {
                            first = Some(Instant::now());
                            tokio::spawn(async move {
                                tokio::time::sleep(ORDERLY).await;
                                exit_now(signal);
                            });
                        }
                    }
                }
            });
        }
        Self { caught }
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Signal {
        match self.caught.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// Ends the program without a report. The guardians of servers clean up, as after SIGKILL.
#[expect(clippy::exit, reason = "the main thread may be blocked for ever")]
fn exit_now(signal: Signal) {
    process::exit(exit_code(signal).into());
}

/// A shell's exit code for a program that the signal ended.
pub(super) fn exit_code(signal: Signal) -> u8 {
    128_u8.saturating_add(number(signal))
}

pub(super) fn number(signal: Signal) -> u8 {
    u8::try_from(signal as i32).unwrap_or(u8::MAX)
}

/// Whether to catch the signal. Ignored signals stay ignored, as `nohup` wants. But a shell also ignores SIGINT and
/// SIGQUIT for background programs: SIGINT is caught nevertheless, because CI systems send it.
fn is_wanted(signal: Signal, ignored: u64) -> bool {
    matches!(signal, Signal::SIGINT | Signal::SIGTERM) || ignored & (1 << (signal as i32 - 1)) == 0
}

/// The signals that this process ignored at its start, one bit each. Only Linux provides them.
fn ignored_mask() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask_in(&status)
}

fn mask_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_stay_ignored_except_int_and_term() {
        let ignored = mask_in("Name:\tx\nSigIgn:\t0000000000000003\n");
        assert!(!is_wanted(Signal::SIGHUP, ignored));
        assert!(is_wanted(Signal::SIGINT, ignored) && is_wanted(Signal::SIGQUIT, ignored));
        assert!(is_wanted(Signal::SIGHUP, mask_in("")));
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!((exit_code(Signal::SIGHUP), exit_code(Signal::SIGTERM)), (129, 143));
    }
}
