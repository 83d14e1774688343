//! Where a command has its project from.

use time::OffsetDateTime;

/// The manifest that a command read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestSource {
    /// The user named it.
    File(String),
    /// dbt compiled the files that are there now.
    Compiled {
        /// The dbt target.
        target: String,
    },
    /// dbt compiled it earlier, and nothing that it was made of has changed.
    Kept {
        /// The dbt target.
        target: String,
        /// When dbt compiled it.
        compiled_at: OffsetDateTime,
    },
}

/// The project that a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectSource {
    /// How many stream tables it has, of those that are selected.
    pub tables: usize,
    /// What it was read from.
    pub manifest: ManifestSource,
}

impl ProjectSource {
    /// As one line says it: `8 stream tables, compiled just now for target dev`.
    pub fn describe(&self) -> String {
        let tables = match self.tables {
            0 => "no stream tables".to_owned(),
            1 => "1 stream table".to_owned(),
            many => format!("{many} stream tables"),
        };
        let from = match &self.manifest {
            ManifestSource::File(file) => format!("read from {file}"),
            ManifestSource::Compiled { target } => format!("compiled just now for target {target}"),
            ManifestSource::Kept { target, compiled_at } => {
                let (date, time) = (compiled_at.date(), compiled_at.time());
                let (hour, minute) = (time.hour(), time.minute());
                format!("unchanged since compiled for target {target}, {date} {hour:02}:{minute:02} UTC")
            }
        };
        format!("{tables}, {from}")
    }
}
