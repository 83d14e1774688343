//! Text from outside is hostile in every sink: one escape function per sink.
//!
//! Model names, SQL and server messages may come from an untrusted pull request. They are shown as text and never
//! interpreted. Every function takes raw text and returns text that is safe to write unchanged.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// For a terminal: removes escape sequences, control characters, and characters that reorder or hide text. Keeps line
/// ends; a tab becomes two spaces.
pub(crate) fn plain(text: &str) -> String {
    let visible = anstream::adapter::strip_str(text).to_string();
    visible.chars().filter(|c| is_visible(*c)).collect::<String>().replace('\t', "  ")
}

/// For output that a GitHub runner reads: disables workflow commands by inserting a zero-width space. A command is a
/// line that starts with `::` after any blanks, or that contains `##[`.
pub(crate) fn no_command(text: &str) -> String {
    let guarded = |line: &str| {
        let blanks = line.len() - line.trim_start().len();
        let (before, rest) = line.split_at(blanks);
        let guard = if rest.starts_with("::") { "\u{200b}" } else { "" };
        format!("{before}{guard}{}", rest.replace("##[", "##\u{200b}["))
    };
    text.split_inclusive(['\n', '\r']).map(guarded).collect()
}

/// For the message of a workflow command.
pub(crate) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// For a property of a workflow command, such as `title`.
pub(crate) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// For a single line of a terminal: [`plain`], with line ends and runs of blanks replaced by one space.
pub(crate) fn line(text: &str) -> String {
    // Before the filter: dropping a carriage return would join two words.
    let lines = text.replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    plain(&lines).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_visible(c: char) -> bool {
    let reorders =
        matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(c, '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    matches!(c, '\n' | '\t') || !(c.is_control() || reorders || hides)
}

/// For Markdown, anywhere in a line. The result contains no block, HTML, image, link, mention or reference, and no
/// quick action of GitLab.
///
/// Text between backticks stays code. GitHub and GitLab link mentions, issues and URLs after they parsed the Markdown,
/// so a backslash does not help. They do not link in code: a word that contains any of these becomes code.
pub(crate) fn markdown_text(text: &str) -> String {
    let text = line(text);
    let mut out = String::with_capacity(text.len() + 16);
    let mut parts = text.split('`').peekable();
    let mut in_code = false;
    while let Some(part) = parts.next() {
        if in_code && parts.peek().is_some() {
            if part.is_empty() {
                out.push_str("\\`\\`");
            }
            push_code(&mut out, part);
        } else {
            if in_code {
                out.push_str("\\`");
            }
            push_words(&mut out, part);
        }
        in_code = !in_code;
    }
    escape_block_start(&mut out);
    out
}

/// Escapes characters that at the start of a line make a list, a rule, a heading or a quick action.
fn escape_block_start(out: &mut String) {
    let digits = out.len() - out.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let first = out[digits..].chars().next();
    if matches!((digits, first), (0, Some('-' | '+' | '=' | '/')) | (1.., Some('.' | ')'))) {
        out.insert(digits, '\\');
    }
}

/// For Markdown, inside one line: the text as code.
pub(crate) fn markdown_code(text: &str) -> String {
    let mut out = String::new();
    push_code(&mut out, &line(text));
    out
}

/// For a cell of a Markdown table: one line of Markdown that cannot leave its cell. GitHub splits cells before it
/// parses code and backslashes, and turns each `\|` back into `|`.
pub(crate) fn markdown_cell(markdown: &str) -> String {
    markdown.replace('|', "\\|")
}

fn push_words(out: &mut String, text: &str) {
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        if is_linkable(word) {
            push_code(out, word);
        } else {
            push_escaped(out, word);
        }
    }
}

/// Whether GitHub or GitLab would turn a word into a mention, a reference, a link or a formula.
fn is_linkable(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let triggers = ["@", "#", "$", "://", "www.", "gh-", "gl-", "mailto:", "xmpp:", "[[", "*iteration:"];
    triggers.iter().any(|trigger| word.contains(trigger)) || is_reference_of_gitlab(&word)
}

/// As `!1`, `&1`, `~bug`, `%"a milestone"` or `[issue:1]`, also after the name of a project.
fn is_reference_of_gitlab(word: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || c.is_ascii_punctuation() && c != '"' && c != '_';
    let names = |rest: &str| rest.chars().next().is_some_and(|c| !ends(c));
    let kind =
        |rest: &str| rest.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '_').starts_with(':');
    word.match_indices(['!', '&', '~', '%']).any(|(at, _)| names(&word[at + 1..]))
        || word.match_indices('[').any(|(at, _)| kind(&word[at + 1..]))
}

fn push_escaped(out: &mut String, word: &str) {
    for c in word.chars() {
        if matches!(c, '\\' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '!') {
            out.push('\\');
        }
        out.push(c);
    }
}

/// Adds a code span whose delimiters are longer than any run of backticks inside.
fn push_code(out: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    // Adjacent spans would merge into one.
    if out.ends_with('`') {
        out.push(' ');
    }
    let delimiter = "`".repeat(longest_run(text, '`') + 1);
    // Markdown removes one space at both ends. Without it, a backtick at an end would join the delimiter.
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    out.push_str(&[&delimiter, pad, &without_comments(text), pad, &delimiter].concat());
}

/// Breaks up the start of HTML comments: a search for a hidden marker in the raw Markdown must not find a forged one.
fn without_comments(text: &str) -> String {
    text.replace("<!--", "<!- -")
}

/// For a paragraph of Markdown: a code block that its content cannot close.
pub(crate) fn fence(language: &str, text: &str) -> String {
    let text = without_quick_actions(&without_comments(&plain(text)));
    let fence = "`".repeat((longest_run(&text, '`') + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

/// A line that starts with `/` may be a quick action of GitLab, as `/merge`. Versions that look for the end of a code
/// block themselves can be misled about it. A space before it changes neither SQL nor a command.
fn without_quick_actions(text: &str) -> String {
    let guarded = |line: &str| format!("{}{line}", if line.starts_with('/') { " " } else { "" });
    text.split_inclusive('\n').map(guarded).collect()
}

/// For a place in Markdown where only HTML is parsed, such as `<summary>`: the text as code.
pub(crate) fn html_code(text: &str) -> String {
    let escaped: String = line(text)
        .chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            other => other.to_string(),
        })
        .collect();
    format!("<code>{escaped}</code>")
}

/// For XML 1.0, also in CDATA: removes characters that XML does not allow and breaks up the end of a CDATA section. The
/// writer escapes attributes and puts texts into CDATA.
pub(crate) fn xml(text: &str) -> String {
    plain(text).replace(['\u{fffe}', '\u{ffff}'], "").replace("]]>", "]] >")
}

fn longest_run(text: &str, wanted: char) -> usize {
    text.split(|c| c != wanted).map(str::len).max().unwrap_or(0)
}

/// At most `limit` characters of the text, with an ellipsis if it was cut.
pub(crate) fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Shortens text to a width in terminal columns, with an ellipsis at the end.
pub(crate) fn clip_to_width(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used >= width {
            break;
        }
        clipped.push(c);
    }
    clipped + "…"
}

/// For a POSIX shell, in a command that a person may copy: quoted as one word.
pub(crate) fn shell_word(text: &str) -> String {
    let text = line(text);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "parsers have more variants than these tests need")]
mod tests {
    use comrak::{
        Arena, Options,
        nodes::{AstNode, NodeValue},
        parse_document,
    };
    use proptest::prelude::*;

    use super::*;

    /// Random text, and text built from pieces that escape from their context.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "`",
            "``",
            "```",
            "|",
            "\\",
            "\\|",
            "@alice",
            "#12",
            "owner/repo#1",
            "<b>",
            "<!--",
            "-->",
            "</details>",
            "&lt;",
            "]]>",
            "]]",
            ">",
            "\n",
            "\r",
            "\u{1b}[31m",
            "\u{1b}]0;x\u{7}",
            "\u{9b}",
            "\0",
            "![i](u)",
            "[l](http://e.vil)",
            "https://e.vil/1",
            "www.e.vil",
            "GH-7",
            "a@b.example",
            "*",
            "_",
            "~",
            "$",
            " ",
            "x",
            "é",
            "表",
            "\u{202e}",
            "\u{ffff}",
            "\u{2028}",
            "# ",
            "1. ",
            "- ",
            "~~~",
            "/close",
            "/merge\n",
            "@all",
            "!1",
            "group/shop!1",
            "&1",
            "~bug",
            "~\"a label\"",
            "%v1",
            "[issue:1]",
            "[cadence:\"plan a\"]",
            "[[Home]]",
            "*iteration:\"x\"",
            "^alert#1",
            "GL-1",
        ]);
        prop_oneof![
            prop::collection::vec(pieces.prop_map(ToOwned::to_owned), 0..14)
                .prop_map(|pieces| pieces.concat()),
            any::<String>(),
        ]
    }

    /// What GitLab documents under "GitLab-specific references", apart from what has `@`, `#` or `$`.
    fn gitlab_reference() -> regex::Regex {
        let any = r#"[!&~%]\w|[~%]"|\[[a-z_]+:|\[\[|\*iteration:|(?i)\bgl-[0-9]"#;
        regex::Regex::new(any).unwrap()
    }

    fn walk(markdown: &str, look: &mut dyn FnMut(&NodeValue)) {
        let arena = Arena::new();
        let mut options = Options::default();
        options.extension.table = true;
        options.extension.autolink = true;
        options.extension.strikethrough = true;
        options.extension.tasklist = true;
        options.extension.footnotes = true;
        options.extension.math_dollars = true;
        options.extension.math_code = true;
        let root: &AstNode<'_> = parse_document(&arena, markdown, &options);
        for node in root.descendants() {
            look(&node.data.borrow().value);
        }
    }

    /// The visible text of Markdown; panics if the Markdown contains more than text and code.
    fn visible_text(markdown: &str) -> String {
        let mut visible = String::new();
        walk(markdown, &mut |node| match node {
            NodeValue::Text(text) => {
                assert!(!text.contains(['@', '#']), "GitHub would link in {text:?}");
                assert!(!gitlab_reference().is_match(text), "GitLab would link in {text:?}");
                visible.push_str(text);
            }
            NodeValue::Code(code) => visible.push_str(&code.literal),
            NodeValue::Document
            | NodeValue::Paragraph
            | NodeValue::Table(_)
            | NodeValue::TableRow(_)
            | NodeValue::TableCell => {}
            other => panic!("{markdown:?} became {other:?}"),
        });
        visible
    }

    /// The text that a reader should see, without blanks.
    fn letters(text: &str) -> String {
        text.replace("<!--", "<!- -").replace([' ', '`', '\u{a0}', '\u{3000}'], "")
    }

    proptest! {
        #[test]
        fn a_terminal_gets_only_visible_characters(text in hostile()) {
            prop_assert!(plain(&text).chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(!line(&text).contains('\n'));
            prop_assert_eq!(plain(&plain(&text)), plain(&text));
        }

        #[test]
        fn markdown_text_only_shows_the_text(text in hostile()) {
            prop_assert_eq!(letters(&visible_text(&markdown_text(&text))), letters(&line(&text)));
            prop_assert!(!markdown_text(&text).starts_with('/'));
            let after_words = format!("x {}", markdown_text(&text));
            prop_assert_eq!(letters(&visible_text(&after_words)), letters(&format!("x{}", line(&text))));
        }

        #[test]
        fn markdown_code_only_shows_the_text(text in hostile()) {
            let markdown = format!("x {}", markdown_code(&text));
            prop_assert_eq!(letters(&visible_text(&markdown)), letters(&format!("x{}", line(&text))));
        }

        #[test]
        fn text_cannot_leave_its_cell(text in hostile(), code in hostile()) {
            let row = format!("| {} | {} | end |", markdown_cell(&markdown_text(&text)), markdown_cell(&markdown_code(&code)));
            let table = format!("| a | b | c |\n|---|---|---|\n{row}\n");
            let mut cells = 0;
            walk(&table, &mut |node| cells += usize::from(matches!(node, NodeValue::TableCell)));
            prop_assert_eq!(cells, 6, "{}", row);
            // Parsers differ in how many backslashes they keep before a `|` in code.
            let shown = letters(&visible_text(&table)).replace('\\', "");
            let wanted = letters(&format!("abc{}{}end", line(&text), line(&code))).replace('\\', "");
            prop_assert_eq!(shown, wanted);
        }

        #[test]
        fn text_cannot_close_its_fence(text in hostile()) {
            let markdown = format!("{}\nend", fence("sql", &text));
            let (mut blocks, mut literal, mut others) = (0, String::new(), 0);
            walk(&markdown, &mut |node| match node {
                NodeValue::CodeBlock(block) => {
                    blocks += 1;
                    literal.clone_from(&block.literal);
                }
                NodeValue::Document | NodeValue::Paragraph | NodeValue::Text(_) => {}
                _ => others += 1,
            });
            prop_assert_eq!((blocks, others), (1, 0));
            let wanted = without_quick_actions(&without_comments(&plain(&text)));
            prop_assert_eq!(literal.trim_end(), wanted.trim_end());
            prop_assert!(!markdown.lines().any(|line| line.starts_with('/')), "{}", markdown);
        }

        #[test]
        fn html_code_adds_no_markup_from_the_text(text in hostile()) {
            let html = html_code(&text);
            prop_assert_eq!(html.matches('<').count(), 2);
            prop_assert!(!html.contains('\n'));
        }

        #[test]
        fn xml_parses_back_to_the_text(text in hostile()) {
            let safe = xml(&text);
            let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(safe.chars().all(legal));
            let document = format!("<a><![CDATA[{safe}]]></a>");
            let mut reader = quick_xml::Reader::from_str(&document);
            let mut read = String::new();
            loop {
                match reader.read_event().unwrap() {
                    quick_xml::events::Event::CData(data) => read.push_str(&data.decode().unwrap()),
                    quick_xml::events::Event::Eof => break,
                    _ => {}
                }
            }
            prop_assert_eq!(read, safe);
        }

        #[test]
        fn clipped_text_is_within_the_limit(text in hostile(), limit in 1usize..20) {
            prop_assert!(clip(&text, limit).chars().count() <= limit);
        }
    }

    proptest! {
        #[test]
        fn no_line_is_a_workflow_command(text in "(::|##\\[|[ \t\n\r]|error|a){0,12}") {
            let guarded = no_command(&text);
            prop_assert!(!guarded.contains("##["));
            prop_assert!(guarded.split(['\n', '\r']).all(|line| !line.trim_start().starts_with("::")));
            prop_assert_eq!(guarded.replace('\u{200b}', ""), text);
        }
    }

    #[test]
    fn ordinary_text_stays_readable() {
        assert_eq!(
            markdown_text("last refresh of `order_totals` is 12m old"),
            "last refresh of `order_totals` is 12m old"
        );
        assert_eq!(markdown_text("ping @alice, see #12"), "ping `@alice,` see `#12`");
        assert_eq!(markdown_cell(&markdown_text("a|b `c|d`")), "a\\|b `c\\|d`");
        assert_eq!(fence("sql", "select 1"), "```sql\nselect 1\n```\n");
    }

    #[test]
    fn shell_words_are_quoted() {
        assert_eq!(shell_word("analytics.orders"), "analytics.orders");
        assert_eq!(shell_word("x'; rm -rf ~"), r"'x'\''; rm -rf ~'");
    }
}
