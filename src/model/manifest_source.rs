//! Where a command read its project from.

use time::OffsetDateTime;

/// The manifest that a command read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestSource {
    /// A file that the user passed.
    File(String),
    /// dbt compiled the current files.
    Compiled { target: String },
    /// dbt compiled it earlier, and its inputs are unchanged.
    Kept { target: String, compiled_at: OffsetDateTime },
}

/// The project that a report is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectSource {
    /// The number of selected stream tables.
    pub tables: usize,
    pub manifest: ManifestSource,
}

impl ProjectSource {
    /// For example `8 stream tables, compiled just now for target dev`.
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
