//! Ephemeral PostgreSQL servers: from an installation on this machine, or from a container image. They stop and their
//! files are removed when this process ends.
//!
//! ```text
//! find ─> Installation ─> Folder ─> initdb ─> postgres ─> CREATE EXTENSION ─> Ephemeral
//! image ────────────────> Folder ──────> docker run ────────────┘
//!                            │                                  │
//!              removed when we end (guardian)       the emulator's clock (scheduler)
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

pub use emulator::EmulatorVersion;
pub use ephemeral::{Ephemeral, Reservation};
pub use error::Error;
pub use find::available;

/// Which `pg_trickle` an ephemeral server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// The real extension if the installation has it, otherwise the emulator.
    #[default]
    Auto,
    /// The real extension; an error without it.
    Real,
    /// The emulator, even if the installation has the real extension.
    Emulator,
}

/// How to start an ephemeral server.
#[derive(Clone, Debug)]
pub struct EphemeralSpec {
    pub engine: EngineChoice,
    /// The version that the emulator emulates; an error with the real extension.
    pub emulated_version: Option<EmulatorVersion>,
    /// Use only this folder with `initdb` and `postgres`.
    pub pg_bin: Option<PathBuf>,
    /// Start this container image instead of an installation.
    pub image: Option<String>,
    /// The roots of Python virtual environments that may contain a wheel of PostgreSQL.
    pub python_envs: Vec<PathBuf>,
    /// The parent of the server's folder, usually the system's folder for temporary files.
    pub temp_dir: PathBuf,
}
