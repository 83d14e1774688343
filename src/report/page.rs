//! A page of text for a terminal: escapes, wraps and paints what is put on it.

use anstyle::Style as Paint;

use super::text;
use crate::model::Relation;

/// Smaller widths are treated as this one.
const LEAST_WIDTH: usize = 24;
/// How many names a list shows, unless verbose.
const SHORT_LIST: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    pub width: usize,
    pub detail: Detail,
    /// Whether to show changed queries in full, not only their changed lines.
    pub full: bool,
}

/// How much to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only what is wrong.
    Quiet,
    /// The checks at a glance, what is wrong, and the plan in numbers.
    Normal,
    /// Each check with its details, the whole plan, full lists.
    Verbose,
}

/// A relation's name, escaped for a terminal.
pub(super) fn shown(relation: &Relation) -> String {
    text::line(&relation.to_string())
}

/// Lines of text that fit a terminal.
pub(super) struct Page {
    pub(super) style: Style,
    pub(super) text: String,
}

impl Page {
    pub(super) fn new(style: Style) -> Self {
        Self { style: Style { width: style.width.max(LEAST_WIDTH), ..style }, text: String::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.style.width
    }

    pub(super) fn painted(&self, paint: Paint, text: &str) -> String {
        if self.style.color { format!("{paint}{text}{paint:#}") } else { text.to_owned() }
    }

    /// Adds a line that is already escaped, wrapped and painted.
    pub(super) fn push_line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.push_line("");
    }

    /// Adds text at an indent. Continued lines are indented further.
    pub(super) fn put(&mut self, indent: usize, paint: Paint, text: &str) {
        for line in text::plain(text).lines() {
            self.put_hanging(indent, indent + 2, paint, line.trim());
        }
    }

    /// Adds a line of code after a mark. The code keeps its own indent.
    pub(super) fn put_code(&mut self, indent: usize, paint: Paint, mark: &str, code: &str) {
        let code = text::plain(code).replace('\n', " ");
        let own = (code.len() - code.trim_start_matches(' ').len()).min(self.width() / 4);
        let line = format!("{mark}{}{}", " ".repeat(own), code.trim_matches(' '));
        self.put_hanging(indent, indent + mark.len() + own + 2, paint, &line);
    }

    /// Adds a list of names, shortened unless verbose.
    pub(super) fn put_names(&mut self, indent: usize, paint: Paint, what: &str, names: &[Relation]) {
        if names.is_empty() {
            return;
        }
        let limit = if self.style.detail == Detail::Verbose { names.len() } else { SHORT_LIST };
        let mut list: Vec<_> = names.iter().take(limit).map(shown).collect();
        if names.len() > limit {
            list.push(format!("and {} more", names.len() - limit));
        }
        self.put(indent, paint, &format!("{what}{}", list.join(", ")));
    }

    /// Adds one line, wrapped: the first part at `indent`, the others at `hang`.
    fn put_hanging(&mut self, indent: usize, hang: usize, paint: Paint, line: &str) {
        // Wrapping drops leading blanks.
        let lead = line.len() - line.trim_start_matches(' ').len();
        if wrapped(&line[lead..], self.width() - indent - lead).len() <= 1 {
            let painted = self.painted(paint, line);
            self.push_line(&format!("{}{painted}", " ".repeat(indent)));
            return;
        }
        let parts = wrapped(&line[lead..], self.width() - hang.max(indent + lead));
        for (index, part) in parts.iter().enumerate() {
            let indent = if index == 0 { indent + lead } else { hang };
            let painted = self.painted(paint, part.trim());
            self.push_line(&format!("{}{painted}", " ".repeat(indent)));
        }
    }
}

/// Wraps text to lines of at most `width` columns, between words if possible.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    // A hyphen in a name or a flag is no place for a line break.
    let options = textwrap::Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn text_of_any_length_is_wrapped_and_whole() {
        for (word, count) in [("x", 50_000), ("表", 9_000), ("ab ", 20_000), (" ", 5_000), ("", 0)] {
            let text = word.repeat(count);
            let lines = wrapped(&text, 80);
            assert!(lines.iter().all(|line| line.width() <= 80), "{word}");
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(&text), "{word}");
        }
    }
}
