//! The exit codes, the same for every subcommand.

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all is well.
    Passed,
    /// 1: the gate says no.
    Refused,
    /// 2: the work could not be done.
    Unable,
    /// 128 and the signal that stopped it.
    Signal(u8),
    /// What the command under `ephemeral` ended with.
    Command(u8),
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Passed => Self::from(0),
            Exit::Refused => Self::from(1),
            Exit::Unable => Self::from(2),
            Exit::Signal(number) => Self::from(128_u8.saturating_add(number)),
            Exit::Command(code) => Self::from(code),
        }
    }
}
