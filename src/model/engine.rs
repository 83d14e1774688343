//! The software of a server.

/// The server's software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// PostgreSQL's version, such as `18.4`.
    pub postgres: String,
    /// The extension's version, such as `0.67.0` or `0.67.0-emulator`.
    pub pg_trickle: String,
}

impl Engine {
    /// Whether it is this project's emulator and not pg_trickle.
    pub fn is_emulator(&self) -> bool {
        self.pg_trickle.ends_with("-emulator")
    }

    /// The engine in one line, for every report.
    pub fn describe(&self) -> String {
        let what = if self.is_emulator() { "the pg_trickle emulator" } else { "pg_trickle" };
        format!("{what} {} on PostgreSQL {}", self.pg_trickle, self.postgres)
    }
}
