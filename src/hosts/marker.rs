//! The hidden last line that identifies a comment or an issue.
//!
//! Text from outside cannot contain it: reports escape the beginning of every HTML comment.

use super::Error;

/// Distinguishes the comments of several workflows on one pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    pub fn new(text: &str) -> Result<Self, Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        // Two adjacent dashes could end the HTML comment around the key.
        if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) || text.contains("--") {
            return Err(Error::Key(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The content of the hidden line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    pub key: Key,
    /// The number of the workflow's run or of the pipeline, which grows from run to run.
    pub run: Option<u64>,
}

impl Marker {
    /// The body with its marker as the last line.
    pub(super) fn sign(&self, body: &str) -> String {
        let run = self.run.map(|run| format!(" run={run}")).unwrap_or_default();
        format!("{}\n\n<!-- pgtrickle-ci:{}{run} -->", body.trim_end(), self.key.0)
    }

    /// The text before the marker, and the marker, if the last line of the body is one with this key.
    pub(super) fn find<'a>(key: &Key, body: &'a str) -> Option<(&'a str, Self)> {
        let body = body.trim_end();
        let (text, last) = body.rsplit_once('\n').unwrap_or(("", body));
        let words = last.trim().strip_prefix("<!-- pgtrickle-ci:")?.strip_suffix(" -->")?;
        let mut words = words.split(' ');
        if words.next() != Some(key.0.as_str()) {
            return None;
        }
        let run = words.find_map(|word| word.strip_prefix("run=")?.parse().ok());
        Some((text.trim_end(), Self { key: key.clone(), run }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn only_the_own_key_finds_a_signed_body() {
        let marker = Marker { key: key("default"), run: Some(7) };
        let signed = marker.sign("text\n");
        assert_eq!(signed, "text\n\n<!-- pgtrickle-ci:default run=7 -->");
        assert_eq!(Marker::find(&key("default"), &signed), Some(("text", marker.clone())));
        // The host may return other line ends.
        assert_eq!(Marker::find(&key("default"), &signed.replace('\n', "\r\n")).unwrap().1, marker);
        for other in ["defaul", "default2", "x"] {
            assert_eq!(Marker::find(&key(other), &signed), None);
        }
        assert_eq!(Marker::find(&key("default"), &format!("{signed}\nsomething below")), None);
    }

    #[test]
    fn a_key_cannot_leave_the_marker() {
        for wrong in ["", "a b", "-->", "a--b", "ä", "a\nb", &"a".repeat(65)] {
            assert!(Key::new(wrong).is_err(), "{wrong}");
        }
        assert!(Key::new("nightly.prod_1-b").is_ok());
    }
}
