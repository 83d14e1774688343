//! The exit codes of all subcommands.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: success.
    Passed,
    /// 1: the gate failed.
    Refused,
    /// 2: the command failed.
    Unable,
    /// 128 plus the number of the signal that ended it.
    Signal(u8),
    /// The exit code of the command that `ephemeral` ran.
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
