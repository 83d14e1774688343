//! A part of the body, which can be shortened.

use crate::report::words;

/// A part of the body that can drop entries, the last ones first. Without entries it is empty.
pub(super) struct Section {
    /// What an entry is, in the singular.
    what: &'static str,
    /// The section with the highest number is cut first.
    pub(super) cut_order: u8,
    before: String,
    pub(super) entries: Vec<String>,
    after: &'static str,
    /// The size of the entries, in bytes.
    size: usize,
    dropped: usize,
}

impl Section {
    pub(super) fn new(
        what: &'static str,
        cut_order: u8,
        before: String,
        entries: Vec<String>,
        after: &'static str,
    ) -> Self {
        let size = entries.iter().map(String::len).sum();
        Self { what, cut_order, before, entries, after, size, dropped: 0 }
    }

    pub(super) fn len(&self) -> usize {
        if self.entries.is_empty() { 0 } else { self.before.len() + self.size + self.after.len() }
    }

    pub(super) fn drop_last(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.size -= entry.len();
            self.dropped += 1;
        }
    }

    pub(super) fn to_markdown(&self) -> String {
        if self.entries.is_empty() {
            String::new()
        } else {
            [&self.before, &self.entries.concat(), self.after].concat()
        }
    }
}

pub(super) fn truncation_note(sections: &[Section]) -> String {
    let parts: Vec<_> = sections
        .iter()
        .filter(|section| section.dropped > 0)
        .map(|s| format!("{} of {}", s.dropped, words::count(s.dropped + s.entries.len(), s.what)))
        .collect();
    format!(
        "**Shortened:** {} left out. The job summary shows more, the Markdown report everything.\n\n",
        parts.join(", ")
    )
}
