//! `report merge`: one report of the reports of all shards.

use std::path::PathBuf;

use super::comment::read;
use crate::{
    Error,
    exit::Exit,
    report::{self, Report},
};

/// Merges the files into `report`.
pub(super) fn merge(files: &[PathBuf], report: &mut Report) -> Result<Exit, Error> {
    let reports: Vec<(String, Report)> = files
        .iter()
        .map(|file| Ok((file.display().to_string(), read(file)?)))
        .collect::<Result<_, Error>>()?;
    let merged = report::merge::merge(reports)?;
    let strict = report.strict || merged.strict;
    let (invocation, leg) = (report.invocation.take(), report.leg.take());
    *report = Report { invocation, leg, strict, ..merged };
    Ok(Exit::Passed)
}
