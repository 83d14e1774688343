//! Text that must never appear in output.

use std::fmt;

/// A password or token. `Debug` and `Display` show `***`; only [`Secret::reveal`] returns the text.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of this secret replaced by `***`.
    pub fn mask(&self, text: &str) -> String {
        // Masking a secret of one or two characters would make the text unreadable and protect nothing.
        if self.0.len() < 3 { text.to_owned() } else { text.replace(&self.0, "***") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_and_masking_hide_the_secret() {
        let secret = Secret::new("hunter22");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.mask("login hunter22 failed for hunter22"), "login *** failed for ***");
    }
}
