//! The settings in force and what set each, for a terminal.

use unicode_width::UnicodeWidthStr;

use super::{
    page::Page,
    terminal::{DIM, PLAIN, Style},
    text,
};

/// A setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The flag without its dashes, or the key of the configuration file.
    pub name: String,
    /// `...` if it may be secret.
    pub value: String,
    /// The flag, the variable, the file with its line, or the default.
    pub from: String,
}

/// A longer value moves what set it to the next line.
const VALUES: usize = 30;

/// Renders a line for each setting.
pub fn render(settings: &[InForce], style: &Style) -> String {
    let mut page = Page::new(*style);
    let rows: Vec<InForce> = settings.iter().map(escaped).collect();
    let names = rows.iter().map(|row| row.name.width()).max().unwrap_or_default();
    let values =
        rows.iter().map(|row| row.value.width()).filter(|width| *width <= VALUES).max().unwrap_or_default();
    for InForce { name, value, from } in &rows {
        let gap = |width: usize, text: &str| " ".repeat(width.saturating_sub(text.width()) + 2);
        let start = format!("{name}{}{value}", gap(names, name));
        let line = format!("{start}{}", gap(values, value));
        if value.width() <= values && line.width() + from.width() <= page.width() {
            let from = page.painted(DIM, from);
            page.push_line(&format!("{line}{from}"));
        } else {
            page.put(0, PLAIN, &start);
            page.put(4, DIM, from);
        }
    }
    page.text
}

fn escaped(setting: &InForce) -> InForce {
    let InForce { name, value, from } = setting;
    InForce { name: text::line(name), value: text::line(value), from: text::line(from) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{sample::HOSTILE_NAME, terminal::Detail};

    fn rendered(width: usize) -> String {
        let setting = |name: &str, value: &str, from: &str| InForce {
            name: name.into(),
            value: value.into(),
            from: from.into(),
        };
        let settings = [
            setting("timeout", "1m 30s", "pgtrickle-ci.yml:7 (wait.timeout)"),
            setting("fail-on-fallback", "true", "PGTRICKLE_CI_FAIL_ON_FALLBACK"),
            setting("target", HOSTILE_NAME, "--target"),
            setting("checks.silence", &"search-path of marts.*, ".repeat(4), "pgtrickle-ci.yml:12"),
        ];
        render(&settings, &Style { color: false, width, detail: Detail::Normal, full: false })
    }

    #[test]
    fn settings_are_columns_if_they_fit() {
        insta::assert_snapshot!([40, 60, 100].map(rendered).join("-----\n"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 24..130 {
            let text = rendered(width);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
        }
    }
}
