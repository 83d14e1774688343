//! Reading YAML that anybody may have written.

use serde::de::{DeserializeOwned, Error as _};

/// How many lists and mappings may be open at once: the parser takes a time that grows with the square of it, and each level
/// takes a part of the stack.
const DEEPEST: usize = 1_000;

/// Reads a document.
///
/// # Errors
/// When it is not YAML, is not of this shape or is nested deeper than any file that a person writes.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    if is_too_deep(text) {
        return Err(serde_yaml::Error::custom("its lists and mappings are nested too deeply"));
    }
    serde_yaml::from_str(text)
}

/// Brackets in texts and comments count, too: they are closed there.
fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by tests/fuzz: 50,000 brackets took twenty seconds, and as many braces more than the stack.
    #[test]
    fn deep_nesting_is_an_immediate_error() {
        for open in ["[", "{", "[b: ", "{a: ["] {
            let text = format!("a: {}", open.repeat(50_000));
            let error = read::<serde_yaml::Value>(&text).unwrap_err().to_string();
            assert_eq!(error, "its lists and mappings are nested too deeply", "{open}");
        }
        let jinja = "a: \"{{ x }}{% if y %}[{% endif %}\"\n".repeat(100).replace("a:", "- ");
        assert!(read::<serde_yaml::Value>(&jinja).is_ok());
    }
}
