//! `report`: renders JSON reports as one HTML page.

use super::comment::read;
use crate::{Error, exit::Exit, options::PageOptions, output, report::html};

/// Reads the reports and writes the page.
pub(super) fn page(options: &PageOptions) -> Result<Exit, Error> {
    let reports = options.reports.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    output::to_file(&options.html, &html::render(&reports))?;
    if options.html.as_os_str() != "-" {
        options.ui.say(&format!("wrote {}", options.html.display()));
    }
    Ok(Exit::Passed)
}
